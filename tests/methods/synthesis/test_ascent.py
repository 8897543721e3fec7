"""Steps against a loop by hand, gradients against finite differences, laws of seeds and batches."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets import Engine, Unit, maximize
from cnnviz_widgets.engine import climber
from cnnviz_widgets.methods.synthesis.ascent import Ascent, alike
from cnnviz_widgets.methods.synthesis.canvas import Colours, Parametrization, Pixels, Waves
from cnnviz_widgets.methods.synthesis.goals import Goal, aim_of
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from cnnviz_widgets.methods.synthesis.regularizers import L2, Blur, ClipContribution, ClipNorm, Decay, TotalVariation
from cnnviz_widgets.methods.synthesis.transforms import Jitter, Rotate, Scale
from tests.engine.nets import CLASSES, TRANSFORM, messy, plain
from tests.engine.snapshot import snapshot

GOALS: list[Goal] = [
    "cat",
    2,
    Unit("2", 4),
    Unit("0", 1, 3, 5),
    "2",
    {"cat": 1.0, "dog": -0.5, Unit("2", 1): 2.0},
]


def _engine(net: nn.Module | None = None, dtype: torch.dtype = torch.float64) -> Engine:
    return Engine(net or plain(), transform=TRANSFORM, categories=CLASSES, dtype=dtype)


def _like(engine: Engine) -> Tensor:
    return torch.zeros(1, 3, 32, 32, dtype=engine.dtype)


def _ascent(engine: Engine, goal: Goal, recipe: Recipe, **options: object) -> Ascent:
    return Ascent(engine, [aim_of(engine, goal, _like(engine))], recipe, **options)  # type: ignore[arg-type]


def _smooth() -> nn.Module:
    """Without the kinks at which finite differences are no gradient."""
    smooth = {nn.ReLU: nn.Softplus(), nn.MaxPool2d: nn.AvgPool2d(2)}
    return nn.Sequential(*[smooth.get(type(module), module) for module in plain()])


def test_plain_ascent_is_x_plus_eta_times_the_gradient_step_by_step_by_hand() -> None:
    """x ← r(x + η ∂a/∂x), written out for the network's own input, with autograd on the user's module alone."""
    net = plain().double().eval()
    recipe = Recipe("pixel", (Decay(0.01), Blur(0.5, 2)), (), 5, 40.0, "plain")
    run = _ascent(_engine(net), "cat", recipe, seed=3)
    mean, std = 0.5 * 255, 0.25 * 255
    u = torch.from_numpy(run._canvas.leaf.detach().numpy().copy())
    for step in range(1, 6):
        run.step()
        leaf = u.clone().requires_grad_()
        score = net(leaf / std)[0, 2]
        (gradient,) = torch.autograd.grad(score, leaf)
        u = (u + 40.0 * gradient) * 0.99
        if step % 2 == 0:
            u = Blur(0.5, 1)(u, gradient, 1)
        np.testing.assert_allclose(run.trace[-1][0], float(score.detach()), rtol=1e-5)
        np.testing.assert_allclose(run._canvas.leaf.detach(), u, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(
        run.pictures()[0], np.rint((u[0] + mean).numpy().transpose(1, 2, 0)).clip(0, 255).astype(np.uint8)
    )


def test_simonyans_picture_climbs_the_score_minus_the_squared_norm_from_zero() -> None:
    net = plain().double().eval()
    run = _ascent(_engine(net), "bee", Recipe("pixel", (L2(1e-4),), (), 3, 30.0, "plain", blank=True))
    u = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    np.testing.assert_allclose(run._canvas.leaf.detach(), u, atol=1e-9)
    for _ in range(3):
        run.step()
        leaf = u.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(leaf / (0.25 * 255))[0, 1] - 1e-4 * leaf.square().sum(), leaf)
        u = u + 30.0 * gradient
    np.testing.assert_allclose(run._canvas.leaf.detach(), u, rtol=1e-6, atol=1e-6)


def test_clipping_comes_after_the_step_and_takes_the_gradient_of_the_step() -> None:
    pieces = (ClipNorm(30), ClipContribution(40))
    run = _ascent(_engine(), "cat", Recipe("pixel", pieces, (), 1, 10.0, "plain"), seed=1)
    before = run._canvas.leaf.detach().clone()
    leaf = before.clone().requires_grad_()
    net = plain().double().eval()
    (gradient,) = torch.autograd.grad(net(leaf / (0.25 * 255))[0, 2], leaf)
    run.step()
    stepped = ClipNorm(30)(before + 10 * gradient, gradient, 1)
    expected = ClipContribution(40)(stepped, gradient, 1)
    np.testing.assert_allclose(run._canvas.leaf.detach(), expected, rtol=1e-9, atol=1e-9)
    assert (run._canvas.leaf.detach() == 0).all(1).double().mean() > 0.39


@pytest.mark.parametrize("goal", GOALS, ids=str)
@pytest.mark.parametrize("parametrization", ["pixel", "fourier"])
def test_the_gradient_of_every_goal_is_that_of_finite_differences(goal: Goal, parametrization: str) -> None:
    engine = _engine(_smooth())
    recipe = Recipe(parametrization, (TotalVariation(1e-7),), (Jitter(2), Rotate(8), Scale(0.9, 1.1)), 1, 1.0, "plain")  # type: ignore[arg-type]
    aim = aim_of(engine, goal, _like(engine))

    def climbed(change: Tensor | None) -> tuple[float, Tensor]:
        run = Ascent(engine, [aim], recipe, seed=5)
        leaf = run._canvas.leaf
        if change is not None:
            with torch.no_grad():
                leaf += change
        with torch.no_grad():
            penalty = float(TotalVariation(1e-7)(run._canvas.levels() - Colours(engine).mean).sum())
        before = leaf.detach().clone()
        run.step()  # plain, with a rate of one: what it adds is the gradient
        return float(run._best[1][0]) - penalty, leaf.detach() - before  # type: ignore[index]

    value, gradient = climbed(None)
    random = torch.Generator().manual_seed(9)
    for _ in range(3):
        way = torch.randn(gradient.shape, generator=random, dtype=torch.float64)
        way *= 1e-4 / way.abs().max()
        slope = (climbed(way)[0] - climbed(-way)[0]) / 2
        np.testing.assert_allclose(float((gradient * way).sum()), slope, rtol=2e-3, atol=1e-11)
    assert np.isfinite(value)


def test_a_normalized_step_has_the_rate_as_its_root_mean_square() -> None:
    run = _ascent(_engine(), "cat", Recipe("pixel", (), (), 1, 2.5, "normalized"))
    before = run._canvas.leaf.detach().clone()
    run.step()
    np.testing.assert_allclose(float((run._canvas.leaf.detach() - before).square().mean().sqrt()), 2.5)


def test_a_neurons_picture_changes_no_faster_where_it_sees_than_any_other_does() -> None:
    engine = _engine()
    like = engine.prepare(np.zeros((32, 32, 3), np.uint8))
    layer = next(name for name, row in engine.layers_for(like).items() if row.spatial)
    field = engine.layers_for(like)[layer].receptive_field
    assert field is not None and field.size[0] * field.size[1] < 32 * 32 / 4
    run = _ascent(engine, Unit(layer, 0, 5, 5), Recipe("pixel", (), (), 1, 2.5, "normalized"))
    before = run.levels()
    run.step()
    change = (run.levels() - before)[0]
    moved = float(change.square().sum() / (change.shape[0] * field.size[0] * field.size[1]))
    np.testing.assert_allclose(moved**0.5, 2.5, rtol=1e-6)


def test_a_step_goes_as_far_in_waves_of_all_directions() -> None:
    engine = _engine()
    recipe = Recipe("fourier", (), (), 1, 1e-6, "normalized", longest=1.0)
    run = _ascent(engine, "cat", recipe)
    before = run._canvas.levels().detach().clone()
    leaf = run._canvas.leaf
    # with waves of any length as hard to change as any other, the step is the slope of the pixels themselves
    slope = torch.zeros_like(before)
    slope[0, 0, 3, 5] = 1.0
    gradient = torch.autograd.grad((run._canvas.levels() * slope).sum(), leaf)[0]
    with torch.no_grad():
        leaf += 1e-3 * gradient
    change = (run._canvas.levels() - before).detach()[0].abs().amax(0)
    change[3, 5] = 0
    assert float(change.max()) < 1e-6


def test_adam_is_torchs() -> None:
    run = _ascent(_engine(), "cat", Recipe("pixel", (), (), 6, 3.0, "adam"), seed=2)
    net = plain().double().eval()
    leaf = run._canvas.leaf.detach().clone().requires_grad_()
    theirs = torch.optim.Adam([leaf], lr=3.0, maximize=True)
    for _ in range(6):
        run.step()
        theirs.zero_grad()
        net(leaf / (0.25 * 255))[0, 2].backward()
        theirs.step()
    np.testing.assert_allclose(run._canvas.leaf.detach(), leaf.detach(), rtol=1e-7, atol=1e-7)


def test_the_same_seed_gives_the_same_picture_and_another_one_another() -> None:
    recipe = Recipe("fourier", (), (Jitter(2), Rotate(5)), 4)

    def picture(seed: int) -> np.ndarray:
        run = _ascent(_engine(dtype=torch.float32), "cat", recipe, seed=seed)
        for _ in range(4):
            run.step()
        return run.pictures()

    np.testing.assert_array_equal(picture(1), picture(1))
    assert (picture(1) != picture(2)).any()


def test_a_picture_is_the_same_whatever_others_are_made_with_it() -> None:
    engine, recipe = _engine(), Recipe("fourier", (TotalVariation(1e-6),), (Jitter(2), Rotate(5)), 4)
    aims = [aim_of(engine, goal, _like(engine)) for goal in ("cat", Unit("2", 3))]
    together = Ascent(engine, aims, recipe, n=2, seed=7)
    alone = Ascent(engine, aims[1:], recipe, n=1, seed=7)
    for _ in range(4):
        together.step()
        alone.step()
    np.testing.assert_allclose(together._canvas.leaf.detach()[2], alone._canvas.leaf.detach()[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("parametrization", "rate"), [("pixel", 20.0), ("fourier", 0.5)])
def test_a_channel_that_is_silent_everywhere_is_woken_and_its_neighbours_in_the_batch_do_not_mind(
    parametrization: Parametrization, rate: float
) -> None:
    net = plain()
    with torch.no_grad():
        net.get_parameter("3.bias")[2] = -0.4  # no noise reaches over it, and no gradient says how to
    engine = _engine(net)
    recipe = Recipe(parametrization, (TotalVariation(1e-9),), (Jitter(2),), 12, rate, "adam")
    aims = [aim_of(engine, Unit("4", channel), _like(engine)) for channel in (2, 5)]
    both, other = Ascent(engine, aims, recipe), Ascent(engine, aims[1:], recipe)
    for run in (both, other):
        for _ in range(recipe.steps):
            run.step()
    assert both.trace[0][0] == 0 and both.trace[-1][0] > 0
    np.testing.assert_allclose([values[1] for values in both.trace], [values[0] for values in other.trace], rtol=1e-9)


@pytest.mark.parametrize("kind", [Pixels, Waves])
def test_a_canvas_begins_at_the_picture_that_it_is_given(kind: type) -> None:
    engine = _engine()
    start = 20 + 200 * torch.rand((2, 3, 32, 31), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    canvas = kind(Colours(engine), start)
    np.testing.assert_allclose(canvas.levels().detach(), start, atol=1e-6)


@pytest.mark.parametrize("size", [(8, 7), (7, 8)])
def test_waves_have_no_more_contrast_than_they_may_and_the_gradient_knows(size: tuple[int, int]) -> None:
    start = 100 + 60 * torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    canvas = Waves(Colours(_engine()), start)
    times = torch.tensor([0.5, 40.0], dtype=torch.float64).view(-1, 1, 1, 1, 1)
    leaf = (times * canvas.leaf.detach()).requires_grad_()

    def levels(of: Tensor) -> Tensor:
        canvas.leaf = of
        return canvas.levels()

    spreads = (levels(leaf.detach()) / 255).logit().flatten(1).std(1, correction=0)
    assert spreads[0] < 0.9 and spreads[1] == pytest.approx(1)
    assert torch.autograd.gradcheck(levels, (leaf,), atol=1e-4)


def test_colours_are_what_the_preprocessing_makes_of_pixels() -> None:
    for engine in (_engine(), Engine("squeezenet1_1")):
        pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
        colours = Colours(engine)
        levels = torch.from_numpy(np.moveaxis(pixels, -1, 1).copy()).to(engine.dtype)
        made = colours.inputs(levels)
        np.testing.assert_allclose(made, engine.preprocessing.encode(pixels), atol=1e-3)
        zero = colours.inputs(colours.mean.expand(1, 3, 4, 4))
        np.testing.assert_allclose(zero, 0, atol=1e-3)


@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
def test_the_gradient_of_colours_is_that_of_finite_differences(size: tuple[int, int]) -> None:
    for engine in (_engine(), Engine("squeezenet1_1")):  # the second one's channels are in another order
        colours = Colours(engine)
        levels = torch.rand(2, 3, *size, dtype=torch.float64).requires_grad_()
        colours._apart = [(colour, factor, zero.double()) for colour, factor, zero in colours._apart]
        colours._given = torch.float64
        assert colours._apart and torch.autograd.gradcheck(colours.inputs, (levels,))


def test_a_network_that_was_climbed_is_gone_at_once_and_not_when_circles_are_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twins: list[weakref.ref[nn.Module]] = []
    own = climber._watched

    def noted(*args: Any) -> nn.Module:
        twin = own(*args)
        twins.append(weakref.ref(twin))
        return twin

    monkeypatch.setattr(climber, "_watched", noted)
    gc.collect()
    gc.disable()
    try:
        maximize(Engine("squeezenet1_1"), {"tabby": 1, Unit("features.12", 3): 1}, steps=2)
        assert [twin() for twin in twins] == [None]
    finally:
        gc.enable()


def test_what_was_best_is_kept() -> None:
    run = _ascent(_engine(), "cat", Recipe("pixel", (Decay(1.0),), (), 3, 20.0, "plain"), seed=0)
    first = run.pictures()
    for _ in range(3):
        run.step()  # after the first step all is grey
    assert run.trace[0][0] != run.trace[1][0]
    best = int(np.argmax([values[0] for values in run.trace]))
    assert (run.best() == (first if best == 0 else run.pictures())).all()


def test_pictures_that_should_differ_are_less_alike() -> None:
    engine, goal = _engine(), Unit("2", 3)

    def likeness(diversity: float) -> float:
        run = _ascent(engine, goal, Recipe("fourier", (), (), 30), n=3, seed=0, diversity=diversity)
        for _ in range(30):
            run.step()
        maps = torch.cat([engine.capture(picture, "2")["2"] for picture in run.pictures()])
        return float(alike(maps))

    assert likeness(3.0) < likeness(0.0)


def test_pictures_of_a_class_that_should_differ_are_compared_in_the_last_maps() -> None:
    def made(diversity: float) -> np.ndarray:
        run = _ascent(_engine(), "cat", Recipe("fourier", (), (), 5), n=2, seed=0, diversity=diversity)
        for _ in range(5):
            run.step()
        return run.pictures()

    assert (made(3.0) != made(0.0)).any()


def test_single_calls_of_a_shared_layer_can_be_climbed_with_others() -> None:
    goal: Goal = {Unit("relu#2", 1): 1.0, Unit("pool", 3): 1.0}
    engine = _engine(messy(), torch.float32)
    run = _ascent(engine, goal, Recipe("pixel", (), (), 1, 1.0, "plain"), seed=1)
    picture = run.levels()
    run.step()
    kept = engine.outputs(run._colours.inputs(picture), ["relu#2", "pool"])
    expected = float(kept["relu#2"][0, 1].mean() + kept["pool"][0, 3].mean())
    np.testing.assert_allclose(run.trace[0][0], expected, rtol=1e-4)


def test_likeness_sums_the_cosines_of_gram_matrices_over_pairs() -> None:
    maps = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grams = [np.einsum("chw,dhw->cd", one, one).ravel() for one in maps.numpy()]
    slow = sum(
        grams[a] @ grams[b] / np.linalg.norm(grams[a]) / np.linalg.norm(grams[b]) for a, b in ((0, 1), (0, 2), (1, 2))
    )
    np.testing.assert_allclose(float(alike(maps)), slow)


def test_the_users_network_is_as_it_was() -> None:
    net = messy()
    before = snapshot(net)
    run = _ascent(_engine(net, torch.float32), "cat", Recipe("fourier", (), (Jitter(2),), 3))
    for _ in range(3):
        run.step()
    assert snapshot(net) == before


def test_a_network_trained_between_two_steps_is_climbed_as_it_is_now() -> None:
    net = plain().double()
    run = _ascent(_engine(net), "cat", Recipe("pixel", (), (), 3, 1.0, "plain"))
    run.step()
    with torch.no_grad():
        for weight in net[-1].parameters():
            weight.zero_()
    run.step()
    assert run.trace[1][0] == 0


def test_values_that_are_not_finite_are_an_error_and_leave_the_picture() -> None:
    net = plain().double()
    run = _ascent(_engine(net), "cat", Recipe("pixel", (), (), 3, 1.0, "plain"))
    run.step()
    before = run.pictures()
    with torch.no_grad():
        for weight in net[0].parameters():
            weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 2 met a value or a gradient that is not finite"):
        run.step()
    np.testing.assert_array_equal(run.pictures(), before)
    assert run.done == 1
