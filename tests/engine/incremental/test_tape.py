"""A tape is the network, also for another picture; or it says why it cannot be."""

from __future__ import annotations

import contextlib
import copy
import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental.tape import Ref, Tape, record
from cnnviz_widgets.engine.shadow import shadow
from tests.engine.nets import TRANSFORM, Do, messy, plain
from tests.engine.snapshot import snapshot

ZOO: dict[str, tuple[int, dict[str, Any]]] = {
    "alexnet": (64, {}),
    "vgg11": (32, {}),
    "squeezenet1_1": (64, {}),
    "googlenet": (64, {"init_weights": False, "transform_input": True}),
    "inception_v3": (96, {"init_weights": False, "transform_input": True}),
    "resnet18": (64, {}),
    "densenet121": (32, {}),
    "mobilenet_v2": (32, {}),
    "mobilenet_v3_small": (64, {}),
    "shufflenet_v2_x0_5": (64, {}),
    "efficientnet_b0": (64, {}),
    "convnext_tiny": (32, {}),
    "regnet_y_400mf": (64, {}),
    "mnasnet0_5": (32, {}),
    "vit_b_32": (32, {"image_size": 32}),
    "swin_t": (64, {}),
}


@pytest.mark.parametrize("name", ZOO)
def test_a_tape_is_the_network_bit_for_bit_also_for_another_picture(name: str) -> None:
    size, options = ZOO[name]
    torch.manual_seed(0)
    net = lively(torchvision.models.get_model(name, weights=None, **options)).double()
    x, other = torch.randn(2, 1, 3, size, size, dtype=torch.float64)
    assert not np.array_equal(scores(net, x), scores(net, other))
    tape, values = record(shadow(net), x)
    assert tape.why_not == ""
    assert np.array_equal(at(values, tape.output), scores(net, x))
    assert np.array_equal(at(tape.replay(other), tape.output), scores(net, other))


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121", "googlenet", "mobilenet_v3_small", "swin_t"])
def test_every_layer_has_the_value_that_the_engine_gives(name: str) -> None:
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    net = lively(torchvision.models.get_model(name, weights=None, **options))
    engine = Engine(net.double(), transform=TRANSFORM, device="cpu", dtype=torch.float64)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    names = [layer.name for layer in engine.layers_for(x).in_order()]
    tape, values = record(shadow(net), x)
    assert {name.partition("#")[0] for name in tape.layers} == set(names)
    for layer, value in engine.outputs(x, names).items():  # maps as (N, C, h, w)
        raw = torch.tensor(at(values, tape.layers[layer]))
        axes = engine.layers[layer].axes
        torch.testing.assert_close(raw.permute(axes) if axes else raw, value, msg=layer)


def test_a_layer_keeps_its_own_value_when_a_later_operation_writes_over_it() -> None:
    net = plain()
    x = torch.randn(1, 3, 16, 16)
    tape, values = record(shadow(net), x)
    convolved = at(values, tape.layers["0"])
    assert convolved.min() < 0
    assert np.array_equal(at(values, tape.layers["1"]), convolved.clip(0))
    assert np.array_equal(at(tape.replay(x), tape.layers["0"]), convolved)


def test_a_layer_that_runs_several_times_has_all_its_calls_and_by_its_name_the_last() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 3, 3), nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.conv(self.relu(self.conv(x)))).mean((2, 3))

    net = Twice()
    x = torch.randn(1, 3, 9, 9)
    tape, values = record(shadow(net), x)
    assert set(tape.layers) == {"conv", "conv#1", "conv#2", "relu", "relu#1", "relu#2"}
    assert tape.layers["conv"] == tape.layers["conv#2"] != tape.layers["conv#1"]
    with torch.inference_mode():
        assert np.array_equal(at(values, tape.layers["conv#1"]), net.conv(x).numpy())
        assert np.array_equal(at(values, tape.layers["relu#1"]), net.conv(x).clamp(0).numpy())


def test_nodes_say_what_they_are() -> None:
    net = plain()
    tape, _ = record(shadow(net), torch.randn(1, 3, 16, 16))
    assert [node.op for node in tape.nodes] == [
        *("conv2d", "relu", "max_pool2d", "conv2d", "relu", "adaptive_avg_pool2d", "flatten", "linear")
    ]
    assert tape.shape == (1, 3, 16, 16)
    assert tape.nodes[0].shapes == ((1, 6, 16, 16),)
    assert tape.output == Ref(7)
    convolution = tape.nodes[3].named()
    assert convolution["input"] == Ref(2)
    assert convolution["weight"].data_ptr() == net[3].weight.data_ptr()  # the network's own, not a copy
    assert (convolution["padding"], convolution["dilation"], convolution["groups"]) == ([1, 1], [1, 1], 1)
    assert tape.nodes[1].func is torch.ops.aten.relu.default


def test_what_does_not_depend_on_the_picture_is_a_constant() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.zeros_like(x)
            mask[:, :, 2:] = 1.0
            weight = torch.arange(3.0)[None, :, None, None] * torch.tensor(2.0)
            return (x * mask * weight).mean((2, 3))

    tape, _ = right(Masked())
    assert [node.op for node in tape.nodes] == ["mul", "mul", "mean"]
    assert isinstance(tape.nodes[0].named()["other"], Tensor)


def test_several_outputs_are_numbered() -> None:
    tape, _ = right(Do(lambda x: torch.cat([part * n for n, part in enumerate(x.chunk(3, 1))], 1).amax((2, 3))))
    assert tape.nodes[0].shapes == ((1, 1, 8, 8),) * 3
    assert [node.args[0] for node in tape.nodes[1:4]] == [Ref(0, 0), Ref(0, 1), Ref(0, 2)]
    assert tape.nodes[4].args[0] == [Ref(1), Ref(2), Ref(3)]


def test_maps_of_one_position_are_scores_after_a_flatten_that_is_recorded() -> None:
    tape, _ = right(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)))
    assert tape.nodes[-1].op == "flatten"


def residual(x: Tensor) -> Tensor:
    out = x * 2
    out += x
    return out


def changed_input(x: Tensor) -> Tensor:
    x[:, :1].mul_(2)  # not read again but through itself
    return x.sub_(1)


def filled(x: Tensor) -> Tensor:
    out = torch.empty(1, 3, 8, 8, dtype=x.dtype)
    return out.copy_(x).relu_()


def clipped(x: Tensor) -> Tensor:
    y = x * 3
    y[y > 1] = 1.0
    return y


def reshaped(x: Tensor) -> Tensor:
    y = (x * 2).flatten(2)
    return F.relu(y, inplace=True).unsqueeze_(-1)


def rescaled(x: Tensor) -> Tensor:
    y = x * 1
    z = y.relu_()
    y.mul_(z)  # reads what it writes
    return y.add_(1).clamp_(max=2)


@pytest.mark.parametrize("change", [residual, filled, clipped, reshaped, rescaled])
def test_writing_in_place_where_nobody_else_looks_is_right(change: Callable[[Tensor], Tensor]) -> None:
    right(Do(lambda x: change(x).flatten(2).mean(2)))


def sliced(x: Tensor) -> Tensor:
    y = x * 2
    y[:, :2] = 0.5
    return y


def sibling(x: Tensor) -> Tensor:
    a, b = (x * 2).split([1, 2], 1)
    a += 1
    return torch.cat((a, b), 1)


def parent(x: Tensor) -> Tensor:
    y = x * 2
    F.relu(y.flatten(2), inplace=True)
    return y


def assembled(x: Tensor) -> Tensor:
    out = torch.zeros(1, 4, 8, 8, dtype=x.dtype)
    out[:, :3] = x
    return out


def through_out(x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    torch.add(x, 1, out=out)
    return out


def older_view(x: Tensor) -> Tensor:
    y = x * 2
    view = y[:, :, ::2]
    y.relu_()
    return view


def through_data(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y.data = x
    return y


WRITES = [sliced, sibling, parent, changed_input, assembled, through_out, older_view, through_data]


@pytest.mark.parametrize("change", WRITES)
def test_memory_that_is_written_through_one_tensor_and_read_through_another_is_refused(
    change: Callable[[Tensor], Tensor],
) -> None:
    tape = refused(Do(lambda x: change(x).flatten(2).mean(2)))
    assert any(word in tape.why_not for word in ("fill_", "copy_", "add_", "relu_", "mul_", "add writes", ".data")), (
        tape.why_not
    )


def branching(x: Tensor) -> Tensor:
    return x * 2 if x.mean() > 0 else x


def scaled_by_item(x: Tensor) -> Tensor:
    return x * x.mean().item()


def through_numpy(x: Tensor) -> Tensor:
    return x * torch.from_numpy(np.asarray(x))


def through_a_list(x: Tensor) -> Tensor:
    return x * torch.tensor(x.tolist(), dtype=x.dtype)


def through_dlpack(x: Tensor) -> Tensor:
    return x + torch.from_dlpack(x)


def through_a_copy(x: Tensor) -> Tensor:
    return x + copy.deepcopy(x)


def by_its_address(x: Tensor) -> Tensor:
    return x * (x.data_ptr() % 7)


def compared(x: Tensor) -> Tensor:
    return x if torch.equal(x, x.flip(3)) else x * 2


def selected(x: Tensor) -> Tensor:
    return x * x[x > 0].sum()


def counted(x: Tensor) -> Tensor:
    return x * x.nonzero().shape[0]


READS = {
    branching: "is_nonzero",
    scaled_by_item: "item",
    through_numpy: "__array__",
    through_a_list: "tolist",
    through_dlpack: "__dlpack__",
    through_a_copy: "__deepcopy__",
    by_its_address: "data_ptr",
    compared: "equal",
    selected: "index",
    counted: "nonzero",
}


@pytest.mark.parametrize("read", READS)
def test_a_network_that_looks_at_the_values_is_refused(read: Callable[[Tensor], Tensor]) -> None:
    assert READS[read] in refused(Do(lambda x: read(x).mean((2, 3)))).why_not


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda x: F.dropout(x, 0.5, training=True), "dropout"),
        (lambda x: x + torch.randn_like(x), "randn_like"),
        (lambda x: x + torch.rand(8), "rand"),
        (lambda x: x * torch.empty(8).bernoulli_(0.5), "bernoulli_"),
    ],
)
def test_chance_is_refused(draw: Callable[[Tensor], Tensor], name: str) -> None:
    assert f"{name} draws random numbers" in refused(Do(lambda x: draw(x).mean((2, 3)))).why_not


def test_what_draws_nothing_in_eval_mode_is_not_chance() -> None:
    def calm(x: Tensor) -> Tensor:
        tokens = F.rrelu(F.dropout2d(x, 0.3, False)).flatten(2)
        return F.scaled_dot_product_attention(tokens, tokens, tokens)

    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5, inplace=True), nn.AlphaDropout(), Do(calm), Do(last_mean))
    tape, _ = right(net.eval())
    assert not [node for node in tape.nodes if "dropout" in node.op]  # they hand on what they get
    assert tape.layers["0"] == tape.layers["2"] == Ref(-1)


def test_scores_that_do_not_depend_on_the_picture_are_refused() -> None:
    assert "do not depend" in refused(Do(lambda x: torch.ones(1, 5))).why_not
    assert "do not depend" in refused(Do(lambda x: torch.zeros_like(x).mean((2, 3)))).why_not


def test_values_from_code_that_torch_does_not_see_are_refused() -> None:
    with torch.inference_mode():
        stray = torch.ones(8)
    assert "does not see" in refused(Do(lambda x: (x * stray).mean((2, 3)))).why_not
    blank = refused(Do(lambda x: (x + torch.empty(8)).mean((2, 3))))  # who filled it?
    assert "does not see" in blank.why_not


def test_tensors_of_the_network_s_own_are_constants_wherever_it_keeps_them() -> None:
    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = {"scales": [torch.full((8,), 2.0)]}
            self.register_buffer("shift", torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.table["scales"][0] + self.shift).mean((2, 3))

    net = Keeper()
    x = torch.randn(1, 3, 8, 8)
    with torch.inference_mode():  # as the engine does: then what the stand-in copies is made in inference mode
        twin = shadow(net)
    tape, values = record(twin, x)
    assert tape.why_not == ""
    assert np.array_equal(at(values, tape.output), scores(net, x))


def test_a_constant_that_changes_after_it_was_used_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self, early: bool) -> None:
            super().__init__()
            self.early = early
            self.register_buffer("scale", torch.ones(8))

        def forward(self, x: Tensor) -> Tensor:
            if self.early:
                self.scale += 1
            x = x * self.scale
            if not self.early:
                self.scale += 1
            return x.mean((2, 3))

    right(Counting(early=True))
    assert "changes a constant" in refused(Counting(early=False)).why_not


def test_a_memory_of_the_picture_is_followed_into_a_buffer() -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.ones(3))
            self.view = self.mean[:1]

        def forward(self, x: Tensor) -> Tensor:
            self.mean.mul_(0.5).add_(x.mean((0, 2, 3)))
            return self.mean.mul_(2)[None] * 1

    net = Mean()
    before = snapshot(net)
    right(net)
    assert snapshot(net) == before


@pytest.mark.parametrize("make", [messy, plain])
def test_the_user_s_network_and_picture_stay_as_they_were(make: Callable[[], nn.Module]) -> None:
    net = make()
    x = torch.randn(1, 3, 32, 32)
    before = snapshot(net), snapshot(x)
    record(shadow(net), x)
    assert (snapshot(net), snapshot(x)) == before


def test_a_network_that_changes_its_input_gets_a_copy() -> None:
    net = Do(lambda x: x.relu_().mean((2, 3)))
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    right(net, x)
    assert torch.equal(x, before)


def test_a_network_that_catches_everything_is_refused_all_the_same() -> None:
    def stubborn(x: Tensor) -> Tensor:
        try:
            return x * x.mean().item()
        except BaseException:
            return x

    assert "item" in refused(Do(lambda x: stubborn(x).mean((2, 3)))).why_not


def test_what_the_network_raises_is_raised() -> None:
    def broken(_: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        record(Do(broken), torch.randn(1, 3, 8, 8))
    with pytest.raises(RuntimeError, match="shape"):
        record(Do(lambda x: x.mean(1).add_(x)), torch.randn(1, 3, 8, 8))
    with pytest.raises(ValueError, match="class scores"):
        record(Do(lambda x: x * 1), torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize("trouble", [lambda x: x * x.mean().item(), lambda x: x.nothing])
def test_torch_is_watched_as_before_when_a_pass_ends_in_the_middle_of_an_attention(
    trouble: Callable[[Tensor], Tensor],
) -> None:
    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    attention.register_forward_hook(lambda _m, _args, out: (trouble(out[0]), None))
    holder = nn.ModuleList([attention])
    net = Do(lambda x: attention(x.mean(1), x.mean(1), x.mean(1))[0].mean(1))
    net.held = holder
    seen: list[Any] = []
    with contextlib.suppress(AttributeError):
        record(shadow(net), torch.randn(1, 3, 8, 8))
    with Watch():
        torch.ones(2).add(1)
    assert seen


def test_a_wrong_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"one picture.*\(2, 3, 8, 8\)"):
        record(shadow(plain()), torch.randn(2, 3, 8, 8))
    tape, _ = record(shadow(plain()), torch.randn(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"\(1, 3, 9, 9\).*\(1, 3, 8, 8\)"):
        tape.replay(torch.randn(1, 3, 9, 9))
    with pytest.raises(ValueError, match="no tape: .*item"):
        refused(Do(lambda x: scaled_by_item(x).mean((2, 3)))).replay(torch.randn(1, 3, 8, 8))


def test_values_are_freed_at_once_when_nobody_wants_them() -> None:
    x = torch.randn(1, 3, 16, 16)
    gc.collect()
    gc.disable()
    try:
        _, values = record(shadow(plain()), x)
        kept = [weakref.ref(value) for outputs in values for value in outputs]
        del values
        assert [value() for value in kept] == [None] * len(kept)
    finally:
        gc.enable()


def test_random_networks_that_write_in_place_are_right_or_refused() -> None:
    verdicts = {"right": 0, "refused": 0}
    for seed in range(200):
        draw = random.Random(seed)
        steps = draw.choices(list(STEPS), k=draw.randint(1, 5))
        net = Do(lambda x, steps=steps: mixed(x, steps))
        x, other = torch.randn(2, 1, 4, 8, 8, dtype=torch.float64)
        tape, values = record(net, x)
        verdicts["refused" if tape.why_not else "right"] += 1
        if tape.why_not:
            assert "memory" in tape.why_not
            continue
        assert np.array_equal(at(values, tape.output), scores(net, x)), steps
        assert np.array_equal(at(tape.replay(other), tape.output), scores(net, other)), steps
    assert min(verdicts.values()) > 50, verdicts


STEPS: dict[str, Callable[[list[Tensor]], Any]] = {
    "new": lambda pool: pool.append(pool[-1] * 2 - 0.1),
    "view": lambda pool: pool.append(pool[-1][:, :4]),
    "half": lambda pool: pool.append(torch.cat([part.relu_() for part in pool[-1].chunk(2, 1)], 1)),
    "rectify": lambda pool: pool[-1].relu_(),
    "add": lambda pool: pool[-1].add_(pool[0]),
    "write": lambda pool: pool[-1].copy_(pool[len(pool) // 2] * 0.5),
    "slice": lambda pool: pool[-1][:, 1:3].mul_(0.3),
    "back": lambda pool: pool.append(pool[len(pool) // 2]),
    "flat": lambda pool: pool.append(pool[-1].view(1, 4, 8, 8)),
}


def mixed(x: Tensor, steps: list[str]) -> Tensor:
    pool = [x * 1]
    for step in steps:
        STEPS[step](pool)
    return (pool[-1] + 1).flatten(1)


def last_mean(x: Tensor) -> Tensor:
    return x.mean(-1)


def lively(net: nn.Module) -> nn.Module:
    """In eval mode, with statistics for batch norm that make it do something."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, nn.Linear):  # vision transformers start with a head of zeros
            nn.init.normal_(module.weight, 0, 0.1)
    return net.eval()


def scores(net: nn.Module, x: Tensor) -> np.ndarray:
    with torch.inference_mode():
        out = shadow(net)(x.clone())
        return (out if isinstance(out, Tensor) else out[0]).flatten(1).numpy()


def at(values: list[list[Tensor]], ref: Ref) -> np.ndarray:
    return values[ref.node][ref.output].numpy()


def right(net: nn.Module, x: Tensor | None = None) -> tuple[Tape, list[list[Tensor]]]:
    """The tape of a network, after a look that it is the network for two pictures."""
    x = torch.randn(1, 3, 8, 8) if x is None else x
    tape, values = record(shadow(net), x)
    assert tape.why_not == ""
    assert np.array_equal(at(values, tape.output), scores(net, x))
    other = torch.randn_like(x)
    assert np.array_equal(at(tape.replay(other), tape.output), scores(net, other))
    return tape, values


def refused(net: nn.Module) -> Tape:
    tape, values = record(shadow(net), torch.randn(1, 3, 8, 8))
    assert tape.why_not
    assert not values
    assert not tape.nodes
    return tape
