"""What the tests of the index share: a network that notes which pictures it sees, numbered pictures, and a whole index
as plain values."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cnnviz_widgets import Engine, Gallery, Index
from cnnviz_widgets.models import Preprocessing

CLASSES = ("ant", "bee", "cat", "dog", "eel")
SIDE = 16
AS_IT_IS = Preprocessing(resize=None, crop=None, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Looked(nn.Module):
    """Passes on what it gets, and writes the numbers of the pictures to a file where the index's pass runs it.

    The number of a picture is in its first pixel, see `pictures`.
    """

    def __init__(self, log: str = "", pause: float = 0.0) -> None:
        super().__init__()
        self.log, self.pause = log, pause

    def forward(self, x: Tensor) -> Tensor:
        if self.log and threading.current_thread().name.startswith("cnnviz crew"):
            levels = (x[:, :2, 0, 0] * 255).round().long()
            note = "".join(f"{low + 256 * high}\n" for low, high in levels.tolist())
            with open(self.log, "ab", buffering=0) as log:
                log.write(note.encode())  # one write, so that no two threads mix
            time.sleep(self.pause)
        return x


def network(log: str = "", pause: float = 0.0, seed: int = 0) -> nn.Sequential:
    """Two convolutions, and the same weights whatever is noted."""
    torch.manual_seed(seed)
    return nn.Sequential(
        Looked(log, pause),
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, len(CLASSES)),
    )


def engine_of(net: nn.Module | None = None) -> Engine:
    return Engine(net or network(), transform=AS_IT_IS, categories=CLASSES, device="cpu")


def levels(count: int, seed: int = 0) -> np.ndarray:
    """(count, SIDE, SIDE, 3) noise, each picture with its number in its first pixel."""
    found = np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    numbers = np.arange(count)
    found[:, 0, 0, 0], found[:, 0, 0, 1] = numbers % 256, numbers // 256
    return found


def pictures(count: int, seed: int = 0) -> Gallery:
    return Gallery.from_arrays(levels(count, seed), np.arange(count) % len(CLASSES), classes=CLASSES)


def seen(log: Path | str) -> list[int]:
    """The numbers in a log, in their order."""
    return [int(line) for line in Path(log).read_text().split()] if Path(log).exists() else []


def contents(index: Index) -> dict[str, object]:
    """All that an index holds, its arrays as the bytes of their files."""
    folder = index.path / "arrays" / index.identity
    return {
        **{path.name: path.read_bytes() for path in sorted(folder.iterdir())},
        "thumbnails": [index.thumbnail(row) for row in range(len(index))],
        "keys": [index.about(row).key for row in range(len(index))],
        "skipped": index.skipped,
        "classes": index.classes,
    }


def finished(folder: Path | str, shard: int, count: int) -> set[int]:
    """The numbers of the pictures whose shards have a file."""
    numbers = [int(path.name[:6]) for path in Path(folder, "shards").glob("[0-9]*.sqlite")]
    return {n for number in numbers for n in range(number * shard, min((number + 1) * shard, count))}


def leftovers(folder: Path | str) -> list[str]:
    """Files that a finished index has no use for."""
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, folders, names in os.walk(folder)
        for name in [*folders, *names]
        if name.endswith(".part")
    )


def same(a: dict[str, object], b: dict[str, object]) -> None:
    """Assert that two indexes hold the same, and say which part does not."""
    different = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
    assert not different, different  # this file's assertions do not explain themselves
