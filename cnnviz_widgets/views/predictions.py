"""What the network takes a picture for."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Predictions
from cnnviz_widgets.views.layout import INK, LEAST, MARGIN, MUTED, sheet, show, text_inches
from cnnviz_widgets.views.titles import shorten, title

__all__ = ["plot_predictions"]

BAR, TRACK = "#2f6fb7", "#eaeef2"


def plot_predictions(result: Predictions, ax: Axes | None = None, *, top: int | None = None) -> Figure | Axes:
    """The picture, and one bar for each class, best first, on a scale from 0 to 100 %.

    Args:
        result: What to draw.
        ax: Draw only the bars into these axes.
        top: Draw only so many classes.

    Example:
        engine.predict(image).plot(top=3)
    """
    if top is not None and top < 1:
        raise ValueError(f"top is at least 1, not {top}")
    if ax is not None:
        _bars(ax, result, top)
        return ax
    names = [shorten(name, 30) for name in result.names[:top]]
    label_room = 0.35 + max((text_inches(name, 10) for name in names), default=0)
    figure, (seen,) = sheet(title(result), result.image.shape, 1, right=label_room + 3.1)
    show(seen, result.image, "what the network saw")
    place = seen.get_position()
    left = place.x1 + label_room / figure.get_figwidth()
    high = max(place.height, LEAST / figure.get_figheight())
    bars = figure.add_axes((left, MARGIN / figure.get_figheight(), 1 - left - 0.25 / figure.get_figwidth(), high))
    _bars(bars, result, top)
    return figure


def _bars(ax: Axes, result: Predictions, top: int | None) -> None:
    shares = [float(p) for p in result.probabilities[:top]]
    rows = range(len(shares))
    high = ax.bbox.height / ax.figure.dpi * 72
    size = min(10.0, 0.8 * high / max(len(shares), 1))  # Points: many rows stay apart.
    ax.barh(rows, [1.0] * len(shares), height=0.62, color=TRACK, zorder=1)
    ax.barh(rows, shares, height=0.62, color=BAR, zorder=2)
    for row, share in zip(rows, shares, strict=True):
        inside = share > 0.8
        ax.text(share + (-0.015 if inside else 0.015), row, percent(share), va="center", zorder=3, fontsize=size,
                ha="right" if inside else "left", color="white" if inside else INK)  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(max(len(shares), 3) - 0.5, -0.5), xticks=[])
    ax.set_yticks(rows)
    ax.set_yticklabels([shorten(name, 30) for name in result.names[:top]], color=INK, fontsize=size, parse_math=False)
    ax.tick_params(left=False)
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title("probability", loc="left", color=MUTED, fontsize=9, pad=4)


def percent(share: float) -> str:
    """Readable at both ends: "53.2 %", "<0.1 %"; only 1 itself is "100 %"."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return "100 %" if share == 1 else f"{min(share, 0.999):.1%}".replace("%", " %")
