"""The sample photos again and again, seen from another place: the same thing, other pixels."""

from __future__ import annotations

import functools
import math
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from cnnviz_widgets.data.sample_photos import samples
from cnnviz_widgets.data.source import Source, part_as_json

# One thing each, with a place and a shape. Left out: the second view of the motorcycle (the same scene), the textures
# brick, grass and gravel (any part looks like any other, so there is no other place), and the horse (two tones).
THINGS = (
    "cat", "coffee", "motorcycle", "rocket", "astronaut", "grace_hopper",
    "camera", "china", "flower", "coins", "retina", "hubble_deep_field",
)  # fmt: skip
RECIPE = "1"  # counts up when the same number shows another crop than before
_cutting = threading.Lock()


class CropSource(Source):
    """Crop 0 of every photo, then crop 1 of every photo, and so on; the label is the photo."""

    name = "photos"

    def __init__(self, names: Sequence[str], crops: int, size: int) -> None:
        missing = [name for name in names if name not in samples]
        if missing:
            samples[missing[0]]  # raises, and says what is near or what to install
        self.classes, self._crops, self._size = tuple(names), crops, size

    def __len__(self) -> int:
        return len(self.classes) * self._crops

    def read(self, number: int) -> tuple[Image.Image, int]:
        """See `Source`."""
        crop, label = divmod(number, len(self.classes))
        return _cut(self.classes[label], crop, self._size), label

    def key(self, number: int) -> str:
        """See `Source`: photo and number of the crop, "cat/07"."""
        crop, label = divmod(number, len(self.classes))
        return f"{self.classes[label]}/{crop:02d}"

    def signature(self, number: int) -> str:
        """See `Source`; the photos do not change, the recipe might."""
        return RECIPE

    def spec(self, part: range | list[int] | None) -> dict[str, Any]:
        """See `Source`."""
        recipe = {"kind": "photos", "names": list(self.classes), "crops": self._crops, "size": self._size}
        return recipe | part_as_json(part)


def _cut(name: str, crop: int, size: int) -> Image.Image:
    """A turned square of the photo, size x size, mirrored in every second crop."""
    with _cutting:
        photo = _photo(name)
    random = np.random.RandomState((zlib.crc32(name.encode()) + crop) % 2**32)
    angle = math.radians(random.uniform(-12, 12))
    widest = min(photo.size) / (math.cos(angle) + abs(math.sin(angle)))  # a turned square needs this much more room
    side = widest * random.uniform(0.65, 0.95)
    reach = side * (math.cos(angle) + abs(math.sin(angle))) / 2
    x = random.uniform(reach, photo.width - reach)
    y = random.uniform(reach, photo.height - reach)
    # Made smaller first and turned then: turning looks at four by four pixels only.
    scale = size / side
    small = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    x, y = x * small.width / photo.width, y * small.height / photo.height
    across = -1 if crop % 2 else 1
    cos, sin, half = math.cos(angle), math.sin(angle), size / 2
    matrix = (
        cos * across, -sin, x - cos * across * half + sin * half,
        sin * across, cos, y - sin * across * half - cos * half,
    )  # fmt: skip
    return small.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


@functools.lru_cache(maxsize=32)
def _photo(name: str) -> Image.Image:
    return samples[name]
