"""Which layers each layer reads, followed through any graph while it runs: branches, sums and shortcuts are found here.

A `Flow` watches one forward pass, operation by operation, and carries for each tensor the layers that it was computed
from with no layer between. It rests on what the network does, never on names or on the order of its parts, so a
residual sum written as `x + y`, a functional `torch.cat` and a module that changes its input in place are all seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from cnnviz_widgets.engine.geometry.call import tensors_in


@dataclass(frozen=True)
class Inflow:
    """What came together in a tensor.

    `layers` are those it was computed from with no layer between, in the order in which they were used; "" is the
    picture. `join` is the operation that last brought several of them together: "add" for a residual sum, "cat" for
    branches that are stacked, "mul" for a gate, or what else it was; "" where there was nothing to join.
    """

    layers: tuple[str, ...] = ()
    join: str = ""

    def __bool__(self) -> bool:
        """Whether anything is known to flow in."""
        return bool(self.layers)


class Flow(TorchDispatchMode):
    """Follow one forward pass; enter it inside `torch.inference_mode()`, where operations arrive undivided.

    Example:
        ``with torch.inference_mode(), Flow() as flow: flow.label(x, ""); y = model(x); flow.into(y)``
    """

    def __init__(self) -> None:
        super().__init__()
        self._inflows = WeakIdKeyDictionary()

    def label(self, tensor: Tensor, layer: str) -> None:
        """Say that `layer` put out `tensor`: whatever is computed from it reads that layer."""
        self._inflows[tensor] = Inflow((layer,))

    def into(self, *tensors: Tensor) -> Inflow:
        """What all of these were computed from, together."""
        return _together((self._inflows.get(tensor) for tensor in tensors), "")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation; its outputs come from whatever its inputs came from."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        inflow = _together((self._inflows.get(tensor) for tensor in tensors_in([*args, *kwargs.values()])), name)
        result = func(*args, **kwargs)
        outputs = tensors_in([result])
        if name.endswith("_") and outputs and args and outputs[0] is args[0]:
            self._write(outputs[0], inflow)
        else:
            for output in outputs:
                self._inflows[output] = inflow  # also where nothing flows in: something may be written there later
        return result

    def _write(self, part: Tensor, inflow: Inflow) -> None:
        """`part` was changed in place, and with it whatever shares its memory."""
        before = self._inflows.get(part)
        self._inflows[part] = inflow
        if before == inflow:
            return
        place = _storage(part)
        for tensor, held in list(self._inflows.items()):
            if tensor is not part and _storage(tensor) == place:
                self._inflows[tensor] = _together((held, inflow), inflow.join)


def _together(inflows: Iterable[Inflow | None], operation: str) -> Inflow:
    found = [inflow for inflow in inflows if inflow]
    layers = tuple(dict.fromkeys(layer for inflow in found for layer in inflow.layers))
    if len({frozenset(inflow.layers) for inflow in found}) > 1:
        return Inflow(layers, operation.rstrip("_"))
    return Inflow(layers, found[0].join if found else "")


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
