"""UnitCard in a real Chromium: what is drawn and said, which parts are shown together, keyboard, clipboard, themes."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from cnnviz_widgets.results import ActivationMask, Activations, Filters, Unit, UnitProjection
from cnnviz_widgets.views.colour import Scale, color_attribution, colorize, overlay, scale_of
from cnnviz_widgets.widgets import UnitCard
from tests.browser.harness import THEMES, Mounted

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
H, W = 24, 32
RNG = np.random.default_rng(11)
PICTURE = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
OTHER = np.ascontiguousarray(PICTURE[::-1])
MAPS = RNG.normal(size=(6, 6, 8)).astype(np.float32)
EVENLY = None
CODE = 'from cnnviz_widgets import Engine\n\nengine = Engine("squeezenet1_1")'


def activations(
    maps: np.ndarray = MAPS, image: np.ndarray = PICTURE, field: dict[str, Any] | None = EVENLY
) -> Activations:
    return Activations(
        image=image, layer="features.6", method="activations", parameters={"kind": "Conv2d", "receptive_field": field},
        maps=maps, signed=bool((maps < 0).any()), maximum=maps.max((1, 2)), mean=maps.mean((1, 2)),
        zeros=(maps == 0).mean((1, 2)), dead=~(maps > 0).any((1, 2)),
    )  # fmt: skip


def mask(channel: int = 2, image: np.ndarray = PICTURE) -> ActivationMask:
    inside = np.zeros((H, W), bool)
    inside[3:9, 4:13] = True
    return ActivationMask(
        image=image, target=Unit("features.6", channel), layer="features.6", method="activation_mask",
        parameters={"quantile": 0.9}, mask=inside, values=inside.astype(np.float32), raw=MAPS[2], threshold=1.5,
    )  # fmt: skip


VALUES = RNG.normal(size=(3, H, W)).astype(np.float32)


def projection(way: str = "deconvnet", channel: int = 2, **more: Any) -> UnitProjection:
    return UnitProjection(
        image=PICTURE, target=Unit("features.6", channel, 1, 4), layer="features.6", method="project_unit",
        parameters={"method": way, **more}, values=VALUES, box=np.array([2, 3, 12, 13]), activation=2.5,
    )  # fmt: skip


def filters(weights: np.ndarray, rgb: bool = False) -> Filters:
    n = len(weights)
    return Filters(
        layer="features.6", method="filters", weights=weights, order=np.arange(n), rgb=rgb,
        norms=np.linalg.norm(weights.reshape(n, -1), axis=1).astype(np.float32),
    )  # fmt: skip


KERNELS = RNG.normal(size=(6, 4, 3, 3)).astype(np.float32)


def full() -> UnitCard:
    card = UnitCard()
    card.show(activations(), 2, mask=mask(), projection=projection(), filters=filters(KERNELS), code=CODE)
    return card


def drawn(view: Mounted, part: str, width: int, height: int, which: int = 0) -> np.ndarray:
    """A figure's picture with one pixel for each of its own: (height, width, 3)."""
    view.page.evaluate(
        """([part, which]) => {
          document.querySelectorAll(".seen").forEach((canvas) => canvas.classList.remove("seen"));
          document.querySelectorAll(`.cnnviz-${part} canvas`)[which].classList.add("seen");
        }""",
        [part, which],
    )
    whole = view.pixels("canvas.seen")
    rows = ((np.arange(height) + 0.5) * whole.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * whole.shape[1] / width).astype(int)
    return whole[np.ix_(rows, columns)][..., :3]


def assert_close(came: np.ndarray, wanted: np.ndarray) -> None:
    """Colours within a level; a value on the border of two colours may fall to either side of it."""
    off = np.abs(came.astype(int) - wanted.astype(int)).max(-1) > 1
    assert off.mean() < 0.01, f"{off.sum()} of {off.size} pixels differ"


def words(view: Mounted, part: str) -> str:
    return view.find(f".cnnviz-{part} .cnnviz-blank").inner_text()


def number_of(view: Mounted, name: str) -> str:
    row = view.find(".cnnviz-numbers tr").filter(has=view.page.get_by_role("rowheader", name=name, exact=True))
    return row.locator("td").inner_text()


# What is drawn.


def enlarged(values: np.ndarray) -> np.ndarray:
    """Bilinear between the middles of evenly spread cells, written slowly."""
    out = np.empty((H, W))
    h, w = values.shape
    for y in range(H):
        for x in range(W):
            v = min(max((y + 0.5) * h / H - 0.5, 0), h - 1)
            u = min(max((x + 0.5) * w / W - 0.5, 0), w - 1)
            i, j = int(v), int(u)
            k, n = min(i + 1, h - 1), min(j + 1, w - 1)
            top = values[i, j] * (1 - u % 1) + values[i, n] * (u % 1)
            bottom = values[k, j] * (1 - u % 1) + values[k, n] * (u % 1)
            out[y, x] = top * (1 - v % 1) + bottom * (v % 1)
    return out


@pytest.mark.parametrize("signed", [True, False])
def test_the_map_over_the_picture_has_the_colours_of_the_views(mount: Mount, signed: bool):
    maps = MAPS if signed else np.abs(MAPS)
    card = UnitCard(opacity=0.6)
    card.show_unit(activations(maps), 2)
    view = mount(card)
    wanted = overlay(PICTURE, enlarged(maps[2]), scale_of(maps[2], signed), 0.6)
    assert_close(drawn(view, "map", W, H), wanted)


def test_a_map_lies_where_its_receptive_fields_look_and_beyond_them_nothing_is_drawn(mount: Mount):
    field = {"size": (4, 4), "stride": (2, 2), "start": (6, 8), "whole": False, "local": None}
    card = UnitCard(opacity=1)
    card.show_unit(activations(np.ones((1, 6, 8), np.float32), field=field), 0)
    came = drawn(mount(card), "map", W, H)
    # Row i sees 6 + 2i to 9 + 2i, so the middles lie at 8, 10 … 18 and reach from 7 to 19; columns from 9 to 25.
    covered = np.zeros((H, W), bool)
    covered[7:19, 9:25] = True
    np.testing.assert_array_equal(came[~covered], PICTURE[~covered])
    assert (came[covered] == colorize([1.0], Scale(0, 1))[0, :3]).all()


def test_the_opacity_slider_needs_no_kernel(mount: Mount):
    view = mount(full(), kernel=False)
    view.find(".cnnviz-map input").fill("0")
    view.settle()
    np.testing.assert_array_equal(drawn(view, "map", W, H), PICTURE)
    view.find(".cnnviz-map input").fill("100")
    view.settle()
    assert_close(drawn(view, "map", W, H), overlay(PICTURE, enlarged(MAPS[2]), scale_of(MAPS[2], True), 1.0))


def test_the_mask_leaves_the_picture_inside_and_dims_it_outside(mount: Mount):
    view = mount(full())
    came, inside = drawn(view, "mask", W, H), mask().mask
    np.testing.assert_array_equal(came[inside], PICTURE[inside])
    assert came[~inside].max() <= 64
    assert view.find(".cnnviz-mask figcaption").inner_text() == "top 10 %, above 1.5"
    assert view.find(".cnnviz-mask .cnnviz-extra").inner_text() == f"{round(100 * inside.mean(), 1):g} % of the picture"


def test_the_projection_stands_beside_the_very_patch_that_it_answers_to(mount: Mount):
    view = mount(full())
    assert_close(drawn(view, "projection", 10, 10, 0), color_attribution(VALUES[:, 3:13, 2:12]))
    np.testing.assert_array_equal(drawn(view, "projection", 10, 10, 1), PICTURE[3:13, 2:12])
    assert view.find(".cnnviz-projection figcaption").inner_text() == "projection of y 1, x 4"
    title = view.find(".cnnviz-projection .cnnviz-frame").get_attribute("title") or ""
    assert "2.5" in title and "x 2 to 11, y 3 to 12" in title


def test_the_kernels_are_drawn_on_one_signed_scale_strongest_first(mount: Mount):
    view = mount(full())
    scale = scale_of(KERNELS[2], True)
    order = np.argsort(-np.linalg.norm(KERNELS[2].reshape(4, -1), axis=1))
    for place, channel in enumerate(order):
        assert_close(drawn(view, "filter", 3, 3, place), colorize(KERNELS[2, channel], scale)[..., :3])
    assert view.find(".cnnviz-filter figcaption").inner_text() == "4 kernels, 3×3"


def test_a_filter_that_reads_colours_is_drawn_in_colours_about_grey(mount: Mount):
    weights = RNG.normal(size=(6, 3, 5, 5)).astype(np.float32)
    card = UnitCard()
    card.show(activations(), 2, filters=filters(weights, rgb=True))
    assert_close(drawn(mount(card), "filter", 5, 5), color_attribution(weights[2], None))


def test_a_1x1_filter_is_a_strip_of_bars_up_for_what_speaks_for_it(mount: Mount):
    weights = np.zeros((6, 8, 1, 1), np.float32)
    weights[2, :, 0, 0] = [1, -2, 0.5, 0, 0, 0, 0, 2]
    card = UnitCard()
    card.show(activations(), 2, filters=filters(weights))
    view = mount(card)
    heights = [float(bar.get_attribute("height") or 0) for bar in view.find(".cnnviz-bars .cnnviz-plus").all()]
    assert heights == [0.5, 0.25, 1]
    assert [float(bar.get_attribute("height") or 0) for bar in view.find(".cnnviz-bars .cnnviz-minus").all()] == [1]


@pytest.mark.parametrize("density", [1, 2])
def test_pictures_are_sharp_at_the_screens_own_resolution(mount: Mount, density: int):
    view = mount(full(), device_scale_factor=density)
    inner, shown = view.page.evaluate(
        "() => { const c = document.querySelector('.cnnviz-map canvas'); "
        "return [c.width, c.getBoundingClientRect().width]; }"
    )
    assert inner == pytest.approx(shown * density, abs=0.01)
    came = drawn(view, "map", W, H)
    assert_close(came, overlay(PICTURE, enlarged(MAPS[2]), scale_of(MAPS[2], True), 0.6))


# What is said.


def test_head_and_numbers_say_what_the_channel_does(mount: Mount):
    field = {"size": (51, 51), "stride": (8, 8), "start": (-20, -20), "whole": False, "local": None}
    card = UnitCard()
    card.show_unit(activations(np.maximum(MAPS, 0), field=field), 2)
    view = mount(card)
    maps = np.maximum(MAPS, 0)
    y, x = np.unravel_index(maps[2].argmax(), maps[2].shape)
    assert view.find("h3").inner_text() == "features.6 · channel 2"
    about = view.find("header p").inner_text()
    assert about == "Conv2d · 6 maps of 6×8 · sees 51×51 pixels, one every 8"
    value, place = number_of(view, "maximum").split(" at ")
    assert (float(value), place) == (pytest.approx(maps[2].max(), rel=1e-3), f"y {y}, x {x}")
    assert float(number_of(view, "mean")) == pytest.approx(maps[2].mean(), rel=1e-3)
    assert float(number_of(view, "zeros").split(" %")[0]) == pytest.approx(100 * (maps[2] == 0).mean(), abs=0.5)
    assert number_of(view, "dead").startswith("no")
    rank = 1 + (maps.max((1, 2)) > maps[2].max()).sum()
    assert number_of(view, "rank").startswith(str(rank))
    assert number_of(view, "rank").endswith("of 6 by maximum")


@pytest.mark.parametrize(
    ("place", "wanted"),
    [(0, "1st"), (1, "2nd"), (2, "3rd"), (3, "4th"), (10, "11th"), (12, "13th"), (21, "22nd"), (110, "111th")],
)
def test_ranks_are_said_as_one_says_them(mount: Mount, place: int, wanted: str):
    maps = np.arange(120, 0, -1, dtype=np.float32)[:, None, None]
    card = UnitCard()
    card.show_unit(activations(maps), place)
    assert number_of(mount(card), "rank") == f"{wanted} of 120 by maximum"


def test_a_dead_channel_and_one_without_values_are_said_to_be_so(mount: Mount):
    maps = np.zeros((2, 2, 2), np.float32)
    maps[1] = np.nan
    card = UnitCard()
    card.show_unit(activations(maps), 0)
    view = mount(card)
    assert number_of(view, "dead").startswith("yes")
    assert number_of(view, "zeros").startswith("100 %")
    card.show_unit(activations(maps), 1)
    view.settle()
    assert number_of(view, "maximum").startswith("no value")
    assert number_of(view, "rank") == "no value"


def test_the_chart_marks_the_bar_of_this_channel(mount: Mount):
    card = UnitCard()
    strongest = int(MAPS.max((1, 2)).argmax())
    card.show_unit(activations(), strongest)
    view = mount(card)
    chart = view.find(".cnnviz-histogram")
    assert chart.get_attribute("role") == "img"
    assert f"of this one {MAPS.max():.4g}" in (chart.get_attribute("aria-label") or "")
    own = view.find(".cnnviz-own")
    assert own.count() == 1
    assert float(own.get_attribute("x") or 0) > 23  # the last of 24 bins


# Which parts are shown together.


def test_a_part_of_another_unit_waits_unseen_until_its_unit_comes(mount: Mount):
    card = UnitCard()
    card.show_unit(activations(), 2)
    view = mount(card)
    card.show_mask(mask(channel=3))
    view.settle()
    assert view.find(".cnnviz-mask canvas").count() == 0
    assert words(view, "mask") == "on its way…"
    card.show_unit(activations(), 3)
    view.settle()
    assert view.find(".cnnviz-mask canvas").count() == 1


def test_old_parts_leave_with_the_unit_that_they_belong_to(mount: Mount):
    card = full()
    view = mount(card)
    assert view.find(".cnnviz-figure canvas").count() == 1 + 1 + 2 + 4
    card.show_unit(activations(), 3)
    view.settle()
    assert view.find(".cnnviz-figure canvas").count() == 1
    card.show_unit(activations(image=OTHER), 2)
    view.settle()
    assert view.find(".cnnviz-mask canvas").count() == view.find(".cnnviz-projection canvas").count() == 0
    assert view.find(".cnnviz-filter canvas").count() == 4  # The filter is the same on every picture.


def test_between_a_picture_and_its_unit_the_last_two_stay(mount: Mount):
    card = full()
    view = mount(card)
    before = drawn(view, "map", W, H)
    after = UnitCard()
    after.show_unit(activations(image=OTHER), 2)
    card.picture = after.picture  # on its way to the next frame of a camera
    view.settle()
    np.testing.assert_array_equal(drawn(view, "map", W, H), before)
    assert view.find(".cnnviz-mask canvas").count() == 1
    card.unit = after.unit
    view.settle()
    assert_close(drawn(view, "map", W, H), overlay(OTHER, enlarged(MAPS[2]), scale_of(MAPS[2], True), 0.6))
    assert view.find(".cnnviz-mask canvas").count() == 0


def test_a_projection_of_another_position_is_not_kept_beside_the_new_one(mount: Mount):
    card = full()
    view = mount(card)
    moved = UnitProjection(**{**vars(projection("saliency")), "target": Unit("features.6", 2, 0, 0)})
    card.projection_method = "saliency"
    card.show_projection(moved)
    view.settle()
    assert view.find(".cnnviz-projection figcaption").inner_text() == "projection of y 0, x 0"
    card.projection_method = "deconvnet"
    view.settle()
    assert words(view, "projection") == "on its way…"


def test_a_failure_is_that_of_its_method(mount: Mount):
    card = full()
    view = mount(card)
    card.projection_method = "saliency"
    card.fail("projection", "no rectifier", method="guided_backprop")
    view.settle()
    assert words(view, "projection") == "on its way…"
    card.projection_method = "guided_backprop"
    view.settle()
    assert words(view, "projection") == "no rectifier"


def test_who_walks_the_channels_with_a_grown_figure_keeps_it(mount: Mount):
    card = full()
    view = mount(card)
    frame = view.find(".cnnviz-projection .cnnviz-frame")
    frame.focus()
    view.page.keyboard.press("Enter")
    card.show_unit(activations(), 3)
    view.settle()
    assert (words(view, "projection"), frame.get_attribute("aria-expanded")) == ("on its way…", "true")
    view.page.keyboard.press("Escape")
    view.settle()
    assert frame.get_attribute("aria-expanded") == "false"


def test_nothing_jumps_while_parts_come(mount: Mount):
    card = UnitCard()
    card.show_unit(activations(), 2, code=CODE)
    view = mount(card)
    before = view.find(".cnnviz-card").bounding_box()
    card.show_mask(mask())
    card.fail("projection", "a very long reason " * 30)
    card.show_filter(filters(KERNELS), 2)
    view.settle()
    assert view.find(".cnnviz-mask canvas").count() == 1
    assert view.find(".cnnviz-card").bounding_box() == before


def test_what_does_not_exist_says_why(mount: Mount):
    card = UnitCard()
    card.show_unit(activations(), 2)
    card.fail("filter", "not a convolution")
    view = mount(card)
    assert words(view, "filter") == "not a convolution"
    assert view.find(".cnnviz-filter .cnnviz-frame").get_attribute("aria-label") == "filter: not a convolution"
    assert view.find(".cnnviz-filter .cnnviz-frame").get_attribute("aria-disabled") == "true"
    view.find(".cnnviz-filter .cnnviz-frame").click(force=True)
    assert view.find(".cnnviz-filter .cnnviz-frame").get_attribute("aria-expanded") == "false"


def test_while_the_camera_runs_the_later_parts_are_said_to_wait(mount: Mount):
    card = UnitCard()
    card.show_unit(activations(), 2, coming=(), live=True)
    view = mount(card)
    assert words(view, "mask") == words(view, "projection") == "when the camera stands still"
    assert view.find(".cnnviz-map canvas").count() == 1


def test_choosing_a_method_asks_for_its_projection_and_going_back_needs_no_kernel(mount: Mount):
    card = full()
    view = mount(card)
    asked: list[str] = []
    card.observe(lambda change: asked.append(change["new"]), "projection_method")
    select = view.find(".cnnviz-projection select")
    select.select_option("saliency")
    view.settle()
    assert asked == ["saliency"]
    assert words(view, "projection") == "on its way…"
    card.show_projection(projection("saliency"))
    view.settle()
    assert view.find(".cnnviz-projection canvas").count() == 2
    view.kernel = False
    select.select_option("deconvnet")
    view.settle()
    assert view.find(".cnnviz-projection canvas").count() == 2


def test_where_all_methods_agree_the_tooltip_says_so(mount: Mount):
    card = UnitCard()
    card.show(activations(), 2, projection=projection(rectified=False))
    title = mount(card).find(".cnnviz-projection .cnnviz-frame").get_attribute("title") or ""
    assert "all methods agree" in title


def test_patches_stay_hidden_until_they_are_given_for_this_unit(mount: Mount):
    card = full()
    view = mount(card)
    expect(view.find(".cnnviz-patches")).to_be_hidden()
    card.show_patches(np.zeros((3, 8, 8, 3), np.uint8), ["a", "b", "c"])
    view.settle()
    assert view.find(".cnnviz-patches figcaption").all_inner_texts() == ["a", "b", "c"]
    card.show_unit(activations(), 3)
    view.settle()
    expect(view.find(".cnnviz-patches")).to_be_hidden()


def test_what_the_channel_looks_for_is_offered_grows_and_stays(mount: Mount):
    card, asked = full(), []
    card.on_look(lambda: asked.append("start"), lambda: asked.append("stop"))
    view = mount(card)
    place, button = view.find(".cnnviz-wish"), view.find(".cnnviz-wish button")
    expect(place).to_be_hidden()
    unit = Unit("features.6", 2)
    card.show_look(unit, "offered")
    view.settle()
    assert (button.inner_text(), place.locator("canvas").count()) == ("Make a picture of it", 0)
    button.focus()
    view.page.keyboard.press("Enter")
    view.settle()
    card.show_look(unit, "running", "step 1 of 160", OTHER)
    view.settle()
    assert (button.inner_text(), place.get_attribute("aria-busy")) == ("Stop", "true")
    assert "step 1 of 160" in place.inner_text()
    button.click()
    view.settle()
    assert asked == ["start", "stop"]
    card.show_look(unit, "here", picture=PICTURE, score=153.0)
    view.settle()
    expect(button).to_be_hidden()
    assert_close(drawn(view, "wish", W, H), PICTURE)
    mean = card.unit["statistics"]["mean"]
    said = re.search(r"mean 153; on this picture (\S+)", place.inner_text())
    assert said and float(said[1].replace("−", "-")) == pytest.approx(mean, rel=0.01)
    card.show_unit(activations(), 3)
    view.settle()
    expect(place).to_be_hidden()
    card.show_look(Unit("features.6", 3), "wrong", "step 1 met a value that is not finite")
    view.settle()
    assert (button.inner_text(), "not finite" in place.inner_text()) == ("Try again", True)


def test_a_card_without_a_unit_says_what_to_do(mount: Mount):
    card = UnitCard()
    view = mount(card)
    expect(view.find(".cnnviz-hint")).to_be_visible()
    expect(view.find(".cnnviz-figures")).to_be_hidden()
    card.show_unit(activations(), 2)
    view.settle()
    expect(view.find(".cnnviz-hint")).to_be_hidden()
    card.clear()
    view.settle()
    expect(view.find(".cnnviz-hint")).to_be_visible()


# Keyboard, clipboard, pages without a kernel, themes.


def test_a_figure_grows_over_the_width_and_goes_back_by_click_key_or_escape(mount: Mount):
    view = mount(full())
    card, frame = view.find(".cnnviz-figures"), view.find(".cnnviz-filter .cnnviz-frame")
    small, whole = frame.bounding_box(), card.bounding_box()
    assert small and whole
    frame.focus()
    for open_with, shut_with in (("Enter", "Escape"), ("Space", "Space")):
        view.page.keyboard.press(open_with)
        view.settle()
        large = frame.bounding_box()
        assert large and large["width"] == whole["width"] > 2 * small["width"]
        assert frame.get_attribute("aria-expanded") == "true"
        assert card.bounding_box() == whole  # nothing under it moves
        view.page.keyboard.press(shut_with)
        view.settle()
        assert frame.bounding_box() == small
        assert frame.get_attribute("aria-expanded") == "false"
    frame.click()
    frame.click()
    assert frame.bounding_box() == small


def test_a_grown_figure_is_drawn_at_its_size(mount: Mount):
    view = mount(full(), device_scale_factor=2)
    before = view.pixels(".cnnviz-map canvas").shape
    view.find(".cnnviz-map .cnnviz-frame").click()
    view.settle()
    after = view.pixels(".cnnviz-map canvas").shape
    assert after[1] > 2 * before[1]
    assert_close(drawn(view, "map", W, H), overlay(PICTURE, enlarged(MAPS[2]), scale_of(MAPS[2], True), 0.6))


def test_everything_can_be_reached_by_tab_in_reading_order(mount: Mount):
    view = mount(full())
    reached = []
    view.page.evaluate("() => document.body.focus()")
    for _ in range(8):
        view.page.keyboard.press("Tab")
        reached.append(view.page.evaluate("() => document.activeElement.closest('figure')?.className ?? "
                                          "document.activeElement.textContent"))  # fmt: skip
    figures = ["map", "map", "mask", "projection", "projection", "filter"]  # with the slider and the menu
    assert reached == [f"cnnviz-figure cnnviz-{name}" for name in figures] + ["Copy as code", "Show"]


def test_copy_puts_the_code_on_the_clipboard_and_says_so(mount: Mount):
    view = mount(full(), permissions=["clipboard-read", "clipboard-write"])
    view.page.evaluate("""() => Object.defineProperty(navigator, "clipboard",
                          { value: { writeText: async (text) => { window.taken = text; } } })""")
    view.find(".cnnviz-copy").click()
    expect(view.find(".cnnviz-said")).to_have_text("copied")
    assert view.page.evaluate("() => window.taken") == CODE
    expect(view.find(".cnnviz-code pre")).to_be_hidden()


def test_without_a_clipboard_the_code_is_copied_by_selecting_it(mount: Mount):
    view = mount(full())
    assert view.page.evaluate("() => navigator.clipboard === undefined")  # a page without https
    view.page.evaluate("() => addEventListener('copy', () => { window.taken = String(getSelection()); })")
    view.find(".cnnviz-copy").click()
    expect(view.find(".cnnviz-said")).to_have_text("copied")
    assert view.page.evaluate("() => window.taken").strip() == CODE
    assert view.page.evaluate("() => String(getSelection())") == ""


def test_where_nothing_can_be_copied_the_code_stands_selected(mount: Mount):
    view = mount(full())
    view.page.evaluate("() => { document.execCommand = () => false; }")
    view.find(".cnnviz-copy").click()
    expect(view.find(".cnnviz-said")).to_contain_text("Ctrl+C")
    assert view.page.evaluate("() => String(getSelection())").strip() == CODE
    expect(view.find(".cnnviz-code pre")).to_be_visible()


def test_code_is_shown_as_it_is_and_no_code_shows_no_button(mount: Mount):
    card = full()
    view = mount(card)
    view.page.get_by_role("button", name="Show").click()
    assert view.find(".cnnviz-code pre").inner_text() == CODE
    overflow = view.page.evaluate("() => document.querySelector('.cnnviz-card').scrollWidth")
    assert overflow <= 340
    card.code = ""
    view.settle()
    expect(view.find(".cnnviz-code")).to_be_hidden()


def test_a_page_without_a_kernel_keeps_the_last_view_and_says_that_it_is_static(mount: Mount):
    view = mount(full(), kernel=False)
    assert view.find(".cnnviz-figure canvas").count() == 8
    expect(view.find(".cnnviz-static")).to_be_visible(timeout=8000)
    view.find(".cnnviz-projection select").select_option("saliency")
    view.settle()
    assert words(view, "projection") == "not kept in this page"


def test_a_page_that_is_loaded_anew_shows_the_same(mount: Mount):
    view = mount(full())
    before = drawn(view, "map", W, H)
    view.reload()
    np.testing.assert_array_equal(drawn(view, "map", W, H), before)
    assert view.find(".cnnviz-figure canvas").count() == 8


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read_in_both_themes(mount: Mount, theme: str):
    view = mount(full())
    view.theme(theme)
    view.settle()
    ink, paper = (THEMES[theme][name] for name in ("ui-font-color1", "layout-color1"))
    for selector in ("h3", "figcaption >> nth=0", ".cnnviz-numbers td >> nth=0"):
        color = view.find(selector).evaluate("(el) => getComputedStyle(el).color")
        assert color == f"rgb({', '.join(str(int(ink[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert ink != paper


def test_nothing_is_left_when_the_card_is_taken_off_the_page(mount: Mount):
    view = mount(full(), views=2)
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-card").count() == 0
