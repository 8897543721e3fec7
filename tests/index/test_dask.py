"""A real cluster of worker processes gives the same index to the last bit, whatever becomes of the workers."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from dask.distributed import Client, LocalCluster
from torch import Tensor, nn

from cnnviz_widgets import Engine, Gallery, Index
from cnnviz_widgets.engine import Cancelled
from tests.index.material import contents, engine_of, levels, network, pictures, same, seen

COUNT, SHARD = 120, 8


class Loaded(nn.Module):
    """Passes on what it gets; notes in a file each process that loads it from what was sent."""

    def __init__(self, log: str) -> None:
        super().__init__()
        self.log = log

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()}\n")

    def forward(self, x: Tensor) -> Tensor:
        return x


class Fails(nn.Module):
    """Raises where an index's pass comes by."""

    def forward(self, x: Tensor) -> Tensor:
        if threading.current_thread().name.startswith("cnnviz crew"):
            raise ArithmeticError("the sum came out wrong")
        return x


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers, processes of their own."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        patch.dict(os.environ),  # Dask sets threads and allocator there for good: for all that is started later, too
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], dict[str, bytes]]:
    """What a build in this process gives, and its shards."""
    folder = tmp_path_factory.mktemp("here") / "index"
    return contents(_build(engine_of(), folder)), _shards(folder)


def _build(engine: Engine, folder: Path, client: Client | None = None, gallery: Gallery | None = None) -> Index:
    return Index.build(engine, gallery or pictures(COUNT), folder, client=client, shard=SHARD, progress=False)


def _shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "shards").glob("*.sqlite"))}


def _pids(client: Client) -> set[int]:
    return set(client.run(os.getpid).values())


@pytest.mark.parametrize("threads", [1, 3])
def test_the_index_of_a_cluster_is_that_of_one_process_in_every_array_and_every_shard(
    threads: int, client: Client, here: tuple[dict[str, object], dict[str, bytes]], tmp_path: Path
) -> None:
    for address in client.scheduler_info()["workers"]:  # in the very thread that will compute
        client.submit(torch.set_num_threads, threads, workers=[address], pure=False).result()
    assert torch.get_num_threads() != threads
    index = _build(engine_of(), tmp_path / "index", client)
    same(contents(index), here[0])
    assert _shards(tmp_path / "index") == here[1]


def test_the_network_is_loaded_once_by_each_worker_and_by_nobody_else(client: Client, tmp_path: Path) -> None:
    log = tmp_path / "loaded"
    _build(engine_of(nn.Sequential(Loaded(str(log)), network())), tmp_path / "index", client)
    pids = seen(log)
    assert len(pids) == len(set(pids)) == 2 and set(pids) == _pids(client)


def test_with_a_worker_killed_in_the_middle_the_index_is_the_same(
    client: Client, here: tuple[dict[str, object], dict[str, bytes]], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    engine = engine_of(network(str(log), pause=0.02))
    before = _pids(client)
    job = engine.worker.submit(lambda: _build(engine, tmp_path / "index", client))
    _until(lambda: len(seen(log)) >= 2 * SHARD)
    os.kill(min(before), signal.SIGKILL)
    same(contents(job.wait(120)), here[0])
    assert _shards(tmp_path / "index") == here[1]
    assert len(set(seen(log))) == COUNT
    client.wait_for_workers(2, timeout=60)
    assert _pids(client) != before


def test_what_a_network_raises_on_a_worker_is_raised_here(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError, match="the sum came out wrong"):
        _build(engine_of(nn.Sequential(Fails(), network())), tmp_path / "index", client, pictures(SHARD))
    with pytest.raises(ValueError, match="was begun and is not complete"):
        Index.open(tmp_path / "index", engine_of())


def test_a_picture_that_cannot_be_read_on_a_worker_is_skipped_as_anywhere(client: Client, tmp_path: Path) -> None:
    some: list[object] = [*levels(10), b"no picture"]
    with pytest.warns(UserWarning, match="1 of 11 pictures"):
        index = _build(engine_of(), tmp_path / "index", client, Gallery.from_arrays(some))
    assert len(index) == 10 and [one.key for one in index.skipped] == ["10"]


def test_a_job_with_a_cluster_is_cancelled_at_once_and_goes_on_later(
    client: Client, here: tuple[dict[str, object], dict[str, bytes]], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    engine = engine_of(network(str(log), pause=0.02))
    job = engine.worker.submit(lambda: _build(engine, tmp_path / "index", client))
    _until(lambda: len(seen(log)) >= SHARD)
    job.cancel()
    with pytest.raises(Cancelled):
        job.wait(20)
    _until(lambda: not any(client.processing().values()))
    assert len(set(seen(log))) < COUNT
    same(contents(_build(engine_of(), tmp_path / "index", client)), here[0])


def test_a_cluster_shares_the_work_with_a_process_beside_it(
    client: Client, here: tuple[dict[str, object], dict[str, bytes]], tmp_path: Path
) -> None:
    logs = [tmp_path / "theirs", tmp_path / "ours"]
    theirs, ours = (engine_of(network(str(log), pause=0.02)) for log in logs)
    job = theirs.worker.submit(lambda: _build(theirs, tmp_path / "index", client))
    _until(lambda: len(seen(logs[0])) >= SHARD)
    same(contents(_build(ours, tmp_path / "index")), here[0])
    same(contents(job.wait(60)), here[0])
    computed = [number for log in logs for number in seen(log) if number]  # picture 0 is what layers are counted with
    assert sorted(computed) == list(range(1, COUNT)) and all(map(seen, logs))


def test_a_client_that_cannot_be_waited_for_is_refused(tmp_path: Path) -> None:
    class Asynchronous:
        asynchronous = True

    with pytest.raises(TypeError, match="this client is asynchronous"):
        _build(engine_of(), tmp_path / "index", Asynchronous())  # type: ignore[arg-type]


def _until(there: object) -> None:
    end = time.monotonic() + 60
    while not there():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_strongest_patches_do_not_depend_on_who_found_them(
    client: Client, here: tuple[dict[str, object], dict[str, bytes]], tmp_path: Path
) -> None:
    order = np.random.default_rng(3).permutation(COUNT)
    shuffled = pictures(COUNT).subset(order.tolist())
    index = _build(engine_of(), tmp_path / "index", client, shuffled)
    values = index.strongest("1").values
    straight = _build(engine_of(), tmp_path / "straight")
    assert np.allclose(values, straight.strongest("1").values, rtol=1e-5)
    assert np.array_equal(order[index.strongest("1").rows[:, 0]], straight.strongest("1").rows[:, 0])
