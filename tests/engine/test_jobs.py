"""Background jobs: the newest request wins, everything can be stopped, and no error is lost."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnnviz_widgets.engine import Cancelled, Engine, Job, Worker, checkpoint, current_job, steps
from cnnviz_widgets.engine.jobs import progress
from tests.engine.nets import CLASSES, TRANSFORM, plain

SOON = 20.0  # seconds until a test says that something hangs; nothing here takes one


class Boom(Exception):
    pass


class Thing:
    """Something that a weak reference can watch."""


class Gate:
    """Work that says when it has begun and goes on, from checkpoint to checkpoint, until it is let through."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        deadline = time.monotonic() + SOON
        while not self.open.wait(0.002):
            checkpoint()
            assert time.monotonic() < deadline, "nobody opened the gate"
        return "through"


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("test")
    yield worker
    worker.close()
    if worker._thread is not None:
        worker._thread.join(SOON)
        assert not worker._thread.is_alive()


@pytest.fixture
def gate(worker: Worker) -> Iterator[Gate]:
    """The worker's present work, already begun."""
    gate = Gate()
    worker.submit(gate)
    assert gate.begun.wait(SOON)
    yield gate
    gate.open.set()


def ended(job: Job[Any]) -> Job[Any]:
    """The job, when it is over, without raising its error."""
    assert job._ended.wait(SOON), f"still {job.state}"
    return job


def until(condition: Callable[[], object]) -> bool:
    """True as soon as the condition holds; False when it does not for long."""
    deadline = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > deadline:
            return False
        gc.collect()
        time.sleep(0.002)
    return True


# --- results and errors -----------------------------------------------------------------------------------------------


def test_a_result_comes_back_from_another_thread_as_often_as_it_is_asked_for(worker: Worker) -> None:
    job = worker.submit(lambda: (threading.get_ident(), [1, 2]))
    ident, value = job.wait(SOON)
    assert ident != threading.get_ident()
    assert value == [1, 2] and job.wait(0)[1] is value and job.result is not None
    assert (job.state, job.ended, job.error) == ("done", True, None)


@pytest.mark.parametrize("error", [Boom("no picture"), KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_whatever_the_work_raises_comes_out_of_wait_and_the_worker_goes_on(
    worker: Worker, error: BaseException
) -> None:
    def work() -> None:
        raise error

    job = worker.submit(work)
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            job.wait(SOON)
        assert caught.value is error is job.error
    assert (job.state, job.result, job.ended) == ("failed", None, True)
    thread = worker._thread
    assert worker.submit(lambda: "alive").wait(SOON) == "alive"
    assert worker._thread is thread


def test_an_error_shows_where_in_the_work_it_came_from(worker: Worker) -> None:
    def deep_inside() -> None:
        raise Boom

    job = worker.submit(deep_inside)
    with pytest.raises(Boom) as caught:
        job.wait(SOON)
    assert "deep_inside" in [frame.name for frame in traceback.extract_tb(caught.tb)]


def test_waiting_ends_after_its_timeout_and_the_job_goes_on(worker: Worker, gate: Gate) -> None:
    job = worker.submit(lambda: 5)
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"still waiting after 0.05 s \(0 of None steps\)"):
        job.wait(0.05)
    assert 0.04 < time.monotonic() - before < SOON
    with pytest.raises(TimeoutError):
        job.wait(0)
    gate.open.set()
    assert job.wait(SOON) == 5


def test_many_threads_may_wait_for_one_job(worker: Worker, gate: Gate) -> None:
    job = worker.submit(lambda: 7)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(job.wait(SOON))) for _ in range(5)]
    for thread in threads:
        thread.start()
    gate.open.set()
    for thread in threads:
        thread.join(SOON)
    assert seen == [7] * 5


# --- one at a time ----------------------------------------------------------------------------------------------------


def test_jobs_run_one_at_a_time_in_the_order_of_their_submission(worker: Worker) -> None:
    order: list[int] = []
    inside: list[int] = []

    def work(number: int) -> Callable[[], int]:
        def run() -> int:
            inside.append(number)
            assert inside == [number]
            time.sleep(0.001)
            order.append(inside.pop())
            return threading.get_ident()

        return run

    jobs = [worker.submit(work(number)) for number in range(30)]
    assert len({job.wait(SOON) for job in jobs}) == 1  # and all in the same thread
    assert order == list(range(30))


def test_jobs_submitted_by_many_threads_all_run_and_all_count(worker: Worker) -> None:
    jobs: list[Job[int]] = []

    def submit(start: int) -> None:
        for number in range(start, start + 50):
            jobs.append(worker.submit(lambda number=number: number))

    threads = [threading.Thread(target=submit, args=(start,)) for start in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert sorted(job.wait(SOON) for job in jobs) == list(range(200))
    assert worker.submitted == 200


def test_a_worker_has_no_thread_before_its_first_job() -> None:
    before = threading.active_count()
    worker = Worker()
    assert (worker.submitted, threading.active_count()) == (0, before)


# --- the newest request wins ------------------------------------------------------------------------------------------


def test_of_an_owner_s_waiting_jobs_only_the_newest_runs(worker: Worker, gate: Gate) -> None:
    ran: list[int] = []
    owner = Thing()
    jobs = [worker.submit(lambda number=number: ran.append(number), owner=owner) for number in range(5)]
    for job in jobs[:-1]:  # gone at once, though the worker is still busy
        assert (job.state, job.ended) == ("cancelled", True)
        with pytest.raises(Cancelled, match="newer request"):
            job.wait(0)
    gate.open.set()
    jobs[-1].wait(SOON)
    assert ran == [4]
    assert worker.submitted == 6  # the replaced ones count, too


def test_an_owner_s_running_job_is_stopped_at_its_next_step_by_a_newer_one(worker: Worker) -> None:
    owner, old = Thing(), Gate()
    first = worker.submit(old, owner=owner)
    assert old.begun.wait(SOON) and not first.stopping
    second = worker.submit(lambda: "new", owner=owner)
    assert first.stopping
    assert second.wait(SOON) == "new"
    assert first.state == "cancelled" and not old.open.is_set()


def test_an_owner_is_the_very_object_and_not_one_that_equals_it(worker: Worker, gate: Gate) -> None:
    jobs = [worker.submit(lambda: "ran", owner=[]), worker.submit(lambda: "ran", owner=[])]
    gate.open.set()
    assert [job.wait(SOON) for job in jobs] == ["ran", "ran"]


def test_jobs_of_nobody_and_of_others_replace_nothing(worker: Worker, gate: Gate) -> None:
    owners = [None, None, Thing(), Thing()]
    jobs = [worker.submit(lambda: "ran", owner=owner) for owner in owners]
    gate.open.set()
    assert [job.wait(SOON) for job in jobs] == ["ran"] * 4
    assert worker.submitted == 5


def test_a_job_may_submit_and_a_newer_one_of_its_own_owner_stops_it(worker: Worker) -> None:
    owner = Thing()
    inner: list[Job[str]] = []

    def work() -> None:
        inner.append(worker.submit(lambda: "independent"))
        checkpoint()
        inner.append(worker.submit(lambda: "newer", owner=owner))
        checkpoint()
        pytest.fail("a replaced job went on")

    outer = ended(worker.submit(work, owner=owner))
    assert outer.state == "cancelled"
    assert [job.wait(SOON) for job in inner] == ["independent", "newer"]


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_what_is_urgent_is_done_between_two_steps_of_what_runs_and_in_its_thread(worker: Worker) -> None:
    seen: list[tuple[str, int]] = []
    begun, asked = threading.Event(), threading.Event()

    def long() -> None:
        for number in steps(range(3)):
            begun.set()
            assert asked.wait(SOON)
            seen.append((f"step {number}", threading.get_ident()))

    job = worker.submit(long)
    assert begun.wait(SOON)
    worker.submit(lambda: seen.append(("waits", threading.get_ident())))
    quick = worker.submit(lambda: seen.append(("urgent", threading.get_ident())) or current_job(), urgent=True)
    asked.set()
    assert quick.wait(SOON) is quick  # its own steps and progress, not those of the job around it
    job.wait(SOON)
    worker.submit(lambda: None).wait(SOON)
    assert [what for what, _ in seen] == ["step 0", "urgent", "step 1", "step 2", "waits"]
    assert len({thread for _, thread in seen}) == 1


def test_what_is_urgent_goes_before_what_waits(worker: Worker) -> None:
    begun, free, seen = threading.Event(), threading.Event(), []
    worker.submit(lambda: (begun.set(), free.wait(SOON)))  # has no steps
    assert begun.wait(SOON)
    last = worker.submit(lambda: seen.append("waited"))
    worker.submit(lambda: seen.append("urgent"), urgent=True)
    free.set()
    last.wait(SOON)
    assert seen == ["urgent", "waited"]


def test_of_urgent_requests_the_newest_counts_and_the_one_begun_is_finished(worker: Worker) -> None:
    owner, seen = object(), []
    begun, free = threading.Event(), threading.Event()

    def first() -> None:
        for _ in steps(range(2)):
            begun.set()
            assert free.wait(SOON)
        seen.append("first")

    worker.submit(first, owner=owner, urgent=True)
    assert begun.wait(SOON)
    second = worker.submit(lambda: seen.append("second"), owner=owner, urgent=True)
    third = worker.submit(lambda: seen.append("third"), owner=owner, urgent=True)
    free.set()
    third.wait(SOON)
    assert seen == ["first", "third"]
    assert ended(second).state == "cancelled"


def test_an_urgent_error_is_its_own_and_what_was_interrupted_goes_on(worker: Worker, gate: Gate) -> None:
    def broken() -> None:
        raise Boom("quickly")

    with pytest.raises(Boom, match="quickly"):
        worker.submit(broken, urgent=True).wait(SOON)
    last = worker.submit(lambda: "next")
    gate.open.set()
    assert last.wait(SOON) == "next"


def test_urgent_work_sees_the_network_as_it_is_and_not_as_the_interrupted_work_holds_it(picture: Image.Image) -> None:
    engine = Engine(plain(), transform=TRANSFORM, categories=CLASSES)
    gate = Gate()

    def hold() -> None:
        with engine.still("an earlier state"):
            gate()

    engine.worker.submit(hold)
    assert gate.begun.wait(SOON)
    seen = engine.worker.submit(lambda: engine.state, urgent=True).wait(SOON)
    gate.open.set()
    assert seen == engine.state


def test_a_closed_worker_drops_what_is_urgent_too(worker: Worker) -> None:
    begun, free = threading.Event(), threading.Event()
    worker.submit(lambda: (begun.set(), free.wait(SOON)))
    assert begun.wait(SOON)
    late = worker.submit(lambda: None, urgent=True)
    worker.close()
    free.set()
    with pytest.raises(Cancelled, match="closed"):
        late.wait(SOON)


def test_a_waiting_job_that_is_cancelled_never_runs(worker: Worker, gate: Gate) -> None:
    ran: list[bool] = []
    job = worker.submit(lambda: ran.append(True))
    assert not job.stopping
    job.cancel()
    assert job.stopping
    gate.open.set()
    with pytest.raises(Cancelled, match="stopped"):
        job.wait(SOON)
    assert (job.state, job.started, ran) == ("cancelled", None, [])


def test_a_running_job_that_is_cancelled_does_not_begin_another_step(worker: Worker) -> None:
    taken: list[int] = []

    def work() -> None:
        for number in steps(range(10)):
            taken.append(number)
            if number == 3:
                job = current_job()
                assert job is not None
                job.cancel()

    job = ended(worker.submit(work))
    assert (job.state, taken, job.done) == ("cancelled", [0, 1, 2, 3], 4)


def test_a_job_cancelled_during_its_last_step_is_cancelled(worker: Worker) -> None:
    def work() -> str:
        for _ in steps([1]):
            stop_here()
        return "whole"

    assert ended(worker.submit(work)).state == "cancelled"


def stop_here() -> None:
    job = current_job()
    assert job is not None
    job.cancel()


def test_cancelling_a_job_that_has_ended_changes_nothing(worker: Worker) -> None:
    done = worker.submit(lambda: 1)
    done.wait(SOON)
    done.cancel()
    assert (done.state, done.wait(0), done.error) == ("done", 1, None)


def test_clean_up_runs_when_a_job_is_stopped(worker: Worker) -> None:
    cleaned: list[str] = []

    def work() -> None:
        try:
            for _ in steps(range(3)):
                stop_here()
        finally:
            cleaned.append("borrowed things given back")

    ended(worker.submit(work))
    assert cleaned == ["borrowed things given back"]


def test_outside_a_job_loops_are_plain_and_nothing_can_be_stopped() -> None:
    assert current_job() is None
    checkpoint()
    assert list(steps(iter("abc"), total=3)) == ["a", "b", "c"]
    with progress(5) as report:
        report(3)


def test_a_job_is_current_in_its_own_work_only(worker: Worker) -> None:
    first = worker.submit(current_job)
    second = worker.submit(current_job)
    assert first.wait(SOON) is first and second.wait(SOON) is second
    assert current_job() is None


# --- progress ---------------------------------------------------------------------------------------------------------


def reports(worker: Worker, work: Callable[[], object]) -> list[tuple[int, int | None]]:
    seen: list[tuple[int, int | None]] = []
    worker.submit(work, on_progress=lambda job: seen.append((job.done, job.total))).wait(SOON)
    return seen


def test_each_finished_step_is_reported_in_the_worker_thread(worker: Worker) -> None:
    threads: set[int] = set()
    job = worker.submit(lambda: list(steps("abc")), on_progress=lambda job: threads.add(threading.get_ident()))
    job.wait(SOON)
    assert threads == {worker._thread.ident if worker._thread else None}
    assert reports(worker, lambda: list(steps("abc"))) == [(1, 3), (2, 3), (3, 3)]
    assert reports(worker, lambda: list(steps(iter("ab")))) == [(1, None), (2, None)]
    assert reports(worker, lambda: list(steps(iter("ab"), total=2))) == [(1, 2), (2, 2)]
    assert reports(worker, lambda: list(steps([]))) == []


def test_only_the_outermost_loop_reports(worker: Worker) -> None:
    def work() -> None:
        for _ in steps(range(2)):
            for _ in steps(range(50)):
                with progress(7) as report:
                    report(7)

    assert reports(worker, work) == [(1, 2), (2, 2)]


def test_a_loop_reports_again_after_one_that_was_left_early(worker: Worker) -> None:
    def work() -> None:
        for _ in steps(range(100)):
            break
        try:
            for _ in steps(range(100)):
                raise Boom
        except Boom:
            pass
        list(steps("ab"))

    assert reports(worker, work) == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "loops",
    [
        [(10, 10), (10, 4)],
        [(10, 10), (3, 20), (30, 30)],
        [(5, None), (3, None)],
        [(5, 10), (3, None)],
        [(5, None), (3, 3)],
    ],
)
def test_progress_never_falls(worker: Worker, loops: list[tuple[int, int | None]]) -> None:
    def work() -> None:
        for count, total in loops:
            list(steps(iter(range(count)), total))

    seen = reports(worker, work)
    assert seen[: loops[0][0]] == [(n + 1, loops[0][1]) for n in range(loops[0][0])]
    for (done, total), (later, later_total) in zip(seen, seen[1:], strict=False):
        assert later / later_total >= done / total if total and later_total else later >= done


def test_a_listener_s_error_while_running_fails_the_job_and_is_seen(worker: Worker) -> None:
    def listen(job: Job[Any]) -> None:
        raise Boom("the bar is gone")

    job = worker.submit(lambda: list(steps("abc")), on_progress=listen)
    with pytest.raises(Boom, match="the bar is gone"):
        job.wait(SOON)
    assert (job.state, job.done) == ("failed", 1)
    assert worker.submit(lambda: "alive").wait(SOON) == "alive"


# --- the end ----------------------------------------------------------------------------------------------------------


def test_the_end_is_told_once_with_the_outcome_before_anybody_who_waits_goes_on(worker: Worker, gate: Gate) -> None:
    told: list[tuple[str, str, object, bool]] = []

    def tell(name: str) -> Callable[[Job[Any]], None]:
        return lambda job: told.append((name, job.state, job.result or type(job.error), job.ended))

    def fail() -> None:
        raise Boom

    owner = Thing()
    jobs = [
        worker.submit(lambda: 1, on_end=tell("result")),
        worker.submit(fail, on_end=tell("error")),
        worker.submit(lambda: 2, on_end=tell("stopped")),
        worker.submit(lambda: 3, on_end=tell("replaced"), owner=owner),
    ]
    jobs[2].cancel()
    jobs.append(worker.submit(lambda: 4, on_end=tell("newest"), owner=owner))
    assert told == [("replaced", "cancelled", Cancelled, False)]
    gate.open.set()
    ended(jobs[-1])
    assert told[1:] == [
        ("result", "done", 1, False),
        ("error", "failed", Boom, False),
        ("stopped", "cancelled", Cancelled, False),
        ("newest", "done", 4, False),
    ]


def test_a_slow_listener_is_waited_for(worker: Worker) -> None:
    shown: list[int] = []

    def show(job: Job[int]) -> None:
        time.sleep(0.05)
        shown.append(job.result or 0)

    worker.submit(lambda: 9, on_end=show).wait(SOON)
    assert shown == [9]


@pytest.mark.parametrize("kind", ["done", "failed", "cancelled", "replaced", "closed"])
def test_an_error_at_the_end_is_seen_and_hides_no_other(worker: Worker, gate: Gate, kind: str) -> None:
    def listen(job: Job[Any]) -> None:
        raise Boom("cannot be shown")

    def work() -> None:
        if kind == "failed":
            raise ValueError("the first error")

    owner = Thing()
    job = worker.submit(work, owner=owner, on_end=listen)
    if kind == "cancelled":
        job.cancel()
    elif kind == "replaced":
        worker.submit(lambda: None, owner=owner)
    elif kind == "closed":
        worker.close()
    gate.open.set()
    with pytest.raises(Boom, match="cannot be shown") as caught:
        job.wait(SOON)
    assert job.state == "failed"
    if kind == "failed":
        assert "the first error" in "".join(traceback.format_exception(caught.value))
    if kind != "closed":
        assert worker.submit(lambda: "alive").wait(SOON) == "alive"


# --- what would never end ---------------------------------------------------------------------------------------------


def test_waiting_in_a_job_for_another_of_the_same_worker_is_an_error_and_not_a_hang(worker: Worker) -> None:
    def work() -> object:
        return worker.submit(lambda: 1).wait()

    with pytest.raises(RuntimeError, match="call the work directly"):
        worker.submit(work).wait(SOON)
    assert worker.submit(lambda: "alive").wait(SOON) == "alive"


def test_a_job_that_waits_for_itself_is_an_error_and_not_a_hang(worker: Worker, gate: Gate) -> None:
    def work() -> object:
        return job.wait()

    job = worker.submit(work)
    gate.open.set()
    with pytest.raises(RuntimeError, match="wait for itself"):
        ended(job).wait()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_listener_that_waits_for_its_own_job_is_an_error_and_not_a_hang(
    worker: Worker, gate: Gate, replaced: bool
) -> None:
    owner = Thing()
    job = worker.submit(lambda: 1, owner=owner, on_end=lambda job: print(job.wait()))
    if replaced:
        worker.submit(lambda: 2, owner=owner)
    gate.open.set()
    with pytest.raises(RuntimeError, match="read result and error"):
        ended(job).wait()


def test_a_job_may_wait_for_an_ended_one_and_for_another_worker_s(worker: Worker) -> None:
    other, past = Worker("other"), worker.submit(lambda: 1)
    past.wait(SOON)
    assert worker.submit(lambda: past.wait() + other.submit(lambda: 2).wait(SOON)).wait(SOON) == 3
    other.close()


# --- letting go -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["done", "stopped", "replaced", "closed"])
def test_a_job_that_has_ended_holds_neither_its_work_nor_its_owner_nor_its_listeners(
    worker: Worker, gate: Gate, kind: str
) -> None:
    things = [Thing() for _ in range(4)]
    watched = [weakref.ref(thing) for thing in things]

    def submit(used: Thing, owner: Thing, shown: Thing, told: Thing) -> Job[Any]:
        def work() -> None:
            held = used
            for _ in steps([held]):
                if kind == "stopped":
                    stop_here()

        return worker.submit(work, owner=owner, on_progress=lambda job: print(shown), on_end=lambda job: print(told))

    job = submit(*things)
    if kind == "replaced":
        worker.submit(lambda: None, owner=things[1])
    elif kind == "closed":
        worker.close()
    gate.open.set()
    ended(job)
    if kind == "replaced":
        until(lambda: not worker._waiting)
    things.clear()
    assert until(lambda: not any(ref() for ref in watched)), [ref() for ref in watched]
    assert job.state == {"done": "done"}.get(kind, "cancelled")


def test_an_idle_worker_keeps_no_result(worker: Worker) -> None:
    job = worker.submit(Thing)
    watched = weakref.ref(job.wait(SOON))
    assert watched() is not None
    del job
    assert until(lambda: watched() is None)


def test_closing_stops_the_running_job_drops_the_waiting_ones_and_takes_no_more(worker: Worker) -> None:
    gate = Gate()
    running, waiting = worker.submit(gate), worker.submit(lambda: 1)
    assert gate.begun.wait(SOON)
    worker.close()
    worker.close()  # twice is once
    with pytest.raises(Cancelled, match="closed"):
        waiting.wait(0)
    with pytest.raises(Cancelled):
        running.wait(SOON)
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(lambda: 1)
    assert worker.submitted == 2
    assert worker._thread is not None
    worker._thread.join(SOON)
    assert not worker._thread.is_alive()


@pytest.mark.parametrize("busy", [False, True])
def test_the_thread_ends_with_the_engine_that_nobody_holds_any_more(busy: bool, picture: Image.Image) -> None:
    engine = Engine(plain(), transform=TRANSFORM, categories=CLASSES)
    watched = weakref.ref(engine)
    begun, stopped = threading.Event(), threading.Event()

    def work(engine: Engine | None = engine if busy else None) -> None:
        begun.set()
        while engine is not None and not stopped.wait(0.01):
            engine.predict(picture)

    job = engine.worker.submit(work)
    thread = engine.worker._thread
    assert thread is not None and begun.wait(SOON)
    del engine, work
    gc.collect()
    assert (watched() is not None) is busy  # a running job keeps what it works with
    stopped.set()
    ended(job)
    assert until(lambda: watched() is None)
    thread.join(SOON)
    assert not thread.is_alive()


def test_python_ends_quietly_while_a_job_runs() -> None:
    program = """
import time
import numpy as np
from cnnviz_widgets.engine import Engine
from tests.engine.nets import CLASSES, TRANSFORM, plain
engine = Engine(plain(), transform=TRANSFORM, categories=CLASSES)
def work():
    while True:
        engine.scores(np.zeros((32, 32, 3), np.uint8))
job = engine.worker.submit(work)
while job.state != "running":
    time.sleep(0.01)
time.sleep(0.1)
print("the end")
"""
    root = Path(__file__).parents[2]
    finished = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "the end\n", "")
