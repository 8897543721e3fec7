"""Faster convolutions than torch's own, for passes that go forward and back many times."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

from cnnviz_widgets.engine.kernels import is_convolution, is_usual, pair
from cnnviz_widgets.engine.packed import Packed, can_pack

COLOURS = 4  # an input of so many channels is a picture
MANY = 512  # filters, from which on it pays to look which of them matter
FEW = 1 / 8  # of the filters: so many matter to a class, a channel or a neuron, and seldom to anything else
LANES = 16  # maps that a core computes at once
# a single picture's maps and the filters of up to so many numbers: what is computed is less than what oneDNN prepares
SMALL_MAPS, SMALL_FILTERS = 20480, 2**15


def quicken_both_ways(twin: nn.Module) -> None:
    """Let a stand-in of the network use them, on a CPU. What subclasses and functions do is left alone.

    Filters are laid out for oneDNN once, both for the way forward and for the way back, which without strides is a
    convolution, too. Torch does so in each pass.

    The first convolution goes back to the picture as a convolution that is dense. Torch takes the filters' strides as
    they are, and computes a picture's three channels as slowly as sixteen.

    The way back from a class leads through a single filter where a convolution gives the classes; the others' shares
    are zero and are not computed.
    """
    for module in twin.modules():
        if is_convolution(module) and "forward" not in vars(module) and _is_plain(module):
            vars(module)["forward"] = _ways(module)


def _ways(module: nn.Conv2d) -> _Ways:
    if module.groups == 1 and module.in_channels <= COLOURS and min(pair(module.stride)) > 1:
        return _ToPicture(module)
    if module.groups == 1 and module.out_channels >= MANY:
        return _OfFewFilters(module)
    return _Ways(module)


class _Ways:
    """A convolution there and back, in place of a module's `forward`."""

    def __init__(self, module: nn.Conv2d) -> None:
        assert not isinstance(module.padding, str)
        # not the module itself, which holds this: a circle would keep both, and their filters, until they are collected
        self._tensors, self._groups = module._parameters, module.groups
        self._steps, self._margins = pair(module.stride), pair(module.padding)
        self._packed: Packed | None = None
        self._packed_back: Packed | None = None
        self._last: tuple[object, ...] = ()
        self._is_packed = self._is_better = False

    @property
    def weight(self) -> Tensor:
        """The filters, as they lie now."""
        weight = self._tensors["weight"]
        assert weight is not None
        return weight

    def __call__(self, input: Tensor) -> Tensor:
        """What the module computes."""
        if input.requires_grad and torch.is_grad_enabled() and self._chosen(input):
            return Convolved.apply(input, self)
        return self._usual(input)

    def there(self, x: Tensor) -> Tensor:
        """The maps of an input."""
        if not self._is_packed:
            return self._usual(x)
        if self._packed is None:
            self._packed = Packed(self.weight, self._steps, self._margins, self._groups)
        return self._packed(x, self._tensors["bias"])

    def back(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """The gradient at an input of that shape."""
        if self._packed_back is None and self._packed is not None:
            self._packed_back = self._turned()
        if self._packed_back is None:
            return self._by_torch(gradient, shape, self.weight)
        return self._packed_back(gradient)

    def _turned(self) -> Packed | None:
        """The filters with which the way back is a convolution, too."""
        weight, groups = self.weight, self._groups
        margins = (weight.shape[2] - 1 - self._margins[0], weight.shape[3] - 1 - self._margins[1])
        if self._steps != (1, 1) or min(margins) < 0:
            return None
        turned = weight.flip(2, 3).unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
        return Packed(turned.contiguous(), (1, 1), margins, groups)

    def _chosen(self, x: Tensor) -> bool:
        """Whether torch's own ways are slower with such an input, which most often is like the last one."""
        kind = (x.shape, x.stride(), x.dtype)
        if kind != self._last:
            usual = x.ndim == 4 and is_usual(x)
            self._last, self._is_packed = kind, usual and self._pays_to_pack(x)
            self._is_better = usual and (self._is_packed or type(self) is not _Ways)
        return self._is_better

    def _pays_to_pack(self, x: Tensor) -> bool:
        weight = self.weight
        if not (can_pack() and torch.backends.mkldnn.enabled and (_is_last(x) or _is_last(weight))):
            return False
        return len(x) > 1 or x.numel() > SMALL_MAPS or weight.numel() >= SMALL_FILTERS

    def _usual(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight, self._tensors["bias"], self._steps, self._margins, groups=self._groups)

    def _by_torch(self, gradient: Tensor, shape: torch.Size, weight: Tensor) -> Tensor:
        layout = torch.channels_last if _is_last(gradient) or _is_last(weight) else torch.contiguous_format
        like = torch.empty(shape, dtype=gradient.dtype, memory_format=layout)  # only its shape and its layout matter
        steps, margins = self._steps, self._margins
        return torch.ops.aten.convolution_backward(
            gradient, like, weight, None, steps, margins, (1, 1), False, (0, 0), self._groups, X_ALONE
        )[0]


X_ALONE = (True, False, False)  # no gradient of filters and biases


class _ToPicture(_Ways):
    """Back through filters with strides to an input of few channels.

    Of every s x s pixels of the input each hears of the filters at other taps, and all s² of them of the same places
    of the output: so one convolution without strides gives them as s² channels.
    """

    _taps: Tensor | None = None

    def _pays_to_pack(self, x: Tensor) -> bool:
        return False  # so few numbers

    def back(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """See `_Ways`."""
        (down, right), (top, left) = self._steps, self._margins
        filters = self._laid_out()
        taps = filters.shape[2:]
        found = conv2d(gradient, filters, padding=(taps[0] - 1, taps[1] - 1))
        rows, columns = found.shape[2:]
        found = found[:, : shape[1] * down * right].unflatten(1, (shape[1], down, right))
        whole = gradient.new_empty(*shape[:2], rows, down, columns, right)
        for dy in range(down):
            for dx in range(right):
                whole[:, :, :, dy, :, dx] = found[:, :, dy, dx]
        whole = whole.view(*shape[:2], rows * down, columns * right)
        beyond = (top + shape[2] - whole.shape[2], left + shape[3] - whole.shape[3])  # pixels that no filter sees
        if max(beyond) > 0:
            whole = pad(whole, (0, max(0, beyond[1]), 0, max(0, beyond[0])))
        return whole[:, :, top : top + shape[2], left : left + shape[3]]

    def _laid_out(self) -> Tensor:
        """Filters (channels · s², filters, taps, taps) of that convolution."""
        if self._taps is None:
            weight, (down, right) = self.weight, self._steps
            count, channels, height, width = weight.shape
            rows, columns = -(-height // down), -(-width // right)
            whole = pad(weight, (0, columns * right - width, 0, rows * down - height))
            taps = whole.view(count, channels, rows, down, columns, right).flip(2, 4)
            taps = taps.permute(1, 3, 5, 0, 2, 4).reshape(-1, count, rows, columns)
            taps = pad(taps, (0, 0, 0, 0, 0, 0, 0, -len(taps) % LANES))
            self._taps = taps.contiguous(memory_format=torch.channels_last)
        return self._taps


class _OfFewFilters(_Ways):
    """Back through those filters alone whose maps have a gradient."""

    def back(self, gradient: Tensor, shape: torch.Size) -> Tensor:
        """See `_Ways`."""
        alive = _alive(gradient)
        if alive is None:
            return super().back(gradient, shape)
        gradient, weight = gradient[:, alive], self.weight[alive]
        if weight.shape[2:] == self._steps == (1, 1) and self._margins == (0, 0):
            return (gradient.permute(0, 2, 3, 1) @ weight.flatten(1)).permute(0, 3, 1, 2)
        return self._by_torch(gradient, shape, weight)


def _alive(gradient: Tensor) -> Tensor | None:
    """The channels in which a gradient (N, C, h, w) is not zero; None where these are not few."""
    most = int(gradient.shape[1] * FEW)
    middle = gradient[:, :, gradient.shape[2] // 2, gradient.shape[3] // 2]
    if int(middle.count_nonzero()) > most:  # most often this says it all
        return None
    channels = gradient.abs().amax((0, 2, 3)).nonzero().flatten()
    return channels if 0 < len(channels) <= most else None


class Convolved(torch.autograd.Function):
    """A convolution with ways of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ways: _Ways) -> Tensor:
        """As torch's own."""
        ctx.ways, ctx.shape = ways, x.shape
        return ways.there(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """See `_Ways.back`."""
        return ctx.ways.back(grad_outputs[0], ctx.shape), None


def _is_plain(module: nn.Conv2d) -> bool:
    tensors = [tensor for tensor in (module.weight, module.bias) if tensor is not None]
    if not all(is_usual(tensor) and not tensor.requires_grad for tensor in tensors):
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str) and pair(module.dilation) == (1, 1)


def _is_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)
