"""The patches of a collection that a channel answers to most, and what of each made it fire."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cnnviz_widgets.results import Patches
from cnnviz_widgets.views.captioned import Captioned, draw_captioned, sized
from cnnviz_widgets.views.colour import color_attribution, scale_of
from cnnviz_widgets.views.layout import DPI, MUTED
from cnnviz_widgets.views.tiles import tile_sheet
from cnnviz_widgets.views.titles import method_title, title

__all__ = ["plot_patches"]

_HEADS = {"patches": "what it saw", "projections": "what of it made the channel fire"}
SIDE = 176  # Figure pixels of a patch, about.
BETWEEN, HEAD = 56, 36  # Figure pixels between both grids, and over each for what it is.


def plot_patches(
    result: Patches,
    ax: Axes | None = None,
    *,
    columns: int | None = None,
    percentile: float | None = 99.5,
    panel: str = "patches",
) -> Figure | Axes:
    """The patches, strongest first in reading order, beside their projections in the same order.

    As figure 2 of Zeiler & Fergus 2013. Under each patch stand the channel's value there and the picture's label;
    under each projection where its colours end, since each has a scale of its own, zero being grey.

    Args:
        result: What to draw.
        ax: Draw only one grid into these axes: the one that `panel` names.
        columns: How many patches to a row; about as many as rows if you say nothing.
        percentile: Where the colours of a projection end, of its magnitudes. None: at the largest.
        panel: With `ax`, "patches" or "projections".

    Example:
        top_patches(index, Unit("features.9", 7)).plot(columns=9)
    """
    if panel not in ("patches", "projections"):
        raise ValueError(f"panel is 'patches' or 'projections', not {panel!r}")
    if columns is not None and columns < 1:
        raise ValueError(f"columns is at least 1, not {columns}")
    k = len(result.rows)
    grids = {"patches": (sized(result.pictures, SIDE), _said(result))}
    if result.projections.shape[1] and k:
        limits = [scale_of(one, True, percentile=percentile).hi for one in result.projections]
        colors = np.stack([color_attribution(one, percentile) for one in result.projections])
        grids["projections"] = (sized(colors, SIDE), [(_limit(limit),) for limit in limits])
    if ax is not None:
        if panel not in grids:
            raise ValueError("there are no projections; make the patches with projection='deconvnet'")
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        _draw(ax, *grids[panel], columns)
        return ax
    pictures = grids["patches"][0]
    size = _places(pictures, columns).size
    sheet = (size[0] + (HEAD if len(grids) > 1 else 0), len(grids) * size[1] + (len(grids) - 1) * BETWEEN)
    figure, place = tile_sheet(title(result), _caption(result), sheet)
    frame = place.get_position()
    place.remove()
    wide, high = figure.get_size_inches() * DPI
    for number, (name, (tiles, words)) in enumerate(grids.items()):
        left = frame.x0 + number * (size[1] + BETWEEN) / wide
        panel_axes = figure.add_axes((left, frame.y0, size[1] / wide, size[0] / high))
        _draw(panel_axes, tiles, words, columns)
        if len(grids) > 1:
            panel_axes.set_title(_HEADS[name], loc="left", color=MUTED, fontsize=9, pad=5)
    return figure


def _draw(ax: Axes, tiles: NDArray[np.uint8], words: list[tuple[str, ...]], columns: int | None) -> None:
    if len(tiles):
        draw_captioned(ax, _places(tiles, columns), tiles, words)
        return
    ax.set_axis_off()
    ax.text(0, 1, "no picture", va="top", color=MUTED, fontsize=9, transform=ax.transAxes)


def _places(tiles: NDArray[np.uint8], columns: int | None) -> Captioned:
    height, width = tiles.shape[1:3]
    count = max(len(tiles), 1)
    return Captioned(count, (height, width), columns or math.ceil(math.sqrt(count)))


def _said(result: Patches) -> list[tuple[str, ...]]:
    return [(f"{value:.4g}", name) for value, name in zip(result.activations, result.names, strict=True)]


def _limit(limit: float) -> str:
    return f"± {limit:.2g}" if limit else "nothing"


def _caption(result: Patches) -> str:
    height, width = result.pictures.shape[1:3]
    said = result.parameters
    if said.get("seen") == "whole frame":
        seen = "how much of the picture the channel sees is not known"
    elif [height, width] == list(said.get("frame") or ()):
        seen = "it sees all of the picture"
    else:
        seen = f"it sees {width}x{height} pixels{', grey outside the picture' if _outside(result) else ''}"
    way = ""
    if result.projections.shape[1]:
        way = method_title(str(said.get("projection", "")))
        if said.get("rectified") is False:
            way = "the gradient, for there is no rectifier below"
        way = f"; projections: {way}"
    return f"strongest first; {seen}{way}"


def _outside(result: Patches) -> bool:
    """Whether a patch reaches beyond the frame."""
    height, width = result.pictures.shape[1:3]
    seen = result.boxes[:, 2:] - result.boxes[:, :2]
    return bool((seen < [width, height]).any())
