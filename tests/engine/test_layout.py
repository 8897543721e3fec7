"""Networks that look at their maps or weights by `view` are run as they were written, and as right as any other."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets import Engine, Unit
from cnnviz_widgets.engine.incremental import Sweep
from cnnviz_widgets.engine.incremental.glance import Glance
from cnnviz_widgets.models import Preprocessing
from tests.engine.nets import Do


class Standardised(nn.Conv2d):
    """Weights of spread 1, for which `view` needs them as they were made."""

    def forward(self, input: Tensor) -> Tensor:
        spread = self.weight.view(len(self.weight), -1).std(1).view(-1, 1, 1, 1)
        return nn.functional.conv2d(input, self.weight / spread, self.bias, padding=1)


class Scaled(nn.Module):
    """Reads the weights of a convolution that is not its own business."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.conv.weight.view(8, -1).norm(dim=1).view(1, 8, 1, 1)


class Changing(nn.Module):
    """Writes over its input, then looks at it by `view`: a pass that failed there must not be seen by the next."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1 if x.requires_grad else x
        x.mul_(2)
        return x.view(len(x), -1).relu().view(x.shape)


class Noting(nn.Module):
    """Counts its passes, and looks by `view` after that."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return (self.passes * x).view(x.shape[0], -1).view(x.shape)


VIEWING: dict[str, Callable[[], nn.Module]] = {
    "flat": lambda: Do(lambda x: x.view(len(x), -1).view(x.shape)),
    "stacked": lambda: Do(lambda x: x.view(-1, x.shape[-1]).tanh().view(x.shape)),
    "groups": lambda: Do(lambda x: x.view(len(x), 2, -1).sub(0.1).view(x.shape)),
    "mean over groups": lambda: Do(
        lambda x: x - x.view(len(x), 4, -1).mean(2).repeat_interleave(2, 1)[..., None, None]
    ),
    "view_as": lambda: Do(lambda x: x.view_as(x.flatten(1)).tanh().view_as(x)),
    "changing": Changing,
    "noting": Noting,
    "standardised": lambda: Standardised(8, 8, 3),
    "scaled": Scaled,
}
viewing = pytest.mark.parametrize("name", VIEWING)


def classifier(name: str) -> nn.Sequential:
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(2), Do(lambda x: x.contiguous().view(x.size(0), -1)), nn.Linear(32, 3))
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), VIEWING[name](), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh(), *head
    ).eval()


def engine_of(net: nn.Module) -> Engine:
    return Engine(net, transform=Preprocessing(resize=32, crop=32), categories=["a", "b", "c"])


def inputs(count: int = 1) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@viewing
@pytest.mark.parametrize("last", [False, True])
def test_all_passes_of_a_network_that_views_are_those_of_the_network_itself(name: str, last: bool) -> None:
    net = classifier(name)
    x = inputs(3).contiguous(memory_format=torch.channels_last) if last else inputs(3)
    before = x.clone()
    expected = copy.deepcopy(net)(inputs(3)).detach()
    parts = copy.deepcopy(net)
    maps = parts[:3](inputs(3)).detach()
    for ask, wanted in (
        (lambda engine: engine.run(x).scores, expected),
        (lambda engine: engine.logits(x), expected),
        (lambda engine: engine.scorer()(x.clone), expected),
        (lambda engine: engine.gradients(x, engine.objective(x[:1], 1)).scores, expected[:, 1]),
    ):
        engine = engine_of(net)
        for _ in range(2):  # the first pass finds out, the second knows
            torch.testing.assert_close(ask(engine), wanted)
    torch.testing.assert_close(engine_of(net).outputs(x, ["2"])["2"], maps)
    sums = engine_of(net).measure(x, ["2"], lambda each: each.sum((1, 2, 3)))
    torch.testing.assert_close(sums["2"], maps.sum((1, 2, 3)))
    assert torch.equal(x, before)


@viewing
def test_gradients_of_a_network_that_views_are_those_of_autograd(name: str) -> None:
    net = classifier(name)
    leaf = inputs().requires_grad_()
    (expected,) = torch.autograd.grad(copy.deepcopy(net)(leaf * 1)[0, 2], leaf)
    engine, x = engine_of(net), inputs()
    for layers in ([], ["0"]):
        torch.testing.assert_close(engine.gradients(x, engine.objective(x, 2), layers).input, expected)


@pytest.mark.parametrize("name", [name for name in VIEWING if name != "noting"])  # one stand-in makes many passes here
@pytest.mark.parametrize("followed", [False, True])
def test_occlusion_of_a_network_that_views_is_that_of_the_network_itself(
    name: str, followed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Glance, "why_not", lambda *_: "" if followed else "too few")
    net, x = classifier(name), inputs()
    sweep = Sweep(x, torch.zeros_like(x), (3,), tuple(range(20)), (4, 4))
    truth, engine = copy.deepcopy(net), engine_of(net)
    torch.testing.assert_close(engine.incremental.base(x), truth(x.clone())[0].detach())
    pictures = sweep.pictures(3, sweep.lefts)
    (row,) = engine.incremental.rows(sweep)
    torch.testing.assert_close(row, truth(pictures).detach())
    (row,) = engine.incremental.rows(sweep, Unit("2", 1))
    torch.testing.assert_close(row[:, 0], truth[:3](pictures)[:, 1].sum((1, 2)).detach(), rtol=1e-4, atol=1e-4)


@viewing
def test_a_network_that_views_is_run_a_second_time_only_once(name: str) -> None:
    failed: list[int] = []

    class Watched(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            try:
                return super().forward(x)
            except RuntimeError:
                failed.append(1)
                raise

    net = Watched(*classifier(name)).eval()
    engine, x = engine_of(net), inputs(3).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        engine.run(x)
        engine.scorer()(x.clone)
    before = len(failed)
    assert before > 0
    engine.run(x)
    engine.scorer()(x.clone)
    assert len(failed) == before


def test_an_error_of_the_networks_own_is_raised_and_costs_no_speed_later() -> None:
    wrong = nn.Sequential(nn.Conv2d(3, 8, 3), Do(lambda x: x.movedim(1, 2).view(len(x), -1)), nn.Linear(7200, 3)).eval()
    engine = Engine(wrong, transform=Preprocessing(resize=32, crop=32))
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        engine.run(inputs())
    assert engine._layout.last
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Engine(nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), transform=Preprocessing(resize=32, crop=32)).run(inputs())


def test_networks_that_view_nothing_keep_channels_last() -> None:
    engine = engine_of(nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval())
    kept = engine.run(inputs(), ["0"]).outputs["0"]
    assert kept.is_contiguous(memory_format=torch.channels_last) and engine._layout.last
