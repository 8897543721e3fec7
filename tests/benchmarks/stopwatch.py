"""What the timing scripts share: calls timed in turn, and the network alone at its best setting to compare with."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import get_model

from cnnviz_widgets import Engine, samples
from cnnviz_widgets.models import BUNDLED, Preprocessing

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
LEAST, MOST = 2, 40  # repetitions


def engine_of(name: str, device: str | None) -> Engine:
    """A bundled network with its weights, any other of torchvision's with random ones."""
    torch.backends.cudnn.allow_tf32 = False  # the engine computes in full float32, so the others must too
    if name in BUNDLED:
        return Engine(name, device=device)
    torch.manual_seed(0)
    return Engine(get_model(name, weights=None).to(device or "cpu"), device=device, transform=Preprocessing())


def pictures(first: int = 0) -> Iterator[NDArray[np.uint8]]:
    """The cat again and again, each time another picture: shifted round by a column more."""
    cat = np.asarray(samples["cat"])
    for number in range(first, cat.shape[1]):
        yield np.roll(cat, number, axis=1)


class Clock:
    """Reads the time in seconds: of the wall, or what this process spent on the CPU, others' share left out."""

    def __init__(self, device: torch.device, cpu_time: bool = False) -> None:
        """Say where the work is done; its end is waited for."""
        self._device = device
        self._now = time.process_time if cpu_time else time.perf_counter

    def __call__(self) -> float:
        """The time now, all work done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._now()

    def of(self, call: Callable[[], object]) -> float:
        """How long one call takes."""
        start = self()
        call()
        return self() - start


def in_turn(rounds: Iterable[Sequence[Callable[[], object]]], budget: float, clock: Clock) -> NDArray[np.float64]:
    """Seconds (repetitions, calls) of the same calls one after the other, again and again for about `budget` seconds.

    What disturbs this machine then disturbs all of them alike. The first round warms up; it counts only where there is
    time for no more than two.
    """
    times: list[list[float]] = []
    for calls in rounds:
        times.append([clock.of(call) for call in calls])
        spent = sum(map(sum, times))
        if len(times) >= LEAST and (spent > budget or len(times) > MOST):
            break
    return np.array(times[1:] if len(times) > LEAST else times)


def fastest(settings: Mapping[str, Callable[[], object]], clock: Clock) -> str:
    """The setting that took least: the better of two calls each, of one where a call takes over a second."""
    best: dict[str, float] = {}
    for name, call in settings.items():
        first = clock.of(call)
        best[name] = first if first > 1 else min(clock.of(call) for _ in range(2))
    return min(best, key=lambda name: best[name])


class Bare:
    """A network alone, without anything of this package: one copy for each memory layout."""

    def __init__(self, engine: Engine) -> None:
        """Copy the network of an engine; no parameter asks for a gradient, which is what PyTorch is fastest with."""
        self.copies = {name: frozen(engine.model, form, engine) for name, form in LAYOUTS.items()}

    def forward(self, layout: str, x: Tensor, batch: int = 8) -> Tensor:
        """Scores (N, classes)."""
        with torch.inference_mode():
            return torch.cat([self.copies[layout](part) for part in self._laid_out(layout, x).split(batch)])

    def backward(self, layout: str, x: Tensor, target: int) -> Tensor:
        """The gradient of a class score at the input."""
        leaf = self._laid_out(layout, x).detach().clone().requires_grad_()
        score = self.copies[layout](leaf.clone())[:, target].sum()  # an in-place first layer may not change a leaf
        return torch.autograd.grad(score, leaf)[0]

    def backward_to(self, layout: str, x: Tensor, target: int, layer: str) -> tuple[Tensor, Tensor]:
        """The maps of a layer and the gradient of a class score there; the part below it runs without a graph."""
        kept: list[Tensor] = []

        def keep(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
            kept.append(output.detach().clone().requires_grad_())
            return kept[-1].clone()

        net = self.copies[layout]
        handle = net.get_submodule(layer).register_forward_hook(keep)
        try:
            score = net(self._laid_out(layout, x))[:, target].sum()
        finally:
            handle.remove()
        return kept[-1].detach(), torch.autograd.grad(score, kept[-1])[0]

    @staticmethod
    def _laid_out(layout: str, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=LAYOUTS[layout])


def frozen(model: nn.Module, form: torch.memory_format, engine: Engine) -> nn.Module:
    """A copy of a network in eval mode on the engine's device, in one memory layout, without gradients of weights."""
    twin = copy.deepcopy(model).to(engine.device, memory_format=form)  # pyright: ignore[reportCallIssue]
    return twin.eval().requires_grad_(False)
