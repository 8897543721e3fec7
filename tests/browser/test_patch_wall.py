"""PatchWall in a real Chromium: patches beside their projections, only of what is in sight, reading and choosing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traitlets

from cnnviz_widgets import Engine, Gallery, Index, PatchWall
from cnnviz_widgets.widgets.patch_grid import PatchGrid
from cnnviz_widgets.widgets.patch_messages import SHARP, SIDE, LayerPatches, Sheet
from tests.browser.harness import Mounted, contrast, wait_until
from tests.engine.nets import CLASSES, TRANSFORM, plain

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
SHELF, TILE = ".cnnviz-shelf", ".cnnviz-tile"
K, BLOCK, MIDDLE = 9, 120, 6


def level(channel: int, cell: int, part: int) -> int:
    """The grey of one cell of one channel's block: patches are dark, projections bright."""
    return 10 + 12 * cell + 128 * part - channel % 5


def sheets_of(channel: int, side: int = 6) -> list[Sheet]:
    parts = []
    for part, name in enumerate(("patches", "projections")):
        cells = np.array([level(channel, cell, part) for cell in range(K)], np.uint8)
        pictures = np.broadcast_to(cells[:, None, None, None], (K, side, side, 3)).copy()
        words = [[("value", f"{channel}.{cell}"), ("picture", f"p{cell}.jpg")] for cell in range(K)]
        parts.append(Sheet.of(channel, name, pictures, K, words if part == 0 else ()))
    return parts


def facts(count: int = 300, layer: str = "conv", projection: str = "deconvnet", **other: Any) -> LayerPatches:
    values = np.arange(count, dtype=np.float32)
    values[0] = -2
    return LayerPatches(
        layer=layer,
        label=f"{layer} · {count} channels",
        k=K,
        values=values,
        names=tuple("cat" if channel % 2 else "dog" for channel in range(count)),
        shares=np.arange(count) % 9 + 1,
        projection=projection,
        identity=f"{layer} {projection}",
        **other,
    )


class Made:
    """A grid whose sheets are there as soon as they are asked for, and what was asked."""

    def __init__(self, known: LayerPatches | None = None, side: int = 6, **traits: Any) -> None:
        self.grid = PatchGrid(**{"tile_size": BLOCK, **traits})
        self.known = known or facts()
        self.asked: list[list[int]] = []
        self.seen: list[int] = []
        self.side = side
        self.grid.show(self.known)
        self.grid.on_need(self.answer)

    def answer(self, missing: list[int], seen: list[int]) -> None:
        self.asked.append(missing)
        self.seen = seen
        found = [sheet for channel in missing for sheet in sheets_of(channel, self.side)]
        self.grid.put(found, self.known.identity)


def rest(view: Mounted) -> None:
    """Until the page has asked, and what came was decoded."""
    for _ in range(3):
        view.page.wait_for_timeout(60)
        view.settle()


def tile(view: Mounted, place: int) -> Any:
    return view.find(f'{TILE}[data-place="{place}"]').first


def grey(view: Mounted, place: int, cell: int, part: int) -> int | None:
    """The grey in the middle of a cell of a tile."""
    x, y = ((cell % 3 + 0.5) * BLOCK / 3 + part * (BLOCK + MIDDLE), (cell // 3 + 0.5) * BLOCK / 3)
    pixel = tile(view, place).evaluate(
        "(el, [x, y]) => [...el.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
    )
    return pixel[0] if pixel[3] else None


def press(view: Mounted, *keys: str) -> None:
    for key in keys:
        view.find(SHELF).first.press(key)
    view.settle()


def readout(view: Mounted) -> str:
    return view.find(".cnnviz-readout").first.get_attribute("data-text") or ""


def channels_in_sight(view: Mounted) -> list[int]:
    words = view.find(f"{TILE} .cnnviz-words b").all_inner_texts()
    return [int(word) for word in words]


def test_each_channel_has_its_patches_on_the_left_and_its_projections_on_the_right(mount: Mount):
    view = mount(Made().grid)
    rest(view)
    for place in (0, 3):
        for part in (0, 1):
            cells = [grey(view, place, cell, part) for cell in range(K)]
            assert cells == [level(place, cell, part) for cell in range(K)]
    assert "patches that excite a channel most" in view.find(".cnnviz-explained").inner_text()
    assert "projections (deconvnet)" in view.find(".cnnviz-explained").inner_text()
    assert tile(view, 3).get_attribute("aria-label") == "channel 3, max 3, 4 of 9 cat"
    assert "never above -2" in tile(view, 0).inner_text()


def test_only_channels_in_sight_are_asked_for_each_once(mount: Mount):
    made = Made(facts(2048))
    view = mount(made.grid)
    rest(view)
    assert len(made.asked) == 1 and made.asked[0][0] == 0 and len(made.asked[0]) <= 24
    view.find(SHELF).evaluate("(el) => { el.scrollTop = el.scrollHeight / 2; }")
    rest(view)
    assert 1024 in made.seen and 1024 in made.asked[-1]
    view.find(SHELF).evaluate("(el) => { el.scrollTop = 0; }")
    rest(view)
    assert made.asked[-1] == [] and 0 in made.seen  # They are kept; the kernel hears that nothing is missing.
    assert grey(view, 0, 4, 1) == level(0, 4, 1)
    assert view.find(TILE).count() <= 24


def test_patches_are_seen_while_projections_are_on_their_way(mount: Mount):
    made = Made()
    made.answer = lambda missing, seen: made.grid.put([sheets_of(c)[0] for c in missing], made.known.identity)
    made.grid._callbacks["need"][:] = [made.answer]
    view = mount(made.grid)
    rest(view)
    assert grey(view, 2, 0, 0) == level(2, 0, 0) and grey(view, 2, 0, 1) is None
    assert tile(view, 2).locator(".cnnviz-missing").nth(1).inner_text() == "projecting…"
    made.grid.put([Sheet(2, "projections", note="the picture is gone")], made.known.identity)
    rest(view)
    assert tile(view, 2).locator(".cnnviz-missing").nth(1).inner_text() == "the picture is gone"


def test_pointing_at_a_patch_tells_where_it_comes_from_and_marks_its_projection(mount: Mount):
    view = mount(Made().grid)
    rest(view)
    tile(view, 1).hover(position={"x": BLOCK / 2, "y": BLOCK / 2})
    view.settle()
    assert readout(view) == "channel 1 · patch 5 of 9 · value 1.4 · picture p4.jpg"
    spots = tile(view, 1).locator(".cnnviz-spot")
    left = [spots.nth(i).bounding_box()["x"] for i in (0, 1)]
    assert left[1] - left[0] == pytest.approx(BLOCK + MIDDLE, abs=1)
    tile(view, 1).hover(position={"x": BLOCK + MIDDLE + 4, "y": 4})
    view.settle()
    assert "patch 1 of 9" in readout(view)


def test_a_click_and_the_keyboard_choose_a_channel(mount: Mount):
    made = Made()
    view = mount(made.grid)
    tile(view, 2).click()
    view.settle()
    assert made.grid.selected == 2 and "cnnviz-chosen" in (tile(view, 2).get_attribute("class") or "")
    press(view, "ArrowRight", "End")
    assert made.grid.selected == 299
    rest(view)
    assert 299 in channels_in_sight(view)
    made.grid.selected = 5
    view.settle()
    assert 5 in channels_in_sight(view)
    press(view, "+")
    assert made.grid.tile_size > BLOCK
    press(view, "0")
    assert made.grid.tile_size == 0


def test_the_chosen_channel_is_seen_patch_by_patch_each_over_its_projection(mount: Mount):
    view = mount(Made().grid)
    assert not view.find(".cnnviz-detail").is_visible()
    tile(view, 2).click()
    rest(view)
    assert view.find(".cnnviz-detail h4").inner_text() == "Channel 2"
    pairs = view.find(".cnnviz-pairs figure")
    assert pairs.count() == K and pairs.nth(4).locator("figcaption > div").all_inner_texts() == ["2.4", "p4.jpg"]
    for part in (0, 1):
        middle = "(el) => el.getContext('2d').getImageData(el.width / 2, el.height / 2, 1, 1).data[0]"
        assert pairs.nth(4).locator("canvas").nth(part).evaluate(middle) == level(2, 4, part)


def test_orders_begin_with_the_strongest_and_with_those_of_one_class(mount: Mount):
    made = Made()
    view = mount(made.grid)
    press(view, "o")
    assert made.grid.order == "activation" and channels_in_sight(view)[:3] == [299, 298, 297]
    view.find(".cnnviz-tools select").select_option("purity")
    view.settle()
    assert made.grid.order == "purity"
    assert channels_in_sight(view)[:3] == [296, 287, 278]  # Nine of nine, the strongest of them first.


def test_another_layer_takes_the_place_of_all_that_was_seen(mount: Mount):
    made = Made()
    view = mount(made.grid)
    view.find(SHELF).evaluate("(el) => { el.scrollTop = 3000; }")
    rest(view)
    made.grid.selected = 250
    made.known = facts(8, layer="other", projection="")
    made.grid.show(made.known)
    made.grid.put(sheets_of(0)[:1], "conv deconvnet")  # Comes too late.
    rest(view)
    assert channels_in_sight(view) == list(range(8)) and made.grid.selected is None
    width = tile(view, 0).locator("canvas").evaluate("(el) => el.width")
    assert width == BLOCK  # Without projections there is one block.
    assert "projections" not in view.find(".cnnviz-explained").inner_text()


@pytest.mark.parametrize("side", [SHARP, 100])
def test_large_patches_travel_small_and_do_not_bleed_into_each_other(side: int):
    sheet = sheets_of(1, side)[1]
    assert sheet.cell == (min(side, SIDE),) * 2 and len(sheet.data) < 20_000
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (K, 60, 60, 3), np.uint8)
    noise[4] = 0
    lossy = Sheet.of(0, "patches", noise, K)
    assert lossy.pitch == (64, 64)  # A whole number of a JPEG's blocks.


def test_what_was_kept_is_seen_without_a_kernel(mount: Mount):
    made = Made(facts(6))
    made.grid.keep([sheet for channel in range(4) for sheet in sheets_of(channel)], made.known.identity)
    view = mount(made.grid, kernel=False)
    rest(view)
    assert grey(view, 3, 8, 1) == level(3, 8, 1) and grey(view, 5, 0, 0) is None


def test_two_views_show_the_same_and_each_cleans_up(mount: Mount):
    made = Made(facts(10))
    view = mount(made.grid, views=2)
    rest(view)
    assert view.find(TILE).count() == 20 and made.asked == [list(range(10))]
    view.find(f'{TILE}[data-place="4"]').nth(1).click()
    view.settle()
    assert view.find(f"{TILE}.cnnviz-chosen").count() == 2
    view.clean()
    assert view.listening() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_are_legible_and_stop_is_heard(mount: Mount, theme: str):
    made = Made()
    stops: list[float] = []
    made.grid.on_stop(lambda: stops.append(time.monotonic()))
    made.grid.report("running", "projecting channel 3", 0.4)
    view = mount(made.grid)
    view.theme(theme)
    rest(view)
    lines = tile(view, 1).locator(".cnnviz-words > div")
    for words in (lines.nth(0), lines.nth(1), view.find(".cnnviz-explained > span").first):
        assert contrast(words) >= 4.5
    view.find(".cnnviz-stop").click()
    view.settle()
    assert len(stops) == 1


def test_impossible_states_are_refused():
    made = Made(facts(10))
    for name, value, words in (
        ("selected", 10, "channels go from 0 to 9"),
        ("order", "activaton", "did you mean 'activation'"),
        ("tile_size", 5, "48 to 400"),
    ):
        with pytest.raises(traitlets.TraitError, match=words):
            setattr(made.grid, name, value)
    made.grid.set_state({"selected": 99, "order": "nothing"})  # What a page says late is passed over.
    assert (made.grid.selected, made.grid.order) == (None, "channel")


def test_a_wall_over_an_index_fills_as_it_is_scrolled(mount: Mount, tmp_path: Path, one_thread: None):
    engine = Engine(plain(), transform=TRANSFORM, categories=CLASSES)
    pictures = np.stack([np.full((32, 32, 3), 9 * n + 5, np.uint8) for n in range(12)])
    gallery = Gallery.from_arrays(pictures, labels=[n % 2 for n in range(12)], classes=["odd", "even"])
    index = Index.build(engine, gallery, tmp_path / "index", progress=False)
    wall = PatchWall(index, "3")
    wall.grid.tile_size, wall.grid.height = BLOCK, 180  # One row of the eight channels is in sight.
    view = mount(wall.grid)

    def filled(place: int) -> bool:
        view.settle()
        return view.find(f'{TILE}[data-place="{place}"]').count() > 0 and grey(view, place, 0, 1) is not None

    wait_until(lambda: filled(0), what="the first channel")
    assert "odd" in tile(view, 0).inner_text() or "even" in tile(view, 0).inner_text()
    press(view, "End")
    wait_until(lambda: filled(7), what="the last channel")
    found = wall.wait(60)
    assert found is not None and wall.selected == 7
    height, width = found.pictures.shape[1:3]
    assert grey(view, 7, 4, 0) == found.pictures[4, height // 2, width // 2, 0]
    assert view.find(".cnnviz-pairs figure").count() == 9
