"""The network's values for the picture without a patch, ready to be cut into windows."""

from __future__ import annotations

from torch import Tensor

from cnnviz_widgets.engine.incremental.interval import Slide
from cnnviz_widgets.engine.incremental.operations import Joined, Local, Operation, Sliding, pad
from cnnviz_widgets.engine.incremental.program import Program


class Base:
    """What a program computes for the bare picture.

    Values that windows are cut from are kept with the padding around them that their reader wants, once for each kind
    of padding.
    """

    def __init__(self, program: Program, x: Tensor) -> None:
        """Run `program` on the prepared picture `x` (1, C, H, W)."""
        self.program = program
        self.values: dict[int, Tensor] = {}
        self._padded: dict[tuple[int, tuple[Slide, Slide], float], Tensor] = {}
        self._totals: dict[int, Tensor] = {}
        read = {number for operation in program.operations if _cuts(operation) for number in operation.inputs}
        # what has no map is small, and a step may want it where no patch changes it
        kept = read | {number for number, value in enumerate(program.values) if value.axes is None}
        live = {0: x}
        for number, operation in enumerate(program.operations, start=1):
            live[number] = operation.whole([live[source] for source in operation.inputs])
            for source in set(operation.inputs):
                if program.last[source] == number:
                    self._keep(source, live.pop(source), source in kept)
        self.output = live[program.output]
        for number in live:
            self._keep(number, live[number], number in kept)

    def _keep(self, number: int, value: Tensor, kept: bool) -> None:
        """Hold a value, also with the paddings that its readers want, and then only once where that is possible."""
        if not kept:
            return
        axes = self.program.values[number].axes
        self.values[number] = value
        for operation in self.program.operations:
            if axes is None or not isinstance(operation, Sliding) or operation.inputs != (number,):
                continue
            key = (number, operation.slides, operation.fill)
            if key not in self._padded:
                self._padded[key] = pad(value, operation.slides, axes, operation.fill)
            sides = list(zip(axes, operation.slides, strict=True))
            if all(slide.padding >= 0 <= slide.overhang(value.shape[axis]) for axis, slide in sides):
                inside = self._padded[key]
                for axis, slide in sides:
                    inside = inside.narrow(axis, slide.padding, value.shape[axis])
                self.values[number] = inside

    def padded(self, number: int, slides: tuple[Slide, Slide], fill: float) -> Tensor:
        """A value with the padding around it that a sliding window reads."""
        return self._padded[number, slides, fill]

    def totals(self, number: int, axes: tuple[int, int]) -> Tensor:
        """Sums over all cells above and before each: (H + 1, W + 1, ...) in float64, one set of the other axes each."""
        if number not in self._totals:
            map_first = self.values[number].movedim(axes, (0, 1)).select(2, 0).double()
            totals = map_first.new_zeros(map_first.shape[0] + 1, map_first.shape[1] + 1, *map_first.shape[2:])
            totals[1:, 1:] = map_first.cumsum(0).cumsum(1)
            self._totals[number] = totals
        return self._totals[number]

    @property
    def bytes(self) -> int:
        """Memory that is held."""
        tensors = [*self.values.values(), *self._padded.values(), *self._totals.values()]
        return sum(t.untyped_storage().nbytes() for t in {t.data_ptr(): t for t in tensors}.values())


def _cuts(operation: Operation) -> bool:
    """Whether an operation may want more of its inputs than their windows, and so needs the base around them."""
    return not isinstance(operation, Local) or isinstance(operation, Joined) or len(operation.inputs) > 1
