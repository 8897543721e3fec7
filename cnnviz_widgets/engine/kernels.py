"""Faster kernels than the ones that torch takes by itself, for passes without gradients by threads of one core each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

IN_CACHE = 2**18  # numbers of a step in between that stay near the core


def quicken(twin: nn.Module) -> None:
    """Let a stand-in of the network use them, on a CPU. What subclasses and functions do is left alone.

    1x1 convolutions run with oneDNN. Where a thread computes alone, torch takes it for all others, and for these a
    general one that unfolds its input first: a SqueezeNet is a tenth slower by that.

    Maxima over windows are taken along the columns and then along the rows, which is fewer of them and needs no list of
    where they lay; as maxima they are the same.
    """
    for module in twin.modules():
        if "forward" in vars(module):  # somebody else has had such an idea
            continue
        if is_convolution(module) and _is_pointwise(module) and torch.backends.mkldnn.is_available():
            vars(module)["forward"] = partial(_pointwise, module._parameters, module.groups)
        elif type(module) is nn.MaxPool2d and _is_plain(module):
            vars(module)["forward"] = partial(_maxima, pair(module.kernel_size), pair(module.stride), module.ceil_mode)


def _is_pointwise(module: nn.Conv2d) -> bool:
    # with a stride torch takes oneDNN already
    return module.kernel_size == module.stride == (1, 1) and not any(module.padding)


# None of these holds the module that holds it: such a circle would keep a whole network until it is collected.


def _pointwise(parameters: Mapping[str, Tensor | None], groups: int, x: Tensor) -> Tensor:
    weight, bias = parameters["weight"], parameters["bias"]
    assert weight is not None
    tensors = (x, weight) if bias is None else (x, weight, bias)
    if x.ndim == 4 and torch.backends.mkldnn.enabled and all(is_usual(tensor) for tensor in tensors):
        return torch.mkldnn_convolution(x, weight, bias, (0, 0), (1, 1), (1, 1), groups)
    return conv2d(x, weight, bias, groups=groups)


def _is_plain(module: nn.MaxPool2d) -> bool:
    return pair(module.padding) == (0, 0) and pair(module.dilation) == (1, 1) and not module.return_indices


def _maxima(kernel: tuple[int, int], stride: tuple[int, int], ceil_mode: bool, x: Tensor) -> Tensor:
    whole = x.ndim == 4 and all(
        1 < k <= side and not (ceil_mode and (side - k) % s)
        for side, k, s in zip(x.shape[2:], kernel, stride, strict=True)
    )
    usual = is_usual(x) and x.is_contiguous(memory_format=torch.channels_last) and not x.requires_grad
    if not (whole and usual):
        return max_pool2d(x, kernel, stride, ceil_mode=ceil_mode)
    height, width = ((side - k) // s + 1 for side, k, s in zip(x.shape[2:], kernel, stride, strict=True))
    found = torch.empty(
        (*x.shape[:2], height, width), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )
    step = max(1, IN_CACHE // (x.shape[1] * height * x.shape[3]))
    tall = torch.empty(
        (min(step, len(x)), x.shape[1], height, x.shape[3]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    rows = [x[:, :, n : n + stride[0] * (height - 1) + 1 : stride[0]].split(step) for n in range(kernel[0])]
    columns = [tall[..., n : n + stride[1] * (width - 1) + 1 : stride[1]] for n in range(kernel[1])]
    for *parts, into in zip(*rows, found.split(step), strict=True):
        _largest(parts, tall[: len(into)])
        _largest([column[: len(into)] for column in columns], into)
    return found


def _largest(parts: Sequence[Tensor], into: Tensor) -> None:
    """Element by element the largest of two or more."""
    torch.maximum(parts[0], parts[1], out=into)
    for part in parts[2:]:
        torch.maximum(into, part, out=into)


def is_convolution(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """True for a convolution whose filters are parameters of its own. Where a hook before each pass may change them, as
    pruning and the older norms of torch do, they are not those that lie there before it.
    """
    if type(module) is not nn.Conv2d or module._forward_pre_hooks:
        return False
    return module._parameters.keys() >= {"weight", "bias"}


def is_usual(tensor: Tensor) -> bool:
    """True where the faster kernels can be used."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


def pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    """A size of both axes."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
