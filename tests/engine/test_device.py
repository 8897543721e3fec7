"""Where the network runs, in which numbers, and how many pictures at once: the answers stay the same."""

from __future__ import annotations

import copy
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine import device as devices
from tests.engine.every_method import METHODS
from tests.engine.nets import CLASSES, TRANSFORM, messy, plain
from tests.engine.snapshot import snapshot


def engine_of(net: nn.Module, **options: Any) -> Engine:
    return Engine(net, transform=TRANSFORM, categories=CLASSES, **options)


def some_inputs(number: int) -> Tensor:
    return torch.randn(number, 3, 32, 32, generator=torch.Generator().manual_seed(3))


# --- out of memory ----------------------------------------------------------------------------------------------------

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("[enforce fail at ..\\c10\\core\\impl\\alloc_cpu.cpp:81] DefaultCPUAllocator: not enough memory"),
]


class Memory:
    """Room for so many pictures at once; notes how many came."""

    def __init__(self, room: int = sys.maxsize, error: Exception = OUT_OF_MEMORY[0]) -> None:
        self.room, self.error = room, error
        self.came: list[int] = []
        self.refused: list[weakref.ref[Tensor]] = []

    def take(self, x: Tensor) -> None:
        self.came.append(len(x))
        if len(x) > self.room:
            self.refused.append(weakref.ref(x))
            raise type(self.error)(*self.error.args)


class Small(nn.Module):
    """A network that runs where there is little memory."""

    def __init__(self, memory: Memory, body: nn.Module | None = None) -> None:
        super().__init__()
        self.memory = memory
        self.body = body or plain()

    def forward(self, x: Tensor) -> Tensor:
        self.memory.take(x)
        return self.body(x)


def small_engine(memory: Memory, **options: Any) -> Engine:
    """An engine on a `Small` network, with nothing noted yet."""
    room, memory.room = memory.room, sys.maxsize
    engine = engine_of(Small(memory), **{"device": "cpu", **options})
    engine.layers_for(some_inputs(1))
    memory.room = room
    memory.came.clear()
    return engine


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps", "cpu", "cpu on windows"])
def test_out_of_memory_halves_the_batch_until_it_fits_and_the_smaller_size_is_remembered(error: Exception) -> None:
    memory = Memory(3, error)
    engine, x = small_engine(memory), some_inputs(13)
    scores = engine.logits(x)
    assert memory.came == [8, 4, *[2] * 6, 1]
    assert engine.batch_size(x) == 2
    assert torch.allclose(scores, plain().eval()(x), rtol=1e-5, atol=1e-6)
    memory.came.clear()
    engine.logits(x)
    assert memory.came == [*[2] * 6, 1]


@pytest.mark.parametrize(("asked", "room", "came"), [(16, 5, [13, 6, 3, 3, 3, 3, 1]), (5, 1, [5, 2, *[1] * 13])])
def test_a_batch_size_that_was_asked_for_is_halved_too(asked: int, room: int, came: list[int]) -> None:
    memory = Memory(room)
    engine, x = small_engine(memory, batch_size=asked), some_inputs(13)
    assert engine.batch_size(x) == asked
    scores = engine.logits(x)
    assert memory.came == came
    assert torch.allclose(scores, plain().eval()(x), rtol=1e-5, atol=1e-6)


def test_without_trouble_batches_are_as_large_as_they_may_be() -> None:
    memory = Memory()
    engine, x = small_engine(memory), some_inputs(13)
    engine.logits(x)
    assert memory.came == [devices.CPU_BATCH, 13 - devices.CPU_BATCH]


@pytest.mark.parametrize("name", ["smooth_grad", "integrated_gradients", "score_cam"])
def test_a_long_method_gives_the_same_map_with_little_memory(name: str, picture: Image.Image) -> None:
    method = {"smooth_grad": {"samples": 9}, "integrated_gradients": {"steps": 9}, "score_cam": {}}[name]
    memory = Memory(3)
    squeezed = METHODS[name](small_engine(memory, batch_size=8), picture, **method)
    assert max(memory.came) > 3 >= min(memory.came)
    whole = METHODS[name](small_engine(Memory(), batch_size=8), picture, **method)
    largest = np.abs(whole.values).max()
    assert largest > 0
    np.testing.assert_allclose(squeezed.values, whole.values, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps", "cpu", "cpu on windows"])
def test_when_not_even_one_picture_fits_the_error_says_so_and_the_engine_lives(error: Exception) -> None:
    memory = Memory(0, error)
    engine, x = small_engine(memory), some_inputs(13)
    with pytest.raises(type(error)) as caught:
        engine.logits(x)
    assert str(caught.value) == str(error)
    assert memory.came == [8, 4, 2, 1]
    memory.room = 2  # another program ended
    assert torch.allclose(engine.logits(x), plain().eval()(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes cannot be multiplied"), ValueError("out of memory"), KeyError(1)]
)
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    memory = Memory(3, error)
    engine, x = small_engine(memory), some_inputs(13)
    with pytest.raises(type(error)) as caught:
        engine.logits(x)
    assert str(caught.value) == str(error)
    assert memory.came == [8]
    assert engine.batch_size(x) == 8


def test_what_did_not_fit_is_let_go_before_the_smaller_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(3)
    alive: list[int] = []

    def free() -> None:
        alive.append(sum(ref() is not None for ref in memory.refused))

    engine = small_engine(memory)
    monkeypatch.setattr(devices, "free_memory", free)
    engine.logits(some_inputs(13))
    assert len(memory.refused) == 2  # of 8 and of 4
    assert alive == [0, 0]


def test_progress_counts_pictures_and_does_not_fall_when_the_batch_is_halved() -> None:
    engine = small_engine(Memory(3))
    seen: list[tuple[int, int | None]] = []
    job = engine.worker.submit(
        lambda: engine.logits(some_inputs(13)), on_progress=lambda job: seen.append((job.done, job.total))
    )
    job.wait(60)
    assert seen == [(done, 13) for done in (2, 4, 6, 8, 10, 12, 13)]


def test_a_gpu_gets_as_many_pictures_as_half_of_its_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    for free, at_once in [(1000, 5), (199, 1), (0, 1), (10**12, devices.GPU_BATCH)]:
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**13))
        assert devices.default_batch(gpu, lambda: 100) == at_once
    assert devices.default_batch(torch.device("cpu"), lambda: 10**15) == devices.CPU_BATCH


# --- which device -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_left_open_the_device_is_cuda_else_mps_else_cpu(
    cuda: bool, mps: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as pretend:
        pretend.setattr(torch.cuda, "is_available", lambda: cuda)
        pretend.setattr(torch.backends.mps, "is_available", lambda: mps)
        pretend.setattr(torch, "empty", lambda size, device: types.SimpleNamespace(device=torch.device(device)))
        device = devices.choose_device(None)
    assert device.type == chosen


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_a_device_is_given_by_name_or_as_torch_s_own(device: Any, picture: Image.Image) -> None:
    engine = engine_of(plain(), device=device)
    assert engine.device == torch.device("cpu")
    assert engine.prepare(picture).device == engine.logits(some_inputs(1)).device == torch.device("cpu")
    assert repr(engine) == "Engine(Sequential on cpu, float32)"


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99", 99, 1.5, "cpu:-1", "meta", "xla", torch.device("cuda", 99)])
def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(device: Any) -> None:
    net = plain()
    before = snapshot(net)
    with pytest.raises(ValueError, match="here there are cpu") as caught:
        engine_of(net, device=device)
    assert str(device) in str(caught.value)
    assert snapshot(net) == before


def test_weights_without_values_are_an_error_that_says_so() -> None:
    for net in (nn.Sequential(nn.LazyConv2d(4, 3)), plain().to("meta")):
        with pytest.raises(ValueError, match="no values yet"):
            engine_of(net)


def test_home_is_where_the_weights_lie_and_in_which_floating_type() -> None:
    cpu = torch.device("cpu")
    assert devices.home(nn.ReLU()) == (cpu, torch.float32)
    assert devices.home(plain().double()) == (cpu, torch.float64)
    assert devices.home(nn.BatchNorm2d(3, affine=False).half()) == (cpu, torch.float16)
    whole = nn.ReLU()
    whole.register_buffer("table", torch.arange(3))
    assert devices.home(whole) == (cpu, torch.float32)
    assert not devices.is_split(plain())
    assert devices.is_split(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta")))


def test_a_network_without_weights_can_be_explained(picture: Image.Image) -> None:
    class Means(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((x.square().mean((2, 3)), x.mean((2, 3))[:, :2]), 1)

    maps = METHODS["saliency"](engine_of(Means()), picture, 3)
    assert np.allclose(maps.values[0], 1 / 32**2)


def test_a_module_that_was_moved_after_the_engine_was_made_gives_the_same_answers(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net)
    method = METHODS["grad_cam"]
    scores, raw = engine.scores(picture), method(engine, picture).raw
    net.double()  # to more digits, so nothing is lost
    before = snapshot(net)
    assert engine.dtype == torch.float32
    assert np.array_equal(engine.scores(picture), scores)
    assert np.array_equal(method(engine, picture).raw, raw)
    assert snapshot(net) == before
    net.float()
    assert np.array_equal(engine.scores(picture), scores)
    net.to("meta")
    with pytest.raises(ValueError, match="no values yet"):
        engine.scores(picture)


# --- which numbers ----------------------------------------------------------------------------------------------------


def gradient_of(net: nn.Module, x: Tensor, target: int) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    return torch.autograd.grad(net(leaf)[0, target], leaf)[0]


def test_double_precision_is_double_all_the_way_and_leaves_the_user_s_module_alone(picture: Image.Image) -> None:
    net = messy()
    doubled: Any = copy.deepcopy(net).eval().double()
    for hidden in (doubled.hidden[0], doubled.hidden[1]["bn"]):  # which .double() passes over
        hidden.eval().double()
    doubled.scale = doubled.scale.double()
    before = snapshot(net)
    engine, single = engine_of(net, dtype=torch.float64), engine_of(net)
    assert (engine.dtype, single.dtype) == (torch.float64, torch.float32)
    x = engine.prepare(picture)
    assert x.dtype == torch.float64
    scores, gradient = engine.logits(x), engine.gradients(x, engine.objective(x, 2), ["conv"])
    assert gradient.input is not None
    for kept in (scores, gradient.scores, gradient.input, gradient.outputs["conv"], gradient.gradients["conv"]):
        assert kept.dtype == torch.float64
    coarse = single.logits(x.float()).double()
    assert snapshot(net) == before
    expected, slope = doubled(x).detach(), gradient_of(doubled, x, 2)
    assert torch.allclose(scores, expected, rtol=1e-11, atol=1e-12)
    assert torch.allclose(gradient.input, slope, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(coarse, expected, rtol=1e-11, atol=1e-12)  # so the bounds above do tell
    assert torch.allclose(coarse, expected, rtol=1e-3, atol=1e-4)


def test_the_gradient_in_double_precision_is_that_of_finite_differences(picture: Image.Image) -> None:
    engine = engine_of(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.SiLU(), *plain()[5:7], nn.Linear(6, 5)), dtype=torch.float64
    )
    x = engine.prepare(picture)
    gradient = engine.gradients(x, engine.objective(x, 2)).input
    assert gradient is not None
    way = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    h = 1e-5
    up, down = engine.logits(x + h * way)[0, 2], engine.logits(x - h * way)[0, 2]
    assert float((up - down) / (2 * h)) == pytest.approx(float((gradient * way).sum()), rel=1e-8)


@pytest.mark.parametrize("how", ["asked", "module"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_the_same_answers_roughly(dtype: torch.dtype, how: str, picture: Image.Image) -> None:
    net = plain()
    exact = engine_of(copy.deepcopy(net))
    if how == "module":
        net.to(dtype)
    before = snapshot(net)
    engine = engine_of(net, dtype=dtype if how == "asked" else None)
    assert engine.dtype == dtype
    assert engine.prepare(picture).dtype == engine.logits(engine.prepare(picture)).dtype == dtype
    scores, expected = engine.scores(picture), exact.scores(picture)
    assert scores.dtype == np.float32
    assert 0 < np.abs(scores - expected).max() < 0.02 * np.abs(expected).max()
    for name in ("saliency", "grad_cam", "smooth_grad", "integrated_gradients", "score_cam"):
        rough, map_ = METHODS[name](engine, picture, 1).values, METHODS[name](exact, picture, 1).values
        assert rough.dtype == np.float32 and np.isfinite(rough).all()
        assert np.sum(rough * map_) > 0.98 * np.linalg.norm(rough) * np.linalg.norm(map_) > 0, name
    assert np.abs(engine.predict(picture).image.astype(int) - exact.predict(picture).image).max() <= 2
    assert snapshot(net) == before


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, "float32", float])
def test_numbers_that_networks_do_not_compute_in_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match="wanted a floating point type such as torch.float32"):
        engine_of(plain(), dtype=dtype)


def test_weights_are_copied_once_for_each_state_and_are_good_for_gradients() -> None:
    placement = devices.Placement(torch.device("cpu"), torch.float64)
    weight, table = torch.ones(3), torch.arange(3)
    with torch.inference_mode():
        place = placement.at("state")
        placed = place(weight)
    assert placed.dtype == torch.float64 and not placed.is_inference() and not placed.requires_grad
    assert place(weight) is placed is placement.at("state")(weight)
    assert place(table) is table and place(placed) is placed  # nothing to do
    weight += 1
    renewed = placement.at("another state")(weight)
    assert renewed.tolist() == [2, 2, 2] and placed.tolist() == [1, 1, 1]
    assert place(weight) is placed  # a run goes on with what it began with


# --- exact products ---------------------------------------------------------------------------------------------------

NEW = hasattr(torch.backends.cudnn, "fp32_precision")  # the switches of torch 2.9
CUDA = torch.device("cuda", 0)


def old(products: str, convolutions: bool) -> Callable[[], None]:
    def turn() -> None:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions

    return turn


def new(**values: str) -> Callable[[], None]:
    def turn() -> None:
        for name, value in values.items():
            switches()[name].fp32_precision = value

    return turn


def switches() -> dict[str, Any]:
    """Those of torch 2.9; each follows the one above it while it is "none"."""
    backends: Any = torch.backends
    cudnn = backends.cudnn
    found = {"top": backends, "cuda": cudnn, "products": backends.cuda.matmul, "conv": cudnn.conv, "rnn": cudnn.rnn}
    return found if NEW else {}


SETTINGS: dict[str, tuple[Callable[[], None], ...]] = {
    "as torch comes": (),
    "all on": (old("high", True),),
    "products on": (old("medium", False),),
    "all off": (old("highest", False),),
}
if NEW:
    SETTINGS |= {
        "everywhere": (new(top="tf32"),),
        "everywhere, products off": (new(top="tf32", products="ieee"),),
        "everywhere, older switch off": (old("highest", True), new(top="tf32")),
        "on cuda": (new(cuda="tf32"),),
        "products": (new(products="tf32"),),
        "convolutions off": (new(conv="ieee"),),
        "each for itself": (new(top="ieee", cuda="tf32", products="none", conv="none", rnn="ieee"),),
        "older ones on, then each off": (old("high", True), new(products="ieee", conv="ieee", rnn="ieee")),
    }


@pytest.fixture
def as_torch_comes() -> Iterator[None]:
    """Before and afterwards all switches say what they say in a fresh process."""

    def turn() -> None:
        for switch in switches().values():
            switch.fp32_precision = "none"
        old("highest", True)()
        if NEW:
            new(products="none", conv="tf32", rnn="tf32")()

    turn()
    yield
    turn()


def readings() -> list[object]:
    """All that can be read of the switches, also while the topmost is turned, which shows what follows it."""
    found: list[object] = []

    def read() -> None:
        readers: list[Callable[[], object]] = [
            torch.get_float32_matmul_precision,
            lambda: torch.backends.cuda.matmul.allow_tf32,
            lambda: torch.backends.cudnn.allow_tf32,
            *(lambda switch=switch: switch.fp32_precision for switch in switches().values()),
        ]
        for reader in readers:
            try:
                found.append(reader())
            except RuntimeError as error:
                found.append(type(error))

    read()
    for name in ("top", "cuda") if NEW else ():
        switch = switches()[name]
        if name == "cuda" and switches()["top"].fp32_precision != "none":
            continue  # what it says then may be what the top says
        before = switch.fp32_precision
        for value in ("none", "ieee", "tf32"):
            switch.fp32_precision = value
            read()
        switch.fp32_precision = before
    return found


def tf32() -> list[bool]:
    """Whether products, convolutions and recurrent layers may round to TF32."""
    if NEW:
        return [switches()[name].fp32_precision == "tf32" for name in ("products", "conv", "rnn")]
    return [bool(torch.backends.cuda.matmul.allow_tf32), bool(torch.backends.cudnn.allow_tf32)]


@pytest.mark.usefixtures("as_torch_comes")
@pytest.mark.filterwarnings("ignore:Please use the new API:UserWarning")
class TestExact:
    @pytest.mark.parametrize("setting", SETTINGS)
    def test_no_switch_rounds_inside_and_all_are_as_before_outside(self, setting: str) -> None:
        for turn in SETTINGS[setting]:
            turn()
        before = readings()
        for _ in range(2):
            with devices.exact(CUDA):
                assert not any(tf32())
                with devices.exact(CUDA):
                    assert not any(tf32())
                assert not any(tf32())
            assert readings() == before

    @pytest.mark.parametrize("setting", ["all on", *(["everywhere"] if NEW else [])])
    def test_an_error_inside_turns_them_back(self, setting: str) -> None:
        for turn in SETTINGS[setting]:
            turn()
        before = readings()
        with pytest.raises(KeyboardInterrupt), devices.exact(CUDA):
            raise KeyboardInterrupt
        assert readings() == before

    def test_on_a_cpu_nothing_is_turned(self) -> None:
        old("high", True)()
        before = readings()
        with devices.exact(torch.device("cpu")):
            assert readings() == before
            assert all(tf32())

    def test_of_runs_that_overlap_the_last_one_turns_them_back(self) -> None:
        old("high", True)()
        before = readings()
        inside, leave = threading.Event(), threading.Event()

        def run() -> None:
            with devices.exact(CUDA):
                inside.set()
                assert leave.wait(20)

        thread = threading.Thread(target=run)
        with devices.exact(CUDA):
            thread.start()
            assert inside.wait(20)
        assert not any(tf32())  # the other run is not over
        leave.set()
        thread.join(20)
        assert readings() == before


# --- on a GPU ---------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("lies", ["cpu", "cuda"])
@pytest.mark.parametrize("name", METHODS)
def test_a_gpu_gives_the_same_map(name: str, lies: str, picture: Image.Image) -> None:
    # messy hides parts in a list, which .to() passes over: moved, it could not run itself
    net = plain() if name == "cam" or lies == "cuda" else messy()
    expected = METHODS[name](engine_of(copy.deepcopy(net), device="cpu"), picture, 1).values
    net.to(lies)
    before = snapshot(net)
    engine = engine_of(net)
    assert engine.device == CUDA
    np.testing.assert_allclose(
        METHODS[name](engine, picture, 1).values, expected, rtol=0, atol=1e-4 * max(1.0, np.abs(expected).max())
    )
    assert snapshot(net) == before


@pytest.mark.gpu
@pytest.mark.usefixtures("as_torch_comes")
@pytest.mark.filterwarnings("ignore:Please use the new API:UserWarning")
def test_a_gpu_computes_in_full_precision_whatever_the_user_allows() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 7), nn.ReLU(), nn.Conv2d(64, 64, 7), nn.Flatten(), nn.Linear(64 * 400, 5))
    x = some_inputs(4)
    exact = engine_of(net, device="cpu", dtype=torch.float64).logits(x.double())
    old("high", True)()
    before = readings()
    off = (engine_of(net, device="cuda").logits(x.cuda()).cpu() - exact).abs().max()
    assert float(off) < 3e-5 * float(exact.abs().max())
    assert readings() == before


@pytest.mark.gpu
def test_a_module_moved_to_the_gpu_and_back_after_the_engine_was_made_goes_on(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, device="cpu")
    scores, raw = engine.scores(picture), METHODS["grad_cam"](engine, picture).raw
    for device in ("cuda", "cpu"):
        net.to(device)
        assert np.array_equal(engine.scores(picture), scores)
        assert np.array_equal(METHODS["grad_cam"](engine, picture).raw, raw)
        assert {weight.device.type for weight in net.parameters()} == {device}


@pytest.mark.gpu
def test_a_training_step_on_the_cpu_is_seen_on_the_gpu(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, device="cuda")
    before = engine.scores(picture)
    net.get_parameter("7.bias").data += 1
    np.testing.assert_allclose(engine.scores(picture), before + 1, atol=1e-5)


@pytest.mark.gpu
def test_a_network_spread_over_devices_on_purpose_stays_spread(picture: Image.Image) -> None:
    class Spread(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps, self.head = plain()[:5], plain()[5:].cuda()

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.maps(x).cuda())

    net = Spread()
    engine = engine_of(net)
    assert engine.device == torch.device("cpu")
    expected = engine_of(plain(), device="cpu").scores(picture)
    np.testing.assert_allclose(engine.scores(picture), expected, rtol=0, atol=1e-4)


@pytest.mark.gpu
def test_a_full_gpu_makes_batches_smaller_and_the_answers_stay_the_same() -> None:
    x = some_inputs(4096).cuda()
    engine = engine_of(plain(), device="cuda", batch_size=4096)
    expected = engine.logits(x[:64])
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    room = torch.cuda.memory_reserved() + 160 * 2**20  # the first maps of all of them alone are 96 MiB, thrice
    torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
    try:
        scores = engine.logits(x)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert scores.shape == (4096, 5)
    assert engine.batch_size(x) < 4096
    assert torch.allclose(scores[:64], expected, rtol=0, atol=1e-4)
