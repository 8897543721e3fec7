"""The way in: `engine.incremental`."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from cnnviz_widgets.engine.cache import key_of
from cnnviz_widgets.engine.device import exact
from cnnviz_widgets.engine.incremental import plain, sweeping
from cnnviz_widgets.engine.incremental.base import Base
from cnnviz_widgets.engine.incremental.glance import Glance, glance
from cnnviz_widgets.engine.incremental.planner import Planner
from cnnviz_widgets.engine.incremental.program import Program, program
from cnnviz_widgets.engine.incremental.reach import Reach, reach
from cnnviz_widgets.engine.incremental.reading import activity
from cnnviz_widgets.engine.incremental.report import Report
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want
from cnnviz_widgets.engine.incremental.tape import Tape, record
from cnnviz_widgets.engine.jobs import checkpoint
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine

T = TypeVar("T")


class Incremental:
    """What an engine answers when a patch moves over a picture, computing only what the patch can change.

    Example:
        >>> for row in engine.incremental.rows(sweep): ...
        >>> engine.incremental.report()
    """

    def __init__(self, engine: Engine) -> None:
        """Belong to `engine`, which is not kept alive."""
        self._engine = weakref.ref(engine)
        rooms = {"glance": 2, "lasting": 1, "tape": 2, "planner": 4, "base": 3}
        self._kept = {kind: _Shelf(room) for kind, room in rooms.items()}
        self._asked: tuple[Hashable, int] = (None, 0)  # places so far, of which network and size of picture
        self._report: Report | None = None

    def rows(self, sweep: Sweep, want: Want = None, *, memory: int | None = None) -> Iterator[Tensor]:
        """What is wanted for each row of positions, in order: (n, k) on the CPU.

        Args:
            sweep: the picture and where the patch goes.
            want: None for all class scores, a tuple of class numbers for theirs, or a `Unit`: with a position its
                activation, without one the total response of its feature map (Zeiler & Fergus 2013, figure 7b).
            memory: bytes that all of it may take: activations, those of the picture without a patch included, and
                weights in another form. 512 MiB of windows on a CPU when left out, on a GPU half of what is free.
                (The very first call, which follows one pass of the network, holds what that puts out for a moment.)

        Raises:
            ValueError: `memory` is less than one position takes; the message says how much that is.
        """
        engine = self._own()
        with engine.still():
            state = engine.state
            why, planner = self._why_not(engine, sweep, state), None
            if not why:
                planner = self._planner(engine, sweep.x, want, state)
                why = sweeping.why_not(sweep, planner)
            # for one sweep: what a network notes in its modules goes no further
            lasting = self._kept["lasting"].take(state)
            if why or planner is None:
                self._report = Report.plain(engine.name, len(sweep), engine.batch_size(sweep.x), why)
                found = plain.rows(engine, sweep, want, lasting)
            else:
                base = self._base(engine, sweep.x, planner.program, want, state)
                if memory is not None and not sweeping.room_for_tiles(sweep, planner, base.bytes, memory):
                    planner = self._planner(engine, sweep.x, want, state, tiled=False)
                    base = self._base(engine, sweep.x, planner.program, want, state)
                split = sweeping.blocks(sweep, planner, base.bytes, memory)
                self._report = split.report(engine.name, len(sweep), base.bytes)
                found = sweeping.rows(sweep, planner, base, split)
        yield from found

    def base(self, x: Tensor, want: Want = None) -> Tensor:
        """The same (k,) for a prepared picture without a patch."""
        engine = self._own()
        if isinstance(want, Unit):
            return activity(engine, x, want, engine.layers_for(x)[want.layer].axes)[0].cpu()
        with engine.still():
            self._glance(engine, x, engine.state)
            scores = engine._single_scores(x)[0].cpu()
        return scores if want is None else scores[list(want)]

    def reach(self, sweep: Sweep, layers: Sequence[str]) -> dict[str, Reach]:
        """How far the patch at the first place of a sweep reaches: the cells of layers' maps that it can change.

        Raises:
            KeyError: no such layer; near names are suggested.
            ValueError: a layer without maps, or a network that cannot be followed; the message says why.

        Example:
            >>> engine.incremental.reach(sweep, ["features.0"])["features.0"].size
        """
        engine = self._own()
        with engine.still():
            state, table = engine.state, engine.layers_for(sweep.x)
            if why := self._tape(engine, sweep.x, state).why_not:
                raise ValueError(f"{engine.name} cannot be followed operation by operation: {why}")
            for name in layers:
                if not table[name].spatial:
                    raise ValueError(f"layer {name!r} puts out {table[name].shape}, no maps")
            return {name: reach(sweep, self._planner(engine, sweep.x, Unit(name, 0), state)) for name in layers}

    def report(self) -> Report:
        """What the latest sweep saved, and what stopped it from saving more.

        Raises:
            RuntimeError: there was no sweep yet.
        """
        if self._report is None:
            raise RuntimeError("there was no sweep yet; call occlusion(engine, image) first")
        return self._report

    def check(self, sweep: Sweep, want: Want = None, count: int = 3, seed: int = 0) -> float:
        """The largest difference from running the whole network, at `count` random positions of a sweep."""
        engine = self._own()
        generator = torch.Generator().manual_seed(seed)
        worst = 0.0
        for _ in range(count):
            row = int(torch.randint(len(sweep.tops), (1,), generator=generator))
            column = int(torch.randint(len(sweep.lefts), (1,), generator=generator))
            wanted = next(iter(plain.rows(engine, _at(sweep, row, (sweep.lefts[column],)), want)))[0]
            came = next(iter(self.rows(_at(sweep, row, sweep.lefts), want)))[column]
            worst = max(worst, float((wanted - came).abs().max()))
        return worst

    def _own(self) -> Engine:
        engine = self._engine()
        if engine is None:
            raise RuntimeError("the engine that this belonged to is gone; keep it in a variable")
        return engine

    def _why_not(self, engine: Engine, sweep: Sweep, state: Hashable) -> str:
        """Why the network cannot be followed, or need not be; "" where it is.

        Places that were asked for one by one, as a hand drags a patch, add up: in the end following pays.
        """
        key = (state, tuple(sweep.x.shape))
        if key not in self._kept["tape"]:
            self._asked = (key, len(sweep) + (self._asked[1] if self._asked[0] == key else 0))
            why = self._glance(engine, sweep.x, state).why_not(self._asked[1])
            if why:
                return why
        return self._tape(engine, sweep.x, state).why_not

    def _glance(self, engine: Engine, x: Tensor, state: Hashable) -> Glance:
        """A first look at the network, once for each size of picture; the scores of this one are remembered."""

        def compute() -> Glance:
            checkpoint()
            with exact(engine.device):
                lasting = engine._lasting()
                found = lasting.run(x.clone, glance)
            engine.learn(x, found.scores)
            self._kept["lasting"].get(state, lambda: lasting)
            return found

        return self._kept["glance"].get((state, tuple(x.shape)), compute)

    def _tape(self, engine: Engine, x: Tensor, state: Hashable) -> Tape:
        def compute() -> Tape:
            checkpoint()
            with exact(engine.device):
                return engine._layout.run(x, lambda x: record(engine._twin(), x)[0])

        return self._kept["tape"].get((state, tuple(x.shape)), compute)

    def _planner(self, engine: Engine, x: Tensor, want: Want, state: Hashable, tiled: bool = True) -> Planner:
        def compute() -> Planner:
            if not tiled:
                return Planner(self._planner(engine, x, want, state).program, tiled=False)
            axes = engine.layers_for(x)[want.layer].axes if isinstance(want, Unit) else None
            with torch.inference_mode():
                return Planner(program(self._tape(engine, x, state), want, x, axes))

        return self._kept["planner"].get((state, tuple(x.shape), want, tiled), compute)

    def _base(self, engine: Engine, x: Tensor, made: Program, want: Want, state: Hashable) -> Base:
        def compute() -> Base:
            with torch.inference_mode(), exact(engine.device):
                return Base(made, engine._layout.of(x))

        return self._kept["base"].get((state, key_of(x), want), compute)


class _Shelf:
    """The few things of one kind that were made last."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._things: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._things

    def take(self, key: Hashable) -> Any:
        """The thing of that key, which goes; None when it is not there."""
        with self._lock:
            return self._things.pop(key, None)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of that key, made when it is not there."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key]
        thing = make()
        with self._lock:
            self._things[key] = thing
            while len(self._things) > self._room:
                self._things.popitem(last=False)
        return thing


def _at(sweep: Sweep, row: int, lefts: tuple[int, ...]) -> Sweep:
    return Sweep(sweep.x, sweep.fill, (sweep.tops[row],), lefts, sweep.size, sweep.mask)
