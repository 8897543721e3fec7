"""The first layers of a network for a few pictures at a time, where their maps are large: what one puts out is then
still near the core when the next one reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine.kernels import IN_CACHE
from cnnviz_widgets.engine.layers import Layer

FEW = 2  # pictures at a time; one alone is slower by what each call costs
_SIMPLE = frozenset((nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d))
_BLOCKS = ("torchvision", "cnnviz_widgets")  # whose blocks, too, make of a picture what depends on no other one,
_OF_BLOCKS = ("torch", *_BLOCKS)  # if all that is in them is of these
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def take_in_turn(twin: nn.Module, table: Mapping[str, Layer]) -> frozenset[str]:
    """Let a stand-in of the network (see `shadow`) do so, on a CPU, where a plain sequence begins with such layers.

    Whoever looks on sees a batch in parts there, one after the other.

    Args:
        twin: the stand-in.
        table: its layers.

    Returns:
        The layers that do.
    """
    names = {module: name for name, module in twin.named_modules()}
    taken: list[str] = []
    for net in names:
        if type(net) is nn.Sequential and "forward" not in vars(net):
            parts = list(net)
            inside = [[names[module] for module in part.modules()] for part in parts]
            first = _large(parts, [[table.get(name) for name in each] for each in inside])
            if first > 1:  # of one alone nobody reads what is near
                vars(net)["forward"] = partial(_forward, parts[:first], parts[first:])
                taken += [name for each in inside[:first] for name in each]
    return frozenset(taken)


def _large(parts: Sequence[nn.Module], rows: Sequence[Sequence[Layer | None]]) -> int:
    """How many of the first parts put out, or take in, a picture's maps that are large.

    `rows`: of each part its own row of the table, and those of the layers in it.
    """
    count, before = 0, False
    for part, (own, *inner) in zip(parts, rows, strict=True):
        once = own is not None and all(row is not None and row.calls <= 1 for row in (own, *inner))
        large = own is not None and math.prod(own.shape) > IN_CACHE
        if not once or not _is_alone(part) or not (large or before):
            break
        count, before = count + 1, large
    return count


def _is_alone(part: nn.Module) -> bool:
    """Whether it is known that what becomes of a picture depends on no other one."""
    known = type(part) in _SIMPLE or _package(part) in _BLOCKS
    return known and not any(
        "forward" in vars(module)
        or any(vars(module)[hooks] for hooks in _HOOKS)
        or _package(module) not in _OF_BLOCKS
        or getattr(module, "track_running_stats", True) is False
        for module in part.modules()
    )


def _package(module: nn.Module) -> str:
    return type(module).__module__.partition(".")[0]


def _forward(first: Sequence[nn.Module], rest: Sequence[nn.Module], x: Tensor) -> Tensor:
    if x.ndim == 4 and len(x) > FEW and x.device.type == "cpu":
        x = torch.cat([_through(first, part) for part in x.split(FEW)])
    else:
        x = _through(first, x)
    return _through(rest, x)


def _through(parts: Sequence[nn.Module], x: Tensor) -> Tensor:
    for part in parts:
        x = part(x)
    return x
