"""What a channel answers to, over a collection: its strongest patches, and the classes they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import Result, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Patches(Result):
    """Where in a collection a channel is strongest, best first, with what of each patch made it fire.

    At most one patch a picture. `target` is the unit. `parameters["seen"]` says what a patch is: "receptive field", or
    "whole frame" where the layer's field is unknown; `parameters["frame"]` is the frame's (height, width), and
    `parameters["rectified"]` is False where there was no rectifier for the projection to change.

    Attributes:
        rows: (k,) int64, the pictures' rows in the index.
        boxes: (k, 4) int64, the receptive fields cut to the network's frame: x0, y0, x1, y1 in pixels, x1 and y1
            outside.
        positions: (k, 2) int64, y and x in the layer's map.
        activations: (k,) the channel's values there.
        pictures: (k, h, w, 3) uint8, the pixels in the fields; what lies outside the frame is mid grey. A side on which
            the field is as long as the frame, or longer, is the frame's.
        projections: (k, C, h, w) the same places of the attribution, zero outside the frame; C = 0 where none was
            asked for.
        names: (k) the label's name where there is one, else the picture's key.
        labels: (k,) int64, the labels' numbers, -1 where there is none.
        predictions: (k,) int64, the classes that the network holds most probable.
    """

    rows: NDArray[np.int64] = field(metadata=array("k", np.int64))
    boxes: NDArray[np.int64] = field(metadata=array("k 4", np.int64))
    positions: NDArray[np.int64] = field(metadata=array("k 2", np.int64))
    activations: NDArray[np.float32] = field(metadata=array("k"))
    pictures: NDArray[np.uint8] = field(metadata=array("k h w 3", np.uint8))
    projections: NDArray[np.float32] = field(metadata=array("k C h w"))
    names: tuple[str, ...]
    labels: NDArray[np.int64] = field(metadata=array("k", np.int64))
    predictions: NDArray[np.int64] = field(metadata=array("k", np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.names) != len(self.rows):
            raise ValueError(f"Patches has {len(self.names)} names for {len(self.rows)} rows")
        if self.projections.shape[1] not in (0, 1, 3):
            raise ValueError(f"Patches.projections has 3 channels (R, G, B), 1 or 0, not {self.projections.shape[1]}")

    def _summary(self) -> str:
        k, height, width = self.pictures.shape[:3]
        if not k:
            return f"{self.target_name}: none"
        return f"{self.target_name}: {k} of {width}x{height}, activation {self.activations[0]:.4g} and less"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class UnitClasses(Result):
    """Which classes of a collection a channel answers to, most first; of equal ones the lower number first.

    `parameters["over"]` says what was asked: "pictures", all of the index, a class's value then being the channel's
    mean over its pictures; or "strongest patches", where the index holds no more of this layer, the value then being
    how many of them come from the class. `parameters["by"]` is "label" or "prediction"; `parameters["without"]` counts
    what has no label and is left out.

    Attributes:
        names: (n) of the classes that there are pictures of.
        classes: (n,) int64, their numbers.
        values: (n,) see above.
        spreads: (n,) the standard deviation over the class's pictures; 0 where patches were counted.
        counts: (n,) int64, how many pictures, or patches, each value is about.
    """

    names: tuple[str, ...]
    classes: NDArray[np.int64] = field(metadata=array("n", np.int64))
    values: NDArray[np.float32] = field(metadata=array("n"))
    spreads: NDArray[np.float32] = field(metadata=array("n"))
    counts: NDArray[np.int64] = field(metadata=array("n", np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.names) != len(self.values):
            raise ValueError(f"UnitClasses has {len(self.names)} names for {len(self.values)} values")

    def _summary(self) -> str:
        best = [f"{name!r} {value:.4g}" for name, value in zip(self.names, self.values, strict=True)]
        return f"{self.target_name}: {', '.join(best[:3])}{', …' if len(best) > 3 else ''}"
