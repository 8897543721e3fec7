"""Recognising what works cell by cell: rectifiers, sums, normalisation over channels, rearranged channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.operations import Call, Constant, Joined, Local, Operation, Pooled, Value
from cnnviz_widgets.engine.incremental.recorded import Recorded
from cnnviz_widgets.engine.incremental.tape import Ref

# what also exists as an operation that writes over its first argument, and leaves shape and type as they are
OVERWRITING: dict[str, Callable[..., Tensor]] = {
    "relu": torch.ops.aten.relu_.default,
    "hardtanh": torch.ops.aten.hardtanh_.default,
    "relu6": torch.ops.aten.relu6_.default,
    "silu": torch.ops.aten.silu_.default,
    "hardswish": torch.ops.aten.hardswish_.default,
    "hardsigmoid": torch.ops.aten.hardsigmoid_.default,
    "sigmoid": torch.ops.aten.sigmoid_.default,
    "leaky_relu": torch.ops.aten.leaky_relu_.default,
}


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchNorm(Local):
    """Normalisation with kept statistics (channels), in eval mode."""

    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor
    variance: Tensor
    eps: float

    def affine(self) -> tuple[Tensor, Tensor]:
        """The factor and the summand of each channel, in float64."""
        scale = (self.variance.double() + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight.double()
        shift = -self.mean.double() * scale
        return scale, shift if self.bias is None else shift + self.bias.double()


def pointwise(call: Recorded) -> Operation | None:
    """One value from one value, or from several at the same place."""
    axes = _common_axes(call)
    if axes is None:
        return None
    whole = Value(call.shape, axes)
    aligned = tuple(v.axes == axes and v.lengths == whole.lengths for v in call.read)
    more = []
    # a constant with an extent of its own is a map that no patch changes
    for tensor in call.tensors:
        if tensor.ndim > len(call.shape) or not _same_rank(call):
            return None
        extent = _extent(tensor, whole)
        if extent == (1, 1):
            continue
        if extent != whole.lengths:
            return None
        more.append(tensor)
    if more:
        return _with_maps(call, whole, more, aligned)
    over = OVERWRITING.get(call.name)
    rest = call.node.args[1:]
    return Local(
        name=call.name,
        inputs=call.inputs,
        value=whole,
        constants=call.tensors,
        call=call.call(),
        aligned=aligned,
        over=None if over is None or call.node.kwargs else (lambda tensors: over(tensors[0], *rest)),
        channelwise=True,
    )


def normalised(call: Recorded) -> Operation | None:
    """batch_norm in eval mode, with its kept statistics."""
    value = call.read[0]
    args = call.node.named()
    if value.axes is None or 1 in value.axes or args.get("training") or not call.only("input"):
        return None
    return BatchNorm(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, value.axes),
        constants=call.tensors,
        call=call.call(),
        aligned=(True,),
        weight=args["weight"],
        bias=args["bias"],
        mean=args["running_mean"],
        variance=args["running_var"],
        eps=args["eps"],
    )


def layer_norm(call: Recorded) -> Operation | None:
    """layer_norm and rms_norm over axes behind y and x."""
    value = call.read[0]
    count = len(call.node.named()["normalized_shape"])
    if value.axes is None or max(value.axes) >= len(value.shape) - count or not call.only("input"):
        return None
    return _alike(call, value.axes)


def linear(call: Recorded) -> Operation | None:
    """linear over channels that are the last axis."""
    value = call.read[0]
    if value.axes is None or max(value.axes) == len(value.shape) - 1 or not call.only("input"):
        return None
    macs = math.prod(call.shape) * value.shape[-1]
    return _alike(call, value.axes, macs)


def along(call: Recorded) -> Operation | None:
    """softmax, cumsum ... along one axis that is neither y nor x."""
    value = call.read[0]
    dim = call.node.named()["dim"] % len(value.shape)
    if value.axes is None or dim in value.axes or dim == 0 or len(call.refs) > 1:
        return None
    return _alike(call, value.axes)


def reduced(call: Recorded) -> Operation | None:
    """mean, sum, amax ... over channels, or the mean or sum over y and x."""
    value = call.read[0]
    args = call.node.named()
    dims = args.get("dim")
    if value.axes is None or dims is None or len(call.refs) > 1 or call.output:
        return None
    dims = {dim % len(value.shape) for dim in (dims if isinstance(dims, (list, tuple)) else [dims])}
    if dims == set(value.axes) and call.name in ("mean", "sum") and not args.get("dtype"):
        factor = 1 / math.prod(value.lengths) if call.name == "mean" else 1.0
        return Pooled(name=call.name, inputs=call.inputs, value=Value(call.shape), factor=factor, axes=value.axes)
    if 0 in dims or dims & set(value.axes):
        return None
    if args.get("keepdim"):
        axes = value.axes
    else:
        y, x = (axis - sum(dim < axis for dim in dims) for axis in value.axes)
        axes = (y, x)
    return _alike(call, axes)


def reshaped(call: Recorded) -> Operation | None:
    """view, flatten, squeeze ...: the same elements under another shape."""
    value = call.read[0]
    axes = call.follow(value)
    if axes is None or value.axes is None or value.shape[0] != call.shape[0]:
        return None
    last = len(value.shape) - 2, len(value.shape) - 1
    before, after = value.axes, axes
    shape = call.shape

    def view(tensors: Sequence[Tensor]) -> Tensor:
        x = tensors[0]
        sizes = [len(x), *shape[1:]]
        for old, new in zip(before, after, strict=True):
            sizes[new] = x.shape[old]
        if before == last and after == (len(shape) - 2, len(shape) - 1):
            # channels stay the innermost in memory, as convolutions want them
            turned = x.movedim((-2, -1), (1, 2)).reshape(len(x), *sizes[-2:], *sizes[1:-2])
            return turned.movedim((1, 2), (-2, -1))
        return x.reshape(sizes)

    return Local(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, axes),
        call=view,
        aligned=(True,),
        fresh=False,
    )


def permuted(call: Recorded) -> Operation | None:
    """permute and transpose that leave the samples in front."""
    value = call.read[0]
    args = call.node.named()
    count = len(value.shape)
    if value.axes is None:
        return None
    if "dims" in args:
        order = [dim % count for dim in args["dims"]]
    else:
        one, other = swapped(args, count)
        order = list(range(count))
        order[one], order[other] = other, one
    if order[0] != 0:
        return None
    axes = (order.index(value.axes[0]), order.index(value.axes[1]))
    return _view(call, axes, lambda tensors: tensors[0].permute(order))


def swapped(args: Mapping[str, Any], count: int) -> tuple[int, int]:
    """The two axes of a transpose, which swapaxes calls by another name."""
    name = "dim" if "dim0" in args else "axis"
    return args[f"{name}0"] % count, args[f"{name}1"] % count


def taken(call: Recorded) -> Operation | None:
    """chunk, split, slice, select ...: some of the channels."""
    value = call.read[0]
    if value.axes is None:
        return None
    args = call.node.named()
    dim = args.get("dim", 0) % len(value.shape)
    if dim == 0 or dim in value.axes or len(call.refs) > 1:
        return None
    axes = value.axes
    if call.name in ("select", "unbind"):
        index = args["index"] if call.name == "select" else call.output
        y, x = (axis - (dim < axis) for axis in axes)
        return _view(call, (y, x), lambda tensors: tensors[0].select(dim, index))
    if call.name in ("chunk", "split", "split_with_sizes", "tensor_split"):
        start = sum(shape[dim] for shape in call.node.shapes[: call.output])
        length = call.shape[dim]
        return _view(call, axes, lambda tensors: tensors[0].narrow(dim, start, length))
    return _view(call, axes, call.call())


def joined(call: Recorded) -> Operation | None:
    """cat along channels; constants among the parts are maps that no patch changes."""
    args = call.node.named()
    parts = args["tensors"]
    read = dict(zip(call.refs, call.read, strict=True))
    axes = call.read[0].axes
    dim = args.get("dim", 0) % len(call.shape)
    if axes is None or dim == 0 or dim in axes or any(value.axes != axes for value in read.values()):
        return None
    value = Value(call.shape, axes)
    numbers = []
    for part in parts:
        if isinstance(part, Ref):
            numbers.append(call.numbers[part])
        elif part.ndim == len(call.shape) and len(part) == 1:
            numbers.append(call.emit(_constant(part, axes)))
        else:
            return None
    return Joined(
        name=call.name,
        inputs=tuple(numbers),
        value=value,
        call=lambda tensors: torch.cat([_filled(t, tensors) for t in tensors], dim),
        aligned=(True,) * len(numbers),
        along=dim,
    )


def padded_channels(call: Recorded) -> Operation | None:
    """pad along channels alone, and what else leaves y and x as they are (pooling over channels)."""
    value = call.read[0]
    if value.axes is None or len(call.refs) > 1:
        return None
    if call.name == "avg_pool3d":
        sizes = [call.node.named()[name] or [1] for name in ("kernel_size", "stride", "padding")]
        kernel, stride, padding = (list(size) * 3 if len(size) == 1 else list(size) for size in sizes)
        stays = kernel[1:] == [1, 1] and stride[1:] == [1, 1] and padding[1:] == [0, 0]
        return (
            _alike(call, value.axes) if stays and value.axes == (len(value.shape) - 2, len(value.shape) - 1) else None
        )
    widths = call.node.named()["pad"]
    touched = {len(value.shape) - 1 - n // 2 for n, width in enumerate(widths) if width}
    if touched & {0, *value.axes} or call.node.named().get("mode", "constant") != "constant":
        return None
    return _alike(call, value.axes)


def _alike(call: Recorded, axes: tuple[int, int], macs: int = 0) -> Operation:
    """One input, the operation as it is."""
    return Local(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, axes),
        macs=macs,
        constants=call.tensors,
        call=call.call(),
        aligned=(True,),
    )


def _view(call: Recorded, axes: tuple[int, int], function: Call) -> Operation:
    """One input, seen otherwise."""
    return Local(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, axes),
        call=function,
        aligned=(True,),
        fresh=False,
    )


def _common_axes(call: Recorded) -> tuple[int, int] | None:
    """y and x of the output, when all inputs have as many axes as it and those that are maps agree."""
    if not _same_rank(call):
        return None
    found = {value.axes for value in call.read if value.axes is not None}
    if len(found) != 1:
        return None
    axes = found.pop()
    sizes = tuple(call.shape[axis] for axis in axes)
    # a map as large as the output, or one number for all of its cells; a single row or column has windows of its own
    fits = [value.axes == axes and value.lengths == sizes for value in call.read]
    same = [all(value.shape[axis] == 1 for axis in axes) for value in call.read]
    return axes if any(fits) and all(f or s for f, s in zip(fits, same, strict=True)) else None


def _same_rank(call: Recorded) -> bool:
    return all(len(value.shape) == len(call.shape) and value.shape[0] == 1 for value in call.read)


def _extent(tensor: Tensor, like: Value) -> tuple[int, int]:
    """How many rows and columns a constant has, broadcast against a map."""
    assert like.axes is not None
    missing = len(like.shape) - tensor.ndim
    y, x = (1 if axis < missing else tensor.shape[axis - missing] for axis in like.axes)
    return y, x


def _with_maps(call: Recorded, value: Value, maps: list[Tensor], aligned: tuple[bool, ...]) -> Operation | None:
    """A pointwise operation one of whose constants has an extent: that becomes a map of its own."""
    args = call.node.args
    if call.node.kwargs and any(isinstance(v, Tensor) for v in call.node.kwargs.values()):
        return None
    assert value.axes is not None
    constants = [_constant(t.reshape((1,) * (len(value.shape) - t.ndim) + tuple(t.shape)), value.axes) for t in maps]
    numbers = [call.emit(constant) for constant in constants]
    refs = call.refs
    places: list[int | None] = []
    for argument in args:
        if isinstance(argument, Ref):
            places.append(refs.index(argument))
        elif any(argument is tensor for tensor in maps):
            places.append(len(refs) + [argument is tensor for tensor in maps].index(True))
        else:
            places.append(None)
    func, kwargs = call.node.func, call.node.kwargs

    def run(tensors: Sequence[Tensor]) -> Tensor:
        given: list[Any] = [a if p is None else tensors[p] for a, p in zip(args, places, strict=True)]
        return func(*given, **kwargs)

    return Local(
        name=call.name,
        inputs=(*call.inputs, *numbers),
        value=value,
        call=run,
        aligned=(*aligned, *[True] * len(numbers)),
    )


def _constant(tensor: Tensor, axes: tuple[int, int]) -> Constant:
    return Constant(name="constant", inputs=(), value=Value(tuple(tensor.shape), axes), tensor=tensor)


def _filled(tensor: Tensor, others: Sequence[Tensor]) -> Tensor:
    """A part that no patch changes, as often as the others are there."""
    count = max(map(len, others))
    return tensor if len(tensor) == count else tensor.expand(count, *tensor.shape[1:])
