"""TileGrid in a real Chromium: what is drawn, what the mouse and the keyboard do, and how much travels."""

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnviz_widgets.views.colour import Scale, color_attribution, colorize, lookup_table, scale_of
from cnnviz_widgets.widgets import TileGrid
from tests.browser.harness import THEMES, Mounted, wait_until

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(11)
N, H, W = 40, 6, 8
MAPS = RNG.random((N, H, W), dtype=np.float32) * np.arange(1, N + 1, dtype=np.float32)[:, None, None]
SIGNED = RNG.standard_normal((N, H, W)).astype(np.float32) * np.arange(1, N + 1, dtype=np.float32)[:, None, None]
VGG = np.maximum(RNG.standard_normal((64, 224, 224), dtype=np.float32), 0)
MANY = RNG.random((2048, 28, 28), dtype=np.float32)
WALL = ".cnnviz-scroller"
CANVAS = "canvas.cnnviz-pixels"
SIZE, GAP, STRIP = 64, 8, 16  # Of the tiles in these tests, and of what is between them.

Mount = Callable[..., Mounted]


def grid_of(maps: np.ndarray = MAPS, *, traits: dict[str, Any] | None = None, **how: Any) -> TileGrid:
    grid = TileGrid(**{"tile_size": SIZE, **(traits or {})})
    grid.show(maps, **how)
    return grid


class Page:
    """The wall in a page, tile by tile."""

    def __init__(self, view: Mounted, maps: np.ndarray, density: float = 1) -> None:
        self.view, self.maps, self.density = view, maps, density
        height, width = maps.shape[-2:]
        self.width, self.height = SIZE * width // max(width, height), SIZE * height // max(width, height)

    @property
    def columns(self) -> int:
        room = self.view.find(WALL).first.evaluate("(el) => el.clientWidth")
        return int((room - GAP) // (self.width + GAP))

    @property
    def top(self) -> float:
        return self.view.find(WALL).first.evaluate("(el) => el.scrollTop")

    def corner(self, place: int) -> tuple[float, float]:
        row, column = divmod(place, self.columns)
        return GAP + column * (self.width + GAP), GAP + row * (self.height + STRIP + GAP) - self.top

    def cells(self, place: int, step: int = 1) -> np.ndarray:
        """The colours of a tile's cells, (h, w, 4), each taken at its middle."""
        left, upper = (round(side * self.density) for side in self.corner(place))
        whole, lines, columns = self.view.pixels(), *self.maps.shape[-2:]
        middle = [
            [(i + 0.5) * round(side * self.density) / cells for i in range(0, cells, step)]
            for side, cells in ((self.height, lines), (self.width, columns))
        ]
        rows, across = (np.asarray(places).astype(int) for places in middle)
        return whole[np.ix_(upper + rows, left + across)]

    def point(self, place: int, y: int = 0, x: int = 0) -> dict[str, float]:
        left, upper = self.corner(place)
        return {
            "x": left + (x + 0.5) * self.width / self.maps.shape[-1],
            "y": upper + (y + 0.5) * self.height / self.maps.shape[-2],
        }

    def hover(self, place: int, y: int = 0, x: int = 0) -> str:
        self.view.find(CANVAS).first.hover(position=self.point(place, y, x))  # type: ignore[arg-type]
        self.view.settle()
        return readout(self.view)

    def click(self, place: int, y: int = 0, x: int = 0) -> None:
        self.view.find(CANVAS).first.click(position=self.point(place, y, x))  # type: ignore[arg-type]
        self.view.settle()


def readout(view: Mounted) -> str:
    return view.find(".cnnviz-readout").first.get_attribute("data-text") or ""


def press(view: Mounted, *keys: str) -> None:
    for key in keys:
        view.find(WALL).first.press(key)
    view.settle()


def rest(view: Mounted, milliseconds: int = 450) -> None:
    """As long as it takes until the page has told what it rests on."""
    view.page.wait_for_timeout(milliseconds)
    view.settle()


def colours_near(came: np.ndarray, values: np.ndarray, scale: Scale, steps: int) -> None:
    """Every cell has its colour, or one so many steps beside it in the table."""
    table = lookup_table(scale.colormap).astype(int)
    wanted = np.array([np.flatnonzero((table == rgba).all(1))[0] for rgba in colorize(values, scale).reshape(-1, 4)])
    near = np.clip(wanted[:, None] + np.arange(-steps, steps + 1), 0, 255)
    off = np.abs(table[near] - came.reshape(-1, 1, 4)).max(-1).min(1)
    assert (off <= 1).mean() > 0.99, f"{(off > 1).sum()} of {off.size} cells have another colour"


# What is drawn.


@pytest.mark.parametrize("live", [False, True], ids=["float16", "uint8"])
@pytest.mark.parametrize("locked", [False, True], ids=["own", "locked"])
@pytest.mark.parametrize("maps", [MAPS, SIGNED], ids=["unsigned", "signed"])
def test_tiles_have_the_colours_of_the_figures(mount: Mount, maps: np.ndarray, locked: bool, live: bool):
    view = mount(grid_of(maps, live=live, traits={"locked": locked}))
    page = Page(view, maps)
    signed = bool((maps < 0).any())
    for place in (0, 5, 17):
        scale = scale_of(maps if locked else maps[place], signed)
        colours_near(page.cells(place), maps[place], scale, 1)


@pytest.mark.parametrize("signed", [True, False])
def test_colours_are_drawn_about_mid_grey_as_in_the_figures(mount: Mount, signed: bool):
    weights = RNG.standard_normal((9, 3, 4, 4)).astype(np.float32)
    weights = weights if signed else np.abs(weights)
    view = mount(grid_of(weights, kind="color"))
    page = Page(view, weights)
    for place in (0, 8):
        wanted = color_attribution(weights[place], signed=signed).astype(int)
        assert np.abs(page.cells(place)[..., :3] - wanted).max() <= 1
    assert view.page.get_by_label("Colours").is_disabled()


def test_nan_is_transparent(mount: Mount):
    maps = MAPS.copy()
    maps[3, 2, 4] = np.nan
    for live in (False, True):
        view = mount(grid_of(maps, live=live))
        cells = Page(view, maps).cells(3)
        assert cells[2, 4, 3] == 0 and cells[2, 5, 3] == 255
        assert "value no value" in Page(view, maps).hover(3, 2, 4).replace("≈ ", "")


@pytest.mark.parametrize("density", [1, 2, 1.5])
def test_cells_are_sharp_at_every_screen_density(mount: Mount, density: float):
    view = mount(grid_of(), device_scale_factor=density)
    page = Page(view, MAPS, density)
    assert view.pixels().shape[1] == view.find(WALL).evaluate("(el) => Math.round(el.clientWidth * devicePixelRatio)")
    colours_near(page.cells(2), MAPS[2], scale_of(MAPS[2], False), 1)
    left, upper = (round(side * density) for side in page.corner(2))
    inside = view.pixels()[upper : upper + round(page.height * density), left : left + round(page.width * density)]
    table = {tuple(rgba) for rgba in lookup_table("inferno")}
    assert {tuple(rgba) for rgba in inside.reshape(-1, 4)} <= table, "nothing between the colours of the table"


def test_a_map_with_more_cells_than_the_tile_has_pixels_is_smoothed(mount: Mount):
    stripes = np.zeros((2, 256, 256), np.float32)
    stripes[:, :, ::2] = 1
    view = mount(grid_of(stripes))
    middle = view.pixels()[GAP + 20, GAP + 10 : GAP + 50, :3].astype(int)
    ends = lookup_table("inferno")[[0, 255], :3].astype(int)
    assert (np.abs(middle - ends.mean(0)).max(1) < 30).all(), "grey, not some of the stripes"


def test_colours_can_be_chosen(mount: Mount):
    view = mount(grid_of())
    view.page.get_by_label("Colours").select_option("viridis")
    view.settle()
    assert view.widget.colormap == "viridis"
    colours_near(Page(view, MAPS).cells(1), MAPS[1], scale_of(MAPS[1], False, "viridis"), 1)


def test_a_held_scale_is_the_same_for_all_tiles_and_the_bar_says_it(mount: Mount):
    view = mount(grid_of(traits={"scale": [0.0, 12.5]}))
    colours_near(Page(view, MAPS).cells(20), MAPS[20], Scale(0, 12.5), 1)
    assert view.find(".cnnviz-hi").inner_text() == "12.5"
    view.page.get_by_role("button", name="Lock scale").click()
    view.settle()
    assert (view.widget.locked, view.widget.scale) == (False, None)
    colours_near(Page(view, MAPS).cells(20), MAPS[20], scale_of(MAPS[20], False), 1)


def test_locked_the_bar_is_that_of_the_layer_and_else_that_of_the_tile_that_is_looked_at(mount: Mount):
    view = mount(grid_of())
    Page(view, MAPS).hover(3)
    assert float(view.find(".cnnviz-hi").inner_text()) == pytest.approx(MAPS[3].max(), rel=0.01)
    assert view.find(".cnnviz-what").inner_text() == "scale of channel 3"
    press(view, "l")
    assert view.widget.locked
    assert float(view.find(".cnnviz-hi").inner_text()) == pytest.approx(MAPS.max(), rel=0.01)


def test_the_selected_tile_has_a_ring_that_the_others_do_not_have(mount: Mount):
    view = mount(grid_of(np.ones((6, H, W), np.float32)))  # All of them as bright as can be.
    page = Page(view, np.ones((6, H, W)))

    def ring(place: int) -> np.ndarray:
        left, upper = page.corner(place)
        return view.pixels()[int(upper) - 3, int(left) + 10]

    before = ring(2)
    view.widget.selected = 2
    view.settle()
    accent = [int(THEMES["light"]["brand-color1"][i : i + 2], 16) for i in (1, 3, 5)]
    np.testing.assert_array_equal(ring(2)[:3], accent)
    np.testing.assert_array_equal(ring(3), before)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_ring_and_the_numbers_follow_the_theme_and_the_maps_do_not(mount: Mount, theme: str):
    view = mount(grid_of(traits={"selected": 1}))
    page, before = Page(view, MAPS), Page(view, MAPS).cells(4)
    view.theme(theme)
    rest(view)
    np.testing.assert_array_equal(page.cells(4), before)
    left, upper = page.corner(1)
    accent = [int(THEMES[theme]["brand-color1"][i : i + 2], 16) for i in (1, 3, 5)]
    np.testing.assert_array_equal(view.pixels()[int(upper) - 3, int(left) + 10, :3], accent)
    strip = view.pixels()[int(upper) + page.height + 2 : int(upper) + page.height + STRIP, int(left) : int(left) + 30]
    # The number of tile 1 is bold, in the accent.
    assert (np.abs(strip[..., :3].astype(int) - accent).max(-1) < 8).any()


def test_six_to_eight_tiles_stand_in_a_row_and_few_are_as_large_as_lets_all_be_seen(mount: Mount):
    view = mount(grid_of(MANY[:64], traits={"tile_size": 0}))
    sides = []
    for count in (64, 3):
        view.widget.show(MANY[:count], key=str(count))
        view.settle()
        view.find(CANVAS).hover(position={"x": 100, "y": 60})
        view.settle()
        readouts = []
        for x in range(12, 900, 8):
            view.page.evaluate(
                """(x) => { const c = document.querySelector("canvas.cnnviz-pixels"), b = c.getBoundingClientRect();
                  c.dispatchEvent(new PointerEvent("pointermove", { clientX: b.left + x, clientY: b.top + 30 })); }""",
                x,
            )
            view.page.evaluate("() => painted()")
            readouts += re.findall(r"channel (\d+)", readout(view))
        sides.append(len(set(readouts)))
    assert 6 <= sides[0] <= 8 and sides[1] == 3


def test_an_empty_wall_says_so_and_asks_for_nothing(mount: Mount):
    view = mount(TileGrid())
    rest(view)
    assert view.page.get_by_text("No maps yet.").is_visible()
    assert not view.find(WALL).is_visible()
    assert view.custom == [{"type": "hello"}]
    view.widget.show(MAPS)
    view.settle()
    assert view.find(WALL).is_visible() and not view.page.get_by_text("No maps yet.").is_visible()
    view.widget.clear()
    view.settle()
    assert view.page.get_by_text("No maps yet.").is_visible()


def test_a_vector_layer_is_a_wall_of_single_cells_that_share_one_scale(mount: Mount):
    scores = RNG.standard_normal((1000, 1, 1)).astype(np.float32)
    view = mount(grid_of(scores))
    page = Page(view, scores)
    for place in (0, 11):
        colours_near(page.cells(place), scores[place], scale_of(scores, True), 1)
    assert view.find(".cnnviz-what").inner_text() == "one scale for all"
    assert float(re.search(r"value (\S+)", page.hover(5)).group(1)) == pytest.approx(scores[5, 0, 0], rel=0.01)  # type: ignore[union-attr]


def test_a_narrow_cell_gets_a_narrow_wall_and_nothing_sticks_out(mount: Mount):
    view = mount(grid_of(traits={"tile_size": 0}), viewport={"width": 320, "height": 800})
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 320
    assert view.find(WALL).bounding_box()["width"] > 150  # type: ignore[index]


def test_a_wall_that_is_made_out_of_sight_is_drawn_when_it_is_shown(mount: Mount):
    view = mount(grid_of(), views=0)
    view.page.evaluate("() => { document.body.hidden = true; return show(); }")
    view.widget.selected = 39
    view.settle()
    view.page.evaluate("() => { document.body.hidden = false; }")
    rest(view)
    page = Page(view, MAPS)
    colours_near(page.cells(39), MAPS[39], scale_of(MAPS[39], False), 1)


# The mouse.


@pytest.mark.parametrize("maps", [MAPS, SIGNED], ids=["unsigned", "signed"])
def test_the_readout_tells_channel_position_and_value(mount: Mount, maps: np.ndarray):
    view = mount(grid_of(maps, names=[f"unit {i}" for i in range(N)]))
    text = Page(view, maps).hover(7, 3, 5)
    assert text.startswith("channel 7 unit 7 · position y 3, x 5 · value ")
    assert float(re.search(r"value (\S+)", text).group(1)) == pytest.approx(maps[7, 3, 5], rel=6e-3)  # type: ignore[union-attr]
    assert float(re.search(r"max (\S+)", text).group(1)) == pytest.approx(maps[7].max(), rel=6e-3)  # type: ignore[union-attr]


def test_the_cell_under_the_mouse_is_outlined(mount: Mount):
    view = mount(grid_of())
    page, before = Page(view, MAPS), view.pixels()
    page.hover(2, 3, 3)
    rows, columns = np.nonzero((view.pixels() != before).any(-1))
    spot = page.point(2, 3, 3)
    assert abs(rows.mean() - spot["y"]) < 1.5 and abs(columns.mean() - spot["x"]) < 1.5
    assert rows.max() - rows.min() < 3 * page.height / H
    view.page.mouse.move(1, 1)
    view.settle()
    np.testing.assert_array_equal(view.pixels(), before)


def test_a_click_selects_the_tile_and_picks_the_cell_and_one_under_the_map_only_selects(mount: Mount):
    view = mount(grid_of())
    page = Page(view, MAPS)
    page.click(4, 1, 6)
    assert (view.widget.selected, view.widget.picked) == (4, {"channel": 4, "y": 1, "x": 6})
    left, upper = page.corner(6)
    view.find(CANVAS).click(position={"x": left + 5, "y": upper + page.height + 8})
    view.settle()
    assert (view.widget.selected, view.widget.picked) == (6, {"channel": 4, "y": 1, "x": 6})
    view.page.keyboard.press("ArrowRight")
    view.settle()
    assert view.widget.selected == 7, "and the keyboard goes on from there"


def test_what_is_pointed_at_is_told_only_while_somebody_wants_to_know(mount: Mount):
    view = mount(grid_of())
    page = Page(view, MAPS)
    page.hover(4, 1, 6)
    assert view.widget.pointed == {} and not any("pointed" in update for update in view.updates)
    view.widget.pointing = True
    view.settle()
    page.hover(5, 2, 3)
    assert view.widget.pointed == {"channel": 5, "y": 2, "x": 3}
    told = len([update for update in view.updates if "pointed" in update])
    page.hover(5, 2, 3)
    assert len([update for update in view.updates if "pointed" in update]) == told, "the same cell is no news"
    view.page.mouse.move(1, 1)
    view.settle()
    assert view.widget.pointed == {}


def test_scrolling_under_a_resting_mouse_reads_what_comes_under_it(mount: Mount):
    view = mount(grid_of(MANY))
    page = Page(view, MANY)
    page.hover(2, 3, 3)
    row = page.height + STRIP + GAP
    view.page.mouse.wheel(0, 5 * row)
    wait_until(lambda: page.top == 5 * row)
    view.settle()
    assert readout(view).startswith(f"channel {5 * page.columns + 2} ")


# The keyboard.


def test_arrows_walk_from_tile_to_tile_in_the_order_that_is_seen(mount: Mount):
    view = mount(grid_of())
    columns = Page(view, MAPS).columns
    press(view, "ArrowRight")
    assert view.widget.selected == 0, "the first step goes to the first tile"
    steps = {"ArrowRight": 1, "ArrowDown": 1 + columns, "ArrowLeft": columns, "ArrowUp": 0, "End": N - 1, "Home": 0}
    for key, channel in steps.items():
        press(view, key)
        assert view.widget.selected == channel, key
    view.widget.order = "activation"
    view.settle()
    strongest = np.argsort(-MAPS.max((1, 2)), kind="stable")
    press(view, "Home", "ArrowRight", "ArrowRight")
    assert view.widget.selected == strongest[2]


def test_walking_stops_at_the_ends_and_the_tile_stays_in_sight(mount: Mount):
    view = mount(grid_of(MANY))
    page = Page(view, MANY)
    press(view, "Home", "ArrowLeft", "ArrowUp", "PageUp")
    assert view.widget.selected == 0
    press(view, "PageDown", "PageDown")
    low = view.widget.selected
    assert low % page.columns == 0 and low > 2 * page.columns
    press(view, "End", "ArrowRight", "ArrowDown")
    assert view.widget.selected == 2047
    height = view.find(WALL).evaluate("(el) => el.clientHeight")
    _, upper = page.corner(2047)
    assert upper >= 0 and upper + page.height <= height


def test_one_cell_can_be_reached_and_chosen_by_keyboard(mount: Mount):
    view = mount(grid_of())
    press(view, "Home", "ArrowRight", "Enter")
    y, x = divmod(int(MAPS[1].argmax()), W)
    assert view.widget.picked == {"channel": 1, "y": y, "x": x}, "without a cell: the strongest"
    for _ in range(max(H, W)):
        press(view, "Shift+ArrowLeft", "Shift+ArrowUp")
    press(view, "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown")
    assert readout(view).startswith("channel 1 · position y 2, x 1 · value ")
    press(view, "Enter")
    assert view.widget.picked == {"channel": 1, "y": 2, "x": 1}
    press(view, "ArrowRight")
    assert readout(view).startswith("channel 2 · position y 2, x 1 "), "the same place in the next tile"


def test_letters_do_what_the_help_says(mount: Mount):
    view = mount(grid_of(orders={"hue": list(range(N))[::-1]}))
    seen = []
    for _ in range(3):
        press(view, "o")
        seen.append(view.widget.order)
    assert seen == ["activation", "hue", "channel"]
    press(view, "l", "c", "+")
    assert view.widget.locked and view.widget.colormap == "inferno" and view.widget.tile_size == 80
    press(view, "-", "-")
    assert view.widget.tile_size == 51
    press(view, "0")
    assert view.widget.tile_size == 0
    press(view, "#")
    view.page.keyboard.type("33")
    view.page.keyboard.press("Enter")
    view.settle()
    assert view.widget.selected == 33


def test_tab_and_escape_belong_to_the_page_and_arrows_do_not(mount: Mount):
    view = mount(grid_of())
    view.page.evaluate("() => { window.heard = []; document.addEventListener('keydown', (e) => heard.push(e.key)); }")
    press(view, "ArrowDown", "Escape", "Control+ArrowRight")
    view.find(WALL).press("Tab")
    assert view.page.evaluate("heard") == ["Escape", "Control", "ArrowRight", "Tab"]
    focus = "[document.activeElement.tagName, document.activeElement.dataset.lmSuppressShortcuts]"
    assert view.page.evaluate(focus) == ["SELECT", "true"]


def test_a_screen_reader_hears_which_tile_is_selected(mount: Mount):
    view = mount(grid_of(label="features.3"))
    wall = view.page.get_by_role("listbox", name="features.3: 40 maps of 6 by 8")
    press(view, "Home", "ArrowRight")
    option = view.find("[role=option]")
    assert option.inner_text().startswith("channel 1, max ")
    assert wall.get_attribute("aria-activedescendant") == option.get_attribute("id")
    assert (option.get_attribute("aria-posinset"), option.get_attribute("aria-setsize")) == ("2", "40")


def test_every_tool_has_a_name(mount: Mount):
    view = mount(grid_of())
    unnamed = view.page.evaluate(
        """() => [...document.querySelectorAll(".cnnviz :is(button, select, input)")]
          .filter((el) => !(el.labels?.length || el.getAttribute("aria-label") || el.textContent.trim()))
          .map((el) => el.outerHTML)"""
    )
    assert unnamed == []


# Order, size, place.


def test_the_selected_tile_stays_in_sight_when_the_order_or_the_size_changes(mount: Mount):
    view = mount(grid_of(MANY))
    view.widget.selected = 1500
    view.settle()
    height = view.find(WALL).evaluate("(el) => el.clientHeight")

    def in_sight(place: int) -> bool:
        _, upper = Page(view, MANY).corner(place)
        return 0 <= upper < height

    assert in_sight(1500)
    view.page.get_by_label("Order").select_option("activation")
    view.settle()
    place = int(np.flatnonzero(np.argsort(-MANY.max((1, 2)), kind="stable") == 1500)[0])
    assert in_sight(place)
    before = Page(view, MANY).corner(place)[1]
    view.page.set_viewport_size({"width": 700, "height": 900})
    view.settle()
    assert in_sight(place) and abs(Page(view, MANY).corner(place)[1] - before) < 2, "and keeps its height"


def test_a_tile_that_was_selected_before_the_wall_was_shown_is_in_sight(mount: Mount):
    view = mount(grid_of(MANY, traits={"selected": 1500}))
    _, upper = Page(view, MANY).corner(1500)
    assert 0 <= upper < view.find(WALL).evaluate("(el) => el.clientHeight")


def test_who_sorts_without_a_selection_sees_the_first_ones(mount: Mount):
    view = mount(grid_of(MANY, traits={"first": 1000}))
    assert Page(view, MANY).top > 0
    view.page.get_by_label("Order").select_option("activation")
    view.settle()
    assert Page(view, MANY).top == 0


def test_the_place_is_told_and_python_can_scroll(mount: Mount):
    view = mount(grid_of(MANY))
    page = Page(view, MANY)
    row = page.height + STRIP + GAP
    view.find(WALL).evaluate("(el, top) => { el.scrollTop = top; }", 20 * row)
    rest(view)
    assert view.widget.first == 20 * page.columns
    assert view.widget.seen[0] == view.widget.first < view.widget.seen[1]
    view.widget.first = 1000
    view.settle()
    assert page.top == 1000 // page.columns * row
    assert view.widget.first == 1000, "what Python said is not said back otherwise"


def test_another_layer_begins_at_its_top_and_the_same_one_stays_where_it_is(mount: Mount):
    view = mount(grid_of(MANY, key="a"))
    view.widget.selected = 700
    view.settle()
    rest(view)
    top = Page(view, MANY).top
    assert top > 0
    view.widget.show(MANY + 1, key="a")
    view.settle()
    assert Page(view, MANY).top == top and view.widget.selected == 700
    view.widget.show(MANY, key="b")
    view.settle()
    assert Page(view, MANY).top == 0 and view.widget.selected is None


def test_the_slider_and_the_buttons_change_the_size(mount: Mount):
    view = mount(grid_of())
    view.page.get_by_role("button", name="Larger tiles").click()
    view.settle()
    assert view.widget.tile_size == 80
    view.page.get_by_label("Tile size").fill("0")
    view.settle()
    assert view.widget.tile_size == 16


# What travels.


class Meter:
    """Counts the bytes that the kernel sends from now on."""

    def __init__(self, view: Mounted) -> None:
        self.messages: list[int] = []
        wire = view.widget.comm
        send = wire.send

        def counted(data: dict[str, Any], buffers: list[Any] | None = None, **rest: object) -> None:
            self.messages.append(sum(memoryview(buffer).nbytes for buffer in buffers or []))
            send(data, buffers, **rest)

        wire.send = counted


def opened(mount: Mount, maps: np.ndarray) -> tuple[Mounted, Meter]:
    """A wall on which these maps are hung when the page is there already, until nothing more travels."""
    view = mount(TileGrid(tile_size=0))
    meter = Meter(view)
    view.widget.show(maps, key="layer")
    for _ in range(4):
        rest(view)
    return view, meter


def test_the_first_layer_of_vgg16_sends_a_bounded_amount(mount: Mount):
    view, meter = opened(mount, VGG)
    assert max(meter.messages) <= 2**20 + 2**16
    assert sum(meter.messages) <= 4 * 2**20 < VGG.nbytes / 3
    # And what is seen is there at its native resolution.
    assert view.find(".cnnviz-readout").inner_text()
    channels = [message["channels"] for message in view.sent("need")]
    assert all(message["step"] == 1 for message in view.sent("need")) and channels


@pytest.mark.parametrize("shape", [(64, 448, 448), (512, 128, 128), (4, 2000, 2000)])
def test_larger_layers_send_no_more(mount: Mount, shape: tuple[int, int, int]):
    maps = np.zeros(shape, np.float32)
    maps[:, ::3] = 1
    _, meter = opened(mount, maps)
    assert max(meter.messages) <= 2**20 + 2**16
    assert sum(meter.messages) <= 4.2 * 2**20


def test_a_small_layer_travels_once_and_is_walked_without_asking(mount: Mount):
    view, meter = opened(mount, MAPS)
    assert view.sent("need") == view.sent("keep") == []
    meter.messages.clear()
    press(view, *["ArrowRight"] * 10, "End", "Home", "o", "End", "l", "+", "c")
    rest(view)
    assert view.sent("need") == view.sent("keep") == [] and sum(meter.messages) == 0


def test_walking_through_neighbours_that_were_fetched_asks_for_nothing(mount: Mount):
    view, _ = opened(mount, MANY)
    asked = len(view.sent("need"))
    press(view, "Home", *["ArrowDown"] * 40)
    page_columns = view.widget.selected // 40
    assert page_columns >= 6
    shown = view.pixels()
    assert (shown[..., 3] == 255).mean() > 0.5
    # Nothing that is seen was missing: what is asked for now lies further on.
    start, stop = 0, 0
    rest(view)
    start, stop = view.widget.seen
    for message in view.sent("need")[asked:]:
        assert not set(message["channels"]) & set(range(start, stop))


def test_one_request_is_in_flight_and_the_next_is_about_what_is_seen_then(mount: Mount):
    view = mount(grid_of(MANY))
    rest(view)
    rest(view)
    view.custom.clear()
    # The kernel is busy: what the page says waits.
    for top in (5_000, 10_000, 17_000):
        view.find(WALL).evaluate("(el, top) => { el.scrollTop = top; }", top)
        view.page.wait_for_timeout(80)
    waiting = view.page.evaluate("() => model.outbox.filter((m) => m.custom?.type === 'need').length")
    assert waiting == 1
    view.settle()
    rest(view)
    asked = [set(message["channels"]) for message in view.sent("need")]
    start, stop = view.widget.seen
    visible = set(range(start, stop))
    assert not asked[0] & visible, "what was seen on the way"
    assert asked[1] >= visible - set(range(start)), "then what is seen now, not all that was seen in between"
    tiles = Page(view, MANY)
    place = start + tiles.columns
    colours_near(tiles.cells(place), MANY[place], scale_of(MANY[place], False), 1)


def test_visible_tiles_are_asked_for_before_their_neighbours(mount: Mount):
    view, _ = opened(mount, VGG)
    seen = set(range(*view.widget.seen))
    asked = [set(message["channels"]) for message in view.sent("need")]
    last_visible = max(i for i, channels in enumerate(asked) if channels & seen)
    first_near = min((i for i, channels in enumerate(asked) if not channels & seen), default=len(asked))
    assert last_visible < first_near


def test_who_rests_on_a_map_reads_its_exact_value(mount: Mount):
    view, _ = opened(mount, VGG)
    view.find(CANVAS).hover(position={"x": 60, "y": 60})
    view.settle()
    assert "value ≈" in readout(view)
    rest(view)
    text = readout(view)
    y, x = map(int, re.search(r"y (\d+), x (\d+)", text).groups())  # type: ignore[union-attr]
    assert float(re.search(r"value (\S+)", text).group(1)) == pytest.approx(VGG[0, y, x], rel=6e-3, abs=1e-6)  # type: ignore[union-attr]


def test_live_frames_send_only_what_is_seen_in_one_byte_each(mount: Mount):
    maps = RNG.random((512, 13, 13), dtype=np.float32)
    view = mount(grid_of(maps, key="a", live=True))
    rest(view)
    seen = view.widget.seen[1] - view.widget.seen[0]
    assert 0 < seen < 200
    meter = Meter(view)
    view.widget.show(maps[::-1].copy(), key="a", live=True)
    view.settle()
    frame = max(meter.messages)
    assert frame <= seen * 169 + 512 * (16 + 4) + 12 * seen + 4 * seen
    page = Page(view, maps)
    colours_near(page.cells(9), maps[511 - 9], scale_of(maps[511 - 9], False), 1)
    # Scrolling while a frame stands fetches the rest of that frame.
    view.find(WALL).evaluate("(el) => { el.scrollTop = el.scrollHeight; }")
    rest(view)
    colours_near(page.cells(511), maps[0], scale_of(maps[0], False), 1)


def test_a_layer_that_came_before_is_still_there(mount: Mount):
    view = mount(grid_of(MANY, key="a"))
    for _ in range(3):
        rest(view)
    asked = len(view.sent("need"))
    view.widget.show(MAPS, key="b")
    view.settle()
    view.widget.show(MANY, key="a")
    for _ in range(3):
        rest(view)
    assert asked and len(view.sent("need")) == asked, "the very same maps are not asked for again"


def test_what_was_not_seen_for_longest_goes_when_the_store_is_full(mount: Mount):
    grid = grid_of(np.ones((1024, 64, 64), np.float32))  # 4 MiB, a byte each.
    full = "const STORE = 64 * 2 ** 20;"
    assert full in str(grid._esm)
    grid._esm = str(grid._esm).replace(full, "const STORE = 2.5 * 2 ** 20;")
    view = mount(grid)
    for _ in range(3):
        rest(view)
    for share in (0.5, 1, 0):
        view.custom.clear()
        view.find(WALL).evaluate("(el, share) => { el.scrollTop = share * el.scrollHeight; }", share)
        for _ in range(3):
            rest(view)
    again = {channel for message in view.sent("need") for channel in message["channels"]}
    assert again & set(range(300)), "neighbours that were here before, and never seen"
    assert 0 not in again, "what was seen stays longer"
    assert len(view.sent("need")) < 10, "and tiles do not push each other out for ever"
    assert (view.pixels()[..., 3] == 255).mean() > 0.4


# Without a kernel.


def test_a_page_without_a_kernel_shows_the_tiles_that_were_seen_last(mount: Mount):
    grid = grid_of(VGG, traits={"height": 200})
    view = mount(grid)
    view.widget.selected, view.widget.locked = 50, True
    for _ in range(3):
        rest(view)
    start, stop = view.widget.seen
    assert start <= 50 < stop
    later = mount(grid, kernel=False)
    page = Page(later, VGG)
    later.page.wait_for_timeout(300)
    assert page.top > 0, "where it was scrolled to"
    step = grid.layer["tiles"]["step"]
    kept = np.frombuffer(grid.layer["tiles"]["channels"], "<i4")
    assert set(range(start, stop)) <= set(kept.tolist())
    assert step >= 1 and (later.pixels()[..., 3] == 255).mean() > 0.4
    left, upper = page.corner(50)
    accent = [int(THEMES["light"]["brand-color1"][i : i + 2], 16) for i in (1, 3, 5)]
    np.testing.assert_array_equal(later.pixels()[int(upper) - 3, int(left) + 10, :3], accent)
    note = later.page.get_by_text("static: no kernel answers")
    note.wait_for(state="visible", timeout=10_000)


def test_without_a_kernel_a_small_layer_is_whole_and_all_but_the_kernel_works(mount: Mount):
    view = mount(grid_of(traits={"selected": 3}), kernel=False)
    page = Page(view, MAPS)
    colours_near(page.cells(3), MAPS[3], scale_of(MAPS[3], False), 1)
    press(view, "o", "l", "End")
    weakest = np.argsort(-MAPS.max((1, 2)), kind="stable")[-1]
    assert readout(view).startswith(f"channel {weakest} ")


def test_after_a_reload_the_page_is_as_it_was(mount: Mount):
    view = mount(grid_of(MANY, traits={"selected": 1200, "first": 1190}))
    for _ in range(3):
        rest(view)
    before = view.pixels()
    view.reload()
    for _ in range(3):
        rest(view)
    np.testing.assert_array_equal(view.pixels(), before)


# The page around it.


def test_two_views_show_the_same_and_do_not_argue_about_the_place(mount: Mount):
    view = mount(grid_of(MANY), views=2)
    view.page.evaluate("() => { views[1].el.style.width = '480px'; }")
    rest(view)
    view.find(WALL).first.evaluate("(el) => { el.scrollTop = 4000; }")
    for _ in range(4):
        rest(view)
    tops = [view.find(WALL).nth(i).evaluate("(el) => el.scrollTop") for i in range(2)]
    assert tops[0] == 4000 and tops[1] > 4000
    firsts = [update["first"] for update in view.updates if "first" in update]
    assert len(firsts) == 1


def test_work_and_errors_are_shown_and_work_can_be_stopped(mount: Mount):
    grid, stops = grid_of(), []
    grid.on_stop(lambda: stops.append(1))
    view = mount(grid)
    view.widget.report("running", "layer2", 0.25)
    view.settle()
    assert view.page.get_by_role("progressbar").get_attribute("aria-valuenow") == "25"
    view.page.get_by_role("button", name="Stop").click()
    view.settle()
    assert stops == [1]
    view.widget.report("error", "no such layer")
    view.settle()
    assert "no such layer" in view.page.get_by_role("alert").inner_text()
    view.page.get_by_label("Dismiss the error").click()
    view.settle()
    assert not view.page.get_by_role("alert").is_visible()


def test_a_removed_view_leaves_nothing_behind(mount: Mount):
    view = mount(grid_of())
    assert view.listening() > 0
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-wall").count() == 0
    view.theme("dark")
    view.widget.show(SIGNED)
    view.page.set_viewport_size({"width": 500, "height": 500})
    rest(view, 600)


def test_only_what_is_seen_is_drawn(mount: Mount):
    view = mount(grid_of(MANY))
    canvas, wall = view.find(CANVAS).bounding_box(), view.find(WALL).bounding_box()
    assert canvas and wall and canvas["height"] <= wall["height"] < 500
    assert view.find(WALL).evaluate("(el) => el.scrollHeight") > 10_000
    began = time.monotonic()
    drawn = view.page.evaluate(
        """async () => {
          const wall = document.querySelector(".cnnviz-scroller");
          const pen = document.querySelector("canvas.cnnviz-pixels").getContext("2d");
          let calls = 0;
          const draw = pen.drawImage.bind(pen);
          pen.drawImage = (...rest) => { calls++; draw(...rest); };
          const counts = [];
          for (let i = 0; i < 10; i++) {
            calls = 0;
            wall.scrollTop += 37;
            await painted();
            counts.push(calls);
          }
          delete pen.drawImage;
          return counts;
        }"""
    )
    assert 0 < max(drawn) < 150 and time.monotonic() - began < 20
