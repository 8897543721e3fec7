"""`PatchGrid`: for each channel of a layer a block of patches and a block of projections, as many as are in sight."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import traitlets as t

from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.patch_messages import LayerPatches, Sheet

__all__ = ["PatchGrid"]

KEPT = 3 * 2**19  # Bytes of sheets that stay in the page when there is no kernel any more.


class PatchGrid(Calling):
    """The front end of `PatchWall`: it asks for the channels in sight, and draws what came.

    Attributes:
        layer: What is known of the layer's channels, as it travels; set it with `show`.
        selected: The channel with the ring, or None.
        order: "channel" (by number), "activation" (the strongest first), or "purity" (those of one class first).
        tile_size: The side of a block in CSS pixels, 48 to 400; 0 to choose it by the width of the cell.
        height: Of the wall at most, in CSS pixels.
        kept: The sheets that stay in the page when there is no kernel any more.
        status, error: What is being done and what went wrong; set it with `report`.
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    layer = t.Dict().tag(sync=True, echo_update=False)
    selected = t.Int(None, allow_none=True).tag(sync=True)
    order = t.Unicode("channel").tag(sync=True)
    tile_size = t.Int(0).tag(sync=True)
    height = t.Int(560, min=160, max=4000).tag(sync=True)
    kept = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, **traits: Any) -> None:
        self._known: LayerPatches | None = None
        self._numbers = itertools.count(1)
        super().__init__(**traits)

    def __repr__(self) -> str:
        known = self._known
        return f"PatchGrid({known.count} channels of {known.layer!r})" if known else "PatchGrid(empty)"

    def show(self, known: LayerPatches) -> None:
        """Hang up a layer; its sheets follow, as `on_need` asks for them."""
        with self._alone(), self.hold_sync():
            same = self._known is not None and self._known.layer == known.layer
            self._known = known
            if self.order not in self._orders():
                self.order = "channel"
            if not same:
                self.selected = None
            self.kept = {}
            self.layer = known.message(next(self._numbers))

    def put(self, sheets: Sequence[Sheet], identity: str) -> None:
        """Send sheets to the pages that are open; they are forgotten there when another layer hangs by then."""
        messages = [sheet.message() for sheet in sheets]
        self.send({"type": "sheets", "id": identity, "sheets": messages}, buffers=[sheet.data for sheet in sheets])

    def keep(self, sheets: Iterable[Sheet], identity: str) -> None:
        """Put sheets into the state, as many as there is room for: a page without a kernel has these."""
        kept, size = [], 0
        for sheet in sheets:
            size += len(sheet.data)
            if size > KEPT:
                break
            kept.append(sheet.state())
        with self._alone():
            if self._known is not None and self._known.identity == identity:
                self.kept = {"id": identity, "sheets": kept}

    def check(self, name: str, value: Any) -> Any:
        """The value of `selected` or `order` if there is such a one here; else a TraitError says what there is."""
        if self._fits(name, value):
            return value
        if name == "selected":
            there = f"channels go from 0 to {self._known.count - 1}" if self._known else "channels count from 0"
            raise t.TraitError(f"no channel {value}; {there}")
        orders = self._orders()
        near = get_close_matches(str(value), orders, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, orders))}"
        raise t.TraitError(f"no order {value!r}; {hint}")

    def on_need(self, callback: Callable[[list[int], list[int]], object]) -> Callable[[], None]:
        """Call `callback(missing, seen)` when other channels come into sight; returns how to take that back.

        `missing` are those in sight that the page has not, the first ones first; `seen` are all that are in sight. What
        was missing before and is no more need not be made any more.
        """
        return self._register("need", callback)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the front end changed (called by ipywidgets), as far as it is about the present layer."""
        late = [name for name, value in sync_data.items() if not self._fits(name, value)]
        super().set_state({name: value for name, value in sync_data.items() if name not in late})
        if late:
            self.send_state(late)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "need", "id": str(identity), "channels": list(missing), "seen": list(seen)}:
                known = self._known
                if known is not None and known.identity == identity:  # Else another layer hangs there by now.
                    there = range(known.count)
                    self._call("need", [c for c in missing if c in there], [c for c in seen if c in there])

    def _fits(self, name: str, value: Any) -> bool:
        if name == "selected":
            return value is None or (value >= 0 and (self._known is None or value < self._known.count))
        return name != "order" or value in self._orders()

    def _orders(self) -> list[str]:
        return ["channel", *(self._known.orders() if self._known else ("activation", "purity"))]

    @t.validate("selected", "order")
    def _known_here(self, proposal: Any) -> Any:
        return self.check(proposal["trait"].name, proposal["value"])

    @t.validate("tile_size")
    def _possible_size(self, proposal: Any) -> int:
        size = proposal["value"]
        if size and not 48 <= size <= 400:
            raise t.TraitError(f"a block has 48 to 400 CSS pixels, or 0 to choose; not {size}")
        return size
