"""What is said about the points of a `PointMap`: names that travel when they are few, else words that are asked for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Words"]

FEW = 5000  # Names that travel at once, so that a page without a kernel has them too,
SHORT = 200_000  # if they have no more letters than this together.
AT_ONCE = 128  # Points that are spoken of in one answer,
LONGEST = 0.05  # and seconds after which it is sent with what there is.

_sources = itertools.count(1)


class Words:
    """Names of points, and what more is known of each.

    Args:
        names: One for each point, or a function of its number.
        about: A function of a point's number that gives lines to stand under its name.
        count: How many points there are.

    Raises:
        ValueError: Not one name for each point.
    """

    def __init__(
        self,
        names: Sequence[str] | Callable[[int], str] | None = None,
        about: Callable[[int], Mapping[str, Any]] | None = None,
        count: int = 0,
    ) -> None:
        listed = names is not None and not callable(names)
        self._list = [str(name) for name in names] if listed else []  # type: ignore[union-attr]
        if listed and len(self._list) != count:
            raise ValueError(f"each of {count} points has a name, not {len(self._list)}")
        self._name = names if callable(names) else self._list.__getitem__ if listed else None
        self._about = about
        self._small = len(self._list) <= FEW and sum(map(len, self._list)) <= SHORT
        asked = callable(names) or about is not None or not self._small
        self.source = f"words {next(_sources)}" if asked else ""

    def message(self) -> dict[str, Any]:
        """{names, named, source}: names if they travel; whether there are any; "" if there is nothing to ask for."""
        return {
            "names": self._list if self._small else [],
            "named": self._name is not None,
            "source": self.source,
        }

    def answer(self, source: str, numbers: Sequence[int]) -> dict[str, Any]:
        """{source, numbers, words}: of as many of the points as there is time for, [name, [[what, how], ...]] each."""
        words: list[tuple[str, list[tuple[str, str]]]] = []
        end = time.monotonic() + LONGEST
        for number in numbers[:AT_ONCE] if source == self.source else []:
            words.append(self._of(int(number)))
            if time.monotonic() > end:
                break
        return {"source": source, "numbers": list(numbers[: len(words)]), "words": words}

    def _of(self, number: int) -> tuple[str, list[tuple[str, str]]]:
        try:
            name = str(self._name(number)) if self._name else ""
            lines = self._about(number) if self._about else {}
            return name, [(str(what), str(how)) for what, how in lines.items()]
        except Exception as error:  # Said where it is read; the other points have their words all the same.
            return "", [("error", str(error) or type(error).__name__)]
