"""What travels to a `PatchGrid`: what is known of a layer's channels, and a sheet of small pictures for each of them.

A sheet is one encoded picture with a cell for each patch, row by row. Of cells of more than `SHARP` pixels a side it is
a JPEG whose cells begin at its blocks, so that none bleeds into its neighbour; of smaller ones a PNG, exact.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

__all__ = ["SIDE", "LayerPatches", "Sheet"]

SIDE = 64  # The longer side of a patch as it travels, in pixels.
SHARP = 32
BLOCK = 8  # Of a JPEG.
QUALITY = 88


@dataclass(frozen=True, kw_only=True)
class LayerPatches:
    """What is known of all channels of a layer, before any picture of them is looked at.

    Attributes:
        layer: Its name.
        label: The caption.
        k: How many patches a channel has at most.
        values: (C,) the largest activation of each channel; NaN where there is none.
        names: (C,) the class that most of its patches belong to; "" where none is known.
        shares: (C,) how many of its patches do.
        by: Whose classes these are: "label" or "prediction".
        projection: What the second block shows, in words; "" without one.
        identity: Names these very patches.
    """

    layer: str
    label: str
    k: int
    values: NDArray[np.float32]
    names: tuple[str, ...]
    shares: NDArray[np.int64]
    identity: str
    by: str = "label"
    projection: str = ""

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self.values)

    @property
    def columns(self) -> int:
        """How many patches stand side by side in a block."""
        return math.ceil(math.sqrt(self.k))

    def orders(self) -> dict[str, NDArray[np.int32]]:
        """Permutations of the channels: "activation", the strongest first; "purity", those of one class first."""
        strength = np.where(np.isnan(self.values), -np.inf, self.values)
        by_strength = np.argsort(-strength, kind="stable")
        by_share = by_strength[np.argsort(-self.shares[by_strength], kind="stable")]
        found = {"activation": by_strength}
        if any(self.names):
            found["purity"] = by_share
        return {name: order.astype("<i4") for name, order in found.items()}

    def in_order(self, name: str) -> NDArray[np.int32]:
        """The channels in the order of this name; by number where there is no such order."""
        return self.orders().get(name, np.arange(self.count, dtype="<i4"))

    def message(self, number: int) -> dict[str, Any]:
        """As it travels; `number` is another one each time."""
        return {
            "id": self.identity,
            "key": self.layer,
            "label": self.label,
            "count": self.count,
            "k": self.k,
            "columns": self.columns,
            "by": self.by,
            "projection": self.projection,
            "values": self.values.astype("<f4").tobytes(),
            "names": list(self.names),
            "shares": self.shares.astype("<i4").tobytes(),
            "orders": {name: order.tobytes() for name, order in self.orders().items()},
            "number": number,
        }


@dataclass(frozen=True)
class Sheet:
    """One block of a channel, encoded: its patches, or their projections.

    Attributes:
        channel: Whose.
        part: "patches" or "projections".
        data: The encoded picture; b"" where there is nothing to be seen.
        cell: (width, height) of a patch in it.
        pitch: (across, down) from one patch to the next.
        count: How many patches there are.
        words: What is known of each patch, as pairs of a name and a value.
        note: Why there is nothing to be seen.
    """

    channel: int
    part: str
    data: bytes = b""
    cell: tuple[int, int] = (0, 0)
    pitch: tuple[int, int] = (0, 0)
    count: int = 0
    words: Sequence[Sequence[tuple[str, str]]] = field(default=())
    note: str = ""

    @classmethod
    def of(
        cls, channel: int, part: str, pictures: ArrayLike, k: int, words: Sequence[Sequence[tuple[str, str]]] = ()
    ) -> Sheet:
        """A sheet of these pictures, (n, h, w, 3) uint8, reduced where a side is longer than `SIDE`.

        Raises:
            ValueError: Another shape or number type.
        """
        patches = np.asarray(pictures)
        if patches.ndim != 4 or patches.shape[-1] != 3 or patches.dtype != np.uint8 or not patches.size:
            raise ValueError(f"patches have the shape (n, h, w, 3), uint8; not {patches.shape} {patches.dtype}")
        small = _reduced(patches)
        count, height, width = small.shape[:3]
        columns = math.ceil(math.sqrt(k))
        lossy = max(height, width) > SHARP
        across, down = (-(-side // BLOCK) * BLOCK if lossy else side for side in (width, height))
        # Repeated at its edge, a patch brings nothing of its own into the blocks beside it.
        padded = np.pad(small, ((0, 0), (0, down - height), (0, across - width), (0, 0)), mode="edge")
        rows = math.ceil(count / columns)
        sheet = np.full((rows * columns, down, across, 3), 128, np.uint8)
        sheet[:count] = padded
        whole = sheet.reshape(rows, columns, down, across, 3).swapaxes(1, 2).reshape(rows * down, columns * across, 3)
        return cls(channel, part, _encoded(whole, lossy), (width, height), (across, down), count, words)

    def message(self) -> dict[str, Any]:
        """All but the picture itself."""
        return {
            "channel": self.channel,
            "part": self.part,
            "cell": list(self.cell),
            "pitch": list(self.pitch),
            "count": self.count,
            "words": [[list(pair) for pair in patch] for patch in self.words],
            "note": self.note,
        }

    def state(self) -> Mapping[str, Any]:
        """As it is kept in the page."""
        return {**self.message(), "data": self.data}


def _reduced(patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = patches.shape[1:3]
    ratio = SIDE / max(height, width)
    if ratio >= 1:
        return patches
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    small = [np.asarray(Image.fromarray(patch).resize(size, Image.Resampling.LANCZOS)) for patch in patches]
    return np.stack(small)


def _encoded(pixels: NDArray[np.uint8], lossy: bool) -> bytes:
    file = io.BytesIO()
    how: dict[str, Any] = {"quality": QUALITY, "subsampling": 0} if lossy else {"compress_level": 6}
    Image.fromarray(pixels).save(file, "JPEG" if lossy else "PNG", **how)
    return file.getvalue()
