"""Passes of many pictures in which somebody looks on: for what is gathered over a whole collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import device as devices
from cnnviz_widgets.engine.capture import calls_of, first_tensor, scores_of
from cnnviz_widgets.engine.in_turn import take_in_turn
from cnnviz_widgets.engine.kernels import quicken
from cnnviz_widgets.engine.layout import Lasting

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine

Look = Callable[[Tensor, int], None]
"""Of some pictures of a batch, and which one of it is their first."""


class Observer:
    """A stand-in of the network for one thread and many passes, while nothing is trained.

    Of each layer that is named, its `look` sees what it puts out, (N, C, h, w) for maps, at the moment when it does:
    nothing is kept or copied, and what an in-place operation does to the tensor comes after. It must not keep it.
    ``":input"`` behind a name is what the layer reads. Some layers run for a few pictures at a time (see `in_turn`):
    a look then sees a batch in parts. Of a layer that runs several times each call is seen, the last one last.
    """

    def __init__(self, engine: Engine, looks: dict[str, Look], like: Tensor) -> None:
        """Of the network as it is now.

        Args:
            engine: whose network.
            looks: what looks at which layer, by name.
            like: an input, for the table of layers.
        """
        self._engine, self._looks = engine, looks
        self._table = engine.layers_for(like)
        self._axes = {name: None if name.endswith(INPUT) else self._table[name].axes for name in looks}
        self._counts: dict[str, int] = {}
        self._in_turn: frozenset[str] = frozenset()
        self._seen: dict[str, int] = {}  # pictures of this pass, by layers that take them in turn
        self._twin = Lasting(self._watched, engine._layout)

    def __call__(self, make: Callable[[], Tensor]) -> Tensor:
        """The scores (N, classes) of the inputs that `make` makes; it may be called a second time (see `Lasting`)."""

        def made() -> Tensor:
            self._counts, self._seen = {}, {}
            return make()

        with torch.inference_mode(), devices.exact(self._engine.device):
            return self._twin.run(made, lambda net, x: scores_of(net(x)))

    def _watched(self) -> nn.Module:
        twin = self._engine._twin()
        self._in_turn = take_in_turn(twin, self._table)
        quicken(twin)
        modules = dict(twin.named_modules())
        outputs = [name for name in self._looks if not name.endswith(INPUT)]
        for module, calls in calls_of(outputs, modules).items():
            modules[module].register_forward_hook(self._hook(module, calls))
        for name in self._looks:
            if name.endswith(INPUT):
                modules[name.removesuffix(INPUT)].register_forward_pre_hook(self._input_hook(name))
        return twin

    def _hook(self, module: str, calls: dict[int, str]) -> Any:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            count = self._counts[module] = self._counts.get(module, 0) + 1
            tensor = first_tensor(output)
            for number in (0, count):
                if number in calls and tensor is not None:
                    self._see(calls[number], tensor)

        return hook

    def _input_hook(self, name: str) -> Any:
        def hook(_module: nn.Module, args: Any) -> None:
            tensor = first_tensor(args)
            if tensor is not None:
                self._see(name, tensor)

        return hook

    def _see(self, name: str, tensor: Tensor) -> None:
        axes, first = self._axes[name], self._seen.get(name, 0)
        if name.removesuffix(INPUT) in self._in_turn:
            self._seen[name] = first + len(tensor)
        self._looks[name](tensor.permute(*axes) if axes else tensor, first)


INPUT = ":input"


def penultimate(engine: Engine, x: Tensor) -> str:
    """The name of what the classifier reads: the layer that puts it out, else the classifier's with ``":input"``.

    Of several layers that put out the same it is the first. Found by running the network on `x`, never by names.
    """
    table = engine.layers_for(x)
    ran = table.in_order()
    parents = {row.name.rpartition(".")[0] for row in ran}
    heads = [row for row in ran if row.name not in parents and _has_kernel(engine, row.name) and row.shape]
    if not heads:
        raise ValueError(f"{engine.name} has no layer with weights, so there is no embedding; name a layer: layers=")
    head = heads[-1].name
    before: Sequence[str] = [row.name for row in ran if row.shape and row.calls == 1 and row.order < heads[-1].order]
    kept = engine.run(x, before, [head])
    wanted = kept.inputs[head].flatten(1)
    for name in before:
        given = kept.outputs[name].flatten(1)
        if given.shape == wanted.shape and torch.equal(given, wanted):
            return name
    return head + INPUT


def _has_kernel(engine: Engine, name: str) -> bool:
    return any(weight.ndim >= 2 for weight in engine.modules[name].parameters(recurse=False))
