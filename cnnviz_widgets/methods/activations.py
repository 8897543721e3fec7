"""What layers answer to a picture: their maps, how active they are, and where in the picture a channel is.

"Above zero" is what a rectifier passes on; for layers without one it is as good a line as any, and it is said.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
import torch
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Layer
from cnnviz_widgets.engine.cache import key_of
from cnnviz_widgets.engine.capture import Run
from cnnviz_widgets.engine.targets import check_unit
from cnnviz_widgets.methods.common import method, to_array
from cnnviz_widgets.methods.layer_values import as_maps, field_numbers, layer_maps, row_of
from cnnviz_widgets.methods.placing import place_maps
from cnnviz_widgets.results import ActivationMask, Activations, Predictions, Unit


@overload
def activations(engine: Engine, image: ImageLike, layer: str) -> Activations: ...
@overload
def activations(engine: Engine, image: ImageLike, layer: list[str] | tuple[str, ...]) -> dict[str, Activations]: ...
@method
def activations(
    engine: Engine, image: ImageLike, layer: str | list[str] | tuple[str, ...]
) -> Activations | dict[str, Activations]:
    """What a layer answers to the picture: one map for each of its channels, strongest first when drawn.

    The values are those that the layer put out, also where the network goes on to change them in place. What was
    computed once for a picture is remembered: the same layer again costs no forward pass, several layers cost one.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        layer: a name from `engine.layers`, or several. ``"relu#2"`` is the second call of a layer that runs more than
            once in a pass; the bare name is the last.

    Returns:
        Activations: maps (C, h, w), and by channel `maximum`, `mean`, `zeros` (share of values that are exactly 0) and
        `dead` (nothing above zero). For several layers a dict of them, in the order asked for.

    Raises:
        KeyError: no such layer; near names are suggested.
        ValueError: the layer did not run, gives no tensor, or its values are no maps; the message says which.

    Example:
        >>> activations(engine, samples["cat"], "features.3")
    """
    names = [layer] if isinstance(layer, str) else layer
    if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"layer is {layer!r}; wanted a layer's name such as 'features.3', or a list of names")
    x = engine.prepare(image)
    maps = layer_maps(engine, x, names)
    table, picture = engine.layers_for(x), engine.display(x)
    found = {name: _result(picture, name, table[name], tensor) for name, tensor in maps.items()}
    return found[layer] if isinstance(layer, str) else found


@method
def glance(engine: Engine, image: ImageLike, layer: str) -> Glance:
    """What the network says to a picture and what one layer answers, in one forward pass; nothing is remembered.

    For streams of pictures (a camera), each of which is seen once; `engine.predict` and `activations` for all others.

    Args:
        engine, image: the network and the picture.
        layer: a name from `engine.layers`.

    Returns:
        Glance: `predictions`, the five likeliest classes, and `activations`, made when they are asked for, in the
        thread that asks: so the next picture can go through the network meanwhile.

    Raises:
        KeyError, ValueError: as `activations`.

    Example:
        >>> glance(engine, samples["cat"], "features.3").predictions
    """
    x = engine.prepare(image)
    row = engine.layers_for(x)[layer]
    check_unit(Unit(layer, 0), row)
    return Glance(engine, engine.state, layer, row, x, engine.run(x, [layer]))


@dataclass(frozen=True)
class Glance:
    """One forward pass of one picture; see `glance`."""

    engine: Engine
    state: Hashable
    layer: str
    row: Layer
    x: Tensor
    run: Run

    @cached_property
    def predictions(self) -> Predictions:
        """The five likeliest classes."""
        with self.engine.still(self.state):
            return self.engine.ranked(self.x, self.run.scores)

    @cached_property
    def activations(self) -> Activations:
        """What the layer answers."""
        return _result(
            self.predictions.image, self.layer, self.row, as_maps(self.run.outputs[self.layer], self.row.axes)
        )


@method
def layer_activity(engine: Engine, image: ImageLike) -> dict[str, float]:
    """How much of each layer the picture switches on: the share of its values above zero, by name.

    Every layer that gives a tensor, in one forward pass, of which nothing but these numbers is kept. Of a layer that
    runs several times it is the last call. A layer before its rectifier is near one half; after it, this is the share
    that is passed on.

    Args:
        engine, image: the network and the picture.

    Returns:
        dict: a share from 0 to 1 for each name in `engine.layers` that has a shape.

    Example:
        >>> layer_activity(engine, samples["cat"])["features.1"]
    """
    x = engine.prepare(image)
    names = [row.name for row in engine.layers_for(x).values() if row.shape]
    return dict(engine.remember(("activity", key_of(x)), lambda: engine.measure(x, names, _share_above_zero)))


@method
def activation_mask(engine: Engine, image: ImageLike, unit: Unit, quantile: float = 0.95) -> ActivationMask:
    """The part of the picture where a channel is highly active, the rest dimmed.

    A position of the map counts when its value is at the quantile of that map or above, and above zero: a channel with
    nothing above zero has an empty mask, and of a map that is mostly zeros only what is on counts. Positions that tie
    with the quantile all count. The map is not stretched over the picture: each position stands where its receptive
    field is centred and covers the pixels that are nearer to it than to any other, at most half a stride away. Pixels
    at the border on which no unit is centred (networks without padding) belong to none.

    Behind a squeeze-and-excitation gate, where every value depends on the whole picture, positions stand where their
    local path looks. Where the field is unknown the map is stretched, and `parameters["placed"]` says so.

    Bau et al., "Network dissection", CVPR 2017, take the values above the 0.995 quantile of a channel over a whole data
    set. Of one picture a map has a few hundred values at most, so that would be one position; 0.95 is what Chen et al.,
    "This looks like that", NeurIPS 2019, cut their patches by.

    Args:
        engine, image: the network and the picture.
        unit: a channel, as ``Unit("features.9", 7)``; without y and x.
        quantile: from 0 (everything above zero) to 1 (the strongest position alone).

    Returns:
        ActivationMask: mask (H, W), values (H, W) with NaN where no unit stands, raw (h, w), threshold.

    Raises:
        ValueError: a quantile outside 0..1, a unit with a position, or of a layer without positions.
        KeyError, IndexError: no such layer or channel.

    Example:
        >>> activation_mask(engine, samples["cat"], Unit("features.9", 7))
    """
    if isinstance(quantile, bool) or not 0 <= quantile <= 1:
        raise ValueError(f"quantile={quantile!r}; wanted a share from 0 to 1")
    x = engine.prepare(image)
    row = row_of(engine, x, unit)
    if unit.y is not None:
        raise ValueError(f"a mask shows where a whole channel is active; leave y and x out of {unit}")
    field = row.receptive_field
    if not row.spatial and (field is None or field.whole or not field.stride or 0 in field.stride):
        raise ValueError(f"layer {unit.layer!r} has one value for the whole picture, so no part of it is a mask")
    raw = to_array(layer_maps(engine, x, [unit.layer])[unit.layer][unit.channel])
    values, how = place_maps(raw, field, (int(x.shape[-2]), int(x.shape[-1])))
    threshold = float(np.quantile(raw.astype(np.float64), quantile))
    return ActivationMask(
        image=engine.display(x),
        target=unit,
        target_name=str(unit),
        layer=unit.layer,
        method="activation_mask",
        parameters={"quantile": float(quantile), "placed": how, "receptive_field": field_numbers(field)},
        citation=_BAU,
        mask=(values >= np.float64(threshold)) & (values > 0),
        values=values,
        raw=raw,
        threshold=threshold,
        signed=bool((raw < 0).any()),
    )


def _result(picture: np.ndarray, name: str, row: Layer, tensor: Tensor) -> Activations:
    maps = np.array(tensor.detach().cpu().to(torch.float32).numpy(), order="C")
    maps.flags.writeable = False  # the record keeps it without another copy: a camera has no time for one
    flat = maps.reshape(len(maps), -1)
    maximum = flat.max(1)
    alive = maximum > 0
    return Activations(
        image=picture,
        layer=name,
        method="activations",
        parameters={"kind": row.kind, "receptive_field": field_numbers(row.receptive_field)},
        maps=maps,
        signed=bool((flat < 0).any()),
        maximum=maximum,
        mean=flat.mean(1, dtype=np.float64),
        zeros=1 - np.count_nonzero(flat, axis=1) / flat.shape[1],
        dead=np.where(np.isnan(maximum), ~(flat > 0).any(1), ~alive) if np.isnan(maximum).any() else ~alive,
    )


def _share_above_zero(values: Tensor) -> float:
    return int(torch.count_nonzero(values > 0)) / max(values.numel(), 1)


_BAU = "Bau et al., Network dissection: quantifying interpretability of deep visual representations, CVPR 2017"
