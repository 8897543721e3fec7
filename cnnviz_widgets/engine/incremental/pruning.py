"""A cheaper program with the same answer: nothing unused, batch norm within the convolution, wanted classes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from cnnviz_widgets.engine.incremental.local import BatchNorm
from cnnviz_widgets.engine.incremental.operations import Batched, Flat, Joined, Linear, Local, Operation, Pooled, Value
from cnnviz_widgets.engine.incremental.sliding import Convolution, Frame, MaxPool, MeanPool

Made = tuple[tuple[Operation, ...], int]


def needed(operations: Sequence[Operation], end: int) -> Made:
    """The operations that value `end` depends on, numbered anew."""
    wanted = {end}
    for number in range(len(operations), 0, -1):
        if number in wanted:
            wanted.update(operations[number - 1].inputs)
    numbers = {0: 0}
    kept: list[Operation] = []
    for number, operation in enumerate(operations, start=1):
        if number in wanted:
            kept.append(_reading(operation, numbers))
            numbers[number] = len(kept)
    return tuple(kept), numbers[end]


def folded(operations: Sequence[Operation], end: int) -> Made:
    """Batch norm behind a convolution becomes part of its weights."""
    uses = Counter(number for operation in operations for number in operation.inputs)
    made = list(operations)
    numbers = list(range(len(operations) + 1))
    for number, operation in enumerate(operations, start=1):
        if not isinstance(operation, BatchNorm):
            continue
        (source,) = operation.inputs
        before = made[source - 1] if source else None
        if isinstance(before, Convolution) and uses[source] == 1 and source != end:
            scale, shift = operation.affine()
            weight = (before.weight.double() * scale[:, None, None, None]).to(before.weight)
            bias = shift if before.bias is None else before.bias.double() * scale + shift
            made[source - 1] = replace(
                before, weight=weight, bias=bias.to(weight), constants=(weight,), own_bytes=weight.nbytes
            )
            numbers[number] = source
    made = [_reading(operation, dict(enumerate(numbers))) for operation in made]
    return needed(made, numbers[end])


def unjoined(operations: Sequence[Operation], end: int) -> Made:
    """Where a 1x1 convolution alone reads two groups of channels side by side, each group meets its own weights and the
    sums are added: as many multiply-adds, and what would have been put side by side stays where it is."""
    uses = Counter(number for operation in operations for number in operation.inputs)
    uses[end] += 1
    made: list[Operation] = []
    numbers = {0: 0}

    def emit(operation: Operation, *inputs: int) -> int:
        made.append(replace(operation, inputs=inputs))
        return len(made)

    for number, operation in enumerate(operations, start=1):
        parts, between = _side_by_side(operations, operation, uses)
        if not parts:
            made.append(_reading(operation, numbers))
            numbers[number] = len(made)
            continue
        assert isinstance(operation, Convolution)
        sums, first = list[int](), 0
        for source in parts:
            width = operations[source - 1].value.shape[1]
            part = numbers[source]
            for step in between:
                shape = (step.value.shape[0], width, *step.value.shape[2:])
                part = emit(replace(step, value=replace(step.value, shape=shape)), part)
            weight = operation.weight[:, first : first + width].contiguous()
            first += width
            share = {"macs": operation.macs * width // operation.weight.shape[1], "own_bytes": weight.nbytes}
            bias = None if sums else operation.bias
            sums.append(emit(replace(operation, weight=weight, bias=bias, constants=(weight,), **share), part))
        numbers[number] = emit(_sum(operation), *sums)
    return needed(made, numbers[end])


def _side_by_side(
    operations: Sequence[Operation], operation: Operation, uses: Mapping[int, int]
) -> tuple[tuple[int, ...], list[Operation]]:
    """The two values whose channels an operation reads side by side, and what each of their channels goes through
    before; nothing where it pays not to take them apart."""
    between: list[Operation] = []
    pointwise = isinstance(operation, Convolution) and operation.groups == 1 and operation.weight.shape[2:] == (1, 1)
    number = operation.inputs[0] if pointwise else 0
    while number and uses[number] == 1:
        before = operations[number - 1]
        if isinstance(before, Joined):
            apart = len(before.inputs) == 2 and before.along == 1 and 0 not in before.inputs
            small = 2 * _width(operation) <= _width(before)  # else adding costs what joining did
            return (before.inputs, between[::-1]) if apart and small else ((), [])
        if not (isinstance(before, MaxPool) or _keeps_channels(before)) or len(before.inputs) != 1:
            break
        if not before.inputs[0] or _width(operations[before.inputs[0] - 1]) != _width(before):
            break  # flattened: channels and positions in one
        between.append(before)
        number = before.inputs[0]
    return (), []


def _sum(operation: Operation) -> Local:
    return Local(
        name=operation.name,
        inputs=(),
        value=operation.value,
        layer=operation.layer,
        call=lambda tensors: tensors[0] + tensors[1],
        aligned=(True, True),
        over=lambda tensors: tensors[0].add_(tensors[1]),
    )


def laid_out(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Filters in memory as the maps are, channels innermost: else they would be turned for every block."""
    return tuple(_laid_out(one) if isinstance(one, Convolution) else one for one in operations)


def _laid_out(operation: Convolution) -> Convolution:
    weight = operation.weight.contiguous(memory_format=torch.channels_last)
    if operation.weight.dtype == torch.float64 or weight is operation.weight:
        return operation
    return replace(operation, weight=weight, constants=(weight,), own_bytes=weight.nbytes)


def narrowed(operations: Sequence[Operation], end: int, classes: tuple[int, ...]) -> Made:
    """Of the scores (N, classes) only some: of the last weights only their rows, where nothing behind mixes them."""
    uses = Counter(number for operation in operations for number in operation.inputs)
    made = list(operations)
    chain: list[int] = []
    number = end
    while number:
        operation = made[number - 1]
        chain.append(number)
        if isinstance(operation, (Linear, Convolution)):
            break
        if len(operation.inputs) != 1 or not _keeps_channels(operation) or uses[operation.inputs[0]] != 1:
            break
        number = operation.inputs[0]
        if number and _width(made[number - 1]) != _width(operation):
            break  # flattened: channels and positions in one
    last = made[chain[-1] - 1]
    flat = len(last.value.shape) == 2
    if (isinstance(last, Convolution) and last.groups == 1) or (isinstance(last, Linear) and flat):
        index = torch.tensor(classes, device=last.weight.device)
        for number in chain:
            operation = made[number - 1]
            shape = (operation.value.shape[0], len(classes), *operation.value.shape[2:])
            changes = {"value": replace(operation.value, shape=shape)}
            made[number - 1] = replace(operation, **changes, macs=operation.macs * len(classes) // _width(operation))
        bias = None if last.bias is None else last.bias[index]
        weight = last.weight[index]
        made[chain[-1] - 1] = replace(made[chain[-1] - 1], weight=weight, bias=bias, constants=(weight,))
        return tuple(made), end
    made.append(
        Batched(
            name="index_select",
            inputs=(end,),
            value=Value((1, len(classes))),
            call=lambda tensors: tensors[0][:, list(classes)],
        )
    )
    return tuple(made), len(made)


def _keeps_channels(operation: Operation) -> bool:
    """Whether channel n of the output, axis 1, is made of channel n of the input alone, by the same rule for all."""
    if isinstance(operation, Local):
        return operation.channelwise and not operation.constants
    return isinstance(operation, (Pooled, Flat, Frame, MeanPool))


def _width(operation: Operation) -> int:
    return operation.value.shape[1]


def _reading(operation: Operation, numbers: Mapping[int, int]) -> Operation:
    inputs = tuple(numbers[number] for number in operation.inputs)
    return operation if inputs == operation.inputs else replace(operation, inputs=inputs)
