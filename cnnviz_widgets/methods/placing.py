"""A layer's map on the picture: every position where its receptive field is centred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine import ReceptiveField


def place_maps(
    raw: NDArray[np.float32], field: ReceptiveField | None, size: tuple[int, int]
) -> tuple[NDArray[np.float32], str]:
    """A map (h, w) on a picture of `size` (H, W): the value of the nearest position, NaN where none is near.

    Returns:
        The values (H, W), and how they were placed: "receptive field", or "stretched" where the field is unknown.
    """
    corner = None if field is None else field.center(0, 0)
    if corner is None or field is None or field.stride is None:
        rows, columns = (np.arange(want) * have // want for have, want in zip(raw.shape, size, strict=True))
        return raw[rows][:, columns], "stretched"
    rows, columns = (
        nearest(length, count, first, stride)
        for length, count, first, stride in zip(size, raw.shape, corner, field.stride, strict=True)
    )
    values = raw[rows][:, columns]
    values[rows < 0] = np.nan
    values[:, columns < 0] = np.nan
    return values, "receptive field"


def nearest(length: int, count: int, first: float, stride: int) -> NDArray[np.int64]:
    """For each of `length` pixels of a row the position, of `count`, whose centre is nearest; -1 where none is near.

    Position i is centred at ``first + i * stride`` and covers the half-open interval of half a stride to both sides.
    """
    if stride == 0:  # one position, which sees the whole row
        return np.zeros(length, np.int64)
    position = np.floor((np.arange(length) - first) / stride + 0.5).astype(np.int64)
    return np.where((position >= 0) & (position < count), position, -1)
