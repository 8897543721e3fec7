"""What does not fit is refused and left alone; what is broken is named, and Index.build mends it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch

from cnnviz_widgets import Engine, Gallery, Index, photos
from cnnviz_widgets.index import IndexDamaged, IndexRefused
from tests.index.material import AS_IT_IS, CLASSES, contents, engine_of, levels, network, pictures, same, seen

COUNT = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "index"
    Index.build(engine_of(), pictures(COUNT), folder, shard=8, progress=False)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(made, tmp_path / "index")
    return tmp_path / "index"


def build(folder: Path, engine: Engine | None = None, gallery: Gallery | None = None, **more: object) -> Index:
    settings = {"shard": 8, "progress": False} | more
    return Index.build(engine or engine_of(), gallery or pictures(COUNT), folder, **settings)  # type: ignore[arg-type]


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- refused


def _trained() -> Engine:
    net = network()
    with torch.no_grad():
        net[-1].bias[0] += 1e-3
    return engine_of(net)


def _otherwise_preprocessed() -> Engine:
    return Engine(
        network(), transform=dataclasses.replace(AS_IT_IS, mean=(0.5, 0.5, 0.5)), categories=CLASSES, device="cpu"
    )


@pytest.mark.parametrize(
    "other",
    [lambda: engine_of(network(seed=1)), _trained, _otherwise_preprocessed],
    ids=["another network", "trained further", "preprocessed otherwise"],
)
def test_another_network_is_refused_with_both_fingerprints_and_the_index_left_alone(other, folder: Path) -> None:
    engine, before = other(), state(folder)
    for use in (lambda: Index.open(folder, engine), lambda: build(folder, engine)):
        with pytest.raises(IndexRefused) as refused:
            use()
        assert engine.fingerprint in str(refused.value) and engine_of().fingerprint in str(refused.value)
    assert state(folder) == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"k": 5}, "k=9, and now k=5"), ({"layers": "4"}, "layers="), ({"batch_size": 3}, "batch=")],
)
def test_other_settings_are_refused_with_both(settings: dict[str, object], said: str, folder: Path) -> None:
    before = state(folder)
    with pytest.raises(IndexRefused, match=said):
        build(folder, **settings)
    assert state(folder) == before


def test_another_gallery_is_refused_with_both(folder: Path, tmp_path: Path) -> None:
    before = state(folder)
    with pytest.raises(IndexRefused, match="of the gallery of pictures in memory, and this one is kind 'photos'"):
        build(folder, gallery=photos(1, names=["cat"], size=16))
    assert state(folder) == before


@pytest.mark.parametrize("part", ["manifest", "catalogue"])
def test_a_newer_format_is_refused_and_not_overwritten(part: str, folder: Path) -> None:
    if part == "manifest":
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2, "arrays": 7}))
    else:
        with sqlite3.connect(folder / "catalogue.sqlite") as file:
            file.execute("UPDATE about SET value = '2' WHERE name = 'format'")
        file.close()
    before = state(folder)
    with pytest.raises(IndexRefused, match="is of format 2; this cnnviz_widgets reads up to format 1"):
        build(folder)
    if part == "manifest":
        with pytest.raises(IndexRefused, match="install a newer one"):
            Index.open(folder, engine_of())
    assert state(folder) == before


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"k": 0}, ValueError, "k=0; wanted a whole number from 1 up"),
        ({"shard": 0}, ValueError, "shard=0; wanted a whole number from 1 up"),
        ({"batch_size": True}, ValueError, "batch_size=True"),
        ({"layers": "fire"}, KeyError, "fire"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(
    settings: dict[str, object], error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        build(tmp_path / "index", **settings)
    assert not (tmp_path / "index").exists()


# --- damaged


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x07" * path.stat().st_size)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


HARM = {"garbage": _garbage, "cut off": _cut, "missing": Path.unlink, "empty": lambda path: path.write_bytes(b"")}


def _array(folder: Path, name: str) -> Path:
    (place,) = (folder / "arrays").iterdir()
    return place / name


@pytest.mark.parametrize("name", ["embedding-0.npy", "strongest-rows.npy", "skipped.json"])
@pytest.mark.parametrize("harm", HARM)
def test_a_broken_array_is_named_when_the_index_is_opened_and_mended_by_a_build(
    harm: str, name: str, folder: Path, made: Path, tmp_path: Path
) -> None:
    HARM[harm](_array(folder, name))
    with pytest.raises(IndexDamaged, match=rf"{name}.*Run Index.build again"):
        Index.open(folder, engine_of())
    log = tmp_path / "log"
    same(contents(build(folder, engine_of(network(str(log))))), contents(Index.open(made, engine_of())))
    assert seen(log) == []  # from what the shards hold


@pytest.mark.parametrize("text", [None, b"", b"{", b"[]", b"{}", b'{"format": 1}', b'{"format": "x"}', b"\xff\xfe"])
def test_a_broken_manifest_is_named_and_mended_by_a_build(
    text: bytes | None, folder: Path, made: Path, tmp_path: Path
) -> None:
    path = folder / "manifest.json"
    if text is None:
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {"sizes": 3, "arrays": None}))
    else:
        path.write_bytes(text)
    with pytest.raises(IndexDamaged, match="manifest.json cannot be read.*Run Index.build again"):
        Index.open(folder, engine_of())
    log = tmp_path / "log"
    same(contents(build(folder, engine_of(network(str(log))))), contents(Index.open(made, engine_of())))
    assert seen(log) == []


@pytest.mark.filterwarnings("ignore:.* damaged")
@pytest.mark.parametrize("harm", HARM)
def test_a_broken_shard_is_named_when_its_thumbnail_is_wanted_and_computed_anew_by_a_build(
    harm: str, folder: Path, made: Path, tmp_path: Path
) -> None:
    path = next((folder / "shards").glob("000001-*.sqlite"))
    index = Index.open(folder, engine_of(), pictures(COUNT))
    HARM[harm](path)
    with pytest.raises(IndexDamaged, match=rf"{path.name} of this index is damaged.*Run Index.build again"):
        index.thumbnail(9)
    assert index.thumbnail(2) and index.thumbnail(19)  # the others are there
    log = tmp_path / "log"
    mended = build(folder, engine_of(network(str(log))))
    same(contents(mended), contents(Index.open(made, engine_of(), pictures(COUNT))))
    assert sorted(seen(log)) == list(range(8, 16))
    assert index.thumbnail(9) == mended.thumbnail(9)  # the open one sees it, too


def test_a_shard_that_is_broken_in_its_middle_is_found_and_computed_anew(
    folder: Path, made: Path, tmp_path: Path
) -> None:
    path = next((folder / "shards").glob("000001-*.sqlite"))
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    log = tmp_path / "log"
    with pytest.warns(UserWarning, match="1 shard of the index in .* was damaged; computed anew"):
        mended = build(folder, engine_of(network(str(log))))
    same(contents(mended), contents(Index.open(made, engine_of(), pictures(COUNT))))
    assert sorted(seen(log)) == list(range(8, 16))


@pytest.mark.filterwarnings("ignore:.* damaged")
@pytest.mark.parametrize("harm", HARM)
def test_without_its_plan_an_index_can_be_read_and_a_build_makes_the_plan_anew(
    harm: str, folder: Path, made: Path, tmp_path: Path
) -> None:
    HARM[harm](folder / "catalogue.sqlite")
    index = Index.open(folder, engine_of())
    assert len(index) == COUNT and index.thumbnail(3)
    with pytest.raises(IndexDamaged, match="the plan of this index, is damaged.*Run Index.build again"):
        index.find("3")
    with pytest.raises(IndexRefused, match="was built with"):  # for the manifest says so
        build(folder, engine_of(network(seed=1)))
    log = tmp_path / "log"
    same(contents(build(folder, engine_of(network(str(log))))), contents(Index.open(made, engine_of())))
    assert seen(log) == []


def test_an_index_that_was_copied_is_as_good(folder: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)  # with new times
    log = tmp_path / "log"
    same(contents(build(tmp_path / "copy", engine_of(network(str(log))))), contents(Index.open(made, engine_of())))
    assert seen(log) == []


def test_what_is_no_index_is_told_from_one_that_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder; Index.build makes one"):
        Index.open(tmp_path / "nothing", engine_of())
    with pytest.raises(FileNotFoundError, match="there is no index in"):
        Index.open(tmp_path, engine_of())
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_pictures_that_are_gone_says_so_and_shows_all_else(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(levels(5)):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    build(tmp_path / "index", gallery=Gallery.from_folder(tmp_path / "in"))
    assert Index.open(tmp_path / "index", engine_of()).picture(3).size == (16, 16)
    shutil.rmtree(tmp_path / "in")
    index = Index.open(tmp_path / "index", engine_of())
    assert index.thumbnail(3) and index.about(3).key == "3.png" and index.about(3).path is None
    with pytest.raises(ValueError, match="hand them over"):
        index.picture(3)
