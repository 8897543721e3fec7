"""Small pictures of one size in rows, with lines of words under each; every pixel a whole number of figure pixels."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.views.layout import DPI, INK, MUTED, show, text_inches
from cnnviz_widgets.views.titles import shorten

__all__ = ["Captioned", "draw_captioned", "sized"]

GAP, LINE = 16, 24  # Figure pixels between pictures, and for a line of words.
POINTS = 7.0
LONGEST = 120  # Letters of a name that are looked at.


@dataclass(frozen=True)
class Captioned:
    """Where each picture lies: so many of this (height, width) in figure pixels, `columns` a row."""

    count: int
    shape: tuple[int, int]
    columns: int
    lines: int = 2

    @staticmethod
    def square(count: int, shape: tuple[int, int], lines: int = 2) -> Captioned:
        """So many pictures in about as many columns as rows."""
        return Captioned(count, shape, max(1, math.ceil(math.sqrt(count))), lines)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of all of it in figure pixels."""
        rows = math.ceil(self.count / self.columns)
        return max(rows * self._step[0] - GAP, 2), max(min(self.count, self.columns) * self._step[1] - GAP, 2)

    def corner(self, number: int) -> tuple[int, int]:
        """(top, left) of a picture in figure pixels."""
        row, column = divmod(number, self.columns)
        return row * self._step[0], column * self._step[1]

    @property
    def _step(self) -> tuple[int, int]:
        return self.shape[0] + self.lines * LINE + GAP, self.shape[1] + GAP


def sized(pictures: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pictures (k, h, w, 3) at about so many figure pixels: enlarged in whole pixels, or reduced where larger."""
    longer = max(pictures.shape[1:3])
    if longer <= side * 4 // 3:
        times = max(1, round(side / max(longer, 1)))
        return pictures.repeat(times, 1).repeat(times, 2)
    height, width = (max(1, round(length * side / longer)) for length in pictures.shape[1:3])
    reduced = [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BOX)) for one in pictures]
    return np.stack(reduced) if reduced else np.empty((0, height, width, 3), np.uint8)


def draw_captioned(
    ax: Axes, places: Captioned, pictures: NDArray[np.uint8], words: Sequence[Sequence[str]], first: str = INK
) -> None:
    """Put pictures (k, h, w, 3) of the places' shape into the axes, each with its lines of words under it.

    The first line is in the colour `first`, the others are muted; what is longer than the picture is wide is cut.
    """
    paper = np.full((*places.size, 3), 255, np.uint8)
    height, width = places.shape
    for number, picture in enumerate(pictures):
        top, left = places.corner(number)
        paper[top : top + height, left : left + width] = picture
    show(ax, paper)
    for number, lines in enumerate(words):
        top, left = places.corner(number)
        for line, text in enumerate(lines):
            ax.text(left - 0.5, top + height + (line + 0.82) * LINE, fitted(text, width), fontsize=POINTS,
                    color=MUTED if line else first, va="baseline", parse_math=False)  # fmt: skip


def fitted(text: str, width: int) -> str:
    """The text on one line, cut with an ellipsis to so many figure pixels."""
    text = " ".join(text[:LONGEST].split())

    def too_wide(length: int) -> bool:
        return text_inches(shorten(text, length), POINTS) * DPI > width

    if not too_wide(len(text)):
        return text
    return shorten(text, max(1, bisect_left(range(len(text)), True, key=too_wide) - 1))
