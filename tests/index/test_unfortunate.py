"""Galleries and disks as they come: what is wrong with one picture harms no other, and a full disk no old index."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnviz_widgets import Gallery, Index
from tests.index.material import CLASSES, contents, engine_of, levels, network, pictures, same, seen

PIXELS = levels(30)


def build(folder: Path, gallery: Gallery, **more: Any) -> Index:
    return Index.build(engine_of(), gallery, folder, **({"shard": 4, "progress": False} | more))


def put(path: Path, number: int, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS[number]).save(path, kind)
    return path


def _huge_png() -> bytes:
    """A head that claims a million by a million pixels, and next to nothing behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


# --- galleries


def test_what_cannot_be_read_is_listed_and_warned_of_once_and_all_others_are_there(tmp_path: Path) -> None:
    for number in range(9):
        put(tmp_path / "in" / f"good{number}.png", number)
    encoded = io.BytesIO()
    Image.fromarray(PIXELS[9]).save(encoded, "JPEG")
    bad = {
        "a.jpg": b"no picture at all, but a letter",
        "empty.jpg": b"",
        "half.jpg": encoded.getvalue()[: len(encoded.getvalue()) // 2],
        "huge.png": _huge_png(),
        "zeros.jpg": bytes(500),
    }
    for name, content in bad.items():
        (tmp_path / "in" / name).write_bytes(content)
    gallery = Gallery.from_folder(tmp_path / "in")
    with pytest.warns(UserWarning) as caught:
        index = build(tmp_path / "index", gallery)
    assert [one.key for one in index.skipped] == sorted(bad, key=lambda name: gallery.find(name))
    reasons = {one.key: one.reason for one in index.skipped}
    assert "not a picture but text" in reasons["a.jpg"] and "too large" in reasons["huge.png"]
    assert "empty" in reasons["empty.jpg"] and "damaged" in reasons["half.jpg"] and reasons["zeros.jpg"]
    (said,) = [str(one.message) for one in caught if "could not" in str(one.message)]
    assert said.startswith("5 of 14 pictures in 'in' could not be read and are not in the index")
    assert "'a.jpg'" in said and "and 2 more" in said
    assert caught[0].filename == __file__
    assert len(index) == 9 and [index.about(row).key for row in range(9)] == [f"good{n}.png" for n in range(9)]
    alone = build(tmp_path / "alone", Gallery.from_arrays(PIXELS[:9]))
    assert np.allclose(index.embedding(), alone.embedding(), rtol=1e-5)
    assert np.array_equal(index.strongest("1").rows, alone.strongest("1").rows)
    with pytest.raises(KeyError, match="it could not be read: .*not a picture but text"):
        index.find("a.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(build(tmp_path / "index", gallery)) == 9  # it was said


def test_a_shard_of_which_nothing_can_be_read_is_no_harm(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"a{number}.jpg").write_bytes(b"x")
        put(tmp_path / "in" / f"b{number}.png", number)
    with pytest.warns(UserWarning, match="4 of 8 pictures"):
        index = build(tmp_path / "index", Gallery.from_folder(tmp_path / "in"))
    assert len(index) == 4 and len(index.skipped) == 4 and index.find("b0.png") == 0


def test_a_gallery_of_which_nothing_can_be_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"none of the 1 pictures of gallery 'in' can be read; the first: 'a.jpg'"):
        build(tmp_path / "index", Gallery.from_folder(tmp_path / "in"))
    assert not (tmp_path / "index").exists()


def test_an_empty_gallery_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no pictures; an index needs one at least"):
        build(tmp_path / "index", pictures(3)[:0])
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("count", [1, 3])
def test_with_fewer_pictures_than_k_the_rest_of_the_strongest_is_empty(count: int, tmp_path: Path) -> None:
    index = build(tmp_path / "index", Gallery.from_arrays(PIXELS[:count], ["bee"] * count), k=5)
    assert len(index) == count and index.classes == ("bee",) and index.labels.tolist() == [0] * count
    found = index.strongest("1")
    assert (found.rows[:, :count] >= 0).all() and np.isfinite(found.values[:, :count]).all()
    assert (found.rows[:, count:] == -1).all() and np.isnan(found.values[:, count:]).all()
    assert (found.ys[:, count:] == -1).all() and (found.xs[:, count:] == -1).all()
    assert index.thumbnail(0) and index.correct.tolist() == [int(n == 1) for n in index.predictions]


NAMES = ["naïve Füße.png", "日本/写真 📷.png", "a\nb.png", 'it\'s "so"; DROP TABLE.png', "%41.png", b"caf\xe9.png"]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_may_have_any_name(name: str | bytes, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    put(folder / os.fsdecode(name), 3), put(folder / "plain.png", 4)
    index = build(tmp_path / "index", Gallery.from_folder(folder))
    keys = [index.about(row).key for row in range(2)]
    rows = {key: index.find(key) for key in keys}
    assert sorted(rows.values()) == [0, 1] and {str(index.about(row).path) for row in range(2)} == {
        str(folder / os.fsdecode(name)),
        str(folder / "plain.png"),
    }
    again = Index.open(tmp_path / "index", engine_of())
    odd = next(row for row in range(2) if again.about(row).key != "plain.png")
    assert np.array_equal(np.asarray(again.picture(odd)), PIXELS[3])
    keys[odd].encode(), build(tmp_path / "index", Gallery.from_folder(folder))


def test_an_index_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1?" / "日本 \n x"
    index = build(folder, pictures(5))
    assert index.thumbnail(4) and index.find("4") == 4 and len(Index.open(folder, engine_of())) == 5


# --- folders that cannot be written


def test_a_target_that_cannot_be_a_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "index"):
        with pytest.raises(NotADirectoryError, match="is not a folder, or lies in something that is none"):
            build(target, pictures(3))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_target_that_is_read_only_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(PermissionError, match="cannot be written: Read-only file system. Choose another folder"):
        build(tmp_path / "index", pictures(3))


class FullDisk:
    """A disk on which the n-th write finds no room, and none after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, after: int) -> None:
        self.writes, self._after, self._folder = 0, after, str(folder)
        opened, synced, connect, made = io.open, os.fsync, sqlite3.connect, os.mkdir
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> Any:
                if statement.lstrip().startswith(("INSERT", "UPDATE", "CREATE", "COMMIT")):
                    disk.write(sqlite=True)
                return super().execute(statement, *values)

            def executemany(self, *values: Any) -> Any:
                disk.write(sqlite=True)
                return super().executemany(*values)

        def _connect(*args: Any, **settings: Any) -> Any:
            return connect(*args, factory=Connection, **settings)

        def _open(file: Any, mode: str = "r", *args: Any, **settings: Any) -> Any:
            found = opened(file, mode, *args, **settings)
            if str(file).startswith(disk._folder) and set(mode) & set("xwa+"):
                disk.write()
                write = found.write

                class Full:
                    def __getattr__(self, name: str) -> Any:
                        return getattr(found, name)

                    def write(self, content: Any) -> int:
                        disk.write()
                        return write(content)

                    def __enter__(self) -> Any:
                        return self

                    def __exit__(self, *_: object) -> None:
                        found.close()

                return Full()
            return found

        def _fsync(descriptor: int) -> None:
            disk.write()
            synced(descriptor)

        def _mkdir(path: Any, *args: Any, **settings: Any) -> None:
            if str(path).startswith(disk._folder) and not os.path.isdir(path):
                disk.write()
            made(path, *args, **settings)

        monkeypatch.setattr(io, "open", _open)
        monkeypatch.setattr(builtins, "open", _open)
        monkeypatch.setattr(os, "fsync", _fsync)
        monkeypatch.setattr(os, "mkdir", _mkdir)
        monkeypatch.setattr("sqlite3.connect", _connect)

    def write(self, sqlite: bool = False) -> None:
        self.writes += 1
        if self.writes > self._after:
            if sqlite:
                raise sqlite3.OperationalError("database or disk is full")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_wherever_the_disk_is_full_the_old_index_is_as_it_was_and_with_room_the_build_goes_on(tmp_path: Path) -> None:
    old = contents(build(tmp_path / "index", pictures(6)))
    whole = tmp_path / "whole"
    build(whole, pictures(6))
    new = contents(build(whole, pictures(11)))
    after = failures = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            full = FullDisk(patch, tmp_path / "index", after)
            try:
                build(tmp_path / "index", pictures(11))
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC and "no space left for the index in" in str(error), after
                assert "What was done is kept" in str(error)
                failures += 1
            assert full.writes > after
        found = contents(Index.open(tmp_path / "index", engine_of(), pictures(11)))
        same(found, old if len(found["keys"]) == 6 else new)  # type: ignore[arg-type]
        after += 1 if after < 8 else 7  # one of each kind
    assert failures > 10
    same(contents(Index.open(tmp_path / "index", engine_of(), pictures(11))), new)


# --- labels and networks of other kinds


def test_labels_that_the_network_does_not_know_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    gallery = Gallery.from_arrays(PIXELS[:4], ["bee", "Cat", "unicorn", "unicorn"])
    index = build(tmp_path / "index", gallery)
    assert index.correct.tolist()[2:] == [-1, -1]
    names = [index.about(row).prediction_name for row in range(2)]
    assert index.correct.tolist()[:2] == [int(names[0] == "bee"), int(names[1] == "cat")]
    assert set(names) <= set(CLASSES)


def test_scores_that_are_no_numbers_are_predicted_as_nothing(tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        net[-1].bias[2] = float("nan")
    index = Index.build(engine_of(net), pictures(3), tmp_path / "index", progress=False)
    assert index.predictions.tolist() == [-1] * 3 and np.isnan(index.probabilities).all()
    assert index.about(0).prediction_name == "" and seen(tmp_path / "none") == []
