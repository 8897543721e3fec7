"""The one backward mechanism: the gradient of a score, with the rectifiers' formula swapped for a rule.

The rules act on the autograd graph of one run, on its rectifier and max-pooling nodes. The network is not touched,
and it does not matter how it says "ReLU": a module, `torch.nn.functional`, in place, shared. Before anything is
computed the graph is read as a whole, so a network whose rectifiers cannot be told apart from other arithmetic is an
error, not a map.

Rules, for a rectifier f with input x and incoming gradient g:

- ``"gradient"``: f'(x) g, the plain gradient (Simonyan, Vedaldi & Zisserman 2013);
- ``"deconvnet"``: max(g, 0), whatever the forward pass was (Zeiler & Fergus 2013);
- ``"guided"``: f'(x) max(g, 0) where x > 0, else 0 (Springenberg, Dosovitskiy, Brox & Riedmiller 2014); for smooth
  rectifiers (SiLU, GELU …) f' is their own derivative;
- ``"redirected"``: f'(x) g, but max(g, 0) where that is zero, at the rectifiers nearest to the score alone (after Olah,
  Mordvintsev & Schubert 2017). It explains nothing; it is the way out for a picture to which a unit is silent.

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

from cnnviz_widgets.engine.both_ways import Convolved

Rule = Literal["gradient", "deconvnet", "guided", "redirected"]
Unpool = Literal["gradient", "switches"]

RULES: tuple[Rule, ...] = ("gradient", "deconvnet", "guided", "redirected")
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
_DOUBTFUL = (
    "ClampBackward",
    "ClampMinBackward",
    "MaximumBackward",
    "FmaxBackward",
    "WhereBackward",
    "MaskedFillBackward",
    "AbsBackward",
)
# what a rectifier written by hand consists of besides constants: x * sigmoid(x), x * relu6(x + 3) / 6 …
_BENDS = ("Sigmoid", "Hardsigmoid", "Tanh", "Erf", "Exp", "Softplus", "Hardtanh", "Relu")
_STRAIGHT = ("Mul", "Div", "Add", "Sub", "Rsub", "Neg", "Pow", "Reciprocal", "Clone")
_POOLS = ("MaxPool2DWithIndicesBackward", "AdaptiveMaxPool2DBackward")


class NoRuleError(ValueError):
    """The rule cannot be right on this network; the message says why and what can be used instead."""


class NoRectifierError(NoRuleError):
    """There is nothing for the rule to change: no rectifier on the way, and nothing that may be one."""


def backward(
    scores: Tensor, wanted: Sequence[Tensor], rule: Rule = "gradient", unpool: Unpool = "gradient"
) -> list[Tensor | None]:
    """Carry `scores` (N,) back to the `wanted` tensors under a rule; nobody's `.grad` is written.

    Returns:
        One tensor for each wanted one, of its shape; None where the score does not depend on it.

    Raises:
        ValueError: an unknown rule or unpool.
        NoRectifierError: no rectifier was met.
        NoRuleError: one was met that the rule cannot be applied to.
    """
    if rule not in RULES or unpool not in UNPOOLS:
        raise ValueError(f"rule={rule!r}, unpool={unpool!r}; wanted a rule of {RULES} and an unpool of {UNPOOLS}")
    if scores.grad_fn is None:
        return [None] * len(wanted)
    if rule != "gradient" or unpool != "gradient":
        nodes = _between(scores.grad_fn, wanted)
        if rule != "gradient":
            _apply_rule(nodes, rule, scores.grad_fn)
        if unpool == "switches":
            _apply_switches(nodes)
    found = torch.autograd.grad(scores.sum(), wanted, allow_unused=True)
    return [None if gradient is None else gradient.detach() for gradient in found]


def rectifiers(scores: Tensor) -> Counter[str]:
    """How many rectifiers of each kind lie between the network's input and `scores`: ``{"Relu": 26}``."""
    nodes = _nodes(scores.grad_fn) if scores.grad_fn is not None else []
    return Counter(_kind(node).removesuffix("Backward") for node in nodes if _kind(node) in _RECTIFIERS)


def _apply_rule(nodes: Sequence[Node], rule: Rule, root: Node) -> None:
    found = [node for node in nodes if _kind(node) in _RECTIFIERS]
    doubtful = _doubts(nodes)
    if doubtful:
        raise NoRuleError(
            f"the rule {rule!r} needs to know every rectifier, and this network computes with {doubtful}, which may be "
            "one or not; write it with torch.nn.ReLU, SiLU … (or functional), or use the plain gradient (saliency)"
        )
    if not found:
        raise NoRectifierError(
            f"the rule {rule!r} changes how rectifiers (ReLU, ReLU6, SiLU, GELU …) pass the gradient on, and this "
            "network has none on the way to this score; use the plain gradient (saliency)"
        )
    if rule == "redirected":
        found = _uppermost(root)
    for node in found:
        if rule == "deconvnet":
            node.register_hook(_deconvnet)
        elif rule == "redirected":
            node.register_hook(_redirected)
        else:
            node.register_prehook(_positive)
            if _kind(node) != "ReluBackward":  # its own is off where x <= 0 already
                signal = next(getattr(node, name) for name in _SIGNALS if hasattr(node, name))
                node.register_hook(_masked_by(signal))


def _positive(incoming: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(g if g is None else g.clamp(min=0) for g in incoming)


def _deconvnet(outgoing: tuple[Tensor | None, ...], incoming: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    return (incoming[0].clamp(min=0), *outgoing[1:])


def _redirected(outgoing: tuple[Tensor | None, ...], incoming: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    if outgoing[0] is None:
        return outgoing
    return (torch.where((outgoing[0] == 0) & (incoming[0] > 0), incoming[0], outgoing[0]), *outgoing[1:])


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


def _uppermost(root: Node) -> list[Node]:
    """The rectifiers that lie behind no other one, seen from `root`."""
    found, seen, stack = [], {root}, [root]
    while stack:
        node = stack.pop()
        if _kind(node) in _RECTIFIERS:
            found.append(node)
            continue
        below = [child for child, _ in node.next_functions if child is not None and child not in seen]
        seen.update(below)
        stack += below
    return found


def _between(root: Node, wanted: Sequence[Tensor]) -> list[Node]:
    """Every node on a way from `root` to a wanted tensor: what happens to weights alone is not among them."""
    nodes = _nodes(root)
    above: dict[Node, list[Node]] = {}
    for node in nodes:
        for child, _ in node.next_functions:
            if child is not None:
                above.setdefault(child, []).append(node)
    ends = {id(tensor) for tensor in wanted}
    stack = [tensor.grad_fn for tensor in wanted if tensor.grad_fn is not None]
    stack += [node for node in nodes if id(getattr(node, "variable", None)) in ends]
    seen: set[Node] = set()
    while stack:
        for node in above.get(stack.pop(), ()):
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return [node for node in nodes if node in seen]


def _kind(node: Node) -> str:
    return node.name().rstrip("0123456789")


def _doubts(nodes: Sequence[Node]) -> str:
    doubtful = [node for node in nodes if _kind(node) in _DOUBTFUL and not _is_mere_limit(node)]
    names = {_kind(node).removesuffix("Backward") for node in doubtful}
    names |= {
        f"the custom function {node.name().removesuffix('Backward')}"
        for node in nodes
        if isinstance(node, torch.autograd.function.BackwardCFunction) and not _is_convolution(node)
    }
    products = [node for node in nodes if _kind(node) in ("MulBackward", "DivBackward")]
    if any(_is_gated_by_itself(node) for node in products):
        names.add("a product like x * sigmoid(x)")
    if any(_is_masked(node) for node in products):
        names.add("a product with a mask like x * (x > 0)")
    return ", ".join(sorted(names))


def _is_convolution(node: Node) -> bool:
    """True for one of ours that goes back another way than torch's."""
    return getattr(node, "_forward_cls", None) is Convolved


def _is_mere_limit(node: Node) -> bool:
    """True for a clamp that no rectifier is: from above only, or to something positive, as against division by 0."""
    if not _kind(node).startswith("Clamp"):
        return False
    least = getattr(node, "_saved_min", None)
    return least is None or (not isinstance(least, Tensor) and least > 0)


def _is_masked(node: Node) -> bool:
    factors = (getattr(node, name, None) for name in ("_saved_self", "_saved_other"))
    return any(isinstance(factor, Tensor) and factor.dtype == torch.bool for factor in factors)


def _is_gated_by_itself(node: Node) -> bool:
    """True when one factor is, position by position, a bent function of what the other is a straight one of."""
    if len(node.next_functions) != 2:
        return False
    (straight, bent), (other_straight, other_bent) = map(_origins, node.next_functions)
    return bool(straight & other_bent or bent & other_straight)


Edge = tuple[Node | None, int]


def _origins(edge: Edge) -> tuple[set[Edge], set[Edge]]:
    """What a value comes from by elementwise steps: without a bend on the way, and with one."""
    found: tuple[set[Edge], set[Edge]] = (set(), set())
    stack: list[tuple[Edge, bool]] = [(edge, False)]
    while stack:
        (node, output), bent = stack.pop()
        if node is None or (node, output) in found[bent]:
            continue
        found[bent].add((node, output))
        kind = _kind(node).removesuffix("Backward")
        if kind in _STRAIGHT or kind in _BENDS:
            stack += [(child, bent or kind in _BENDS) for child in node.next_functions]
    return found
