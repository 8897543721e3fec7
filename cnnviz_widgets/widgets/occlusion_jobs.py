"""The jobs of an `OcclusionSlider`: answer the patch's place, show a view, compute the map; all in the engine's worker.

A map is long and may be interrupted at any of its steps: by the patch's place, which a hand waits for, and by another
view of what is there. Both are urgent jobs. What needs another sweep replaces the map's job; the rows that it has found
stay and are gone on with when their setting comes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cnnviz_widgets.engine import Cancelled, Engine, checkpoint, current_job
from cnnviz_widgets.results import Predictions, Unit
from cnnviz_widgets.widgets.desk import Desk, Every
from cnnviz_widgets.widgets.occlusion_canvas import OcclusionCanvas
from cnnviz_widgets.widgets.occlusion_maps import Question, occlusion_map
from cnnviz_widgets.widgets.occlusion_screen import OcclusionScreen
from cnnviz_widgets.widgets.occlusion_sweeps import Swept
from cnnviz_widgets.widgets.occlusion_work import NetworkChanged, OcclusionWork, Scene, Setting

OFTEN = 0.1  # seconds between two pictures of a growing map


@dataclass(frozen=True, eq=False)
class Choice:
    """What is chosen at one moment; None where the network's answer decides."""

    picture: Image.Image
    setting: Setting
    view: str
    target: int | None
    against: int | None
    unit: Unit | str | None
    place: tuple[int, int] | None


class OcclusionJobs:
    """What an `OcclusionSlider` has in work.

    Args:
        engine: the network.
        canvas: where it is seen.
        choice: gives what is chosen now.
        looked: called with a scene when a picture, or a network that has changed, was looked at.
        answered: called with the predictions at the patch's place.
        found: called with the unit of a feature map that is shown, and the layers to choose from.
    """

    def __init__(
        self,
        engine: Engine,
        canvas: OcclusionCanvas,
        choice: Callable[[], Choice],
        looked: Callable[[Scene], object],
        answered: Callable[[Predictions], object],
        found: Callable[[Unit, dict[str, int]], object],
    ) -> None:
        self._canvas, self._choice = canvas, choice
        self._looked, self._answered, self._found = looked, answered, found
        self._work = OcclusionWork(engine)
        self._desk = Desk(engine.worker, self._failed)
        self.screen = OcclusionScreen(canvas)
        self.scene: Scene | None = None  # what is seen
        self._growing: object = None  # the sweep that is being computed, and the one that was stopped
        self._stopped: object = None
        self._answer_is_about: object = None

    # --- asked from any thread ----------------------------------------------------------------------------------------

    def ask_place(self) -> None:
        """Answer for the patch's place, at once."""
        self._desk.submit("place", self._answer_place, urgent=True)

    def ask_view(self) -> None:
        """Show another view; compute only what no sweep has found yet."""
        self._desk.submit("view", self._show_view, urgent=True)

    def ask_map(self, anew: bool = False) -> None:
        """Compute the map of the present setting; `anew`: also when it is whole."""
        self._canvas.report("running", "computing the map" if self.scene else "looking at the picture")
        self._desk.submit("map", lambda: self._compute_map(anew))

    def stop(self) -> None:
        """Stop the map; the rows that are there stay."""
        if self._desk.busy("map"):
            self._stopped = self._growing
            self._canvas.report("stopped", "stopped")
            self._desk.stop("map")

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing is in work; see `Desk.wait`."""
        self._desk.wait(timeout)

    # --- done in the worker -------------------------------------------------------------------------------------------

    def _look(self, choice: Choice, computing: bool = False) -> Scene:
        """The present picture and network, with the patch on it; what was shown of others is taken away."""
        scene = self._work.scene(choice.picture)
        new = scene is not self.scene
        if new:
            self.scene = scene
            self.screen.begin()
            self._looked(scene)
        self.screen.show_patch(scene, self._work.occluder(scene, choice.setting), choice.setting.shape == "circle")
        if new:
            self.ask_place()
            if not computing:
                self.ask_map()
        return scene

    def _answer_place(self) -> None:
        choice = self._choice()
        scene = self._look(choice)
        choice = replace(choice, place=self._choice().place)  # the look may have moved the patch
        about = (scene.number, replace(choice.setting, stride=1), choice.place)
        if choice.place is not None and about != self._answer_is_about:
            said, shares = self._work.answer(scene, choice.setting, *choice.place)
            self._answered(said)
            self.screen.show_answer(scene, *choice.place, said, shares[scene.predictions.indices])
            self._answer_is_about = about

    def _show_view(self) -> None:
        choice = self._choice()
        scene = self._look(choice)
        unit = self._unit_at_hand(choice)
        if choice.view == "activity" and unit is None:
            self.ask_map()  # which finds the unit; that takes a while
            return
        wanted = (choice.setting, unit)
        if self._show(scene, choice, unit).whole:
            if self._growing not in (None, wanted):
                self._desk.stop("map")  # nobody looks at it
            self._canvas.report("done")
        elif wanted not in (self._growing, self._stopped):
            self.ask_map()

    def _compute_map(self, anew: bool) -> None:
        choice = self._choice()
        scene = self._look(choice, computing=True)
        unit = self._find_unit(scene, choice)
        wanted = (choice.setting, unit)
        if anew and self._work.swept(scene, *wanted).whole:
            self._work.sweeps.forget(wanted)
        self._growing, self._stopped = wanted, None
        due, clock = Every(OFTEN), _Clock()
        swept = self._show(scene, choice, unit)
        try:
            checkpoint()  # the patch's place is answered before the first row
            for swept in self._work.grow(scene, *wanted):
                if due.due() and self._still(wanted):
                    self._show(scene, self._choice(), unit)
                    self._canvas.report("running", *clock.read(swept.done, len(swept.tops)))
            self._show(scene, self._choice(), unit)
            self._canvas.report("done")
        except Cancelled:
            if self._stopped == wanted and swept is not None:
                self._show(scene, self._choice(), unit)
                self._canvas.report("stopped", f"stopped at row {swept.done} of {len(swept.tops)}")
            raise
        except NetworkChanged:
            self.screen.begin()
            raise
        finally:
            self._growing = None

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _still(self, wanted: object) -> bool:
        """Whether the sweep that is computed is still the one to be seen."""
        job, choice = current_job(), self._choice()
        stopping = job is not None and job.stopping
        return not stopping and wanted == (choice.setting, self._unit_at_hand(choice))

    def _show(self, scene: Scene, choice: Choice, unit: Unit | None) -> Swept:
        """The chosen view of a sweep as far as it has come, and the answers that can be looked up."""
        target, against = _classes(scene, choice)
        swept = self._work.swept(scene, choice.setting, unit)
        base = np.nan if unit is None else self._work.base(scene, unit)
        occluder = self._work.occluder(scene, choice.setting)
        asked = Question(choice.view, target, against, unit)
        found = occlusion_map(scene, choice.setting, occluder, swept, asked, base)
        key = f"{scene.number} {choice.setting}"
        self.screen.show_map(scene, found, choice.view, key)
        classes = self._work.sweeps.get((choice.setting, None))
        if classes is not None and classes.done:
            self.screen.show_answers(scene, classes, key)
        return swept

    def _unit_at_hand(self, choice: Choice) -> Unit | None:
        """The unit whose map is wanted, when it is wanted and known without running the network."""
        known = isinstance(choice.unit, Unit) and self._work.knows(choice.unit)
        return choice.unit if choice.view == "activity" and known else None  # type: ignore[return-value]

    def _find_unit(self, scene: Scene, choice: Choice) -> Unit | None:
        if choice.view != "activity":
            return None
        unit = choice.unit if isinstance(choice.unit, Unit) else self._work.strongest(scene, choice.unit)
        self._work.base(scene, unit)  # says whether there is such a unit
        self._found(unit, self._work.channels(scene))
        return unit

    def _failed(self, concern: str, text: str) -> None:
        if concern == "map":
            self._canvas.report("error", text)
        else:  # a map that goes on would soon write over it
            self._canvas.error = text


def _classes(scene: Scene, choice: Choice) -> tuple[int, int]:
    """The class, and the one that it is held against: another one, if there is any."""
    likely = [int(index) for index in scene.predictions.indices]
    target = likely[0] if choice.target is None else choice.target
    others = [index for index in likely if index != target]
    return target, choice.against if choice.against not in (None, target) else (others or [target])[0]


class _Clock:
    """How far the rows are and how long they will take, from how long the first ones took."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def read(self, done: int, total: int) -> tuple[str, float]:
        """("row 12 of 27, 3 s left", 0.44)."""
        now = time.monotonic()
        words = f"row {done} of {total}"
        if self._first is None:
            self._first = (now, done)
        elif done > self._first[1]:
            since, rows = self._first
            left = (now - since) / (done - rows) * (total - done)
            words += f", {_duration(left)} left"
        return words, done / total


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
