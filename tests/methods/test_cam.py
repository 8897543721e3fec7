"""Class activation maps: against slow direct copies of the papers' equations, identities, and what they refuse."""

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

from cnnviz_widgets.data import ImageError, samples
from cnnviz_widgets.engine import Engine, NoRuleError
from cnnviz_widgets.methods.backprop import guided_backprop
from cnnviz_widgets.methods.cam import (
    cam,
    grad_cam,
    grad_cam_plus_plus,
    guided_grad_cam,
    layer_cam,
    score_cam,
)
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Heatmap, PixelMap, Unit
from tests.benchmarks.zoo import random_network
from tests.engine.slow_rules import sharing_copy

METHODS = (cam, grad_cam, grad_cam_plus_plus, layer_cam, score_cam, guided_grad_cam)
GRADIENTS = (grad_cam, grad_cam_plus_plus, layer_cam)
ANYWHERE = (*GRADIENTS, score_cam, guided_grad_cam)
SIDE = 40
Unrounded = Callable[..., list[Tensor]]


class Small(nn.Module):
    """A quick network with 5 classes whose last maps are averaged; a dead channel, an in-place ReLU after the maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 5, 2)
        self.pool = nn.MaxPool2d(3, 2)
        self.second = nn.Conv2d(6, 9, 3)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(9, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.second(self.pool(self.relu(self.first(x))))).mean((2, 3)))


def engine_of(module: nn.Module, **options: Any) -> Engine:
    return Engine(module.double(), transform=Preprocessing(resize=SIDE, crop=SIDE), **options)


def small_network() -> Small:
    torch.manual_seed(1)
    module = Small()
    with torch.no_grad():
        module.first.bias[2] = -99.0  # type: ignore[index]
    return module


@pytest.fixture(scope="module")
def small() -> Engine:
    return engine_of(small_network(), categories=("ant", "bee", "cat", "dog", "eel"))


@cache
def of_torchvision(name: str, side: int = 64) -> Engine:
    module = random_network(name, max(side, 64)).double()
    return Engine(module, transform=Preprocessing(resize=side, crop=side))


@pytest.fixture(scope="module")
def squeezenet() -> Engine:
    return Engine("squeezenet1_1")


def at_layer(
    engine: Engine, image: Image.Image, layer: str, score: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Maps A (C, h, w) of a layer and the slope of a score there, from a copy without in-place rectifiers."""
    twin = sharing_copy(engine.model).eval()
    for part in twin.modules():
        if hasattr(part, "inplace"):
            part.inplace = False  # type: ignore[assignment]
    kept: list[Tensor] = []
    twin.get_submodule(layer).register_forward_hook(lambda _module, _args, output: kept.append(output))
    value = score(twin(engine.prepare(image)))
    (slope,) = torch.autograd.grad(value.sum(), kept[-1])
    return kept[-1][0].detach(), slope[0]


def close(found: Tensor, wanted: Tensor, share: float = 1e-11) -> None:
    assert wanted.abs().max() > 0
    torch.testing.assert_close(found, wanted, rtol=share, atol=share * wanted.abs().max().item())


# --- the papers' equations, loop by loop


def slow_grad_cam(maps: Tensor, slope: Tensor) -> Tensor:
    raw = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        total = 0.0
        for i in range(maps.shape[1]):
            for j in range(maps.shape[2]):
                total += float(slope[k, i, j])
        raw += total / maps[k].numel() * maps[k]
    return raw.clamp(min=0)


def slow_plus_plus(maps: Tensor, slope: Tensor, score: float) -> Tensor:
    """Equations 10, 11 and 19 as printed, with Y = exp(S)."""
    exp = np.exp(score)
    raw = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        total = sum(float(a) for a in maps[k].flatten())
        weight = 0.0
        for s in slope[k].flatten().tolist():
            first, second, third = exp * s, exp * s**2, exp * s**3
            below = 2 * second + total * third
            alpha = second / below if below != 0 else 0.0
            weight += alpha * max(first, 0.0)
        raw += weight * maps[k]
    return raw.clamp(min=0) / exp


def slow_layer_cam(maps: Tensor, slope: Tensor) -> Tensor:
    raw = torch.zeros_like(maps[0])
    for k in range(len(maps)):
        for i in range(maps.shape[1]):
            for j in range(maps.shape[2]):
                raw[i, j] += max(float(slope[k, i, j]), 0.0) * maps[k, i, j]
    return raw.clamp(min=0)


SLOW: dict[Any, Callable[[Tensor, Tensor, float], Tensor]] = {
    grad_cam: lambda maps, slope, score: slow_grad_cam(maps, slope),
    grad_cam_plus_plus: slow_plus_plus,
    layer_cam: lambda maps, slope, score: slow_layer_cam(maps, slope),
}
SCORES: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "why": ({"target": 3}, lambda scores: scores[:, 3]),
    "why not": ({"target": 3, "counterfactual": True}, lambda scores: -scores[:, 3]),
    "contrast": ({"target": 3, "against": "bee"}, lambda scores: scores[:, 3] - scores[:, 1]),
    "contrast, why not": (
        {"target": 3, "against": "bee", "counterfactual": True},
        lambda scores: scores[:, 1] - scores[:, 3],
    ),
}


@pytest.mark.parametrize("question", SCORES)
@pytest.mark.parametrize("layer", ["first", "pool", "second", "relu"])
@pytest.mark.parametrize("method", GRADIENTS)
def test_a_map_is_the_papers_equation_at_every_layer_for_every_question(
    method: Any, layer: str, question: str, small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    options, score = SCORES[question]
    maps, slope = at_layer(small, cat, layer, score)
    value = float(score(torch.as_tensor(small.logits(small.prepare(cat)))))
    _, raw = unrounded(method, small, cat, layer=layer, **options)
    wanted = SLOW[method](maps, slope, value)
    torch.testing.assert_close(raw, wanted, rtol=1e-10, atol=1e-10 * float(maps.abs().amax() * slope.abs().amax()))


@pytest.mark.parametrize("question", ["why", "why not", "contrast"])
@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_score_cam_is_the_papers_algorithm_in_any_batch_size(
    question: str, batch_size: int | None, cat: Image.Image, unrounded: Unrounded
) -> None:
    engine = engine_of(small_network(), categories=("ant", "bee", "cat", "dog", "eel"), batch_size=batch_size)
    options, score = SCORES[question]
    x = engine.prepare(cat)
    maps = engine.capture(cat, "pool")["pool"][0]
    scores, alive = [], []
    for k in range(len(maps)):
        large = F.interpolate(maps[k][None, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
        # scaled by the map's own range before enlarging: bilinear values never leave it
        if maps[k].max() == maps[k].min():
            continue
        mask = (large - maps[k].min()) / (maps[k].max() - maps[k].min())
        scores.append(score(engine.model(x * mask)).item())
        alive.append(k)
    assert len(alive) == 5  # of six, one is dead
    weights = np.exp(scores) / np.sum(np.exp(scores))
    wanted = sum(weight * maps[k] for weight, k in zip(weights, alive, strict=True))
    _, raw = unrounded(score_cam, engine, cat, layer="pool", **options)
    close(raw, wanted.clamp(min=0))  # type: ignore[union-attr]


@pytest.mark.parametrize("question", SCORES)
def test_guided_grad_cam_is_the_product_of_both(
    question: str, small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    options, _ = SCORES[question]
    values, _ = unrounded(grad_cam, small, cat, layer="second", **options)
    (guided,) = unrounded(
        guided_backprop, small, cat, **{name: value for name, value in options.items() if name != "counterfactual"}
    )
    (found,) = unrounded(guided_grad_cam, small, cat, layer="second", **options)
    torch.testing.assert_close(found, guided * values, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("method", ANYWHERE)
def test_why_not_is_why_for_the_negated_network(method: Any, cat: Image.Image, small: Engine) -> None:
    negated = small_network()
    with torch.no_grad():
        negated.head.weight.neg_(), negated.head.bias.neg_()
    found = method(small, cat, 3, "second", counterfactual=True)
    wanted = method(engine_of(negated), cat, 3, "second")
    assert found.parameters["counterfactual"] is True
    if method is not guided_grad_cam:  # whose fine structure stays that of the class
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-6, atol=1e-6 * np.abs(wanted.values).max())


@pytest.mark.parametrize("method", [cam, *ANYWHERE])
def test_a_contrast_is_the_map_of_a_network_whose_head_computes_the_difference(
    method: Any, cat: Image.Image, small: Engine
) -> None:
    difference = small_network()
    with torch.no_grad():
        for part in (difference.head.weight, difference.head.bias):
            part[0] = part[3] - part[1]
    found, wanted = method(small, cat, "dog", against="bee"), method(engine_of(difference), cat, 0)
    assert found.target_name == "dog - bee" and found.values.any()
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-6, atol=1e-6 * np.abs(wanted.values).max())


# --- what maps look like


@pytest.mark.parametrize("method", METHODS)
def test_values_are_raw_enlarged_bilinearly_to_the_networks_input(method: Any, small: Engine, cat: Image.Image) -> None:
    result = method(small, cat, 2)
    assert result.layer == "relu"
    assert result.method == method.__name__ and result.citation and result.target_name == "cat"
    assert result.parameters == {"counterfactual": False}
    assert np.array_equal(result.image, small.display(small.prepare(cat)))
    assert np.isfinite(result.values).all()
    if method is guided_grad_cam:
        assert isinstance(result, PixelMap) and result.values.shape == (3, SIDE, SIDE) and result.signed
        return
    assert isinstance(result, Heatmap) and result.signed is (method is cam)
    large = F.interpolate(torch.tensor(result.raw)[None, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(result.values, large[0, 0].numpy(), rtol=1e-5, atol=1e-6 * np.abs(result.raw).max())
    if method is not cam:
        assert result.raw.min() >= 0


@pytest.mark.parametrize("method", METHODS)
def test_the_most_probable_class_is_the_default(method: Any, small: Engine, cat: Image.Image) -> None:
    best = int(small.scores(cat).argmax())
    assert method(small, cat).target == best
    assert np.array_equal(method(small, cat).values, method(small, cat, best).values)


UNITS = (Unit("relu", 1), Unit("second", 4), Unit("second", 4, 2, 3), Unit("head", 2))


@pytest.mark.parametrize("unit", UNITS, ids=str)
@pytest.mark.parametrize("method", ANYWHERE)
def test_units_are_explained_by_the_last_maps_before_them(
    method: Any, unit: Unit, small: Engine, cat: Image.Image
) -> None:
    result = method(small, cat, unit)
    assert result.target == unit and result.target_name == str(unit)
    assert result.layer in {"relu": ("second", "pool"), "second": ("pool",), "head": ("relu",)}[unit.layer]
    assert np.isfinite(result.values).all()


def test_grad_cam_of_a_unit_is_that_of_a_network_that_ends_there(
    small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    maps, slope = at_layer(small, cat, "pool", lambda scores: scores[:, 0] * 0)
    assert not slope.any()  # so what follows is not about the classes
    module = small.model
    with torch.no_grad():
        x = small.prepare(cat)
        maps = module.pool(F.relu(module.first(x)))  # type: ignore[operator]
    leaf = maps.clone().requires_grad_()
    (slope,) = torch.autograd.grad(module.second(leaf)[0, 4, 2, 3], leaf)  # type: ignore[operator]
    _, raw = unrounded(grad_cam, small, cat, Unit("second", 4, 2, 3))
    torch.testing.assert_close(raw, slow_grad_cam(maps[0], slope[0]), rtol=1e-11, atol=1e-15)


def test_a_contrast_of_two_units_looks_before_the_first_of_them(small: Engine, cat: Image.Image) -> None:
    for pair in ((Unit("head", 2), Unit("second", 4, 0, 0)), (Unit("second", 4, 0, 0), Unit("head", 2))):
        assert grad_cam(small, cat, pair[0], against=pair[1]).layer == "pool"
        assert grad_cam(small, cat, 1, against=pair[0]).layer == {"head": "relu", "second": "pool"}[pair[0].layer]


@pytest.mark.parametrize("method", [*GRADIENTS, guided_grad_cam])
def test_a_contrast_at_a_layer_that_only_one_of_both_depends_on_is_an_error(
    method: Any, small: Engine, cat: Image.Image
) -> None:
    for target, against in ((1, Unit("second", 4)), (Unit("second", 4), 1), (Unit("head", 0), Unit("second", 4))):
        with pytest.raises(ValueError, match="'second channel 4' does not depend on layer 'relu'"):
            method(small, cat, target, "relu", against=against)
        assert method(small, cat, target, "pool", against=against).layer == "pool"


# --- identities


@pytest.mark.parametrize("photo", list(samples))
def test_grad_cam_at_squeezenets_last_fire_is_the_positive_part_of_cam(photo: str, squeezenet: Engine) -> None:
    names = {"cam": cam(squeezenet, samples[photo]).layer, "grad_cam": grad_cam(squeezenet, samples[photo]).layer}
    assert set(names.values()) == {"features.12"}
    # The score is the mean of relu(conv10); where conv10 is positive everywhere, it is CAM's mean, so they are equal up
    # to 1 / (h w). Elsewhere the slopes at the last fire differ from place to place; the mean weighs channels alike.
    engine, picture = squeezenet, samples[photo]
    straight, graded = cam(engine, picture), grad_cam(engine, picture)
    wanted = np.clip(straight.raw, 0, None)
    assert wanted.max() > 0
    factor = float((graded.raw * wanted).sum() / (wanted * wanted).sum())
    assert factor > 0
    np.testing.assert_allclose(graded.raw, factor * wanted, rtol=0, atol=1e-5 * float(graded.raw.max()))


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121", "swin_t", "shufflenet_v2_x0_5"])
def test_cams_mean_plus_the_bias_is_the_class_score(name: str, cat: Image.Image, unrounded: Unrounded) -> None:
    engine = of_torchvision(name)
    logits = engine.logits(engine.prepare(cat))[0]
    linear = [part for part in engine.model.modules() if isinstance(part, nn.Linear)][-1]
    for target in (0, 777):
        _, raw = unrounded(cam, engine, cat, target)
        torch.testing.assert_close(raw.mean() + linear.bias[target], logits[target], rtol=1e-9, atol=1e-9)


def test_cam_of_densenet_counts_the_rectifier_that_is_a_function(cat: Image.Image, unrounded: Unrounded) -> None:
    engine = of_torchvision("densenet121")
    maps = engine.capture(cat, "features")["features"][0]
    assert maps.min() < 0
    weight = engine.model.get_submodule("classifier").weight
    assert isinstance(weight, Tensor)
    wanted = (weight.detach()[3, :, None, None] * maps.clamp(min=0)).sum(0)
    close(unrounded(cam, engine, cat, 3)[1], wanted)


def test_cam_of_swin_t_has_its_channels_first(cat: Image.Image) -> None:
    result = cam(of_torchvision("swin_t", 96), cat, 3)
    assert result.raw.shape == (3, 3) and result.raw.any()


@pytest.mark.parametrize("counterfactual", [False, True])
def test_cam_is_the_class_weights_on_the_averaged_maps(
    counterfactual: bool, small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    maps = F.relu(small.capture(cat, "second")["second"][0])
    weight = small.model.get_submodule("head").weight.detach()[2]  # type: ignore[union-attr, operator]
    raw = sum(weight[k] * maps[k] for k in range(9))
    for layer in (None, cam(small, cat).layer):
        found = unrounded(cam, small, cat, "cat", layer, counterfactual)[1]
        close(found, -raw if counterfactual else raw)  # type: ignore[operator, arg-type]


def test_grad_cam_is_cam_where_nothing_bends_between_maps_and_score(
    small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    seen = 0
    for target in range(5):
        _, straight = unrounded(cam, small, cat, target)
        _, graded = unrounded(grad_cam, small, cat, target, "relu")
        torch.testing.assert_close(graded * graded.numel(), straight.clamp(min=0), rtol=1e-11, atol=1e-12)
        seen += int((straight > 0).any())
    assert seen


# --- what is refused


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("alexnet", "'classifier.6' does not work on the averages of any layer's maps"),
        ("vgg11", "'classifier.6' does not work on the averages"),
        ("mobilenet_v3_small", "'classifier.3' does not work on the averages"),
        ("convnext_tiny", "'classifier.2' does not work on the averages"),
    ],
)
def test_cam_without_such_a_head_is_an_error_that_says_why_and_points_to_grad_cam(
    name: str, why: str, cat: Image.Image
) -> None:
    engine = of_torchvision(name)
    with pytest.raises(ValueError, match="global average pooling followed by one linear layer.*grad_cam") as caught:
        cam(engine, cat)
    assert why in str(caught.value)
    assert grad_cam(engine, cat).values.shape == (64, 64)


class Ends(nn.Module):
    """Maps, then whatever."""

    def __init__(self, end: Callable[..., Tensor], last: nn.Module) -> None:
        super().__init__()
        self.maps, self.end, self.last = nn.Conv2d(3, 4, 3, 2), end, last

    def forward(self, x: Tensor) -> Tensor:
        return self.end(F.relu(self.maps(x)), self.last)


@pytest.mark.parametrize(
    ("end", "last", "why"),
    [
        (lambda x, last: x.mean((2, 3)), nn.Identity(), "'maps'"),
        (lambda x, last: last(x.amax((2, 3))), nn.Linear(4, 3), "averages of any layer's maps"),
        (lambda x, last: last(x.mean((2, 3))).tanh(), nn.Linear(4, 3), "does not give the scores"),
        (lambda x, last: 2 * last(x).mean((2, 3)), nn.Conv2d(4, 3, 1), "are not the averaged maps"),
        (lambda x, last: last(x).mean((2, 3)), nn.Conv2d(4, 3, 3), "are not the averaged maps"),
        (lambda x, last: last(x).amax((2, 3)), nn.Conv2d(4, 3, 1), "are not the averaged maps"),
    ],
)
def test_other_ends_are_refused_by_their_numbers(end: Any, last: nn.Module, why: str, cat: Image.Image) -> None:
    torch.manual_seed(0)
    engine = engine_of(Ends(end, last))
    with pytest.raises(ValueError, match="grad_cam answers the same question") as caught:
        cam(engine, cat)
    assert why in str(caught.value)


@pytest.mark.parametrize("rectified", [False, True])
def test_cam_of_class_maps_made_by_a_1x1_convolution(rectified: bool, cat: Image.Image, unrounded: Unrounded) -> None:
    torch.manual_seed(0)
    last = nn.Conv2d(4, 3, 1)
    engine = engine_of(Ends(lambda x, last: (F.relu(last(x)) if rectified else last(x)).mean((2, 3)), last))
    maps = F.relu(engine.capture(cat, "maps")["maps"][0])
    close(unrounded(cam, engine, cat, 2)[1], torch.einsum("c,chw->hw", last.weight.detach()[2, :, 0, 0], maps))


def test_cam_at_another_layer_is_an_error_that_names_the_right_one(small: Engine, cat: Image.Image) -> None:
    for wrong in ("first", "pool", "nonsense"):
        with pytest.raises((ValueError, KeyError)) as caught:
            cam(small, cat, layer=wrong)
        assert "relu" in str(caught.value) or "second" in str(caught.value)
        assert wrong in str(caught.value)


def test_cam_of_a_unit_is_an_error_that_points_to_grad_cam(small: Engine, cat: Image.Image) -> None:
    for options in ({"target": Unit("second", 1)}, {"target": 1, "against": Unit("head", 1)}):
        with pytest.raises(ValueError, match="cam explains classes.*grad_cam"):
            cam(small, cat, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ANYWHERE)
@pytest.mark.parametrize(
    ("layer", "error", "said"),
    [
        ("secnd", KeyError, "did you mean 'second'"),
        ("", KeyError, "no layer ''"),
        ("head", ValueError, "puts out 5, not maps C x h x w; the last with maps is"),
        (3, KeyError, "no layer 3"),
        ("second#2", KeyError, "1 time"),
    ],
)
def test_a_wrong_layer_is_an_error_that_says_what_would_do(
    method: Any, layer: Any, error: type[Exception], said: str, small: Engine, cat: Image.Image
) -> None:
    with pytest.raises(error) as caught:
        method(small, cat, 1, layer)
    assert said in str(caught.value)


@pytest.mark.parametrize("method", [*GRADIENTS, guided_grad_cam])
def test_a_layer_after_the_unit_is_an_error(method: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(ValueError, match="'pool channel 1' does not depend on layer 'second'"):
        method(small, cat, Unit("pool", 1), "second")


def test_an_earlier_call_of_a_shared_layer_can_be_asked_for(
    small: Engine, cat: Image.Image, unrounded: Unrounded
) -> None:
    first, again = (unrounded(grad_cam, small, cat, 1, layer)[1] for layer in ("relu#1", "relu#2"))
    assert first.shape != again.shape
    assert torch.equal(again, unrounded(grad_cam, small, cat, 1, "relu")[1])


def test_score_cam_of_constant_maps_is_an_error_that_says_so(cat: Image.Image) -> None:
    dead = small_network()
    with torch.no_grad():
        dead.second.bias.fill_(-99)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="every map of 'relu' is constant"):
        score_cam(engine_of(dead), cat, 1, "relu")
    assert not grad_cam(engine_of(dead), cat, 1, "relu").values.any()


def test_guided_grad_cam_without_rectifiers_is_an_error(cat: Image.Image) -> None:
    engine = engine_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    with pytest.raises(NoRuleError, match="none on the way"):
        guided_grad_cam(engine, cat, 1)
    assert grad_cam(engine, cat, 1).layer == "0"


@pytest.mark.parametrize("method", ANYWHERE)
def test_a_network_without_maps_is_an_error_that_points_to_saliency(method: Any, cat: Image.Image) -> None:
    engine = engine_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4), nn.ReLU(), nn.Linear(4, 3)))
    with pytest.raises(ValueError, match="no layer with a spatial extent.*saliency"):
        method(engine, cat, 1)


@pytest.mark.parametrize("method", ANYWHERE)
def test_a_unit_of_the_first_layer_has_no_maps_before_it(method: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(ValueError, match="no layer with a spatial extent before 'first'"):
        method(small, cat, Unit("first", 1))


@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_an_error_that_says_what_was_wanted(method: Any, small: Engine, cat: Image.Image) -> None:
    with pytest.raises(TypeError, match=r"Small; wanted an Engine, as in Engine\('squeezenet1_1'\)"):
        method(small.model, cat)
    with pytest.raises(ImageError):
        method(small, np.full((8, 8, 3), np.nan))
    with pytest.raises(KeyError, match="did you mean 'cat'"):
        method(small, cat, "cats")
    with pytest.raises(IndexError, match="classes 0 to 4"):
        method(small, cat, 5)
    with pytest.raises(TypeError, match="class index, a class name or a Unit"):
        method(small, cat, 1.5)
    with pytest.raises(ValueError, match="both 'bee'"):
        method(small, cat, "bee", against=1)
    with pytest.raises(KeyError, match="did you mean"):
        method(small, cat, "bee", against="dogs")
