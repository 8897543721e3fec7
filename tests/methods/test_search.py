"""The search in single precision finds what a search of all rows in double precision finds, ties included."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cnnviz_widgets.methods.search import lengths, nearest

METRICS: list[Any] = ["cosine", "euclidean"]


def all_rows(vectors: NDArray[Any], query: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """The distance of every row, one row after the other, in double precision."""
    distances = np.empty(len(vectors))
    q = query.astype(np.float64)
    for row, v in enumerate(vectors.astype(np.float64)):
        if metric == "euclidean":
            distances[row] = np.sqrt(((v - q) ** 2).sum())
            continue
        scale = np.sqrt((v * v).sum()) * np.sqrt((q * q).sum())
        distances[row] = max(0.0, 1 - (v * q).sum() / scale) if scale > 0 else 1.0
    return distances


def clouds(rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Collections of 3,000 vectors on which a careless search goes wrong."""
    plain = rng.normal(size=(3000, 24)).astype(np.float32)
    few = rng.integers(-1, 2, (3000, 3)).astype(np.float32)
    tiny = rng.normal(size=(3000, 24)).astype(np.float32) * np.float32(1e-4)
    lengths_apart = plain * (10.0 ** rng.uniform(-44, 36, (3000, 1))).astype(np.float32)
    sparse = np.maximum(plain - 2, 0)
    pairs = plain.copy()
    pairs[1::2] = np.nextafter(pairs[::2], np.float32(np.inf))
    return {
        "plain": plain,
        "few different rows": few,
        "all equal": np.ones((3000, 5), np.float32),
        "all zero": np.zeros((3000, 5), np.float32),
        "far from the origin, close together": np.float32(1000) + tiny,
        "lengths over the whole range": lengths_apart,
        "mostly zero": sparse,
        "pairs that differ in the last bit": pairs,
        "one number each": plain[:, :1],
        "nothing each": plain[:, :0],
        "pixels": rng.integers(0, 256, (3000, 48), np.uint8),
        "flat pixels": np.repeat(rng.integers(0, 3, (3000, 1), np.uint8), 12, 1),
        "every second column": rng.normal(size=(3000, 48)).astype(np.float32)[:, ::2],
    }


CLOUDS = clouds(np.random.default_rng(0))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", CLOUDS)
def test_rows_and_distances_are_those_of_a_search_of_all_rows_in_double_precision(name: str, metric: Any) -> None:
    vectors = CLOUDS[name]
    rng = np.random.default_rng(1)
    norms = lengths(vectors)
    queries = [vectors[0], vectors[2999], vectors[5] * 0, rng.normal(size=vectors.shape[1]), vectors.mean(0)]
    for query in queries:
        distances = all_rows(vectors, query, metric)
        order = np.argsort(distances, kind="stable")
        for k, lengths_given in ((1, norms), (9, norms), (40, None), (3000, norms)):
            rows, found = nearest(vectors, lengths_given, query, k, metric)
            assert rows.dtype == np.int64 and found.dtype == np.float64
            assert np.array_equal(rows, order[:k])
            assert np.array_equal(found, distances[order[:k]])


@pytest.mark.parametrize("metric", METRICS)
def test_lengths_that_were_summed_in_single_precision_change_nothing(metric: Any) -> None:
    vectors = CLOUDS["far from the origin, close together"]
    careless = np.zeros(len(vectors), np.float32)
    for column in vectors.T:
        careless += column * column
    careless = np.sqrt(careless)
    assert not np.array_equal(careless, lengths(vectors))
    for query in (vectors[3], vectors.mean(0)):
        careful, _ = nearest(vectors, lengths(vectors), query, 20, metric)
        assert np.array_equal(nearest(vectors, careless, query, 20, metric)[0], careful)


@pytest.mark.parametrize("metric", METRICS)
def test_a_plain_product_in_single_precision_would_not_do(metric: Any) -> None:
    """The clouds are hard: what most programs compute gives other neighbours on some of them."""
    wrong = []
    for name in ("far from the origin, close together", "pairs that differ in the last bit"):
        vectors = CLOUDS[name]
        query = vectors.mean(0) if "far" in name else vectors[0]
        if metric == "cosine":
            plain = 1 - vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
        else:
            plain = (vectors * vectors).sum(1) - 2 * vectors @ query + query @ query
        order = np.argsort(all_rows(vectors, query, metric), kind="stable")
        wrong.append(not np.array_equal(np.argsort(plain, kind="stable")[:9], order[:9]))
    assert any(wrong)


@pytest.mark.parametrize("metric", METRICS)
def test_bounds_hold_across_the_parts_that_rows_are_looked_at_in(metric: Any) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.integers(0, 4, (150_000, 4)).astype(np.float32)
    vectors = vectors[np.argsort(vectors @ np.ones(4, np.float32), kind="stable")]  # each part nearer than the last
    query = np.array([3, 3, 3, 2.5], np.float32)
    values, q = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        distances = np.sqrt(((values - q) ** 2).sum(1))
    else:
        scale = np.sqrt((values * values).sum(1)) * np.sqrt((q * q).sum())
        distances = np.maximum(0, 1 - (values * q).sum(1) / np.where(scale > 0, scale, 1))
    order = np.argsort(distances, kind="stable")
    for k in (1, 9, 2000):
        assert np.array_equal(nearest(vectors, None, query, k, metric)[0], order[:k])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["plain", "few different rows", "all zero", "pixels"])
def test_a_row_that_is_left_out_is_not_found_and_the_others_keep_their_order(name: str, metric: Any) -> None:
    vectors = CLOUDS[name]
    for out in (0, 1234, 2999):
        every, _ = nearest(vectors, None, vectors[out], 3000, metric)
        others, _ = nearest(vectors, None, vectors[out], 8, metric, leave_out=out)
        assert np.array_equal(others, every[every != out][:8])


@pytest.mark.parametrize("metric", METRICS)
def test_where_there_are_fewer_rows_than_k_all_of_them_come(metric: Any) -> None:
    vectors = CLOUDS["plain"]
    for count in (0, 1, 3):
        rows, distances = nearest(vectors[:count], lengths(vectors[:count]), vectors[7], 8, metric)
        assert sorted(rows) == list(range(count)) and len(distances) == count
    assert nearest(vectors[:1], None, vectors[0], 8, metric, leave_out=0)[0].size == 0


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_are_no_numbers_come_last(metric: Any) -> None:
    vectors = CLOUDS["plain"][:50].copy()
    vectors[3, 2], vectors[8] = np.nan, np.inf
    rows, distances = nearest(vectors, None, CLOUDS["plain"][60], 50, metric)
    assert np.isfinite(distances[:48]).all()
    assert set(rows[48:]) == {3, 8}


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_a_memory_map_is_searched_without_a_copy(dtype: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 200, (40_000, 128)).astype(dtype)
    np.save(tmp_path / "v.npy", values)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    norms = lengths(values)
    tracemalloc.start()
    try:
        rows, _ = nearest(mapped, norms, values[17], 8, "euclidean")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows[0] == 17 and type(rows) is np.ndarray
    assert most < 0.35 * 40_000 * 128 * 4  # 20 MB as float32


def test_lengths_are_rounded_once_from_double_precision() -> None:
    vectors = CLOUDS["lengths over the whole range"]
    exact = np.sqrt((vectors.astype(np.float64) ** 2).sum(1))
    assert np.array_equal(lengths(vectors), exact.astype(np.float32))
    assert lengths(np.full((1, 9), 3e38, np.float32))[0] == np.inf


def test_what_does_not_fit_is_told() -> None:
    vectors = CLOUDS["plain"]
    with pytest.raises(ValueError, match=r"metric='cosin'; wanted 'cosine' or 'euclidean'; did you mean 'cosine'\?"):
        nearest(vectors, None, vectors[0], metric="cosin")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"the query is \(23,\); wanted \(24,\) finite numbers"):
        nearest(vectors, None, vectors[0, 1:])
    with pytest.raises(ValueError, match="finite"):
        nearest(vectors, None, vectors[0] * np.nan)
    with pytest.raises(ValueError, match="k=0; wanted a whole number from 1 up"):
        nearest(vectors, None, vectors[0], 0)
    with pytest.raises(ValueError, match=r"vectors \(3000, 24\) and lengths \(2,\); wanted"):
        nearest(vectors, np.ones(2, np.float32), vectors[0])
    with pytest.raises(TypeError, match="float64; wanted float32 or uint8"):
        nearest(vectors.astype(np.float64), None, vectors[0])  # pyright: ignore[reportArgumentType]
