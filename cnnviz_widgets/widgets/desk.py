"""The background work of one widget: one job for each of its concerns, and nothing that goes wrong is lost."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from cnnviz_widgets.engine import Cancelled, Job
from cnnviz_widgets.engine.jobs import Worker

T = TypeVar("T")
R = TypeVar("R")


class Desk:
    """What a widget has in work at an engine's worker, by concern ("tiles", "card"): the newest request is what counts.

    Args:
        worker: the engine's.
        fail: called as `fail(concern, text)` when work raised something, in the worker's thread.
    """

    def __init__(self, worker: Worker, fail: Callable[[str, str], None]) -> None:
        self._worker = worker
        self._fail = fail
        self._jobs: dict[str, Job[Any]] = {}
        self._owners: dict[str, object] = {}
        self._lock = threading.Lock()

    def submit(
        self,
        concern: str,
        work: Callable[[], object],
        *,
        urgent: bool = False,
        on_progress: Callable[[Job[Any]], None] | None = None,
    ) -> None:
        """Have `work` done; what was asked for this concern before is replaced or, if it runs, told to stop.

        Args:
            concern: what it is about.
            work: called in the worker's thread.
            urgent: do it between two steps of whatever runs, and finish it once it is begun (see `Worker.submit`).
            on_progress: called in the worker's thread after each step.
        """
        with self._lock:
            owner = self._owners.setdefault(concern, object())
            self._jobs[concern] = self._worker.submit(
                work,
                owner=owner,
                urgent=urgent,
                on_progress=on_progress,
                on_end=lambda job: self._ended(concern, job),
            )

    def stop(self, *concerns: str) -> None:
        """Stop what is in work for these concerns; without any, everything."""
        with self._lock:
            for concern in concerns or self._jobs:
                if concern in self._jobs:
                    self._jobs[concern].cancel()

    def busy(self, concern: str) -> bool:
        """Whether something is in work for a concern, and was not told to stop."""
        with self._lock:
            job = self._jobs.get(concern)
            return job is not None and not (job.ended or job.stopping)

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing is in work, also nothing that followed from what was.

        Raises:
            TimeoutError: something still is, after `timeout` seconds.
            Exception: what the newest work of a concern raised.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (job := self._unfinished()) is not None:
            try:
                job.wait(None if end is None else max(0.0, end - time.monotonic()))
            except Exception:
                if not job.ended:  # it is the waiting that went wrong; what the work raised is for below
                    raise
        for job in list(self._jobs.values()):
            if job.error is not None and not isinstance(job.error, Cancelled):
                raise job.error

    def _unfinished(self) -> Job[Any] | None:
        with self._lock:
            return next((job for job in self._jobs.values() if not job.ended), None)

    def _ended(self, concern: str, job: Job[Any]) -> None:
        if job.state == "failed":
            self._fail(concern, str(job.error) or type(job.error).__name__)


class Every:
    """Says when something is due that need not be done each time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("-inf")

    def due(self) -> bool:
        """True, at most once in so many seconds."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Stream(Generic[T, R]):
    """Works off what comes in one by one; of what comes while it works, only the newest.

    Unlike a job of an owner, which a newer one stops, each item that was begun is finished: under a stream that is
    faster than the work there is still something to see.

    Args:
        worker: the engine's.
        work: called with an item, in the worker's thread; gives what is to be seen, or None.
        show: called with that in another thread, so that the next item is worked on meanwhile.
        taken: called when an item is begun, so that the next one can already be on its way.
        fail: called with the text of what `work` or `show` raised.
    """

    def __init__(
        self,
        worker: Worker,
        work: Callable[[T], R | None],
        show: Callable[[R], object],
        taken: Callable[[], object],
        fail: Callable[[str], object],
    ) -> None:
        self._worker, self._work, self._show, self._taken, self._fail = worker, work, show, taken, fail
        self._display = Worker("cnnviz display")
        weakref.finalize(self, self._display.close)
        self._shown: Job[Any] | None = None
        self._next: list[T] = []
        self._busy = False
        self._lock = threading.Lock()
        self.begun = 0  # how many items were worked on

    def offer(self, item: T) -> None:
        """Work on `item` next, and not on one that waits."""
        with self._lock:
            self._next = [item]
            if self._busy:
                return
            self._busy = True
        self._worker.submit(self._one, on_end=self._ended)

    def clear(self) -> None:
        """Forget the item that waits."""
        with self._lock:
            self._next = []

    def drain(self) -> None:
        """Wait until what was worked off is shown; for whoever shows something else next."""
        if self._shown is not None:
            self._shown._ended.wait()

    def _one(self) -> None:
        with self._lock:
            items, self._next = self._next, []
            self.begun += len(items)
        for item in items:
            self._taken()
            found = self._work(item)
            if found is not None:
                self._shown = self._display.submit(partial(self._show, found), owner=self._display, on_end=self._told)

    def _told(self, job: Job[Any]) -> None:
        if job.state == "failed":
            self._fail(str(job.error) or type(job.error).__name__)

    def _ended(self, job: Job[Any]) -> None:
        self._told(job)
        with self._lock:
            self._busy = bool(self._next) and job.state != "cancelled"
            if not self._busy:
                return
        self._worker.submit(self._one, on_end=self._ended)
