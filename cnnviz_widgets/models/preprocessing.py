"""From a picture to the numbers that a network wants, and back to the very pixels that it saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

Channels = Literal["RGB", "BGR", "L"]
Array = TypeVar("Array", NDArray[np.uint8], NDArray[np.float32], torch.Tensor)

_GREY = (19595, 38470, 7471)  # of 65536: how Pillow weighs red, green and blue
_MOST_PIXELS = 2**26  # of a resized picture: a strip of 1 x 5000 at short side 256 would take a gigabyte


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The picture resized, cropped at its centre and shifted to the numbers that a network was trained on.

    Calling it with an RGB picture gives a float32 tensor (C, H, W): ``(pixels / scale - mean) / std``. `inverse` leads
    back to the pixels, exactly. The defaults are ImageNet's usual ones, and with torchvision's numbers the tensor
    equals that of torchvision's own transform to the last bit. (Pictures are always resized with antialiasing, as
    Pillow does, whatever a torchvision preset says.)

    Attributes:
        resize: Length of the short side in pixels, or (height, width), or None to leave the size.
        crop: Side of the central square in pixels, or (height, width), or None to keep all. Black where the picture
            is smaller.
        interpolation: "bilinear", "bicubic", "nearest", "lanczos", ...
        mean: What is subtracted, one number for each channel, in the order of `channels`.
        std: What is divided by, likewise.
        scale: What the pixels 0..255 are divided by first.
        channels: Order of the tensor's channels: "RGB", "BGR", or "L" for one grey channel.

    Example:
        >>> tensor = Preprocessing(resize=32, crop=28, mean=(0.13,), std=(0.31,), channels="L")(picture)
    """

    resize: int | tuple[int, int] | None = 256
    crop: int | tuple[int, int] | None = 224
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 255.0
    channels: Channels = "RGB"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant."""
        if self.channels not in get_args(Channels):
            raise ValueError(f"channels is {self.channels!r}, but must be one of {', '.join(get_args(Channels))}")
        if not len(self.mean) == len(self.std) == len(self.channels):
            raise ValueError(
                f"{len(self.mean)} means and {len(self.std)} stds were given for the channels "
                f"{self.channels!r}, but {len(self.channels)} of each are needed"
            )
        if not np.isfinite([*self.mean, *self.std, self.scale]).all() or not self.scale or not all(self.std):
            raise ValueError("mean, std and scale must be finite, and std and scale not zero: there is no way back")
        if self.interpolation not in (known := [mode.value for mode in InterpolationMode]):
            raise ValueError(f"interpolation is {self.interpolation!r}, but must be one of {', '.join(known)}")

    @staticmethod
    def of(transform: Callable[[Image.Image], object] | None) -> Preprocessing:
        """The preprocessing that is in any transform: torchvision's presets, your own function, or None for ImageNet's.

        A preset of torchvision is read. An object with an ``inverse(tensor) -> uint8 (H, W, 3)`` of its own is used as
        it is. Of any other callable the colours are learned by showing it plain pictures; its way back must be clear
        from that, so each output channel must be an affine function of one colour, or all of the same grey.

        Args:
            transform: Takes an RGB picture, gives a float tensor (or array) (C, H, W) with C = 1 or 3.

        Raises:
            TypeError: It cannot be called.
            ValueError: It fails, is random, gives something else, or has no way back that could be learned.

        Example:
            >>> Preprocessing.of(lambda picture: np.asarray(picture, "float32").transpose(2, 0, 1) / 255)
        """
        from cnnviz_widgets.models.transforms import wrap

        return IMAGENET if transform is None else wrap(transform)

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """The network's input for an RGB picture: float32, (C, H, W)."""
        return self.numbers(self.levels(self.frame(picture)))

    @property
    def staged(self) -> bool:
        """Whether the input is made in stages, `frame`, `levels`, `numbers`; somebody's own transform is one stage."""
        return True

    def frame(self, picture: Image.Image) -> Image.Image:
        """The first stage: the part of an RGB picture that the network sees, at the network's size; grey for "L"."""
        frame: Any = checked(picture)  # torchvision's functions take pictures too, but say tensors
        if self.resize is not None:
            size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            short, long = sorted(picture.size)
            if len(size) == 1 and size[0] ** 2 * long > _MOST_PIXELS * short:
                raise ValueError(
                    f"the picture is {picture.width} x {picture.height} pixels: too long and thin to be "
                    f"resized to a short side of {size[0]}; crop it first"
                )
            frame = F.resize(frame, size, InterpolationMode(self.interpolation))
        if self.crop is not None:
            size = [self.crop, self.crop] if isinstance(self.crop, int) else list(self.crop)
            frame = F.center_crop(frame, size)
        return frame.convert("L") if self.channels == "L" else frame

    def levels(self, frame: Image.Image) -> torch.Tensor:
        """The second stage: the pixels of a frame (H, W, C) uint8, channels in the network's own order."""
        pixels = bytearray(frame.tobytes("raw", self.channels))  # which Pillow puts in that order on the way
        return torch.frombuffer(pixels, dtype=torch.uint8).view(frame.height, frame.width, len(self.channels))

    def numbers(self, levels: torch.Tensor) -> torch.Tensor:
        """The third stage: the network's numbers (..., C, H, W), float32, for the levels (..., H, W, C) of one picture
        or of many; they still lie in memory as the levels do, channels last."""
        return self._scaled(levels.to(torch.float32, copy=True).contiguous())

    def encode(self, pixels: NDArray[np.uint8] | NDArray[np.floating]) -> torch.Tensor:
        """The input (..., C, H, W) for RGB pixels (..., H, W, 3) that have the network's size: `inverse` turned round.

        Nothing is resized or cropped. Levels are 0..255; fractions of a level (a mean colour) are kept.

        Raises:
            ValueError: Wrong shape.
        """
        values = np.asarray(pixels)
        if values.ndim < 3 or values.shape[-1] != 3:
            raise ValueError(f"wanted pixels (..., H, W, 3), got {values.shape}")
        mixed = self._mixed(torch.from_numpy(np.moveaxis(values, -1, -3).astype(np.float64)))
        whole = values.dtype == np.uint8  # as Pillow, whose grey levels are whole
        levels = self.to_rgb((mixed + 0.5).floor() if whole else mixed).movedim(-3, -1)
        return self.numbers(levels)

    def inverse(self, tensor: torch.Tensor) -> NDArray[np.uint8]:
        """The pixels (..., H, W, 3) that stand behind an input (..., C, H, W), in RGB, grey as three equal channels.

        Values that no pixel can have are clipped to 0..255.

        Raises:
            ValueError: Wrong shape, or values that are not finite.
        """
        values = torch.as_tensor(tensor).detach().cpu().to(torch.float64, copy=True).numpy()
        self._check_shape(values.shape)
        if not np.isfinite(values).all():
            raise ValueError("the tensor has values that are not finite: they are no picture")
        mean, std = (np.reshape(numbers, (-1, 1, 1)) for numbers in (self.mean, self.std))
        values *= std  # in place: a camera's pictures come thirty times a second
        values += mean
        values *= self.scale
        pixels = np.rint(values, out=values).clip(0, 255, out=values).astype(np.uint8)
        rgb: NDArray[np.uint8] = np.moveaxis(self.to_rgb(pixels), -3, -1)
        return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:-1], 3)))

    def to_rgb(self, array: Array) -> Array:
        """The same numpy array or tensor (..., C, H, W) with its channels in the order RGB (one grey channel stays)."""
        self._check_shape(array.shape)
        if self.channels != "BGR":
            return array
        if isinstance(array, torch.Tensor):
            return array.flip(-3)
        return np.flip(array, -3).copy()

    def _scaled(self, levels: torch.Tensor) -> torch.Tensor:
        """Levels (..., H, W, C) of float32, which are written over, as numbers (..., C, H, W)."""
        rows = levels.flatten(-2)  # one long row after the other is computed faster than three colours at a time
        mean, std = (levels.new_tensor(numbers).repeat(levels.shape[-2]) for numbers in (self.mean, self.std))
        if self.scale != 1:
            rows /= self.scale
        rows -= mean
        if set(self.std) != {1.0}:
            rows /= std
        return levels.movedim(-1, -3)

    def _mixed(self, rgb: torch.Tensor) -> torch.Tensor:
        """What a network of these channels gets to see of colours (..., 3, H, W), still in the order RGB."""
        if self.channels != "L":
            return rgb
        return torch.einsum("c,...chw->...hw", rgb.new_tensor(_GREY) / sum(_GREY), rgb)[..., None, :, :]

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 3 or shape[-3] != len(self.channels):
            raise ValueError(f"wanted shape (..., {len(self.channels)}, H, W) for {self.channels}, got {tuple(shape)}")


def checked(picture: Image.Image) -> Image.Image:
    """The same picture, or an error when it is no RGB picture of Pillow."""
    if isinstance(picture, Image.Image) and picture.mode == "RGB":
        return picture
    came = f"a picture of mode {picture.mode}" if isinstance(picture, Image.Image) else type(picture).__name__
    raise TypeError(f"wanted an RGB picture of Pillow (cnnviz_widgets.data.as_picture gives one), got {came}")


IMAGENET = Preprocessing()
"""What most ImageNet networks want: short side 256, centre 224, RGB, the usual mean and standard deviation."""
