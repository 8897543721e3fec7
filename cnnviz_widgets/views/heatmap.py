"""A heat map over the picture it belongs to."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Heatmap
from cnnviz_widgets.views.colour import Scale, overlay, scale_of
from cnnviz_widgets.views.layout import color_bar, sheet, show
from cnnviz_widgets.views.titles import method_title, title

__all__ = ["plot_heatmap"]


def plot_heatmap(
    result: Heatmap,
    ax: Axes | None = None,
    *,
    opacity: float = 0.5,
    colormap: str | None = None,
    threshold: float | None = None,
    percentile: float | None = None,
    locked: Scale | tuple[float, float] | None = None,
    side_by_side: bool = True,
) -> Figure | Axes:
    """The picture, and the picture with the map laid over it pixel on pixel, with the scale of the raw values.

    Args:
        result: What to draw.
        ax: Draw only the overlay, with its scale, into these axes.
        opacity: 0 shows the picture alone, 1 the colours alone.
        colormap: A matplotlib name; by default "inferno", "RdBu_r" for signed maps.
        threshold: A share, 0 to 1, of the scale's largest magnitude; below it the picture alone is seen.
        percentile: Let the scale end at this percentile of the magnitudes, so that outliers do not hide the rest.
        locked: A scale or (lo, hi) for every map that is to be compared.
        side_by_side: False draws the overlay without the bare picture beside it.

    Example:
        grad_cam(engine, image).plot(threshold=0.2, opacity=0.7)
    """
    scale = scale_of(result.values, result.signed, colormap, percentile, locked)
    rgb = overlay(result.image, result.values, scale, opacity, threshold)
    label = f"{method_title(result.method)} value"
    if ax is not None:
        show(ax, rgb, values=result.values)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        color_bar(ax, scale, result.values, label, threshold)
        return ax
    figure, panels = sheet(title(result), result.image.shape, 2 if side_by_side else 1, right=0.875)
    if side_by_side:
        show(panels[0], result.image, "what the network saw")
    show(panels[-1], rgb, _caption(result), values=result.values)
    color_bar(panels[-1], scale, result.values, label, threshold)
    return figure


def _caption(result: Heatmap) -> str:
    """A map of one value looks like a fault of the figure: it is said that it is one."""
    least, most = result.values.min(), result.values.max()
    return f"with the map over it: {most:.4g} everywhere" if least == most else "with the map over it"
