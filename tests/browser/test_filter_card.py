"""FilterCard in a real Chromium: weights, spectrum, the square of the stride, numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnviz_widgets import Filters, FilterSpectrum
from cnnviz_widgets.views.colour import color_attribution, colorize, scale_of
from cnnviz_widgets.widgets import FilterCard
from tests.browser.harness import Mounted

pytestmark = pytest.mark.browser
Mount = Callable[..., Mounted]
RNG = np.random.default_rng(0)


def filters(c: int = 3, kernel: tuple[int, int] = (5, 5), rgb: bool = True) -> Filters:
    weights = RNG.normal(size=(8, c, *kernel))
    norms = np.sqrt((weights**2).sum((1, 2, 3)))
    return Filters(method="filters", layer="stem", weights=weights, order=np.arange(8), norms=norms, rgb=rgb)


def spectrum(stride: tuple[int, int] = (4, 2), size: int = 64) -> FilterSpectrum:
    return FilterSpectrum(
        method="filter_spectrum",
        layer="stem",
        parameters={"stride": stride},
        power=np.abs(RNG.normal(size=(8, size, size))),
        frequencies=np.fft.fftshift(np.fft.fftfreq(size)),
        aliasing=np.linspace(0.2, 0.8, 8),
    )


def mounted(mount: Mount, *shown: Any, **options: Any) -> Mounted:
    card = FilterCard()
    card.show(*shown)
    return mount(card, **options)


def cells(page: Mounted, selector: str, height: int, width: int) -> NDArray[np.uint8]:
    """The picture in a canvas, at the middle of each of its cells."""
    whole = page.pixels(selector)
    rows = ((np.arange(height) + 0.5) * whole.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * whole.shape[1] / width).astype(int)
    return whole[np.ix_(rows, columns)][..., :3]


@pytest.mark.parametrize("density", [1, 2, 1.5])
def test_a_filter_in_colour_is_drawn_as_in_the_figures_and_sharp(mount: Mount, density: float) -> None:
    found = filters()
    page = mounted(mount, found, spectrum(), 3, device_scale_factor=density)
    expected = color_attribution(found.weights[3], None)
    assert np.abs(cells(page, ".cnnviz-kernels canvas", 5, 5).astype(int) - expected).max() <= 1
    whole = page.pixels(".cnnviz-kernels canvas")[..., :3].reshape(-1, 3)
    assert len(np.unique(whole, axis=0)) <= 25  # nothing is smoothed


def test_kernels_of_many_channels_share_one_scale_and_are_named(mount: Mount) -> None:
    found = filters(c=20, rgb=False)
    page = mounted(mount, found, spectrum(), 3)
    weights = found.weights[3]
    strongest = np.argsort(-np.linalg.norm(weights.reshape(20, -1), axis=1))[:9]
    scale = scale_of(weights[strongest], True)
    shown = cells(page, ".cnnviz-kernels canvas", 5, 5)  # the first
    assert (shown == colorize(weights[strongest[0]], scale)[..., :3]).all()
    assert page.find(".cnnviz-kernels small").all_inner_texts() == [f"← {k}" for k in strongest]
    assert "the 9 strongest of 20 input channels" in page.find("figcaption").first.inner_text()


def test_the_spectrum_is_drawn_value_by_value_with_the_square_of_the_stride(mount: Mount) -> None:
    power = spectrum()
    page = mounted(mount, filters(), power, 3, device_scale_factor=2)
    expected = np.pad(power.power[3], ((0, 1), (0, 1)), mode="wrap")
    seen = cells(page, ".cnnviz-spectrum canvas", 65, 65)
    assert (seen == colorize(expected, scale_of(expected, False))[..., :3]).all()
    field, square = (page.find(s).bounding_box() for s in (".cnnviz-spectrum", ".cnnviz-nyquist"))
    assert field is not None and square is not None
    step = field["width"] / 65
    # zero is in the middle of cell 32; a stride of 4 down carries 1/8, one of 2 across 1/4 cycle per pixel
    assert square["x"] - field["x"] == pytest.approx((32.5 - 16) * step, abs=0.6)
    assert square["width"] == pytest.approx(32 * step, abs=0.6)
    assert square["y"] - field["y"] == pytest.approx((32.5 - 8) * step, abs=0.6)
    assert square["height"] == pytest.approx(16 * step, abs=0.6)
    assert page.find(".cnnviz-tick.cnnviz-left").all_inner_texts() == ["−0.5", "−0.25", "0", "0.25", "0.5"]
    assert page.find(".cnnviz-tick.cnnviz-top").all_inner_texts() == ["−0.5", "−0.125", "0", "0.125", "0.5"]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8, 16])
def test_numbers_at_the_axes_never_run_into_each_other(mount: Mount, stride: int) -> None:
    page = mounted(mount, filters(), spectrum((stride, stride)), 0)
    for axis, start, length in (("left", "x", "width"), ("top", "y", "height")):
        boxes = [tick.bounding_box() for tick in page.find(f".cnnviz-tick.cnnviz-{axis}").all()]
        ends = sorted((b[start], b[start] + b[length]) for b in boxes if b)  # type: ignore[literal-required]
        assert len(ends) >= 3 and all(end <= begin for (_, end), (begin, _) in zip(ends, ends[1:], strict=False)), axis
    assert page.find(".cnnviz-nyquist").count() == (stride > 1)


def test_pointing_reads_the_power_of_a_frequency(mount: Mount) -> None:
    power = spectrum()
    page = mounted(mount, filters(), power, 3)
    box = page.find(".cnnviz-spectrum canvas").bounding_box()
    assert box is not None
    step = box["width"] / 65
    page.page.mouse.move(box["x"] + 40.5 * step, box["y"] + 16.5 * step)
    said = page.find(".cnnviz-power")
    assert said.inner_text() == f"across 0.13, down −0.25: {power.power[3, 16, 40]:.3g}"
    page.page.mouse.move(2, 2)
    assert said.inner_text().startswith("power, black 0 to")


def test_without_a_filter_it_shows_the_mean_and_follows_what_comes(mount: Mount) -> None:
    found, power = filters(), spectrum()
    page = mounted(mount, found, power)
    assert page.find("h3").inner_text() == "stem · all 8 filters"
    assert page.find(".cnnviz-kernels").count() == 0
    page.widget.show(found, None, 2, "computing the spectra")
    page.settle()
    assert page.find(".cnnviz-spectrum").count() == 0
    assert page.find(".cnnviz-filter-body .cnnviz-hint").inner_text() == "computing the spectra"
    page.widget.show(found, power, 2)
    page.settle()
    assert page.find(".cnnviz-spectrum").count() == 1
    numbers = dict(zip(page.find("dt").all_inner_texts(), page.find("dd b").all_inner_texts(), strict=True))
    assert numbers["energy that aliases"] == f"{100 * power.aliasing[2]:.1f} %"
    page.widget.show(None)
    page.settle()
    assert page.find(".cnnviz-hint").first.is_visible() and page.find("h3").inner_text() == ""


def test_a_page_without_a_kernel_shows_all_of_it_and_nothing_is_left_behind(mount: Mount) -> None:
    page = mounted(mount, filters(), spectrum(), 3, kernel=False)
    assert page.find(".cnnviz-spectrum canvas").count() == 1 and page.find("dd").count() == 3
    page.clean()
    assert page.listening() == 0 and page.find(".cnnviz-filter-card").count() == 0
