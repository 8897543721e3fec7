"""The same shards on Dask's workers: the network is loaded once a worker, and each shard comes back as a whole file."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey
from cnnviz_widgets.models import Preprocessing

if TYPE_CHECKING:
    from dask.distributed import Client

RETRIES = 3  # of a shard whose worker is lost or raises
LOOK_AFTER = 0.2  # seconds between two looks whether the job was stopped


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


def compute(
    client: Client, task: Task, shards: Sequence[tuple[list[int], list[str]]], take: Callable[[int, bytes], object]
) -> None:
    """Have shards computed by the workers of a client.

    Args:
        client: of Dask.
        task: what they need.
        shards: the numbers of the pictures in the gallery, and their keys.
        take: called with the place of a shard in `shards` and the content of its file, as each comes.

    Raises:
        Exception: what a worker raised more than `RETRIES` times.
    """
    from dask.distributed import as_completed

    sent = client.scatter(task, broadcast=True, hash=False)
    futures = {
        client.submit(_one_shard, sent, numbers, keys, retries=RETRIES, pure=False): place
        for place, (numbers, keys) in enumerate(shards)
    }
    try:
        coming = as_completed(futures, with_results=False)
        while futures:
            checkpoint()
            if not coming.has_ready() and _nothing_within(coming):
                continue
            future = next(coming)
            take(futures.pop(future), future.result())
            future.release()
    finally:
        if futures:
            client.cancel(list(futures), force=True)


def _nothing_within(coming: object) -> bool:
    """Wait a little; whether still nothing is there."""
    import time

    time.sleep(LOOK_AFTER)
    return not coming.has_ready()  # type: ignore[attr-defined]


_engines: dict[str, Engine] = {}
_loading = threading.Lock()


def _one_shard(task: Task, numbers: list[int], keys: list[str]) -> bytes:
    """On a worker: the file of one shard."""
    engine = _engine(task)
    with engine.still():
        (found,) = survey(engine, task.gallery, task.settings, [numbers], task.like.to(engine.device))
    return files.encode(found, keys)


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
