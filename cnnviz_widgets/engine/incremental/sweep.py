"""What a sweep asks: one picture, what stands under the patch, and where the patch goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.results import Unit

Want = tuple[int, ...] | Unit | None


@dataclass(frozen=True, eq=False)
class Sweep:
    """A patch put over a picture at every crossing of `tops` and `lefts`.

    Attributes:
        x: (1, C, H, W) the prepared picture.
        fill: (1, C, H, W) what the network sees where the patch is: the whole picture, filled.
        tops: upper edges of the patch in input pixels; it may hang over the border, or miss the picture.
        lefts: left edges, likewise.
        size: (h, w) of the patch.
        mask: (h, w) True where the patch covers; None: everywhere.

    Raises:
        ValueError: shapes that do not fit, a patch without extent, no place at all.
    """

    x: Tensor
    fill: Tensor
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    size: tuple[int, int]
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.x.ndim != 4 or len(self.x) != 1:
            raise ValueError(f"x is one prepared picture (1, C, H, W), not {tuple(self.x.shape)}")
        if self.fill.shape != self.x.shape:
            raise ValueError(f"fill is {tuple(self.fill.shape)}; wanted the shape of x, {tuple(self.x.shape)}")
        if not (len(self.tops) and len(self.lefts)):
            raise ValueError(f"{len(self.tops)} rows and {len(self.lefts)} columns: a sweep has one place or more")
        if min(self.size) < 1:
            raise ValueError(f"a patch of {self.size[0]} x {self.size[1]} pixels covers nothing")
        if self.mask is not None and self.mask.shape != tuple(self.size):
            raise ValueError(f"the mask is {self.mask.shape}; wanted the size of the patch, {tuple(self.size)}")
        for name in ("tops", "lefts", "size"):
            object.__setattr__(self, name, tuple(int(value) for value in getattr(self, name)))

    def __len__(self) -> int:
        """How many positions there are."""
        return len(self.tops) * len(self.lefts)

    def boxes(self, axis: int) -> list[tuple[int, int]]:
        """The covered interval [lo, hi) of each position along axis 0 (y) or 1 (x), cut at the picture's edge."""
        length = self.x.shape[2 + axis]
        starts = (self.tops, self.lefts)[axis]
        return [(min(max(s, 0), length), max(min(s + self.size[axis], length), 0)) for s in starts]

    def pictures(self, top: int, lefts: Sequence[int]) -> Tensor:
        """(n, C, H, W): the picture with the patch at each of these places of one row."""
        return self.covered([(top, left) for left in lefts])

    def covered(self, places: Sequence[tuple[int, int]]) -> Tensor:
        """(n, C, H, W): the picture with the patch at each of these places (top, left), laid out in memory as it is."""
        last = self.x.stride(1) == 1 and self.x.shape[1] > 1
        out = self.x.expand(len(places), -1, -1, -1).clone(
            memory_format=torch.channels_last if last else torch.contiguous_format
        )
        for picture, (top, left) in zip(out, places, strict=True):
            self._cover(picture, top, left)
        return out

    def _cover(self, picture: Tensor, top: int, left: int) -> None:
        height, width = picture.shape[1:]
        y0, y1 = max(top, 0), min(top + self.size[0], height)
        x0, x1 = max(left, 0), min(left + self.size[1], width)
        if y0 >= y1 or x0 >= x1:
            return
        covered = self.fill[0, :, y0:y1, x0:x1]
        if self.mask is not None:
            mask = torch.from_numpy(self.mask[y0 - top : y1 - top, x0 - left : x1 - left]).to(picture.device)
            covered = torch.where(mask, covered, picture[:, y0:y1, x0:x1])
        picture[:, y0:y1, x0:x1] = covered
