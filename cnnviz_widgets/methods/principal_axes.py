"""The directions in which vectors differ most, found in one pass over them, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine.jobs import checkpoint

ROWS = 4096  # that are in double precision at a time


@dataclass(frozen=True)
class PrincipalAxes:
    """A linear map: less the mean, along the axes.

    Attributes:
        mean: (D,) float64.
        axes: (K, D) float64, of unit length, the one of the largest variance first. Of each the largest number is
            positive, so that the same vectors give the same picture and not its mirror image.
        shares: (K,) float64, each axis's share of the whole variance, 0 to 1.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    shares: NDArray[np.float64]

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Vectors (n, D) as coordinates (n, K) on the axes."""
        found = np.empty((len(vectors), len(self.axes)), np.float32)
        for start, part in _parts(vectors):
            found[start : start + len(part)] = (part - self.mean) @ self.axes.T
        return found


def principal_axes(vectors: NDArray[np.floating], most: int) -> PrincipalAxes:
    """The principal axes of vectors (N, D): at most `most`, fewer where they vary in fewer directions.

    Pearson 1901, Hotelling 1933: the eigenvectors of the covariance, or, of fewer vectors than they have numbers, of
    their products with each other. All in double precision.
    """
    count, width = vectors.shape
    mean = sum((part.sum(0) for _, part in _parts(vectors)), np.zeros(width)) / max(count, 1)
    if width <= count:
        square = np.zeros((width, width))
        for _, part in _parts(vectors):
            part -= mean
            square += part.T @ part
        values, axes = _largest(square, most)
    else:
        centred = np.asarray(vectors, np.float64) - mean
        square = centred @ centred.T
        values, sides = _largest(square, most)
        axes = (sides @ centred) / np.sqrt(np.maximum(values, np.finfo(float).tiny))[:, None]
    whole = float(square.trace())
    # What single precision rounds off is no direction in which they differ.
    rounding = count * (float(np.finfo(np.float32).eps) * float(np.linalg.norm(mean))) ** 2
    kept = values > max(rounding, 1e-12 * whole)
    axes = axes[kept]
    leading = np.take_along_axis(axes, np.abs(axes).argmax(1, keepdims=True), 1)
    return PrincipalAxes(mean, axes * np.sign(leading), values[kept] / whole if kept.any() else values[kept])


def _largest(square: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest eigenvalues of a symmetric matrix, and their eigenvectors as rows, largest first."""
    from scipy.linalg import eigh  # late: it takes a while

    side = len(square)
    least = max(side - most, 0)
    if not side:
        return np.zeros(0), np.zeros((0, 0))
    values, vectors = eigh(square, subset_by_index=(least, side - 1))
    return values[::-1], vectors.T[::-1]


def _parts(vectors: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    for start in range(0, len(vectors), ROWS):
        checkpoint()
        yield start, np.array(vectors[start : start + ROWS], np.float64)
