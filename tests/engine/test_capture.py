"""What a layer put out is what is captured: also before in-place operations, of shared layers, and for the caller."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from torchvision.models.swin_transformer import SwinTransformer

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.capture import scores_of
from cnnviz_widgets.engine.layers import NoLayerError
from tests.engine.nets import CLASSES, TRANSFORM, Do, plain

Pair = namedtuple("Pair", ["maps", "extra"])


class Shared(nn.Module):
    """One in-place rectifier for maps of two sizes and for a vector; one layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Conv2d(3, 3, 1)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.middle, self.last = nn.Linear(6, 7), nn.Linear(7, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.last(self.relu(self.middle(x.mean((2, 3)))))


def exact(net: nn.Module) -> Engine:
    """An engine in double precision, whose numbers a plain forward pass gives to the last bit or nearly so."""
    return Engine(net, transform=TRANSFORM, dtype=torch.float64)


def plainly(net: nn.Module, x: Tensor) -> tuple[dict[str, list[Tensor]], Tensor]:
    """What the layers of a copy put out whose modules do nothing in place, for each call; and its scores."""
    net = copy.deepcopy(net).double().eval()
    kept: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _args: object, output: object) -> None:
            tensor = output[0] if isinstance(output, (tuple, list)) else output
            if isinstance(tensor, Tensor):
                kept.setdefault(name, []).append(tensor.clone())

        return hook

    for name, module in net.named_modules():
        if hasattr(module, "inplace"):
            module.inplace = cast(Any, False)
        if name:
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        scores = net(x.clone())
    return kept, scores


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(CLASSES))]


NETS: dict[str, Callable[[], nn.Module]] = {
    "convolution, rectifier": plain,
    "norm, rectifier, dropout, all in place": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU6(inplace=True), nn.Dropout(inplace=True), *head(6)
    ),
    "two in place, one after the other": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.Hardswish(inplace=True),
        nn.ELU(inplace=True),
        nn.Conv2d(6, 6, 3),
        nn.SiLU(True),
        *head(6),
    ),
    "a container ends before the rectifier": lambda: nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.Identity()), nn.ReLU(inplace=True), *head(6)
    ),
    "one rectifier for maps and vectors": Shared,
    "squeezenet1_1": lambda: torchvision.models.squeezenet1_1(weights=None, num_classes=5),
    "resnet18": lambda: torchvision.models.resnet18(weights=None, num_classes=5),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(weights=None, num_classes=5),
}


@pytest.mark.parametrize("case", NETS)
def test_all_layers_captured_in_one_pass_equal_a_network_that_does_nothing_in_place(
    case: str, picture: Image.Image
) -> None:
    torch.manual_seed(0)
    net = NETS[case]()
    engine = exact(net)
    expected, scores = plainly(net, engine.prepare(picture))
    names = [f"{name}#{n}" for name, calls in expected.items() for n in range(1, len(calls) + 1)]
    found = engine.capture(picture, [*names, *expected])
    assert list(found) == [*names, *expected]
    for name, calls in expected.items():
        for number, value in enumerate(calls, 1):
            assert_close(found[f"{name}#{number}"], value, rtol=1e-12, atol=1e-12)
        assert_close(found[name], calls[-1], rtol=1e-12, atol=1e-12)
    assert_close(engine.run(engine.prepare(picture), list(expected)).scores, scores, rtol=1e-12, atol=1e-12)


def test_a_bare_hook_would_have_kept_the_rectified_maps(picture: Image.Image) -> None:
    """The test of the tests: what they compare does go wrong without care."""
    net, kept = cast(nn.Sequential, plain().eval()), {}
    net[0].register_forward_hook(lambda _module, _args, output: kept.update(maps=output))
    engine = Engine(plain(), transform=TRANSFORM)
    with torch.no_grad():
        net(engine.prepare(picture))
    assert kept["maps"].min() == 0
    assert engine.capture(picture, "0")["0"].min() < 0


@pytest.mark.parametrize("inplace", [True, False])
def test_maps_before_a_functional_in_place_rectifier_are_as_they_were(inplace: bool, picture: Image.Image) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 6, 3)
    engine = exact(nn.Sequential(conv, Do(lambda x: F.relu(x, inplace=inplace)), *head(6)))
    expected = F.conv2d(engine.prepare(picture), conv.weight.double(), cast(Tensor, conv.bias).double())
    found = engine.capture(picture, ["0", "1"])
    assert expected.min() < 0
    assert_close(found["0"], expected, rtol=1e-12, atol=1e-12)
    assert_close(found["1"], expected.relu(), rtol=1e-12, atol=1e-12)


def test_gradients_at_a_layer_before_an_in_place_rectifier_are_those_of_plain_autograd(picture: Image.Image) -> None:
    net = Shared()
    engine = exact(net)
    x = engine.prepare(picture)
    found = engine.gradients(x, engine.objective(x, 2), ["first", "relu#1", "relu#2", "relu"])
    twin = copy.deepcopy(net).double()
    first = twin.first(x)
    one = first.relu()
    two = twin.second(one).relu()
    three = twin.middle(two.mean((2, 3))).relu()
    values = dict(zip(("first", "relu#1", "relu#2", "relu"), (first, one, two, three), strict=True))
    slopes = torch.autograd.grad(twin.last(three)[0, 2], list(values.values()))
    for (name, value), slope in zip(values.items(), slopes, strict=True):
        assert_close(found.outputs[name], value.detach(), rtol=1e-12, atol=1e-12)
        assert_close(found.gradients[name], slope, rtol=1e-12, atol=1e-12)


def test_several_pictures_are_captured_as_each_alone(picture: Image.Image) -> None:
    engine = exact(Shared())
    other = picture.transpose(Image.Transpose.ROTATE_90)
    both = engine.capture([picture, other], ["relu#1", "middle"])
    for number, one in enumerate((picture, other)):
        for name, value in engine.capture(one, ["relu#1", "middle"]).items():
            assert_close(both[name][number : number + 1], value, rtol=1e-12, atol=1e-12)
    assert not torch.equal(both["relu#1"][0], both["relu#1"][1])


def test_layers_are_named_one_or_several_in_any_order_or_none(picture: Image.Image) -> None:
    engine = exact(plain())
    assert list(engine.capture(picture, "3")) == ["3"]
    assert list(engine.capture(picture, ("7", "0", "7"))) == ["7", "0"]
    assert list(engine.capture(picture, (name for name in "41"))) == ["4", "1"]  # type: ignore[arg-type]
    assert engine.capture(picture, []) == {}


def test_maps_of_channels_last_modules_come_channels_first(picture: Image.Image) -> None:
    torch.manual_seed(0)
    net = SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=5)
    engine = exact(net)
    expected, _ = plainly(net, engine.prepare(picture))
    maps = ["features.0", "features.1.0.mlp", "features.2", "features.3.0", "norm", "permute"]
    found = engine.capture(picture, [*maps, "features.0.0"])
    for name in maps[:-1]:
        assert_close(found[name], expected[name][0].permute(0, 3, 1, 2), rtol=1e-12, atol=1e-12)
    assert_close(found["permute"], expected["permute"][0], rtol=1e-12, atol=1e-12)
    assert_close(found["features.0.0"], expected["features.0.0"][0], rtol=1e-12, atol=1e-12)
    assert found["features.0"].shape == (1, 8, 8, 8) and found["features.3.0"].shape == (1, 16, 4, 4)


# --- modules that give other things than a tensor ---------------------------------------------------------------------

SEVERAL: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "a tuple": (lambda x: (x * 2, x), lambda out: out[0] + out[1]),
    "a list": (lambda x: [x * 2, x], lambda out: out[0] + out[1]),
    "a named tuple": (lambda x: Pair(x * 2, x), lambda out: out.maps + out.extra),
    "a tuple with others before": (lambda x: (None, "a", x * 2, x), lambda out: out[2] + out[3]),
    "values and indices": (
        lambda x: torch.max(x * 2, 1, keepdim=True),
        lambda out: out.values * torch.ones(1, 6, 1, 1),
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_the_first_tensor_is_captured_and_the_others_go_on_as_they_were(case: str, picture: Image.Image) -> None:
    give, take = SEVERAL[case]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), Do(give), Do(take), nn.ReLU(inplace=True), *head(6))
    engine = exact(net)
    x = engine.prepare(picture)
    expected, scores = plainly(net, x)
    maps = expected["0"][0] * 2
    if case == "values and indices":
        maps = maps.amax(1, keepdim=True)
    assert_close(engine.capture(picture, "1")["1"], maps, rtol=1e-12, atol=1e-12)
    found = engine.gradients(x, engine.objective(x, 1), ["1"])
    assert_close(found.outputs["1"], maps, rtol=1e-12, atol=1e-12)
    assert_close(found.scores, scores[:, 1], rtol=1e-12, atol=1e-12)
    assert found.gradients["1"].abs().max() > 0


@pytest.mark.parametrize("give", [lambda x: {"maps": x}, lambda x: (None, 1), lambda x: SimpleNamespace(maps=x)])
def test_a_layer_that_gives_no_tensor_says_so(give: Callable[[Tensor], Any], picture: Image.Image) -> None:
    def take(out: Any) -> Tensor:
        return out["maps"] if isinstance(out, dict) else getattr(out, "maps", torch.ones(1, 6, 2, 2))

    engine = Engine(nn.Sequential(nn.Conv2d(3, 6, 3), Do(give), Do(take), *head(6)), transform=TRANSFORM)
    row = engine.layers["1"]
    assert (row.note, row.shape, row.calls, row.receptive_field, row.spatial) == ("gives no tensor", (), 1, None, False)
    with pytest.raises(LookupError, match="layer '1' of Sequential cannot be captured: it gives no tensor"):
        engine.capture(picture, ["0", "1"])
    assert engine.capture(picture, ["0", "2"]).keys() == {"0", "2"}


def test_a_layer_that_does_not_run_says_so(picture: Image.Image) -> None:
    engine = exact(Shared())
    with pytest.raises(LookupError, match="layer 'never' of Shared cannot be captured: it did not run"):
        engine.capture(picture, "never")
    x = engine.prepare(picture)
    with pytest.raises(LookupError, match="'never' gave no tensor in this run"):
        engine.run(x, ["never"])
    with pytest.raises(LookupError, match="cannot be captured: it did not run"):
        engine.gradients(x, engine.objective(x, 0), ["never"])


def test_a_layer_that_runs_only_for_some_pictures_is_an_error_where_it_does_not(picture: Image.Image) -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.bright = plain(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(self.bright(x) if x.mean() > 0 else x)

    engine = exact(Sometimes())
    white, black = Image.new("RGB", (32, 32), "white"), Image.new("RGB", (32, 32), "black")
    assert engine.capture(white, "bright")["bright"].shape == (1, 3, 32, 32)
    with pytest.raises(LookupError, match="'bright' gave no tensor in this run; .*engine.layers"):
        engine.capture(black, "bright")


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("frst", "no layer 'frst' in Shared; did you mean 'first' or 'last'?"),
        ("Middle", "no layer 'Middle' in Shared; did you mean 'middle'?"),
        ("relu.0", "no layer 'relu.0' in Shared; did you mean 'relu'?"),
        ("firs#1", "no layer 'firs#1' in Shared; did you mean 'first'?"),
        ("xyz", "no layer 'xyz' in Shared; engine.layers lists them"),
        ("", "no layer '' in Shared; engine.layers lists them"),
        ("relu#4", "'relu' runs 3 time(s) in a pass, so there is no call 'relu#4'"),
        ("relu#0", "'relu' runs 3 time(s) in a pass, so there is no call 'relu#0'"),
        ("relu#-1", "'relu' runs 3 time(s) in a pass, so there is no call 'relu#-1'"),
        ("relu#", "'relu' runs 3 time(s) in a pass, so there is no call 'relu#'"),
        ("relu#first", "'relu' runs 3 time(s) in a pass, so there is no call 'relu#first'"),
        ("never#1", "'never' runs 0 time(s) in a pass, so there is no call 'never#1'"),
    ],
)
def test_a_wrong_layer_name_is_an_error_that_says_what_is_near(name: str, message: str, picture: Image.Image) -> None:
    engine = exact(Shared())
    with pytest.raises(NoLayerError) as caught:
        engine.capture(picture, ["first", name])
    assert str(caught.value) == message
    if name:  # the network itself has the empty name
        with pytest.raises(LookupError, match="engine.layers"):
            engine.run(engine.prepare(picture), [name])


def test_a_number_instead_of_a_name_is_an_error_with_the_name(picture: Image.Image) -> None:
    for wrong in (3, [3]):
        with pytest.raises(NoLayerError, match="no layer 3 in Sequential; did you mean '3'?"):
            exact(plain()).capture(picture, cast(Any, wrong))


def test_a_layer_whose_own_name_has_a_number_sign_is_found(picture: Image.Image) -> None:
    names = ("conv#1", "act#", "pool", "flat", "fc#x")
    modules = (nn.Conv2d(3, 6, 3), nn.ReLU(), *head(6))
    net = nn.Sequential(OrderedDict(zip(names, modules, strict=True)))
    engine = exact(net)
    expected, _ = plainly(net, engine.prepare(picture))
    found = engine.capture(picture, ["conv#1", "conv#1#1", "act#", "fc#x"])
    assert_close(found["conv#1"], expected["conv#1"][0], rtol=1e-12, atol=1e-12)
    assert torch.equal(found["conv#1#1"], found["conv#1"])
    assert [row.name for row in engine.layers.values()] == list(names)


# --- what the caller gets is the caller's -----------------------------------------------------------------------------


def test_captured_tensors_are_the_callers_to_write_to(picture: Image.Image) -> None:
    net = Shared()
    engine = exact(net)
    names = ["first", "relu", "relu#3", "last"]
    x = engine.prepare(picture)
    before = {name: value.clone() for name, value in engine.capture(picture, names).items()}
    scores, own_input = engine.scores(picture), x.clone()
    found = engine.outputs(x, names)
    found["relu"].fill_(7)
    assert torch.equal(found["relu#3"], before["relu#3"])  # the same call, but not the same memory
    for value in (*found.values(), *engine.run(x, ["first"], ["second"]).inputs.values()):
        value.mul_(0).sub_(3)
    for name, value in engine.capture(picture, names).items():
        assert torch.equal(value, before[name]), name
    assert (engine.scores(picture) == scores).all()
    assert torch.equal(x, own_input)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_probe_can_be_trained_on_captured_tensors(mode: Any, picture: Image.Image) -> None:
    engine = exact(plain())
    with mode():
        maps = engine.capture(picture, "4")["4"]
    probe = nn.Linear(8, 2).double()
    probe(maps.mean((2, 3))).square().sum().backward()
    assert probe.weight.grad is not None and probe.weight.grad.abs().max() > 0
    assert not maps.requires_grad


def test_a_network_that_changes_its_input_in_place_leaves_the_callers_input_alone(picture: Image.Image) -> None:
    engine = exact(nn.Sequential(Do(lambda x: x.mul_(2)), plain()))
    x = engine.prepare(picture)
    before = x.clone()
    assert_close(engine.outputs(x, ["0"])["0"], before * 2)
    engine.gradients(x, engine.objective(x, 0), ["0"])
    assert torch.equal(x, before)


def test_the_input_of_each_call_of_a_shared_layer_is_kept_under_its_number(picture: Image.Image) -> None:
    net = Shared()
    engine = exact(net)
    x = engine.prepare(picture)
    found = engine.run(x, ["first", "second", "middle"], ["relu#1", "relu#2", "relu"])
    assert_close(found.inputs["relu#1"], found.outputs["first"], rtol=0, atol=0)
    assert_close(found.inputs["relu#2"], found.outputs["second"], rtol=0, atol=0)
    assert_close(found.inputs["relu"], found.outputs["middle"], rtol=0, atol=0)
    with pytest.raises(LookupError, match="'never' took no tensor in this run"):
        engine.run(x, (), ["never"])


def test_what_is_measured_of_every_layer_is_that_of_the_captured_outputs_in_one_pass(picture: Image.Image) -> None:
    net = Shared()
    engine = exact(net)
    x = engine.prepare(picture)
    names = ["first", "second", "relu#1", "relu#2", "relu", "middle"]
    captured = engine.outputs(x, names)
    calls = []
    net.last.register_forward_hook(lambda *_: calls.append(1))
    engine.layers_for(x)  # the table of a network with that hook takes a pass of its own
    calls.clear()
    found = engine.measure(x, names, lambda values: (tuple(values.shape), float(values.sum())))
    assert list(found) == names and len(calls) == 1
    for name, (shape, total) in found.items():
        assert shape == tuple(captured[name].shape)
        assert total == pytest.approx(float(captured[name].sum()), rel=1e-12)
    with pytest.raises(LookupError, match="'never'"):
        engine.measure(x, ["never"], float)


def test_a_function_that_fails_while_measuring_leaves_no_hook_behind(picture: Image.Image) -> None:
    engine = exact(Shared())
    x = engine.prepare(picture)
    before = engine.scores(picture)
    with pytest.raises(ZeroDivisionError):
        engine.measure(x, ["first"], lambda values: 1 // 0)
    assert (engine.scores(picture) == before).all()
    assert not any(module._forward_hooks for module in engine.modules.values())


def test_the_inputs_of_layers_are_kept_before_they_are_changed_in_place(picture: Image.Image) -> None:
    net = Shared()
    engine = exact(net)
    x = engine.prepare(picture)
    expected, _ = plainly(net, x)
    kept = engine.run(x, ["last"], ["first", "second", "relu", "last"])
    assert_close(kept.inputs["first"], x)
    assert_close(kept.inputs["second"], expected["relu"][0], rtol=1e-12, atol=1e-12)
    assert_close(kept.inputs["relu"], expected["middle"][0], rtol=1e-12, atol=1e-12)  # of its last call
    assert_close(kept.inputs["last"], expected["relu"][2], rtol=1e-12, atol=1e-12)
    assert_close(kept.outputs["last"], kept.scores)


# --- the class scores in what a network returns -----------------------------------------------------------------------

SCORES = torch.arange(6.0).reshape(2, 3)
OTHER = torch.full((2, 7), -1.0)


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        (SCORES, OTHER),
        [SCORES],
        Pair(SCORES, OTHER),
        {"aux": OTHER, "logits": SCORES},
        {"out": SCORES, "aux": OTHER},
        SimpleNamespace(logits=SCORES, loss=None),
        SCORES[:, :, None, None],
        (SCORES[:, :, None, None],),
    ],
)
def test_scores_are_found_in_what_a_classifier_returns(output: Any) -> None:
    assert torch.equal(scores_of(output), SCORES)


@pytest.mark.parametrize("output", [None, {}, [], (), "scores", 3.0, (None, SCORES), {"logits": None}])
def test_a_network_that_returns_no_scores_is_an_error_that_says_what_came(output: Any) -> None:
    message = f"the network returned {type(output).__name__}, wanted class scores as a tensor"
    with pytest.raises(TypeError, match=message):
        scores_of(output)


@pytest.mark.parametrize("shape", [(), (5,), (2, 5, 1), (2, 5, 3, 3), (2, 5, 1, 1, 1)])
def test_a_network_that_returns_another_shape_is_an_error_that_says_which(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        scores_of(torch.zeros(shape))
    assert f"shape {shape}, wanted class scores (N, classes)" in str(caught.value)
