"""Labels: which number a picture's class has, and what it is called."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from typing import Any

MOST_CLASSES = 100_000  # a number beyond is an identity or a mistake, not a class


def number_of(label: Any, classes: Sequence[str] = ()) -> int:
    """The label as a whole number, -1 for None; `classes`, where given, say which there are.

    Raises:
        ValueError: no whole number (a tensor or array of one is), or a class that is not there.
    """
    if label is None:
        return -1
    try:
        number = operator.index(label.item() if _holds_one(label) else label)
    except (TypeError, ValueError):
        raise ValueError(f"a label is a whole number, and this one is {_told(label)}") from None
    most = len(classes) or MOST_CLASSES
    if not -1 <= number < most:
        raise ValueError(f"the label {number} is not in 0..{most - 1} (-1 says that there is none)")
    return number


def numbers_of(labels: Any, classes: Sequence[str] | None) -> tuple[list[int], tuple[str, ...]]:
    """The labels as numbers, and the names of the numbers: words become classes in sorted order.

    Raises:
        ValueError: neither words nor whole numbers, or a class that is not there; the message says which label.
    """
    labels = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    given = () if classes is None else names_of(classes)
    words = {label for label in labels if isinstance(label, str)}
    if words:
        given = given or tuple(sorted(words))
    place = {name: number for number, name in enumerate(given)}
    numbers = []
    for at, label in enumerate(labels):
        try:
            numbers.append(_place(label, place) if words and label is not None else number_of(label, given))
        except ValueError as error:
            raise ValueError(f"labels[{at}]: {error}") from None
    return numbers, given or tuple(map(str, range(max(numbers, default=-1) + 1)))


def names_of(classes: Any) -> tuple[str, ...]:
    """Names of classes as text; several names for one class, as ImageNet has them, are joined.

    Raises:
        TypeError: one word instead of a list of words.
    """
    if isinstance(classes, str):
        raise TypeError(f"classes is a list of names, not the one word {classes!r}")
    return tuple(", ".join(map(str, name)) if isinstance(name, (tuple, list)) else str(name) for name in classes)


def _place(label: Any, place: dict[str, int]) -> int:
    if not isinstance(label, str):
        raise ValueError(f"{_told(label)} among labels that are words")
    if label in place:
        return place[label]
    near = difflib.get_close_matches(label, place, n=1)
    raise ValueError(f"no class {label!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _holds_one(label: Any) -> bool:
    return hasattr(label, "item") and getattr(label, "ndim", 1) <= 1


def _told(label: Any) -> str:
    if getattr(label, "ndim", 0):
        return f"a {type(label).__name__} of shape {tuple(label.shape)}"
    return f"{label!r:.60} ({type(label).__name__})"
