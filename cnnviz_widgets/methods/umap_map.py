"""UMAP of vectors: the map while it is made, and new points put into a finished one.

umap-learn's own steps (McInnes, Healy & Melville 2018) one after the other instead of its class, which searches for
neighbours approximately, cannot be stopped and shows nothing before it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine.jobs import checkpoint, progress
from cnnviz_widgets.methods.nearest_rows import blocks, nearest_rows
from cnnviz_widgets.methods.tsne_map import EVERY, OnStep

SPREAD, MIN_DIST = 1.0, 0.1  # umap-learn's defaults: how wide and how dense a cluster is drawn
NEGATIVES = 5.0  # random points that each attraction is paired with


def epochs_of(count: int) -> int:
    """How often the edges are gone through: as umap-learn, more often for few points."""
    return 500 if count <= 10_000 else 200


def fit_umap(
    vectors: NDArray[np.float32], neighbors: int, seed: int, on_step: OnStep | None = None
) -> NDArray[np.float32]:
    """Points (N, 2), which set out from the first two principal components; one thread, so that a seed decides.

    Args:
        vectors: (N, D) along their principal axes, the first first.
        neighbors: of each point, itself included; at most N.
        seed: of the random points that push.
        on_step: see `OnStep`; there is no divergence to tell.

    Raises:
        ImportError: umap-learn is not installed.
        Cancelled: the job that this runs in was stopped.
    """
    umap = _umap()
    random = np.random.RandomState(seed)
    count, epochs = len(vectors), epochs_of(len(vectors))
    looks = blocks(count, count)
    points = _first_points(vectors, random)
    if on_step is not None:
        on_step(points.copy(), 0, epochs, None)
    with progress(looks + epochs) as report:
        rows, distances = nearest_rows(vectors, vectors, neighbors, report=report)
        checkpoint()
        graph = umap.fuzzy_simplicial_set(
            vectors, neighbors, random, "euclidean", knn_indices=rows.astype(np.int32),
            knn_dists=distances.astype(np.float32),
        )[0].tocoo()  # fmt: skip
        kept = graph.data >= graph.data.max() / epochs  # weaker edges would never be gone through
        head, tail, weights = graph.row[kept], graph.col[kept], graph.data[kept]

        def look(epoch: int) -> None:
            checkpoint()
            report(looks + epoch)
            if on_step is not None and epoch % EVERY == 0 and epoch:
                on_step(points.copy(), epoch, epochs, None)

        _descend(points, points, head, tail, weights, random, _Epochs(epochs, look), 1.0)
    if on_step is not None:
        on_step(points.copy(), epochs, epochs, None)
    return points


def place_by_umap(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], points: NDArray[np.float32], neighbors: int, seed: int
) -> NDArray[np.float32]:
    """Where new vectors (n, D) belong in the finished map `points` (N, 2) of `vectors` (N, D).

    As umap-learn's `transform` of each of them by itself: it sets out from the weighted mean of its neighbours and is
    then drawn to them and pushed by random others for 100 epochs; the map stays as it is.
    """
    umap = _umap()
    if not len(queries):
        return np.zeros((0, 2), np.float32)
    random = np.random.RandomState(seed)
    rows, distances = nearest_rows(queries, vectors, min(neighbors, len(vectors)))
    near = distances.astype(np.float32)
    sigmas, rhos = umap.smooth_knn_dist(near, float(rows.shape[1]), local_connectivity=0.0)
    weights = np.exp(-np.maximum(near - rhos[:, None], 0) / np.maximum(sigmas, np.finfo(np.float32).tiny)[:, None])
    weights /= weights.max(1, keepdims=True)  # as if each were alone
    placed = np.einsum("nk,nkc->nc", weights / weights.sum(1, keepdims=True), points[rows])
    placed = np.ascontiguousarray(placed, np.float32)
    heads = np.repeat(np.arange(len(queries)), rows.shape[1])
    kept = weights.ravel() >= 1 / 100
    _descend(placed, points.copy(), heads[kept], rows.ravel()[kept], weights.ravel()[kept], random,
             _Epochs(100, lambda epoch: checkpoint()), 0.25)  # fmt: skip
    return placed


class _Epochs(list[int]):
    """The list of epochs at which umap-learn keeps a copy of the map: asked after each of them, it keeps none.

    That question is the only moment between two epochs at which it can be looked at and stopped.
    """

    def __init__(self, epochs: int, look: Callable[[int], object]) -> None:
        super().__init__([epochs])
        self._look = look

    def __contains__(self, epoch: object) -> bool:
        assert isinstance(epoch, int)
        self._look(epoch)
        return False


def _descend(
    points: NDArray[np.float32], others: NDArray[np.float32], head: NDArray[Any], tail: NDArray[Any],
    weights: NDArray[Any], random: np.random.RandomState, epochs: _Epochs, rate: float,
) -> None:  # fmt: skip
    """Move `points`, in place; `others` too where they are the same."""
    from umap.layouts import optimize_layout_euclidean

    umap = _umap()
    a, b = umap.find_ab_params(SPREAD, MIN_DIST)
    optimize_layout_euclidean(
        points, others, head.astype(np.int32), tail.astype(np.int32), epochs, len(others),
        umap.make_epochs_per_sample(weights, max(epochs)), a, b,
        random.randint(np.iinfo(np.int32).min + 1, np.iinfo(np.int32).max - 1, 3).astype(np.int64),
        initial_alpha=rate, negative_sample_rate=NEGATIVES, move_other=others is points,
    )  # fmt: skip


def _first_points(vectors: NDArray[np.float32], random: np.random.RandomState) -> NDArray[np.float32]:
    """The first two principal components between 0 and 10, with a little noise that parts equal points."""
    points = np.zeros((len(vectors), 2))
    points[:, : vectors.shape[1]] = vectors[:, :2]
    points = 10 * points / np.abs(points).max() + random.normal(scale=1e-4, size=points.shape)
    low, high = points.min(0), points.max(0)
    return np.ascontiguousarray(10 * (points - low) / (high - low), np.float32)


def _umap() -> Any:
    try:
        import umap.umap_ as umap  # late: it takes seconds
    except ImportError as error:
        raise ImportError(
            'umap needs the package umap-learn, an extra of this one: pip install "cnnviz_widgets[umap]"'
        ) from error
    return umap
