"""The network's values for the picture without a patch, ready to be cut into windows."""

from __future__ import annotations

from torch import Tensor

from cnnviz_widgets.engine.incremental.interval import Slide
from cnnviz_widgets.engine.incremental.operations import Joined, Local, Operation, pad
from cnnviz_widgets.engine.incremental.program import Program


class Base:
    """What a program computes for the bare picture.

    Values that windows are cut from are kept with the padding around them that their reader wants, once for each kind
    of padding.
    """

    def __init__(self, program: Program, x: Tensor) -> None:
        """Run `program` on the prepared picture `x` (1, C, H, W)."""
        self.program = program
        values = program.run(x)
        self.output = values[program.output]
        read = {number for operation in program.operations if _cuts(operation) for number in operation.inputs}
        # what has no map is small, and a step may want it where no patch changes it
        kept = {n for n, value in enumerate(program.values) if value.axes is None and n != program.output} | read
        self.values = {number: values[number] for number in kept}
        self._padded: dict[tuple[int, tuple[Slide, Slide], float], Tensor] = {}
        self._totals: dict[int, Tensor] = {}

    def padded(self, number: int, slides: tuple[Slide, Slide], fill: float) -> Tensor:
        """A value with the padding around it that a sliding window reads."""
        key = (number, slides, fill)
        if key not in self._padded:
            axes = self.program.values[number].axes
            assert axes is not None
            self._padded[key] = pad(self.values[number], slides, axes, fill)
        return self._padded[key]

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
