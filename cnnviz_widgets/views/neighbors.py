"""A picture beside those that are nearest to it."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Neighbors
from cnnviz_widgets.views.captioned import Captioned, draw_captioned, sized
from cnnviz_widgets.views.layout import DPI, MARGIN, MUTED, show
from cnnviz_widgets.views.tiles import tile_sheet
from cnnviz_widgets.views.titles import title

__all__ = ["plot_neighbors"]

SIDE = 192  # Figure pixels of a neighbour, about; twice as many for the picture asked about.
BETWEEN = 48  # Figure pixels beside that picture.


def plot_neighbors(result: Neighbors, ax: Axes | None = None, *, columns: int | None = None) -> Figure | Axes:
    """The picture asked about, and its neighbours row by row, nearest first, each with its name and distance.

    Args:
        result: What to draw.
        ax: Draw only the neighbours into these axes.
        columns: How many neighbours to a row; as many as make two rows if you say nothing, four and more.

    Example:
        neighbors(index, image).plot(columns=8)
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns is at least 1, not {columns}")
    k = len(result.rows)
    pictures = sized(result.pictures, SIDE)
    height, width = pictures.shape[1:3]
    places = Captioned(k, (height, width), columns or min(8, max(4, math.ceil(k / 2))))
    words = [(name, f"{distance:.3g}") for name, distance in zip(result.names, result.distances, strict=True)]
    if ax is not None:
        draw_captioned(ax, places, pictures, words)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    asked = sized(result.image[None], 2 * SIDE)[0]
    high, across = places.size
    size = (max(high, asked.shape[0]), asked.shape[1] + BETWEEN + across)
    figure, place = tile_sheet(title(result), _caption(result), size)
    # The sheet's axes are the whole of it: the picture asked about takes its left, the neighbours its right.
    left, bottom = (MARGIN * DPI + offset for offset in (0, size[0]))
    panels = [(left, asked.shape[:2]), (left + asked.shape[1] + BETWEEN, (high, across))]
    axes = [place, figure.add_axes((0, 0, 1, 1))]
    total_width, total_height = figure.get_size_inches() * DPI
    for panel, (x, (h, w)) in zip(axes, panels, strict=True):
        panel.set_position((x / total_width, (bottom - h) / total_height, w / total_width, h / total_height))
    show(axes[0], asked)
    if k:
        draw_captioned(axes[1], places, pictures, words)
    else:
        axes[1].set_axis_off()
        axes[1].text(0, 1, "no other picture", va="top", color=MUTED, fontsize=9)
    return figure


def _caption(result: Neighbors) -> str:
    said = result.parameters
    metric = {"cosine": "cosine", "euclidean": "Euclidean"}.get(str(said.get("metric")), "the")
    between = {"embedding": "embeddings", "pixels": "reduced pixels"}.get(str(said.get("space")), "pictures")
    return f"nearest first, by {metric} distance between their {between}"
