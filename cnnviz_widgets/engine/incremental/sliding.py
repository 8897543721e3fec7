"""The windows that slide over a map: convolution, pooling, padding and cropping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnviz_widgets.engine.incremental.interval import Slide
from cnnviz_widgets.engine.incremental.operations import Constant, Local, Operation, Pooled, Sliding, Value
from cnnviz_widgets.engine.incremental.recorded import Recorded
from cnnviz_widgets.engine.incremental.winograd import TILES, Way, Winograd, best_way, direct


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Sliding):
    """Weights (out, in / groups, kh, kw) and, maybe, a bias (out); `own_bytes` of them are not the network's own."""

    weight: Tensor
    bias: Tensor | None
    groups: int
    own_bytes: int = 0
    _tiled: dict[int, Winograd] = field(default_factory=dict, repr=False, init=False)

    def way(self, height: int, width: int, count: int, tiled: bool = True) -> Way:
        """How so many outputs of this size are best computed; by tiles only where `tiled` allows it."""
        out, channels, taps, _ = self.weight.shape
        if tiled and self._tileable:
            return best_way(channels, out, taps, height, width, count)
        return direct(self.weight.numel(), height, width)

    def tiled_bytes(self, tile: int) -> int:
        """Memory that the weights take for tiles of this side."""
        taps = self.weight.shape[2]
        return self.weight.nbytes * (tile + taps - 1) ** 2 // taps**2 if tile else 0

    @cached_property
    def _tileable(self) -> bool:
        """Only in float32 on a CPU: elsewhere torch has the better kernels, or none that are worth replacing."""
        square = self.weight.shape[2] == self.weight.shape[3] in TILES
        plain = all(slide.stride == slide.dilation == 1 for slide in self.slides) and self.groups == 1
        return square and plain and self.weight.dtype == torch.float32 and self.weight.device.type == "cpu"

    def tiled_sides(self, height: int, width: int, tile: int) -> tuple[int, int]:
        """Of padded maps from which whole tiles come out, with an output of this size in the first of them."""
        more = self.weight.shape[2] - 1
        return height + -height % tile + more, width + -width % tile + more

    def by_tiles(self, padded: Tensor, tile: int) -> Tensor:
        """The output for padded maps with sides as `tiled_sides` has them, computed by tiles."""
        if tile not in self._tiled:
            self._tiled[tile] = Winograd(self.weight, self.bias, tile)
        return self._tiled[tile](padded)

    def valid(self, x: Tensor) -> Tensor:
        """The output for maps that are padded already."""
        return self._convolve(x, 0)

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        y, x = self.slides
        height, width = tensors[0].shape[2:]
        if _symmetric(y, height) and _symmetric(x, width):
            return self._convolve(tensors[0], (y.padding, x.padding))
        return Sliding.whole(self, tensors)

    def _convolve(self, x: Tensor, padding: Any) -> Tensor:
        stride = [slide.stride for slide in self.slides]
        dilation = [slide.dilation for slide in self.slides]
        return F.conv2d(x, self.weight, self.bias, stride, padding, dilation, self.groups)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Sliding):
    """The largest value of each window; padding is minus infinity."""

    fill: float = -math.inf

    def valid(self, x: Tensor) -> Tensor:
        """The output for maps that are padded already."""
        kernel, stride, dilation = zip(*((s.kernel, s.stride, s.dilation) for s in self.slides), strict=True)
        return F.max_pool2d(x, kernel, stride, 0, dilation)


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanPool(Sliding):
    """The sum of each window, divided by the same number everywhere."""

    divisor: int

    def valid(self, x: Tensor) -> Tensor:
        """The output for maps that are padded already."""
        kernel, stride = zip(*((s.kernel, s.stride) for s in self.slides), strict=True)
        return F.avg_pool2d(x, kernel, stride, divisor_override=self.divisor)


@dataclass(frozen=True, eq=False, kw_only=True)
class Frame(Sliding):
    """Rows and columns put around a map, cut off, or skipped."""

    def valid(self, x: Tensor) -> Tensor:
        """The output for maps that are padded already."""
        assert self.value.axes is not None
        for axis, slide in zip(self.value.axes, self.slides, strict=True):
            if slide.stride > 1:
                x = x[(*[slice(None)] * axis, slice(None, None, slide.stride))]
        return x


def convolution(call: Recorded) -> Operation | None:
    """conv2d with weights of its own."""
    args = call.node.named()
    if not (call.only("input") and is_map(call)) or args.get("transposed"):
        return None
    weight, stride, dilation = args["weight"], pair(args["stride"]), pair(args["dilation"])
    padding = args["padding"]
    if isinstance(padding, str):
        # an odd cell of padding goes behind, which Slide.overhang finds out by itself
        reach = [(k - 1) * d for k, d in zip(weight.shape[2:], dilation, strict=True)]
        padding = [r // 2 if padding == "same" else 0 for r in reach]
    return Convolution(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, (2, 3)),
        macs=math.prod(call.shape) * math.prod(weight.shape[1:]),
        slides=_slides(call, tuple(weight.shape[2:]), stride, pair(padding), dilation),
        constants=(weight,),
        weight=weight,
        bias=args["bias"],
        groups=args["groups"],
    )


def max_pool(call: Recorded) -> Operation | None:
    """max_pool2d, also where only the values of its two outputs are used."""
    if not is_map(call) or call.output != 0:
        return None
    args = call.node.named()
    kernel = pair(args["kernel_size"])
    return MaxPool(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, (2, 3)),
        slides=_slides(call, kernel, pair(args["stride"] or kernel), pair(args["padding"]), pair(args["dilation"])),
    )


def mean_pool(call: Recorded) -> Operation | None:
    """avg_pool2d; cells whose windows hang over the edge are divided by less, and so are put right afterwards."""
    if not is_map(call):
        return None
    args = call.node.named()
    kernel, padding = pair(args["kernel_size"]), pair(args["padding"])
    stride = pair(args["stride"] or kernel)
    slides = _slides(call, kernel, stride, padding, (1, 1))
    area = args["divisor_override"] or math.prod(kernel)
    pool = MeanPool(name=call.name, inputs=call.inputs, value=Value(call.shape, (2, 3)), slides=slides, divisor=area)
    if args["divisor_override"]:
        return pool
    lengths = call.read[0].lengths
    counts = [_counts(s, n, args["count_include_pad"]) for s, n in zip(slides, lengths, strict=True)]
    if all(count == slide.kernel for slide, row in zip(slides, counts, strict=True) for count in row):
        return pool
    right = area / (torch.tensor(counts[0], dtype=torch.float64)[:, None] * torch.tensor(counts[1]))
    shares = Constant(
        name="constant",
        inputs=(),
        value=Value((1, 1, *call.shape[2:]), (2, 3)),
        tensor=right[None, None].to(call.like),
    )
    return Local(
        name=call.name,
        inputs=(call.emit(pool), call.emit(shares)),
        value=pool.value,
        call=lambda tensors: tensors[0] * tensors[1],
        aligned=(True, True),
    )


def adaptive_pool(call: Recorded) -> Operation | None:
    """adaptive_avg_pool2d to one cell, to the size that is there already, or in windows of one size."""
    if not is_map(call):
        return None
    have, want = call.read[0].lengths, call.shape[2:]
    if want == (1, 1):
        return Pooled(
            name=call.name,
            inputs=call.inputs,
            value=Value(call.shape),
            factor=1 / math.prod(have),
            axes=(2, 3),
        )
    if any(h % w for h, w in zip(have, want, strict=True)):
        return None
    kernel = (have[0] // want[0], have[1] // want[1])
    slides = _slides(call, kernel, kernel, (0, 0), (1, 1))
    value = Value(call.shape, (2, 3))
    if kernel == (1, 1):
        return Frame(name=call.name, inputs=call.inputs, value=value, slides=slides, fresh=False)
    return MeanPool(name=call.name, inputs=call.inputs, value=value, slides=slides, divisor=math.prod(kernel))


def frame(call: Recorded) -> Operation | None:
    """pad with a constant, along y and x alone."""
    args = call.node.named()
    if args.get("mode", "constant") != "constant" or not is_map(call, dims=None):
        return None
    value = call.read[0]
    assert value.axes is not None
    widths = {value_axis: (0, 0) for value_axis in range(len(value.shape))}
    for place in range(0, len(args["pad"]), 2):
        widths[len(value.shape) - 1 - place // 2] = tuple(args["pad"][place : place + 2])
    if any(any(width) for axis, width in widths.items() if axis not in value.axes):
        return None
    slides = tuple(Slide(1, 1, widths[axis][0], 1, call.shape[axis]) for axis in value.axes)
    return Frame(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, value.axes),
        slides=(slides[0], slides[1]),
        fill=float(args.get("value") or 0.0),
        fresh=False,
    )


def crop(call: Recorded) -> Operation | None:
    """A slice along y or x."""
    args = call.node.named()
    value = call.read[0]
    if value.axes is None or args["dim"] % len(value.shape) not in value.axes:
        return None
    axis = args["dim"] % len(value.shape)
    length = value.shape[axis]
    start = args.get("start") or 0
    start = min(max(start + length if start < 0 else start, 0), length)
    slides = [
        Slide(1, args.get("step", 1), -start, 1, call.shape[a]) if a == axis else Slide(1, 1, 0, 1, call.shape[a])
        for a in value.axes
    ]
    return Frame(
        name=call.name,
        inputs=call.inputs,
        value=Value(call.shape, value.axes),
        slides=(slides[0], slides[1]),
        fresh=False,
    )


def is_map(call: Recorded, dims: int | None = 4) -> bool:
    """Whether the first argument is a map whose y and x are the last of four axes (or anywhere, of any)."""
    value = call.read[0]
    return value.axes is not None and (dims is None or (len(value.shape) == dims and value.axes == (2, 3)))


def pair(value: Any) -> tuple[int, int]:
    """A size given as one number or two."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values[0], values[-1]


def _slides(
    call: Recorded,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[Slide, Slide]:
    y, x = (Slide(*each) for each in zip(kernel, stride, padding, dilation, call.shape[2:], strict=True))
    return y, x


def _counts(slide: Slide, length: int, with_padding: bool) -> list[int]:
    """By how many cells torch divides along one axis: those of the window, as far as they lie within the padding."""
    found = []
    for n in range(slide.length):
        start = n * slide.stride - slide.padding
        end = min(start + slide.kernel, length + slide.padding)
        found.append(end - start if with_padding else min(end, length) - max(start, 0))
    return found


def _symmetric(slide: Slide, length: int) -> bool:
    """Whether torch's own padding, the same on both sides, gives as many cells."""
    return slide.padding >= 0 and (length + 2 * slide.padding - slide.reach - 1) // slide.stride + 1 == slide.length
