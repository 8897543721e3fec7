"""The index follows its gallery: what came is added, what changed is computed anew, what went is gone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnviz_widgets import Gallery, Index
from tests.index.material import CLASSES, contents, engine_of, leftovers, levels, network, pictures, same, seen

PIXELS = levels(40)


def put(folder: Path, name: str, number: int) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS[number]).save(path, "PNG")
    return path


def build(folder: Path, index: Path, log: Path | None = None, shard: int = 4) -> Index:
    engine = engine_of(network("" if log is None else str(log)))
    return Index.build(engine, Gallery.from_folder(folder), index, shard=shard, progress=False)


def alike(index: Index, other: Index) -> None:
    """Assert that two indexes say the same of each picture, whatever its row.

    The last bits of an embedding may depend on which pictures went through the network together.
    """
    rows, others = ({one.about(row).key: row for row in range(len(one))} for one in (index, other))
    assert rows.keys() == others.keys()
    for key, row in rows.items():
        assert np.allclose(index.embedding()[row], other.embedding()[others[key]], rtol=1e-5, atol=1e-6)
        assert np.array_equal(index.pixels[row], other.pixels[others[key]])
        assert index.thumbnail(row) == other.thumbnail(others[key])
        assert index.about(row).label_name == other.about(others[key]).label_name
    for layer in index.units:
        values = [one.strongest(layer).values for one in (index, other)]
        assert np.allclose(*values, rtol=1e-5, atol=1e-6, equal_nan=True)


def test_new_files_get_the_rows_behind_and_nothing_else_is_computed(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "in", f"bee/{number:02d}.png", number)
    first = build(tmp_path / "in", tmp_path / "index")
    put(tmp_path / "in", "bee/00a.png", 20), put(tmp_path / "in", "bee/zz.png", 21)
    log = tmp_path / "log"
    index = build(tmp_path / "in", tmp_path / "index", log)
    assert sorted(seen(log)) == [20, 21]
    assert [index.about(row).key for row in range(10, 12)] == ["bee/00a.png", "bee/zz.png"]
    assert index.embedding()[:10].tobytes() == first.embedding().tobytes() and index.identity != first.identity
    alike(index, build(tmp_path / "in", tmp_path / "fresh"))
    assert build(tmp_path / "in", tmp_path / "index", log).identity == index.identity
    assert sorted(seen(log)) == [20, 21]  # and what is complete is only opened


def test_a_new_class_that_comes_first_leaves_the_others_their_names(tmp_path: Path) -> None:
    for number in range(6):
        put(tmp_path / "in", f"{('bee', 'dog')[number % 2]}/{number}.png", number)
    assert build(tmp_path / "in", tmp_path / "index").labels.tolist() == [0, 0, 0, 1, 1, 1]
    put(tmp_path / "in", "ant/9.png", 9)
    log = tmp_path / "log"
    index = build(tmp_path / "in", tmp_path / "index", log)
    assert seen(log) == [9] and index.classes == ("ant", "bee", "dog")
    assert index.labels.tolist() == [1, 1, 1, 2, 2, 2, 0]
    alike(index, build(tmp_path / "in", tmp_path / "fresh"))


def test_of_a_file_that_changed_its_shard_alone_is_computed_anew(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "in", f"{number:02d}.png", number)
    build(tmp_path / "in", tmp_path / "index")
    changed = put(tmp_path / "in", "05.png", 25)
    os.utime(changed, ns=(1, 1))  # of the same second, and maybe of the same size
    log = tmp_path / "log"
    index = build(tmp_path / "in", tmp_path / "index", log)
    assert sorted(seen(log)) == [4, 6, 7, 25]
    same(contents(index), contents(build(tmp_path / "in", tmp_path / "fresh")))
    assert len(list((tmp_path / "index" / "shards").glob("*.sqlite"))) == 3 and not leftovers(tmp_path / "index")


def test_what_went_has_no_row_any_more_and_is_no_picture_that_could_not_be_read(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path / "in", f"{number:02d}.png", number)
    build(tmp_path / "in", tmp_path / "index")
    (tmp_path / "in" / "05.png").unlink()
    (tmp_path / "in" / "09.png").rename(tmp_path / "in" / "0x.png")
    index = build(tmp_path / "in", tmp_path / "index")
    assert index.skipped == () and len(index) == 9
    assert [index.about(row).key for row in range(9)] == [f"{n:02d}.png" for n in (0, 1, 2, 3, 4, 6, 7, 8)] + ["0x.png"]
    assert [index.find(f"{n:02d}.png") for n in (4, 6, 8)] == [4, 5, 7]
    with pytest.raises(KeyError, match="no picture '05.png' in this index"):
        index.find("05.png")
    alike(index, build(tmp_path / "in", tmp_path / "fresh"))
    put(tmp_path / "in", "05.png", 5)  # and back again, in its old place
    index = build(tmp_path / "in", tmp_path / "index")
    assert index.find("05.png") == 5 and len(index) == 10
    alike(index, build(tmp_path / "in", tmp_path / "fresh"))


def test_pictures_in_memory_are_added_changed_and_labelled_anew(tmp_path: Path) -> None:
    engine = engine_of()
    pixels, labels = levels(20), np.arange(20) % 5

    def of(count: int) -> Index:
        gallery = Gallery.from_arrays(pixels[:count], labels[:count], classes=CLASSES)
        return Index.build(engine, gallery, tmp_path / "index", shard=4, progress=False)

    of(12)
    assert len(of(20)) == 20
    pixels[3], labels[7] = 255 - pixels[3], 0
    found = of(20)
    gallery = Gallery.from_arrays(pixels, labels, classes=CLASSES)
    same(contents(found), contents(Index.build(engine, gallery, tmp_path / "fresh", shard=4, progress=False)))
    assert found.labels[7] == 0
    assert len(of(8)) == 8


def test_the_size_of_the_shards_makes_no_difference_where_every_batch_is_of_one(tmp_path: Path) -> None:
    engine, gallery = engine_of(), pictures(22)
    expected = contents(Index.build(engine, gallery, tmp_path / "whole", progress=False, batch_size=1))
    for size in (4, 8, 20):
        index = Index.build(engine, gallery, tmp_path / str(size), shard=size, progress=False, batch_size=1)
        same(contents(index), expected)
