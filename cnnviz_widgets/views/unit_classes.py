"""Which classes a channel answers to, as bars."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import UnitClasses
from cnnviz_widgets.views.layout import DPI, INK, MUTED, text_inches
from cnnviz_widgets.views.predictions import BAR
from cnnviz_widgets.views.tiles import tile_sheet
from cnnviz_widgets.views.titles import shorten, title

__all__ = ["plot_unit_classes"]

ROW, BARS = 44, 760  # Figure pixels of a class, and of the longest bar with what stands behind it.
LETTERS = 30


def plot_unit_classes(result: UnitClasses, ax: Axes | None = None, *, most: int = 15) -> Figure | Axes:
    """One bar for each class, the highest first, with its value and how many pictures it is about.

    A thin line is the standard deviation over the class's pictures: where the lines overlap far, the channel does not
    tell these classes apart.

    Args:
        result: What to draw.
        ax: Draw only the bars into these axes.
        most: Draw at most so many classes.

    Example:
        unit_classes(index, Unit("features.9", 7)).plot(most=5)
    """
    if most < 1:
        raise ValueError(f"most is at least 1, not {most}")
    if ax is not None:
        _bars(ax, result, most)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    count = min(len(result.values), most)
    labels = [shorten(name, LETTERS) for name in result.names[:count]]
    room = round(max((text_inches(name, 9) for name in labels), default=0) * DPI) + 30
    size = (max(count, 1) * ROW, room + BARS)
    figure, place = tile_sheet(title(result), _caption(result, count), size)
    box = place.get_position()
    share = room / figure.get_figwidth() / DPI
    place.set_position((box.x0 + share, box.y0, box.width - share, box.height))
    _bars(place, result, most)
    return figure


def _bars(ax: Axes, result: UnitClasses, most: int) -> None:
    values, spreads = (part[:most].astype(np.float64) for part in (result.values, result.spreads))
    rows = range(len(values))
    ax.barh(rows, values, height=0.62, color=BAR, zorder=2)
    ax.hlines(rows, values - spreads, values + spreads, color=INK, linewidth=0.8, alpha=0.6, zorder=3)
    low, high = min(0.0, (values - spreads).min(initial=0)), max(0.0, (values + spreads).max(initial=0))
    span = (high - low) or 1.0
    for row, value, spread, count in zip(rows, values, spreads, result.counts, strict=False):
        said = f"{value:.4g}" if _over_all(result) else f"{value:.0f}"
        ax.text(max(value + spread, 0) + 0.015 * span, row, said, va="center", fontsize=9, color=INK)
        if _over_all(result):
            ax.text(1, row, f"{count:,}", va="center", ha="right", fontsize=8, color=MUTED,
                    transform=ax.get_yaxis_transform())  # fmt: skip
    ax.axvline(0, color=MUTED, linewidth=0.6, zorder=1)
    ax.set(xlim=(low, low + span * 1.32), ylim=(max(len(rows), 1) - 0.5, -0.5), xticks=[], yticks=rows)
    ax.set_yticklabels(
        [shorten(name, LETTERS) for name in result.names[:most]], color=INK, fontsize=9, parse_math=False
    )
    ax.tick_params(left=False)
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set_visible(False)


def _over_all(result: UnitClasses) -> bool:
    return result.parameters.get("over") != "strongest patches"


def _caption(result: UnitClasses, shown: int) -> str:
    by = {"label": "label", "prediction": "most probable class"}.get(str(result.parameters.get("by")), "class")
    pictures = int(result.counts.sum())
    if _over_all(result):
        said = f"mean over a class's pictures, ± their standard deviation, by {by}; at the right the number of pictures"
    else:
        said = f"where its {pictures} strongest patches come from, by {by}"
    more = f"; the first {shown} of {len(result.values)}" if shown < len(result.values) else ""
    without = result.parameters.get("without") or 0
    return said + more + (f"; {without} without one left out" if without else "")
