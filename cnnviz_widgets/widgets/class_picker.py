"""Choose a class: the likeliest ones as bars, and a search among all names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
from bqplot import Axis, Bars, Figure, LinearScale, OrdinalScale

from cnnviz_widgets.results import Predictions

# Middle tones that stand out on a light page and on a dark one.
CHOSEN, OTHER = "#e8710a", "#8a9ba8"


class ClassPicker(ipw.VBox):
    """The classes a network holds likeliest for a picture, as bars to click, over a search among all of them.

    Args:
        pick: called with the class's index (a bar) or its name (the search); what it raises is the caller's to show.
        bars: whether there are bars; where there is no picture there is but the search, see `offer`.

    Example:
        ``picker = ClassPicker(print); picker.show(engine.predict(samples["cat"]), engine.categories)``
    """

    def __init__(self, pick: Callable[[int | str], object], *, bars: bool = True) -> None:
        self._pick = pick
        self._indices: list[int] = []
        self._chosen: int | None = None
        self._quiet = False
        self._bars: Bars | None = None
        self._frame = ipw.Box(layout=ipw.Layout(width="340px", max_width="100%", height="170px"))
        self.search = ipw.Combobox(
            placeholder="search all classes",
            description="Class",
            continuous_update=False,
            layout=ipw.Layout(width="330px", max_width="100%"),
            style={"description_width": "60px"},
        )
        self.search.observe(self._searched, "value")
        parts = [self._frame, self.search] if bars else [self.search]
        super().__init__(parts, layout=ipw.Layout(max_width="100%"))

    def offer(self, categories: Sequence[str]) -> None:
        """Let these classes be searched."""
        self.search.options = tuple(dict.fromkeys(categories))
        self.search.placeholder = f"search {len(categories):,} classes"

    def show(self, predictions: Predictions, categories: Sequence[str]) -> None:
        """Draw the bars of these predictions; `categories` is what the search looks through."""
        self._indices = [int(index) for index in predictions.indices]
        self.offer(categories)
        shares = [float(share) for share in predictions.probabilities]
        names = list(predictions.names)
        # A name that stands for two classes would be one bar: the number tells them apart.
        labels = [f"{n} ({i})" if names.count(n) > 1 else n for n, i in zip(names, self._indices, strict=True)]
        texts = [f"{_short(label)}  {share:.1%}" for label, share in zip(labels, shares, strict=True)]
        top = min(1.0, max(0.05, max(shares)))
        if self._bars is None:
            self._bars = _bars(texts, shares, top)
            self._bars.on_element_click(self._clicked)
            # Made with its data: bqplot stumbles over a scale that changes while its axis is being drawn.
            self._frame.children = [_chart(self._bars)]
        else:
            self._bars.scales["y"].max = top
            self._bars.x, self._bars.y = texts, shares
        self._paint()

    def mark(self, index: int | None, name: str) -> None:
        """Mark the chosen class, without picking it again.

        The search names it only where no bar does: an empty field says that all classes can be searched.
        """
        self._chosen = index
        self._quiet = True
        try:
            self.search.value = "" if index in self._indices else name
        finally:
            self._quiet = False
        self._paint()

    def _paint(self) -> None:
        if self._bars is not None:
            self._bars.colors = [CHOSEN if index == self._chosen else OTHER for index in self._indices]

    def _clicked(self, _bars: object, event: dict[str, Any]) -> None:
        place = event.get("data", {}).get("index")
        if isinstance(place, int) and 0 <= place < len(self._indices):
            self._pick(self._indices[place])

    def _searched(self, change: dict[str, Any]) -> None:
        if change["new"] and not self._quiet:
            self._pick(change["new"])


def _bars(names: Sequence[str], shares: Sequence[float], top: float) -> Bars:
    """A bar for each class, as long as its share of `top`."""
    return Bars(
        x=names,
        y=shares,
        scales={"x": OrdinalScale(reverse=True), "y": LinearScale(min=0.0, max=top)},
        orientation="horizontal",
        colors=[OTHER],
        color_mode="no_group",
        padding=0.3,
    )


def _chart(bars: Bars) -> Figure:
    names, share = bars.scales["x"], bars.scales["y"]
    return Figure(
        marks=[bars],
        axes=[
            Axis(scale=names, orientation="vertical", grid_lines="none", tick_style={"font-size": "12px"}),
            Axis(scale=share, tick_format=".0%", num_ticks=3, grid_lines="none"),
        ],
        fig_margin={"top": 2, "bottom": 26, "left": 178, "right": 16},
        layout=ipw.Layout(width="100%", height="100%"),
        background_style={"fill-opacity": 0},
    )


def _short(name: str, length: int = 20) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
