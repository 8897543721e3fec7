"""Receptive fields the slow way: change one row (or column) of the input and see which values of a layer change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnviz_widgets.engine.layers import Layer, Layers, tabulate
from cnnviz_widgets.engine.shadow import shadow

Extent = tuple[int, int] | None  # first and last input cell that matters


def table(net: nn.Module, height: int, width: int, channels: int = 3) -> Layers:
    """What the package says."""
    return tabulate(shadow(net), torch.rand(1, channels, height, width, dtype=torch.float64), "net")


def fields(net: nn.Module, layers: Layers, height: int, width: int, channels: int = 3) -> dict[str, list[list[Extent]]]:
    """For each layer with maps, by axis and position along it: the input rows (columns) on which it depends."""
    generator = torch.Generator().manual_seed(3)
    base = torch.rand(1, channels, height, width, dtype=torch.float64, generator=generator)
    reference = _maps(net, layers, base)
    extents: dict[str, list[list[Extent]]] = {
        name: [[None] * value.shape[2], [None] * value.shape[3]] for name, value in reference.items()
    }
    for axis, length in enumerate((height, width)):
        # large and different for each pixel, so that maxima move and nothing cancels; three draws for each cell
        cells = torch.arange(length).repeat(3)
        others = base.repeat(len(cells), 1, 1, 1)
        for other, cell in zip(others, cells.tolist(), strict=True):
            line = other.select(1 + axis, cell)
            line.add_(torch.randn(line.shape, dtype=torch.float64, generator=generator) * 5)
        for name, value in _maps(net, layers, others).items():
            before = reference[name]
            changed = ((value - before).abs() > 1e-10 * before.abs().max()).any(1).any(2 - axis)
            for number, position in changed.nonzero().tolist():
                cell, known = int(cells[number]), extents[name][axis][position]
                extents[name][axis][position] = (min(cell, known[0]), max(cell, known[1])) if known else (cell, cell)
    return extents


def _maps(net: nn.Module, layers: Layers, x: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    twin = shadow(net)
    for name, module in twin.named_modules():
        row = layers.get(name) if name else None
        if row is not None and row.axes is not None:
            module.register_forward_hook(_keep(found, row))
    with torch.no_grad():
        twin(x)
    return found


def _keep(found: dict[str, Tensor], row: Layer):  # noqa: ANN202
    def hook(_module: nn.Module, _args: object, output: Tensor) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        assert row.axes is not None
        found[row.name] = tensor.permute(*row.axes).clone()

    return hook


def disagreements(
    net: nn.Module, height: int = 45, width: int = 39, channels: int = 3, exact: bool = True
) -> list[str]:
    """Where the table of layers and brute force differ, in words; nothing when all is right.

    A field must contain what matters, everywhere. Units whose field lies inside the picture must (`exact`) have it to
    the cell, unless the layer sees the whole picture.
    """
    net = net.double().eval()
    layers = table(net, height, width, channels)
    wrong = []
    for name, by_axis in fields(net, layers, height, width, channels).items():
        field = layers[name].receptive_field
        if field is None or field.whole:
            continue
        assert field.start is not None and field.stride is not None
        for axis, extents in enumerate(by_axis):
            length = (height, width)[axis]
            for position, extent in enumerate(extents):
                first = field.start[axis] + position * field.stride[axis]
                last = first + field.size[axis] - 1
                said = f"{name} axis {axis} position {position}: says {first}..{last}, sees {extent}"
                if extent is not None and (extent[0] < first or extent[1] > last):
                    wrong.append(f"too small: {said}")
                elif exact and first >= 0 and last < length and extent != (first, last):
                    wrong.append(f"too large: {said}")
    return wrong
