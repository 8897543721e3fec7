"""Channels that a 1x1 convolution reads side by side are not put there, and the answers stay what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental import sweeping
from cnnviz_widgets.results import Unit
from tests.engine.incremental.occluded import compare, engine_of, lively, sweep_of

SWEEP = sweep_of(20, 24, (-3, 0, 7, 18), (-3, 0, 5, 11, 19), (4, 6))


class Fire(nn.Module):
    """Two convolutions of the same maps, side by side; what `between` makes of them is read by a third."""

    def __init__(self, between: Callable[[Tensor], Tensor], out: int = 3, parts: int = 2, twice: bool = False) -> None:
        super().__init__()
        sides = (1, 3, 5)[:parts]
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.parts = nn.ModuleList([nn.Conv2d(4, 4 + n, side, padding=side // 2) for n, side in enumerate(sides)])
        self.norm = nn.BatchNorm2d(sum(4 + n for n in range(parts)))
        self.squeeze = nn.LazyConv2d(out, 1)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(out, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.between, self.twice = between, twice

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        joined = torch.cat([part(x).relu() for part in self.parts], 1)
        given = self.norm(joined) if self.between is normalised else self.between(joined)
        scores = self.head(self.squeeze(given))
        return scores + joined.mean((1, 2, 3))[:, None] if self.twice else scores


def nothing(x: Tensor) -> Tensor:
    return x


def pooled(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)


def scaled(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x * 2, 2)


def normalised(x: Tensor) -> Tensor:
    """By the network's own batch norm."""
    return x


def folded_up(x: Tensor) -> Tensor:
    """Every four neighbours become channels."""
    return nn.functional.pixel_unshuffle(x[..., :8, :10], 2)


def made(net: nn.Module) -> Engine:
    with torch.no_grad():
        net(torch.zeros(2, 3, 20, 24))
    return engine_of(lively(net))


def joins(engine: Engine, want: tuple[int, ...] | None = None) -> int:
    list(engine.incremental.rows(SWEEP, want))
    planner = next(reversed(engine.incremental._kept["planner"]._things.values()))
    return sum(operation.name == "cat" for operation in planner.program.operations)


@pytest.fixture(autouse=True)
def _however_little_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "WORTHWHILE", -1.0)


@pytest.mark.parametrize("between", [nothing, pooled, scaled])
def test_two_groups_of_channels_meet_their_own_weights_and_the_sums_are_added(between: Callable) -> None:
    engine = made(Fire(between))
    assert joins(engine) == 0
    assert compare(engine, SWEEP).relative < 1e-9
    assert compare(engine, SWEEP, (2, 0)).relative < 1e-9


@pytest.mark.parametrize(
    ("case", "net"),
    [
        ("three groups", lambda: Fire(nothing, parts=3)),
        ("more sums than channels", lambda: Fire(nothing, out=12)),
        ("read by others too", lambda: Fire(nothing, twice=True)),
        ("batch norm between", lambda: Fire(normalised)),
        ("neighbours become channels", lambda: Fire(folded_up)),
    ],
)
def test_where_it_does_not_pay_or_would_be_wrong_they_are_put_side_by_side(
    case: str, net: Callable[[], nn.Module]
) -> None:
    engine = made(net())
    assert joins(engine) == 1, case
    assert compare(engine, SWEEP).relative < 1e-9


@pytest.mark.parametrize("layer", ["parts.0", "parts.1", "squeeze", "head.1"])
def test_units_around_such_a_place_are_right(layer: str) -> None:
    engine = made(Fire(pooled))
    assert compare(engine, SWEEP, Unit(layer, 1)).relative < 1e-9
    assert compare(engine, SWEEP, Unit(layer, 0, 1, 2)).relative < 1e-9


def test_the_report_counts_as_many_multiply_adds_and_names_the_layer_as_before() -> None:
    engine = made(Fire(nothing))
    list(engine.incremental.rows(SWEEP))
    stem, first, second, last = 9 * 11 * 27 * 4, 9 * 11 * 16, 9 * 11 * 20 * 9, 7 * 9 * 27 * 4
    assert engine.incremental.report().macs == stem + first + second + 9 * 11 * 9 * 3 + last
