"""The table of a network's layers: what each one is, puts out and sees."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from cnnviz_widgets.engine.capture import first_tensor
from cnnviz_widgets.engine.flow import Flow, Inflow
from cnnviz_widgets.engine.geometry import Origin, Trace
from cnnviz_widgets.engine.geometry.call import tensors_in


@dataclass(frozen=True)
class ReceptiveField:
    """The input cells that one value of a layer can depend on.

    The value at row i, column j sees the window of `size` (rows, columns) whose top left cell is
    ``start + (i, j) * stride``; a start below zero lies in the padding. `whole`: every value depends on the whole
    picture (a squeeze-and-excitation gate, attention, global pooling), so `size` is the picture's; `stride`, `start`
    and `local`, the size of its window, then still say where the local path looks, or are None where there is none.
    """

    size: tuple[int, int]
    stride: tuple[int, int] | None
    start: tuple[int, int] | None
    whole: bool = False
    local: tuple[int, int] | None = None

    def box(self, y: int, x: int) -> tuple[int, int, int, int]:
        """The window of the value at row `y`, column `x` as x0, y0, x1, y1 in input pixels (not cut at the border)."""
        if self.whole or self.start is None or self.stride is None:
            return (0, 0, self.size[1], self.size[0])
        top, left = self.start[0] + y * self.stride[0], self.start[1] + x * self.stride[1]
        return (left, top, left + self.size[1], top + self.size[0])

    def center(self, y: int, x: int) -> tuple[float, float] | None:
        """Row and column of the input pixel in the middle of the (local) window; halves lie between two pixels."""
        size = self.local if self.whole else self.size
        if size is None or self.start is None or self.stride is None:
            return None
        top, left = self.start[0] + y * self.stride[0], self.start[1] + x * self.stride[1]
        return (top + (size[0] - 1) / 2, left + (size[1] - 1) / 2)

    def __str__(self) -> str:
        """``19x19 stride 4 start -9``."""
        size = _by(self.size)
        if self.whole:
            return f"{size} (all)"
        if not self.stride or not self.start:
            return size
        stride = _short(self.stride)
        return f"{size} stride {stride} start {_short(self.start)}"


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    `shape` is (C, h, w) for maps, (F,) for vectors, () when the layer did not run or gave no tensor; `axes` is how
    its raw output (N, …) is permuted into (N, C, h, w), None for anything but maps; `calls` how often it runs in one
    pass; `receptive_field` is None where it is unknown, and `note` then says why. `same_as` names the layer whose
    output this one passes on unchanged (a container its last part's, Dropout in eval mode its input), "" for none.
    `reads` are the layers that its input was computed from and how they were joined; `gathers` likewise those that a
    container made its output from itself (the branches that an inception block stacks, the two sides of a sum).
    Of a layer that runs several times this is its last call; ``engine.layers["name#1"]`` is the row of its first.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    receptive_field: ReceptiveField | None
    calls: int = 1
    axes: tuple[int, int, int, int] | None = None
    note: str = ""
    order: int = -1
    same_as: str = ""
    reads: Inflow = Inflow()
    gathers: Inflow = Inflow()

    @property
    def spatial(self) -> bool:
        """True when the layer puts out maps of more than one position."""
        return self.axes is not None and self.shape[1] * self.shape[2] > 1


class Layers(Mapping[str, Layer]):
    """Every layer of a network by name, in the order of `named_modules`; shows itself as a table.

    Example:
        ``engine.layers["features.12"].receptive_field``
    """

    def __init__(self, rows: dict[str, Layer], network: str, calls: Mapping[str, Layer] | None = None) -> None:
        """Keep the rows, and those of single calls (``name#1``); `network` names it in error messages."""
        self._rows, self._network, self._calls = rows, network, calls or {}

    def __getitem__(self, name: str) -> Layer:
        """The layer called `name`, or one call of it; a KeyError says which names are near."""
        row = self._rows.get(name) or self._calls.get(name)
        if row is not None:
            return row
        base = str(name).rpartition("#")[0]
        if base in self._rows:
            times = self._rows[base].calls
            raise NoLayerError(f"{base!r} runs {times} time(s) in a pass, so there is no call {name!r}")
        raise NoLayerError(_no_layer(name, self._rows, self._network))

    def __iter__(self) -> Iterator[str]:
        """Names."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self._rows)

    def in_order(self) -> list[Layer]:
        """The layers that ran, in the order in which they finished."""
        return sorted((row for row in self._rows.values() if row.calls), key=lambda row: row.order)

    def __repr__(self) -> str:
        """A plain table."""
        rows = [("layer", "kind", "output", "parameters", "receptive field"), *map(_cells, self._rows.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{t}</th>" for t in ("layer", "kind", "output", "parameters", "receptive field"))
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in _cells(row)) + "</tr>"
            for row in self._rows.values()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class NoLayerError(KeyError):
    """There is no layer of that name; says itself without a KeyError's quotes."""

    def __str__(self) -> str:
        """The message."""
        return str(self.args[0])


def tabulate(twin: nn.Module, x: Tensor, network: str) -> Layers:
    """Run a stand-in of the network (see `shadow`) once on `x` (1, C, H, W) and write down its layers."""
    seen: dict[str, list[Layer]] = {}  # one row for each call
    trace, flow = Trace(), Flow()
    reading: list[Inflow] = []  # what the calls read that have begun and not finished, innermost last
    finished = 0
    first_with = WeakIdKeyDictionary()  # tensor -> (the call that put it out first, its in-place changes by then)

    def source(tensor: Tensor | None) -> str:
        """The call that put out `tensor` as it is now."""
        if tensor is None or tensor not in first_with:
            return ""
        by, changes = first_with[tensor]
        return by if changes == trace.changes(tensor) else ""

    def note(name: str, module: nn.Module) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        kind = type(module).__name__

        def begin(_module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
            reading.append(flow.into(*tensors_in([*args, *kwargs.values()])))

        def hook(_module: nn.Module, inputs: object, output: object) -> None:
            nonlocal finished
            tensor = first_tensor(output)
            origin = None if tensor is None else trace.origin(tensor)
            calls = seen.setdefault(name, [])
            call = f"{name}#{len(calls) + 1}"
            row = replace(_row(call, kind, parameters, finished, tensor, origin, x), reads=reading.pop())
            if tensor is not None:
                same = source(tensor) or source(_copied(kind, inputs, tensor))
                made = flow.into(tensor)
                row = replace(row, same_as=same, gathers=Inflow() if same or made == row.reads else made)
                first_with[tensor] = (same or call, trace.changes(tensor))
            for part in tensors_in([output]):
                flow.label(part, source(part) or call)
            calls.append(row)
            finished += 1

        module.register_forward_pre_hook(begin, with_kwargs=True)
        module.register_forward_hook(hook)

    names = {name: module for name, module in twin.named_modules() if name}
    for name, module in names.items():
        note(name, module)
    with torch.inference_mode(), trace, flow:
        trace.start(x)
        flow.label(x, "")
        twin(x)
    last = {rows[-1].name: name for name, rows in seen.items()}  # a layer's last call is called as the layer itself
    calls = {
        row.name: replace(
            row,
            calls=len(rows),
            same_as=last.get(row.same_as, row.same_as),
            reads=_renamed(row.reads, last),
            gathers=_renamed(row.gathers, last),
        )
        for rows in seen.values()
        for row in rows
    }
    rows = {
        name: replace(calls[seen[name][-1].name], name=name)
        if name in seen
        else Layer(
            name, type(module).__name__, (), sum(p.numel() for p in module.parameters()), None, 0, note="did not run"
        )
        for name, module in names.items()
    }
    return Layers(rows, network, calls)


def _row(
    name: str,
    kind: str,
    parameters: int,
    order: int,
    tensor: Tensor | None,
    origin: Origin | None,
    x: Tensor,
) -> Layer:
    if tensor is None:
        return Layer(name, kind, (), parameters, None, note="gives no tensor", order=order)
    axes = None if origin is None else _axes(tensor, origin)
    shape = tuple(tensor.shape[axis] for axis in axes[1:]) if axes else tuple(tensor.shape[1:])
    field, why = _field(origin, axes is not None, x)
    return Layer(name, kind, shape, parameters, field, axes=axes, note=why, order=order)


def _renamed(inflow: Inflow, last: Mapping[str, str]) -> Inflow:
    return replace(inflow, layers=tuple(last.get(call, call) for call in inflow.layers))


def _copied(kind: str, inputs: object, output: Tensor) -> Tensor | None:
    """The maps that an adaptive pooling to their own size copies (VGG and AlexNet at 224 pixels)."""
    tensor = first_tensor(inputs)
    return tensor if tensor is not None and kind.startswith("Adaptive") and tensor.shape == output.shape else None


def _axes(tensor: Tensor, origin: Origin) -> tuple[int, int, int, int] | None:
    rows, columns = origin.axis("y"), origin.axis("x")
    if tensor.ndim != 4 or rows is None or columns is None or 0 in (rows, columns):
        return None
    channels = ({1, 2, 3} - {rows, columns}).pop()
    return (0, channels, rows, columns)


def _field(origin: Origin | None, maps: bool, x: Tensor) -> tuple[ReceptiveField | None, str]:
    if origin is None:
        return None, "does not depend on the picture"
    picture = (int(x.shape[-2]), int(x.shape[-1]))
    stride = start = size = None
    if origin.spans is not None:
        rows, columns = origin.spans
        size = (rows.hi - rows.lo + 1, columns.hi - columns.lo + 1)
        stride, start = (rows.stride, columns.stride), (rows.lo, columns.lo)
    if origin.whole:
        if not maps:
            return ReceptiveField(picture, None, None, True), ""
        return ReceptiveField(picture, stride, start, True, size), ""
    if size is None:
        return None, origin.why
    return ReceptiveField(size, stride, start), ""


def _cells(row: Layer) -> tuple[str, ...]:
    field = str(row.receptive_field) if row.receptive_field else f"unknown: {row.note}" if row.calls else row.note
    calls = f" ({row.calls} calls)" if row.calls > 1 else ""
    return (row.name, row.kind + calls, " x ".join(map(str, row.shape)) or "-", f"{row.parameters:,}", field)


def _no_layer(name: object, rows: Mapping[str, Layer], network: str) -> str:
    near = difflib.get_close_matches(str(name), rows, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; engine.layers lists them"
    return f"no layer {name!r} in {network}{hint}"


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _short(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _by(pair)
