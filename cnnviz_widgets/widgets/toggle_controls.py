"""What stands beside the maps of a `SaliencyToggle`: the question, the other class, how pixels are drawn; and where."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as ipw

from cnnviz_widgets.views.titles import method_title
from cnnviz_widgets.widgets.method_menu import MapMethod

MODES = {
    "why": ("Why", "what speaks for this class"),
    "why not": ("Why not", "what speaks against it"),
    "contrast": ("Contrast", "why this class rather than the other"),
}
PIXELS = {
    "magnitude": ("Magnitude", "the largest magnitude of red, green and blue"),
    "signed": ("Signed", "the sum of the three, with its sign"),
    "colour": ("Colour", "all three, about mid grey"),
}


class ToggleControls(ipw.HBox):
    """The controls beside one map, or above two.

    Args:
        picker: what chooses the class.
        columns: the maps, each under its menu.
    """

    def __init__(self, picker: ipw.Widget, columns: Sequence[ipw.Widget]) -> None:
        self.modes = _buttons(MODES)
        self.pixels = _buttons(PIXELS)
        self.against = ipw.Combobox(
            placeholder="the next likeliest class",
            description="Against",
            continuous_update=False,
            layout=ipw.Layout(width="330px", display="none"),
            style={"description_width": "60px"},
        )
        self.compare = ipw.ToggleButton(
            description="Compare two methods",
            icon="columns",
            tooltip="a second map beside the first",
            layout=ipw.Layout(width="auto"),
        )
        rows = [_row("Question", self.modes), self.against, _row("Pixels", self.pixels), _row("", self.compare)]
        top = ipw.Layout(flex_flow="row wrap", align_items="flex-start", align_content="flex-start", max_width="100%")
        self._columns = list(columns)
        self._side = ipw.HBox([picker, ipw.VBox(rows)], layout=top)
        self._maps = ipw.HBox(layout=ipw.Layout(flex_flow="row wrap"))
        self.arrange(1)
        super().__init__([self._side, self._maps], layout=ipw.Layout(flex_flow="row wrap", width="100%"))

    def arrange(self, count: int) -> None:
        """One map stands beside the controls; two need the whole width, so the controls go above them."""
        self._maps.children = self._columns[:count]
        self._side.layout.flex, self._maps.layout.flex = (
            ("0 0 350px", "1 1 260px") if count == 1 else ("1 1 100%", "1 1 100%")
        )


def method_buttons(methods: dict[str, MapMethod], chosen: str) -> ipw.ToggleButtons:
    """A button for each method; resting on one reads what its map shows."""
    buttons = _buttons({name: (method_title(name), _first_line(function)) for name, function in methods.items()})
    buttons.value = chosen
    return buttons


def map_column(menu: ipw.Widget, canvas: ipw.Widget) -> ipw.VBox:
    """A map under its menu, as wide as the page lets it be."""
    return ipw.VBox([menu, canvas], layout=ipw.Layout(flex="1 1 260px", min_width="250px", max_width="560px"))


def _first_line(function: MapMethod) -> str:
    return (function.__doc__ or "").strip().split("\n")[0]


def _buttons(options: dict[str, tuple[str, str]]) -> ipw.ToggleButtons:
    """A row of buttons, one of them down: value -> (what it says, what it means)."""
    return ipw.ToggleButtons(
        options=[(label, value) for value, (label, _) in options.items()],
        tooltips=[meaning for _, meaning in options.values()],
        style={"button_width": "auto"},
        layout=ipw.Layout(width="auto"),
    )


def _row(name: str, control: ipw.Widget) -> ipw.Widget:
    """A control with its name before it, as ipywidgets lines up descriptions."""
    return ipw.HBox([ipw.Label(name, layout=ipw.Layout(width="60px", justify_content="flex-end")), control])
