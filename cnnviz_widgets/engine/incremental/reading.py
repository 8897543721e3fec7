"""The activity of a feature map, or of one unit of it, as it is read off at each position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine


def activity(engine: Engine, x: Tensor, unit: Unit, axes: tuple[int, ...] | None) -> Tensor:
    """(N, 1) the response of a unit to prepared inputs; `axes` put its layer's output as (N, C, h, w)."""
    output = engine.run(x, (unit.layer,)).outputs[unit.layer]
    return response(output.permute(*axes) if axes else output, unit)


def response(maps: Tensor, unit: Unit) -> Tensor:
    """(N, 1): the total of a feature map, or its value at the unit's position, from (N, C, h, w) or (N, C)."""
    channel = maps[:, unit.channel]
    if unit.y is not None:
        return channel[:, unit.y, unit.x, None]
    return channel.reshape(len(channel), -1).sum(1, keepdim=True)
