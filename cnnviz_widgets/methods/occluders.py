"""What is laid over the picture: the patch's shape, what stands under it, and where it goes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental import Sweep
from cnnviz_widgets.methods.common import whole_number

Fill: TypeAlias = str | Sequence[int]
Shape: TypeAlias = str | tuple[int, int]

FILLS = ("mean", "grey", "blur", "noise")
"""The fills with a name of their own; any colour is one too."""

SHAPES = ("square", "circle")

_OF_PICTURE = ("mean", "blur", "noise")
_CHOICES = f"{', '.join(map(repr, FILLS))}, a colour such as 'red' or '#808080', or its levels (r, g, b)"
_BLUR = 0.05  # sigma as a share of the picture's short side: 11 pixels of 224


@dataclass(frozen=True, eq=False)
class Occluder:
    """A patch over a picture: the picture and its filled twin, as the network and as a person sees them.

    Attributes:
        x: (1, C, H, W) the prepared picture.
        fill: (1, C, H, W) what the network sees where the patch is: the whole picture, filled.
        size: (h, w) of the patch in pixels.
        mask: (h, w) True where the patch covers (a disc); None: everywhere.
        picture: (H, W, 3) uint8, the pixels that the network sees.
        fill_picture: (H, W, 3) uint8, the same of `fill`.
    """

    x: Tensor
    fill: Tensor
    size: tuple[int, int]
    mask: NDArray[np.bool_] | None
    picture: NDArray[np.uint8]
    fill_picture: NDArray[np.uint8]

    @staticmethod
    def of(engine: Engine, image: ImageLike, patch: int = 32, fill: Fill = "mean", shape: Shape = "square") -> Occluder:
        """The occluder that `occlusion` uses for these settings.

        Raises:
            ValueError: a patch, fill or shape that cannot be; near names are suggested.
            ImageError: `image` is no picture.
        """
        size, mask = _patch(patch, shape)
        colour = None if isinstance(fill, str) and fill in _OF_PICTURE else _colour(fill)
        x = engine.prepare(image)
        picture = _frozen(engine.display(x))
        filled = engine.preprocessing.encode(_filled(picture, fill, colour))[None].to(x.device, x.dtype)
        return Occluder(x, filled, size, mask, picture, _frozen(engine.display(filled)))

    def grid(self, stride: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Upper and left edges of the patch, every `stride` pixels from 0 on, as captum has them.

        Raises:
            ValueError: `stride` is no whole number from 1 up.
        """
        step = whole_number("stride", stride, 1)
        height, width = self.picture.shape[:2]
        return _starts(height, self.size[0], step), _starts(width, self.size[1], step)

    def sweep(self, tops: Sequence[int], lefts: Sequence[int]) -> Sweep:
        """The question to the engine: the patch at every crossing of these edges."""
        return Sweep(self.x, self.fill, tuple(tops), tuple(lefts), self.size, self.mask)


def check_fill(fill: Fill) -> None:
    """Nothing, when this can stand under a patch.

    Raises:
        ValueError: it cannot; near names are suggested.
    """
    if fill not in ("mean", "blur", "noise"):
        _colour(fill)


def check_shape(shape: Shape) -> None:
    """Nothing, when a patch can have this shape.

    Raises:
        ValueError: it cannot; near names are suggested.
    """
    _patch(1, shape)


def disc(height: int, width: int) -> NDArray[np.bool_]:
    """(h, w) True where a pixel's middle lies within the largest ellipse that fits."""
    y, x = (np.abs((np.arange(length) + 0.5) / length * 2 - 1) for length in (height, width))
    return y[:, None] ** 2 + x**2 <= 1


def _starts(length: int, patch: int, stride: int) -> tuple[int, ...]:
    """Until the whole length is covered, the last patch cut off; with gaps, the last one that covers anything."""
    count = 1 if patch >= length else -(-(length - patch) // stride) + 1
    return tuple(range(0, length, stride)[:count])


def _patch(patch: int, shape: Shape) -> tuple[tuple[int, int], NDArray[np.bool_] | None]:
    if isinstance(shape, str):
        if shape not in SHAPES:
            near = difflib.get_close_matches(shape, SHAPES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "wanted 'square', 'circle' or (height, width)"
            raise ValueError(f"no shape {shape!r}; {hint}")
        side = whole_number("patch", patch, 1)
        return (side, side), disc(side, side) if shape == "circle" else None
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise ValueError(f"shape={shape!r}; wanted 'square', 'circle' or (height, width)")
    return (whole_number("the height in shape", shape[0], 1), whole_number("the width in shape", shape[1], 1)), None


def _filled(picture: NDArray[np.uint8], fill: Fill, colour: tuple[int, int, int] | None) -> NDArray[Any]:
    """(H, W, 3) levels 0..255 of what stands under the patch; not rounded where they are computed."""
    if colour is not None:
        return np.broadcast_to(np.array(colour, np.uint8), picture.shape)
    if fill == "mean":
        return np.broadcast_to(picture.mean((0, 1)), picture.shape)
    if fill == "noise":
        return np.random.default_rng(0).integers(0, 256, picture.shape, np.uint8)
    height, width = picture.shape[:2]
    sigma = _BLUR * min(height, width)
    return np.einsum("yv,vuc,xu->yxc", _gaussian(height, sigma), picture, _gaussian(width, sigma), optimize=True)


def _gaussian(length: int, sigma: float) -> NDArray[np.float64]:
    """(length, length) that blurs when multiplied; at the border the weights left over make the whole."""
    places = np.arange(length)
    weights = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    return weights / weights.sum(1, keepdims=True)


def _colour(fill: Fill) -> tuple[int, int, int]:
    if isinstance(fill, str):
        try:
            levels = ImageColor.getrgb(fill)
        except ValueError:
            near = difflib.get_close_matches(fill.lower(), [*FILLS, *ImageColor.colormap], n=3)
            words = " or ".join(map(repr, near))
            hint = f"did you mean {words}?" if near else f"wanted {_CHOICES}"
            raise ValueError(f"no fill {fill!r}; {hint}") from None
        if len(levels) == 4 and levels[3] != 255:
            raise ValueError(f"fill={fill!r} is transparent; the patch has to cover")
        return levels[0], levels[1], levels[2]
    levels = list(fill) if isinstance(fill, (tuple, list, np.ndarray)) else []
    # whole numbers only: 0.5 is half of full to some and nearly black to others
    if len(levels) != 3 or not all(type(n) is not bool and isinstance(n, (int, np.integer)) for n in levels):
        raise ValueError(f"fill={fill!r}; wanted {_CHOICES}, whole numbers")
    if not all(0 <= n <= 255 for n in levels):
        raise ValueError(f"fill={fill!r}; a colour's levels are 0 to 255")
    red, green, blue = map(int, levels)
    return red, green, blue


def _frozen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    owned = pixels if pixels.flags.owndata and pixels.flags.c_contiguous else np.array(pixels, order="C")
    owned.flags.writeable = False  # the records of a growing map keep it without another copy
    return owned
