"""PictureWall in a real Chromium: which pictures are asked for and drawn, picking, walking, a page without a kernel."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import traitlets
from PIL import Image

from cnnviz_widgets.widgets import PictureWall
from tests.browser.harness import Mounted, contrast

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
SHELF, TILE = ".cnnviz-shelf", ".cnnviz-tile"


def colour(number: int) -> tuple[int, int, int]:
    """What the picture of this number is filled with."""
    return (40 + number * 37 % 200, 40 + number * 91 % 200, 40 + number * 13 % 200)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), colour(number)).save(file, "PNG")
    return file.getvalue()


def wall_of(numbers: Any, *, fetch: Callable[[int], bytes] = png, traits: dict[str, Any] | None = None, **how: Any):
    wall = PictureWall(fetch, **(traits or {}))
    wall.show(numbers, **how)
    return wall


def rest(view: Mounted) -> None:
    """Until the pictures came and were decoded."""
    for _ in range(4):
        view.settle()
        view.page.wait_for_timeout(40)
    view.settle()


def tile(view: Mounted, place: int) -> Any:
    return view.find(f'{TILE}[data-place="{place}"]').first


def seen(view: Mounted) -> list[int]:
    return sorted(int(place) for place in view.find(TILE).evaluate_all("(all) => all.map((el) => el.dataset.place)"))


def middle(view: Mounted, place: int) -> tuple[int, ...] | None:
    """The colour in the middle of a tile's picture; None where none is drawn."""
    found = tile(view, place).evaluate(
        """(el) => {
          const c = el.querySelector("canvas");
          return c.hidden ? null : [...c.getContext("2d").getImageData(c.width >> 1, c.height >> 1, 1, 1).data];
        }"""
    )
    return found and tuple(found[:3])


def press(view: Mounted, *keys: str) -> None:
    for key in keys:
        view.find(SHELF).first.press(key)
    view.settle()


def chosen(view: Mounted) -> list[int]:
    return view.find(f"{TILE}.cnnviz-chosen").evaluate_all("(all) => all.map((el) => Number(el.dataset.place))")


def test_each_place_shows_the_picture_of_its_number(mount: Mount):
    numbers = [7, 3, 11, 3]
    view = mount(wall_of(numbers))
    rest(view)
    assert [middle(view, place) for place in range(4)] == [colour(number) for number in numbers]
    assert view.find(".cnnviz-count").inner_text() == "4 pictures"


def test_of_ten_thousand_only_those_in_sight_exist_and_those_near_are_asked_for(mount: Mount):
    view = mount(wall_of(range(10_000)))
    rest(view)
    first = seen(view)
    asked = [number for message in view.sent("thumbnails") for number in message["numbers"]]
    assert first[0] == 0 and 20 <= len(first) <= 60 and set(first) <= set(asked) and len(asked) <= 3 * len(first)
    view.find(SHELF).evaluate("(el) => { el.scrollTop = el.scrollHeight; }")
    rest(view)
    last = seen(view)
    assert last[-1] == 9_999 and len(last) <= 60
    assert middle(view, 9_999) == colour(9_999)
    asked = [number for message in view.sent("thumbnails") for number in message["numbers"]]
    assert len(asked) == len(set(asked)) < 400  # What was scrolled past is not asked for, and nothing twice.


def test_captions_marks_and_title_are_read(mount: Mount):
    view = mount(
        wall_of([1, 2, 3], captions=["cat\n0.125", "dog\n0.25", "boat"], marks=["wrong", "", "new"], title="Near")
    )
    rest(view)
    assert view.find(".cnnviz-caption").inner_text() == "Near"
    assert tile(view, 0).locator(".cnnviz-words > div").all_inner_texts() == ["cat", "0.125"]
    assert tile(view, 0).get_attribute("aria-label") == "cat, 0.125, wrong"
    assert tile(view, 0).locator(".cnnviz-badge").inner_text() == "✕"
    assert not tile(view, 1).locator(".cnnviz-badge").is_visible()
    assert tile(view, 2).locator(".cnnviz-badge").inner_text() == "new"


def test_a_click_picks_and_the_same_twice_is_news(mount: Mount):
    wall = wall_of([5, 6, 7])
    picked: list[int] = []
    clicks: list[dict[str, int]] = []
    undo = wall.on_pick(picked.append)
    wall.observe(lambda change: clicks.append(change["new"]), "clicked")
    view = mount(wall)
    for _ in range(2):
        tile(view, 1).click()
        view.settle()
    assert picked == [6, 6] and chosen(view) == [1]
    assert clicks == [{"number": 6, "place": 1, "turn": 1}, {"number": 6, "place": 1, "turn": 2}]
    undo()
    tile(view, 2).click()
    view.settle()
    assert picked == [6, 6] and wall.clicked["number"] == 7


def test_a_click_on_a_wall_that_hangs_no_more_picks_nothing(mount: Mount):
    wall = wall_of([5, 6, 7])
    view = mount(wall)
    wall.show([1])  # The page has not heard of it yet.
    tile(view, 2).click()
    view.settle()
    assert wall.clicked == {}


def test_the_keyboard_walks_and_enter_picks(mount: Mount):
    wall = wall_of(range(500))
    view = mount(wall)
    press(view, "ArrowRight")
    assert chosen(view) == [0]
    press(view, "ArrowRight", "ArrowRight", "ArrowDown")
    columns = len({tile(view, place).evaluate("(el) => el.style.left") for place in seen(view)})
    assert chosen(view) == [2 + columns]
    press(view, "End")
    assert chosen(view) == [499]
    active = view.find(SHELF).get_attribute("aria-activedescendant")
    assert view.find(f"#{active}").get_attribute("aria-posinset") == "500"
    press(view, "Enter")
    assert wall.clicked["number"] == 499
    press(view, "Home", "ArrowUp", "-")
    assert chosen(view) == [0] and wall.tile_size < 96


def test_a_strip_is_one_row_that_scrolls_sideways(mount: Mount):
    view = mount(wall_of(range(40), traits={"row": True}))
    rest(view)
    tops = {tile(view, place).evaluate("(el) => el.style.top") for place in seen(view)}
    assert len(tops) == 1 and len(seen(view)) < 15
    press(view, "End")
    rest(view)
    assert seen(view)[-1] == 39 and middle(view, 39) == colour(39)
    assert not view.find(".cnnviz-sizes").is_visible()


def test_without_pictures_it_says_so(mount: Mount):
    wall = wall_of([1], traits={"empty": "Draw a line around some points."})
    view = mount(wall)
    wall.clear()
    view.settle()
    assert view.find(".cnnviz-nothing").inner_text() == "Draw a line around some points."
    assert not view.find(SHELF).is_visible() and view.find(TILE).count() == 0


def test_another_key_begins_at_the_first_picture_and_the_same_one_stays(mount: Mount):
    wall = wall_of(range(1000), key="a")
    view = mount(wall)
    view.find(SHELF).evaluate("(el) => { el.scrollTop = 2000; }")
    rest(view)
    before = seen(view)
    wall.show(range(1000, 2000), key="a")
    rest(view)
    assert seen(view) == before and middle(view, before[0]) == colour(1000 + before[0])
    wall.show(range(1000), key="b")
    rest(view)
    assert seen(view)[0] == 0


def test_a_callback_that_fails_is_shown(mount: Mount):
    def fail(number: int) -> None:
        raise ValueError(f"no point {number}")

    wall = wall_of([4])
    wall.on_pick(fail)
    view = mount(wall)
    tile(view, 0).click()
    view.settle()
    assert view.find(".cnnviz-alarm").inner_text().startswith("no point 4")


def test_what_was_seen_stays_in_a_page_without_a_kernel(mount: Mount):
    wall = wall_of(range(300))
    view = mount(wall)
    rest(view)
    view.page.wait_for_timeout(450)
    view.settle()
    assert set(seen(view)) <= set(wall.kept["numbers"])
    alone = mount(wall, kernel=False)
    rest(alone)
    assert middle(alone, 3) == colour(3)


def test_two_views_show_the_same_and_each_cleans_up(mount: Mount):
    view = mount(wall_of(range(6)), views=2)
    rest(view)
    assert view.find(TILE).count() == 12
    view.find(f'{TILE}[data-place="4"]').nth(1).click()
    view.settle()
    assert chosen(view) == [4, 4]
    view.clean()
    assert view.listening() == 0


def test_a_picture_that_cannot_be_had_is_said_to_be_none(mount: Mount):
    view = mount(wall_of([1, 2], fetch=lambda number: b"" if number == 1 else png(number)))
    rest(view)
    assert middle(view, 0) is None and middle(view, 1) == colour(2)
    assert tile(view, 0).locator(".cnnviz-plate").get_attribute("data-note") == "no picture"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_marks_are_legible(mount: Mount, theme: str):
    view = mount(wall_of([1, 2], captions=["cat\n0.1", "dog\n0.2"], marks=["wrong", "right"], title="Near"))
    view.theme(theme)
    rest(view)
    lines = tile(view, 0).locator(".cnnviz-words > div")
    badges = [tile(view, place).locator(".cnnviz-badge") for place in (0, 1)]
    for words in (lines.first, lines.nth(1), *badges, view.find(".cnnviz-count")):
        assert contrast(words) >= 4.5


def test_impossible_pictures_are_refused_and_the_wall_stays():
    wall = wall_of([1, 2])
    for numbers, error in (([1.5], TypeError), ([-1], ValueError), ([[1, 2]], ValueError), ([2**31], ValueError)):
        with pytest.raises(error):
            wall.show(numbers)
    with pytest.raises(ValueError, match="captions are one for each of the 3 pictures, not 1"):
        wall.show([1, 2, 3], captions=["a"])
    with pytest.raises(traitlets.TraitError):
        wall.tile_size = 5
    assert wall.numbers == (1, 2) and repr(wall) == "PictureWall(2 pictures)"
    wall.show(np.array([3, 4], np.int64))
    assert wall.numbers == (3, 4)
