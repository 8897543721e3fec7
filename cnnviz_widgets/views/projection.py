"""A collection of pictures as points on a map, coloured by what they are or what the network takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cnnviz_widgets.results import Projection
from cnnviz_widgets.views.layout import DPI, INK, MUTED, PAPER, text_inches
from cnnviz_widgets.views.palette import distinct_colors
from cnnviz_widgets.views.predictions import percent
from cnnviz_widgets.views.tiles import tile_sheet
from cnnviz_widgets.views.titles import shorten, title

__all__ = ["plot_projection"]

ColorBy = Literal["label", "prediction", "correct"]

SIDE = 960  # Figure pixels of the longer side of the map.
MOST = 20  # Colours, beyond which nobody tells them apart.
NAMED = 12  # Groups up to which their names stand on the map too.
LINE = 0.19  # Inches from one line of the legend to the next.
PLAIN, REST, RIGHT, WRONG = "#2f6fb7", "#b6bdc5", "#8fb2dc", "#b2332c"
MEANINGLESS = "only who lies next to whom has a meaning: not the axes, nor how far apart or how large groups are"


class Group(NamedTuple):
    """The points of one colour."""

    name: str
    color: tuple[float, float, float]
    members: NDArray[np.bool_]
    named: bool = True  # on the map, where there is room


def plot_projection(
    result: Projection,
    ax: Axes | None = None,
    *,
    color_by: ColorBy | None = "label",
    names: bool = True,
    size: float | None = None,
    alpha: float | None = None,
) -> Figure | Axes:
    """Every picture as a point; beside the map, which colour is which group and how many pictures it has.

    Args:
        result: What to draw.
        ax: Draw the map alone into these axes, without the list of groups.
        color_by: ``"label"`` (one colour for all where there are no labels), ``"prediction"``, the class that the
            network holds most likely, ``"correct"``, on which what it gets wrong stands out, or None.
        names: Write the names of few groups at the middle of their points.
        size: Diameter of a point in typographic points; by default the smaller, the more there are.
        alpha: Opacity of a point, 0 to 1; by default the less, the more there are.

    Example:
        tsne(index).plot(color_by="correct")
    """
    if size is not None and size <= 0:
        raise ValueError(f"size is above 0, not {size}")
    if alpha is not None and not 0 < alpha <= 1:
        raise ValueError(f"alpha is above 0 and at most 1, not {alpha}")
    groups = _groups(result, color_by)
    if ax is not None:
        _draw(ax, result, groups, names, size, alpha)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    listed = [_entry(group) for group in groups] if len(groups) > 1 or groups[0].name else []
    room = 0.55 + max(text_inches(words, 9) for words in listed) if listed else 0.0
    figure, place = tile_sheet(title(result), _caption(result, color_by), _panel(result, len(listed)), room)
    if result.method == "pca":
        _make_room_for_axes(place)
    _draw(place, result, groups, names, size, alpha)
    if listed:
        _legend(place, groups, listed)
    return figure


def _groups(result: Projection, color_by: ColorBy | None) -> list[Group]:
    if color_by not in ("label", "prediction", "correct", None):
        near = get_close_matches(str(color_by), ("label", "prediction", "correct"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"color_by is 'label', 'prediction', 'correct' or None, not {color_by!r}{hint}")
    everything = np.ones(len(result.points), bool)
    if color_by == "prediction":
        if result.predictions is None:
            raise ValueError("this map does not hold what the network took its pictures for")
        return _by_class(result.predictions, result.categories, "not told", largest_first=True)
    if color_by == "correct":
        if result.correct is None or not (result.correct >= 0).any():
            raise ValueError("nobody knows what is correct here: the labels, if any, are none of the network's classes")
        parts = [("right", RIGHT, 1), ("not known", REST, -1), ("wrong", WRONG, 0)]
        found = [Group(name, to_rgb(color), result.correct == value, False) for name, color, value in parts]
        return [group for group in found if group.members.any()]
    if color_by == "label" and (result.labels >= 0).any():
        return _by_class(result.labels, result.classes, "no label", largest_first=False)
    return [Group("", to_rgb(PLAIN), everything, False)]


def _by_class(numbers: NDArray[np.int64], names: Sequence[str], without: str, largest_first: bool) -> list[Group]:
    """The classes that occur; of more than `MOST` the largest, and the rest in grey."""
    present, counts = np.unique(numbers[numbers >= 0], return_counts=True)
    ranked = present[np.argsort(-counts, kind="stable")]
    shown = ranked[: MOST if len(ranked) <= MOST else MOST - 1]
    if not largest_first:
        shown = np.sort(shown)
    colors = distinct_colors(len(shown)) / 255
    called = [names[int(c)] if c < len(names) else str(c) for c in shown]
    groups = [Group(name, tuple(color), numbers == c) for name, c, color in zip(called, shown, colors, strict=True)]
    others = (numbers >= 0) & ~np.isin(numbers, shown)
    if others.any():
        groups.append(Group(f"{len(ranked) - len(shown)} other classes", to_rgb(REST), others, False))
    if (numbers < 0).any():
        groups.append(Group(without, to_rgb(REST), numbers < 0, False))
    return groups


def _draw(
    ax: Axes, result: Projection, groups: Sequence[Group], names: bool, size: float | None, alpha: float | None
) -> None:
    count = len(result.points)
    colors, over = np.zeros((count, 3)), np.zeros(count, int)
    for group in groups:
        colors[group.members] = group.color
        over[group.members] = {to_rgb(REST): -1, to_rgb(WRONG): 1}.get(group.color, 0)
    # Mixed, so that no group lies over another; but the grey of the rest first, and what stands out last.
    order = np.random.default_rng(0).permutation(count)
    order = order[np.argsort(over[order], kind="stable")]
    wrong = over > 0
    diameter = size or float(np.clip(np.sqrt(0.19 * 360**2 / max(count, 1)), 0.85, 6))
    areas = np.where(wrong, 2.0, 1.0)[order] * diameter**2
    faint = alpha or float(np.clip(1.6 - 0.22 * np.log10(max(count, 1)), 0.4, 0.9))
    opacity = np.where(wrong, max(faint, 0.9), faint)[order]
    points = result.points[order]
    ax.scatter(points[:, 0], points[:, 1], s=cast(Any, areas), c=np.column_stack([colors[order], opacity]),
               linewidths=0, rasterized=count > 2000)  # fmt: skip
    _frame(ax, result)
    if names and sum(group.named for group in groups) <= NAMED:
        _write_names(ax, result.points, [group for group in groups if group.named])


def _frame(ax: Axes, result: Projection) -> None:
    """Limits that show every point, one unit as long across as up, in axes of any shape; ticks only where they mean
    something."""
    low, high = _extent(result.points)
    middle, half = (low + high) / 2, (high - low) / 2 * 1.05
    box = ax.bbox
    half = np.maximum(half, half[::-1] * np.array([box.width / box.height, box.height / box.width]))
    ax.set(xlim=(middle[0] - half[0], middle[0] + half[0]), ylim=(middle[1] - half[1], middle[1] + half[1]))
    ax.set_aspect("equal", adjustable="box")
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set(color=REST, linewidth=0.6)
    if result.method != "pca":
        ax.set(xticks=[], yticks=[])
        return
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3, width=0.6)
    for number, axis in enumerate((ax.xaxis, ax.yaxis)):
        share = float(result.trace[number]) if number < len(result.trace) else 0.0
        axis.set_label_text(f"{('first', 'second')[number]} axis: {percent(share)} of the variance", color=MUTED,
                            fontsize=9)  # fmt: skip


def _extent(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(points):
        return -np.ones(2), np.ones(2)
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    least = 0.05 * float((high - low).max()) or 1.0
    missing = np.maximum(least - (high - low), 0) / 2
    return low - missing, high + missing


def _panel(result: Projection, lines: int) -> tuple[int, int]:
    """(height, width) of the map in figure pixels: as its points lie, but no strip, and as high as the list beside."""
    low, high = _extent(result.points)
    ratio = float((high[1] - low[1]) / (high[0] - low[0]))
    tall = max(min(ratio, 1.0), 0.5) * SIDE
    wide = max(min(1 / ratio, 1.0), 0.5) * SIDE
    return round(max(tall, (lines * LINE + 0.1) * DPI)), round(wide)


def _make_room_for_axes(ax: Axes) -> None:
    """Shrink the map by what its ticks and labels need at the left and below."""
    assert isinstance(ax.figure, Figure)
    width, height = ax.figure.get_size_inches()
    place, left, low = ax.get_position(), 0.6 / width, 0.45 / height
    ax.set_position((place.x0 + left, place.y0 + low, place.width - left, place.height - low))


def _write_names(ax: Axes, points: NDArray[np.float32], groups: Sequence[Group]) -> None:
    """Each name at the median of its points, the largest group first; one that would cover another moves or is left."""
    assert isinstance(ax.figure, Figure)
    inches = ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi
    across, up = np.ptp(ax.get_xlim()) / inches[0], np.ptp(ax.get_ylim()) / inches[1]  # units an inch
    taken: list[tuple[float, float, float, float]] = []
    for group in sorted(groups, key=lambda group: -int(group.members.sum())):
        words = shorten(group.name, 24)
        x, y = np.median(points[group.members], axis=0)
        wide, high = (text_inches(words, 9, "bold") / 2 + 0.04) * across, 0.09 * up
        x = float(np.clip(x, ax.get_xlim()[0] + wide, ax.get_xlim()[1] - wide))
        for shift in (0, 1, -1, 2, -2, 3, -3):
            box = x - wide, y + (shift - 1) * high, x + wide, y + (shift + 1) * high
            inside = ax.get_ylim()[0] <= box[1] and box[3] <= ax.get_ylim()[1]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                ax.text(x, (box[1] + box[3]) / 2, words, ha="center", va="center", fontsize=9, fontweight="bold",
                        color=INK, parse_math=False,
                        path_effects=[withStroke(linewidth=2.5, foreground=PAPER)])  # fmt: skip
                break


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _entry(group: Group) -> str:
    return f"{shorten(group.name, 28)} ({int(group.members.sum())})"


def _legend(ax: Axes, groups: Sequence[Group], entries: Sequence[str]) -> None:
    """Beside the map, never over its points."""
    assert isinstance(ax.figure, Figure)
    dots = [Line2D([], [], linestyle="", marker="o", markersize=6, markeredgewidth=0, color=g.color) for g in groups]
    place, width = ax.get_position(), ax.figure.get_figwidth()
    legend = ax.figure.legend(dots, entries, loc="upper left", bbox_to_anchor=(place.x1 + 0.12 / width, place.y1),
                              frameon=False, fontsize=9, labelcolor=INK, borderpad=0, borderaxespad=0,
                              handletextpad=0.2, labelspacing=(LINE * 72 - 9.5) / 9)  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _caption(result: Projection, color_by: ColorBy | None) -> str:
    count = len(result.points)
    pictures = f"{count:,} picture{'' if count == 1 else 's'}".replace(",", " ")
    words = {
        "label": "label",
        "prediction": "what the network takes them for",
        "correct": "whether the network is right",
    }
    told = color_by is not None and (color_by != "label" or (result.labels >= 0).any())
    by = f", coloured by {words[str(color_by)]}" if told else ""
    about = result.parameters
    if result.method == "pca":
        both = float(result.trace[:2].sum())
        return f"{pictures}{by}; the two axes hold {percent(min(both, 1.0))} of the variance"
    if result.method == "tsne":
        asked = f" ({about['asked_perplexity']:.3g} is too much for so few)" if "asked_perplexity" in about else ""
        how = f"perplexity {about.get('perplexity', float('nan')):.3g}{asked}, {about.get('iterations')} iterations"
    else:
        how = f"{about.get('neighbors')} neighbours, {about.get('epochs')} epochs"
    return f"{pictures}{by}; {how}; {MEANINGLESS}"
