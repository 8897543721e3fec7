"""The last layer that still has a spatial extent: told by what layers put out when they ran, not by their names."""

from __future__ import annotations

from collections.abc import Sequence

from cnnviz_widgets.engine.layers import Layer, Layers


def find_last_maps(table: Layers, classes: int, before: str | None = None) -> str | None:
    """The layer's name; of several that pass on the same maps the first that runs once. None when there is none.

    Args:
        table: the layers as they ran.
        classes: how many scores the network gives; the layer that makes them is left out.
        before: look only at what finished before this layer began to.
    """
    ran = table.in_order()
    limit = _classifier(ran, classes) if before is None else _begin(ran, table[before])
    maps = [row for row in ran[:limit] if row.spatial]
    if not maps:
        return None
    source = maps[-1].same_as or maps[-1].name
    family = [row for row in ran if source in (row.name, row.same_as)]
    return next((row.name for row in family if row.calls == 1), source)


def _classifier(ran: Sequence[Layer], classes: int) -> int:
    """The place of the layer that makes the class scores; the end when there is none."""
    parents = {row.name.rpartition(".")[0] for row in ran}
    for number in range(len(ran) - 1, -1, -1):
        row = ran[number]
        if row.parameters and row.name not in parents:
            return number if row.shape and row.shape[0] == classes else len(ran)
    return len(ran)


def _begin(ran: Sequence[Layer], layer: Layer) -> int:
    """The place of the first that did not finish before a layer began: itself, or what lies inside it."""
    within = (n for n, row in enumerate(ran) if row.order >= layer.order or _related(row.name, layer.name))
    return next(within, len(ran))


def _related(a: str, b: str) -> bool:
    """True when one layer is the other or lies inside it."""
    return f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}.")
