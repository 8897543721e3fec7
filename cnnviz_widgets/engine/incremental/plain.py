"""A sweep by running the whole network on every occluded picture: slow, and right on any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.reading import activity
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want
from cnnviz_widgets.engine.jobs import progress
from cnnviz_widgets.engine.layout import Lasting
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine

Compute = Callable[[Callable[[], Tensor]], Tensor]


def rows(engine: Engine, sweep: Sweep, want: Want, lasting: Lasting | None = None) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order.

    `lasting` is a stand-in of the network as it is that nobody else needs any more, if there is one.
    """
    count, sweep = len(sweep.lefts), replace(sweep, x=engine._layout.of(sweep.x))
    together = engine.batch_size(sweep.x)
    compute = _activity(engine, want, sweep.x) if isinstance(want, Unit) else _scores(engine, want, lasting)

    def at(part: Tensor) -> Tensor:
        places = [divmod(place, count) for place in part.tolist()]
        return compute(lambda: sweep.covered([(sweep.tops[row], sweep.lefts[column]) for row, column in places]))

    done, waiting = 0, []
    with progress(len(sweep.tops)) as report:
        for first in range(0, len(sweep), together):
            places = torch.arange(first, min(first + together, len(sweep)))
            waiting += [values.cpu() for values in engine.in_batches(places, at, sweep.x)]
            ready = sum(map(len, waiting)) // count
            if ready:
                *whole, rest = torch.cat(waiting).split([count] * ready + [sum(map(len, waiting)) - count * ready])
                waiting = [rest]
                for values in whole:
                    yield values
                    done += 1
                    report(done)


def _scores(engine: Engine, want: tuple[int, ...] | None, lasting: Lasting | None) -> Compute:
    scores = engine.scorer(lasting)
    return scores if want is None else lambda make: scores(make)[:, list(want)]


def _activity(engine: Engine, want: Unit, x: Tensor) -> Compute:
    axes = engine.layers_for(x)[want.layer].axes
    return lambda make: activity(engine, make(), want, axes)
