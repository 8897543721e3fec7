"""The filters of a layer as a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cnnviz_widgets.results import Filters
from cnnviz_widgets.views.colour import Scale, color_attribution, colorize, scale_of
from cnnviz_widgets.views.layout import DPI, INK, MUTED, color_bar, show
from cnnviz_widgets.views.tiles import Tiles, draw_tiles, tile_sheet
from cnnviz_widgets.views.titles import title

__all__ = ["plot_filters"]

_MATRIX = 1200  # figure pixels of the longer side of a matrix of 1x1 weights, where cells of whole pixels allow it
_ORDERED = {"norm": ", strongest first", "hue": ", by hue", "similarity": ", like beside like"}
_BAR = 0.9375  # inches beside the sheet, for the scale


@dataclass(frozen=True)
class _Sheet:
    """What is drawn: weights (m, kh, kw), or (m, 3, kh, kw) in colour, with a label for each and words about them.

    `more` is behind each label where there is room for it.
    """

    weights: NDArray[np.float32]
    labels: Sequence[str]
    caption: str
    more: Sequence[str] = ()

    @property
    def coloured(self) -> bool:
        return self.weights.ndim == 4


def plot_filters(
    result: Filters,
    ax: Axes | None = None,
    *,
    channel: int | None = None,
    filter: int | None = None,
    scale: Literal["sheet", "filter"] = "sheet",
    percentile: float | None = None,
    colormap: str | None = None,
    most: int = 256,
) -> Figure | Axes:
    """All filters in their order, each with its number: in colour about mid grey, or as signed maps, zero in white.

    A filter of many input channels is drawn by its strongest one, which is named behind its number; a layer of 1x1
    convolutions as a matrix, one row for each filter.

    Args:
        result: What to draw.
        ax: Draw the sheet, with its scale, into these axes.
        channel: Draw this input channel of every filter.
        filter: Draw all kernels of this filter, one for each input channel.
        scale: "sheet", one scale for all, so that weak filters look weak; "filter", each on its own.
        percentile: Let the scale end at this percentile of the magnitudes, so that outliers do not hide the rest.
        colormap: A matplotlib name for signed maps; by default "RdBu_r".
        most: Draw at most so many tiles: the first ones of the order.

    Example:
        filters(engine, "features.0", order="hue").plot(scale="filter")
    """
    _check(result, channel, filter, scale, most)
    n, c, *kernel = result.weights.shape
    heading = title(result) + ("" if filter is None else f" · filter {filter}")
    if kernel == [1, 1] and c > 1 and not result.rgb and channel is None and filter is None:
        return _matrix(result, ax, heading, scale, percentile, colormap)
    sheet = _of_one(result, filter, most) if filter is not None else _of_all(result, channel, most)
    rgb, scale_drawn = _colours(sheet, scale, percentile, colormap)
    tiles = Tiles.arranged(len(rgb), (kernel[0], kernel[1]))
    sheet = _labelled(sheet, tiles)
    if ax is None:
        figure, place = tile_sheet(heading, sheet.caption + _ends(sheet, scale_drawn), tiles.size,
                                   0 if sheet.coloured else _BAR)  # fmt: skip
    else:
        figure, place = ax, ax
        ax.set_title(heading, loc="left", fontsize=10, parse_math=False)
    if sheet.coloured:
        draw_tiles(place, tiles, rgb, sheet.labels)
    else:
        draw_tiles(place, tiles, rgb, sheet.labels, sheet.weights)
        _bar(place, scale_drawn, sheet.weights, scale)
    return figure


def _of_all(result: Filters, channel: int | None, most: int) -> _Sheet:
    """One tile for each filter, as many as are wanted."""
    shown = result.order[:most]
    weights = result.weights[shown]
    n, c, height, width = result.weights.shape
    order = result.parameters.get("order", "index")
    said = _ORDERED.get(order, "")
    words = f"{n} filters of {height}x{width}{_settings(result)}{said}"
    words += f", the first {most} of them" if n > most else ""
    if result.rgb and channel is None:
        return _Sheet(weights, [str(k) for k in shown], words)
    if channel is not None:
        of = ("red", "green", "blue")[channel] if result.rgb else f"input channel {channel}"
        return _Sheet(weights[:, channel], [str(k) for k in shown], f"{words}; {of}")
    if c == 1:
        return _Sheet(weights[:, 0], [str(k) for k in shown], words)
    strongest = np.square(weights.astype(np.float64)).sum((2, 3)).argmax(1)
    kernels = weights[np.arange(len(weights)), strongest]
    words += f"; of each the strongest of its {c} input channels"
    return _Sheet(kernels, [str(k) for k in shown], words, [f" ← {i}" for i in strongest])


def _labelled(sheet: _Sheet, tiles: Tiles) -> _Sheet:
    """With more in each label, if there is room for it over every tile."""
    labels = [label + more for label, more in zip(sheet.labels, sheet.more, strict=False)]
    if not labels or not tiles.fit(labels):
        return sheet
    return replace(sheet, labels=labels, caption=f"{sheet.caption} (← which)")


def _settings(result: Filters) -> str:
    """ ", stride 2, depthwise": what is out of the ordinary."""
    about, n = result.parameters, len(result.weights)
    words = ""
    for name in ("stride", "dilation"):
        y, x = about.get(name, (1, 1))
        words += "" if y == x == 1 else f", {name} {y}" if y == x else f", {name} {y}x{x}"
    groups = about.get("groups", 1)
    if groups > 1:
        words += ", depthwise" if result.weights.shape[1] == 1 and groups <= n else f", {groups} groups"
    return words + (", transposed" if about.get("transposed") else "")


def _of_one(result: Filters, filter: int, most: int) -> _Sheet:
    """One tile for each input channel of a filter."""
    weights = result.weights[filter]
    names = ["red", "green", "blue"] if result.rgb else [f"← {i}" for i in range(len(weights))]
    cut = f", the first {most} of them" if len(weights) > most else ""
    words = f"{len(weights)} kernels of {weights.shape[1]}x{weights.shape[2]}, one for each input channel{cut}"
    return _Sheet(weights[:most], names[:most], words)


def _colours(
    sheet: _Sheet, scale: str, percentile: float | None, colormap: str | None
) -> tuple[NDArray[np.uint8], Scale]:
    """The tiles as colours (m, kh, kw, 3), and the scale that they are on (-1 to 1 where each has its own)."""
    weights = sheet.weights.astype(np.float64)
    if scale == "filter":
        axes = tuple(range(1, weights.ndim))
        limits = [scale_of(one, True, percentile=percentile).hi or 1 for one in weights]
        weights = weights / np.expand_dims(limits, axes)
    drawn = Scale(-1, 1, scale_of(0, True, colormap).colormap, True)
    if scale == "sheet":
        drawn = scale_of(weights, True, colormap, percentile)
    if not sheet.coloured:
        return colorize(weights, drawn)[..., :3], drawn
    m, _, height, width = weights.shape
    tall = weights.transpose(1, 0, 2, 3).reshape(3, m * height, width).clip(drawn.lo, drawn.hi)
    return color_attribution(tall, None).reshape(m, height, width, 3), drawn


def _ends(sheet: _Sheet, scale: Scale) -> str:
    """What a colour means where no scale is drawn."""
    if not sheet.coloured:
        return ""
    if scale.hi == 1:
        return "; grey is 0, each filter on a scale of its own"
    return f"; grey is 0, full colour ±{scale.hi:.2g}"


def _bar(ax: Axes, scale: Scale, weights: NDArray[np.float32], kind: str) -> None:
    if kind == "filter":
        color_bar(ax, scale, np.zeros(1), "weight / largest of its filter")
    else:
        color_bar(ax, scale, weights, "weight")


def _matrix(
    result: Filters, ax: Axes | None, heading: str, scale: str, percentile: float | None, colormap: str | None
) -> Figure | Axes:
    """A layer of 1x1 convolutions: rows are filters in their order, columns input channels."""
    n, c = result.weights.shape[:2]
    sheet = _Sheet(result.weights[result.order][:, :, 0], [], "")
    rgb, drawn = _colours(sheet, scale, percentile, colormap)
    times = max(1, min(_MATRIX // max(n, c), 24))
    if ax is None:
        said = _ORDERED.get(result.parameters.get("order", "index"), "")
        caption = f"1x1 convolution{_settings(result)}: {n} filters{said}, over {c} input channels each"
        figure, place = tile_sheet(heading, caption, (n * times + 80, c * times + 96), _BAR)
        box, (wide, high) = place.get_position(), figure.get_size_inches() * DPI
        place.set_position((box.x0 + 96 / wide, box.y0 + 80 / high, c * times / wide, n * times / high))
    else:
        figure, place = ax, ax
        ax.set_title(heading, loc="left", fontsize=10, parse_math=False)
    show(place, rgb[:, :, 0], values=sheet.weights[:, :, 0])
    columns, rows = _ticks(c), _ticks(n)
    place.set_xticks(columns)
    place.set_yticks(rows, [str(result.order[k]) for k in rows])
    place.set_xlabel("input channel", color=MUTED, fontsize=9)
    place.set_ylabel("filter", color=MUTED, fontsize=9)
    place.tick_params(colors=MUTED, labelcolor=INK, labelsize=7, length=2, width=0.6)
    _bar(place, drawn, result.weights, scale)
    return figure


def _ticks(count: int) -> list[int]:
    """About eight round numbers below `count`, from 0."""
    step = next(s for s in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096) if count / s <= 9 or s == 4096)
    return list(range(0, count, step))


def _check(result: Filters, channel: int | None, filter: int | None, scale: str, most: int) -> None:
    if scale not in ("sheet", "filter"):
        raise ValueError(f"scale is 'sheet' or 'filter', not {scale!r}")
    if most < 1:
        raise ValueError(f"most is at least 1, not {most}")
    if channel is not None and filter is not None:
        raise ValueError("channel draws one input channel of all filters, filter all of one: give one of them")
    n, c = result.weights.shape[:2]
    for name, number, count in (("channel", channel, c), ("filter", filter, n)):
        if number is not None and not 0 <= number < count:
            raise ValueError(f"{name} is from 0 to {count - 1} in this layer, not {number}")
