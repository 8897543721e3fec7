"""Stopped by the user: at once, with nothing left behind and nothing of the user's touched, and it goes on later."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets import Engine, Index
from cnnviz_widgets.engine import Cancelled
from cnnviz_widgets.index import IndexIncomplete
from tests.engine.snapshot import snapshot
from tests.index.material import contents, engine_of, network, pictures, same

COUNT, SHARD, BATCH = 96, 16, 4


class Trap:
    """Does something in the n-th batch of an index's pass after it was set; counts batches and pictures."""

    def __init__(self) -> None:
        self.batches, self.pictures, self._left, self._lock = 0, 0, 0, threading.Lock()
        self._act: Callable[[], object] = lambda: None

    def set(self, after: int, act: Callable[[], object]) -> None:
        self.batches, self.pictures, self._left, self._act = 0, 0, after, act

    def step_on(self, pictures: int) -> None:
        if threading.current_thread().name.startswith("cnnviz crew"):
            with self._lock:
                self.batches += 1
                self.pictures += pictures
                now = self.batches == self._left
            if now:
                self._act()


class Trapped(nn.Module):
    """Passes on what it gets, over a trap."""

    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self.trap = trap

    def forward(self, x: Tensor) -> Tensor:
        self.trap.step_on(len(x))
        return x


@pytest.fixture
def trap() -> Trap:
    return Trap()


@pytest.fixture
def net(trap: Trap) -> nn.Module:
    """In the middle of its training, with what a user may have hung on it."""
    found = nn.Sequential(Trapped(trap), network(), nn.Dropout(0.5)).train()
    found[1][1].weight.requires_grad_(False)
    found[1][-1].weight.grad = torch.full_like(found[1][-1].weight, 0.25)
    found[1][4].register_forward_hook(lambda *_: None)
    return found


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, object]:
    """What an index of the same network holds that nobody stopped."""
    engine = engine_of(nn.Sequential(Trapped(Trap()), network(), nn.Dropout(0.5)))
    return contents(_build(engine, tmp_path / "whole"))


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Threads of ours that run when a test begins; after it there are no more."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith(("cnnviz reader", "cnnviz crew", "cnnviz signer"))] == []


@pytest.fixture
def heard() -> Iterator[None]:
    """An interrupt is heard, also where whoever started the tests ignores it, as a shell does for what runs behind."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _build(engine: Engine, folder: Path) -> Index:
    return Index.build(engine, pictures(COUNT), folder, shard=SHARD, batch_size=BATCH, progress=False)


def _threads_of_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("after", [1, 5, 13])
def test_a_job_that_is_cancelled_stops_between_two_batches_and_the_next_one_goes_on(
    after: int, trap: Trap, net: nn.Module, whole: dict[str, object], tmp_path: Path
) -> None:
    engine, folder = engine_of(net), tmp_path / "index"
    before, cores = snapshot(net), torch.get_num_threads()
    told: list[tuple[int, int | None]] = []
    trap.set(after, lambda: job.cancel())
    job = engine.worker.submit(
        lambda: _build(engine, folder), on_progress=lambda one: told.append((one.done, one.total))
    )
    with pytest.raises(Cancelled):
        job.wait(60)
    assert after <= trap.batches <= after + 4 * cores + 1, "no more than what was on its way to the network"
    assert all(total == COUNT for _, total in told) and [done for done, _ in told] == sorted(done for done, _ in told)
    assert snapshot(net) == before and torch.get_num_threads() == _threads_of_new_thread() == cores
    with pytest.raises(IndexIncomplete, match="was begun and is not complete"):
        Index.open(folder, engine)
    done, trap_before = len(list((folder / "shards").glob("*.sqlite"))), trap.batches
    trap.set(0, lambda: None)
    same(contents(engine.worker.submit(lambda: _build(engine, folder)).wait(60)), whole)
    assert trap_before and trap.pictures == COUNT - done * SHARD


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("after", [1, 7, 24])
def test_an_interrupt_from_the_keyboard_leaves_no_thread_and_the_next_call_goes_on(
    after: int, trap: Trap, net: nn.Module, whole: dict[str, object], tmp_path: Path
) -> None:
    engine, folder = engine_of(net), tmp_path / "index"
    before, cores = snapshot(net), torch.get_num_threads()
    trap.set(after, _thread.interrupt_main)
    try:
        with pytest.raises(KeyboardInterrupt):
            _build(engine, folder)
    finally:
        names = [thread.name for thread in threading.enumerate()]
    assert [name for name in names if name.startswith(("cnnviz reader", "cnnviz crew"))] == []
    assert snapshot(net) == before and torch.get_num_threads() == _threads_of_new_thread() == cores
    assert not list(folder.rglob("*.part"))
    trap.set(0, lambda: None)
    same(contents(_build(engine, folder)), whole)
    assert snapshot(net) == before


def test_whoever_waits_for_another_process_can_be_cancelled_as_well(net: nn.Module, tmp_path: Path) -> None:
    from cnnviz_widgets.index.upkeep import alone

    engine, folder = engine_of(net), tmp_path / "index"
    folder.mkdir()
    with alone(folder):  # another one plans or merges
        job = engine.worker.submit(lambda: _build(engine, folder))
        with pytest.raises(TimeoutError):
            job.wait(0.7)
        job.cancel()
        with pytest.raises(Cancelled):
            job.wait(10)


def test_a_network_that_fails_says_so_and_the_pictures_that_were_done_are_kept(
    trap: Trap, net: nn.Module, whole: dict[str, object], tmp_path: Path
) -> None:
    def fail() -> None:
        raise RuntimeError("no such kernel")

    engine, folder = engine_of(net), tmp_path / "index"
    trap.set(14, fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        _build(engine, folder)
    trap.set(0, lambda: None)
    same(contents(_build(engine, folder)), whole)
    assert trap.pictures < COUNT
