"""Integer geometry of moving patches, one axis at a time: which cells a patch can change, and in which window.

Nothing here knows of tensors. A position is one place of the patch; everything is given for all positions of a sweep
at once, since rows share their vertical geometry and columns their horizontal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Span:
    """The cells [lo, hi) of an axis of `length` cells that each position can change; none where lo == hi."""

    length: int
    lo: tuple[int, ...]
    hi: tuple[int, ...]

    def slide(self, window: Slide) -> Span:
        """What can change behind a sliding window."""
        lo, hi = [], []
        for first, end in zip(self.lo, self.hi, strict=True):
            begin = max(0, -((window.reach - first - window.padding) // window.stride))
            stop = min(window.length, (end - 1 + window.padding) // window.stride + 1)
            changed = first < end and begin < stop
            lo.append(begin if changed else 0)
            hi.append(stop if changed else 0)
        return Span(window.length, tuple(lo), tuple(hi))

    def join(self, other: Span) -> Span:
        """What can change where two such axes meet, cell by cell."""
        pairs = [_hull(a, b) for a, b in zip(self.cells, other.cells, strict=True)]
        return Span(self.length, tuple(lo for lo, _ in pairs), tuple(hi for _, hi in pairs))

    @property
    def cells(self) -> list[tuple[int, int]]:
        """The intervals, position by position."""
        return list(zip(self.lo, self.hi, strict=True))

    @cached_property
    def window(self) -> Window:
        """The narrowest window of one width for all positions that holds what changes and stays on the axis."""
        width = max(hi - lo for lo, hi in self.cells)
        return Window(width, tuple(min(lo, self.length - width) for lo in self.lo))

    @classmethod
    def whole(cls, length: int, count: int) -> Span:
        """Everything can change."""
        return cls(length, (0,) * count, (length,) * count)

    @classmethod
    def none(cls, length: int, count: int) -> Span:
        """Nothing can change."""
        return cls(length, (0,) * count, (0,) * count)


@dataclass(frozen=True)
class Slide:
    """A sliding window along one axis: kernel, stride, padding in front, dilation, and how many cells come out."""

    kernel: int
    stride: int
    padding: int
    dilation: int
    length: int

    @property
    def reach(self) -> int:
        """How far the last tap is from the first."""
        return (self.kernel - 1) * self.dilation

    def needs(self, width: int) -> int:
        """How many cells, padding included, give `width` cells."""
        return (width - 1) * self.stride + self.reach + 1 if width else 0

    def overhang(self, length: int) -> int:
        """How many padding cells behind the axis the last window needs; below zero where it does not reach the end."""
        return self.needs(self.length) - self.padding - length


@dataclass(frozen=True)
class Window:
    """A stretch of `width` cells for each position, beginning at `starts`."""

    width: int
    starts: tuple[int, ...]

    def before(self, slide: Slide) -> Window:
        """The cells, counted with the padding, from which a sliding window computes this one."""
        return Window(slide.needs(self.width), tuple(start * slide.stride for start in self.starts))

    def moved(self, cells: int) -> Window:
        """The same in coordinates that begin `cells` earlier."""
        return Window(self.width, tuple(start + cells for start in self.starts))


@dataclass(frozen=True)
class Run:
    """Positions first, first + every, ... (count of them) whose windows lie alike.

    They begin at start, start + step, ... on the axis; `overlap` cells of the changed part, from its cell `source` on,
    go to the window's cell `target`.
    """

    first: int
    every: int
    count: int
    start: int
    step: int
    target: int
    source: int
    overlap: int

    @property
    def positions(self) -> slice:
        """Which positions these are."""
        return slice(self.first, self.first + (self.count - 1) * self.every + 1, self.every)


def runs(wanted: Window, changed: Window) -> tuple[Run, ...]:
    """How to fill the wanted windows from what stays as it is and from the changed ones: in as few runs as possible."""
    places = []
    for start, place in zip(wanted.starts, changed.starts, strict=True):
        target, source = max(0, place - start), max(0, start - place)
        overlap = min(start + wanted.width, place + changed.width) - max(start, place)
        places.append((start, target, source, overlap) if overlap > 0 else (start, 0, 0, 0))
    # patches closer together than the cells of a deep layer lie alike every second, third ... time
    return min((_runs(places, every) for every in (1, 2, 3, 4) if every <= len(places)), key=len)


def covered(window: Window, span: Span, starts: Sequence[int]) -> tuple[Run, ...]:
    """How patches that begin at `starts`, of which `span` is what lies on the axis, cover their windows."""
    places = [
        (begin, lo - begin, lo - start, hi - lo) if lo < hi else (begin, 0, 0, 0)
        for begin, (lo, hi), start in zip(window.starts, span.cells, starts, strict=True)
    ]
    return _runs(places, 1)


def _runs(places: Sequence[tuple[int, int, int, int]], every: int) -> tuple[Run, ...]:
    found = []
    for phase in range(every):
        mine = places[phase::every]
        first = 0
        while first < len(mine):
            end = first + 1
            step = mine[end][0] - mine[first][0] if end < len(mine) else 0
            while end < len(mine) and mine[end][1:] == mine[first][1:] and mine[end][0] - mine[end - 1][0] == step >= 0:
                end += 1
            start, target, source, overlap = mine[first]
            step = step if end - first > 1 else 0
            found.append(Run(phase + first * every, every, end - first, start, step, target, source, overlap))
            first = end
    return tuple(found)


def _hull(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    if one[0] >= one[1]:
        return other
    if other[0] >= other[1]:
        return one
    return min(one[0], other[0]), max(one[1], other[1])
