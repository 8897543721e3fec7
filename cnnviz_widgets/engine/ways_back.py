"""Faster ways back through convolutions than torch's own, for passes that go forward and back many times."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

from cnnviz_widgets.engine.kernels import is_usual, pair

COLOURS = 4  # an input of so many channels is a picture
MANY = 512  # filters, from which on it pays to look which of them matter
FEW = 1 / 8  # of the filters: so many matter to a class, a channel or a neuron, and seldom to anything else
LANES = 16  # maps that a core computes at once


def quicken_back(twin: nn.Module) -> None:
    """Let a stand-in of the network use them, on a CPU. What subclasses and functions do is left alone.

    The first convolution goes back to the picture as a convolution that is dense. Torch takes the filters' strides as
    they are, and computes a picture's three channels as slowly as sixteen.

    The way back from a class leads through a single filter where a convolution gives the classes; the others' shares
    are zero and are not computed.
    """
    for module in twin.modules():
        if type(module) is not nn.Conv2d or "forward" in vars(module) or not _is_plain(module):
            continue
        if module.in_channels <= COLOURS and min(_steps(module)) > 1:
            vars(module)["forward"] = partial(_forward, module, _ToPicture(module))
        elif module.out_channels >= MANY:
            vars(module)["forward"] = partial(_forward, module, _OfFewFilters(module))


class _Back(Protocol):
    def __call__(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """The gradient at an input of that shape."""
        ...


class _ToPicture:
    """Back through filters with strides to an input of few channels.

    Of every s x s pixels of the input each hears of the filters at other taps, and all s² of them of the same places
    of the output: so one convolution without strides gives them as s² channels.
    """

    def __init__(self, module: nn.Conv2d) -> None:
        self._module = module
        self._filters: Tensor | None = None

    def __call__(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        (down, right), (top, left) = _steps(self._module), _margins(self._module)
        filters = self._laid_out()
        taps = filters.shape[2:]
        found = conv2d(gradient, filters, padding=(taps[0] - 1, taps[1] - 1))
        rows, columns = found.shape[2:]
        found = found[:, : shape[1] * down * right].unflatten(1, (shape[1], down, right))
        whole = gradient.new_empty(shape[0], shape[1], rows, down, columns, right)
        for y in range(down):
            for x in range(right):
                whole[:, :, :, y, :, x] = found[:, :, y, x]
        whole = whole.view(shape[0], shape[1], rows * down, columns * right)
        beyond = (top + shape[2] - whole.shape[2], left + shape[3] - whole.shape[3])  # pixels that no filter reaches
        if max(beyond) > 0:
            whole = pad(whole, (0, max(0, beyond[1]), 0, max(0, beyond[0])))
        return whole[:, :, top : top + shape[2], left : left + shape[3]]

    def _laid_out(self) -> Tensor:
        """Filters (channels · s², filters, taps, taps) of that convolution."""
        if self._filters is None:
            weight, (down, right) = self._module.weight.detach(), _steps(self._module)
            count, channels, height, width = weight.shape
            rows, columns = -(-height // down), -(-width // right)
            whole = pad(weight, (0, columns * right - width, 0, rows * down - height))
            taps = whole.view(count, channels, rows, down, columns, right).flip(2, 4)
            taps = taps.permute(1, 3, 5, 0, 2, 4).reshape(-1, count, rows, columns)
            taps = pad(taps, (0, 0, 0, 0, 0, 0, 0, -len(taps) % LANES))
            self._filters = taps.contiguous(memory_format=torch.channels_last)
        return self._filters


class _OfFewFilters:
    """Back through those filters alone whose maps have a gradient."""

    def __init__(self, module: nn.Conv2d) -> None:
        self._module = module

    def __call__(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        module, weight = self._module, self._module.weight.detach()
        alive = _alive(gradient)
        if alive is not None:
            gradient, weight = gradient[:, alive], weight[alive]
        layout = torch.channels_last if _is_last(gradient) or _is_last(weight) else torch.contiguous_format
        like = torch.empty(shape, dtype=gradient.dtype, memory_format=layout)  # only its shape and its layout matter
        steps, margins = _steps(module), _margins(module)
        return torch.ops.aten.convolution_backward(
            gradient, like, weight, None, steps, margins, (1, 1), False, (0, 0), 1, (True, False, False)
        )[0]


def _alive(gradient: Tensor) -> Tensor | None:
    """The channels in which a gradient (N, C, h, w) is not zero; None where these are not few."""
    most = int(gradient.shape[1] * FEW)
    middle = gradient[:, :, gradient.shape[2] // 2, gradient.shape[3] // 2]
    if int(middle.count_nonzero()) > most:  # most often this says it all
        return None
    channels = gradient.abs().amax((0, 2, 3)).nonzero().flatten()
    return channels if 0 < len(channels) <= most else None


class Convolved(torch.autograd.Function):
    """A convolution with a way back of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Conv2d, back: _Back) -> Tensor:
        """As torch's own."""
        ctx.back, ctx.shape = back, x.shape
        return conv2d(x, module.weight, module.bias, module.stride, module.padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """By way of `back`."""
        return ctx.back(grad_outputs[0], ctx.shape), None, None


def _forward(module: nn.Conv2d, back: _Back, x: Tensor) -> Tensor:
    weight, bias = module.weight, module.bias
    tensors = (x, weight) if bias is None else (x, weight, bias)
    usual = x.ndim == 4 and all(is_usual(tensor) for tensor in tensors) and not weight.requires_grad
    if usual and x.requires_grad and torch.is_grad_enabled():
        return Convolved.apply(x, module, back)
    return conv2d(x, weight, bias, module.stride, module.padding)


def _is_plain(module: nn.Conv2d) -> bool:
    if module.groups > 1 or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return False
    return pair(module.dilation) == (1, 1)


def _steps(module: nn.Conv2d) -> tuple[int, int]:
    return pair(module.stride)


def _margins(module: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(module.padding, str)
    return pair(module.padding)


def _is_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)
