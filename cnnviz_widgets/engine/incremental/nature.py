"""What torch says of an operation that a recording needs to know, looked up once for each."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch

from cnnviz_widgets.engine.geometry.call import FRESH, named

# what these return says nothing about the values
_METADATA = frozenset(("result_type", "is_same_size", "is_pinned", "is_set_to", "_has_compatible_shallow_copy_type"))
_ELSEWHERE = frozenset(("set_", "resize_", "resize_as_", "set_data", "set"))
_BLANK = frozenset(("empty_like", "new_empty", "new_empty_strided"))


@dataclass(frozen=True, eq=False)
class Nature:
    """An operation's nature.

    Attributes:
        name: without overload, as it was called.
        op: without the trailing underscore of an operation that writes in place.
        functional: the overload that returns what this one writes (itself where it writes nothing); None where there
            is none.
        writes: it changes an argument.
        random: it may draw random numbers.
        reads: it hands values to Python.
        sized: the shape of what it returns depends on values.
        fresh: of the tensors given it looks at shape, type and place only.
        blank: what it returns holds no values yet.
        metadata: what it returns is no tensor and says nothing about values.
        relocates: it gives a tensor other memory.
    """

    name: str
    op: str
    functional: Any
    writes: bool
    random: bool
    reads: bool
    sized: bool
    fresh: bool
    blank: bool
    metadata: bool
    relocates: bool


@functools.cache
def nature(func: Any) -> Nature:
    """The nature of `func`."""
    name = func.overloadpacket.__name__
    writes = func._schema.is_mutable
    functional = _functional(func, name) if writes else func
    return Nature(
        name=name,
        op=functional.overloadpacket.__name__ if functional is not None else name,
        functional=functional,
        writes=writes,
        random=torch.Tag.nondeterministic_seeded in func.tags,
        reads=torch.Tag.data_dependent_output in func.tags,
        sized=torch.Tag.dynamic_output_shape in func.tags,
        fresh=name in FRESH,
        blank=name in _BLANK or name.startswith("empty"),
        metadata=name in _METADATA,
        relocates=name in _ELSEWHERE,
    )


def is_quiet(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """True for a call that draws no random numbers though its operation may: dropout in eval mode."""
    given = named(func, args, kwargs)
    for switch in ("train", "training"):
        if given.get(switch) is False:
            return True
    return any(given.get(rate) == 0 for rate in ("dropout", "dropout_p"))


def _functional(func: Any, name: str) -> Any:
    """The same operation that leaves its first argument, the only one that `func` writes to, as it is."""
    written = [a for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    first = func._schema.arguments[0]
    if [a.name for a in written] != [first.name] or str(first.type) != "Tensor" or not name.endswith("_"):
        return None
    bare = f"__{name[3:]}" if name.startswith("__i") and name.endswith("__") else name[:-1]
    packet = getattr(getattr(torch.ops, func.namespace), bare, None)
    return getattr(packet, func._overloadname, None)
