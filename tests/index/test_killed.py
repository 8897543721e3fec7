"""kill -9 at any moment: what was done is kept, nothing is half there, and the same call goes on to the same end."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from cnnviz_widgets import Engine, Index
from cnnviz_widgets.index import IndexIncomplete
from tests.index.material import contents, engine_of, finished, leftovers, pictures, same, seen
from tests.index.workshop import Workshop

COUNT, SHARD, PAUSE = 64, 8, 0.02  # 16 batches of 4 on two threads


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of()


@pytest.fixture(scope="module")
def undisturbed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("undisturbed") / "index"
    return contents(Index.build(engine, pictures(COUNT), folder, shard=SHARD, progress=False))


def test_killed_at_twenty_random_moments_the_index_is_that_of_a_build_which_nobody_disturbed(
    workshop: Workshop, engine: Engine, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    dice = random.Random(5)
    begun = time.monotonic()
    whole = workshop.start(folder=str(tmp_path / "whole"), count=COUNT, shard=SHARD, pause=PAUSE)
    whole.said()
    seconds = time.monotonic() - begun
    assert sorted(seen(whole.log)) == list(range(COUNT))  # every picture once
    killed = ended = 0
    while killed < 20:
        folder = tmp_path / f"index-{ended}"
        while True:
            before = finished(folder, SHARD, COUNT)
            build = workshop.start(folder=str(folder), count=COUNT, shard=SHARD, pause=PAUSE)
            if killed < 20:
                time.sleep(dice.uniform(0.0, seconds))
                build.kill()
            status = build.status()
            assert status in (-9, 0)
            computed, after = seen(build.log), finished(folder, SHARD, COUNT)
            assert len(set(computed)) == len(computed)
            assert before <= after and not before & set(computed), "what was finished is not computed again"
            assert len({number // SHARD for number in set(computed) - after}) <= 1, "one shard at most is lost"
            if status == 0:
                break
            killed += 1
        ended += 1
        same(contents(Index.open(folder, engine, pictures(COUNT))), undisturbed)
    same(contents(Index.build(engine, pictures(COUNT), folder, shard=SHARD, progress=False)), undisturbed)


def _deaths(deeds: list[str], most: int) -> list[int]:
    """Before which deeds to die: each kind of deed once, and some more at random."""
    dice = random.Random(6)
    kinds: dict[str, int] = {}
    for number, deed in enumerate(deeds, start=1):
        plain = "".join(letter for letter in deed if not letter.isdigit()).split(".", 1)[0]
        kinds.setdefault(plain, number)
    others = [number for number in range(1, len(deeds) + 1) if number not in kinds.values()]
    return sorted({*kinds.values(), *dice.sample(others, max(0, min(len(others), most - len(kinds))))})


def test_killed_before_any_of_its_writes_an_append_leaves_the_old_index_or_the_new_one_whole(
    workshop: Workshop, engine: Engine, tmp_path: Path
) -> None:
    gallery = pictures(20)
    old = contents(Index.build(engine, gallery[:12], tmp_path / "old", shard=8, progress=False))
    new = contents(_appended(engine, tmp_path / "old", tmp_path / "appended"))
    shutil.copytree(tmp_path / "old", tmp_path / "told")
    deeds = workshop.start(folder=str(tmp_path / "told"), count=20, shard=8).said()["deeds"]
    places = _deaths(deeds, 24)
    assert len(places) >= 20
    for death in places:
        folder = tmp_path / f"index-{death}"
        shutil.copytree(tmp_path / "old", folder)
        assert workshop.start(folder=str(folder), count=20, shard=8, die_at=death).status() == -9, deeds[death - 1]
        found = contents(Index.open(folder, engine, gallery))
        same(found, old if len(found["keys"]) == 12 else new)  # type: ignore[arg-type]
        same(contents(Index.build(engine, gallery, folder, shard=8, progress=False)), new)
        assert leftovers(folder) == [], deeds[death - 1]


def _appended(engine: Engine, old: Path, folder: Path) -> Index:
    shutil.copytree(old, folder)
    return Index.build(engine, pictures(20), folder, shard=8, progress=False)


def test_killed_before_any_of_its_writes_a_first_build_says_that_it_is_not_complete_and_goes_on(
    workshop: Workshop, engine: Engine, tmp_path: Path
) -> None:
    gallery = pictures(10)
    whole = contents(Index.build(engine, gallery, tmp_path / "whole", shard=8, progress=False))
    deeds = workshop.start(folder=str(tmp_path / "told"), count=10, shard=8).said()["deeds"]
    last = next(n for n, deed in enumerate(deeds, start=1) if deed.startswith("os.rename .manifest"))
    for death in _deaths(deeds[:last], 10)[::2]:
        folder = tmp_path / f"index-{death}"
        assert workshop.start(folder=str(folder), count=10, shard=8, die_at=death).status() == -9, deeds[death - 1]
        with pytest.raises((IndexIncomplete, FileNotFoundError), match="Index.build"):
            Index.open(folder, engine, gallery)
        same(contents(Index.build(engine, gallery, folder, shard=8, progress=False)), whole)
        assert leftovers(folder) == [], deeds[death - 1]
