"""The pass over the pictures: reading runs ahead, and several batches go through the network."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.engine.threads import Crew
from cnnviz_widgets.index.ahead import Ahead
from cnnviz_widgets.index.board import Board
from cnnviz_widgets.index.reading import Reading
from cnnviz_widgets.index.runner import Gathered, Runner, SharedBoard
from cnnviz_widgets.index.settings import Settings

ROUNDS = 4  # batches at least that pictures which are left are divided into,
LEAST = 4  # but none is smaller than this part of a full one


@dataclass
class Findings:
    """What a pass over the n pictures of a shard found; those that could not be read have a reason and zeros.

    Attributes:
        labels, predictions: (n,) numbers, -1 for none.
        probabilities: (n,) of the predictions.
        shapes: (n, 2) height and width of what the network saw.
        thumbnails: n JPEGs.
        pixels: (n, h, w, 3) uint8, the pictures in pixel space.
        embeddings: (n, D) of each layer.
        board: the strongest answers; its numbers are positions in the shard.
        reasons: by position.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    shapes: NDArray[np.int32]
    thumbnails: list[bytes]
    pixels: NDArray[np.uint8]
    embeddings: list[NDArray[np.float32]]
    board: Board
    reasons: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def empty(count: int, settings: Settings) -> Findings:
        """Of so many pictures, before anything is found."""
        return Findings(
            np.full(count, -1, np.int64),
            np.full(count, -1, np.int64),
            np.full(count, np.nan, np.float32),
            np.zeros((count, 2), np.int32),
            [b""] * count,
            np.zeros((count, *settings.pixels, 3), np.uint8),
            [],
            Board(settings.channels, settings.k),
        )


def survey(
    engine: Engine,
    gallery: Gallery,
    settings: Settings,
    shards: Iterable[Sequence[int | None]],
    like: Tensor,
    done: Callable[[int], object] = lambda pictures: None,
) -> Generator[Findings]:
    """Look at the pictures of each shard; what was found, shard by shard.

    The next shard's pictures are read while the last one is still in work, but none goes through the network before
    the last one is whole. A job can be stopped between two batches.

    Args:
        engine: the network.
        gallery: the pictures.
        settings: how to look at them.
        shards: numbers of pictures in the gallery, None for one that is gone; asked for as late as can be.
        like: an input such as the network will see.
        done: called with how many pictures more are done.
    """
    with (
        Crew(engine.device, lambda: Runner(engine, settings, like)) as crew,
        contextlib.closing(iter(Ahead(crew, gallery, engine, settings, shards))) as ahead,
    ):
        for count, readings in ahead:
            yield _one_shard(crew, settings, count, readings, done)


def _one_shard(
    crew: Crew[Runner],
    settings: Settings,
    count: int,
    readings: Iterator[Reading],
    done: Callable[[int], object],
) -> Findings:
    found = Findings.empty(count, settings)
    running: deque[Future[Gathered]] = deque()
    board = SharedBoard(settings.channels, settings.k)
    for runner in crew.things:
        runner.begin(board)
    try:
        for batch in _batches(readings, found, settings.batch, done):
            positions, tensors = [one.position for one in batch], [one.tensor for one in batch]
            running.append(crew.submit(lambda runner, p=positions, t=tensors: runner.run(p, t)))
            while len(running) > 2 * crew.size or (running and running[0].done()):
                _take(found, running.popleft().result(), done)
            checkpoint()
        while running:
            _take(found, running.popleft().result(), done)
            checkpoint()
    finally:
        for future in running:  # of a shard that was given up
            future.cancel()
    for runner in crew.things:
        runner.settle()
    found.board = board
    return found


def _batches(
    readings: Iterator[Reading], found: Findings, size: int, done: Callable[[int], object]
) -> Iterator[list[Reading]]:
    """Pictures of one shape together, in their order; which go together depends on the pictures alone.

    Towards the end there are fewer in a batch, so that no core waits long for the last one.
    """
    left = len(found.labels)
    groups: dict[tuple[int, ...], list[Reading]] = {}
    for reading in readings:
        enough = min(size, max(size // LEAST, left // ROUNDS))
        left -= 1
        if reading.reason:
            found.reasons[reading.position] = reading.reason
            done(1)
            continue
        shape = tuple(reading.tensor.shape)
        found.labels[reading.position] = reading.label
        found.shapes[reading.position] = reading.shape
        found.thumbnails[reading.position] = reading.thumbnail
        found.pixels[reading.position] = reading.pixels
        group = groups.setdefault(shape, [])
        group.append(reading)
        if len(group) >= enough:
            yield groups.pop(shape)
        elif sum(map(len, groups.values())) > 8 * size:  # of many shapes not all can wait
            yield groups.pop(max(groups, key=lambda one: len(groups[one])))
    yield from groups.values()


def _take(found: Findings, gathered: Gathered, done: Callable[[int], object]) -> None:
    found.predictions[gathered.positions] = gathered.predictions
    found.probabilities[gathered.positions] = gathered.probabilities
    if not found.embeddings:
        count = len(found.labels)
        found.embeddings = [np.zeros((count, part.shape[1]), np.float32) for part in gathered.embeddings]
    for whole, part in zip(found.embeddings, gathered.embeddings, strict=True):
        whole[gathered.positions] = part
    done(len(gathered.positions))
