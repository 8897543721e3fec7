"""Small random changes of the view before each step: what survives all of them is no dust of single pixels.

Mordvintsev et al. 2015 (jitter); Olah, Mordvintsev & Schubert, "Feature visualization", 2017 (rotation and scale).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class View:
    """How a picture is looked at: turned by `angle` (radians), enlarged, and shifted by pixels."""

    angle: float = 0.0
    scale: float = 1.0
    down: float = 0.0
    right: float = 0.0


@dataclass(frozen=True)
class Transform(ABC):
    """One kind of change; its numbers are its fields."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{type(self).__name__}({one.name}={value!r}): wanted a finite number from 0 up")

    @abstractmethod
    def draw(self, view: View, random: torch.Generator) -> View:
        """Another view by chance."""

    def to_json(self) -> dict[str, Any]:
        """Its name and numbers, for a result's parameters."""
        return {"name": type(self).__name__, **{one.name: getattr(self, one.name) for one in fields(self)}}


@dataclass(frozen=True)
class Jitter(Transform):
    """A shift by up to so many whole pixels in each direction."""

    pixels: int = 16

    def draw(self, view: View, random: torch.Generator) -> View:
        """See `Transform`."""
        reach = int(self.pixels)
        down, right = torch.randint(-reach, reach + 1, (2,), generator=random).tolist()
        return View(view.angle, view.scale, view.down + down, view.right + right)


@dataclass(frozen=True)
class Rotate(Transform):
    """A turn about the middle by up to so many degrees to either side."""

    degrees: float = 10.0

    def draw(self, view: View, random: torch.Generator) -> View:
        """See `Transform`."""
        turn = math.radians(self.degrees) * (2 * torch.rand((), generator=random, dtype=torch.float64).item() - 1)
        return View(view.angle + turn, view.scale, view.down, view.right)


@dataclass(frozen=True)
class Scale(Transform):
    """Enlarged or reduced about the middle by a factor between `low` and `high`."""

    low: float = 0.9
    high: float = 1.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.low <= self.high:
            raise ValueError(f"Scale(low={self.low!r}, high={self.high!r}): wanted 0 < low <= high")

    def draw(self, view: View, random: torch.Generator) -> View:
        """See `Transform`."""
        share = torch.rand((), generator=random, dtype=torch.float64).item()
        return View(view.angle, view.scale * (self.low + share * (self.high - self.low)), view.down, view.right)


def views_of(transforms: Sequence[Transform], generators: Sequence[torch.Generator]) -> list[View]:
    """A random view for each picture, from a generator of its own: the same whichever others go with it."""
    found = []
    for random in generators:
        view = View()
        for transform in transforms:
            view = transform.draw(view, random)
        found.append(view)
    return found


def look(pictures: Tensor, views: Sequence[View], size: tuple[int, int]) -> Tensor:
    """What of each picture (N, C, H, W) a frame of `size` (height, width) about its middle shows in its view.

    All changes are one resampling, so nothing is blurred twice; behind the borders the picture goes on mirrored. A view
    that is but shifted within the picture is cut out as it is.
    """
    height, width = size
    top, left = (pictures.shape[-2] - height) // 2, (pictures.shape[-1] - width) // 2
    corners = [(top + view.down, left + view.right) for view in views]
    if all(_is_cut(view, corner, pictures.shape, size) for view, corner in zip(views, corners, strict=True)):
        if pictures.shape[-2:] == size:
            return pictures
        parts = [
            picture[:, int(y) : int(y) + height, int(x) : int(x) + width]
            for picture, (y, x) in zip(pictures, corners, strict=True)
        ]
        return torch.stack(parts)
    grid = torch.cat([_grid(view, pictures, size) for view in views])
    bands = _bands(pictures, height)
    if bands > 1:
        pictures = pictures[:, None].expand(-1, bands, -1, -1, -1).flatten(0, 1)  # a single one is not copied
        grid = grid.view(len(pictures), height // bands, width, 2)
    seen = F.grid_sample(pictures, grid, "bilinear", "reflection", align_corners=False)
    return seen if bands == 1 else _stacked(seen, bands)


def _bands(pictures: Tensor, rows: int) -> int:
    """Into how many bands of rows each picture's frame is cut: torch resamples one picture on one core alone."""
    if pictures.device.type != "cpu":
        return 1
    enough = -(-torch.get_num_threads() // len(pictures))
    return max(count for count in range(1, enough + 1) if rows % count == 0)


def _stacked(seen: Tensor, bands: int) -> Tensor:
    """(N * bands, C, h, W) as (N, C, H, W)."""
    return seen.unflatten(0, (-1, bands)).transpose(1, 2).flatten(2, 3)


def _is_cut(view: View, corner: tuple[float, float], shape: Sequence[int], size: tuple[int, int]) -> bool:
    inside = all(
        place.is_integer() and 0 <= place <= whole - part
        for place, whole, part in zip(map(float, corner), shape[-2:], size, strict=True)
    )
    return inside and view.angle == 0 and view.scale == 1


def _grid(view: View, pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Where in the picture, from -1 to 1 on each axis, each pixel of the frame is looked up."""
    (height, width), (rows, columns) = pictures.shape[-2:], size
    top, left = (height - rows) // 2, (width - columns) // 2
    like = {"dtype": pictures.dtype, "device": pictures.device}
    # of each frame's pixel, how far it is from the picture's middle
    y = torch.arange(rows, **like)[:, None] + (top + 0.5 - height / 2)
    x = torch.arange(columns, **like) + (left + 0.5 - width / 2)
    cosine, sine = math.cos(view.angle) / view.scale, math.sin(view.angle) / view.scale
    grid = torch.empty(1, rows, columns, 2, **like)
    # a part of each column and one of each row: their sum is all that is computed of each pixel
    torch.sub((cosine * x + view.right) * (2 / width), sine * (2 / width) * y, out=grid[0, ..., 0])
    torch.add((sine * x + view.down) * (2 / height), cosine * (2 / height) * y, out=grid[0, ..., 1])
    return grid
