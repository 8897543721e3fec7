"""Plans by geometry, made once; and how the positions of a sweep are best split into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cnnviz_widgets.engine.incremental.axis import Axis
from cnnviz_widgets.engine.incremental.interval import Span
from cnnviz_widgets.engine.incremental.plan import Plan, plan
from cnnviz_widgets.engine.incremental.program import Program

# positions from which on it pays to look for the best split
WORTH_PLANNING = 256


class Planner:
    """The plans of one program; the same positions, whatever the picture, get the same plan."""

    def __init__(self, program: Program, tiled: bool = True) -> None:
        """Plan for `program`; `tiled` allows Winograd's tiles, which take memory for weights of their own."""
        self.program, self.tiled = program, tiled
        self.axis = lru_cache(512)(lambda number, patches: Axis(program, number, patches))
        self.plan = lru_cache(512)(
            lambda tops, lefts, together=0: plan(program, self.axis(0, tops), self.axis(1, lefts), tiled, together)
        )

    def split(self, row: Span, lefts: Span, most: int, rows: int, together: int) -> list[range]:
        """The columns in parts: narrow windows cost less, but every part costs a start; none is larger than `most`.

        Args:
            row: a row of the sweep, by which costs are told.
            lefts: all its columns.
            most: positions at once.
            rows: how many rows there are; planning has to pay for a few as well.
            together: as `plan` has it.
        """
        count = len(lefts.lo)
        least = -(-count // most)
        splits = [_split(count, least)]
        if rows * count >= WORTH_PLANNING:
            splits += [_split(count, least + more) for more in (1, 2, 3) if least + more <= count]
            # near the border windows are cut off, so narrower ones do there
            splits += [
                _edges(count, edge) for edge in {count // 6, count // 4} if edge > 0 and count - 2 * edge <= most
            ]
        return min(splits, key=lambda split: self._cost(row, lefts, split, together))

    def _cost(self, row: Span, lefts: Span, split: Sequence[range], together: int) -> int:
        plans: list[Plan] = [self.plan(row, part(lefts, columns), together) for columns in split]
        return sum(made.cost * made.columns + made.start for made in plans) + max(made.tail for made in plans)


def part(span: Span, positions: range) -> Span:
    """Some of the positions."""
    inside = slice(positions.start, positions.stop, positions.step)
    return Span(span.length, span.lo[inside], span.hi[inside])


def _split(count: int, parts: int) -> list[range]:
    """Ranges whose lengths differ by one at most."""
    edges = [round(n * count / parts) for n in range(parts + 1)]
    return [range(start, end) for start, end in zip(edges, edges[1:], strict=False) if end > start]


def _edges(count: int, edge: int) -> list[range]:
    """The columns near either border, and those between."""
    return [range(edge), range(edge, count - edge), range(count - edge, count)]
