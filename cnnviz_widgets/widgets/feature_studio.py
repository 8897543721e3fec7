"""`FeatureStudio`: watch the picture grow that a class, a channel or a neuron likes best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import traitlets as t

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.synthesis.goals import Goal
from cnnviz_widgets.methods.synthesis.regularizers import Regularizer
from cnnviz_widgets.methods.synthesis.transforms import Transform
from cnnviz_widgets.results import Synthesis, Unit
from cnnviz_widgets.widgets.studio_choice import PARTS, StudioChoice
from cnnviz_widgets.widgets.studio_code import studio_code
from cnnviz_widgets.widgets.studio_gallery import StudioGallery
from cnnviz_widgets.widgets.studio_head import StudioHead
from cnnviz_widgets.widgets.studio_jobs import StudioJobs
from cnnviz_widgets.widgets.studio_panel import changed_piece, piece_rows, settings_message
from cnnviz_widgets.widgets.studio_view import StudioView

if TYPE_CHECKING:
    from cnnviz_widgets.widgets.layer_browser import LayerBrowser
    from cnnviz_widgets.widgets.patch_wall import PatchWall

__all__ = ["FeatureStudio"]


class FeatureStudio(StudioChoice):
    """What a class, a channel or a neuron looks like to the network: a picture that grows before your eyes.

    You choose a class or a unit and press Start. The picture appears and changes step by step, beside it the curve of
    the value that it climbs. What keeps it a picture is listed as rows: tick one off, or move its slider, while the
    picture grows, and see what it is for. Pause, go on, stop (the best so far stays), keep pictures in a gallery. What
    is finished is measured as any picture is: in whole levels, through the network's own preprocessing.

    Everything works from Python too: set `target`, `preset`, `steps`, `rate`, `seed`, `n`, `channels`, `diversity`,
    `regularizers`, `transforms` or `init`, then `start()` and `wait()` for `result`. Recipe, rate and steps take effect
    at once; what changes the very pictures begins a running ascent anew.

    Args:
        engine: the network.
        target: a class (index or name), a `Unit`, a layer's name or weights of several, as for `maximize`; or a list of
            such, which are made side by side.
        preset: "fourier", "simonyan", "yosinski_1" to "yosinski_4" or "unregularized".
        steps, rate, regularizers, transforms: what is to be other than in the preset.
        seed: of noise and views.
        n: how many pictures of each target, side by side.
        channels: of a unit: so many channels side by side, from its own on.
        diversity: how much several pictures of one target should differ.
        init: a picture to begin with, instead of noise.
        follow: a `LayerBrowser` or a `PatchWall` whose chosen unit becomes the target, see `follow`.

    Attributes:
        target, preset, steps, rate, seed, n, channels, diversity, regularizers, transforms, init: As above.
        recipe: All of the recipe.
        status: {state, text, progress}; the state is "idle", "running", "paused", "done", "stopped" or "error".
        result: The `Synthesis` on the screen (a list of them for several targets), or None while it is being made.
        kept: The list of what was kept.
        code: The call of `maximize` that makes the same picture.
        view, head: The widgets it is made of.

    Raises:
        KeyError, IndexError: no such class, layer, channel or position; near names are suggested.
        traitlets.TraitError: no such preset, a number out of range, a piece that cannot act on such pictures.

    Example:
        >>> studio = FeatureStudio(engine, "flamingo")
        >>> studio.start(); studio.wait(60)
    """

    def __init__(
        self,
        engine: Engine,
        target: Goal | Sequence[Goal] | None = None,
        *,
        preset: str = "fourier",
        steps: int | None = None,
        rate: float | None = None,
        regularizers: Sequence[Regularizer] | None = None,
        transforms: Sequence[Transform] | None = None,
        seed: int = 0,
        n: int = 1,
        channels: int = 1,
        diversity: float = 0.0,
        init: ImageLike | None = None,
        follow: LayerBrowser | PatchWall | None = None,
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(f"the first argument is {type(engine).__name__}; wanted an Engine")
        self.engine = engine
        self._last: dict[str, Regularizer | Transform] = {}  # pieces by name, as they were when they were on
        self.view = StudioView(self._pressed)
        self._gallery = StudioGallery(self.view)
        self._jobs = StudioJobs(engine, self.view, self._gallery.add)
        self.head = StudioHead(self._choose)
        super().__init__([self.head, self.view], layout=ipw.Layout(width="100%"))
        self.add_class("cnnviz-feature-studio")
        with self._quietly():
            self.preset = preset
            self._take_preset()
            given = {"steps": steps, "rate": rate, "regularizers": regularizers, "transforms": transforms}
            for name, value in given.items():
                if value is not None:
                    self.set_trait(name, value)
            self.seed, self.n, self.channels, self.diversity, self.init = seed, n, channels, diversity, init
            self.target = target
        self.view.on_stop(self.stop)
        self.view.on_file(self._dropped)
        self._jobs.ask(self._look)
        self._tell()
        if follow is not None:
            self.follow(follow)

    def __repr__(self) -> str:
        """``FeatureStudio(squeezenet1_1: flamingo, done)``."""
        return f"FeatureStudio({self.engine.name}: {self._names or 'nothing chosen'}, {self._jobs.phase})"

    # --- from Python --------------------------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        """What is being done: {state, text, progress}."""
        return dict(self.view.status)

    @property
    def result(self) -> Synthesis | list[Synthesis] | None:
        """What was made, of several targets a list; None while it is being made."""
        found = self._jobs.results
        return found[0] if found is not None and len(found) == 1 else found

    @property
    def kept(self) -> list[Synthesis]:
        """What was kept, the oldest first."""
        return self._gallery.results

    @property
    def code(self) -> str:
        """The call that makes the picture on the screen again; before there is one, that of what is chosen."""
        if self._jobs.making is not None:
            return self._jobs.code
        return "" if self.target is None else studio_code(self.engine, self._order(), self.recipe, self.steps)

    def start(self) -> None:
        """Begin; what is being made is given up.

        Raises:
            ValueError: nothing is chosen.
        """
        self._jobs.start(self._order(), self.recipe)
        self._tell()

    def pause(self) -> None:
        """Rest between two steps; the engine's worker is free meanwhile."""
        self._jobs.pause()

    def resume(self) -> None:
        """Go on where it was paused, with the recipe as it is now."""
        self._jobs.resume()

    def stop(self) -> None:
        """End it; the best so far stays."""
        self._jobs.stop()

    def reset(self) -> None:
        """Back to the preset as it is: its pieces, steps and rate."""
        self._last = {}
        with self._quietly():
            self._take_preset()
        self._jobs.change(self.recipe)
        self._tell()

    def keep(self) -> None:
        """Put what is there now into the gallery, also while it grows.

        Raises:
            RuntimeError: there is nothing yet.
        """
        self._jobs.keep()

    def remove(self, number: int) -> None:
        """Take a picture out of the gallery, by its place in `kept`."""
        self._gallery.remove(number)

    def wait(self, timeout: float | None = None) -> Synthesis | list[Synthesis] | None:
        """Block until nothing is in work (all is made, paused or stopped) and return `result`.

        Raises:
            TimeoutError: something still is, after `timeout` seconds (and goes on).
            Exception: what went wrong; it is shown in the widget too.
        """
        self._jobs.wait(timeout)
        return self.result

    def follow(self, browser: LayerBrowser | PatchWall) -> Callable[[], None]:
        """Let the unit that is chosen in another widget be the target from now on; returns how to take that back."""

        def chosen(_change: object = None) -> None:
            unit = browser.unit
            if unit is not None and unit != self.target:
                self._choose(unit)

        names = [name for name in ("layer", "channel", "position", "selected") if browser.has_trait(name)]
        browser.observe(chosen, names)
        chosen()
        return lambda: browser.unobserve(chosen, names)

    def close(self) -> None:
        """Stop what is being made and take the widget off the page."""
        self._jobs.close()
        super().close()

    # --- what follows from a change -----------------------------------------------------------------------------------

    @t.observe("target", "preset", "seed", "n", "channels", "diversity", "init", *PARTS)
    def _changed(self, change: Any) -> None:
        name = change["name"]
        if name in ("regularizers", "transforms"):
            self._last |= {type(piece).__name__: piece for piece in change["new"]}
        if getattr(self._quiet, "on", False):
            return
        self.view.error = ""  # what was wrong with an earlier choice is no news any more
        if name == "preset":
            self._last = {}
            with self._quietly():
                self._take_preset()
        if name in PARTS:
            self._jobs.change(self.recipe)
        elif self._jobs.phase == "running" and self.target is not None:
            self.start()
        elif self._jobs.phase == "running":
            self.stop()
        else:
            self._jobs.drop()
        self._tell()

    def _pressed(self, content: Mapping[str, Any]) -> None:
        """Something was pressed or moved on the page; what this raises is shown there."""
        match content:
            case {"type": "start"}:
                self.start()
            case {"type": "pause"}:
                self.pause()
            case {"type": "resume"}:
                self.resume()
            case {"type": "keep"}:
                self.keep()
            case {"type": "set", "name": "preset", "value": str(name)}:
                self.preset = name
            case {"type": "set", "name": str(name), "value": value} if name in _NUMBERS:
                self.set_trait(name, _NUMBERS[name](value))
            case {"type": "reset"}:
                self.reset()
            case {"type": "noise"}:
                self.init = None
            case {"type": "piece", "name": str(name), "on": bool(on), "values": dict(values)}:
                trait, pieces, piece = changed_piece(self.recipe, self._last, name, on, values)
                self._last[name] = piece
                self.set_trait(trait, pieces)
            case _:
                self._gallery.pressed(content)

    def _dropped(self, name: str, content: bytes) -> None:
        """A picture to begin with, shown by its file's name."""
        self.set_trait("init", content)
        self._init_name = name
        self._tell()

    def _choose(self, goal: Goal) -> None:
        """A target that was chosen by hand: checked in the worker, and what is wrong with it is shown."""
        self.view.error = ""
        self._jobs.ask(lambda: self.set_trait("target", goal))

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """What there is to choose from; in the worker."""
        rows = self.engine.layers.in_order()
        channels = {row.name: row.shape[0] for row in rows if row.spatial or len(row.shape) == 1}
        self.head.offer(self.engine.categories, channels)
        self.head.mark(self.target, self._names)

    def _tell(self) -> None:
        """Show what is chosen in the controls."""
        self.head.mark(self.target, self._names)
        recipe = self.recipe
        chosen = {
            "target": ", ".join(map(str, neighbours)) if len(neighbours := self._neighbours()) > 1 else self._names,
            "unit": isinstance(self.target, Unit),
            "init": "" if self.init is None else self._init_words or self._init_name or "a picture",
            **{name: getattr(self, name) for name in ("seed", "n", "channels", "diversity")},
        }
        self.view.publish("settings", settings_message(recipe, self.preset, **chosen))
        self.view.publish("pieces", piece_rows(recipe, self.preset, self._last))
        if self._jobs.making is None:
            self.view.publish("code", self.code)


_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "steps": int,
    "rate": float,
    "seed": int,
    "n": int,
    "channels": int,
    "diversity": float,
}
