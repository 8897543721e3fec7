"""Convolutions with filters that oneDNN has laid out give what torch's own give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import both_ways, packed
from cnnviz_widgets.engine.both_ways import quicken_both_ways
from cnnviz_widgets.engine.packed import Packed, can_pack
from cnnviz_widgets.engine.shadow import shadow

needed = pytest.mark.skipif(not can_pack(), reason="this torch lays out no filters")
LARGE = [
    nn.Conv2d(16, 24, 3, padding=1),
    nn.Conv2d(16, 24, 1, bias=False),
    nn.Conv2d(16, 24, (1, 5), padding=(0, 2)),
    nn.Conv2d(16, 24, 4, padding=(1, 3)),
    nn.Conv2d(16, 24, 3, 2, padding=1),
    nn.Conv2d(16, 24, 3, (1, 2)),
    nn.Conv2d(16, 24, 3, groups=4),
    nn.Conv2d(16, 32, 5, padding=2, groups=16),
    nn.Conv2d(16, 24, 3, padding=4),  # more than the way back as a convolution can take off
]


def _input(count: int = 2, side: int = 14) -> Tensor:
    torch.manual_seed(count + side)
    x = torch.randn(count, 16, side, side + 3)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def _quick(module: nn.Module) -> nn.Module:
    twin = shadow(module)
    quicken_both_ways(twin)
    return twin


def _both(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    found = module(x)
    weights = torch.linspace(-1, 1, found.numel()).view(found.shape)
    return found.detach(), torch.autograd.grad((found * weights).sum(), x)[0]


def _used(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes that come to filters which are laid out, from here on."""
    shapes: list[torch.Size] = []
    own = Packed.__call__

    def noted(self: Packed, x: Tensor, bias: Tensor | None = None) -> Tensor:
        shapes.append(x.shape)
        return own(self, x, bias)

    monkeypatch.setattr(Packed, "__call__", noted)
    return shapes


def _same(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@needed
@pytest.mark.parametrize("module", LARGE, ids=str)
def test_maps_and_gradients_are_those_of_torch_at_any_size(module: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, quick = _used(monkeypatch), _quick(module)
    for count, side in ((2, 14), (2, 14), (3, 14), (2, 9)):  # filters are laid out anew where the shape changes
        shapes.clear()
        x = _input(count, side)
        _same(_both(quick, x), _both(module, x))
        both = module.stride == (1, 1) and module.padding != (4, 4)
        assert shapes == [x.shape, module(x).shape][: 1 + both]


@needed
def test_it_runs_by_itself_with_a_bias_and_without() -> None:
    x, module = _input(), LARGE[0]
    laid_out = Packed(module.weight, (1, 1), (1, 1), 1)
    with torch.no_grad():
        torch.testing.assert_close(laid_out(x, module.bias), module(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(laid_out(x), module(x) - _column(module), rtol=1e-4, atol=1e-5)


def _column(module: nn.Conv2d) -> Tensor:
    assert module.bias is not None
    return module.bias[:, None, None]


@needed
@pytest.mark.parametrize(
    "x",
    [
        torch.randn(1, 16, 9, 9).contiguous(memory_format=torch.channels_last),  # less work than oneDNN's preparing it
        torch.randn(2, 16, 14, 14),  # channels first, as are the filters
        torch.randn(16, 14, 14),  # one picture without a batch
    ],
    ids=["small", "first", "single"],
)
def test_what_would_not_gain_is_left_to_torch(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, x = _used(monkeypatch), x.requires_grad_()
    for found, wanted in zip(_both(_quick(LARGE[0]), x), _both(LARGE[0], x), strict=True):
        assert torch.equal(found, wanted)
    assert not shapes


def test_a_torch_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(both_ways, "can_pack", lambda: False)
    monkeypatch.setattr(packed, "can_pack", lambda: False)
    shapes, x = _used(monkeypatch), _input()
    for found, wanted in zip(_both(_quick(LARGE[0]), x), _both(LARGE[0], x), strict=True):
        assert torch.equal(found, wanted)
    assert not shapes
    with pytest.raises(NotImplementedError, match=r"torch .* has no convolution with filters laid out"):
        Packed(LARGE[0].weight, (1, 1), (1, 1), 1)


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError])
def test_an_operation_that_is_gone_or_does_something_else_is_not_used(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Tensor:
        raise error("gone")

    with monkeypatch.context() as patched:
        patched.setattr(packed, "_laid_out", refuse)
        assert not can_pack.__wrapped__()
    monkeypatch.setattr(packed, "_convolved", lambda *_: torch.zeros(1, 8, 2, 5))
    assert not can_pack.__wrapped__()


@needed
def test_a_network_goes_the_same_way_there_and_back() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(16, 32, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(32, 600, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    x = torch.randn(2, 3, 40, 40).contiguous(memory_format=torch.channels_last).requires_grad_()
    _same(_both(_quick(net), x), _both(net, x))
