"""For one program and one set of positions: where every value's window lies and how it is filled. No tensors yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnviz_widgets.engine.incremental.interval import Run, Span, Window, runs
from cnnviz_widgets.engine.incremental.operations import Local, Operation, Pooled, Sliding
from cnnviz_widgets.engine.incremental.program import Program

# from this share of a map on, its rest is computed too: that costs less than putting it in place
NEARLY_WHOLE = 0.8


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

    `rows` has one run for each row of positions, `columns` as many as it takes.
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
    """

    operation: Operation
    number: int
    windows: bool
    transfers: tuple[Transfer | None, ...]
    frees: tuple[int, ...]
    over: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything about a set of positions that does not depend on any number of the network.

    Attributes:
        program: what is computed.
        stretches: by value, its windows; None where every position has a whole map of its own.
        touched: by value, whether any position changes it at all; what is not touched is as in the base.
        steps: what is done, in order.
        macs: multiply-adds for one position.
        numbers: how many numbers one position holds at most at a time.
        stops: the operations, by name, before which windows had to be made whole maps.
    """

    program: Program
    stretches: tuple[Stretch | None, ...]
    touched: tuple[bool, ...]
    steps: tuple[Step, ...]
    macs: int
    numbers: int
    stops: tuple[str, ...]


Spans = tuple[Span, Span]


def plan(program: Program, tops: Span, lefts: Span) -> Plan:
    """The plan for patches that cover `tops` along y, row by row, and `lefts` along x."""
    spans: list[Spans | None] = [_unless_whole((tops, lefts))]
    touched = [_any(tops) and _any(lefts)]
    for operation in program.operations:
        changed = any(touched[number] for number in operation.inputs)
        found = _changed(operation, spans, touched) if changed else None
        touched.append(changed and (found is None or (_any(found[0]) and _any(found[1]))))
        spans.append(None if found is None else _unless_whole(found))
    stretches = [None if found is None else Stretch(found[0].window, found[1].window) for found in spans]
    return _Planner(program, stretches, touched, len(tops.lo), len(lefts.lo)).plan()


def _changed(operation: Operation, spans: Sequence[Spans | None], touched: Sequence[bool]) -> Spans | None:
    """What changes along y and x of the output; None where it is everything, or where there is no map."""
    read = [(place, spans[number]) for place, number in enumerate(operation.inputs) if touched[number]]
    if isinstance(operation, Sliding) and (source := read[0][1]) is not None:
        return source[0].slide(operation.slides[0]), source[1].slide(operation.slides[1])
    if isinstance(operation, Local) and all(span is not None and operation.aligned[place] for place, span in read):
        first, *others = [span for _, span in read if span is not None]
        for other in others:
            first = first[0].join(other[0]), first[1].join(other[1])
        return first
    return None


def _unless_whole(found: Spans) -> Spans | None:
    y, x = found
    return found if y.window.width * x.window.width < NEARLY_WHOLE * y.length * x.length else None


def _any(span: Span) -> bool:
    return any(lo < hi for lo, hi in span.cells)


class _Planner:
    """From windows to steps."""

    def __init__(
        self, program: Program, stretches: list[Stretch | None], touched: list[bool], rows: int, columns: int
    ) -> None:
        self.program, self.stretches, self.touched = program, stretches, touched
        self.values = program.values
        self.counts = rows, columns
        self.last: dict[int, int] = {}
        for number, operation in enumerate(program.operations, start=1):
            self.last.update(dict.fromkeys(operation.inputs, number))

    def plan(self) -> Plan:
        steps: list[Step] = []
        macs = held = most = 0
        stops: list[str] = []
        live = {0: self._numbers(0)}
        for number, operation in enumerate(self.program.operations, start=1):
            if not self.touched[number]:
                continue
            step = self._step(number, operation)
            steps.append(step)
            stretch = self.stretches[number]
            share = 1.0
            if step.windows and stretch is not None:
                height, width = operation.value.lengths
                share = stretch.y.width * stretch.x.width / (height * width)
            macs += round(operation.macs * share)
            moved = sum(self._moved(operation, place, t) for place, t in enumerate(step.transfers) if t is not None)
            live[number] = self._numbers(number)
            held = sum(live.values()) + moved
            most = max(most, held)
            for freed in step.frees:
                live.pop(freed, None)
            if not step.windows and any(self._is_window(n) for n in operation.inputs):
                stops.append(operation.name)
        return Plan(
            self.program,
            tuple(self.stretches),
            tuple(self.touched),
            tuple(steps),
            macs,
            most,
            tuple(dict.fromkeys(stops)),
        )

    def _is_window(self, number: int) -> bool:
        return self.touched[number] and self.stretches[number] is not None

    def _numbers(self, number: int) -> int:
        value, stretch = self.values[number], self.stretches[number]
        count = math.prod(value.shape)
        if stretch is None or value.axes is None:
            return count
        height, width = value.lengths
        return count // (height * width) * stretch.y.width * stretch.x.width

    def _moved(self, operation: Operation, place: int, transfer: Transfer) -> int:
        value = self.values[operation.inputs[place]]
        height, width = value.lengths
        return math.prod(value.shape) // (height * width) * transfer.size[0] * transfer.size[1]

    def _step(self, number: int, operation: Operation) -> Step:
        out = self.stretches[number]
        pooled = isinstance(operation, Pooled) and self._is_window(operation.inputs[0])
        windows = out is not None or pooled
        transfers = tuple(
            None if pooled else self._transfer(operation, place, source, out)
            for place, source in enumerate(operation.inputs)
        )
        frees = tuple(n for n in dict.fromkeys(operation.inputs) if self.last[n] == number and self.touched[n])
        return Step(operation, number, windows, transfers, frees, self._may_overwrite(operation, transfers, frees))

    def _transfer(self, operation: Operation, place: int, number: int, out: Stretch | None) -> Transfer | None:
        """How input `place`, value `number`, is made to fit."""
        value, have = self.values[number], self.stretches[number]
        if value.axes is None or (have is None and self.touched[number]):
            return None  # whole already
        if out is None:
            if not self.touched[number]:
                return None  # the base serves all
            assert have is not None
            wanted = Stretch(*(Window(n, (0,) * c) for n, c in zip(value.lengths, self.counts, strict=True)))
        elif isinstance(operation, Sliding):
            assert have is not None
            y, x = operation.slides
            wanted = Stretch(out.y.before(y), out.x.before(x))
            have = Stretch(have.y.moved(y.padding), have.x.moved(x.padding))
        elif isinstance(operation, Local) and not operation.aligned[place]:
            return None  # the base, of another size
        else:
            wanted = out
        if have == wanted and self.touched[number]:
            return None
        if not self.touched[number]:
            have = Stretch(*(Window(0, (0,) * c) for c in self.counts))
        assert have is not None
        rows = [
            runs(Window(wanted.y.width, (a,)), Window(have.y.width, (b,)))[0]
            for a, b in zip(wanted.y.starts, have.y.starts, strict=True)
        ]
        return Transfer(wanted.size, tuple(rows), runs(wanted.x, have.x))

    def _may_overwrite(
        self, operation: Operation, transfers: tuple[Transfer | None, ...], frees: tuple[int, ...]
    ) -> bool:
        if not isinstance(operation, Local) or operation.over is None:
            return False
        first = operation.inputs[0]
        if transfers[0] is not None:
            return True  # a copy made for this step
        own = first > 0 and self.program.operations[first - 1].fresh
        return own and self.touched[first] and first in frees and operation.inputs.count(first) == 1
