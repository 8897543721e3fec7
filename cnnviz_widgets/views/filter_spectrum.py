"""Which frequencies filters pass, and what lies beyond the reach of their stride."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cnnviz_widgets.results import FilterSpectrum
from cnnviz_widgets.views.colour import colorize, scale_of
from cnnviz_widgets.views.layout import DPI, INK, MARGIN, MUTED, Sheet, color_bar, show
from cnnviz_widgets.views.tiles import Tiles, draw_tiles, tile_sheet
from cnnviz_widgets.views.titles import title

__all__ = ["plot_filter_spectrum"]

PANEL = 448  # Figure pixels of the large spectrum, about.
CHART = 560  # Figure pixels that the chart is wide.
TOP = 36  # Figure pixels over a panel for what it is called.
FILTER, RESPONSE = "#2f6fb7", "#d9730d"


def plot_filter_spectrum(
    result: FilterSpectrum,
    ax: Axes | None = None,
    *,
    filter: int | None = None,
    colormap: str | None = None,
    most: int = 64,
) -> Figure | Axes:
    """The mean power spectrum with the square that the stride can carry, each filter's aliasing, and its spectrum.

    Args:
        result: What to draw.
        ax: Draw only the large spectrum, with its scale, into these axes.
        filter: Draw this filter's spectrum large, in place of the mean.
        colormap: A matplotlib name; by default "inferno".
        most: Draw the small spectra of at most so many filters; 0 for none.

    Example:
        filter_spectrum(engine, "features.0", image=image).plot()
    """
    n, size = result.power.shape[:2]
    if filter is not None and not 0 <= filter < n:
        raise ValueError(f"filter is from 0 to {n - 1} in this layer, not {filter}")
    if most < 0:
        raise ValueError(f"most is at least 0, not {most}")
    if ax is not None:
        _spectrum(ax, result, filter, colormap)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    cells = size + 1 - size % 2
    side = cells * max(1, round(PANEL / cells))
    pictures = 0 if result.image is None else side + 100
    strided = tuple(result.parameters["stride"]) != (1, 1)
    across = side + 324 + (CHART if strided else 0) + pictures
    tiles = Tiles.filling(min(n, most), (size, size), across) if most else None
    below = tiles.size[0] + 2 * TOP if tiles else 0
    figure, whole = tile_sheet(title(result), _caption(result), (side + 130 + below, across))
    whole.remove()
    panel = _axes(figure, 114, below + 84, side, side)
    _spectrum(panel, result, filter, colormap)
    if strided:
        _shares(_axes(figure, side + 324, below + 84, CHART, side), result)
    if result.image is not None:
        high, wide = result.image.shape[:2]
        times = side / max(high, wide)
        shown = _axes(figure, across - side, below + 84 + side - round(high * times), round(wide * times),
                      round(high * times))  # fmt: skip
        show(shown, result.image, "what the network saw")
    if tiles:
        each = _axes(figure, 0, 0, tiles.size[1], tiles.size[0])
        rgb = np.stack([colorize(one, scale_of(one, False, colormap))[..., :3] for one in result.power[:most]])
        draw_tiles(each, tiles, rgb, [str(k) for k in range(len(rgb))], result.power[:most])
        of = "" if n <= most else f" {most}"
        each.text(0, 1 + 14 / tiles.size[0], f"the first{of} filters, each on its own scale" if of else
                  "each filter, on its own scale", transform=each.transAxes, color=MUTED, fontsize=9)  # fmt: skip
    return figure


def _caption(result: FilterSpectrum) -> str:
    sy, sx = result.parameters["stride"]
    stride = f"stride {sy}" if sy == sx else f"stride {sy} down, {sx} across"
    if (sy, sx) == (1, 1):
        return "stride 1 keeps every value: nothing aliases"
    share = f"{result.aliasing.mean():.1%} of a filter's energy"
    if result.response_aliasing is not None:
        share += f" and {result.response_aliasing.mean():.1%} of its response to the picture"
    return f"beyond the square that {stride} can carry lie on average {share}".replace("%", " %")


def _spectrum(ax: Axes, result: FilterSpectrum, filter: int | None, colormap: str | None) -> None:
    power = result.power.mean(0) if filter is None else result.power[filter]
    size = len(power)
    if size % 2 == 0:  # -0.5 and 0.5 cycles per pixel are one frequency: shown on both sides
        power = np.pad(power, ((0, 1), (0, 1)), mode="wrap")
    scale = scale_of(power, False, colormap)
    show(ax, colorize(power, scale)[..., :3], "mean power" if filter is None else f"power of filter {filter}", power)
    reach = [1 / (2 * s) for s in result.parameters["stride"]]
    for axis, limit in zip((ax.yaxis, ax.xaxis), reach, strict=True):
        marks = sorted({-0.5, -limit, 0.0, limit, 0.5})
        axis.set_ticks([f * size + size // 2 for f in marks], [f"{f:.3g}".replace("-", "−") for f in marks])
    limits = (-0.5, len(power) - 0.5)
    ax.set(xlim=limits, ylim=limits[::-1])
    ax.set_xlabel("cycles per pixel across", color=MUTED, fontsize=9)
    ax.set_ylabel("down", color=MUTED, fontsize=9)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3, width=0.6)
    if reach != [0.5, 0.5]:
        corner = [size // 2 - limit * size for limit in reach[::-1]]
        for color, width in (("#000000", 2.4), ("#ffffff", 1.2)):  # Seen on dark and on light.
            ax.add_patch(Rectangle((corner[0], corner[1]), 2 * reach[1] * size, 2 * reach[0] * size, fill=False,
                                   edgecolor=color, linewidth=width))  # fmt: skip
    color_bar(ax, scale, power, "power")


def _shares(ax: Axes, result: FilterSpectrum) -> None:
    """One bar for each filter, those that alias most first, and a point for its response to the picture."""
    order = np.argsort(-result.aliasing, kind="stable")
    places = np.arange(len(order))
    ax.bar(places, 100 * result.aliasing[order], width=0.9, color=FILTER, linewidth=0)
    _level(ax, result.aliasing, FILTER)
    if result.response_aliasing is not None:
        ax.scatter(places, 100 * result.response_aliasing[order], s=9, color=RESPONSE, zorder=3, linewidths=0)
        _level(ax, result.response_aliasing, RESPONSE)
        ax.text(
            1, 1.02, "● its response to the picture", color=RESPONSE, fontsize=9, ha="right", transform=ax.transAxes
        )
    ax.set(xlim=(-0.6, len(order) - 0.4), ylim=(0, 100))
    ax.set_title("aliasing, %: filter", loc="left", color=FILTER, fontsize=9, pad=4)
    few = len(order) <= 16
    ax.set_xticks(places if few else [], [str(k) for k in order] if few else None)
    ax.set_xlabel("filter" if few else f"{len(order)} filters, most aliasing first", color=MUTED, fontsize=9)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3, width=0.6)
    ax.set_facecolor("none")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set(color=MUTED, linewidth=0.6)


def _level(ax: Axes, shares: NDArray[np.float32], color: str) -> None:
    ax.axhline(100 * float(shares.mean()), color=color, linewidth=1, linestyle=(0, (4, 3)), zorder=2)


def _axes(figure: Sheet, left: int, low: int, width: int, height: int) -> Axes:
    """Axes at a place in figure pixels, counted from the margin."""
    across, high = figure.get_size_inches()
    return figure.add_axes(((MARGIN + left / DPI) / across, (MARGIN + low / DPI) / high,
                            width / DPI / across, height / DPI / high))  # fmt: skip
