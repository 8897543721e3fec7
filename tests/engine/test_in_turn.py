"""The first layers for a few pictures at a time: what comes out is the same, and only where that is sure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import Conv2dNormActivation

from cnnviz_widgets import Engine
from cnnviz_widgets.engine import Observer, in_turn
from cnnviz_widgets.engine.in_turn import FEW, take_in_turn
from cnnviz_widgets.models import Preprocessing

SIDE = 16
AS_IT_IS = Preprocessing(resize=None, crop=None, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def _plain(*first: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *first,
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


def _engine(net: nn.Module) -> Engine:
    return Engine(net, transform=AS_IT_IS, device="cpu", dtype=torch.float64)


def _taken(net: nn.Module) -> list[str]:
    engine = _engine(net)
    return sorted(take_in_turn(engine._twin(), engine.layers_for(_pictures(1))))


def _pictures(count: int) -> Tensor:
    torch.manual_seed(1)
    return torch.rand(count, 3, SIDE, SIDE, dtype=torch.float64)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say above how many numbers the maps of a picture are large."""
    return lambda numbers: monkeypatch.setattr(in_turn, "IN_CACHE", numbers)


def test_it_ends_behind_the_layer_that_makes_large_maps_small(large: Callable[[int], None]) -> None:
    large(6 * SIDE**2 - 1)
    assert _taken(_plain()) == ["0", "1", "2"]
    large(6 * SIDE**2)
    assert _taken(_plain()) == []
    large(8 * (SIDE // 2) ** 2 - 1)
    assert _taken(_plain()) == ["0", "1", "2", "3"]  # what comes next is not known to be of each picture alone


def test_squeezenet_goes_so_as_far_as_its_second_pooling() -> None:
    engine = Engine("squeezenet1_1", device="cpu")
    taken = take_in_turn(engine._twin(), engine.layers)
    assert {name for name in taken if name.count(".") == 1} == {f"features.{number}" for number in range(6)}
    assert "features.4.expand3x3" in taken


class Whitened(nn.Conv2d):
    """What it makes of a picture depends on the others."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True))


def _hooked() -> nn.Module:
    net = _plain()
    net[1].register_forward_hook(lambda _module, _args, out: out - out.mean(0, keepdim=True))
    return net


def _patched() -> nn.Module:
    net = _plain()
    conv = nn.Conv2d(3, 6, 3, padding=1).double()
    net[0].forward = lambda x: conv(x) - x.mean()  # type: ignore[method-assign]
    return net


def _twice() -> nn.Module:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    return _plain(conv, nn.ReLU(), conv)


class Mine(nn.Sequential):
    """May do anything."""


def _block(norm: Callable[[int], nn.Module]) -> nn.Module:
    return _plain(Conv2dNormActivation(3, 3, 3, norm_layer=norm))


MIXED: dict[str, Callable[[], nn.Module]] = {
    "a subclass of a convolution": lambda: _plain(Whitened(3, 3, 3, padding=1)),
    "a hook of the user": _hooked,
    "a forward of the user": _patched,
    "a layer that runs twice": _twice,
    "a subclass of nn.Sequential": lambda: Mine(*_plain()),
    "means of the batch": lambda: _plain(nn.BatchNorm2d(3, track_running_stats=False)),
    "means of the batch in a block of torchvision": lambda: _block(partial(nn.BatchNorm2d, track_running_stats=False)),
    "a layer of the user in a block of torchvision": lambda: _block(lambda count: Whitened(count, count, 1)),
}


@pytest.mark.parametrize("case", MIXED)
def test_nothing_that_could_mix_pictures_is_taken(case: str, large: Callable[[int], None]) -> None:
    large(1)
    assert _taken(MIXED[case]()) == []


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 7])
@pytest.mark.parametrize(
    ("threshold", "parted"),
    [(1, {"0", "1", "1:input", "3"}), (6 * SIDE**2 - 1, {"0", "1", "1:input"}), (6 * SIDE**2, set())],
)
def test_scores_and_what_is_seen_are_those_of_the_whole_batch(
    count: int, threshold: int, parted: set[str], large: Callable[[int], None]
) -> None:
    large(threshold)
    engine, x = _engine(_plain()), _pictures(count)
    seen: dict[str, dict[int, Tensor]] = {name: {} for name in ("0", "1", "3", "1:input", "4:input")}

    def look(name: str) -> Callable[[Tensor, int], None]:
        return lambda tensor, first: seen[name].update({first: tensor.clone()})

    observe = Observer(engine, {name: look(name) for name in seen}, x[:1])
    wanted = engine.run(x, ["0", "1", "3"], ["1", "4"])
    for _ in range(2):  # the second pass begins anew
        for parts in seen.values():
            parts.clear()
        torch.testing.assert_close(observe(x.clone), wanted.scores)
        for name, parts in seen.items():
            kept = wanted.inputs[name.removesuffix(":input")] if ":" in name else wanted.outputs[name]
            assert list(parts) == list(range(0, count, FEW) if name in parted and count > FEW else [0])
            torch.testing.assert_close(torch.cat(list(parts.values())), kept)


@pytest.mark.parametrize("name", ["vgg11_bn", "mobilenet_v2", "efficientnet_b0", "squeezenet1_0", "convnext_tiny"])
def test_blocks_of_torchvision_give_what_they_give_to_the_whole_batch(name: str) -> None:
    torch.manual_seed(0)
    engine = Engine(getattr(models, name)(weights=None), transform=AS_IT_IS, device="cpu", dtype=torch.float64)
    x = torch.randn(5, 3, 224, 224, dtype=torch.float64)
    observer = Observer(engine, {}, x[:1])
    assert observer._in_turn
    torch.testing.assert_close(observer(x.clone), engine.logits(x), rtol=1e-9, atol=1e-12)
