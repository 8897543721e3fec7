"""Where kinds become colours: as many as wanted, told apart as well as can be, also by an eye without red or green."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct_colors"]

FIRST = (0, 102, 204)  # A blue, which everybody tells from everything that is chosen after it.
LIGHTNESS = (0.45, 0.90)  # In OKLab: seen on white and on black.
COLOURFUL = (0.07, 0.21)  # Chroma in OKLab: never taken for the grey of a dimmed picture, and never glaring.
LEVELS = 18  # Of red, green and blue, from which the colours are chosen.

# What linear light becomes for an eye without L, and without M cones (Viénot, Brettel and Mollon 1999).
_PROTAN = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
_DEUTAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
# Linear light to the cones' answers, and those to OKLab (Ottosson 2020).
_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


@lru_cache(maxsize=32)
def distinct_colors(count: int) -> NDArray[np.uint8]:
    """The first `count` colours for kinds that have no order: (count, 3) uint8, read-only.

    Each is the one that lies farthest from all before it; the distance of two counts what a normal eye sees, and twice
    what is left of it for an eye without red or without green, whichever is less. So the first few differ most, a
    longer list begins with every shorter one, and any number can be had (beyond about twenty nobody tells all apart).

    Raises:
        ValueError: a negative count.

    Example:
        distinct_colors(3)  # blue, then what differs most from it
    """
    if count < 0:
        raise ValueError(f"so many colours as there are kinds, not {count}")
    steps = np.rint(np.linspace(0, 255, LEVELS)).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    plain = _oklab(_linear(cube))
    chroma = np.hypot(plain[:, 1], plain[:, 2])
    candidates = cube[_within(plain[:, 0], LIGHTNESS) & _within(chroma, COLOURFUL)]
    seen, chosen = _seen(candidates), np.array([FIRST], np.uint8)
    distance = _distance(seen, _seen(chosen))
    while len(chosen) < count:
        farthest = int(distance.argmax())
        chosen = np.vstack([chosen, candidates[farthest]])
        distance = np.minimum(distance, _distance(seen, seen[:, farthest : farthest + 1]))
    chosen = np.ascontiguousarray(chosen[:count])
    chosen.flags.writeable = False
    return chosen


def _within(values: NDArray[np.float64], ends: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= ends[0]) & (values <= ends[1])


def _distance(all_of_them: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    normal, protan, deutan = np.sqrt(((all_of_them - one) ** 2).sum(-1))
    return normal + 2 * np.minimum(protan, deutan)


def _seen(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(3, n, 3): the colours in OKLab as three kinds of eyes see them."""
    light = _linear(colors)
    return np.stack([_oklab(light @ eye.T) for eye in (np.eye(3), _PROTAN, _DEUTAN)])


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    share = colors / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cbrt(np.clip(light, 0, None) @ _CONES.T) @ _LAB.T
