"""The sum behind one value: input times kernel, channel by channel."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cnnviz_widgets.results import Arithmetic
from cnnviz_widgets.views.colour import Scale, colorize, scale_of
from cnnviz_widgets.views.layout import CAPTION, GAP, INK, MARGIN, MUTED, TITLE, Sheet, show, text_inches, wrap
from cnnviz_widgets.views.titles import title

__all__ = ["plot_arithmetic"]

MORE, LESS, REST = "#b2332c", "#2f6fb7", "#8b949e"  # The ends of the diverging scale; what is added up.
TILE, ROW = 0.6875, 0.8125  # Inches of a tile, and from one row to the next.


def plot_arithmetic(result: Arithmetic, ax: Axes | None = None, *, top: int = 6) -> Figure | Axes:
    """For the input channels that matter most: the patch, the kernel, their products and the sum; all in words above.

    Patches share one scale, kernels one, products one. Cells of the padding are hatched.

    Args:
        result: What to draw.
        ax: Draw only the bars into these axes.
        top: How many input channels; what the others add is one bar.

    Example:
        unit_arithmetic(engine, image, Unit("features.3", 7, y=4, x=2)).plot()
    """
    if top < 1:
        raise ValueError(f"top is at least 1, not {top}")
    rows = result.largest(top)
    if ax is not None:
        _bars(ax, result, rows)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    bars = _sums(result, rows)
    left = MARGIN + 0.25 + max(text_inches(_name(result, row), 9) for row in rows)
    start = left + 3 * (TILE + 0.3125) + max(text_inches(name, 9) for name, _ in bars)
    width = max(start + 3.25, 7.5)
    lines, words = wrap(title(result), width - 2 * MARGIN, 12, "bold"), wrap(_in_words(result), width - 2 * MARGIN, 9)
    top_inches = MARGIN + TITLE * len(lines) + 0.18 * len(words) + GAP / 2 + CAPTION
    height = top_inches + ROW * max(len(bars), len(rows)) + MARGIN
    figure = Sheet(width, height)
    text = {"va": "top", "ha": "left", "linespacing": 1.25, "parse_math": False}
    place = MARGIN / width
    figure.text(place, 1 - MARGIN / height, "\n".join(lines), color=INK, fontsize=12, fontweight="bold", **text)
    figure.text(place, 1 - (MARGIN + TITLE * len(lines)) / height, "\n".join(words), color=MUTED, fontsize=9, **text)
    _tiles(figure, result, rows, left, top_inches)
    depth = ROW * len(bars)
    panel = figure.add_axes(
        (start / width, 1 - (top_inches + depth) / height, 1 - (start + MARGIN) / width, depth / height)
    )
    _bars(panel, result, rows)
    panel.set_title("adds up to", loc="left", color=MUTED, fontsize=9, pad=4)
    return figure


def _tiles(figure: Figure, result: Arithmetic, rows: NDArray[np.int64], left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    inputs, kernel = result.inputs[rows], result.kernel[rows]
    columns: list[tuple[str, str, NDArray[np.float32], bool]] = [
        ("", "input", inputs, bool((inputs < 0).any())),
        ("×", "kernel", kernel, True),
        ("=", "products", inputs * kernel, True),
    ]
    for number, (sign, caption, values, signed) in enumerate(columns):
        scale = scale_of(values, signed)
        for row, tile in enumerate(values):
            x, y = left + number * (TILE + 0.3125), top + row * ROW
            ax = figure.add_axes((x / width, 1 - (y + TILE) / height, TILE / width, TILE / height))
            _tile(ax, tile, scale, result.inside if number == 0 else None, caption if row == 0 else "")
            middle = 1 - (y + TILE / 2) / height
            figure.text((x - 0.15625) / width, middle, sign, ha="center", va="center", color=INK, fontsize=11)
            if number == 0:
                figure.text((x - 0.125) / width, middle, _name(result, rows[row]), ha="right", va="center", color=INK,
                            fontsize=9)  # fmt: skip


def _tile(ax: Axes, values: NDArray[np.float32], scale: Scale, inside: NDArray[np.bool_] | None, caption: str) -> None:
    show(ax, colorize(values, scale)[..., :3], caption, values=values)
    for spine in ax.spines.values():
        spine.set(visible=True, color=MUTED, linewidth=0.5)
    if inside is not None:
        for y, x in np.argwhere(~inside):
            ax.fill((x - 0.5, x + 0.5, x + 0.5, x - 0.5), (y - 0.5, y - 0.5, y + 0.5, y + 0.5),
                    facecolor="none", edgecolor=REST, hatch="////", linewidth=0)  # fmt: skip


def _bars(ax: Axes, result: Arithmetic, rows: NDArray[np.int64]) -> None:
    bars = _sums(result, rows)
    places, values = range(len(bars)), [value for _, value in bars]
    colors = [REST if number >= len(rows) else MORE if value >= 0 else LESS for number, value in enumerate(values)]
    colors[-1] = INK
    drawn = ax.barh(places, values, height=0.5, color=colors)
    ax.axvline(0, color=INK, linewidth=0.8)
    least, most = min(0.0, *values), max(0.0, *values)
    room = 0.3 * ((most - least) or 1.0)  # for the numbers behind the bars
    ax.set_xlim(least - room * (least < 0), most + room)
    ax.set_ylim(len(bars) - TILE / ROW / 2, -TILE / ROW / 2)  # the first bar in the middle of the first tile
    ax.set_yticks(places, [name for name, _ in bars], color=INK, fontsize=9, parse_math=False)
    ax.bar_label(drawn, [f"{value:+.4g}" for value in values], padding=3, color=INK, fontsize=9)
    ax.set_xticks([])
    ax.tick_params(left=False)
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set_visible(False)


def _sums(result: Arithmetic, rows: NDArray[np.int64]) -> list[tuple[str, float]]:
    """What is added up: the channels shown, the others together, the bias; and what comes out."""
    bars = [(_name(result, row), float(result.contributions[row])) for row in rows]
    others = len(result.channels) - len(rows)
    if others:
        rest = float(result.contributions.sum() - result.contributions[rows].sum())
        bars.append((f"{others} other{'s' if others > 1 else ''}", rest))
    return [*bars, ("bias", result.bias), ("total", result.total)]


def _name(result: Arithmetic, row: np.int64) -> str:
    channel, colors = int(result.channels[row]), result.parameters.get("colors")
    return f"{channel} ({colors[channel]})" if colors else str(channel)


def _in_words(result: Arithmetic) -> str:
    count, outside = result.inputs.size, int((~result.inside).sum())
    padding = f" {outside} of the kernel's {result.inside.size} cells lie on padding." if outside else ""
    bias = "no bias" if not result.bias else f"{result.bias:+.4g} of bias"
    return (
        f"{count} products add up to {result.contributions.sum():.6g}; with {bias} that is {result.total:.6g}. "
        f"The network itself put out {result.value:.6g}.{padding}"
    )
