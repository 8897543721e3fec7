"""The rules of the papers, slowly: every rectifier becomes a function written out from its formula.

While `slow_rule` is active the rectifiers of `torch.nn.functional`, through which the modules of torch.nn go too, are
replaced by autograd functions that compute out of place and pass the gradient on by the rule's own formula. Nothing of
the product is used.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

Formula = Callable[..., tuple[Tensor, Tensor]]  # f(x) and f'(x)


def slow_gradient(network: nn.Module, x: Tensor, score: Callable[[Tensor], Tensor], rule: str) -> Tensor:
    """The gradient of ``score(network(x))``, a sum over one number for each picture, at x, under a rule."""
    twin = sharing_copy(network).eval()
    leaf = x.clone().requires_grad_()
    with slow_rule(rule) as calls:
        output = twin(leaf.clone())
    assert calls, "no rectifier was replaced, so this would be the plain gradient"
    (gradient,) = torch.autograd.grad(score(output).sum(), leaf)
    return gradient


def sharing_copy(network: nn.Module) -> nn.Module:
    """A deep copy that shares the weights, so that large networks fit twice."""
    return copy.deepcopy(network, {id(p): p for p in (*network.parameters(), *network.buffers())})


@contextmanager
def slow_rule(rule: str) -> Iterator[list[str]]:
    """Replace the rectifiers; gives the list of those that were called."""
    calls: list[str] = []
    with ExitStack() as stack:
        for name, formula in FORMULAS.items():
            stack.enter_context(mock.patch.object(torch.nn.functional, name, _replacement(name, formula, rule, calls)))
        yield calls


def _replacement(name: str, formula: Formula, rule: str, calls: list[str]) -> Callable[..., Tensor]:
    def rectifier(x: Tensor, *args: Any, **options: Any) -> Tensor:
        calls.append(name)
        options.pop("inplace", None)
        with torch.no_grad():
            value, slope = formula(x.detach(), *args, **options)
        return _Ruled.apply(x, value, slope, rule)

    return rectifier


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, slope: Tensor, rule: str) -> Tensor:
        ctx.save_for_backward(x, slope)
        ctx.rule = rule
        return value.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        x, slope = ctx.saved_tensors
        if ctx.rule == "deconvnet":
            passed = torch.where(g > 0, g, 0)
        elif ctx.rule == "guided":
            passed = torch.where((g > 0) & (x > 0), slope * g, 0)
        else:
            passed = slope * g
        return passed, None, None, None


def _relu(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    on = (x > 0).to(x)
    return x * on, on


def _relu6(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    return _hardtanh(x, 0.0, 6.0)


def _hardtanh(x: Tensor, low: float = -1.0, high: float = 1.0, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    return x.clamp(low, high), ((x > low) & (x < high)).to(x)


def _threshold(x: Tensor, threshold: float, value: float, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    on = (x > threshold).to(x)
    return x * on + value * (1 - on), on


def _leaky_relu(x: Tensor, slope: float = 0.01, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    factor = torch.where(x > 0, 1.0, torch.full_like(x, slope))
    return x * factor, factor


def _prelu(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    slope = weight.detach().view(-1, *[1] * (x.ndim - 2)).expand_as(x)
    factor = torch.where(x > 0, torch.ones_like(x), slope)
    return x * factor, factor


def _elu(x: Tensor, alpha: float = 1.0, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    return torch.where(x > 0, x, alpha * (x.exp() - 1)), torch.where(x > 0, torch.ones_like(x), alpha * x.exp())


def _celu(x: Tensor, alpha: float = 1.0, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    decay = (x / alpha).exp()  # CELU is alpha (exp(x / alpha) - 1), so its slope is exp(x / alpha)
    return torch.where(x > 0, x, alpha * (decay - 1)), torch.where(x > 0, torch.ones_like(x), decay)


def _selu(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    value, slope = _elu(x, 1.6732632423543772)
    return 1.0507009873554805 * value, 1.0507009873554805 * slope


def _silu(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    s = 1 / (1 + (-x).exp())
    return x * s, s * (1 + x * (1 - s))


def _gelu(x: Tensor, approximate: str = "none") -> tuple[Tensor, Tensor]:
    assert approximate == "none"
    below = (1 + torch.erf(x / math.sqrt(2))) / 2
    return x * below, below + x * (-x * x / 2).exp() / math.sqrt(2 * math.pi)


def _mish(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    t, s = torch.tanh(torch.log1p(x.exp())), 1 / (1 + (-x).exp())
    return x * t, t + x * s * (1 - t * t)


def _hardswish(x: Tensor, _inplace: bool = False) -> tuple[Tensor, Tensor]:
    value = torch.where(x <= -3, 0.0, torch.where(x >= 3, x, x * (x + 3) / 6))
    return value, torch.where(x <= -3, 0.0, torch.where(x >= 3, 1.0, (2 * x + 3) / 6))


def _softplus(x: Tensor, beta: float = 1.0, _threshold: float = 20.0) -> tuple[Tensor, Tensor]:
    return torch.log1p((beta * x).exp()) / beta, 1 / (1 + (-beta * x).exp())


FORMULAS: dict[str, Formula] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "threshold": _threshold,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "silu": _silu,
    "gelu": _gelu,
    "mish": _mish,
    "hardswish": _hardswish,
    "softplus": _softplus,
}
