"""Threads that each compute alone: for many independent batches faster than all cores on one batch after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")


class Crew(Generic[S]):
    """Some threads, each with a thing of its own to work with; within `with` they are there.

    On a CPU each uses one core, so what one computes does not depend on how many there are.
    """

    def __init__(self, device: torch.device, make: Callable[[], S]) -> None:
        """One thread for each core that this thread may use; one alone for a GPU.

        Args:
            device: where they compute.
            make: makes each thread's thing, in that thread.
        """
        self._alone = device.type == "cpu"
        self.size = torch.get_num_threads() if self._alone else 1
        self._make = make
        self._local = threading.local()
        self._all_there = threading.Barrier(self.size)
        self._pool = ThreadPoolExecutor(self.size, "cnnviz crew")
        self.things: list[S] = []

    def __enter__(self) -> Crew[S]:
        """Start the threads."""
        cores = torch.get_num_threads()
        try:
            for started in [self._pool.submit(self._begin) for _ in range(self.size)]:
                started.result()
        except BaseException:
            self._all_there.abort()  # an interrupt may come before all of them were asked to start
            self._pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            if self._alone:
                # each thread has a number of its own, but new threads get the one that was set last
                torch.set_num_threads(cores)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is in work; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, work: Callable[[S], T]) -> Future[T]:
        """Have `work` done with the thing of whichever thread is free."""
        return self._pool.submit(lambda: work(self._local.thing))

    def _begin(self) -> None:
        if self._alone:
            torch.get_num_threads()  # a thread takes its number over when it is first asked
            torch.set_num_threads(1)
        try:
            self._local.thing = self._make()
            self.things.append(self._local.thing)
        finally:
            self._all_there.wait()  # or one thread would take the place of two
