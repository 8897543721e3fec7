"""A gallery of a folder: order, classes, names of every kind, what is passed over, and what is said when nothing is."""

import inspect
import json
import os
import sqlite3
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnviz_widgets import Gallery
from cnnviz_widgets.data import ImageError
from cnnviz_widgets.data.keys import key_of_name, name_of_key
from cnnviz_widgets.data.listing import Names


def put(path: Path, shade: int = 0) -> Path:
    """A picture of one shade, which tells it from the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(path, "PNG")
    return path


def keys(gallery: Gallery) -> list[str]:
    return [gallery.key(number) for number in range(len(gallery))]


def labels(gallery: Gallery) -> list[int]:
    return [gallery.read(number)[1] for number in range(len(gallery))]


def shade(picture: Image.Image) -> int:
    return int(np.asarray(picture)[0, 0, 0])


# --- what is listed, and how


def test_each_subfolder_is_a_class_with_the_pictures_anywhere_below_it(tmp_path):
    for number, name in enumerate(["dog/b.png", "cat/a.png", "dog/old/1999/c.JPG", "cat/z.jpeg"]):
        put(tmp_path / name, number)
    gallery = Gallery.from_folder(tmp_path)
    assert gallery.classes == ("cat", "dog") and len(gallery) == 4
    assert keys(gallery) == ["cat/a.png", "cat/z.jpeg", "dog/b.png", "dog/old/1999/c.JPG"]
    assert labels(gallery) == [0, 0, 1, 1]
    assert [shade(picture) for picture in gallery] == [1, 3, 0, 2]
    assert gallery.path(3) == tmp_path / "dog/old/1999/c.JPG"


def test_a_flat_folder_has_no_classes_and_of_a_mixed_one_the_pictures_at_the_top_have_no_label(tmp_path):
    put(tmp_path / "b.png"), put(tmp_path / "a.png")
    flat = Gallery.from_folder(tmp_path)
    assert flat.classes == () and labels(flat) == [-1, -1] and keys(flat) == ["a.png", "b.png"]
    put(tmp_path / "animals" / "c.png")
    mixed = Gallery.from_folder(tmp_path)
    assert mixed.classes == ("animals",) and dict(zip(keys(mixed), labels(mixed), strict=True)) == {
        "a.png": -1,
        "animals/c.png": 0,
        "b.png": -1,
    }
    top = Gallery.from_folder(tmp_path, recursive=False)
    assert keys(top) == ["a.png", "b.png"] and top.classes == () and top.ignored == {"folder": 1}


def test_the_order_is_that_of_the_relative_paths_by_code_point(tmp_path):
    names = ["a/x.png", "a-b/x.png", "a.b/x.png", "a0/x.png", "ab.png", "a/b/x.png", "a/b-c.png", "B.png", "é.png"]
    names += ["𝄞.png", "\uffee.png", "a b/x.png", "10.png", "9.png"]
    for name in names:
        put(tmp_path / name)
    gallery = Gallery.from_folder(tmp_path)
    assert keys(gallery) == sorted(names)
    assert gallery.classes == tuple(sorted({name.split("/")[0] for name in names if "/" in name}))
    assert [gallery.find(name) for name in sorted(names)] == list(range(len(names)))


def test_what_is_no_picture_is_passed_over_and_counted(tmp_path):
    put(tmp_path / "a.png")
    for name in ["b.txt", "c.TXT", "d.csv", "no_extension", ".hidden.png", ".git/e.png", "trailing."]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    gallery = Gallery.from_folder(tmp_path)
    assert keys(gallery) == ["a.png"]
    assert gallery.ignored == {".txt": 2, "hidden": 2, "no extension": 2, ".csv": 1}
    assert repr(gallery) == f"<Gallery {tmp_path.name!r}: 1 picture, 7 other entries ignored>"


def test_links_are_followed_but_not_in_circles_and_dead_ends_are_listed(tmp_path):
    put(tmp_path / "a" / "x.png", 7)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "same").symlink_to(tmp_path / "a")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    os.mkfifo(tmp_path / "pipe.png")
    gallery = Gallery.from_folder(tmp_path)
    assert keys(gallery) == ["a/x.png", "same/x.png"] and [shade(picture) for picture in gallery] == [7, 7]
    reasons = dict(gallery.unreadable())
    assert set(reasons) == {"a/up/", "same/up/", "gone.png", "self.png", "pipe.png"}
    assert "back to a folder" in reasons["a/up/"] and "nowhere" in reasons["gone.png"] and "pipe" in reasons["pipe.png"]
    assert "5 not listed" in repr(gallery)


def test_a_subfolder_that_may_not_be_entered_is_listed_and_the_others_are_there(tmp_path, monkeypatch):
    put(tmp_path / "mine" / "x.png"), put(tmp_path / "theirs" / "y.png")
    scandir = os.scandir

    def guarded(folder):
        if Path(folder).name == "theirs":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("os.scandir", guarded)
    gallery = Gallery.from_folder(tmp_path)
    assert keys(gallery) == ["mine/x.png"]
    assert gallery.unreadable() == (("theirs/", "the folder cannot be listed: Permission denied"),)


def test_folders_may_lie_deeper_than_python_can_call(tmp_path, monkeypatch):
    scandir, calls = os.scandir, []

    def counted(folder):
        calls.append(len(inspect.stack(context=0)))
        return scandir(folder)

    put(tmp_path / ("d/" * 60) / "x.png", 3)
    monkeypatch.setattr("os.scandir", counted)
    gallery = Gallery.from_folder(tmp_path)
    assert keys(gallery) == ["d/" * 60 + "x.png"] and shade(gallery[0]) == 3
    assert len(calls) == 61 and len(set(calls)) == 1  # no call lies deeper than that for the folder above


# --- names


NAMES = [b"plain.png", "größe 日本 🐈.png".encode(), b"two\nlines.png", b"caf\xe9.png", b"back\\slash.png"]
NAMES += [b"caf\\xe9.png", b"\"quotes' & <b>.png", b"\xff\xfe/\x80.png", b"tab\t/\x01.png"]


def test_every_name_has_a_key_that_json_and_sqlite_give_back_and_that_opens_its_picture(tmp_path):
    root = os.fsencode(tmp_path)
    for number, name in enumerate(NAMES):
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        put(tmp_path / "picture.png", number).rename(os.fsdecode(os.path.join(root, name)))
    gallery = Gallery.from_folder(tmp_path)
    assert len(gallery) == len(set(keys(gallery))) == len(NAMES)
    base = sqlite3.connect(":memory:")
    base.execute("create table pictures (number integer, key text primary key)")
    base.executemany("insert into pictures values (?, ?)", enumerate(keys(gallery)))
    assert [key for (key,) in base.execute("select key from pictures order by number")] == keys(gallery)
    assert json.loads(json.dumps(keys(gallery), ensure_ascii=False).encode()) == keys(gallery)
    again = Gallery.from_spec(json.loads(json.dumps(gallery.subset(reversed(range(len(gallery)))).spec())))
    for number, key in enumerate(keys(gallery)):
        assert gallery.find(key) == number
        name = os.fsencode(os.path.relpath(gallery.path(number), tmp_path))
        assert shade(gallery[number]) == NAMES.index(name) == shade(again[again.find(key)])
    assert again.classes == gallery.classes == ("tab\t", r"\xff\xfe")
    assert "<b>" not in gallery._repr_html_()


@pytest.mark.parametrize("name", ["a\\b", "\\x41", "\udcff\\xff", "\\\udc80", "\ud800", "\\\\u0041", "x" * 300, ""])
def test_a_key_can_be_turned_back_into_its_name(name):
    key_of_name(name).encode()  # no lone surrogate
    assert name_of_key(key_of_name(name)) == name


def test_names_in_one_block_are_the_names():
    names = ["", "a", "日本\udcff\ud800", "b" * 1000]
    block = Names(names)
    assert list(block) == names and block[1:3] == names[1:3] and len(block) == 4
    for number in (4, -1):
        with pytest.raises(IndexError):
            block[number]


# --- pictures that cannot be read


def huge_png() -> bytes:
    """A picture of a million by a million pixels, as far as its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_what_cannot_be_read_says_why_and_stops_nothing_else(tmp_path):
    good = put(tmp_path / "good.png", 9)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:-200])
    (tmp_path / "huge.png").write_bytes(huge_png())
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("this is a note and not a picture")
    gallery = Gallery.from_folder(tmp_path)
    reasons = dict(gallery.unreadable())
    assert set(reasons) == {"cut.jpg", "huge.png", "empty.jpg", "text.jpg"}
    words = {"cut.jpg": "cut off", "huge.png": "too large", "empty.jpg": "0 bytes", "text.jpg": "text"}
    for key, word in words.items():
        assert word in reasons[key] and str(tmp_path / key) in reasons[key]
        with pytest.raises(ImageError, match=word):
            gallery.read(gallery.find(key))
    assert shade(gallery[gallery.find("good.png")]) == 9
    assert gallery._repr_html_().count("unreadable") == 4

    good.unlink()
    with pytest.raises(ImageError, match=r"good\.png' cannot be read: no file"):
        gallery.read(gallery.find("good.png"))


def test_the_signature_of_a_file_changes_with_it(tmp_path):
    file = put(tmp_path / "a.png", 1)
    gallery = Gallery.from_folder(tmp_path)
    before = gallery.signature(0)
    assert gallery.signature(0) == before
    put(file, 2)
    os.utime(file, ns=(1, 1))
    assert gallery.signature(0) == f"{file.stat().st_size}-1" != before
    file.unlink()
    assert gallery.signature(0) == "gone"


# --- made again


def test_the_spec_lists_the_folder_anew_and_that_of_a_part_keeps_to_its_pictures(tmp_path):
    put(tmp_path / "b" / "2.png", 2), put(tmp_path / "c" / "3.png", 3)
    gallery = Gallery.from_folder(tmp_path)
    whole, part = (json.loads(json.dumps(g.spec())) for g in (gallery, gallery[1:]))
    assert whole == {"kind": "folder", "root": str(tmp_path), "recursive": True}
    put(tmp_path / "a" / "1.png", 1)
    assert keys(Gallery.from_spec(whole)) == ["a/1.png", "b/2.png", "c/3.png"]
    again = Gallery.from_spec(part)
    assert keys(again) == ["c/3.png"] and again.classes == ("b", "c") and again.read(0)[1] == 1
    assert Gallery.from_spec(again.spec()).spec() == part
    assert shade(again[0]) == 3 and again.find("c/3.png") == 0


def test_a_folder_that_is_gone_is_said_to_be_gone(tmp_path):
    put(tmp_path / "animals" / "x.png")
    spec = Gallery.from_folder(tmp_path / "animals").spec()
    assert spec is not None
    (tmp_path / "animals").rename(tmp_path / "animals2")
    with pytest.raises(FileNotFoundError, match="no 'animals' in .*; did you mean 'animals2'"):
        Gallery.from_spec(spec)
    with pytest.raises(ValueError, match="no gallery of the kind 'cloud'; there are 'folder'"):
        Gallery.from_spec({"kind": "cloud"})


# --- folders that hold nothing


def test_an_empty_folder_and_one_without_pictures_say_what_they_hold(tmp_path):
    with pytest.raises(ValueError, match=r"no pictures in .* or below it; it is empty"):
        Gallery.from_folder(tmp_path)
    for name in ["a.txt", "b.txt", "c.csv", ".d.png"]:
        (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=r"what there is: 2 \.txt, 1 \.csv, 1 hidden|2 \.txt, 1 hidden, 1 \.csv"):
        Gallery.from_folder(tmp_path)
    put(tmp_path / "below" / "x.png")
    with pytest.raises(ValueError, match="recursive=True looks into its subfolders"):
        Gallery.from_folder(tmp_path, recursive=False)


def test_what_is_no_folder_says_so_and_names_what_is_near(tmp_path):
    picture = put(tmp_path / "Animals" / "x.png")
    with pytest.raises(NotADirectoryError, match="is a picture, and a folder of pictures was wanted"):
        Gallery.from_folder(picture)
    (tmp_path / "all.zip").write_bytes(b"PK")
    with pytest.raises(NotADirectoryError, match="unpack it first"):
        Gallery.from_folder(tmp_path / "all.zip")
    with pytest.raises(FileNotFoundError, match="no 'animal' in .*; did you mean 'Animals'"):
        Gallery.from_folder(tmp_path / "animal" / "cats")
    with pytest.raises(FileNotFoundError, match="is an address"):
        Gallery.from_folder("s3://bucket/animals")
    with pytest.raises(TypeError, match="text or a Path, not bytes"):
        Gallery.from_folder(b"animals")  # type: ignore[arg-type]


def test_a_relative_folder_and_one_of_home_have_their_own_name(tmp_path, monkeypatch):
    put(tmp_path / "animals" / "x.png", 5)
    monkeypatch.chdir(tmp_path / "animals")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (".", "../animals", "~/animals"):
        gallery = Gallery.from_folder(given)
        assert gallery.name == "animals" and gallery.path(0) == tmp_path / "animals" / "x.png"
    monkeypatch.chdir("/")
    assert shade(gallery[0]) == 5
