"""A network as a list of known operations, made from its tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from cnnviz_widgets.engine.incremental.batching import batched
from cnnviz_widgets.engine.incremental.operations import Batched, Local, Operation, Pooled, Value
from cnnviz_widgets.engine.incremental.pruning import folded, laid_out, narrowed, needed, unjoined
from cnnviz_widgets.engine.incremental.reading import response
from cnnviz_widgets.engine.incremental.recorded import Recorded
from cnnviz_widgets.engine.incremental.rules import RULES
from cnnviz_widgets.engine.incremental.sliding import Convolution
from cnnviz_widgets.engine.incremental.sweep import Want
from cnnviz_widgets.engine.incremental.tape import Ref, Tape
from cnnviz_widgets.results import Unit


@dataclass(frozen=True, eq=False)
class Program:
    """What is computed for each position of a patch.

    Attributes:
        picture: the value 0, the network's input.
        operations: operation n makes value n + 1; none reads a later one.
        output: the number of the value that is wanted, (N, k).
        macs: multiply-adds of the whole network for one picture, also of classes that are not wanted.
    """

    picture: Value
    operations: tuple[Operation, ...]
    output: int
    macs: int

    @cached_property
    def values(self) -> list[Value]:
        """All values, by number."""
        return [self.picture, *(operation.value for operation in self.operations)]

    @cached_property
    def last(self) -> dict[int, int]:
        """For each value that is read, the number of the last that is made from it."""
        return {n: number for number, operation in enumerate(self.operations, start=1) for n in operation.inputs}

    @cached_property
    def viewed(self) -> frozenset[int]:
        """Values whose memory another value may share."""
        return frozenset(number for operation in self.operations if not operation.fresh for number in operation.inputs)

    @cached_property
    def own_bytes(self) -> int:
        """Memory of weights that are not the network's own: with batch norm in them, or laid out anew."""
        return sum(operation.own_bytes for operation in self.operations if isinstance(operation, Convolution))


def program(tape: Tape, want: Want, like: Tensor, axes: tuple[int, ...] | None = None) -> Program:
    """What computes `want` as the network on the tape does.

    Args:
        tape: a recorded pass that can stand for the network.
        want: class numbers, all classes (None), or a unit.
        like: a tensor of the network's type on its device.
        axes: how the output of a unit's layer is turned into (N, C, h, w).
    """
    picture = Value(tape.shape, (2, 3))
    values, operations = [picture], list[Operation]()
    numbers = {Ref(-1): 0}
    layers = {ref: name for name, ref in reversed(tape.layers.items()) if "#" not in name}

    def emit(operation: Operation) -> int:
        operations.append(operation)
        values.append(operation.value)
        return len(operations)

    for place, node in enumerate(tape.nodes):
        for output in range(len(node.shapes)):
            call = Recorded(node, output, numbers, values, emit, like)
            same = node.op in _IDENTITY and len(call.refs) == 1
            ref = Ref(place, output)
            numbers[ref] = call.inputs[0] if same else emit(replace(_recognised(call), layer=layers.get(ref, "")))
    wanted = tape.layers[want.layer] if isinstance(want, Unit) else tape.output
    end = numbers[wanted]
    if isinstance(want, Unit):
        end = _activity(end, values[end], want, axes, emit)
    made = folded(*needed(operations, end))
    macs = sum(operation.macs for operation in made[0])
    if isinstance(want, tuple):
        made = narrowed(*made, want)
    made = unjoined(*made)
    return Program(picture, laid_out(made[0]), made[1], macs)


# what changes nothing when nothing is trained
_IDENTITY = frozenset(
    ["dropout", "dropout2d", "feature_dropout", "alpha_dropout", "contiguous", "clone", "detach", "alias", "lift_fresh"]
)


def _activity(
    number: int, value: Value, unit: Unit, axes: tuple[int, ...] | None, emit: Callable[[Operation], int]
) -> int:
    """The number of a new value (1, 1): the response of a unit of the layer that puts out `value`."""
    channel = axes[1] if axes else 1
    if axes is not None and value.axes is not None and value.axes == (axes[2], axes[3]):
        shape = tuple(1 if axis == channel else size for axis, size in enumerate(value.shape))
        mine = unit.channel
        number = emit(
            Local(
                name="narrow",
                inputs=(number,),
                value=Value(shape, value.axes),
                call=lambda tensors: tensors[0].narrow(channel, mine, 1),
                aligned=(True,),
                fresh=False,
            )
        )
        if unit.y is None:
            return emit(Pooled(name="sum", inputs=(number,), value=Value((1, 1)), factor=1.0, axes=value.axes))
        unit = Unit(unit.layer, 0, unit.y, unit.x)

    def measure(tensors: Sequence[Tensor]) -> Tensor:
        return response(tensors[0].permute(*axes) if axes else tensors[0], unit)

    return emit(Batched(name="response", inputs=(number,), value=Value((1, 1)), call=measure))


def _recognised(call: Recorded) -> Operation:
    if not any(value.stacked for value in call.read) and all(value.shape[:1] == (1,) for value in call.read):
        for rule in RULES.get(call.name, ()):
            found = rule(call)
            if found is not None:
                return found
    return batched(call)
