"""The plan of an index: which pictures it is to hold, in which order, and how they are divided into shards.

It is kept in SQLite, so that several processes may ask and add at once. A picture that is in keeps its number for ever;
new ones come behind, in shards of their own, and one that the gallery no longer has leaves its place empty.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnviz_widgets.index.errors import IndexDamaged, IndexRefused
from cnnviz_widgets.index.settings import Settings

FORMAT = 1
PATIENCE = 60.0  # seconds for another process to finish its turn
GONE = "not in the gallery"  # in the place of a signature

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
        """What the index is of: "format", "settings", "gallery" (its recipe); {} before there is one.

        Raises:
            IndexRefused: made by a newer version.
            IndexDamaged: it cannot be read.
        """
        if not self.path.is_file():
            return {}
        with self._open() as file:
            if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
                return {}  # killed before it was begun
            found = {name: json.loads(value) for name, value in file.execute("SELECT name, value FROM about")}
            if found and int(found["format"]) > FORMAT:
                raise IndexRefused(too_new(self.path, found["format"]))
            if found:
                found["settings"], found["gallery"] = Settings.from_json(found["settings"]), found["gallery"]
            return found

    def begin(self, settings: Settings, gallery: dict[str, Any] | None) -> None:
        """Write down what the index is of; of several processes the first."""
        values = {"format": FORMAT, "settings": settings.to_json(), "gallery": gallery}
        with self._open(SCHEMA) as file, _turn(file):
            file.executemany(
                "INSERT OR IGNORE INTO about VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in values.items()],
            )

    def plan(self, settings: Settings, pictures: Iterable[tuple[str, str]], shard: int) -> list[Shard]:
        """All shards, in order, for a gallery of these pictures (key, signature).

        Those that are new are taken in, in shards of so many; those that changed or are gone are noted.
        """
        with self._open(SCHEMA) as file, _turn(file):
            file.execute("CREATE TEMP TABLE came (place INTEGER PRIMARY KEY, key TEXT UNIQUE, signature TEXT)")
            file.executemany("INSERT OR IGNORE INTO came (key, signature) VALUES (?, ?)", pictures)
            file.execute(
                "UPDATE picture SET signature = (SELECT signature FROM came WHERE came.key = picture.key) "
                "WHERE EXISTS (SELECT 1 FROM came WHERE came.key = picture.key AND came.signature <> picture.signature)"
            )
            file.execute("UPDATE picture SET signature = ? WHERE key NOT IN (SELECT key FROM came)", (GONE,))
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
            return _shards(file, settings)

    def shards(self, settings: Settings) -> list[Shard]:
        """All shards of the latest plan, in order."""
        with self._open() as file:
            return _shards(file, settings)

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
    def _open(self, schema: str = "") -> Iterator[sqlite3.Connection]:
        """The file; with a schema it is made where it is not there yet."""
        if not schema and not self.path.is_file():
            raise self._damaged("it is missing")
        try:
            # not read-only: what a killed process left half done is undone by whoever comes next
            where = f"{self.path.resolve().as_uri()}?mode={'rwc' if schema else 'rw'}"
            # each statement is its own transaction unless `_turn` takes several together
            with contextlib.closing(sqlite3.connect(where, uri=True, timeout=PATIENCE, isolation_level=None)) as file:
                if schema:
                    file.executescript(schema)
                yield file
        except (IndexRefused, IndexDamaged):
            raise
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise plain_error(self.path, error) from error
            raise self._damaged(error) from error

    def _damaged(self, why: object) -> IndexDamaged:
        return IndexDamaged(
            f"{self.path}, the plan of this index, is damaged: {why}. Run Index.build again: the plan is made anew, "
            "and of the shards those that fit it are kept"
        )


def too_new(path: Path, version: object) -> str:
    """The message for what a newer version wrote."""
    return f"{path} is of format {version}; this cnnviz_widgets reads up to format {FORMAT}: install a newer one"


def plain_error(path: Path, error: sqlite3.OperationalError) -> OSError:
    """What SQLite could not do with a file, as the operating system would say it."""
    said = str(error)
    number = errno.ENOSPC if "full" in said else errno.EROFS if "readonly" in said else errno.EIO
    return OSError(number, f"{path} cannot be read or written: {said}")


def _shards(file: sqlite3.Connection, settings: Settings) -> list[Shard]:
    plan = file.execute("SELECT number, first, count FROM shard ORDER BY number").fetchall()
    rows = file.execute("SELECT key, signature FROM picture ORDER BY number")
    return [
        Shard(number, first, count, f"{number:06d}-{_digest(settings, rows.fetchmany(count))}.sqlite")
        for number, first, count in plan
    ]


@contextlib.contextmanager
def _turn(file: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, while no other process writes."""
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
        file.execute("COMMIT")
    finally:
        if file.in_transaction:  # on some errors SQLite has gone back by itself
            file.execute("ROLLBACK")


def _digest(settings: Settings, pictures: Sequence[tuple[str, str]]) -> str:
    digest = hashlib.blake2b(settings.digest_text().encode(), digest_size=8)
    for key, signature in pictures:
        digest.update(f"{len(key)}:{key}{len(signature)}:{signature}".encode())
    return digest.hexdigest()
