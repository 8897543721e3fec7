"""The known operations of a network, as far as a moving patch is concerned.

An operation works on batches: tensors (N, ...) in which every sample stands for itself, as recorded with N = 1. What
distinguishes the kinds is how a changed stretch of the map goes through them:

* `Sliding`: a window over the map (convolution, pooling, padding): the stretch grows by the kernel;
* `Local`: cell by cell (rectifiers, sums, normalisation over channels, rearranged channels): it stays what it is;
* `Pooled`: the sum over the whole map: a stretch adds its difference;
* `Batched`: anything else of which a batch is known to be sample by sample: needs whole maps;
* `Looped`: anything at all, one sample at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnviz_widgets.engine.incremental.interval import Slide

Call = Callable[[Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Value:
    """What is known of a tensor beforehand.

    Attributes:
        shape: as recorded for one picture.
        axes: which of its axes are y and x, if any.
        stacked: the recorded shape does not begin with an axis for samples, so a batch has one more in front.
    """

    shape: tuple[int, ...]
    axes: tuple[int, int] | None = None
    stacked: bool = False

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """The map's height and width."""
        assert self.axes is not None
        return self.shape[self.axes[0]], self.shape[self.axes[1]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One step of a program: the values that it reads, by number, and the one that it makes.

    Attributes:
        name: torch's name of the operation.
        inputs: numbers of the values read.
        value: what comes out.
        macs: multiply-adds for one picture.
        constants: the tensors of weights that it holds, for counting memory.
        layer: the layer whose output it makes; "" where it is no layer's last operation.
        fresh: whether what comes out is memory of its own, and so may be overwritten by whoever reads it last.
    """

    name: str
    inputs: tuple[int, ...]
    value: Value
    macs: int = 0
    constants: tuple[Tensor, ...] = ()
    layer: str = ""
    fresh: bool = True

    @cached_property
    def weights(self) -> int:
        """How many numbers of weights it reads."""
        return sum(tensor.numel() for tensor in self.constants)

    def __str__(self) -> str:
        return f"{self.name} ({self.layer})" if self.layer else self.name

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs (N, ...)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class Sliding(Operation):
    """A window that slides over the map.

    Attributes:
        slides: the window along y and along x.
        fill: the value of padding cells.
    """

    slides: tuple[Slide, Slide]
    fill: float = 0.0

    def valid(self, x: Tensor) -> Tensor:
        """The output for maps that are padded already."""
        raise NotImplementedError

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        assert self.value.axes is not None
        return self.valid(pad(tensors[0], self.slides, self.value.axes, self.fill))


@dataclass(frozen=True, eq=False, kw_only=True)
class Local(Operation):
    """Cell by cell.

    Attributes:
        call: the operation, for maps of any height and width.
        aligned: which inputs are maps of the output's height and width.
        over: the same operation writing over its first input, where there is one.
        channelwise: whether each channel is treated alike and alone.
    """

    call: Call
    aligned: tuple[bool, ...]
    over: Call | None = None
    channelwise: bool = False

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return self.call(tensors)


@dataclass(frozen=True, eq=False, kw_only=True)
class Joined(Local):
    """Maps side by side along the axis `along`; as `Local`, but each part can be put into its place at once."""

    along: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Pooled(Operation):
    """The sum over y and x, times `factor`."""

    factor: float
    axes: tuple[int, int]

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return self.shaped(tensors[0].sum(self.axes) * self.factor)

    def shaped(self, sums: Tensor) -> Tensor:
        """Sums (N, ...) as they come out: with or without axes of length one."""
        return sums.reshape(len(sums), *self.value.shape[1:])


@dataclass(frozen=True, eq=False, kw_only=True)
class Batched(Operation):
    """Needs whole inputs; a batch of them goes through at once."""

    call: Call

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return self.call(tensors)


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Operation):
    """A product with weights (out, in), of whole inputs."""

    weight: Tensor
    bias: Tensor | None

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return F.linear(tensors[0], self.weight, self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Flat(Operation):
    """Whole inputs under another shape."""

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return tensors[0].reshape(len(tensors[0]), *self.value.shape[1:])


@dataclass(frozen=True, eq=False, kw_only=True)
class Looped(Operation):
    """Needs whole inputs, and nobody knows what it would do to a batch: one sample at a time.

    `stacked` says which inputs are.
    """

    call: Call
    stacked: tuple[bool, ...]

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        count = max(map(len, tensors))
        join = torch.stack if self.value.stacked else torch.cat
        return join([self.call([self._one(*pair, n) for pair in zip(tensors, self.stacked, strict=True)])
                     for n in range(count)])  # fmt: skip

    @staticmethod
    def _one(tensor: Tensor, stacked: bool, number: int) -> Tensor:
        number = min(number, len(tensor) - 1)  # what the patch does not reach is there once
        return tensor[number] if stacked else tensor[number : number + 1]


@dataclass(frozen=True, eq=False, kw_only=True)
class Constant(Operation):
    """A map that no patch changes: (1, ...)."""

    tensor: Tensor = field(repr=False)

    def whole(self, tensors: Sequence[Tensor]) -> Tensor:
        """The output for whole inputs."""
        return self.tensor


def pad(x: Tensor, slides: tuple[Slide, Slide], axes: tuple[int, int], fill: float) -> Tensor:
    """Maps with the padding around them that the sliding windows read; cut where the padding is below zero."""
    widths = [0] * (2 * (x.ndim - min(axes)))
    for axis, slide in zip(axes, slides, strict=True):
        place = 2 * (x.ndim - 1 - axis)
        widths[place : place + 2] = slide.padding, slide.overhang(x.shape[axis])
    return F.pad(x, widths, value=fill) if any(widths) else x


def fill_in(template: Any, tensors: Sequence[Tensor]) -> Any:
    """Arguments with `Slot`s replaced by tensors."""
    if isinstance(template, Slot):
        return tensors[template.number]
    if isinstance(template, (list, tuple)):
        return type(template)([fill_in(item, tensors) for item in template])
    return template


@dataclass(frozen=True)
class Slot:
    """Stands in an operation's arguments for its input of that number."""

    number: int
