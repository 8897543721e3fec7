"""Pictures that are read ahead of the network, in order, and who reads them."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.threads import Crew
from cnnviz_widgets.index.reading import Reading, read
from cnnviz_widgets.index.settings import Settings

AHEAD = 6  # batches for each of the crew, read and not yet run
CHUNK = 8  # pictures that one thread reads in one go: to wake the threads for each alone costs as much as some reading
WAITING = 3  # times as long as it computes: reading that takes longer waits, for a disk or a net
WAITERS, READERS = 4, 32  # threads for each core where reading waits, and in all


class Ahead:
    """The pictures of shards, shard by shard; so many beyond the one that is wanted are being read."""

    def __init__(
        self,
        crew: Crew[Any],
        gallery: Gallery,
        engine: Engine,
        settings: Settings,
        shards: Iterable[Sequence[int | None]],
    ) -> None:
        """Read for the network of `engine`, which the crew runs."""
        self._gallery, self._preprocessing, self._pixels = gallery, engine.preprocessing, settings.pixels
        self._size = max(2, AHEAD * crew.size * settings.batch // CHUNK)
        self._coming = (
            (len(shard), tuple(enumerate(shard))[start : start + CHUNK])
            for shard in shards
            for start in range(0, len(shard), CHUNK)
        )
        # so that the network soon has something to do: the first ones, and then two for each that is taken
        self._room = max(2, crew.size * settings.batch // CHUNK)
        self._readers = _Readers(crew, engine.device.type == "cpu", self._room)
        self._waiting: deque[tuple[int, Future[list[Reading]]]] = deque()
        self._over = False

    def __iter__(self) -> Generator[tuple[int, Iterator[Reading]]]:
        """Each shard's number of pictures, and these, all of which are to be taken before the next shard."""
        try:
            self._fill()
            while self._waiting:
                count = self._waiting[0][0]
                yield count, self._shard(count)
        finally:
            self._over = True
            self._readers.close()

    def _shard(self, count: int) -> Iterator[Reading]:
        while count > 0:
            self._fill()
            readings = self._waiting.popleft()[1].result()
            self._room = min(self._room + 1, self._size)
            count -= len(readings)
            yield from readings

    def _fill(self) -> None:
        while len(self._waiting) < self._room:
            try:
                count, chunk = next(self._coming)
            except StopIteration:
                return
            self._waiting.append((count, self._readers.submit(partial(self._read, chunk))))

    def _read(self, chunk: Sequence[tuple[int, int | None]]) -> list[Reading]:
        """These (position, number); not all of them when the pass is over."""
        return [
            read(self._gallery, number, position, self._preprocessing, self._pixels)
            for position, number in chunk
            if not self._over
        ]


class _Readers:
    """Who reads: the crew itself beside its other work, and threads of their own where reading is seen to wait.

    Reading that computes (decoding, mostly) has no other cores than those of the network, and threads beside the crew
    would only push it out of them. Where a disk or a net lets it wait, many wait at once.
    """

    def __init__(self, crew: Crew[Any], shared: bool, untimed: int) -> None:
        """`shared` when the crew computes on the cores that read.

        The first `untimed` chunks are read before the network has anything to do, all of the crew at once, and they
        wait for each other.
        """
        self._crew, self._shared, self._untimed = crew, shared, untimed
        cores = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(min(READERS, WAITERS * cores) if shared else cores, "cnnviz reader")
        self._lock = threading.Lock()
        self._passed = self._computed = 0.0  # seconds

    def submit(self, read_chunk: Callable[[], list[Reading]]) -> Future[list[Reading]]:
        """Have a chunk read."""
        if not self._shared or self._passed > WAITING * self._computed:
            return self._pool.submit(read_chunk)
        if self._untimed:
            self._untimed -= 1
            return self._crew.submit(lambda _: read_chunk())
        return self._crew.submit(lambda _: self._timed(read_chunk))

    def close(self) -> None:
        """Wait for what is being read; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _timed(self, read_chunk: Callable[[], list[Reading]]) -> list[Reading]:
        passed, computed = time.perf_counter(), time.thread_time()
        try:
            return read_chunk()
        finally:
            with self._lock:
                self._passed += time.perf_counter() - passed
                self._computed += time.thread_time() - computed
