"""Pictures in the making: one gradient ascent of a `FeatureStudio`, paused, gone on with and changed between steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.methods.synthesis import Ascent, Recipe
from cnnviz_widgets.methods.synthesis.ascent import frame_of, levels_of
from cnnviz_widgets.methods.synthesis.goals import Aim, Goal, aim_of
from cnnviz_widgets.methods.synthesis.maximizing import finished
from cnnviz_widgets.results import Synthesis

__all__ = ["Making", "Order", "aims_of"]


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be made, but for what can be changed while it is being made.

    Attributes:
        goals: one for each kind of picture.
        preset: the name of the recipe that the present one came from.
        n: so many pictures of each.
        seed, diversity: as in `maximize`.
        init: what to begin with, or None for noise.
        init_words: that as an expression.
    """

    goals: tuple[Goal, ...]
    preset: str
    n: int
    seed: int
    diversity: float
    init: Image.Image | None
    init_words: str


def aims_of(engine: Engine, goals: Sequence[Goal]) -> list[Aim]:
    """Goals, checked against the network; for the worker's thread.

    Raises:
        KeyError, IndexError: no such class, layer, channel or position; near names are suggested.
        TypeError, ValueError: no goal.
    """
    like = engine.prepare(np.zeros((*frame_of(engine), 3), np.uint8))
    return [aim_of(engine, goal, like) for goal in goals]


class Making:
    """One ascent, from its order to what was made.

    Attributes:
        order: what is made.
        recipe: how, as it is wanted now; set it at any time and from any thread, the next step obeys.
        first: how it was begun.
        moves: what was changed while it was made: (after so many steps, the recipe from there on).
        asked: "pause" or "stop" where that was asked for, else "".
    """

    def __init__(self, engine: Engine, order: Order, recipe: Recipe) -> None:
        self._engine = engine
        self.order, self.recipe, self.first = order, recipe, recipe
        self.moves: list[tuple[int, Recipe]] = []
        self.asked = ""
        self.seconds = 0.0  # of work, without what it was paused
        self._aims: list[Aim] = []
        self._ascent: Ascent | None = None
        self._working = False
        self._lock = threading.Lock()

    # --- from any thread ----------------------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """How many steps were made."""
        return self._ascent.done if self._ascent is not None else 0

    @property
    def total(self) -> int:
        """How many there will be."""
        return max(self.recipe.steps, self.done)

    @property
    def names(self) -> list[str]:
        """Of what is made, one for each goal; none before it was begun."""
        return [aim.name for aim in self._aims]

    def ask(self, what: str) -> bool:
        """Ask for "pause", "stop" or, with "", to go on; returns whether somebody is at work who will notice."""
        with self._lock:
            self.asked = what
            return self._working

    # --- in the worker's thread ---------------------------------------------------------------------------------------

    def work(self, began: Callable[[], object], stepped: Callable[[], object]) -> str:
        """Make steps until all are made ("done"), or until a "pause" or a "stop" is asked for; returns which.

        Args:
            began: called once the first frame is there.
            stepped: called after each step.

        Raises:
            FloatingPointError: the network's values are not finite; what was made so far stays.
            Cancelled: the job was stopped, because nobody wants these pictures any more.
        """
        since = time.monotonic()
        with self._lock:
            self._working = True
        try:
            ascent = self._begun(began)
            while True:
                checkpoint()
                with self._lock:
                    if self.asked or ascent.done >= self.recipe.steps:
                        self._working = False
                        return self.asked or "done"
                self._obey(ascent)
                ascent.step()
                stepped()
        finally:
            self._working = False
            self.seconds += time.monotonic() - since

    def pictures(self) -> NDArray[np.uint8]:
        """All pictures (rows, H, W, 3) as they are now."""
        assert self._ascent is not None
        return self._ascent.pictures()

    def traces(self) -> NDArray[np.float32]:
        """For each picture the values (rows, steps) that its steps began with."""
        assert self._ascent is not None
        trace = self._ascent.trace
        return np.stack(trace, 1) if trace else np.zeros((len(self._aims) * self.order.n, 0), np.float32)

    def made(self) -> list[Synthesis]:
        """What was made so far, measured as any picture is: of each the last or the best frame."""
        assert self._ascent is not None
        order = self.order
        said: dict[str, Any] = {
            "preset": order.preset,
            **self.first.to_json(),
            "seed": order.seed,
            "n": order.n,
            "diversity": order.diversity,
            "from": "noise" if order.init is None else "picture",
        }
        if self.moves:
            said["changes"] = [{"after": after, **recipe.to_json()} for after, recipe in self.moves]
        return finished(self._engine, self._ascent, self._aims, order.n, "maximize", said, self.first.citation)

    def _begun(self, began: Callable[[], object]) -> Ascent:
        if self._ascent is None:
            order = self.order
            self._aims = aims_of(self._engine, order.goals)
            start = None if order.init is None else levels_of(self._engine, order.init)
            self.first = self.recipe
            self._ascent = Ascent(
                self._engine,
                self._aims,
                self.first,
                n=order.n,
                seed=order.seed,
                start=start,
                diversity=order.diversity,
            )
            began()
        return self._ascent

    def _obey(self, ascent: Ascent) -> None:
        """Take over what was changed since the last step, and remember when that was."""
        wanted = self.recipe
        if wanted == ascent.recipe:
            return
        if not ascent.done:
            self.first = wanted
        elif wanted != ascent.recipe.with_changes(steps=wanted.steps):
            self.moves.append((ascent.done, wanted))
        ascent.recipe = wanted
