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

from cnnviz_widgets.engine.capture import first_tensor, scores_of

# what following costs for each module, in seconds, beside one pass; and the share of what seems possible that is gained
FOLLOWING, GAINED = 350e-6, 0.4
_MIXING = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


@dataclass(frozen=True, eq=False)
class Glance:
    """What one pass shows.

    Attributes:
        scores: (1, classes) of the picture.
        seconds: how long it took.
        modules: how many modules without children ran.
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
        saved = positions * self.seconds * self.share * GAINED
        spent = self.seconds + self.modules * FOLLOWING
        if saved >= spent:
            return ""
        if self.mixing and self.share < 0.5:
            return f"all but {self.share:.0%} of its multiply-adds come after {self.mixing}, which sees the whole map"
        return f"{positions} positions are too few to gain from following the network first"


def glance(twin: nn.Module, x: Tensor) -> Glance:
    """Run a stand-in of the network, which gets hooks, on a prepared picture (1, C, H, W)."""
    seen: list[tuple[str, int, bool, bool]] = []  # of each module: name, multiply-adds, makes a map, sees a whole one

    def note(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            out = first_tensor(output)
            if out is None:
                return
            a_map = out.ndim == 4 and out.shape[-1] * out.shape[-2] > 1
            weight = getattr(module, "weight", None)
            macs = 0
            if isinstance(module, (nn.Conv2d, nn.Linear)) and isinstance(weight, Tensor):
                macs = out.numel() // weight.shape[0] * weight.numel()
            mixes = isinstance(module, _MIXING) or (isinstance(module, nn.AdaptiveAvgPool2d) and not a_map)
            seen.append((name, macs, a_map, mixes))

        module.register_forward_hook(hook)

    for name, module in twin.named_modules():
        if isinstance(module, _MIXING) or next(module.children(), None) is None:
            note(name, module)
    start = time.perf_counter()
    with torch.inference_mode():
        scores = scores_of(twin(x.clone()))
        if scores.device.type == "cuda":
            torch.cuda.synchronize(scores.device)
    seconds = time.perf_counter() - start
    # a classifier sees the whole map too; what matters is what mixes while there are more maps to come
    last = max((n for n, (_, macs, a_map, _) in enumerate(seen) if macs and a_map), default=len(seen))
    mixing = (n for n, one in enumerate(seen) if one[3] and (n < last or _attends(twin, one[0])))
    first = next(mixing, None)
    total = sum(macs for _, macs, _, _ in seen)
    before = total if first is None else sum(macs for _, macs, _, _ in seen[:first])
    share = before / total if total else 1.0
    return Glance(scores, seconds, len(seen), share, "" if first is None else seen[first][0])


def _attends(twin: nn.Module, name: str) -> bool:
    return isinstance(twin.get_submodule(name), _MIXING)
