"""Every row's nearest rows, against a search that compares everything in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnviz_widgets.engine import Cancelled, Worker
from cnnviz_widgets.methods import nearest_rows as module
from cnnviz_widgets.methods.nearest_rows import blocks, nearest_rows

RNG = np.random.default_rng(0)


def slow(queries: NDArray[Any], vectors: NDArray[Any], k: int, themselves: bool = False) -> tuple[Any, Any]:
    apart = np.sqrt(((queries[:, None].astype(np.float64) - vectors[None]) ** 2).sum(-1))
    if themselves:
        np.fill_diagonal(apart, np.inf)
    rows = apart.argsort(1, kind="stable")[:, :k]
    return rows, np.take_along_axis(apart, rows, 1)


@pytest.mark.parametrize("themselves", [False, True])
@pytest.mark.parametrize("block", [1, 1000, 2**22])
def test_they_are_those_of_a_search_of_all_pairs_however_it_is_divided(
    themselves: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    vectors = RNG.normal(size=(150, 9)).astype(np.float32)
    queries = vectors if themselves else RNG.normal(size=(40, 9)).astype(np.float32)
    rows, distances = nearest_rows(queries, vectors, 12, themselves=themselves)
    expected = slow(queries, vectors, 12, themselves)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_allclose(distances, expected[1], rtol=1e-12)


def test_equal_rows_come_by_number_and_no_row_is_its_own_neighbour() -> None:
    vectors = np.repeat(RNG.normal(size=(4, 5)), 3, axis=0).astype(np.float32)
    rows, distances = nearest_rows(vectors, vectors, 2, themselves=True)
    assert rows.tolist() == [[n for n in range(i // 3 * 3, i // 3 * 3 + 3) if n != i] for i in range(12)]
    assert (distances == 0).all()
    rows, _ = nearest_rows(vectors[:1], vectors, 12)
    assert rows[0, :3].tolist() == [0, 1, 2] and sorted(rows[0].tolist()) == list(range(12))


def test_it_says_how_many_blocks_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)
    vectors = RNG.normal(size=(30, 3)).astype(np.float32)
    done: list[int] = []
    nearest_rows(vectors, vectors, 1, report=done.append)
    assert done == list(range(1, blocks(30, 30) + 1)) and len(done) == 10


def test_a_stopped_job_ends_between_two_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 1)
    vectors = RNG.normal(size=(50, 3)).astype(np.float32)
    worker, looked = Worker("test"), list[int]()

    def stop(number: int) -> None:
        looked.append(number)
        if number == 3:
            job.cancel()

    work: Callable[[], Any] = lambda: nearest_rows(vectors, vectors, 1, report=stop)  # noqa: E731
    job = worker.submit(work)
    with pytest.raises(Cancelled):
        job.wait(20)
    worker.close()
    assert looked == [1, 2, 3]
