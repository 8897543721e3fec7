"""What `maximize`, `invert` and `dream` promise: measured again, kept when stopped, clear about what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz_widgets import (
    Blur,
    Engine,
    Jitter,
    Result,
    Synthesis,
    TotalVariation,
    Unit,
    dream,
    invert,
    maximize,
    maximize_each,
    samples,
)
from cnnviz_widgets.engine import Cancelled
from cnnviz_widgets.methods.synthesis import PRESETS
from cnnviz_widgets.methods.synthesis.ascent import Ascent
from cnnviz_widgets.methods.synthesis.canvas import Parametrization
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from tests.engine.nets import CLASSES, TRANSFORM, messy, plain
from tests.engine.snapshot import snapshot

BUDGET: dict[str, Any] = {"steps": 5}


def _any(value: object) -> Any:
    """What no type checker would let pass."""
    return value


@pytest.fixture
def engine() -> Engine:
    return Engine(plain(), transform=TRANSFORM, categories=CLASSES)


def test_the_score_is_that_of_the_finished_picture_given_to_the_network_like_any_other(engine: Engine) -> None:
    found = maximize(engine, "cat", n=3, **BUDGET)
    np.testing.assert_allclose(found.scores, engine.scores(list(found.pictures))[:, 2], rtol=1e-5)
    shares = torch.from_numpy(engine.scores(list(found.pictures))).softmax(1)[:, 2]
    np.testing.assert_allclose(found.probabilities, shares, rtol=1e-5)
    unit = maximize(engine, Unit("3", 4), **BUDGET)
    np.testing.assert_allclose(unit.score, engine.capture(unit.picture, "3")["3"][0, 4].mean(), rtol=1e-5)
    assert np.isnan(unit.probability) and unit.target == Unit("3", 4) and unit.layer == "3"


def test_the_best_picture_comes_first(engine: Engine) -> None:
    found = maximize(engine, "cat", n=4, **BUDGET)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    np.testing.assert_array_equal(found.picture, found.pictures[0])
    np.testing.assert_array_equal(found.trace, found.traces[0])
    assert found.pictures.shape == (4, 32, 32, 3) and found.traces.shape == (4, 5)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_climbs(preset: str, engine: Engine) -> None:
    found = maximize(engine, "cat", preset=preset, steps=30)
    assert found.trace.max() > found.trace[0] and found.parameters["preset"] == preset


def test_the_toolboxs_presets_are_the_four_of_its_paper() -> None:
    said = {
        name: {piece.to_json()["name"]: piece.to_json() for piece in one.regularizers} for name, one in PRESETS.items()
    }
    assert said["yosinski_1"] == {
        "Blur": {"name": "Blur", "radius": 0.5, "every": 4},
        "ClipNorm": {"name": "ClipNorm", "percentile": 50},
    }
    assert said["yosinski_2"] == {
        "Decay": {"name": "Decay", "share": 0.3},
        "ClipNorm": {"name": "ClipNorm", "percentile": 20},
    }
    assert said["yosinski_3"] == {
        "Decay": {"name": "Decay", "share": 0.0001},
        "Blur": {"name": "Blur", "radius": 1.0, "every": 4},
    }
    assert said["yosinski_4"] == {
        "Blur": {"name": "Blur", "radius": 0.5, "every": 4},
        "ClipContribution": {"name": "ClipContribution", "percentile": 90},
    }
    assert [PRESETS[f"yosinski_{n}"].steps for n in (1, 2, 3, 4)] == [500, 750, 1000, 1000]


def test_several_targets_at_once_are_what_each_is_alone(engine: Engine) -> None:
    together = maximize_each(engine, ["cat", Unit("3", 1), "dog"], seed=4, **BUDGET)
    alone = maximize(engine, Unit("3", 1), seed=4, **BUDGET)
    assert [one.target_name for one in together] == ["cat", "3 channel 1", "dog"]
    assert np.abs(together[1].picture.astype(int) - alone.picture).max() <= 1


def test_a_sum_of_goals_says_what_it_is(engine: Engine) -> None:
    found = maximize(engine, {"cat": 1, "dog": -0.5, Unit("3", 1): 2}, **BUDGET)
    assert found.target is None and found.target_name == "cat - 0.5 × dog + 2 × 3 channel 1"


def test_a_photo_is_pushed_towards_a_class(engine: Engine) -> None:
    before = engine.scores(samples["cat"])[0, 3]
    found = maximize(engine, "dog", init=samples["cat"], steps=20)
    assert found.score > before and found.parameters["from"] == "picture"


def test_the_picture_is_one_that_the_preprocessing_does_not_resize() -> None:
    found = maximize(Engine("squeezenet1_1"), "flamingo", steps=1)
    assert found.picture.shape == (256, 256, 3)


@pytest.mark.parametrize("size", [24, (24, 40)])
def test_the_size_is_what_was_asked_for(engine: Engine, size: int | tuple[int, int]) -> None:
    sides = (size, size) if isinstance(size, int) else size
    assert maximize(engine, "cat", size=size, steps=2).picture.shape == (*sides, 3)


def test_an_interrupt_keeps_what_was_made_so_far(engine: Engine) -> None:
    def stop(run: Ascent) -> None:
        if run.done == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="stopped after 3 of 100 steps"):
        found = maximize(engine, "cat", steps=100, watch=stop)
    assert len(found.trace) == 3 and found.parameters["steps"] == 3


def test_a_job_is_stopped_between_two_steps_and_tells_how_far_it_is(engine: Engine) -> None:
    told: list[tuple[int, int | None]] = []

    def stop(run: Ascent) -> None:
        if run.done == 4:
            job.cancel()

    job = engine.worker.submit(
        lambda: maximize(engine, "cat", steps=50, watch=stop),
        on_progress=lambda one: told.append((one.done, one.total)),
    )
    with pytest.raises(Cancelled):
        job.wait(60)
    assert told == [(n, 50) for n in range(1, len(told) + 1)] and len(told) <= 5


def test_watching_sees_the_picture_after_every_step(engine: Engine) -> None:
    frames: list[np.ndarray] = []
    found = maximize(engine, "cat", watch=lambda run: frames.append(run.pictures()[0]), **BUDGET)
    assert len(frames) == 5 and all((a != b).any() for a, b in zip(frames, frames[1:], strict=False))
    assert any((frame == found.picture).all() for frame in frames)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda e: maximize(e, "cart"), KeyError, "did you mean 'cat'"),
        (lambda e: maximize(e, "nothing like it"), KeyError, "Nor is it a layer"),
        (lambda e: maximize(e, 7), IndexError, "classes 0 to 4"),
        (lambda e: maximize(e, Unit("3", 99)), IndexError, "no channel 99 in layer '3'; it has 0 to 7"),
        (lambda e: maximize(e, Unit("3", 0, 50, 0)), IndexError, "its maps are 16 x 16"),
        (lambda e: maximize(e, {}), ValueError, "empty sum"),
        (lambda e: maximize(e, {"cat": float("nan")}), ValueError, "the weight of 'cat' is nan"),
        (lambda e: maximize(e, _any(1.5)), TypeError, "a goal is a class"),
        (lambda e: maximize(e, "cat", preset="yosinsky_1"), ValueError, "did you mean 'yosinski_1'"),
        (lambda e: maximize(e, "cat", steps=0), ValueError, "steps=0"),
        (lambda e: maximize(e, "cat", n=0), ValueError, "n=0"),
        (lambda e: maximize(e, "cat", size=4), ValueError, "size=4; wanted a whole number from 16 up"),
        (lambda e: maximize(e, "cat", rate=-1), ValueError, "rate=-1"),
        (lambda e: maximize(e, "cat", regularizers=[Blur()]), ValueError, "Blur changes pixels"),
        (lambda e: maximize(e, "cat", regularizers=_any([Jitter()])), TypeError, "wanted one of L2, "),
        (lambda e: maximize(e, "cat", parametrization=_any("fouriér")), ValueError, "did you mean 'fourier'"),
        (lambda e: maximize_each(e, "cat"), TypeError, "wanted a list"),
        (lambda e: maximize_each(e, []), ValueError, "no target at all"),
        (lambda e: invert(e, samples["cat"], "9"), KeyError, "no layer"),
        (lambda e: dream(e, samples["cat"], "cat"), ValueError, "'cat' is a class; a dream is of a layer"),
        (lambda e: dream(e, samples["cat"], Unit("3", 0, 1, 1)), ValueError, "leave y and x out"),
        (lambda e: dream(e, samples["cat"], "3", ratio=1), ValueError, "ratio=1; wanted a number above 1"),
        (lambda e: dream(e, samples["cat"], "3", rate=0), ValueError, "rate=0; wanted a number above 0"),
        (lambda e: invert(e, samples["cat"], "3", rate=0), ValueError, "rate=0; wanted a number above 0"),
    ],
)
def test_what_cannot_be_is_refused_with_words_that_help(engine: Engine, call: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call(engine)


def test_the_users_network_is_as_it_was() -> None:
    net = messy()
    engine = Engine(net, transform=TRANSFORM, categories=CLASSES)
    before = snapshot(net)
    maximize(engine, "cat", n=2, **BUDGET)
    invert(engine, samples["cat"], "pool", steps=2)
    dream(engine, samples["cat"], "pool", octaves=2, steps=2, size=96)
    assert snapshot(net) == before


def test_a_network_of_grey_pictures_gets_a_grey_picture() -> None:
    from cnnviz_widgets.models import DIGITS, digit_net

    found = maximize(Engine(digit_net(), transform=DIGITS, categories=[str(n) for n in range(10)]), "3", **BUDGET)
    assert found.picture.shape == (28, 28, 3) and (found.picture == found.picture[..., :1]).all()


def test_a_channel_of_squeezenet_that_is_silent_to_the_beginning_is_woken() -> None:
    found = maximize(Engine("squeezenet1_1"), Unit("features.12", 45), steps=24)
    assert found.trace[0] == 0 < found.trace[-1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("parametrization", ["fourier", "pixel"])
def test_of_a_network_in_half_precision_the_picture_is_nearly_that_of_the_same_one_in_single(
    dtype: torch.dtype, parametrization: Parametrization, engine: Engine
) -> None:
    half = Engine(plain().to(dtype), transform=TRANSFORM, categories=CLASSES)
    options: dict[str, Any] = {"parametrization": parametrization, "transforms": (), "regularizers": ()}
    options["rate"] = {"fourier": 0.01, "pixel": 2.0}[parametrization]
    rough, fine = (maximize(one, "cat", **options, **BUDGET) for one in (half, engine))
    apart = np.abs(rough.picture.astype(float) - fine.picture.astype(float))
    assert apart.mean() < 1, f"{apart.mean():.2f} levels of 255"
    assert abs(rough.score / fine.score - 1) < 0.05
    assert len(np.unique(rough.picture)) > len(np.unique(fine.picture)) / 2, "levels are as coarse as the network"
    assert invert(half, samples["cat"], "3", steps=3).trace[-1] < 1


def test_an_inversion_comes_nearer_with_steps(engine: Engine) -> None:
    found = invert(engine, samples["cat"], "3", steps=60)
    assert found.trace[-1] < 0.5 * found.trace[0] and found.picture.shape == (32, 32, 3)
    wanted = engine.capture(samples["cat"], "3")["3"]
    x = engine.preprocessing.encode(found.picture)[None]
    made = engine.outputs(x, ["3"])["3"]
    np.testing.assert_allclose(found.score, float((made - wanted).norm() / wanted.norm()), rtol=1e-4)


def test_own_regularisers_of_an_inversion_stay_as_they_are_and_the_rate_falls(engine: Engine) -> None:
    own, seen = (TotalVariation(1e-3),), list[Recipe]()
    blurred = invert(engine, samples["cat"], "3", steps=40, regularizers=own, watch=lambda now: seen.append(now.recipe))
    assert all(recipe.regularizers == own for recipe in seen)
    assert seen[-1].rate == pytest.approx(0.1 * seen[0].rate, rel=0.1)
    assert blurred.parameters["regularizers"] == [own[0].to_json()]
    steps = np.abs(np.diff(blurred.picture.astype(float), axis=0)).mean()
    sharp = invert(engine, samples["cat"], "3", steps=40)
    assert steps < 0.7 * np.abs(np.diff(sharp.picture.astype(float), axis=0)).mean()


def test_a_layer_that_answers_nothing_cannot_be_inverted() -> None:
    net = plain()
    with torch.no_grad():
        for weight in net[3].parameters():
            weight.zero_()
    with pytest.raises(ValueError, match="answers to this picture with zeros alone"):
        invert(Engine(net, transform=TRANSFORM, categories=CLASSES), samples["cat"], "3")


@pytest.mark.parametrize("parametrization", ["fourier", "pixel"])
def test_a_dream_is_as_large_as_its_photo_and_the_layer_answers_more(
    engine: Engine, parametrization: Parametrization
) -> None:
    photo = np.asarray(samples["coffee"])[:120, :200]
    found = dream(engine, photo, "3", octaves=2, steps=8, parametrization=parametrization)
    assert found.parameters["parametrization"] == parametrization
    assert found.picture.shape == photo.shape and found.trace[-1] > found.trace[8]
    assert (found.picture != photo).any()


def test_a_dream_needs_no_classifier_that_takes_the_photos_size() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 5))
    engine = Engine(net, transform=TRANSFORM, categories=CLASSES)
    assert dream(engine, samples["cat"], "0", steps=2, size=100).picture.shape[1] == 100


def test_a_result_is_saved_whole_and_drawn(engine: Engine, tmp_path: Any) -> None:
    found = maximize(engine, "cat", n=2, preset="yosinski_1", steps=3)
    loaded = Result.load(found.save(tmp_path / "cat.npz"))
    assert isinstance(loaded, Synthesis) and loaded.parameters == found.parameters
    np.testing.assert_array_equal(loaded.pictures, found.pictures)
    assert found.plot(curve=True) is not None and "cat: 2 of 32x32, score" in repr(found)


def test_a_dream_of_a_network_that_bears_one_size_alone_says_so() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 30 * 30, 2))
    engine = Engine(net, transform=TRANSFORM, categories=["a", "b"])
    with pytest.raises(ValueError, match="does not bear pictures of 64 x 96 pixels .*octaves=1"):
        dream(engine, samples["cat"].resize((96, 64)), "2", octaves=1)
