"""What a layer answers: its strongest maps side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Activations
from cnnviz_widgets.views.colour import Scale, colorize, scale_of
from cnnviz_widgets.views.layout import (
    CAPTION,
    DPI,
    GAP,
    INK,
    LEAST,
    MARGIN,
    MUTED,
    NARROW,
    color_bar,
    panel_inches,
    sheet,
    show,
)
from cnnviz_widgets.views.tiles import LARGEST, Tiles, draw_tiles, tile_sheet
from cnnviz_widgets.views.titles import title

__all__ = ["plot_activations"]

ABOVE, BELOW = "#b2332c", "#2f6fb7"
_BAR = 0.9375  # Inches beside the tiles, for the scale.
_LARGEST = {1: NARROW, 2: NARROW // 2, 3: NARROW // 2, 4: NARROW // 2}  # Few maps are as large as the picture, about.


def plot_activations(
    result: Activations,
    ax: Axes | None = None,
    *,
    top: int = 24,
    channels: Sequence[int] | None = None,
    shared: bool = True,
    colormap: str | None = None,
    percentile: float | None = None,
    locked: Scale | tuple[float, float] | None = None,
) -> Figure | Axes:
    """The maps of the strongest channels, largest maximum first; of a vector layer, a bar for each of its values.

    Args:
        result: What to draw.
        ax: Draw the maps (or bars) alone into these axes.
        top: How many channels.
        channels: These channels instead, in this order.
        shared: One scale for all maps, so that they can be compared; False gives each map its own.
        colormap: A matplotlib name; by default "inferno", "RdBu_r" for layers with values below zero.
        percentile: Let scales end at this percentile of the magnitudes of what is shown.
        locked: A scale or (lo, hi) for every map that is to be compared.

    Example:
        activations(engine, image, "features.9").plot(top=48, shared=False)
    """
    if top < 1:
        raise ValueError(f"top is at least 1, not {top}")
    count = len(result.maps)
    chosen = [int(c) for c in (result.ranking()[:top] if channels is None else channels)]
    beyond = [c for c in chosen if not 0 <= c < count]
    if beyond or not chosen:
        raise IndexError(f"no channel {beyond[0]}; there are 0 to {count - 1}" if beyond else "no channel was chosen")
    if result.maps[0].size == 1:
        return _plot_vector(result, chosen, ax)
    maps = result.maps[chosen]
    shared = shared or locked is not None
    common = scale_of(maps, result.signed, colormap, percentile, locked)
    scales = [common if shared else scale_of(one, result.signed, colormap, percentile) for one in maps]
    rgb = np.stack([colorize(one, scale)[..., :3] for one, scale in zip(maps, scales, strict=True)])
    tiles = Tiles.arranged(len(chosen), (maps.shape[1], maps.shape[2]), _LARGEST.get(len(chosen), LARGEST))
    figure = ax
    if ax is None:
        note = _note(result, chosen, "one scale for all" if shared else "each on a scale of its own")
        figure, ax = _beside_the_picture(result, note, tiles, _BAR if shared else 0.0)
    else:
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
    draw_tiles(ax, tiles, rgb, [_label(result, channel) for channel in chosen], maps)
    if shared:
        color_bar(ax, common, maps, "activation")
    assert figure is not None
    return figure


def _beside_the_picture(result: Activations, note: str, tiles: Tiles, right: float) -> tuple[Figure, Axes]:
    """A sheet with the picture on its left; the axes are those of the tiles."""
    wide, high = (round(inches * DPI) for inches in panel_inches(result.image.shape, NARROW))
    head, gap = round(CAPTION * DPI), round(2 * GAP * DPI)
    size = max(tiles.size[0], high + head), wide + gap + tiles.size[1]
    figure, place = tile_sheet(title(result), note, size, right)
    box, (across, tall) = place.get_position(), figure.get_size_inches() * DPI
    place.set_position((box.x0 + (wide + gap) / across, box.y1 - tiles.size[0] / tall,
                        tiles.size[1] / across, tiles.size[0] / tall))  # fmt: skip
    seen = figure.add_axes((box.x0, box.y1 - (head + high) / tall, wide / across, high / tall))
    show(seen, result.image, "what the network saw")
    return figure, place


def _label(result: Activations, channel: int) -> str:
    return f"{channel}: {result.maximum[channel]:.4g}"


def _note(result: Activations, chosen: Sequence[int], scales: str) -> str:
    channels, height, width = result.maps.shape
    nothing = int(result.dead.sum())
    dead = f"; {nothing} of the {channels} have nothing above zero" if nothing else ""
    return f"{len(chosen)} of {channels} maps of {height}x{width}, each with its channel: maximum; {scales}{dead}"


def _plot_vector(result: Activations, chosen: Sequence[int], ax: Axes | None) -> Figure | Axes:
    if ax is not None:
        _bars(ax, result, chosen)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    figure, (seen,) = sheet(title(result), result.image.shape, 1, right=4.0)
    show(seen, result.image, "what the network saw")
    place = seen.get_position()
    left = place.x1 + 0.75 / figure.get_figwidth()
    high = max(place.height, LEAST / figure.get_figheight())
    bars = figure.add_axes((left, MARGIN / figure.get_figheight(), 1 - left - 0.25 / figure.get_figwidth(), high))
    _bars(bars, result, chosen)
    bars.set_title(f"{len(chosen)} of {len(result.maps)} channels", loc="left", color=MUTED, fontsize=9, pad=4)
    return figure


def _bars(ax: Axes, result: Activations, chosen: Sequence[int]) -> None:
    values, rows = [float(result.maps[c, 0, 0]) for c in chosen], range(len(chosen))
    size = min(9.0, 0.75 * ax.bbox.height / ax.figure.dpi * 72 / max(len(chosen), 1))
    ax.barh(rows, values, height=0.7, color=[ABOVE if v >= 0 else BELOW for v in values])
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.margins(x=0.12)
    ax.set_ylim(len(chosen) - 0.4, -0.6)
    ax.set_yticks(rows, [str(c) for c in chosen], color=INK, fontsize=size)
    ax.bar_label(ax.containers[0], [f"{v:.3g}" for v in values], padding=2, color=INK, fontsize=size)  # pyright: ignore[reportArgumentType]
    ax.set_xticks([])
    ax.tick_params(left=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_facecolor("none")
