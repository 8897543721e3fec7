"""What covering a part of the picture does: the score with a patch at each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.kinds import Heatmap
from cnnviz_widgets.results.record import PictureResult, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class OcclusionMap(PictureResult):
    """The score of the target with a patch over the picture, for each place of the patch.

    Where the score sinks, the patch covers evidence for the target; where it rises, it covers what speaks against it.
    `parameters["output"]` says what the numbers are: "score" (logits), "probability" (0 to 1), or "activity", the
    response of a unit. A map that is half computed has NaN in the rows that are not there yet.

    Attributes:
        scores: (ny, nx) with the patch's upper left corner at (tops[i], lefts[j]); NaN: not computed.
        tops: (ny,) int64, upper edges of the patch in pixels of `image`, ascending.
        lefts: (nx,) int64, left edges likewise.
        size: (h, w) of the patch in pixels; at the border it is cut off.
        base: The score without a patch.
        fill: (H, W, 3) uint8, what is seen where the patch is: the whole picture, filled.
        mask: (h, w) True where the patch covers (a disc); None: everywhere.
        classes: (ny, nx) int64, the most probable class at each place, -1 where it was not computed; None: not asked
            for.
        class_names: The names of the classes in `classes`, by number.
    """

    scores: NDArray[np.float32] = field(metadata=array("ny nx"))
    tops: NDArray[np.int64] = field(metadata=array("ny", np.int64))
    lefts: NDArray[np.int64] = field(metadata=array("nx", np.int64))
    size: tuple[int, int]
    base: float
    fill: NDArray[np.uint8] = field(metadata=array("H W 3", np.uint8))
    mask: NDArray[np.bool_] | None = field(default=None, metadata=array("h w", np.bool_))
    classes: NDArray[np.int64] | None = field(default=None, metadata=array("ny nx", np.int64))
    class_names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "size", tuple(int(length) for length in self.size))
        object.__setattr__(self, "base", float(np.float32(self.base)))  # as the scores: what did not move is equal
        # a file knows text as keys only
        object.__setattr__(self, "class_names", {int(k): name for k, name in self.class_names.items()})
        if self.mask is not None and self.mask.shape != self.size:
            raise ValueError(f"OcclusionMap.mask has the shape of the patch, {self.size}, not {self.mask.shape}")
        if self.classes is not None:
            nameless = sorted({*np.unique(self.classes[self.classes >= 0]).tolist()} - self.class_names.keys())
            if nameless:
                raise ValueError(f"OcclusionMap.class_names lacks a name for class {nameless[0]}")

    @property
    def drop(self) -> NDArray[np.float32]:
        """(ny, nx) base - scores: how much of the score the patch takes away at each place."""
        return np.float32(self.base) - self.scores

    @property
    def done(self) -> float:
        """The share of the places that are computed, 0 to 1."""
        return float(np.isfinite(self.scores).mean())

    def strongest(self) -> tuple[int, int]:
        """Row and column in `scores` of the place where the score is lowest, the first in reading order.

        Raises:
            ValueError: Nothing is computed yet.

        Example:
            i, j = occlusion(engine, image).strongest()
        """
        if np.isnan(self.scores).all():
            raise ValueError("no place of this occlusion map is computed yet")
        i, j = np.unravel_index(int(np.nanargmin(self.scores)), self.scores.shape)
        return int(i), int(j)

    def heatmap(self) -> Heatmap:
        """One value a pixel: the mean drop of the score over all patches that cover it.

        Above zero, covering the pixel costs score: evidence for the target. NaN where no patch came (a stride larger
        than the patch, rows that are not computed yet). With a square patch this is what captum's `Occlusion` gives.

        Example:
            occlusion(engine, image, "tabby").heatmap()
        """
        height, width, _ = self.image.shape
        total, count = np.zeros((height, width)), np.zeros((height, width))
        drop = self.drop.astype(np.float64)
        rows = [_inside(top, self.size[0], height) for top in self.tops.tolist()]
        columns = [_inside(left, self.size[1], width) for left in self.lefts.tolist()]
        for i, j in np.argwhere(~np.isnan(self.scores)).tolist():
            (y, top), (x, left) = rows[i], columns[j]
            covers = 1 if self.mask is None else self.mask[top, left]
            total[y, x] += drop[i, j] * covers
            count[y, x] += covers
        values = np.full(total.shape, np.nan, np.float32)
        np.divide(total, count, out=values, where=count > 0, casting="same_kind")
        common = {f.name: getattr(self, f.name) for f in fields(PictureResult)}
        return Heatmap(**common, values=values, raw=values, signed=True)

    def _summary(self) -> str:
        (height, width), places = self.size, " x ".join(map(str, self.scores.shape))
        part = "" if self.done == 1 else f" ({self.done:.0%} done)"
        least = f", {np.nanmin(self.scores):.4g} at least" if self.done else ""
        return (
            f"{self.method} of {self.target_name!r}: patch {height}x{width} at {places} places{part}, "
            f"{self.base:.4g} without it{least}"
        )


def _inside(start: int, size: int, length: int) -> tuple[slice, slice]:
    """Of a patch from `start` on, along one axis: what of the picture it covers, and with which of its own pixels."""
    lo, hi = min(max(start, 0), length), max(min(start + size, length), 0)
    return slice(lo, hi), slice(lo - start, max(hi, lo) - start)
