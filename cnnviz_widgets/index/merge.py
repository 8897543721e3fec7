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
from cnnviz_widgets.index.arrays import SKIPPED, open_arrays
from cnnviz_widgets.index.board import NONE, Board, keys_of, numbers_of, values_of
from cnnviz_widgets.index.catalogue import Shard
from cnnviz_widgets.index.manifest import MANIFEST, Manifest
from cnnviz_widgets.index.reading import GONE
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
        ValueError: not one picture could be read.
        OSError: no room, no right to write.
    """
    name = _name(shards, gallery)
    target = folder / "arrays" / name
    partial = folder / "arrays" / f".{name}.{uuid4().hex}.part"
    partial.mkdir(parents=True)
    try:
        with contextlib.closing(_Arrays(partial, settings, sum(shard.count for shard in shards), gallery)) as arrays:
            for shard in shards:
                arrays.add(load(folder / "shards" / shard.name, settings), shard, folder / "shards" / shard.name)
                step()
            pictures, skipped = arrays.finish()
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
        tuple(arrays.classes),
        pictures,
        skipped,
        tuple((shard.name, shard.first, shard.count) for shard in shards),
        name,
        sizes,
    )
    manifest.save(folder)
    return manifest


def is_merged(folder: Path, gallery: Gallery, shards: Sequence[Shard]) -> bool:
    """Whether the manifest is of these very shards, and its arrays are there and no younger than it is."""
    try:
        manifest = Manifest.load(folder)
        open_arrays(folder, manifest)
        made = (folder / MANIFEST).stat().st_mtime_ns
        later = any(path.stat().st_mtime_ns > made for path in (folder / "arrays" / manifest.arrays).iterdir())
        return manifest.arrays == _name(shards, gallery) and not later
    except (ValueError, OSError):
        return False


class _Arrays:
    """The arrays while they are filled, in blocks as the shards come: none is ever in memory as a whole."""

    def __init__(self, folder: Path, settings: Settings, at_most: int, gallery: Gallery) -> None:
        self.classes = list(gallery.classes)
        self._folder, self._settings, self._at_most = folder, settings, at_most
        self._files: dict[str, _Array] = {}
        self._count = 0
        self._skipped: list[tuple[str, str]] = []
        self._boards: list[list[Board]] = [[]]

    def add(self, part: Part, shard: Shard, path: Path) -> None:
        count, n = len(part.positions), self._count
        if count + len(part.skipped) != shard.count:
            raise damaged(path, f"it holds {count + len(part.skipped)} pictures instead of {shard.count}")
        self._skipped += [(key, reason) for key, reason in part.skipped if reason != GONE]
        if not count:
            return
        columns: dict[str, NDArray[Any]] = {
            "numbers": shard.first + part.positions,
            "labels": self._labels(part),
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

    def finish(self) -> tuple[int, int]:
        """Finish the files; how many pictures there are, and how many were skipped."""
        if not self._count:
            first = "; the first: {!r}: {}".format(*self._skipped[0]) if self._skipped else ""
            raise ValueError(f"none of the {len(self._skipped)} pictures of the gallery can be read{first}")
        for array in self._files.values():
            array.finish()
        boards = [one for level in self._boards for one in level]
        board = Board.merged(boards or [Board(self._settings.channels, self._settings.k)])
        for name, values in (
            ("strongest-values", values_of(board.keys)),
            ("strongest-rows", numbers_of(board.keys)),
            ("strongest-places", board.places),
        ):
            array = self._files[name] = _Array(self._folder / f"{name}.npy", values, len(values))
            array.append(values)
            array.finish()
        write(self._folder / SKIPPED, json.dumps(self._skipped).encode())
        return self._count, len(self._skipped)

    def close(self) -> None:
        """Let go of the files, finished or not."""
        for array in self._files.values():
            array.close()

    def _labels(self, part: Part) -> NDArray[np.int64]:
        """As the gallery numbers them now: with a class more, the others may have moved up since the shard was made."""
        if not part.classes or not self.classes or list(part.classes) == self.classes:
            return part.labels
        numbers = np.arange(max(len(part.classes), part.labels.max(initial=0) + 1))
        for number in np.unique(part.labels[(part.labels >= 0) & (part.labels < len(part.classes))]):
            name = part.classes[number]
            if self.classes[number : number + 1] == [name]:
                continue
            if name not in self.classes:
                self.classes.append(name)
            numbers[number] = self.classes.index(name)
        return np.where(part.labels < 0, part.labels, numbers[part.labels])

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

    def finish(self) -> None:
        head = self._header(self._rows)
        if len(head) != len(self._head):
            raise AssertionError("numpy no longer leaves room for the number of rows in the head of its files")
        self._file.seek(0)
        self._file.write(head)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # of what was not finished the rest need not be written
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
