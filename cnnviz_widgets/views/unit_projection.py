"""What one unit saw, and what of it made the unit fire."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnviz_widgets.results import UnitProjection
from cnnviz_widgets.views.colour import color_attribution
from cnnviz_widgets.views.layout import MUTED, NARROW, panel_inches, sheet, show
from cnnviz_widgets.views.titles import method_title, title

__all__ = ["plot_unit_projection"]


def plot_unit_projection(
    result: UnitProjection, ax: Axes | None = None, *, percentile: float | None = 99.5
) -> Figure | Axes:
    """The picture with the unit's receptive field, the pixels in it, and its projection, both enlarged.

    Args:
        result: What to draw.
        ax: Draw only the projection into these axes.
        percentile: Where the colours end, of the magnitudes in the field. None: at the largest.

    Example:
        project_unit(engine, image, Unit("features.9", 7)).plot()
    """
    colors = color_attribution(result.crop(), percentile, result.signed) if result.crop().size else None
    if ax is not None:
        if colors is None:
            _nothing(ax)
        else:
            show(ax, colors)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    figure, (seen, patch, projection) = sheet(title(result), result.image.shape, 3)
    show(seen, result.image, "what the network saw")
    x0, y0, x1, y1 = (int(v) for v in result.box)
    if colors is None:
        _nothing(patch)
        _nothing(projection)
        return figure
    for color, width in (("black", 3.0), ("white", 1.25)):  # seen on dark and on light pixels
        frame = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=color, linewidth=width)
        frame.set_clip_on(False)
        seen.add_patch(frame)
    for panel in (patch, projection):
        _whole_pixels(panel, (y1 - y0, x1 - x0))
    show(patch, result.patch(), f"it saw {x1 - x0}x{y1 - y0}: activation {result.activation:.4g}")
    show(projection, colors, _caption(result))
    return figure


def _caption(result: UnitProjection) -> str:
    if not result.crop().any():
        return "nothing to project: the unit is off" if result.activation == 0 else "nothing comes back to the pixels"
    if result.parameters.get("rectified") is False:
        return "no rectifier below: its gradient"
    return method_title(str(result.parameters.get("method", "")))


def _whole_pixels(ax: Axes, shape: tuple[int, int]) -> None:
    """The axes in the middle of their place, a whole number of figure pixels for each of the patch's."""
    figure, place = ax.figure, ax.get_position()
    assert isinstance(figure, Figure)
    across, high = (
        inches / total for inches, total in zip(panel_inches(shape, NARROW), figure.get_size_inches(), strict=True)
    )
    scale = min(1.0, place.width / across, place.height / high)
    ax.set_position((place.x0, place.y1 - high * scale, across * scale, high * scale))


def _nothing(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, "the unit sees only padding", ha="center", va="center", color=MUTED, transform=ax.transAxes)
