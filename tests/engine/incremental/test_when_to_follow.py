"""When a network is followed operation by operation: where that saves more than it costs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnviz_widgets import Engine
from cnnviz_widgets.engine.incremental import Sweep, glance
from cnnviz_widgets.engine.incremental.glance import Glance
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.models import Preprocessing


class Excited(nn.Module):
    """Maps scaled by what a look at all of them says."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool, self.weigh = nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weigh(self.pool(x)).sigmoid()


def classifier(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *layers, nn.Conv2d(8, 8, 3, padding=1), *head).eval()


def engine_of(net: nn.Module) -> Engine:
    return Engine(net, transform=Preprocessing(resize=32, crop=32), categories=["a", "b", "c"])


def sweep_of(count: int) -> Sweep:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Sweep(x, torch.zeros_like(x), (3,), tuple(range(count)), (4, 4))


def seen(seconds: float = 0.01, modules: int = 50, share: float = 1.0) -> Glance:
    return Glance(torch.zeros(1, 3), seconds, modules, share, "gate" if share < 1 else "")


def test_more_places_and_slower_networks_are_followed() -> None:
    assert seen().why_not(729) == "" == seen(seconds=1.0).why_not(32)
    assert "too few" in seen().why_not(2)
    assert "gate" in seen(share=0.01).why_not(32)


def test_a_glance_says_how_much_comes_before_a_look_at_everything() -> None:
    found = glance.glance(shadow(classifier(Excited(8))), torch.rand(1, 3, 32, 32))
    first = 3 * 8 * 9 * 32 * 32
    assert found.mixing == "1.pool"
    assert found.share == pytest.approx(first / (first + 8 * 8 + 8 * 8 * 9 * 32 * 32 + 8 * 3))


def test_a_classifier_that_looks_at_everything_last_holds_nothing_back() -> None:
    found = glance.glance(shadow(classifier()), torch.rand(1, 3, 32, 32))
    assert (found.share, found.mixing) == (1.0, "")


def test_a_glance_gives_the_scores_and_they_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    net = classifier()
    engine, x = engine_of(net), sweep_of(1).x
    expected = net(x)[0].detach()
    torch.testing.assert_close(engine.incremental.base(x), expected)
    monkeypatch.setattr(engine, "run", lambda *_: pytest.fail("the network ran again"))
    torch.testing.assert_close(engine.incremental.base(x, (2, 0)), expected[[2, 0]])


def test_places_asked_for_one_by_one_add_up_until_the_network_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Glance, "why_not", lambda _self, positions: "" if positions >= 5 else "too few")
    engine = engine_of(classifier())
    reasons = []
    for _ in range(6):
        list(engine.incremental.rows(sweep_of(1)))
        reasons.append(engine.incremental.report().why_not)
    assert reasons == ["too few"] * 4 + ["", ""]


def test_whether_followed_or_not_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(classifier(Excited(8)).double())
    sweep = sweep_of(3)
    sweep = Sweep(sweep.x.double(), sweep.fill.double(), sweep.tops, sweep.lefts, sweep.size)
    (few,) = engine.incremental.rows(sweep)
    assert engine.incremental.report().why_not
    monkeypatch.setattr(Glance, "why_not", lambda *_: "")
    (followed,) = engine.incremental.rows(sweep)
    torch.testing.assert_close(few, followed, rtol=1e-12, atol=1e-12)


class Attention(nn.Module):
    """Every place looks at every other one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = x.flatten(2).transpose(1, 2)
        weights = (self.project(places) @ places.transpose(1, 2)).softmax(-1)
        return (weights @ places).transpose(1, 2).reshape(x.shape)


class SpatialAttention(nn.Module):
    """Weighs places by what is near them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weigh(x).sigmoid()


def test_attention_of_all_to_all_is_seen_by_its_name_and_what_convolves_is_no_such_thing() -> None:
    x = torch.rand(1, 3, 32, 32)
    assert glance.glance(shadow(classifier(Attention(8))), x).mixing == "1"
    assert glance.glance(shadow(classifier(SpatialAttention(8))), x).mixing == ""


def test_plain_batches_are_full_whatever_the_length_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Glance, "why_not", lambda *_: "too few")
    net = classifier()
    engine, x = engine_of(net), sweep_of(1).x
    sweep = Sweep(x, torch.zeros_like(x), (0, 9, 20), (0, 5, 10, 15, 20), (4, 4))
    engine.incremental.base(x)
    sizes: list[int] = []
    net.get_submodule("0").register_forward_hook(lambda _module, _inputs, out: sizes.append(len(out)))
    rows = list(engine.incremental.rows(sweep))
    assert sizes[-2:] == [8, 7] and [len(row) for row in rows] == [5, 5, 5]
    for top, row in zip(sweep.tops, rows, strict=True):
        torch.testing.assert_close(row, net(sweep.pictures(top, sweep.lefts)).detach())


def test_a_picture_laid_out_with_channels_last_is_covered_as_such() -> None:
    sweep = sweep_of(4)
    last = Sweep(sweep.x.contiguous(memory_format=torch.channels_last), sweep.fill, (3,), (0, 2), (4, 4))
    covered = last.pictures(3, (0, 2))
    assert covered.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(covered, sweep.pictures(3, (0, 2)))
