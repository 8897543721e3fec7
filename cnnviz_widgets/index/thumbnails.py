"""Single pictures out of the shards: thumbnails and keys, by number, from any thread."""

from __future__ import annotations

import sqlite3
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnviz_widgets.index.shard import connect, damaged

OPEN = 16  # files at most


class Thumbnails:
    """The shards of an index, opened as they are needed.

    A shard may have been replaced since the index was opened, because some of its pictures changed. The pictures have
    the same places in the one that replaced it, so that serves as well.
    """

    def __init__(self, folder: Path, shards: Sequence[tuple[str, int, int]]) -> None:
        """Of shards (name, first number, how many), in order."""
        self._folder, self._shards = folder, shards
        self._firsts = [first for _, first, _ in shards]
        self._files: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._lock = threading.Lock()

    def thumbnail(self, number: int) -> bytes:
        """The JPEG of picture `number`."""
        return self._one("thumbnail", number)

    def key(self, number: int) -> str:
        """What the gallery calls picture `number`."""
        return self._one("key", number)

    def _one(self, column: str, number: int) -> Any:
        shard = bisect_right(self._firsts, number) - 1
        path = self._folder / self._shards[shard][0]
        with self._lock:
            try:
                if shard not in self._files:
                    path = self._there(path)
                    self._files[shard] = connect(path)
                    if len(self._files) > OPEN:
                        self._files.popitem(last=False)[1].close()
                self._files.move_to_end(shard)
                position = number - self._firsts[shard]
                row = self._files[shard].execute(f"SELECT {column} FROM picture WHERE position = ?", (position,))
                (value,) = row.fetchone()
            except (sqlite3.DatabaseError, TypeError) as error:
                broken = self._files.pop(shard, None)
                if broken is not None:
                    broken.close()  # so that it is looked at again once it is mended
                raise damaged(path, error) from error
        if not value:
            raise damaged(path, f"its picture {position} is no longer what it was when this index was opened")
        return value

    def _there(self, path: Path) -> Path:
        """The file, or the one in its place."""
        if path.is_file():
            return path
        number = path.name.partition("-")[0]
        return max(self._folder.glob(f"{number}-*.sqlite"), key=lambda one: one.stat().st_mtime_ns, default=path)
