"""OcclusionCanvas in a real Chromium: the patch under the hand, the map that fills in, the bars, and what is asked.

The picture is a real photo; the answers are made up: the nearer the patch is to the photo's middle, the less of a cat.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from cnnviz_widgets import samples
from cnnviz_widgets.views.colour import lookup_table
from cnnviz_widgets.widgets import OcclusionCanvas
from tests.browser.harness import THEMES, Mounted, contrast

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
SIDE, PATCH, STRIDE = 224, 32, 8
PICTURE = np.asarray(samples["cat"].convert("RGB").resize((SIDE, SIDE)))
FILL = np.broadcast_to(PICTURE.reshape(-1, 3).mean(0).astype(np.uint8), PICTURE.shape).copy()
EDGES = np.arange(0, SIDE - PATCH + 1, STRIDE)
COUNT = len(EDGES)
TABBY, TIGER, EGYPTIAN, LYNX, BALL, CAP, COUGAR = 281, 282, 285, 287, 852, 433, 286
NAMES = {
    TABBY: "tabby", TIGER: "tiger cat", EGYPTIAN: "Egyptian cat", LYNX: "lynx", BALL: "tennis ball",
    CAP: "bathing cap", COUGAR: "cougar",
}  # fmt: skip
BASE, BASE_SHARES = [TABBY, TIGER, EGYPTIAN, LYNX, COUGAR], [0.55, 0.25, 0.15, 0.03, 0.01]
PIXELS = ".cnnviz-oc-picture canvas"
MAP = ".cnnviz-oc-map canvas"


def answer(y: int, x: int) -> tuple[list[int], list[float], list[float]]:
    """Made up: the five classes, their probabilities, and those of BASE, with the patch at a place."""
    off = np.hypot(y + PATCH / 2 - SIDE / 2, x + PATCH / 2 - SIDE / 2) / SIDE
    tabby = float(np.clip(0.05 + 1.2 * off, 0, 0.55))
    ball = 0.9 * (0.55 - tabby)
    sunk = [tabby, 0.25 - 0.1 * (0.55 - tabby), 0.15, 0.03, 0.01]
    both = sorted([*zip(BASE, sunk, strict=True), (BALL, ball)], key=lambda pair: -pair[1])[:5]
    return [number for number, _ in both], [share for _, share in both], sunk


ANSWERS = [[answer(int(y), int(x)) for x in EDGES] for y in EDGES]
SCORES = np.array([[20 * cell[2][0] for cell in row] for row in ANSWERS], np.float32)
WINNERS = np.array([[cell[0][0] for cell in row] for row in ANSWERS])


def canvas(rows: int | None = COUNT, *, classes: bool = False, answers: bool = True, **traits: Any) -> OcclusionCanvas:
    """As the kernel leaves it with so many rows of the map computed; None: before any map."""
    made = OcclusionCanvas(**{"patch": {"h": PATCH, "w": PATCH, "round": False}, **traits})
    made.show_picture(PICTURE, FILL)
    all_shares = np.zeros(1000)
    all_shares[BASE], all_shares[BALL] = BASE_SHARES, 0.004
    made.show_base(BASE, BASE_SHARES, NAMES, all_probabilities=all_shares)
    if rows is not None:
        show_rows(made, rows, classes, answers)
    return made


def show_rows(made: OcclusionCanvas, rows: int, classes: bool = False, answers: bool = True) -> None:
    values = (WINNERS if classes else SCORES).astype(float)
    values[rows:] = np.nan
    if classes:
        made.show_map(EDGES, EDGES, values, base=TABBY, key="a", label="most probable", kind="classes", names=NAMES)
    else:
        made.show_map(EDGES, EDGES, values, base=11.0, key="a", label="score of tabby", lo=0, hi=12)
    if answers:
        indices = np.array([[cell[0] for cell in row] for row in ANSWERS])
        indices[rows:] = -1
        shares, sunk = (np.array([[cell[i] for cell in row] for row in ANSWERS]) for i in (1, 2))
        made.show_answers("a", EDGES, EDGES, indices, shares, NAMES, base_probabilities=sunk)


class Asked(list[tuple[int, int]]):
    """The places that the kernel was asked for, and answered at once until `stop()`."""

    stop: Callable[[], None]


def answering(made: OcclusionCanvas) -> Asked:
    asked = Asked()

    def reply(y: int, x: int) -> None:
        asked.append((y, x))
        indices, shares, sunk = answer(y, x)
        made.show_answer(y, x, indices, shares, NAMES, base_probabilities=sunk)

    asked.stop = made.on_place(reply)
    return asked


def spot(view: Mounted, selector: str, y: float, x: float) -> tuple[float, float]:
    """Where on the page a pixel of the picture is, (x, y) for the mouse."""
    box = view.find(selector).bounding_box()
    assert box is not None
    return box["x"] + (x + 0.5) * box["width"] / SIDE, box["y"] + (y + 0.5) * box["height"] / SIDE


def point(view: Mounted, selector: str, y: float, x: float) -> None:
    view.page.mouse.move(*spot(view, selector, y, x))
    view.settle()


def rested(view: Mounted) -> None:
    """Until the page has told the kernel where the patch is."""
    view.page.wait_for_function("() => !document.querySelector('.cnnviz-oc-late')")
    view.page.wait_for_timeout(200)  # The page waits 150 ms before it says so.
    view.settle()


def bars(view: Mounted) -> dict[str, str]:
    rows = view.find(".cnnviz-oc-row").all()
    return {row.locator(".cnnviz-oc-name").inner_text(): row.locator(".cnnviz-oc-number").inner_text() for row in rows}


def headline(view: Mounted) -> str:
    return view.find(".cnnviz-oc-change").inner_text()


def percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %"


def late(view: Mounted) -> bool:
    return view.find(".cnnviz-oc-answer").get_attribute("aria-busy") == "true"


def colours(view: Mounted, selector: str) -> np.ndarray:
    """One pixel of the canvas for each of the picture's."""
    whole = view.pixels(selector)
    at = ((np.arange(SIDE) + 0.5) * whole.shape[0] / SIDE).astype(int)
    return whole[np.ix_(at, at)][..., :3].astype(int)


def middle(cell: int) -> int:
    return int(EDGES[cell] + PATCH / 2)


# The patch on the picture.


@pytest.mark.parametrize("density", [1, 2])
@pytest.mark.parametrize("round_", [False, True])
def test_under_the_patch_are_the_pixels_that_the_network_sees_there(mount: Mount, density: float, round_: bool):
    fill = np.ascontiguousarray(PICTURE[::-1, ::-1])
    made = canvas(None, patch={"h": 20, "w": 40, "round": round_}, place={"y": 100, "x": 30})
    made.show_picture(PICTURE, fill)
    view = mount(made, device_scale_factor=density)
    view.page.add_style_tag(content=f".cnnviz-oc-picture {{ width: {SIDE}px }}")  # So that nothing is smoothed.
    view.settle()
    covered = np.zeros((SIDE, SIDE), bool)
    covered[100:120, 30:70] = True
    if round_:
        y, x = (np.abs((np.arange(n) + 0.5) / n * 2 - 1) for n in (20, 40))
        covered[100:120, 30:70] = y[:, None] ** 2 + x**2 <= 1
    wanted = np.where(covered[..., None], fill, PICTURE)
    np.testing.assert_array_equal(colours(view, PIXELS), wanted)


def test_a_patch_that_hangs_over_the_border_is_cut_there(mount: Mount):
    view = mount(canvas(None, place={"y": -16, "x": 208}))
    view.page.add_style_tag(content=f".cnnviz-oc-picture {{ width: {SIDE}px }}")
    view.settle()
    wanted = PICTURE.copy()
    wanted[:16, 208:] = FILL[:16, 208:]
    np.testing.assert_array_equal(colours(view, PIXELS), wanted)


def test_the_patch_jumps_to_the_mouse_and_follows_it(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    view.page.mouse.move(*spot(view, PIXELS, 60, 50))
    view.page.mouse.down()
    view.settle()
    assert asked[-1] == (44, 34)
    point(view, PIXELS, 61, 53)
    view.page.mouse.up()
    view.settle()
    assert asked[-1] == (45, 37) and made.place == {"y": 45, "x": 37}
    box, frame = (view.find(selector).bounding_box() for selector in (".cnnviz-oc-patch", PIXELS))
    assert box and frame and abs((box["x"] - frame["x"]) / frame["width"] * SIDE - 37) < 0.5
    point(view, PIXELS, 150, 150)
    assert made.place == {"y": 45, "x": 37}, "moved without a button"


def test_of_100_moves_the_last_is_asked_for_and_shown_and_never_more_than_one_at_a_time(mount: Mount):
    made = canvas(None)
    asked: list[tuple[int, int]] = []
    made.on_place(lambda y, x: asked.append((y, x)))
    view = mount(made)
    view.page.mouse.move(*spot(view, PIXELS, 112, 112))
    view.page.mouse.down()
    for step in range(100):  # The kernel answers nothing meanwhile.
        view.page.mouse.move(*spot(view, PIXELS, 40 + step, 60 + step / 2))
    view.settle()
    assert len(asked) == 1, "the one open question is the only one"
    for _ in range(3):  # An answer, and then the newest place is asked for.
        y, x = asked[-1]
        indices, shares, sunk = answer(y, x)
        made.show_answer(y, x, indices, shares, NAMES, base_probabilities=sunk)
        view.settle()
    view.page.mouse.up()
    view.settle()
    last = (139 - 16, 109 - 16)
    assert len(asked) == 2 and asked[-1] == last
    assert made.place == {"y": last[0], "x": last[1]}
    assert bars(view)["tabby"] == percent(answer(*last)[2][0])
    rested(view)
    assert made.shown == {"y": last[0], "x": last[1], "exact": True}


def test_a_late_answer_to_something_else_never_takes_the_place_of_the_right_one(mount: Mount):
    made = canvas(None, place={"y": 10, "x": 10})
    answering(made)
    view = mount(made)
    right = bars(view)
    made.show_answer(150, 150, [CAP], [0.99], NAMES)
    view.settle()
    assert bars(view) == right and not late(view)
    made.show_answer(10, 10, [CAP], [0.99], NAMES, scene="another one")
    view.settle()
    assert bars(view) == right and not late(view)


def test_old_bars_are_dimmed_not_blanked_until_the_answer_is_there(mount: Mount):
    made = canvas(None, place={"y": 10, "x": 10})
    asked = answering(made)
    view = mount(made)
    before = bars(view)
    asked.stop()
    made.place = {"y": 96, "x": 96}
    view.settle()
    assert late(view) and bars(view) == before
    expect(view.find(".cnnviz-oc-answer")).to_have_css("opacity", "0.5")
    indices, shares, sunk = answer(96, 96)
    made.show_answer(96, 96, indices, shares, NAMES, base_probabilities=sunk)
    view.settle()
    assert asked == [(10, 10)] and not late(view)
    assert bars(view)["tabby"] == percent(sunk[0])


def test_a_lost_answer_is_asked_for_again(mount: Mount):
    made = canvas(None)
    asked: list[tuple[int, int]] = []
    made.on_place(lambda y, x: asked.append((y, x)))
    view = mount(made, views=0)
    view.page.clock.install()
    view.reload()
    asked.clear()
    view.page.clock.run_for(10_500)
    view.settle()
    assert asked == [(96, 96)]
    indices, shares, sunk = answer(96, 96)
    made.show_answer(96, 96, indices, shares, NAMES, base_probabilities=sunk)
    view.settle()
    view.page.clock.run_for(10_500)
    view.settle()
    assert asked == [(96, 96)] and not late(view)


def test_what_went_wrong_is_not_asked_for_again_but_the_next_place_is(mount: Mount):
    made = canvas(None)
    asked: list[tuple[int, int]] = []

    def fail(y: int, x: int) -> None:
        asked.append((y, x))
        raise RuntimeError("out of memory")

    made.on_place(fail)
    view = mount(made)
    assert asked == [(96, 96)]
    expect(view.find(".cnnviz-alarm")).to_contain_text("out of memory")
    view.find(PIXELS).press("ArrowLeft")
    view.settle()
    assert asked == [(96, 96), (96, 95)]


def test_stopped_work_is_asked_for_again(mount: Mount):
    made = canvas(None)
    asked: list[tuple[int, int]] = []
    made.on_place(lambda y, x: asked.append((y, x)))
    view = mount(made)
    made.report("stopped", "stopped")
    view.settle()
    assert asked == [(96, 96), (96, 96)]


def test_another_patch_asks_anew_and_shows_no_answer_of_the_old_one_as_its_own(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    old, before = bars(view), made.scene
    asked.stop()
    made.on_place(lambda y, x: asked.append((y, x)))
    made.patch = {"h": 64, "w": 64, "round": False}
    view.settle()
    assert made.place == {"y": 80, "x": 80} and asked == [(96, 96), (80, 80)]
    assert late(view) and bars(view) == old
    made.show_answer(80, 80, [CAP], [0.99], NAMES, scene=before)
    view.settle()
    assert late(view) and bars(view) == old
    made.patch = {"h": 62, "w": 62, "round": False}
    view.settle()
    assert asked[-1] == (81, 81), "a question about a patch that is gone holds nothing up"
    made.show_answer(81, 81, [CAP], [0.99], NAMES)
    view.settle()
    assert not late(view) and bars(view)["bathing cap"] == "99 %"


def test_another_picture_with_another_patch_is_asked_about_once(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    small = np.ascontiguousarray(PICTURE[:100, :100])
    made.show_picture(small, small, {"h": 20, "w": 20, "round": True})
    view.settle()
    assert asked == [(96, 96), (40, 40)]


def test_a_place_that_was_answered_is_looked_up_when_the_patch_comes_back(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    for key in ("ArrowLeft", "ArrowRight", "ArrowLeft", "ArrowRight"):
        view.find(PIXELS).press(key)
        view.settle()
    assert asked == [(96, 96), (96, 95)] and not late(view)


def test_forgetting_empties_the_bars_and_asks_the_new_network(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    made.forget()
    view.settle()
    assert asked == [(96, 96), (96, 96)]


def test_a_place_set_in_python_moves_the_patch_and_the_bars_follow(mount: Mount):
    made = canvas()
    asked = answering(made)
    view = mount(made)
    made.place = {"y": int(EDGES[3]), "x": int(EDGES[5])}
    view.settle()
    assert bars(view)["tabby"] == percent(ANSWERS[3][5][2][0]) and asked == []
    made.place = {"y": 33, "x": 57}
    view.settle()
    assert bars(view)["tabby"] == percent(answer(33, 57)[2][0]) and asked == [(33, 57)]
    assert "x 57…88 · y 33…64" in view.find(".cnnviz-oc-where").inner_text()


# The keyboard.


def test_arrow_keys_move_the_patch_by_a_pixel_and_with_shift_by_eight(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        view.find(PIXELS).press(key)
        view.settle()
    assert asked[-1] == (96 - 1 + 8, 96 - 1 + 8)
    view.find(PIXELS).press("Home")
    rested(view)
    assert made.place == {"y": 96, "x": 96}


def test_the_centre_of_the_patch_stays_in_the_picture(mount: Mount):
    made = canvas(None, place={"y": -15, "x": 207})
    asked = answering(made)
    view = mount(made)
    for _ in range(3):
        view.find(PIXELS).press("ArrowUp")
        view.find(PIXELS).press("ArrowRight")
    view.settle()
    assert asked[-1] == (-16, 207)


def test_arrow_keys_walk_over_the_map_from_place_to_place(mount: Mount):
    made = canvas(place={"y": 98, "x": 99})
    asked = answering(made)
    view = mount(made)
    asked.clear()
    cells = view.find(MAP)
    cells.press("ArrowRight")  # First onto the grid.
    rested(view)
    assert made.place == {"y": 96, "x": 96}
    cells.press("ArrowRight")
    cells.press("ArrowUp")
    rested(view)
    assert made.place == {"y": 88, "x": 104} and asked == []
    for _ in range(40):
        cells.press("ArrowUp")
    rested(view)
    assert made.place == {"y": 0, "x": 104}
    cells.press("Home")
    rested(view)
    assert made.place == {"y": 96, "x": 96}


def test_keys_that_are_not_ours_are_left_to_the_page(mount: Mount):
    view = mount(canvas())
    view.page.evaluate("() => { window.heard = []; addEventListener('keydown', (e) => heard.push(e.key)); }")
    for key in ("a", "Escape", "ArrowLeft"):
        view.find(PIXELS).press(key)
        view.find(MAP).press(key)
    assert view.page.evaluate("heard") == ["a", "a", "Escape", "Escape"]
    expect(view.find(PIXELS)).to_have_attribute("data-lm-suppress-shortcuts", "true")


def test_what_has_the_focus_is_seen(mount: Mount):
    view = mount(canvas())
    for selector in (PIXELS, MAP):
        view.find(selector).focus()
        frame = view.find(selector).locator("..")
        expect(frame).to_have_css("outline-style", "solid")
        expect(frame).to_have_css("outline-width", "2px")


# The map.


def test_cells_lie_where_the_patch_has_its_centre_in_the_colours_of_the_kernel(mount: Mount):
    view = mount(canvas(opacity=1))
    came = colours(view, MAP)
    table = lookup_table("inferno")[:, :3].astype(int)
    for row, column in ((0, 0), (3, 20), (12, 12), (24, 24)):
        wanted = table[min(255, int(SCORES[row, column] / 12 * 256))]
        y, x = middle(row), middle(column)
        for dy, dx in ((-3, -3), (0, 0), (3, 3)):
            assert abs(came[y + dy, x + dx] - wanted).max() <= 2, (row, column)
    assert (np.ptp(came[:11], axis=-1) == 0).all(), "beyond the outermost places is the dimmed picture"


def test_the_map_fills_in_row_by_row_and_what_is_missing_is_hatched(mount: Mount):
    made = canvas(6, opacity=1)
    answering(made)
    view = mount(made)
    came = colours(view, MAP)
    coloured = np.ptp(came, axis=-1) > 12
    assert coloured[14 : middle(5), 14:210].mean() > 0.9
    assert not coloured[middle(6) :].any()
    plain = colours(mount(canvas(None)), MAP)
    hatched = (came[middle(6) :, 14:210] != plain[middle(6) :, 14:210]).any(-1)
    assert 0.05 < hatched[:150].mean() < 0.7
    show_rows(made, 7)
    view.settle()
    assert (np.ptp(colours(view, MAP), axis=-1) > 12)[middle(6), 14:210].mean() > 0.9


def test_hovering_the_map_places_the_patch_and_looks_the_bars_up_without_a_word_to_the_kernel(mount: Mount):
    made = canvas()
    asked = answering(made)
    view = mount(made)
    view.custom.clear()
    view.updates.clear()
    view.page.mouse.move(*spot(view, MAP, middle(2), middle(20)))
    view.page.evaluate("() => painted()")
    assert bars(view)["tabby"] == percent(ANSWERS[2][20][2][0])
    view.page.mouse.move(*spot(view, MAP, middle(12) + 2, middle(12) - 2))
    view.page.evaluate("() => painted()")
    assert bars(view)["tabby"] == percent(ANSWERS[12][12][2][0])
    assert headline(view).startswith("now: tennis ball")
    box, frame = (view.find(selector).bounding_box() for selector in (".cnnviz-oc-patch", PIXELS))
    assert box and frame and abs((box["y"] - frame["y"]) / frame["height"] * SIDE - EDGES[12]) < 0.5
    readout = view.find(".cnnviz-readout").get_attribute("data-text") or ""
    assert f"score {SCORES[12, 12]:.4g}".rstrip("0") in readout and "without patch 11" in readout
    rested(view)
    assert asked == [] and view.custom == []
    # Where it came to rest is told once.
    assert made.place == {"y": int(EDGES[12]), "x": int(EDGES[12])}
    assert made.shown == {**made.place, "exact": True}


def test_beside_the_grid_the_nearest_place_is_read(mount: Mount):
    view = mount(canvas(place={"y": int(EDGES[4]) + 3, "x": int(EDGES[7]) - 3}))
    readout = view.find(".cnnviz-readout").get_attribute("data-text") or ""
    assert readout.startswith(f"score at the nearest place {float(f'{SCORES[4, 7]:.4g}'):g} ")
    expect(view.find(".cnnviz-oc-between")).to_have_count(1)


def test_dragging_over_a_place_of_the_map_asks_nothing(mount: Mount):
    made = canvas()
    asked = answering(made)
    view = mount(made)
    view.page.mouse.move(*spot(view, PIXELS, middle(4), middle(7)))
    view.page.mouse.down()
    view.page.mouse.up()
    view.settle()
    assert asked == [] and made.place == {"y": int(EDGES[4]), "x": int(EDGES[7])}
    assert bars(view)["tabby"] == percent(ANSWERS[4][7][2][0])


def test_a_place_that_is_not_computed_yet_is_asked_for_and_then_looked_up(mount: Mount):
    made = canvas(6)
    asked = answering(made)
    view = mount(made)
    asked.clear()
    point(view, MAP, middle(10), middle(3))
    assert asked == [(int(EDGES[10]), int(EDGES[3]))]
    assert "not computed yet" in (view.find(".cnnviz-readout").get_attribute("data-text") or "")
    show_rows(made, COUNT)
    view.settle()
    point(view, MAP, middle(20), middle(3))
    assert len(asked) == 1


def test_answers_of_another_sweep_than_the_maps_are_not_looked_up(mount: Mount):
    made = canvas(place={"y": 0, "x": 0})
    asked = answering(made)
    made.show_map(EDGES, EDGES, SCORES, key="b", label="score of tabby")
    mount(made)
    assert asked == [(0, 0)]


def test_a_map_of_another_patch_is_not_shown(mount: Mount):
    made = canvas()
    view = mount(made)
    expect(view.find(".cnnviz-note")).to_be_hidden()
    made.patch = {"h": 16, "w": 16, "round": False}
    view.settle()
    expect(view.find(".cnnviz-note")).to_be_visible()
    expect(view.find(".cnnviz-note")).to_have_text("no map yet")
    assert (np.ptp(colours(view, MAP), axis=-1) == 0).all()


def test_the_value_without_a_patch_is_marked_on_the_colour_bar(mount: Mount):
    view = mount(canvas())
    line, ramp = (view.find(f".cnnviz-{name}").bounding_box() for name in ("mark-line", "ramp"))
    assert line and ramp
    share = (line["y"] + line["height"] / 2 - ramp["y"]) / ramp["height"]
    assert abs(share - 1 / 12) < 0.01
    assert view.find(".cnnviz-mark").inner_text() == "11 no patch"
    view.widget.show_map(EDGES, EDGES, SCORES, base=15.0, key="a", lo=0, hi=12)
    view.settle()
    assert view.find(".cnnviz-mark").inner_text() == "15 no patch ↑"


def test_a_scale_can_be_locked_from_the_map_and_colours_chosen(mount: Mount):
    view = mount(canvas(opacity=1))
    view.find(".cnnviz-lock").click()
    view.settle()
    assert view.widget.scale == [0, 12]
    view.widget.show_map(EDGES, EDGES, SCORES, key="a", lo=0, hi=1)
    view.find("select").select_option("viridis")
    view.settle()
    assert view.widget.colormap == "viridis"
    wanted = lookup_table("viridis")[int(SCORES[12, 12] / 12 * 256), :3].astype(int)
    assert abs(colours(view, MAP)[middle(12), middle(12)] - wanted).max() <= 2


# The map of classes.


def test_each_class_of_the_map_has_its_colour_and_its_name_in_the_legend(mount: Mount):
    made = canvas(classes=True, opacity=1)
    view = mount(made)
    names = view.find(".cnnviz-legend-list li > span:nth-child(2)").all_inner_texts()
    kinds, counts = np.unique(WINNERS, return_counts=True)
    assert names == [NAMES[int(kind)] for kind in kinds[np.argsort(-counts)]] and len(names) >= 2
    own = {entry["number"]: entry["color"] for entry in made.map["classes"]}
    came = colours(view, MAP)
    for row, column in ((0, 0), (12, 12), (24, 3)):
        assert came[middle(row), middle(column)].tolist() == own[int(WINNERS[row, column])]
    assert view.find(".cnnviz-own").inner_text() == "without patch"
    expect(view.find(".cnnviz-oc-away")).to_have_count(1)  # A bar of values would mean nothing.
    point(view, MAP, middle(12), middle(12))
    assert view.find(".cnnviz-readout").get_attribute("data-text") == "most probable tennis ball"
    assert view.find(".cnnviz-here").inner_text().startswith("tennis ball")


def test_pointing_at_a_class_in_the_legend_fades_the_others(mount: Mount):
    made = canvas(classes=True, opacity=1)
    view = mount(made)
    before = colours(view, MAP)
    view.find(
        ".cnnviz-legend-list li",
    ).filter(has_text="tennis ball").hover()
    view.settle()
    after = colours(view, MAP)
    np.testing.assert_array_equal(after[middle(12), middle(12)], before[middle(12), middle(12)])
    assert np.ptp(after[middle(0), middle(0)]) < 0.4 * np.ptp(before[middle(0), middle(0)])
    view.page.mouse.move(1, 1)
    view.settle()
    np.testing.assert_array_equal(colours(view, MAP), before)


# The bars.


def test_a_bar_is_the_probability_with_the_patch_and_its_mark_the_one_without(mount: Mount):
    view = mount(canvas(place={"y": int(EDGES[12]), "x": int(EDGES[12])}))
    rows = view.find(".cnnviz-oc-row")
    _, shares, sunk = ANSWERS[12][12]
    for i, number in enumerate(BASE):  # They keep their order, so that one sees them sink.
        row = rows.nth(i)
        assert row.locator(".cnnviz-oc-name").inner_text() == NAMES[number]
        track = row.locator(".cnnviz-oc-track").bounding_box()
        bar, tick = (row.locator(f".cnnviz-oc-{part}").bounding_box() for part in ("bar-fill", "tick"))
        assert track and bar and tick
        assert abs(bar["width"] / track["width"] - sunk[i]) < 0.01
        assert abs((tick["x"] + 1 - track["x"]) / track["width"] - BASE_SHARES[i]) < 0.01
    fresh = rows.nth(5)
    assert fresh.locator(".cnnviz-oc-name").inner_text() == "tennis ball"
    assert fresh.get_attribute("aria-label") == f"tennis ball: {percent(shares[0])}, 0.4 % without the patch"
    assert view.find(".cnnviz-oc-first .cnnviz-oc-name").inner_text() == "tennis ball"


def test_a_changed_answer_is_said_and_an_unchanged_one_is_not(mount: Mount):
    made = canvas(place={"y": 0, "x": 0})
    view = mount(made)
    assert headline(view) == "tabby 55 %"
    expect(view.find(".cnnviz-oc-changed")).to_have_count(0)
    made.place = {"y": int(EDGES[12]), "x": int(EDGES[12])}
    view.settle()
    _, shares, sunk = ANSWERS[12][12]
    assert headline(view) == f"now: tennis ball {percent(shares[0])}"
    assert view.find(".cnnviz-oc-before").inner_text() == f"tabby 55 % → {percent(sunk[0])}"
    expect(view.find(".cnnviz-oc-changed")).to_have_count(1)


def test_a_class_that_left_the_top_five_is_said_to_be_below_it(mount: Mount):
    made = canvas(None)
    view = mount(made)
    made.show_answer(96, 96, [BALL, CAP], [0.9, 0.05], NAMES)
    view.settle()
    assert bars(view) == {
        "tabby": "< 5.0 %", "tiger cat": "< 5.0 %", "Egyptian cat": "< 5.0 %", "lynx": "< 5.0 %", "cougar": "< 5.0 %",
        "tennis ball": "90 %", "bathing cap": "5.0 %",
    }  # fmt: skip


# The page.


def test_work_can_be_stopped_and_says_how_far_it_is(mount: Mount):
    made = canvas(6)
    answering(made)
    stopped: list[bool] = []
    made.on_stop(lambda: stopped.append(True))
    view = mount(made)
    made.report("running", "row 6 of 25", 0.24)
    view.settle()
    expect(view.find(".cnnviz-state")).to_have_text("row 6 of 25")
    expect(view.find(".cnnviz-track")).to_have_attribute("aria-valuenow", "24")
    view.find(".cnnviz-stop").click()
    view.settle()
    assert stopped == [True]
    made.report("stopped", "stopped at row 6")
    view.settle()
    expect(view.find(".cnnviz-stop")).to_be_hidden()
    assert (np.ptp(colours(view, MAP), axis=-1) > 12)[middle(2), 14:210].mean() > 0.9, "what is there stays"


def test_a_picture_can_be_opened_only_where_somebody_takes_it(mount: Mount):
    made = canvas()
    view = mount(made)
    expect(
        view.find(
            "button",
        ).filter(has_text="Open picture")
    ).to_be_hidden()
    opened: list[tuple[str, bytes]] = []
    made.on_file(lambda name, content: opened.append((name, content)))
    view.settle()
    view.find("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"abc"})
    view.page.wait_for_function("() => model.outbox.length > 0")
    view.settle()
    assert opened == [("a.png", b"abc")]


def static(mount: Mount, made: OcclusionCanvas) -> Mounted:
    """The page as it was saved, without a kernel, when it has noticed that."""
    view = mount(made, kernel=False)
    expect(view.find(".cnnviz-static")).to_be_visible(timeout=30_000)
    return view


def test_without_a_kernel_the_map_is_still_explored_and_the_patch_goes_from_place_to_place(mount: Mount):
    view = static(mount, canvas())
    point(view, MAP, middle(12), middle(12))
    assert bars(view)["tabby"] == percent(ANSWERS[12][12][2][0]) and not late(view)
    view.page.mouse.move(*spot(view, PIXELS, middle(3) + 3, middle(5) - 3))
    view.page.mouse.down()
    view.page.mouse.up()
    view.settle()
    assert bars(view)["tabby"] == percent(ANSWERS[3][5][2][0]) and not late(view)
    view.find(PIXELS).press("ArrowRight")
    view.settle()
    assert bars(view)["tabby"] == percent(ANSWERS[3][6][2][0]) and not late(view)


def test_without_a_kernel_places_that_were_never_computed_are_not_visited(mount: Mount):
    view = static(mount, canvas(6, place={"y": 0, "x": 0}))
    before = bars(view)
    point(view, MAP, middle(20), middle(12))
    assert bars(view) == before and not late(view)


def test_two_views_of_one_canvas_show_the_same_place(mount: Mount):
    made = canvas()
    view = mount(made, views=2)
    view.page.mouse.move(*spot_in(view, 0, middle(2), middle(2)))
    view.settle()
    texts = [view.find(".cnnviz-oc-where").nth(i).inner_text() for i in (0, 1)]
    assert texts[0] == texts[1] and "x 16…47" in texts[0]
    view.clean()
    assert view.listening() == 0


def spot_in(view: Mounted, which: int, y: float, x: float) -> tuple[float, float]:
    box = view.find(MAP).nth(which).bounding_box()
    assert box is not None
    return box["x"] + (x + 0.5) * box["width"] / SIDE, box["y"] + (y + 0.5) * box["height"] / SIDE


def test_a_page_that_is_loaded_anew_shows_the_same_and_asks_nothing_that_was_answered(mount: Mount):
    made = canvas(None)
    asked = answering(made)
    view = mount(made)
    before = bars(view)
    view.reload()
    assert bars(view) == before and asked == [(96, 96)]


@pytest.mark.parametrize("width", [360, 700, 1100, 1500])
def test_picture_and_map_have_the_same_size_at_every_width_and_nothing_sticks_out(mount: Mount, width: int):
    view = mount(canvas(), viewport={"width": width + 32, "height": 900})
    picture, cells, ramp = (view.find(selector).bounding_box() for selector in (PIXELS, MAP, ".cnnviz-ramp"))
    assert picture and cells and ramp
    assert abs(picture["width"] - cells["width"]) < 1 and abs(picture["height"] - picture["width"]) < 1
    assert abs(ramp["y"] - cells["y"]) < 1 and abs(ramp["height"] - cells["height"]) < 1
    below = width < 560
    assert (cells["y"] > picture["y"] + picture["height"]) == below
    assert below or abs(cells["y"] - picture["y"]) < 1
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width + 32
    words = view.find(".cnnviz-mark").bounding_box()
    assert words and words["x"] + words["width"] <= width + 32


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("classes", [False, True])
def test_all_words_are_readable_in_both_themes(mount: Mount, theme: str, classes: bool):
    made = canvas(classes=classes, place={"y": int(EDGES[12]), "x": int(EDGES[12])})
    made.report("running", "row 6 of 25", 0.24)
    view = mount(made)
    view.theme(theme)
    view.settle()
    words = [".cnnviz-oc-where", ".cnnviz-oc-before", ".cnnviz-oc-name", ".cnnviz-oc-number", ".cnnviz-oc-key"]
    words += [".cnnviz-share", ".cnnviz-own"] if classes else [".cnnviz-mark", ".cnnviz-hi"]
    for selector in [*words, ".cnnviz-state", ".cnnviz-readout b", ".cnnviz-caption"]:
        assert contrast(view.find(selector).first) >= 4.5, selector


def test_it_is_drawn_again_after_a_change_of_theme_and_when_it_comes_into_sight(mount: Mount):
    view = mount(canvas(opacity=1), views=0)
    view.page.evaluate("() => { document.body.hidden = true; return show(); }")
    view.settle()
    view.page.evaluate("() => { document.body.hidden = false; }")
    view.settle()
    view.page.wait_for_function(f"() => document.querySelector('{MAP}').width > 100")
    view.settle()
    assert (np.ptp(colours(view, MAP), axis=-1) > 12)[middle(12), 14:210].mean() > 0.9


def test_an_empty_canvas_is_no_error(mount: Mount):
    view = mount(OcclusionCanvas())
    expect(view.find(PIXELS)).to_be_hidden()
    assert view.custom == [{"type": "hello"}]
