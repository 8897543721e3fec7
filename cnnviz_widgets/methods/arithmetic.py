"""The sum behind one value of a feature map: input patch times kernel, plus bias, on the network itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Layer
from cnnviz_widgets.engine.cache import key_of
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.methods.common import method
from cnnviz_widgets.methods.convolution import Convolution, colours_read, convolutions, find_convolution
from cnnviz_widgets.methods.layer_values import layer_input, placed, row_of
from cnnviz_widgets.results import Arithmetic, Unit


@method
def unit_arithmetic(engine: Engine, image: ImageLike, unit: Unit) -> Arithmetic:
    """How one value came about: the input patch, the kernel, and what each input channel adds to the sum.

    For every convolution (strided, dilated, grouped, padded in any way, with weights that are made on the way) and for
    linear layers, which are the case of one position. Sums are taken in double precision and agree with what the
    network put out to its own precision. The layer's input is remembered, so that further positions of it cost no
    forward pass.

    Args:
        engine, image: the network and the picture.
        unit: of a convolution or linear layer, as ``Unit("features.3", 7, y=4, x=2)``; without y and x where the
            channel is strongest.

    Returns:
        Arithmetic: inputs, kernel (c, kh, kw), contributions (c,), channels, inside, bias, total, value.

    Raises:
        ValueError: the layer is no sum of products (the convolution before it is named), or it does more with its
            input than that, so that the sum is not what it puts out.
        KeyError, IndexError: no such layer, channel or position.

    Example:
        >>> unit_arithmetic(engine, samples["cat"], Unit("features.0", 7, y=4, x=2))
    """
    x = engine.prepare(image)
    row = row_of(engine, x, unit)
    terms = _linear(engine, x, row) if _is_linear(engine, row) else _convolved(engine, x, row)
    unit, value = placed(engine, x, unit)
    values, kernel, channels, inside, settings = terms.at(unit)
    bias = 0.0 if terms.bias is None else float(terms.bias[unit.channel])
    products = values * kernel
    contributions = products.sum((1, 2))
    total = float(contributions.sum()) + bias
    _check(total, value, float(np.abs(products).sum()) + abs(bias), engine, row)
    return Arithmetic(
        image=engine.display(x),
        target=unit,
        target_name=str(unit),
        layer=unit.layer,
        method="unit_arithmetic",
        parameters=settings,
        inputs=values.astype(np.float32),
        kernel=kernel.astype(np.float32),
        contributions=contributions,
        channels=channels,
        inside=inside,
        bias=bias,
        total=total,
        value=value,
    )


@dataclass(frozen=True)
class _Terms:
    """A convolution (1, C, H, W) -> maps as the operation itself computed it, whatever the layer padded before.

    `offset` is the row and column of `input` where what the layer received begins, `size` that one's height and width.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    offset: tuple[int, int]
    size: tuple[int, int]
    colors: tuple[str, ...] | None
    about: dict[str, object]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def at(
        self, unit: Unit
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_], dict[str, object]]:
        """Values and kernel (c, kh, kw) of a unit, its input channels, what lies inside, and the settings."""
        out, width, *kernel = self.weight.shape
        first = unit.channel // (out // self.groups) * width
        cells = [
            position * stride - padding + np.arange(length) * dilation
            for position, stride, padding, length, dilation in zip(
                (unit.y or 0, unit.x or 0), self.stride, self.padding, kernel, self.dilation, strict=True
            )
        ]
        rows, columns = (_within(c, length) for c, length in zip(cells, self.input.shape[-2:], strict=True))
        read = self.input[0, first : first + width][:, rows[0]][:, :, columns[0]]
        values = np.where(rows[1][:, None] & columns[1], _doubles(read), 0.0)  # what is not there is zero padding
        received = [_within(c - o, length)[1] for c, o, length in zip(cells, self.offset, self.size, strict=True)]
        settings = {
            **self.about,
            "top": int(cells[0][0]) - self.offset[0],
            "left": int(cells[1][0]) - self.offset[1],
            "colors": self.colors,
        }
        inside = received[0][:, None] & received[1]
        return values, _doubles(self.weight[unit.channel]), np.arange(first, first + width), inside, settings


def _convolved(engine: Engine, x: Tensor, row: Layer) -> _Terms:
    base = row.name if row.name in engine.modules else row.name.rpartition("#")[0]
    if base not in convolutions(engine, x):
        raise ValueError(_no_sum(engine, x, row))
    if row.axes not in (None, (0, 1, 2, 3)):
        raise ValueError(f"the maps of {row.name!r} lie another way than (C, h, w), so the kernel's place is not known")

    def read() -> _Terms:
        found = find_convolution(engine, row.name, x)
        if found.transposed:
            raise ValueError(f"{row.name!r} is a transposed convolution, whose values are sums over other places")
        given, offset = _unpadded(found)
        colors = colours_read(engine, found.received, x)
        names = None if colors is None else tuple(("red", "green", "blue")[colors.index(n)] for n in range(3))
        size = (int(found.received.shape[-2]), int(found.received.shape[-1]))
        about = {name: value for name, value in found.settings.items() if name != "transposed"}
        return _Terms(given, found.weight, found.bias, offset, size, names, about,
                      found.stride, found.padding, found.dilation, found.groups)  # fmt: skip

    return engine.remember(("terms", row.name, key_of(x)), read)


def _unpadded(found: Convolution) -> tuple[Tensor, tuple[int, int]]:
    """What the operation got, and where in it lies what the layer received: near the middle, if in several places.

    The layer may have padded with zeros, reflections or whatever else. Where it did nothing, what it received comes
    back, in the engine's own precision.
    """
    received = found.received.to(found.input)
    rows, columns = (found.input.shape[axis] - received.shape[axis] for axis in (2, 3))
    if received.shape[1] == found.input.shape[1] and rows >= 0 and columns >= 0:
        places = [(top, left) for top in range(rows + 1) for left in range(columns + 1)]
        for top, left in sorted(places, key=lambda p: abs(p[0] - rows // 2) + abs(p[1] - columns // 2)):
            part = found.input[:, :, top : top + received.shape[2], left : left + received.shape[3]]
            if torch.equal(part, received):
                return (found.input if rows or columns else found.received), (top, left)
    raise ValueError(f"{found.layer!r} changes its input before it convolves, so its sum is not over its input")


def _is_linear(engine: Engine, row: Layer) -> bool:
    return isinstance(_module(engine, row.name), nn.Linear)


def _linear(engine: Engine, x: Tensor, row: Layer) -> _Terms:
    """A linear layer as a convolution of one cell, over one vector or the features of every position of maps."""
    given = layer_input(engine, x, row.name)
    if row.axes is not None and row.axes[1] != 3:
        raise ValueError(f"{row.name!r} mixes positions, not channels, so its values are no sums over channels")
    given = given.permute(*row.axes) if row.axes is not None else given.reshape(1, -1, 1, 1)
    twin = shadow(_module(engine, row.name))  # a weight that is made when it is read is made on a stand-in
    assert isinstance(twin, nn.Linear)
    if twin._forward_pre_hooks:  # older weight normalisation makes it when the layer is called
        with torch.inference_mode():
            twin(layer_input(engine, x, row.name).to(twin.weight))
    size = (int(given.shape[2]), int(given.shape[3]))
    return _Terms(given, twin.weight.detach()[:, :, None, None], twin.bias, (0, 0), size, None, {"kind": row.kind})


def _check(total: float, value: float, mass: float, engine: Engine, row: Layer) -> None:
    """Refuse a sum that is not what the network put out, which rounding cannot explain: `mass` is that of all terms."""
    allowed = (1e-4 if torch.finfo(engine.dtype).eps < 1e-6 else 0.05) * mass + 1e-12
    if np.isfinite(total) and not abs(total - value) <= allowed:
        raise ValueError(
            f"input times kernel plus bias is {total:.6g} in {row.name!r}, but the network put out {value:.6g} there: "
            f"this {row.kind} does more than that with its input"
        )


def _no_sum(engine: Engine, x: Tensor, row: Layer) -> str:
    """What the layer is, and which convolution finished last before it."""
    table = engine.layers_for(x)
    before = [name for name in convolutions(engine, x) if table[name].order < row.order]
    hint = f"; the last one before it is {before[-1]!r}" if before else ""
    return f"layer {row.name!r} is a {row.kind}, no sum of products; wanted a convolution or a linear layer{hint}"


def _module(engine: Engine, layer: str) -> nn.Module:
    modules = engine.modules
    return modules[layer] if layer in modules else modules[layer.rpartition("#")[0]]


def _within(cells: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The cells moved into a row of `length`, and which of them lay there."""
    return cells.clip(0, length - 1), (cells >= 0) & (cells < length)


def _doubles(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
