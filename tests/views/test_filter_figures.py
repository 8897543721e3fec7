"""What the figures of filters and spectra show, read from the rendered pixels."""

from __future__ import annotations

import io
from typing import Any, cast

import matplotlib.text
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.results import Filters, FilterSpectrum
from cnnviz_widgets.views.colour import colorize, scale_of
from cnnviz_widgets.views.layout import ValueImage, png
from cnnviz_widgets.views.tiles import Tiles

RNG = np.random.default_rng(0)


def filters(n: int = 10, c: int = 3, kernel: tuple[int, int] = (3, 3), rgb: bool = False, **about: Any) -> Filters:
    weights = RNG.normal(size=(n, c, *kernel)).astype(np.float32)
    order = about.pop("order", np.arange(n))
    parameters = {"order": "index", "stride": [1, 1], "dilation": [1, 1], "groups": 1, **about}
    norms = np.sqrt((weights**2).sum((1, 2, 3)))
    return Filters(
        layer="conv", method="filters", parameters=parameters, weights=weights, order=order, norms=norms, rgb=rgb
    )


def spectrum(n: int = 6, size: int = 16, stride: tuple[int, int] = (2, 2), picture: bool = False) -> FilterSpectrum:
    return FilterSpectrum(
        layer="conv",
        method="filter_spectrum",
        parameters={"stride": stride},
        power=np.abs(RNG.normal(size=(n, size, size))),
        frequencies=np.fft.fftshift(np.fft.fftfreq(size)),
        aliasing=np.linspace(0.2, 0.8, n),
        response_aliasing=np.linspace(0.1, 0.3, n) if picture else None,
        image=RNG.integers(0, 256, (40, 56, 3), np.uint8) if picture else None,
    )


def rendered(figure: Figure) -> NDArray[np.uint8]:
    data, _ = png(figure)
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def tiles_seen(figure: Figure, tiles: Tiles, ax: Axes | None = None) -> NDArray[np.uint8]:
    """Each tile as it is seen, at the middle of each of its values: (n, h, w, 3)."""
    pixels = rendered(figure)
    corner = (ax or figure.axes[0]).get_window_extent()
    top, left = round(pixels.shape[0] - corner.y1), round(corner.x0)
    found = []
    for number in range(tiles.count):
        y0, x0, y1, x1 = tiles.box(number)
        block = pixels[top + y0 : top + y1, left + x0 : left + x1]
        half = tiles.times // 2
        seen = block[half :: tiles.times, half :: tiles.times]
        assert (block == seen.repeat(tiles.times, 0).repeat(tiles.times, 1)).all(), "a value is not one even square"
        found.append(seen)
    return np.stack(found)


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in cast(Any, figure).findobj(matplotlib.text.Text) if t.get_text()]


def signed(weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    return colorize(weights, scale_of(weights, True))[..., :3]


def in_colour(weights: NDArray[np.floating], limit: Any) -> NDArray[np.uint8]:
    return np.rint(128 + 127 * weights / limit).astype(np.uint8).transpose(0, 2, 3, 1)


# Filters.


def test_filters_in_colour_are_seen_value_by_value_about_mid_grey_on_one_scale() -> None:
    result = filters(rgb=True, kernel=(5, 4))
    figure = result.plot()
    seen = tiles_seen(figure, Tiles.arranged(10, (5, 4)))
    limit = np.abs(result.weights).max()
    assert np.abs(seen.astype(int) - in_colour(result.weights, limit)).max() <= 1
    assert any(f"grey is 0, full colour ±{limit:.2g}" in text for text in texts(figure))


def test_each_filter_may_have_a_scale_of_its_own() -> None:
    for rgb in (True, False):
        result = filters(rgb=rgb, c=3 if rgb else 1)
        seen = tiles_seen(result.plot(scale="filter"), Tiles.arranged(10, (3, 3)))
        largest = np.abs(result.weights).max((1, 2, 3), keepdims=True)
        own = result.weights / largest
        expected = in_colour(own, 1) if rgb else colorize(own[:, 0], scale_of([1.0], True))[..., :3]
        assert np.abs(seen.astype(int) - expected).max() <= 1
    words = texts(filters(c=1).plot(scale="filter"))
    assert "weight / largest of its filter" in words


def test_filters_stand_in_their_order_with_their_numbers() -> None:
    order = RNG.permutation(10)
    result = filters(c=1, order=order)
    figure = result.plot()
    assert (tiles_seen(figure, Tiles.arranged(10, (3, 3))) == signed(result.weights[order, 0])).all()
    labels = [text for text in texts(figure) if text.isdigit()]
    assert labels[:10] == [str(k) for k in order]


def test_of_many_input_channels_the_strongest_is_drawn_and_named() -> None:
    result = filters(c=7)
    figure = result.plot()
    strongest = (result.weights**2).sum((2, 3)).argmax(1)
    kernels = result.weights[np.arange(10), strongest]
    assert (tiles_seen(figure, Tiles.arranged(10, (3, 3))) == signed(kernels)).all()
    assert {f"{k} ← {i}" for k, i in enumerate(strongest)} <= set(texts(figure))


def test_one_input_channel_or_one_filter_can_be_asked_for() -> None:
    result = filters(c=7)
    one = result.plot(channel=4)
    assert (tiles_seen(one, Tiles.arranged(10, (3, 3))) == signed(result.weights[:, 4])).all()
    all_of_one = result.plot(filter=6)
    assert (tiles_seen(all_of_one, Tiles.arranged(7, (3, 3))) == signed(result.weights[6])).all()
    assert {f"← {i}" for i in range(7)} <= set(texts(all_of_one))
    colours = filters(rgb=True)
    assert {"red", "green", "blue"} <= set(texts(colours.plot(filter=2)))
    assert any("blue" in text for text in texts(colours.plot(channel=2)))


def test_1x1_convolutions_are_a_matrix_of_filters_by_input_channels() -> None:
    order = RNG.permutation(20)
    result = filters(n=20, c=12, kernel=(1, 1), order=order)
    figure = result.plot()
    (shown,) = figure.axes[0].images
    assert (np.asarray(shown.get_array()) == signed(result.weights[order][:, :, 0, 0])).all()
    assert isinstance(shown, ValueImage) and (shown.values == result.weights[order][:, :, 0, 0]).all()
    box = shown.axes.get_window_extent()
    assert box.width / 12 == pytest.approx(round(box.width / 12)) and box.width / 12 == pytest.approx(box.height / 20)
    assert {"input channel", "filter"} <= set(texts(figure))
    assert figure.axes[0].get_yticklabels()[0].get_text() == str(order[0])


def test_a_large_layer_is_cut_and_says_so() -> None:
    result = filters(n=300, c=2, order=np.arange(300)[::-1])
    figure = result.plot(most=40)
    assert any("300 filters" in text and "first 40" in text for text in texts(figure))
    assert "299" in "".join(texts(figure)) and "259" not in [t.split(" ")[0] for t in texts(figure)]


def test_what_is_out_of_the_ordinary_is_said() -> None:
    said = " ".join(texts(filters(n=6, c=1, groups=6, stride=[2, 2], dilation=[1, 3], transposed=True).plot()))
    assert "6 filters of 3x3, stride 2, dilation 1x3, depthwise, transposed" in said
    assert "2 groups" in " ".join(texts(filters(groups=2).plot()))


def test_the_cursor_reads_the_weight_itself() -> None:
    result = filters(c=1)
    (shown,) = result.plot().axes[0].images
    assert isinstance(shown, ValueImage)
    tiles = Tiles.arranged(10, (3, 3))
    top, left, _, _ = tiles.box(7)
    assert shown.values[top + tiles.times, left + 2 * tiles.times] == result.weights[7, 0, 1, 2]
    assert np.isnan(shown.values[top - 2, left])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channel": 7}, "channel is from 0 to 6 in this layer, not 7"),
        ({"filter": -1}, "filter is from 0 to 9"),
        ({"filter": 1, "channel": 1}, "give one of them"),
        ({"scale": "tile"}, "scale is 'sheet' or 'filter', not 'tile'"),
        ({"most": 0}, "most is at least 1"),
    ],
)
def test_an_option_that_cannot_be_meant_is_an_error(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filters(c=7).plot(**options)


# Spectra.


def test_the_square_is_that_of_nyquist_and_the_picture_that_of_the_mean_power() -> None:
    result = spectrum(stride=(4, 2), size=16)
    ax = result.plot().axes[0]
    for box in ax.patches[-2:]:
        x0, y0 = cast(Any, box).get_xy()
        width, height = cast(Any, box).get_width(), cast(Any, box).get_height()
        assert (x0, x0 + width, y0, y0 + height) == (8 - 4, 8 + 4, 8 - 2, 8 + 2)  # ± 1/4 across, ± 1/8 down, of 16
    (shown,) = ax.images
    mean = result.power.mean(0)
    assert isinstance(shown, ValueImage)
    np.testing.assert_array_equal(shown.values[:16, :16], mean)
    np.testing.assert_array_equal(shown.values[16, :16], mean[0])  # 0.5 and -0.5 are one frequency
    assert [t.get_text() for t in ax.get_xticklabels()] == ["−0.5", "−0.25", "0", "0.25", "0.5"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["−0.5", "−0.125", "0", "0.125", "0.5"]
    assert list(ax.get_xticks()) == [0, 4, 8, 12, 16]


def test_an_odd_number_of_frequencies_has_its_middle_in_the_middle() -> None:
    ax = spectrum(size=15).plot().axes[0]
    low, high = ax.get_xlim()
    assert (low + high) / 2 == 7 and ax.get_xticks()[len(ax.get_xticks()) // 2] == 7
    box = cast(Any, ax.patches[-1])
    assert box.get_x() + box.get_width() / 2 == 7


def test_one_filter_can_be_drawn_large() -> None:
    result = spectrum(size=15)
    figure = result.plot(filter=3)
    (shown,) = figure.axes[0].images
    assert isinstance(shown, ValueImage) and (shown.values == result.power[3]).all()
    assert "power of filter 3" in texts(figure)
    with pytest.raises(ValueError, match="filter is from 0 to 5"):
        result.plot(filter=6)


def test_bars_go_from_the_filter_that_aliases_most_and_points_are_of_the_same_filter() -> None:
    result = spectrum(picture=True)
    assert result.response_aliasing is not None
    chart = next(ax for ax in result.plot().axes if ax.collections and len(ax.patches) == 6)
    heights = [cast(Any, bar).get_height() for bar in chart.patches]
    np.testing.assert_allclose(heights, 100 * result.aliasing[::-1], rtol=1e-5)
    points = np.asarray(chart.collections[0].get_offsets())
    np.testing.assert_allclose(points[:, 1], 100 * result.response_aliasing[::-1], rtol=1e-5)
    assert [t.get_text() for t in chart.get_xticklabels()] == list("543210")


def test_the_means_stand_in_the_heading_and_stride_1_says_that_nothing_aliases() -> None:
    said = " ".join(texts(spectrum(picture=True).plot()))
    assert "stride 2 can carry lie on average 50.0 % of a filter's energy and 20.0 % of its response" in said
    still = spectrum(stride=(1, 1)).plot()
    assert "stride 1 keeps every value: nothing aliases" in texts(still)
    assert not still.axes[0].patches and not any(ax.patches for ax in still.axes[2:])


def test_each_filter_has_its_small_spectrum_on_its_own_scale() -> None:
    result = spectrum(n=5, size=48)
    figure = result.plot(most=4)
    assert "the first 4 filters, each on its own scale" in texts(figure)
    across = round(figure.bbox.width) - 72
    small = next(ax for ax in figure.axes if ax.images and ax is not figure.axes[0])
    seen = tiles_seen(figure, Tiles.filling(4, (48, 48), across), small)
    for tile, power in zip(seen, result.power, strict=False):
        assert (tile == colorize(power, scale_of(power, False))[..., :3]).all()
    assert len([ax for ax in result.plot(most=0).axes if ax.images]) == 1


# Sheets.


@pytest.mark.parametrize("count", [1, 2, 3, 7, 32, 64, 96, 256, 513])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (11, 11), (1, 7), (7, 1)])
def test_tiles_never_overlap_and_fit_the_sheet(count: int, shape: tuple[int, int]) -> None:
    for tiles in (Tiles.arranged(count, shape), Tiles.filling(count, shape, 900)):
        taken = np.zeros(tiles.size, int)
        for number in range(count):
            top, left, bottom, right = tiles.box(number)
            assert 1 <= top < bottom < tiles.size[0] and 1 <= left < right < tiles.size[1]
            taken[top:bottom, left:right] += 1
        assert taken.max() == 1
        assert (tiles.times * shape[0], tiles.times * shape[1]) == (bottom - top, right - left)
        assert tiles.size[1] <= 1408 + 2


def test_every_figure_stays_on_its_sheet_and_can_be_drawn_into_somebodys_axes() -> None:
    results = [filters(rgb=True), filters(c=9), filters(c=9, kernel=(1, 1)), filters(n=400, c=30, kernel=(1, 1)),
               spectrum(), spectrum(picture=True, stride=(4, 4)), spectrum(n=70, size=64)]  # fmt: skip
    for result in results:
        figure = result.plot()
        figure.canvas.draw()
        for ax in figure.axes:
            box = ax.get_tightbbox(cast(Any, figure.canvas).get_renderer())
            assert box is not None and box.x0 >= 0 and box.y0 >= 0
            assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, result
        mine = Figure(figsize=(5, 5))
        ax = mine.add_subplot()
        assert result.plot(ax) is ax and ax.images
        mine.canvas.draw()
