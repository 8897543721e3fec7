"""A sweep by running the whole network on every occluded picture: slow, and right on any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.reading import activity
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want
from cnnviz_widgets.engine.jobs import progress
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine


def rows(engine: Engine, sweep: Sweep, want: Want) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order; short rows go through the network together."""
    count = len(sweep.lefts)
    together = max(1, engine.batch_size(sweep.x) // count)
    compute = _activity(engine, want, sweep.x) if isinstance(want, Unit) else _scores(engine, want)

    def at(part: Tensor) -> Tensor:
        places = [divmod(place, count) for place in part.tolist()]
        return compute(sweep.covered([(sweep.tops[row], sweep.lefts[column]) for row, column in places]))

    with progress(len(sweep.tops)) as report:
        for first in range(0, len(sweep.tops), together):
            end = min(first + together, len(sweep.tops))
            places = torch.arange(first * count, end * count)
            found = torch.cat(engine.in_batches(places, at, sweep.x)).cpu()
            for row, values in enumerate(found.split(count), start=first):
                yield values
                report(row + 1)


def _scores(engine: Engine, want: tuple[int, ...] | None) -> Callable[[Tensor], Tensor]:
    scores = engine.scorer()
    return scores if want is None else lambda x: scores(x)[:, list(want)]


def _activity(engine: Engine, want: Unit, x: Tensor) -> Callable[[Tensor], Tensor]:
    axes = engine.layers_for(x)[want.layer].axes
    return lambda x: activity(engine, x, want, axes)
