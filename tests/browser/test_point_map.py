"""PointMap in a real Chromium: what is drawn, what mouse and keyboard do, and that a lasso holds what Python says."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnviz_widgets.widgets
from cnnviz_widgets.views.colour import lookup_table
from cnnviz_widgets.views.palette import distinct_colors
from cnnviz_widgets.widgets import PointMap
from cnnviz_widgets.widgets.front_end import module
from cnnviz_widgets.widgets.point_polygon import points_in_polygon
from tests.browser.harness import Mounted, wait_until

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
GROUND = ".cnnviz-points-ground"
TIP = ".cnnviz-points-tip"
LINES = ".cnnviz-points-groups li"
HOME = Path(cnnviz_widgets.widgets.__file__).parent

# The corners of a square, its middle, and one beside the middle.
PLACES = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [0, 0], [0.25, 0]], np.float32)
GROUPS = np.array([0, 1, 2, 0, 1, 2])
NAMES = ["ape", "bee", "cat"]
MANY = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)


def map_of(points: np.ndarray = PLACES, traits: dict[str, Any] | None = None, **how: Any) -> PointMap:
    where = PointMap(**{"height": 400, "labels": False, **(traits or {})})
    where.show(points, **how)
    return where


class Page:
    """The map in a page: where points are, and a mouse that goes there."""

    def __init__(self, view: Mounted) -> None:
        self.view, self.widget = view, view.widget
        box = view.find(GROUND).first.bounding_box()
        assert box
        self.left, self.upper = box["x"] + 1, box["y"] + 1  # Inside of the border.
        self.width, self.height = box["width"] - 2, box["height"] - 2

    def spot(self, number: int, zoom: float = 1, about: tuple[float, float] = (0, 0)) -> tuple[float, float]:
        """Where a point is, in CSS pixels of the map: all of them fit, with a margin of 6 % of it."""
        places = self.widget.places.astype(float)
        low, high = np.nanmin(places, 0), np.nanmax(places, 0)
        scale = 0.88 * min(self.width / (high[0] - low[0]), self.height / (high[1] - low[1])) * zoom
        x, y = (places[number] - (low + high) / 2) * scale
        return self.width / 2 + x + about[0], self.height / 2 - y + about[1]

    def move(self, x: float, y: float, **how: Any) -> None:
        self.view.page.mouse.move(self.left + x, self.upper + y, **how)

    def point(self, number: int) -> None:
        self.move(*self.spot(number))
        self.settle()

    def click(self, x: float, y: float, *keys: str) -> None:
        self.path([(x, y)], *keys)

    def path(self, corners: list[tuple[float, float]], *keys: str) -> None:
        """Press, go from corner to corner, release, with these keys held."""
        keyboard, mouse = self.view.page.keyboard, self.view.page.mouse
        for key in keys:
            keyboard.down(key)
        self.move(*corners[0])
        mouse.down()
        for x, y in corners[1:]:
            self.move(x, y)
        mouse.up()
        for key in keys:
            keyboard.up(key)
        self.settle()

    def around(self, *numbers: int, by: float = 18) -> list[tuple[float, float]]:
        """The corners of a box around points."""
        spots = np.array([self.spot(number) for number in numbers])
        (x0, y0), (x1, y1) = spots.min(0) - by, spots.max(0) + by
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]

    def press(self, *keys: str) -> None:
        self.view.find(GROUND).first.focus()
        for key in keys:
            self.view.page.keyboard.press(key)
        self.settle()

    def colour(self, x: float, y: float, canvas: str = "canvas.cnnviz-pixels", density: float = 1) -> list[int]:
        """One pixel: reading all of them takes longer than most of what is tested."""
        return self.view.page.evaluate(
            """([canvas, x, y]) =>
              [...document.querySelector(canvas).getContext("2d").getImageData(x, y, 1, 1).data.subarray(0, 3)]""",
            [canvas, int(x * density), int(y * density)],
        )

    def settle(self) -> None:
        """What is pointed at is known once it is drawn, and then it is told."""
        self.view.settle()
        self.view.settle()

    def rest(self) -> None:
        """Until nothing glides any more."""
        self.view.page.wait_for_timeout(650)
        self.view.settle()


def picture_of(number: int, size: int = 8) -> bytes:
    """A thumbnail of one colour, which tells its number."""
    encoded = io.BytesIO()
    Image.new("RGB", (size, size), (40 * number, 200, 10)).save(encoded, "PNG")
    return encoded.getvalue()


# --- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [1, 2])
def test_each_point_is_where_it_belongs_in_the_colour_of_its_group(mount: Mount, density: int) -> None:
    view = mount(map_of(groups=GROUPS), device_scale_factor=density)
    page = Page(view)
    assert view.pixels().shape[:2] == (round(page.height * density), round(page.width * density))
    colours = distinct_colors(3)
    for number, group in enumerate(GROUPS):
        assert page.colour(*page.spot(number), density=density) == colours[group].tolist(), number
    assert page.colour(*np.add(page.spot(2), (14, 0)), density=density) == [255, 255, 255]


def test_another_theme_has_another_ground_and_the_same_colours(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    view.theme("dark")
    wait_until(lambda: page.colour(3, 3) == [17, 17, 17], what="the dark ground")
    assert page.colour(*page.spot(0)) == distinct_colors(1)[0].tolist()


def test_no_group_is_drawn_over_another_because_it_came_later(mount: Mount) -> None:
    places = np.repeat(PLACES[:4], 500, 0)
    groups = np.tile(np.sort(np.arange(500) % 2), 4)  # At each place first one group, then the other.
    view = mount(map_of(places + np.random.default_rng(1).normal(0, 0.02, places.shape), groups=groups))
    seen = view.pixels()[..., :3].reshape(-1, 3).astype(int)
    first, second = ((np.abs(seen - colour).sum(1) < 12).sum() for colour in distinct_colors(2).astype(int))
    assert 0.7 < first / second < 1.4


def test_numbers_become_colours_of_the_table_and_the_legend_stays(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS, group_names=NAMES))
    page = Page(view)
    view.widget.show_values([0, 1, 2, 3, np.nan, 4], "probability")
    view.settle()
    table = lookup_table("viridis")
    assert page.colour(*page.spot(0)) == table[0, :3].tolist()
    assert page.colour(*page.spot(2)) == table[128, :3].tolist()
    assert page.colour(*page.spot(4)) == [97, 97, 97]  # No value: grey.
    assert view.find(".cnnviz-hi").inner_text() == "4" and view.find(".cnnviz-lo").inner_text() == "0"
    assert view.find(LINES).count() == 3
    view.widget.scale = [1, 2]
    view.settle()
    assert (view.find(".cnnviz-hi").inner_text(), view.find(".cnnviz-lo").inner_text()) == ("≥ 2", "≤ 1")


def test_what_stands_out_has_a_ring(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    before = view.pixels().astype(int)
    view.widget.show_highlight(np.arange(6) == 2, "misclassified")
    view.settle()
    changed = np.argwhere(np.abs(view.pixels().astype(int) - before).sum(2) > 60)
    x, y = page.spot(2)
    away = np.hypot(changed[:, 1] + 0.5 - x, changed[:, 0] + 0.5 - y)
    assert len(away) > 20 and away.max() < 13 and away.min() > 5
    assert "misclassified 1" in view.find(".cnnviz-points-ring").inner_text()
    view.find(".cnnviz-points-ring").click()
    view.settle()
    assert view.widget.selection == (2,)


def test_names_never_lie_over_each_other_and_those_of_large_groups_come_first(mount: Mount) -> None:
    rng = np.random.default_rng(2)
    groups = rng.permutation(np.repeat(np.arange(60), np.arange(60, 0, -1) * 3))
    middles = rng.normal(size=(60, 2))
    points = middles[groups] + rng.normal(0, 0.03, (len(groups), 2))
    names = [f"group {n} {'long ' * (n % 4)}".strip() for n in range(60)]
    view = mount(map_of())
    view.page.evaluate("""() => {
      const real = CanvasRenderingContext2D.prototype.fillText;
      const clear = CanvasRenderingContext2D.prototype.clearRect;
      CanvasRenderingContext2D.prototype.clearRect = function (...box) {
        window.written = []; // A new frame.
        return clear.apply(this, box);
      };
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const wide = this.measureText(text).width;
        const left = { left: x, center: x - wide / 2, right: x - wide }[this.textAlign];
        window.written.push([text, left, y - 7, left + wide, y + 7]);
        return real.call(this, text, x, y);
      };
    }""")
    view.widget.labels = True
    view.widget.show(points, groups=groups, group_names=names)
    view.settle()
    written = view.page.evaluate("() => window.written")
    assert 10 < len(written) < 60 and written[0][0] == names[0]
    boxes = np.array([box[1:] for box in written])
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        others = np.delete(boxes, i, 0)
        assert not ((others[:, 0] < x1) & (x0 < others[:, 2]) & (others[:, 1] < y1) & (y0 < others[:, 3])).any()


def test_close_to_few_points_there_are_thumbnails_and_names(mount: Mount) -> None:
    where = map_of(groups=GROUPS, names=[f"point {n}" for n in range(6)])
    where.show_thumbnails(picture_of)
    view = mount(where)
    page = Page(view)
    colour = lambda number: page.colour(*page.spot(number), ".cnnviz-points-above")  # noqa: E731
    wait_until(lambda: (view.settle(), colour(3) == [120, 200, 10])[1], what="the thumbnail")
    assert colour(2) == [80, 200, 10]
    where.pictures = False
    view.settle()
    assert colour(3) != [120, 200, 10]


def test_a_mark_has_lines_to_its_neighbours(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    view.widget.marks = [{"x": 0, "y": 0.5, "name": "query", "lines_to": [2, 3]}]
    view.settle()
    above = view.pixels(".cnnviz-points-above")
    (x, y), (left, upper) = page.spot(2), np.add(page.spot(4), np.subtract(page.spot(3), page.spot(0)) * (0, 0.25))
    assert page.colour(left, upper, ".cnnviz-points-above") == [13, 71, 161]
    column, row = int((x + left) / 2), int((y + upper) / 2)
    line = above[row - 2 : row + 3, column - 2 : column + 3]
    assert line[..., 3].max() == 255 and line[..., 0].min() < 90
    assert above[int(page.spot(0)[1]) - 20, int(page.spot(0)[0]), 3] == 0


def test_an_empty_map_and_points_without_places_are_said(mount: Mount) -> None:
    view = mount(PointMap())
    assert view.find(".cnnviz-nothing").inner_text() == "No points yet."
    view.widget.show([[np.nan, 0], [0, np.nan]])
    view.settle()
    assert view.find(".cnnviz-nothing").inner_text() == "None of the 2 points has a place."
    view.widget.show([[np.nan, 0], [0, 1], [1, 0]])
    view.settle()
    assert "1 points have no place and are left out." in view.find(".cnnviz-readout").inner_text()


# --- moving and zooming ----------------------------------------------------------------------------------------------


def test_a_drag_moves_the_map_and_the_wheel_zooms_where_the_mouse_is(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    page.path([(100, 200), (140, 180), (160, 170)])
    blue = distinct_colors(1)[0].tolist()
    assert page.colour(*np.add(page.spot(0), (60, -30))) == blue
    x, y = np.add(page.spot(4), (60, -30))
    page.move(x, y)
    view.page.mouse.wheel(0, -100)
    there = np.subtract(page.spot(5), page.spot(4)) * 2 ** (100 / 240) + (x, y)
    wait_until(lambda: page.colour(*there) == distinct_colors(3)[2].tolist(), seconds=5, what="the zoomed map")
    assert page.colour(x, y) == distinct_colors(3)[1].tolist()
    page.press("0")
    wait_until(lambda: page.colour(*page.spot(0)) == blue, what="the view of everything")


def test_a_wheel_that_scrolls_the_page_goes_on_doing_so_over_the_map(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    taken = view.page.evaluate(
        """(selector) => [".cnnviz-caption", selector].map((each) => {
          const event = new WheelEvent("wheel", { deltaY: 50, bubbles: true, cancelable: true });
          document.querySelector(each).dispatchEvent(event);
          return event.defaultPrevented;
        })""",
        GROUND,
    )
    assert taken == [False, False]


def test_python_looks_at_some_points_and_at_all(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    view.widget.look_at([4, 5])
    view.settle()
    wait_until(
        lambda: page.colour(page.width * 0.06, page.height / 2) == distinct_colors(3)[1].tolist(), what="the two"
    )
    view.widget.look_at()
    view.settle()
    wait_until(lambda: page.colour(*page.spot(0)) == distinct_colors(1)[0].tolist(), what="everything")


def test_two_fingers_zoom(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    view.page.evaluate(
        """([selector, x, y]) => {
          const ground = document.querySelector(selector);
          ground.setPointerCapture = () => {};
          const fire = (type, pointerId, clientX) => ground.dispatchEvent(
            new PointerEvent(type, { pointerId, clientX, clientY: y, button: 0, bubbles: true, pointerType: "touch" }));
          fire("pointerdown", 1, x - 50); fire("pointerdown", 2, x + 50);
          fire("pointermove", 1, x - 60); fire("pointermove", 2, x + 60);
          fire("pointerup", 1, x - 60); fire("pointerup", 2, x + 60);
        }""",
        [GROUND, page.left + page.width / 2, page.upper + page.height / 2],
    )
    view.settle()
    assert page.colour(*page.spot(5, zoom=1.2)) == distinct_colors(3)[2].tolist()


def test_the_view_follows_points_that_move_until_somebody_moved_it(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS, key="steps"))
    page = Page(view)
    cat = distinct_colors(3)[2].tolist()
    there = lambda: page.colour(*page.spot(5)) == cat  # noqa: E731
    for factor in (2, 5):
        view.widget.move(PLACES * factor + 3)
        view.settle()
    wait_until(there, what="the view that follows")
    page.path([(100, 200), (130, 200)])
    view.widget.move(PLACES * 8)
    page.rest()
    assert not there()
    view.widget.move(PLACES * 7, fit=True)
    view.settle()
    wait_until(there, what="the view of everything")


# --- pointing and clicking -------------------------------------------------------------------------------------------


def test_pointing_shows_the_points_own_thumbnail_and_words_asked_for_one_at_a_time(mount: Mount) -> None:
    where = map_of(groups=GROUPS, group_names=NAMES, about=lambda number: {"prediction": f"{number} %"},
                   traits={"pictures": False})  # fmt: skip
    where.show_thumbnails(picture_of)
    where.pointing = True
    view = mount(where)
    page = Page(view)
    for number in (3, 5):
        page.point(number)
        wait_until(lambda: (view.settle(), "%" in view.find(TIP).inner_text())[1], what="the words")  # noqa: B023
        lines = [line for line in view.find(TIP).inner_text().splitlines() if line]
        assert lines == [f"point {number}", f"group {NAMES[GROUPS[number]]}", f"prediction {number} %"]
        drawn = view.pixels(f"{TIP} canvas")
        assert drawn[20, 20, :3].tolist() == [40 * number, 200, 10]
        assert where.pointed == number
        assert f"prediction {number} %" in view.find(".cnnviz-readout").inner_text()
    assert [message["numbers"] for message in view.sent("thumbnails")] == [[3], [5]]
    page.move(*np.add(page.spot(4), (-60, -60)))
    view.settle()
    assert where.pointed is None and view.find(TIP).is_hidden()


def test_a_click_selects_a_point_and_one_beside_all_points_none(mount: Mount) -> None:
    where = map_of(groups=GROUPS)
    clicks: list[int] = []
    where.on_click(clicks.append)
    view = mount(where)
    page = Page(view)
    page.click(*np.add(page.spot(2), (-5, 3)))
    assert where.selected == 2
    page.click(*page.spot(2))
    assert clicks == [2, 2]
    page.click(*np.add(page.spot(2), (-60, 60)))
    assert where.selected is None and clicks == [2, 2]


def test_arrows_go_to_the_nearest_point_in_their_direction(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS, traits={"pointing": True}))
    page = Page(view)
    page.press("ArrowRight")
    assert view.widget.pointed == 4  # The one in the middle of what is seen.
    page.press("ArrowRight")
    assert view.widget.pointed == 5
    page.press("ArrowUp", "Enter")
    assert view.widget.pointed == 2 and view.widget.selected == 2
    page.press("ArrowLeft", " ")
    page.press("ArrowDown", " ")
    assert view.widget.selection == (0, 3)
    page.press(" ")
    assert view.widget.selection == (3,)
    page.press("Escape")
    assert view.widget.selection == ()


# --- the lasso -------------------------------------------------------------------------------------------------------


def test_the_browsers_polygon_holds_what_pythons_holds(mount: Mount) -> None:
    rng = np.random.default_rng(4)
    lattice = rng.integers(-8, 9, (3000, 2)).astype(np.float32) / 4  # Many lie on edges and corners.
    points = np.concatenate([MANY, lattice, [[np.nan, 0], [0, np.nan]]]).astype(np.float32)
    polygons = [rng.normal(size=(n, 2)) for n in (3, 5, 9, 40)]
    polygons += [rng.integers(-8, 9, (n, 2)) / 4 for n in (3, 4, 6, 12, 30)]
    polygons += [np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]), np.float32(rng.normal(size=(200, 2))).cumsum(0) / 9]
    view = mount(PointMap())
    found = view.page.evaluate(
        """async ([text, points, polygons]) => {
          const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
          const { pointsIn } = await import(url);
          const places = Float32Array.from(points, (value) => value ?? NaN);
          return polygons.map((corners) => pointsIn(places, corners, () => true));
        }""",
        [module(HOME / "point_polygon.js"), [None if np.isnan(v) else float(v) for v in points.ravel()],
         json.loads(json.dumps([np.asarray(polygon, float).ravel().tolist() for polygon in polygons]))],
    )  # fmt: skip
    for numbers, polygon in zip(found, polygons, strict=True):
        np.testing.assert_array_equal(numbers, np.flatnonzero(points_in_polygon(points, polygon)))


def test_a_lasso_takes_what_python_finds_in_its_polygon(mount: Mount) -> None:
    groups = np.arange(len(MANY)) % 3
    view = mount(map_of(MANY, groups=groups))
    page = Page(view)
    angles = np.linspace(0, 2 * np.pi, 15)
    x, y = page.width / 2, page.height / 2
    ring = [(x + 110 * np.cos(a) * (1 + 0.3 * np.sin(5 * a)), y + 90 * np.sin(a)) for a in angles]
    page.path(ring, "Shift")
    inside = np.flatnonzero(points_in_polygon(MANY, view.widget.polygon))
    assert len(inside) > 300 and view.widget.selection == tuple(inside)
    assert f"{len(inside):,} of 3,000 points selected." in view.find(".cnnviz-readout").inner_text()
    view.widget.hidden = [1]
    view.settle()
    page.path([(px + 60, py) for px, py in ring], "Shift", "Control")
    second = np.flatnonzero(points_in_polygon(MANY, view.widget.polygon) & (groups != 1))
    assert view.widget.selection == tuple(np.union1d(inside, second))
    page.path([(px + 60, py) for px, py in ring], "Shift", "Alt")
    assert view.widget.selection == tuple(np.setdiff1d(inside, second))
    view.page.locator("button", has_text="Clear selection").click()
    view.settle()
    assert view.widget.selection == ()


def test_lasso_and_box_are_modes_that_escape_leaves(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS))
    page = Page(view)
    page.press("b")
    (x0, y0), _, (x1, y1), _ = page.around(4, 5)
    page.path([(x0, y0), (x1, y1)])
    assert view.widget.selection == (4, 5) and len(view.widget.polygon) == 4
    view.page.locator("button", has_text="Lasso").click()
    page.path(page.around(3))
    assert view.widget.selection == (3,)
    page.press("Escape")
    assert view.page.locator("button", has_text="Move").get_attribute("aria-pressed") == "true"
    assert view.widget.selection == (3,)


def test_what_is_selected_stands_out_also_from_python(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS), views=2)
    page = Page(view)
    view.widget.selection = [4]
    view.settle()
    bee, ape = distinct_colors(3)[1].tolist(), distinct_colors(3)[0]
    assert page.colour(*page.spot(4)) == bee
    faint = np.array(page.colour(*page.spot(0)))
    assert (np.abs(faint - 255) < 0.3 * np.abs(ape.astype(int) - 255) + 2).all()
    page.path(page.around(0), "Shift")
    seen = view.page.evaluate("""() => [...document.querySelectorAll("canvas.cnnviz-pixels")].map((canvas) =>
        base64(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer))""")
    assert seen[0] == seen[1]  # Both views of the model.


# --- the legend ------------------------------------------------------------------------------------------------------


def test_a_click_in_the_legend_hides_a_group_which_then_cannot_be_pointed_at(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS, group_names=NAMES, traits={"pointing": True}))
    page = Page(view)
    assert view.find(LINES).all_inner_texts() == ["ape\n2", "bee\n2", "cat\n2"]
    view.find(LINES).nth(2).click()
    view.page.mouse.move(2, 2)
    view.settle()
    assert view.widget.hidden == [2] and view.find(LINES).nth(2).get_attribute("aria-selected") == "false"
    assert page.colour(*page.spot(2)) == [255, 255, 255]
    page.point(2)
    assert view.widget.pointed is None
    view.page.locator("button", has_text="Show all").click()
    view.settle()
    assert view.widget.hidden == [] and page.colour(*page.spot(2)) == distinct_colors(3)[2].tolist()


def test_a_double_click_shows_one_group_only_and_keys_do_the_same(mount: Mount) -> None:
    view = mount(map_of(groups=[*GROUPS[:-1], -1], group_names=NAMES))
    assert view.find(LINES).count() == 4
    view.find(LINES).nth(1).dblclick()
    view.settle()
    assert view.widget.hidden == [-1, 0, 2]
    view.page.keyboard.press("o")
    view.settle()
    assert view.widget.hidden == []
    for key in ("End", " ", "ArrowUp", "Enter"):
        view.page.keyboard.press(key)
    view.settle()
    assert view.widget.hidden == [-1, 2]


# --- the page --------------------------------------------------------------------------------------------------------


def test_without_a_kernel_the_page_says_so_and_the_map_still_lives(mount: Mount) -> None:
    where = map_of(groups=GROUPS, names=[f"name {n}" for n in range(6)])
    where.show_thumbnails(picture_of)
    view = mount(where, kernel=False)
    page = Page(view)
    assert view.find(".cnnviz-static").is_hidden()
    wait_until(lambda: view.find(".cnnviz-static").is_visible(), what="the notice")
    page.point(3)
    assert "name 3" in view.find(TIP).inner_text()
    page.path(page.around(4, 5), "Shift")
    assert view.page.locator("button", has_text="Clear selection (2)").is_visible()


def test_a_dropped_picture_goes_to_python_and_errors_are_shown(mount: Mount) -> None:
    where = map_of(groups=GROUPS)
    files: list[tuple[str, bytes]] = []

    def take(name: str, content: bytes) -> None:
        files.append((name, content))
        raise ValueError("no picture in it")

    where.on_file(take)
    view = mount(where)
    view.find("input[type=file]").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"abc"})
    wait_until(lambda: (view.settle(), files)[1], what="the file")
    assert files == [("a.png", b"abc")]
    view.settle()
    assert view.find(".cnnviz-alarm").inner_text().startswith("no picture in it")


def test_a_hundred_thousand_points_are_drawn_and_selected(mount: Mount) -> None:
    points = np.random.default_rng(0).normal(size=(100_000, 2)).astype(np.float32)
    view = mount(map_of(points, groups=np.arange(100_000) % 1000))
    page = Page(view)
    assert (view.pixels()[..., :3] != 255).any(2).mean() > 0.1
    assert view.find(LINES).count() == 1000
    page.path([(200, 100), (500, 120), (420, 330), (180, 300)], "Shift")
    inside = np.flatnonzero(points_in_polygon(points, view.widget.polygon))
    assert len(inside) > 10_000 and view.widget.selection == tuple(inside)


def test_nothing_is_left_behind(mount: Mount) -> None:
    view = mount(map_of(groups=GROUPS), views=2)
    view.clean()
    assert view.listening() == 0 and view.find(GROUND).count() == 0
