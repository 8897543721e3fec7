"""PatchWall without a page, over a small index: what it makes, in which order, what is chosen, and what goes wrong."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from traitlets import TraitError

from cnnviz_widgets import Engine, Gallery, Index, LayerBrowser, PatchWall, Unit
from cnnviz_widgets.methods.patches import top_patches
from cnnviz_widgets.views.colour import color_attribution
from cnnviz_widgets.widgets import patch_wall
from cnnviz_widgets.widgets.patch_messages import LayerPatches, Sheet
from cnnviz_widgets.widgets.patch_work import PatchShelf, layer_patches, make_sheet
from tests.engine.nets import CLASSES, TRANSFORM, plain

FIRST, SECOND = "0", "3"  # The two convolutions of the network: 6 and 8 channels.
PICTURES, KEPT = 24, 9


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(plain(), transform=TRANSFORM, categories=CLASSES)


@pytest.fixture(scope="module")
def index(engine: Engine, tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Index:
    pictures = np.random.default_rng(3).integers(0, 256, (PICTURES, 32, 32, 3), np.uint8)
    gallery = Gallery.from_arrays(pictures, labels=[n % 3 for n in range(PICTURES)], classes=["red", "green", "blue"])
    return Index.build(engine, gallery, tmp_path_factory.mktemp("index"), k=KEPT, progress=False)


@pytest.fixture
def wall(index: Index) -> PatchWall:
    wall = PatchWall(index, SECOND)
    wall.wait(60)
    return wall


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Which sheets are made, one after the other."""
    order: list[tuple[int, str]] = []

    def counted(index: Index, known: LayerPatches, channel: int, part: str, way: Any) -> Sheet:
        order.append((channel, part))
        return make_sheet(index, known, channel, part, way)

    monkeypatch.setattr(patch_wall, "make_sheet", counted)
    return order


@pytest.fixture
def busy(engine: Engine) -> Iterator[threading.Event]:
    """The worker does something else until this is set."""
    free, begun = threading.Event(), threading.Event()
    engine.worker.submit(lambda: (begun.set(), free.wait(30)))
    begun.wait(30)
    yield free
    free.set()


def pixels(sheet: Sheet) -> np.ndarray:
    """The patches in a sheet, (n, h, w, 3)."""
    whole = np.asarray(Image.open(io.BytesIO(sheet.data)).convert("RGB"))
    (width, height), (across, down) = sheet.cell, sheet.pitch
    columns = whole.shape[1] // across
    corners = [(n // columns * down, n % columns * across) for n in range(sheet.count)]
    return np.stack([whole[y : y + height, x : x + width] for y, x in corners])


def hear(wall: PatchWall, missing: list[int], seen: list[int] | None = None) -> None:
    """What a page says that sees these channels."""
    identity = wall.grid.layer["id"]
    wall.grid._handle_custom_msg({"type": "need", "id": identity, "channels": missing, "seen": seen or missing}, [])


def kept(wall: PatchWall) -> set[tuple[int, str]]:
    return {(sheet["channel"], sheet["part"]) for sheet in wall.grid.kept.get("sheets", ())}


def test_each_channel_is_named_after_the_class_of_most_of_its_patches(index: Index) -> None:
    known, strongest = layer_patches(index, SECOND, 5, None), index.strongest(SECOND)
    np.testing.assert_array_equal(known.values, strongest.values[:, 0])
    for channel, rows in enumerate(strongest.rows[:, :5]):
        counts = Counter(index.about(int(row)).label_name for row in rows)  # The first one of the most frequent.
        assert (known.names[channel], known.shares[channel]) == counts.most_common(1)[0]
    assert known.by == "label" and known.k == 5


def test_orders_are_by_strength_and_by_how_much_of_one_class_a_channel_is() -> None:
    values, shares = np.array([1, 5, np.nan, 3], np.float32), np.array([2, 1, 0, 2])
    known = LayerPatches(layer="a", label="a", k=9, values=values, names=("x",) * 4, shares=shares, identity="a")
    assert known.in_order("activation").tolist() == [1, 3, 0, 2]
    assert known.in_order("purity").tolist() == [3, 0, 1, 2]
    assert known.in_order("channel").tolist() == [0, 1, 2, 3]


def test_sheets_hold_the_patches_and_the_colours_of_their_projections(index: Index) -> None:
    known = layer_patches(index, SECOND, KEPT, "guided_backprop")
    found = top_patches(index, Unit(SECOND, 4), KEPT, projection="guided_backprop")
    patches, projections = (make_sheet(index, known, 4, part, "guided_backprop") for part in ("patches", "projections"))
    np.testing.assert_array_equal(pixels(patches), found.pictures)
    np.testing.assert_array_equal(pixels(projections), [color_attribution(values) for values in found.projections])
    words = [dict(patch) for patch in patches.words]
    assert [patch["label"] for patch in words] == list(found.names)
    assert words[0]["value"] == f"{found.activations[0]:.4g}" and words[0]["predicted"] in CLASSES


def test_without_a_page_the_first_channels_are_made_and_kept(index: Index) -> None:
    wall = PatchWall(index)
    wall.wait(60)
    assert wall.layer == SECOND and repr(wall) == "PatchWall(3: 8 channels)"  # The middle one of two, the upper.
    assert kept(wall) == {(channel, part) for channel in range(6) for part in ("patches", "projections")}
    assert wall.grid.status["state"] == "done"


def test_what_is_in_sight_now_is_made_first_patches_before_projections(
    wall: PatchWall, made: list[tuple[int, str]], busy: threading.Event
) -> None:
    wall.projection = "saliency"
    hear(wall, [5, 6, 7])
    hear(wall, [7, 2])  # Scrolled on, before anything was made.
    busy.set()
    wall.wait(60)
    assert made == [(7, "patches"), (2, "patches"), (7, "projections"), (2, "projections")]
    assert kept(wall) == set(made)


def test_what_was_made_once_is_sent_again_and_not_made_again(wall: PatchWall, made: list[tuple[int, str]]) -> None:
    sent: list[Any] = []
    wall.grid.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    hear(wall, [1, 3])
    wall.wait(60)
    assert made == []
    (answer,) = [content for content in sent if content["type"] == "sheets"]
    assert [(sheet["channel"], sheet["part"]) for sheet in answer["sheets"]] == [
        (1, "patches"), (1, "projections"), (3, "patches"), (3, "projections"),
    ]  # fmt: skip


def test_stop_ends_the_work_and_what_is_seen_next_is_made(
    wall: PatchWall, made: list[tuple[int, str]], busy: threading.Event
) -> None:
    wall.projection = None
    hear(wall, [6, 7])
    wall.stop()
    busy.set()
    wall.wait(60)
    assert made == [] and wall.grid.status["state"] == "stopped"
    hear(wall, [7])
    wall.wait(60)
    assert made == [(7, "patches")] and wall.grid.status["state"] == "done"


def test_the_chosen_channel_is_a_unit_with_its_patches_and_is_told(wall: PatchWall) -> None:
    told: list[Unit] = []
    undo = wall.on_unit(told.append)
    assert wall.unit is None and wall.result is None
    wall.grid.set_state({"selected": 5})  # A click in the page.
    assert wall.unit == Unit(SECOND, 5) and told == [Unit(SECOND, 5)]
    found = wall.wait(60)
    assert found is not None and found is wall.result
    np.testing.assert_array_equal(found.projections, top_patches(wall.index, Unit(SECOND, 5), KEPT).projections)
    undo()
    wall.selected = 2
    assert wall.result is None or wall.result.target == Unit(SECOND, 2)
    wall.wait(60)
    assert wall.result is not None and wall.result.target == Unit(SECOND, 2) and len(told) == 1


def test_a_listener_that_fails_is_shown_and_the_others_hear(wall: PatchWall) -> None:
    def fail(unit: Unit) -> None:
        raise ValueError(f"no room for {unit.channel}")

    told: list[Unit] = []
    wall.on_unit(fail)
    wall.on_unit(told.append)
    wall.selected = 1
    assert wall.grid.error == "no room for 1" and told == [Unit(SECOND, 1)]


def test_another_layer_begins_anew_and_its_channels_can_be_chosen_at_once(wall: PatchWall) -> None:
    wall.selected = 7
    wall.layer = FIRST
    assert wall.selected is None and wall.menu.value == FIRST and wall.grid.layer["count"] == 6
    wall.selected = 5
    found = wall.wait(60)
    assert found is not None and found.layer == FIRST and {channel for channel, _ in kept(wall)} == set(range(6))
    wall.menu.value = SECOND  # As the menu does.
    assert wall.layer == SECOND and wall.grid.layer["count"] == 8


def test_a_picture_that_is_gone_is_said_and_takes_no_other_channel_with_it(
    engine: Engine, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Index.picture
    gone = int(index.strongest(SECOND).rows[0, 0])

    def picture(self: Index, row: int) -> Image.Image:
        if row == gone:
            raise FileNotFoundError("no picture any more")
        return whole(self, row)

    monkeypatch.setattr(Index, "picture", picture)
    wall = PatchWall(index, SECOND)
    with pytest.raises(FileNotFoundError, match="no picture any more"):
        wall.wait(60)
    assert wall.grid.error == "no picture any more" and wall.grid.status["state"] == "done"
    notes = {sheet["channel"]: sheet["note"] for sheet in wall.grid.kept["sheets"] if sheet["part"] == "patches"}
    assert notes[0] == "no picture any more" and "" in notes.values()
    monkeypatch.setattr(Index, "picture", whole)
    wall.layer = FIRST
    wall.wait(60)
    assert wall.grid.error == ""


def test_what_there_is_not_is_refused(wall: PatchWall, index: Index, engine: Engine) -> None:
    with pytest.raises(TypeError, match="wanted an Index"):
        PatchWall(engine)  # type: ignore[arg-type]
    for name, value, words in (
        ("layer", "33", "did you mean '3'"),
        ("selected", 8, "channels go from 0 to 7"),
        ("order", "puritty", "did you mean 'purity'"),
        ("projection", "gradcam", "'deconvnet', 'guided_backprop', 'saliency' or None"),
    ):
        with pytest.raises(TraitError, match=words):
            setattr(wall, name, value)
    assert (wall.layer, wall.selected, wall.order, wall.projection) == (SECOND, None, "channel", "deconvnet")
    with pytest.raises(TraitError, match="no patches of layer"):
        PatchWall(index, "nothing")


def test_the_shelf_forgets_what_was_not_looked_at_for_longest() -> None:
    shelf = PatchShelf(limit=300)
    for channel in range(3):
        shelf.put("a", Sheet(channel, "patches", b"x" * 100))
    assert shelf.get("a", 0, "patches") is not None
    shelf.put("a", Sheet(3, "patches", b"x" * 100))
    shelf.put("a", Sheet(3, "patches", b"y" * 100))
    shelf.want(range(4), range(4))
    assert shelf.missing("a", ["patches"]) == [(1, "patches")]
    assert [sheet.channel for sheet in shelf.there("a", range(4), ["patches"])] == [0, 2, 3]


def test_the_card_of_a_layer_browser_shows_the_units_patches(engine: Engine, index: Index) -> None:
    browser = LayerBrowser(engine, Image.new("RGB", (32, 32), "teal"), index, layer=SECOND, channel=4)
    browser.wait(60)
    found = top_patches(index, Unit(SECOND, 4), 8, projection=None)
    assert browser.card.patches["key"] == browser.card.unit["name"] == "3|4"
    shown = browser.card.patches["pictures"]
    assert [bytes(patch["data"]) for patch in shown] == [patch.tobytes() for patch in found.pictures]
    assert shown[0]["caption"] == f"{found.activations[0]:.3g} {found.names[0]}"
    browser.layer = "1"  # A rectifier has none in the index.
    browser.wait(60)
    assert browser.card.patches["key"] != browser.card.unit["name"]


def test_an_index_of_another_engine_is_refused(index: Index, tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = Engine(plain(seed=1), transform=TRANSFORM, categories=CLASSES)
    with pytest.raises(ValueError, match="opened with another engine"):
        LayerBrowser(other, Image.new("RGB", (32, 32)), index)
    with pytest.raises(TypeError, match="wanted an Index"):
        LayerBrowser(other, Image.new("RGB", (32, 32)), tmp_path)  # type: ignore[arg-type]
