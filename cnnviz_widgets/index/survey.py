"""The pass over the pictures: decoding runs ahead in threads of its own, and several batches go through the network."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.engine.threads import Crew
from cnnviz_widgets.index.board import Board
from cnnviz_widgets.index.reading import Reading, read
from cnnviz_widgets.index.runner import Gathered, Runner, SharedBoard
from cnnviz_widgets.index.settings import Settings

AHEAD = 6  # batches a runner, decoded and not yet run


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

    The next shard's pictures are decoded while the last one is still in work, but none goes through the network before
    the last one is whole. A job can be stopped between two batches.

    Args:
        engine: the network.
        gallery: the pictures.
        settings: how to look at them.
        shards: numbers of pictures in the gallery, None for one that is gone; asked for as late as can be.
        like: an input such as the network will see.
        done: called with how many pictures more are done.
    """
    cores = os.cpu_count() or 1
    # beside a network on the same cores a few read fast enough, and more would only get in each other's way
    readers = ThreadPoolExecutor(max(1, cores // 2 if engine.device.type == "cpu" else cores), "cnnviz reader")
    try:
        with Crew(engine.device, lambda: Runner(engine, settings, like)) as crew:
            ahead = _Ahead(readers, gallery, engine, settings, shards, AHEAD * crew.size * settings.batch)
            for count, readings in ahead:
                yield _one_shard(crew, settings, count, readings, done)
    finally:
        readers.shutdown(wait=True, cancel_futures=True)


class _Ahead:
    """Pictures that are being decoded, in order, so many beyond the one that is wanted."""

    def __init__(
        self,
        readers: ThreadPoolExecutor,
        gallery: Gallery,
        engine: Engine,
        settings: Settings,
        shards: Iterable[Sequence[int | None]],
        size: int,
    ) -> None:
        self._readers, self._gallery, self._size = readers, gallery, size
        self._preprocessing, self._pixels = engine.preprocessing, settings.pixels
        self._coming = ((shard, position, number) for shard in shards for position, number in enumerate(shard))
        self._waiting: deque[tuple[int, Future[Reading]]] = deque()

    def __iter__(self) -> Iterator[tuple[int, Iterator[Reading]]]:
        """Each shard's number of pictures, and these."""
        self._fill()
        while self._waiting:
            count = self._waiting[0][0]
            yield count, (self._next() for _ in range(count))

    def _next(self) -> Reading:
        self._fill()
        return self._waiting.popleft()[1].result()

    def _fill(self) -> None:
        while len(self._waiting) < self._size:
            try:
                shard, position, number = next(self._coming)
            except StopIteration:
                return
            reading = self._readers.submit(read, self._gallery, number, position, self._preprocessing, self._pixels)
            self._waiting.append((len(shard), reading))


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
    """Pictures of one shape together, in their order; which go together depends on the pictures alone."""
    groups: dict[tuple[int, ...], list[Reading]] = {}
    for reading in readings:
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
        if len(group) == size:
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
