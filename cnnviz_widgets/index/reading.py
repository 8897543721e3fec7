"""From a gallery's picture to all that the index keeps of it and all that the network needs, in one thread."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.models import Preprocessing

THUMBNAIL = 112  # pixels of the longest side, at most: half of what most networks see
GONE = "it is no longer in the gallery"  # the reason of a place that is left empty


@dataclass(frozen=True)
class Reading:
    """One picture that was read, or the reason why it could not be.

    Attributes:
        position: in its shard.
        label: its number, -1 for none.
        tensor: the preprocessing's levels (H, W, C) or, of somebody's own transform, the network's numbers (C, H, W).
        shape: (H, W) of what the network sees.
        thumbnail: JPEG of what the network sees.
        pixels: (h, w, 3) uint8, the same for pixel space.
        reason: "" when it could be read.
    """

    position: int
    label: int = -1
    tensor: Tensor = field(default_factory=lambda: torch.empty(0))
    shape: tuple[int, int] = (0, 0)
    thumbnail: bytes = b""
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    reason: str = ""


def read(
    gallery: Gallery, number: int | None, position: int, preprocessing: Preprocessing, pixels: tuple[int, int]
) -> Reading:
    """Picture `number` of a gallery, None for one that it no longer has; never raises what is wrong with a picture."""
    if number is None:
        return Reading(position, reason=GONE)
    try:
        picture, label = gallery.read(number)
        if preprocessing.staged:
            frame = preprocessing.frame(picture)
            tensor = preprocessing.levels(frame)
        else:
            tensor = preprocessing(picture)
            frame = Image.fromarray(preprocessing.inverse(tensor))
    except Exception as error:  # whatever is wrong with one picture, the others are not to blame
        return Reading(position, reason=str(error) or type(error).__name__)
    shape = (frame.height, frame.width)
    return Reading(position, label, tensor, shape, thumbnail_of(frame), reduced(frame, pixels))


def thumbnail_of(frame: Image.Image) -> bytes:
    """A JPEG, its longest side at most `THUMBNAIL` pixels."""
    times = math.ceil(max(frame.size) / THUMBNAIL)
    small = frame.reduce(times)  # by a whole number of times, which is four times as fast as any other
    encoded = io.BytesIO()
    # very small ones would show the blocks and smeared colours that nobody sees in larger ones
    fine = max(small.size) <= THUMBNAIL // 2
    small.save(encoded, "JPEG", quality=95 if fine else 85, subsampling=0 if fine else -1)
    return encoded.getvalue()


def reduced(frame: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture (h, w, 3) at the size of pixel space; each pixel the mean of those it stands for."""
    height, width = size
    if frame.width % width == 0 and frame.height % height == 0:
        small = frame.reduce((frame.width // width, frame.height // height))
    else:
        small = frame.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.convert("RGB"))
