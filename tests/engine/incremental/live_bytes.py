"""How much memory tensors take that are made while one looks."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts operations, and the bytes of live storages that they made; what was there before is not counted.

    Attributes:
        peak: the most bytes that lived at a time.
        calls: by the operation's name, how often it ran.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.calls: dict[str, int] = {}
        self._mine: dict[int, tuple[StorageWeakRef, int]] = {}
        self._others: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.calls[name] = self.calls.get(name, 0) + 1
        self._bury()
        for storage in _storages((args, kwargs)):
            if storage._cdata not in self._mine:
                self._others[storage._cdata] = StorageWeakRef(storage)
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            if storage._cdata not in self._others:
                self._mine[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, sum(size for _, size in self._mine.values()))
        return out

    def _bury(self) -> None:
        self._mine = {key: (ref, size) for key, (ref, size) in self._mine.items() if not ref.expired()}
        self._others = {key: ref for key, ref in self._others.items() if not ref.expired()}


def _storages(tree: Any) -> list[Any]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
