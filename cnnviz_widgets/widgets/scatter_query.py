"""What an `EmbeddingScatter` is asked about: one of its pictures, one from elsewhere, or a frame of the camera."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnviz_widgets.data import ImageError, ImageLike, samples
from cnnviz_widgets.methods.search import Metric
from cnnviz_widgets.widgets.camera_frame import Frame

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index


@dataclass(frozen=True)
class Nearness:
    """What near means, and how many are wanted."""

    layer: str
    k: int
    metric: Metric


@dataclass(eq=False)
class Query:
    """A picture to look for: `row` of the index, or what was `given`; each is itself alone.

    Attributes:
        name: as it is called on the map.
    """

    row: int | None = None
    given: Image.Image | Frame | None = None
    name: str = ""

    @property
    def live(self) -> bool:
        """Whether it comes from the camera, and the next one soon."""
        return isinstance(self.given, Frame)

    @cached_property
    def picture(self) -> Image.Image:
        """What was given, decoded when it is first needed."""
        assert self.given is not None
        return self.given.picture() if isinstance(self.given, Frame) else self.given

    @property
    def asked(self) -> Image.Image | int:
        """As `neighbors` takes it."""
        return self.picture if self.row is None else self.row


class SomeOfIndex(Mapping[str, Image.Image]):
    """Pictures of an index to choose from, by name: the first of each class, or spread over all; opened when needed."""

    def __init__(self, index: Index, count: int = 20) -> None:
        """At most so many."""
        self._index = index
        _, first = np.unique(index.labels, return_index=True)
        rows = first if len(first) > 1 else np.linspace(0, len(index) - 1, min(count, len(index))).astype(int)
        self._rows: dict[str, int] = {}
        for row in map(int, rows[:count]):
            about = index.about(row)
            self._rows[f"{about.label_name} ({about.key})" if about.label_name else about.key] = row

    def __getitem__(self, name: str) -> Image.Image:
        """The picture."""
        return picture_of(self._index, self._rows[name])

    def __iter__(self) -> Iterator[str]:
        """Their names."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many."""
        return len(self._rows)


def to_choose_from(index: Index) -> Mapping[str, ImageLike]:
    """The sample photos; for a network that reads grey pictures, to which photos say nothing, some of its own."""
    return SomeOfIndex(index) if index.engine.preprocessing.channels == "L" else samples


def picture_of(index: Index, row: int) -> Image.Image:
    """A picture of the index as the gallery has it, or where that is gone the small one that the index keeps."""
    try:
        return index.picture(row)
    except (ValueError, LookupError, OSError, ImageError):
        return Image.open(io.BytesIO(index.thumbnail(row))).convert("RGB")
