"""Watch for what leaves or changes a tensor without an operation."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from cnnviz_widgets.engine.incremental.taping import Recorder


class Unseen(TorchFunctionMode):
    """Refuses what leaves or changes a tensor without an operation."""

    def __init__(self, recorder: Recorder) -> None:
        """Report to `recorder`."""
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look whether a value of the picture leaves torch."""
        if func in _UNSEEN and not self._recorder.why_not:
            name = getattr(func, "__name__", "") if func != _SET_DATA else ".data ="
            if any(map(self._recorder.depends, args)):
                self._recorder.refuse(f"the network takes values that depend on the picture out of torch ({name})")
            if func == _SET_DATA:
                self._recorder.changes_constant(name, args[0])
        return func(*args, **(kwargs or {}))


_SET_DATA = Tensor.data.__set__  # pyright: ignore[reportAttributeAccessIssue]
_UNSEEN = frozenset(
    (
        *(Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.data_ptr, Tensor.apply_, Tensor.map_, Tensor.map2_),
        *(Tensor.__dlpack__, Tensor.untyped_storage, Tensor.storage, Tensor._typed_storage),
        *(Tensor.__deepcopy__, Tensor.__reduce_ex__, Tensor.share_memory_, _SET_DATA),
    )
)
