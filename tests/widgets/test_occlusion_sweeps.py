"""The numbers of sweeps: ranked as `Engine.predict` ranks, and no more of them kept than there is room for."""

from __future__ import annotations

import numpy as np
import pytest

from cnnviz_widgets.widgets.occlusion_sweeps import Remembered, Swept, ranked


def swept(rows: int = 3, classes: int = 7, seed: int = 0) -> Swept:
    values = np.random.default_rng(seed).normal(size=(rows, 4, classes)).astype(np.float32)
    grown = Swept(range(0, rows * 8, 8), range(0, 32, 8))
    for row in values:
        grown.add(row)
    np.testing.assert_array_equal(grown.values, values)
    return grown


def test_of_equal_scores_the_lower_number_comes_first() -> None:
    order, shares, _ = ranked(np.array([[1, 3, 3, 0, 3, 2, 3]], np.float32))
    assert order.tolist() == [[1, 2, 4, 6, 5]]
    assert np.ptp(shares[0, :4]) == 0


def test_probabilities_are_those_of_all_classes_also_of_large_scores() -> None:
    grown = swept()
    exact = np.exp(grown.values.astype(np.float64))
    expected = exact / exact.sum(2, keepdims=True)
    for number in range(7):
        np.testing.assert_allclose(grown.probabilities(number), expected[:, :, number], rtol=1e-5)
    _, shares, _ = ranked(np.array([[1000, 999, -1000]], np.float32))
    np.testing.assert_allclose(shares[0], [0.7310586, 0.2689414, 0], atol=1e-6)


def test_scores_that_are_not_numbers_have_no_order() -> None:
    order, _, _ = ranked(np.array([[1, np.nan, 2], [1, 0, 2]], np.float32))
    assert order.tolist() == [[-1, -1, -1], [2, 0, 1]]


def test_rows_that_have_not_come_are_not_known() -> None:
    grown = Swept([0, 8], [0, 8, 16])
    assert np.isnan(grown.scores(5)).all() and grown.at(0, 0) is None and not grown.whole
    grown.add(np.ones((3, 9), np.float32))
    assert grown.at(0, 16) is not None and grown.at(8, 16) is None and grown.at(0, 3) is None
    assert np.isfinite(grown.scores(5)[0]).all() and np.isnan(grown.scores(5)[1]).all()
    assert (grown.order[1] == -1).all() and np.isnan(grown.probabilities(5)[1]).all()


def test_fewer_than_five_classes_leave_the_rest_empty() -> None:
    grown = swept(classes=2)
    assert (grown.order[:, :, 2:] == -1).all() and (grown.order[:, :, :2] >= 0).all()


def test_the_longest_unused_sweep_gives_way_and_the_newest_is_kept_whatever_its_size() -> None:
    size = swept().nbytes
    memory = Remembered(room=int(2.5 * size))
    for key in "ab":
        memory.keep(key, swept())
    assert memory.get("a") is not None  # used
    memory.keep("c", swept())
    assert memory.get("b") is None and memory.get("a") is not None and len(memory) == 2
    memory.keep("huge", swept(rows=40))
    assert len(memory) == 1 and memory.get("huge") is not None


def test_a_sweep_that_has_grown_counts_with_what_it_is_now() -> None:
    empty = Swept(range(0, 80, 8), range(0, 80, 8))
    memory = Remembered(room=3 * empty.nbytes)
    memory.keep("old", swept())
    memory.keep("new", empty)
    assert len(memory) == 2
    empty.add(np.zeros((10, 1000), np.float32))
    memory.keep("new", empty)
    assert memory.get("old") is None and memory.get("new") is empty


@pytest.mark.parametrize("key", ["there", "elsewhere"])
def test_what_is_forgotten_is_gone(key: str) -> None:
    memory = Remembered()
    memory.keep("there", swept())
    memory.forget(key)
    assert (memory.get("there") is None) == (key == "there")
    memory.clear()
    assert len(memory) == 0
