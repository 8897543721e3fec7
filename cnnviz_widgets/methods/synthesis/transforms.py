"""Small random changes of the view before each step: what survives all of them is no dust of single pixels.

Mordvintsev et al. 2015 (jitter); Olah, Mordvintsev & Schubert, "Feature visualization", 2017 (rotation and scale).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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


def look(
    pictures: Tensor, views: Sequence[View], size: tuple[int, int], tint: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """What of each picture (N, C, H, W) a frame of `size` (height, width) about its middle shows in its view.

    All changes are one resampling, so nothing is blurred twice; behind the borders the picture goes on mirrored. A view
    that is but shifted within the picture is cut out as it is.

    Args:
        pictures: the whole ones.
        views: one for each.
        size: of the frame.
        tint: what is done with the colours of what is shown (M, C, h, w), pixel by pixel.
    """
    height, width = size
    top, left = (pictures.shape[-2] - height) // 2, (pictures.shape[-1] - width) // 2
    corners = [(top + view.down, left + view.right) for view in views]
    if all(_is_cut(view, corner, pictures.shape, size) for view, corner in zip(views, corners, strict=True)):
        if pictures.shape[-2:] != size:
            parts = [
                picture[:, int(y) : int(y) + height, int(x) : int(x) + width]
                for picture, (y, x) in zip(pictures, corners, strict=True)
            ]
            pictures = torch.stack(parts)
        return tint(pictures) if tint else pictures
    grid = pictures.new_empty(len(views), height, width, 2)
    for view, part in zip(views, grid, strict=True):
        _look_up(view, pictures, part)
    bands = _bands(pictures, height)
    seen = _Resampled.apply(pictures, grid, bands)
    return _stacked(tint(seen) if tint else seen, bands)


def _bands(pictures: Tensor, rows: int) -> int:
    """Into how many bands of rows each picture's frame is cut: torch resamples one picture on one core alone."""
    if pictures.device.type != "cpu":
        return 1
    enough = -(-torch.get_num_threads() // len(pictures))
    return max(count for count in range(1, enough + 1) if rows % count == 0)


class _Resampled(torch.autograd.Function):
    """Pictures (N, C, H, W) looked up at a grid (N, h, w, 2), as bands of rows (N * bands, C, h / bands, w)."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor, grid: Tensor, bands: int) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape, ctx.bands = pictures.shape, bands
        return torch.ops.aten.grid_sampler_2d(*_in_bands(pictures, grid, bands), *HOW)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        # torch reads the pictures, too, for a gradient at the grid that nobody wants: a single number will do
        whole, grid = _in_bands(grad_outputs[0].new_zeros(()).expand(ctx.shape), ctx.saved_tensors[0], ctx.bands)
        found, _ = torch.ops.aten.grid_sampler_2d_backward(grad_outputs[0], whole, grid, *HOW, (True, False))
        of_bands = found.unflatten(0, (-1, ctx.bands)).unbind(1)
        for part in of_bands[1:]:
            of_bands[0].add_(part)
        return of_bands[0], None, None


HOW = (0, 2, False)  # bilinear, mirrored at the borders, -1 and 1 are the borders of the picture


def _in_bands(pictures: Tensor, grid: Tensor, bands: int) -> tuple[Tensor, Tensor]:
    whole = pictures[:, None].expand(-1, bands, -1, -1, -1).flatten(0, 1)  # a single one is not copied
    return whole, grid.view(len(whole), grid.shape[1] // bands, grid.shape[2], 2)


def _stacked(seen: Tensor, bands: int) -> Tensor:
    """(N * bands, C, h, W) as (N, C, H, W); with channels last, without a copy."""
    return seen.permute(0, 2, 3, 1).unflatten(0, (-1, bands)).flatten(1, 2).permute(0, 3, 1, 2)


def _is_cut(view: View, corner: tuple[float, float], shape: Sequence[int], size: tuple[int, int]) -> bool:
    inside = all(
        place.is_integer() and 0 <= place <= whole - part
        for place, whole, part in zip(map(float, corner), shape[-2:], size, strict=True)
    )
    return inside and view.angle == 0 and view.scale == 1


def _look_up(view: View, pictures: Tensor, grid: Tensor) -> None:
    """Write into a grid (rows, columns, 2) where in the picture, from -1 to 1 on each axis, a pixel is looked up."""
    (height, width), (rows, columns) = pictures.shape[-2:], grid.shape[:2]
    y = _places(height, rows, pictures.dtype, pictures.device)
    x = _places(width, columns, pictures.dtype, pictures.device)
    cosine, sine = math.cos(view.angle) / view.scale, math.sin(view.angle) / view.scale
    size = pictures.new_tensor((2 / width, 2 / height))
    of_row, of_column, of_all = size * pictures.new_tensor(((-sine, cosine), (cosine, sine), (view.right, view.down)))
    # a part of each column and one of each row: their sum is all that is computed of each pixel
    torch.addcmul(of_all + x * of_column, y[:, None], of_row.repeat(columns, 1), out=grid)


@lru_cache(maxsize=16)
def _places(whole: int, part: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of each row or column of the frame (part, 1), how far it is from the picture's middle."""
    return (torch.arange(part, dtype=dtype, device=device) + ((whole - part) // 2 + 0.5 - whole / 2))[:, None]
