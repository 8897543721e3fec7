"""What layers answer, as results: maps, the region of one, a unit's projection, the sum behind a value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.kinds import PixelMap
from cnnviz_widgets.results.record import PictureResult, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Activations(PictureResult):
    """What one layer answers to a picture: a map for each channel, and what it says in numbers.

    `parameters` holds the layer's kind and its receptive field as plain numbers (None where it is unknown): "size",
    "stride", "start", "whole" and "local" as in `engine.layers`.

    Attributes:
        maps: (C, h, w), as the layer put them out; a vector of C values has h = w = 1.
        signed: Whether any value of the layer is below zero.
        maximum: (C,) the largest value of each map.
        mean: (C,) the mean of each map.
        zeros: (C,) the share of values that are exactly 0, from 0 to 1. After a rectifier: how much of the map is off.
            Before one hardly a value is.
        dead: (C,) True where no value is above zero: off all over this picture, which need not be so on another.
    """

    maps: NDArray[np.float32] = field(metadata=array("C h w"))
    signed: bool
    maximum: NDArray[np.float32] = field(metadata=array("C"))
    mean: NDArray[np.float32] = field(metadata=array("C"))
    zeros: NDArray[np.float32] = field(metadata=array("C"))
    dead: NDArray[np.bool_] = field(metadata=array("C", np.bool_))

    def unit(self, channel: int) -> tuple[int, int]:
        """Row and column of the channel's largest value, the first in reading order where several are.

        Example:
            y, x = activations(engine, image, "features.9").unit(7)
        """
        if not 0 <= channel < len(self.maps):
            raise IndexError(f"no channel {channel} in layer {self.layer!r}; it has 0 to {len(self.maps) - 1}")
        y, x = np.unravel_index(int(self.maps[channel].argmax()), self.maps.shape[1:])
        return int(y), int(x)

    def ranking(self) -> NDArray[np.int64]:
        """(C,) the channels by their maximum, strongest first; the lower number first where two are equal."""
        return np.argsort(-self.maximum, kind="stable").astype(np.int64)

    def _summary(self) -> str:
        channels, height, width = self.maps.shape
        return f"{self.layer}: {channels} maps of {height}x{width}, {int(self.dead.sum())} without a value above zero"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ActivationMask(PictureResult):
    """Where in the picture a channel is highly active.

    `parameters["placed"]` says how the map came onto the picture: "receptive field", each position where its field is
    centred; or "stretched" to the picture's size, for layers of which no more is known.

    Attributes:
        mask: (H, W) True where the channel is active at `threshold` or above (and above zero).
        values: (H, W) the activation of the position that stands nearest; NaN where none stands near.
        raw: (h, w) the map itself.
        threshold: The activation at the quantile.
        signed: Whether the map has values below zero.
    """

    mask: NDArray[np.bool_] = field(metadata=array("H W", np.bool_))
    values: NDArray[np.float32] = field(metadata=array("H W"))
    raw: NDArray[np.float32] = field(metadata=array("h w"))
    threshold: float
    signed: bool = False

    def _summary(self) -> str:
        return f"{self.method} of {self.target_name!r}: {self.mask.mean():.1%} of the picture"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class UnitProjection(PixelMap):
    """What of the picture made one position of one channel fire, carried back to the pixels.

    `values` keep the whole frame; outside `box` they are zero, since nothing there reaches the unit. `target` is the
    unit with its position.

    Attributes:
        box: (4,) int64, the unit's receptive field cut to the picture: x0, y0, x1, y1 in pixels, x1 and y1 outside.
            Of no size for a unit that sees nothing but padding; the whole picture where the field is unknown.
        activation: The unit's value in this picture.
    """

    box: NDArray[np.int64] = field(metadata=array("4", np.int64))
    activation: float

    def crop(self) -> NDArray[np.float32]:
        """(C, y1 - y0, x1 - x0), the attribution within the receptive field."""
        x0, y0, x1, y1 = self.box
        return self.values[:, y0:y1, x0:x1]

    def patch(self) -> NDArray[np.uint8]:
        """(y1 - y0, x1 - x0, 3), the pixels within the receptive field."""
        x0, y0, x1, y1 = self.box
        return self.image[y0:y1, x0:x1]

    def _summary(self) -> str:
        x0, y0, x1, y1 = self.box
        return f"{self.method} of {self.target_name!r}: activation {self.activation:.4g}, sees {x1 - x0}x{y1 - y0}"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Arithmetic(PictureResult):
    """The sum behind one value of a convolution: what its kernel lay on, times the kernel, plus the bias.

    `target` is the unit with its position. `parameters` holds the convolution's settings, "top" and "left", the row and
    column of its input that the kernel's corner lay on, and "colors", the input channels' colours where the input is
    the picture itself.

    Attributes:
        inputs: (c, kh, kw) the input values under the kernel, those of the padding included.
        kernel: (c, kh, kw) the weights of this output channel.
        contributions: (c,) float64, the sum of inputs x kernel in each input channel.
        channels: (c,) int64, the input channels' numbers: all of them, or those of the channel's group.
        inside: (kh, kw) False where the kernel lay on padding.
        bias: 0.0 where there is none.
        total: The sum of contributions, plus bias.
        value: What the network itself put out there.
    """

    inputs: NDArray[np.float32] = field(metadata=array("c kh kw"))
    kernel: NDArray[np.float32] = field(metadata=array("c kh kw"))
    contributions: NDArray[np.float64] = field(metadata=array("c", np.float64))
    channels: NDArray[np.int64] = field(metadata=array("c", np.int64))
    inside: NDArray[np.bool_] = field(metadata=array("kh kw", np.bool_))
    bias: float
    total: float
    value: float

    def largest(self, k: int | None = None) -> NDArray[np.int64]:
        """Which rows of `inputs`, `kernel` and `contributions` matter most: by magnitude, largest first, at most k.

        Example:
            sums.channels[sums.largest(5)]
        """
        return np.argsort(-np.abs(self.contributions), kind="stable")[:k].astype(np.int64)

    def _summary(self) -> str:
        return f"{self.target_name}: {self.inputs.size} products + bias {self.bias:.4g} = {self.total:.6g}"
