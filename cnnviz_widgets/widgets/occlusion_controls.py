"""What stands beside the picture of an `OcclusionSlider`: the patch, what the map shows, the class; and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as ipw

VIEWS = {
    "score": ("Score", "the class's score with the patch at each place"),
    "probability": ("Probability", "the class's probability with the patch at each place"),
    "activity": ("Feature map", "the total response of one feature map with the patch at each place"),
    "class": ("Most probable class", "which class the network names with the patch at each place"),
    "comparison": ("Compare two", "the score of the class minus that of a second one, at each place"),
}
FILLS = {
    "Mean colour": "mean",
    "Grey": "grey",
    "Blurred picture": "blur",
    "Noise": "noise",
    "Black": "black",
    "White": "white",
}
SHAPES = {"square": ("Square", "a square of this side"), "circle": ("Circle", "a disc of this diameter")}
NEEDS = {  # which parts a view has
    "score": ("hint", "picker"),
    "probability": ("hint", "picker"),
    "activity": ("units",),
    "class": (),
    "comparison": ("hint", "picker", "against"),
}
WIDTH = "330px"


class OcclusionControls(ipw.HBox):
    """The picture on the left, everything that can be chosen on the right, or below where the page is narrow.

    Args:
        canvas: the picture with its patch, map and bars.
        picker: what chooses the class.
        units: what chooses a feature map.
    """

    def __init__(self, canvas: ipw.DOMWidget, picker: ipw.DOMWidget, units: ipw.DOMWidget) -> None:
        self.patch = _slider("Size", 4, 224, "side of the patch in pixels of the network's input")
        self.stride = _slider("Step", 2, 64, "pixels from one place of the map to the next; small steps take long")
        self.fill = ipw.Dropdown(
            description="Fill",
            tooltip="what is seen where the patch is",
            options=list(FILLS.items()),
            layout=_wide(),
            style=_STYLE,
        )
        self.shape = _buttons(SHAPES)
        self.view = _buttons(VIEWS)
        self.against = ipw.Combobox(
            placeholder="the next likeliest class",
            description="Against",
            continuous_update=False,
            layout=_wide(),
            style=_STYLE,
        )
        self.again = ipw.Button(
            description="Compute again", icon="refresh", tooltip="the whole map, or what is left of a stopped one"
        )
        self._parts: dict[str, ipw.DOMWidget] = {
            "hint": ipw.HTML("of the class (click a bar for another one):", layout=ipw.Layout(margin="4px 0 0 4px")),
            "picker": picker,
            "against": self.against,
            "units": units,
        }
        side = ipw.VBox(
            [
                _title("Patch"),
                self.patch,
                ipw.HBox([_name("Shape"), self.shape]),
                self.fill,
                _title("Map"),
                self.stride,
                self.view,
                *self._parts.values(),
                self.again,
            ],
            layout=ipw.Layout(flex="0 0 352px", max_width="100%"),
        )
        canvas.layout.flex = "1 1 420px"
        canvas.layout.min_width = "300px"
        canvas.layout.max_width = "720px"
        super().__init__(
            [canvas, side], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start", width="100%")
        )
        self.arrange("score")

    def show(self, patch: int, stride: int, fill: Any, shape: Any, view: str) -> None:
        """Show what is chosen; what the controls cannot say of themselves they learn."""
        _stretch(self.patch, patch)
        _stretch(self.stride, stride)
        self.patch.disabled = not isinstance(shape, str)  # a rectangle says its own size
        if fill not in FILLS.values():
            self.fill.options = [*FILLS.items(), (str(fill), fill)]
        self.fill.value = fill
        self.shape.value = shape if isinstance(shape, str) else None
        self.view.value = view
        self.arrange(view)

    def arrange(self, view: str) -> None:
        """Show what a view needs, hide the rest."""
        for name, part in self._parts.items():
            part.layout.display = "" if name in NEEDS[view] else "none"

    def fit(self, side: int) -> None:
        """Let the patch be as large as the picture's longer side."""
        self.patch.max = max(side, self.patch.value)


def _stretch(slider: ipw.IntSlider, value: int) -> None:
    """Show a value, also one that is beyond the slider's ends."""
    slider.min, slider.max = min(slider.min, value), max(slider.max, value)
    slider.value = value


_STYLE = {"description_width": "60px"}


def _wide() -> ipw.Layout:
    return ipw.Layout(width=WIDTH, max_width="100%")


def _slider(name: str, least: int, most: int, tooltip: str) -> ipw.IntSlider:
    return ipw.IntSlider(
        description=name, min=least, max=most, readout_format="d", tooltip=tooltip, layout=_wide(), style=_STYLE
    )


def _name(text: str) -> ipw.Label:
    """As ipywidgets lines up descriptions."""
    return ipw.Label(text, layout=ipw.Layout(width="60px", justify_content="flex-end", margin="2px 4px 2px 0"))


def _title(text: str) -> ipw.HTML:
    return ipw.HTML(f"<b>{text}</b>", layout=ipw.Layout(margin="6px 0 0 0"))


def _buttons(options: Mapping[str, tuple[str, str]]) -> ipw.ToggleButtons:
    """A row of buttons, one of them down: value -> (what it says, what it means)."""
    return ipw.ToggleButtons(
        options=[(label, value) for value, (label, _) in options.items()],
        tooltips=[meaning for _, meaning in options.values()],
        style={"button_width": "auto"},
        layout=ipw.Layout(width="auto", max_width="100%"),
    )
