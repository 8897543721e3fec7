"""Who lies next to whom: the nearest rows of every row, exactly, block by block, so that it can be stopped.

Brute force on purpose. For 5,000 points of 50 numbers it takes a quarter of a second, where building a random forest
(annoy) takes several, and its answer depends on no seed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from cnnviz_widgets.engine.jobs import checkpoint

BLOCK = 2**22  # distances that are in memory at a time, which takes some hundredths of a second


def nearest_rows(
    queries: NDArray[np.float32],
    vectors: NDArray[np.float32],
    k: int,
    *,
    themselves: bool = False,
    report: Callable[[int], object] = lambda blocks: None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `k` nearest of `vectors` (N, D) to each of `queries` (n, D): rows (n, k) and distances, nearest first.

    Euclidean. Candidates are chosen by products in single precision (of vectors about the origin: centre them first),
    their distances are then taken in double precision and put in order; equal ones by lower row.

    Args:
        queries, vectors: finite numbers.
        k: at most N, or N - 1 with `themselves`.
        themselves: query i is vector i, and no neighbour of its own.
        report: called with how many blocks are done, of `blocks(n, N)`.

    Raises:
        Cancelled: the job that this runs in was stopped.
    """
    rows, distances = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    theirs = torch.from_numpy(np.ascontiguousarray(vectors))
    half = theirs.square().sum(1) / 2
    size = _block(len(vectors))
    for number, start in enumerate(range(0, len(queries), size), start=1):
        checkpoint()
        mine = np.ascontiguousarray(queries[start : start + size])
        # orders as |q - v|² does, at half the work
        keys = torch.addmm(half, torch.from_numpy(mine), theirs.T, alpha=-1)
        if themselves:
            own = torch.arange(len(mine))
            keys[own, own + start] = torch.inf
        found = keys.topk(k, largest=False, sorted=False).indices.numpy()
        found.sort(1)
        apart = np.linalg.norm(vectors[found].astype(np.float64) - mine[:, None], axis=2)
        order = apart.argsort(1, kind="stable")
        rows[start : start + size] = np.take_along_axis(found, order, 1)
        distances[start : start + size] = np.take_along_axis(apart, order, 1)
        report(number)
    return rows, distances


def blocks(queries: int, vectors: int) -> int:
    """In how many blocks `nearest_rows` goes."""
    return -(-queries // _block(vectors))


def _block(vectors: int) -> int:
    return max(1, BLOCK // max(vectors, 1))
