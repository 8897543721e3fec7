import math
import re

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnviz_widgets.views.colour import (
    Scale,
    color_attribution,
    colorize,
    cut_of,
    lookup_table,
    overlay,
    scale_of,
)

RNG = np.random.default_rng(0)
NAN, INF = math.nan, math.inf


def slow_color(value: float, scale: Scale, alpha: float = 1.0) -> tuple[int, ...]:
    """One pixel, from the formula in the docstring, without numpy."""
    red, green, blue, opaque = map(int, lookup_table(scale.colormap)[slow_index(value, scale)])
    return red, green, blue, 0 if math.isnan(value) else round(opaque * alpha)


def slow_index(value: float, scale: Scale) -> int:
    if math.isnan(value):
        return 0
    if scale.hi == scale.lo:
        return 128 if scale.signed else 0
    place = (value - scale.lo) / (scale.hi - scale.lo) * 256
    return 255 if place >= 256 else 0 if place < 0 else math.floor(place)


SCALES = [
    Scale(0, 1),
    Scale(-2, 2, "RdBu_r", True),
    Scale(-1.5, 3, "viridis"),
    Scale(0, 0),
    Scale(0, 0, "RdBu_r", True),
    Scale(5, 5),
    Scale(0, 1e-30),
]


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_every_pixel_has_the_colour_of_the_formula(scale: Scale) -> None:
    values = RNG.normal(scale=max(scale.hi, 1e-30), size=(9, 11)).astype(np.float32)
    values[0, :8] = [0, scale.lo, scale.hi, NAN, INF, -INF, np.finfo(np.float32).max, -np.finfo(np.float32).max]
    values[1] = np.linspace(scale.lo, scale.hi, 11)
    rgba = colorize(values, scale, 0.6)
    assert rgba.dtype == np.uint8 and rgba.shape == (9, 11, 4)
    slow = [[slow_color(v, scale, 0.6) for v in row] for row in values.tolist()]
    for y, x in np.ndindex(9, 11):
        assert tuple(rgba[y, x, 3:]) == slow[y][x][3:]
        if slow[y][x][3]:
            assert tuple(rgba[y, x]) == slow[y][x], (values[y, x], y, x)


def test_the_256_colours_share_the_scale_evenly_and_the_top_value_has_the_last() -> None:
    scale = Scale(0, 256, "viridis")
    table = lookup_table("viridis")
    assert (colorize(np.arange(256) + 0.5, scale) == table).all()
    assert (colorize(np.arange(256.0), scale) == table).all()
    assert (colorize(256.0, scale) == table[255]).all()


def test_zero_on_a_signed_scale_is_the_middle_colour_whatever_the_size() -> None:
    for size in (1e-30, 0.3, 7.0, 1e30):
        scale = scale_of([size, -size / 3], signed=True)
        assert (colorize(0.0, scale) == lookup_table("RdBu_r")[128]).all()
    assert (colorize(0.0, scale_of([0, 0], signed=True)) == lookup_table("RdBu_r")[128]).all()


@pytest.mark.parametrize(
    ("values", "signed", "lo", "hi"),
    [
        ([1, 3], False, 0, 3),
        ([-1, 3], False, -1, 3),
        ([-3, -1], False, -3, -1),
        ([1, 3], True, -3, 3),
        ([-5, 3], True, -5, 5),
        ([4, 4], False, 0, 4),
        ([0, 0], False, 0, 0),
        ([-4, -4], False, -4, -4),
        ([NAN, 2, INF, -INF], False, 0, 2),
        ([NAN, -2, INF], True, -2, 2),
        ([NAN, INF], False, 0, 0),
        ([NAN], True, 0, 0),
        ([], False, 0, 0),
    ],
)
def test_a_scale_keeps_zero_and_covers_every_finite_value(
    values: list[float], signed: bool, lo: float, hi: float
) -> None:
    scale = scale_of(np.array(values, np.float32), signed)
    assert (scale.lo, scale.hi) == (lo, hi)
    assert scale.colormap == ("RdBu_r" if signed else "inferno")


def test_a_percentile_cuts_outliers_only() -> None:
    values = np.concatenate([np.linspace(0, 1, 999), [1000]])
    assert scale_of(values, False).hi == 1000
    assert scale_of(values, False, percentile=99.5).hi == pytest.approx(np.percentile(values, 99.5))
    assert scale_of(-values, True, percentile=50).hi == pytest.approx(np.percentile(values, 50))
    mixed = scale_of(np.r_[values, -2.0], False, percentile=99)
    assert mixed.lo == pytest.approx(-mixed.hi) and mixed.hi < 2
    sparse = np.zeros(1000)
    sparse[0] = 8
    assert scale_of(sparse, False, percentile=99).hi == 8  # Not a scale of 0..0 for a map that has a value.
    for wrong in (0, -1, 101):
        with pytest.raises(ValueError, match="percentile is above 0 and at most 100"):
            scale_of(values, False, percentile=wrong)


def test_a_locked_scale_does_not_follow_the_values() -> None:
    assert scale_of([1, 50], False, locked=(0, 10)) == Scale(0, 10)
    assert scale_of([1, 50], False, locked=Scale(0, 10, "viridis")) == Scale(0, 10, "viridis")
    assert scale_of([1, 50], False, "magma", locked=Scale(0, 10, "viridis")) == Scale(0, 10, "magma")
    assert scale_of([], True, locked=(-2, 2)) == Scale(-2, 2, "RdBu_r", True)
    with pytest.raises(ValueError, match="centred on zero"):
        scale_of([1], True, locked=(0, 2))
    for lo, hi in ((2, 1), (0, NAN), (-INF, 0)):
        with pytest.raises(ValueError, match="finite lo up to a finite hi"):
            Scale(lo, hi)


def test_an_unknown_colormap_is_an_error_that_names_near_ones() -> None:
    with pytest.raises(ValueError, match="no colormap 'virids'; did you mean 'viridis'"):
        lookup_table("virids")
    with pytest.raises(ValueError, match="usual are 'inferno', 'RdBu_r'"):
        scale_of([1], False, "§")


@pytest.mark.parametrize("name", ["inferno", "RdBu_r", "twilight", "tab10"])
def test_the_table_is_matplotlibs_and_cannot_be_changed(name: str) -> None:
    table = lookup_table(name)
    assert table.shape == (256, 4) and table.dtype == np.uint8 and table.flags.c_contiguous
    expected = np.array([matplotlib.colormaps[name]((i + 0.5) / 256) for i in range(256)]) * 255
    assert np.abs(table - expected).max() <= 1
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


def slow_overlay(
    image: NDArray[np.uint8], values: NDArray[np.float32], scale: Scale, opacity: float, threshold: float | None
) -> NDArray[np.int64]:
    out = np.zeros(image.shape, int)
    for y, x in np.ndindex(*values.shape):
        value = float(values[y, x])
        hidden = math.isnan(value) or (
            threshold is not None and abs(value) < threshold * max(abs(scale.lo), abs(scale.hi))
        )
        share = 0.0 if hidden else opacity
        color = slow_color(value, scale)
        for c in range(3):
            out[y, x, c] = round(int(image[y, x, c]) * (1 - share) + color[c] * share)
    return out


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("opacity", "threshold"), [(0.5, None), (0.3, 0.2), (1.0, 0.9), (0.0, None), (0.7, 0.0)])
def test_an_overlay_blends_every_pixel_where_it_is(signed: bool, opacity: float, threshold: float | None) -> None:
    image = RNG.integers(0, 256, (7, 5, 3), np.uint8)
    values = RNG.normal(size=(7, 5)).astype(np.float32)
    values[3, 2] = NAN
    scale = scale_of(values, signed)
    before = image.copy()
    result = overlay(image, values, scale, opacity, threshold)
    assert (result == slow_overlay(image, values, scale, opacity, threshold)).all()
    assert (result[3, 2] == image[3, 2]).all()
    assert (image == before).all()
    if opacity == 0:
        assert (result == image).all()


def test_a_threshold_is_a_share_of_the_largest_magnitude_and_zero_hides_nothing() -> None:
    assert cut_of(Scale(0, 5), 0.2) == 1
    assert cut_of(Scale(-8, 2), 0.5) == 4
    image, values = np.zeros((1, 4, 3), np.uint8), np.array([[0, 0.99, 1, 5]], np.float32)
    seen = overlay(image, values, Scale(0, 5, "viridis"), 1.0, 0.2).any(-1)
    assert seen.tolist() == [[False, False, True, True]]
    assert overlay(image, values, Scale(0, 5, "viridis"), 1.0, 0.0).any(-1).all()


def test_a_picture_of_another_size_or_a_share_beyond_1_is_an_error() -> None:
    image, values = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2))
    with pytest.raises(ValueError, match=re.escape("not (4, 4, 3) for (2, 2)")):
        overlay(image, values, Scale(0, 1))
    for name in ("opacity", "threshold"):
        with pytest.raises(ValueError, match=f"{name} is a share from 0 to 1, not 1.5"):
            overlay(image[:2, :2], values, Scale(0, 1), **{name: 1.5})
        with pytest.raises(ValueError, match=f"{name} is a share"):
            overlay(image[:2, :2], values, Scale(0, 1), **{name: NAN})


def test_a_colour_attribution_is_grey_at_zero_and_symmetric() -> None:
    values = RNG.normal(size=(3, 6, 4)).astype(np.float32)
    values[:, 0, 0] = 0
    rgb = color_attribution(values, percentile=None)
    assert rgb.shape == (6, 4, 3) and rgb.dtype == np.uint8
    assert rgb[0, 0].tolist() == [128, 128, 128]
    limit = float(np.abs(values).max())
    for c, y, x in np.ndindex(3, 6, 4):
        assert rgb[y, x, c] == round(128 + 127 * float(values[c, y, x]) / limit)
    assert (rgb.astype(int) + color_attribution(-values, percentile=None) == 256).all()
    assert {1, 255} & set(rgb.ravel().tolist())


def test_a_colour_attribution_survives_outliers_nan_and_nothing() -> None:
    values = np.full((3, 10, 10), 0.5, np.float32)
    values[0, 0, :4] = [1e6, NAN, INF, -INF]
    rgb = color_attribution(values)
    assert rgb[0, :4, 0].tolist() == [255, 128, 255, 1]
    assert (rgb[1:] == 255).all()
    assert (color_attribution(np.zeros((3, 2, 2), np.float32)) == 128).all()
    assert (color_attribution(np.zeros((1, 2, 2), np.float32), signed=False) == 0).all()
    grey = color_attribution(np.array([[[1.0, 0.5, 0.0]]]), percentile=None, signed=False)
    assert grey.tolist() == [[[255] * 3, [128] * 3, [0] * 3]]
    with pytest.raises(ValueError, match=re.escape("(3, H, W) or (1, H, W), not (4, 2, 2)")):
        color_attribution(np.zeros((4, 2, 2)))
