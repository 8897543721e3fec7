"""What a `FeatureStudio` makes a picture for: a class by its name, or a unit by layer, channel and position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as ipw

from cnnviz_widgets.results import Unit
from cnnviz_widgets.widgets.class_picker import ClassPicker
from cnnviz_widgets.widgets.unit_chooser import UnitChooser

__all__ = ["StudioHead"]

KINDS = {
    "class": ("A class", "what makes the network say its name"),
    "unit": ("A channel or neuron", "what one feature map of a layer, or one value of it, answers to"),
}


class StudioHead(ipw.HBox):
    """Two buttons, and beside them what the pressed one needs.

    Args:
        pick: called with what was chosen: the name of a class, or a `Unit`.
    """

    def __init__(self, pick: Callable[[str | int | Unit], object]) -> None:
        self._pick = pick
        self._channels: dict[str, int] = {}
        self.kind = ipw.ToggleButtons(
            options=[(label, name) for name, (label, _) in KINDS.items()],
            tooltips=[meaning for _, meaning in KINDS.values()],
            style={"button_width": "auto"},
            layout=ipw.Layout(width="auto"),
        )
        self.picker = ClassPicker(pick, bars=False)
        self.chooser = UnitChooser(self._chosen, positions=True)
        self.kind.observe(lambda _change: self._arrange(), "value")
        what = ipw.HTML("<b>What does it look like?</b>", layout=ipw.Layout(margin="2px 8px 2px 4px"))
        row = ipw.Layout(flex_flow="row wrap", align_items="flex-start", width="100%", grid_gap="0 10px")
        super().__init__([what, self.kind, self.picker, self.chooser], layout=row)
        self._arrange()

    def offer(self, categories: Sequence[str], channels: Mapping[str, int]) -> None:
        """The classes and layers to choose from."""
        self._channels = dict(channels)
        self.picker.offer(categories)
        self.chooser.show(channels)

    def mark(self, target: object, name: str) -> None:
        """Show what is chosen, without picking it again."""
        if isinstance(target, Unit):
            self.kind.value = "unit"
            self.chooser.mark(target)
        elif isinstance(target, (str, int)):
            self.kind.value = "class"
            self.picker.mark(None, name)

    def _chosen(self, choice: Unit | str) -> None:
        """A layer alone stands for its first channel: without a picture none is the strongest."""
        self._pick(choice if isinstance(choice, Unit) else Unit(choice, 0))

    def _arrange(self) -> None:
        for kind, part in (("class", self.picker), ("unit", self.chooser)):
            part.layout.display = "" if self.kind.value == kind else "none"
