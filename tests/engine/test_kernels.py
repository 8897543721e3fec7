"""The faster kernels give what torch's own give."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets.engine import kernels
from cnnviz_widgets.engine.kernels import quicken
from cnnviz_widgets.engine.shadow import shadow
from tests.engine.nets import REMADE

POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.MaxPool2d(3, 1),
    nn.MaxPool2d((2, 3), (1, 2)),
    nn.MaxPool2d(2, 5),
    nn.MaxPool2d(3, 2, padding=1),
    nn.MaxPool2d(2, dilation=2),
    nn.MaxPool2d((1, 4)),
]
SIZES = [(15, 15), (16, 18), (9, 21)]


def _maps(height: int, width: int, channels: int = 20, pictures: int = 5) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(pictures, channels, height, width).contiguous(memory_format=torch.channels_last)


def _quick(module: nn.Module) -> nn.Module:
    twin = shadow(module)
    quicken(twin)
    return twin


def _run(module: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return module(x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("in_cache", [1, 2**14, 2**30])
def test_maxima_over_windows_are_to_the_last_bit_those_of_torch(
    pool: nn.MaxPool2d, size: tuple[int, int], in_cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "IN_CACHE", in_cache)
    x = _maps(*size)
    x[0, 3, 4, 5], x[1, 2, 3, 3], x[2] = torch.nan, torch.inf, -torch.inf
    kept, wanted, quick = x.clone(), _run(pool, x), _run(_quick(pool), x)
    torch.testing.assert_close(quick, wanted, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(x, kept, rtol=0, atol=0, equal_nan=True)
    assert quick.stride() == wanted.stride()
    plain = x.contiguous()
    torch.testing.assert_close(_run(_quick(pool), plain), wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_pointwise_convolutions_are_those_of_double_precision_within_rounding(groups: int, bias: bool) -> None:
    net = nn.Conv2d(20, 12, 1, groups=groups, bias=bias)
    x = _maps(9, 11)
    twin = _quick(net)
    assert "forward" in vars(twin) and "forward" not in vars(net)
    torch.testing.assert_close(_run(twin, x).double(), _run(net.double(), x.double()), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("sort", REMADE)
def test_filters_that_are_made_anew_before_each_pass_are_those_of_this_pass(sort: str) -> None:
    net = nn.Conv2d(20, 12, 1)
    REMADE[sort](net)
    twin = _quick(net.eval())
    for x in (_maps(9, 11), 1 + _maps(9, 11)):
        torch.testing.assert_close(_run(twin, x), _run(net, x), rtol=1e-5, atol=1e-5)


def test_the_faster_ones_are_what_runs_also_for_weights_that_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> Tensor:
        raise AssertionError("torch's own was taken")

    monkeypatch.setattr(kernels, "conv2d", refused)
    monkeypatch.setattr(kernels, "max_pool2d", refused)
    net = nn.Sequential(nn.Conv2d(20, 8, 1), nn.MaxPool2d(3, 2), nn.MaxPool2d(2, ceil_mode=True))
    assert net[0].weight.requires_grad
    assert _run(_quick(net), _maps(9, 9)).shape == (5, 8, 2, 2)


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_what_torch_makes_by_default_does_not_matter(default: torch.dtype) -> None:
    x, net = _maps(9, 9), nn.MaxPool2d(3, 2)
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        quick = _run(_quick(net), x)
    finally:
        torch.set_default_dtype(before)
    assert quick.dtype == torch.float32 and torch.equal(quick, _run(net, x))


def test_where_a_gradient_is_wanted_it_is_that_of_torch() -> None:
    net = nn.Sequential(nn.Conv2d(20, 8, 1), nn.MaxPool2d(3, 2))
    gradients = []
    for module in (net, _quick(net)):
        x = _maps(9, 9).requires_grad_()
        module(x).sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers_than_float32_go_the_usual_way(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Conv2d(20, 8, 1), nn.MaxPool2d(3, 2)).to(dtype)
    x = _maps(9, 11).to(dtype)
    assert torch.equal(_run(_quick(net), x), _run(net, x))


def test_a_single_picture_without_a_batch_goes_the_usual_way() -> None:
    net = nn.Sequential(nn.Conv2d(20, 8, 1), nn.MaxPool2d(3, 2))
    assert torch.equal(_run(_quick(net), _maps(9, 11)[0]), _run(net, _maps(9, 11)[0]))


def test_a_stride_a_padding_a_subclass_and_a_forward_of_somebody_else_are_left_alone() -> None:
    class Mine(nn.Conv2d):
        pass

    other = nn.MaxPool2d(2)
    other.forward = lambda x: x  # type: ignore[assignment]
    net = nn.ModuleList(
        [nn.Conv2d(4, 4, 1, stride=2), nn.Conv2d(4, 4, 1, padding=1), nn.Conv2d(4, 4, 3), Mine(4, 4, 1), other]
    )
    twin = _quick(net)
    assert [vars(module).get("forward") for module in twin[:4]] == [None] * 4
    x = torch.zeros(1)
    assert twin[4].forward(x) is x


def test_a_convolution_that_does_not_fit_its_input_says_so_as_torch_does() -> None:
    net = nn.Conv2d(20, 8, 1)
    with pytest.raises(RuntimeError, match="20 channels, but got 3 channels"):
        _run(_quick(net), _maps(9, 11, channels=3))
    with pytest.raises(RuntimeError, match="too small"):
        _run(_quick(nn.MaxPool2d(12)), _maps(9, 11))


def test_a_network_is_gone_at_once_and_not_when_circles_are_collected() -> None:
    twin = shadow(nn.Sequential(nn.Conv2d(3, 4, 1), nn.MaxPool2d(2)))
    quicken(twin)
    parts = [weakref.ref(part) for part in twin.modules()]
    gc.collect()
    gc.disable()
    try:
        del twin
        assert [part() for part in parts] == [None, None, None]
    finally:
        gc.enable()
