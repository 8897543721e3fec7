"""Exact nearest neighbours among many vectors, for the price of one product in single precision.

The product of all vectors with the query is wrong by no more than a bound that follows from the number of terms and the
vectors' lengths. Whatever could be among the k nearest by that bound, usually a few rows more than k, is compared again
in double precision. So nothing but one number for each row is ever made: the vectors may be a memory map larger than
the memory.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Literal["cosine", "euclidean"]
Vectors = NDArray[np.float32 | np.uint8]


def nearest(
    vectors: Vectors,
    norms: NDArray[np.float32] | None,
    query: ArrayLike,
    k: int = 8,
    metric: Metric = "cosine",
    leave_out: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k rows nearest to a query, nearest first, and their distances: those of a double-precision search of all.

    Of rows at the same distance the lower one comes first, as a stable sort of all distances would have it. "cosine" is
    1 minus the cosine of the angle; a vector of zeros has no angle, and is at distance 1 from everything. Rows that
    hold NaN or infinity come last.

    Args:
        vectors: (N, D) float32 or uint8, in memory or a memory map; nothing of that size is copied.
        norms: (N,) the Euclidean lengths of the vectors, as `lengths` computes them; None computes them here, which
            reads the vectors a second time.
        query: (D,) finite numbers.
        k: how many; all N where there are fewer.
        metric: ``"cosine"`` or ``"euclidean"``.
        leave_out: a row that is not to be found, such as the query's own.

    Returns:
        Rows (k,) int64 and distances (k,) float64.

    Raises:
        ValueError: shapes that do not fit, a k below 1, an unknown metric, or a query that is not finite.
        TypeError: vectors of another number type.

    Example:
        >>> rows, distances = nearest(index.embedding(), index.norms(), index.embedding()[7], leave_out=7)
    """
    vectors = _checked(vectors, norms, k, metric)
    wanted = np.asarray(query, np.float64)
    if wanted.shape != vectors.shape[1:] or not np.isfinite(wanted).all():
        raise ValueError(f"the query is {wanted.shape}; wanted ({vectors.shape[1]},) finite numbers, as in each row")
    if norms is None:
        norms = lengths(vectors)
    rows = _within_reach(vectors, norms, wanted, operator.index(k), metric, leave_out)
    distances = np.concatenate(
        [np.empty(0), *(_distances(vectors[rows[part]], wanted, metric) for part in _parts(len(rows), vectors))]
    )
    order = np.argsort(distances, kind="stable")[:k]
    return rows[order], distances[order]


def lengths(vectors: Vectors) -> NDArray[np.float32]:
    """(N,) the Euclidean lengths of vectors (N, D), computed in double precision without a copy of them all."""
    found = np.empty(len(vectors), np.float32)
    with np.errstate(over="ignore"):  # a length beyond single precision is infinite
        for part in _parts(len(vectors), vectors):
            found[part] = np.sqrt(np.square(vectors[part].astype(np.float64)).sum(1))
    return found


_PART = 2**18  # Values that are looked at together: they stay in the cache, and BLAS takes no second thread for them.
_ROWS = 2**16  # Rows whose bounds are computed together.
_ROUND = 2.0**-24  # The relative error of one operation in single precision.
_SURE = 1e-20, 1e18  # Lengths between which no product in single precision under- or overflows.


class _Bounds(NamedTuple):
    """Between which numbers the closeness of rows lies; rows of which nothing is known lie between -inf and inf."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


def _within_reach(
    vectors: Vectors, norms: NDArray[np.float32], query: NDArray[np.float64], k: int, metric: Metric, out: int | None
) -> NDArray[np.int64]:
    """The rows, in order, that the bounds do not exclude from the k nearest; as many as k where there are."""
    length = float(np.sqrt(np.square(query).sum()))
    products = _products(vectors, (query / (length or 1)).astype(np.float32))
    best, floor = np.empty(0), -np.inf  # The k largest lower bounds: k rows are closer than the least of them for sure.
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    uppers = [np.empty(0)]
    for start in range(0, len(vectors), _ROWS):
        part = slice(start, start + _ROWS)
        bounds = _bounds(products[part], norms[part], length, vectors.shape[1], metric)
        if out is not None and start <= out < start + _ROWS:
            bounds.lower[out - start] = -np.inf
        higher = np.concatenate([best, bounds.lower[bounds.lower > floor]])
        if len(higher) >= k:
            best = np.partition(higher, len(higher) - k)[len(higher) - k :]
            floor = float(best.min())
        else:
            best = higher
        possible = np.flatnonzero(bounds.upper >= floor)
        rows.append(possible + start)
        uppers.append(bounds.upper[possible])
    found = np.concatenate(rows)[np.concatenate(uppers) >= floor]
    return found if out is None else found[found != out]


def _bounds(
    products: NDArray[np.float32], norms: NDArray[np.float32], length: float, terms: int, metric: Metric
) -> _Bounds:
    """How close rows are for sure and at best, by their products with the query of length 1.

    Closeness is the cosine, or what the squared distance lacks to the query's squared length. A sum of n products in
    any order is wrong by at most n roundings of the product of both lengths (Higham, Accuracy and stability of
    numerical algorithms, section 3.1). The lengths themselves may come from such a sum, hence twice as many, and a few
    more for the steps between. What the exact comparison rounds in double precision lies within that too, but for what
    it rounds of the query's own length.
    """
    share = (2 * terms + 16) * _ROUND
    share = share / (1 - share) if share < 1 else np.inf
    with np.errstate(all="ignore"):  # what is out of range is unsure, and compared exactly
        own = norms.astype(np.float64)
        if metric == "cosine":
            closeness = products / own
            error: float | NDArray[np.float64] = share
        else:
            closeness = 2 * length * products - own * own
            error = share * own * (own + 2 * length) + (terms + 1) * 2.0**-49 * length * length
        lower, upper = closeness - error, closeness + error
    unsure = ~((own > _SURE[0]) & (own < _SURE[1]))
    lower[unsure], upper[unsure] = -np.inf, np.inf
    return _Bounds(lower, upper)


def _products(vectors: Vectors, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the products with the query in single precision: in one go where the vectors lie ready for it."""
    if vectors.dtype == np.float32 and vectors.flags.c_contiguous and vectors.flags.aligned:
        with np.errstate(all="ignore"):
            return vectors @ query
    found = np.empty(len(vectors), np.float32)
    scratch = np.empty((_part_rows(vectors), vectors.shape[1]), np.float32)
    for part in _parts(len(vectors), vectors):
        values = scratch[: part.stop - part.start]
        np.copyto(values, vectors[part])
        with np.errstate(all="ignore"):
            np.matmul(values, query, out=found[part])
    return found


def _distances(vectors: Vectors, query: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """The distances of a few rows in double precision; equal rows have equal distances, whatever stands around them."""
    values = vectors.astype(np.float64)
    with np.errstate(invalid="ignore"):
        if metric == "euclidean":
            return np.sqrt(np.square(values - query).sum(1))
        scale = np.sqrt(np.square(values).sum(1)) * np.sqrt(np.square(query).sum())
        cosine = (values * query).sum(1) / np.where(scale == 0, 1, scale)
        return np.maximum(1 - cosine, 0)


def _parts(count: int, vectors: Vectors) -> Iterator[slice]:
    rows = _part_rows(vectors)
    return (slice(start, min(start + rows, count)) for start in range(0, count, rows))


def _part_rows(vectors: Vectors) -> int:
    return max(1, _PART // max(vectors.shape[1], 1))


def _checked(vectors: Vectors, norms: NDArray[np.float32] | None, k: int, metric: str) -> Vectors:
    """The vectors as a plain array: slices of a memory map cost more."""
    if metric not in ("cosine", "euclidean"):
        near = get_close_matches(str(metric), ("cosine", "euclidean"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"metric={metric!r}; wanted 'cosine' or 'euclidean'{hint}")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k={k!r}; wanted a whole number from 1 up")
    plain = np.asarray(vectors)
    if plain.dtype not in (np.float32, np.uint8):
        raise TypeError(f"vectors are {plain.dtype}; wanted float32 or uint8")
    if plain.ndim != 2 or (norms is not None and norms.shape != plain.shape[:1]):
        lengths_are = "" if norms is None else f" and lengths {norms.shape}"
        raise ValueError(f"vectors {plain.shape}{lengths_are}; wanted (N, D) and (N,)")
    return plain
