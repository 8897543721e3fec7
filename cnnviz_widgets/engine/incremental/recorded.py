"""One operation of a tape, as the rules that recognise it see it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.operations import Call, Operation, Slot, Value, fill_in
from cnnviz_widgets.engine.incremental.tape import Node, Ref

_ATEN = torch.ops.aten
# the same elements also where maps lie with channels last, which then have no such view
_SAFE: dict[Any, Any] = {
    _ATEN.view.default: _ATEN.reshape.default,
    _ATEN._unsafe_view.default: _ATEN.reshape.default,
    _ATEN.view_as.default: _ATEN.reshape_as.default,
}


@dataclass(frozen=True, eq=False)
class Recorded:
    """An operation of the tape and the values that it reads.

    Attributes:
        node: the operation, one of whose `outputs` is meant.
        output: which.
        numbers: by reference, the numbers of the values that are known so far.
        values: what is known of each.
        emit: adds an operation to the program and gives the number of its value.
        like: a tensor on the device and of the type of all others.
    """

    node: Node
    output: int
    numbers: Mapping[Ref, int]
    values: Sequence[Value]
    emit: Callable[[Operation], int]
    like: Tensor

    @property
    def name(self) -> str:
        """torch's name of the operation."""
        return self.node.op

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what comes out."""
        return self.node.shapes[self.output]

    @property
    def refs(self) -> list[Ref]:
        """The values read, in the order of the arguments, each once."""
        return list(dict.fromkeys(_refs((*self.node.args, *self.node.kwargs.values()))))

    @property
    def inputs(self) -> tuple[int, ...]:
        """Their numbers."""
        return tuple(self.numbers[ref] for ref in self.refs)

    @property
    def read(self) -> list[Value]:
        """What is known of them."""
        return [self.values[number] for number in self.inputs]

    def only(self, *names: str) -> bool:
        """Whether no other argument than these depends on the picture."""
        return all(name in names or not _refs([value]) for name, value in self.node.named().items())

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The weights among the arguments."""
        return tuple(t for t in _flat((*self.node.args, *self.node.kwargs.values())) if isinstance(t, Tensor))

    def call(self) -> Call:
        """The operation itself, for tensors in the order of `inputs`."""
        slots = {ref: Slot(number) for number, ref in enumerate(self.refs)}
        args = _replaced(self.node.args, slots)
        kwargs = {name: _replaced(value, slots) for name, value in self.node.kwargs.items()}
        func, output = self.node.func, self.output
        func = _SAFE.get(func, func)
        alone = [str(returned.type) for returned in func._schema.returns] == ["Tensor"]
        if not kwargs and alone:
            if args == (Slot(0),):
                return lambda tensors: func(tensors[0])
            return lambda tensors: func(*fill_in(args, tensors))

        def run(tensors: Sequence[Tensor]) -> Tensor:
            made = func(*fill_in(args, tensors), **{name: fill_in(value, tensors) for name, value in kwargs.items()})
            return made[output] if isinstance(made, (tuple, list)) else made

        return run

    def follow(self, value: Value) -> tuple[int, int] | None:
        """Where y and x of `value` are after its elements were only given another shape; None when they are nowhere."""
        if value.axes is None:
            return None
        found: list[int] = []
        for axis in value.axes:
            before, length = math.prod(value.shape[:axis]), value.shape[axis]
            places = [
                place
                for place, size in enumerate(self.shape)
                if place and size == length and math.prod(self.shape[:place]) == before and place not in found
            ]
            if not places:
                return None
            found.append(places[-1])
        return found[0], found[1]


def _refs(values: Any) -> list[Ref]:
    return [item for item in _flat(values) if isinstance(item, Ref)]


def _flat(values: Any) -> list[Any]:
    out: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple)):
            out += _flat(value)
        else:
            out.append(value)
    return out


def _replaced(value: Any, slots: Mapping[Ref, Slot]) -> Any:
    if isinstance(value, Ref):
        return slots[value]
    if isinstance(value, (list, tuple)):
        return type(value)([_replaced(item, slots) for item in value])
    return value
