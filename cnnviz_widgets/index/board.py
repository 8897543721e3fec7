"""The strongest k answers of every channel so far, and where they lie.

Answers are ordered by value, equal ones by the number of their picture, lower first. Both go into one whole number that
is larger for the better answer and that no two share: so any order of work and any way of dividing it gives one table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NONE = np.iinfo(np.int64).min
_LOW = np.int64(0xFFFFFFFF)


class Board:
    """The k best of each of so many channels.

    Attributes:
        keys: (channels, k) int64, best first; `NONE` where there is none.
        places: (channels, k) int32, where in the map: row * width + column.
    """

    def __init__(self, channels: int, k: int) -> None:
        """Empty."""
        self.keys: NDArray[np.int64] = np.full((channels, k), NONE)
        self.places: NDArray[np.int32] = np.full((channels, k), -1, np.int32)

    def offer(
        self,
        channels: NDArray[np.int64],
        slots: NDArray[np.int64],
        keys: NDArray[np.int64],
        places: NDArray[np.int32],
    ) -> None:
        """Take in answers (n,), each of one channel in one slot; no two have the same channel and slot."""
        if not len(keys):
            return
        (count, k), more = self.keys.shape, int(slots.max()) + 1
        all_keys = np.full((count, k + more), NONE)
        all_places = np.full((count, k + more), -1, np.int32)
        all_keys[:, :k], all_places[:, :k] = self.keys, self.places
        all_keys[channels, k + slots] = keys
        all_places[channels, k + slots] = places
        self.keys, self.places = _best(all_keys, all_places, k)

    @property
    def floor(self) -> NDArray[np.float32]:
        """(channels,) the value that an answer must reach to be among the best; the lowest finite one at first."""
        last = self.keys[:, -1]
        return np.where(last == NONE, np.finfo(np.float32).min, values_of(last)).astype(np.float32)

    @staticmethod
    def merged(boards: Sequence[Board]) -> Board:
        """The best of several boards, of the same channels and k."""
        first = boards[0]
        found = Board(*first.keys.shape)
        found.keys, found.places = _best(
            np.concatenate([board.keys for board in boards], axis=1),
            np.concatenate([board.places for board in boards], axis=1),
            first.keys.shape[1],
        )
        return found


def keys_of(values: NDArray[np.float32], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """One whole number for each value and the number (from 0, below 2**32) of its picture: the better, the larger."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # adding makes one zero of the two
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # as whole numbers in the order of the values
    return (ordered.astype(np.int64) << 32) | (_LOW - numbers.astype(np.int64))


def values_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """The values in keys; NaN for `NONE`."""
    ordered = (keys >> 32).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)


def numbers_of(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of the pictures in keys; -1 for `NONE`."""
    return np.where(keys == NONE, np.int64(-1), _LOW - (keys & _LOW))


def _best(keys: NDArray[np.int64], places: NDArray[np.int32], k: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The largest k of each row, with their places."""
    order = np.argsort(keys, axis=1)[:, : -k - 1 : -1]
    return np.take_along_axis(keys, order, 1), np.take_along_axis(places, order, 1)
