"""`OcclusionSlider`: drag a patch over a picture, watch the scores move, and see which places matter."""

from __future__ import annotations

import difflib
import operator
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets as ipw
import traitlets as t
from PIL import Image

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import Engine, Target
from cnnviz_widgets.engine.targets import find_class
from cnnviz_widgets.methods.occluders import Fill, Shape, check_fill, check_shape
from cnnviz_widgets.results import OcclusionMap, Predictions, Unit
from cnnviz_widgets.views.colour import DIVERGING
from cnnviz_widgets.widgets.class_picker import ClassPicker
from cnnviz_widgets.widgets.occlusion_canvas import OcclusionCanvas
from cnnviz_widgets.widgets.occlusion_controls import VIEWS, OcclusionControls
from cnnviz_widgets.widgets.occlusion_jobs import Choice, OcclusionJobs
from cnnviz_widgets.widgets.occlusion_work import Scene, Setting
from cnnviz_widgets.widgets.unit_chooser import UnitChooser


class OcclusionSlider(ipw.VBox):
    """Cover a part of the picture and see what the network says then: by hand, and as a map of all places.

    You see the picture with a patch on it and the likeliest classes as bars. Drag the patch, or move it with the arrow
    keys, and the bars follow. Meanwhile a map fills in row by row: what is left of the class's score with the patch at
    each place. It is exact; nothing is interpolated. Another class, its probability, the most probable class at each
    place and the difference of two classes are read off the same sweep at once; another patch begins a new one.

    Everything works from Python too: set `patch`, `stride`, `fill`, `shape`, `place`, `target`, `against`, `view`,
    `unit` or `image`, then `wait()` for `result`.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        target: class index or class name; by default the most probable class.
        patch: side of the patch in pixels of the network's input.
        stride: pixels from one place of the map to the next.
        fill: what is seen where the patch is: "mean", "grey", "blur", "noise", or a colour (see `occlusion`).
        shape: "square", "circle" or (height, width).

    Attributes:
        target: The class whose score the map shows.
        against: The second class of a comparison; by default the next likeliest.
        view: "score", "probability", "activity", "class" or "comparison".
        unit: The feature map of the view "activity": a `Unit`, or a layer's name for its strongest channel; by default
            the strongest of the last layer that has maps (Zeiler & Fergus 2013, figure 7).
        place: (y, x) of the patch's upper left corner.
        predictions: What the network says without a patch.
        answer: The `Predictions` with the patch at `place`.
        result: The `OcclusionMap` on the screen; rows that are not computed are NaN.
        canvas: The `OcclusionCanvas` that draws it.

    Raises:
        ImageError: `image` is no picture.
        KeyError, IndexError: no such class; near names are suggested.
        traitlets.TraitError: no such view, fill, shape or size; near names are suggested.

    Example:
        >>> slider = OcclusionSlider(engine, samples["cat"], stride=16)
        >>> slider.view = "class"; slider.wait(60)
    """

    patch = t.Int(32, min=1)
    stride = t.Int(8, min=1)
    fill: Any = t.Any("mean")
    shape: Any = t.Any("square")
    target: Any = t.Any(None, allow_none=True)
    against: Any = t.Any(None, allow_none=True)
    view = t.Unicode("score")
    unit: Any = t.Any(None, allow_none=True)
    place: Any = t.Any(None, allow_none=True)
    predictions: Any = t.Any(None, allow_none=True)
    answer: Any = t.Any(None, allow_none=True)

    def __init__(
        self,
        engine: Engine,
        image: ImageLike,
        target: Target | None = None,
        *,
        patch: int = 32,
        stride: int = 8,
        fill: Fill = "mean",
        shape: Shape = "square",
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(f"the first argument is {type(engine).__name__}; wanted an Engine")
        self.engine = engine
        self._picture = as_picture(image)
        self._quiet = threading.local()
        self.canvas = OcclusionCanvas(colormap=DIVERGING)
        self._jobs = OcclusionJobs(engine, self.canvas, self._choice, self._looked, self._answered, self._found)
        self._picker = ClassPicker(lambda choice: self._set("target", choice))
        self._units = UnitChooser(lambda choice: self._set("unit", choice))
        self._controls = OcclusionControls(self.canvas, self._picker, self._units)
        super().__init__([self._controls])
        with self._quietly():
            self.patch, self.stride, self.fill, self.shape, self.target = patch, stride, fill, shape, target
        self._connect()
        self.add_class("cnnviz-occlusion-slider")
        self._jobs.ask_map()

    def __repr__(self) -> str:
        """``OcclusionSlider(squeezenet1_1: score of 'tiger cat')``."""
        shown = str(self.unit or "") if self.view == "activity" else self._name(self.target)
        return f"OcclusionSlider({self.engine.name}: {self.view}{shown and f' of {shown!r}'})"

    # --- from Python --------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Image.Image:
        """The picture, as it came; set it to look at another one."""
        return self._picture

    @image.setter
    def image(self, image: ImageLike) -> None:
        self._picture = as_picture(image)
        with self._quietly():  # what was chosen for another picture
            self.target = self.against = self.unit = None
        self._jobs.ask_map()

    @property
    def result(self) -> OcclusionMap | None:
        """The map on the screen, with NaN in the rows that are not computed; None before the picture was looked at."""
        return self._jobs.screen.map

    def compute(self) -> None:
        """Go on with a map that was stopped; compute one that is whole again."""
        self._jobs.ask_map(anew=True)

    def stop(self) -> None:
        """Stop the map; the rows that are there stay."""
        self._jobs.stop()

    def wait(self, timeout: float | None = None) -> OcclusionMap | None:
        """Block until the place is answered and the map is whole (or stopped), and return `result`.

        Raises:
            TimeoutError: it is not there after `timeout` seconds (and goes on).
            Exception: what the computation raised; it is shown under the picture too.
        """
        self._jobs.wait(timeout)
        return self.result

    # --- what follows from a change -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        controls = self._controls
        self._mark()
        for name in ("patch", "stride", "fill", "shape", "view"):
            getattr(controls, name).observe(lambda change, name=name: self._set(name, change["new"]), "value")
        controls.against.observe(self._searched, "value")
        controls.again.on_click(lambda _button: self.compute())
        self.canvas.observe(lambda change: change["new"] and self._set("place", _corner(change["new"])), "place")
        self.canvas.on_place(lambda y, x: self._jobs.ask_place())
        self.canvas.on_stop(self.stop)
        self.canvas.on_file(self._dropped)

    @t.validate("view")
    def _known_view(self, proposal: Any) -> str:
        if proposal["value"] not in VIEWS:
            near = difflib.get_close_matches(proposal["value"], list(VIEWS), n=2)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(VIEWS)}"
            raise t.TraitError(f"no view {proposal['value']!r}; {hint}")
        return proposal["value"]

    @t.validate("fill", "shape")
    def _possible(self, proposal: Any) -> Any:
        value = tuple(proposal["value"]) if isinstance(proposal["value"], list) else proposal["value"]
        try:
            check_fill(value) if proposal["trait"].name == "fill" else check_shape(value)
        except ValueError as error:
            raise t.TraitError(str(error)) from None
        return value

    @t.validate("target", "against")
    def _known_class(self, proposal: Any) -> int | None:
        value = proposal["value"]
        if value is None:
            return None
        if isinstance(value, Unit):
            raise t.TraitError(f"{value} is a unit, not a class; set unit= and view='activity' to see its map")
        if self._jobs.scene is not None:
            return find_class(value, self._jobs.scene.categories)
        # the names may have to be counted, which is the network's work and so the worker's
        return find_class(value, self.engine.worker.submit(lambda: self.engine.categories, urgent=True).wait())

    @t.validate("unit")
    def _known_unit(self, proposal: Any) -> Unit | str | None:
        value = proposal["value"]
        layer = value.layer if isinstance(value, Unit) else value
        known = self.engine.modules
        if layer is None or layer in known or layer.partition("#")[0] in known:  # "name#1" is its first call
            return value
        near = difflib.get_close_matches(layer, list(known), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "engine.layers lists them"
        raise t.TraitError(f"no layer {layer!r} in {self.engine.name}; {hint}")

    @t.validate("place")
    def _whole_place(self, proposal: Any) -> tuple[int, int] | None:
        value = proposal["value"]
        if value is None:
            return None
        try:
            y, x = map(operator.index, value)
        except (TypeError, ValueError):
            raise t.TraitError(f"a place is (y, x) in pixels, the patch's upper left corner; not {value!r}") from None
        self.canvas.place = {"y": y, "x": x}  # which refuses what lies beside the picture
        return y, x

    @t.observe("patch", "stride", "fill", "shape", "target", "against", "view", "unit", "place")
    def _changed(self, change: Any) -> None:
        if getattr(self._quiet, "on", False):
            return
        self.canvas.error = ""  # what was wrong with an earlier choice is no news any more
        self._mark()
        match change["name"]:
            case "place":
                self._jobs.ask_place()
            case "patch" | "shape" | "fill":
                self._jobs.ask_place()
                self._jobs.ask_map()
            case "stride":
                self._jobs.ask_map()
            case _:
                self._jobs.ask_view()

    def _set(self, name: str, value: object) -> None:
        """What was chosen on the screen; what is wrong with it is said there."""
        if value is None:  # no button is down: something that has none was chosen from Python
            return
        try:
            self.set_trait(name, value)
        except (KeyError, IndexError, t.TraitError) as error:
            self.canvas.error = str(error)

    def _searched(self, change: Any) -> None:
        if change["new"] and change["new"] != self._name(self.against):  # a name may stand for two classes
            self._set("against", change["new"])

    def _dropped(self, _name: str, content: bytes) -> None:
        self.image = content

    # --- told by the worker -------------------------------------------------------------------------------------------

    def _choice(self) -> Choice:
        setting = Setting(self.patch, self.stride, self.fill, self.shape)
        return Choice(self._picture, setting, self.view, self.target, self.against, self.unit, self.place)

    def _looked(self, scene: Scene) -> None:
        self.predictions = scene.predictions
        if self.target is None:
            with self._quietly():
                self.target = int(scene.predictions.indices[0])
        self._picker.show(scene.predictions, scene.categories)
        self._controls.against.options = self._picker.search.options
        self._controls.fit(scene.side)
        self._mark()

    def _answered(self, predictions: Predictions) -> None:
        self.answer = predictions

    def _found(self, unit: Unit, channels: dict[str, int]) -> None:
        with self._quietly():
            self.unit = unit
        self._units.show(channels)
        self._units.mark(unit)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        """Show what is chosen in the controls."""
        self._controls.show(self.patch, self.stride, self.fill, self.shape, self.view)
        if self.target is not None:
            self._picker.mark(self.target, self._name(self.target))
        self._controls.against.value = "" if self.against is None else self._name(self.against)
        if isinstance(self.unit, Unit):
            self._units.mark(self.unit)

    def _name(self, index: int | None) -> str:
        scene = self._jobs.scene
        return "" if index is None else scene.categories[index] if scene is not None else f"class {index}"

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, changes have no consequences: they are the consequence of something."""
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = False


def _corner(place: dict[str, int]) -> tuple[int, int]:
    return place["y"], place["x"]
