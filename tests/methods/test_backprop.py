"""Pixel attributions: against slow copies of the papers, the laws they obey, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.data import ImageError
from cnnviz_widgets.engine import Engine, NoRuleError
from cnnviz_widgets.methods.backprop import (
    deconvnet,
    grad_times_input,
    guided_backprop,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import PixelMap, Unit
from tests.benchmarks.zoo import random_network
from tests.engine.slow_rules import slow_gradient

METHODS = (saliency, deconvnet, guided_backprop, grad_times_input, smooth_grad, integrated_gradients)
SCORED = (saliency, grad_times_input, smooth_grad, integrated_gradients)
QUICK: dict[Any, dict[str, Any]] = {smooth_grad: {"samples": 3}, integrated_gradients: {"steps": 4}}
Unrounded = Callable[..., list[Tensor]]


class Small(nn.Module):
    """A quick network with 6 classes: overlapping pooling, a shared in-place ReLU, a linear head."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2, bias=bias), self.relu, nn.MaxPool2d(3, 2), nn.Conv2d(8, 12, 3, bias=bias), self.relu
        )
        self.head = nn.Linear(12, 6, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


def engine_of(module: nn.Module, side: int = 40, **options: Any) -> Engine:
    return Engine(module.double(), transform=Preprocessing(resize=side, crop=side), **options)


@pytest.fixture(scope="module")
def small() -> Engine:
    torch.manual_seed(0)
    return engine_of(Small(), categories=("ant", "bee", "cat", "dog", "eel", "fox"))


@cache
def of_torchvision(name: str, side: int) -> Engine:
    return engine_of(random_network(name, max(side, 64)), side)


def close(found: Tensor, wanted: Tensor, share: float = 1e-10) -> None:
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found, wanted, rtol=share, atol=share * wanted.abs().max().item())


# --- against the papers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("googlenet", 48),
        ("inception_v3", 80),
        ("densenet121", 48),
        ("mobilenet_v2", 48),  # ReLU6
        ("efficientnet_b0", 48),  # SiLU and gates
        ("mobilenet_v3_small", 48),  # Hardswish, Hardsigmoid gates
        ("resnet18", 48),  # ReLU modules in place, used twice
    ],
)
def test_rules_are_the_papers_on_functional_in_place_and_smooth_rectifiers(
    name: str, side: int, rule: str, cat: Image.Image, unrounded: Unrounded
) -> None:
    engine = of_torchvision(name, side)
    slow = slow_gradient(engine.model, engine.prepare(cat), lambda scores: scores[:, 5], rule)
    method, options = (guided_backprop, {}) if rule == "guided" else (deconvnet, {"unpool": "gradient"})
    (found,) = unrounded(method, engine, cat, 5, **options)
    close(found, slow[0])


def alexnets_deconvnet(network: nn.Module, x: Tensor, target: int | None, channel: int | None) -> Tensor:
    """Zeiler & Fergus's network hung onto AlexNet by hand, from a class or from a channel's strongest position.

    Two windows of the last pooling may hold the same maximum; then each is half of the strongest.
    """
    kept: list[Any] = []
    features = list(network.get_submodule("features"))
    for part in features:
        if isinstance(part, nn.MaxPool2d):
            before = x.shape
            x, switches = F.max_pool2d(x, part.kernel_size, part.stride, return_indices=True)
            kept.append((before, switches))
        else:
            kept.append(x.shape)
            x = F.relu(x) if isinstance(part, nn.ReLU) else part(x)
    if target is not None:
        first, second, third = (network.get_submodule(f"classifier.{number}").weight for number in (1, 4, 6))
        g = F.relu(F.relu(third[target]) @ second) @ first
        assert x.shape[2:] == (6, 6)  # so the adaptive pooling does nothing
        g = g.view(x.shape)
    else:
        g = torch.zeros_like(x)
        strongest = (x[0, channel] == x[0, channel].max()).double()
        g[0, channel] = strongest / strongest.sum()
    for part, memory in zip(reversed(features), reversed(kept), strict=True):
        if isinstance(part, nn.MaxPool2d):
            before, switches = memory
            g = F.max_unpool2d(g, switches, [3, 3], [2, 2], output_size=list(before[2:]))
        elif isinstance(part, nn.ReLU):
            g = F.relu(g)
        else:
            assert isinstance(part, nn.Conv2d)
            extra = [
                size - ((out - 1) * part.stride[0] - 2 * int(part.padding[0]) + part.kernel_size[0])
                for size, out in zip(memory[2:], g.shape[2:], strict=True)
            ]
            g = F.conv_transpose2d(g, part.weight, None, part.stride, part.padding, extra)
    return g


@pytest.mark.parametrize("target", [None, 11])
@torch.no_grad()
def test_deconvnet_with_switches_is_explicit_max_unpool2d_through_alexnet(
    target: int | None, cat: Image.Image, unrounded: Unrounded
) -> None:
    engine = of_torchvision("alexnet", 224)
    channel = None if target is not None else 31
    by_hand = alexnets_deconvnet(engine.model, engine.prepare(cat), target, channel)[0]
    what = Unit("features.12", 31) if target is None else target
    close(unrounded(deconvnet, engine, cat, what)[0], by_hand, 1e-11)
    (summed,) = unrounded(deconvnet, engine, cat, what, unpool="gradient")
    cosine = F.cosine_similarity(summed.flatten(), by_hand.flatten(), 0)
    assert 0.3 < cosine < 0.97  # the windows overlap, so it matters


@pytest.mark.parametrize("name", ["squeezenet1_0", "googlenet"])
def test_pools_in_ceil_mode_have_switches_too(name: str, cat: Image.Image) -> None:
    engine = of_torchvision(name, 48)
    pools = [part for part in engine.model.modules() if isinstance(part, nn.MaxPool2d)]
    assert any(pool.ceil_mode for pool in pools)
    modes = [deconvnet(engine, cat, 5, unpool=unpool).values for unpool in ("switches", "gradient")]
    assert all(np.isfinite(values).all() and values.any() for values in modes)
    assert not np.allclose(*modes)


def test_deconvnet_unpools_by_switches_unless_said(small: Engine, cat: Image.Image) -> None:
    default, switches, summed = (
        deconvnet(small, cat, 1, **options).values for options in ({}, {"unpool": "switches"}, {"unpool": "gradient"})
    )
    assert np.array_equal(default, switches) and not np.allclose(default, summed)
    assert deconvnet(small, cat, 1).parameters["unpool"] == "switches"


# --- saliency and gradient times input --------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["logit", "probability", "log_probability"])
def test_saliency_is_the_slope_found_by_finite_differences(
    small: Engine, cat: Image.Image, unrounded: Unrounded, score: Any
) -> None:
    x = small.prepare(cat)
    (found,) = unrounded(saliency, small, cat, "bee", score=score)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        step = 1e-6 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        pair = torch.cat((x + step, x - step))
        logits = small.logits(pair)
        values = {"logit": logits, "probability": logits.softmax(1), "log_probability": logits.log_softmax(1)}[score]
        measured = values[0, 1] - values[1, 1]
        torch.testing.assert_close(2 * (found * step[0]).sum(), measured, rtol=1e-5, atol=1e-12)


def test_gradient_times_input_adds_up_to_the_score_without_biases(cat: Image.Image, unrounded: Unrounded) -> None:
    torch.manual_seed(0)
    engine = engine_of(Small(bias=False))
    (found,) = unrounded(grad_times_input, engine, cat, 3)
    torch.testing.assert_close(found.sum(), engine.logits(engine.prepare(cat))[0, 3], rtol=1e-10, atol=0)


# --- SmoothGrad -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_smooth_grad_is_a_direct_loop_over_noisy_copies_in_any_batch_size(
    cat: Image.Image, unrounded: Unrounded, batch_size: int | None
) -> None:
    torch.manual_seed(0)
    engine = engine_of(Small(), batch_size=batch_size)
    x = engine.prepare(cat)
    spread, total = 0.2 * (x.max() - x.min()), torch.zeros_like(x)
    for number in range(7):
        generator = torch.Generator().manual_seed((5 << 20) + number)
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        leaf = (x + spread * noise).requires_grad_()
        total += torch.autograd.grad(engine.model(leaf.clone())[0, 2], leaf)[0]
    (found,) = unrounded(smooth_grad, engine, cat, 2, samples=7, noise=0.2, seed=5)
    close(found, total[0] / 7, 1e-12)


def test_smooth_grad_without_noise_is_saliency(small: Engine, cat: Image.Image, unrounded: Unrounded) -> None:
    close(unrounded(smooth_grad, small, cat, 2, noise=0, samples=3)[0], unrounded(saliency, small, cat, 2)[0], 1e-12)


def test_smooth_grad_is_the_same_for_the_same_seed_and_leaves_torchs_own_alone(small: Engine, cat: Image.Image) -> None:
    before = torch.get_rng_state()
    first, again, other = (smooth_grad(small, cat, 2, samples=3, seed=seed).values for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_smooth_grad_is_smoother_than_saliency_with_real_weights(cat: Image.Image) -> None:
    engine = Engine("squeezenet1_1")
    rough, smooth = (
        method(engine, cat, "tabby", **options).heatmap("norm").values
        for method, options in ((saliency, {}), (smooth_grad, {"samples": 12, "noise": 0.1}))
    )

    def roughness(values: np.ndarray) -> float:
        return float(np.abs(np.diff(values, axis=1)).sum() / values.sum())

    assert roughness(smooth) < roughness(rough)


# --- integrated gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ["zero", "black", "white"])
@pytest.mark.parametrize("score", ["logit", "probability"])
def test_integrated_gradients_sum_to_the_score_difference_within_1_percent(
    small: Engine, cat: Image.Image, unrounded: Unrounded, baseline: Any, score: Any
) -> None:
    (found,) = unrounded(integrated_gradients, small, cat, 4, baseline=baseline, score=score, steps=100)
    x = small.prepare(cat)
    plain = {"black": np.zeros((80, 80, 3), np.uint8), "white": np.full((80, 80, 3), 255, np.uint8)}
    origin = torch.zeros_like(x) if baseline == "zero" else small.prepare(plain[baseline])
    logits = small.logits(torch.cat((x, origin)))
    ends = (logits.softmax(1) if score == "probability" else logits)[:, 4]
    difference = (ends[0] - ends[1]).item()
    assert abs(found.sum().item() - difference) < 0.01 * (ends.max() - ends.min() + found.abs().sum()).item()
    parameters = integrated_gradients(small, cat, 4, baseline=baseline, score=score, steps=100).parameters
    assert parameters["score_of_image"] == pytest.approx(ends[0].item(), rel=1e-12)
    assert parameters["score_of_baseline"] == pytest.approx(ends[1].item(), rel=1e-12)
    assert parameters["gap"] == pytest.approx(found.sum().item() - difference, abs=1e-12)
    assert parameters["baseline"] == baseline and parameters["steps"] == 100


def test_more_steps_leave_a_smaller_gap_with_real_weights(cat: Image.Image) -> None:
    engine = Engine("squeezenet1_1")
    gaps = [abs(integrated_gradients(engine, cat, "tabby", steps=steps).parameters["gap"]) for steps in (2, 8, 40)]
    assert gaps[0] > 3 * gaps[1] and gaps[1] > gaps[2]
    result = integrated_gradients(engine, cat, "tabby", steps=40)
    difference = result.parameters["score_of_image"] - result.parameters["score_of_baseline"]
    assert gaps[2] < 0.02 * abs(difference)
    assert float(result.values.sum(dtype=np.float64)) == pytest.approx(difference, rel=0.02)


def test_integrated_gradients_are_exact_in_one_step_where_the_network_is_linear(
    cat: Image.Image, unrounded: Unrounded
) -> None:
    torch.manual_seed(0)
    engine = engine_of(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    close(unrounded(integrated_gradients, engine, cat, 1, steps=1)[0], unrounded(grad_times_input, engine, cat, 1)[0])


def test_nothing_is_attributed_to_pixels_that_equal_the_baselines(small: Engine, cat: Image.Image) -> None:
    pixels = np.asarray(cat.resize((40, 40))).copy()
    other = pixels.copy()
    other[:, :20] = 255 - other[:, :20]
    result = integrated_gradients(small, pixels, 4, baseline=other, steps=5)
    assert result.parameters["baseline"] == "picture"
    assert not result.values[:, :, 20:].any() and result.values[:, :, :20].any()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_integrated_gradients_do_not_depend_on_the_batch_size(
    small: Engine, cat: Image.Image, unrounded: Unrounded, batch_size: int
) -> None:
    engine = Engine(small.model, transform=small.preprocessing, batch_size=batch_size)
    found, wanted = (unrounded(integrated_gradients, each, cat, 4, steps=7)[0] for each in (engine, small))
    close(found, wanted, 1e-12)


# --- what all of them share -------------------------------------------------------------------------------------------


def call(method: Any, engine: Engine, image: Any, target: Any = None, **options: Any) -> PixelMap:
    return method(engine, image, target, **{**QUICK.get(method, {}), **options})


@pytest.mark.parametrize("method", METHODS)
def test_the_result_says_what_was_explained_how_and_on_which_pixels(
    method: Any, small: Engine, cat: Image.Image
) -> None:
    result = call(method, small, cat, "bee")
    assert isinstance(result, PixelMap) and result.values.shape == (3, 40, 40) and result.signed
    assert np.isfinite(result.values).all() and result.values.any()
    assert (result.target, result.target_name, result.layer) == (1, "bee", None)
    assert result.method == method.__name__ and result.citation
    assert np.array_equal(result.image, small.display(small.prepare(cat)))


@pytest.mark.parametrize("method", METHODS)
def test_the_most_probable_class_is_the_default(method: Any, small: Engine, cat: Image.Image) -> None:
    best = int(small.scores(cat).argmax())
    result = call(method, small, cat)
    assert result.target == best
    assert np.array_equal(result.values, call(method, small, cat, best).values)


@pytest.mark.parametrize("method", [saliency, grad_times_input, smooth_grad, integrated_gradients])
def test_a_contrast_is_the_difference_of_two_maps(method: Any, small: Engine, cat: Image.Image) -> None:
    one, other = call(method, small, cat, "bee").values, call(method, small, cat, "dog").values
    both = call(method, small, cat, "bee", against="dog")
    np.testing.assert_allclose(both.values, one - other, atol=1e-6 * np.abs(one).max())
    assert both.target_name == "bee - dog"


@pytest.mark.parametrize(("method", "rule"), [(guided_backprop, "guided"), (deconvnet, "deconvnet")])
def test_a_contrast_under_a_rule_is_that_of_a_network_whose_score_is_the_difference(
    method: Any, rule: str, small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    slow = slow_gradient(small.model, small.prepare(cat), lambda scores: scores[:, 1] - scores[:, 3], rule)
    options = {"unpool": "gradient"} if method is deconvnet else {}
    close(unrounded(method, small, cat, 1, against=3, **options)[0], slow[0])


UNITS = (Unit("features.3", 2), Unit("features.3", 2, 1, 4), Unit("features.2", 5, 2, 5), Unit("head", 5))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_every_method_explains_units(method: Any, unit: Unit, small: Engine, cat: Image.Image) -> None:
    result = call(method, small, cat, unit)
    assert result.target == unit and result.target_name == str(unit) and result.values.any()
    if unit.y is not None and method is not smooth_grad:
        x0, y0, x1, y1 = small.layers[unit.layer].receptive_field.box(unit.y, unit.x or 0)  # type: ignore[union-attr]
        outside = np.ones((40, 40), bool)
        outside[max(y0, 0) : y1, max(x0, 0) : x1] = False
        assert not result.values[:, outside].any()


def test_a_unit_without_position_is_its_channels_strongest(small: Engine, cat: Image.Image) -> None:
    maps = small.capture(cat, "features.3")["features.3"][0, 2]
    y, x = divmod(int(maps.argmax()), maps.shape[1])
    for method in METHODS[:4]:
        whole, there = (
            method(small, cat, unit).values for unit in (Unit("features.3", 2), Unit("features.3", 2, y, x))
        )
        assert np.array_equal(whole, there)


def test_guided_backprop_keeps_only_what_excites_the_last_rectifier(small: Engine, cat: Image.Image) -> None:
    """A class that nothing positive speaks for leaves nothing."""
    weight = small.model.get_submodule("head").weight
    engine = engine_of(Small())
    engine.model.load_state_dict(small.model.state_dict())
    with torch.no_grad():
        engine.model.get_submodule("head").weight[2] = -weight[2].abs()  # type: ignore[index, union-attr]
    assert not guided_backprop(engine, cat, 2).values.any()
    assert not deconvnet(engine, cat, 2).values.any()
    assert saliency(engine, cat, 2).values.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_grey_network_gets_a_map_of_one_channel(method: Any, cat: Image.Image) -> None:
    torch.manual_seed(0)
    transform = Preprocessing(resize=20, crop=20, mean=(0.4,), std=(0.3,), channels="L")
    engine = Engine(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten()), transform=transform
    )
    result = call(method, engine, cat, 3)
    assert result.values.shape == (1, 20, 20) and result.image.shape == (20, 20, 3) and result.values.any()


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_in_the_order_red_green_blue_whatever_the_networks(
    method: Any, cat: Image.Image, small: Engine
) -> None:
    class Flipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small.model

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.flip(1))

    transform = Preprocessing(resize=40, crop=40, mean=(0.406, 0.456, 0.485), std=(0.225, 0.224, 0.229), channels="BGR")
    found = call(method, Engine(Flipped(), transform=transform), cat, 2).values
    wanted = call(method, small, cat, 2).values
    # SmoothGrad's noise is drawn for the tensor's own channels
    share = 2.0 if method is smooth_grad else 1e-5
    np.testing.assert_allclose(found, wanted, atol=share * np.abs(wanted).max())
    assert method is smooth_grad or not np.allclose(found[::-1], wanted, atol=0.1 * np.abs(wanted).max())


def test_a_class_that_does_not_see_the_picture_has_a_map_of_zeros(cat: Image.Image) -> None:
    class Deaf(Small):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((super().forward(x)[:, :5], x.new_ones(len(x), 1)), 1)

    engine = engine_of(Deaf())
    for method in SCORED:
        assert not call(method, engine, cat, 5).values.any()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_module_itself_is_no_engine(method: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(TypeError, match=r"Small; wanted an Engine, as in Engine\('squeezenet1_1'\)"):
        method(small.model, cat)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_no_picture_is_an_error(method: Any, small: Engine) -> None:
    for image in (None, 7, np.zeros((4, 4, 7)), np.full((8, 8, 3), np.nan)):
        with pytest.raises(ImageError):
            call(method, small, image)
    with pytest.raises((FileNotFoundError, ImageError), match="no/such/file.jpg"):
        call(method, small, "no/such/file.jpg")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("argument", ["target", "against"])
@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ("cats", KeyError, "did you mean 'cat'"),
        (6, IndexError, "classes 0 to 5"),
        (-1, IndexError, "classes 0 to 5"),
        (True, TypeError, "class index, a class name or a Unit"),
        (2.0, TypeError, "class index, a class name or a Unit"),
        (Unit("feature.3", 0), KeyError, "features.3"),
        (Unit("features.3", 12), IndexError, "0 to 11"),
        (Unit("features.3", 0, 99, 0), IndexError, "maps are"),
        (Unit("head", 0, 0, 0), ValueError, "no positions"),
    ],
)
def test_an_unknown_target_is_an_error_that_says_what_there_is(
    method: Any, argument: str, wanted: Any, error: type[Exception], said: str, small: Engine, cat: Image.Image
) -> None:
    with pytest.raises(error) as caught:
        call(method, small, cat, **({"target": wanted} if argument == "target" else {"target": 0, "against": wanted}))
    assert said in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_contrast_with_itself_is_an_error(method: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(ValueError, match="both 'bee'"):
        call(method, small, cat, "bee", against=1)


@pytest.mark.parametrize("method", SCORED)
def test_an_unknown_score_is_an_error_that_lists_the_known(method: Any, small: Engine, cat: Image.Image) -> None:
    for score in ("softmax", "", None, 1):
        with pytest.raises(ValueError, match="'logit', 'probability', 'log_probability'"):
            call(method, small, cat, score=score)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        *[
            (smooth_grad, {"samples": value}, "samples=.*whole number from 1")
            for value in (0, -3, 2.5, "9", True, None)
        ],
        *[(smooth_grad, {"seed": value}, "seed=.*whole number from 0") for value in (-1, 0.5, None)],
        *[
            (smooth_grad, {"noise": value}, "noise=.*finite number from 0")
            for value in (-0.1, float("nan"), float("inf"), "0.1", True, None)
        ],
        *[(integrated_gradients, {"steps": value}, "steps=.*whole number from 1") for value in (0, 1.5, "50", False)],
        *[(deconvnet, {"unpool": value}, "unpool=.*switches") for value in ("sum", None, True)],
    ],
)
def test_a_bad_number_or_choice_is_an_error_that_says_what_was_wanted(
    method: Any, options: dict[str, Any], said: str, small: Engine, cat: Image.Image
) -> None:
    with pytest.raises(ValueError, match=said):
        method(small, cat, 1, **options)


@pytest.mark.parametrize("baseline", [None, 0, np.zeros((5, 5, 9)), b"zero"])
def test_a_baseline_that_is_no_picture_is_an_error(baseline: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(ImageError):
        integrated_gradients(small, cat, 1, baseline=baseline, steps=1)


def test_an_unknown_word_as_baseline_is_an_error_that_lists_the_known_ones(small: Engine, cat: Image.Image) -> None:
    with pytest.raises(FileNotFoundError, match="no file 'grey'.*'zero', 'black', 'white'"):
        integrated_gradients(small, cat, 1, baseline="grey", steps=1)


def test_a_baseline_of_another_size_is_an_error_that_names_both(small: Engine, cat: Image.Image) -> None:
    engine = Engine(small.model, transform=Preprocessing(resize=None, crop=None))
    with pytest.raises(ValueError, match=r"\(1, 3, 50, 60\).*\(1, 3, 300, 451\).*'zero', 'black', 'white'"):
        integrated_gradients(engine, cat, 1, baseline=np.zeros((50, 60, 3), np.uint8), steps=1)


@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_a_rule_without_rectifiers_is_an_error_not_a_map(method: Any, cat: Image.Image) -> None:
    linear = engine_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    with pytest.raises(NoRuleError, match="has none on the way.*saliency"):
        method(linear, cat, 1)


def test_the_unit_before_the_first_rectifier_has_no_rule_either(small: Engine, cat: Image.Image) -> None:
    with pytest.raises(NoRuleError, match="none on the way"):
        guided_backprop(small, cat, Unit("features.0", 3))
    assert saliency(small, cat, Unit("features.0", 3)).values.any()
