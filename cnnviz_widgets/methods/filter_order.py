"""Orders in which filters are looked at: by strength, by colour, by likeness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]

# The share of a filter's energy that lies in differences between colours; below it the filter is taken for grey.
_GREY = 0.15


def by_norm(weights: Weights) -> NDArray[np.int64]:
    """The strongest first: filters (n, c, kh, kw) by the length of their weights."""
    return np.argsort(-np.linalg.norm(weights.reshape(len(weights), -1), axis=1), kind="stable")


def by_hue(weights: Weights) -> NDArray[np.int64]:
    """Coloured filters round the colour circle from red, then grey ones by the direction of their stripes.

    `weights` is (n, 3, kh, kw) in red, green, blue. A filter's hue is that in which its taps differ most from grey, on
    the side of the tap that differs most: blue against orange counts as whichever is stronger.
    """
    keys = [_hue(filter_) for filter_ in weights]
    return np.array(sorted(range(len(weights)), key=lambda n: (*keys[n], n)), np.int64)


def by_similarity(weights: Weights) -> NDArray[np.int64]:
    """A walk from the strongest filter that passes through all of them in small steps, so that like stand by like.

    The step between two filters is the distance of their directions (weights scaled to length 1). The walk goes on to
    the nearest filter that is left, and is then made shorter as long as turning round a stretch of it helps (2-opt).
    """
    flat = weights.reshape(len(weights), -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(lengths > 0, lengths, 1)
    away = np.sqrt(np.clip(2 - 2 * (unit @ unit.T), 0, None))
    return _untangled(_nearest_next(away, int(by_norm(weights)[0])), away)


def _hue(weights: Weights) -> tuple[int, float]:
    taps = weights.reshape(3, -1)
    chroma = taps - taps.mean(0)
    if np.square(chroma).sum() <= _GREY * np.square(taps).sum():
        return 1, _direction(weights.mean(0))
    axes, _, _ = np.linalg.svd(chroma, full_matrices=False)
    along = axes[:, 0] @ chroma
    red, green, blue = axes[:, 0] * np.sign(along[np.abs(along).argmax()])
    return 0, float(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) % (2 * np.pi))


def _direction(grey: Weights) -> float:
    """The angle, 0 to pi, across a filter's stripes: that in which its values change most (the structure tensor)."""
    around = np.pad(grey, 1)
    down, right = np.diff(around, axis=0)[:, 1:], np.diff(around, axis=1)[1:]
    return float(np.arctan2(2 * (down * right).sum(), np.square(right).sum() - np.square(down).sum()) / 2 % np.pi)


def _nearest_next(away: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    walk, left = [first], np.ones(len(away), bool)
    left[first] = False
    while left.any():
        walk.append(int(np.where(left, away[walk[-1]], np.inf).argmin()))  # of equals the lowest number
        left[walk[-1]] = False
    return np.array(walk, np.int64)


def _untangled(walk: NDArray[np.int64], away: NDArray[np.float64], passes: int = 30) -> NDArray[np.int64]:
    """The walk with stretches turned round while that makes it shorter; its first filter stays the first."""
    n = len(walk)
    for _ in range(passes):
        turned = False
        for i in range(n - 2):  # turn round i + 1 ... j
            before, first = walk[i], walk[i + 1]
            last, after = walk[i + 2 :], np.append(walk[i + 3 :], -1)
            beyond = np.where(after < 0, 0, away[last, after])
            now = away[before, first] + beyond
            then = away[before, last] + np.where(after < 0, 0, away[first, after])
            best = int((now - then).argmax())
            if (now - then)[best] > 1e-9:
                walk[i + 1 : i + 3 + best] = walk[i + 1 : i + 3 + best][::-1].copy()
                turned = True
        if not turned:
            break
    return walk
