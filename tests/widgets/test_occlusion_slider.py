"""What OcclusionSlider promises to a notebook without a browser: exact maps, the hand comes first, nothing twice."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.engine.incremental import Sweep
from cnnviz_widgets.methods.occlusion import occlusion
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import OcclusionMap, Unit
from cnnviz_widgets.widgets.occlusion_slider import OcclusionSlider

NAMES = ("red fox", "grey fox", "tabby", "tiger cat", "lynx", "otter")
SOON = 30.0  # seconds until a test says that something hangs


class SmallNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 12, 3, 2), nn.ReLU())
        self.head = nn.Linear(12 * 49, len(NAMES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


class Watch:
    """What an engine was made to do: sweeps as (positions, wanted), threads; and a gate that holds long ones up."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[int, object]] = []
        self.threads: set[int] = set()
        self.runs = 0
        self.hold_after: int | None = None  # rows of a sweep
        self.held, self.go_on = threading.Event(), threading.Event()
        rows, run = engine.incremental.rows, engine.run

        def watched_rows(sweep: Sweep, want: Any = None, **options: Any) -> Iterator[Tensor]:
            self.asked.append((len(sweep), want))
            for number, row in enumerate(rows(sweep, want, **options), start=1):
                self.threads.add(threading.get_ident())
                yield row
                while len(sweep) > 1 and number == self.hold_after and not self.go_on.wait(0.002):
                    self.held.set()
                    checkpoint()

        def watched_run(*arguments: Any, **options: Any) -> Any:
            self.runs += 1
            self.threads.add(threading.get_ident())
            return run(*arguments, **options)

        monkeypatch.setattr(engine.incremental, "rows", watched_rows)
        monkeypatch.setattr(engine, "run", watched_run)

    @property
    def maps(self) -> int:
        """How many sweeps of more than one position were begun."""
        return sum(positions > 1 for positions, _ in self.asked)

    def forget(self) -> None:
        self.asked.clear()
        self.runs = 0

    def hold(self, after: int) -> None:
        self.hold_after = after
        self.held.clear()
        self.go_on.clear()

    def release(self) -> None:
        self.hold_after = None
        self.go_on.set()


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(SmallNet(), transform=Preprocessing(resize=32, crop=32), categories=NAMES, device="cpu")


@pytest.fixture
def watch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    watch = Watch(engine, monkeypatch)
    yield watch
    watch.release()


def photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8))


@pytest.fixture
def picture() -> Image.Image:
    return photo(0)


@pytest.fixture
def slider(engine: Engine, watch: Watch, picture: Image.Image) -> Iterator[OcclusionSlider]:
    slider = OcclusionSlider(engine, picture, patch=8, stride=4)
    slider.wait(SOON)
    yield slider
    slider.stop()


def whole(slider: OcclusionSlider) -> OcclusionMap:
    found = slider.wait(SOON)
    assert found is not None and found.done == 1, found
    return found


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, f"not within {SOON} s: {what}"
        time.sleep(0.002)


# --- what is shown is what the function finds -------------------------------------------------------------------------


def test_it_starts_by_itself_with_the_likeliest_class_and_finds_what_the_function_finds(
    slider: OcclusionSlider, engine: Engine, picture: Image.Image
) -> None:
    best = int(engine.scores(picture)[0].argmax())
    assert slider.target == best and slider.predictions.indices[0] == best
    expected = occlusion(engine, picture, patch=8, stride=4)
    found = whole(slider)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert found.scores.shape == (7, 7) and found.base == pytest.approx(expected.base, abs=1e-5)
    assert found.target_name == NAMES[best] and found.parameters == expected.parameters
    assert slider.canvas.status["state"] == "done"
    assert repr(slider) == f"OcclusionSlider(SmallNet: score of {NAMES[best]!r})"


def test_the_patch_begins_in_the_middle_and_its_answer_is_the_networks_own(
    slider: OcclusionSlider, engine: Engine
) -> None:
    assert slider.place == (12, 12)
    covered = slider.answer.image.copy()
    inside = covered[12:20, 12:20]
    assert (inside == inside[0, 0]).all(), "the mean colour"
    prepared = engine.preprocessing.encode(covered)[None]
    np.testing.assert_allclose(
        slider.answer.probabilities, engine.ranked(prepared, engine.logits(prepared)).probabilities, atol=2e-3
    )
    assert slider.answer.names[0] in NAMES and slider.canvas.answer["y"] == slider.canvas.answer["x"] == 12


@pytest.mark.parametrize(("shape", "fill"), [("circle", "blur"), ((6, 12), "noise"), ("square", (255, 0, 0))])
def test_every_view_of_a_sweep_equals_the_function(
    slider: OcclusionSlider, engine: Engine, picture: Image.Image, shape: Any, fill: Any
) -> None:
    slider.shape, slider.fill, slider.target, slider.against = shape, fill, "lynx", "otter"
    options: dict[str, Any] = {"patch": 8, "stride": 4, "fill": fill, "shape": shape}
    lynx, otter = occlusion(engine, picture, ["lynx", "otter"], **options)
    np.testing.assert_allclose(whole(slider).scores, lynx.scores, atol=1e-5)
    slider.view = "probability"
    shares = occlusion(engine, picture, "lynx", output="probability", **options)
    np.testing.assert_allclose(whole(slider).scores, shares.scores, atol=1e-5)
    assert whole(slider).base == pytest.approx(shares.base, abs=1e-5)
    slider.view = "class"
    assert shares.classes is not None
    np.testing.assert_array_equal(whole(slider).classes, shares.classes)
    assert whole(slider).class_names == shares.class_names
    slider.view = "comparison"
    np.testing.assert_allclose(whole(slider).scores, lynx.scores - otter.scores, atol=1e-5)
    assert whole(slider).target_name == "lynx - otter"
    slider.view, slider.unit = "activity", Unit("features.2", 5)
    activity = occlusion(engine, picture, output=Unit("features.2", 5), **options)
    np.testing.assert_allclose(whole(slider).scores, activity.scores, atol=1e-4)
    assert whole(slider).base == pytest.approx(activity.base, abs=1e-4) and whole(slider).layer == "features.2"


def test_a_place_chosen_before_the_picture_was_looked_at_is_kept(engine: Engine, picture: Image.Image) -> None:
    slider = OcclusionSlider(engine, picture, patch=12, stride=8)
    slider.place = (4, 6)
    slider.wait(60)
    assert slider.place == (4, 6)
    assert (slider.canvas.place, slider.canvas.patch["h"]) == ({"y": 4, "x": 6}, 12)


def test_a_class_is_never_compared_with_itself(slider: OcclusionSlider) -> None:
    first, second = (slider.predictions.names[n] for n in (0, 1))
    slider.view, slider.against = "comparison", first
    assert whole(slider).target_name == f"{first} - {second}"
    slider.target = second
    assert whole(slider).target_name == f"{second} - {first}"


def test_the_feature_map_is_the_strongest_of_the_last_maps_when_none_is_chosen(
    slider: OcclusionSlider, engine: Engine, picture: Image.Image
) -> None:
    slider.view = "activity"
    whole(slider)
    maps = engine.capture(picture, "features.3")["features.3"][0]
    assert slider.unit == Unit("features.3", int(maps.sum((1, 2)).argmax()))
    slider.unit = "features.1"
    whole(slider)
    maps = engine.capture(picture, "features.1")["features.1"][0]
    assert slider.unit == Unit("features.1", int(maps.sum((1, 2)).argmax()))


def test_bundled_weights_give_what_the_function_gives() -> None:
    from cnnviz_widgets.data import samples

    engine = Engine("squeezenet1_1")
    slider = OcclusionSlider(engine, samples["cat"], "tabby", patch=56, stride=56)
    expected = occlusion(engine, samples["cat"], "tabby", patch=56, stride=56)
    np.testing.assert_allclose(whole(slider).scores, expected.scores, atol=1e-3)


# --- nothing twice ----------------------------------------------------------------------------------------------------


def test_another_view_class_or_second_class_runs_nothing(slider: OcclusionSlider, watch: Watch) -> None:
    watch.forget()
    for view in ("probability", "class", "comparison", "score"):
        slider.view = view
        for name in NAMES[:4]:
            slider.target, slider.against = name, "otter"
            whole(slider)
    assert not watch.asked and not watch.runs


def test_going_back_to_earlier_settings_runs_no_sweep_and_gives_the_same(slider: OcclusionSlider, watch: Watch) -> None:
    first = whole(slider).scores
    for name, value in (("patch", 10), ("stride", 6), ("fill", "grey"), ("shape", "circle")):
        setattr(slider, name, value)
        whole(slider)
    slider.view = "activity"
    activity = whole(slider).scores
    watch.forget()
    slider.view, slider.patch, slider.stride, slider.fill, slider.shape = "score", 8, 4, "mean", "square"
    np.testing.assert_array_equal(whole(slider).scores, first)
    assert watch.maps == 0
    slider.view, slider.patch, slider.stride, slider.fill, slider.shape = "activity", 10, 6, "grey", "circle"
    np.testing.assert_array_equal(whole(slider).scores, activity)
    assert watch.maps == 0


def test_a_place_of_a_finished_map_is_looked_up(slider: OcclusionSlider, watch: Watch) -> None:
    watch.forget()
    slider.place = (8, 16)
    found = whole(slider)
    assert not watch.asked
    names, scores = slider.answer.names, slider.answer.scores
    assert scores[names.index(NAMES[slider.target])] == found.scores[2, 4]
    slider.place = (9, 16)
    whole(slider)
    assert watch.asked == [(1, None)]


def test_the_users_thread_never_runs_the_network(slider: OcclusionSlider, watch: Watch) -> None:
    slider.target, slider.patch, slider.view, slider.unit = "tabby", 5, "activity", "features.0"
    slider.place = (1, 1)
    slider.image = photo(1)
    whole(slider)
    assert watch.threads == {slider.engine.worker._thread.ident}  # type: ignore[union-attr]


# --- the hand comes first ---------------------------------------------------------------------------------------------


def test_a_dragged_place_is_answered_while_a_map_is_computed(slider: OcclusionSlider, watch: Watch) -> None:
    watch.hold(after=2)
    slider.patch = 9
    assert watch.held.wait(SOON)
    for y in (1, 5, 3):
        slider.place = (y, 2)
        until(lambda y=y: slider.canvas.answer.get("y") == y, "an answer during the map")
    assert slider.canvas.status["state"] == "running"
    watch.release()
    assert whole(slider).size == (9, 9)


def test_a_place_is_answered_between_two_rows_whatever_computes_them(
    slider: OcclusionSlider, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), []
    rows = slider.engine.incremental.rows

    def without_steps(sweep: Sweep, want: Any = None, **options: Any) -> Iterator[Tensor]:
        for row in list(rows(sweep, want, **options)):
            if len(sweep) > 1:
                seen.append(slider.canvas.answer.get("y"))
                begun.set()
                assert go_on.wait(SOON)
            yield row

    monkeypatch.setattr(slider.engine.incremental, "rows", without_steps)
    slider.patch = 9
    assert begun.wait(SOON)
    slider.place = (20, 20)
    go_on.set()
    whole(slider)
    assert seen[1:] == [20] * 6


def test_of_many_places_the_last_one_is_answered(slider: OcclusionSlider, watch: Watch) -> None:
    for x in range(24):
        slider.place = (3, x)
    whole(slider)
    assert (slider.canvas.answer["y"], slider.canvas.answer["x"]) == (3, 23)
    pixels = slider.answer.image[3:11, 23:31]
    assert (pixels == pixels[0, 0]).all()


def test_of_forty_settings_the_last_one_is_computed_and_hardly_any_other(slider: OcclusionSlider, watch: Watch) -> None:
    watch.hold(after=1)
    slider.patch = 3
    assert watch.held.wait(SOON)
    watch.forget()
    busy = threading.Event()
    slider.engine.worker.submit(lambda: busy.wait(SOON), urgent=True)  # the worker is slow to notice
    for patch in range(4, 24):
        slider.patch = patch
    watch.release()
    busy.set()
    assert whole(slider).size == (23, 23)
    assert watch.maps == 1


def test_another_view_is_shown_while_the_map_goes_on(slider: OcclusionSlider, watch: Watch) -> None:
    watch.hold(after=3)
    slider.patch = 9
    assert watch.held.wait(SOON)
    watch.forget()
    slider.view, slider.target = "probability", "otter"
    until(lambda: slider.canvas.map.get("label") == "probability of otter", "the other view")
    half = slider.result
    assert half is not None and np.isfinite(half.scores[:3]).all() and np.isnan(half.scores[3:]).all()
    watch.release()
    whole(slider)
    assert watch.maps == 0, "the sweep that was under way has all that is needed"


def test_stop_keeps_the_rows_that_are_there_and_compute_goes_on_from_them(
    slider: OcclusionSlider, watch: Watch
) -> None:
    watch.hold(after=3)
    slider.patch = 9
    assert watch.held.wait(SOON)
    began = time.monotonic()
    slider.stop()
    half = slider.wait(SOON)
    assert time.monotonic() - began < 0.5
    assert half is not None and half.size == (9, 9)
    assert np.isfinite(half.scores[:3]).all() and np.isnan(half.scores[3:]).all()
    until(lambda: slider.canvas.status["text"] == "stopped at row 3 of 7", "the words")
    assert slider.canvas.status["state"] == "stopped"
    watch.release()
    watch.forget()
    slider.view = "probability"
    slider.place = (2, 2)
    stopped = slider.wait(SOON)
    assert stopped is not None and np.isnan(stopped.scores[3:]).all(), "it is stopped"
    slider.view = "score"
    slider.compute()
    np.testing.assert_array_equal(whole(slider).scores[:3], half.scores[:3])
    assert [positions for positions, _ in watch.asked if positions > 1] == [4 * 7]


def test_compute_computes_a_whole_map_again(slider: OcclusionSlider, watch: Watch) -> None:
    before = whole(slider).scores
    watch.forget()
    slider.compute()
    np.testing.assert_allclose(whole(slider).scores, before, atol=1e-6)  # sums over threads may be ordered differently
    assert watch.maps == 1


def test_rows_are_seen_as_they_come_with_the_time_that_is_left(slider: OcclusionSlider, watch: Watch) -> None:
    said, shown = [], []
    slider.canvas.observe(lambda change: said.append(change["new"]), "status")
    slider.canvas.observe(lambda change: shown.append(change["new"]), "map")
    rows = slider.engine.incremental.rows

    def slow(*arguments: Any, **options: Any) -> Iterator[Tensor]:
        for row in rows(*arguments, **options):
            yield row
            time.sleep(0.11)

    slider.engine.incremental.rows = slow  # type: ignore[method-assign]
    slider.patch = 9
    whole(slider)
    progress = [status for status in said if status["text"].startswith("row ")]
    assert len(progress) >= 3 and progress[2]["text"].endswith(" s left")
    assert [status["progress"] for status in progress] == sorted(status["progress"] for status in progress)
    finite = [int(np.isfinite(np.frombuffer(one["values"], "<f4")).sum()) for one in shown if one]
    assert len(set(finite)) >= 3 and finite[-1] == 49


# --- other pictures, other weights ------------------------------------------------------------------------------------


def test_another_picture_begins_anew(slider: OcclusionSlider, engine: Engine) -> None:
    other = photo(1)
    slider.target = "otter"
    whole(slider)
    slider.image = other
    np.testing.assert_allclose(whole(slider).scores, occlusion(engine, other, patch=8, stride=4).scores, atol=1e-5)
    assert slider.target == int(engine.scores(other)[0].argmax())


def test_a_dropped_picture_is_looked_at_and_what_is_none_is_said(slider: OcclusionSlider, engine: Engine) -> None:
    file = io.BytesIO()
    photo(2).save(file, "PNG")
    canvas = slider.canvas
    canvas._handle_custom_msg({"type": "file", "name": "two.png"}, [file.getvalue()])
    np.testing.assert_allclose(whole(slider).scores, occlusion(engine, photo(2), patch=8, stride=4).scores, atol=1e-5)
    before = whole(slider)
    canvas._handle_custom_msg({"type": "file", "name": "no.png"}, [b"no picture"])
    assert "picture" in canvas.error and slider.result is before


def test_new_weights_are_seen_and_no_map_of_the_old_ones_is_shown(
    slider: OcclusionSlider, engine: Engine, picture: Image.Image
) -> None:
    before = whole(slider)
    with torch.no_grad():
        engine.model.head.weight.mul_(-1)  # type: ignore[union-attr]
    slider.view = "probability"
    slider.target = None
    after = whole(slider)
    assert slider.predictions.indices[0] == int(engine.scores(picture)[0].argmax())
    slider.view, slider.target = "score", before.target
    after = whole(slider)
    expected = occlusion(engine, picture, before.target, patch=8, stride=4)
    np.testing.assert_allclose(after.scores, expected.scores, atol=1e-5)
    assert not np.allclose(after.scores, before.scores, atol=1e-2)


def test_dragging_over_new_weights_takes_the_old_map_away(
    slider: OcclusionSlider, engine: Engine, watch: Watch
) -> None:
    watch.hold(after=1)
    with torch.no_grad():
        engine.model.head.bias.add_(torch.arange(6.0))  # type: ignore[union-attr]
    slider.place = (1, 1)
    assert watch.held.wait(SOON)  # the map of the new weights is under way
    assert slider.result is not None and np.isnan(slider.result.scores[1:]).all()
    watch.release()
    np.testing.assert_allclose(whole(slider).base, engine.scores(slider.image)[0][slider.target], atol=1e-5)


def test_a_map_during_which_the_network_changes_is_given_up_and_that_is_said(
    slider: OcclusionSlider, engine: Engine, watch: Watch
) -> None:
    watch.hold(after=3)
    slider.patch = 9
    assert watch.held.wait(SOON)
    with torch.no_grad():
        engine.model.head.bias.add_(torch.arange(6.0))  # type: ignore[union-attr]
    watch.release()
    with pytest.raises(RuntimeError, match="the network changed while the map was computed"):
        slider.wait(SOON)
    assert slider.result is None and slider.canvas.status["state"] == "error" and not slider.canvas.map
    slider.compute()
    expected = occlusion(engine, slider.image, slider.target, patch=9, stride=4)
    np.testing.assert_allclose(whole(slider).scores, expected.scores, atol=1e-5)


# --- what is wrong is said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("target", "tabbi", "did you mean 'tabby'"),
        ("target", 6, "classes 0 to 5"),
        ("target", Unit("features.0", 0), "set unit= and view='activity'"),
        ("against", "wolf", "no class 'wolf'"),
        ("view", "probabilty", "did you mean 'probability'"),
        ("fill", "meen", "did you mean 'mean'"),
        ("shape", "disc", "no shape 'disc'"),
        ("patch", 0, "patch"),
        ("stride", 0, "stride"),
        ("unit", Unit("featurs.0", 0), "did you mean 'features.0'"),
        ("place", (1, 2, 3), r"a place is \(y, x\)"),
        ("place", (99, 0), "lies outside"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_near_and_changes_nothing(
    slider: OcclusionSlider, name: str, value: Any, message: str
) -> None:
    before, result = getattr(slider, name), slider.result
    with pytest.raises((KeyError, IndexError, traitlets.TraitError), match=message):
        setattr(slider, name, value)
    assert getattr(slider, name) == before
    whole(slider)
    assert slider.result is result


def test_a_wrong_class_is_refused_at_once_when_it_is_made(engine: Engine, picture: Image.Image) -> None:
    with pytest.raises(KeyError, match="did you mean 'tabby'"):
        OcclusionSlider(engine, picture, "tabbi")
    with pytest.raises(TypeError, match="wanted an Engine"):
        OcclusionSlider(SmallNet(), picture)  # type: ignore[arg-type]


def test_a_channel_that_a_layer_lacks_is_said_under_the_picture(slider: OcclusionSlider) -> None:
    slider.view, slider.unit = "activity", Unit("features.0", 99)
    with pytest.raises(IndexError, match="no channel 99 in layer 'features.0'; it has 0 to 7"):
        slider.wait(SOON)
    assert slider.canvas.status["state"] == "error" and "no channel 99" in str(slider.canvas.status["text"])
    slider.unit = Unit("features.0", 7)
    whole(slider)
    assert slider.canvas.status["state"] == "done"


def test_what_a_sweep_or_a_place_raises_is_shown_and_raised_by_wait(
    slider: OcclusionSlider, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = slider.engine.incremental.rows

    def broken(sweep: Sweep, want: Any = None, **options: Any) -> Iterator[Tensor]:
        raise RuntimeError("the seventh layer is on fire")
        yield

    monkeypatch.setattr(slider.engine.incremental, "rows", broken)
    slider.place = (1, 1)
    with pytest.raises(RuntimeError, match="on fire"):
        slider.wait(SOON)
    assert "on fire" in slider.canvas.error
    slider.patch = 9
    with pytest.raises(RuntimeError, match="on fire"):
        slider.wait(SOON)
    assert slider.canvas.status["state"] == "error" and "on fire" in str(slider.canvas.status["text"])
    monkeypatch.setattr(slider.engine.incremental, "rows", rows)
    slider.patch = 10
    assert whole(slider).size == (10, 10)
    assert not slider.canvas.error and slider.canvas.status["state"] == "done"


# --- controls ---------------------------------------------------------------------------------------------------------


def test_the_controls_do_what_the_traits_do_and_follow_them(slider: OcclusionSlider) -> None:
    controls = slider._controls
    controls.patch.value, controls.stride.value, controls.fill.value, controls.shape.value = 12, 10, "black", "circle"
    controls.view.value = "comparison"
    controls.against.value = "otter"
    assert (slider.patch, slider.stride, slider.fill, slider.shape) == (12, 10, "black", "circle")
    assert slider.view == "comparison" and slider.against == NAMES.index("otter")
    whole(slider)
    slider.patch, slider.stride, slider.fill, slider.shape, slider.view = 2, 1, "#ff8800", "square", "class"
    assert (controls.patch.value, controls.stride.value, controls.fill.value) == (2, 1, "#ff8800")
    assert (controls.shape.value, controls.view.value) == ("square", "class")
    assert controls.against.layout.display == "none"
    slider.shape = (5, 9)
    assert controls.patch.disabled and controls.shape.value is None
    assert whole(slider).size == (5, 9)


def test_another_one_can_be_made_after_all_widgets_were_closed(engine: Engine, picture: Image.Image) -> None:
    for _ in range(2):
        whole(OcclusionSlider(engine, picture, patch=16, stride=16))
        ipywidgets.Widget.close_all()


def test_a_class_searched_in_vain_is_said(slider: OcclusionSlider) -> None:
    slider._picker.search.value = "tabbi"
    assert "did you mean 'tabby'" in slider.canvas.error
    slider._picker.search.value = "tabby"
    assert not slider.canvas.error and slider.target == NAMES.index("tabby")


def test_moving_the_patch_on_the_canvas_is_followed(slider: OcclusionSlider) -> None:
    slider.canvas.set_state({"place": {"y": 5, "x": 7}})
    assert slider.place == (5, 7)
    whole(slider)
    assert (slider.canvas.answer["y"], slider.canvas.answer["x"]) == (5, 7)
    slider.patch = 12
    assert whole(slider).size == (12, 12)
    assert slider.place == (3, 5), "its middle stays"


def test_the_browser_is_given_the_answers_of_all_places(slider: OcclusionSlider) -> None:
    answers = slider.canvas.answers
    assert answers["key"] == slider.canvas.map["key"] and answers["shape"] == [7, 7]
    order = np.frombuffer(answers["indices"], "<i4").reshape(7, 7, -1)
    slider.view = "class"
    np.testing.assert_array_equal(order[:, :, 0], whole(slider).classes)
