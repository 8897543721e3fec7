"""The file of one shard: SQLite, written whole under another name and then renamed, read-only from then on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.index.board import Board
from cnnviz_widgets.index.catalogue import plain_error
from cnnviz_widgets.index.errors import IndexDamaged
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import Findings

SCHEMA = """
CREATE TABLE picture (
  position INTEGER PRIMARY KEY, key TEXT NOT NULL, label INTEGER, prediction INTEGER, probability REAL,
  height INTEGER, width INTEGER, thumbnail BLOB, pixels BLOB, reason TEXT
);
CREATE TABLE embedding (layer INTEGER PRIMARY KEY, width INTEGER, vectors BLOB);
CREATE TABLE strongest (keys BLOB, places BLOB);
CREATE TABLE class (number INTEGER PRIMARY KEY, name TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Part:
    """What a shard gives for searching: of the n pictures that could be read, in order.

    Attributes:
        positions: (n,) in the shard.
        labels, predictions, probabilities, shapes, pixels: (n, ...) as in `Findings`.
        embeddings: (n, D) of each layer; none where nothing could be read.
        skipped: (key, reason) of the others.
        classes: what the gallery called the labels then.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    shapes: NDArray[np.int32]
    pixels: NDArray[np.uint8]
    embeddings: list[NDArray[np.float32]]
    board: Board
    skipped: list[tuple[str, str]]
    classes: tuple[str, ...]


def encode(found: Findings, keys: Sequence[str], classes: Sequence[str]) -> bytes:
    """The file's content for what was found of the pictures with these keys; the same for the same findings."""
    readable = np.array([position for position in range(len(keys)) if position not in found.reasons], np.int64)
    with tempfile.TemporaryDirectory(prefix="cnnviz-") as folder:
        path = Path(folder) / "shard.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as file:
            file.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {SCHEMA}")
            try:
                _fill(file, found, keys, readable)
                file.executemany("INSERT INTO class VALUES (?, ?)", enumerate(classes))
                file.commit()
            except sqlite3.OperationalError as error:
                raise plain_error(path, error) from error
        return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    """Put the file there, whole or not at all."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def load(path: Path, settings: Settings) -> Part:
    """What a shard holds, thumbnails left out.

    Raises:
        IndexDamaged: the file is missing, cut short or something else.
    """
    if not is_whole(path):
        raise damaged(path, "it is missing, cut off or no longer what it was")
    with opened(path) as file:
        good = file.execute(
            "SELECT position, label, prediction, probability, height, width, pixels FROM picture "
            "WHERE reason IS NULL ORDER BY position"
        ).fetchall()
        bad = file.execute("SELECT key, reason FROM picture WHERE reason IS NOT NULL ORDER BY position").fetchall()
        vectors = file.execute("SELECT width, vectors FROM embedding ORDER BY layer").fetchall()
        keys, places = file.execute("SELECT keys, places FROM strongest").fetchone()
        board = Board(settings.channels, settings.k)
        board.keys = np.frombuffer(keys, "<i8").reshape(settings.channels, settings.k).astype(np.int64)
        board.places = np.frombuffer(places, "<i4").reshape(settings.channels, settings.k).astype(np.int32)
        classes = tuple(name for (name,) in file.execute("SELECT name FROM class ORDER BY number"))
        columns = list(zip(*good, strict=True)) or [()] * 7
        return Part(
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int64),
            np.array([-1 if one is None else one for one in columns[2]], np.int64),
            np.array([np.nan if one is None else one for one in columns[3]], np.float32),
            np.array(columns[4:6], np.int32).T.reshape(-1, 2),
            np.frombuffer(b"".join(columns[6]), np.uint8).reshape(-1, *settings.pixels, 3),
            [np.frombuffer(blob, "<f4").reshape(len(good), width).astype(np.float32) for width, blob in vectors],
            board,
            bad,
            classes,
        )


def is_whole(path: Path) -> bool:
    """Whether this is an SQLite file of the length that its head tells; reads no more than that."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
            length = os.fstat(file.fileno()).st_size
    except OSError:
        return False
    pages = int.from_bytes(head[28:32], "big")
    page = int.from_bytes(head[16:18], "big")
    return head[:16] == b"SQLite format 3\0" and length == pages * (65536 if page == 1 else page) > 0


def check(path: Path, settings: Settings) -> None:
    """Read all of a shard.

    Raises:
        IndexDamaged: something in it is broken.
    """
    load(path, settings)
    with opened(path) as file:
        (said,) = file.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise damaged(path, said)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file for reading, in this thread; whatever is wrong with it is an `IndexDamaged`."""
    try:
        with contextlib.closing(connect(path)) as file:
            yield file
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        raise damaged(path, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for any thread (one at a time).

    Raises:
        IndexDamaged: there is no such file.
    """
    if not path.is_file():
        raise damaged(path, "it is missing")
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def _fill(file: sqlite3.Connection, found: Findings, keys: Sequence[str], readable: NDArray[np.int64]) -> None:
    rows = (
        (
            position,
            key,
            int(found.labels[position]),
            int(found.predictions[position]),
            float(found.probabilities[position]),
            *map(int, found.shapes[position]),
            found.thumbnails[position],
            found.pixels[position].tobytes(),
            found.reasons.get(position),
        )
        for position, key in enumerate(keys)
    )
    file.executemany(f"INSERT INTO picture VALUES ({', '.join('?' * 10)})", rows)
    for number, vectors in enumerate(found.embeddings):
        kept = np.ascontiguousarray(vectors[readable], "<f4")
        file.execute("INSERT INTO embedding VALUES (?, ?, ?)", (number, kept.shape[1], kept.tobytes()))
    board = found.board
    file.execute(
        "INSERT INTO strongest VALUES (?, ?)",
        (board.keys.astype("<i8").tobytes(), board.places.astype("<i4").tobytes()),
    )


def damaged(path: Path, why: object) -> IndexDamaged:
    """The error for a broken file."""
    return IndexDamaged(
        f"{path} of this index is damaged: {why}. Run Index.build again: it computes what is missing or broken anew "
        "and keeps the rest (delete the file should that not help)"
    )
