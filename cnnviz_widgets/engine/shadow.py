"""A stand-in for the user's module that shares its weights and nothing else.

Every run of the network goes through a fresh stand-in: the same classes, the same parameters, but its own module
objects. Putting it into eval mode, hooking it, or whatever a forward pass stores on its modules never reaches the
user's module, not even for a moment; so there is nothing to give back after an exception or an interrupt, and a
training loop in another cell can run at the same time.
"""

from __future__ import annotations

import copy
import functools
import types
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Place = Callable[[Tensor], Tensor]
M = TypeVar("M", bound=nn.Module)

# What nn.Module keeps in dictionaries of its own; the stand-in gets copies, so adding a hook here adds none there, and
# a hook that is a method of some module writes to that module's stand-in.
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
# what nobody can write to, and most attributes of a module are: kernel sizes, flags, names
_PLAIN = frozenset((int, float, bool, str, bytes, type(None)))
_COMPILED = frozenset(("_compiled_call_impl", "dynamo_ctx"))


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
    hooked = [name for name in _HOOKS if state.get(name)]
    for name in _HOOKS:
        if name in state:
            state[name] = state[name].copy() if name in hooked else type(state[name])()  # most are empty
    state["training"] = False
    state["_parameters"] = {name: _alias(value, place, seen) for name, value in module._parameters.items()}
    # A module of the user's own may write into its buffers during a forward pass (a counter, a running mean); the
    # modules of torch.nn do not in eval mode, so theirs need no copy.
    buffer = _alias if type(module).__module__.startswith("torch.nn") else _duplicate
    state["_buffers"] = {name: buffer(value, place, seen) for name, value in module._buffers.items()}
    twin.__dict__.update(state)
    twin.__dict__["_modules"] = {
        name: None if child is None else _copy(child, place, seen) for name, child in module._modules.items()
    }
    for name in state.keys() - _STANDARD - _COMPILED:
        twin.__dict__[name] = _rebound(state[name], place, seen)
    for name in _COMPILED & state.keys():  # compiled code runs the module that it was compiled from: the user's own
        del twin.__dict__[name]
    if "_orig_mod" in twin._modules:  # what torch.compile wrapped
        twin.__dict__["forward"] = twin._modules["_orig_mod"]
    for name in hooked:
        hooks = twin.__dict__[name]
        if isinstance(hooks, dict):
            hooks.update({key: _rebound(hook, place, seen) for key, hook in hooks.items()})
    return twin


def _alias(value: Tensor | None, place: Place | None, seen: dict[int, Any]) -> Tensor | None:
    """The same weights, unknown to autograd: no gradient is computed for them, and a training step in another thread
    does not make the backward pass of a run fail."""
    if value is None:
        return None
    if id(value) not in seen:
        placed = value if place is None else place(value)
        # what was made in inference mode cannot be saved for a backward pass
        seen[id(value)] = placed.clone() if placed.is_inference() else placed.data
    return seen[id(value)]


def _duplicate(value: Tensor | None, place: Place | None, seen: dict[int, Any]) -> Tensor | None:
    """A copy to write into."""
    if value is not None and id(value) not in seen:
        placed = value.detach() if place is None else place(value)
        seen[id(value)] = placed.clone()
    return None if value is None else seen[id(value)]


def _rebound(value: Any, place: Place | None, seen: dict[int, Any]) -> Any:
    """A module's own attribute for its stand-in: modules hidden in it become stand-ins, containers and tensors
    copies."""
    kind = type(value)
    if kind in _PLAIN or (kind is tuple and all(type(item) in _PLAIN for item in value)):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, nn.Module):
        return _copy(value, place, seen)
    if isinstance(value, Tensor):
        return (_alias if isinstance(value, nn.Parameter) else _duplicate)(value, place, seen)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        twin = seen[id(value)] = copy.copy(value)  # before its items, which may lead back to it
        for key, item in value.items():
            twin[key] = _rebound(item, place, seen)
        return twin
    if isinstance(value, (list, deque)):
        twin = seen[id(value)] = copy.copy(value)
        for number, item in enumerate(value):
            twin[number] = _rebound(item, place, seen)
        return twin
    if type(value) in (tuple, set):
        items: Any = value
        return type(items)(_rebound(item, place, seen) for item in items)
    return _rebound_callable(value, place, seen)


def _rebound_callable(value: Any, place: Place | None, seen: dict[int, Any]) -> Any:
    """Methods of a module, and partial functions, closures and weak references that hold one, for its stand-in: else
    they would run, and train, the user's own."""

    def own(part: Any) -> Any:
        held = isinstance(part, (nn.Module, types.MethodType))
        return _rebound(part, place, seen) if held else part

    if isinstance(value, types.FunctionType):  # compiled code runs the user's own modules
        value = getattr(value, "_torchdynamo_orig_callable", value)
    if isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module):
        return types.MethodType(value.__func__, own(value.__self__))
    if type(value) is functools.partial:
        keywords = {name: own(part) for name, part in value.keywords.items()}
        return functools.partial(own(value.func), *map(own, value.args), **keywords)
    if type(value) is weakref.ref and isinstance(value(), nn.Module):
        return weakref.ref(own(value()))
    if isinstance(value, types.FunctionType) and any(own(held) is not held for held in _closed_over(value)):
        cells = zip(value.__closure__ or (), _closed_over(value), strict=True)
        closure = tuple(cell if own(held) is held else types.CellType(own(held)) for cell, held in cells)
        twin = types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, closure)
        twin.__kwdefaults__ = value.__kwdefaults__
        return twin
    return value


def _closed_over(function: types.FunctionType) -> list[Any]:
    """What a function took along from where it was defined."""
    cells = function.__closure__ or ()
    try:
        return [cell.cell_contents for cell in cells]
    except ValueError:  # not yet assigned
        return []
