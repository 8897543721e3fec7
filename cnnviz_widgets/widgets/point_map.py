"""`PointMap`: up to some hundred thousand points in a plane, to move about in, to point at and to select from.

The kernel sends the points once, as the very float32 numbers that it holds, and beside them what is known of them:
groups, a number each, which stand out. The browser draws, finds what is under the mouse and what is in a lasso. It asks
the kernel only for thumbnails and words of the points that somebody looks at.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike, NDArray

from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.coloured import Coloured
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.point_messages import (
    groups_message,
    highlight_message,
    marks_message,
    places_of,
    rows_of,
    values_message,
)
from cnnviz_widgets.widgets.point_words import Words
from cnnviz_widgets.widgets.thumbnails import Thumbnailed

__all__ = ["PointMap"]

_ids = itertools.count(1)


class PointMap(Coloured, Thumbnailed, Calling):
    """Points in a plane, coloured by group or by a number, with names and thumbnails where there is room for them.

    Drag to move, turn the wheel to zoom, point at a point to read it, click it to select it. Shift-drag draws a lasso
    around many: `selection`. Entries of the legend hide and show groups. By keyboard: arrows go from point to point,
    Enter selects one, Space adds it to the selection, + and - zoom, 0 shows everything, L and B are the lasso and the
    box, Escape clears. What is hidden can neither be pointed at nor selected.

    Attributes:
        selected: The number of the point that was clicked or chosen with Enter, or None.
        selection: The numbers of the points in the lasso, rising: a tuple. Set it to any numbers, or to a mask.
        hidden: The groups that are not shown; -1 stands for points without a group.
        pointed: The number of the point under the mouse or the cursor, while `pointing` is True; else None.
        pointing: Whether `pointed` is wanted.
        marks: What lies between the points without being one, a query say: {x, y, name, lines_to, thumbnail}, of which
            only x and y must be; lines_to are numbers of points, thumbnail is an encoded picture.
        labels: Whether names are written on the map.
        pictures: Whether thumbnails are drawn at the points once they have room.
        scale, colormap: Of the number by which points are coloured; see `Coloured`.
        height: Of the map, in CSS pixels.
        label: The caption.
        toolbar: Whether the buttons are shown.
        status, error: What is being done and what went wrong; set it with `report`.

    Raises:
        traitlets.TraitError: Any of these set to something impossible; the map stays as it was.

    Example:
        where = PointMap()
        where.show(points, groups=labels, group_names=classes)
        where
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    automatic = t.Dict({"sequential": "viridis", "diverging": "coolwarm"}).tag(sync=True)  # Seen on white and on black.

    points = t.Dict(help="where the points are; set it with `show` and `move`").tag(sync=True, echo_update=False)
    groups = t.Dict(help="set it with `show_groups`").tag(sync=True, echo_update=False)
    values = t.Dict(help="set it with `show_values`").tag(sync=True, echo_update=False)
    highlight = t.Dict(help="set it with `show_highlight`").tag(sync=True, echo_update=False)
    words = t.Dict(help="set it with `show_words`").tag(sync=True, echo_update=False)
    selection = t.Any(()).tag(
        sync=True,
        echo_update=False,
        to_json=lambda rows, _widget: np.asarray(rows, "<u4").tobytes(),
        from_json=lambda data, _widget: np.frombuffer(data, "<u4"),
    )
    selected = t.Int(None, allow_none=True).tag(sync=True)
    hidden = t.List(t.Int()).tag(sync=True)
    pointed = t.Int(None, allow_none=True).tag(sync=True, echo_update=False)
    pointing = t.Bool(False).tag(sync=True)
    marks = t.List(t.Dict()).tag(sync=True, echo_update=False)
    labels = t.Bool(True).tag(sync=True)
    pictures = t.Bool(True).tag(sync=True)
    height = t.Int(520, min=160, max=4000).tag(sync=True)
    label = t.Unicode("").tag(sync=True)
    toolbar = t.Bool(True).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._places = places_of([])
        self._words = Words()
        self._polygon: NDArray[np.float64] | None = None
        super().__init__(**traits)

    def __repr__(self) -> str:
        if not self.points:
            return "PointMap(empty)"
        chosen = f", {len(self.selection)} selected" if self.selection else ""
        return f"PointMap({len(self._places)} points{chosen})"

    @property
    def places(self) -> NDArray[np.float32]:
        """Where the points are: (N, 2), the very numbers that the page has; read-only."""
        return self._places

    @property
    def polygon(self) -> NDArray[np.float64] | None:
        """The corners (n, 2) of the last lasso in the units of the points; None before there was one.

        What it newly took or gave back are the points in it that were not hidden, as `points_in_polygon` finds them.
        """
        return self._polygon

    # --- what is shown -----------------------------------------------------------------------------------------------

    def show(
        self,
        points: ArrayLike,
        *,
        key: str = "",
        label: str | None = None,
        groups: ArrayLike | None = None,
        group_names: Sequence[str] | None = None,
        values: ArrayLike | None = None,
        highlight: ArrayLike | None = None,
        names: Sequence[str] | Callable[[int], str] | None = None,
        about: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:
        """Show these points, and nothing of those before. May be called from any thread, as all that shows.

        Args:
            points: (N, 2), x to the right and y upwards. Points with a coordinate that is not finite are left out.
            key: Names the set. Points of the same key (not "") and number are the same ones elsewhere: they glide, and
                selection and hidden groups stay.
            label: The caption, if it is to be another.
            groups: (N,) whole numbers, -1 for none; see `show_groups`.
            group_names: One for each group.
            values: (N,) numbers to colour by; see `show_values`.
            highlight: (N,) bool; see `show_highlight`.
            names: One for each point; see `show_words`.
            about: What more there is to say about a point; see `show_words`.

        Raises:
            TypeError: Not the kind of numbers that is wanted.
            ValueError: Shapes that do not fit each other; what was shown stays.
        """
        places = places_of(points)
        count = len(places)
        traits: dict[str, Any] = {
            "groups": {} if groups is None else groups_message(count, groups, group_names, None, ""),
            "values": {} if values is None else values_message(count, values, "", None),
            "highlight": {} if highlight is None else highlight_message(count, highlight, "stands out"),
        }
        words = Words(names, about, count)
        with self._alone(), self.hold_sync():
            same = bool(key) and (self.points.get("key"), self.points.get("count")) == (key, count)
            if not same:
                self.selection, self.selected, self.pointed, self.marks, self.hidden = (), None, None, [], []
                self._polygon = None
            elif traits["groups"].get("names") != self.groups.get("names"):
                self.hidden = []
            self._words = words
            if label is not None:
                self.label = label
            self._put(places, key, self.points["id"] if same else f"points {next(_ids)}", fit=True)
            for name, value in {**traits, "words": words.message()}.items():
                self.set_trait(name, value)

    def move(self, points: ArrayLike, *, fit: bool = False) -> None:
        """Let the same points glide to other places, for each step of a layout that converges say.

        The view follows their extent until somebody has moved or zoomed it.

        Args:
            points: (N, 2), as many as are shown.
            fit: Show all of them in any case, e.g. because it is another layout.

        Raises:
            ValueError: Another number of points.
        """
        places = places_of(points)
        with self._alone():
            if len(places) != len(self._places):
                raise ValueError(
                    f"there are {len(self._places)} points to move, not {len(places)}; use show for others"
                )
            if self.points:
                self._put(places, self.points["key"], self.points["id"], fit=fit)

    def clear(self) -> None:
        """Take the points away, with all that is known of them."""
        with self._alone(), self.hold_sync():
            self._places, self._words, self._polygon = places_of([]), Words(), None
            self.selection, self.selected, self.pointed, self.marks, self.hidden = (), None, None, [], []
            for name in ("points", "groups", "values", "highlight", "words"):
                self.set_trait(name, {})

    def show_groups(
        self,
        groups: ArrayLike | None,
        names: Sequence[str] | None = None,
        *,
        title: str = "",
        colors: ArrayLike | None = None,
    ) -> None:
        """Colour the points by group, with a legend; no longer by a number. The points themselves do not travel again.

        Args:
            groups: (N,) whole numbers, -1 for none; None: no groups.
            names: One for each group; by default their numbers.
            title: What the groups are, above the legend and in the read-out: "label", "prediction".
            colors: (groups, 3) uint8; by default `distinct_colors`, so that a group's colour goes by its number alone.

        Raises:
            TypeError: No whole numbers.
            ValueError: Not one for each point, a number without a name, or not one colour for each group.
        """
        with self._alone():
            count = len(self._places)
            message = {} if groups is None else groups_message(count, groups, names, colors, title)
            with self.hold_sync():
                if message.get("names") != self.groups.get("names"):
                    self.hidden = []
                self.groups, self.values = message, {}

    def show_values(self, values: ArrayLike | None, name: str = "", *, signed: bool | None = None) -> None:
        """Colour the points by a number each, with a colour bar; the legend stays, to hide groups.

        Args:
            values: (N,), NaN where there is none; None: colours are those of the groups again.
            name: What the number is, beside the colour bar and in the read-out.
            signed: Whether colours centre on zero; by default whether some value is below zero. Else they go from the
                lowest to the highest value; set `scale` to hold other ends.

        Raises:
            TypeError: No real numbers.
            ValueError: Not one for each point, or infinite ones.
        """
        with self._alone():
            self.values = {} if values is None else values_message(len(self._places), values, name, signed)

    def show_highlight(self, highlight: ArrayLike | None, name: str = "stands out") -> None:
        """Draw a ring around some points, those that are misclassified say.

        Args:
            highlight: (N,) bool; None: no rings.
            name: What the ring means, for the legend.
        """
        with self._alone():
            self.highlight = {} if highlight is None else highlight_message(len(self._places), highlight, name)

    def show_words(
        self,
        names: Sequence[str] | Callable[[int], str] | None,
        about: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:
        """Name the points, and say what more is known of one that is pointed at.

        Args:
            names: One for each point, or a function of its number: written on the map where there is room.
            about: Called with a point's number, gives what is said under its name: {"prediction": "tabby, 83 %"}.
                Both are called in the thread that answers the page, so they should take well under a millisecond.

        Raises:
            ValueError: Not one name for each point.
        """
        words = Words(names, about, len(self._places))
        with self._alone():
            self._words = words
            self.words = words.message()

    def look_at(self, rows: ArrayLike | None = None) -> None:
        """Zoom so that these points fill the map in every view; None: all points."""
        numbers = None if rows is None else list(rows_of(len(self._places), rows))
        self.send({"type": "look", "numbers": numbers})

    def on_click(self, callback: Callable[[int], object]) -> Callable[[], None]:
        """Call `callback(number)` whenever a point is clicked or chosen with Enter, also the selected one again.

        Returns how to take that back.
        """
        return self._register("click", callback)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the front end changed (called by ipywidgets), as far as it is about the present points."""
        late = [name for name, value in sync_data.items() if not self._fits(name, value)]
        super().set_state({name: value for name, value in sync_data.items() if name not in late})
        if late:
            self.send_state(late)

    # --- how -------------------------------------------------------------------------------------------------------

    def _put(self, places: NDArray[np.float32], key: str, name: str, fit: bool) -> None:
        self._places = places
        before = self.points if self.points.get("id") == name else {}
        self.points = {
            "id": name,
            "key": key,
            "step": before.get("step", 0) + 1,
            "fit": before.get("fit", 0) + fit,
            "count": len(places),
            "missing": int(np.isnan(places[:, 0]).sum()),
            "data": places.tobytes(),
        }

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "click", "points": str(name), "point": int(number)}:
                if name == self.points.get("id") and 0 <= number < len(self._places):
                    self._call("click", number)
            case {"type": "words", "source": str(source), "numbers": list(numbers), "number": int(ticket)}:
                self.send({"type": "words", "number": ticket, **self._words.answer(source, numbers)})
            case _:
                super()._hear(content)

    def _answer(self, widget: object, content: Any, buffers: Any) -> None:
        super()._answer(widget, content, buffers)
        match content:
            case {"type": "selection", "points": str(name), "number": int(number)} if len(buffers or []) == 2:
                try:
                    if name == self.points.get("id"):
                        self._select(*buffers)
                except Exception as error:
                    self.error = str(error) or type(error).__name__
                finally:
                    self.send({"type": "selection", "number": number})

    def _select(self, rows: Any, corners: Any) -> None:
        """Take what a page has selected: numbers (u4), and the corners of the lasso (f8), if it was one."""
        polygon = np.frombuffer(bytes(corners), "<f8").reshape(-1, 2)
        if len(polygon):
            self._polygon = polygon
        self._publish("selection", np.frombuffer(bytes(rows), "<u4"))

    def _fits(self, name: str, value: Any) -> bool:
        if name in ("selected", "pointed"):
            return value is None or 0 <= value < len(self._places)
        return name != "hidden" or all(-1 <= number < len(self.groups.get("names", [])) for number in value)

    @t.validate("selected", "pointed")
    def _known_point(self, proposal: Any) -> int | None:
        value = proposal["value"]
        if not self._fits("selected", value):
            count = len(self._places)
            raise t.TraitError(
                f"no point {value}; " + (f"they go from 0 to {count - 1}" if count else "there are none")
            )
        return value

    @t.validate("selection")
    def _known_points(self, proposal: Any) -> tuple[int, ...]:
        try:
            return rows_of(len(self._places), proposal["value"])
        except (TypeError, ValueError) as error:
            raise t.TraitError(str(error)) from None

    @t.validate("hidden")
    def _known_groups(self, proposal: Any) -> list[int]:
        names = self.groups.get("names", [])
        if not self._fits("hidden", proposal["value"]):
            wrong = next(number for number in proposal["value"] if not -1 <= number < len(names))
            there = f"they go from 0 to {len(names) - 1}; -1 stands for no group" if names else "there are none"
            raise t.TraitError(f"no group {wrong}; {there}")
        return sorted(set(proposal["value"]))

    @t.validate("marks")
    def _possible_marks(self, proposal: Any) -> list[dict[str, Any]]:
        try:
            return marks_message(len(self._places), proposal["value"])
        except (TypeError, ValueError) as error:
            raise t.TraitError(str(error)) from None
