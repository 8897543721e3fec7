"""ZFNet has the sizes of the paper, and both untrained networks come out the same from the same generator."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from cnnviz_widgets import models
from cnnviz_widgets.engine import Engine


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(models.zfnet(generator=seeded()), transform=models.IMAGENET)


def test_the_maps_of_zfnet_have_the_sizes_of_the_papers_figure_3(engine: Engine) -> None:
    rows = [engine.layers[f"features.{n}"] for n in (0, 2, 4, 6, 8, 10, 12, 14)]
    assert [row.shape[1] for row in rows] == [110, 55, 26, 13, 13, 13, 13, 6]
    assert [row.shape[2] for row in rows] == [110, 55, 26, 13, 13, 13, 13, 6]
    assert [row.shape[0] for row in rows] == [96, 96, 256, 256, 384, 384, 256, 256]
    assert [engine.layers[f"classifier.{n}"].shape for n in (1, 4, 6)] == [(4096,), (4096,), (1000,)]
    first = engine.layers["features.0"].receptive_field
    assert first is not None and (first.size, first.stride) == ((7, 7), (2, 2))
    assert engine.layers["avgpool"].same_as == "features.14"  # nothing is averaged at 224 pixels


def test_its_weights_are_counted_as_the_paper_counts_them(engine: Engine) -> None:
    kernels = [96 * 3 * 49, 256 * 96 * 25, 384 * 256 * 9, 384 * 384 * 9, 256 * 384 * 9]
    linear = [9216 * 4096, 4096 * 4096, 4096 * 1000]
    biases = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000
    assert sum(p.numel() for p in engine.model.parameters()) == sum(kernels) + sum(linear) + biases


def test_other_sizes_and_numbers_of_classes_run_too() -> None:
    module = models.zfnet(7, generator=seeded()).eval()
    with torch.no_grad():
        assert module(torch.zeros(2, 3, 160, 192)).shape == (2, 7)


def test_contrast_normalisation_goes_across_the_maps_as_alexnets_did() -> None:
    norm = models.zfnet(2, generator=seeded()).features[3]
    x = torch.rand(1, 96, 3, 3) * 50
    slow = torch.empty_like(x)
    for c in range(96):
        near = x[:, max(0, c - 2) : c + 3]
        slow[:, c] = x[:, c] / (2 + 1e-4 / 5 * near.square().sum(1)) ** 0.75
    torch.testing.assert_close(norm(x), slow)


@pytest.mark.parametrize("make", [models.zfnet, models.alexnet])
def test_a_generator_decides_the_weights_and_nothing_else_is_drawn(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    one, two, other = (make(5, generator=seeded(seed)).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_without_a_generator_torch_manual_seed_decides() -> None:
    torch.manual_seed(5)
    ours = models.alexnet(5).state_dict()
    torch.manual_seed(5)
    theirs = torchvision.models.alexnet(num_classes=5).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_drawn_weights_have_the_spread_of_pytorchs_own() -> None:
    torch.manual_seed(0)
    own, ours = torchvision.models.alexnet(num_classes=5), models.alexnet(5, generator=seeded())
    for (name, theirs), mine in zip(own.named_parameters(), ours.parameters(), strict=True):
        spread = float(theirs.abs().max())
        assert float(mine.abs().max()) == pytest.approx(spread, rel=0.35 if theirs.numel() < 10 else 0.1), name
        assert mine.mean().abs() < 0.3 * spread or theirs.numel() < 100


def test_the_models_are_reached_from_the_front_door_without_loading_anything_first() -> None:
    script = "from cnnviz_widgets import models; print(models.zfnet.__name__, models.alexnet.__name__)"
    run: Any = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["zfnet", "alexnet"], run.stderr
