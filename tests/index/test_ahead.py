"""Reading runs ahead of the network, and only so far: memory does not grow with the gallery."""

from __future__ import annotations

import threading
import time
import weakref

import pytest
import torch

from cnnviz_widgets import Engine, Gallery
from cnnviz_widgets.index import ahead as module
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey
from tests.index.material import engine_of, network, pictures

BATCH = 4


class Readings:
    """Counts the readings that are alive."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.most = self.all = 0
        self._lock = threading.Lock()
        read = module.read

        def counted(*args: object) -> object:
            found = read(*args)  # type: ignore[arg-type]
            with self._lock:
                self.now += 1
                self.all += 1
                self.most = max(self.most, self.now)
            weakref.finalize(found, self._gone)
            return found

        monkeypatch.setattr(module, "read", counted)

    def _gone(self) -> None:
        with self._lock:
            self.now -= 1


def _settings(engine: Engine, gallery: Gallery) -> tuple[Settings, torch.Tensor]:
    like = engine.prepare(gallery[0])
    return Settings.of(engine, like, None, 9, BATCH), like


def test_never_more_pictures_are_in_memory_than_the_look_ahead_and_what_is_in_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, gallery = engine_of(network(pause=0.002)), pictures(600)
    settings, like = _settings(engine, gallery)
    readings = Readings(monkeypatch)
    shards = [range(start, start + 50) for start in range(0, 600, 50)]
    assert sum(len(found.labels) for found in survey(engine, gallery, settings, shards, like)) == 600
    crew = torch.get_num_threads()
    assert readings.all == 600 and readings.now == 0
    assert readings.most <= module.AHEAD * crew * BATCH + (2 * crew + 4) * BATCH < 200


def test_the_next_shard_is_read_while_the_last_one_is_in_work_and_asked_for_no_earlier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, gallery = engine_of(), pictures(600)
    settings, like = _settings(engine, gallery)
    readings = Readings(monkeypatch)
    asked: list[int] = []

    def shards() -> object:
        for start in range(0, 600, 40):
            asked.append(start)
            yield range(start, start + 40)

    found = survey(engine, gallery, settings, shards(), like)  # type: ignore[arg-type]
    next(found)
    time.sleep(0.3)
    ahead = module.AHEAD * torch.get_num_threads() * BATCH
    assert 40 < readings.all <= 40 + ahead
    assert asked == list(range(0, 40 + ahead, 40))[: len(asked)] and len(asked) <= 2 + ahead // 40
    found.close()
    assert not [one for one in threading.enumerate() if one.name.startswith(("cnnviz reader", "cnnviz crew"))]
    assert readings.all <= 40 + ahead


def test_a_pass_that_is_given_up_reads_no_more_than_what_is_half_read(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, gallery = engine_of(), pictures(100)
    settings, like = _settings(engine, gallery)
    begun: list[int] = []
    plain = module.read

    def slow(gallery: Gallery, number: int, *others: object) -> object:
        begun.append(number)
        time.sleep(0.02)
        return plain(gallery, number, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "read", slow)
    found = survey(engine, gallery, settings, [range(20), range(20, 100)], like)
    next(found)
    before = len(begun)
    found.close()
    assert 20 <= before < 100 and len(begun) - before <= torch.get_num_threads()


def test_reading_that_waits_is_done_by_many_threads_and_reading_that_computes_by_the_crew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, gallery = engine_of(), pictures(400)
    settings, like = _settings(engine, gallery)
    plain = module.read
    who: list[str] = []
    pause = 0.0

    def read(*args: object) -> object:
        who.append(threading.current_thread().name.rpartition("_")[0])
        time.sleep(pause)
        return plain(*args)  # type: ignore[arg-type]

    def passed() -> set[str]:
        who.clear()
        list(survey(engine, gallery, settings, [range(400)], like))
        return set(who)

    monkeypatch.setattr(module, "read", read)
    with monkeypatch.context() as clocks:
        clocks.setattr(module.time, "thread_time", time.perf_counter)  # as if all of it were computing
        assert passed() == {"cnnviz crew"}
    pause = 0.02
    assert passed() == {"cnnviz crew", "cnnviz reader"}
    assert who.count("cnnviz reader") > 300
