"""Follow one forward pass, operation by operation."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from cnnviz_widgets.engine.geometry.call import FRESH, Call, named, tensors_in
from cnnviz_widgets.engine.geometry.origin import Origin, Span, image_dims
from cnnviz_widgets.engine.geometry.rules import RULES


class Trace(TorchDispatchMode):
    """Follow one forward pass; enter it inside `torch.inference_mode()`, where operations arrive undivided.

    Example:
        ``with torch.inference_mode(), Trace() as trace: trace.start(x); y = model(x); trace.origin(y)``
    """

    def __init__(self) -> None:
        """Make a trace that knows no tensor yet."""
        super().__init__()
        self._origins = WeakIdKeyDictionary()
        # memory that something known was written into; the tensor is kept so that its address is not used again
        self._written: dict[int, tuple[Origin, Tensor]] = {}
        self._changes = WeakIdKeyDictionary()  # how often a tensor was changed in place

    def start(self, image: Tensor) -> None:
        """Declare `image` (N, C, H, W) to be the network's input."""
        unit = (Span(1, 0, 0), Span(1, 0, 0))
        self._origins[image] = Origin(image_dims(image.shape), unit)

    def origin(self, tensor: Tensor) -> Origin | None:
        """What is known of `tensor`; None when it does not depend on the picture."""
        if self._written and tensor not in self._origins and _storage(tensor) in self._written:
            self._origins[tensor] = self._written[_storage(tensor)][0]
        return self._origins.get(tensor)

    def changes(self, tensor: Tensor) -> int:
        """How often `tensor` was changed in place so far."""
        return self._changes.get(tensor) or 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and work out where its outputs come from."""
        name = func.overloadpacket.__name__
        arguments = named(func, args, kwargs or {})
        before = [origin for origin in map(self.origin, tensors_in(arguments.values())) if origin is not None]
        result = func(*args, **(kwargs or {}))
        outputs = tensors_in([result])
        if not before or not outputs or name in FRESH:
            return result
        in_place = name.endswith("_") and outputs[0] is arguments.get("self")
        was = self._origins.get(outputs[0]) if in_place else None
        rule = RULES.get(name.rstrip("_")) or RULES.get(name)
        for number, output in enumerate(outputs):
            call = Call(name, arguments, self._origins, output, number)
            found = rule(call) if rule else before[0].lost(f"{name} is not followed")
            self._origins[output] = _fitting(found, output, name)
        if in_place:
            self._changes[outputs[0]] = self.changes(outputs[0]) + 1
            if self._origins[outputs[0]] != was:
                self._spoil(outputs[0], before[0].lost(f"a part of it was written by {name}"))
        return result

    def _spoil(self, part: Tensor, origin: Origin) -> None:
        """Something was written into `part`: nothing is certain any more of whatever else shares its memory."""
        place = _storage(part)
        self._written[place] = (origin, part)
        for tensor in list(self._origins.keys()):
            if tensor is not part and _storage(tensor) == place:
                self._origins[tensor] = self._origins[tensor].lost(origin.why)


def _fitting(origin: Origin, output: Tensor, name: str) -> Origin:
    """`origin`, unless it does not describe a tensor of this shape: a case that its rule did not foresee."""
    sizes = None if origin.dims is None else [math.prod(size for _, size in dim) for dim in origin.dims]
    return (
        origin if sizes is None or sizes == list(output.shape) else origin.lost(f"{name} in this form is not followed")
    )


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
