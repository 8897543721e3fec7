"""Where a tensor comes from: which of its dimensions are the picture's, and which input cells each value depends on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One axis of a receptive field: output `i` depends on input cells lo + i * stride .. hi + i * stride."""

    stride: int
    lo: int
    hi: int

    def window(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Span:
        """The span after a sliding window."""
        first = -padding * self.stride
        last = ((kernel - 1) * dilation - padding) * self.stride
        return Span(self.stride * stride, self.lo + first, self.hi + last)

    def shift(self, cells: int, step: int = 1) -> Span:
        """The span after a slice that begins at `cells` and takes every `step`-th."""
        return Span(self.stride * step, self.lo + cells * self.stride, self.hi + cells * self.stride)

    def all(self, length: int) -> Span:
        """The span of one value that depends on all `length` positions."""
        return Span(0, self.lo, self.hi + (length - 1) * self.stride)

    def join(self, other: Span) -> Span | None:
        """The span of a value that depends on both; None when no regular grid describes it."""
        if self.stride != other.stride:
            return None
        return Span(self.stride, min(self.lo, other.lo), max(self.hi, other.hi))


Dim = tuple[tuple[str, int], ...]  # a dimension as a product of factors, "y" and "x" (image axes) or "" (anything else)
Spans = tuple[Span, Span]


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from: what its dimensions mean and what its values depend on.

    `dims` is None when the meaning of the dimensions was lost; `spans` is None when the receptive field is unknown, and
    `why` then says which operation lost it; `whole` is True when every value depends on the whole picture.
    """

    dims: tuple[Dim, ...] | None
    spans: Spans | None
    whole: bool = False
    why: str = ""

    def axis(self, label: str) -> int | None:
        """The number of the dimension that is exactly this image axis."""
        for number, dim in enumerate(self.dims or ()):
            if len(dim) == 1 and dim[0][0] == label:
                return number
        return None

    def varies(self, label: str) -> bool:
        """True when the tensor has more than one position along this image axis."""
        return any(part == label and size > 1 for dim in self.dims or () for part, size in dim)

    def lost(self, why: str, *, dims: bool = True) -> Origin:
        """The same tensor with its receptive field (and its dimensions' meaning) given up."""
        return Origin(None if dims else self.dims, None, self.whole, self.why or why)


def image_dims(shape: Sequence[int]) -> tuple[Dim, ...]:
    """The dimensions of maps (..., rows, columns)."""
    plain: list[Dim] = [(("", size),) for size in shape[:-2]]
    return (*plain, (("y", shape[-2]),), (("x", shape[-1]),))


def is_image(origin: Origin) -> bool:
    """True when the last two dimensions are rows and columns, as a convolution takes them to be."""
    if origin.dims is None or len(origin.dims) < 3:
        return False
    rows, columns = origin.dims[-2], origin.dims[-1]
    fits = all(
        dim == ((label, dim[0][1]),) or math.prod(s for _, s in dim) == 1
        for dim, label in ((rows, "y"), (columns, "x"))
    )
    return fits and not any(label for dim in origin.dims[:-2] for label, size in dim if size > 1)
