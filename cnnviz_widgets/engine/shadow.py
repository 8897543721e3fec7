"""A stand-in for the user's module that shares its weights and nothing else.

Every run of the network goes through a fresh stand-in: the same classes, the same parameters, but its own module
objects. Putting it into eval mode, hooking it, or whatever a forward pass stores on its modules never reaches the
user's module, not even for a moment; so there is nothing to give back after an exception or an interrupt, and a
training loop in another cell can run at the same time.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Place = Callable[[Tensor], Tensor]
M = TypeVar("M", bound=nn.Module)

# What nn.Module keeps in dictionaries of its own; the stand-in gets copies, so adding a hook here adds none there.
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_non_persistent_buffers_set",
)
_STANDARD = frozenset(nn.Module().__dict__)


def shadow(module: nn.Module, place: Place | None = None) -> nn.Module:
    """A stand-in of `module` in eval mode that shares its weights.

    Args:
        module: the user's network; it is only read.
        place: where parameters and buffers should be (another device or dtype); None leaves them where they are.

    Raises:
        TypeError: a TorchScript module, which cannot be copied without its compiled state.
    """
    return _copy(module, place, {})


def unwrap(module: nn.Module) -> nn.Module:
    """The network itself, without the wrappers of torch.compile and (Distributed)DataParallel."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def _copy(module: M, place: Place | None, seen: dict[int, Any]) -> M:
    if id(module) in seen:  # a module used in two places stays one module
        return seen[id(module)]
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(
            f"{type(module).__name__} is a TorchScript module, whose inside cannot be observed; "
            "give Engine the Python module that was scripted or traced"
        )
    twin = object.__new__(type(module))
    seen[id(module)] = twin
    state = dict(module.__dict__)
    for name in _HOOKS:
        if name in state:
            state[name] = state[name].copy()
    state["training"] = False
    state["_parameters"] = {name: _placed(value, place) for name, value in module._parameters.items()}
    # A module of the user's own may write into its buffers during a forward pass (a counter, a running mean); the
    # modules of torch.nn do not in eval mode, so theirs need no copy.
    own = not type(module).__module__.startswith("torch.nn")
    state["_buffers"] = {
        name: value.clone() if own and value is not None and placed is value else placed
        for name, value in module._buffers.items()
        for placed in [_placed(value, place)]
    }
    twin.__dict__.update(state)
    twin.__dict__["_modules"] = {
        name: None if child is None else _copy(child, place, seen) for name, child in module._modules.items()
    }
    for name in state.keys() - _STANDARD:
        twin.__dict__[name] = _rebound(state[name], place, seen)
    return twin


def _placed(value: Tensor | None, place: Place | None) -> Tensor | None:
    return value if value is None or place is None else place(value)


def _rebound(value: Any, place: Place | None, seen: dict[int, Any]) -> Any:
    """A module's own attribute for its stand-in: modules hidden in it become stand-ins, containers become copies."""
    if isinstance(value, nn.Module):
        return _copy(value, place, seen)
    if isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
        return types.MethodType(value.__func__, _copy(value.__self__, place, seen))
    if type(value) is dict:
        return {key: _rebound(item, place, seen) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        items: Any = value
        return type(items)(_rebound(item, place, seen) for item in items)
    return value
