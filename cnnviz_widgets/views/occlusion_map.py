"""What covering each part of the picture does to the score, and what the network then takes it for."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Patch, Rectangle
from numpy.typing import NDArray

from cnnviz_widgets.results import OcclusionMap, Unit
from cnnviz_widgets.views.colour import DIVERGING, Scale, overlay, scale_of
from cnnviz_widgets.views.layout import GAP, INK, color_bar, sheet, show, text_inches
from cnnviz_widgets.views.palette import distinct_colors
from cnnviz_widgets.views.titles import shorten, title

__all__ = ["plot_occlusion_map"]

_BAR = 0.9375  # Inches beside the score map.
_MOST = 10  # Classes with a colour of their own.
_OTHERS = (140, 149, 159)


def plot_occlusion_map(
    result: OcclusionMap,
    ax: Axes | None = None,
    *,
    opacity: float = 0.8,
    colormap: str = DIVERGING,
    percentile: float | None = None,
    locked: Scale | tuple[float, float] | None = None,
    panel: Literal["score", "classes"] = "score",
) -> Figure | Axes:
    """The picture with the patch where it costs most, the score for each place of the patch, and the classes if asked.

    A cell of the map stands where the patch is centred. The colours run both ways from the score without a patch: blue
    where the score sinks (what is covered there speaks for the target), red where it rises.

    Args:
        result: What to draw.
        ax: Draw only one panel into these axes: the one that `panel` names.
        opacity: Of the map over the picture, which is drawn in grey; at 1 the map alone is seen.
        colormap: A matplotlib name; its middle is the score without a patch.
        percentile: Let the scale end at this percentile of the changes, so that outliers do not hide the rest.
        locked: A scale or (lo, hi) for every map that is to be compared.
        panel: With `ax`, "score" or "classes".

    Raises:
        ValueError: "classes" of a map that has none.

    Example:
        occlusion(engine, image, "tabby", most_probable=True).plot(opacity=1)
    """
    if panel not in ("score", "classes"):
        raise ValueError(f"panel is 'score' or 'classes', not {panel!r}")
    if panel == "classes" and result.classes is None:
        raise ValueError("this map holds no classes; ask for them: occlusion(..., most_probable=True)")
    scale = _scale(result, colormap, percentile, locked)
    if ax is not None:
        if panel == "score":
            _draw_scores(ax, result, scale, opacity)
        else:
            _draw_classes(ax, result, opacity)
        ax.set_title(title(result), loc="left", fontsize=10, parse_math=False)
        return ax
    if result.classes is None:
        figure, (seen, scores) = sheet(title(result), result.image.shape, 2, right=_BAR)
    else:
        room = 0.6 + max((text_inches(name, 9) for name in _legend(result)), default=0)
        figure, (seen, scores, classes) = sheet(title(result), result.image.shape, 3, room, between=(GAP, GAP + _BAR))
        _draw_classes(classes, result, opacity, "most probable class")
    _draw_patch(seen, result)
    _draw_scores(scores, result, scale, opacity, f"without a patch {result.base:.4g} (middle of the scale)")
    return figure


def _scale(
    result: OcclusionMap, colormap: str, percentile: float | None, locked: Scale | tuple[float, float] | None
) -> Scale:
    """As far up as down from the score without a patch."""
    if locked is not None:
        return scale_of(result.scores, False, colormap, locked=locked)
    changes = result.scores.astype(np.float64) - result.base
    reach = scale_of(changes, True, percentile=percentile).hi or max(abs(result.base), 1.0)
    return Scale(result.base - reach, result.base + reach, colormap)


def _draw_scores(ax: Axes, result: OcclusionMap, scale: Scale, opacity: float, caption: str = "") -> None:
    values = _on_the_picture(result.scores, result)
    show(ax, overlay(_grey(result.image), values, scale, opacity), caption, values=values)
    bar = color_bar(ax, scale, result.scores, f"{_measure(result)} with the patch there")
    bar.axhline(result.base, color=INK, linewidth=1)


def _draw_classes(ax: Axes, result: OcclusionMap, opacity: float, caption: str = "") -> None:
    assert result.classes is not None
    numbers = _by_frequency(result.classes)
    colours = np.array([*distinct_colors(min(len(numbers), _MOST)), _OTHERS], np.float64)
    ranks = np.full(result.classes.shape, np.nan, np.float32)
    for rank, number in enumerate(numbers):
        ranks[result.classes == number] = min(rank, _MOST)
    places = _on_the_picture(ranks, result)
    known = ~np.isnan(places)
    rgb = _grey(result.image).astype(np.float64)
    rgb[known] = rgb[known] * (1 - opacity) + colours[places[known].astype(int)] * opacity
    show(ax, np.rint(rgb).astype(np.uint8), caption)
    if not numbers:
        return
    handles = [Patch(color=colour / 255, label=name) for colour, name in zip(colours, _legend(result), strict=False)]
    legend = ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1), borderaxespad=0, frameon=False, fontsize=9,
        labelcolor=INK, handlelength=1, handleheight=1,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_patch(ax: Axes, result: OcclusionMap) -> None:
    """The picture with the patch in it, to scale: where the score is lowest, once there is a score."""
    found = bool(result.done)
    i, j = result.strongest() if found else (0, 0)
    (top, left), (height, width) = (int(result.tops[i]), int(result.lefts[j])), result.size
    rows, columns = (np.arange(length) for length in result.image.shape[:2])
    inside = ((rows >= top) & (rows < top + height))[:, None] & ((columns >= left) & (columns < left + width))
    if result.mask is not None:
        y, x = np.nonzero(inside)
        inside[y, x] = result.mask[y - top, x - left]
    caption = f"lowest with the patch here: {result.scores[i, j]:.4g}" if found else "the patch"
    show(ax, np.where(inside[..., None], result.fill, result.image), caption)
    for colour, line in (("white", 2.5), (INK, 1.0)):
        about = {"fill": False, "edgecolor": colour, "linewidth": line}
        corner = (left - 0.5, top - 0.5)
        outline = (
            Rectangle(corner, width, height, **about)
            if result.mask is None
            else Ellipse((corner[0] + width / 2, corner[1] + height / 2), width, height, **about)
        )
        ax.add_patch(outline)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without its colours, which would tint those that lie over it."""
    level = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def _on_the_picture(cells: NDArray[np.float32], result: OcclusionMap) -> NDArray[np.float32]:
    """(H, W) each place's value around the middle of the patch there; NaN where no patch is centred near."""
    height, width, _ = result.image.shape
    rows = _nearest(result.tops, result.size[0], height)
    columns = _nearest(result.lefts, result.size[1], width)
    values = cells[np.ix_(rows, columns)]
    values[rows < 0], values[:, columns < 0] = np.nan, np.nan
    return values


def _nearest(starts: NDArray[np.int64], size: int, length: int) -> NDArray[np.int64]:
    """(length,) in the middle of which patch each pixel lies: within half a step, and under it; -1 for none."""
    reach = min(int(np.diff(starts).max()), size) if len(starts) > 1 else size
    away = np.abs(np.arange(length)[:, None] + 0.5 - (starts + size / 2))
    nearest = away.argmin(1)
    return np.where(away[np.arange(length), nearest] <= reach / 2, nearest, -1)


def _by_frequency(classes: NDArray[np.int64]) -> list[int]:
    """The classes' numbers, the most frequent first; the lower number first where two are equal."""
    numbers, counts = np.unique(classes[classes >= 0], return_counts=True)
    return numbers[np.argsort(-counts, kind="stable")].tolist()


def _legend(result: OcclusionMap) -> list[str]:
    """The names of the classes that have a colour of their own, and how many share the last."""
    assert result.classes is not None
    numbers = _by_frequency(result.classes)
    names = [shorten(result.class_names[number], 28) for number in numbers[:_MOST]]
    more = len(numbers) - len(names)
    return [*names, *([f"{more} other{'s' if more > 1 else ''}"] if more else [])]


def _measure(result: OcclusionMap) -> str:
    """What the numbers are, in words."""
    if isinstance(result.target, Unit):
        return "total response" if result.target.y is None else "activation"
    return str(result.parameters.get("output", "score"))
