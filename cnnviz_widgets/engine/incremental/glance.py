"""A first look at a network: is following it, operation by operation, worth it?

Following takes about as long as a few passes, which must be saved again. The look costs nothing: it is the pass that
gives the scores of the bare picture. It may err, for it sees modules alone; what it decides is only how the answers
are computed, never what they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cnnviz_widgets.engine.capture import first_tensor, scores_of

# Measured on a CPU of today, in seconds for each module: what following costs, recording and compiling included, and
# what of a pass of one picture is starting operations. How much of the rest a picture takes among others, and how much
# of that is saved where all seems possible.
FOLLOWING, STARTING = 500e-6, 25e-6
AMONG_OTHERS, GAINED = 0.65, 0.45
_MIXING = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
_WORKING = (nn.Conv2d, nn.Linear)
_POOLING = (nn.AdaptiveAvgPool2d,)


@dataclass(frozen=True, eq=False)
class Glance:
    """What one pass shows.

    Attributes:
        scores: (1, classes) of the picture.
        seconds: how long it took.
        modules: how many modules without children it has.
        share: of the multiply-adds, those before the first module that looks at the whole map; 1 where only the
            classifier does.
        mixing: the name of that module, or "".
    """

    scores: Tensor
    seconds: float
    modules: int
    share: float
    mixing: str

    def why_not(self, positions: int) -> str:
        """Why following the network does not pay for so many positions; "" where it would."""
        each = AMONG_OTHERS * max(self.seconds - self.modules * STARTING, self.seconds / 4)
        if positions * each * self.share * GAINED >= self.modules * FOLLOWING:
            return ""
        if self.mixing and self.share < 0.5:
            return f"all but {self.share:.0%} of its multiply-adds come after {self.mixing}, which sees the whole map"
        return f"{positions} positions are too few to gain from following the network first"


def glance(twin: nn.Module, x: Tensor) -> Glance:
    """Run a stand-in of the network, which has hooks meanwhile, on a prepared picture (1, C, H, W) of its own."""
    seen: list[tuple[str, int, bool, bool]] = []  # of each module: name, multiply-adds, makes a map, sees a whole one
    hooks: list[RemovableHandle] = []

    def note(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            out = first_tensor(output)
            if out is None:
                return
            a_map = out.ndim == 4 and out.shape[-1] * out.shape[-2] > 1
            weight = getattr(module, "weight", None)
            macs = 0
            if isinstance(module, _WORKING) and isinstance(weight, Tensor):
                macs = out.numel() // weight.shape[0] * weight.numel()
            mixes = _attends(module) or (isinstance(module, _POOLING) and not a_map)
            seen.append((name, macs, a_map, mixes))

        hooks.append(module.register_forward_hook(hook))

    modules = 0
    for name, module in twin.named_modules():
        modules += next(module.children(), None) is None
        if isinstance(module, (*_WORKING, *_POOLING)) or _attends(module):
            note(name, module)
    start = time.perf_counter()
    with torch.inference_mode():
        scores = scores_of(twin(x))
        if scores.device.type == "cuda":
            torch.cuda.synchronize(scores.device)
    seconds = time.perf_counter() - start
    for handle in hooks:
        handle.remove()
    # a classifier sees the whole map too; what matters is what mixes while there are more maps to come
    last = max((n for n, (_, macs, a_map, _) in enumerate(seen) if macs and a_map), default=len(seen))
    mixing = (n for n, one in enumerate(seen) if one[3] and (n < last or _attends(twin.get_submodule(one[0]))))
    first = next(mixing, None)
    total = sum(macs for _, macs, _, _ in seen)
    before = total if first is None else sum(macs for _, macs, _, _ in seen[:first])
    share = before / total if total else 1.0
    return Glance(scores, seconds, modules, share, "" if first is None else seen[first][0])


def _attends(module: nn.Module) -> bool:
    """Whether this is attention between places; what is called so but convolves weighs places or channels alone."""
    if isinstance(module, _MIXING):
        return True
    called = "attention" in type(module).__name__.lower()
    return called and not any(isinstance(part, nn.Conv2d) for part in module.modules())
