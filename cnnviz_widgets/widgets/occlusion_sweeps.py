"""What sweeps of a patch have found, and the last few of them: numbers only, nothing is computed or drawn here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

TOP = 5  # classes whose bars are drawn
ROOM = 160 * 2**20  # bytes of sweeps to remember; a usual one (27 x 27 places, 1000 classes) takes 3 MB


class Swept:
    """The scores with the patch at each place of a grid, row by row as they come.

    All classes are kept, so that another class, their probabilities, the most probable one and the difference of two
    are read off without running the network again.

    Attributes:
        tops, lefts: (ny,) and (nx,) places of the patch's upper left corner, in input pixels.
        values: (ny, nx, k) scores of all k classes, or (ny, nx, 1) of one unit; NaN in rows that have not come yet.
        order: (ny, nx, 5) int32, the likeliest classes, best first; -1 in rows that have not come yet, and for a unit.
        shares: (ny, nx, 5) their probabilities.
        done: how many rows have come.
    """

    def __init__(self, tops: Sequence[int], lefts: Sequence[int], ranked: bool = True) -> None:
        self.tops, self.lefts = tuple(map(int, tops)), tuple(map(int, lefts))
        self.done = 0
        self._ranked = ranked
        self._grid = len(self.tops), len(self.lefts)
        self.values = np.full((*self._grid, 1), np.nan, np.float32)
        self.order = np.full((*self._grid, TOP), -1, np.int32)
        self.shares = np.full((*self._grid, TOP), np.nan, np.float32)
        self._scale = np.full(self._grid, np.nan)  # log of the sum of exponentials: what makes scores probabilities

    @property
    def whole(self) -> bool:
        """Whether all rows have come."""
        return self.done == len(self.tops)

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return self.values.nbytes + self.order.nbytes + self.shares.nbytes + self._scale.nbytes

    def add(self, row: NDArray[np.float32]) -> None:
        """Take the next row (nx, k)."""
        if self.values.shape[2] != row.shape[1]:
            self.values = np.full((*self._grid, row.shape[1]), np.nan, np.float32)
        self.values[self.done] = row
        if self._ranked:
            order, shares, scale = ranked(row)
            self.order[self.done, :, : order.shape[1]] = order
            self.shares[self.done, :, : order.shape[1]] = shares
            self._scale[self.done] = scale
        self.done += 1

    def scores(self, index: int) -> NDArray[np.float32]:
        """(ny, nx) the score of a class; of a unit its number is 0."""
        return self.values[:, :, index] if self.done else np.full(self._grid, np.nan, np.float32)

    def probabilities(self, index: int) -> NDArray[np.float32]:
        """(ny, nx) the probability of a class."""
        return np.exp(self.scores(index) - self._scale).astype(np.float32)

    def at(self, top: int, left: int) -> NDArray[np.float32] | None:
        """All scores (k,) with the patch at this place; None where the grid has no such place or its row is to come."""
        if top not in self.tops or left not in self.lefts:
            return None
        row = self.tops.index(top)
        return self.values[row, self.lefts.index(left)] if row < self.done else None


def ranked(scores: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]:
    """For scores (n, k): the likeliest classes (n, 5), their probabilities, and the log of the sum of exponentials.

    Of equal scores the lower number comes first, as in `Engine.predict`.
    """
    exact = scores.astype(np.float64)
    highest = exact.max(1, keepdims=True)
    scale = highest + np.log(np.exp(exact - highest).sum(1, keepdims=True))
    order = np.argsort(-exact, axis=1, kind="stable")[:, :TOP]
    shares = np.exp(np.take_along_axis(exact, order, 1) - scale)
    order[np.isnan(scale[:, 0])] = -1  # scores that are not all numbers have no order
    return order.astype(np.int32), shares.astype(np.float32), scale[:, 0]


class Remembered:
    """The last few sweeps, so that going back to a setting costs nothing; the longest unused go first.

    Args:
        room: bytes to hold; the newest is kept whatever its size.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._sweeps: OrderedDict[Hashable, Swept] = OrderedDict()

    def get(self, key: Hashable) -> Swept | None:
        """The sweep of this key, if it is remembered."""
        if key in self._sweeps:
            self._sweeps.move_to_end(key)
        return self._sweeps.get(key)

    def keep(self, key: Hashable, swept: Swept) -> None:
        """Remember a sweep, also one that is still to grow."""
        self._sweeps[key] = swept
        self._sweeps.move_to_end(key)
        while len(self._sweeps) > 1 and sum(other.nbytes for other in self._sweeps.values()) > self._room:
            self._sweeps.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Have it computed again."""
        self._sweeps.pop(key, None)

    def clear(self) -> None:
        """Forget them all."""
        self._sweeps.clear()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sweeps)
