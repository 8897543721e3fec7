"""`ImageCanvas`: a picture under a coloured map, with everything that can be done to it without asking the network.

The kernel sends the picture and each map once, as plain numbers; `image_canvas.js` keeps the maps, enlarges them, gives
them their colours and answers the mouse and the keyboard. So opacity, threshold, colours, the read-out under the cursor
and going back to a map that came before cost no round trip, and all of it still works while the kernel computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import traitlets as t
from ipywidgets import jslink
from numpy.typing import ArrayLike

from cnnviz_widgets.results import Heatmap, PixelMap
from cnnviz_widgets.views.colour import scale_of
from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.canvas_messages import OUTLIERS, check_map, check_picture, map_message, picture_message
from cnnviz_widgets.widgets.coloured import Coloured
from cnnviz_widgets.widgets.front_end import module, style

__all__ = ["ImageCanvas"]


class ImageCanvas(Coloured, Calling):
    """A picture, a map laid over it in colours, and the value under the cursor.

    A map has a key, `"context|mode|method"`. The canvas shows the map whose key its three traits `context`, `mode` and
    `method` spell, and never another one: where that map has not come yet, the bare picture is shown and the front end
    asks for it once (`on_need`). Tie those traits to menus with `follow`, and switching between maps that have been
    shown before happens in the browser alone.

    Attributes:
        picture: {width, height, data (RGB bytes), id}; set it with `show_picture`.
        incoming: The newest map; set it with `show_map` or `publish`. The front end keeps the last 64.
        context, mode, method: What is wanted; the method's name stands in for a map that has not come yet.
        opacity: Of the map, 0 (only the picture) to 1 (only the map).
        threshold: Values of a smaller magnitude than this share of the scale are not drawn, 0 to 1.
        colormap: A matplotlib name, or "" for the usual one: sequential, or diverging about zero for a signed map.
        scale: [lo, hi] for all maps, to compare them (also those of two canvases); None for each map's own.
        locked: Whether `scale` is held; the front end's lock button fills `scale` from the map on the screen.
        cursor: {x, y} of the pixel that was clicked, or chosen with the arrow keys and Enter; {} before that.
        status: {state, text, progress}; set it with `report`.
        error: What went wrong, shown in a box under the picture; "" when nothing did.
        label: The caption above the picture when the map brings none.
        zoom: Screen pixels for one of the picture's, 0 to choose; never wider than the cell.
        toolbar: Whether opacity, threshold, colours and lock are shown under the picture.

    Raises:
        traitlets.TraitError: Any of these set to something impossible; the canvas stays as it was.

    Example:
        canvas = ImageCanvas()
        canvas.show_map(grad_cam(engine, samples["cat"]))
        canvas
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    picture = t.Dict().tag(sync=True, echo_update=False)
    incoming = t.Dict().tag(sync=True, echo_update=False)
    context = t.Unicode("").tag(sync=True)
    mode = t.Unicode("").tag(sync=True)
    method = t.Unicode("").tag(sync=True)
    opacity = t.Float(0.55, min=0, max=1).tag(sync=True)
    threshold = t.Float(0.0, min=0, max=1).tag(sync=True)
    locked = t.Bool(False).tag(sync=True)
    cursor = t.Dict().tag(sync=True, echo_update=False)
    label = t.Unicode("").tag(sync=True)
    zoom = t.Int(0, min=0, max=64).tag(sync=True)
    toolbar = t.Bool(True).tag(sync=True)
    choices = t.Dict(help="what the menus stand for: {'method': [...]}; `follow` sets it").tag(sync=True)
    context_index = t.Int(None, allow_none=True).tag(sync=True)
    mode_index = t.Int(None, allow_none=True).tag(sync=True)
    method_index = t.Int(None, allow_none=True).tag(sync=True)

    def __repr__(self) -> str:
        if not self.picture and not self.incoming:
            return "ImageCanvas(empty)"
        size = f"{self.picture['width']}x{self.picture['height']}" if self.picture else "no picture"
        newest = f"map {self.incoming['key']!r}" if self.incoming else "no map"
        return f"ImageCanvas({size}, {newest})"

    @property
    def wanted(self) -> str:
        """The key of the map that is to be seen: `"context|mode|method"`."""
        return f"{self.context}|{self.mode}|{self.method}"

    def show_picture(self, image: ArrayLike) -> None:
        """Put this picture under the map: (H, W, 3) uint8, the very pixels that the network saw.

        Raises:
            TypeError: Not uint8.
            ValueError: Another shape, or empty.
        """
        self._publish("picture", picture_message(image))

    def show_map(
        self,
        source: Heatmap | PixelMap | ArrayLike,
        *,
        key: str | None = None,
        label: str | None = None,
        signed: bool | None = None,
    ) -> None:
        """Lay a result, or an array of your own, over the picture.

        A result brings its picture along (shown when its key is the wanted one), its label and its scale. A `Heatmap`
        travels at the layer's own resolution (`raw`) and is enlarged in the browser; the cursor reads both.

        Args:
            source: A `Heatmap`, a `PixelMap`, or an array (h, w), or (3, h, w) for values of red, green and blue.
            key: `"context|mode|method"`; by default the wanted one, so that the map is seen at once.
            label: The caption; by default the result's method, target and layer.
            signed: Whether colours centre on zero; by default what the result says, or whether an array goes below 0.
        """
        key = self.wanted if key is None else key
        if not isinstance(source, Heatmap | PixelMap):
            self.publish(key, source, signed=signed, label=label or "")
            return
        signed = source.signed if signed is None else signed
        name = " · ".join(filter(None, (source.method, source.target_name, source.layer)))
        values = source.values
        # Colours are those of the enlarged map, so that the canvas and the result's own figure agree.
        limits = scale_of(values, signed, percentile=OUTLIERS if len(values) == 3 and values.ndim == 3 else None)
        if isinstance(source, Heatmap) and source.raw.size < values.size:
            values = source.raw
        self.publish(
            key,
            values,
            lo=limits.lo,
            hi=limits.hi,
            signed=signed,
            label=name if label is None else label,
            picture=source.image,
        )
        if key == self.wanted:
            self.show_picture(source.image)

    def publish(
        self,
        key: str,
        values: ArrayLike,
        *,
        lo: float | None = None,
        hi: float | None = None,
        signed: bool | None = None,
        label: str = "",
        unit: str = "",
        picture: ArrayLike | None = None,
    ) -> None:
        """Send one map to the front end, which keeps it under its key and shows it if that is the wanted one.

        May be called from any thread, by one at a time. Do not wrap it in `hold_sync`: of two maps only the last would
        arrive.

        Args:
            key: `"context|mode|method"`.
            values: (h, w), or (3, h, w) to be drawn as colours about mid grey; NaN is drawn transparent.
            lo: The value of the first colour; by default `views.colour.scale_of` decides.
            hi: The value of the last colour.
            signed: Colours centre on zero (then lo == -hi); by default whether some value is below zero.
            label: The caption.
            unit: Written behind the numbers of the colour bar.
            picture: The picture that the map belongs to; given, the map is never drawn over another one.

        Raises:
            TypeError: Values that are not real numbers.
            ValueError: Another shape, infinite values, lo above hi, or a signed scale that is not centred on zero.
        """
        message = map_message(values, lo, hi, signed)
        owner = "" if picture is None else picture_message(picture)["id"]
        self._publish("incoming", {"key": str(key), "label": label, "unit": unit, "picture": owner, **message})

    def follow(self, menu: Any, trait: Literal["context", "mode", "method"]) -> None:
        """Tie a menu to what is wanted, in the browser: choosing there needs no kernel, and goes both ways.

        Args:
            menu: An ipywidgets selection (Dropdown, ToggleButtons, RadioButtons, Select) whose values are texts, and
                whose options stay as they are: a list that is exchanged while somebody chooses from it is a race.
            trait: "context", "mode" or "method".
        """
        self.choices = {**self.choices, trait: [str(value) for value in menu._options_values]}
        if menu.index is not None:
            self.set_trait(trait, str(menu.value))
        self.set_trait(f"{trait}_index", menu.index)
        # A selection's value never leaves the kernel; what the browser knows is its index.
        jslink((menu, "index"), (self, f"{trait}_index"))

        def chosen_in_python(_change: object) -> None:
            # What was chosen in the browser is known there; to send it back would undo a newer choice.
            if "index" not in menu._property_lock and menu.index is not None:
                self.set_trait(trait, str(menu.value))

        menu.observe(chosen_in_python, "index")

    def on_need(self, callback: Callable[[str], object]) -> Callable[[], None]:
        """Call `callback(key)` when a map is wanted that the front end does not have; returns how to take that back.

        The key is what counts: the traits `context`, `mode` and `method` may arrive in the kernel a moment later.
        """
        return self._register("need", callback)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "need", "key": str(key)}:
                self._call("need", key)

    @t.observe("scale", "locked")
    def _lock_follows_scale(self, change: Any) -> None:
        if change["name"] == "scale":
            self.locked = self.scale is not None
        elif not self.locked:
            self.scale = None

    @t.validate("picture")
    def _whole_picture(self, proposal: Any) -> dict[str, Any]:
        if proposal["value"]:
            check_picture(proposal["value"])
        return proposal["value"]

    @t.validate("incoming")
    def _whole_map(self, proposal: Any) -> dict[str, Any]:
        if proposal["value"]:
            check_map(proposal["value"])
        return proposal["value"]
