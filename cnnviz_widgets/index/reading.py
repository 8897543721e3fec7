"""From a gallery's picture to all that the index keeps of it and all that the network needs, in one thread."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.models import Preprocessing

THUMBNAIL = 96  # pixels of the longest side


@dataclass(frozen=True)
class Reading:
    """One picture that was read, or the reason why it could not be.

    Attributes:
        position: in its shard.
        label: its number, -1 for none.
        tensor: (C, H, W), levels of uint8 or, of somebody's own transform, the network's numbers.
        thumbnail: JPEG of what the network sees.
        pixels: (h, w, 3) uint8, the same for pixel space.
        reason: "" when it could be read.
    """

    position: int
    label: int = -1
    tensor: Tensor = field(default_factory=lambda: torch.empty(0))
    thumbnail: bytes = b""
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    reason: str = ""


def read(
    gallery: Gallery, number: int, position: int, preprocessing: Preprocessing, pixels: tuple[int, int]
) -> Reading:
    """Picture `number` of a gallery; never raises what is wrong with the picture."""
    try:
        picture, label = gallery.read(number)
        tensor = preprocessing.levels(picture) if preprocessing.staged else preprocessing(picture)
        frame = frame_of(tensor, preprocessing)
    except Exception as error:  # whatever is wrong with one picture, the others are not to blame
        return Reading(position, reason=str(error) or type(error).__name__)
    return Reading(position, label, tensor, thumbnail_of(frame), reduced(frame, pixels))


def frame_of(tensor: Tensor, preprocessing: Preprocessing) -> Image.Image:
    """What the network sees, from levels or from its numbers."""
    if tensor.dtype != torch.uint8:
        return Image.fromarray(preprocessing.inverse(tensor))
    if len(tensor) == 1:
        return Image.fromarray(tensor[0].numpy())
    return Image.fromarray(tensor.permute(1, 2, 0).contiguous().numpy())


def thumbnail_of(frame: Image.Image) -> bytes:
    """A JPEG, its longest side at most `THUMBNAIL` pixels."""
    longest = max(frame.size)
    if longest > THUMBNAIL:
        width, height = (max(1, round(side * THUMBNAIL / longest)) for side in frame.size)
        frame = frame.resize((width, height), Image.Resampling.BOX)
    encoded = io.BytesIO()
    # small ones would show the blocks and smeared colours that nobody sees in larger ones
    frame.save(encoded, "JPEG", quality=85 if longest > THUMBNAIL else 95, subsampling=-1 if longest > THUMBNAIL else 0)
    return encoded.getvalue()


def reduced(frame: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture (h, w, 3) at the size of pixel space; each pixel the mean of those it stands for."""
    height, width = size
    if frame.size != (width, height):
        frame = frame.resize((width, height), Image.Resampling.BOX)
    return np.asarray(frame.convert("RGB"))
