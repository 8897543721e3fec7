"""One network's part of a `FilterViewer`: choose a convolution, see its filters, choose one, see its spectrum."""

from __future__ import annotations

import difflib
import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, get_args

import ipywidgets as ipw
import numpy as np
import traitlets as t
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.methods.convolution import convolutions
from cnnviz_widgets.methods.filters import Order, filter_spectrum, filters
from cnnviz_widgets.results import Filters, FilterSpectrum
from cnnviz_widgets.widgets.desk import Desk
from cnnviz_widgets.widgets.filter_card import FilterCard
from cnnviz_widgets.widgets.filter_tiles import show_filters
from cnnviz_widgets.widgets.tile_grid import TileGrid

__all__ = ["FilterColumn"]

_TRANSPOSED = "A transposed convolution makes maps larger: its stride folds nothing, so nothing aliases."


class FilterColumn(ipw.VBox):
    """The filters of one network, a layer at a time.

    Attributes:
        layer: The chosen convolution.
        order: "index", "norm", "similarity", or "hue" where filters are in colour.
        selected: The chosen filter, or None.
        result: The `Filters` on the screen, in their order; None while they are computed.
        spectrum: Their `FilterSpectrum`; None while it is computed and for a transposed convolution.
        tiles, card, menu, words: The widgets it is made of.
    """

    layer = t.Unicode("")
    order = t.Unicode("index")
    selected: Any = t.Int(None, allow_none=True, min=0)

    def __init__(self, engine: Engine, layer: str | None = None, picture: Image.Image | None = None) -> None:
        self.engine = engine
        self._picture = picture
        self._found: Filters | None = None
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._spectrum: FilterSpectrum | None = None
        self._quiet = threading.local()
        self._desk = Desk(engine.worker, lambda _concern, text: self.tiles.report("error", text))
        self.tiles, self.card = TileGrid(height=300, tile_size=56), FilterCard()
        self.menu = ipw.Dropdown(
            description="Layer", style={"description_width": "40px"}, layout=ipw.Layout(width="98%", max_width="480px")
        )
        self.words = ipw.HTML()
        head = ipw.HTML(f'<b style="{_INK}">{html.escape(engine.name)}</b>')
        super().__init__([head, self.menu, self.tiles, self.card, self.words])
        self.layout = ipw.Layout(flex="1 1 350px", min_width="300px")
        if layer is not None:
            with self._quietly():
                self.layer = layer
        self.menu.observe(lambda change: self._chosen(change["new"]), "value")
        self.tiles.observe(lambda change: self._sorted_on_the_wall(change["new"]), "order")
        self.tiles.on_stop(self._desk.stop)
        t.link((self.tiles, "selected"), (self, "selected"))
        self._ask()

    def __repr__(self) -> str:
        return f"FilterColumn({self.engine.name}: {self.layer or 'its first convolution'})"

    @property
    def result(self) -> Filters | None:
        """The filters on the screen, in their order."""
        found = self._found
        if found is None or found.layer != self.layer:
            return None
        return replace(found, order=self._orders[self.order], parameters={**found.parameters, "order": self.order})

    @property
    def spectrum(self) -> FilterSpectrum | None:
        """The spectra of the filters on the screen."""
        spectrum = self._spectrum
        return spectrum if spectrum is not None and spectrum.layer == self.layer else None

    @property
    def picture(self) -> Image.Image | None:
        """The picture on which the aliasing of responses is measured, or None."""
        return self._picture

    @picture.setter
    def picture(self, picture: Image.Image | None) -> None:
        self._picture = picture
        self._ask()

    def can_sort(self, order: str) -> bool:
        """Whether the filters on the screen have this order."""
        return not self._orders or order in self._orders

    def refresh(self) -> None:
        """Look again: for weights that were trained meanwhile."""
        self._ask()

    def wait(self, timeout: float | None = None) -> Filters | None:
        """Block until everything is there and return `result`; raises what the computation raised."""
        self._desk.wait(timeout)
        return self.result

    # --- what follows from a change -----------------------------------------------------------------------------------

    def check(self, name: str, value: Any) -> Any:
        """The value of `layer`, `order` or `selected` if there is such a one here; else a TraitError says what is."""
        if name == "layer":
            known = self.engine.modules
            if value and value not in known and (value.rpartition("#")[0] or value) not in known:
                near = difflib.get_close_matches(value, known, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "engine.layers lists them"
                raise t.TraitError(f"no layer {value!r} in {self.engine.name}; {hint}")
        elif name == "order":
            if value not in get_args(Order):
                near = difflib.get_close_matches(value, get_args(Order), n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(get_args(Order))}"
                raise t.TraitError(f"no order {value!r}; {hint}")
            if not self.can_sort(value):
                raise t.TraitError(
                    f"the filters of {self.layer} are not in colour, so they have no hue; take 'similarity'"
                )
        elif value is not None and self.result is not None and value >= len(self.result.weights):
            raise t.TraitError(f"no filter {value}; those of {self.layer} go from 0 to {len(self.result.weights) - 1}")
        return value

    @t.validate("layer", "order", "selected")
    def _known(self, proposal: Any) -> Any:
        return self.check(proposal["trait"].name, proposal["value"])

    @t.observe("layer", "order", "selected")
    def _changed(self, change: Any) -> None:
        if getattr(self._quiet, "on", False):
            return
        if change["name"] == "layer":
            with self._quietly():
                self.selected = None  # the numbers of another layer's filters mean nothing here
            self._ask()
        elif change["name"] == "selected":
            self._show_card()
        elif self._orders:
            self.tiles.order = _on_the_wall(self.order)

    def _chosen(self, layer: str | None) -> None:
        if layer and not getattr(self._quiet, "on", False):
            self.layer = layer

    def _sorted_on_the_wall(self, order: str) -> None:
        if order == "activation":  # "strongest first": of filters that is their norm, not their largest weight
            self.tiles.order = "norm"
            return
        with self._quietly():
            self.order = "index" if order == "channel" else order

    def _ask(self) -> None:
        layer, picture = self.layer, self._picture
        self.tiles.error = ""
        self.tiles.report("running", f"looking at {layer}" if layer else "opening the network")
        self._desk.submit("layer", lambda: self._look(layer, picture))

    # --- what the worker does -----------------------------------------------------------------------------------------

    def _look(self, layer: str, picture: Image.Image | None) -> None:
        with self.engine.still():
            names = convolutions(self.engine)
            found = filters(self.engine, layer or None)
            checkpoint()
            possible = [name for name in get_args(Order) if found.rgb or name != "hue"]
            orders = {name: filters(self.engine, found.layer, order=name).order for name in possible}
        checkpoint()
        with self._quietly():
            self._found, self._orders, self._spectrum = found, orders, None
            self.layer = str(found.layer)
            if self.order not in orders:
                self.order = "index"
            self._offer(names)
            self._hang(found)
        self._show_card("computing the spectra")
        if not found.parameters["transposed"]:
            self._spectrum = filter_spectrum(self.engine, found.layer, image=picture)
        self._show_card(_TRANSPOSED)
        self.words.value = _words(self._spectrum)
        self.tiles.report("done")

    def _hang(self, found: Filters) -> None:
        chosen, order = self.selected, self.order
        orders = {name: order.tolist() for name, order in self._orders.items() if name != "index"}
        show_filters(self.tiles, found, orders)
        if chosen is not None and chosen < len(found.weights):
            self.tiles.selected = chosen
        self.tiles.order = _on_the_wall(order)

    def _offer(self, names: list[str]) -> None:
        modules = self.engine.modules
        options = [(_described(name, modules[name]), name) for name in names]
        if tuple(options) != tuple(self.menu.options):
            self.menu.options = options
        self.menu.value = self.layer if self.layer in names else None

    def _show_card(self, note: str = "") -> None:
        found = self._found
        if found is not None and found.layer == self.layer:
            self.card.show(found, self.spectrum, self.selected, "" if self.spectrum else note or _TRANSPOSED)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, a change of a trait is told to nobody: it follows from what is on the screen."""
        before = getattr(self._quiet, "on", False)
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = before


_INK = "color:var(--jp-ui-font-color1,#212121);line-height:1.4"


def _on_the_wall(order: str) -> str:
    """An order as the wall of tiles calls it."""
    return "channel" if order == "index" else order


def _described(name: str, module: nn.Module) -> str:
    """features.0 · 64 of 3x3, stride 2"""
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        return name
    height, width = module.kernel_size
    words = f"{name} · {module.out_channels} of {height}x{width}"
    if tuple(module.stride) != (1, 1):
        words += f", stride {'x'.join(map(str, dict.fromkeys(module.stride)))}"
    if module.groups > 1:
        words += ", depthwise" if module.groups == module.in_channels else f", {module.groups} groups"
    return words + (", transposed" if isinstance(module, nn.ConvTranspose2d) else "")


def _words(spectrum: FilterSpectrum | None) -> str:
    """The mean over the layer as a sentence, in HTML that takes the page's colours."""
    if spectrum is None:
        return ""
    sy, sx = spectrum.parameters["stride"]
    if (sy, sx) == (1, 1):
        text = "Stride 1 keeps every value: nothing aliases."
    else:
        stride = f"Stride {sy}" if sy == sx else f"Stride {sy} down and {sx} across"
        text = f"{stride} cannot carry <b>{100 * spectrum.aliasing.mean():.1f} %</b> of a filter's energy on average"
        if spectrum.response_aliasing is not None:
            text += f", and <b>{100 * spectrum.response_aliasing.mean():.1f} %</b> of its response to the picture"
        text += ": that aliases."
    return f'<div style="{_INK}">{text}</div>'
