"""Choose a feature map: a layer, and one of its channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as ipw

from cnnviz_widgets.results import Unit


class UnitChooser(ipw.VBox):
    """A menu of layers over the number of a channel.

    Args:
        pick: called with what was chosen: a `Unit`, or a layer's name when only that was, for its strongest channel.
        positions: whether a single value of the map can be chosen, too; there is no strongest channel then, as there is
            no picture.

    Example:
        ``chooser = UnitChooser(print); chooser.show({"features.0": 64}); chooser.mark(Unit("features.0", 7))``
    """

    def __init__(self, pick: Callable[[Unit | str], object], *, positions: bool = False) -> None:
        self._pick = pick
        self._channels: dict[str, int] = {}
        self._quiet = False
        self.layer = ipw.Dropdown(
            description="Layer",
            tooltip="whose feature map is looked at"
            + ("" if positions else "; its strongest channel for this picture is taken"),
            layout=ipw.Layout(width="330px", max_width="100%"),
            style={"description_width": "60px"},
        )
        self.channel = ipw.BoundedIntText(
            description="Channel",
            min=0,
            max=0,
            tooltip="which of the layer's feature maps",
            layout=ipw.Layout(width="150px"),
            style={"description_width": "60px"},
        )
        self.position = ipw.Text(
            description="Position",
            placeholder="all of it; or y, x",
            tooltip="one value of the map as y, x; empty for the channel as a whole",
            continuous_update=False,
            layout=ipw.Layout(width="200px"),
            style={"description_width": "60px"},
        )
        self._count = ipw.Label()
        for field in (self.layer, self.channel, self.position):
            field.observe(self._chosen, "value")
        rows = [self.layer, ipw.HBox([self.channel, self._count])]
        super().__init__([*rows, self.position] if positions else rows)

    def show(self, channels: Mapping[str, int]) -> None:
        """Offer these layers; each with how many channels it has."""
        if channels == self._channels:
            return
        self._channels = dict(channels)
        self._quiet = True
        try:
            self.layer.options = [(f"{name} ({count} maps)", name) for name, count in channels.items()]
        finally:
            self._quiet = False

    def mark(self, unit: Unit) -> None:
        """Show what is chosen, without picking it again."""
        count = self._channels.get(unit.layer)
        if count is None:
            return
        self._quiet = True
        try:
            self.layer.value = unit.layer
            self.channel.max = count - 1
            self.channel.value = unit.channel
            self._count.value = f"of 0 to {count - 1}"
            self.position.value = "" if unit.y is None else f"{unit.y}, {unit.x}"
        finally:
            self._quiet = False

    def _chosen(self, change: dict[str, Any]) -> None:
        if self._quiet or self.layer.value is None:
            return
        layer = str(self.layer.value)
        if change["owner"] is self.layer:
            self._pick(layer)
            return
        numbers = [int(number) for number in re.findall(r"\d+", self.position.value)]
        place = tuple(numbers) if len(numbers) == 2 and change["owner"] is self.position else (None, None)
        unit = Unit(layer, int(self.channel.value), *place)
        self.mark(unit)  # what was no position is none, and is not left standing there
        self._pick(unit)
