"""Where a channel is highly active: the rest of the picture dimmed."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import ActivationMask
from cnnviz_widgets.views.colour import Scale, overlay, scale_of
from cnnviz_widgets.views.layout import color_bar, sheet, show
from cnnviz_widgets.views.predictions import percent
from cnnviz_widgets.views.titles import title

__all__ = ["plot_activation_mask"]


def plot_activation_mask(
    result: ActivationMask,
    ax: Axes | None = None,
    *,
    dim: float = 0.8,
    opacity: float = 0.7,
    colormap: str | None = None,
    percentile: float | None = None,
    locked: Scale | tuple[float, float] | None = None,
) -> Figure | Axes:
    """The picture, the picture dimmed outside the mask, and the channel's map where its positions stand.

    Args:
        result: What to draw.
        ax: Draw only the dimmed picture into these axes.
        dim: How dark the rest is: 0 leaves it, 1 is black.
        opacity: Of the map over the picture.
        colormap: Of the map; by default "inferno", "RdBu_r" for maps with values below zero.
        percentile: Let the scale end at this percentile of the magnitudes.
        locked: A scale or (lo, hi) for every map that is to be compared.

    Example:
        activation_mask(engine, image, Unit("features.9", 7)).plot(dim=0.9)
    """
    if not 0 <= dim <= 1:
        raise ValueError(f"dim is a share from 0 to 1, not {dim!r}")
    shown = np.rint(result.image * np.where(result.mask, 1, 1 - dim)[..., None]).astype(np.uint8)
    if ax is not None:
        show(ax, shown)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    scale = scale_of(result.raw, result.signed, colormap, percentile, locked)
    figure, (seen, masked, mapped) = sheet(title(result), result.image.shape, 3, right=0.875)
    show(seen, result.image, "what the network saw")
    show(masked, shown, _caption(result))
    stretched = result.parameters.get("placed") == "stretched"
    show(
        mapped,
        overlay(result.image, result.values, scale, opacity),
        "its map, stretched over the picture" if stretched else "its map, values where they look",
        values=result.values,
    )
    color_bar(mapped, scale, result.raw, "activation")
    return figure


def _caption(result: ActivationMask) -> str:
    share = float(result.mask.mean())
    if not share:
        return "nowhere active in this picture" if not (result.raw > 0).any() else "active nowhere inside the picture"
    return f"from {result.threshold:.4g} up: {percent(share)} of the picture"
