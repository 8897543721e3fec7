"""One operation of a recorded pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cnnviz_widgets.engine.geometry.call import named, tensors_in


@dataclass(frozen=True)
class Ref:
    """A value that depends on the picture: output `output` of node `node`; the picture itself where `node` is -1."""

    node: int
    output: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    Attributes:
        op: its name in torch's own library, without overload and trailing underscore: ``"conv2d"``, ``"relu"``.
        func: what to call, never an operation that writes in place.
        args: positional arguments; a `Ref`, alone or in a list, stands for a value that depends on the picture, a
            tensor is a constant: a weight, a buffer, or what was computed from constants alone.
        kwargs: the same by name.
        shapes: of its outputs, for a batch of 1.
    """

    op: str
    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]

    def named(self) -> dict[str, Any]:
        """Arguments by the names in the operation's schema, defaults included."""
        return named(self.func, self.args, self.kwargs)

    def run(self, value: Callable[[Ref], Tensor]) -> list[Tensor]:
        """The outputs, when `value` says what the references stand for."""
        args = [_filled(arg, value) for arg in self.args]
        return outputs_of(self.func(*args, **{name: _filled(arg, value) for name, arg in self.kwargs.items()}))


def outputs_of(result: Any) -> list[Tensor]:
    """The tensors that an operation returned, numbered as in `Ref.output`."""
    return [result] if isinstance(result, Tensor) else tensors_in([result])


def _filled(arg: Any, value: Callable[[Ref], Tensor]) -> Any:
    if isinstance(arg, Ref):
        return value(arg)
    if isinstance(arg, (list, tuple)):
        return [_filled(item, value) for item in arg]
    return arg
