"""The kinds of results: a subclass with fields for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import PictureResult, array

Reduction = Literal["max_abs", "sum", "norm", "mean_abs"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Predictions(PictureResult):
    """The classes that a network holds most likely, best first.

    Attributes:
        names: (k) class names.
        probabilities: (k,) softmax of all scores, 0 to 1; the k need not add up to 1.
        scores: (k,) logits.
        indices: (k,) int64, the classes' numbers.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32] = field(metadata=array("k"))
    scores: NDArray[np.float32] = field(metadata=array("k"))
    indices: NDArray[np.int64] = field(metadata=array("k", np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.names) != len(self.probabilities):
            raise ValueError(f"Predictions has {len(self.names)} names for {len(self.probabilities)} probabilities")

    def _summary(self) -> str:
        best = [f"{name!r} {share:.1%}" for name, share in zip(self.names, self.probabilities, strict=True)]
        rest = f" and {len(best) - 1} more" if len(best) > 1 else ""
        return f"{self.method}: {best[0]}{rest}" if best else self.method


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Heatmap(PictureResult):
    """One value for every pixel of the network's input: where it matters.

    Attributes:
        values: (H, W) on the frame of `image`, in the method's own units, never normalised.
        raw: (h, w) the same map at the layer's own resolution.
        signed: Whether values below zero have a meaning of their own (against the target); colours then centre on 0.
    """

    values: NDArray[np.float32] = field(metadata=array("H W"))
    raw: NDArray[np.float32] = field(metadata=array("h w"))
    signed: bool = False


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PixelMap(PictureResult):
    """One value for every colour of every input pixel: what changing it does.

    Attributes:
        values: (C, H, W) on the frame of `image`, C = 3 in the order R, G, B or C = 1; never normalised.
        signed: Whether values below zero have a meaning of their own.
    """

    values: NDArray[np.float32] = field(metadata=array("C H W"))
    signed: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) not in (1, 3):
            raise ValueError(f"PixelMap.values has 3 channels (R, G, B) or 1, not {len(self.values)}")

    def heatmap(self, reduce: Reduction = "max_abs") -> Heatmap:
        """One value a pixel: the channels drawn together.

        Args:
            reduce: "max_abs", the largest magnitude (Simonyan et al. 2013, section 3.1); "sum", which keeps the sign
                and, for integrated gradients, the total; "norm", the Euclidean length; "mean_abs", the mean magnitude.

        Example:
            guided_backprop(engine, image).heatmap("norm")
        """
        if reduce not in _REDUCTIONS:
            raise ValueError(f"reduce is one of {', '.join(map(repr, _REDUCTIONS))}, not {reduce!r}")
        values = _REDUCTIONS[reduce](self.values.astype(np.float64)).astype(np.float32)
        common = {f.name: getattr(self, f.name) for f in fields(PictureResult)}
        common["parameters"] = {**self.parameters, "reduce": reduce}
        return Heatmap(**common, values=values, raw=values, signed=self.signed and reduce == "sum")


_REDUCTIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "max_abs": lambda v: np.abs(v).max(0),
    "sum": lambda v: v.sum(0),
    "norm": lambda v: np.sqrt(np.square(v).sum(0)),
    "mean_abs": lambda v: np.abs(v).mean(0),
}
