"""What a gallery reads from: a folder, a dataset, arrays, digits or crops; each a `Source` of numbered pictures."""

from __future__ import annotations

import difflib
import itertools
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

_building = threading.Lock()


class Unreadable(NamedTuple):
    """A picture that cannot be read, or a folder that cannot be listed, and why."""

    key: str
    reason: str


class Source(ABC):
    """Pictures numbered from 0, each with a key that stays the same; may be read from several threads and pickled.

    Attributes:
        name: For titles.
        classes: The names of the label numbers; empty where there are none.
        ignored: What was passed over, and how often: {".txt": 3, "hidden": 1}.
        problems: What could not even be listed.
    """

    name: str
    classes: tuple[str, ...] = ()
    ignored: dict[str, int] = {}
    problems: tuple[Unreadable, ...] = ()
    _numbers: dict[str, int] | None = None  # of each key; made when somebody asks

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_numbers"}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, number: int) -> tuple[Image.Image, int]:
        """The upright RGB picture and its label number, -1 for none.

        Raises:
            ImageError: whatever the reason why it cannot be read; the message names the picture.
        """

    def key(self, number: int) -> str:
        """What this picture is called, today and tomorrow."""
        return str(number)

    def find(self, key: str) -> int:
        """The number of the picture that is called so.

        Raises:
            KeyError: none is; near ones are named.
        """
        with _building:
            if self._numbers is None:
                self._numbers = {self.key(number): number for number in range(len(self))}
        if key in self._numbers:
            return self._numbers[key]
        raise self.no_such(key)

    def no_such(self, key: str) -> KeyError:
        """The error for a key that is not there."""
        keys = [self.key(number) for number in itertools.islice(range(len(self)), 10_000)]
        near = difflib.get_close_matches(key, keys, n=3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {keys[0]!r} to {keys[-1]!r}"
        return KeyError(f"no picture {key!r} in {self.name!r}; {hint}")

    @abstractmethod
    def signature(self, number: int) -> str:
        """Text that changes when the picture does; "" where that cannot be told."""

    def path(self, number: int) -> Path | None:
        """The file of this very picture, where it is one."""
        return None

    def spec(self, part: range | list[int] | None) -> dict[str, Any] | None:
        """How to make these pictures, or a part of them, again, in words that JSON knows; None where nothing can."""
        return None


def part_as_json(part: range | list[int] | None) -> dict[str, Any]:
    """The numbers of a part as an entry of a spec; nothing for the whole."""
    if part is None:
        return {}
    return {"numbers": {"start": part.start, "stop": part.stop, "step": part.step} if isinstance(part, range) else part}


def part_of_json(spec: dict[str, Any]) -> range | list[int] | None:
    """The numbers that `part_as_json` wrote down."""
    numbers = spec.get("numbers")
    return range(numbers["start"], numbers["stop"], numbers["step"]) if isinstance(numbers, dict) else numbers
