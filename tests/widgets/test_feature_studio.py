"""What FeatureStudio promises to a notebook without a browser: the pictures of `maximize`, under the hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from torch import Tensor, nn

from cnnviz_widgets import (
    Blur,
    Engine,
    FeatureStudio,
    Jitter,
    LayerBrowser,
    Synthesis,
    TotalVariation,
    Unit,
    maximize,
    maximize_each,
    samples,
)
from cnnviz_widgets.methods.synthesis import PRESETS, Ascent
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets.studio_pieces import OFFERS
from cnnviz_widgets.widgets.studio_view import OFTEN, PATIENCE

pytestmark = pytest.mark.usefixtures("one_thread")

SOON = 30.0
ENDLESS = 10**6
NAMES = ("red fox", "grey fox", "otter")


class SmallNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(True), nn.Conv2d(8, 12, 3), nn.ReLU(True))
        self.head = nn.Linear(12, len(NAMES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(SmallNet(), transform=Preprocessing(resize=32, crop=32), categories=NAMES, device="cpu")


@pytest.fixture
def make(engine: Engine) -> Iterator[Callable[..., FeatureStudio]]:
    """Makes studios, and closes them at the end."""
    made: list[FeatureStudio] = []

    def studio(*arguments: Any, **options: Any) -> FeatureStudio:
        made.append(FeatureStudio(engine, *arguments, **options))
        return made[-1]

    yield studio
    for one in made:
        one.close()


def until(holds: Callable[[], object], what: str = "it") -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.002)


def done(studio: FeatureStudio) -> int:
    making = studio._jobs.making
    return making.done if making is not None else 0


def running(studio: FeatureStudio, least: int = 5) -> FeatureStudio:
    studio.steps = ENDLESS
    studio.start()
    until(lambda: done(studio) >= least, "the first steps")
    return studio


def press(studio: FeatureStudio, kind: str, **rest: Any) -> None:
    """What the page says."""
    studio.view._handle_custom_msg({"type": kind, **rest}, [])


def same(found: object, expected: Synthesis) -> None:
    assert isinstance(found, Synthesis)
    np.testing.assert_array_equal(found.pictures, expected.pictures)
    np.testing.assert_array_equal(found.traces, expected.traces)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert (found.target, found.target_name, found.layer) == (expected.target, expected.target_name, expected.layer)
    assert {**found.parameters, "changes": None} == {**expected.parameters, "changes": None}
    assert found.citation == expected.citation


def run(code: str, engine: Engine) -> Any:
    """Run what "copy as code" gives, as in a cell: the value of its last expression."""
    named = f"engine = ...  # your Engine of {engine.name}"
    assert named in code
    body, call = code.replace(named, "").rsplit("\nmaximize", 1)
    room: dict[str, Any] = {"engine": engine}
    exec(body, room)
    return eval("maximize" + call, room)


# --- the picture ----------------------------------------------------------------------------------------------------


def test_nothing_is_computed_before_it_is_started(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    assert studio.wait(SOON) is None
    assert studio.status["state"] == "idle"
    assert done(studio) == 0 and studio.view.frame == {}
    assert repr(studio) == "FeatureStudio(SmallNet: otter, idle)"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_it_is_the_picture_of_maximize(make: Callable[..., FeatureStudio], engine: Engine, preset: str):
    studio = make("otter", preset=preset, steps=12, seed=3)
    studio.start()
    same(studio.wait(SOON), maximize(engine, "otter", preset=preset, steps=12, seed=3))
    assert studio.status["state"] == "done"
    assert studio.result is studio._jobs.results[0]  # type: ignore[index]
    shown = studio.view.frame
    assert shown["type"] == "image/png" and "probability" in shown["words"][0]


def test_several_seeds_stand_side_by_side_the_best_first(make: Callable[..., FeatureStudio], engine: Engine):
    studio = make("red fox", n=3, steps=10, diversity=0.5)
    studio.start()
    result = studio.wait(SOON)
    same(result, maximize(engine, "red fox", n=3, steps=10, diversity=0.5, preset="fourier"))
    assert len(studio.view.frame["pictures"]) == 3
    assert studio.view.curve["rows"] == 3


def test_several_channels_stand_side_by_side(make: Callable[..., FeatureStudio], engine: Engine):
    studio = make(Unit("features.2", 3), channels=3, n=2, steps=8)
    studio.start()
    found = studio.wait(SOON)
    wanted = maximize_each(engine, [Unit("features.2", k) for k in (3, 4, 5)], n=2, steps=8, preset="fourier")
    assert isinstance(found, list) and len(found) == 3
    for one, other in zip(found, wanted, strict=True):
        same(one, other)
    assert studio.view.frame["names"] == [f"features.2 channel {k}" for k in (3, 4, 5)]
    assert len(studio.view.frame["pictures"]) == 6


@pytest.mark.parametrize(
    "target",
    [1, "features.0", Unit("features.2", 1, 2, 3), {"otter": 1.0, "red fox": -0.5}, ("otter", Unit("head", 0))],
)
def test_whatever_maximize_takes_can_be_the_target(make: Callable[..., FeatureStudio], engine: Engine, target: Any):
    studio = make(target, steps=5)
    studio.start()
    found = studio.wait(SOON)
    goals = list(target) if isinstance(target, tuple) else [target]
    wanted = maximize_each(engine, goals, steps=5, preset="fourier")
    for one, other in zip(found if isinstance(found, list) else [found], wanted, strict=True):
        same(one, other)


def test_it_can_begin_with_a_picture(make: Callable[..., FeatureStudio], engine: Engine):
    studio = make("otter", steps=6, init=samples["cat"])
    assert "init=samples['cat']" in studio.code
    studio.start()
    same(studio.wait(SOON), maximize(engine, "otter", steps=6, init=samples["cat"], preset="fourier"))
    press(studio, "noise")
    assert studio.init is None
    studio.init = np.zeros((32, 32, 3), np.uint8)
    studio.start()
    studio.wait(SOON)
    assert "picture = ..." in studio.code and "init=picture" in studio.code


def test_it_works_in_the_workers_thread_and_tells_how_far_it_is(make: Callable[..., FeatureStudio]):
    studio = make("otter", steps=60)
    threads: set[int] = set()
    said: list[dict[str, Any]] = []
    studio.view.observe(lambda change: (said.append(change["new"]), threads.add(threading.get_ident())), "status")
    studio.start()
    studio.wait(SOON)
    shares = [one["progress"] for one in said if one["progress"] is not None]
    assert shares == sorted(shares) and shares[-1] == 1
    assert any("of 60" in one["text"] for one in said)
    assert len(threads - {threading.get_ident()}) == 1


# --- pause, resume, stop ----------------------------------------------------------------------------------------------


def test_paused_the_worker_is_free_and_resumed_the_picture_is_the_same(
    make: Callable[..., FeatureStudio], engine: Engine
):
    studio = make("otter")
    running(studio)
    press(studio, "pause")
    assert studio.status["state"] == "paused"
    assert studio.wait(SOON) is None
    before = done(studio)
    assert engine.worker.submit(lambda: 7).wait(SOON) == 7
    time.sleep(0.05)
    assert done(studio) == before
    studio.steps = before + 15
    press(studio, "resume")
    same(studio.wait(SOON), maximize(engine, "otter", steps=before + 15, preset="fourier"))


def test_pause_and_resume_in_one_breath_lose_no_step(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    for _ in range(20):
        studio.pause()
        studio.resume()
        time.sleep(0.003)
    assert studio.status["state"] == "running"
    studio.stop()
    result = studio.wait(SOON)
    assert isinstance(result, Synthesis)
    same(result, maximize(engine, "otter", steps=len(result.trace), preset="fourier"))


def test_stop_takes_less_than_half_a_second_and_keeps_the_best(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    since = time.monotonic()
    studio.view._handle_custom_msg({"type": "stop"}, [])
    result = studio.wait(SOON)
    assert time.monotonic() - since < 0.5
    assert isinstance(result, Synthesis)
    assert studio.status["state"] == "stopped" and "score" in studio.status["text"]
    same(result, maximize(engine, "otter", steps=len(result.trace), preset="fourier"))


def test_stopped_while_it_is_paused_it_keeps_the_best(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    studio.pause()
    studio.wait(SOON)
    studio.stop()
    result = studio.wait(SOON)
    assert isinstance(result, Synthesis) and len(result.trace) == done(studio)
    assert studio.status["state"] == "stopped"
    studio.resume()
    assert studio.status["state"] == "stopped"


def test_stopped_before_its_turn_came_it_makes_nothing(make: Callable[..., FeatureStudio], engine: Engine):
    studio = make("otter")
    hold = threading.Event()
    engine.worker.submit(lambda: hold.wait(SOON))
    studio.start()
    studio.stop()
    assert studio.status["state"] == "stopped"
    hold.set()
    assert studio.wait(SOON) is None
    assert done(studio) == 0 and studio.status["state"] == "stopped"


def test_fewer_steps_while_it_runs_end_it(make: Callable[..., FeatureStudio]):
    studio = running(make("otter"))
    press(studio, "set", name="steps", value=1)
    assert isinstance(studio.wait(SOON), Synthesis)
    assert studio.status["state"] == "done"


def test_closing_it_stops_it(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    making = studio._jobs.making
    assert making is not None
    studio.close()
    assert engine.worker.submit(lambda: 7).wait(SOON) == 7
    before = making.done
    time.sleep(0.05)
    assert making.done == before


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_the_newest_target_wins(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    for target in ("grey fox", Unit("features.2", 4), "red fox"):
        studio.target = target
    assert studio.status["state"] == "running"
    until(lambda: done(studio), "the first step")
    studio.stop()
    result = studio.wait(SOON)
    assert isinstance(result, Synthesis)
    same(result, maximize(engine, "red fox", steps=len(result.trace), preset="fourier"))
    assert studio.view.frame["names"] == ["red fox"]


def test_paused_and_given_another_target_it_begins_anew(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    studio.pause()
    studio.wait(SOON)
    studio.target = "red fox"
    assert studio.status["state"] == "idle"
    studio.resume()
    assert studio.status["state"] == "idle"
    studio.steps = 6
    studio.start()
    same(studio.wait(SOON), maximize(engine, "red fox", steps=6, preset="fourier"))


def test_a_target_that_does_not_exist_is_raised_from_python(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    with pytest.raises(KeyError, match="did you mean 'otter'"):
        studio.target = "oter"
    with pytest.raises(IndexError, match="no channel 99"):
        studio.target = Unit("features.0", 99)
    assert studio.target == "otter"
    with pytest.raises(KeyError, match="no class 'zebra'"):
        make("zebra")
    with pytest.raises(ValueError, match="nothing is chosen"):
        make().start()


def test_a_target_that_does_not_exist_is_shown_on_the_page(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    studio.wait(SOON)
    studio.head.picker.search.value = "zebra"
    studio.wait(SOON)
    assert "no class 'zebra'" in studio.view.error
    assert studio.target == "otter"
    studio.head.picker.search.value = "red fox"
    studio.wait(SOON)
    assert studio.view.error == "" and studio.target == "red fox"
    fresh = make()
    press(fresh, "start")
    assert "nothing is chosen" in fresh.view.error


def test_a_unit_is_chosen_by_layer_channel_and_position(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    studio.wait(SOON)
    head = studio.head
    head.kind.value = "unit"
    head.chooser.layer.value = "features.2"
    studio.wait(SOON)
    assert studio.target == Unit("features.2", 0)
    head.chooser.channel.value = 5
    studio.wait(SOON)
    assert studio.target == Unit("features.2", 5)
    head.chooser.position.value = "3, 4"
    studio.wait(SOON)
    assert studio.target == Unit("features.2", 5, 3, 4)
    assert studio.view.settings["unit"] and studio.view.settings["target"]
    head.chooser.position.value = "in the middle"
    studio.wait(SOON)
    assert studio.target == Unit("features.2", 5)
    assert head.chooser.position.value == ""


def test_it_follows_the_unit_that_is_chosen_in_a_browser(make: Callable[..., FeatureStudio], engine: Engine):
    browser = LayerBrowser(engine, samples["cat"], layer="features.0", channel=2)
    browser.wait(SOON)
    studio = make(follow=browser)
    studio.wait(SOON)
    assert studio.target == Unit("features.0", 2)
    browser.channel = 6
    studio.wait(SOON)
    assert studio.target == Unit("features.0", 6)
    browser.close()


def test_what_was_followed_can_be_left(make: Callable[..., FeatureStudio], engine: Engine):
    browser = LayerBrowser(engine, samples["cat"], layer="features.0", channel=2)
    browser.wait(SOON)
    studio = make("otter")
    leave = studio.follow(browser)
    studio.wait(SOON)
    leave()
    browser.channel = 6
    browser.wait(SOON)
    studio.wait(SOON)
    assert studio.target == Unit("features.0", 2)
    browser.close()


def test_a_preset_brings_its_pieces_and_what_was_changed_is_reset(make: Callable[..., FeatureStudio]):
    studio = make("otter", preset="yosinski_1", rate=3.0)
    assert studio.recipe == PRESETS["yosinski_1"].with_changes(rate=3.0)
    assert studio.view.settings["changed"]
    press(studio, "reset")
    assert studio.recipe == PRESETS["yosinski_1"] and not studio.view.settings["changed"]
    press(studio, "set", name="preset", value="fourier")
    assert studio.recipe == PRESETS["fourier"]
    studio.preset = "yosinski_4"
    assert studio.recipe == PRESETS["yosinski_4"]


def test_what_cannot_be_is_refused(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    with pytest.raises(traitlets.TraitError, match="did you mean 'simonyan'"):
        studio.preset = "simonian"
    with pytest.raises(traitlets.TraitError, match="a picture of waves has none"):
        studio.regularizers = [Blur()]
    with pytest.raises(traitlets.TraitError, match="rate"):
        studio.rate = 0
    assert studio.recipe == PRESETS["fourier"]
    press(studio, "piece", name="Jitter", on=True, values={"pixels": -3})
    assert "Jitter" in studio.view.error and studio.recipe == PRESETS["fourier"]


def test_every_piece_of_every_preset_has_a_row_that_says_what_it_is_for(make: Callable[..., FeatureStudio]):
    offered = {offer.kind for offer in OFFERS}
    for name, recipe in PRESETS.items():
        pieces = (*recipe.regularizers, *recipe.transforms)
        assert {type(piece) for piece in pieces} <= offered
        studio = make("otter", preset=name)
        rows = {row["name"]: row for row in studio.view.pieces}
        assert {name for name, row in rows.items() if row["on"]} == {type(piece).__name__ for piece in pieces}
        for piece in pieces:
            row = rows[type(piece).__name__]
            for dial in row["dials"]:
                assert dial["value"] == getattr(piece, dial["name"])
                assert dial["low"] <= dial["value"] <= dial["high"]
            press(studio, "piece", name=row["name"], on=False, values={})
            off = next(one for one in studio.view.pieces if one["name"] == row["name"])
            assert not off["on"] and off["missing"] and off["does"] and off["paper"]
        assert studio.recipe.regularizers == studio.recipe.transforms == ()


def test_a_piece_ticked_off_and_on_keeps_its_numbers_and_its_place(make: Callable[..., FeatureStudio]):
    studio = make("otter", preset="yosinski_1")
    press(studio, "piece", name="Blur", on=True, values={"radius": 1.25, "every": 3})
    before = studio.regularizers
    assert before[0] == Blur(1.25, 3)
    press(studio, "piece", name="Blur", on=False, values={})
    assert Blur(1.25, 3) not in studio.regularizers
    press(studio, "piece", name="Blur", on=True, values={})
    assert studio.regularizers == before


# --- while it runs ----------------------------------------------------------------------------------------------------


def test_a_slider_moved_while_it_runs_changes_the_very_next_steps(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    making = studio._jobs.making
    assert making is not None
    press(studio, "piece", name="Jitter", on=True, values={"pixels": 2})
    until(lambda: making.moves, "the change")
    press(studio, "piece", name="TotalVariation", on=False, values={})
    until(lambda: len(making.moves) == 2, "the second change")
    until(lambda: done(studio) > making.moves[-1][0] + 3, "some steps more")
    studio.stop()
    result = studio.wait(SOON)
    assert isinstance(result, Synthesis)
    assert making is studio._jobs.making  # it was not begun anew
    assert Jitter(2) in studio.transforms
    assert not any(isinstance(piece, TotalVariation) for piece in studio.regularizers)
    plain = maximize(engine, "otter", steps=len(result.trace), preset="fourier")
    moved = making.moves[0][0]
    np.testing.assert_array_equal(result.trace[:moved], plain.trace[:moved])
    assert not np.array_equal(result.trace, plain.trace)
    same(run(studio.code, engine), result)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("otter", {}),
        ("red fox", {"seed": 4, "n": 2, "diversity": 0.25, "rate": 0.02}),
        (Unit("features.2", 3), {"channels": 2}),
        (Unit("features.2", 3, 1, 2), {"preset": "yosinski_3"}),
        ({"otter": 1, Unit("head", 1): -0.5}, {"transforms": [Jitter(3)], "regularizers": []}),
    ],
)
def test_the_copied_code_makes_the_same_picture(
    make: Callable[..., FeatureStudio], engine: Engine, target: Any, options: dict[str, Any]
):
    studio = make(target, steps=7, **options)
    before = studio.code
    studio.start()
    found = studio.wait(SOON)
    assert studio.code == before == studio.view.code
    again = run(studio.code, engine)
    for one, other in zip(*(each if isinstance(each, list) else [each] for each in (again, found)), strict=True):
        same(one, other)


def test_the_code_spells_out_only_what_the_preset_has_not(make: Callable[..., FeatureStudio]):
    studio = make("otter", preset="yosinski_2")
    assert studio.code.endswith("\nmaximize(engine, 'otter', preset='yosinski_2')")
    studio.rate = 0.5
    assert studio.code.endswith("\nmaximize(engine, 'otter', preset='yosinski_2', rate=0.5)")


def test_a_frame_waits_until_the_last_one_was_seen(make: Callable[..., FeatureStudio]):
    studio = make("otter")
    view = studio.view
    running(studio)
    until(lambda: view.frame.get("number"), "the first frame")
    first = view.frame["number"]
    time.sleep(4 * OFTEN)
    assert view.frame["number"] == first, "nobody has seen it yet"
    press(studio, "seen", number=first)
    until(lambda: view.frame["number"] == first + 1, "the next frame")
    assert view.frame["type"] == "image/jpeg"
    since = time.monotonic()
    until(lambda: view.frame["number"] > first + 1, "a frame for a page that says nothing")
    assert time.monotonic() - since > PATIENCE / 2


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_values_that_are_not_finite_are_an_error_and_what_was_made_stays(
    make: Callable[..., FeatureStudio], monkeypatch: pytest.MonkeyPatch
):
    step = Ascent.step

    def burning(ascent: Ascent) -> None:
        if ascent.done == 6:
            raise FloatingPointError("step 7 met a value that is not finite")
        step(ascent)

    monkeypatch.setattr(Ascent, "step", burning)
    studio = make("otter")
    studio.start()
    with pytest.raises(FloatingPointError, match="step 7"):
        studio.wait(SOON)
    assert studio.status["state"] == "error" and "not finite" in studio.status["text"]
    assert isinstance(studio.result, Synthesis) and len(studio.result.trace) == 6
    monkeypatch.undo()
    studio.steps = 4
    studio.start()
    assert isinstance(studio.wait(SOON), Synthesis)
    assert studio.status["state"] == "done"


# --- the gallery ------------------------------------------------------------------------------------------------------


def test_what_is_kept_stays_can_be_seen_again_and_removed(make: Callable[..., FeatureStudio]):
    studio = make("otter", steps=5)
    with pytest.raises(RuntimeError, match="no picture yet"):
        studio.keep()
    studio.start()
    first = studio.wait(SOON)
    press(studio, "keep")
    press(studio, "keep")  # twice is once
    studio.target = "red fox"
    studio.start()
    second = studio.wait(SOON)
    studio.keep()
    assert studio.kept == [first, second]
    names = [one["name"] for one in studio.view.kept]
    assert names == ["otter", "red fox"] and all("probability" in one["words"] for one in studio.view.kept)
    press(studio, "look", id=studio.view.kept[0]["id"])
    assert studio.view.looked["title"] == "Kept: otter (fourier, 5 steps)"
    assert "'otter'" in studio.view.looked["code"]
    press(studio, "remove", id=studio.view.kept[0]["id"])
    assert studio.kept == [second] and studio.view.looked == {}
    with pytest.raises(IndexError, match="there are 1"):
        studio.remove(3)
    studio.n, studio.transforms = 2, ()
    studio.start()
    studio.wait(SOON)
    studio.keep()
    assert studio.view.kept[-1]["how"] == "2 × fourier changed, 5 steps"


def test_a_picture_can_be_kept_while_it_grows(make: Callable[..., FeatureStudio], engine: Engine):
    studio = running(make("otter"))
    studio.keep()
    until(lambda: studio.kept, "the kept picture")
    assert studio.status["state"] == "running"
    (kept,) = studio.kept
    same(kept, maximize(engine, "otter", steps=len(kept.trace), preset="fourier"))
    assert f"steps={len(kept.trace)}" in studio._gallery._kept[0].code
