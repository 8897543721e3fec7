"""What goes into layers and what comes out, remembered for each picture: looking again costs no forward pass."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress

import numpy as np
from torch import Tensor

from cnnviz_widgets.engine import Engine, Layer, ReceptiveField
from cnnviz_widgets.engine.cache import key_of
from cnnviz_widgets.engine.targets import check_unit
from cnnviz_widgets.results import Unit


def layer_maps(engine: Engine, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The maps (C, h, w) of layers for a prepared picture, (F, 1, 1) for vectors: those not yet known in one forward.

    The tensors are shared with everybody who asks: never write into them.

    Raises:
        ValueError: a layer has no maps; the message says why.
        KeyError: no such layer; near names are suggested.
    """
    table, picture = engine.layers_for(x), key_of(x)
    for name in layers:
        check_unit(Unit(name, 0), table[name])
    known: dict[str, Tensor] = {}
    for name in layers:
        with suppress(_Absent):
            known[name] = engine.remember(_output_key(name, picture), _absent)
    missing = [name for name in dict.fromkeys(layers) if name not in known]
    found = engine.outputs(x, missing) if missing else {}
    for name in missing:
        known[name] = engine.remember(_output_key(name, picture), lambda name=name: as_maps(found[name]))
    return {name: known[name] for name in layers}


def layer_input(engine: Engine, x: Tensor, layer: str) -> Tensor:
    """What went into a layer for a prepared picture, as it took it: (1, C, h, w) for a convolution.

    One forward for each layer and picture, which remembers the layer's maps as well; so the sums behind any number of
    positions cost no more. Shared with everybody who asks: never write into it.

    Example:
        layer_input(engine, engine.prepare(image), "features.3")
    """
    picture = key_of(x)

    def compute() -> Tensor:
        kept = engine.run(x, [layer], [layer])
        row = engine.layers_for(x)[layer]
        with suppress(ValueError):  # a layer without maps has an input all the same
            engine.remember(_output_key(layer, picture), lambda: as_maps(kept.outputs[layer], row.axes))
        return kept.inputs[layer]

    return engine.remember(("input", layer, picture), compute)


def as_maps(output: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """(C, h, w) of what a layer put out for one picture: a vector (1, F) as (F, 1, 1); `axes` as in `engine.layers`.

    Raises:
        ValueError: it is neither maps nor one value for each channel.
    """
    maps = output.permute(*axes) if axes else output
    if len(maps) != 1 or maps.ndim < 2 or (maps.ndim != 4 and maps.numel() != maps.shape[1]):
        raise ValueError(f"a layer that puts out {tuple(output.shape)} values for one picture has no maps to show")
    return maps[0].reshape(maps.shape[1], *(maps.shape[2:] if maps.ndim == 4 else (1, 1)))


def placed(engine: Engine, x: Tensor, unit: Unit) -> tuple[Unit, float]:
    """The unit with a position (its channel's strongest where it has none) and its value for a prepared picture.

    A unit of a vector layer has no position, and stays without.

    Raises:
        KeyError, IndexError, ValueError: the network has no such unit; the message says what there is.
    """
    row = row_of(engine, x, unit)
    channel = layer_maps(engine, x, [unit.layer])[unit.layer][unit.channel]
    if unit.y is not None and unit.x is not None:
        return unit, float(channel[unit.y, unit.x])
    y, column = np.unravel_index(int(channel.argmax()), channel.shape)
    value = float(channel[y, column])
    return (unit if row.axes is None else Unit(unit.layer, unit.channel, int(y), int(column))), value


def row_of(engine: Engine, x: Tensor, unit: Unit) -> Layer:
    """The table's row of a unit's layer, once it is clear that the layer has the unit."""
    if not isinstance(unit, Unit):
        raise TypeError(f"unit is {unit!r}; wanted a Unit, as in Unit('features.3', 7)")
    row = engine.layers_for(x)[unit.layer]
    check_unit(unit, row)
    return row


def field_numbers(field: ReceptiveField | None) -> dict[str, object] | None:
    """A receptive field as plain numbers, for a result's parameters; None where it is unknown."""
    if field is None:
        return None
    names = ("size", "stride", "start", "whole", "local")
    return {name: getattr(field, name) for name in names}


class _Absent(Exception):
    """Not remembered."""


def _absent() -> Tensor:
    raise _Absent


def _output_key(layer: str, picture: Hashable) -> Hashable:
    return ("output", layer, picture)
