"""`OcclusionCanvas`: a patch that is dragged over a picture, the map of what it does, and the answer where it lies.

The kernel sends pictures, maps and answers as plain numbers; the browser moves the patch, colours the map and looks
answers up. It asks the kernel only for a place that it cannot look up, the newest one first, one question at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from cnnviz_widgets.views.palette import distinct_colors
from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.coloured import Coloured
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.occlusion_messages import (
    answer_message,
    answers_message,
    base_message,
    classes_message,
    patch_message,
    pictures_message,
    values_message,
)

__all__ = ["OcclusionCanvas"]


class OcclusionCanvas(Coloured, Calling):
    """A picture with a patch on it, the map of all places of the patch, and the classes with and without it.

    What is shown belongs to a scene: the picture, what stands under the patch, and the patch. Maps and answers of
    another scene are never seen. All `show_*` may be called from any thread.

    Attributes:
        patch: {h, w, round} in input pixels. When it changes, its centre stays.
        place: {y, x} of the patch's upper left corner, in input pixels; may be negative. Dragged in the browser, or
            set from Python; then the patch moves and the bars follow.
        shown: {y, x, exact}: the place that the bars stand for, and whether that is where the patch is. {} before.
        opacity: Of the map over the dimmed picture, 0 to 1.
        picture, map, answers, answer, base: What was shown last; set them with `show_picture` and its siblings.

    Raises:
        traitlets.TraitError: Any of these set to something impossible; the canvas stays as it was.

    Example:
        canvas = OcclusionCanvas(patch={"h": 32, "w": 32, "round": False})
        canvas.show_picture(picture, fill)
        canvas.on_place(lambda y, x: canvas.show_answer(y, x, *ask_the_network(y, x)))
        canvas
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    picture = t.Dict().tag(sync=True, echo_update=False)
    patch = t.Dict({"h": 32, "w": 32, "round": False}).tag(sync=True)
    place = t.Dict().tag(sync=True, echo_update=False)
    map = t.Dict().tag(sync=True, echo_update=False)
    answers = t.Dict().tag(sync=True, echo_update=False)
    answer = t.Dict().tag(sync=True, echo_update=False)
    base = t.Dict().tag(sync=True, echo_update=False)
    shown = t.Dict().tag(sync=True, echo_update=False)
    opacity = t.Float(0.8, min=0, max=1).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._slots: dict[int, int] = {}  # Which colour each class of a class map has.
        super().__init__(**traits)

    def __repr__(self) -> str:
        if not self.picture:
            return "OcclusionCanvas(empty)"
        size = f"{self.picture['width']}x{self.picture['height']}"
        at = f"at y={self.place['y']}, x={self.place['x']}"
        return f"OcclusionCanvas({size}, patch {self.patch['h']}x{self.patch['w']} {at})"

    @property
    def scene(self) -> str:
        """Names the picture, what stands under the patch, and the patch; "" without a picture.

        Note it when work begins and hand it to `show_answer`, `show_answers` or `show_map` when the work is done: what
        came too late is then not taken for an answer to something else.
        """
        if not self.picture:
            return ""
        patch = self.patch
        shape = "round" if patch["round"] else "square"
        return f"{self.picture['id']}|{self.picture['look']}|{patch['h']}x{patch['w']} {shape}"

    # --- what is shown -----------------------------------------------------------------------------------------------

    def show_picture(self, picture: ArrayLike, fill: ArrayLike, patch: Mapping[str, Any] | None = None) -> None:
        """Put this picture under the patch, and under the patch what the network sees there.

        The patch goes to the centre when the picture is of another size than the one before.

        Args:
            picture: (H, W, 3) uint8.
            fill: Likewise: the whole picture as it would be, were it covered all over.
            patch: Another patch, {h, w, round}; given here, it comes in one step with the picture.

        Raises:
            TypeError: Not uint8.
            ValueError: Another shape, empty, or two sizes; an impossible patch.
        """
        message = pictures_message(picture, fill)
        shape = self.patch if patch is None else patch_message(patch)
        with self._alone(), self.hold_sync():  # One message: the browser never sees the one with the other's old value.
            before = self.picture
            self.set_trait("patch", shape)  # First: its centre is a place of the picture before.
            self.set_trait("picture", message)
            if message["id"] != before.get("id"):
                self._slots.clear()
            same_size = (message["width"], message["height"]) == (before.get("width"), before.get("height"))
            chosen = not before and self.place and self._touches(self.place)  # Before there was a picture.
            if not same_size and not chosen:
                y, x = message["height"] // 2 - shape["h"] // 2, message["width"] // 2 - shape["w"] // 2
                self.set_trait("place", {"y": y, "x": x})

    def show_map(
        self,
        tops: ArrayLike,
        lefts: ArrayLike,
        values: ArrayLike,
        *,
        base: float | None = None,
        key: str = "",
        label: str = "",
        unit: str = "",
        kind: Literal["values", "classes"] = "values",
        names: Mapping[int, str] | None = None,
        lo: float | None = None,
        hi: float | None = None,
        signed: bool | None = None,
        scene: str | None = None,
    ) -> None:
        """Show the map of all places of the patch, whole or as far as it is computed.

        Args:
            tops: (ny,) upper edges of the patches in input pixels, rising.
            lefts: (nx,) left edges likewise.
            values: (ny, nx); NaN where nothing is computed yet. For classes their numbers, NaN or -1 where not yet.
            base: The value without a patch (the class without one), marked on the colour bar and in the legend.
            key: Names the sweep (network, picture, patch, stride, fill); answers of another key are not looked up.
            label: The caption, e.g. "score of tabby"; its first word is also the name of the value under the cursor.
            unit: Written behind the numbers.
            kind: "values", or "classes": the most probable class at each position.
            names: Of the classes, by number.
            lo: The value of the first colour; by default `views.colour.scale_of` decides.
            hi: The value of the last colour.
            signed: Colours centre on zero; by default whether some value is below zero.
            scene: What it was computed for; by default the present one.

        Raises:
            ValueError: Shapes that do not fit the grid, edges that do not rise, infinite values, an impossible scale.
        """
        whose = {"scene": self.scene if scene is None else scene, "key": str(key), "label": label, "unit": unit}
        if kind == "classes":
            numbers = np.asarray(values)
            slots = self._slots_of(numbers[numbers >= 0], base)
            colors = distinct_colors(max(slots.values(), default=-1) + 1)
            message = classes_message(tops, lefts, numbers, names or {}, slots, colors)
        elif kind == "values":
            message = values_message(tops, lefts, values, lo, hi, signed)
        else:
            raise ValueError(f'a map is of kind "values" or "classes", not {kind!r}')
        self._publish("map", {**whose, "kind": kind, "base": None if base is None else float(base), **message})

    def show_answers(
        self,
        key: str,
        tops: ArrayLike,
        lefts: ArrayLike,
        indices: ArrayLike,
        probabilities: ArrayLike,
        names: Mapping[int, str],
        *,
        base_probabilities: ArrayLike | None = None,
        scene: str | None = None,
    ) -> None:
        """Let the browser look up the answers at the places of a map.

        Args:
            key: Of the map.
            tops: (ny,) upper edges, rising.
            lefts: (nx,) left edges, rising.
            indices: (ny, nx, 5) class numbers, most probable first; -1 where nothing is computed yet.
            probabilities: (ny, nx, 5), 0 to 1.
            names: Of the classes that occur, by number.
            base_probabilities: (ny, nx, 5) of the classes of `show_base`, in its order: how they sink.
            scene: What they were computed for; by default the present one.
        """
        message = answers_message(tops, lefts, indices, probabilities, names, base_probabilities)
        self._publish("answers", {"scene": self.scene if scene is None else scene, "key": str(key), **message})

    def show_answer(
        self,
        y: int,
        x: int,
        indices: ArrayLike,
        probabilities: ArrayLike,
        names: Mapping[int, str],
        *,
        base_probabilities: ArrayLike | None = None,
        scene: str | None = None,
    ) -> None:
        """Answer for one place that `on_place` asked for: the classes (5,), most probable first, with the patch there.

        Args:
            y: Upper edge of the patch.
            x: Its left edge.
            indices: (5,) class numbers.
            probabilities: (5,), 0 to 1.
            names: Of these classes, by number.
            base_probabilities: (5,) of the classes of `show_base`, in its order.
            scene: What was asked about (`scene` when the question came); by default the present one.
        """
        message = answer_message(y, x, indices, probabilities, names, base_probabilities)
        self._publish("answer", {"scene": self.scene if scene is None else scene, **message})

    def show_base(
        self,
        indices: ArrayLike,
        probabilities: ArrayLike,
        names: Mapping[int, str],
        *,
        all_probabilities: ArrayLike | None = None,
    ) -> None:
        """Show the classes without a patch: the marks that the bars are compared with.

        Args:
            indices: (5,) class numbers, most probable first.
            probabilities: (5,), 0 to 1.
            names: Of these classes, by number.
            all_probabilities: (classes,): so that classes which come up under the patch have their mark too.
        """
        message = base_message(indices, probabilities, names, all_probabilities)
        self._publish("base", {"picture": self.picture.get("id", ""), **message})

    def forget(self) -> None:
        """Show neither map nor answers any more, e.g. because the network has changed."""
        for name in ("map", "answers", "answer", "base"):
            self._publish(name, {})

    # --- what is asked -----------------------------------------------------------------------------------------------

    def on_place(self, callback: Callable[[int, int], object]) -> Callable[[], None]:
        """Call `callback(y, x)` when the answer at a place is wanted; returns how to take that back.

        Answer with `show_answer(y, x, ...)`, from any thread. The next question comes when this one is answered, or
        after ten seconds. Places that can be looked up are not asked for.
        """
        return self._register("place", callback)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the front end changed (called by ipywidgets)."""
        place = sync_data.get("place")
        if place and self.picture and not self._touches(place):  # Of the picture before: the front end will know soon.
            sync_data = {name: value for name, value in sync_data.items() if name != "place"}
        super().set_state(sync_data)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "place", "y": int(y), "x": int(x), "scene": str(scene)}:
                self._asked(y, x, scene)

    def _asked(self, y: int, x: int, scene: str) -> None:
        if scene != self.scene:
            return  # The front end will ask again once it has the present one.
        known = self.answer
        if (known.get("scene"), known.get("y"), known.get("x")) == (scene, y, x):
            with self._alone():
                self.send_state("answer")  # It got lost on its way, or the page was loaded anew.
        else:
            self._call("place", y, x)

    # --- what is possible --------------------------------------------------------------------------------------------

    def _slots_of(self, numbers: np.ndarray, base: float | None) -> dict[int, int]:
        """Which colour each class has: the same one as long as the picture is the same, also while a map grows."""
        found, counts = np.unique(numbers.astype(np.int64), return_counts=True)
        frequent = found[np.lexsort((found, -counts))].tolist()
        with self._alone():
            for number in ([] if base is None else [int(base)]) + frequent:
                self._slots.setdefault(number, len(self._slots))
            return dict(self._slots)

    def _touches(self, place: Mapping[str, int]) -> bool:
        """Whether a patch at this place covers the picture, or lies right beside it."""
        tall, wide = self.picture["height"], self.picture["width"]
        return -self.patch["h"] <= place["y"] <= tall and -self.patch["w"] <= place["x"] <= wide

    @t.validate("patch")
    def _possible_patch(self, proposal: Any) -> dict[str, Any]:
        try:
            return patch_message(proposal["value"])
        except ValueError as error:
            raise t.TraitError(str(error)) from None

    @t.validate("place")
    def _possible_place(self, proposal: Any) -> dict[str, int]:
        place = proposal["value"]
        if not place:
            return {}
        numbers = [place.get(name) for name in ("y", "x")]
        if len(place) != 2 or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers):
            raise t.TraitError(f"a place is {{y, x}}, the patch's upper left corner in whole pixels, not {place}")
        place = {"y": int(place["y"]), "x": int(place["x"])}
        if self.picture and not self._touches(place):
            size = f"{self.picture['width']}x{self.picture['height']} (width x height)"
            raise t.TraitError(f"a patch at y={place['y']}, x={place['x']} lies outside of the picture of {size}")
        return place

    @t.observe("patch")
    def _centre_stays(self, change: Any) -> None:
        before, now = change["old"], change["new"]
        if not self.picture:
            return  # A place chosen before the picture was looked at is the corner's.
        if self.place and before and isinstance(before, Mapping):
            y = self.place["y"] + before["h"] // 2 - now["h"] // 2
            x = self.place["x"] + before["w"] // 2 - now["w"] // 2
            self._publish("place", {"y": y, "x": x})
