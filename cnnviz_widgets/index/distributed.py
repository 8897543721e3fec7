"""The same shards on Dask's workers: the network is loaded once a worker, and each shard comes back as a whole file."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from uuid import uuid4

import torch
from dask.distributed import TimeoutError, WorkerPlugin, get_worker, wait
from torch import Tensor, nn

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey
from cnnviz_widgets.models import Preprocessing

if TYPE_CHECKING:
    from dask.distributed import Client, Future, Worker

RETRIES = 3  # of a shard whose worker raises; of lost workers Dask itself allows as many
PATIENCE = 60.0  # seconds without a worker
LOOK_AFTER = 0.2  # seconds between two looks whether the job was stopped
AHEAD, AT_LEAST = 3, 8  # shards sent ahead for each thread of the workers, and in all

P = TypeVar("P")


@dataclass(frozen=True)
class Task:
    """What every shard needs, sent to each worker once: the network, the pictures and how to look at them."""

    network: nn.Module
    preprocessing: Preprocessing
    categories: tuple[str, ...]
    dtype: torch.dtype
    gallery: Gallery
    settings: Settings
    like: Tensor

    @staticmethod
    def of(engine: Engine, gallery: Gallery, settings: Settings, like: Tensor) -> Task:
        """With the network in ordinary memory, which every worker has."""
        network = engine.modules[""]
        if engine.device.type != "cpu":
            network = copy.deepcopy(network).cpu()
        return Task(network, engine.preprocessing, engine.categories, engine.dtype, gallery, settings, like.cpu())


@dataclass(frozen=True)
class Job(Generic[P]):
    """One shard: the numbers of its pictures in the gallery, None for one that is gone, and their keys."""

    place: P  # whatever the caller knows it by
    numbers: list[int | None]
    keys: list[str]


def compute(client: Client, task: Task, jobs: Iterator[Job[P]]) -> Generator[tuple[P, bytes]]:
    """Have shards computed by the workers of a client; each one's place and the content of its file, as they come.

    Only some are with the workers at a time, so that they do not collect results faster than these are written, and so
    that jobs are asked for as late as can be. Workers may come and go meanwhile.

    Raises:
        RuntimeError: there are no workers.
        TypeError: the client is one for `await`.
        Exception: what a worker raised more than `RETRIES` times.
    """
    if getattr(client, "asynchronous", False):
        raise TypeError("this client is asynchronous; wanted is one that waits: Client(...) without asynchronous=True")
    running: dict[Future, Job[P]] = {}
    name = f"cnnviz-index-{uuid4().hex}"
    client.register_plugin(OnWorker(task), name=name)
    last_seen = time.monotonic()
    try:
        while True:
            threads = _threads(client)
            room = max(AT_LEAST, AHEAD * threads) - len(running)
            for _, job in zip(range(room), jobs, strict=False):
                future = client.submit(_one_shard, name, job.numbers, job.keys, retries=RETRIES, pure=False)
                running[cast("Future", future)] = job
            if not running:
                return
            checkpoint()
            last_seen = time.monotonic() if threads else last_seen
            if time.monotonic() - last_seen > PATIENCE:
                raise RuntimeError(f"{client} has had no workers for {PATIENCE:.0f} seconds; what was done is kept")
            try:
                ready = _ready(wait(list(running), timeout=LOOK_AFTER, return_when="FIRST_COMPLETED"))
            except TimeoutError:
                continue
            for future in ready:
                content = future.result()
                yield running.pop(future).place, content
    finally:
        if running:
            client.cancel(list(running), force=True)
        with contextlib.suppress(Exception):  # of a cluster that is gone
            client.unregister_worker_plugin(name)


class OnWorker(WorkerPlugin):
    """Brings a task to each worker once, also to those that come later, and keeps its engine there."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def setup(self, worker: Worker) -> None:
        """On the worker; the engine waits until it is needed."""
        self._engine: Engine | None = None
        self._making = threading.Lock()

    def one_shard(self, numbers: Sequence[int | None], keys: Sequence[str]) -> bytes:
        """The file of one shard."""
        task, engine = self._task, self._made()
        with engine.still():
            (found,) = survey(engine, task.gallery, task.settings, [numbers], task.like.to(engine.device))
        return files.encode(found, keys, task.gallery.classes)

    def _made(self) -> Engine:
        task = self._task
        with self._making:
            if self._engine is None:
                engine = Engine(
                    task.network, transform=task.preprocessing, categories=task.categories, dtype=task.dtype
                )
                if engine.fingerprint != task.settings.fingerprint:
                    raise RuntimeError(
                        "this worker makes another network of what it was sent: fingerprint "
                        f"{engine.fingerprint} instead of {task.settings.fingerprint}; are its versions of torch, "
                        "torchvision and Pillow those of the client?"
                    )
                self._engine = engine
            return self._engine


def _one_shard(name: str, numbers: Sequence[int | None], keys: Sequence[str]) -> bytes:
    """On a worker."""
    return cast("OnWorker", get_worker().plugins[name]).one_shard(numbers, keys)


def _threads(client: Client) -> int:
    return sum(cast("dict[str, int]", client.nthreads()).values())


def _ready(answer: Any) -> list[Future]:
    return list(answer.done)
