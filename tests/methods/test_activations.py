"""What layers answer: the very values of a plain forward pass, their statistics, remembered, and placed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.activations import activations, layer_activity
from cnnviz_widgets.models import load
from cnnviz_widgets.results import Activations, Result
from tests.benchmarks.zoo import random_network
from tests.engine.nets import TRANSFORM, Do, messy
from tests.engine.snapshot import snapshot
from tests.methods.looks import Passes, engine_of, plain_outputs

NETWORKS = ("squeezenet1_1", "vgg11", "resnet18", "googlenet", "densenet121")


@cache
def double(name: str) -> Engine:
    return engine_of(random_network(name, 64).double())


@pytest.fixture
def bundled() -> Engine:
    return Engine("squeezenet1_1")


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_every_layer_are_those_of_a_plain_forward(name: str, cat: Image.Image) -> None:
    engine = double(name)
    x = engine.prepare(cat)
    expected = plain_outputs(engine.model, x)
    names = [row.name for row in engine.layers_for(x).values() if row.shape]
    found = activations(engine, cat, names)
    assert list(found) == names and len(names) > 20
    for layer in names:
        output = expected[layer]
        maps = torch.tensor(found[layer].maps)
        assert torch.equal(maps, output.float().reshape(maps.shape)), layer
        assert maps.shape[0] == output.shape[1]


@pytest.mark.parametrize("name", ["squeezenet1_1", "vgg11"])
def test_in_single_precision_too_before_and_after_a_rectifier_in_place(name: str, cat: Image.Image) -> None:
    engine = engine_of(load("squeezenet1_1").module if name == "squeezenet1_1" else random_network(name, 64))
    layers = {"squeezenet1_1": ["features.0", "features.1"], "vgg11": ["features.18", "features.19"]}[name]
    x = engine.prepare(cat).contiguous(memory_format=torch.channels_last)
    expected = plain_outputs(engine.model, x)
    before, after = activations(engine, cat, layers).values()
    assert engine.modules[layers[1]].inplace
    assert np.array_equal(before.maps, expected[layers[0]][0].numpy())
    assert np.array_equal(after.maps, before.maps.clip(0))
    assert before.signed and not after.signed


def test_statistics_are_those_of_slow_loops(cat: Image.Image) -> None:
    engine = double("resnet18")
    for layer in ("conv1", "relu", "layer2.0.conv1", "avgpool", "fc"):
        result = activations(engine, cat, layer)
        for channel, values in enumerate(result.maps):
            numbers = [float(v) for v in values.flat]
            assert result.maximum[channel] == max(numbers)
            assert result.mean[channel] == pytest.approx(sum(numbers) / len(numbers), rel=1e-6, abs=1e-9)
            assert result.zeros[channel] == np.float32(numbers.count(0.0) / len(numbers))
            assert result.dead[channel] == (not any(v > 0 for v in numbers))
        assert result.signed == bool((result.maps < 0).any())


def test_zeros_are_what_a_rectifier_made(cat: Image.Image) -> None:
    before, after = activations(double("vgg11"), cat, ["features.0", "features.1"]).values()
    assert before.zeros.max() == 0
    assert np.array_equal(after.zeros, (before.maps <= 0).mean((1, 2)).astype(np.float32))
    assert after.zeros.max() > 0.2


def result(maps: Any, **changes: Any) -> Activations:
    maps = np.asarray(maps, np.float32)
    about: dict[str, Any] = {name: maps.max((1, 2)) for name in ("maximum", "mean", "zeros")}
    about |= {"image": np.zeros((4, 4, 3), np.uint8), "method": "activations", "layer": "a"}
    return Activations(**{**about, "maps": maps, "signed": False, "dead": maps.max((1, 2)) <= 0, **changes})


def test_a_ranking_is_by_maximum_and_the_lower_number_wins_a_tie() -> None:
    maps = np.zeros((5, 2, 3))
    maps[1, 1, 2], maps[3, 0, 1], maps[3, 1, 0], maps[4, 1, 1] = 2, 7, 7, 2
    found = result(maps)
    assert found.ranking().tolist() == [3, 1, 4, 0, 2]
    assert found.unit(3) == (0, 1) and found.unit(1) == (1, 2)
    with pytest.raises(IndexError, match="no channel 5 in layer 'a'; it has 0 to 4"):
        found.unit(5)
    assert repr(found) == "Activations(a: 5 maps of 2x3, 2 without a value above zero, 4x4)"


def test_several_layers_cost_one_pass_and_a_second_look_none(cat: Image.Image) -> None:
    engine = engine_of(random_network("squeezenet1_1", 64))
    passes = Passes(engine, engine.prepare(cat))
    first = activations(engine, cat, ["features.3", "features.0", "features.12"])
    assert passes.since() == 1 and list(first) == ["features.3", "features.0", "features.12"]
    again = activations(engine, cat, "features.0")
    assert passes.since() == 0
    assert np.array_equal(again.maps, first["features.0"].maps)
    activations(engine, cat.rotate(90), "features.0")
    assert passes.since() == 1
    assert activations(engine, cat, []) == {}


def test_of_several_layers_only_those_not_yet_known_are_computed(
    cat: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = double("squeezenet1_1")
    known = activations(engine, cat.rotate(45), "features.4")
    asked: list[list[str]] = []
    outputs = engine.outputs
    monkeypatch.setattr(engine, "outputs", lambda x, names: asked.append(list(names)) or outputs(x, names))
    found = activations(engine, cat.rotate(45), ["features.0", "features.4", "features.0", "features.7"])
    assert asked == [["features.0", "features.7"]]
    assert list(found) == ["features.0", "features.4", "features.7"]
    assert np.array_equal(found["features.4"].maps, known.maps)


def test_what_was_remembered_is_forgotten_when_the_network_learns(cat: Image.Image) -> None:
    net = random_network("vgg11", 64)
    engine = engine_of(net)
    before = activations(engine, cat, "features.0").maps
    with torch.no_grad():
        net.get_parameter("features.0.weight").mul_(2)
        net.get_parameter("features.0.bias").zero_()
    after = activations(engine, cat, "features.0").maps
    assert not np.array_equal(before, after)


def test_nobody_can_change_what_is_remembered(cat: Image.Image, bundled: Engine) -> None:
    first = activations(bundled, cat, "features.0")
    kept = first.maps.copy()
    first.maps.flags.writeable = True
    first.maps[:] = 0
    assert np.array_equal(activations(bundled, cat, "features.0").maps, kept)


def test_single_calls_of_a_layer_that_runs_several_times(cat: Image.Image) -> None:
    net = messy()
    engine = Engine(net, transform=TRANSFORM)
    found = activations(engine, cat, ["relu#1", "relu#2", "relu#3", "relu"])
    assert [a.layer for a in found.values()] == ["relu#1", "relu#2", "relu#3", "relu"]
    bn = activations(engine, cat, "bn").maps
    assert np.array_equal(found["relu#1"].maps, bn.clip(0))
    assert not np.array_equal(found["relu#1"].maps, found["relu#2"].maps)
    with pytest.raises(KeyError, match="runs 3 time"):
        activations(engine, cat, "relu#4")


def test_a_vector_is_maps_of_one_position(cat: Image.Image, bundled: Engine) -> None:
    found = activations(bundled, cat, "classifier.3")
    assert found.maps.shape == (1000, 1, 1)
    assert np.allclose(found.maps[:, 0, 0], bundled.scores(cat)[0])
    assert found.ranking()[0] == bundled.predict(cat).indices[0]


def test_geometry_comes_along_as_plain_numbers(cat: Image.Image, bundled: Engine) -> None:
    about = activations(bundled, cat, "features.9").parameters
    field = bundled.layers["features.9"].receptive_field
    assert field is not None and about["kind"] == "Fire"
    wanted = {"size": [111, 111], "stride": [16, 16], "start": [-40, -40], "whole": False, "local": None}
    assert about["receptive_field"] == wanted
    assert tuple(wanted["size"]) == field.size and tuple(wanted["start"]) == field.start
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), Do(lambda x: x.roll(1, 2)), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.LazyLinear(5)
    )
    net(torch.rand(1, 3, 64, 64))
    assert activations(engine_of(net), cat, "2").parameters["receptive_field"] is None


class Odd(nn.Module):
    """A layer that does not run, one that gives no tensor, one that gives tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unused, self.head = nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)
        self.words = Do(lambda x: {"said": x})
        self.tokens = Do(lambda x: x.flatten(2).transpose(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.tokens(self.words(self.conv(x))["said"]).mean(1))


@pytest.mark.parametrize(
    ("layer", "error", "reason"),
    [
        ("unused", ValueError, "'unused' has no units: it did not run"),
        ("words", ValueError, "'words' has no units: it gives no tensor"),
        ("tokens", ValueError, r"'tokens' puts out \(64, 4\) values whose channels and positions are not known"),
        ("cnv", KeyError, "no layer 'cnv' in Odd; did you mean 'conv'"),
        (3, TypeError, "layer is 3; wanted a layer's name"),
        ([3], TypeError, "wanted a layer's name"),
    ],
)
def test_what_cannot_be_shown_says_why(layer: Any, error: type[Exception], reason: str, cat: Image.Image) -> None:
    with pytest.raises(error, match=reason):
        activations(engine_of(Odd()), cat, layer)


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "densenet121"])
def test_activity_is_the_share_above_zero_of_every_layer_in_one_pass(name: str, cat: Image.Image) -> None:
    engine = double(name)
    x = engine.prepare(cat)
    passes = Passes(engine, x)
    found = layer_activity(engine, cat)
    assert passes.since() == 1
    assert layer_activity(engine, cat) == found and passes.since() == 0
    expected = {n: (output > 0).double().mean().item() for n, output in plain_outputs(engine.model, x).items() if n}
    assert found == pytest.approx(expected, abs=1e-12)
    assert set(found) == {row.name for row in engine.layers_for(x).values() if row.shape}


def test_activity_passes_over_what_gives_no_tensor_and_is_the_caller_s_own(cat: Image.Image) -> None:
    engine = engine_of(Odd())
    found = layer_activity(engine, cat)
    assert sorted(found) == ["conv", "head", "tokens"]
    found.clear()
    assert layer_activity(engine, cat)


def test_the_module_stays_as_it_was(cat: Image.Image) -> None:
    net = messy()
    engine = Engine(net, transform=TRANSFORM)
    before = snapshot(net)
    activations(engine, cat, [row.name for row in engine.layers.values() if row.axes])
    layer_activity(engine, cat)
    assert snapshot(net) == before


def test_a_saved_result_is_the_one_in_memory(cat: Image.Image, bundled: Engine, tmp_path: Path) -> None:
    found = activations(bundled, cat, "features.9")
    loaded = Result.load(found.save(tmp_path / "maps.npz"))
    assert isinstance(loaded, Activations) and loaded.parameters == found.parameters
    for name in ("image", "maps", "maximum", "mean", "zeros", "dead"):
        assert getattr(loaded, name).tobytes() == getattr(found, name).tobytes()
    assert (loaded.layer, loaded.signed) == ("features.9", False)
    assert "features.9" in repr(loaded)
