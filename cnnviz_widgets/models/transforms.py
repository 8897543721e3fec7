"""Anybody's transform as a `Preprocessing`: read where it is torchvision's, else its colours learned by trying it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms._presets import ImageClassification

from cnnviz_widgets.models.preprocessing import Channels, Preprocessing, checked
from cnnviz_widgets.models.probing import SIZE, TransformError, learn_colours, textured, undisturbed

Transform = Callable[[Image.Image], object]

_SLACK_ENCODED = 2  # levels that a transform's own inverse may be off


def wrap(transform: Transform) -> Preprocessing:
    """See `Preprocessing.of`."""
    if isinstance(transform, Preprocessing):
        return transform
    if not callable(transform):
        raise TypeError(f"wanted a transform that can be called with a picture, got {type(transform).__name__}")
    if isinstance(transform, ImageClassification) and type(transform) is ImageClassification:  # no subclass's own ways
        return _read(transform)
    make = _invertible if callable(getattr(transform, "inverse", None)) else _learned
    try:
        with undisturbed():
            return make(transform)
    except TransformError:
        raise
    except Exception as error:
        raise TransformError(f"failed on a picture of {SIZE}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Wrapped(Preprocessing):
    """Somebody's transform that leads to the tensor, and learned colours that lead back."""

    transform: Transform
    weights: tuple[tuple[float, ...], ...] = ()
    """How each channel (in the order RGB) weighs red, green and blue; none: each is a colour of its own."""

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        """The transform's tensor for an RGB picture: float32, (C, H, W)."""
        tensor = _tensor(self.transform(checked(picture).copy()))  # a copy: it may draw on what it gets
        if len(tensor) != len(self.channels):
            raise TransformError(f"gave {len(tensor)} channels for this picture, but {len(self.channels)} for others")
        return tensor

    @property
    def staged(self) -> bool:
        """False: what the transform does between the picture and the tensor is its own affair."""
        return False

    def frame(self, picture: Image.Image) -> Image.Image:
        """What the network sees of an RGB picture, as its tensor leads back to pixels."""
        return Image.fromarray(self.inverse(self(picture)))

    def _mixed(self, rgb: torch.Tensor) -> torch.Tensor:
        """Colours as the transform mixes them: `encode` gives what the transform would."""
        return torch.einsum("kc,...chw->...khw", rgb.new_tensor(self.weights), rgb) if self.weights else rgb


@dataclass(frozen=True, kw_only=True, repr=False)
class Invertible(Wrapped):
    """A transform that knows its own way back; mean, std and scale mean nothing here."""

    def encode(self, pixels: NDArray[np.uint8] | NDArray[np.floating]) -> torch.Tensor:
        """What the transform itself makes of each picture, in whole levels.

        Raises:
            TransformError: Its own inverse does not lead back to these pixels, so it did more than scale colours.
        """
        whole = np.rint(np.asarray(pixels)).clip(0, 255).astype(np.uint8)
        flat = whole.reshape(-1, *whole.shape[-3:])
        tensors = torch.stack([self(Image.fromarray(picture)) for picture in flat])
        back = self.inverse(tensors)
        if back.shape != flat.shape or np.abs(back.astype(int) - flat).max() > _SLACK_ENCODED:
            size = f"{whole.shape[-2]} x {whole.shape[-3]}"
            raise TransformError(
                f"does not keep a picture of {size}, the size that it makes itself (it resizes or crops it again), so "
                "changed pixels cannot be brought to the network"
            )
        return tensors.reshape(*whole.shape[:-3], *tensors.shape[1:])

    def inverse(self, tensor: torch.Tensor) -> NDArray[np.uint8]:
        """What the transform's own inverse gives, picture by picture."""
        tensor = torch.as_tensor(tensor).detach()
        self._check_shape(tensor.shape)
        pictures = [self._picture(one) for one in tensor.reshape(-1, *tensor.shape[-3:])]
        return np.stack(pictures).reshape(*tensor.shape[:-3], *pictures[0].shape)

    def _picture(self, tensor: torch.Tensor) -> NDArray[np.uint8]:
        came: Any = self.transform.inverse(tensor)  # type: ignore[attr-defined]
        picture = np.asarray(came.cpu() if isinstance(came, torch.Tensor) else came)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise TransformError(f"has an inverse that gave {picture.dtype} {picture.shape}")
        return picture

    def __repr__(self) -> str:
        return f"Preprocessing.of({self.transform!r})"


def _read(preset: ImageClassification) -> Preprocessing:
    def whole(size: list[int]) -> Any:  # a preset keeps [256] for 256
        return size[0] if len(size) == 1 else tuple(size)

    return Preprocessing(
        resize=whole(preset.resize_size),
        crop=whole(preset.crop_size),
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def _learned(transform: Transform) -> Wrapped:
    colours = learn_colours(lambda picture: _tensor(transform(picture)))
    return Wrapped(
        transform=transform,
        resize=None,
        crop=None,
        scale=1.0,
        mean=colours.mean,
        std=colours.std,
        channels=colours.channels,
        weights=colours.weights,
    )


def _invertible(transform: Transform) -> Invertible:
    probe = _tensor(transform(textured()))
    channels: Any = getattr(transform, "channels", "L" if len(probe) == 1 else "RGB")
    if channels not in get_args(Channels) or len(channels) != len(probe):
        raise TransformError(f"has channels = {channels!r} but gave {len(probe)} of them")
    zeros, ones = (0.0,) * len(probe), (1.0,) * len(probe)
    made = Invertible(transform=transform, resize=None, crop=None, mean=zeros, std=ones, channels=channels)
    made.inverse(probe)  # fails now rather than later
    return made


def _tensor(came: object) -> torch.Tensor:
    """What a transform gave, as a float32 tensor (C, H, W), once it is clear that it is one."""
    if not isinstance(came, (torch.Tensor, np.ndarray)):
        raise TransformError(f"gave {type(came).__name__} for a picture, not a tensor")
    shape = tuple(came.shape)
    if len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape:
        hint = {4: " (one picture is wanted, no batch)", 3: " (channels are wanted first)"}.get(len(shape), "")
        raise TransformError(f"gave shape {shape} for a picture{hint}")
    tensor = came if isinstance(came, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(came))
    if not tensor.is_floating_point():
        raise TransformError(f"gave {tensor.dtype}, not a float type")
    return tensor.detach().as_subclass(torch.Tensor).to(torch.float32)
