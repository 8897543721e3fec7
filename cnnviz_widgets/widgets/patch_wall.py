"""`PatchWall`: what every channel of a layer looks for, in the pictures of an index: Zeiler & Fergus's figure 2."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import ipywidgets as ipw
import traitlets as t

from cnnviz_widgets.engine import Cancelled, checkpoint
from cnnviz_widgets.methods.common import whole_number
from cnnviz_widgets.methods.patches import top_patches
from cnnviz_widgets.methods.units import Way
from cnnviz_widgets.results import Patches, Unit
from cnnviz_widgets.widgets.desk import Desk
from cnnviz_widgets.widgets.patch_grid import PatchGrid
from cnnviz_widgets.widgets.patch_messages import LayerPatches
from cnnviz_widgets.widgets.patch_work import WAYS, PatchShelf, layer_patches, make_note, make_sheet

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

__all__ = ["PatchWall"]

STOPPED = "stopped; scroll to go on"
FIRST_GUESS = 6  # Channels that are made before a page has said which are seen.


class PatchWall(ipw.VBox):
    """For every channel of a layer the patches that excite it most, and beside each what in it does.

    Figure 2 of Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, for whole layers.

    You see a wall with two blocks for every channel: on the left parts of the pictures in the index, each as large as
    what one value of the layer sees, the strongest first; on the right their projections back to the pixels, which
    leave grey what the channel does not care about. Under them the channel's number, its strongest value and the class
    that most of its patches belong to. Only what is in sight is computed, patches first, and it can be stopped.

    Everything works from Python too: set `layer`, `selected`, `order` or `projection`, then `wait()` for `result`.

    Args:
        index: the pictures as a network sees them.
        layer: the convolution shown first; by default the one in the middle of the network.
        k: how many patches of each channel; at most as many as the index has.
        projection: how patches are projected.

    Attributes:
        layer: The convolution on the screen.
        selected: The chosen channel, or None.
        order: "channel" (by number), "activation" (the strongest first) or "purity" (those of one class first).
        projection: "deconvnet", "guided_backprop", "saliency" (see the functions of these names), or None.
        unit: The chosen channel as a `Unit`, or None.
        result: The `Patches` of the chosen channel, or None while they are computed.
        grid, menu: The widgets it is made of.

    Raises:
        TypeError: `index` is no Index.
        ValueError: the network has no convolution.
        traitlets.TraitError: no such layer, channel, order or projection; near names are suggested.

    Example:
        >>> wall = PatchWall(index, "features.6.expand3x3")
        >>> wall.selected = 12; wall.wait(30)
    """

    layer = t.Unicode("")
    selected: Any = t.Int(None, allow_none=True, min=0)
    order = t.Unicode("channel")
    projection = t.Unicode("deconvnet", allow_none=True)

    def __init__(
        self, index: Index, layer: str | None = None, *, k: int = 9, projection: Way | None = "deconvnet"
    ) -> None:
        from cnnviz_widgets.index import Index

        if not isinstance(index, Index):
            raise TypeError(f"the first argument is {type(index).__name__}; wanted an Index, as Index.open gives it")
        if not index.units:
            raise ValueError(f"{index.engine.name} has no convolution, so this index has no patches of its channels")
        self.index = index
        self._k = whole_number("k", k, 1)
        self._quiet = threading.local()
        self._known: LayerPatches | None = None
        self._found: Patches | None = None
        self._trouble: Exception | None = None
        self._shelf = PatchShelf()
        self._listeners: list[Callable[[Unit], object]] = []
        self._desk = Desk(index.engine.worker, lambda _concern, text: self.grid.report("error", text))
        self.grid = PatchGrid()
        self.menu = ipw.Dropdown(
            options=[(f"{name} · {count} channels", name) for name, count in index.units.items()],
            description="Layer",
            style={"description_width": "44px"},
            layout=ipw.Layout(width="420px", max_width="98%"),
        )
        self._ways = ipw.Dropdown(
            options=[*((words, name) for name, words in WAYS.items()), ("none", None)],
            value=projection,
            description="Projections",
            style={"description_width": "80px"},
            layout=ipw.Layout(width="260px", max_width="98%"),
        )
        head = ipw.HBox([self.menu, self._ways], layout=ipw.Layout(flex_flow="row wrap"))
        super().__init__([head, self.grid])
        with self._quietly():
            self.projection = projection
            names = list(index.units)
            self.layer = layer if layer is not None else names[len(names) // 2]
        t.link((self, "layer"), (self.menu, "value"))
        t.link((self, "projection"), (self._ways, "value"))
        t.link((self, "selected"), (self.grid, "selected"))
        t.link((self, "order"), (self.grid, "order"))
        self.grid.on_need(self._needed)
        self.grid.on_stop(self.stop)
        self.add_class("cnnviz-patch-wall")
        self._open()

    def __repr__(self) -> str:
        """``PatchWall(features.6.expand3x3: 192 channels)``."""
        return f"PatchWall({self.layer}: {self.index.units[self.layer]} channels)"

    # --- what is seen -------------------------------------------------------------------------------------------------

    @property
    def unit(self) -> Unit | None:
        """The chosen channel."""
        return None if self.selected is None else Unit(self.layer, self.selected)

    @property
    def result(self) -> Patches | None:
        """The patches of the chosen channel, with their projections; None while they are computed."""
        found = self._found
        if found is None or found.target != self.unit or found.parameters.get("projection") != self.projection:
            return None
        return found

    def on_unit(self, callback: Callable[[Unit], object]) -> Callable[[], None]:
        """Call `callback(unit)` when a channel is chosen; returns how to take that back.

        What the callback raises is shown under the wall.
        """
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def wait(self, timeout: float | None = None) -> Patches | None:
        """Block until all that is in sight is there and return `result`; for scripts and tests, not for cells.

        Raises:
            TimeoutError: it is not there after `timeout` seconds.
            Exception: what the computation raised.
        """
        self._desk.wait(timeout)
        if self._trouble is not None:
            raise self._trouble
        return self.result

    def stop(self) -> None:
        """Stop computing; what is seen next is computed again."""
        self._shelf.want((), self._shelf.seen)
        self._desk.stop()
        self.grid.report("stopped", STOPPED)

    # --- what follows from a change -----------------------------------------------------------------------------------

    @t.validate("layer")
    def _known_layer(self, proposal: Any) -> str:
        name, known = proposal["value"], self.index.units
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(known)}"
            raise t.TraitError(f"the index has no patches of layer {name!r}; {hint}")
        return name

    @t.validate("selected", "order")
    def _known_here(self, proposal: Any) -> Any:
        return self.grid.check(proposal["trait"].name, proposal["value"])

    @t.validate("projection")
    def _known_projection(self, proposal: Any) -> str | None:
        way = proposal["value"]
        if way is not None and way not in WAYS:
            raise t.TraitError(f"projection is one of {', '.join(map(repr, WAYS))} or None, not {way!r}")
        return way

    @t.observe("layer", "selected", "order", "projection")
    def _changed(self, change: Any) -> None:
        if getattr(self._quiet, "on", False):
            return
        if change["name"] in ("layer", "projection"):
            self._open()
        elif change["name"] == "order":
            self._guess()
        elif self.unit is not None:
            self._choose(self.unit)

    def _open(self) -> None:
        """Hang up the layer: what is known of its channels is there at once, their pictures follow."""
        self._trouble = None
        self.grid.error = ""
        chosen = self.selected if self._known is not None and self._known.layer == self.layer else None
        known = self._known = layer_patches(self.index, self.layer, self._k, self._way)
        with self._quietly():
            self.selected = chosen
        self.grid.show(known)
        if chosen is not None:
            self._choose(Unit(self.layer, chosen))
        self._guess()

    def _guess(self) -> None:
        """Before a page says what is seen, and where there is none, the first channels are made."""
        known = self._known
        if known is not None:
            first = known.in_order(self.order)[:FIRST_GUESS].tolist()
            self._needed(first, first)

    def _choose(self, unit: Unit) -> None:
        for callback in list(self._listeners):
            try:
                callback(unit)
            except Exception as error:
                self.grid.error = str(error) or type(error).__name__
        known, way = self._known, self._way
        if known is not None:
            self._desk.submit("chosen", lambda: self._look(unit, known.k, way))

    def _needed(self, missing: list[int], seen: list[int]) -> None:
        """Send what is there already, and have the rest made."""
        known = self._known
        if known is None:
            return
        there = self._shelf.there(known.identity, missing, self._parts)
        if there:
            self.grid.put(there, known.identity)
        self._shelf.want(missing, seen)
        if self._shelf.missing(known.identity, self._parts):
            if not self._desk.busy("sheets"):
                self._desk.submit("sheets", self._next)
        else:
            self._finish(known)

    # --- what the worker does -----------------------------------------------------------------------------------------

    def _look(self, unit: Unit, k: int, way: Way | None) -> None:
        self._found = top_patches(self.index, unit, k, projection=way)

    def _next(self) -> None:
        """Make one sheet, and have the next one made: others may go between them."""
        known, parts = self._known, self._parts
        missing = self._shelf.missing(known.identity, parts) if known is not None else []
        if known is None or not missing:
            return
        channel, part = missing[0]
        total = max(len(self._shelf.seen), 1) * len(parts)
        checkpoint()
        words = f"{'projecting' if part == 'projections' else 'cutting out'} channel {channel}"
        self.grid.report("running", words, max(0.0, 1 - len(missing) / total))
        try:
            sheet = make_sheet(self.index, known, channel, part, self._way)
        except Cancelled:
            self.grid.report("stopped", STOPPED)
            raise
        except Exception as error:  # One picture that is gone must not take the others with it.
            sheet = make_note(channel, part, error)
            self._trouble = error
            self.grid.error = sheet.note
        self._shelf.put(known.identity, sheet)
        self.grid.put([sheet], known.identity)
        checkpoint()
        if self._known is known and len(missing) == 1:
            self._finish(known)
        self._desk.submit("sheets", self._next)

    def _finish(self, known: LayerPatches) -> None:
        self.grid.report("done")
        self.grid.keep(self._shelf.there(known.identity, self._shelf.seen, self._parts), known.identity)

    # --- helpers ------------------------------------------------------------------------------------------------------

    @property
    def _way(self) -> Way | None:
        return cast("Way | None", self.projection)

    @property
    def _parts(self) -> tuple[str, ...]:
        return ("patches", "projections") if self.projection else ("patches",)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, a change of a trait is told to nobody: it follows from what is on the screen."""
        before = getattr(self._quiet, "on", False)
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = before
