"""A sheet of many small pictures of one size, each with its number, every value a whole number of figure pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cnnviz_widgets.views.layout import CAPTION, DPI, INK, LEAST, MARGIN, MUTED, TITLE, Sheet, show, text_inches, wrap

__all__ = ["Tiles", "draw_tiles", "tile_sheet"]

ACROSS = 1408  # Figure pixels that a sheet of tiles is wide, about.
LARGEST = 176  # Figure pixels of the longer side of a tile, at most.
GAP, LABEL = 12, 22  # Figure pixels between tiles, and for the line of text over each.
SMALLEST_LABELLED = 40
POINTS = 6.5
LINE = (208, 215, 222)
V = TypeVar("V", np.uint8, np.float32)


@dataclass(frozen=True)
class Tiles:
    """Where each tile lies on a sheet: `columns` a row, `times` figure pixels for each of its own."""

    count: int
    shape: tuple[int, int]
    columns: int
    times: int

    @staticmethod
    def arranged(count: int, shape: tuple[int, int], largest: int = LARGEST) -> Tiles:
        """So many tiles of this (height, width) as a sheet half as wide again as high, about, and well filled."""
        height, width = shape
        ideal = math.sqrt(1.6 * count * height / width)
        choices = range(min(count, max(1, math.floor(0.8 * ideal))), min(count, math.ceil(1.3 * ideal)) + 1)
        columns = min(choices, key=lambda c: (-count % c / count + 0.5 * abs(math.log(c / ideal)), c))
        room = min(largest * width / max(shape), ACROSS / columns - GAP)
        return Tiles(count, shape, columns, max(1, int(room) // width))

    @staticmethod
    def filling(count: int, shape: tuple[int, int], across: int) -> Tiles:
        """So many tiles, one figure pixel for each of their own, in as few rows as so many figure pixels allow."""
        return Tiles(count, shape, max(1, (across - 2 + GAP) // (shape[1] + GAP)), 1)

    @property
    def labelled(self) -> bool:
        """Whether there is room for a line of text over each tile."""
        return self.times * self.shape[1] >= SMALLEST_LABELLED

    def fit(self, labels: Sequence[str]) -> bool:
        """Whether the labels are no wider than the tiles with their gap."""
        widest = max(labels, key=len)
        return text_inches(widest, POINTS) * DPI < self.times * self.shape[1] + GAP - 4

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the sheet in figure pixels: no gap behind the last tile, but a line round each."""
        rows = math.ceil(self.count / self.columns)
        return rows * self._step[0] - GAP + 2, min(self.count, self.columns) * self._step[1] - GAP + 2

    def box(self, number: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a tile in figure pixels."""
        row, column = divmod(number, self.columns)
        top, left = 1 + row * self._step[0] + (LABEL if self.labelled else 0), 1 + column * self._step[1]
        return top, left, top + self.shape[0] * self.times, left + self.shape[1] * self.times

    def placed(self, tiles: NDArray[V], sheet: NDArray[V]) -> NDArray[V]:
        """The sheet (H, W, ...) with all tiles (n, h, w, ...) on it, enlarged."""
        for number, tile in enumerate(tiles.repeat(self.times, 1).repeat(self.times, 2)):
            top, left, bottom, right = self.box(number)
            sheet[top:bottom, left:right] = tile
        return sheet

    @property
    def _step(self) -> tuple[int, int]:
        above = LABEL if self.labelled else 0
        return self.shape[0] * self.times + GAP + above, self.shape[1] * self.times + GAP


def draw_tiles(
    ax: Axes, tiles: Tiles, rgb: NDArray[np.uint8], labels: Sequence[str], values: NDArray[np.float32] | None = None
) -> None:
    """Put pictures (n, h, w, 3) into the axes, each with its label; with `values` (n, h, w) the cursor reads those."""
    paper = np.full((*tiles.size, 3), 255, np.uint8)
    for number in range(tiles.count):  # A pale line, that white tiles be seen; only what is outside the tile stays.
        top, left, bottom, right = tiles.box(number)
        paper[top - 1 : bottom + 1, left - 1 : right + 1] = LINE
    under = None if values is None else tiles.placed(values, np.full(tiles.size, np.nan, np.float32))
    show(ax, tiles.placed(rgb, paper), values=under)
    if tiles.labelled:
        for number, label in enumerate(labels):
            top, left, _, _ = tiles.box(number)
            ax.text(left - 0.5, top - 6, label, color=MUTED, fontsize=POINTS, va="bottom", parse_math=False)


def tile_sheet(heading: str, caption: str, size: tuple[int, int], right: float = 0.0) -> tuple[Sheet, Axes]:
    """A titled sheet with axes of this (height, width) in figure pixels, and `right` inches free beside them."""
    high, across = (math.ceil(side / 2) * 2 / DPI for side in size)
    width = max(across, 2 * LEAST) + 2 * MARGIN + math.ceil(right * DPI / 2) * 2 / DPI
    lines = wrap(heading, width - 2 * MARGIN, 12, "bold")
    said = wrap(caption, width - 2 * MARGIN, 9)
    head = MARGIN + TITLE * len(lines) + (CAPTION - 0.125) * len(said) + 0.125
    height = head + high + MARGIN
    figure = Sheet(width, height)
    figure.text(MARGIN / width, 1 - MARGIN / height, "\n".join(lines), va="top", ha="left", color=INK, fontsize=12,
                fontweight="bold", linespacing=1.25, parse_math=False)  # fmt: skip
    figure.text(MARGIN / width, 1 - (MARGIN + TITLE * len(lines)) / height, "\n".join(said), va="top", ha="left",
                color=MUTED, fontsize=9, parse_math=False)  # fmt: skip
    place = (MARGIN / width, MARGIN / height, size[1] / DPI / width, size[0] / DPI / height)
    return figure, figure.add_axes(place)
