"""The sum behind one value: true on real networks, for every setting of a convolution."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.activations import activations
from cnnviz_widgets.methods.arithmetic import layer_input, unit_arithmetic
from cnnviz_widgets.models import load
from cnnviz_widgets.results import Arithmetic, Result, Unit
from tests.benchmarks.zoo import random_network
from tests.engine.nets import TRANSFORM, Do, messy
from tests.engine.snapshot import snapshot
from tests.methods.looks import Passes, engine_of, plain_outputs


@pytest.fixture(scope="module")
def bundled() -> Engine:
    return Engine("squeezenet1_1")


def assert_true(found: Arithmetic, within: float = 1e-5) -> None:
    """The sum is what the network put out, and the parts are what they are said to be."""
    assert abs(found.total - found.value) <= within * max(1, abs(found.value))
    products = found.inputs.astype(np.float64) * found.kernel
    np.testing.assert_allclose(found.contributions, products.sum((1, 2)), rtol=1e-5, atol=1e-5)
    assert found.total == pytest.approx(found.contributions.sum() + found.bias, rel=1e-12, abs=1e-12)


NETWORKS = ("bundled", "efficientnet_lite0", "vgg11", "resnet18", "googlenet", "densenet121", "mobilenet_v2",
            "shufflenet_v2_x0_5", "regnet_y_400mf", "convnext_tiny")  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_true_to_1e_5_on_every_convolution_of_real_networks(name: str, cat: Image.Image) -> None:
    if name in ("bundled", "efficientnet_lite0"):
        network = load("squeezenet1_1" if name == "bundled" else name)
        engine = Engine(network.module, transform=network.preprocessing)
    else:
        engine = engine_of(random_network(name, 64))
    rng, kinds = np.random.default_rng(0), set()
    x = engine.prepare(cat)
    rows = [r for r in engine.layers_for(x).in_order() if isinstance(engine.modules[r.name], nn.Conv2d | nn.Linear)]
    for row in rows[:: max(1, len(rows) // 25)]:
        channel = int(rng.integers(row.shape[0]))
        spots: list[tuple[Any, Any]] = [(None, None)]
        if row.axes is not None:
            height, width = row.shape[1:]
            spots += [(0, 0), (height - 1, width - 1), (int(rng.integers(height)), int(rng.integers(width)))]
        for y, x_ in spots:
            found = unit_arithmetic(engine, cat, Unit(row.name, channel, y, x_))
            assert_true(found)
            kinds.add((found.kernel.shape[1:], bool(found.inside.all())))
    assert len(kinds) > 1


SETTINGS: list[dict[str, Any]] = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation, "padding_mode": mode}
    for kernel, stride, padding, dilation, mode in itertools.product(
        [3, (4, 1)],
        [1, (2, 3)],
        [0, 1, (3, 2), "same", "valid"],
        [1, (2, 3)],
        ["zeros", "reflect", "replicate", "circular"],
    )  # fmt: skip
    if not (padding == "same" and stride != 1)
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("third", "groups", "bias"), [(0, 1, True), (1, 2, False), (2, 4, True)])
def test_true_for_every_setting_of_a_convolution(third: int, groups: int, bias: bool) -> None:
    torch.manual_seed(0)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (14, 13, 3), np.uint8))
    for settings in SETTINGS[third::3]:
        net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, groups=groups, bias=bias, **settings),
                            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)).double()  # fmt: skip
        engine = Engine(net, transform=lambda picture: torch.tensor(np.array(picture) / 255.0).permute(2, 0, 1))
        output = plain_outputs(net, engine.prepare(noise))["1"][0]
        mode = settings["padding_mode"]
        padded = F.pad(plain_outputs(net, engine.prepare(noise))["0"], _widths(net[1]), _MODES[mode])[0]
        for channel, y, x in ((0, 0, 0), (7, output.shape[1] - 1, output.shape[2] - 1), (5, 1, 1)):
            found = unit_arithmetic(engine, noise, Unit("1", channel, y, x))
            assert_true(found, 1e-12)
            assert found.value == output[channel, y, x].item()
            width = 4 // groups
            assert found.channels.tolist() == list(
                range(channel // (8 // groups) * width, (channel // (8 // groups) + 1) * width)
            )
            cells = _cells(net[1], y, x)
            slow = np.array([[[padded[c, i, j] for j in cells[1]] for i in cells[0]] for c in found.channels])
            np.testing.assert_array_equal(found.inputs, slow.astype(np.float32), str(settings))
            left, _, top, _ = _widths(net[1])
            inside = [[0 <= i - top < 14 and 0 <= j - left < 13 for j in cells[1]] for i in cells[0]]
            assert found.inside.tolist() == inside, settings
            assert (found.parameters["top"], found.parameters["left"]) == (cells[0][0] - top, cells[1][0] - left)
            assert (found.bias != 0) == bias


_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _widths(conv: Any) -> list[int]:
    """left, right, top, bottom, as torch pads for this convolution."""
    if conv.padding == "same":
        total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
        return [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2]
    rows, columns = (0, 0) if conv.padding == "valid" else conv.padding
    return [columns, columns, rows, rows]


def _cells(conv: Any, y: int, x: int) -> list[list[int]]:
    """The rows and columns of the padded input that the kernel lies on."""
    return [
        [position * stride + i * dilation for i in range(kernel)]
        for position, stride, dilation, kernel in zip((y, x), conv.stride, conv.dilation, conv.kernel_size, strict=True)
    ]


def test_many_positions_cost_one_pass(cat: Image.Image) -> None:
    engine = engine_of(random_network("vgg11", 64))
    passes = Passes(engine, engine.prepare(cat))
    for y, x in itertools.product(range(3), range(4)):
        unit_arithmetic(engine, cat, Unit("features.3", 7, y, x))
    assert passes.since() == 1
    activations(engine, cat, "features.3")
    assert passes.since() == 0
    unit_arithmetic(engine, cat, Unit("features.6", 7, 0, 0))
    assert passes.since() == 1


def test_the_input_of_a_layer_is_what_went_into_it(cat: Image.Image, bundled: Engine) -> None:
    x = bundled.prepare(cat)
    assert torch.equal(layer_input(bundled, x, "features.0"), x)
    before = bundled.outputs(x, ["features.2"])["features.2"]
    assert torch.equal(layer_input(bundled, x, "features.3"), before)


def test_without_a_position_it_is_where_the_channel_is_strongest(cat: Image.Image, bundled: Engine) -> None:
    maps = activations(bundled, cat, "features.4.expand3x3")
    found = unit_arithmetic(bundled, cat, Unit("features.4.expand3x3", 9))
    assert found.target == Unit("features.4.expand3x3", 9, *maps.unit(9))
    assert np.float32(found.value) == maps.maximum[9]


def test_the_largest_contributions_come_first(cat: Image.Image, bundled: Engine) -> None:
    found = unit_arithmetic(bundled, cat, Unit("features.4.expand3x3", 9, 3, 3))
    sizes = np.abs(found.contributions)
    assert len(found.channels) == 16
    assert found.largest(3).tolist() == sorted(range(16), key=lambda k: -sizes[k])[:3]
    assert sorted(found.largest()) == list(range(16))


def test_the_first_convolution_names_the_colours_that_it_reads(cat: Image.Image, bundled: Engine) -> None:
    colors = unit_arithmetic(bundled, cat, Unit("features.0", 9, 3, 3)).parameters["colors"]
    assert colors == ["blue", "green", "red"]
    assert unit_arithmetic(bundled, cat, Unit("features.3.squeeze", 9, 3, 3)).parameters["colors"] is None
    usual = engine_of(random_network("vgg11", 64))
    assert unit_arithmetic(usual, cat, Unit("features.0", 9, 3, 3)).parameters["colors"] == ["red", "green", "blue"]


class Standardised(nn.Conv2d):
    """A kernel without its mean, as in big transfer's networks."""

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias, self.stride, 1)


class Squashed(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).sigmoid()  # never near its sum, as a tanh would be


class Scaling(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input * 2)


def made(conv: nn.Module) -> Engine:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return engine_of(net)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize(
    "conv",
    [
        lambda: Standardised(4, 4, 3),
        lambda: parametrizations.weight_norm(nn.Conv2d(4, 4, 3)),
        lambda: parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)),
        lambda: torch.nn.utils.weight_norm(nn.Conv2d(4, 4, 3)),
    ],
)
def test_weights_that_are_made_on_the_way_are_those_that_count(conv: Any, cat: Image.Image) -> None:
    torch.manual_seed(0)
    engine = made(conv())
    before = snapshot(engine.model)
    found = unit_arithmetic(engine, cat, Unit("1", 2, 0, 5))
    assert_true(found)
    assert snapshot(engine.model) == before


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (lambda: Squashed(4, 4, 3), "this Squashed does more than that"),
        (lambda: Scaling(4, 4, 3), "changes its input before it convolves"),
        (lambda: nn.ConvTranspose2d(4, 4, 3), "conv_transpose2d is not followed"),
        (lambda: nn.Sequential(nn.Conv2d(4, 4, 3)), "is a Sequential, no sum of products.*last one before it is '1.0'"),
        (lambda: nn.BatchNorm2d(4), "is a BatchNorm2d, no sum of products; wanted .*; the last one before it is '0'"),
    ],
)
def test_what_is_no_sum_over_its_input_says_what_it_is(conv: Any, reason: str, cat: Image.Image) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=reason):
        unit_arithmetic(made(conv()), cat, Unit("1", 2, 3, 5))


class Twice(nn.Module):
    """One convolution that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(self.conv(x).relu_()).mean((2, 3)))


def test_each_call_of_a_convolution_that_runs_twice(cat: Image.Image) -> None:
    torch.manual_seed(0)
    engine = engine_of(Twice())
    first, second, last = (unit_arithmetic(engine, cat, Unit(name, 1, 4, 5)) for name in ("conv#1", "conv#2", "conv"))
    for found in (first, second, last):
        assert_true(found)
    assert first.value != second.value == last.value
    assert np.array_equal(first.kernel, second.kernel) and (second.inputs >= 0).all() > (first.inputs >= 0).all()


def test_a_linear_layer_is_the_case_of_one_position(cat: Image.Image) -> None:
    engine = engine_of(random_network("resnet18", 64))
    found = unit_arithmetic(engine, cat, Unit("fc", 7))
    assert_true(found)
    assert found.kernel.shape == found.inputs.shape == (512, 1, 1) and found.inside.all()
    assert found.value == pytest.approx(float(engine.scores(cat)[0, 7]), rel=1e-6)
    assert np.array_equal(found.inputs[:, 0, 0], activations(engine, cat, "avgpool").maps[:, 0, 0])


def test_a_linear_layer_over_rows_is_no_sum_over_channels(cat: Image.Image) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(62, 62), Do(lambda x: x.mean((2, 3))), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="'1'"):
        unit_arithmetic(engine_of(net), cat, Unit("1", 2, 3, 5))


def test_the_module_stays_as_it_was(cat: Image.Image) -> None:
    net = messy()
    engine = Engine(net, transform=TRANSFORM)
    before = snapshot(net)
    for layer in ("conv", "normed", "spectral", "fc"):
        assert_true(unit_arithmetic(engine, cat, Unit(layer, 3)))
    assert snapshot(net) == before


def test_a_saved_result_is_the_one_in_memory(cat: Image.Image, bundled: Engine, tmp_path: Path) -> None:
    found = unit_arithmetic(bundled, cat, Unit("features.0", 5, 0, 0))
    loaded = Result.load(found.save(tmp_path / "sum.npz"))
    assert isinstance(loaded, Arithmetic) and loaded.target == found.target == Unit("features.0", 5, 0, 0)
    for name in ("inputs", "kernel", "contributions", "channels", "inside"):
        assert getattr(loaded, name).tobytes() == getattr(found, name).tobytes()
    assert (loaded.bias, loaded.total, loaded.value) == (found.bias, found.total, found.value)
    assert loaded.parameters == found.parameters and "27 products" in repr(loaded)
