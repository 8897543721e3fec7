"""`SaliencyToggle`: ask a network "why this class?" in a dozen ways, on one picture, side by side."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as ipw
import traitlets as t
from PIL import Image

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import Cancelled, Engine, Job, Target
from cnnviz_widgets.results import Heatmap, PixelMap, Predictions, Unit
from cnnviz_widgets.views.colour import scale_of
from cnnviz_widgets.views.titles import method_title
from cnnviz_widgets.widgets.canvas_messages import OUTLIERS
from cnnviz_widgets.widgets.class_picker import ClassPicker
from cnnviz_widgets.widgets.image_canvas import ImageCanvas
from cnnviz_widgets.widgets.method_menu import MapMethod, map_methods, named, understands
from cnnviz_widgets.widgets.toggle_controls import MODES, PIXELS, ToggleControls, map_column, method_buttons

REPORT_EVERY = 0.1  # seconds between two progress messages


@dataclass(frozen=True)
class _Question:
    """What a context stands for: the picture, the target, what it is held against, and how pixel maps are drawn."""

    picture: Image.Image = field(repr=False)
    target: Target
    against: Target | None
    pixels: str


@dataclass(eq=False)
class _Slot:
    """One canvas, the job that works for it, and the key that the job will answer."""

    canvas: ImageCanvas
    menu: ipw.ToggleButtons
    job: Job[Any] | None = None
    key: str = ""


class SaliencyToggle(ipw.VBox):
    """One picture, one question, every method: choose a class, toggle methods, compare two maps.

    You see the likeliest classes as bars (click one, or search all names), a row of methods, and the picture under the
    map. *Why* asks what speaks for the class, *why not* what speaks against it, *contrast* what makes it this class
    rather than another. Maps that were computed once come back without asking the kernel; slow methods show progress
    and can be stopped; your own picture can be dropped on the canvas.

    Everything works from Python too: set `target`, `method`, `mode`, `against`, `compare`, `other_method`, `image`,
    then `wait()` for `result`.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        target: class index, class name or `Unit`; by default the most probable class.
        method: the name of the first method shown; by default "grad_cam", or the first of `methods`.
        methods: the functions offered; by default all that return a map.

    Attributes:
        target: What is explained.
        against: The other class of a contrast; by default the next likeliest.
        method, other_method: Names of the methods of the first and the second canvas.
        mode: "why", "why not" or "contrast".
        compare: Whether the second canvas is there.
        pixels: How maps of single pixels are drawn: "magnitude", "signed" or "colour".
        result, other_result: What the canvases show, or None while it is being computed.
        canvas, other_canvas: The `ImageCanvas` widgets.

    Raises:
        ImageError: `image` is no picture.
        KeyError, IndexError: no such class, layer or channel; near names are suggested.
        traitlets.TraitError: no such method or mode; near names are suggested.

    Example:
        >>> toggle = SaliencyToggle(engine, samples["cat"])
        >>> toggle.method = "guided_backprop"; toggle.wait(10)
    """

    method = t.Unicode()
    other_method = t.Unicode()
    mode = t.Unicode("why")
    target: Any = t.Any(None, allow_none=True)
    against: Any = t.Any(None, allow_none=True)
    compare = t.Bool(False)
    pixels = t.Unicode("magnitude")
    predictions: Any = t.Any(None, allow_none=True)

    def __init__(
        self,
        engine: Engine,
        image: ImageLike,
        target: Target | None = None,
        *,
        method: str | None = None,
        methods: Iterable[MapMethod] | None = None,
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(f"the first argument is {type(engine).__name__}; wanted an Engine")
        self.engine = engine
        self.methods = map_methods() if methods is None else named(methods)
        self._lock = threading.RLock()
        self._questions: dict[str, _Question] = {}
        self._results: dict[str, Heatmap | PixelMap] = {}
        self._looking: Job[Any] | None = None
        self._looker = object()  # who asks for predictions, as the worker knows it
        self._picture = as_picture(image)
        first = method or ("grad_cam" if methods is None else next(iter(self.methods)))
        second = next((name for name in self.methods if name != first), first)
        self._slots = [self._make_slot(first), self._make_slot(second)]
        self._picker = ClassPicker(self._pick)
        self._controls = ToggleControls(self._picker, [map_column(slot.menu, slot.canvas) for slot in self._slots])
        self._connect()
        super().__init__([self._controls])
        self.add_class("cnnviz-saliency-toggle")
        if target is not None:
            self.target = target
        self._look()

    # --- what is seen ------------------------------------------------------------------------------------------------

    def _make_slot(self, method: str) -> _Slot:
        if method not in self.methods:
            raise t.TraitError(_no_such("method", method, self.methods))
        menu = method_buttons(self.methods, method)
        slot = _Slot(ImageCanvas(), menu)
        slot.canvas.follow(menu, "method")
        slot.canvas.on_need(lambda key: self._needed(slot, key))
        slot.canvas.on_stop(lambda: self._stop(slot))
        slot.canvas.on_file(self._dropped)
        return slot

    def _connect(self) -> None:
        for slot in self._slots:
            slot.canvas.follow(self._controls.modes, "mode")
        t.link((self, "mode"), (self._controls.modes, "value"))
        t.link((self._slots[0].menu, "value"), (self, "method"))
        t.link((self._slots[1].menu, "value"), (self, "other_method"))
        t.link((self, "pixels"), (self._controls.pixels, "value"))
        t.link((self, "compare"), (self._controls.compare, "value"))
        self._controls.against.observe(self._against_searched, "value")
        for trait in ("opacity", "threshold", "colormap"):
            ipw.jslink((self._slots[0].canvas, trait), (self._slots[1].canvas, trait))

    def __repr__(self) -> str:
        """``SaliencyToggle(squeezenet1_1: grad_cam of 'tiger cat')``."""
        return f"SaliencyToggle({self.engine.name}: {self.method} of {self._name(self.target)!r})"

    @property
    def canvas(self) -> ImageCanvas:
        """The first canvas."""
        return self._slots[0].canvas

    @property
    def other_canvas(self) -> ImageCanvas:
        """The second canvas, shown while `compare` is True."""
        return self._slots[1].canvas

    # --- from Python -------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Image.Image:
        """The picture, as it came; set it to look at another one."""
        return self._picture

    @image.setter
    def image(self, image: ImageLike) -> None:
        self._picture = as_picture(image)
        self.target = self.against = None  # the likeliest class of the new picture
        self._look()

    @property
    def result(self) -> Heatmap | PixelMap | None:
        """What the first canvas shows; None while it is being computed, after a stop or an error."""
        return self._results.get(self.canvas.wanted)

    @property
    def other_result(self) -> Heatmap | PixelMap | None:
        """What the second canvas shows; None while it is not shown."""
        return self._results.get(self.other_canvas.wanted) if self.compare else None

    def wait(self, timeout: float | None = None) -> Heatmap | PixelMap | None:
        """Block until nothing is being computed and return `result`.

        Raises:
            TimeoutError: something is still running after `timeout` seconds (and goes on).
            Cancelled: it was stopped.
            Exception: what the computation itself raised; it is shown under the picture too.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while job := self._unfinished():
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                job.wait(left)
            except TimeoutError:
                if not job.ended:
                    raise
            except Exception:
                pass  # of the jobs below only the newest counts
        for job in (self._looking, *(slot.job for slot in self._slots[: 1 + self.compare])):
            if job is not None and job.error is not None:
                raise job.error
        return self.result

    def stop(self) -> None:
        """Stop whatever is being computed, as the Stop button does."""
        for slot in self._slots:
            self._stop(slot)

    def _unfinished(self) -> Job[Any] | None:
        with self._lock:
            jobs = (self._looking, *(slot.job for slot in self._slots))
            return next((job for job in jobs if job is not None and not job.ended), None)

    # --- what follows from a change ----------------------------------------------------------------------------------

    @t.validate("method", "other_method")
    def _known_method(self, proposal: Any) -> str:
        if proposal["value"] not in self.methods:
            raise t.TraitError(_no_such("method", proposal["value"], self.methods))
        return proposal["value"]

    @t.validate("mode")
    def _known_mode(self, proposal: Any) -> str:
        if proposal["value"] not in MODES:
            raise t.TraitError(_no_such("mode", proposal["value"], MODES))
        return proposal["value"]

    @t.validate("pixels")
    def _known_pixels(self, proposal: Any) -> str:
        if proposal["value"] not in PIXELS:
            raise t.TraitError(_no_such("way to draw pixels", proposal["value"], PIXELS))
        return proposal["value"]

    @t.validate("target", "against")
    def _known_target(self, proposal: Any) -> Any:
        value = proposal["value"]
        if value is not None:
            self.engine.check_target(value)
        return value

    @t.observe("method", "other_method", "mode", "target", "against", "compare", "pixels")
    def _changed(self, change: Any) -> None:
        name = change["name"]
        for slot in self._slots:
            slot.canvas.error = ""  # what was wrong with an earlier choice is no news any more
        if name == "compare":
            self._controls.arrange(1 + self.compare)
        if name == "mode":
            self._controls.against.layout.display = "" if self.mode == "contrast" else "none"
        if name == "target" and self.target is not None:
            self._picker.mark(self._index(self.target), self._name(self.target))
        if name == "against" and self.against is not None:
            self._controls.against.value = self._name(self.against)
        self._refresh()

    def _pick(self, choice: int | str) -> None:
        """A class chosen on the screen: what is wrong with it is shown there."""
        try:
            self.target = choice
        except (KeyError, IndexError, t.TraitError) as error:
            self.canvas.error = str(error)
        else:
            self.canvas.error = ""

    def _against_searched(self, change: Any) -> None:
        if change["new"] and (self.against is None or change["new"] != self._name(self.against)):
            try:
                self.against = change["new"]
            except (KeyError, IndexError, t.TraitError) as error:
                self.canvas.error = str(error)
            else:
                self.canvas.error = ""

    def _dropped(self, _name: str, content: bytes) -> None:
        self.image = content

    def _look(self) -> None:
        """A new picture: show it, ask for its likeliest classes, then for the map."""
        picture = self._picture

        def look() -> tuple[Predictions, tuple[str, ...]]:
            return self.engine.predict(picture), self.engine.categories

        for slot in self._slots:
            slot.canvas.report("running", "looking at the picture")
        with self._lock:
            self._looking = self.engine.worker.submit(look, owner=self._looker, on_end=self._looked)

    def _looked(self, job: Job[tuple[Predictions, tuple[str, ...]]]) -> None:
        if job is not self._looking:  # another picture came in the meantime
            return
        if job.result is None:
            self._tell(job, self._slots[0])
            return
        predictions, categories = job.result
        self.predictions = predictions
        for slot in self._slots:
            slot.canvas.show_picture(predictions.image)
            slot.canvas.report("idle")
        self._picker.show(predictions, categories)
        self._controls.against.options = self._picker.search.options
        if self.target is None:
            self.target = int(predictions.indices[0])  # and so asks for its map
        else:
            self._picker.mark(self._index(self.target), self._name(self.target))
            self._refresh()

    def _refresh(self) -> None:
        """Say what the canvases should show; what is not there is computed."""
        if self.target is None or self.predictions is None:
            return
        context = self._context()
        methods = (self.method, self.other_method)[: 1 + self.compare]
        for slot, method in zip(self._slots, methods, strict=False):
            slot.canvas.context, slot.canvas.mode, slot.canvas.method = context, self.mode, method
            self._request(slot, slot.canvas.wanted)

    def _context(self) -> str:
        """A short name for the present question; the network's state is part of it, so no map outlives its weights."""
        against = self._against_or_next() if self.mode == "contrast" else None
        question = _Question(self._picture, self._plain(self.target), against, self.pixels)
        state = hash((id(question.picture), question.target, question.against, question.pixels, self.engine.state))
        name = f"{state & 0xFFFFFFFFFFFFFFFF:016x}"
        with self._lock:
            self._questions[name] = question
        return name

    def _needed(self, slot: _Slot, key: str) -> None:
        """The browser lacks a map: a known one is sent again; for another, what the controls say counts, not the key,
        since the choice itself may still be on its way.
        """
        with self._lock:
            known = self._results.get(key)
        if known is not None:
            self._publish(slot, key, known)
        else:
            self._refresh()

    def _request(self, slot: _Slot, key: str) -> None:
        """Bring the map of this key to a canvas: from what is there, else from the network."""
        context, mode, method = key.split("|")
        with self._lock:
            known = self._results.get(key)
            if known is None and slot.key == key and slot.job is not None and not (slot.job.ended or slot.job.stopping):
                return
            slot.key = key
            if known is None:
                question = self._questions[context]
                slot.canvas.report("running", method_title(method))
                slot.job = self.engine.worker.submit(
                    lambda: self._explain(question, mode, method),
                    owner=slot,
                    on_progress=self._reporter(slot, method),
                    on_end=lambda job: self._explained(slot, key, job),
                )
                return
            if slot.job is not None:
                slot.job.cancel()  # nobody waits for it any more
                slot.job = None
            slot.canvas.report("idle")
        self._publish(slot, key, known)

    def _explain(self, question: _Question, mode: str, method: str) -> Heatmap | PixelMap:
        function = self.methods[method]
        options: dict[str, Any] = {}
        if mode == "why not":
            if not understands(function, "counterfactual"):
                able = [method_title(n) for n, f in self.methods.items() if understands(f, "counterfactual")]
                raise ValueError(f"{method_title(method)} cannot answer 'why not'; these can: {', '.join(able)}")
            options["counterfactual"] = True
        if question.against is not None:
            if not understands(function, "against"):
                raise ValueError(f"{method_title(method)} cannot contrast two classes")
            options["against"] = question.against
        return function(self.engine, question.picture, question.target, **options)

    def _reporter(self, slot: _Slot, method: str) -> Callable[[Job[Any]], None]:
        last = 0.0

        def report(job: Job[Any]) -> None:
            nonlocal last
            now = time.monotonic()
            if job.total and now - last >= REPORT_EVERY and not job.stopping:
                last = now
                slot.canvas.report(
                    "running", f"{method_title(method)}: {job.done} of {job.total}", job.done / job.total
                )

        return report

    def _explained(self, slot: _Slot, key: str, job: Job[Heatmap | PixelMap]) -> None:
        if job.result is not None:
            with self._lock:
                self._results[key] = job.result
            self._publish(slot, key, job.result)
        with self._lock:
            if slot.key == key:
                self._tell(job, slot)

    def _tell(self, job: Job[Any], slot: _Slot) -> None:
        if job.state == "failed":
            slot.canvas.report("error", str(job.error) or type(job.error).__name__)
        elif isinstance(job.error, Cancelled):
            slot.canvas.report("stopped", "stopped")
        else:
            slot.canvas.report("done")

    def _publish(self, slot: _Slot, key: str, result: Heatmap | PixelMap) -> None:
        pixels = self._questions[key.partition("|")[0]].pixels
        label = f"{method_title(result.method)} · {result.target_name}" + (f" · {result.layer}" if result.layer else "")
        if isinstance(result, Heatmap) or pixels == "colour":
            slot.canvas.show_map(result, key=key, label=label)
            return
        heat = result.heatmap("sum" if pixels == "signed" else "max_abs")
        limits = scale_of(heat.values, heat.signed, percentile=OUTLIERS)  # single pixels stick out: not by them
        slot.canvas.publish(
            key, heat.values, lo=limits.lo, hi=limits.hi, signed=heat.signed, label=label, picture=result.image
        )

    def _stop(self, slot: _Slot) -> None:
        with self._lock:
            if slot.job is not None:
                slot.job.cancel()

    # --- classes -----------------------------------------------------------------------------------------------------

    def _plain(self, target: Target) -> int | Unit:
        return self.engine.check_target(target)

    def _index(self, target: Target) -> int | None:
        plain = self._plain(target)
        return None if isinstance(plain, Unit) else plain

    def _name(self, target: Target | None) -> str:
        if target is None:
            return ""
        plain = self._plain(target)
        return str(plain) if isinstance(plain, Unit) else self.engine.categories[plain]

    def _against_or_next(self) -> int | Unit:
        if self.against is not None:
            return self._plain(self.against)
        target = self._plain(self.target)
        return next(int(index) for index in self.predictions.indices if int(index) != target)


def _no_such(what: str, value: object, known: Iterable[str]) -> str:
    options = list(known)
    near = difflib.get_close_matches(str(value), options, n=2)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(options)}"
    return f"no {what} {value!r}; {hint}"
