"""Pictures that were made for a network."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Synthesis
from cnnviz_widgets.views.captioned import Captioned, draw_captioned, sized
from cnnviz_widgets.views.layout import DPI, INK, MUTED, show
from cnnviz_widgets.views.predictions import BAR, percent
from cnnviz_widgets.views.tiles import tile_sheet
from cnnviz_widgets.views.titles import title

__all__ = ["plot_synthesis"]

ALONE, TOGETHER = 512, 360  # Figure pixels of a picture, about: of one, and of each of several.
BETWEEN, WIDE, HIGH = 100, 520, 300  # Figure pixels before the curve, and of it.


def plot_synthesis(
    result: Synthesis, ax: Axes | None = None, *, columns: int | None = None, curve: bool = False
) -> Figure | Axes:
    """The picture, or all of several, best first, each with what it scores under it.

    Args:
        result: What to draw.
        ax: Draw only the best picture into these axes.
        columns: Of several pictures how many to a row; about as many as rows if you say nothing.
        curve: Draw beside them how the value climbed, step by step.

    Example:
        maximize(engine, "flamingo").plot(curve=True)
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns is at least 1, not {columns}")
    if ax is not None:
        show(ax, result.picture, _said(result, 0))
        return ax
    count = len(result.pictures)
    tiles = sized(result.pictures, ALONE if count == 1 else TOGETHER)
    height, width = tiles.shape[1:3]
    places = Captioned(count, (height, width), columns or math.ceil(math.sqrt(count)), 1)
    size = (max(places.size[0], HIGH), places.size[1] + BETWEEN + WIDE) if curve else places.size
    figure, place = tile_sheet(title(result), _caption(result), size)
    frame = place.get_position()
    place.remove()
    wide, high = figure.get_size_inches() * DPI
    shown = figure.add_axes((frame.x0, frame.y1 - places.size[0] / high, places.size[1] / wide, places.size[0] / high))
    draw_captioned(shown, places, tiles, [(_said(result, row),) for row in range(count)])
    if curve:
        left = frame.x0 + (places.size[1] + BETWEEN) / wide
        _curve(figure.add_axes((left, frame.y1 - HIGH / high, WIDE / wide, (HIGH - 40) / high)), result)
    return figure


def _said(result: Synthesis, row: int) -> str:
    share = float(result.probabilities[row])
    return f"{result.measured} {result.scores[row]:.4g}" + ("" if np.isnan(share) else f" · {percent(share)}")


def _caption(result: Synthesis) -> str:
    said = result.parameters
    how = str(said.get("preset") or said.get("parametrization") or "")
    return f"{how}, {len(result.trace)} steps" if how else f"{len(result.trace)} steps"


def _curve(ax: Axes, result: Synthesis) -> None:
    for row, trace in reversed(list(enumerate(result.traces))):
        ax.plot(np.arange(1, len(trace) + 1), trace, color=BAR, linewidth=0.9, alpha=1.0 if row == 0 else 0.3)
    ax.set_title(
        "error" if result.measured == "error" else "value in each step's view",
        loc="left",
        color=MUTED,
        fontsize=9,
        pad=5,
    )
    ax.set_xlabel("step", color=MUTED, fontsize=8)
    ax.tick_params(colors=INK, labelsize=8, length=3, width=0.6)
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(MUTED)
