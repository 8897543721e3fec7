"""ImageCanvas in a real Chromium: what is drawn, what the mouse and the keyboard do, and what is sent."""

import re
from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from playwright.sync_api import expect
from torch.nn.functional import interpolate

from cnnviz_widgets.views.colour import Scale, color_attribution, overlay
from cnnviz_widgets.widgets import ImageCanvas
from tests.browser.harness import THEMES, Mounted

pytestmark = pytest.mark.browser

W, H = 40, 30
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
LOW = RNG.random((5, 8), dtype=np.float32) * 3
SIGNED = (RNG.random((7, 6), dtype=np.float32) - 0.5) * 4
CANVAS = "canvas.cnnviz-pixels"

Mount = Callable[..., Mounted]


def enlarged(values: np.ndarray) -> np.ndarray:
    planes = torch.from_numpy(np.atleast_3d(values).reshape(1, -1, *values.shape[-2:]).copy())
    out = interpolate(planes, (H, W), mode="bilinear", align_corners=False)[0].numpy()
    return out if values.ndim == 3 else out[0]


def canvas_with(values: np.ndarray | None = LOW, **traits: Any) -> ImageCanvas:
    canvas = ImageCanvas(**{"context": "cat", "mode": "why", "method": "grad_cam", **traits})
    canvas.show_picture(PICTURE)
    if values is not None:
        canvas.show_map(values, label="Grad-CAM · tabby")
    return canvas


def assert_close(came: np.ndarray, wanted: np.ndarray, levels: int = 1) -> None:
    """Colours within a level; a value on the border of two colours may fall to either side of it (float32, float64)."""
    off = np.abs(came.astype(int) - wanted.astype(int)).max(-1) > levels
    assert off.mean() < 0.005, f"{off.sum()} of {off.size} pixels differ"


def point(x: int, y: int, mounted: Mounted) -> dict[str, float]:
    box = mounted.find(CANVAS).first.bounding_box()
    assert box is not None
    return {"x": (x + 0.5) * box["width"] / W, "y": (y + 0.5) * box["height"] / H}


def hover(mounted: Mounted, x: int, y: int) -> str:
    mounted.find(CANVAS).first.hover(position=point(x, y, mounted))  # type: ignore[arg-type]
    mounted.settle()
    return readout(mounted)


def readout(mounted: Mounted) -> str:
    return mounted.find(".cnnviz-readout").first.get_attribute("data-text") or ""


def press(mounted: Mounted, *keys: str) -> None:
    for key in keys:
        mounted.find(CANVAS).first.press(key)
    mounted.settle()


# What is drawn.


@pytest.mark.parametrize("opacity", [0.0, 0.55, 1.0])
def test_a_map_has_the_colours_of_the_saved_figure(mount: Mount, opacity: float):
    view = mount(canvas_with(opacity=opacity))
    wanted = overlay(PICTURE, enlarged(LOW), Scale(0, float(LOW.max())), opacity)
    assert_close(view.picture(W, H), wanted)


def test_a_signed_map_is_drawn_about_zero(mount: Mount):
    view = mount(canvas_with(SIGNED))
    most = float(np.abs(SIGNED).max())
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(SIGNED), Scale(-most, most, "RdBu_r", True), 0.55))
    assert view.find(".cnnviz-zero").inner_text() == "0"


def test_a_map_larger_than_the_picture_is_sampled_as_torch_does(mount: Mount):
    fine = RNG.random((61, 97), dtype=np.float32)
    view = mount(canvas_with(fine, opacity=1))
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(fine), Scale(0, float(fine.max())), 1.0))


def test_colours_can_be_chosen_and_come_from_the_same_table(mount: Mount):
    view = mount(canvas_with())
    view.find("select").select_option("viridis")
    view.settle()
    assert view.widget.colormap == "viridis"
    wanted = overlay(PICTURE, enlarged(LOW), Scale(0, float(LOW.max()), "viridis"), 0.55)
    assert_close(view.picture(W, H), wanted)


@pytest.mark.parametrize("signed", [True, False])
def test_a_colour_attribution_is_drawn_as_the_saved_figure_draws_it(mount: Mount, signed: bool):
    values = (RNG.standard_normal((3, H, W))).astype(np.float32)
    values = values if signed else np.abs(values)
    canvas = canvas_with(None, opacity=1)
    canvas.show_map(values, signed=signed)
    view = mount(canvas)
    assert_close(view.picture(W, H), color_attribution(values, signed=signed))
    assert view.find("select").is_disabled()


@pytest.mark.parametrize("values", [LOW, SIGNED], ids=["unsigned", "signed"])
def test_a_threshold_bares_the_picture_where_the_magnitude_is_small(mount: Mount, values: np.ndarray):
    view = mount(canvas_with(values, opacity=1, threshold=0.5))
    came = view.picture(W, H)
    high = np.abs(enlarged(values)) >= 0.5 * np.abs(values).max()
    assert high.any() and (~high).any()
    np.testing.assert_array_equal(came[~high], PICTURE[~high])
    assert (came[high] != PICTURE[high]).any(-1).mean() > 0.95


def test_nan_is_transparent_and_reads_no_value(mount: Mount):
    values = np.arange(H * W, dtype=np.float32).reshape(H, W)
    values[10, 20] = np.nan
    view = mount(canvas_with(values, opacity=1))
    came = view.picture(W, H)
    np.testing.assert_array_equal(came[10, 20], PICTURE[10, 20])
    assert (came[10, 21] != PICTURE[10, 21]).any()
    assert "value no value" in hover(view, 20, 10)


def test_a_map_of_one_value_is_drawn_and_hides_nothing_of_the_page(mount: Mount):
    view = mount(canvas_with(np.zeros((2, 2), np.float32), opacity=1))
    assert_close(view.picture(W, H), overlay(PICTURE, np.zeros((H, W)), Scale(0, 0), 1.0))
    assert "value 0" in hover(view, 3, 3)


def test_a_map_without_a_picture_is_drawn_alone(mount: Mount):
    canvas = ImageCanvas(opacity=1)
    canvas.show_map(LOW)
    view = mount(canvas)
    wanted = overlay(np.zeros((5, 8, 3), np.uint8), LOW, Scale(0, float(LOW.max())), 1.0)
    assert_close(view.picture(8, 5), wanted)


def test_a_canvas_that_is_made_out_of_sight_is_drawn_when_it_is_shown(mount: Mount):
    view = mount(canvas_with(), views=0)
    view.page.evaluate("() => { document.body.hidden = true; return show(); }")
    view.widget.show_map(SIGNED)
    view.settle()
    view.page.evaluate("() => { document.body.hidden = false; }")
    view.settle()
    most = float(np.abs(SIGNED).max())
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(SIGNED), Scale(-most, most, "RdBu_r", True), 0.55))


def test_an_empty_canvas_is_no_error(mount: Mount):
    view = mount(ImageCanvas())
    assert not view.find(CANVAS).is_visible()
    assert view.custom == [{"type": "hello"}]


@pytest.mark.parametrize("density", [1, 2, 1.5])
def test_pixels_are_sharp_at_every_screen_density(mount: Mount, density: float):
    view = mount(canvas_with(None), device_scale_factor=density)
    whole = view.pixels()
    box = view.find(CANVAS).bounding_box()
    assert box is not None and box["width"] >= 320
    assert whole.shape[1] == round(box["width"] * density)
    # Sharp: nothing but the picture's own colours.
    colours = {tuple(c) for c in PICTURE.reshape(-1, 3)}
    assert {tuple(c) for c in whole[..., :3].reshape(-1, 3)} == colours
    np.testing.assert_array_equal(view.picture(W, H), PICTURE)


def test_zoom_is_screen_pixels_for_each_of_the_pictures(mount: Mount):
    view = mount(canvas_with(zoom=5))
    assert view.find(CANVAS).bounding_box()["width"] == 5 * W  # type: ignore[index]


def test_a_narrow_cell_gets_a_narrow_picture_and_nothing_sticks_out(mount: Mount):
    view = mount(canvas_with(), viewport={"width": 300, "height": 800})
    box, root = view.find(CANVAS).bounding_box(), view.find(".cnnviz-canvas").bounding_box()
    assert box and root and box["width"] < 250 and root["width"] <= 268
    assert abs(box["width"] / box["height"] - W / H) < 0.02
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 300


def test_the_bar_says_the_ends_of_the_scale_and_is_as_high_as_the_picture(mount: Mount):
    canvas = canvas_with(None)
    canvas.publish(canvas.wanted, LOW, lo=0, hi=2.5, unit="logits")
    view = mount(canvas)
    assert view.find(".cnnviz-hi").inner_text() == "2.5 logits"
    assert view.find(".cnnviz-lo").inner_text() == "0 logits"
    bar, box = view.find(".cnnviz-ramp").bounding_box(), view.find(CANVAS).bounding_box()
    assert bar and box and abs(bar["height"] - box["height"]) < 1 and abs(bar["y"] - box["y"]) < 1
    ramp = view.pixels(".cnnviz-ramp")
    np.testing.assert_array_equal(ramp[::-1, 0].tobytes(), canvas.tables["inferno"])


# Which map is drawn.


def test_switching_between_maps_that_came_changes_the_pixels_and_sends_nothing(mount: Mount):
    view = mount(canvas_with())
    view.widget.publish("cat|why|saliency", SIGNED, label="saliency")
    view.settle()
    first = view.picture(W, H)
    view.custom.clear()
    view.updates.clear()
    # As a jslinked menu does it: in the front end alone.
    view.page.evaluate("() => model.set('method', 'saliency')")
    view.settle()
    second = view.picture(W, H)
    assert (first != second).any(-1).mean() > 0.9
    assert view.find(".cnnviz-caption").inner_text() == "saliency"
    view.page.evaluate("() => model.set('method', 'grad_cam')")
    view.settle()
    np.testing.assert_array_equal(view.picture(W, H), first)
    assert view.custom == [] and view.updates == []


def test_a_menu_is_followed_by_its_number_and_follows_in_turn(mount: Mount):
    canvas = canvas_with()
    menu = ipywidgets.Dropdown(options=[("Grad-CAM", "grad_cam"), ("Saliency", "saliency")])
    canvas.follow(menu, "method")
    canvas.publish("cat|why|saliency", SIGNED, label="saliency")
    canvas.show_map(LOW, label="grad_cam")
    view = mount(canvas)
    # What ipywidgets' own link does when the menu is used, in the front end alone.
    view.page.evaluate("() => model.set('method_index', 1)")
    view.settle()
    assert view.sent("need") == [{"type": "need", "key": "cat|why|saliency"}]
    assert canvas.method == "saliency"
    canvas.method = "grad_cam"
    view.settle()
    assert view.page.evaluate("model.get('method_index')") == 0
    menu.value = "saliency"
    view.settle()
    assert view.page.evaluate("[model.get('method'), model.get('method_index')]") == ["saliency", 1]


def test_a_missing_map_is_asked_for_once_and_never_replaced_by_another(mount: Mount):
    view = mount(canvas_with(), views=2)
    for method in ("layer_cam", "grad_cam", "layer_cam", "grad_cam", "layer_cam"):
        view.page.evaluate("(name) => model.set('method', name)", method)
        view.settle()
    assert view.sent("need") == [{"type": "need", "key": "cat|why|layer_cam"}]
    np.testing.assert_array_equal(view.picture(W, H), PICTURE)
    assert view.find(".cnnviz-note").first.inner_text() == "layer cam: no map yet"
    assert not view.find(".cnnviz-ramp").first.is_visible()
    view.widget.publish("cat|why|layer_cam", SIGNED)
    view.settle()
    assert not view.find(".cnnviz-note").first.is_visible()
    assert (view.picture(W, H) != PICTURE).any(-1).mean() > 0.9


def test_a_map_that_failed_is_asked_for_again_when_somebody_comes_back(mount: Mount):
    view = mount(canvas_with())
    view.widget.method = "layer_cam"
    view.settle()
    view.widget.report("error", "no such layer")
    view.settle()
    assert len(view.sent("need")) == 1
    view.widget.method = "grad_cam"
    view.widget.method = "layer_cam"
    view.settle()
    assert len(view.sent("need")) == 2


def test_after_a_reload_the_page_asks_for_what_it_lost(mount: Mount):
    view = mount(canvas_with())
    view.widget.publish("cat|why|saliency", SIGNED)
    view.widget.on_need(lambda key: view.widget.publish(key, LOW))
    view.settle()
    drawn = view.picture(W, H)
    assert view.sent("need") == []
    view.reload()
    view.page.wait_for_timeout(600)
    view.settle()
    assert view.sent("need") == [{"type": "need", "key": "cat|why|grad_cam"}]
    np.testing.assert_array_equal(view.picture(W, H), drawn)


def test_64_maps_are_kept_and_the_one_not_seen_for_longest_goes(mount: Mount):
    view = mount(canvas_with())
    for i in range(64):
        view.widget.publish(f"cat|why|{i}", LOW)
        view.settle()  # The first is on the screen and so never the one to go.
    view.page.evaluate("() => model.set('method', '0')")
    view.settle()
    assert view.sent("need") == [{"type": "need", "key": "cat|why|0"}]
    view.page.evaluate("() => model.set('method', '1')")
    view.settle()
    assert len(view.sent("need")) == 1


def test_a_map_is_never_drawn_over_another_picture(mount: Mount):
    canvas = canvas_with(None)
    canvas.publish(canvas.wanted, LOW, picture=PICTURE)
    view = mount(canvas)
    assert (view.picture(W, H) != PICTURE).any()
    canvas.show_picture(255 - PICTURE)
    view.settle()
    np.testing.assert_array_equal(view.picture(W, H), 255 - PICTURE)


def test_two_views_show_the_same(mount: Mount):
    view = mount(canvas_with(), views=2)
    assert view.find(CANVAS).count() == 2
    view.find("input[type=range]").first.fill("100")
    view.settle()
    shots = [view.find(CANVAS).nth(i).evaluate("(c) => c.toDataURL()") for i in range(2)]
    assert shots[0] == shots[1]


# Mouse and keyboard.


def test_the_readout_tells_the_value_the_cell_and_the_colour(mount: Mount):
    view = mount(canvas_with())
    x, y = 23, 11
    text = hover(view, x, y)
    value, cell = re.search(r"value (\S+) .*cell 4,1 of 8×5 (\S+)", text).groups()  # type: ignore[union-attr]
    assert f"x {x}, y {y}" in text
    assert float(value) == pytest.approx(enlarged(LOW)[y, x], rel=1e-3)
    assert float(cell) == pytest.approx(LOW[y * 5 // H, x * 8 // W], rel=1e-3)
    assert text.endswith("rgb " + " ".join(map(str, PICTURE[y, x])))
    assert view.updates == []
    view.page.mouse.move(990, 890)
    view.settle()
    assert view.find(".cnnviz-readout").inner_text() == "Move over the picture to read values."


@pytest.mark.parametrize(("value", "words"), [(1.5e-9, "1.5e-9"), (1234567.0, "1.235e6"), (-0.25, "-0.25"), (0.0, "0")])
def test_numbers_are_short_and_can_be_pasted(mount: Mount, value: float, words: str):
    view = mount(canvas_with(np.full((H, W), value, np.float32)))
    assert f"value {words} ·" in hover(view, 5, 5)


def test_a_colour_attribution_reads_all_three_channels(mount: Mount):
    values = np.stack([np.full((H, W), v, np.float32) for v in (0.5, -0.25, 2)])
    canvas = canvas_with(None)
    canvas.show_map(values)
    assert "value r 0.5, g -0.25, b 2" in hover(mount(canvas), 7, 7)


def test_a_click_tells_the_kernel_which_pixel_and_a_linked_cursor_moves_the_cross_hair(mount: Mount):
    view = mount(canvas_with())
    view.find(CANVAS).click(position=point(8, 9, view))  # type: ignore[arg-type]
    view.settle()
    assert view.widget.cursor == {"x": 8, "y": 9}
    view.widget.cursor = {"x": 20, "y": 3}
    view.page.mouse.move(990, 890)
    view.settle()
    assert "x 20, y 3" in readout(view)


def test_arrows_move_the_cross_hair_and_stop_at_the_edge(mount: Mount):
    view = mount(canvas_with())
    press(view, "ArrowRight")
    assert "x 20, y 15" in readout(view)
    press(view, "ArrowRight", "ArrowDown", "ArrowDown", "Shift+ArrowLeft")
    assert "x 11, y 17" in readout(view)
    press(view, *["Shift+ArrowUp"] * 3)
    assert "x 11, y 0" in readout(view)
    assert view.widget.cursor == {} and view.updates == []
    press(view, "Enter")
    assert view.widget.cursor == {"x": 11, "y": 0}


def test_keys_do_what_the_controls_do(mount: Mount):
    view = mount(canvas_with())
    press(view, "+", "+")
    assert view.widget.opacity == pytest.approx(0.65)
    press(view, *"-" * 20)
    assert view.widget.opacity == 0
    press(view, "]", "]", "[")
    assert view.widget.threshold == pytest.approx(0.05)
    press(view, "c")
    assert view.widget.colormap == "inferno"
    press(view, "l")
    assert view.widget.locked


def test_keys_of_the_page_are_left_to_it(mount: Mount):
    view = mount(canvas_with())
    view.page.evaluate(
        "() => { window.heard = []; document.onkeydown = (e) => heard.push([e.key, e.defaultPrevented]); }"
    )
    press(view, "Escape", "x", "Control+c", "ArrowLeft", "c")
    assert view.page.evaluate("heard.filter(([key]) => key !== 'Control')") == [
        ["Escape", False], ["x", False], ["c", False]]  # fmt: skip
    view.find(CANVAS).press("Tab")
    assert view.page.evaluate("document.activeElement.type") == "range"
    assert view.find(".cnnviz-canvas").get_attribute("data-lm-suppress-shortcuts") == "true"


def test_sliders_work_while_the_kernel_is_silent_and_have_names(mount: Mount):
    view = mount(canvas_with(), kernel=False)
    before = view.picture(W, H)
    view.page.get_by_label("Opacity").fill("10")
    view.page.get_by_label("Threshold").fill("40")
    view.settle()
    assert (view.picture(W, H) != before).any()
    assert view.find("output").all_inner_texts() == ["10 %", "40 %"]
    assert view.page.get_by_label("Colours").is_visible()


def test_a_locked_scale_stays_for_the_next_map_and_an_unlocked_one_goes(mount: Mount):
    view = mount(canvas_with(opacity=1))
    view.page.get_by_role("button", name="Lock scale").click()
    view.settle()
    most = float(LOW.max())
    assert view.widget.scale == pytest.approx([0, most])
    view.widget.show_map(LOW / 2)
    view.settle()
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(LOW / 2), Scale(0, most), 1.0))
    view.widget.show_map(SIGNED / 4)
    view.settle()
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(SIGNED / 4), Scale(-most, most, "RdBu_r", True), 1.0))
    view.page.get_by_role("button", name="Lock scale").click()
    view.settle()
    assert view.widget.scale is None and not view.widget.locked
    own = float(np.abs(SIGNED / 4).max())
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(SIGNED / 4), Scale(-own, own, "RdBu_r", True), 1.0))


def test_locking_from_python_holds_the_scale_that_is_seen(mount: Mount):
    view = mount(canvas_with())
    view.widget.locked = True
    view.settle()
    assert view.widget.scale == pytest.approx([0, float(LOW.max())])


# Work, errors, files.


def test_work_shows_its_progress_and_can_be_stopped(mount: Mount):
    view = mount(canvas_with())
    stops: list[str] = []
    view.widget.on_stop(lambda: stops.append("stop"))
    stop = view.page.get_by_role("button", name="Stop")
    assert not stop.is_visible()
    view.widget.report("running", "step 12 of 50", 0.24)
    view.settle()
    expect(view.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "24")
    assert view.find(".cnnviz-state").inner_text() == "step 12 of 50"
    stop.click()
    view.settle()
    assert stops == ["stop"] and stop.is_disabled()
    view.widget.report("running", "step 13 of 50", 0.26)
    view.settle()
    assert stop.is_disabled() and view.find(".cnnviz-state").inner_text() == "Stopping…"
    view.widget.report("stopped", "stopped after 13 steps")
    view.settle()
    assert not stop.is_visible() and view.find(".cnnviz-state").inner_text() == "stopped after 13 steps"
    view.widget.report("running")
    view.settle()
    assert stop.is_enabled()
    assert view.find(".cnnviz-unsure").count() == 1


def test_an_error_is_readable_and_can_be_dismissed_until_the_next(mount: Mount):
    view = mount(canvas_with())
    alarm = view.page.get_by_role("alert")
    assert not alarm.is_visible()
    view.widget.error = "no layer 'layer5' in ResNet; did you mean 'layer4'?"
    view.settle()
    assert "did you mean 'layer4'?" in alarm.inner_text()
    view.page.get_by_label("Dismiss the error").click()
    view.settle()
    assert not alarm.is_visible()
    view.widget.error = ""
    view.widget.report("error", "out of memory")
    view.settle()
    assert "out of memory" in alarm.inner_text()
    view.widget.report("idle")
    view.settle()
    assert not alarm.is_visible()


def drop(view: Mounted, name: str, size: int) -> None:
    transfer = view.page.evaluate_handle(
        """([name, size]) => {
          const transfer = new DataTransfer();
          if (name) transfer.items.add(new File([new Uint8Array(size).fill(7)], name));
          return transfer;
        }""",
        [name, size],
    )
    view.find(CANVAS).dispatch_event("dragover", {"dataTransfer": transfer})
    view.find(CANVAS).dispatch_event("drop", {"dataTransfer": transfer})
    view.page.wait_for_timeout(50)
    view.settle()


def test_a_dropped_file_reaches_the_kernel_byte_for_byte(mount: Mount):
    canvas = canvas_with()
    files: list[tuple[str, bytes]] = []
    canvas.on_file(lambda name, content: files.append((name, content)))
    view = mount(canvas)
    drop(view, "dog.png", 1000)
    assert files == [("dog.png", b"\7" * 1000)]
    assert view.find(".cnnviz-state").inner_text() == "Opening dog.png…"
    canvas.show_picture(255 - PICTURE)
    view.settle()
    assert not view.find(".cnnviz-state").is_visible()
    assert view.find(".cnnviz-dropping").count() == 0


def test_a_file_is_opened_by_the_button_and_by_pasting(mount: Mount):
    canvas = canvas_with()
    files: list[tuple[str, bytes]] = []
    canvas.on_file(lambda name, content: files.append((name, content)))
    view = mount(canvas)
    for _ in range(2):
        with view.page.expect_file_chooser() as chooser:
            view.page.get_by_role("button", name="Open picture…").click()
        chooser.value.set_files({"name": "cat.png", "mimeType": "image/png", "buffer": b"meow"})
        view.page.wait_for_timeout(50)
        view.settle()
    with view.page.expect_file_chooser():
        press(view, "o")
    view.page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["woof"], "dog.png", { type: "image/png" }));
          const paste = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
          document.querySelector("canvas.cnnviz-pixels").dispatchEvent(paste);
        }"""
    )
    view.page.wait_for_timeout(50)
    view.settle()
    assert files == [("cat.png", b"meow"), ("cat.png", b"meow"), ("dog.png", b"woof")]


def test_what_is_no_picture_is_said_on_the_page_every_time(mount: Mount):
    canvas = canvas_with()

    def refuse(name: str, content: bytes) -> None:
        raise ValueError(f"{name} is not a picture")

    canvas.on_file(refuse)
    view = mount(canvas)
    for _ in range(2):
        drop(view, "notes.txt", 10)
        assert "notes.txt is not a picture" in view.page.get_by_role("alert").inner_text()
        assert not view.find(".cnnviz-state").is_visible()
        view.page.get_by_label("Dismiss the error").click()
        view.settle()
        assert not view.page.get_by_role("alert").is_visible()


@pytest.mark.parametrize(("name", "size", "words"), [("huge.tif", 20_000_001, "20 MB"), ("", 0, "no file")])
def test_what_cannot_be_opened_is_refused_before_it_is_sent(mount: Mount, name: str, size: int, words: str):
    canvas = canvas_with()
    canvas.on_file(lambda name, content: pytest.fail("was sent"))
    view = mount(canvas)
    drop(view, name, size)
    assert words in view.page.get_by_role("alert").inner_text()
    assert view.sent("file") == []


def test_without_a_listener_nothing_can_be_opened(mount: Mount):
    view = mount(canvas_with())
    assert not view.page.get_by_role("button", name="Open picture…").is_visible()
    drop(view, "dog.png", 10)
    assert view.sent("file") == []


# The page around it.


def test_the_chrome_follows_the_theme_and_the_pixels_do_not(mount: Mount):
    view = mount(canvas_with())
    seen = {}
    for theme in ("light", "dark"):
        view.theme(theme)
        view.settle()
        colour = view.find(".cnnviz-caption").evaluate("(el) => getComputedStyle(el).color")
        paper = view.find("select").evaluate("(el) => getComputedStyle(el).backgroundColor")
        seen[theme] = (view.picture(W, H), colour, paper)
        wanted = THEMES[theme]["ui-font-color1"]
        assert colour == f"rgb({', '.join(str(int(wanted[i : i + 2], 16)) for i in (1, 3, 5))})"
    assert seen["light"][2] != seen["dark"][2]
    np.testing.assert_array_equal(seen["light"][0], seen["dark"][0])


def test_a_removed_view_leaves_nothing_behind(mount: Mount):
    view = mount(canvas_with())
    assert view.listening() > 0
    canvas = view.find(CANVAS).element_handle()
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-canvas").count() == 0
    # Whatever still happens afterwards concerns nobody (the page_errors fixture fails on any exception).
    view.theme("dark")
    view.widget.opacity = 0.1
    view.widget.show_map(SIGNED)
    view.settle()
    canvas.evaluate("(c) => c.dispatchEvent(new PointerEvent('pointermove', { clientX: 5, clientY: 5 }))")
    view.page.set_viewport_size({"width": 500, "height": 500})
    view.settle()


def test_one_of_two_views_removed_leaves_the_other_alive(mount: Mount):
    view = mount(canvas_with(), views=2)
    removed = view.find(".cnnviz-alarm").first.element_handle()
    view.page.evaluate("() => views.shift().clean()")
    view.widget.opacity = 0.0
    view.widget.error = "news"
    view.settle()
    assert "news" in view.page.get_by_role("alert").inner_text()
    assert removed.text_content() == "×", "the removed view still listens"
    np.testing.assert_array_equal(view.picture(W, H), PICTURE)


def test_a_page_without_a_kernel_draws_the_last_map_and_says_that_it_is_static(mount: Mount):
    view = mount(canvas_with(), kernel=False)
    assert_close(view.picture(W, H), overlay(PICTURE, enlarged(LOW), Scale(0, float(LOW.max())), 0.55))
    note = view.page.get_by_text("static: no kernel answers")
    assert not note.is_visible()
    note.wait_for(state="visible", timeout=10_000)
    view.page.evaluate("() => model.set('method', 'saliency')")
    view.settle()
    assert view.find(".cnnviz-note").inner_text() == "saliency: not kept in this page"


def test_a_page_with_a_kernel_does_not_say_that_it_is_static(mount: Mount):
    view = mount(canvas_with())
    view.page.wait_for_timeout(5500)
    assert not view.page.get_by_text("static").is_visible()
