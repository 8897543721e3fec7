"""The pictures of a collection that a network, or the bare pixels, find most alike to one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import PictureResult, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Neighbors(PictureResult):
    """The k pictures of an index that are nearest to one, nearest first; `image` is the one that was asked about.

    `parameters` holds the metric, the space ("embedding" or "pixels"), k, and the row that was asked about, None for a
    picture from elsewhere. `layer` is the embedding's, None among pixels.

    Attributes:
        rows: (k,) int64, the pictures' rows in the index.
        distances: (k,) from the picture asked about: 0 for the very same, at most 2 by cosine.
        pictures: (k, h, w, 3) uint8, what the network saw of them, reduced as the index keeps it.
        names: (k) the label's name where there is one, else the picture's key.
        keys: (k) the pictures' keys in the gallery.
    """

    rows: NDArray[np.int64] = field(metadata=array("k", np.int64))
    distances: NDArray[np.float32] = field(metadata=array("k"))
    pictures: NDArray[np.uint8] = field(metadata=array("k h w 3", np.uint8))
    names: tuple[str, ...]
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("names", "keys"):
            texts = tuple(getattr(self, name))
            object.__setattr__(self, name, texts)
            if len(texts) != len(self.rows):
                raise ValueError(f"Neighbors has {len(texts)} {name} for {len(self.rows)} rows")

    def _summary(self) -> str:
        space = self.layer or self.parameters.get("space", "")
        near = [f"{name!r} {distance:.3g}" for name, distance in zip(self.names, self.distances, strict=True)]
        rest = f" and {len(near) - 1} more" if len(near) > 1 else ""
        return f"{len(near)} by {self.parameters.get('metric', 'distance')} in {space}: {near[0] if near else ''}{rest}"
