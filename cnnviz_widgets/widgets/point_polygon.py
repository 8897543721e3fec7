"""Which points lie in a polygon: the rule of `PointMap`'s lasso, as `point_polygon.js` has it, to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["points_in_polygon"]


def points_in_polygon(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Which points lie inside of a polygon: (N,) bool.

    A point is inside when a ray from it to the right crosses the edges an odd number of times (even-odd: where a line
    crosses itself, what is enclosed twice is outside). An edge holds its lower end and not its upper one, and a point
    on it lies to its right. So of polygons that share edges exactly one has each point, and none has it twice. All is
    computed in float64, each edge from its lower end upwards. A point with a coordinate that is not finite is in no
    polygon.

    Args:
        points: (N, 2), x and y.
        polygon: (n, 2) corners in the same units, in order; the last one is joined to the first. Fewer than three
            enclose nothing.

    Raises:
        ValueError: Another shape, or a corner that is not finite.

    Example:
        points_in_polygon([[0.5, 0.5], [2, 2]], [[0, 0], [1, 0], [1, 1], [0, 1]])  # [True, False]
    """
    places, corners = _pairs(points, "points"), _pairs(polygon, "a polygon's corners")
    if not np.isfinite(corners).all():
        raise ValueError("a polygon's corners are finite")
    inside = np.zeros(len(places), bool)
    if len(corners) < 3:
        return inside
    low, high = corners.min(0), corners.max(0)
    near = np.flatnonzero(((places >= low) & (places <= high)).all(1))  # NaN is nowhere.
    x, y = places[near].T
    odd = np.zeros(len(near), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y0 == y1:
            continue
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        slope = (x1 - x0) / (y1 - y0)
        odd ^= (y >= y0) & (y < y1) & (x < x0 + (y - y0) * slope)
    inside[near] = odd
    return inside


def _pairs(values: ArrayLike, what: str) -> NDArray[np.float64]:
    pairs = np.asarray(values, np.float64)
    if pairs.size == 0:
        return pairs.reshape(0, 2)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"{what} are pairs x, y: an array (n, 2), not {pairs.shape}")
    return pairs
