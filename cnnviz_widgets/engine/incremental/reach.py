"""How far a patch reaches: which cells of a layer's maps it can change."""

from __future__ import annotations

from dataclasses import dataclass

from cnnviz_widgets.engine.incremental import patches
from cnnviz_widgets.engine.incremental.planner import Planner, part
from cnnviz_widgets.engine.incremental.sweep import Sweep


@dataclass(frozen=True)
class Reach:
    """The cells of a layer's maps that a patch can change.

    Attributes:
        map: height and width of the layer's maps.
        y: first row and the one behind the last, lo == hi where the patch changes nothing.
        x: columns likewise.
    """

    map: tuple[int, int]
    y: tuple[int, int]
    x: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that the patch can change."""
        return self.y[1] - self.y[0], self.x[1] - self.x[0]

    @property
    def share(self) -> float:
        """Of the map, 0 to 1."""
        return self.size[0] * self.size[1] / (self.map[0] * self.map[1])


def reach(sweep: Sweep, planner: Planner) -> Reach:
    """That of the sweep's first place, for a planner of the total response of a layer's map."""
    program = planner.program
    last = program.operations[program.output - 1]
    number = last.inputs[0]  # of what is summed up: the map
    height, width = program.values[number].lengths
    cells = []
    for axis, (span, length) in enumerate(zip(patches.spans(sweep), (height, width), strict=True)):
        first = part(span, range(1))
        reached = planner.axis(axis, first)
        there = reached.spans[number]
        whole = (0, length) if reached.touched[number] else (0, 0)
        cells.append(whole if there is None else there.cells[0])
    nothing = any(lo == hi for lo, hi in cells)
    y, x = ((0, 0), (0, 0)) if nothing else cells
    return Reach((height, width), y, x)
