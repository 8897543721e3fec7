"""What travels to a `PointMap`: points and what is known of them, as dictionaries of numbers and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnviz_widgets.views.palette import distinct_colors

__all__ = ["groups_message", "highlight_message", "marks_message", "places_of", "rows_of", "values_message"]


def places_of(points: ArrayLike) -> NDArray[np.float32]:
    """The points as a copy that nobody else writes into: (N, 2) float32, NaN where a coordinate is not finite.

    Raises:
        TypeError: No real numbers.
        ValueError: Another shape.
    """
    given = np.asarray(points)
    if given.size == 0:
        return np.zeros((0, 2), np.float32)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"points are real numbers, not {given.dtype}")
    if given.ndim != 2 or given.shape[1] != 2:
        raise ValueError(f"points are pairs x, y: an array (N, 2), not {given.shape}")
    with np.errstate(over="ignore"):
        places = given.astype("<f4")  # A copy, also of float32.
    places[~np.isfinite(places).all(1)] = np.nan
    places.flags.writeable = False
    return places


def groups_message(
    count: int, groups: ArrayLike, names: Sequence[str] | None, colors: ArrayLike | None, title: str
) -> dict[str, Any]:
    """Which group each point is in: {title, names, colors, counts, width, numbers}.

    Raises:
        TypeError: Groups that are not whole numbers.
        ValueError: Not one for each point, a number without a name, or not one colour for each group.
    """
    numbers = np.asarray(groups)
    if numbers.dtype.kind not in "iub":
        raise TypeError(f"groups are whole numbers, -1 for none, not {numbers.dtype}")
    numbers = _one_each(numbers.astype(np.int64), count, "group")
    most = int(numbers.max(initial=-1))
    names = [str(number) for number in range(most + 1)] if names is None else [str(name) for name in names]
    if most >= len(names) or numbers.min(initial=0) < -1:
        wrong = most if most >= len(names) else int(numbers.min())
        raise ValueError(f"no group {wrong}: there are names for 0 to {len(names) - 1}, and -1 stands for no group")
    palette = distinct_colors(len(names)) if colors is None else np.asarray(colors)
    if palette.shape != (len(names), 3) or palette.dtype != np.uint8:
        raise ValueError(f"each of {len(names)} groups has a colour: ({len(names)}, 3) uint8, not "
                         f"{palette.shape} {palette.dtype}")  # fmt: skip
    width = 2 if len(names) < 32768 else 4
    return {
        "title": str(title),
        "names": names,
        "colors": palette.tobytes(),
        "counts": np.bincount(numbers[numbers >= 0], minlength=len(names)).tolist(),
        "width": width,
        "numbers": numbers.astype(f"<i{width}").tobytes(),
    }


def values_message(count: int, values: ArrayLike, name: str, signed: bool | None) -> dict[str, Any]:
    """A number for each point: {name, data, lo, hi, signed}.

    Raises:
        TypeError: No real numbers.
        ValueError: Not one for each point, or infinite ones.
    """
    given = np.asarray(values)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"values are real numbers, not {given.dtype}")
    numbers = _one_each(given.astype("<f4"), count, "value")
    if np.isinf(numbers).any():
        raise ValueError("values are finite, or NaN where there is none")
    known = numbers[~np.isnan(numbers)]
    lo, hi = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    signed = lo < 0 if signed is None else bool(signed)
    if signed:
        hi = max(abs(lo), abs(hi))
        lo = -hi
    return {"name": str(name), "data": numbers.tobytes(), "lo": lo, "hi": hi, "signed": signed}


def highlight_message(count: int, highlight: ArrayLike, name: str) -> dict[str, Any]:
    """Which points stand out: {name, count, bits}; bit n of the bytes, lowest first, is point n.

    Raises:
        TypeError: Not bool.
        ValueError: Not one for each point.
    """
    mask = np.asarray(highlight)
    if mask.dtype != bool:
        raise TypeError(f"what stands out is said by True and False, not {mask.dtype}")
    mask = _one_each(mask, count, "True or False")
    return {"name": str(name), "count": int(mask.sum()), "bits": np.packbits(mask, bitorder="little").tobytes()}


def rows_of(count: int, rows: ArrayLike) -> tuple[int, ...]:
    """Numbers of points, rising, each once; of a mask (N,) bool those that are True.

    Raises:
        TypeError: No whole numbers.
        ValueError: One that does not exist.
    """
    given = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))  # type: ignore[arg-type]
    if given.size == 0:
        return ()
    if given.dtype == bool:
        given = np.flatnonzero(_one_each(given, count, "True or False"))
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise TypeError(
            f"points are chosen by their numbers or by a mask (N,) bool, not by {given.dtype} {given.shape}"
        )
    numbers = np.unique(given)
    if numbers.size and (numbers[0] < 0 or numbers[-1] >= count):
        wrong = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise ValueError(f"no point {wrong}; " + (f"they go from 0 to {count - 1}" if count else "there are none"))
    return tuple(numbers.tolist())


def marks_message(count: int, marks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Marks as they travel, each {x, y, name, lines_to, thumbnail}.

    Raises:
        ValueError: Unknown keys, a place that is not finite, lines to points that do not exist, no bytes.
    """
    known = ("x", "y", "name", "lines_to", "thumbnail")
    checked = []
    for mark in marks:
        if unknown := set(mark) - set(known):
            raise ValueError(f"a mark has {', '.join(known)}, not {', '.join(map(repr, sorted(unknown)))}")
        try:
            x, y = float(mark["x"]), float(mark["y"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"a mark has a place, x and y in the units of the points; not {dict(mark)}") from None
        if not np.isfinite([x, y]).all():
            raise ValueError(f"a mark's place is finite, not x={x}, y={y}")
        thumbnail = mark.get("thumbnail") or b""
        if not isinstance(thumbnail, bytes):
            raise ValueError(f"a mark's thumbnail is an encoded picture (bytes), not {type(thumbnail).__name__}")
        lines = np.asarray(mark.get("lines_to") if mark.get("lines_to") is not None else [], dtype=object)
        rows_of(count, lines.astype(np.int64))
        checked.append({
            "x": x, "y": y, "name": str(mark.get("name", "")), "thumbnail": thumbnail,
            "lines_to": [int(row) for row in lines],
        })  # fmt: skip
    return checked


def _one_each(values: NDArray[Any], count: int, what: str) -> NDArray[Any]:
    if values.shape != (count,):
        raise ValueError(f"each of {count} points has a {what}: ({count},), not {values.shape}")
    return values
