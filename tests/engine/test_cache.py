"""What an engine remembers: nothing is computed twice, nothing is older than the network, and memory has a bound."""

from __future__ import annotations

import copy
import functools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine import cache as caches
from cnnviz_widgets.engine.cache import Cache, key_of, state_of
from tests.engine.every_method import METHODS
from tests.engine.nets import CLASSES, TRANSFORM, Fuse, Fused, plain


class Net(nn.Module):
    """Computes with a parameter, buffer, setting and function of every kind, and counts its runs."""

    def __init__(self) -> None:
        super().__init__()
        self.shift: Tensor
        self.order: Tensor
        self.fuse = Fuse()
        self.early = Fused(self.fuse)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.act = nn.LeakyReLU(0.1)
        self.hidden = [nn.Conv2d(8, 8, 3, padding=1, bias=False)]  # not among the children
        self.normed: Any = parametrizations.weight_norm(nn.Conv2d(8, 8, 1))
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, len(CLASSES))
        self.register_buffer("shift", torch.full((8, 1, 1), 0.1))
        self.register_buffer("order", torch.arange(8))
        self.scale = torch.linspace(0.5, 1.5, 8).view(8, 1, 1)  # a tensor that is no buffer
        self.gain = 1.0
        self.bend: Callable[[Tensor], Tensor] | None = functools.partial(F.leaky_relu, negative_slope=0.1)

    def forward(self, x: Tensor) -> Tensor:
        assert self.bend is not None
        x = self.act(self.bn(self.conv(self.early(x))))
        x = self.bend(self.hidden[0](x) + self.shift) * self.scale
        x = self.normed(x[:, self.order]) * self.gain
        return self.fc(self.drop(x.square()).mean((2, 3)))


def net_of(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net().eval()


def engine_of(net: nn.Module, **options: Any) -> Engine:
    return Engine(net, transform=TRANSFORM, categories=CLASSES, **options)


def answers(engine: Engine, picture: Image.Image) -> bytes:
    """Everything that is remembered, as bytes: class scores, gradients at the input and at a layer."""
    return (
        engine.predict(picture).scores.tobytes()
        + METHODS["saliency"](engine, picture, 1).values.tobytes()
        + METHODS["grad_cam"](engine, picture, 1, layer="conv").raw.tobytes()
        + repr(engine.layers).encode()
    )


# --- asked again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"dtype": torch.float64}])
def test_a_question_asked_again_does_not_run_the_network(options: dict[str, Any], picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net, **options)
    first = answers(engine, picture)
    runs = net.fuse.looks
    assert runs > 0
    assert answers(engine, picture) == first
    assert answers(engine, picture.copy()) == first  # the same pixels are the same question
    assert net.fuse.looks == runs


def test_another_picture_target_or_layer_is_another_question(picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    method = METHODS["grad_cam"]
    seen = set()
    for arguments in ({}, {"target": 0}, {"target": 1}, {"target": 1, "layer": "bn"}, {"target": 1, "against": 2}):
        for shown in (picture, picture.rotate(90)):
            runs = net.fuse.looks
            seen.add(method(engine, shown, **{"layer": "conv", **arguments}).raw.tobytes())
            if arguments and arguments != {"target": 0}:  # which may be the most probable class
                assert net.fuse.looks > runs
    assert len(seen) >= 8


def test_an_input_that_was_written_to_is_another_question(picture: Image.Image) -> None:
    engine = engine_of(net_of())
    x = engine.prepare(picture)
    objective = engine.objective(x, 1)
    before = engine.gradients(x, objective).input
    x.mul_(-0.5)
    after, fresh = engine.gradients(x, objective).input, engine_of(net_of()).gradients(x, objective).input
    assert before is not None and after is not None and fresh is not None
    assert torch.equal(after, fresh) and not torch.equal(after, before)


# --- a network that changed -------------------------------------------------------------------------------------------


def step(net: Net) -> None:
    optimizer = torch.optim.SGD([net.conv.weight], lr=0.1)
    net(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()


def train_statistics(net: Net) -> None:
    with torch.no_grad():
        net.train()(torch.ones(2, 3, 8, 8))
    net.eval()


def double(module: nn.Module, args: Any, output: Any) -> Tensor:
    return output * 2


@torch.no_grad()
def in_place(tensor: Any, index: Any = ...) -> None:
    tensor[index] += 1


def through_data(tensor: Tensor, index: Any = ...) -> None:
    tensor.data[index] *= -0.5


CHANGES: dict[str, Callable[[Net], Any]] = {
    "an optimiser's step": step,
    "load_state_dict": lambda net: net.load_state_dict(net_of(1).state_dict()),
    "load_state_dict that assigns": lambda net: net.load_state_dict(net_of(1).state_dict(), assign=True),
    "a weight in place": lambda net: in_place(net.conv.weight),
    "one number of a weight in place": lambda net: in_place(net.conv.weight, (1, 0, 0, 2)),
    "a weight through .data": lambda net: through_data(net.conv.weight),
    "one filter through .data": lambda net: through_data(net.conv.weight, 3),
    "one input channel through .data": lambda net: through_data(net.hidden[0].weight, (slice(None), 2)),
    "one row of every filter through .data": lambda net: through_data(net.conv.weight, (slice(None), slice(None), 0)),
    "one bias through numpy": lambda net: net.fc.bias.detach().numpy().__setitem__(1, 5.0),
    "a weight in channels last through .data": lambda net: through_data(
        net.hidden[0].to(memory_format=torch.channels_last).weight, 6
    ),
    "other .data": lambda net: setattr(net.conv.weight, "data", torch.ones_like(net.conv.weight)),
    "another parameter": lambda net: setattr(net.fc, "weight", nn.Parameter(net.fc.weight.detach() + 1)),
    "a parametrised weight": lambda net: in_place(net.normed.parametrizations.weight.original0),
    "statistics from training": train_statistics,
    "a running mean": lambda net: in_place(net.bn.running_mean),
    "a buffer in place": lambda net: in_place(net.shift),
    "another buffer": lambda net: setattr(net, "shift", torch.ones(8, 1, 1)),
    "whole numbers through .data": lambda net: net.order.data.copy_(net.order.flip(0)),
    "a submodule": lambda net: setattr(net, "fc", net_of(1).fc),
    "a submodule for none": lambda net: setattr(net, "bn", nn.Identity()),
    "a submodule's setting": lambda net: setattr(net.act, "negative_slope", 0.7),
    "a hidden module's weight": lambda net: in_place(net.hidden[0].weight),
    "a hidden module": lambda net: net.hidden.__setitem__(0, net_of(1).hidden[0]),
    "a plain tensor in place": lambda net: in_place(net.scale),
    "a plain tensor": lambda net: setattr(net, "scale", torch.ones(8, 1, 1)),
    "a plain number": lambda net: setattr(net, "gain", 2.0),
    "a function": lambda net: setattr(net, "bend", torch.sigmoid),
    "a hook": lambda net: net.fc.register_forward_hook(double),
    "a pre-hook": lambda net: net.fc.register_forward_pre_hook(lambda module, args: (args[0] * 2,)),
    "another type": lambda net: net.to(torch.bfloat16),  # the engine computes on in float32, with the rounded weights
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_network_is_noticed_by_the_next_question(change: str, picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    before = answers(engine, picture)
    CHANGES[change](net)
    after = answers(engine, picture)
    assert after != before
    assert after == answers(engine_of(copy.deepcopy(net), dtype=torch.float32), picture)
    runs = net.fuse.looks
    assert answers(engine, picture) == after
    assert net.fuse.looks == runs  # and remembered in its turn


@pytest.mark.parametrize("change", ["one filter through .data", "statistics from training", "another parameter"])
def test_a_changed_network_is_noticed_by_an_engine_that_computes_with_copies(change: str, picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net, dtype=torch.float64)
    before = answers(engine, picture)
    CHANGES[change](net)
    after = answers(engine, picture)
    assert after != before
    assert after == answers(engine_of(copy.deepcopy(net), dtype=torch.float64), picture)


def test_a_removed_hook_is_noticed(picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    before = answers(engine, picture)
    handle = net.fc.register_forward_hook(double)
    assert answers(engine, picture) != before
    handle.remove()
    assert answers(engine, picture) == before


def test_what_cannot_change_an_answer_asks_nothing_anew(picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    before, state, runs = answers(engine, picture), engine.state, net.fuse.looks
    net.train()  # the stand-in is in eval mode always
    net.requires_grad_(False)
    net.requires_grad_(True)
    net.fc.weight.grad = torch.ones_like(net.fc.weight)
    net.to("cpu").float()
    copy.deepcopy(net).state_dict()
    assert engine.state == state and hash(engine.state) == hash(state)
    assert answers(engine, picture) == before
    assert net.fuse.looks == runs


def test_each_training_step_is_another_state() -> None:
    net = net_of()
    states = [state_of(net)]
    for _ in range(3):
        step(net)
        states.append(state_of(net))
    assert len(set(states)) == 4


def test_a_function_made_where_the_last_one_lay_is_another_state() -> None:
    net = net_of()
    for number in range(100):
        state = state_of(net)
        net.bend = None  # gone, so that its address is free for the next
        net.bend = functools.partial(F.leaky_relu, negative_slope=number / 100)
        assert state_of(net) != state


def test_a_state_holds_no_weights() -> None:
    net = net_of()
    state = state_of(net)
    watched = weakref.ref(net.fc.weight)
    net.fc = nn.Linear(8, len(CLASSES))
    assert watched() is None
    assert state != state_of(net)


def test_the_state_of_networks_with_unusual_weights_can_be_told() -> None:
    net: Any = nn.Module()
    net.empty = nn.Parameter(torch.empty(0, 3))
    net.single = nn.Parameter(torch.tensor(1.0))
    net.unknown = nn.Parameter(torch.full((3,), float("nan")))
    net.rough = torch.ones(3, dtype=torch.bfloat16)
    net.yes = torch.tensor([True, False])
    net.wave = torch.ones(2, dtype=torch.complex64)
    net.nowhere = torch.empty(3, device="meta")
    net.sparse = torch.eye(3).to_sparse()
    net.wide = torch.ones(1, 3).expand(4, 3)
    state = state_of(net)
    assert state == state_of(net)
    for tensor in (net.single, net.rough, net.yes, net.wave):
        tensor.data.flatten()[-1:].logical_not_()
        assert state_of(net) != state
        state = state_of(net)


# --- what callers do with answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_gradients_may_be_written_to_without_harm_to_later_answers(mode: Any, picture: Image.Image) -> None:
    engine = engine_of(net_of())
    with mode():
        x = engine.prepare(picture)
        objective = engine.objective(x, 1)
        clean = answers(engine, picture)
        for _ in range(2):  # of the first it is the computed ones, of the second the remembered
            found = engine.gradients(x, objective, ["conv"])
            assert found.input is not None
            kept = [found.scores, found.input, found.outputs["conv"], found.gradients["conv"]]
            values = [tensor.clone() for tensor in kept]
            for tensor in kept:
                tensor.fill_(7)
            found.outputs.clear()
            found.gradients.clear()
            again = engine.gradients(x, objective, ["conv"])
            assert again.input is not None
            kept = [again.scores, again.input, again.outputs["conv"], again.gradients["conv"]]
            assert all(map(torch.equal, kept, values))
        assert answers(engine, picture) == clean


def test_results_are_read_only_or_the_caller_s_own(picture: Image.Image) -> None:
    engine = engine_of(net_of())
    clean = answers(engine, picture)
    predictions = engine.predict(picture)
    for array in (predictions.scores, predictions.probabilities, predictions.indices, predictions.image):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    scores = engine.scores(picture)
    expected = scores.copy()
    scores[...] = 0
    assert np.array_equal(engine.scores(picture), expected)
    with torch.inference_mode():
        x = engine.prepare(picture)
        engine.logits(x).zero_()
        engine.capture(picture, "conv")["conv"].zero_()
        x.zero_()
    layers: Any = engine.layers
    with pytest.raises(TypeError):
        layers["conv"] = layers["bn"]
    assert answers(engine, picture) == clean


# --- the store --------------------------------------------------------------------------------------------------------


class Counted:
    """Computes arrays of some bytes and counts how often."""

    def __init__(self, cache: Cache, size: int = 100) -> None:
        self.cache, self.size, self.computed = cache, size, []

    def __call__(self, key: str, state: object = "state") -> Any:
        def compute() -> Any:
            self.computed.append(key)
            return np.frombuffer(key.encode() * self.size, np.uint8)[: self.size]

        value = self.cache.get(state, key, compute)
        assert value[0] == ord(key[0])
        return value


def test_a_value_is_computed_once_for_each_key_and_state() -> None:
    ask = Counted(Cache())
    assert ask("a") is ask("a") and ask("b") is not ask("a")
    assert (ask.computed, len(ask.cache)) == (["a", "b"], 2)
    ask("a", "trained")
    assert (ask.computed, len(ask.cache)) == (["a", "b", "a"], 1)  # what is out of date takes no room
    ask("a", "trained")
    assert len(ask.computed) == 3
    ask("b")
    assert ask.computed == ["a", "b", "a", "b"]


def test_nothing_is_a_value_too() -> None:
    cache, computed = Cache(), []
    for _ in range(2):
        assert cache.get("state", "key", lambda: computed.append(1)) is None
    assert computed == [1]


def test_the_least_recently_used_goes_first() -> None:
    ask = Counted(Cache(max_bytes=300))
    for key in "abc":
        ask(key)
    ask("a")  # used again: b is now the oldest
    ask("d")
    assert ask.computed == list("abcd")
    for key in "acd":
        ask(key)
    assert ask.computed == list("abcd")
    ask("b")  # and takes the place of a
    ask("c")
    ask("d")
    ask("b")
    assert ask.computed == list("abcdb")
    ask("a")
    assert ask.computed == list("abcdba") and len(ask.cache) == 3


def test_a_value_beyond_the_bound_is_given_but_not_kept_and_drives_nothing_out() -> None:
    cache = Cache(max_bytes=300)
    small, large = Counted(cache), Counted(cache, 301)
    small("a")
    small("b")
    assert len(large("x")) == len(large("x")) == 301
    assert large.computed == ["x", "x"]
    small("a")
    small("b")
    assert small.computed == ["a", "b"]
    exact = Counted(cache, 300)
    exact("y")
    exact("y")
    assert exact.computed == ["y"] and len(cache) == 1


def test_forgetting_gives_the_whole_room_back() -> None:
    ask = Counted(Cache(max_bytes=300))
    for forget in (lambda: None, ask.cache.clear, lambda: ask("z", "another state"), ask.cache.clear):
        forget()
        ask.computed.clear()
        for key in "abcabc":
            ask(key)
        assert ask.computed == list("abc")


def test_a_lowered_bound_holds_from_the_next_value_on() -> None:
    ask = Counted(Cache(max_bytes=1000))
    for key in "abcdefgh":
        ask(key)
    ask.cache.max_bytes = 250
    ask("i")
    assert len(ask.cache) == 2
    ask("h")
    ask("i")
    assert ask.computed == list("abcdefghi")


@dataclass
class Record:
    maps: Any
    name: str = "record"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda bytes_: torch.zeros(bytes_ // 8, dtype=torch.float64),
        lambda bytes_: np.zeros(bytes_ // 4, np.float32),
        lambda bytes_: {"a": torch.zeros(bytes_ // 8), "b": np.zeros(bytes_ // 8, np.float32)},
        lambda bytes_: MappingProxyType({"a": torch.zeros(bytes_ // 4)}),
        lambda bytes_: [torch.zeros(bytes_ // 8), (torch.zeros(bytes_ // 8),)],
        lambda bytes_: Record({"a": torch.zeros(bytes_ // 4)}),
        lambda bytes_: bytes(bytes_),
    ],
    ids=["tensor", "array", "dict", "mapping", "list", "record", "bytes"],
)
def test_the_bound_counts_what_is_inside_of_a_value(wrap: Callable[[int], object]) -> None:
    cache = Cache(max_bytes=20_000)
    for number in range(9):
        cache.get("state", number, lambda: wrap(8000))
        assert len(cache) == min(number + 1, 2)


def test_an_engine_s_memory_stays_within_the_bound(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net)
    engine.cache.max_bytes = 80_000
    kept = []
    for angle in range(0, 200, 10):
        METHODS["saliency"](engine, picture.rotate(angle))
        with engine.cache._lock:
            kept.append(sum(size for _, size in engine.cache._entries.values()))
            assert kept[-1] == engine.cache._bytes
    assert 40_000 < kept[-1] <= max(kept) <= 80_000


def test_an_error_is_not_remembered() -> None:
    cache = Cache()

    def fail() -> str:
        raise LookupError("no such layer")

    for _ in range(2):
        with pytest.raises(LookupError, match="no such layer"):
            cache.get("state", "key", fail)
    assert len(cache) == 0
    assert cache.get("state", "key", lambda: "well") == "well"


def test_an_answer_about_a_network_that_changed_meanwhile_is_not_remembered() -> None:
    cache = Cache()

    def compute() -> str:
        cache.get("after", "other", lambda: "the network was trained while this was computed")
        return "out of date"

    assert cache.get("before", "key", compute) == "out of date"
    assert cache.get("after", "key", lambda: "fresh") == "fresh"


def test_an_engine_trained_during_a_run_answers_the_next_question_afresh(picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    engine.predict(picture)
    engine.cache.clear()
    net.fuse.light(0, lambda: in_place(net.fc.weight.data))
    engine.predict(picture)
    assert answers(engine, picture) == answers(engine_of(copy.deepcopy(net)), picture)


def test_clear_forgets_everything_and_answers_stay_the_same(picture: Image.Image) -> None:
    net = net_of()
    engine = engine_of(net)
    first, runs = answers(engine, picture), net.fuse.looks
    assert len(engine.cache) > 2
    engine.cache.clear()
    assert len(engine.cache) == 0
    assert answers(engine, picture) == first
    assert net.fuse.looks > runs


# --- threads ----------------------------------------------------------------------------------------------------------


def test_a_slow_computation_keeps_nobody_else_waiting() -> None:
    cache = Cache()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        begun.set()
        assert go_on.wait(20)
        return "slow"

    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(cache.get("state", "slow", slow)))
    thread.start()
    assert begun.wait(20)
    assert cache.get("state", "quick", lambda: "quick") == "quick"
    assert cache.get("state", "slow", lambda: "the same, by another thread") == "the same, by another thread"
    go_on.set()
    thread.join(20)
    assert got == ["slow"]
    assert cache.get("state", "slow", lambda: pytest.fail("it is known")) == "the same, by another thread"


def test_many_threads_get_right_values_and_the_count_of_bytes_stays_right() -> None:
    cache = Cache(max_bytes=1500)
    wrong: list[object] = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(1500):
            state, key = int(rng.integers(200) // 199), int(rng.integers(40))
            value = cache.get(state, key, lambda state=state, key=key: np.full(key + 1, 100 * state + key, np.uint8))
            if len(value) != key + 1 or (value != 100 * state + key).any():
                wrong.append((state, key, value))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert cache._bytes == sum(size for _, size in cache._entries.values()) <= 1500
    assert all(len(value) == size for value, size in cache._entries.values())


# --- keys of inputs ---------------------------------------------------------------------------------------------------


def test_the_key_of_an_input_is_that_of_its_values_wherever_they_lie_and_whenever_one_asks() -> None:
    x = torch.rand(1, 3, 8, 8)
    key = key_of(x)
    for same in (x, x.clone(), x.contiguous(memory_format=torch.channels_last), x.requires_grad_()):
        assert key_of(same) == key
    caches._known.clear()
    assert key_of(x) == key
    others = [torch.rand(1, 3, 8, 8) for _ in range(5)]  # more than are remembered
    keys = [key_of(other) for other in others]
    assert [key_of(other) for other in others] == keys and len({key, *keys}) == 6 and key_of(x) == key


def test_another_input_has_another_key_be_it_the_same_tensor_changed_or_the_same_bytes_in_another_shape() -> None:
    x = torch.rand(1, 3, 8, 4)
    keys = [key_of(x), key_of(x.view(1, 3, 4, 8)), key_of(torch.cat([x, x]))]
    x[0, 1, 2, 3] += 1e-6
    keys.append(key_of(x))
    assert len(set(keys)) == 4


def test_large_inputs_are_not_kept_for_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_SMALL", 100)
    caches._known.clear()
    x = torch.rand(1, 3, 8, 8)
    assert key_of(x) == key_of(x.clone()) and not caches._known
