"""Background work for widgets: one thread for each engine, the newest request wins, everything can be stopped.

A widget never runs the network on the kernel's main thread; it hands the engine's worker a function and gets a `Job`.
Long loops in methods go through `steps`, which is where a job reports its progress and notices that it was cancelled.
Outside a job `steps` is a plain loop. What somebody waits for with the mouse in hand is urgent: it is done between two
steps of whatever runs.
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")

EXIT_PATIENCE = 5.0  # seconds that Python, when it ends, waits for running jobs to notice


class Cancelled(Exception):
    """The job was stopped, or a newer request of the same owner took its place."""


class Job(Generic[T]):
    """One piece of background work: its state, progress, result or error.

    `state` is ``"waiting"``, ``"running"``, ``"done"``, ``"failed"`` or ``"cancelled"``; `done` and `total` count steps
    (`total` is None while unknown); `error` holds the exception of a failed job.

    Example:
        ``job = engine.worker.submit(lambda: grad_cam(engine, image)); job.wait(10).plot()``
    """

    def __init__(
        self,
        work: Callable[[], T],
        owner: object = None,
        on_progress: Callable[[Job[T]], None] | None = None,
        on_end: Callable[[Job[T]], None] | None = None,
    ) -> None:
        """Describe the work; `Worker.submit` is what makes it run."""
        self.owner = owner
        self.urgent = False
        self.state = "waiting"
        self.done = 0
        self.total: int | None = None
        self.result: T | None = None
        self.error: BaseException | None = None
        self.started: float | None = None
        self._work: Callable[[], T] | None = work
        self._on_progress = on_progress
        self._on_end = on_end
        self._loops = 0
        self._thread: int | None = None  # where it will run and end, and so cannot be waited for
        self._between: Callable[[], None] | None = None  # what its worker does at each of its steps
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """True once the job is done, failed or cancelled."""
        return self._ended.is_set()

    @property
    def stopping(self) -> bool:
        """True once somebody asked it to stop."""
        return self._stop.is_set()

    def cancel(self) -> None:
        """Ask the job to stop at its next step; a job that has ended stays as it is."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> T:
        """Block until the job has ended and return its result.

        Raises:
            TimeoutError: it did not end within `timeout` seconds (it goes on running).
            Cancelled: it was stopped.
            RuntimeError: asked in the thread that runs or ends the job, where it would never return.
            Exception: whatever the work itself raised.
        """
        if not self.ended and threading.get_ident() == self._thread:
            raise RuntimeError(
                f"this job ({self.state}) belongs to the thread that asks, which would wait for itself; "
                "within a job call the work directly, within on_end read result and error"
            )
        if not self._ended.wait(timeout):
            raise TimeoutError(f"the job is still {self.state} after {timeout} s ({self.done} of {self.total} steps)")
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]

    def check(self) -> None:
        """Raise `Cancelled` when somebody asked this job to stop."""
        if self._stop.is_set():
            raise Cancelled("the job was stopped")

    def report(self, done: int, total: int | None) -> None:
        """Record how far the work is and tell whoever listens; a later, shorter loop does not turn progress back."""
        # as shares of the whole; as mere counts where one of the two loops does not know its length
        before, now = (self.done * total, done * self.total) if total and self.total else (self.done, done)
        if now < before:
            return
        self.done, self.total = done, total
        if self._on_progress is not None:
            self._on_progress(self)

    def run(self) -> None:
        """Do the work in this thread; never raises, the outcome is in `state`, `result` and `error`."""
        token = _current.set(self)
        try:
            self.check()
            self.state, self.started = "running", time.monotonic()
            assert self._work is not None
            self.result = self._work()
            self.state = "done"
        except Cancelled as stop:
            # without its traceback, which holds what the work held (of a failed job it is worth that)
            self.state, self.error = "cancelled", stop.with_traceback(None)
        except BaseException as error:
            self.state, self.error = "failed", error
        finally:
            _current.reset(token)
            self._end()

    def drop(self, why: str) -> None:
        """End a job that never ran."""
        self.state, self.error = "cancelled", Cancelled(why)
        self._end()

    def _end(self) -> None:
        self._thread = threading.get_ident()
        try:
            if self._on_end is not None:
                self._on_end(self)
        except BaseException as error:  # a broken listener must not take the worker thread with it, nor be lost
            if self.state == "failed":
                error.__cause__ = self.error  # both are shown
            self.state, self.error = "failed", error
        finally:
            # a kept job must not keep its widget or its engine alive
            self._work = self._on_progress = self._on_end = self._between = self.owner = None
            self._ended.set()


class Worker:
    """One background thread that runs jobs in order; the newest request of an owner replaces its older ones."""

    def __init__(self, name: str = "cnnviz") -> None:
        """Make a worker; its thread starts with the first job."""
        self._name = name
        self._wake = threading.Condition()
        self._waiting: deque[Job[Any]] = deque()
        self._urgent: deque[Job[Any]] = deque()
        self._running: Job[Any] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.submitted = 0  # how many jobs were ever asked for
        _workers.add(self)

    def submit(
        self,
        work: Callable[[], T],
        *,
        owner: object = None,
        urgent: bool = False,
        on_progress: Callable[[Job[T]], None] | None = None,
        on_end: Callable[[Job[T]], None] | None = None,
    ) -> Job[T]:
        """Queue `work` and return its `Job`.

        Args:
            work: a function without arguments; its loops go through `steps`.
            owner: whoever asks (a widget). Its waiting job is replaced and its running one is told to stop: only the
                newest request of an owner matters. None: an independent job.
            urgent: for work of some milliseconds that a hand waits for: it goes before what waits, and between two
                steps of what runs, however long that is. Once begun it is finished, a newer request stops it no more:
                under a stream of them there is always something to see.
            on_progress: called in the worker thread after each step.
            on_end: called once, whatever the outcome: in the worker thread, or, for a job that never ran because
                a newer request took its place or the worker was closed, in the thread that did that.

        Raises:
            RuntimeError: the worker was closed.
        """
        job = Job(work, owner, on_progress, on_end)
        with self._wake:
            if self._closed:
                raise RuntimeError("this worker was closed, because its engine is gone")
            stale: list[Job[Any]] = []
            for queue in (self._waiting, self._urgent) if owner is not None else ():
                mine = [waiting for waiting in queue if waiting.owner is owner]
                stale += mine
                for old in mine:
                    queue.remove(old)
            running = self._running
            if owner is not None and running is not None and running.owner is owner and not running.urgent:
                running.cancel()
            self.submitted += 1
            job.urgent = urgent
            if not urgent:
                job._between = self._serve
            (self._urgent if urgent else self._waiting).append(job)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            job._thread = self._thread.ident
            self._wake.notify()
        for old in stale:
            old.drop("a newer request took its place")
        return job

    def close(self) -> None:
        """Stop the running job at its next step, drop the waiting ones and end the thread."""
        with self._wake:
            self._closed = True
            waiting = [*self._urgent, *self._waiting]
            self._waiting, self._urgent = deque(), deque()
            if self._running is not None:
                self._running.cancel()
            self._wake.notify()
        for job in waiting:
            job.drop("the worker was closed")

    def _loop(self) -> None:
        while True:
            with self._wake:
                self._running = None
                while not (self._urgent or self._waiting or self._closed):
                    self._wake.wait()
                if not (self._urgent or self._waiting):
                    return
                job = self._running = (self._urgent or self._waiting).popleft()
            job.run()
            del job  # an idle worker keeps no result alive

    def _serve(self) -> None:
        """Do what is urgent, between two steps of the running job; called in its thread."""
        while self._urgent:
            with self._wake:
                if not self._urgent:
                    return
                job = self._urgent.popleft()
            contextvars.Context().run(job.run)  # a state that the running job holds still is not this one's
            del job


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Let running jobs stop before Python ends: a thread still inside torch then would abort the process."""
    workers = list(_workers)
    for worker in workers:
        worker.close()
    latest = time.monotonic() + EXIT_PATIENCE
    for worker in workers:
        if worker._thread is not None:
            worker._thread.join(max(0.0, latest - time.monotonic()))


_current: contextvars.ContextVar[Job[Any] | None] = contextvars.ContextVar("cnnviz_job", default=None)


def current_job() -> Job[Any] | None:
    """The job that this code runs in, or None outside the worker."""
    return _current.get()


def checkpoint() -> None:
    """Let a cancelled job end here, and what is urgent go first; nothing outside a job."""
    job = _current.get()
    if job is not None:
        job.check()
        if job._between is not None:
            job._between()


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """For a loop of `total` steps: what reports how many are done. A loop within another loop reports nothing."""
    job = _current.get()
    if job is None:
        yield lambda done: None
        return
    job._loops += 1
    outermost = job._loops == 1
    try:
        yield lambda done: job.report(done, total) if outermost else None
    finally:
        job._loops -= 1


def steps(items: Iterable[S], total: int | None = None) -> Iterator[S]:
    """Loop over `items` so that a job can be stopped between two of them and reports each finished one."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    with progress(total) as report:
        for number, item in enumerate(items, start=1):
            checkpoint()
            yield item
            report(number)
    checkpoint()
