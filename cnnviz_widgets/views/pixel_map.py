"""An attribution of every input pixel: in colour, and as one value a pixel."""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import PixelMap, Reduction
from cnnviz_widgets.views.colour import Scale, color_attribution, overlay, scale_of
from cnnviz_widgets.views.layout import color_bar, sheet, show
from cnnviz_widgets.views.titles import method_title, title

__all__ = ["plot_pixel_map"]

_IN_WORDS = {
    "max_abs": "largest magnitude of R, G, B",
    "sum": "sum of R, G, B",
    "norm": "length of (R, G, B)",
    "mean_abs": "mean magnitude of R, G, B",
}


def plot_pixel_map(
    result: PixelMap,
    ax: Axes | None = None,
    *,
    reduce: Reduction = "max_abs",
    percentile: float | None = 99.5,
    colormap: str | None = None,
    opacity: float = 1.0,
    locked: Scale | tuple[float, float] | None = None,
    panel: Literal["color", "heatmap"] = "color",
) -> Figure | Axes:
    """The picture, the attribution in colour (zero is grey), and its heat map with the scale of the raw values.

    Args:
        result: What to draw.
        ax: Draw only one panel into these axes: the one that `panel` names.
        reduce: How the channels become one value: see `PixelMap.heatmap`.
        percentile: Where the colours end; a few pixels usually tower over the rest. None: at the largest magnitude.
        colormap: Of the heat map; by default "inferno", "RdBu_r" for signed sums.
        opacity: Of the heat map over the picture; at 1 the map alone is seen.
        locked: A scale or (lo, hi) for every heat map that is to be compared.
        panel: With `ax`, "color" or "heatmap".

    Example:
        guided_backprop(engine, image, target="tabby").plot(reduce="norm")
    """
    if panel not in ("color", "heatmap"):
        raise ValueError(f"panel is 'color' or 'heatmap', not {panel!r}")
    heat = result.heatmap(reduce)
    scale = scale_of(heat.values, heat.signed, colormap, percentile, locked)
    label = f"{method_title(result.method)} value"
    in_color = color_attribution(result.values, percentile, result.signed)
    mapped = overlay(result.image, heat.values, scale, opacity)
    if ax is not None:
        if panel == "color":
            show(ax, in_color)
        else:
            show(ax, mapped, values=heat.values)
            color_bar(ax, scale, heat.values, label)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    figure, (seen, color, map_) = sheet(title(result), result.image.shape, 3, right=0.875)
    zero = "grey" if result.signed else "black"
    words = _IN_WORDS[reduce]
    if len(result.values) == 1:
        words = "value" if reduce == "sum" else "magnitude"
    show(seen, result.image, "what the network saw")
    show(color, in_color, f"attribution ({zero}: none)")
    show(map_, mapped, words, values=heat.values)
    color_bar(map_, scale, heat.values, label)
    return figure
