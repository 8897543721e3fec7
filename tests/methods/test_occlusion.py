"""Occlusion maps: against running the network on every covered picture, against captum, and by laws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from PIL import Image
from torch import Tensor

from cnnviz_widgets.data import samples
from cnnviz_widgets.engine import Cancelled, Engine, current_job
from cnnviz_widgets.methods.occluders import Occluder
from cnnviz_widgets.methods.occlusion import occlusion, occlusion_rows
from cnnviz_widgets.results import OcclusionMap, Result, Unit
from tests.methods.occlusion_nets import CLASSES, HEIGHT, WIDTH, picture, small

TOTAL, PLACE = Unit("3", 5), Unit("3", 5, 2, 3)
SETTINGS: list[dict[str, Any]] = [
    {"patch": 12, "stride": 8},
    {"patch": 9, "stride": 9, "fill": "red"},  # the last patch is cut off
    {"patch": 13, "stride": 11, "shape": "circle", "fill": "noise"},
    {"stride": 12, "shape": (7, 20), "fill": "blur"},
    {"patch": 6, "stride": 15, "fill": "grey"},  # gaps
    {"patch": 100, "stride": 5},  # larger than the picture
]


@cache
def engine() -> Engine:
    return small()


@cache
def bundled() -> Engine:
    return Engine("squeezenet1_1")


def covered(occluder: Occluder, top: int, left: int) -> Tensor:
    """The picture with the patch there, pixel by pixel."""
    x = occluder.x.clone()
    for dy in range(occluder.size[0]):
        for dx in range(occluder.size[1]):
            inside = top + dy < x.shape[2] and left + dx < x.shape[3]
            if inside and (occluder.mask is None or occluder.mask[dy, dx]):
                x[0, :, top + dy, left + dx] = occluder.fill[0, :, top + dy, left + dx]
    return x


def slowly(settings: dict[str, Any], look: Any) -> np.ndarray:
    """`look` at every covered picture, one by one: (ny, nx, ...)."""
    options = {name: value for name, value in settings.items() if name != "stride"}
    occluder = Occluder.of(engine(), picture(), **options)
    tops, lefts = occluder.grid(settings["stride"])
    with torch.no_grad():
        return np.array([[look(covered(occluder, top, left)) for left in lefts] for top in tops])


@torch.no_grad()
def network(x: Tensor) -> Tensor:
    return engine().model(x)[0]


def maps_of(x: Tensor) -> Tensor:
    return engine().model[:4](x)[0, 5]  # type: ignore[index]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_score_is_that_of_the_picture_with_the_patch_in_it(settings: dict[str, Any]) -> None:
    found = occlusion(engine(), picture(), "dog", **settings)
    expected = slowly(settings, lambda x: float(network(x)[3]))
    assert found.scores.shape == expected.shape == (len(found.tops), len(found.lefts))
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)
    assert found.base == np.float32(float(network(engine().prepare(picture()))[3]))
    if expected.size > 1:
        assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
def test_probabilities_and_most_probable_classes_are_those_of_all_scores(settings: dict[str, Any]) -> None:
    found = occlusion(engine(), picture(), "dog", output="probability", **settings)
    expected = slowly(settings, lambda x: network(x).softmax(0).tolist())
    np.testing.assert_allclose(found.scores, expected[..., 3], rtol=1e-6)
    assert found.base == pytest.approx(float(network(engine().prepare(picture())).softmax(0)[3]), rel=1e-6)
    assert found.classes is not None and (found.classes == expected.argmax(-1)).all()
    assert len(np.unique(found.classes)) > 1
    assert found.class_names == {n: CLASSES[n] for n in np.unique(found.classes)}
    scores = occlusion(engine(), picture(), "dog", most_probable=True, **settings)
    assert scores.classes is not None and (scores.classes == found.classes).all()
    assert scores.parameters["output"] == "score" and found.parameters["output"] == "probability"


@pytest.mark.parametrize("settings", SETTINGS[:3], ids=str)
def test_a_unit_is_its_maps_total_and_with_a_position_that_value(settings: dict[str, Any]) -> None:
    total = occlusion(engine(), picture(), output=TOTAL, **settings)
    np.testing.assert_allclose(total.scores, slowly(settings, lambda x: float(maps_of(x).sum())), rtol=1e-6)
    place = occlusion(engine(), picture(), PLACE, **settings)
    np.testing.assert_allclose(place.scores, slowly(settings, lambda x: float(maps_of(x)[2, 3])), rtol=1e-6, atol=1e-7)
    assert np.ptp(total.scores) > 0 and np.ptp(place.scores) > 0
    assert (total.target, total.layer, total.target_name) == (TOTAL, "3", "3 channel 5")
    assert total.parameters["output"] == place.parameters["output"] == "activity"
    assert total.classes is None


def test_a_unit_as_target_or_as_output_is_the_same_question() -> None:
    by_target = occlusion(engine(), picture(), TOTAL, 12, 8)
    for target in (None, TOTAL):
        found = occlusion(engine(), picture(), target, 12, 8, output=TOTAL)
        assert (found.scores == by_target.scores).all() and found.parameters == by_target.parameters


def test_a_unit_of_a_linear_layer_has_one_value_and_that_is_it() -> None:
    as_unit, as_class = occlusion(engine(), picture(), [Unit("7", 3), 3], 12, 8)
    np.testing.assert_allclose(as_unit.scores, as_class.scores, rtol=1e-6)
    assert as_unit.base == pytest.approx(as_class.base)


def test_a_unit_can_have_the_most_probable_classes_beside_it() -> None:
    found = occlusion(engine(), picture(), TOTAL, 12, 8, most_probable=True)
    classes = occlusion(engine(), picture(), None, 12, 8, output="probability").classes
    assert (found.scores == occlusion(engine(), picture(), TOTAL, 12, 8).scores).all()
    assert found.classes is not None and classes is not None and (found.classes == classes).all()


# Against captum.


@pytest.mark.parametrize(
    "settings", [*SETTINGS[:2], {"stride": 5, "shape": (7, 20)}, {"patch": 36, "stride": 10}], ids=str
)
@pytest.mark.parametrize("output", ["score", "probability"])
def test_the_heat_map_is_captums_also_where_the_last_patch_is_cut_off(settings: dict[str, Any], output: Any) -> None:
    found = occlusion(engine(), picture(), "dog", output=output, **settings)
    options = {name: value for name, value in settings.items() if name != "stride"}
    occluder = Occluder.of(engine(), picture(), **options)
    model = engine().model
    theirs = Occlusion(model if output == "score" else lambda x: model(x).softmax(1)).attribute(
        occluder.x, (3, *occluder.size), (3, settings["stride"], settings["stride"]), occluder.fill, target=3
    )
    heat = found.heatmap()
    assert theirs.shape == (1, 3, HEIGHT, WIDTH) and heat.signed
    np.testing.assert_allclose(heat.values, theirs[0, 0].numpy(), atol=1e-5)
    np.testing.assert_array_equal(heat.values, heat.raw)


# Laws.


@pytest.mark.parametrize("output", ["score", "probability", TOTAL])
def test_a_patch_that_looks_like_what_it_covers_moves_nothing(output: Any) -> None:
    plain = Image.new("RGB", (WIDTH, HEIGHT), (90, 150, 30))
    for fill in ("mean", (90, 150, 30), "blur"):
        found = occlusion(engine(), plain, None, 12, 8, fill, output=output)
        np.testing.assert_allclose(found.scores, found.base, rtol=1e-6)


def test_a_sweep_filled_with_the_picture_itself_moves_nothing() -> None:
    occluder = Occluder.of(engine(), picture(), 12)
    occluder = replace(occluder, fill=occluder.x)
    base = engine().incremental.base(occluder.x)
    for row in engine().incremental.rows(occluder.sweep(*occluder.grid(8))):
        torch.testing.assert_close(row, base.expand_as(row), rtol=1e-12, atol=1e-12)


def test_a_patch_over_all_of_the_picture_gives_the_score_of_the_fill() -> None:
    for patch in (WIDTH, 500):
        found = occlusion(engine(), picture(), "cat", patch, 8, "red")
        red = float(engine().scores(Image.new("RGB", (WIDTH, HEIGHT), "red"))[0, 2])
        assert found.scores.shape == (1, 1)
        assert found.scores[0, 0] == pytest.approx(red, rel=1e-6)


@pytest.fixture
def wants(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What sweeps were asked for, one by one."""
    asked: list[Any] = []
    rows = type(engine().incremental).rows

    def recorded(self: Any, sweep: Any, want: Any = None, **options: Any) -> Iterator[Tensor]:
        asked.append(want)
        return rows(self, sweep, want, **options)

    monkeypatch.setattr(type(engine().incremental), "rows", recorded)
    return asked


@pytest.mark.parametrize("output", ["score", "probability"])
def test_two_targets_are_one_sweep_and_equal_two_sweeps(output: Any, wants: list[Any]) -> None:
    one, two = occlusion(engine(), picture(), ["cat", 4], 12, 8, output=output)
    assert len(wants) == 1
    for found, target in ((one, "cat"), (two, "eel")):
        alone = occlusion(engine(), picture(), target, 12, 8, output=output)
        assert found.target_name == alone.target_name == target
        np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-6)
        assert found.base == pytest.approx(alone.base, rel=1e-6)


def test_only_what_is_needed_is_asked_of_the_network(wants: list[Any]) -> None:
    occlusion(engine(), picture(), "cat", 30, 8)
    occlusion(engine(), picture(), ("cat", "ant", "cat"), 30, 8)
    occlusion(engine(), picture(), "cat", 30, 8, most_probable=True)
    occlusion(engine(), picture(), "cat", 30, 8, output="probability")
    occlusion(engine(), picture(), TOTAL, 30, 8)
    found = occlusion(engine(), picture(), ["cat", TOTAL, "dog"], 30, 8)
    assert wants == [(2,), (2, 0), None, None, TOTAL, (2, 3), TOTAL]
    assert [one.target for one in found] == [2, TOTAL, 3]


def test_the_target_is_the_most_probable_class_when_none_is_given() -> None:
    best = engine().predict(picture()).names[0]
    assert occlusion(engine(), picture(), None, 30, 8).target_name == best
    (only,) = occlusion(engine(), picture(), [None], 30, 8)  # type: ignore[list-item]
    assert only.target_name == best


# The map while it grows.


def test_rows_grow_from_the_top_and_end_as_the_whole_map() -> None:
    whole = occlusion(engine(), picture(), "dog", 9, 9, output="probability")
    grown = list(occlusion_rows(engine(), picture(), "dog", 9, 9, output="probability"))
    assert len(grown) == len(whole.tops) == 4
    for count, one in enumerate(grown, start=1):
        assert isinstance(one, OcclusionMap) and one.classes is not None and whole.classes is not None
        assert (one.scores[:count] == whole.scores[:count]).all() and np.isnan(one.scores[count:]).all()
        assert (one.classes[:count] == whole.classes[:count]).all() and (one.classes[count:] == -1).all()
        assert one.done == count / 4
        assert set(one.class_names) == set(np.unique(whole.classes[:count]))
    assert all(one.image is grown[0].image for one in grown)  # type: ignore[union-attr]


def test_whoever_iterates_keeps_the_rows_of_a_stopped_job() -> None:
    kept: list[OcclusionMap] = []

    def work() -> None:
        for one in occlusion_rows(engine(), picture(), "dog", 9, 9):
            assert isinstance(one, OcclusionMap)
            kept.append(one)
            if len(kept) == 2:
                current_job().cancel()  # type: ignore[union-attr]

    job = engine().worker.submit(work)
    with pytest.raises(Cancelled):
        job.wait(60)
    whole = occlusion(engine(), picture(), "dog", 9, 9)
    assert len(kept) == 2
    assert (kept[-1].scores[:2] == whole.scores[:2]).all()
    assert np.isfinite(kept[-1].heatmap().values[:18]).all() and np.isnan(kept[-1].heatmap().values[18:]).all()


def test_a_job_reports_each_row() -> None:
    seen: list[tuple[int, int | None]] = []
    job = engine().worker.submit(
        lambda: occlusion(engine(), picture(), ["dog", TOTAL], 9, 9),
        on_progress=lambda job: seen.append((job.done, job.total)),
    )
    job.wait(60)
    assert seen[-1] == (4, 4) and {done for done, _ in seen} >= {1, 2, 3, 4}


def test_between_two_rows_the_caller_sees_what_he_changes() -> None:
    own = small()
    before = own.state
    for _ in occlusion_rows(own, picture(), "dog", 12, 8):
        with torch.no_grad():
            own.model[7].bias += 1  # type: ignore[index]
        assert own.state != before
        break


def test_what_cannot_be_is_an_error_before_the_first_row() -> None:
    with pytest.raises(ValueError, match="patch=0"):
        occlusion_rows(engine(), picture(), patch=0)
    with pytest.raises(TypeError, match="wanted an Engine"):
        occlusion_rows(engine().model, picture())  # type: ignore[arg-type]


# What it holds, and what it refuses.


def test_a_map_says_how_it_came_about_and_survives_a_file(tmp_path: Any) -> None:
    found = occlusion(engine(), picture(), "dog", 13, 11, (9, 8, 7), output="probability", shape="circle", memory=2**24)
    assert found.parameters == {
        "patch": 13, "stride": 11, "fill": [9, 8, 7], "shape": "circle", "output": "probability",
    }  # fmt: skip
    assert (found.method, found.target, found.target_name, found.layer) == ("occlusion", 3, "dog", None)
    assert "Zeiler" in found.citation
    assert (found.image == engine().display(engine().prepare(picture()))).all()
    assert (found.fill == (9, 8, 7)).all() and found.size == (13, 13)
    again = Result.load(found.save(tmp_path / "map.npz"))
    assert isinstance(again, OcclusionMap)
    assert again.class_names == found.class_names and again.base == found.base and again.size == (13, 13)
    np.testing.assert_array_equal(again.heatmap().values, found.heatmap().values)


def test_a_rectangle_leaves_the_patch_unused() -> None:
    found = occlusion(engine(), picture(), "dog", stride=12, shape=(7, 20))
    assert found.size == (7, 20) and found.parameters["patch"] is None and found.parameters["shape"] == [7, 20]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"target": "dgo"}, KeyError, "did you mean 'dog'"),
        ({"target": 5}, IndexError, "classes 0 to 4"),
        ({"target": []}, ValueError, "empty list of targets"),
        ({"target": Unit("33", 0)}, KeyError, "no layer '33'"),
        ({"output": Unit("3", 12)}, IndexError, "no channel 12"),
        ({"output": TOTAL, "target": "dog"}, ValueError, "output is the unit 3 channel 5, .*leave target='dog' out"),
        ({"output": "probability", "target": TOTAL}, ValueError, "is of classes; 3 channel 5 has only its activity"),
        ({"output": "logit"}, ValueError, "no output 'logit'; wanted 'score', 'probability' or a Unit"),
        ({"output": "probabilty"}, ValueError, "did you mean 'probability'"),
        ({"patch": -1}, ValueError, "patch=-1"),
        ({"stride": 0}, ValueError, "stride=0"),
        ({"stride": 2.0}, ValueError, "stride=2.0"),
        ({"memory": 0}, ValueError, "memory=0"),
        ({"fill": "rde"}, ValueError, "no fill 'rde'; did you mean 'red'"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        occlusion(engine(), picture(), **options)


# What Zeiler and Fergus say, on real photos: x0, y0, x1, y1 of the object in the 224 pixels that the network sees.

OBJECTS = {
    "coffee": ("espresso", (28, 0, 190, 165)),
    "china": ("stupa", (0, 0, 130, 224)),
    "grace_hopper": ("bow tie", (84, 140, 160, 224)),
    "camera": ("tripod", (105, 125, 172, 224)),
}


@pytest.mark.parametrize("photo", OBJECTS)
def test_covering_the_object_lowers_its_class_more_than_covering_the_background(photo: str) -> None:
    target, (x0, y0, x1, y1) = OBJECTS[photo]
    found = occlusion(bundled(), samples[photo], target, 56, 28)
    y, x = found.tops + 28, found.lefts + 28
    on = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))
    assert found.drop[on].mean() > 1.5 * max(found.drop[~on].mean(), 0.5)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_map() -> None:
    there = Engine("squeezenet1_1", device="cuda")
    found = occlusion(there, samples["cat"], "tabby", 64, 56, output="probability")
    np.testing.assert_allclose(
        found.scores, occlusion(bundled(), samples["cat"], "tabby", 64, 56, output="probability").scores, atol=1e-4
    )
