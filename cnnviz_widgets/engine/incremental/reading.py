"""What is read off at each position: all class scores, some of them, or the activity of a feature map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from cnnviz_widgets.engine.incremental.sweep import Want
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.capture import Run


def layers_of(want: Want) -> tuple[str, ...]:
    """The layers that must be kept to read `want`."""
    return (want.layer,) if isinstance(want, Unit) else ()


def read(run: Run, want: Want, axes: tuple[int, ...] | None) -> Tensor:
    """(N, k) what is wanted of a run that kept `layers_of(want)`; `axes` put the layer's output as (N, C, h, w)."""
    if want is None:
        return run.scores
    if isinstance(want, Unit):
        output = run.outputs[want.layer]
        return response(output.permute(*axes) if axes else output, want)
    return run.scores[:, list(want)]


def response(maps: Tensor, unit: Unit) -> Tensor:
    """(N, 1): the total of a feature map, or its value at the unit's position, from (N, C, h, w) or (N, C)."""
    channel = maps[:, unit.channel]
    if unit.y is not None:
        return channel[:, unit.y, unit.x, None]
    return channel.reshape(len(channel), -1).sum(1, keepdim=True)
