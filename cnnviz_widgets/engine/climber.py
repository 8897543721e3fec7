"""Scores and gradients for many steps in a row: for pictures that are made by climbing a score."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import device as devices
from cnnviz_widgets.engine.backward import Rule, backward
from cnnviz_widgets.engine.both_ways import quicken_both_ways
from cnnviz_widgets.engine.capture import Run, calls_of, first_tensor, scores_of, with_first
from cnnviz_widgets.engine.jobs import checkpoint
from cnnviz_widgets.engine.layout import Lasting

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine


class Climber:
    """A stand-in of the network for many passes forward and back; made anew when the network was trained between two.

    Where no class is asked for, a pass ends with the last layer that is: what a network computes behind it changes
    nothing.
    """

    def __init__(self, engine: Engine, layers: Sequence[str], like: Tensor, *, classes: bool) -> None:
        """Of the layers whose output the climbed value is made from.

        Args:
            engine: whose network.
            layers: their names.
            like: an input such as will come, for the table of layers.
            classes: whether the value is made from class scores, too.

        Raises:
            KeyError: no such layer.
            LookupError: a layer gives no tensor.
        """
        table = engine.layers_for(like)
        for name in layers:
            if not table[name].shape:
                raise LookupError(f"layer {name!r} of {engine.name} {table[name].note or 'gives no tensor'}")
        self._engine, self._watch = engine, _Watch({name: table[name].calls for name in layers}, classes)
        self._state: Hashable = None
        _keep_memory(engine.device)

    def gradients(
        self,
        make: Callable[[], Tensor],
        value: Callable[[Run], Tensor],
        wanted: Sequence[Tensor],
        rule: Rule = "gradient",
    ) -> list[Tensor]:
        """The gradient of a value (a scalar) at the tensors that are `wanted`; zeros where it does not depend on one.

        Nobody's `.grad` is written. A job can be stopped before each pass.

        Args:
            make: makes the inputs (N, C, H, W) from those tensors, in memory of their own, for some networks write over
                them; it may be called a second time, to the same result.
            value: what is climbed, of a run that holds the layers and, where asked for, the class scores.
            wanted: tensors that require a gradient.
            rule: how the network's rectifiers pass it on, see `engine.backward`.

        Raises:
            NoRuleError: the rule cannot be right on this network.
        """
        checkpoint()
        if self._state is None or self._state != self._engine.state:
            twins = partial(_watched, self._engine, self._watch)
            self._twin, self._state = Lasting(twins, self._engine._layout), self._engine.state

        def both_ways(net: nn.Module, x: Tensor) -> list[Tensor]:
            climbed = value(self._run(net, x if rule == "gradient" else x.clone()))
            if not climbed.requires_grad:  # a score that no input changes
                return [torch.zeros_like(one) for one in wanted]
            if rule == "gradient":
                found = torch.autograd.grad(climbed, wanted, allow_unused=True)
            else:  # what makes the inputs has its own way back
                (inside,) = backward(climbed, [x], rule)
                found = torch.autograd.grad(x, wanted, inside, allow_unused=True)
            return [
                torch.zeros_like(one) if gradient is None else gradient
                for one, gradient in zip(wanted, found, strict=True)
            ]

        with torch.inference_mode(False), torch.enable_grad(), devices.exact(self._engine.device):
            return self._twin.run(make, both_ways)

    def _run(self, net: nn.Module, x: Tensor) -> Run:
        kept = Run(x.new_zeros((len(x), 0)))
        self._watch.begin()
        with contextlib.suppress(_Enough):
            kept.scores = self._engine._named(Run(scores_of(net(x)))).scores
        kept.outputs = self._watch.end()
        missing = [name for name in self._watch.layers if name not in kept.outputs]
        if missing:
            raise LookupError(f"layer {missing[0]!r} gave no tensor in this run; engine.layers lists those that do")
        return kept


class _Watch:
    """What layers put out in a pass. It knows no network, so one that nobody needs any more goes at once: it is as
    large as the user's, and the collector of circles comes seldom."""

    def __init__(self, calls: Mapping[str, int], to_the_end: bool) -> None:
        """Of layers, each with how often its module is called; a pass goes on to its end, or ends with the last one."""
        self._calls, self._to_the_end = calls, to_the_end
        self.begin()

    def begin(self) -> None:
        """A pass begins."""
        self._seen: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._left = len(self._calls)

    def end(self) -> dict[str, Tensor]:
        """The outputs, which are not held any longer."""
        seen, self._seen = self._seen, {}
        return seen

    def hook(self, module: str, calls: Mapping[int, str]) -> Any:
        """For a module, which is a layer for each of its calls, or one for all."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            count = self._counts[module] = self._counts.get(module, 0) + 1
            tensor = first_tensor(output)
            if tensor is None:
                return None
            names = [calls[number] for number in (0, count) if number in calls]
            if not names:
                return None
            kept = tensor.clone()  # what an in-place operation does to the tensor comes after
            self._seen.update(dict.fromkeys(names, kept))
            self._left -= sum(number > 0 or self._calls[calls[0]] == count for number in (0, count) if number in calls)
            if not (self._left or self._to_the_end):
                raise _Enough
            return with_first(output, kept.clone())

        return hook

    @property
    def layers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._calls)


def _watched(engine: Engine, watch: _Watch) -> nn.Module:
    twin = engine._twin()
    quicken_both_ways(twin)
    modules = dict(twin.named_modules())
    for module, calls in calls_of(watch.layers, modules).items():
        modules[module].register_forward_hook(watch.hook(module, calls))
    return twin


def _keep_memory(device: torch.device) -> None:
    """Let the allocator keep what a pass gives back, for the next one.

    The GNU C library hands free memory back to the system as soon as it is twice as much as the largest piece that was
    ever given back, and to get it again page by page costs a fifth of a pass. So it is given back a large piece, which
    nobody has written to.
    """
    if device.type == "cpu":
        torch.empty(LARGE, dtype=torch.uint8)


LARGE = 31 * 2**20  # of more than 32 MiB the library takes no notice


class _Enough(BaseException):
    """All that was wanted has been seen; no network catches it."""
