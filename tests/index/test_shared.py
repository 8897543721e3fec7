"""Several processes at one index: they share the work, and none waits for one that is dead."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cnnviz_widgets import Engine, Gallery, Index
from tests.index.material import CLASSES, contents, engine_of, finished, leftovers, levels, pictures, same, seen
from tests.index.workshop import Workshop

COUNT, SHARD = 160, 4


def until(there: Callable[[], bool]) -> None:
    """Wait for it, for a minute."""
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of()


@pytest.fixture(scope="module")
def alone(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("alone") / "index"
    return contents(Index.build(engine, pictures(COUNT), folder, shard=SHARD, progress=False))


def test_two_processes_that_build_the_same_index_share_the_work_and_end_with_the_same(
    workshop: Workshop, engine: Engine, alone: dict[str, object], tmp_path: Path
) -> None:
    order = {"folder": str(tmp_path / "index"), "count": COUNT, "shard": SHARD, "pause": 0.03}
    builds = [workshop.start(**order, wait_for=str(tmp_path / "go")) for _ in range(2)]
    (tmp_path / "go").touch()
    for build in builds:
        build.said()
    first, second = (seen(build.log) for build in builds)
    assert sorted(first + second) == list(range(COUNT)), "each picture went through one network, once"
    assert first and second
    same(contents(Index.open(tmp_path / "index", engine, pictures(COUNT))), alone)
    assert leftovers(tmp_path / "index") == []


def test_what_a_killed_process_had_in_work_is_taken_over_by_the_one_that_waits_for_it(
    workshop: Workshop, engine: Engine, alone: dict[str, object], tmp_path: Path
) -> None:
    order = {"folder": str(tmp_path / "index"), "count": COUNT, "shard": SHARD}
    slow = workshop.start(**order, pause=600.0)
    until(lambda: bool(seen(slow.log)))
    other = workshop.start(**order)
    until(lambda: len(finished(tmp_path / "index", SHARD, COUNT)) >= 8)  # of those that the slow one does not hold
    slow.kill()
    assert slow.status() == -9
    other.said()
    assert set(seen(other.log)) == set(range(COUNT))
    same(contents(Index.open(tmp_path / "index", engine, pictures(COUNT))), alone)


def test_two_threads_of_one_process_may_build_the_same_index(
    engine: Engine, alone: dict[str, object], tmp_path: Path
) -> None:
    def build(engine: Engine) -> Index:
        return Index.build(engine, pictures(COUNT), tmp_path / "index", shard=SHARD, progress=False)

    with ThreadPoolExecutor(2) as threads:
        for index in threads.map(build, [engine_of(), engine_of()]):  # made here: the seed is one for all threads
            same(contents(index), alone)


def test_a_build_of_fewer_pictures_beside_one_of_more_harms_neither(
    workshop: Workshop, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "index"
    more = workshop.start(folder=str(folder), count=40, shard=SHARD, pause=0.05)
    until(lambda: len(finished(folder, SHARD, 40)) >= 8)
    fewer = Index.build(engine, pictures(24), folder, shard=SHARD, progress=False)
    assert len(fewer) == 24 and [fewer.about(row).key for row in range(24)] == [str(n) for n in range(24)]
    more.said()
    assert len(Index.open(folder, engine)) in (24, 40)  # of the one that ended last
    for count in (24, 40):
        index = Index.build(engine, pictures(count), folder, shard=SHARD, progress=False)
        fresh = Index.build(engine, pictures(count), tmp_path / f"fresh-{count}", shard=SHARD, progress=False)
        same(contents(index), contents(fresh))


def test_thumbnails_and_what_is_known_may_be_asked_for_from_many_threads(engine: Engine, tmp_path: Path) -> None:
    index = Index.build(engine, pictures(COUNT), tmp_path / "index", shard=SHARD, progress=False)  # 40 shards, 16 open
    rows = [int(row) for row in np.random.default_rng(1).integers(0, COUNT, 800)]
    expected = {row: (index.thumbnail(row), index.about(row)) for row in range(COUNT)}
    again = Index.open(tmp_path / "index", engine, pictures(COUNT))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda row: (again.thumbnail(row), again.about(row)), rows))
    assert found == [expected[row] for row in rows]


def test_an_open_index_stays_as_it_was_while_others_append_change_and_take_away(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    old = Index.build(engine, pictures(24), folder, shard=8, progress=False)
    expected = contents(old)
    vectors, strongest = old.embedding().copy(), old.strongest("1").rows
    untouched = Index.open(folder, engine, pictures(24))  # nothing of it was looked at yet
    changed = levels(40)
    changed[3] = 255 - changed[3]
    for gallery in (_of(changed), _of(changed[:-1]), _of(changed[:30])):
        Index.build(engine, gallery, folder, shard=8, progress=False)
    for index in (old, untouched):
        assert len(index) == 24 and index.identity != Index.open(folder, engine).identity
        assert np.array_equal(index.embedding(), vectors) and np.array_equal(index.strongest("1").rows, strongest)
        assert [index.about(row).key for row in range(24)] == expected["keys"]
        found = [index.thumbnail(row) for row in range(24)]
        wrong = [row for row in range(24) if found[row] != expected["thumbnails"][row]]  # type: ignore[index]
        assert set(wrong) <= {3}  # the picture itself is another one now


def _of(pixels: np.ndarray) -> Gallery:
    return Gallery.from_arrays(pixels, np.arange(len(pixels)) % len(CLASSES), classes=CLASSES)
