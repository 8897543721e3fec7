"""The sheet of paper that results are drawn on: a matplotlib figure that pyplot never hears of.

Sizes are laid out in inches so that every pixel of the picture covers a whole number of the figure's pixels: nothing is
resampled, and what lies over the picture lies on the very pixels it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray

from cnnviz_widgets.views.colour import Scale, cut_of, lookup_table

__all__ = ["INK", "MUTED", "PAPER", "Sheet", "ValueImage", "color_bar", "png", "sheet", "show"]

# Stated, never left to the user's style: the figure is as readable in a dark JupyterLab as on paper.
PAPER, INK, MUTED = "#ffffff", "#1f2328", "#59636e"
DPI, CSS_DPI = 192, 96  # Drawn at twice the size that the browser shows: sharp on every screen.
SIDE, NARROW = 640, 480  # About how many figure pixels the longer side of a picture gets; in a row of three and more.
MARGIN, CAPTION, TITLE, GAP = 0.1875, 0.3125, 0.25, 0.1875  # Inches; whole numbers of figure pixels.
LEAST = 1.9375  # Inches that a panel keeps for its caption and its scale, however narrow or low the picture.


class Sheet(Figure):
    """A figure that shows itself exactly once as the last line of a cell, whatever pyplot and its backend do."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=DPI, facecolor=PAPER, edgecolor=PAPER)
        FigureCanvasAgg(self)

    def savefig(self, fname: Any, *, transparent: bool | None = None, **kwargs: Any) -> None:
        """As matplotlib's, but a style's dark paper does not replace the light one that the ink was chosen for."""
        kwargs = {"facecolor": "auto", "edgecolor": "auto", **kwargs}
        super().savefig(fname, transparent=transparent, **kwargs)

    def _ipython_display_(self) -> None:
        # A plain Figure is shown by IPython only once pyplot was imported, and then blurred; this one is sharp always.
        from IPython.display import display

        display(_Shown(self))


class _Shown:
    def __init__(self, figure: Sheet) -> None:
        self.figure = figure

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png(self.figure)

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches() * CSS_DPI
        return f"<Figure of {width:.0f}x{height:.0f} with {len(self.figure.axes)} axes>"


class ValueImage(AxesImage):
    """Colours on the screen, values under the cursor: interactive backends read out the raw number."""

    values: NDArray[np.float32]

    def get_cursor_data(self, event: MouseEvent) -> float | None:
        """The raw value of the pixel under the cursor, or None beside the picture."""
        x, y = np.floor(self.axes.transData.inverted().transform((event.x, event.y)) + 0.5).astype(int)
        height, width = self.values.shape
        return float(self.values[y, x]) if 0 <= x < width and 0 <= y < height else None

    def format_cursor_data(self, data: float) -> str:
        """Four digits: `[0.03125]`."""
        return f"[{data:.4g}]"


def png(figure: Figure) -> tuple[bytes, dict[str, int]]:
    """The figure as PNG bytes, with the width and height in the browser's pixels (half of its own: sharp)."""
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    width, height = figure.get_size_inches() * CSS_DPI
    return file.getvalue(), {"width": round(width), "height": round(height)}


def sheet(
    heading: str, image_shape: tuple[int, ...], panels: int, right: float = 0.0, between: Sequence[float] = ()
) -> tuple[Sheet, list[Axes]]:
    """A titled sheet with a row of equal panels for pictures of this shape, and `right` inches free beside the last.

    `between` gives as many inches beside each of the others, for what stands there; the usual gap where it is left out.
    """
    across, high = panel_inches(image_shape, SIDE if panels < 3 else NARROW)
    slot, room = _whole(max(across, LEAST)), _whole(max(high, LEAST))
    gaps = [_whole(gap) for gap in between] or [GAP] * (panels - 1)
    width = MARGIN + panels * slot + sum(gaps) + _whole(right) + MARGIN
    lines = wrap(heading, width - 2 * MARGIN, 12, "bold")
    height = MARGIN + TITLE * len(lines) + CAPTION + room + MARGIN
    figure = Sheet(width, height)
    figure.text(MARGIN / width, 1 - MARGIN / height, "\n".join(lines), va="top", ha="left", color=INK, fontsize=12,
                fontweight="bold", linespacing=1.25, parse_math=False)  # fmt: skip
    lefts = [MARGIN + i * slot + sum(gaps[:i]) for i in range(panels)]
    low = MARGIN + round((room - high) / 2 * DPI) / DPI
    return figure, [figure.add_axes((left / width, low / height, across / width, high / height)) for left in lefts]


def panel_inches(image_shape: tuple[int, ...], side: int) -> tuple[float, float]:
    """(width, height) of a picture's panel: a whole number of figure pixels for each of its own, if small."""
    height, width = image_shape[:2]
    times = side / max(height, width)
    times = round(times) if times >= 1 else times
    return max(width * times, 1) / DPI, max(height * times, 1) / DPI


def _whole(inches: float) -> float:
    """As many inches or a little more, a whole number of the browser's pixels: half a pixel would blur the display."""
    return math.ceil(round(inches * CSS_DPI, 6)) / CSS_DPI


def text_inches(text: str, size: float, weight: str = "normal") -> float:
    """How wide a line of text is, in inches, at this size in points."""
    font = FontProperties(size=size, weight=weight)
    return RendererAgg(1, 1, 72).get_text_width_height_descent(text, font, False)[0] / 72


def wrap(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """The text in lines of at most so many inches, broken between words, and within a word that is wider by itself."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if text_inches(joined, size, weight) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and text_inches(lines[-1] + letter, size, weight) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def show(ax: Axes, rgb: NDArray[np.uint8], caption: str = "", values: NDArray[np.float32] | None = None) -> AxesImage:
    """Put a picture into the axes, one cell for each pixel, nothing smoothed; with `values` the cursor reads those."""
    height, width = rgb.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    if values is None:
        image = AxesImage(ax, extent=extent, origin="upper", interpolation="nearest", resample=False)
    else:
        image = ValueImage(ax, extent=extent, origin="upper", interpolation="nearest", resample=False)
        image.values = values
    image.set_data(rgb)
    image.set_clip_path(ax.patch)
    ax.add_image(image)
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[], aspect="equal")
    for spine in ax.spines.values():
        spine.set_visible(False)
    if caption:
        ax.set_title(caption, loc="left", color=MUTED, fontsize=9, pad=4)
    return image


def color_bar(ax: Axes, scale: Scale, values: NDArray[np.floating], label: str, threshold: float | None = None) -> Axes:
    """The scale of the raw values, as high as the axes: arrows where values exceed it, pale where they are hidden."""
    width = ax.bbox.width / ax.figure.dpi
    beside = ax.inset_axes((1 + 0.1 / width, 0, 0.14 / width, 1))
    colors = lookup_table(scale.colormap) / 255
    norm = Normalize(scale.lo, scale.hi)
    if scale.hi == scale.lo:  # One value, one colour: a bar that ran through all colours would tell a lie.
        colors = colors[[128 if scale.signed else 0]]
        norm = Normalize(scale.lo - max(abs(scale.lo), 1), scale.lo + max(abs(scale.lo), 1))
    finite = values[np.isfinite(values)]
    below, above = bool((finite < scale.lo).any()), bool((finite > scale.hi).any())
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]
    numbers = ScalarFormatter(useMathText=True)
    numbers.set_powerlimits((-3, 4))
    mappable = ScalarMappable(norm, ListedColormap(colors))
    bar = ax.figure.colorbar(mappable, cax=beside, extend=extend, extendfrac=0.04, format=numbers)
    if scale.hi == scale.lo:
        bar.set_ticks([scale.lo])
    bar.outline.set_visible(False)
    bar.set_label(label, color=MUTED, fontsize=9)
    beside.tick_params(colors=INK, labelsize=8, length=3, width=0.6)
    beside.yaxis.get_offset_text().set(color=INK, fontsize=8)
    if threshold:
        cut = cut_of(scale, threshold)
        beside.axhspan(max(-cut, scale.lo), min(cut, scale.hi), color=PAPER, alpha=0.75, linewidth=0)
    return beside
