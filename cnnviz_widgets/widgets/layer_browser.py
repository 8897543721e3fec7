"""`LayerBrowser`: every layer of a network, every map of a layer, and what one channel is about, live."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import ipywidgets as ipw
import traitlets as t
from PIL import Image
from torch import nn

from cnnviz_widgets.data import ImageLike, as_picture, samples
from cnnviz_widgets.engine import Engine, Layers, checkpoint
from cnnviz_widgets.index import Index
from cnnviz_widgets.methods.activations import Glance, activation_mask, activations, glance, layer_activity
from cnnviz_widgets.methods.arithmetic import unit_arithmetic
from cnnviz_widgets.methods.filters import filters
from cnnviz_widgets.methods.units import Way, project_unit
from cnnviz_widgets.results import Activations, Arithmetic, Filters, Unit
from cnnviz_widgets.widgets.arithmetic_view import ArithmeticView
from cnnviz_widgets.widgets.browser_code import browser_code
from cnnviz_widgets.widgets.browser_layout import VIEWS, BrowserLayout
from cnnviz_widgets.widgets.camera_frame import Frame
from cnnviz_widgets.widgets.card_look import CardLook
from cnnviz_widgets.widgets.card_patches import CardPatches
from cnnviz_widgets.widgets.desk import Desk, Every, Stream
from cnnviz_widgets.widgets.filter_tiles import show_filters
from cnnviz_widgets.widgets.layer_outline import LayerOutline
from cnnviz_widgets.widgets.picture_source import PictureSource
from cnnviz_widgets.widgets.tile_grid import TileGrid
from cnnviz_widgets.widgets.unit_card import PROJECTIONS, UnitCard

AHEAD = 3  # frames of the camera on their way: the newest is worked on, and the way from the browser costs no time


class LayerBrowser(ipw.VBox):
    """A network's layers, the maps of one of them, and everything about one channel, on any picture and on the webcam.

    You see three columns. On the left the network's outline: choose a layer. In the middle what that layer answers to
    the picture, one tile for each channel, or its filters: choose a channel, point at a value to see the sum that made
    it. On the right the card of the channel: its map over the picture, the region where it is most active, what in the
    picture it answers to (projected back to pixels), its filter, its numbers, and a picture made of what it looks for,
    where you ask for it. Above them pictures come in: samples, files, drawings, the webcam.

    Everything works from Python too: set `layer`, `channel`, `position`, `view`, `projection`, `quantile` or `image`,
    then `wait()` for `result`.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        index: many pictures as this engine sees them; the card then shows what in them the channel answers to most.
        layer: the layer shown first; by default the first convolution.
        channel: the channel shown first; by default the one that answers most.
        pictures: pictures to choose from, by name; by default `samples`.

    Attributes:
        layer: The chosen layer.
        channel: The chosen channel.
        position: (y, x) of the chosen value in its map, or None for the strongest.
        view: "maps" or "filters".
        projection: How the unit is projected to pixels: "deconvnet", "guided_backprop" or "saliency".
        quantile: From which quantile of its values on a map counts as highly active.
        result: The `Activations` on the screen, or the `Filters`, or None while they are computed.
        unit: The chosen channel as a `Unit`.
        arithmetic: The `Arithmetic` on the screen, or None.
        code: Python that rebuilds the view.
        outline, tiles, card, source: The widgets it is made of.

    Raises:
        ImageError: `image` is no picture.
        ValueError: `index` was opened with another engine.
        traitlets.TraitError: no such layer, view or projection; near names are suggested.

    Example:
        >>> browser = LayerBrowser(engine, samples["cat"])
        >>> browser.layer = "features.6"; browser.wait(10)
    """

    layer = t.Unicode("")
    channel: Any = t.Int(None, allow_none=True, min=0)
    position: Any = t.Any(None, allow_none=True)
    view = t.Unicode("maps")
    projection = t.Unicode("deconvnet")
    quantile = t.Float(0.95, min=0, max=1)

    def __init__(
        self,
        engine: Engine,
        image: ImageLike,
        index: Index | None = None,
        *,
        layer: str | None = None,
        channel: int | None = None,
        pictures: Mapping[str, ImageLike] | None = None,
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(f"the first argument is {type(engine).__name__}; wanted an Engine")
        self.engine = engine
        self._quiet = threading.local()
        self._picture = self._seen = as_picture(image)  # the newest, and the one whose maps are on the screen
        self._lock = threading.Lock()
        self._words = ""  # the picture as an expression, for the code
        self._table: Layers | None = None
        self._maps: Activations | None = None
        self._shown: Activations | Filters | None = None
        # what need not follow each frame of the camera; training in another cell is seen within two seconds
        self._card_due, self._words_due, self._activity_due = Every(0.1), Every(0.25), Every(1.5)
        self._state: Hashable = None
        self.arithmetic: Arithmetic | None = None
        self.outline, self.tiles, self.card = LayerOutline(), TileGrid(order="activation"), UnitCard()
        self._patches = CardPatches(engine, index, self.card) if index is not None else None
        self.source, self._sum = PictureSource(pictures, ahead=AHEAD), ArithmeticView()
        self._places = BrowserLayout(self.source, self.outline, self.tiles, self._sum, self.card)
        self._desk = Desk(engine.worker, self._failed)
        self._look_for = CardLook(engine, self.card, self._desk)
        self._stream = Stream(engine.worker, self._frame, self._show_frame, self.source.done, self._places.complain)
        super().__init__([self._places])
        with self._quietly():
            self.layer, self.channel = layer or "", channel
        self._connect()
        self.add_class("cnnviz-layer-browser")
        self.image = image

    def __repr__(self) -> str:
        """``LayerBrowser(squeezenet1_1: features.0)``."""
        return f"LayerBrowser({': '.join(filter(None, (self.engine.name, self.layer)))})"

    # --- what is seen -------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Image.Image:
        """The picture that is looked at; set it to look at another one."""
        return self._picture

    @image.setter
    def image(self, image: ImageLike) -> None:
        picture = as_picture(image)
        name = samples.name_of(picture)
        self.source.show(picture, name)
        path = repr(os.fspath(image)) if isinstance(image, (str, os.PathLike)) else ""
        self._words = path or (f"samples[{name!r}]" if name else "")

    @property
    def result(self) -> Activations | Filters | None:
        """What the tiles show: the `Activations` of the layer, or its `Filters`; None while it is computed."""
        shown = self._shown
        fits = shown is not None and shown.layer == self.layer and isinstance(shown, _KINDS[self.view])
        return shown if fits else None

    @property
    def unit(self) -> Unit | None:
        """The chosen channel, with y and x when a position of it was chosen."""
        if not self.layer or self.channel is None:
            return None
        return Unit(self.layer, self.channel, *(self.position or (None, None)))

    @property
    def code(self) -> str:
        """Python that rebuilds the view of the chosen unit, as "copy as code" gives it."""
        unit = self.unit
        if unit is None:
            return ""
        return browser_code(
            self.engine,
            self._words,
            unit,
            projection=self.projection,
            quantile=self.quantile,
            convolution=self._convolves(),
        )

    def wait(self, timeout: float | None = None) -> Activations | Filters | None:
        """Block until everything asked for is there and return `result`; for scripts and tests, not for cells.

        Raises:
            TimeoutError: it is not there after `timeout` seconds.
            Exception: what the computation raised.
        """
        self._desk.wait(timeout)
        return self.result

    def stop(self) -> None:
        """Stop whatever is being computed."""
        self._desk.stop()

    # --- what follows from a change -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.outline.observe(lambda change: change["new"] and self._set(layer=change["new"]), "selected")
        self.tiles.observe(lambda change: change["new"] is not None and self._choose(change["new"]), "selected")
        self.tiles.observe(lambda change: change["new"] and self._pick(change["new"]), "picked")
        self.tiles.observe(lambda change: self._point(change["new"]), "pointed")
        self.card.observe(lambda change: self._set(projection=change["new"]), "projection_method")
        self.source.on_picture(self._pictured)
        self.source.observe(lambda change: self._switched(change["new"]), "live")
        self.tiles.on_stop(self.stop)
        ipw.link((self._places.view, "value"), (self, "view"))

    @t.validate("layer")
    def _known_layer(self, proposal: Any) -> str:
        name = proposal["value"]
        known = self._table if self._table is not None else self.engine.modules
        if name and not {name, name.rpartition("#")[0] or name} & set(known):
            near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "engine.layers lists them"
            raise t.TraitError(f"no layer {name!r} in {self.engine.name}; {hint}")
        if name and self._table is not None and not self._table[name].shape:
            raise t.TraitError(f"layer {name!r} cannot be opened: it {self._table[name].note}")
        return name

    @t.validate("view", "projection")
    def _known_choice(self, proposal: Any) -> str:
        options = VIEWS if proposal["trait"].name == "view" else PROJECTIONS
        if proposal["value"] not in options:
            raise t.TraitError(f"{proposal['trait'].name} is one of {', '.join(options)}, not {proposal['value']!r}")
        return proposal["value"]

    @t.validate("channel")
    def _known_channel(self, proposal: Any) -> int | None:
        channel, maps = proposal["value"], self._maps
        if channel is not None and maps is not None and maps.layer == self.layer and channel >= len(maps.maps):
            raise t.TraitError(_no_channel(channel, maps))
        return channel

    @t.validate("position")
    def _whole_position(self, proposal: Any) -> tuple[int, int] | None:
        value = proposal["value"]
        if value is None:
            return None
        try:
            unit = Unit("", 0, *value)
        except (TypeError, ValueError) as error:
            raise t.TraitError(f"a position is (y, x) in the channel's map, or None: {error}") from None
        return (unit.y, unit.x)  # type: ignore[return-value]

    @t.observe("layer", "channel", "position", "view", "projection", "quantile")
    def _changed(self, change: Any) -> None:
        if getattr(self._quiet, "on", False):
            return
        match change["name"]:
            case "layer":
                with self._quietly():
                    self.channel = self.position = None  # the numbers of another layer's channels mean nothing here
                if self._table is not None:  # else it follows with the outline
                    self.outline.selected = self.layer
                self._ask_tiles()
            case "view":
                self._ask_tiles()
            case "channel":
                with self._quietly():
                    self.position = None
                if self._maps is not None and self._maps.layer == self.layer:  # else it follows when the tiles hang
                    self.tiles.selected = self.channel
                self._ask_card()
            case "position":
                self._ask_card()
                self._ask_sum()
            case "projection":
                self.card.projection_method = self.projection
                self._ask_card()
            case "quantile":
                self._ask_card()

    def _set(self, **traits: Any) -> None:
        """What was chosen on the screen; what is wrong with it is said there."""
        try:
            for name, value in traits.items():
                self.set_trait(name, value)
        except t.TraitError as error:
            self._places.complain(str(error))
        else:
            self._places.complain("")

    def _choose(self, channel: int) -> None:
        if channel != self.channel:
            self._set(channel=channel)

    def _pick(self, cell: dict[str, int]) -> None:
        """A value was chosen on a tile: it stands for its channel from now on."""
        self._choose(cell["channel"])
        if self.view == "maps":
            self._set(position=(cell["y"], cell["x"]))

    def _point(self, cell: dict[str, int]) -> None:
        """The mouse is over a value: show its arithmetic, and when it has left that of the chosen value again."""
        if self.view == "maps" and not self._sum.pinned:
            self._ask_sum(Unit(self.layer, cell["channel"], cell["y"], cell["x"]) if cell else None)

    def _pictured(self, picture: Any, kind: str) -> None:
        if kind == "camera":
            self._stream.offer(picture)
            return
        self._stream.clear()
        name = samples.name_of(picture) if kind == "sample" else ""
        self._picture, self._words = picture, f"samples[{name!r}]" if name else ""
        self._ask_all()

    def _switched(self, live: bool) -> None:
        """The camera was stopped: its last picture stays, and now there is time for the whole card."""
        if not live and self._stream.begun:
            self._ask_all()

    # --- what is asked of the worker ----------------------------------------------------------------------------------

    def _ask_all(self) -> None:
        """A new picture: its maps first, then what the network says to it and how active its layers are."""
        with self._lock:
            picture = self._picture
        self._ask_tiles()
        self._desk.submit("picture", lambda: self._look(picture))

    def _ask_tiles(self) -> None:
        with self._lock:
            picture = self._picture
        layer, view = self.layer, self.view
        self._look_for.stop()
        self.tiles.report("running", f"looking at {layer}" if layer else "opening the network")
        self._desk.submit("tiles", lambda: self._show_layer(picture, layer, view))

    def _ask_card(self) -> None:
        shown, unit = self._maps, self.unit
        if shown is not None and unit is not None and shown.layer == unit.layer:
            picture, method, quantile = self._seen, cast(Way, self.projection), self.quantile
            self._look_for.stop()
            self._desk.submit("card", lambda: self._show_unit(shown, picture, unit, method, quantile))

    def _ask_sum(self, unit: Unit | None = None) -> None:
        unit = unit or self.unit
        if unit is None or unit.y is None:
            return
        picture = self._seen
        self._desk.submit("arithmetic", lambda: self._show_sum(picture, unit))

    # --- what the worker does -----------------------------------------------------------------------------------------

    def _look(self, picture: Image.Image) -> None:
        self._places.say(self.engine.predict(picture))
        checkpoint()
        self.outline.show_activity(layer_activity(self.engine, picture))

    def _open(self, picture: Image.Image) -> Layers:
        """The table of layers for pictures of this size, in the outline too."""
        table = self.engine.layers_for(self.engine.prepare(picture))
        if table is not self._table:
            self._table = table
            self.outline.show(table, network=self.engine.name, modules=self.engine.modules)
            self.outline.selected = self.layer
        return table

    def _show_layer(self, picture: Image.Image, layer: str, view: str) -> None:
        self._stream.drain()
        with self.engine.still():
            table = self._open(picture)
            if not layer:
                layer = _first_layer(table)
                with self._quietly():
                    self.layer = self.outline.selected = layer
            found = activations(self.engine, picture, layer)
            shown = filters(self.engine, layer) if view == "filters" else found
        checkpoint()
        asked = self.channel
        if asked is None or asked >= len(found.maps):
            with self._quietly():  # before the tiles are seen: a click on one of them comes later
                self.channel = int(found.ranking()[0])
        if isinstance(shown, Filters):
            self.tiles.pointing = False
            show_filters(self.tiles, shown)
        else:
            self._show_maps(shown)
        self._maps, self._seen, self._shown = found, picture, shown
        with self._quietly():
            self.tiles.selected = self.channel
        self.tiles.report("done")
        self._ask_card()
        if asked is not None and asked >= len(found.maps):
            raise IndexError(_no_channel(asked, found))

    def _show_maps(self, found: Activations, live: bool = False) -> None:
        assert found.layer is not None
        channels, height, width = found.maps.shape
        size = f"{channels} maps of {height} × {width}" if height * width > 1 else f"{channels} values"
        self.tiles.pointing = self._convolves()
        self.tiles.show(found.maps, key=found.layer, label=f"{found.layer} · {size}", signed=found.signed, live=live)

    def _show_unit(self, found: Activations, picture: Image.Image, unit: Unit, method: Way, quantile: float) -> None:
        """The card, cheap parts first; a newer choice ends it between two parts."""
        self.card.show_unit(found, unit.channel, code=self.code)
        self._look_for.turn_to(unit)
        plain = Unit(unit.layer, unit.channel)
        parts = {
            "mask": lambda: self.card.show_mask(activation_mask(self.engine, picture, plain, quantile)),
            "filter": lambda: self.card.show_filter(filters(self.engine, unit.layer), unit.channel),
            "projection": lambda: self.card.show_projection(project_unit(self.engine, picture, unit, method=method)),
        }
        for part, make in parts.items():
            checkpoint()
            try:
                make()
            except (LookupError, ValueError, TypeError) as error:  # what a layer cannot have is said in its place
                about = {"method": method} if part == "projection" else {}
                self.card.fail(part, str(error).partition(";")[0], **about)
        if self._patches is not None:
            checkpoint()
            self._patches.show(unit)

    def _show_sum(self, picture: Image.Image, unit: Unit) -> None:
        try:
            self.arithmetic = unit_arithmetic(self.engine, picture, unit)
        except (LookupError, ValueError, TypeError) as error:
            self.arithmetic = None
            self._sum.fail(str(error))
        else:
            self._sum.show(self.arithmetic)

    def _frame(self, frame: Frame) -> tuple[Image.Image, Glance] | None:
        """One picture of the camera goes through the network."""
        if not self.source.live or self.source.frozen or not self.layer:
            return None
        picture = frame.picture()
        slowly = self._activity_due.due()
        if slowly:
            self._state = self.engine.state
        with self.engine.still(self._state):
            seen = glance(self.engine, picture, self.layer)
        with self._lock:
            if not self.source.live:  # stopped meanwhile: the picture before is the one that stays
                return None
            self._picture, self._words = picture, ""
        if slowly:
            self._desk.submit("activity", lambda: self.outline.show_activity(layer_activity(self.engine, picture)))
        return picture, seen

    def _show_frame(self, looked: tuple[Image.Image, Glance]) -> None:
        """The maps of one picture of the camera, the card's cheap part, and the classes."""
        picture, seen = looked
        if not self.source.live or seen.layer != self.layer:
            return
        found = seen.activations
        self._maps, self._seen = found, picture
        if self.view == "maps":
            self._shown = found
            self._show_maps(found, live=True)
        if self.channel is not None and self.channel < len(found.maps) and self._card_due.due():
            self.card.show_unit(found, self.channel, coming=(), live=True)
        if self._words_due.due():
            self._places.say(seen.predictions)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _convolves(self) -> bool:
        """Whether the chosen layer is a convolution, whose values are sums to be looked at."""
        return isinstance(self.engine.modules.get(self.layer.partition("#")[0]), nn.Conv2d)

    def _failed(self, concern: str, text: str) -> None:
        if concern == "tiles":
            self.tiles.report("error", text)
        elif concern == "arithmetic":
            self._sum.fail(text)
        else:
            self._places.complain(text)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, changes have no consequences: they are the consequence of something."""
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = False


_KINDS = {"maps": Activations, "filters": Filters}


def _no_channel(channel: int, found: Activations) -> str:
    return f"no channel {channel} in layer {found.layer!r}; it has 0 to {len(found.maps) - 1}"


def _first_layer(table: Layers) -> str:
    """Where to begin: the first convolution, or whatever has maps first."""
    rows = table.in_order()
    able = [row for row in rows if row.spatial] or [row for row in rows if row.shape]
    if not able:
        raise ValueError("this network has no layer that can be looked at")
    return next((row.name for row in able if row.kind.startswith("Conv")), able[0].name)
