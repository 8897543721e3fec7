"""The same shards on Dask's workers: the network is loaded once a worker, and each shard comes back as a whole file."""

from __future__ import annotations

import copy
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey
from cnnviz_widgets.models import Preprocessing

if TYPE_CHECKING:
    from dask.distributed import Client, Future

RETRIES = 3  # of a shard whose worker is lost or raises, and of all when every worker is lost
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
    that jobs are asked for as late as can be.

    Raises:
        RuntimeError: there are no workers, or all were lost several times.
        Exception: what a worker raised more than `RETRIES` times.
    """
    from dask.distributed import CancelledError, TimeoutError, wait

    if getattr(client, "asynchronous", False):
        raise TypeError("this client is asynchronous; wanted is one that waits: Client(...) without asynchronous=True")
    running: dict[Future, Job[P]] = {}
    lost = 0
    try:
        sent = _send(client, task)
        while True:
            room = max(AT_LEAST, AHEAD * _threads(client)) - len(running)
            for _, job in zip(range(room), jobs, strict=False):
                running[_submit(client, sent, job)] = job
            if not running:
                return
            checkpoint()
            try:
                ready = _ready(wait(list(running), timeout=LOOK_AFTER, return_when="FIRST_COMPLETED"))
                found = [(running[future], future.result()) for future in ready]
            except TimeoutError:
                continue
            except CancelledError as error:  # every worker that had the network is gone
                lost += 1
                if lost > RETRIES:
                    raise RuntimeError(
                        f"all workers of {client} were lost, {lost} times; what was done is kept"
                    ) from error
                again, running = list(running.values()), {}
                sent = _send(client, task)
                running = {_submit(client, sent, job): job for job in again}
                continue
            for future in ready:
                del running[future]
            for job, content in found:
                yield job.place, content
    finally:
        if running:
            client.cancel(list(running), force=True)


def _send(client: Client, task: Task) -> Future:
    """The network and the rest, on all workers that there are; more that come later get them from these."""
    from dask.distributed import TimeoutError

    try:
        return cast("Future", client.scatter(task, broadcast=True, hash=False))
    except TimeoutError as error:
        raise RuntimeError(f"{client} has no workers; client.wait_for_workers(1) waits for the first") from error


def _submit(client: Client, sent: Future, job: Job[P]) -> Future:
    return client.submit(_one_shard, sent, job.numbers, job.keys, retries=RETRIES, pure=False)


def _threads(client: Client) -> int:
    return sum(cast("dict[str, int]", client.nthreads()).values())


def _ready(answer: Any) -> set[Future]:
    return answer.done


_engines: dict[str, Engine] = {}
_loading = threading.Lock()


def _one_shard(task: Task, numbers: Sequence[int | None], keys: Sequence[str]) -> bytes:
    """On a worker: the file of one shard."""
    engine = _engine(task)
    with engine.still():
        (found,) = survey(engine, task.gallery, task.settings, [numbers], task.like.to(engine.device))
    return files.encode(found, keys, task.gallery.classes)


def _engine(task: Task) -> Engine:
    """The engine of this worker, made when it is first needed."""
    wanted = task.settings.fingerprint
    with _loading:
        if wanted not in _engines:
            _engines.clear()  # of another index, whose network need not be kept
            engine = Engine(task.network, transform=task.preprocessing, categories=task.categories, dtype=task.dtype)
            if engine.fingerprint != wanted:
                raise RuntimeError(
                    f"this worker makes another network of what it was sent: fingerprint {engine.fingerprint} instead "
                    f"of {wanted}; are its versions of torch, torchvision and Pillow those of the client?"
                )
            _engines[wanted] = engine
        return _engines[wanted]
