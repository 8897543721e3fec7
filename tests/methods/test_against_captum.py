"""Against captum, in double precision: the same numbers where captum is right.

Captum sees rectifiers only as modules that are called once and work out of place, so it gets copies that are so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from captum import attr
from PIL import Image
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.backprop import (
    deconvnet,
    grad_times_input,
    guided_backprop,
    integrated_gradients,
    saliency,
)
from cnnviz_widgets.methods.cam import grad_cam
from cnnviz_widgets.models import Preprocessing, load
from tests.benchmarks.zoo import random_network
from tests.engine.slow_rules import sharing_copy

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations"),
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes"),
]
NETWORKS = ("alexnet", "vgg11", "squeezenet1_1", "resnet18", "bundled")
SIDE, TARGET = 64, 7
Unrounded = Callable[..., list[Tensor]]


class Pair(NamedTuple):
    engine: Engine
    twin: nn.Module  # for captum
    last: str  # a convolution, where there is one after which a rectifier works in place


@cache
def pair(name: str) -> Pair:
    """A network in double precision, inside an engine and as captum needs it; the weights are shared."""
    transform = Preprocessing(resize=SIDE, crop=SIDE)
    if name == "bundled":
        network = load("squeezenet1_1")
        module, transform = network.module, replace(network.preprocessing, resize=SIDE, crop=SIDE)
    else:
        module = random_network(name, SIDE)
    module.double()
    last = {"alexnet": "features.10", "vgg11": "features.18", "resnet18": "layer4.1.bn2"}.get(name, "features.12")
    return Pair(Engine(module, transform=transform), for_captum(module), last)


class ApartBlock(nn.Module):
    """A residual block of torchvision whose two rectifiers are two modules."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = block.conv1, block.bn1, nn.ReLU()
        self.conv2, self.bn2, self.relu2 = block.conv2, block.bn2, nn.ReLU()
        self.downsample = block.downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + shortcut)


def for_captum(module: nn.Module) -> nn.Module:
    def replaced(part: nn.Module) -> nn.Module:
        for name, child in part.named_children():
            setattr(part, name, replaced(child))
        if isinstance(part, BasicBlock):
            return ApartBlock(part)
        return nn.ReLU() if isinstance(part, nn.ReLU) else part

    return replaced(sharing_copy(module)).eval()


@contextmanager
def double_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def in_rgb(pair: Pair, values: Tensor) -> Tensor:
    return pair.engine.preprocessing.to_rgb(values)[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_captums_copy_gives_the_same_scores(name: str, cat: Image.Image) -> None:
    found = pair(name)
    x = found.engine.prepare(cat)
    assert torch.equal(found.twin(x), found.engine.logits(x))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("method", "oracle", "options"),
    [
        (guided_backprop, attr.GuidedBackprop, {}),
        (deconvnet, attr.Deconvolution, {"unpool": "gradient"}),
        (grad_times_input, attr.InputXGradient, {}),
    ],
)
def test_identical_to_the_last_bit(
    name: str, method: Any, oracle: Any, options: dict[str, Any], cat: Image.Image, unrounded: Unrounded
) -> None:
    found = pair(name)
    theirs = in_rgb(found, oracle(found.twin).attribute(found.engine.prepare(cat), target=TARGET)).detach()
    (ours,) = unrounded(method, found.engine, cat, TARGET, **options)
    assert theirs.abs().max() > 0
    assert torch.equal(ours, theirs)
    result = method(found.engine, cat, TARGET, **options)
    assert torch.equal(torch.tensor(result.values), theirs.float())


@pytest.mark.parametrize("name", NETWORKS)
def test_saliency_within_1e_9(name: str, cat: Image.Image, unrounded: Unrounded) -> None:
    found = pair(name)
    theirs = attr.Saliency(found.twin).attribute(found.engine.prepare(cat), target=TARGET, abs=False)
    (ours,) = unrounded(saliency, found.engine, cat, TARGET)
    torch.testing.assert_close(ours, in_rgb(found, theirs), rtol=1e-9, atol=1e-9 * theirs.abs().max().item())


@pytest.mark.parametrize(
    ("name", "steps"), [("alexnet", 6), ("vgg11", 3), ("squeezenet1_1", 50), ("resnet18", 8), ("bundled", 50)]
)
def test_integrated_gradients_within_1e_9(
    name: str, steps: int, cat: Image.Image, unrounded: Unrounded, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = pair(name)
    x = found.engine.prepare(cat)
    with monkeypatch.context() as patch, double_by_default():
        patch.setattr(Tensor, "float", Tensor.double)  # captum rounds its quadrature's weights twice; not here
        theirs = attr.IntegratedGradients(found.twin).attribute(x, target=TARGET, n_steps=steps, internal_batch_size=8)
    (ours,) = unrounded(integrated_gradients, found.engine, cat, TARGET, steps=steps)
    torch.testing.assert_close(ours, in_rgb(found, theirs), rtol=1e-9, atol=1e-9 * theirs.abs().max().item())


@pytest.mark.parametrize("counterfactual", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_identical_to_1e_12_also_before_a_rectifier_in_place(
    name: str, counterfactual: bool, cat: Image.Image, unrounded: Unrounded
) -> None:
    found = pair(name)
    oracle = attr.LayerGradCam(
        (lambda x: -found.twin(x)) if counterfactual else found.twin, found.twin.get_submodule(found.last)
    )
    theirs = oracle.attribute(found.engine.prepare(cat), target=TARGET, relu_attributions=True)[0, 0].detach()
    values, raw = unrounded(grad_cam, found.engine, cat, TARGET, found.last, counterfactual)
    torch.testing.assert_close(raw, theirs, rtol=1e-12, atol=1e-12 * theirs.abs().max().item())
    larger = attr.LayerAttribution.interpolate(theirs[None, None], (SIDE, SIDE), "bilinear")[0, 0]
    torch.testing.assert_close(values, larger, rtol=1e-12, atol=1e-12 * theirs.abs().max().item())


def test_vgg11s_last_convolution_is_followed_by_a_rectifier_in_place() -> None:
    features = pair("vgg11").engine.modules
    assert isinstance(features["features.18"], nn.Conv2d)
    following = features["features.19"]
    assert isinstance(following, nn.ReLU) and following.inplace
