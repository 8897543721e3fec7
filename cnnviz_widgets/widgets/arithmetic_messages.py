"""What travels to an `ArithmeticView`: one sum, its largest contributions first, as a dictionary of numbers and bytes.

A layer may add up thousands of channels. Only so many as are read travel with their patch and their kernel; the rest is
one number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results import Arithmetic, Unit
from cnnviz_widgets.views.colour import scale_of

__all__ = ["FIRST", "order_of", "sum_message"]

RGB = ("red", "green", "blue")
FIRST = 16  # So many contributions travel before more are asked for.


def order_of(arithmetic: Arithmetic) -> NDArray[np.int64]:
    """Which row comes first: the largest contribution; or red, green, blue where the layer reads the picture."""
    colours = _colours(arithmetic)
    if sorted(colours) == sorted(RGB):
        return np.array([colours.index(name) for name in RGB])
    return np.argsort(-np.abs(arithmetic.contributions), kind="stable").astype(np.int64)


def sum_message(arithmetic: Arithmetic, number: int, count: int = FIRST) -> dict[str, Any]:
    """The sum as it travels, with its first `count` contributions.

    Scales are those of all input channels, so colours stay the same when more of them are shown.

    Args:
        arithmetic: The sum of one value.
        number: What it is called when more of it is asked for.
        count: So many contributions come with their input and their kernel.
    """
    unit = arithmetic.target
    if not isinstance(unit, Unit):
        raise ValueError(f"an arithmetic is that of a unit, not of {unit!r}")
    order = order_of(arithmetic)
    shown, rest = order[:count], order[count:]
    inputs, kernel = arithmetic.inputs, arithmetic.kernel
    scale = scale_of(inputs, bool((inputs < 0).any()))
    colours = _colours(arithmetic)
    settings = arithmetic.parameters
    return {
        "number": number,
        "layer": unit.layer,
        "channel": unit.channel,
        "y": unit.y,
        "x": unit.x,
        "shape": list(kernel.shape),
        "inside": arithmetic.inside.ravel().tolist(),
        "padding": str(settings.get("padding_mode", "zeros")),
        "corner": [settings.get("top"), settings.get("left")],
        "dilation": list(settings.get("dilation", (1, 1))),
        "names": [colours[row] if colours else str(arithmetic.channels[row]) for row in shown],
        "colours": bool(colours),
        "contributions": [_finite(value) for value in arithmetic.contributions[shown]],
        "inputs": np.ascontiguousarray(inputs[shown], "<f4").tobytes(),
        "kernel": np.ascontiguousarray(kernel[shown], "<f4").tobytes(),
        "rest": len(rest),
        "rest_sum": _finite(arithmetic.contributions[rest].sum()),
        "bias": _finite(arithmetic.bias),
        "total": _finite(arithmetic.total),
        "value": _finite(arithmetic.value),
        "input_scale": {"lo": scale.lo, "hi": scale.hi, "signed": scale.signed},
        "kernel_limit": scale_of(kernel, True).hi,
        "product_limit": scale_of(inputs * kernel, True).hi,
    }


def _colours(arithmetic: Arithmetic) -> list[str]:
    """The input channels' colours, "red", "green" and "blue" in the network's own order; empty where they are none."""
    colours = [str(name) for name in arithmetic.parameters.get("colors") or ()]
    return colours if len(colours) == len(arithmetic.kernel) else []


def _finite(value: float) -> float | None:
    """What JSON can carry: None stands for NaN and infinities."""
    return float(value) if np.isfinite(value) else None
