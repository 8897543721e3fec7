"""One unit carried back to the pixels: captum's numbers, nothing outside its field, nothing when it is off."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine, NoRuleError
from cnnviz_widgets.methods.activations import activations
from cnnviz_widgets.methods.backprop import deconvnet, guided_backprop, saliency
from cnnviz_widgets.methods.units import project_unit
from cnnviz_widgets.results import Heatmap, Result, Unit, UnitProjection
from cnnviz_widgets.widgets.method_menu import is_map_method, map_methods
from tests.benchmarks.zoo import random_network
from tests.engine.nets import TRANSFORM, messy
from tests.engine.snapshot import snapshot
from tests.methods.looks import engine_of
from tests.methods.test_against_captum import in_rgb, pair

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations"),
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients"),
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks and attributes"),
]
LAYERS = {
    "alexnet": ("features.0", "features.1", "features.5", "features.8", "features.12"),
    "vgg11": ("features.1", "features.4", "features.13", "features.18"),
    "squeezenet1_1": ("features.3.expand3x3", "features.5", "features.9", "features.12"),
    "resnet18": ("relu", "layer1.0", "layer2.0.bn1", "layer3.1.conv2", "layer4.0"),
    "bundled": ("features.0", "features.3", "features.6.squeeze_activation", "features.12"),
}
WAYS: dict[Any, tuple[Any, dict[str, Any]]] = {
    "saliency": (NeuronGradient, {}),
    "deconvnet": (NeuronDeconvolution, {"unpool": "gradient"}),
    "guided_backprop": (NeuronGuidedBackprop, {}),
}
Unrounded = Callable[..., list[Tensor]]


@pytest.fixture(scope="module")
def bundled() -> Engine:
    return Engine("squeezenet1_1")


def live_channels(engine: Engine, image: Image.Image, layer: str, count: int) -> list[int]:
    """The strongest channel, and others that are on."""
    order = activations(engine, image, layer)
    live = [int(c) for c in order.ranking() if not order.dead[c]]
    return live[:: max(1, len(live) // count)][:count]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAYERS)
def test_within_1e_9_of_captum_s_neurons(name: str, way: Any, cat: Image.Image, unrounded: Unrounded) -> None:
    found = pair(name)
    oracle, options = WAYS[way]
    project = partial(project_unit, method=way, **options)
    for layer in LAYERS[name]:
        for channel in live_channels(found.engine, cat, layer, 2):
            unit = Unit(layer, channel)
            (ours,) = unrounded(project, found.engine, cat, unit)
            placed = project(found.engine, cat, unit).target
            assert isinstance(placed, Unit)
            theirs = oracle(found.twin, found.twin.get_submodule(layer)).attribute(
                found.engine.prepare(cat), neuron_selector=(channel, placed.y, placed.x)
            )
            theirs = in_rgb(found, theirs.detach())
            assert theirs.abs().max() > 0
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9 * theirs.abs().max().item())


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "squeezenet1_1", "resnet18", "googlenet", "densenet121"])
def test_values_outside_the_receptive_field_are_exactly_zero(name: str, cat: Image.Image) -> None:
    engine = engine_of(random_network(name, 96), 96)
    rows = engine.layers_for(engine.prepare(cat)).in_order()
    local = [r for r in rows if r.spatial and r.receptive_field and max(r.receptive_field.size) < 90]
    smaller = 0
    for row in local[:: max(1, len(local) // 6)]:
        channel = live_channels(engine, cat, row.name, 1)[0]
        corner = Unit(row.name, channel, 0, row.shape[2] - 1)
        for unit in (Unit(row.name, channel), corner):
            for way in WAYS:
                found = project_unit(engine, cat, unit, method=way)
                x0, y0, x1, y1 = found.box
                outside = found.values.copy()
                outside[:, y0:y1, x0:x1] = 0
                assert not outside.any(), (row.name, way)
                smaller += (x1 - x0) * (y1 - y0) < 96 * 96 / 2
    assert smaller > 10


def test_without_a_position_it_is_where_the_channel_is_strongest(cat: Image.Image, bundled: Engine) -> None:
    maps = activations(bundled, cat, "features.9").maps[364]
    y, x = np.unravel_index(maps.argmax(), maps.shape)
    found = project_unit(bundled, cat, Unit("features.9", 364))
    assert found.target == Unit("features.9", 364, int(y), int(x)) and found.activation == maps.max() > 0
    chosen = project_unit(bundled, cat, Unit("features.9", 364, 1, 2))
    assert chosen.target == Unit("features.9", 364, 1, 2) and chosen.activation == maps[1, 2]
    assert not np.array_equal(chosen.box, found.box)
    assert chosen.target_name == "features.9 channel 364 at y=1, x=2" and chosen.layer == "features.9"


def test_the_box_is_the_field_cut_to_the_picture(cat: Image.Image, bundled: Engine) -> None:
    field = bundled.layers["features.9"].receptive_field
    assert field is not None
    for y, x in ((0, 0), (6, 6), (12, 3)):
        left, top, right, bottom = field.box(y, x)
        found = project_unit(bundled, cat, Unit("features.9", 364, y, x))
        wanted = [max(left, 0), max(top, 0), min(right, 224), min(bottom, 224)]
        assert found.box.tolist() == wanted and found.box.dtype == np.int64
        x0, y0, x1, y1 = wanted
        assert np.array_equal(found.crop(), found.values[:, y0:y1, x0:x1])
        assert np.array_equal(found.patch(), found.image[y0:y1, x0:x1])


@pytest.mark.parametrize(("way", "whole"), [("deconvnet", deconvnet), ("guided_backprop", guided_backprop),
                                            ("saliency", saliency)])  # fmt: skip
def test_it_is_the_method_of_that_name_for_this_position(
    way: Any, whole: Callable[..., Any], cat: Image.Image, bundled: Engine
) -> None:
    found = project_unit(bundled, cat, Unit("features.7", 12), method=way)
    expected = whole(bundled, cat, found.target)
    assert np.array_equal(found.values, expected.values) and found.values.any()
    assert found.citation == expected.citation and found.parameters["method"] == way


def test_unpooling_by_switches_is_the_default_and_not_the_gradient_s(cat: Image.Image, bundled: Engine) -> None:
    unit = Unit("features.9", 364)
    default, switches, gradient = (
        found.values
        for found in (
            project_unit(bundled, cat, unit),
            project_unit(bundled, cat, unit, unpool="switches"),
            project_unit(bundled, cat, unit, unpool="gradient"),
        )
    )
    assert np.array_equal(default, switches) and not np.array_equal(default, gradient)


@pytest.mark.parametrize("way", WAYS)
def test_a_unit_that_is_off_projects_nothing_and_says_so(way: Any, cat: Image.Image, bundled: Engine) -> None:
    dead = int(np.flatnonzero(activations(bundled, cat, "features.9").dead)[0])
    found = project_unit(bundled, cat, Unit("features.9", dead), method=way)
    assert found.activation == 0 and not found.values.any()
    assert deconvnet(bundled, cat, found.target).values.any()  # whose rule alone does not look whether it is on


@pytest.mark.parametrize("way", WAYS)
def test_with_no_rectifier_below_every_method_gives_the_kernel(way: Any, cat: Image.Image, bundled: Engine) -> None:
    found = project_unit(bundled, cat, Unit("features.0", 5, 10, 20), method=way)
    kernel = bundled.modules["features.0"].get_parameter("weight")[5].detach().flip(0)  # the network reads B, G, R
    assert np.allclose(found.crop(), kernel.numpy(), rtol=1e-6) and found.box.tolist() == [40, 20, 43, 23]
    assert found.parameters.get("rectified", False) is False
    assert project_unit(bundled, cat, Unit("features.1", 5), method="deconvnet").parameters["rectified"] is True


class Doubtful(nn.Module):
    """Its rectifier cannot be told from other arithmetic; a gate, then a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.after, self.gate = nn.Conv2d(3, 4, 5, 2), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)
        self.relu, self.fc = nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.after(self.conv(x).clamp(min=0))
        x = self.relu(x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid())
        return self.fc(x.mean((2, 3)))


def test_where_a_rule_cannot_be_right_there_is_an_error_and_saliency_remains(cat: Image.Image) -> None:
    engine = engine_of(Doubtful())
    with pytest.raises(NoRuleError, match="with Clamp"):
        project_unit(engine, cat, Unit("after", 1))
    assert project_unit(engine, cat, Unit("after", 1), method="saliency").values.any()


def test_of_what_sees_everything_the_box_is_the_picture(cat: Image.Image) -> None:
    engine = engine_of(Doubtful())
    for unit, placed in ((Unit("relu", 1, 2, 3), Unit("relu", 1, 2, 3)), (Unit("fc", 2), Unit("fc", 2))):
        found = project_unit(engine, cat, unit, method="saliency")
        assert found.box.tolist() == [0, 0, 64, 64] and found.target == placed
    assert found.activation == pytest.approx(float(engine.scores(cat)[0, 2]))


def test_a_unit_that_sees_only_padding_has_an_empty_box(cat: Image.Image) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3, padding=4), nn.Flatten(), nn.LazyLinear(2))
    net(torch.rand(1, 3, 64, 64))
    found = project_unit(engine_of(net), cat, Unit("0", 1, 0, 0), method="saliency")
    assert found.crop().size == found.patch().size == 0 and not found.values.any()
    assert found.box.tolist() == [0, 0, 0, 0]


def test_it_is_in_no_menu_of_map_methods() -> None:
    assert not is_map_method(project_unit)
    assert "project_unit" not in map_methods() and "deconvnet" in map_methods()


def test_wrong_questions_say_what_was_wanted(cat: Image.Image, bundled: Engine) -> None:
    wrong: Any = "deconv"
    with pytest.raises(ValueError, match="method='deconv'; wanted 'deconvnet'.*near: deconvnet"):
        project_unit(bundled, cat, Unit("features.9", 1), method=wrong)
    with pytest.raises(IndexError, match="no position y=13, x=0 in layer 'features.9'"):
        project_unit(bundled, cat, Unit("features.9", 1, 13, 0))
    with pytest.raises(KeyError, match="no layer 'features.99'"):
        project_unit(bundled, cat, Unit("features.99", 1))


@pytest.mark.parametrize("way", WAYS)
def test_the_module_stays_as_it_was(way: Any, cat: Image.Image) -> None:
    net = messy()
    before = snapshot(net)
    found = project_unit(Engine(net, transform=TRANSFORM), cat, Unit("last", 3), method=way)
    assert found.values.any() and snapshot(net) == before


def test_a_saved_result_is_the_one_in_memory(cat: Image.Image, bundled: Engine, tmp_path: Path) -> None:
    found = project_unit(bundled, cat, Unit("features.9", 364))
    loaded = Result.load(found.save(tmp_path / "unit.npz"))
    assert isinstance(loaded, UnitProjection) and loaded.target == found.target
    assert loaded.values.tobytes() == found.values.tobytes() and loaded.box.tolist() == found.box.tolist()
    assert (loaded.activation, loaded.parameters) == (found.activation, found.parameters)
    heat = loaded.heatmap()
    assert type(heat) is Heatmap and heat.values.max() == np.abs(found.values).max()
