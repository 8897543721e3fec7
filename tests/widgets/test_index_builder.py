"""What IndexBuilder promises to a notebook without a browser: nothing is computed twice, and nothing unasked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import Index, survey
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets.index_builder import IndexBuilder
from cnnviz_widgets.widgets.pace import Pace, duration

SOON = 30.0
COUNT = 40


class SmallNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(SmallNet(), transform=Preprocessing(resize=16, crop=16), categories=("a", "b", "c"), device="cpu")


def gallery(count: int = COUNT) -> Gallery:
    pictures = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    return Gallery.from_arrays(pictures, np.arange(count) % 3, classes=("a", "b", "c"))


class Gate:
    """Lets so many shards through the network, then waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        self.shards = 0
        self.reached, self.go_on = threading.Event(), threading.Event()
        one = survey._one_shard

        def held(*arguments: Any) -> Any:
            while self.left <= 0 and not self.go_on.wait(0.002):
                self.reached.set()
                checkpoint()
            self.left -= 1
            self.shards += 1
            return one(*arguments)

        monkeypatch.setattr(survey, "_one_shard", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture
def builder(engine: Engine, tmp_path: Path) -> IndexBuilder:
    builder = IndexBuilder(engine, gallery(), tmp_path / "index", shard=8, layers="features.2")
    builder.wait(SOON)
    return builder


def test_nothing_is_computed_before_it_is_started(builder: IndexBuilder):
    assert builder.index is None
    assert not builder.path.exists()
    assert (builder.status["state"], builder.action) == ("idle", "Start")
    assert "40 pictures" in str(builder.status["text"])


def test_the_index_is_the_one_that_build_makes(builder: IndexBuilder, engine: Engine, tmp_path: Path):
    builder.start()
    index = builder.wait(SOON)
    other = Index.build(engine, gallery(), tmp_path / "other", shard=8, layers="features.2", progress=False)
    assert index is not None and index is builder.index
    assert index.layers == ("features.2",)
    np.testing.assert_array_equal(index.embedding(), other.embedding())
    assert builder.status["state"] == "done" and builder.status["progress"] == 1


def test_it_is_computed_in_the_workers_thread_and_told_as_pictures_done(builder: IndexBuilder, gate: Gate):
    threads: set[int] = set()
    said: list[dict[str, Any]] = []
    builder.observe(lambda change: (said.append(change["new"]), threads.add(threading.get_ident())), "status")
    builder.start()
    builder.wait(SOON)
    shares = [one["progress"] for one in said if one["state"] == "running" and one["progress"] is not None]
    assert shares == sorted(shares) and shares[-1] == 1
    assert any("of 40 pictures" in one["text"] for one in said)
    assert gate.shards == 5
    assert len(threads - {threading.get_ident()}) == 1


def test_stop_keeps_what_is_done_and_starting_again_computes_only_the_rest(builder: IndexBuilder, gate: Gate):
    gate.left = 2
    builder.start()
    assert gate.reached.wait(SOON)
    builder.stop()
    assert builder.wait(SOON) is None
    assert (builder.status["state"], builder.action) == ("stopped", "Go on")
    assert gate.shards == 2
    gate.go_on.set()
    builder.start()
    index = builder.wait(SOON)
    assert index is not None and len(index) == COUNT
    assert gate.shards == 5


def test_a_builder_that_finds_a_part_offers_to_go_on(builder: IndexBuilder, engine: Engine, gate: Gate):
    gate.left = 2
    builder.start()
    assert gate.reached.wait(SOON)
    builder.stop()
    builder.wait(SOON)
    gate.go_on.set()
    second = IndexBuilder(engine, gallery(), builder.path, shard=8, layers="features.2")
    assert second.wait(SOON) is None
    assert second.action == "Go on"
    second.start()
    assert second.wait(SOON) is not None
    assert gate.shards == 5


def test_stopped_before_its_turn_came_it_says_so(builder: IndexBuilder, engine: Engine):
    hold = threading.Event()
    engine.worker.submit(lambda: hold.wait(SOON))
    builder.start()
    builder.stop()
    assert (builder.status["state"], builder.action) == ("stopped", "Go on")
    hold.set()
    builder.wait(SOON)
    assert builder.status["state"] == "stopped"


def test_a_complete_index_opens_at_once_and_computes_nothing(builder: IndexBuilder, engine: Engine, gate: Gate):
    builder.start()
    builder.wait(SOON)
    gate.shards = 0
    second = IndexBuilder(engine, gallery(), builder.path)
    index = second.wait(SOON)
    assert index is not None and len(index) == COUNT
    assert gate.shards == 0
    assert second.action == "Bring up to date"


def test_pictures_that_are_new_are_told_and_added(builder: IndexBuilder, engine: Engine):
    builder.start()
    builder.wait(SOON)
    second = IndexBuilder(engine, gallery(COUNT + 5), builder.path, shard=8)
    second.wait(SOON)
    assert "5 pictures more" in str(second.status["text"])
    second.start()
    index = second.wait(SOON)
    assert index is not None and len(index) == COUNT + 5


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_what_is_skipped_is_listed_with_its_reason(engine: Engine, tmp_path: Path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    gallery()[0].save(folder / "good.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    builder = IndexBuilder(engine, Gallery.from_folder(folder), tmp_path / "index")
    builder.start()
    builder.wait(SOON)
    assert builder.skipped_count == 1
    ((key, reason),) = builder.skipped
    assert key == "bad.jpg" and reason


def test_whoever_waits_is_called_with_the_index_also_when_it_was_there_before(builder: IndexBuilder):
    came: list[Index] = []
    builder.on_done(came.append)
    builder.start()
    index = builder.wait(SOON)
    builder.on_done(came.append)
    assert came == [index, index]


def test_what_a_callback_raises_is_shown_and_the_index_is_there(builder: IndexBuilder):
    builder.on_done(lambda _index: 1 / 0)
    builder.start()
    assert builder.wait(SOON) is not None
    assert "division" in builder.error


def test_an_index_of_another_network_is_an_error_under_the_bar(builder: IndexBuilder):
    builder.start()
    builder.wait(SOON)
    torch.manual_seed(1)
    other = Engine(SmallNet(), transform=Preprocessing(resize=16, crop=16), categories=("a", "b", "c"), device="cpu")
    second = IndexBuilder(other, gallery(), builder.path)
    with pytest.raises(ValueError, match="fingerprint"):
        second.wait(SOON)
    assert second.status["state"] == "error" and "fingerprint" in str(second.status["text"])


def test_an_argument_that_build_does_not_know_is_refused_at_once(engine: Engine, tmp_path: Path):
    with pytest.raises(TypeError, match="layer"):
        IndexBuilder(engine, gallery(), tmp_path, layer="features.2")
    with pytest.raises(TypeError, match="progress"):
        IndexBuilder(engine, gallery(), tmp_path, progress=True)
    with pytest.raises(TypeError, match="Engine"):
        IndexBuilder(gallery(), engine, tmp_path)  # type: ignore[arg-type]


def test_its_repr_says_how_far_it_is(builder: IndexBuilder):
    assert repr(builder) == "IndexBuilder(arrays, index: idle, 40 pictures to look at; nothing is done yet)"


def test_pace_leaves_out_what_was_done_before(monkeypatch: pytest.MonkeyPatch):
    now = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    pace = Pace()
    pace.mark(1000)
    assert pace.rate is None and pace.left(2000) is None
    pace.mark(1020)
    pace.mark(1060)
    assert pace.rate == 15
    assert pace.left(1090) == 2


def test_durations_are_said_as_one_says_them():
    assert [duration(s) for s in (0.4, 99, 100, 5400, 7800)] == ["0 s", "99 s", "2 min", "90 min", "2 h 10 min"]


def test_a_second_builder_says_what_is_there_while_the_first_one_works(
    builder: IndexBuilder, engine: Engine, gate: Gate
):
    gate.left = 2
    builder.start()
    assert gate.reached.wait(SOON)
    second = IndexBuilder(engine, gallery(), builder.path, shard=8, layers="features.2")
    second.wait(SOON)
    assert second.action == "Go on"
    second.start()
    assert second.status["text"] == "waiting for other work"
    gate.go_on.set()
    assert second.wait(SOON) is not None
    assert gate.shards == 5
