"""A plan carried out for some rows of positions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.base import Base
from cnnviz_widgets.engine.incremental.operations import Joined, Local, Pooled, Sliding
from cnnviz_widgets.engine.incremental.plan import Plan, Step, Transfer
from cnnviz_widgets.engine.incremental.sliding import Convolution
from cnnviz_widgets.engine.jobs import checkpoint


def run(plans: Sequence[Plan], pictures: Iterable[Tensor], base: Base) -> list[Tensor]:
    """What a program puts out (n, k) for each of several blocks of positions, from the windows of the picture.

    From where maps are whole in all blocks they go on as one: every weight is read once for all of them.
    """
    number = max(plan.whole_from for plan in plans)
    blocks = [Execution(plan, base).until(number, given) for plan, given in zip(plans, pictures, strict=True)]
    found: list[Tensor] = []
    for _, group in itertools.groupby(blocks, key=lambda block: block.rest(number)):
        alike = list(group)
        counts = [block.count for block in alike]
        found += _joined(alike).finish(number).split(counts)
    return found


def _joined(blocks: list[Execution]) -> Execution:
    """One block of several that have the same values still to be computed, none of them windows."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    whole = Execution(first.plan, first.base)
    whole.count = sum(block.count for block in blocks)
    for number in list(first.tensors):
        whole.tensors[number] = torch.cat([block.tensors[number] for block in blocks])
        for block in blocks:
            del block.tensors[number]
    return whole


class Execution:
    """The windows of one block of positions on their way through the network.

    Samples are in the order of the positions, row by row.
    """

    def __init__(self, plan: Plan, base: Base) -> None:
        """Carry out `plan` on the values of `base`."""
        self.plan, self.base = plan, base
        self.values = plan.program.values
        self.count = plan.rows * plan.columns
        self.tensors: dict[int, Tensor] = {}

    def until(self, number: int, pictures: Tensor) -> Execution:
        """Itself, with all values below `number` that are read later, from the windows of the picture."""
        if self.plan.touched[self.plan.program.output]:
            self.tensors[0] = pictures
            self._take([step for step in self.plan.steps if step.number < number])
        else:
            self.tensors[self.plan.program.output] = self.base.output.expand(self.count, -1)
        return self

    def rest(self, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The values from `number` on that are to be computed, and those that are there."""
        changes = self.plan.touched[self.plan.program.output]
        steps = [step.number for step in self.plan.steps if step.number >= number and changes]
        return tuple(steps), tuple(sorted(self.tensors))

    def finish(self, number: int) -> Tensor:
        """What the program puts out (n, k), once all values below `number` are there."""
        numbers, _ = self.rest(number)
        self._take([step for step in self.plan.steps if step.number in numbers])
        return self.tensors[self.plan.program.output]

    def _take(self, steps: Sequence[Step]) -> None:
        for step in steps:
            checkpoint()  # a row of a large network takes long: what is urgent need not wait for its end
            self.tensors[step.number] = self._do(step)
            for number in step.frees:
                self.tensors.pop(number, None)

    def _do(self, step: Step) -> Tensor:
        operation = step.operation
        if isinstance(operation, Pooled) and step.windows:
            return self._pooled(operation)
        if isinstance(operation, Joined) and step.windows:
            return self._joined(step, operation)
        if step.tile and isinstance(operation, Convolution):
            return self._by_tiles(step, operation)
        inputs = [self._input(step, place) for place in range(len(operation.inputs))]
        if isinstance(operation, Sliding) and step.windows:
            return operation.valid(inputs[0])
        if isinstance(operation, Local):
            if step.over and operation.over is not None:
                return operation.over(inputs)
            return operation.call(inputs)
        if len(inputs) > 1:
            count = max(map(len, inputs))
            inputs = [t if len(t) == count else t.expand(count, *t.shape[1:]) for t in inputs]
        return operation.whole(inputs)

    def _by_tiles(self, step: Step, operation: Convolution) -> Tensor:
        stretch = self.plan.stretches[step.number]
        height, width = operation.value.lengths if stretch is None else stretch.size
        room = operation.tiled_sides(height, width, step.tile)
        if step.windows:
            x = self._input(step, 0, room)
            corner = (0, 0)
        else:
            x = self._input(step, 0)
            corner = (operation.slides[0].padding, operation.slides[1].padding)
        if tuple(x.shape[2:]) != room:  # padding around it and zeros behind it, so that whole tiles come out
            given, x = x, _empty(x, (2, 3), room, len(x))
            _frame(x, corner, given.shape[2:]).copy_(given)
        x = x.contiguous(memory_format=torch.channels_last)
        return operation.by_tiles(x, step.tile)[:, :, :height, :width]

    def _input(self, step: Step, place: int, room: tuple[int, int] | None = None) -> Tensor:
        """What the operation reads; windows that are filled here have zeros behind them where there is more `room`."""
        number = step.operation.inputs[place]
        transfer = step.transfers[place]
        if transfer is None:
            return self.tensors[number] if self.plan.touched[number] else self.base.values[number]
        operation = step.operation
        source = self.base.values[number]
        if isinstance(operation, Sliding) and step.windows:
            source = self.base.padded(number, operation.slides, operation.fill)
        axes = self.values[number].axes
        assert axes is not None
        out = _empty(source, axes, room or transfer.size, self.count)
        inside = out if room is None else _frame(out, (0, 0), transfer.size)
        self._move(inside, transfer, source, axes, self.tensors.get(number))
        return out

    def _move(
        self, out: Tensor, transfer: Transfer, source: Tensor, axes: tuple[int, int], changed: Tensor | None
    ) -> None:
        """Fill windows: what stays from `source`, what changed laid over it."""
        y_axis, x_axis = axes
        sizes, strides = list(out.shape), list(source.stride())
        down, right = strides[y_axis], strides[x_axis]
        corner = source.storage_offset()
        for vertical in transfer.rows:
            for n in range(vertical.count):
                first = (vertical.first + n * vertical.every) * self.plan.columns
                top = corner + (vertical.start + n * vertical.step) * down
                for run in transfer.columns:
                    mine = slice(first + run.first, first + run.positions.stop, run.every)
                    target = out[mine]
                    if (vertical.overlap, run.overlap) != transfer.size:
                        sizes[0], strides[0] = run.count, run.step * right
                        target.copy_(source.as_strided(sizes, strides, top + run.start * right))
                    if changed is not None and vertical.overlap and run.overlap:
                        part = _cut(changed[mine], y_axis, vertical.source, vertical.overlap)
                        target = _cut(target, y_axis, vertical.target, vertical.overlap)
                        part = _cut(part, x_axis, run.source, run.overlap)
                        _cut(target, x_axis, run.target, run.overlap).copy_(part)

    def _joined(self, step: Step, operation: Joined) -> Tensor:
        """Every part goes straight to its place."""
        stretch = self.plan.stretches[step.number]
        axes = operation.value.axes
        assert stretch is not None and axes is not None
        like = self.base.values[operation.inputs[0]]
        shape = list(operation.value.shape)
        out = _empty(like.new_empty(1).expand(shape), axes, stretch.size, self.count)
        start = 0
        for number, transfer in zip(operation.inputs, step.transfers, strict=True):
            length = self.values[number].shape[operation.along]
            part = out.narrow(operation.along, start, length)
            start += length
            if transfer is None:
                part.copy_(self.tensors[number])
            else:
                source = self.base.values[number]
                self._move(part, transfer, source, axes, self.tensors.get(number))
        return out

    def _pooled(self, operation: Pooled) -> Tensor:
        """The sums of the base, with the windows exchanged."""
        number = operation.inputs[0]
        stretch = self.plan.stretches[number]
        assert stretch is not None
        totals = self.base.totals(number, operation.axes)
        y = torch.tensor(stretch.y.starts, device=totals.device)
        x = torch.tensor(stretch.x.starts, device=totals.device)
        height, width = stretch.size
        above, below = totals[y], totals[y + height]
        inside = below[:, x + width] - below[:, x] - above[:, x + width] + above[:, x]
        stays = (totals[-1, -1] - inside).flatten(0, 1)
        sums = self.tensors[number].sum(operation.axes, dtype=torch.float64)
        return operation.shaped(((stays + sums) * operation.factor).to(self.base.output.dtype))


def _cut(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    return x if x.shape[axis] == length else x.narrow(axis, start, length)


def _frame(out: Tensor, corner: tuple[int, int], size: Sequence[int]) -> Tensor:
    """The part of maps that begins at `corner`; all around it they are made zero."""
    (top, left), (bottom, right) = corner, (corner[0] + size[0], corner[1] + size[1])
    for rest in (out[:, :, :top], out[:, :, bottom:], out[:, :, top:bottom, :left], out[:, :, top:bottom, right:]):
        if rest.numel():
            rest.zero_()
    return out[:, :, top:bottom, left:right]


def _empty(like: Tensor, axes: Sequence[int], size: tuple[int, int], count: int) -> Tensor:
    """Room for windows, with channels innermost in memory where y and x are the last two axes."""
    shape = list(like.shape)
    shape[0] = count
    for axis, length in zip(axes, size, strict=True):
        shape[axis] = length
    out = torch.empty(0, dtype=like.dtype, device=like.device)
    if tuple(axes) == (2, 3) and len(shape) == 4:
        return out.new_empty(shape[0], shape[2], shape[3], shape[1]).permute(0, 3, 1, 2)
    return out.new_empty(shape)
