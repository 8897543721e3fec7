"""The convolution that a layer does, read off while the layer runs.

What counts is what is computed, not how the module is written: weights that are made on the way (weight or spectral
normalisation, pruning, standardised kernels) are the effective ones, and a module of the user's own is a convolution
when it does one.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import TorchDispatchMode

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.methods.layer_values import layer_input

_MOST_BORDER = 16  # pixels that a network may add to the picture before its first layer


@dataclass(frozen=True)
class Convolution:
    """One convolution as it was computed.

    `received` (N, C, H, W) is what the layer got, `input` what the operation itself got (some layers pad first),
    `weight` and `bias` are copies. The weight lies as PyTorch has it: (n, c, kh, kw), or (C, n / groups, kh, kw) when
    `transposed`.
    """

    layer: str
    module: nn.Module
    received: Tensor
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    transposed: bool
    groups: int

    @property
    def kernels(self) -> Tensor:
        """The weights as (n, c, kh, kw): n output channels, c = input channels / groups, also of a transposed one."""
        if not self.transposed:
            return self.weight
        grouped = self.weight.unflatten(0, (self.groups, -1))  # (groups, c, n / groups, kh, kw)
        return grouped.transpose(1, 2).flatten(0, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """Kind, stride, padding and the rest as plain values; the padding that one of PyTorch's modules states."""
        module = self.module
        stated = isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        return {
            "kind": type(self.module).__name__.removeprefix("Parametrized"),
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": module.padding if stated else self.padding,
            "padding_mode": module.padding_mode if stated else "zeros",
            "groups": self.groups,
            "transposed": self.transposed,
        }

    def dense(self) -> Tensor:
        """What the filters give at every position: (N, n, h, w), with stride 1 and without bias.

        Its every stride-th row and column is what the layer itself puts out, but for the bias.
        """
        return F.conv2d(self.input, self.weight, None, 1, self.padding, self.dilation, self.groups)


def find_convolution(engine: Engine, layer: str | None, x: Tensor) -> Convolution:
    """The convolution of `layer` on the prepared picture `x`; of the first that runs when `layer` is None.

    Raises:
        KeyError: no such layer; near names are suggested.
        ValueError: it does no convolution, or several; convolutions near it are named.
    """
    if layer is not None:
        return _read(engine, layer, x)
    for name in convolutions(engine, x):
        try:
            return _read(engine, name, x)
        except ValueError:  # it has weights of four axes for something else
            continue
    raise ValueError(f"{engine.name} has no layer that does a convolution in two dimensions")


def convolutions(engine: Engine, x: Tensor | None = None) -> list[str]:
    """The names of the layers that look like convolutions, in the order in which they run."""
    modules = engine.modules
    table = engine.layers if x is None else engine.layers_for(x)
    return [row.name for row in table.in_order() if row.shape and _may_be_one(modules[row.name])]


def probe(engine: Engine) -> Tensor:
    """A prepared picture of noise: its three colours have nothing in common, and no place in it looks like another."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    return engine.prepare(Image.fromarray(pixels))


def colours_read(engine: Engine, received: Tensor, x: Tensor) -> tuple[int, ...] | None:
    """Which of a layer's input channels are the red, green and blue of the picture `x`; None if they are no colours.

    They are when each is one of the picture's channels, as it is or scaled by a positive number and shifted (a network
    may normalise its input itself, or swap colours), perhaps with a border around it.
    """
    names = engine.preprocessing.channels
    if received.ndim != 4 or received.shape[1] != 3 or len(names) != 3:
        return None
    rows, columns = received.shape[-2] - x.shape[-2], received.shape[-1] - x.shape[-1]
    if not (0 <= rows <= _MOST_BORDER and 0 <= columns <= _MOST_BORDER):
        return None
    for top in range(rows + 1):
        for left in range(columns + 1):
            part = received[..., top : top + x.shape[-2], left : left + x.shape[-1]]
            same = (_standardised(part[0]) @ _standardised(x[0]).T > 0.9999).cpu().numpy()
            if (same.sum(0) == 1).all() and (same.sum(1) == 1).all():
                colours = [names[int(k)] for k in same.argmax(1)]
                return tuple(colours.index(colour) for colour in "RGB")
    return None


def _read(engine: Engine, layer: str, x: Tensor) -> Convolution:
    row = engine.layers_for(x)[layer]
    modules = engine.modules
    module = modules[layer if layer in modules else layer.rpartition("#")[0]]
    if not row.calls:
        raise ValueError(f"layer {layer!r} does not run, so there is nothing to see of it; {_near(engine, layer, x)}")
    try:
        received = layer_input(engine, x, layer)
    except LookupError:
        raise ValueError(f"layer {layer!r} ({row.kind}) gets or gives no tensor; {_near(engine, layer, x)}") from None
    twin, found = shadow(module), _Found()
    try:
        with torch.inference_mode(False), torch.no_grad(), found:
            twin(_like_weights(received.clone(), twin))
    except Exception as error:  # whatever a module of the user's own does with one argument instead of two
        raise ValueError(f"layer {layer!r} ({row.kind}) cannot be run by itself: {error}; "
                         f"{_near(engine, layer, x)}") from error  # fmt: skip
    if len(found.calls) != 1:
        does = "several convolutions" if found.calls else "no convolution in two dimensions"
        raise ValueError(f"layer {layer!r} ({row.kind}) does {does}; {_near(engine, layer, x)}")
    into, weight, bias, stride, padding, dilation, transposed, _, groups = found.calls[0]
    own, added = weight.detach().clone(), None if bias is None else bias.detach().clone()
    both = [tuple(value) * (2 // len(value)) for value in (stride, padding, dilation)]  # "valid" padding comes as (0,)
    return Convolution(layer, module, received, into, own, added, both[0], both[1], both[2], transposed, groups)


class _Found(TorchDispatchMode):
    """Writes down the arguments of every 2-d convolution; entered without gradients, but not in inference mode, where
    the several spellings of a convolution would arrive undivided.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default and args[1].ndim == 4:
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


def _may_be_one(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return True
    if isinstance(module, ParametrizationList):  # the weights of a convolution, not the convolution
        return False
    return any(parameter.ndim == 4 for parameter in module.parameters(recurse=False))


def _like_weights(tensor: Tensor, module: nn.Module) -> Tensor:
    """The tensor where the module's weights lie: the engine may compute on a copy elsewhere."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), tensor)
    return tensor.to(weight.device, weight.dtype)


def _standardised(maps: Tensor) -> Tensor:
    """(C, pixels) of mean 0 and length 1, so that products are correlations."""
    flat = maps.flatten(1).cpu().double()
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-30)


def _near(engine: Engine, layer: str, x: Tensor) -> str:
    """Which convolutions there are: within the layer, around it, or of a similar name."""
    names = convolutions(engine, x)
    within = [name for name in names if name.startswith(f"{layer}.")]
    if not names:
        return f"{engine.name} has no convolutions"
    table = engine.layers_for(x)
    place = table[layer].order
    before = [name for name in names if table[name].order < place][-1:]
    after = [name for name in names if table[name].order > place][:1]
    near = within[:3] or list(dict.fromkeys([*before, *after, *difflib.get_close_matches(layer, names, n=1)]))
    return f"convolutions near it are {', '.join(map(repr, near))}"
