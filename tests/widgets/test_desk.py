"""A widget's background work: the newest request of each concern, streams that never starve, errors that are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from cnnviz_widgets.engine.jobs import Worker, steps
from cnnviz_widgets.widgets.desk import Desk, Every, Stream


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("test")
    yield worker
    worker.close()


def test_a_newer_request_of_a_concern_replaces_the_waiting_one_and_leaves_other_concerns_alone(worker: Worker) -> None:
    desk = Desk(worker, lambda concern, text: None)
    free, done = threading.Event(), []
    worker.submit(lambda: free.wait(10))
    desk.submit("tiles", lambda: done.append("old tiles"))
    desk.submit("card", lambda: done.append("card"))
    desk.submit("tiles", lambda: done.append("new tiles"))
    free.set()
    desk.wait(10)
    assert done == ["card", "new tiles"]


def test_what_was_wrong_is_told_with_its_concern_and_raised_by_wait(worker: Worker) -> None:
    told = []
    desk = Desk(worker, lambda concern, text: told.append((concern, text)))
    desk.submit("tiles", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        desk.wait(10)
    assert told == [("tiles", "division by zero")]
    desk.submit("tiles", lambda: None)
    desk.wait(10)  # the error of an older request is no news


def test_waiting_waits_for_what_follows_from_the_work_too(worker: Worker) -> None:
    done = []
    desk = Desk(worker, lambda concern, text: None)
    desk.submit("tiles", lambda: desk.submit("card", lambda: done.append("card")))
    desk.wait(10)
    assert done == ["card"]


def test_waiting_ends_with_its_time_and_in_the_workers_own_thread_with_an_error(worker: Worker) -> None:
    told = []
    desk = Desk(worker, lambda concern, text: told.append(text))
    free = threading.Event()
    desk.submit("tiles", lambda: free.wait(10))
    with pytest.raises(TimeoutError, match="still running"):
        desk.wait(0.05)
    free.set()
    desk.submit("card", lambda: desk.wait(10))
    with pytest.raises(RuntimeError, match="would wait for itself"):
        desk.wait(10)


def test_what_is_urgent_interrupts_another_concern_and_is_waited_for(worker: Worker) -> None:
    desk = Desk(worker, lambda concern, text: None)
    begun, answered = threading.Event(), threading.Event()

    def long() -> None:
        for _ in steps(range(10**9)):
            begun.set()
            if answered.is_set():
                break

    desk.submit("map", long)
    assert begun.wait(10)
    desk.submit("place", answered.set, urgent=True)
    desk.wait(10)
    assert answered.is_set()


def test_stop_ends_a_loop_at_its_next_step(worker: Worker) -> None:
    desk = Desk(worker, lambda concern, text: None)
    begun, seen = threading.Event(), []

    def work() -> None:
        for number in steps(range(10**9)):
            seen.append(number)
            begun.set()

    desk.submit("card", work)
    assert begun.wait(10)
    desk.stop()
    desk.wait(10)
    assert len(seen) < 10**9


def test_of_a_fast_stream_the_newest_item_is_worked_on_and_none_that_was_begun_is_dropped(worker: Worker) -> None:
    free, begun = threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        begun.set()
        free.wait(10)
        done.append(item)

    stream = Stream(worker, work, pytest.fail, lambda: None, pytest.fail)
    stream.offer(0)
    assert begun.wait(10)
    for item in range(1, 6):
        stream.offer(item)
    free.set()
    _drain(worker)
    assert done == [0, 5] and stream.begun == 2


def test_a_stream_says_when_an_item_is_begun_and_goes_on_after_an_error(worker: Worker) -> None:
    told, taken, shown = [], [], []
    stream = Stream(worker, lambda item: 1 / item, shown.append, lambda: taken.append(1), told.append)
    stream.offer(0)
    _drain(worker)
    stream.offer(1)
    _drain(worker)
    stream.drain()
    assert told == ["division by zero"] and len(taken) == 2 and shown == [1.0]


def test_other_work_has_its_turn_between_two_items_of_a_stream(worker: Worker) -> None:
    order: list[object] = []
    free, begun = threading.Event(), threading.Event()

    def work(item: object) -> None:
        begun.set()
        free.wait(10)
        order.append(item)

    stream = Stream(worker, work, pytest.fail, lambda: None, pytest.fail)
    stream.offer("first")
    assert begun.wait(10)
    other = worker.submit(lambda: order.append("other"))
    stream.offer("second")
    free.set()
    other.wait(10)
    _drain(worker)
    assert order == ["first", "other", "second"]


def test_a_cleared_stream_forgets_what_waits(worker: Worker) -> None:
    done = []
    free = threading.Event()
    worker.submit(lambda: free.wait(10))
    stream = Stream(worker, done.append, pytest.fail, lambda: None, pytest.fail)
    stream.offer(1)
    stream.clear()
    free.set()
    _drain(worker)
    assert done == []


def test_what_was_worked_off_is_shown_while_the_next_item_is_worked_on_and_the_newest_wins(worker: Worker) -> None:
    look, looking, worked = threading.Event(), threading.Event(), threading.Event()
    shown: list[int] = []

    def show(item: int) -> None:
        looking.set()
        look.wait(10)
        shown.append(item)

    def work(item: int) -> int:
        if item == 4:
            worked.set()
        return item

    stream = Stream(worker, work, show, lambda: None, pytest.fail)
    stream.offer(1)
    assert looking.wait(10)
    for item in (2, 3, 4):
        stream.offer(item)
        _drain(worker)
    assert worked.is_set() and not shown  # the work does not wait for the eye
    look.set()
    stream.drain()
    assert shown == [1, 4]


def test_what_goes_wrong_while_it_is_shown_is_told(worker: Worker) -> None:
    told: list[str] = []
    stream = Stream(worker, lambda item: item, lambda item: 1 / item, lambda: None, told.append)
    stream.offer(0)
    _drain(worker)
    stream.drain()
    assert told == ["division by zero"]


def test_what_is_due_now_and_then_is_due_at_once_and_not_again_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    every = Every(0.25)
    assert every.due() and not every.due()
    now += 0.2
    assert not every.due()
    now += 0.1
    assert every.due() and not every.due()


def _drain(worker: Worker) -> None:
    """Until everything is done that was submitted, and what that submitted."""
    for _ in range(3):
        worker.submit(lambda: None).wait(10)
