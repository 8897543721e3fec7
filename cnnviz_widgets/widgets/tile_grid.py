"""`TileGrid`: the maps of one layer as a wall of tiles that scrolls, sorts and reads out without asking the kernel.

The kernel keeps the maps and sends what is looked at: a small layer whole, of a large one the tiles that are seen and
their neighbours, in one or two bytes for each value. `tile_grid.js` keeps what came, gives it its colours and answers
the mouse and the keyboard.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from cnnviz_widgets.widgets.coloured import Coloured
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.reporting import Reporting
from cnnviz_widgets.widgets.tile_messages import TileLayer

__all__ = ["TileGrid"]

FIRST_GUESS = 48  # Tiles that are taken for visible before a page has said which are.


class TileGrid(Coloured, Reporting):
    """A wall of maps, one tile for each channel, that is walked with the arrow keys and read with the mouse.

    Maps with values below zero get diverging colours about zero, others sequential ones from zero up. Each tile has a
    scale of its own, or all share one (`locked`), so that bright means the same everywhere. The single values of a
    vector layer always share one.

    A click selects a tile and picks the cell under it. By keyboard: arrows walk from tile to tile, Shift with arrows
    from cell to cell inside the tile, Enter picks the cell (without one: the strongest of the tile).

    Attributes:
        layer: The maps as they travel, with the tiles that were seen last; set it with `show`.
        selected: The channel with the ring, or None.
        order: "channel" (by number), "activation" (largest maximum first), or one of the `orders` given to `show`.
            While maps come live, "activation" stays as it was when it was chosen, so that tiles do not jump about.
        locked: All tiles share one scale: `scale`, or from the layer's lowest to its highest value.
        scale: [lo, hi] to hold for all tiles, also of layers to come; None for the layer's own.
        colormap: A matplotlib name, or "" for the usual one.
        tile_size: The longer side of a tile in CSS pixels, 8 to 1024; 0 to choose it by the width of the cell.
        height: Of the wall, in CSS pixels.
        first: The place, in the present order, of the first tile that is seen; set it to scroll.
        seen: [start, stop] of the places that are seen; said by the page.
        picked: {channel, y, x} of the cell that was clicked or chosen with Enter; {} before that.
        pointed: The same for the cell under the mouse or the cell cursor, while `pointing` is True; else {}.
        pointing: Whether `pointed` is wanted.
        status, error: What is being done and what went wrong; set it with `report`.
        label: The caption above the wall when `show` brings none.
        toolbar: Whether order, lock, size, colours and the jump field are shown.

    Raises:
        traitlets.TraitError: Any of these set to something impossible; the grid stays as it was.

    Example:
        grid = TileGrid()
        grid.show(engine.capture(samples["cat"], "features.3")[0])
        grid
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    layer = t.Dict().tag(sync=True, echo_update=False)
    selected = t.Int(None, allow_none=True).tag(sync=True)
    order = t.Unicode("channel").tag(sync=True)
    locked = t.Bool(False).tag(sync=True)
    tile_size = t.Int(0).tag(sync=True)
    height = t.Int(440, min=120, max=4000).tag(sync=True)
    first = t.Int(0, min=0).tag(sync=True)
    seen = t.List(t.Int()).tag(sync=True, echo_update=False)
    picked = t.Dict().tag(sync=True, echo_update=False)
    pointed = t.Dict().tag(sync=True, echo_update=False)
    pointing = t.Bool(False).tag(sync=True)
    label = t.Unicode("").tag(sync=True)
    toolbar = t.Bool(True).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._maps: TileLayer | None = None
        self._turns = itertools.count(1)
        self._turn = 0
        self._number = 0
        self._sort_anew = False
        self._stops: list[Callable[[], object]] = []
        super().__init__(**traits)

    def __repr__(self) -> str:
        maps = self._maps
        if maps is None:
            return "TileGrid(empty)"
        height, width = maps.shape
        name = f", {maps.key!r}" if maps.key else ""
        return f"TileGrid({maps.count} maps of {height}x{width}{name})"

    def show(
        self,
        maps: ArrayLike,
        *,
        key: str = "",
        label: str = "",
        signed: bool | None = None,
        kind: Literal["map", "color"] = "map",
        names: Sequence[str] | None = None,
        orders: Mapping[str, Sequence[int]] | None = None,
        live: bool = False,
    ) -> None:
        """Hang up these maps. May be called from any thread; of several calls the newest one counts.

        The maps are kept as they are, not copied: do not write into them afterwards.

        Args:
            maps: (n, h, w), or (n, 3, h, w) for kind "color"; a vector layer is (n, 1, 1). NaN is drawn transparent.
            key: Names what is shown, a layer say. Maps of the same key follow each other on the same wall: selection,
                order and scroll position stay.
            label: The caption.
            signed: Whether colours centre on zero; by default whether some value is below zero.
            kind: "map", or "color" for values of red, green and blue (a filter's weights), drawn about mid grey.
            names: One for each channel.
            orders: Permutations of the channels by name, to sort by besides "channel" and "activation".
            live: One frame of many: only the tiles that are seen travel, in one byte for each value.

        Raises:
            TypeError: Values that are not real numbers.
            ValueError: Another shape or kind, infinite values, names or orders that do not fit.
        """
        turn = next(self._turns)
        new = TileLayer.of(
            maps, key=key, label=label, signed=signed, kind=kind, names=names, orders=orders, live=live
        )  # fmt: skip
        with self._alone():
            if turn < self._turn:
                return  # A call that came later was quicker.
            self._turn = turn
            old, self._maps = self._maps, new
            same = old is None or (old.key, old.count) == (new.key, new.count)
            if old and same and old.live and new.live and not self._sort_anew:
                new.orders["activation"] = old.orders["activation"]
            self._sort_anew = False
            with self.hold_sync():
                if self.order not in ("channel", *new.orders):
                    self.order = "channel"
                if not same:
                    self.first = 0
                if not same or (old and old.shape != new.shape):
                    self.picked, self.pointed = {}, {}
                if not same or not self._is_channel(self.selected):
                    self.selected = None
                self._hang(new.opening(new.in_order(self.order)[self._visible(same)]))

    def clear(self) -> None:
        """Take the maps down."""
        turn = next(self._turns)
        with self._alone(), self.hold_sync():
            self._turn, self._maps = turn, None
            self.layer, self.picked, self.pointed, self.selected = {}, {}, {}, None
            self.order, self.first = "channel", 0

    def on_stop(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()` when Stop is pressed; returns how to take that back."""
        self._stops.append(callback)
        return lambda: self._stops.remove(callback) if callback in self._stops else None

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the front end changed (called by ipywidgets), as far as it is about the present maps."""
        late = [name for name, value in sync_data.items() if not self._fits(name, value)]
        super().set_state({name: value for name, value in sync_data.items() if name not in late})
        if late:
            self.send_state(late)

    def _hang(self, tiles: dict[str, Any]) -> None:
        if self._maps is not None:
            self._number += 1
            self.layer = self._maps.message(tiles, self._number)

    def _visible(self, same: bool) -> slice:
        """The places that a page sees, as far as is known."""
        if len(self.seen) != 2:
            return slice(self.first, self.first + FIRST_GUESS)
        start, stop = self.seen
        return slice(start, stop) if same else slice(0, stop - start)

    def _hear(self, content: Mapping[str, Any]) -> None:
        try:
            match content:
                case {"type": "need", "id": str(name), "channels": list(channels)}:
                    self._answer_need(name, channels, content)
                case {"type": "keep", "id": str(name), "channels": list(channels)}:
                    self._keep(name, channels)
                case {"type": "stop"}:
                    for callback in list(self._stops):
                        callback()
        except Exception as error:
            self.error = str(error) or type(error).__name__

    def _answer_need(self, name: str, channels: list[int], how: Mapping[str, Any]) -> None:
        maps = self._maps
        tiles: dict[str, Any] = {}
        # Other maps may hang there by now; the page waits for an answer all the same.
        if maps is not None and maps.id == name:
            tiles = maps.answer(channels, int(how.get("step", 1)), bool(how.get("exact", False)))
        buffers = [tiles.pop(part) for part in ("channels", "limits", "data") if tiles]
        self.send({"type": "tiles", "id": name, "tiles": tiles or None}, buffers=buffers)

    def _keep(self, name: str, channels: list[int]) -> None:
        """Put the tiles that a page rests on into the state, so that they are there without a kernel."""
        with self._alone():
            maps = self._maps
            if maps is not None and maps.id == name and not maps.whole:
                self._hang(maps.opening(np.asarray([c for c in channels if 0 <= c < maps.count], dtype="<i4")))

    def _fits(self, name: str, value: Any) -> bool:
        """Whether what the front end says can be about the present maps; it may not have heard of them yet."""
        if name == "selected":
            return self._is_channel(value)
        if name == "order":
            return value in self._orders()
        return name not in ("picked", "pointed") or self._is_cell(value)

    def _is_channel(self, value: Any) -> bool:
        return value is None or (value >= 0 and (self._maps is None or value < self._maps.count))

    def _is_cell(self, value: Mapping[str, Any]) -> bool:
        if not value:
            return True
        if set(value) != {"channel", "y", "x"} or not all(type(number) is int for number in value.values()):
            return False
        limits = (self._maps.count, *self._maps.shape) if self._maps else (0, 0, 0)
        return all(0 <= value[name] < limit for name, limit in zip(("channel", "y", "x"), limits, strict=True))

    def _orders(self) -> list[str]:
        maps = self._maps
        return ["channel", *(maps.orders if maps else ("activation",))]

    @t.validate("selected")
    def _known_channel(self, proposal: Any) -> int | None:
        value = proposal["value"]
        if not self._is_channel(value):
            there = f"channels go from 0 to {self._maps.count - 1}" if self._maps else "channels count from 0"
            raise t.TraitError(f"no channel {value}; {there}")
        return value

    @t.validate("order")
    def _known_order(self, proposal: Any) -> str:
        name, known = proposal["value"], self._orders()
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, known))}"
            raise t.TraitError(f"no order {name!r}; {hint}")
        return name

    @t.observe("order")
    def _sort_when_chosen(self, _change: Any) -> None:
        self._sort_anew = True

    @t.validate("tile_size")
    def _possible_size(self, proposal: Any) -> int:
        size = proposal["value"]
        if size and not 8 <= size <= 1024:
            raise t.TraitError(f"a tile has 8 to 1024 CSS pixels, or 0 to choose; not {size}")
        return size

    @t.validate("seen")
    def _two_places(self, proposal: Any) -> list[int]:
        places = proposal["value"]
        if places and (len(places) != 2 or not 0 <= places[0] <= places[1]):
            raise t.TraitError(f"seen is [start, stop], two places of which the first is not later, not {places}")
        return places

    @t.validate("picked", "pointed")
    def _known_cell(self, proposal: Any) -> dict[str, int]:
        if not self._is_cell(proposal["value"]):
            size = f"{self._maps.count} maps of {self._maps.shape[0]}x{self._maps.shape[1]}" if self._maps else "no map"
            raise t.TraitError(f"a cell is {{channel, y, x}} within {size}, or {{}}; not {proposal['value']}")
        return proposal["value"]

    @t.observe("scale", "locked")
    def _scale_locks(self, change: Any) -> None:
        if change["name"] == "scale" and self.scale is not None:
            self.locked = True
        elif change["name"] == "locked" and not self.locked:
            self.scale = None
