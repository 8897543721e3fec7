"""The rules against the papers' formulas, on every rectifier; what has no rule is an error that says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.engine.backward import NoRectifierError, NoRuleError, backward, rectifiers, unpool_by_switches
from tests.engine.slow_rules import slow_gradient

RULES = ("gradient", "guided", "deconvnet")

RECTIFIERS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "ReLU6": nn.ReLU6,
    "ReLU6 in place": lambda: nn.ReLU6(inplace=True),
    "Threshold at 0": lambda: nn.Threshold(0.0, 0.0),
    "Threshold below 0": lambda: nn.Threshold(-0.5, 0.0),
    "Threshold in place": lambda: nn.Threshold(-0.5, -0.5, inplace=True),
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "LeakyReLU in place": lambda: nn.LeakyReLU(0.2, inplace=True),
    "PReLU": lambda: nn.PReLU(5, init=0.3),
    "ELU": lambda: nn.ELU(1.3),
    "ELU in place": lambda: nn.ELU(1.3, inplace=True),
    "CELU": lambda: nn.CELU(2.0),  # torch rounds 1 / alpha to single precision; this one is exact
    "CELU in place": lambda: nn.CELU(2.0, inplace=True),
    "SELU": nn.SELU,
    "SELU in place": lambda: nn.SELU(inplace=True),
    "SiLU": nn.SiLU,
    "SiLU in place": lambda: nn.SiLU(inplace=True),
    "GELU": nn.GELU,
    "Mish": nn.Mish,
    "Mish in place": lambda: nn.Mish(inplace=True),
    "Hardswish": nn.Hardswish,
    "Hardswish in place": lambda: nn.Hardswish(inplace=True),
    "Softplus": nn.Softplus,
}


class Small(nn.Module):
    """Two convolutions and a linear layer, with one activation used after both: shared, in place or a function."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 5, 3, padding=1)
        self.activation = activation
        self.last = nn.Linear(5 * 36, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.first(3 * x))
        return self.last(self.activation(self.second(x)).flatten(1))


def network(activation: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return Small(activation).double().eval()


def picture(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def under(rule: Any, module: nn.Module, x: Tensor, target: int = 1, unpool: Any = "gradient") -> Tensor:
    leaf = x.clone().requires_grad_()
    (found,) = backward(module(leaf.clone())[:, target], [leaf], rule, unpool)
    assert found is not None
    return found


# --- right on every rectifier -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", RECTIFIERS)
def test_a_rule_is_the_papers_formula_on_every_rectifier_shared_by_two_layers(name: str, rule: str) -> None:
    module, x = network(RECTIFIERS[name]()), picture()
    slow = slow_gradient(module, x, lambda scores: scores[:, 1], rule)
    assert slow.abs().max() > 0
    torch.testing.assert_close(under(rule, module, x), slow, rtol=1e-10, atol=1e-12 * slow.abs().max().item())


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_the_oracle_tells_a_rule_from_the_plain_gradient_on_every_rectifier(name: str, rule: str) -> None:
    module, x = network(RECTIFIERS[name]()), picture()
    plain, ruled = (slow_gradient(module, x, lambda scores: scores[:, 1], each) for each in ("gradient", rule))
    assert (plain - ruled).abs().max() > 0.05 * plain.abs().max()


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("function", [torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu_, F.relu])
def test_every_way_to_say_relu_is_the_same(function: Any, rule: str) -> None:
    x = picture()
    assert torch.equal(under(rule, network(function), x), under(rule, network(nn.ReLU()), x))


def test_rrelu_is_a_leaky_relu_in_eval_mode() -> None:
    x = picture()
    random, leaky = network(nn.RReLU(0.1, 0.3).eval()), network(nn.LeakyReLU(0.2))
    for rule in RULES:
        torch.testing.assert_close(under(rule, random, x), under(rule, leaky, x), rtol=1e-12, atol=0)


# --- laws -------------------------------------------------------------------------------------------------------------


def relu_between(weights: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Scores (N, 1) of one rectifier: relu(x) times weights, summed."""
    return lambda x: (F.relu(x) * torch.tensor(weights, dtype=x.dtype)).sum(1, keepdim=True)


def test_a_guided_gradient_is_zero_where_the_relu_was_off_and_where_the_gradient_is_negative() -> None:
    x = torch.tensor([[1.0, 1.0, -1.0, -1.0, 0.0]], requires_grad=True)
    scores = relu_between([2.0, -3.0, 5.0, -7.0, 11.0])(x)[:, 0]
    assert backward(scores, [x], "guided")[0].tolist() == [[2, 0, 0, 0, 0]]  # type: ignore[union-attr]


def test_a_deconvnet_passes_what_is_positive_wherever_the_relu_was_off() -> None:
    x = torch.tensor([[1.0, 1.0, -1.0, -1.0, 0.0]], requires_grad=True)
    scores = relu_between([2.0, -3.0, 5.0, -7.0, 11.0])(x)[:, 0]
    assert backward(scores, [x], "deconvnet")[0].tolist() == [[2, 0, 5, 0, 11]]  # type: ignore[union-attr]


def test_a_redirected_gradient_wakes_what_is_silent_at_the_nearest_rectifiers_alone() -> None:
    x = torch.tensor([[3.0, -1.0, 6.0]], requires_grad=True)  # on, off, on
    (up,) = backward((2 * x.relu() - 10).relu().sum(1), [x], "redirected")  # of which only the third is on
    (down,) = backward(-(2 * x.relu() - 10).relu().sum(1), [x], "redirected")
    assert up is not None and down is not None
    assert up.tolist() == [[2, 0, 2]] and down.tolist() == [[0, 0, -2]]


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "LeakyReLU", "SiLU", "GELU"])
def test_guided_equals_the_gradient_where_everything_is_positive(name: str) -> None:
    module = network(RECTIFIERS[name]())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.abs_().mul_(0.1)
    x = picture().abs() * 0.1
    torch.testing.assert_close(under("guided", module, x), under("gradient", module, x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_a_rule_scales_with_the_score(rule: Any) -> None:
    module, x = network(nn.ReLU()), picture()
    leaf = x.clone().requires_grad_()
    once, eight = (backward(factor * module(leaf)[:, 1], [leaf], rule)[0] for factor in (1, 8))
    assert torch.equal(8 * once, eight)  # type: ignore[operator]


@pytest.mark.parametrize("rule", RULES)
def test_pictures_of_a_batch_do_not_see_each_other(rule: Any) -> None:
    module, x = network(nn.SiLU()), picture(3)
    together = under(rule, module, x)
    for number in range(3):
        torch.testing.assert_close(together[number], under(rule, module, x[number : number + 1])[0])


def test_each_run_has_its_own_rule_and_no_weight_gets_a_gradient() -> None:
    module, x = network(nn.ReLU(inplace=True)), picture()
    before = under("gradient", module, x)
    for rule in ("guided", "deconvnet"):
        under(rule, module, x)
    assert torch.equal(under("gradient", module, x), before)
    assert all(parameter.grad is None for parameter in module.parameters())


def test_frozen_weights_change_nothing() -> None:
    module, x = network(nn.PReLU()), picture()
    before = [under(rule, module, x) for rule in RULES]
    module.requires_grad_(False)
    assert all(torch.equal(under(rule, module, x), was) for rule, was in zip(RULES, before, strict=True))


def test_rectifiers_are_counted_by_kind() -> None:
    x = picture().requires_grad_()
    assert rectifiers(network(nn.ReLU())(x)[:, 0]) == {"Relu": 2}
    assert rectifiers(network(nn.Tanh())(x)[:, 0]) == {}
    assert rectifiers(torch.ones(2)) == {}


def test_what_the_score_does_not_depend_on_has_no_gradient() -> None:
    x, other = picture().requires_grad_(), torch.ones(3, requires_grad=True)
    first, second = backward(network(nn.ReLU())(x)[:, 0], [x, other], "guided")
    assert first is not None and second is None
    assert backward(torch.ones(2), [x, other], "guided") == [None, None]


# --- pooling ----------------------------------------------------------------------------------------------------------


class Pooled(nn.Module):
    """A pooling between two convolutions."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.pool, self.second = nn.Conv2d(3, 6, 3, padding=1), pool, nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.pool(F.relu(self.first(x))))).sum((2, 3))


def pooled(pool: Callable[[Tensor], Tensor]) -> Pooled:
    torch.manual_seed(0)
    return Pooled(pool).double()


def photo() -> Tensor:
    return torch.randn(2, 3, 10, 13, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


POOLS: dict[str, dict[str, Any]] = {
    "overlapping": dict(kernel_size=3, stride=2),
    "ceil mode": dict(kernel_size=3, stride=2, ceil_mode=True),
    "padded": dict(kernel_size=3, stride=2, padding=1),
    "stride 1": dict(kernel_size=3, stride=1, padding=1),
    "dilated": dict(kernel_size=2, stride=1, dilation=2),
    "not square": dict(kernel_size=(2, 3), stride=(2, 1)),
}


def slow_deconvolution(module: Pooled, x: Tensor, target: int, **pool: Any) -> Tensor:
    """Zeiler's network step by step: rectify, transposed convolution, unpool by switches, rectify, transposed."""
    maps = F.relu(module.first(x))
    small, switches = F.max_pool2d(maps, **pool, return_indices=True)
    g = torch.zeros_like(module.second(small))
    g[:, target] = 1
    g = F.conv_transpose2d(F.relu(g), module.second.weight, padding=1)
    up = torch.zeros_like(maps)
    for n in range(g.shape[0]):  # an unpooling by hand, in reading order: the later window overwrites
        for c in range(g.shape[1]):
            flat = up[n, c].view(-1)
            for cell, value in zip(switches[n, c].flatten().tolist(), g[n, c].flatten(), strict=True):
                flat[cell] = value
    return F.conv_transpose2d(F.relu(up), module.first.weight, padding=1)


@pytest.mark.parametrize("name", POOLS)
@torch.no_grad()
def test_switches_are_zeilers_unpooling_where_the_later_window_overwrites(name: str) -> None:
    options = POOLS[name]
    module, x = pooled(lambda maps: F.max_pool2d(maps, **options)), photo()
    with torch.enable_grad():
        found = under("deconvnet", module, x, 1, "switches")
    torch.testing.assert_close(found, slow_deconvolution(module, x, 1, **options), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("options", [dict(kernel_size=2), dict(kernel_size=2, ceil_mode=True), dict(kernel_size=3)])
def test_both_unpool_modes_agree_where_windows_do_not_overlap(options: dict[str, Any]) -> None:
    module, x = pooled(nn.MaxPool2d(**options)), photo()
    modes = [under("deconvnet", module, x, 1, unpool) for unpool in ("gradient", "switches")]
    assert torch.equal(*modes) and modes[0].abs().max() > 0


def test_the_unpool_modes_differ_where_windows_overlap() -> None:
    module, x = pooled(nn.MaxPool2d(3, 2)), photo()
    summed, overwritten = (under("deconvnet", module, x, 1, unpool) for unpool in ("gradient", "switches"))
    assert (summed - overwritten).abs().max() > 0.05 * summed.abs().max()


def test_adaptive_max_pooling_has_switches_too() -> None:
    fixed, adaptive = pooled(nn.MaxPool2d(2, (2, 2))), pooled(nn.AdaptiveMaxPool2d((5, 6)))
    x = photo()[..., :12]  # 10 x 12: the adaptive windows are those of the fixed ones
    assert torch.equal(under("deconvnet", fixed, x, 0, "switches"), under("deconvnet", adaptive, x, 0, "switches"))


def test_switches_also_serve_the_plain_gradient_and_need_no_rectifier() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(2), nn.Flatten()).double()
    x = photo()[..., :10]
    assert torch.equal(under("gradient", module, x, 3, "switches"), under("gradient", module, x, 3, "gradient"))


def test_a_network_that_pools_and_unpools_by_its_own_switches_works() -> None:
    class Hourglass(Pooled):
        def __init__(self) -> None:
            super().__init__(nn.MaxPool2d(2, return_indices=True))

        def forward(self, x: Tensor) -> Tensor:
            maps = F.relu(self.first(x))
            small, switches = self.pool(maps)
            return F.relu(self.second(F.max_unpool2d(small, switches, [2, 2], output_size=maps.shape[2:]))).sum((2, 3))

    torch.manual_seed(0)
    module, x = Hourglass().double(), photo()
    slow = slow_gradient(module, x, lambda scores: scores[:, 1], "deconvnet")
    for unpool in ("gradient", "switches"):
        torch.testing.assert_close(under("deconvnet", module, x, 1, unpool), slow, rtol=1e-12, atol=1e-13)


def test_unpooling_keeps_the_last_of_the_values_that_share_a_cell() -> None:
    values, switches = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[4, 0, 4]]]])
    assert unpool_by_switches(values, switches, (1, 1, 2, 3)).tolist() == [[[[2, 0, 0], [0, 3, 0]]]]


@pytest.mark.parametrize(
    ("pool", "kind"),
    [
        (nn.FractionalMaxPool2d(2, output_size=4), "FractionalMaxPool2D"),
        (lambda x: F.max_pool3d(x, (1, 2, 2)), "MaxPool3D"),
    ],
)
def test_a_max_pooling_without_usable_switches_is_an_error_that_names_the_other_mode(pool: Any, kind: str) -> None:
    module, x = pooled(pool), photo()[..., :10]
    with pytest.raises(NoRuleError, match=f"{kind}.*unpool='gradient'"):
        under("deconvnet", module, x, 1, "switches")
    assert under("deconvnet", module, x, 1, "gradient").abs().max() > 0


# --- what has no rule -------------------------------------------------------------------------------------------------


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        return 2 * g


def with_relu(function: Callable[[Tensor], Tensor]) -> nn.Module:
    """A network that also has real rectifiers, so that finding one is no excuse."""
    return network(lambda x: F.relu(function(x)))


DOUBTFUL: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "clamp(min=0)": (lambda x: x.clamp(min=0), "Clamp"),
    "clamp_min": (lambda x: x.clamp_min(0), "ClampMin"),
    "clip": (lambda x: x.clip(0, 6), "Clamp"),
    "maximum": (lambda x: torch.maximum(x, torch.zeros((), dtype=x.dtype)), "Maximum"),
    "where": (lambda x: torch.where(x > 0, x, 0.0), "Where"),
    "masked_fill": (lambda x: x.masked_fill(x < 0, 0.0), "MaskedFill"),
    "times its sign": (lambda x: x * (x > 0), "x > 0"),
    "x + |x|": (lambda x: (x + x.abs()) / 2, "Abs"),
    "x sigmoid(x)": (lambda x: x * torch.sigmoid(x), "sigmoid"),
    "sigmoid(x) x": (lambda x: torch.sigmoid(x) * x, "sigmoid"),
    "swish with a factor": (lambda x: x * torch.sigmoid(1.702 * x), "sigmoid"),
    "hardsigmoid gate": (lambda x: x * F.hardsigmoid(x), "sigmoid"),
    "relu6 gate": (lambda x: x * F.relu6(x + 3) / 6, "sigmoid"),
    "mish by hand": (lambda x: x * torch.tanh(F.softplus(x)), "sigmoid"),
    "gelu by hand": (lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), "sigmoid"),
    "tanh gelu by hand": (lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * x**3))), "sigmoid"),
    "a custom function": (lambda x: Doubled.apply(x), "custom function Doubled"),  # type: ignore[misc]
}


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", DOUBTFUL)
def test_arithmetic_that_may_be_a_rectifier_is_an_error_that_names_it(name: str, rule: str) -> None:
    function, said = DOUBTFUL[name]
    for module in (network(function), with_relu(function)):
        with pytest.raises(NoRuleError) as caught:
            under(rule, module, picture())
        assert said in str(caught.value) and rule in str(caught.value) and "saliency" in str(caught.value)


@pytest.mark.parametrize("name", DOUBTFUL)
def test_the_plain_gradient_needs_no_rule(name: str) -> None:
    assert under("gradient", network(DOUBTFUL[name][0]), picture()).abs().max() > 0


@pytest.mark.parametrize(
    "gated",
    [
        lambda x: F.glu(torch.cat((x, x.flip(1)), 1), 1),
        lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),  # squeeze and excitation
        lambda x: x.chunk(2, 3)[0] * torch.sigmoid(x.chunk(2, 3)[1]).repeat(1, 1, 1, 2)[..., : x.shape[3] // 2],
        lambda x: x * x,
        lambda x: (x - x.mean(1, keepdim=True)) * (x.var(1, keepdim=True) + 1).rsqrt(),
        lambda x: x * torch.arange(x.shape[3]).to(x),
        lambda x: F.normalize(x, dim=1),  # divides by a norm that is clamped from below
        lambda x: x.clamp(max=1e6),
    ],
)
def test_gates_and_normalisations_are_no_rectifiers(gated: Callable[[Tensor], Tensor]) -> None:
    def activation(x: Tensor) -> Tensor:
        width = x.shape[3]
        return F.interpolate(gated(F.relu(x)), size=(x.shape[2], width))

    module, x = network(activation), picture()
    slow = slow_gradient(module, x, lambda scores: scores[:, 1], "guided")
    torch.testing.assert_close(under("guided", module, x), slow, rtol=1e-10, atol=1e-12)


def test_what_happens_to_weights_alone_is_no_rectifier() -> None:
    class Scaled(Small):  # as Swin v2 scales its attention
        def __init__(self) -> None:
            super().__init__(lambda x: F.relu(x))
            self.scale = nn.Parameter(torch.tensor(0.5))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.scale.clamp(max=3.0, min=0.0).exp()

    torch.manual_seed(0)
    module, x = Scaled().double(), picture()
    slow = slow_gradient(module, x, lambda scores: scores[:, 1], "guided")
    torch.testing.assert_close(under("guided", module, x), slow, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", [nn.Identity(), nn.Tanh(), nn.Sigmoid()])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_a_network_without_rectifier_is_an_error_that_says_so(activation: nn.Module, rule: str) -> None:
    with pytest.raises(NoRectifierError, match=f"'{rule}'.*has none on the way.*saliency"):
        under(rule, network(activation), picture())


def test_a_rectifier_after_the_score_is_not_on_the_way() -> None:
    module = network(nn.ReLU())
    x = picture().requires_grad_()
    with pytest.raises(NoRuleError, match="none on the way"):
        backward(module.get_submodule("first")(x)[:, 0, 0, 0], [x], "guided")


@pytest.mark.parametrize(("rule", "unpool"), [("guide", "gradient"), ("guided", "switch"), (None, "gradient")])
def test_an_unknown_rule_or_unpool_is_an_error_that_lists_the_known_ones(rule: Any, unpool: Any) -> None:
    x = picture().requires_grad_()
    with pytest.raises(ValueError, match="deconvnet.*guided.*switches"):
        backward(network(nn.ReLU())(x)[:, 0], [x], rule, unpool)
