"""The user's module, and whatever else is the user's, stays as it is to the last bit: always."""

from __future__ import annotations

import copy
import functools
import gc
import threading
import weakref
from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.engine import Cancelled, Engine, current_job
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.results import Unit
from tests.engine.every_method import LOOKS, METHODS
from tests.engine.nets import CLASSES, TRANSFORM, Fuse, Messy, messy, plain
from tests.engine.snapshot import snapshot


def engine_of(net: nn.Module, **options: Any) -> Engine:
    return Engine(net, transform=TRANSFORM, categories=CLASSES, **options)


EVERY = {**METHODS, **LOOKS}


def raw(result: Any) -> bytes:
    """All arrays of a result."""
    return b"".join(value.tobytes() for value in vars(result).values() if isinstance(value, np.ndarray))


def test_all_twelve_methods_are_among_those_tested() -> None:
    assert set(METHODS) >= {
        *("saliency", "deconvnet", "guided_backprop", "grad_times_input", "smooth_grad", "integrated_gradients"),
        *("cam", "grad_cam", "grad_cam_plus_plus", "layer_cam", "score_cam", "guided_grad_cam"),
    }


@pytest.mark.parametrize("name", EVERY)
def test_a_method_leaves_the_module_as_it_was_and_sees_its_eval_mode(name: str, picture: Image.Image) -> None:
    net = messy()
    still = engine_of(copy.deepcopy(net).eval())
    before = snapshot(net)
    assert raw(EVERY[name](engine_of(net), picture)) == raw(EVERY[name](still, picture))
    assert snapshot(net) == before


@pytest.mark.parametrize("options", [{"dtype": torch.float64}, {"batch_size": 1}])
def test_the_engine_s_own_questions_leave_the_module_as_it_was(options: dict[str, Any], picture: Image.Image) -> None:
    net = messy()
    before = snapshot(net)
    engine = engine_of(net, **options)
    engine.predict(picture)
    engine.scores([picture, picture])
    assert len(engine.layers) > 10
    engine.capture(picture, ["conv", "relu", "relu#1", "last"])
    METHODS["saliency"](engine, picture, Unit("last", 3, 2, 2), against=Unit("conv", 1))
    repr(engine), engine.categories, engine.modules
    assert snapshot(net) == before


@pytest.mark.parametrize("kind", ["picture", "array", "float array", "tensor"])
def test_the_picture_stays_as_it_was(kind: str, picture: Image.Image) -> None:
    array = np.array(picture)
    given: Any = {
        "picture": picture.copy(),
        "array": array,
        "float array": array / 255,
        "tensor": torch.tensor(array / 255).permute(2, 0, 1).requires_grad_(),
    }[kind]
    before = snapshot(given)
    engine = engine_of(messy())
    for method in EVERY.values():
        method(engine, given)
    assert snapshot(given) == before


class Boom(Exception):
    pass


def _raise(error: type[BaseException]) -> None:
    raise error


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
@pytest.mark.parametrize("name", EVERY)
def test_an_error_in_the_middle_leaves_the_module_as_it_was(
    name: str, error: type[BaseException], picture: Image.Image
) -> None:
    net = messy()
    engine = engine_of(net)
    before = snapshot(net)
    net.fuse.light(10**9, lambda: None)
    whole = raw(EVERY[name](engine, picture))
    looks = net.fuse.looks
    for after in sorted({0, 1, looks // 2, looks - 1}):
        engine.cache.clear()
        net.fuse.light(after, lambda: _raise(error))
        with pytest.raises(error):
            EVERY[name](engine, picture)
        net.fuse.put_out()
        assert snapshot(net) == before, after
    assert raw(EVERY[name](engine, picture)) == whole  # and the engine works on


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_an_error_in_a_user_s_hook_leaves_the_module_as_it_was(
    error: type[BaseException], picture: Image.Image
) -> None:
    net = messy()
    engine = engine_of(net)
    fuse = Fuse()
    net.fc.register_forward_hook(lambda *_: fuse.look())
    before = snapshot(net)
    for after in (0, 1, 3):
        fuse.light(after, lambda: _raise(error))
        with pytest.raises(error):
            METHODS["smooth_grad"](engine, picture, samples=40)
    assert snapshot(net) == before


@pytest.mark.parametrize("name", EVERY)
def test_a_cancelled_job_leaves_the_module_as_it_was(name: str, picture: Image.Image) -> None:
    net = messy()
    engine = engine_of(net, batch_size=1)
    before = snapshot(net)

    def stop() -> None:
        job = current_job()
        assert job is not None
        job.cancel()

    net.fuse.light(0, stop)
    job = engine.worker.submit(lambda: EVERY[name](engine, picture))
    with pytest.raises(Cancelled):
        job.wait(60)
    assert job.state == "cancelled"
    assert snapshot(net) == before


@pytest.mark.parametrize("train", [True, False])
def test_a_frozen_network_can_be_explained(train: bool, picture: Image.Image) -> None:
    net = plain().train(train).requires_grad_(False)
    before = snapshot(net)
    maps = METHODS["guided_backprop"](engine_of(net), picture)
    assert np.abs(maps.values).max() > 0
    assert snapshot(net) == before


def test_a_network_made_in_inference_mode_can_be_explained(picture: Image.Image) -> None:
    with torch.inference_mode():
        net = plain()
    expected = METHODS["saliency"](engine_of(plain()), picture)
    assert raw(METHODS["saliency"](engine_of(net), picture)) == raw(expected)


def test_methods_work_under_the_user_s_no_grad_and_inference_mode(picture: Image.Image) -> None:
    net = messy()
    expected = {name: raw(method(engine_of(net), picture)) for name, method in METHODS.items()}
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            engine = engine_of(net)
            assert {name: raw(method(engine, picture)) for name, method in METHODS.items()} == expected
    assert torch.is_grad_enabled()


def test_training_goes_on_undisturbed_while_methods_run(picture: Image.Image) -> None:
    def train(net: nn.Module, watch: bool) -> None:
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        generator = torch.Generator().manual_seed(1)
        torch.manual_seed(5)  # of the dropout, whose numbers nobody else may take
        for _ in range(60):
            x = torch.randn(8, 3, 32, 32, generator=generator)
            y = torch.randint(0, len(CLASSES), (8,), generator=generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            if watch:
                flags.update(module.training for module in net.modules())

    def with_dropout() -> nn.Sequential:
        return nn.Sequential(*plain()[:5], nn.BatchNorm2d(8), nn.Dropout(0.3), *plain()[5:])

    flags: set[bool] = set()
    alone = with_dropout()
    train(alone, False)

    net = with_dropout()
    for module in net.modules():
        module.register_forward_hook(lambda module, *_: flags.add(bool(module.training)) if here() else None)
    main = threading.get_ident()

    def here() -> bool:
        return threading.get_ident() == main

    engine = engine_of(net)
    flags.clear()  # the engine counts the classes by a run of the stand-in, in this thread
    stop, calls, states = threading.Event(), [], set()

    def keep_asking() -> None:
        while not stop.is_set():
            for name, method in METHODS.items():
                if name != "cam":  # whose check of the head compares two runs, between which the weights change here
                    method(engine, picture)
                    calls.append(name)

    job = engine.worker.submit(keep_asking)
    train(net, True)
    stop.set()
    job.wait(60)
    states.add(job.state)
    assert states == {"done"} and len(calls) > 3
    assert flags == {True}
    for mine, theirs in zip(net.state_dict().values(), alone.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_thousand_calls_leave_no_hook_and_memory_flat() -> None:
    net = plain()
    before = snapshot(net)
    engine = Engine(net, transform=lambda p: TRANSFORM(p)[:, :16, :16], categories=CLASSES)
    engine.cache.max_bytes = 2**17  # full long before the first count
    rng = np.random.default_rng(0)

    def calls(number: int) -> tuple[int, int]:
        for _ in range(number):
            METHODS["grad_cam"](engine, rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        gc.collect()
        return len(gc.get_objects()), resident()

    objects, bytes_ = calls(300)
    more_objects, more_bytes = calls(700)
    assert abs(more_objects - objects) < 300
    assert more_bytes - bytes_ < 12 * 2**20
    assert snapshot(net) == before


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0


# --- the stand-in itself ----------------------------------------------------------------------------------------------


def test_a_stand_in_shares_weights_and_copies_what_a_user_s_module_may_write_to() -> None:
    net = messy()
    twin: Any = shadow(net)
    assert twin.fc.weight.data_ptr() == net.fc.weight.data_ptr()
    assert twin.bn.running_mean.data_ptr() == net.bn.running_mean.data_ptr()
    assert twin.counter.data_ptr() != net.counter.data_ptr()
    assert twin.scale is not net.scale and torch.equal(twin.scale, net.scale)
    assert not any(module.training for module in twin.modules())
    assert not any(module.training for module in (twin.hidden[0], twin.hidden[1]["bn"]))
    assert twin.hidden[0] is not net.hidden[0]


def test_a_module_used_twice_and_tied_weights_stay_one() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    net.append(net[0])
    twin = shadow(net)
    assert twin[3] is twin[0] and twin[2].weight is twin[0].weight


def test_a_recurrent_head_computes_with_the_weights_as_they_are_placed(picture: Image.Image) -> None:
    class Recurrent(nn.Module):  # an LSTM keeps its weights in a plain list, too
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 8, stride=8)
            self.lstm = nn.LSTM(4, len(CLASSES), batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(self.conv(x).flatten(2).transpose(1, 2))[0][:, -1]

    torch.manual_seed(0)
    net = Recurrent()
    exact = engine_of(copy.deepcopy(net).double())
    before = snapshot(net)
    raised = engine_of(net, dtype=torch.float64)
    assert np.array_equal(raised.scores(picture), exact.scores(picture))
    assert raw(METHODS["saliency"](raised, picture)) == raw(METHODS["saliency"](exact, picture))
    assert snapshot(net) == before


class Indirect(nn.Module):
    """Reaches its own parts in roundabout ways."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()
        self.method = self.body.forward
        self.partial = functools.partial(nn.Module.__call__, self.body)
        self.closure = _call(self.body)
        self.weak = weakref.ref(self.body)
        self.ordered = OrderedDict(body=self.body)
        self.many = defaultdict(list, all=[self.body])
        self.queue = deque([self.body])
        self.way = "method"
        self.circle: list[Any] = []
        self.circle.append(self.circle)

    def forward(self, x: Tensor) -> Tensor:
        self.ordered["seen"] = x
        self.many["seen"].append(x)
        self.queue.append(x)
        ways = {
            "method": self.method,
            "partial": self.partial,
            "closure": self.closure,
            "weak": lambda x: self.weak()(x),
            "ordered": self.ordered["body"],
            "many": self.many["all"][0],
            "queue": self.queue[0],
        }
        return ways[self.way](x)


def _call(body: nn.Module) -> Any:
    return lambda x: body(x)


@pytest.mark.parametrize("way", ["method", "partial", "closure", "weak", "ordered", "many", "queue"])
def test_a_module_reached_in_a_roundabout_way_is_the_stand_in(way: str, picture: Image.Image) -> None:
    net = Indirect().train()
    net.way = way
    net.body.insert(1, nn.BatchNorm2d(6))  # would be trained if the user's own module ran
    before = snapshot(net)
    engine = engine_of(net)
    maps = engine.capture(picture, "body.0")["body.0"]
    assert maps.shape == (1, 6, 32, 32)
    METHODS["saliency"](engine, picture)
    assert snapshot(net) == before


def test_a_forward_put_onto_an_instance_runs_on_the_stand_in(picture: Image.Image) -> None:
    net = plain().train()
    original = net.forward
    net.forward = functools.partial(lambda forward, x: forward(x) * 2, original)  # type: ignore[method-assign]
    before = snapshot(net)
    assert np.allclose(engine_of(net).scores(picture), engine_of(plain()).scores(picture) * 2)
    assert snapshot(net) == before


def test_a_hook_that_keeps_state_outside_of_modules_is_the_user_s_own(picture: Image.Image) -> None:
    net, seen = plain(), []
    net[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    engine_of(net).scores(picture)
    assert seen and set(seen) == {torch.Size([1, 6, 32, 32])}


def test_full_backward_hooks_run_and_leave_nothing(picture: Image.Image) -> None:
    net, seen = plain(), []
    net[2].register_full_backward_hook(lambda module, into, out: seen.append(len(out)))
    before = snapshot(net)
    METHODS["saliency"](engine_of(net), picture)
    assert seen and snapshot(net) == before


def test_a_messy_network_would_be_disturbed_by_a_plain_run() -> None:
    """The test of the tests: what they compare does change when the module itself runs."""
    net = messy()
    before = snapshot(net)
    net(torch.rand(1, 3, 32, 32))
    assert snapshot(net) != before
    assert isinstance(net, Messy)
