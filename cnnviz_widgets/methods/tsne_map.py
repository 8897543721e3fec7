"""t-SNE of vectors: the map while it is made, and new points put into a finished one.

openTSNE does the descent; the neighbours are exact (nearest_rows.py), so that nothing depends on a random forest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine.jobs import checkpoint, progress
from cnnviz_widgets.methods.nearest_rows import blocks, nearest_rows

OnStep: TypeAlias = Callable[[NDArray[np.float32], int, int, "float | None"], object]
"""Called with (points (N, 2), iteration, iterations, Kullback-Leibler divergence or None) while a map is made."""

FEWEST = 4  # points that t-SNE has something to say about
EVERY = 10  # iterations from one picture to the next
EXAGGERATION = 12.0
ROWS = 4096  # whose affinities are computed at a time
GRID = 10_000  # points from which openTSNE's interpolation on a grid is faster than its tree, whatever their width
NARROW_GRID = 2_500, 40.0  # and from which it is while the map is no wider than this
FEW = 50  # new points up to which it is faster to add up all forces on them than to make a tree of the old ones


def usable_perplexity(perplexity: float, count: int) -> float:
    """The perplexity, or the largest that so many points allow: a third of the others, as usual, and at least 1.5."""
    return min(float(perplexity), max((count - 1) / 3, 1.5))


def fit_tsne(
    vectors: NDArray[np.float32], perplexity: float, iterations: int, seed: int, on_step: OnStep | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points (N, 2), and the divergence at every `EVERY`th iteration and at the end.

    A third of the iterations, at most 250, with attraction exaggerated 12 times, the rest plain; the learning rate is
    N / exaggeration (Belkina et al. 2019).

    Args:
        vectors: (N, D) along their principal axes, the first first: those are where the points set out from.
        perplexity: what `usable_perplexity` gives.
        iterations: steps of the descent.
        seed: of the small noise that parts points which are equal.
        on_step: see `OnStep`; first, before anything is searched, with the points as they set out, at iteration 0.

    Raises:
        Cancelled: the job that this runs in was stopped.
    """
    from openTSNE import TSNEEmbedding

    count = len(vectors)
    looks = blocks(count, count)
    with progress(looks + iterations) as report:
        start = _first_points(vectors, seed)
        if on_step is not None:
            on_step(_plain(start), 0, iterations, None)
        k = min(count - 1, int(3 * perplexity))
        rows, distances = nearest_rows(vectors, vectors, k, themselves=True, report=report)
        alike = _affinities(rows, distances, perplexity, count)
        embedding = TSNEEmbedding(start, _Affinities((alike + alike.T) / (2 * count)))
        course = _Course(iterations, on_step, lambda done: report(looks + done))
        early = min(250, iterations // 3)
        for steps, exaggeration in ((early, EXAGGERATION), (iterations - early, 1.0)):
            course.exaggeration = exaggeration
            embedding.optimize(steps, inplace=True, exaggeration=exaggeration, learning_rate="auto", momentum=0.8,
                               n_jobs=1, negative_gradient_method=course)  # fmt: skip
    return _plain(embedding), np.array([*course.trace, embedding.kl_divergence], np.float32)


def place_by_tsne(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Where new vectors (n, D) belong in the finished map `points` (N, 2) of `vectors` (N, D).

    As openTSNE's `transform` (Poličar, Stražar & Zupan 2019): each new point sets out from the median of its 15 nearest
    and descends 250 steps by affinities of perplexity 5; the map stays as it is, and new points do not see each other.
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.tsne import PartialTSNEEmbedding, kl_divergence_bh
    from scipy.sparse import csr_matrix

    count = len(vectors)
    if not len(queries):
        return np.zeros((0, 2), np.float32)
    near = min(count, 15)
    rows, distances = nearest_rows(queries, vectors, near)
    alike = _affinities(rows, distances, min(5.0, max(near / 3, 1.5)), count)
    finished = TSNEEmbedding(points, _Affinities(csr_matrix((count, count))))
    start = np.median(points[rows].astype(np.float64), axis=1)
    forces = all_pairs if len(queries) <= FEW else kl_divergence_bh

    def gradient(*args: Any, **options: Any) -> tuple[float, NDArray[np.float64]]:
        checkpoint()
        return forces(*args, **options)

    placed = PartialTSNEEmbedding(start, finished, P=alike)
    placed.optimize(250, inplace=True, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25,
                    max_step_norm=None, n_jobs=1, negative_gradient_method=gradient)  # fmt: skip
    return _plain(placed)


def all_pairs(
    embedding: NDArray[np.float64], P: Any, *, reference_embedding: NDArray[np.float64], **_: Any
) -> tuple[float, NDArray[np.float64]]:
    """What openTSNE's tree approximates, for few new points: the gradient from every old one; without divergence."""
    new, old = np.asarray(embedding), np.asarray(reference_embedding)
    across, down = new[:, :1] - old[:, 0], new[:, 1:] - old[:, 1]
    kernel = 1 / (1 + across**2 + down**2)
    apart = kernel**2
    push = np.stack([(apart * across).sum(1), (apart * down).sum(1)], 1) / kernel.sum(1, keepdims=True)
    pairs = P.tocoo()
    way = new[pairs.row] - old[pairs.col]
    pull = way * (pairs.data / (1 + (way**2).sum(1)))[:, None]
    gradient = np.stack([np.bincount(pairs.row, part, len(new)) for part in pull.T], 1) - push
    return float("nan"), gradient


class _Course:
    """What openTSNE asks for the gradient at every iteration: the place to stop, to tell how far it is, and to show."""

    def __init__(self, iterations: int, on_step: OnStep | None, report: Callable[[int], object]) -> None:
        self.exaggeration = 1.0
        self.trace: list[float] = []
        self._iterations = iterations
        self._on_step = on_step
        self._report = report
        self._done = 0

    def __call__(self, embedding: Any, P: Any, **options: Any) -> tuple[float, NDArray[np.float64]]:
        checkpoint()
        last = options.pop("should_eval_error")  # openTSNE's own question, after the last step of a phase
        shown = not last and self._done % EVERY == 0
        error, gradient = _forces(embedding)(embedding, P, should_eval_error=last or shown, **options)
        if shown:
            error = error / self.exaggeration - np.log(self.exaggeration)
            self.trace.append(float(error))
        if self._on_step is not None and (shown and self._done or last and self._done == self._iterations):
            self._on_step(_plain(embedding), self._done, self._iterations, float(error))
        if not last:
            self._report(self._done)
            self._done += 1
        return error, gradient


def _forces(embedding: NDArray[np.float64]) -> Callable[..., tuple[float, NDArray[np.float64]]]:
    """The faster of openTSNE's two approximations of the gradient."""
    from openTSNE.tsne import kl_divergence_bh, kl_divergence_fft

    many, width = NARROW_GRID
    grid = len(embedding) >= GRID or (len(embedding) >= many and np.ptp(embedding, axis=0).max() <= width)
    return kl_divergence_fft if grid else kl_divergence_bh


class _Affinities:
    """What openTSNE's embedding reads of its affinities."""

    def __init__(self, P: Any) -> None:
        self.P = P


def _affinities(rows: NDArray[np.int64], distances: NDArray[np.float64], perplexity: float, count: int) -> Any:
    """How alike each point and its neighbours, of so many, are: a sparse matrix (n, count) whose rows add up to 1."""
    from openTSNE.affinity import joint_probabilities_nn
    from scipy.sparse import vstack

    parts = []
    for start in range(0, len(rows), ROWS):
        checkpoint()
        part = slice(start, start + ROWS)
        parts.append(joint_probabilities_nn(rows[part], distances[part], [perplexity], symmetrize=False, n_jobs=1,
                                            normalization="point-wise", n_reference_samples=count))  # fmt: skip
    return vstack(parts, format="csr")


def _first_points(vectors: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """The first two principal components, so small that no point is in another's way (Kobak & Berens 2019)."""
    from openTSNE.initialization import jitter, rescale

    points = np.zeros((len(vectors), 2))
    points[:, : vectors.shape[1]] = vectors[:, :2]
    return jitter(rescale(points), random_state=seed)


def _plain(embedding: Any) -> NDArray[np.float32]:
    return np.array(embedding, np.float32)
