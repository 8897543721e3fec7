"""The sum behind one value of a feature map: input patch times kernel, plus bias, on the network itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Layer
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.methods.common import method
from cnnviz_widgets.methods.layer_values import layer_input, placed, row_of
from cnnviz_widgets.results import Arithmetic, Unit


@method
def unit_arithmetic(engine: Engine, image: ImageLike, unit: Unit) -> Arithmetic:
    """How one value came about: the input patch, the kernel, and what each input channel adds to the sum.

    For every convolution (strided, dilated, grouped, padded in any way) and for linear layers, which are the case of
    one position. Sums are taken in double precision and agree with what the network put out to its own precision. The
    layer's input is remembered, so that further positions of it cost no forward pass.

    Args:
        engine, image: the network and the picture.
        unit: of a convolution or linear layer, as ``Unit("features.3", 7, y=4, x=2)``; without y and x where the
            channel is strongest.

    Returns:
        Arithmetic: inputs, kernel (c, kh, kw), contributions (c,), channels, inside, bias, total, value.

    Raises:
        ValueError: the layer is no sum of products (the convolution before it is named), or it does more with its
            input than its weights say.
        KeyError, IndexError: no such layer, channel or position.

    Example:
        >>> unit_arithmetic(engine, samples["cat"], Unit("features.3", 7, y=4, x=2))
    """
    x = engine.prepare(image)
    row = row_of(engine, x, unit)
    module = _module(engine, unit.layer)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise ValueError(_no_sum(engine, x, row))
    given = layer_input(engine, x, unit.layer)
    unit, value = placed(engine, x, unit)
    window = (
        _of_linear(given, row, unit) if isinstance(module, nn.Linear) else _of_convolution(module, given, row, unit)
    )
    kernel, bias = _weights(module, given, unit.channel)
    products = window.values * kernel
    contributions = products.sum((1, 2))
    total = float(contributions.sum()) + bias
    _check(total, value, float(np.abs(products).sum()) + abs(bias), given, module, unit)
    return Arithmetic(
        image=engine.display(x),
        target=unit,
        target_name=str(unit),
        layer=unit.layer,
        method="unit_arithmetic",
        parameters={**window.settings, "colors": _colors(engine, x, given)},
        inputs=window.values.astype(np.float32),
        kernel=kernel.astype(np.float32),
        contributions=contributions,
        channels=window.channels,
        inside=window.inside,
        bias=bias,
        total=total,
        value=value,
    )


@dataclass(frozen=True)
class _Window:
    """What a kernel lies on: values (c, kh, kw) in double precision of the input's `channels`."""

    values: NDArray[np.float64]
    channels: NDArray[np.int64]
    inside: NDArray[np.bool_]
    settings: dict[str, object]


def _of_convolution(module: nn.Conv2d, given: Tensor, row: Layer, unit: Unit) -> _Window:
    if given.ndim != 4 or len(given) != 1 or row.axes not in (None, (0, 1, 2, 3)):
        raise ValueError(f"the maps of {row.name!r} lie another way than (C, h, w), so its kernel's place is not known")
    position = (unit.y or 0, unit.x or 0)
    width = module.in_channels // module.groups
    first = unit.channel // (module.out_channels // module.groups) * width
    axes = [_cells(module, axis, position[axis], int(given.shape[2 + axis])) for axis in (0, 1)]
    (top, rows, within_rows), (left, columns, within_columns) = axes
    inside = within_rows[:, None] & within_columns
    values = _doubles(given[0, first : first + width][:, rows][:, :, columns])
    if module.padding_mode == "zeros":
        values = np.where(inside, values, 0.0)
    settings = {
        "stride": module.stride,
        "padding": module.padding,
        "dilation": module.dilation,
        "groups": module.groups,
        "padding_mode": module.padding_mode,
        "top": top,
        "left": left,
    }
    return _Window(values, np.arange(first, first + width), inside, settings)


def _cells(
    module: nn.Conv2d, axis: int, position: int, length: int
) -> tuple[int, NDArray[np.int64], NDArray[np.bool_]]:
    """Along one axis: the kernel's first cell, the input cell that each of its cells reads, and which lie inside."""
    kernel, dilation, stride = module.kernel_size[axis], module.dilation[axis], module.stride[axis]
    if isinstance(module.padding, str):  # "same" puts the odd cell at the end
        before = dilation * (kernel - 1) // 2 if module.padding == "same" else 0
    else:
        before = int(module.padding[axis])
    first = position * stride - before
    cells = first + np.arange(kernel) * dilation
    inside = (cells >= 0) & (cells < length)
    if module.padding_mode == "circular":
        read = cells % length
    elif module.padding_mode == "reflect":
        read = np.abs(cells)
        read = np.where(read >= length, 2 * (length - 1) - read, read)
    else:  # "replicate"; and "zeros", whose padding is not read
        read = cells.clip(0, length - 1)
    return first, read, inside


def _of_linear(given: Tensor, row: Layer, unit: Unit) -> _Window:
    """A linear layer is a convolution of one cell, over features of one vector or of every position of maps."""
    if row.axes is not None and given.ndim == 4:
        if row.axes[1] != 3:
            raise ValueError(f"{row.name!r} mixes positions, not channels, so its values are no sums over channels")
        vector = given.permute(*row.axes)[0, :, unit.y or 0, unit.x or 0]
    else:
        vector = given.reshape(-1)
    values = _doubles(vector)[:, None, None]
    return _Window(values, np.arange(len(values)), np.ones((1, 1), np.bool_), {})


def _weights(module: nn.Conv2d | nn.Linear, given: Tensor, channel: int) -> tuple[NDArray[np.float64], float]:
    """The kernel (c, kh, kw) and bias of one output channel, as the module uses them in eval mode."""
    twin = shadow(module)  # a parametrization that counts or changes as it is read does so on a stand-in
    assert isinstance(twin, nn.Conv2d | nn.Linear)
    if twin._forward_pre_hooks:  # the older weight_norm and spectral_norm make the weight when the layer is called
        with torch.inference_mode():
            twin(given.to(twin.weight))
    weight = _doubles(twin.weight[channel])
    kernel = weight if weight.ndim == 3 else weight[:, None, None]
    return kernel, 0.0 if twin.bias is None else float(twin.bias[channel])


def _check(total: float, value: float, mass: float, given: Tensor, module: nn.Module, unit: Unit) -> None:
    """Refuse a sum that is not what the network put out, which rounding cannot explain: `mass` is that of all terms."""
    allowed = (1e-4 if torch.finfo(given.dtype).eps < 1e-6 else 0.05) * mass + 1e-12
    if np.isfinite(total) and not abs(total - value) <= allowed:
        raise ValueError(
            f"input times kernel plus bias is {total:.6g} for {unit}, but the network put out {value:.6g} there: this "
            f"{type(module).__name__} does more than that with its input (a forward of its own, or a hook)"
        )


def _module(engine: Engine, layer: str) -> nn.Module:
    modules = engine.modules
    return modules[layer] if layer in modules else modules[layer.rpartition("#")[0]]


def _no_sum(engine: Engine, x: Tensor, row: Layer) -> str:
    """What the layer is, and which sum of products finished last before it."""
    modules, before = engine.modules, [r for r in engine.layers_for(x).in_order() if r.order < row.order]
    sums = [r for r in before if isinstance(modules[r.name], nn.Conv2d | nn.Linear)]
    hint = f"; the last one before it is {sums[-1].name!r}, a {sums[-1].kind}" if sums else ""
    return f"layer {row.name!r} is a {row.kind}, no sum of products; wanted a convolution or a linear layer{hint}"


def _colors(engine: Engine, x: Tensor, given: Tensor) -> list[str] | None:
    """The colours of the input's channels, where the input is the prepared picture itself."""
    if given.shape != x.shape or x.shape[1] != 3 or not torch.equal(given, x):
        return None
    channels = engine.preprocessing.to_rgb(torch.arange(3).view(3, 1, 1)).flatten().tolist()  # of red, green, blue
    return [("red", "green", "blue")[channels.index(number)] for number in range(3)]


def _doubles(values: Tensor) -> NDArray[np.float64]:
    return values.detach().cpu().double().numpy()
