"""One operation of a network, as the rules of this package see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cnnviz_widgets.engine.geometry.origin import Origin

# operations that only look at a tensor's shape, type and place
FRESH = frozenset(
    (
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"),
    )
)


@dataclass
class Call:
    """One operation as the rules below see it: its name, its arguments by name, and one of its outputs."""

    name: str
    args: dict[str, Any]
    origins: Any
    output: Tensor
    number: int = 0

    def known(self, *names: str) -> list[tuple[Tensor, Origin]]:
        """The arguments (all, or those named) that depend on the picture."""
        values = [self.args.get(name) for name in names] if names else list(self.args.values())
        return [(t, self.origins[t]) for t in tensors_in(values) if t in self.origins]

    def source(self) -> tuple[Tensor, Origin]:
        """The one tensor that a unary operation works on."""
        return self.known()[0]


def named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, defaults included: the dispatcher leaves them out."""
    schema = func._schema.arguments
    defaults = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**defaults, **dict(zip((argument.name for argument in schema), args, strict=False)), **kwargs}


def tensors_in(values: Any) -> list[Tensor]:
    """The tensors among some arguments, and in the lists among them."""
    out: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            out.append(value)
        elif isinstance(value, (list, tuple)):
            out += [item for item in value if isinstance(item, Tensor)]
    return out


def as_list(value: Any) -> list[int]:
    """An argument that may be one number or several."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
