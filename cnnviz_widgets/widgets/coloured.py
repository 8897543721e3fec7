"""What widgets that colour values in the browser have in common: the tables, and which of them is wanted."""

from __future__ import annotations

import math
from typing import Any

import traitlets as t

from cnnviz_widgets.views.colour import DIVERGING, SEQUENTIAL, lookup_table

__all__ = ["COLORMAPS", "Coloured"]

COLORMAPS = (SEQUENTIAL, "viridis", "cividis", "turbo", "gray", DIVERGING, "PuOr_r", "coolwarm")


class Coloured(t.HasTraits):
    """A widget that has `colormap`, the tables of colours for its front end, and a `scale` that can be held.

    Attributes:
        colormap: A matplotlib name, or "" for the usual one: sequential, or diverging about zero for signed values.
        scale: [lo, hi] to hold for all values; None for the scale that they have of their own.
    """

    colormap = t.Unicode("").tag(sync=True)
    scale = t.List(t.Float(), default_value=None, allow_none=True).tag(sync=True)
    tables = t.Dict(help="256 RGBA colours for each colormap").tag(sync=True, echo_update=False)
    automatic = t.Dict({"sequential": SEQUENTIAL, "diverging": DIVERGING}).tag(sync=True)

    @t.default("tables")
    def _usual_tables(self) -> dict[str, bytes]:
        return {name: lookup_table(name).tobytes() for name in COLORMAPS}

    @t.validate("colormap")
    def _known_colormap(self, proposal: Any) -> str:
        name = proposal["value"]
        if name and name not in self.tables:
            try:  # Any of matplotlib's may be named, and joins the menu.
                self.tables = {**self.tables, name: lookup_table(name).tobytes()}
            except ValueError as error:
                raise t.TraitError(str(error)) from None
        return name

    @t.validate("tables")
    def _whole_tables(self, proposal: Any) -> dict[str, bytes]:
        for name, table in proposal["value"].items():
            if not isinstance(table, bytes) or len(table) != 1024:
                raise t.TraitError(f"the table of colormap {name!r} is 1024 bytes: 256 colours RGBA")
        return proposal["value"]

    @t.validate("scale")
    def _rising_scale(self, proposal: Any) -> list[float] | None:
        limits = proposal["value"]
        if limits is not None and (len(limits) != 2 or not all(map(math.isfinite, limits)) or limits[0] > limits[1]):
            raise t.TraitError(f"a scale is [lo, hi] with lo at most hi, both finite, or None; not {limits}")
        return limits
