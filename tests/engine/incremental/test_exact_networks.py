"""On real architectures a sweep is what running the whole network on every occluded picture gives, in float64."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental import Sweep, plain, sweeping
from cnnviz_widgets.results import Unit
from tests.engine.incremental.occluded import Compared, compared, disc, engine_of, in_one, lively, sweep_of

TOLERANCE = 1e-9  # of the spread over positions

# the picture's height and width, as small as the network makes sense on
ZOO: dict[str, tuple[int, int]] = {
    "alexnet": (223, 226),
    "vgg11": (48, 59),
    "vgg16": (48, 59),
    "squeezenet1_0": (96, 109),
    "squeezenet1_1": (96, 109),
    "googlenet": (96, 107),
    "inception_v3": (149, 160),
    "resnet18": (96, 109),
    "resnet50": (96, 105),
    "densenet121": (96, 104),
    "mobilenet_v2": (96, 109),
    "mobilenet_v3_small": (96, 109),
    "mobilenet_v3_large": (96, 109),
    "efficientnet_b0": (96, 109),
    "shufflenet_v2_x1_0": (96, 109),
    "convnext_tiny": (64, 72),
    "regnet_x_400mf": (96, 109),
    "regnet_y_400mf": (96, 109),
    "mnasnet1_0": (96, 109),
}


@pytest.fixture(autouse=True)
def _incremental_even_where_it_saves_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """These pictures are small for their networks; exactness must not depend on what is worth the trouble."""
    monkeypatch.setattr(sweeping, "WORTHWHILE", -1.0)


@pytest.mark.parametrize("name", ZOO)
def test_a_sweep_is_what_the_whole_network_gives(name: str) -> None:
    engine = zoo(name)
    height, width = ZOO[name]
    for sweep in (corners(height, width), borders(height, width)):
        truth = in_one(plain.rows(engine, sweep, None))
        assert_exact(compared(in_one(engine.incremental.rows(sweep)), truth))
        report = engine.incremental.report()
        assert report.why_not == ""
        assert report.skipped > 0
        classes = (7, 3, truth.shape[-1] - 1)
        assert_exact(compared(in_one(engine.incremental.rows(sweep, classes)), truth[..., list(classes)]))
        assert engine.incremental.report().why_not == ""


def test_a_sweep_of_squeezenet_with_its_real_weights_is_what_the_whole_network_gives() -> None:
    engine = Engine("squeezenet1_1", device="cpu", dtype=torch.float64)
    for sweep in (corners(96, 109), borders(96, 109)):
        sweep = replace(sweep, x=sweep.x * 60, fill=sweep.fill * 60)
        truth = in_one(plain.rows(engine, sweep, None))
        assert_exact(compared(in_one(engine.incremental.rows(sweep)), truth))
        assert engine.incremental.report().skipped > 0.1


UNITS = {
    "squeezenet1_1": [
        Unit("features.0", 5),
        Unit("features.1", 5),  # an in-place rectifier
        Unit("features.1", 10, 22, 21),
        Unit("features.2", 3),  # ceil_mode
        Unit("features.4.expand3x3_activation", 0, 11, 11),
        Unit("classifier.1", 11),
    ],
    "resnet18": [
        Unit("conv1", 3),  # before batch norm, which writes nothing back
        Unit("bn1", 3, 22, 21),
        Unit("layer1.0.relu", 8),
        Unit("layer2.0.conv2", 17),
        Unit("layer3", 100, 2, 2),
        Unit("avgpool", 4),
        Unit("fc", 12),  # a linear layer
    ],
    "mobilenet_v2": [Unit("features.1.conv.0.0", 4), Unit("features.2.conv.0.2", 7), Unit("classifier.1", 2)],
    "convnext_tiny": [Unit("features.0.1", 5), Unit("features.1.0.block.3", 9), Unit("features.3", 20, 5, 5)],
}


@pytest.mark.parametrize("name", UNITS)
def test_the_response_of_a_unit_is_what_the_whole_network_gives(name: str) -> None:
    engine = zoo(name)
    height, width = ZOO[name]
    sweep = sweep_of(height, width, (-6, 41), (38, width - 7), (15, 15), mask=disc(15))
    for unit in UNITS[name]:
        truth = in_one(plain.rows(engine, sweep, unit))
        assert_exact(compared(in_one(engine.incremental.rows(sweep, unit)), truth))
        report = engine.incremental.report()
        assert report.why_not == ""
        assert report.skipped > 0
        base = plain.rows(engine, replace(sweep, tops=(sweep.x.shape[2],), lefts=(0,)), unit)
        torch.testing.assert_close(engine.incremental.base(sweep.x, unit), in_one(base)[0, 0])


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "shufflenet_v2_x1_0"])
def test_where_no_patch_lies_are_the_scores_of_the_bare_picture(name: str) -> None:
    engine = zoo(name)
    height, width = ZOO[name]
    sweep = sweep_of(height, width, (-40, 30, height), (-40, 41, width), (40, 40))
    came = in_one(engine.incremental.rows(sweep))
    base = engine.incremental.base(sweep.x)
    for row, column in [(0, 0), (0, 1), (1, 0), (2, 1), (1, 2), (2, 2)]:
        torch.testing.assert_close(came[row, column], base, rtol=1e-10, atol=1e-10)
    assert float((came[1, 1] - base).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "densenet121", "mobilenet_v2", "regnet_x_400mf"])
def test_a_patch_larger_than_the_picture_is_the_fill(name: str) -> None:
    engine = zoo(name)
    height, width = ZOO[name]
    sweep = sweep_of(height, width, (-3, 0, 5), (-1,), (height + 20, width + 20))
    came = in_one(engine.incremental.rows(sweep))
    fill = engine.incremental.base(sweep.fill)
    torch.testing.assert_close(came[0, 0], fill, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(came[1], in_one(plain.rows(engine, sweep, None))[1], rtol=1e-10, atol=1e-10)


def test_channels_last_in_memory_or_not_a_picture_is_the_same() -> None:
    engine = zoo("squeezenet1_1")
    sweep = corners(96, 109)
    turned = replace(
        sweep,
        x=sweep.x.contiguous(memory_format=torch.channels_last),
        fill=sweep.fill.expand(1, -1, -1, -1).contiguous(memory_format=torch.channels_last),
    )
    flat = replace(sweep, fill=torch.full((1, 3, 1, 1), 0.4, dtype=torch.float64).expand_as(sweep.x))
    assert_exact(compared(in_one(engine.incremental.rows(turned)), in_one(plain.rows(engine, sweep, None))))
    assert_exact(compared(in_one(engine.incremental.rows(flat)), in_one(plain.rows(engine, flat, None))))


def zoo(name: str) -> Engine:
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=20, **options)
    if name == "alexnet" or name.startswith("vgg"):  # millions of weights for whole maps show nothing that few do not
        inputs = 256 * 6 * 6 if name == "alexnet" else 512 * 7 * 7
        net.classifier = nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(True), nn.Dropout(), nn.Linear(64, 20))
    return engine_of(lively(net))


def corners(height: int, width: int) -> Sweep:
    """A rectangle in all four corners."""
    return sweep_of(height, width, (0, height - 14), (0, width - 11), (14, 11))


def borders(height: int, width: int) -> Sweep:
    """A disc in the middle, and hanging over each border and corner."""
    return sweep_of(height, width, (-6, 41, height - 9), (-8, 38, width - 7), (15, 15), mask=disc(15), seed=2)


def assert_exact(found: Compared) -> None:
    assert found.spread > 1e-6 * found.size, f"nothing moves: {found}"
    assert found.error <= TOLERANCE * found.spread, f"{found.relative:.1e} of the spread: {found}"
