"""ArithmeticView in a real Chromium: numbers that add up, colours, padding, more rows, pinned, keyboard, themes."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from cnnviz_widgets.results import Arithmetic, Unit
from cnnviz_widgets.views.colour import Scale, colorize, scale_of
from cnnviz_widgets.widgets import ArithmeticView
from tests.browser.harness import Mounted

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
ROWS = ".cnnviz-rows > table > tbody > tr"
FEET = ".cnnviz-rows > table > tfoot > tr"


def arithmetic(
    channels: int = 6, side: int = 3, seed: int = 0, inside: np.ndarray | None = None, **parameters: Any
) -> Arithmetic:
    rng = np.random.default_rng(seed)
    inside = np.ones((side, side), bool) if inside is None else inside
    inputs = np.where(inside, np.maximum(rng.normal(size=(channels, side, side)), 0), 0).astype(np.float32)
    kernel = rng.normal(size=(channels, side, side)).astype(np.float32)
    sums = (inputs.astype(np.float64) * kernel).sum((1, 2))
    settings = {"top": 3, "left": 1, "dilation": [1, 1], "padding_mode": "zeros", **parameters}
    return Arithmetic(
        image=np.zeros((8, 8, 3), np.uint8), target=Unit("features.3", seed, y=4, x=2), layer="features.3",
        method="unit_arithmetic", parameters=settings,
        inputs=inputs, kernel=kernel, contributions=sums, channels=np.arange(channels), inside=inside, bias=-0.125,
        total=float(sums.sum()) - 0.125, value=float(np.float32(sums.sum() - 0.125)),
    )  # fmt: skip


def shown(mount: Mount, sums: Arithmetic, **options: Any) -> Mounted:
    view = ArithmeticView()
    view.show(sums)
    return mount(view, **options)


def numbers(place: Locator) -> list[float]:
    return [float(text) for text in place.all_inner_texts()]


def color_of(cell: Locator, property: str = "backgroundColor") -> list[int]:
    return [int(c) for c in re.findall(r"\d+", cell.evaluate(f"(el) => getComputedStyle(el).{property}"))[:3]]


def contrast(a: list[int], b: list[int]) -> float:
    """WCAG 2.1's contrast ratio, 1 to 21."""

    def light(rgb: list[int]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(rgb) / 255]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    bright, dark = sorted((light(a), light(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


# Numbers.


@pytest.mark.parametrize("side", [1, 3, 5])
def test_the_numbers_that_are_read_are_those_of_the_sum(mount: Mount, side: int):
    sums = arithmetic(side=side)
    view = shown(mount, sums)
    order = np.argsort(-np.abs(sums.contributions))
    for place, row in enumerate(order):
        line = view.find(ROWS).nth(place)
        assert line.locator("> th").inner_text() == str(row)
        grids = line.locator(".cnnviz-cells")
        for grid, values in enumerate((sums.inputs[row], sums.kernel[row], sums.inputs[row] * sums.kernel[row])):
            came = numbers(grids.nth(grid).locator("td"))
            np.testing.assert_allclose(came, values.ravel(), rtol=0.051)  # two digits at least
        assert numbers(line.locator("data")) == [pytest.approx(sums.contributions[row], rel=1e-3)]


def test_the_sums_that_are_read_add_up_to_the_total_that_is_read(mount: Mount):
    sums = arithmetic(channels=40)
    view = shown(mount, sums)
    parts = numbers(view.find(f"{ROWS} data")) + numbers(view.find(f"{FEET} data"))
    *terms, total = parts
    assert len(terms) == 16 + 2  # the rows, the rest and the bias
    assert sum(terms) == pytest.approx(total, abs=len(terms) * 5e-4 * max(map(abs, terms)))
    assert total == pytest.approx(sums.total, rel=1e-3)


def test_products_are_input_times_kernel_and_add_up_to_the_sum_of_their_row(mount: Mount):
    view = shown(mount, arithmetic())
    for line in view.find(ROWS).all():
        patch, kernel, products = (
            np.array(numbers(grid.locator("td"))) for grid in line.locator(".cnnviz-cells").all()
        )
        np.testing.assert_allclose(patch * kernel, products, rtol=0.06)
        [total] = numbers(line.locator("data"))
        assert products.sum() == pytest.approx(total, abs=0.005 * np.abs(products).sum())


def test_the_sentence_says_sum_bias_total_and_what_the_network_put_out(mount: Mount):
    sums = arithmetic()
    view = shown(mount, sums)
    over, bias, total, value = numbers(view.find(".cnnviz-sum b"))
    assert (over, bias) == (pytest.approx(sums.contributions.sum(), rel=1e-3), -0.125)
    assert over + bias == pytest.approx(total, abs=2e-3)
    assert value == pytest.approx(sums.value, rel=1e-3)
    sentence = view.find(".cnnviz-sum").inner_text()
    assert sentence.startswith("patch × kernel, summed over 6 input channels, is ")
    apart = float(re.findall(r"they agree to (\S+)\.$", sentence)[0])
    assert apart == pytest.approx(abs(sums.total - sums.value), rel=0.5)


def test_head_and_place_say_which_value_it_is_and_where_the_kernel_lies(mount: Mount):
    view = shown(mount, arithmetic(top=6, left=-2, dilation=[2, 2]))
    assert view.find("h3").inner_text() == "features.3 · channel 0 at y 4, x 2"
    assert view.find(".cnnviz-place-words").inner_text() == (
        "The kernel lies on rows 6 to 10, columns -2 to 2, every 2 of its input."
    )


def test_colours_are_named_in_their_true_order(mount: Mount):
    sums = arithmetic(channels=3, colors=["blue", "green", "red"])
    view = shown(mount, sums)
    assert view.find(f"{ROWS} > th").all_inner_texts() == ["red", "green", "blue"]
    assert numbers(view.find(f"{ROWS} data")) == pytest.approx(sums.contributions[::-1].tolist(), rel=1e-3)
    assert "summed over 3 colours" in view.find(".cnnviz-sum").inner_text()


# Colours.


def test_cells_have_the_colours_of_the_views(mount: Mount):
    sums = arithmetic()
    view = shown(mount, sums)
    products = sums.inputs * sums.kernel
    row = int(np.abs(sums.contributions).argmax())
    wanted = [
        colorize(sums.inputs[row], scale_of(sums.inputs, False)),
        colorize(sums.kernel[row], scale_of(sums.kernel, True)),
        colorize(products[row], scale_of(products, True)),
    ]
    for grid, colours in enumerate(wanted):
        cells = view.find(ROWS).first.locator(".cnnviz-cells").nth(grid).locator("td").all()
        for cell, colour in zip(cells, colours.reshape(-1, 4), strict=True):
            assert np.abs(np.array(color_of(cell)) - colour[:3]).max() <= 4, "off by more than one of the 256 colours"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_number_can_be_read_on_its_colour(mount: Mount, theme: str):
    inside = np.ones((3, 3), bool)
    inside[0] = False
    view = shown(mount, arithmetic(channels=12, inside=inside))
    view.theme(theme)
    view.settle()
    for cell in view.find(f"{ROWS} .cnnviz-cells td:not(.cnnviz-padding)").all():
        assert contrast(color_of(cell, "color"), color_of(cell)) >= 4.5
    for words in view.find(".cnnviz-padding > span").all()[:6]:
        assert contrast(color_of(words, "color"), color_of(words)) >= 4.5


def test_padding_is_hatched_in_the_input_and_said(mount: Mount):
    inside = np.ones((3, 3), bool)
    inside[0] = inside[:, 0] = False
    view = shown(mount, arithmetic(inside=inside))
    first = view.find(ROWS).first.locator(".cnnviz-cells")
    hatched = [
        ["cnnviz-padding" in (cell.get_attribute("class") or "") for cell in first.nth(grid).locator("td").all()]
        for grid in range(3)
    ]
    assert hatched[0] == hatched[2] == (~inside).ravel().tolist()
    assert not any(hatched[1])  # a weight is a weight, whatever it lies on
    assert "5 of its 9 cells are padding (hatched), filled with 0." in view.find(".cnnviz-place-words").inner_text()


def test_mirrored_padding_is_said_to_be_so(mount: Mount):
    inside = np.ones((3, 3), bool)
    inside[2, 2] = False
    view = shown(mount, arithmetic(inside=inside, padding_mode="reflect"))
    assert "1 of its 9 cells is padding (hatched), mirrored." in view.find(".cnnviz-place-words").inner_text()


@pytest.mark.parametrize("density", [1, 2])
def test_a_large_kernel_is_coloured_without_numbers(mount: Mount, density: int):
    inside = np.ones((11, 11), bool)
    inside[:2] = False
    sums = arithmetic(channels=3, side=11, inside=inside, colors=["red", "green", "blue"])
    view = shown(mount, sums, device_scale_factor=density)
    assert view.find(f"{ROWS} .cnnviz-cells").count() == 0
    view.page.evaluate("() => document.querySelectorAll('.cnnviz-coloured')[1].classList.add('seen')")
    whole = view.pixels("canvas.seen")
    middles = ((np.arange(11) + 0.5) * len(whole) / 11).astype(int)
    came = whole[np.ix_(middles, middles)]
    wanted = colorize(sums.kernel[0], scale_of(sums.kernel, True))
    assert (np.abs(came.astype(int) - wanted).max(-1) > 4).mean() < 0.02
    assert view.find("canvas.seen").get_attribute("aria-label") == "kernel"
    assert whole.shape[1] == density * view.find("canvas.seen").bounding_box()["width"]  # type: ignore[index]


def test_the_bar_of_a_sum_is_as_long_as_its_share_and_on_its_side(mount: Mount):
    sums = arithmetic()
    view = shown(mount, sums)
    order = np.argsort(-np.abs(sums.contributions))
    most = np.abs(sums.contributions).max()
    for place, row in enumerate(order):
        bar, axis = (
            view.find(ROWS).nth(place).locator(what).bounding_box() for what in (".cnnviz-axis > *", ".cnnviz-axis")
        )
        assert bar and axis
        value = sums.contributions[row]
        assert bar["width"] == pytest.approx(axis["width"] / 2 * abs(value) / most, abs=0.1)
        zero = axis["x"] + axis["width"] / 2
        assert (bar["x"] if value > 0 else bar["x"] + bar["width"]) == pytest.approx(zero, abs=0.1)


def test_on_a_narrow_page_a_sum_of_3x3_patches_needs_no_sideways_scrolling(mount: Mount):
    view = shown(mount, arithmetic(), viewport={"width": 800, "height": 600})
    wide, room = view.page.evaluate(
        "() => { const rows = document.querySelector('.cnnviz-rows'); return [rows.scrollWidth, rows.clientWidth]; }"
    )
    assert wide <= room


# More, pinned, none.


def test_more_rows_come_on_request_until_all_are_there(mount: Mount):
    sums = arithmetic(channels=40)
    view = shown(mount, sums)
    assert view.find(ROWS).count() == 16
    assert view.find(f"{FEET} >> nth=0").locator("th").inner_text().endswith("and 24 more channels")
    view.find(f"{FEET} button").click()
    view.settle()
    assert view.find(ROWS).count() == 32
    assert view.page.evaluate("() => document.activeElement.textContent") == "more"  # the keyboard stays where it was
    view.page.keyboard.press("Enter")
    view.settle()
    assert view.find(ROWS).count() == 40
    assert view.find(f"{FEET} button").count() == 0
    *terms, total = numbers(view.find(f"{ROWS} data")) + numbers(view.find(f"{FEET} data"))
    assert sum(terms) == pytest.approx(total, abs=len(terms) * 5e-4 * max(map(abs, terms)))


def test_pinned_keeps_what_is_seen_and_following_shows_the_newest(mount: Mount):
    view = shown(mount, arithmetic(seed=1))
    pin = view.find(".cnnviz-pin")
    assert (pin.inner_text(), pin.get_attribute("aria-pressed")) == ("Following", "false")
    pin.click()
    view.settle()
    assert (pin.inner_text(), pin.get_attribute("aria-pressed"), view.widget.pinned) == ("Pinned", "true", True)
    view.widget.show(arithmetic(seed=2))
    view.settle()
    assert "channel 1 " in view.find("h3").inner_text()
    pin.click()
    view.settle()
    assert "channel 2 " in view.find("h3").inner_text()


def test_no_sum_says_what_to_do_or_why_there_is_none(mount: Mount):
    view = mount(ArithmeticView())
    assert view.find(".cnnviz-why").inner_text().startswith("Point at a value")
    view.widget.show(arithmetic())
    view.settle()
    expect(view.find(".cnnviz-why")).to_be_hidden()
    view.widget.fail("features.1 is a ReLU: it passes on max(0, x) of features.0")
    view.settle()
    assert view.find(".cnnviz-why").inner_text() == "features.1 is a ReLU: it passes on max(0, x) of features.0"
    expect(view.find(".cnnviz-rows")).to_be_hidden()


def test_numbers_that_are_none_are_said_to_be_none(mount: Mount):
    sums = arithmetic(channels=2)
    broken = {**vars(sums), "contributions": np.array([np.nan, 1.0]), "total": float("nan"), "value": float("nan")}
    view = shown(mount, Arithmetic(**broken))
    assert "no value" in view.find(f"{ROWS} data").all_inner_texts()
    assert view.find(f"{FEET} data").last.inner_text() == "no value"


# Keyboard, and a page without a kernel.


def test_rows_scroll_by_keyboard_while_head_and_total_stay_in_sight(mount: Mount):
    view = shown(mount, arithmetic(channels=40))
    for _ in range(2):
        view.page.keyboard.press("Tab")
    assert (
        view.page.evaluate("() => document.activeElement.getAttribute('aria-label')")
        == "Contributions of the input channels"
    )
    region = view.find(".cnnviz-rows")
    box = region.bounding_box()
    before = view.find(FEET).last.bounding_box()
    assert box and before
    assert before["y"] + before["height"] <= box["y"] + box["height"] + 1
    view.page.keyboard.press("End")
    view.page.wait_for_function("() => document.querySelector('.cnnviz-rows').scrollTop > 300")
    assert view.find(FEET).last.bounding_box() == pytest.approx(before, abs=1)
    head = view.find(".cnnviz-rows thead th").first.bounding_box()
    assert head and head["y"] == pytest.approx(box["y"], abs=1)


def test_a_page_without_a_kernel_keeps_the_last_sum_and_offers_no_more(mount: Mount):
    view = shown(mount, arithmetic(channels=40), kernel=False)
    assert view.find(ROWS).count() == 16
    expect(view.find(".cnnviz-static")).to_be_visible(timeout=8000)
    expect(view.find(f"{FEET} button")).to_be_disabled()


def test_nothing_is_left_when_the_view_is_taken_off_the_page(mount: Mount):
    view = mount(ArithmeticView(), views=2)
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-arithmetic").count() == 0


def test_a_scale_that_is_nothing_but_zeros_is_drawn(mount: Mount):
    sums = arithmetic(channels=2)
    zeros = np.zeros_like(sums.inputs)
    nothing = {**vars(sums), "inputs": zeros, "kernel": zeros, "contributions": np.zeros(2), "bias": 0.0, "total": 0.0}
    view = shown(mount, Arithmetic(**{**nothing, "value": 0.0}))
    assert view.find(".cnnviz-sum").inner_text().endswith("they agree exactly.")
    cell = view.find(f"{ROWS} .cnnviz-cells >> nth=1").locator("td").first
    assert color_of(cell) == colorize([0.0], Scale(0, 0, "RdBu_r", True))[0, :3].tolist()
