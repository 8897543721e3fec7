"""What an `EmbeddingScatter` is asked about: one of its pictures, one from elsewhere, or a frame of the camera."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image

from cnnviz_widgets.data import ImageError
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


def picture_of(index: Index, row: int) -> Image.Image:
    """A picture of the index as the gallery has it, or where that is gone the small one that the index keeps."""
    try:
        return index.picture(row)
    except (ValueError, LookupError, OSError, ImageError):
        return Image.open(io.BytesIO(index.thumbnail(row))).convert("RGB")
