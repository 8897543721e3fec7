"""The one backward mechanism: the gradient of a score, with the rectifiers' formula swapped for a rule.

The rules act on the autograd graph of one run, on its rectifier and max-pooling nodes. The network is not touched,
and it does not matter how it says "ReLU": a module, `torch.nn.functional`, in place, shared. Before anything is
computed the graph is read as a whole, so a network whose rectifiers cannot be told apart from other arithmetic is an
error, not a map.

Rules, for a rectifier f with input x and incoming gradient g:

- ``"gradient"``: f'(x) g, the plain gradient (Simonyan, Vedaldi & Zisserman 2013);
- ``"deconvnet"``: max(g, 0), whatever the forward pass was (Zeiler & Fergus 2013);
- ``"guided"``: f'(x) max(g, 0) where x > 0, else 0 (Springenberg, Dosovitskiy, Brox & Riedmiller 2014); for smooth
  rectifiers (SiLU, GELU …) f' is their own derivative.

Max-pooling in ``unpool="switches"`` is Zeiler's unpooling: each value goes back to where the maximum was, and where
windows overlap the later window **overwrites**. ``"gradient"`` **sums** instead. Both agree when windows do not
overlap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.graph import Node

Rule = Literal["gradient", "deconvnet", "guided"]
Unpool = Literal["gradient", "switches"]

RULES: tuple[Rule, ...] = ("gradient", "deconvnet", "guided")
UNPOOLS: tuple[Unpool, ...] = ("gradient", "switches")

_RECTIFIERS = (
    "ReluBackward",
    "ThresholdBackward",
    "HardtanhBackward",  # ReLU6 too
    "LeakyReluBackward",
    "RreluWithNoiseBackward",
    "PreluKernelBackward",
    "EluBackward",  # SELU too
    "CeluBackward",
    "SiluBackward",
    "GeluBackward",
    "MishBackward",
    "HardswishBackward",
    "SoftplusBackward",
)
# Where a rectifier's node keeps its input, or the output of an in-place one, which has the same sign.
_SIGNALS = ("_saved_self", "_saved_result")
# arithmetic that often *is* a rectifier, but that a graph alone cannot tell from other uses
_DOUBTFUL = ("ClampBackward", "ClampMinBackward", "MaximumBackward", "FmaxBackward", "WhereBackward")
_POOLS = ("MaxPool2DWithIndicesBackward", "AdaptiveMaxPool2DBackward")


class NoRuleError(ValueError):
    """The rule cannot be right on this network; the message says why and what can be used instead."""


def backward(
    scores: Tensor, wanted: Sequence[Tensor], rule: Rule = "gradient", unpool: Unpool = "gradient"
) -> list[Tensor | None]:
    """Carry `scores` (N,) back to the `wanted` tensors under a rule; nobody's `.grad` is written.

    Returns:
        One tensor for each wanted one, of its shape; None where the score does not depend on it.

    Raises:
        ValueError: an unknown rule or unpool.
        NoRuleError: no rectifier was met, or one was met that the rule cannot be applied to.
    """
    if rule not in RULES or unpool not in UNPOOLS:
        raise ValueError(f"rule={rule!r}, unpool={unpool!r}; wanted a rule of {RULES} and an unpool of {UNPOOLS}")
    if scores.grad_fn is None:
        return [None] * len(wanted)
    if rule != "gradient" or unpool != "gradient":
        nodes = _nodes(scores.grad_fn)
        if rule != "gradient":
            _apply_rule(nodes, rule)
        if unpool == "switches":
            _apply_switches(nodes)
    found = torch.autograd.grad(scores.sum(), wanted, allow_unused=True)
    return [None if gradient is None else gradient.detach() for gradient in found]


def rectifiers(scores: Tensor) -> Counter[str]:
    """How many rectifiers of each kind lie between the network's input and `scores`: ``{"Relu": 26}``."""
    nodes = _nodes(scores.grad_fn) if scores.grad_fn is not None else []
    return Counter(_kind(node).removesuffix("Backward") for node in nodes if _kind(node) in _RECTIFIERS)


def _apply_rule(nodes: Sequence[Node], rule: Rule) -> None:
    found = [node for node in nodes if _kind(node) in _RECTIFIERS]
    doubtful = _doubts(nodes)
    if doubtful:
        raise NoRuleError(
            f"the rule {rule!r} needs to know every rectifier, and this network computes with {doubtful}, which may be "
            "one or not; write it with torch.nn.ReLU, SiLU … (or functional), or use the plain gradient (saliency)"
        )
    if not found:
        raise NoRuleError(
            f"the rule {rule!r} changes how rectifiers (ReLU, ReLU6, SiLU, GELU …) pass the gradient on, and this "
            "network has none on the way to this score; use the plain gradient (saliency)"
        )
    for node in found:
        if rule == "deconvnet":
            node.register_hook(_deconvnet)
        else:
            node.register_prehook(_positive)
            if _kind(node) not in ("ReluBackward", "ThresholdBackward"):  # theirs is off where x <= 0 already
                signal = next(getattr(node, name) for name in _SIGNALS if hasattr(node, name))
                node.register_hook(_masked_by(signal))


def _positive(incoming: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(g if g is None else g.clamp(min=0) for g in incoming)


def _deconvnet(outgoing: tuple[Tensor | None, ...], incoming: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    return (incoming[0].clamp(min=0), *outgoing[1:])


def _masked_by(signal: Tensor) -> Callable[..., tuple[Tensor | None, ...]]:
    def hook(outgoing: tuple[Tensor | None, ...], _incoming: Any) -> tuple[Tensor | None, ...]:
        first = outgoing[0]
        return (None if first is None else first * (signal > 0), *outgoing[1:])

    return hook


def _apply_switches(nodes: Sequence[Node]) -> None:
    for node in nodes:
        kind = _kind(node)
        if kind in _POOLS:
            node.register_hook(_unpooled(node._saved_result1))  # type: ignore[attr-defined]
        elif "MaxPool" in kind or "FractionalMaxPool" in kind:
            raise NoRuleError(f"{kind} keeps no switches to unpool by; use unpool='gradient'")


def _unpooled(switches: Tensor) -> Callable[..., tuple[Tensor | None, ...]]:
    def hook(outgoing: tuple[Tensor | None, ...], incoming: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        if outgoing[0] is None:
            return outgoing
        return (unpool_by_switches(incoming[0], switches, outgoing[0].shape), *outgoing[1:])

    return hook


def unpool_by_switches(values: Tensor, switches: Tensor, shape: Sequence[int]) -> Tensor:
    """Put `values` (N, C, h, w) back to where their maxima were in a map of `shape` (N, C, H, W).

    Where several windows chose the same cell the last one in reading order stays, on every device alike.
    """
    flat, cells = values.flatten(2), switches.flatten(2)
    order = torch.arange(cells.shape[-1], device=cells.device).expand_as(cells)
    size = (*cells.shape[:2], shape[-2] * shape[-1])
    last = torch.full(size, -1, dtype=order.dtype, device=cells.device).scatter_reduce_(2, cells, order, "amax")
    stays = last.gather(2, cells) == order
    return torch.zeros(size, dtype=values.dtype, device=values.device).scatter_add_(2, cells, flat * stays).view(*shape)


def _nodes(root: Node) -> list[Node]:
    """Every node of the graph below `root`."""
    seen, stack = {root}, [root]
    while stack:
        for child, _ in stack.pop().next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    return list(seen)


def _kind(node: Node) -> str:
    return node.name().rstrip("0123456789")


def _doubts(nodes: Sequence[Node]) -> str:
    names = {_kind(node).removesuffix("Backward") for node in nodes if _kind(node) in _DOUBTFUL}
    names |= {
        f"the custom function {node.name().removesuffix('Backward')}"
        for node in nodes
        if isinstance(node, torch.autograd.function.BackwardCFunction)
    }
    if any(_is_hand_written_swish(node) for node in nodes):
        names.add("x * sigmoid(x)")
    return ", ".join(sorted(names))


def _is_hand_written_swish(node: Node) -> bool:
    if _kind(node) != "MulBackward" or len(node.next_functions) != 2:
        return False
    a, b = node.next_functions
    return any(
        gate[0] is not None and _kind(gate[0]).startswith(("Sigmoid", "Tanh")) and gate[0].next_functions[0] == x
        for gate, x in ((a, b), (b, a))
    )
