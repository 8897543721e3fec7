"""Where values become colours: the one formula that figures and widgets share.

    index = clip(floor((value - lo) / (hi - lo) * 256), 0, 255)

picks one of the 256 colours of a colormap's look-up table. Where hi == lo the index is 0, or 128 (the middle) for
signed values; NaN is transparent. The widgets' JavaScript does the same with the same table, so that what is on the
screen and what is saved agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DIVERGING", "SEQUENTIAL", "Scale", "color_attribution", "colorize", "lookup_table", "overlay", "scale_of"]

SEQUENTIAL, DIVERGING = "inferno", "RdBu_r"


@dataclass(frozen=True)
class Scale:
    """Which value gets which colour: `lo` the first colour of `colormap`, `hi` the last, in the values' own units.

    Attributes:
        lo: The value at the lower end; what is below it gets the first colour.
        hi: The value at the upper end; what is above it gets the last colour.
        colormap: A matplotlib colormap's name.
        signed: Zero is in the middle: lo == -hi.
    """

    lo: float
    hi: float
    colormap: str = SEQUENTIAL
    signed: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite([self.lo, self.hi]).all() and self.lo <= self.hi):
            raise ValueError(f"a scale goes from a finite lo up to a finite hi, not from {self.lo} to {self.hi}")
        if self.signed and self.lo != -self.hi:
            raise ValueError(f"a signed scale is centred on zero, lo == -hi, not from {self.lo} to {self.hi}")
        lookup_table(self.colormap)


def scale_of(
    values: ArrayLike,
    signed: bool,
    colormap: str | None = None,
    percentile: float | None = None,
    locked: Scale | tuple[float, float] | None = None,
) -> Scale:
    """The honest scale of these values: zero stays zero, and nothing finite is out of range unless you ask.

    Signed values get -m..m with m their largest magnitude. Others get 0..max, or min..max where some are below zero.
    NaN and infinities are passed over; with nothing finite left the scale is 0..0.

    Args:
        values: Any shape.
        signed: Whether values below zero have a meaning of their own.
        colormap: A matplotlib name; by default "inferno", and "RdBu_r" for signed values.
        percentile: Ends at this percentile of the magnitudes instead of their maximum (99.5: a few outliers are cut off
            so that the rest can be seen). Where that is 0 (nearly all values are), the maximum counts.
        locked: A scale or (lo, hi) to use whatever the values are, so that several maps can be compared.

    Raises:
        ValueError: An unknown colormap (near names are given), a percentile outside 0..100, or an impossible lock.
    """
    colormap = colormap or (locked.colormap if isinstance(locked, Scale) else DIVERGING if signed else SEQUENTIAL)
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(f"percentile is above 0 and at most 100, not {percentile}")
    if locked is not None:
        lo, hi = (locked.lo, locked.hi) if isinstance(locked, Scale) else locked
        return Scale(float(lo), float(hi), colormap, signed)
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Scale(0.0, 0.0, colormap, signed)
    if percentile is not None:
        magnitudes = np.abs(finite)
        limit = np.percentile(magnitudes, percentile) or magnitudes.max()
        finite = np.clip(finite, -limit, limit)
    if signed:
        hi = float(np.abs(finite).max())
        return Scale(-hi, hi, colormap, signed)
    return Scale(float(min(finite.min(), 0)), float(finite.max()), colormap, signed)


@lru_cache(maxsize=64)
def lookup_table(colormap: str) -> NDArray[np.uint8]:
    """The 256 colours of a matplotlib colormap: (256, 4) uint8 RGBA, read-only.

    Raises:
        ValueError: There is no colormap of this name; near names are given.
    """
    if colormap not in matplotlib.colormaps:
        near = get_close_matches(str(colormap), list(matplotlib.colormaps), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"usual are {SEQUENTIAL!r}, {DIVERGING!r}"
        raise ValueError(f"matplotlib has no colormap {colormap!r}; {hint}")
    middles = (np.arange(256) + 0.5) / 256
    table = np.ascontiguousarray(matplotlib.colormaps[colormap](middles, bytes=True), np.uint8)
    table.flags.writeable = False
    return table


def colorize(values: ArrayLike, scale: Scale, alpha: float = 1.0) -> NDArray[np.uint8]:
    """The values as colours: (..., 4) uint8 RGBA, `alpha` (0 to 1) opaque and transparent where a value is NaN."""
    values = np.asarray(values, np.float64)
    unknown = np.isnan(values)
    if scale.hi == scale.lo:
        index = np.full(values.shape, 128 if scale.signed else 0)
    else:
        place = (np.where(unknown, scale.lo, values) - scale.lo) / (scale.hi - scale.lo) * 256
        index = np.clip(np.floor(place), 0, 255).astype(np.intp)
    rgba = np.take(lookup_table(scale.colormap), index, axis=0)
    rgba[..., 3] = np.where(unknown, 0, np.rint(rgba[..., 3] * _share(alpha, "alpha")))
    return rgba


def overlay(
    image: NDArray[np.uint8],
    values: ArrayLike,
    scale: Scale,
    opacity: float = 0.5,
    threshold: float | None = None,
) -> NDArray[np.uint8]:
    """The picture with the values' colours laid over it, pixel on pixel: (H, W, 3) uint8.

    Args:
        image: (H, W, 3) uint8.
        values: (H, W) on the same frame.
        scale: Which value gets which colour.
        opacity: 0 shows the picture alone, 1 the colours alone.
        threshold: A share, 0 to 1, of the scale's largest magnitude; where a value's magnitude is smaller, the picture
            alone is seen (0.2 is what the CAM paper boxes). NaN always shows the picture.

    Raises:
        ValueError: Picture and values of different sizes, or a share outside 0..1.
    """
    values = np.asarray(values)
    if image.shape != (*values.shape, 3):
        raise ValueError(f"the picture is (H, W, 3) for values (H, W), not {image.shape} for {values.shape}")
    rgba = colorize(values, scale).astype(np.float64)
    share = rgba[..., 3:] / 255 * _share(opacity, "opacity")
    if threshold is not None:
        share[np.abs(values) < cut_of(scale, threshold)] = 0
    return np.rint(image * (1 - share) + rgba[..., :3] * share).astype(np.uint8)


def cut_of(scale: Scale, threshold: float) -> float:
    """The magnitude, in the values' own units, below which a threshold (a share of the scale) hides them."""
    return _share(threshold, "threshold") * max(abs(scale.lo), abs(scale.hi))


def color_attribution(
    values: NDArray[np.floating], percentile: float | None = 99.5, signed: bool = True
) -> NDArray[np.uint8]:
    """An attribution of colours as colours: (3, H, W) or (1, H, W) becomes (H, W, 3) uint8, zero as mid grey.

    All channels share one symmetric scale, so a pixel is reddish where red speaks for the target and grey where nothing
    does: level = round(128 + 127 * clip(value / limit, -1, 1)), limit being that percentile of all magnitudes (None:
    the largest). With `signed=False` zero is black: level = round(255 * clip(value / limit, 0, 1)). NaN counts as zero.
    """
    if values.ndim != 3 or len(values) not in (1, 3):
        raise ValueError(f"an attribution of colours is (3, H, W) or (1, H, W), not {values.shape}")
    limit = scale_of(values, True, percentile=percentile).hi
    place = np.where(np.isnan(values), 0, values).astype(np.float64) / (limit or 1)
    level = 128 + 127 * np.clip(place, -1, 1) if signed else 255 * np.clip(place, 0, 1)
    rgb = np.rint(level).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(rgb, (*rgb.shape[:2], 3)))


def _share(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, not {value!r}")
    return float(value)
