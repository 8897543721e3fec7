"""What an engine remembers between calls: a bounded store that forgets when the network changes."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

T = TypeVar("T")


class Cache:
    """Computed values by key, valid for one state of the network; the least recently used go first.

    Example:
        ``engine.cache.clear()`` forgets everything (nothing else is needed after training: it notices).
    """

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
        """Make an empty cache that holds about `max_bytes` of tensors and arrays."""
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._state: Hashable = None
        self._lock = threading.Lock()

    def get(self, state: Hashable, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `key` for the network in `state` (see `state_of`), computed when it is not there."""
        with self._lock:
            if state != self._state:
                self._forget()
                self._state = state
            elif key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]
        value = compute()  # outside the lock: another thread's look-up need not wait for it
        size = _bytes_in(value)
        with self._lock:
            if state == self._state and key not in self._entries and size <= self.max_bytes:
                self._entries[key] = (value, size)
                self._bytes += size
                while self._bytes > self.max_bytes:
                    self._bytes -= self._entries.popitem(last=False)[1][1]
        return value

    def recall(self, state: Hashable, key: Hashable) -> object | None:
        """The value of `key` if it is there, else None."""
        with self._lock:
            return self._entries[key][0] if state == self._state and key in self._entries else None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._forget()

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._entries)

    def _forget(self) -> None:
        self._entries.clear()
        self._bytes = 0


def key_of(x: Tensor) -> Hashable:
    """A short key for a prepared input: its shape and a digest of its values."""
    values = x.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
    for known, digest in tuple(_known):
        if known == values:
            return (tuple(x.shape), digest)
    digest = hashlib.blake2b(values, digest_size=16).hexdigest()
    if len(values) <= _SMALL:
        _known.append((values, digest))
    return (tuple(x.shape), digest)


# The inputs asked about last, with their digests: to compare is ten times as fast as to digest, and a picture that
# somebody plays with is asked about at every move.
_SMALL = 16 * 2**20
_known: deque[tuple[bytes, str]] = deque(maxlen=3)


def state_of(module: nn.Module) -> Hashable:
    """A value that changes whenever the network could compute something else.

    It names every module (also those hidden in lists), its settings and its hooks, and every parameter, buffer and
    other tensor with its version counter, which each in-place update (an optimiser's step, `load_state_dict`) raises.
    The counter misses what is written through `.data` (or numpy). Sampled elements stand in for that: a line along each
    axis, so that a change of a whole filter or input channel is seen; one of a single weight elsewhere is not.
    """
    notes = _Notes()
    notes.module(module)
    sampled = _sample(notes)  # which notes where the tensors are
    return tuple(notes.parts), sampled


_PLAIN = frozenset((int, float, bool, str, type(None)))
_GROUPS = frozenset(("_parameters", "_buffers", "_modules"))
_HOOKS = frozenset(("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"))
_STANDARD = frozenset(nn.Module().__dict__)


class _Notes:
    """What is written down while walking through a network."""

    def __init__(self) -> None:
        self.parts: list[Hashable] = []
        self.tensors: list[Tensor] = []
        self._seen: set[int] = set()

    def module(self, module: nn.Module) -> None:
        self.parts += (id(module), type(module), type(module).forward)
        if id(module) in self._seen:
            return
        self._seen.add(id(module))
        state = module.__dict__
        for name, value in state.items():
            if name in _GROUPS:
                if value:
                    self.items(value)
            elif name in _HOOKS:
                if value:
                    self.parts += (name, tuple(value))
            elif name not in _STANDARD:
                self.parts.append(name)
                self.value(value)

    def items(self, group: Mapping[Any, Any]) -> None:
        for name, value in group.items():
            self.parts.append(name if type(name) in _PLAIN else id(name))
            self.value(value)

    def value(self, value: Any) -> None:
        if type(value) in _PLAIN:
            self.parts.append(value)
        elif isinstance(value, Tensor):
            self.tensors.append(value)
        elif type(value) is tuple and all(type(item) in _PLAIN for item in value):
            self.parts.append(value)
        elif isinstance(value, nn.Module):
            self.module(value)
        elif isinstance(value, (list, tuple, dict)) and id(value) not in self._seen:
            self._seen.add(id(value))
            self.items(value if isinstance(value, dict) else dict(enumerate(value)))
        else:
            self.parts.append(_Itself(value))


class _Itself:
    """Equal for the very same object only; holds it, so that no other can be made at its address."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


def _sample(notes: _Notes) -> Hashable:
    """Which tensors there are, and the bytes of a few elements of each; read in one go for each device and type."""
    alike: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    with torch.inference_mode():  # which spares every view a past
        for tensor in notes.tensors:
            memory = tensor.layout == torch.strided and tensor.device.type != "meta"  # which sparse ones have not
            version = None if tensor.is_inference() else tensor._version
            notes.parts.append((id(tensor), tensor.data_ptr() if memory else 0, version))
            if memory and tensor.numel():
                alike.setdefault((tensor.device, tensor.dtype), []).extend(_lines(tensor))
        return tuple(torch.cat(lines).cpu().view(torch.uint8).numpy().tobytes() for lines in alike.values())


def _lines(tensor: Tensor) -> list[Tensor]:
    """The elements along each axis, through the middle."""
    shape = tensor.shape
    if len(shape) == 1:
        return [tensor]
    axes = [(size, stride) for size, stride in zip(shape, tensor.stride(), strict=True) if size > 1]
    first = tensor.storage_offset()
    middle = first + sum(size // 2 * stride for size, stride in axes)
    lines = [tensor.as_strided((size,), (stride,), middle - size // 2 * stride) for size, stride in axes]
    return lines or [tensor.as_strided((1,), (1,), first)]


def _bytes_in(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_bytes_in, value.values()))
    if is_dataclass(value):
        return sum(_bytes_in(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return sum(map(_bytes_in, value))
    return sys.getsizeof(value)
