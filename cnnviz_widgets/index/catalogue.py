"""The plan of an index: which pictures it is to hold, in which order, and how they are divided into shards.

It is kept in SQLite, so that several processes may ask and add at once. A picture that is in keeps its number for ever;
new ones come behind, in shards of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnviz_widgets.index.errors import IndexDamaged, IndexRefused
from cnnviz_widgets.index.settings import Settings

FORMAT = 1
PATIENCE = 60.0  # seconds for another process to finish its turn

SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS picture (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, signature TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shard (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Shard:
    """So many pictures from a number on; `name` changes when any of them or the way of looking does."""

    number: int
    first: int
    count: int
    name: str


class Catalogue:
    """The file `catalogue.sqlite` of an index."""

    def __init__(self, folder: Path) -> None:
        """Of an index in this folder; it need not be there yet."""
        self.path = folder / "catalogue.sqlite"

    def about(self) -> dict[str, Any]:
        """What the index is of: "format", "settings", "gallery"; {} before there is one.

        Raises:
            IndexRefused: made by a newer version.
            IndexDamaged: it cannot be read.
        """
        if not self.path.is_file():
            return {}
        with self._open() as file:
            found = {name: json.loads(value) for name, value in file.execute("SELECT name, value FROM about")}
        if found and found["format"] > FORMAT:
            raise IndexRefused(too_new(self.path, found["format"]))
        return found

    def begin(self, settings: Settings, gallery: dict[str, Any] | None) -> None:
        """Write down what the index is of; of several processes the first."""
        values = {"format": FORMAT, "settings": settings.to_json(), "gallery": gallery}
        with self._open() as file, _turn(file):
            file.executemany(
                "INSERT OR IGNORE INTO about VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in values.items()],
            )

    def update(self, pictures: Sequence[tuple[str, str]], shard: int) -> None:
        """Take in the pictures (key, signature) that are new, in shards of so many, and the changes of the others."""
        with self._open() as file, _turn(file):
            file.execute("CREATE TEMP TABLE came (place INTEGER PRIMARY KEY, key TEXT UNIQUE, signature TEXT)")
            file.executemany("INSERT OR IGNORE INTO came (key, signature) VALUES (?, ?)", pictures)
            file.execute(
                "UPDATE picture SET signature = (SELECT signature FROM came WHERE came.key = picture.key) "
                "WHERE EXISTS (SELECT 1 FROM came WHERE came.key = picture.key AND came.signature <> picture.signature)"
            )
            (before,) = file.execute("SELECT count(*) FROM picture").fetchone()
            file.execute(
                "INSERT INTO picture (number, key, signature) SELECT ? - 1 + row_number() OVER (ORDER BY place), key, "
                "signature FROM came WHERE key NOT IN (SELECT key FROM picture)",
                (before,),
            )
            (after,) = file.execute("SELECT count(*) FROM picture").fetchone()
            (shards,) = file.execute("SELECT count(*) FROM shard").fetchone()
            firsts = range(before, after, shard)
            file.executemany(
                "INSERT INTO shard VALUES (?, ?, ?)",
                [(shards + n, first, min(shard, after - first)) for n, first in enumerate(firsts)],
            )
            file.execute("DROP TABLE came")

    def shards(self, settings: Settings) -> list[Shard]:
        """All shards, in order."""
        with self._open() as file:
            plan = file.execute("SELECT number, first, count FROM shard ORDER BY number").fetchall()
            rows = file.execute("SELECT key, signature FROM picture ORDER BY number")
            return [
                Shard(number, first, count, f"{number:06d}-{_digest(settings, rows.fetchmany(count))}.sqlite")
                for number, first, count in plan
            ]

    def keys(self, first: int, count: int) -> list[str]:
        """The keys of so many pictures from a number on."""
        with self._open() as file:
            rows = file.execute(
                "SELECT key FROM picture WHERE number >= ? ORDER BY number LIMIT ?", (first, count)
            ).fetchall()
        return [key for (key,) in rows]

    def number(self, key: str) -> int | None:
        """The number of the picture with this key."""
        with self._open() as file:
            row = file.execute("SELECT number FROM picture WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # each statement is its own transaction unless `_turn` takes several together
            with contextlib.closing(sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)) as file:
                file.executescript(SCHEMA)
                yield file
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise OSError(f"{self.path} cannot be written: {error}") from error
            raise OSError(f"{self.path} cannot be opened or written: {error}") from error
        except (sqlite3.DatabaseError, ValueError, KeyError) as error:
            raise IndexDamaged(
                f"{self.path}, the plan of this index, is damaged: {error}. What the index holds cannot be told "
                "without it; move the folder away and build the index anew"
            ) from error


def too_new(path: Path, version: object) -> str:
    """The message for what a newer version wrote."""
    return f"{path} is of format {version}; this cnnviz_widgets reads up to format {FORMAT}: install a newer one"


@contextlib.contextmanager
def _turn(file: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, while no other process writes."""
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        file.execute("ROLLBACK")
        raise
    file.execute("COMMIT")


def _digest(settings: Settings, pictures: Sequence[tuple[str, str]]) -> str:
    digest = hashlib.blake2b(settings.digest_text().encode(), digest_size=8)
    for key, signature in pictures:
        digest.update(f"{len(key)}:{key}{len(signature)}:{signature}".encode())
    return digest.hexdigest()
