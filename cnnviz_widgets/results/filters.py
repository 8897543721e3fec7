"""What was found in the weights of a convolution."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import Result, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Filters(Result):
    """The kernels of a convolution, as they are.

    `parameters` holds stride, dilation, padding, groups and the like.

    Attributes:
        weights: (n, c, kh, kw), n filters over c input channels (c = input channels / groups); never normalised. With
            `rgb` the input channels are red, green and blue in this order, whatever the network's own order is.
        order: (n,) int64, the filters' numbers in the order that was asked for; a permutation.
        norms: (n,) the Euclidean length of each filter's weights.
        rgb: Whether the layer reads the picture's colours themselves, so that a filter can be shown in colour.
    """

    weights: NDArray[np.float32] = field(metadata=array("n c kh kw"))
    order: NDArray[np.int64] = field(metadata=array("n", np.int64))
    norms: NDArray[np.float32] = field(metadata=array("n"))
    rgb: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.array_equal(np.sort(self.order), np.arange(len(self.weights))):
            raise ValueError(f"Filters.order holds each number from 0 to {len(self.weights) - 1} once")
        if self.rgb and self.weights.shape[1] != 3:
            raise ValueError(f"Filters in colour have 3 input channels, not {self.weights.shape[1]}")

    def _summary(self) -> str:
        n, c, height, width = self.weights.shape
        colours = ", in colour" if self.rgb else ""
        return f"{super()._summary()}: {n} of {c}x{height}x{width}{colours}"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class FilterSpectrum(Result):
    """Which frequencies each filter of a convolution lets through, and what its stride makes of them.

    Attributes:
        power: (n, F, F) the squared magnitude of each filter's discrete Fourier transform, summed over its input
            channels; rows are vertical, columns horizontal frequencies, zero at [F // 2, F // 2]. The mean over the
            grid is the filter's squared norm (Parseval).
        frequencies: (F,) of rows and columns, in cycles per pixel of the layer's input; -0.5 to 0.5.
        aliasing: (n,) the share of the filter's energy at frequencies that the stride cannot carry, |f| > 1 / (2
            stride) in y or x; 0 with stride 1, and for a filter of zeros.
        response_aliasing: (n,) the same share of the filter's response to `image`, or None where none was given.
        image: (H, W, 3) uint8, the pixels that the network saw, or None.
    """

    power: NDArray[np.float32] = field(metadata=array("n F F"))
    frequencies: NDArray[np.float32] = field(metadata=array("F"))
    aliasing: NDArray[np.float32] = field(metadata=array("n"))
    response_aliasing: NDArray[np.float32] | None = field(default=None, metadata=array("n"))
    image: NDArray[np.uint8] | None = field(default=None, metadata=array("H W 3", np.uint8))

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.response_aliasing is None) != (self.image is None):
            raise ValueError("FilterSpectrum.response_aliasing and image are given together or not at all")

    def _summary(self) -> str:
        seen = "" if self.response_aliasing is None else f", {self.response_aliasing.mean():.1%} of its responses"
        return f"{super()._summary()}: {self.aliasing.mean():.1%} beyond the stride's reach{seen}"
