"""Pictures that are in memory already."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.labels import numbers_of
from cnnviz_widgets.data.picture import as_picture
from cnnviz_widgets.data.source import Source


class ArraySource(Source):
    """A batch of pictures, or a list of whatever `as_picture` takes; nothing is copied."""

    name = "arrays"

    def __init__(
        self, pictures: Any, labels: Any = None, classes: Sequence[str] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        self._pictures = _batch_or_list(pictures)
        if labels is not None:
            _same_length("labels", labels, len(self))
            numbers, self.classes = numbers_of(labels, classes)
            self._labels = array("i", numbers)
        elif classes is not None:
            raise ValueError("classes name the numbers of labels, and no labels came")
        else:
            self._labels = None
        self._keys = None if keys is None else _checked_keys(keys, len(self))

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, number: int) -> tuple[Image.Image, int]:
        """See `Source`."""
        try:
            picture = as_picture(self._pictures[number])
        except (ImageError, OSError) as error:
            raise ImageError(f"picture {self.key(number)!r}: {error}") from error
        return picture, -1 if self._labels is None else self._labels[number]

    def key(self, number: int) -> str:
        """See `Source`."""
        return str(number) if self._keys is None else self._keys[number]

    def signature(self, number: int) -> str:
        """See `Source`; another label makes another picture, too."""
        label = -1 if self._labels is None else self._labels[number]
        name = self.classes[label] if 0 <= label < len(self.classes) else str(label)
        return f"{self._pixels_of(number)}-{name}" if label >= 0 else self._pixels_of(number)

    def _pixels_of(self, number: int) -> str:
        picture = self._pictures[number]
        try:
            if isinstance(picture, (str, os.PathLike)):
                status = os.stat(picture)
                return f"{status.st_size}-{status.st_mtime_ns}"
            if isinstance(picture, (bytes, bytearray, memoryview)):
                return f"{zlib.crc32(picture):08x}"
            pixels = picture.numpy(force=True) if hasattr(picture, "detach") else np.asarray(picture)
            return f"{zlib.crc32(np.ascontiguousarray(pixels).data):08x}-{'x'.join(map(str, pixels.shape))}"
        except Exception:  # what cannot be read has no signature; reading says why
            return ""

    def path(self, number: int) -> Path | None:
        """See `Source`."""
        picture = self._pictures[number]
        return Path(picture) if isinstance(picture, (str, os.PathLike)) else None


def _batch_or_list(pictures: Any) -> Any:
    """Something with a length and pictures by number."""
    wanted = "wanted are (N, H, W, 3), (N, H, W), a tensor (N, C, H, W), or a list of pictures"
    if isinstance(pictures, (str, bytes, os.PathLike, Image.Image)):
        raise TypeError(f"one picture came ({type(pictures).__name__}); {wanted}")
    shape = getattr(pictures, "shape", None)
    if shape is None or getattr(getattr(pictures, "dtype", None), "kind", "") == "O":
        pictures = list(pictures)
    else:
        channels_last = isinstance(pictures, np.ndarray)
        channels = shape[-1 if channels_last else 1] if len(shape) == 4 else 1
        told = f"the {'array' if channels_last else 'tensor'} {tuple(shape)}"
        if len(shape) == 3 and (shape[-1] in (3, 4) if channels_last else shape[0] in (3, 4)):
            raise ValueError(f"{told} looks like one picture, not many: hand over [picture]; {wanted}")
        if len(shape) not in (3, 4) or channels not in (1, 3, 4):
            hint = "; np.moveaxis(pictures, 1, -1) puts the channels last" if channels_last and len(shape) == 4 else ""
            raise ValueError(f"{told} is no batch of pictures: {wanted}{hint}")
    if len(pictures) == 0:
        raise ValueError(f"no pictures came; {wanted}")
    return pictures


def _same_length(what: str, values: Any, count: int) -> None:
    if not hasattr(values, "__len__") or isinstance(values, str) or not getattr(values, "shape", (1,)):
        raise TypeError(f"{what} is a list with one entry for each picture, not {values!r:.60}")
    if len(values) != count:
        raise ValueError(f"{len(values):,} {what} for {count:,} pictures")


def _checked_keys(keys: Sequence[str], count: int) -> list[str]:
    _same_length("keys", keys, count)
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if not isinstance(key, str):
            raise TypeError(f"keys[{at}] is {key!r:.60}; a key is text")
        if not _is_unicode(key):
            raise ValueError(f"keys[{at}] is {key!r:.60}; half a letter (a lone surrogate) is no Unicode text")
        if key in seen:
            raise ValueError(f"keys[{at}] is {key!r:.60} a second time; a key belongs to one picture")
        seen.add(key)
    return list(map(str, keys))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
