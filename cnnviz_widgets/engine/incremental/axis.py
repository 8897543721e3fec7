"""How patches reach through a whole program along one axis: rows and columns are planned apart, and combined."""

from __future__ import annotations

from cnnviz_widgets.engine.incremental.interval import Run, Span, Window, runs
from cnnviz_widgets.engine.incremental.operations import Local, Operation, Sliding
from cnnviz_widgets.engine.incremental.program import Program

Fitting = tuple[int, tuple[Run, ...] | None]


class Axis:
    """The windows of every value along y (number 0) or x (1), for some positions of the patch.

    Attributes:
        spans: by value, the cells that each position can change; None where that is everything, or there is no map.
        windows: the stretches of one width that hold them.
        touched: whether any position reaches the value at all.
    """

    def __init__(self, program: Program, number: int, patches: Span) -> None:
        """Follow patches that cover `patches` of the picture."""
        self._program, self._number = program, number
        self._values = program.values
        self._fitting: dict[tuple[int, int, bool, bool], Fitting] = {}
        self.count = len(patches.lo)
        self.spans: list[Span | None] = [patches]
        self.touched = [_any(patches)]
        for operation in program.operations:
            changed = any(self.touched[source] for source in operation.inputs)
            span = self._changed(operation) if changed else self._still(operation)
            self.spans.append(span)
            self.touched.append(changed and (span is None or _any(span)))
        self.windows: list[Window | None] = [None if span is None else span.window for span in self.spans]

    def _changed(self, operation: Operation) -> Span | None:
        read = [(place, self.spans[n]) for place, n in enumerate(operation.inputs) if self.touched[n]]
        if isinstance(operation, Sliding):
            source = read[0][1]
            return None if source is None else source.slide(operation.slides[self._number])
        if isinstance(operation, Local) and all(span is not None and operation.aligned[place] for place, span in read):
            first, *others = [span for _, span in read if span is not None]
            for other in others:
                first = first.join(other)
            return first
        return None

    def _still(self, operation: Operation) -> Span | None:
        axes = operation.value.axes
        return None if axes is None else Span.none(operation.value.shape[axes[self._number]], self.count)

    def fitting(self, number: int, place: int, to_whole: bool, still: bool) -> Fitting:
        """How long input `place` of the operation that makes value `number` has to be, and in which runs it is filled.

        None for the runs where its windows are as wanted.

        Args:
            number: of a value.
            place: of an input.
            to_whole: whole maps are wanted instead of windows.
            still: nothing of this input changes.
        """
        key = (number, place, to_whole, still)
        if key not in self._fitting:
            self._fitting[key] = self._fit(*key)
        return self._fitting[key]

    def _fit(self, number: int, place: int, to_whole: bool, still: bool) -> Fitting:
        operation = self._program.operations[number - 1]
        wanted = self._wanted(number, place, to_whole)
        have = self.windows[operation.inputs[place]]
        if have is not None and not to_whole and isinstance(operation, Sliding):
            have = have.moved(operation.slides[self._number].padding)
        if still or have is None:
            have = Window(0, (0,) * self.count)
        elif have == wanted:
            return wanted.width, None
        return wanted.width, runs(wanted, have)

    def copied(self, number: int, place: int, to_whole: bool) -> tuple[Run, ...]:
        """The runs of an input whose windows are as wanted along this axis, where they are not along the other."""
        wanted = self._wanted(number, place, to_whole)
        return runs(wanted, wanted)

    def _wanted(self, number: int, place: int, to_whole: bool) -> Window:
        operation = self._program.operations[number - 1]
        source = self._values[operation.inputs[place]]
        out = self.windows[number]
        if to_whole or out is None:
            assert source.axes is not None
            return Window(source.shape[source.axes[self._number]], (0,) * self.count)
        return out.before(operation.slides[self._number]) if isinstance(operation, Sliding) else out


def _any(span: Span) -> bool:
    return any(lo < hi for lo, hi in span.cells)
