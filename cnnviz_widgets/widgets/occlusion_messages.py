"""What travels to an `OcclusionCanvas`: pictures, maps and answers as dictionaries of numbers and bytes.

Each names the scene (picture, what is under the patch, and the patch) that it belongs to, and is shown in no other one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnviz_widgets.views.colour import scale_of
from cnnviz_widgets.widgets.canvas_messages import picture_message

__all__ = [
    "MOST",
    "answer_message",
    "answers_message",
    "base_message",
    "classes_message",
    "patch_message",
    "pictures_message",
    "values_message",
]

MOST = 10  # So many classes of an answer travel, at most.
LEVELS = 65535  # Of a probability: steps of 0.0015 %, far below what is written.


def pictures_message(picture: ArrayLike, fill: ArrayLike) -> dict[str, Any]:
    """The picture and what stands under the patch: {width, height, data, id, fill, look}, both (H, W, 3) uint8.

    Raises:
        TypeError: Not uint8.
        ValueError: Another shape, or two sizes.
    """
    message, under = picture_message(picture), picture_message(fill)
    if (message["width"], message["height"]) != (under["width"], under["height"]):
        raise ValueError(
            f"what stands under the patch is a picture of the same size, {message['width']}x{message['height']}, "
            f"not {under['width']}x{under['height']}"
        )
    return {**message, "fill": under["data"], "look": f"{zlib.crc32(under['data']):08x}"}


def patch_message(patch: Mapping[str, Any]) -> dict[str, Any]:
    """A patch as it travels, {h, w, round}.

    Raises:
        ValueError: No side of one pixel or more, or unknown keys.
    """
    if unknown := set(patch) - {"h", "w", "round"}:
        raise ValueError(f"a patch has h, w and round, not {', '.join(map(repr, sorted(unknown)))}")
    sides = [patch.get(side) for side in ("h", "w")]
    if not all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side > 0 for side in sides):
        raise ValueError(f"a patch is h by w pixels, whole numbers of one or more, not {sides[0]!r} by {sides[1]!r}")
    return {"h": int(patch["h"]), "w": int(patch["w"]), "round": bool(patch.get("round", False))}


def values_message(
    tops: ArrayLike, lefts: ArrayLike, values: ArrayLike, lo: float | None, hi: float | None, signed: bool | None
) -> dict[str, Any]:
    """A map of values, NaN where none is known yet: {tops, lefts, shape, values, lo, hi, signed}.

    Raises:
        ValueError: Another shape than the grid's, infinite values, or an impossible scale.
    """
    grid, cells = _on_grid(tops, lefts, np.asarray(values, "<f4"))
    if cells.ndim != 2:
        raise ValueError(f"a map has one value for each position, not {cells.shape[2:]}")
    if np.isinf(cells).any():
        raise ValueError("a map holds infinite values; NaN stands for those that are not known yet")
    signed = bool((cells < 0).any()) if signed is None else bool(signed)
    usual = scale_of(cells, signed)
    ends = float(usual.lo if lo is None else lo), float(usual.hi if hi is None else hi)
    if signed and (lo is None) != (hi is None):  # One end says the other.
        ends = (-abs(hi), abs(hi)) if hi is not None else (-abs(lo or 0), abs(lo or 0))
    scale = scale_of(cells, signed, locked=ends)
    return {**grid, "values": cells.tobytes(), "lo": scale.lo, "hi": scale.hi, "signed": signed}


def classes_message(
    tops: ArrayLike,
    lefts: ArrayLike,
    values: ArrayLike,
    names: Mapping[int, str],
    slots: Mapping[int, int],
    colors: NDArray[np.uint8],
) -> dict[str, Any]:
    """A map of class numbers as places in a list of classes: {tops, lefts, shape, values, classes}.

    Args:
        tops: Upper edges of the patches.
        lefts: Their left edges.
        values: (ny, nx) class numbers; NaN, or below zero, where none is known yet.
        names: Of the classes that occur.
        slots: Which colour each class has.
        colors: (n, 3) uint8.
    """
    grid, cells = _on_grid(tops, lefts, _classes(values))
    found, counts = np.unique(cells[cells >= 0], return_counts=True)
    order = np.lexsort((found, -counts))  # The most frequent first.
    places = np.full(cells.shape, 65535, "<u2")
    legend = []
    for place, (number, count) in enumerate(zip(found[order].tolist(), counts[order].tolist(), strict=True)):
        places[cells == number] = place
        legend.append({
            "number": number, "name": str(names.get(number, f"class {number}")), "count": count,
            "color": colors[slots[number]].tolist(),
        })  # fmt: skip
    return {**grid, "values": places.tobytes(), "classes": legend}


def answers_message(
    tops: ArrayLike,
    lefts: ArrayLike,
    indices: ArrayLike,
    probabilities: ArrayLike,
    names: Mapping[int, str],
    base_probabilities: ArrayLike | None,
) -> dict[str, Any]:
    """The answers at all positions: {tops, lefts, shape, most, indices, probabilities, base, names}.

    Class numbers are int32 (-1 where none is known yet), probabilities uint16 from 0 to 65535.
    """
    grid, classes = _on_grid(tops, lefts, np.asarray(indices, "<i4"))
    if classes.ndim != 3 or not 0 < classes.shape[2] <= MOST:
        raise ValueError(f"answers have the shape (ny, nx, 1 to {MOST}), not {classes.shape}")
    shares = np.asarray(probabilities)
    if shares.shape != classes.shape:
        raise ValueError(f"there is a probability for each class, {classes.shape}, not {shares.shape}")
    base = b""
    if base_probabilities is not None:
        _, known = _on_grid(tops, lefts, np.asarray(base_probabilities))
        if known.ndim != 3:
            raise ValueError(f"base_probabilities has the shape (ny, nx, classes of the base), not {known.shape}")
        base = _shares(known)
    return {
        **grid, "most": classes.shape[2], "indices": classes.tobytes(), "probabilities": _shares(shares),
        "base": base, "names": _names(classes, names),
    }  # fmt: skip


def answer_message(
    y: int,
    x: int,
    indices: ArrayLike,
    probabilities: ArrayLike,
    names: Mapping[int, str],
    base_probabilities: ArrayLike | None,
) -> dict[str, Any]:
    """The answer at one place: {y, x, indices, probabilities, base, names}; small, so in plain lists."""
    classes, shares = _ranked(indices, probabilities)
    base = [] if base_probabilities is None else np.asarray(base_probabilities, np.float64).ravel().tolist()
    return {
        "y": int(y), "x": int(x), "indices": classes.tolist(), "probabilities": shares.tolist(), "base": base,
        "names": _names(classes, names),
    }  # fmt: skip


def base_message(
    indices: ArrayLike, probabilities: ArrayLike, names: Mapping[int, str], all_probabilities: ArrayLike | None
) -> dict[str, Any]:
    """The answer without a patch: {indices, probabilities, all, names}, `all` as float32 by class number."""
    classes, shares = _ranked(indices, probabilities)
    every = b"" if all_probabilities is None else np.asarray(all_probabilities, "<f4").ravel().tobytes()
    return {
        "indices": classes.tolist(), "probabilities": shares.tolist(), "all": every, "names": _names(classes, names),
    }  # fmt: skip


def _on_grid(tops: ArrayLike, lefts: ArrayLike, cells: NDArray[Any]) -> tuple[dict[str, Any], NDArray[Any]]:
    rows, columns = _edges(tops, "tops"), _edges(lefts, "lefts")
    if cells.shape[:2] != (len(rows), len(columns)):
        raise ValueError(
            f"{len(rows)} tops and {len(columns)} lefts make a map of {len(rows)}x{len(columns)}, not {cells.shape}"
        )
    grid = {"tops": rows.tobytes(), "lefts": columns.tobytes(), "shape": [len(rows), len(columns)]}
    return grid, np.ascontiguousarray(cells)


def _edges(edges: ArrayLike, what: str) -> NDArray[np.int32]:
    found = np.asarray(edges)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu" or (np.diff(found) <= 0).any():
        raise ValueError(f"{what} are whole pixels in rising order, at least one, not {edges!r}")
    return found.astype("<i4")


def _classes(values: ArrayLike) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    if numbers.dtype.kind == "f":
        numbers = np.where(np.isfinite(numbers), numbers, -1)
    return numbers.astype(np.int64)


def _ranked(indices: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    classes, shares = np.asarray(indices, np.int64), np.asarray(probabilities, np.float64)
    if classes.ndim != 1 or classes.shape != shares.shape or not 0 < len(classes) <= MOST:
        raise ValueError(f"1 to {MOST} classes and as many probabilities, not {classes.shape} and {shares.shape}")
    return classes, shares


def _shares(probabilities: ArrayLike) -> bytes:
    shares = np.nan_to_num(np.asarray(probabilities, np.float64))
    return np.rint(np.clip(shares, 0, 1) * LEVELS).astype("<u2").tobytes()


def _names(classes: NDArray[Any], names: Mapping[int, str] | Sequence[str]) -> dict[str, str]:
    """Those that occur, by number as text: JSON has no other keys."""
    known = names if isinstance(names, Mapping) else dict(enumerate(names))
    occurring = np.unique(classes[classes >= 0]).tolist()
    return {str(number): str(known.get(number, f"class {number}")) for number in occurring}
