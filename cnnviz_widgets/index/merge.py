"""From the shards to the arrays that are searched: memory maps of all pictures, and the strongest patches of all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0
from numpy.typing import NDArray

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.index.board import NONE, Board, keys_of, numbers_of, values_of
from cnnviz_widgets.index.catalogue import Shard
from cnnviz_widgets.index.manifest import Manifest
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.shard import Part, damaged, load, write

FAN_IN = 16  # boards that are merged at once


def merge(
    folder: Path,
    settings: Settings,
    gallery: Gallery,
    shards: Sequence[Shard],
    step: Callable[[], object],
) -> Manifest:
    """Make the arrays of a complete set of shards, and the manifest; what was there before is left until it is whole.

    Args:
        folder: of the index.
        settings, gallery: of the index.
        shards: all of them, each with its file.
        step: called after each shard; may raise to give up.

    Raises:
        IndexDamaged: a shard's file is broken.
        OSError: no room, no right to write.
    """
    name = _name(shards, gallery)
    target = folder / "arrays" / name
    partial = folder / "arrays" / f".{name}.{uuid4().hex}.part"
    partial.mkdir(parents=True)
    try:
        arrays = _Arrays(partial, settings, sum(shard.count for shard in shards))
        for shard in shards:
            arrays.add(load(folder / "shards" / shard.name, settings), shard, folder / "shards" / shard.name)
            step()
        pictures, skipped = arrays.close()
        sizes = {path.name: path.stat().st_size for path in sorted(partial.iterdir())}
        if target.exists():  # the same shards, but damaged: else there would be nothing to merge
            shutil.rmtree(target)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    manifest = Manifest(
        settings,
        gallery.spec(),
        gallery.name,
        tuple(gallery.classes),
        pictures,
        skipped,
        tuple((shard.name, shard.first, shard.count) for shard in shards),
        name,
        sizes,
    )
    manifest.save(folder)
    _tidy(folder, name, {shard.name for shard in shards})
    return manifest


def is_merged(folder: Path, gallery: Gallery, shards: Sequence[Shard]) -> bool:
    """Whether the manifest is of these very shards and everything that it names is there."""
    try:
        return Manifest.load(folder).arrays == _name(shards, gallery)
    except (ValueError, OSError):
        return False


class _Arrays:
    """The arrays while they are filled, in blocks as the shards come: none is ever in memory as a whole."""

    def __init__(self, folder: Path, settings: Settings, at_most: int) -> None:
        self._folder, self._settings, self._at_most = folder, settings, at_most
        self._files: dict[str, _Array] = {}
        self._count = 0
        self._skipped: list[tuple[str, str]] = []
        self._boards: list[list[Board]] = [[]]

    def add(self, part: Part, shard: Shard, path: Path) -> None:
        count, n = len(part.positions), self._count
        if count + len(part.skipped) != shard.count:
            raise damaged(path, f"it holds {count + len(part.skipped)} pictures instead of {shard.count}")
        self._skipped += part.skipped
        if not count:
            return
        columns: dict[str, NDArray[Any]] = {
            "numbers": shard.first + part.positions,
            "labels": part.labels,
            "predictions": part.predictions,
            "probabilities": part.probabilities,
            "shapes": part.shapes,
            "pixels": part.pixels,
        }
        for layer, vectors in enumerate(part.embeddings):
            columns[f"embedding-{layer}"] = vectors
            # as a product of doubles, so that a norm does not depend on how the rows are grouped
            columns[f"norms-{layer}"] = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)).astype("f4")
        for name, values in columns.items():
            if name not in self._files:
                self._files[name] = _Array(self._folder / f"{name}.npy", values, self._at_most)
            self._files[name].append(values)
        self._count = n + count
        rows = np.full(shard.count, -1, np.int64)
        rows[part.positions] = np.arange(n, n + count)
        self._carry(_renumbered(part.board, rows))

    def close(self) -> tuple[int, int]:
        """Finish the files; how many pictures there are, and how many were skipped."""
        for array in self._files.values():
            array.close()
        boards = [one for level in self._boards for one in level]
        board = Board.merged(boards or [Board(self._settings.channels, self._settings.k)])
        for name, values in (
            ("strongest-values", values_of(board.keys)),
            ("strongest-rows", numbers_of(board.keys)),
            ("strongest-places", board.places),
        ):
            array = _Array(self._folder / f"{name}.npy", values, len(values))
            array.append(values)
            array.close()
        write(self._folder / "skipped.json", json.dumps(self._skipped).encode())
        return self._count, len(self._skipped)

    def _carry(self, board: Board) -> None:
        """Merge boards as a tree, so that each is read about as often as the tree is high, and few are kept."""
        level = 0
        while True:
            if level == len(self._boards):
                self._boards.append([])
            self._boards[level].append(board)
            if len(self._boards[level]) < FAN_IN:
                return
            board = Board.merged(self._boards[level])
            self._boards[level] = []
            level += 1


class _Array:
    """A `.npy` file that is written row by row, and says how many there are when it is closed."""

    def __init__(self, path: Path, like: NDArray[Any], at_most: int) -> None:
        self._file = path.open("x+b")
        self._like = like
        self._rows = 0
        self._head = self._header(at_most)
        self._file.write(self._head)

    def append(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, self._like.dtype).data.cast("B"))
        self._rows += len(values)

    def close(self) -> None:
        head = self._header(self._rows)
        if len(head) != len(self._head):
            raise AssertionError("numpy no longer leaves room for the number of rows in the head of its files")
        self._file.seek(0)
        self._file.write(head)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _header(self, rows: int) -> bytes:
        head = io.BytesIO()
        description = {
            "descr": dtype_to_descr(self._like.dtype),
            "fortran_order": False,
            "shape": (rows, *self._like.shape[1:]),
        }
        write_array_header_1_0(head, description)
        return head.getvalue()


def _renumbered(board: Board, rows: NDArray[np.int64]) -> Board:
    """The board of a shard with the rows of all pictures instead of the positions in the shard."""
    found = Board(*board.keys.shape)
    there = board.keys != NONE
    found.keys[there] = keys_of(values_of(board.keys[there]), rows[numbers_of(board.keys[there])])
    found.places = board.places
    return found


def _name(shards: Sequence[Shard], gallery: Gallery) -> str:
    digest = hashlib.blake2b(json.dumps([gallery.name, list(gallery.classes)]).encode(), digest_size=8)
    for shard in shards:
        digest.update(f"{shard.name}:{shard.first}:{shard.count};".encode())
    return digest.hexdigest()


def _tidy(folder: Path, arrays: str, shards: set[str]) -> None:
    """Remove what the manifest no longer names; where another process still reads it, the next one may."""
    for path in (folder / "arrays").iterdir():
        if path.name != arrays and not path.name.endswith(".part"):
            shutil.rmtree(path, ignore_errors=True)
    for path in (folder / "shards").glob("*.sqlite"):
        if path.name not in shards:
            with contextlib.suppress(OSError):
                path.unlink()
