"""Figures of what layers answer: the very values, on honest scales, said in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cnnviz_widgets.results import ActivationMask, Activations, Arithmetic, Unit, UnitProjection
from cnnviz_widgets.views.colour import Scale, color_attribution, colorize, scale_of
from cnnviz_widgets.views.titles import title
from tests.views.test_figures import seen_in
from tests.views.test_figures import texts as texts_as_wrapped

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 56, 3), np.uint8)
UNIT = Unit("features.3", 2, 1, 3)


def activations(maps: np.ndarray, **changes: Any) -> Activations:
    about: dict[str, Any] = {
        "image": IMAGE, "method": "activations", "layer": "features.3", "maps": maps, "signed": bool((maps < 0).any()),
        "maximum": maps.max((1, 2)), "mean": maps.mean((1, 2)), "zeros": (maps == 0).mean((1, 2)),
        "dead": maps.max((1, 2)) <= 0,
    }  # fmt: skip
    return Activations(**{**about, **changes})


def mask(**changes: Any) -> ActivationMask:
    raw = RNG.random((5, 7)).astype(np.float32)
    values = raw.repeat(8, 0).repeat(8, 1)
    values[:, :4] = np.nan
    about: dict[str, Any] = {
        "image": IMAGE, "target": Unit("features.3", 2), "target_name": "features.3 channel 2", "layer": "features.3",
        "method": "activation_mask", "parameters": {"quantile": 0.8, "placed": "receptive field"}, "raw": raw,
        "values": values, "threshold": 0.8, "mask": values >= 0.8,
    }  # fmt: skip
    return ActivationMask(**{**about, **changes})


def projection(box: tuple[int, int, int, int] = (8, 5, 31, 20), **changes: Any) -> UnitProjection:
    values = np.zeros((3, 40, 56), np.float32)
    x0, y0, x1, y1 = box
    values[:, y0:y1, x0:x1] = RNG.normal(size=(3, y1 - y0, x1 - x0))
    about: dict[str, Any] = {
        "image": IMAGE, "target": UNIT, "target_name": str(UNIT), "layer": "features.3", "method": "project_unit",
        "parameters": {"method": "deconvnet", "rectified": True}, "values": values, "activation": 3.25,
        "box": np.array(box),
    }  # fmt: skip
    return UnitProjection(**{**about, **changes})


def arithmetic(channels: int = 10, **changes: Any) -> Arithmetic:
    inputs, kernel = RNG.normal(size=(2, channels, 3, 3))
    sums = (inputs * kernel).sum((1, 2))
    inside = np.ones((3, 3), bool)
    inside[0] = False
    about: dict[str, Any] = {
        "image": IMAGE, "target": UNIT, "target_name": str(UNIT), "layer": "features.3", "method": "unit_arithmetic",
        "inputs": inputs, "kernel": kernel, "contributions": sums, "channels": np.arange(channels) + 20,
        "inside": inside, "bias": 0.5, "total": sums.sum() + 0.5, "value": sums.sum() + 0.5,
    }  # fmt: skip
    return Arithmetic(**{**about, **changes})


MAPS = RNG.random((30, 6, 9)).astype(np.float32)
MAPS[5] = 0
EVERY = [activations(MAPS), activations(MAPS - 0.5), activations(MAPS[:, :1, :1]), mask(), projection(), arithmetic()]


def texts(figure: Figure) -> str:
    return texts_as_wrapped(figure).replace("\n", " ")


def tiles_axes(figure: Figure) -> Any:
    return next(ax for ax in figure.axes if ax.images and hasattr(ax.images[0], "values"))


def tile(figure: Figure, label: str) -> np.ndarray:
    """The values under the cursor in the tile of this label, at the size of the map."""
    ax = tiles_axes(figure)
    text = next(t for t in ax.texts if t.get_text() == label)
    x, y = (round(v) for v in text.get_position())
    values = ax.images[0].values
    below = values[y:, x + 1 :]
    first = int(np.argmax(~np.isnan(below[:, 0])))
    rows = int(np.argmax(np.isnan(below[first:, 0]))) if np.isnan(below[first:, 0]).any() else len(below) - first
    columns = int(np.argmax(np.isnan(below[first]))) if np.isnan(below[first]).any() else below.shape[1]
    times = round(rows / 6)
    return below[first : first + rows, :columns][times // 2 :: times, times // 2 :: times][:6, :9]


def test_the_strongest_maps_come_first_with_channel_and_maximum() -> None:
    result = activations(MAPS)
    figure = result.plot(top=8)
    labels = [t.get_text() for t in tiles_axes(figure).texts]
    assert labels == [f"{c}: {MAPS[c].max():.4g}" for c in result.ranking()[:8]]
    for channel in result.ranking()[:8]:
        assert np.array_equal(tile(figure, f"{channel}: {MAPS[channel].max():.4g}"), MAPS[channel])
    said = texts(figure)
    assert "8 of 30 maps of 6x9" in said and "one scale for all" in said and "1 of the 30 have nothing above" in said
    assert title(result) == "Activations · features.3" and title(result) in said


def test_chosen_channels_come_in_the_order_asked_for() -> None:
    figure = activations(MAPS).plot(channels=[5, 29])
    assert [t.get_text() for t in tiles_axes(figure).texts] == ["5: 0", f"29: {MAPS[29].max():.4g}"]
    with pytest.raises(IndexError, match="no channel 30; there are 0 to 29"):
        activations(MAPS).plot(channels=[30])
    with pytest.raises(ValueError, match="at least 1"):
        activations(MAPS).plot(top=0)


def colours(figure: Figure) -> set[tuple[int, ...]]:
    return {tuple(c) for c in np.asarray(tiles_axes(figure).images[0].get_array())[..., :3].reshape(-1, 3).tolist()}


def test_a_shared_scale_is_that_of_all_maps_shown_and_own_scales_have_no_bar() -> None:
    maps = MAPS.copy()
    maps[7] *= 10
    shared = activations(maps).plot(top=4)
    scale = scale_of(maps, False)
    weak = activations(maps).ranking()[3]
    assert {tuple(c) for c in colorize(maps[weak], scale)[..., :3].reshape(-1, 3).tolist()} <= colours(shared)
    own = activations(maps).plot(top=4, shared=False)
    assert {tuple(c) for c in colorize(maps[weak], scale_of(maps[weak], False))[..., :3].reshape(-1, 3)} <= colours(own)
    assert "activation" in texts(shared) and "activation" not in texts(own).replace("Activations", "")
    locked = activations(maps).plot(top=4, locked=Scale(0, 50))
    assert {tuple(c) for c in colorize(maps[weak], Scale(0, 50))[..., :3].reshape(-1, 3)} <= colours(locked)


def test_signed_maps_are_white_at_zero() -> None:
    maps = MAPS - 0.5
    maps[0] = 0
    figure = activations(maps).plot(channels=[0, 1])
    assert tuple(colorize(0.0, scale_of(maps[[0, 1]], True))[:3].tolist()) in colours(figure)


def test_a_vector_is_drawn_as_bars_with_its_signs() -> None:
    vector = np.array([0.5, -2, 3, 0]).reshape(4, 1, 1).astype(np.float32)
    figure = activations(vector).plot()
    bars: list[Any] = list(figure.axes[1].patches)
    assert [bar.get_width() for bar in bars] == [3, 0.5, 0, -2]
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == ["2", "0", "3", "1"]
    assert bars[0].get_facecolor() != bars[3].get_facecolor()


def test_outside_the_mask_the_picture_is_dimmed_and_inside_it_is_as_it_was() -> None:
    result = mask()
    figure = result.plot(dim=0.75)
    seen = seen_in(figure, figure.axes[1], IMAGE.shape)
    assert np.array_equal(seen[result.mask], IMAGE[result.mask]) and result.mask.any()
    assert np.array_equal(seen[~result.mask], np.rint(IMAGE[~result.mask] * 0.25).astype(np.uint8))
    mapped = seen_in(figure, figure.axes[2], IMAGE.shape)
    assert np.array_equal(mapped[:, :4], IMAGE[:, :4])  # where no unit stands the picture is seen
    assert "from 0.8 up" in texts(figure) and "values where they look" in texts(figure)
    with pytest.raises(ValueError, match="dim is a share"):
        result.plot(dim=2)


def test_a_mask_says_when_it_is_empty_or_stretched() -> None:
    nothing = np.zeros((40, 56), bool)
    assert "nowhere active" in texts(mask(mask=nothing, raw=np.zeros((5, 7))).plot())
    assert "active nowhere inside the picture" in texts(mask(mask=nothing).plot())
    assert "stretched over the picture" in texts(mask(parameters={"placed": "stretched"}).plot())


def test_patch_and_projection_are_enlarged_and_the_box_is_on_the_picture() -> None:
    result = projection()
    figure = result.plot(percentile=None)
    picture, patch, shown = figure.axes
    assert np.array_equal(seen_in(figure, patch, (15, 23, 3)), result.patch())
    assert np.array_equal(seen_in(figure, shown, (15, 23, 3)), color_attribution(result.crop(), None))
    assert patch.get_window_extent().width > 3 * picture.get_window_extent().width / 56 * 23 / 2
    frames: list[Any] = list(picture.patches)
    assert {(f.get_x(), f.get_y(), f.get_width(), f.get_height()) for f in frames} == {(7.5, 4.5, 23, 15)}
    assert "it saw 23x15: activation 3.25" in texts(figure) and "Deconvnet" in texts(figure)
    assert title(result) == "Unit projection · features.3 channel 2 at y=1, x=3"


def test_a_projection_says_why_there_is_nothing_to_see() -> None:
    off = projection(values=np.zeros((3, 40, 56)), activation=0.0)
    assert "the unit is off" in texts(off.plot())
    assert "nothing comes back" in texts(projection(values=np.zeros((3, 40, 56))).plot())
    assert texts(projection((0, 0, 0, 0)).plot()).count("sees only padding") == 2
    linear = projection(parameters={"method": "deconvnet", "rectified": False})
    assert "no rectifier below" in texts(linear.plot())


def test_the_largest_terms_the_rest_and_the_sum_are_bars() -> None:
    result = arithmetic()
    figure = result.plot(top=3)
    bars = figure.axes[-1]
    rows = result.largest(3)
    rest = result.contributions.sum() - result.contributions[rows].sum()
    wanted = [*result.contributions[rows], rest, 0.5, result.total]
    assert [p.get_width() for p in bars.patches] == pytest.approx(wanted)  # pyright: ignore[reportAttributeAccessIssue]
    names = [t.get_text() for t in bars.get_yticklabels()]
    assert names == [*(str(20 + r) for r in rows), "7 others", "bias", "total"]
    assert f"90 products add up to {result.contributions.sum():.6g}" in texts(figure)
    assert f"put out {result.value:.6g}" in texts(figure) and "3 of the kernel's 9 cells lie on padding" in texts(
        figure
    )


def test_patches_kernels_and_products_of_the_same_row_stand_side_by_side() -> None:
    result = arithmetic()
    figure = result.plot(top=2)
    images: list[Any] = [ax.images[0] for ax in figure.axes if ax.images]
    drawn = [image.values for image in images]
    first, second = result.largest(2)
    columns = (result.inputs, result.kernel, result.inputs * result.kernel)
    wanted = [column[row] for column in columns for row in (first, second)]
    assert all(np.array_equal(a, b) for a, b in zip(drawn, wanted, strict=True))
    colored = replace(arithmetic(3), channels=np.arange(3), parameters={"colors": ["blue", "green", "red"]})
    assert "0 (blue)" in texts(colored.plot())
    assert "no bias" in texts(arithmetic(bias=0.0).plot())


@pytest.mark.parametrize("result", EVERY, ids=lambda r: f"{type(r).__name__}{getattr(r, 'maps', MAPS).shape[1:]}")
def test_every_kind_is_drawn_whole_and_into_axes_of_others(result: Any) -> None:
    figure = result.plot()
    width, height = figure.get_size_inches() * figure.dpi
    figure.canvas.draw()
    for text in cast(Any, figure).findobj(Text):
        if text.get_text() and text.get_visible() and not text.get_text().startswith("$"):  # a scale's unseen numbers
            box = text.get_window_extent()
            assert min(box.x0, box.y0) >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text.get_text()
    other = Figure()
    ax = other.add_subplot()
    assert result.plot(ax) is ax and title(result) in texts(other)
    assert len(result._repr_png_()[0]) > 1000
