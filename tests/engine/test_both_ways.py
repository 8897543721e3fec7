"""The faster ways back through convolutions give what torch's own give."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import both_ways
from cnnviz_widgets.engine.backward import RULES, Rule, backward
from cnnviz_widgets.engine.both_ways import quicken_both_ways
from cnnviz_widgets.engine.shadow import shadow
from tests.engine.nets import REMADE

FIRST = [
    nn.Conv2d(3, 24, 3, 2),
    nn.Conv2d(3, 32, 3, 2, padding=1),
    nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
    nn.Conv2d(3, 8, 11, 4, padding=2),
    nn.Conv2d(1, 5, (3, 5), (2, 3), padding=(0, 2)),
    nn.Conv2d(3, 6, 2, 4),  # some pixels no filter sees
    nn.Conv2d(4, 6, 4, 4),
    nn.Conv2d(3, 6, 3, 2, padding=4),
]
LAST = [nn.Conv2d(16, 600, 1), nn.Conv2d(16, 600, 3, padding=1, bias=False), nn.Conv2d(16, 600, 3, 2)]
OTHERS = [
    nn.Conv2d(3, 6, 3, 1),
    nn.Conv2d(4, 8, 3, 2, groups=2),
    nn.Conv2d(3, 6, 3, 2, padding=1, padding_mode="reflect"),
    nn.Conv2d(3, 6, 3, 2, dilation=2),
    nn.Conv2d(16, 600, 3, padding="same"),
]
SIZES = [(19, 22), (32, 32), (33, 27)]


def _input(module: nn.Conv2d, size: tuple[int, int], layout: torch.memory_format = torch.channels_last) -> Tensor:
    torch.manual_seed(0)
    x = torch.randn(2, module.in_channels, *size, dtype=module.weight.dtype)
    return x.contiguous(memory_format=layout).requires_grad_()


def _quick(module: nn.Module) -> nn.Module:
    twin = shadow(module)
    quicken_both_ways(twin)
    return twin


def _taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the ways that are gone from here on."""
    taken: list[str] = []
    for kind in (both_ways._ToPicture, both_ways._OfFewFilters):

        def noted(self: object, *args: object, _own: object = kind.back) -> Tensor:
            taken.append(type(self).__name__)
            return _own(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(kind, "back", noted)
    return taken


def _gradient(module: nn.Module, x: Tensor, weights: Tensor) -> Tensor:
    return torch.autograd.grad((module(x) * weights).sum(), x)[0]


def _close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("module", FIRST, ids=str)
def test_the_way_back_to_the_picture_is_that_of_torch(
    module: nn.Conv2d, size: tuple[int, int], layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, x = _taken(monkeypatch), _input(module, size, layout)
    weights = torch.randn_like(module(x))
    _close(_gradient(_quick(module), x, weights), _gradient(module, x, weights))
    assert taken == ["_ToPicture"]
    torch.testing.assert_close(_quick(module)(x), module(x), rtol=0, atol=0)


@pytest.mark.parametrize("few", [0, 1, 3, 75, 76, 600])
@pytest.mark.parametrize("module", LAST, ids=str)
def test_the_way_back_from_few_or_many_filters_is_that_of_torch(
    module: nn.Conv2d, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, x = _taken(monkeypatch), _input(module, (13, 14))
    weights = torch.randn_like(module(x))
    weights[:, torch.randperm(600)[few:]] = 0
    _close(_gradient(_quick(module), x, weights), _gradient(module, x, weights))
    assert taken == ["_OfFewFilters"]


def test_a_single_neuron_away_from_the_middle_is_not_overlooked() -> None:
    module, x = LAST[0], _input(LAST[0], (13, 14))
    weights = torch.zeros_like(module(x))
    weights[1, 599, 0, 13] = 1.0
    wanted = _gradient(module, x, weights)
    assert float(wanted.abs().sum()) > 0
    _close(_gradient(_quick(module), x, weights), wanted)


@pytest.mark.parametrize("module", OTHERS, ids=str)
def test_other_convolutions_are_left_to_torch(module: nn.Conv2d, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, x = _taken(monkeypatch), _input(module, (16, 17))
    weights = torch.randn_like(module(x))
    torch.testing.assert_close(_gradient(_quick(module), x, weights), _gradient(module, x, weights), rtol=0, atol=0)
    assert not taken


def test_in_double_precision_torch_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, module = _taken(monkeypatch), nn.Conv2d(3, 8, 3, 2).double()
    x = _input(module, (16, 17))
    weights = torch.randn_like(module(x))
    torch.testing.assert_close(_gradient(_quick(module), x, weights), _gradient(module, x, weights), rtol=0, atol=0)
    assert not taken


def test_a_convolution_of_ones_own_is_left_alone() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    assert "forward" not in vars(_quick(Doubled(3, 8, 3, 2)))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("sort", REMADE)
@pytest.mark.parametrize("channels, stride", [(3, 2), (16, 1)], ids=["first", "packed"])
def test_filters_that_are_made_anew_before_each_pass_are_those_of_this_pass(
    channels: int, stride: int, sort: str
) -> None:
    module = nn.Conv2d(channels, 24, 3, stride)
    REMADE[sort](module)
    quick = _quick(module.eval().requires_grad_(False))
    for shift in (0, 1):
        x = (_input(module, (21, 21)).detach() + shift).requires_grad_()
        wanted = module(x).detach()
        _close(quick(x).detach(), wanted)
        weights = torch.randn_like(wanted)
        _close(_gradient(quick, x, weights), _gradient(module, x, weights))


def test_a_rectifier_may_write_over_what_comes_out() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(inplace=True), nn.Conv2d(16, 600, 1), nn.ReLU(inplace=True))
    x = torch.randn(2, 3, 21, 21, requires_grad=True)
    weights = torch.randn(2, 600, 10, 10)
    _close(_gradient(_quick(net), x, weights), _gradient(net, x, weights))


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_for_rectifiers_know_it_for_a_convolution(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _taken(monkeypatch)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Conv2d(16, 600, 1), nn.ReLU())
    x = torch.randn(2, 3, 21, 21, requires_grad=True)
    found, wanted = (backward(one(x)[:, 5].flatten(1).sum(1), [x], rule)[0] for one in (_quick(net), net))
    assert found is not None and wanted is not None and float(wanted.abs().max()) > 0
    _close(found, wanted)
    assert taken == ["_OfFewFilters", "_ToPicture"]


def test_the_users_module_is_left_as_it_was() -> None:
    module = nn.Conv2d(3, 8, 3, 2)
    _quick(module)
    assert "forward" not in vars(module)
