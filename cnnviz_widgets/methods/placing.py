"""A layer on the picture: its map, every position where its receptive field is centred, and the field of one."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine import ReceptiveField

V = TypeVar("V", np.uint8, np.float32)


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


def cut_box(box: tuple[int, int, int, int], size: tuple[int, int]) -> NDArray[np.int64]:
    """(4,) a box x0, y0, x1, y1 cut to a picture of `size` (H, W); of no size where they do not meet."""
    (left, top, right, bottom), (height, width) = box, size
    x0, y0 = min(max(left, 0), width), min(max(top, 0), height)
    return np.array([x0, y0, max(min(right, width), x0), max(min(bottom, height), y0)])


def cut_out(picture: NDArray[V], box: tuple[int, int, int, int], fill: int) -> NDArray[V]:
    """The pixels (h, w, C) in a box of a picture (H, W, C); those outside the picture, or the box, are `fill`.

    A side on which the box is as long as the picture or longer is the picture's own, so that little is ever filled.
    """
    size = (picture.shape[0], picture.shape[1])
    x0, y0, x1, y1 = (int(edge) for edge in cut_box(box, size))
    spans = [(box[1], box[3], size[0]), (box[0], box[2], size[1])]
    (top, height), (left, width) = ((0, side) if b - a >= side else (a, b - a) for a, b, side in spans)
    found = np.full((height, width, *picture.shape[2:]), fill, picture.dtype)
    found[y0 - top : y1 - top, x0 - left : x1 - left] = picture[y0:y1, x0:x1]
    return found
