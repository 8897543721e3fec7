"""Does this network average its last maps and classify the averages with one linear layer? Found by running it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine


@dataclass(frozen=True)
class Head:
    """Maps (C, h, w) that are averaged, the class weights (classes, C), and the names of layers that put the maps
    out."""

    maps: Tensor
    weights: Tensor
    names: tuple[str, ...]


def find_head(engine: Engine, x: Tensor) -> Head:
    """The head of the network in `engine`, for the prepared picture `x`.

    Two forms are known, and each is verified on numbers, not by names: maps, mean, linear layer (GoogLeNet, ResNet,
    DenseNet, whose last rectifier is a function, …), and maps, 1x1 convolution to one map for each class, mean
    (SqueezeNet, NIN), with or without a rectifier before the mean.

    Raises:
        ValueError: neither form fits; the message says what was found instead.
    """
    rows = engine.layers_for(x).in_order()
    ran = [row for row in rows if row.parameters]
    modules = engine.modules
    kinds = (nn.Linear, nn.Conv2d)
    name = next((row.name for row in reversed(ran) if isinstance(modules[row.name], kinds)), None)
    if name is None:
        raise _none(engine, "it has no linear layer")
    layer = modules[name]
    averaged_to = _weights(layer, x).shape[1]  # what may be averaged has so many maps
    candidates = [row for row in reversed(rows) if row.spatial and row.shape[0] == averaged_to]
    kept = engine.run(x, [name, *(row.name for row in candidates)], [name])
    into, out = kept.inputs[name], kept.outputs[name]
    if isinstance(layer, nn.Conv2d) and out.shape[1] == kept.scores.shape[1] and out.shape[2] * out.shape[3] > 1:
        means = (out.mean((2, 3)), out.clamp(min=0).mean((2, 3)))
        if layer.kernel_size != (1, 1) or layer.groups != 1 or not any(_close(kept.scores, mean) for mean in means):
            raise _none(engine, f"its scores are not the averaged maps of {name!r} (a 1x1 convolution)")
        return Head(into[0], _weights(layer, x), _names(engine, x, engine.last_maps(x)))
    if not _close(kept.scores, out.flatten(1)):
        raise _none(engine, f"its last layer {name!r} does not give the scores")
    for row in candidates:
        maps = kept.outputs[row.name].permute(*row.axes) if row.axes else kept.outputs[row.name]
        for averaged in (maps, maps.clamp(min=0)):  # a rectifier in between may be a function (DenseNet)
            if _close(into.flatten(1), averaged.mean((2, 3))):
                return Head(averaged[0], _weights(layer, x), _names(engine, x, row.same_as or row.name))
    raise _none(engine, f"the linear layer {name!r} does not work on the averages of any layer's maps")


def _weights(layer: nn.Module, x: Tensor) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach().flatten(1).to(x)


def _names(engine: Engine, x: Tensor, name: str) -> tuple[str, ...]:
    """`name` and the other layers that put out the very same maps."""
    table = engine.layers_for(x)
    source = table[name].same_as or name
    same = (row.name for row in table.in_order() if source in (row.name, row.same_as))
    return tuple(dict.fromkeys((name, *same)))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    slack = 1e-4 * float(a.abs().max()) + 1e-12
    return bool(torch.isfinite(a).all()) and bool(((a - b).abs() <= slack).all())


def _none(engine: Engine, why: str) -> ValueError:
    return ValueError(
        f"cam needs global average pooling followed by one linear layer, and {engine.name} has none: {why}. "
        "grad_cam answers the same question on any network"
    )
