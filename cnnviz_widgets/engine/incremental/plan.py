"""For one program and a block of positions: where every value's window lies and how it is filled. No tensors yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from cnnviz_widgets.engine.incremental.axis import Axis
from cnnviz_widgets.engine.incremental.interval import Run, Window
from cnnviz_widgets.engine.incremental.operations import Local, Operation, Pooled
from cnnviz_widgets.engine.incremental.program import Program
from cnnviz_widgets.engine.incremental.sliding import Convolution
from cnnviz_widgets.engine.incremental.winograd import Way
from cnnviz_widgets.engine.incremental.winograd import numbers as scratch

# from this share of a map on, its rest is computed too: that costs less than putting it in place
NEARLY_WHOLE = 0.85
# what starting an operation costs, and reading one number of its weights, in multiply-adds
STARTING, READING = 2_000_000, 20


@dataclass(frozen=True)
class Stretch:
    """The windows of one value: a height and width for all positions, and where they begin by row and by column."""

    y: Window
    x: Window

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.y.width, self.x.width


@dataclass(frozen=True)
class Transfer:
    """How windows of one size are filled: from the base where nothing changed, from narrower windows where it did.

    `rows` says so for the rows of positions, `columns` for those in each row.
    """

    size: tuple[int, int]
    rows: tuple[Run, ...]
    columns: tuple[Run, ...]


@dataclass(frozen=True)
class Step:
    """One operation at work.

    Attributes:
        operation: what is done.
        number: the value that it makes.
        windows: whether it works on windows; else on whole maps.
        transfers: by input, how its windows are made to fit; None where they fit as they are.
        frees: values that nobody reads afterwards.
        over: whether the first input, as it comes in, may be overwritten.
        tile: for a convolution, the side of the tiles by which it is computed; 0 for torch's own.
    """

    operation: Operation
    number: int
    windows: bool
    transfers: tuple[Transfer | None, ...]
    frees: tuple[int, ...]
    over: bool
    tile: int = 0


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything about a set of positions that does not depend on any number of the network.

    Attributes:
        program: what is computed.
        rows, columns: how many positions there are.
        stretches: by value, its windows; None where every position has a whole map of its own.
        touched: by value, whether any position may change it; what is not touched is as in the base.
        steps: what is done, in order.
        macs: multiply-adds for one position, counted as in a direct convolution.
        cost: what they cost, in the time of such multiply-adds.
        start: what a block costs whatever its number of positions, without what `tail` says: starting operations,
            reading weights.
        whole_from: the number from which on all that is computed are whole maps, or have no extent.
        tail: what reading weights costs from there on. Several blocks can go on as one and share it.
        numbers: how many numbers one position holds at most at a time.
        stops: the operations, by name, before which windows had to be made whole maps.
    """

    program: Program
    rows: int
    columns: int
    stretches: tuple[Stretch | None, ...]
    touched: tuple[bool, ...]
    steps: tuple[Step, ...]
    macs: int
    cost: int
    start: int
    whole_from: int
    tail: int
    numbers: int
    stops: tuple[str, ...]

    @cached_property
    def tiled(self) -> dict[tuple[int, int], int]:
        """Bytes of weights transformed for tiles, by the number of the value and the side of the tile."""
        return {
            (step.number, step.tile): step.operation.tiled_bytes(step.tile)
            for step in self.steps
            if step.tile and isinstance(step.operation, Convolution)
        }


def plan(program: Program, y: Axis, x: Axis, tiled: bool = True, together: int = 0) -> Plan:
    """The plan for the block of positions at which rows `y` meet columns `x`.

    Args:
        program: what is computed.
        y, x: where the positions are.
        tiled: allow Winograd's tiles.
        together: how many positions go on as one where maps are whole; by default those of this block.
    """
    return _Planner(program, y, x, tiled, together).plan()


class _Planner:
    """From windows to steps."""

    def __init__(self, program: Program, y: Axis, x: Axis, tiled: bool, together: int) -> None:
        self.program, self.y, self.x, self.tiled = program, y, x, tiled
        self.count = y.count * x.count
        self.together = max(together, self.count)
        self.values = program.values
        self.stretches: list[Stretch | None] = []
        self.touched: list[bool] = []
        self.whole_from = 1

    def plan(self) -> Plan:
        self._place()
        steps: list[Step] = []
        macs = cost = start = tail = most = 0
        stops: list[str] = []
        sizes = {0: self._numbers(0)}
        held = sizes[0]
        for number, operation in enumerate(self.program.operations, start=1):
            if not self.touched[number]:
                continue
            step, way = self._step(number, operation)
            steps.append(step)
            here = self._macs(number, operation)
            macs += here
            cost += here if way is None else way.cost
            start += STARTING
            reading = READING * operation.weights if way is None else way.start
            if number < self.whole_from:
                start += reading
            else:
                tail += reading
            sizes[number] = self._numbers(number)
            held += sizes[number]
            most = max(most, held + self._scratch(step))
            held -= sum(sizes.pop(freed) for freed in step.frees)
            if not step.windows and any(self._is_window(n) for n in operation.inputs):
                stops.append(str(operation))
        return Plan(
            program=self.program,
            rows=self.y.count,
            columns=self.x.count,
            stretches=tuple(self.stretches),
            touched=tuple(self.touched),
            steps=tuple(steps),
            macs=macs,
            cost=cost,
            start=start,
            whole_from=self.whole_from,
            tail=tail,
            numbers=most,
            stops=tuple(dict.fromkeys(stops)),
        )

    def _place(self) -> None:
        """Decide for every value whether and where it has windows."""
        sources = [(), *(operation.inputs for operation in self.program.operations)]
        for number, inputs in enumerate(sources):
            touched = self.y.touched[number] and self.x.touched[number]
            self.touched.append(touched and (not inputs or any(self.touched[n] for n in inputs)))
            y, x = self.y.windows[number], self.x.windows[number]
            from_whole = any(self.touched[n] and self.stretches[n] is None for n in inputs)
            if y is None or x is None or from_whole:
                self.stretches.append(None)
                continue
            height, width = self.values[number].lengths
            whole = y.width * x.width >= NEARLY_WHOLE * height * width
            self.stretches.append(None if whole else Stretch(y, x))
        for number, inputs in enumerate(sources):
            if any(self._is_window(n) for n in (number, *inputs) if self.touched[number]):
                self.whole_from = number + 1

    def _is_window(self, number: int) -> bool:
        return self.touched[number] and self.stretches[number] is not None

    def _macs(self, number: int, operation: Operation) -> int:
        stretch = self.stretches[number]
        if stretch is None:
            return operation.macs
        return operation.macs * math.prod(stretch.size) // math.prod(operation.value.lengths)

    def _scratch(self, step: Step) -> int:
        """How many numbers a step holds beside its inputs and its output."""
        operation = step.operation
        moved = sum(self._moved(operation, place, t) for place, t in enumerate(step.transfers) if t is not None)
        if step.tile and isinstance(operation, Convolution):
            out, channels, taps, _ = operation.weight.shape
            moved += scratch(channels, out, taps, step.tile, *self._size(step.number))
        return moved

    def _numbers(self, number: int) -> int:
        value, stretch = self.values[number], self.stretches[number]
        count = math.prod(value.shape)
        return count if stretch is None else count // math.prod(value.lengths) * math.prod(stretch.size)

    def _moved(self, operation: Operation, place: int, transfer: Transfer) -> int:
        value = self.values[operation.inputs[place]]
        return math.prod(value.shape) // math.prod(value.lengths) * math.prod(transfer.size)

    def _step(self, number: int, operation: Operation) -> tuple[Step, Way | None]:
        sources = operation.inputs
        pooled = isinstance(operation, Pooled) and self._is_window(sources[0])
        windows = self.stretches[number] is not None or pooled
        transfers = tuple([None if pooled else self._transfer(number, operation, n) for n in range(len(sources))])
        last = self.program.last
        frees = tuple([n for n in dict.fromkeys(sources) if last[n] == number and self.touched[n]])
        over = self._may_overwrite(operation, transfers, frees)
        way = None
        if isinstance(operation, Convolution):
            count = self.count if number < self.whole_from else self.together
            way = operation.way(*self._size(number), count, self.tiled)
        return Step(operation, number, windows, transfers, frees, over, way.tile if way else 0), way

    def _size(self, number: int) -> tuple[int, int]:
        """Height and width of what is computed of a map."""
        stretch = self.stretches[number]
        return self.values[number].lengths if stretch is None else stretch.size

    def _transfer(self, number: int, operation: Operation, place: int) -> Transfer | None:
        """How input `place` of the operation is made to fit."""
        source = operation.inputs[place]
        out = self.stretches[number]
        if self.values[source].axes is None or (self.touched[source] and self.stretches[source] is None):
            return None  # whole already
        if not self.touched[source] and (
            out is None or not (isinstance(operation, Local) and operation.aligned[place])
        ):
            return None  # the base serves all
        to_whole = out is None
        still = not self.touched[source]
        height, rows = self.y.fitting(number, place, to_whole, still)
        width, columns = self.x.fitting(number, place, to_whole, still)
        if rows is None and columns is None:
            return None
        rows = self.y.copied(number, place, to_whole) if rows is None else rows
        columns = self.x.copied(number, place, to_whole) if columns is None else columns
        return Transfer((height, width), rows, columns)

    def _may_overwrite(
        self, operation: Operation, transfers: tuple[Transfer | None, ...], frees: tuple[int, ...]
    ) -> bool:
        if not isinstance(operation, Local) or operation.over is None:
            return False
        first = operation.inputs[0]
        if transfers[0] is not None:
            return True  # a copy made for this step
        own = first > 0 and self.program.operations[first - 1].fresh and first not in self.program.viewed
        return own and self.touched[first] and first in frees and operation.inputs.count(first) == 1
