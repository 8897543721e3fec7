"""For the tests of what layers answer: plain forward passes, a counter of passes, kernels that are highest inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models import Preprocessing
from tests.engine.slow_rules import sharing_copy

SIDE = 64


def engine_of(module: nn.Module, side: int = SIDE, **options: Any) -> Engine:
    return Engine(module, transform=Preprocessing(resize=side, crop=side), **options)


def plain_outputs(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What every module puts out, copied at that moment on a copy whose rectifiers work out of place; its last call."""
    twin, found = sharing_copy(module).eval(), {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            found[name] = output.clone()

    for name, part in twin.named_modules():
        if hasattr(part, "inplace"):
            vars(part)["inplace"] = False
        part.register_forward_hook(lambda _m, _a, output, name=name: keep(name, output))
    with torch.no_grad():
        twin(x)
    return found


class Passes:
    """Counts the passes of a network from now on."""

    def __init__(self, engine: Engine, x: Tensor) -> None:
        self.count = 0
        engine.model.register_forward_hook(self._one_more)
        _ = engine.layers_for(x), engine.categories  # the table takes passes of its own, once
        self.count = 0

    def _one_more(self, *_: object) -> None:
        self.count += 1

    def since(self) -> int:
        """How many there were since the last question."""
        count, self.count = self.count, 0
        return count


def peaked(kernel: int, stride: int, into: int = 1, **options: Any) -> nn.Conv2d:
    """A convolution whose kernel is positive and highest in its middle, without bias."""
    conv = nn.Conv2d(into, 1, kernel, stride, bias=False, **options)
    ramp = 1 + torch.minimum(torch.arange(kernel), torch.arange(kernel).flip(0)).float()
    conv.weight.data = (ramp[:, None] * ramp).expand(1, into, kernel, kernel).clone()
    return conv
