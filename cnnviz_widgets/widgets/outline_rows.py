"""The rows of a `LayerOutline`: every module of a network as a student reads it, in the order of its tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cnnviz_widgets.engine import Layer, Layers
from cnnviz_widgets.engine.flow import Inflow
from cnnviz_widgets.widgets.outline_rails import Lane, rails

READABLE = 40  # rows that are shown before anything is unfolded by hand
JOINS = {"add": "sum", "sub": "difference", "mul": "product", "cat": "stack", "stack": "stack"}
LISTED = 4


@dataclass(frozen=True)
class Row:
    """One line of the outline.

    `parent` is the number of the row that it folds into, -1 for none. `part` is the last part of the name, `kind` the
    class with kernel and stride; `output` the shape, "64×56×56"; `sees` the receptive field in short and `exact` in
    full, or why it is unknown. `why` says why the layer cannot be opened, "" when it can; `idle` that it took no part
    in the pass at all. `same_as` is the layer with the same output; `reads` what its input was computed from and
    `gives` what a container made of its parts, in words; `join` is what was done there with several ("sum", "stack",
    "product" or the operation's name).
    """

    name: str
    parent: int
    part: str
    kind: str
    output: str = ""
    parameters: int = 0
    sees: str = ""
    exact: str = ""
    calls: int = 1
    why: str = ""
    idle: bool = False
    same_as: str = ""
    reads: str = ""
    gives: str = ""
    join: str = ""
    lanes: tuple[Lane, ...] = ()


def outline_rows(layers: Layers, modules: Mapping[str, nn.Module] | None = None) -> list[Row]:
    """A row for every module, and under one that runs several times a row for each of its calls.

    Args:
        layers: `engine.layers`.
        modules: `engine.modules`, to read kernels and strides from.
    """
    at: dict[str, int] = {}
    rows: list[Row] = []
    for name, layer in layers.items():
        row = _row(layer, name, _parent(name, at), layers, (modules or {}).get(name))
        at[name] = len(rows)
        rows.append(row)
        if layer.calls > 1:
            for number in range(1, layer.calls + 1):
                call = _row(layers[f"{name}#{number}"], f"{name}#{number}", at[name], layers, None)
                rows.append(replace(call, part=f"#{number}", kind=f"call {number} of {layer.calls}", calls=1))
    return _with_rails(rows, layers)


def message(rows: Sequence[Row], network: str) -> dict[str, Any]:
    """The rows for the front end: a list for each column."""
    return {
        "network": network,
        "layers": sum("#" not in row.part for row in rows),
        "lanes": {at: [[lane.flags, lane.branch, lane.of] for lane in row.lanes] for at, row in _laned(rows)},
        **{column: [getattr(row, column) for row in rows] for column in _COLUMNS},
    }


def folds(rows: Sequence[Row], readable: int = READABLE) -> list[str]:
    """What is folded at first: level after level is unfolded for as long as no more rows are seen than can be read."""
    children: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        children.setdefault(row.parent, []).append(at)
    foldable = {at for at in children if at >= 0}
    calls = {at for at in foldable if rows[at].calls > 1}
    shown, level, unfolded = len(children.get(-1, [])), children.get(-1, []), set()
    while level:
        inner = [child for at in level if at not in calls for child in children.get(at, [])]
        if shown + len(inner) > readable:
            break
        unfolded.update(level)
        shown, level = shown + len(inner), inner
    return [rows[at].name for at in sorted(foldable) if at not in unfolded or at in calls]


_COLUMNS = ("name", "parent", "kind", "output", "parameters", "sees", "exact", "calls", "why", "idle", "same_as",
            "reads", "gives", "join")  # fmt: skip


def _laned(rows: Sequence[Row]) -> Iterable[tuple[str, Row]]:
    return ((str(at), row) for at, row in enumerate(rows) if row.lanes)


def _parent(name: str, at: Mapping[str, int]) -> int:
    while "." in name:
        name = name.rpartition(".")[0]
        if name in at:
            return at[name]
    return -1


def _row(layer: Layer, name: str, parent: int, layers: Layers, module: nn.Module | None) -> Row:
    why, idle = _why(layer, name, layers)
    field = layer.receptive_field
    end = _end(layer, name, layers)
    return Row(
        name=name,
        parent=parent,
        part=name.rpartition(".")[2],
        kind=_kind(layer, module),
        output="×".join(map(str, layer.shape)),
        parameters=layer.parameters,
        sees=_sees(layer),
        exact=str(field) if field else "" if why else f"unknown: {layer.note}",
        calls=max(1, layer.calls),
        why=why,
        idle=idle,
        same_as=_called(layer.same_as, layers),
        reads=_told(layer.reads, layers),
        gives=_told(end, layers) if end.join else "",
        join=_word((end or layer.reads).join),
    )


def _why(layer: Layer, name: str, layers: Layers) -> tuple[str, bool]:
    """Why a layer cannot be opened, and whether none of it ran."""
    if layer.shape:
        return "", False
    ran = any(row.calls for part, row in layers.items() if part.startswith(f"{name}."))
    if not layer.calls and ran:
        return "is never called itself, only its parts are", False
    note = layer.note or "gives no tensor"
    return note + (" in this pass" if not layer.calls else ""), not layer.calls


def _kind(layer: Layer, module: nn.Module | None) -> str:
    kernel = getattr(module, "kernel_size", None)
    if kernel is None:
        return layer.kind
    words = [layer.kind, _by(kernel)]
    stride = getattr(module, "stride", None) or kernel
    if _by(stride) != _by(1):
        words[-1] += f" /{_short(stride)}"
    if _by(getattr(module, "dilation", 1)) != _by(1):
        words.append(f"dilated {_short(getattr(module, 'dilation', 1))}")
    groups = getattr(module, "groups", 1)
    if groups != 1:
        words.append("depthwise" if groups == getattr(module, "in_channels", 0) else f"{groups} groups")
    return " ".join(words)


def _by(size: Any) -> str:
    return "×".join(map(str, size)) if isinstance(size, tuple | list) else f"{size}×{size}"


def _short(size: Any) -> str:
    return _by(size) if isinstance(size, tuple | list) and len(set(size)) > 1 else _by(size).partition("×")[0]


def _sees(layer: Layer) -> str:
    field = layer.receptive_field
    if field is None:
        return "?" if layer.shape else ""
    if field.whole:
        return "all"
    return _by(field.size) + (f" /{_short(field.stride)}" if field.stride and field.start else "")


def _called(name: str, layers: Layers) -> str:
    """The name of a call, also of the last one of several, which the table calls by the layer's name alone."""
    times = layers[name].calls if name and "#" not in name else 1
    return f"{name}#{times}" if times > 1 else name


def _told(inflow: Inflow, layers: Layers) -> str:
    """The layers of an inflow in words: "the sum of layer1.0.bn2, maxpool"."""
    words = [_called(name, layers) or "the picture" for name in inflow.layers]
    more = len(words) - LISTED
    if more > 1:
        words = [*words[: LISTED - 1], f"{more} more", words[-1]]
    return (f"the {_word(inflow.join)} of " if inflow.join else "") + ", ".join(words)


def _word(operation: str) -> str:
    return JOINS.get(operation, operation)


def _end(layer: Layer, name: str, layers: Layers) -> Inflow:
    """What a container joins at its end, itself or in its own last part (the rectifier of a residual sum)."""
    last = layer.same_as.rpartition("#")[0] or layer.same_as
    if not layer.gathers.join and last.rpartition(".")[0] == name:
        return layers[layer.same_as].reads
    return layer.gathers


def _with_rails(rows: list[Row], layers: Layers) -> list[Row]:
    parts: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        if "#" not in row.part:
            parts.setdefault(row.parent, []).append(at)
    for parent, own in parts.items():
        found = rails([rows[at].name for at in own], rows[parent].name if parent >= 0 else "", layers)
        for at in own:
            rows[at] = replace(rows[at], lanes=found.get(rows[at].name, ()))
    return rows
