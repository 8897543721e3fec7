"""A sweep by running the whole network on every occluded picture: slow, and right on any network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.reading import layers_of, read
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want
from cnnviz_widgets.engine.jobs import steps
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine


def rows(engine: Engine, sweep: Sweep, want: Want) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order."""
    axes = engine.layers_for(sweep.x)[want.layer].axes if isinstance(want, Unit) else None
    lefts = torch.tensor(sweep.lefts)
    for top in steps(sweep.tops):
        parts = engine.in_batches(
            lefts,
            lambda part, top=top: read(engine.run(sweep.pictures(top, part.tolist()), layers_of(want)), want, axes),
            like=sweep.x,
        )
        yield torch.cat(parts).cpu()
