"""Galleries of what is in memory: arrays, lists and datasets, their labels, and what is wrong with them."""

import io
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder

from cnnviz_widgets import Gallery
from cnnviz_widgets.data import ImageError, as_picture

RNG = np.random.default_rng(2)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 6, 7), dtype=np.uint8)


def pixels(gallery: Gallery) -> list[np.ndarray]:
    pictures = list(gallery)
    assert {type(picture) for picture in pictures} == {Image.Image} and {p.mode for p in pictures} == {"RGB"}
    return [np.asarray(picture) for picture in pictures]


def labels(gallery: Gallery) -> list[int]:
    return [gallery.read(number)[1] for number in range(len(gallery))]


# --- arrays


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [
        (COLOUR, COLOUR),
        (COLOUR / 255, COLOUR),
        (torch.from_numpy(COLOUR).permute(0, 3, 1, 2), COLOUR),
        (GREY, np.stack([GREY] * 3, -1)),
        (GREY[..., None], np.stack([GREY] * 3, -1)),
        (torch.from_numpy(GREY), np.stack([GREY] * 3, -1)),
        (np.concatenate([COLOUR, np.full((5, 6, 7, 1), 255, np.uint8)], -1), COLOUR),
        (list(COLOUR), COLOUR),
        (tuple(map(Image.fromarray, COLOUR)), COLOUR),
    ],
    ids=["colour", "floats", "tensor", "grey", "grey with an axis", "grey tensor", "rgba", "list", "pil"],
)
def test_a_batch_gives_its_pictures_in_order(batch, wanted):
    gallery = Gallery.from_arrays(batch)
    np.testing.assert_array_equal(pixels(gallery), wanted)
    assert labels(gallery) == [-1] * 5 and gallery.classes == () and gallery.spec() is None
    assert [gallery.key(number) for number in range(5)] == list("01234") and gallery.path(0) is None


def test_a_list_may_mix_whatever_holds_a_picture(tmp_path):
    file = tmp_path / "a.png"
    Image.fromarray(COLOUR[0]).save(file)
    encoded = io.BytesIO()
    Image.fromarray(COLOUR[1]).save(encoded, "PNG")
    gallery = Gallery.from_arrays([file, encoded.getvalue(), COLOUR[2], torch.zeros(3, 2, 2), GREY])
    np.testing.assert_array_equal(pixels(gallery[:3]), COLOUR[:3])
    assert gallery[3].size == (2, 2) and gallery.path(0) == file
    assert gallery.unreadable()[0].key == "4"
    with pytest.raises(ImageError, match=r"^picture '4': "):
        gallery.read(4)
    signatures = [gallery.signature(number) for number in range(5)]
    assert len(set(signatures)) == 5
    file.unlink()
    assert gallery.signature(0) == "" and [gallery.signature(number) for number in range(1, 5)] == signatures[1:]


def test_the_signature_is_that_of_the_pixels():
    batch = COLOUR.copy()
    gallery = Gallery.from_arrays(batch)
    before = [gallery.signature(number) for number in range(5)]
    batch[2, 0, 0, 0] ^= 1
    changed = [gallery.signature(number) != before[number] for number in range(5)]
    assert changed == [False, False, True, False, False] and len(set(before)) == 5
    flat = Gallery.from_arrays([np.zeros((2, 8), np.uint8), np.zeros((4, 4), np.uint8)])
    assert flat.signature(0) != flat.signature(1)


def test_words_become_classes_in_sorted_order_and_numbers_keep_their_place():
    words = Gallery.from_arrays(GREY, ["dog", "cat", None, "dog", "ant"])
    assert words.classes == ("ant", "cat", "dog") and labels(words) == [2, 1, -1, 2, 0]
    assert labels(Gallery.from_arrays(GREY, np.array(["b", "a", "b", "a", "a"]))) == [1, 0, 1, 0, 0]
    numbers = Gallery.from_arrays(GREY, torch.tensor([3, 0, -1, 1, 3]))
    assert numbers.classes == ("0", "1", "2", "3") and labels(numbers) == [3, 0, -1, 1, 3]
    named = Gallery.from_arrays(GREY, np.uint8([1, 0, 1, 0, 1]), classes=["no", "yes"])
    assert named.classes == ("no", "yes") and labels(named) == [1, 0, 1, 0, 1]
    assert labels(Gallery.from_arrays(GREY, list("babab"), classes=["b", "a", "z"])) == [0, 1, 0, 1, 0]


def test_keys_are_those_that_were_given():
    gallery = Gallery.from_arrays(GREY, keys=list("edcba"))
    assert gallery.key(0) == "e" and gallery.find("a") == 4
    with pytest.raises(KeyError, match="no picture 'z' in 'arrays'; there are 'e' to 'a'"):
        gallery.find("z")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((COLOUR[0],), ValueError, r"the array \(6, 7, 3\) looks like one picture, not many: hand over \[picture\]"),
        ((torch.zeros(3, 6, 7),), ValueError, r"the tensor \(3, 6, 7\) looks like one picture"),
        ((COLOUR.transpose(0, 3, 1, 2),), ValueError, r"is no batch of pictures: .*np.moveaxis\(pictures, 1, -1\)"),
        ((np.zeros((2, 2)),), ValueError, r"the array \(2, 2\) is no batch"),
        ((Image.new("RGB", (2, 2)),), TypeError, "one picture came"),
        (("folder",), TypeError, r"one picture came \(str\)"),
        (([],), ValueError, "no pictures came"),
        ((GREY[:0],), ValueError, "no pictures came"),
        ((GREY, [1, 2]), ValueError, "2 labels for 5 pictures"),
        ((GREY, 3), TypeError, "labels is a list with one entry for each picture, not 3"),
        ((GREY, [0, 1, 0.5, 0, 1]), ValueError, r"labels\[2\]: a label is a whole number, and this one is 0.5"),
        ((GREY, [0, 1, -2, 0, 1]), ValueError, r"labels\[2\]: the label -2 is not in 0"),
        ((GREY, ["a", 1, "b", "c", "d"]), ValueError, r"labels\[1\]: 1 \(int\) among labels that are words"),
        ((GREY, np.eye(5, dtype=int)), ValueError, r"labels\[0\]: a label is a whole number, and this one is \[1, 0"),
        ((GREY, [0, 1, 2, 0, 1], ["a", "b"]), ValueError, r"labels\[2\]: the label 2 is not in 0..1"),
        ((GREY, list("aabca"), ["a", "b", "cc"]), ValueError, r"labels\[3\]: no class 'c'; did you mean 'cc'"),
        ((GREY, None, ["a"]), ValueError, "no labels came"),
        ((GREY, [0] * 5, "zero"), TypeError, "classes is a list of names, not the one word 'zero'"),
        ((GREY, None, None, list("abcd")), ValueError, "4 keys for 5 pictures"),
        ((GREY, None, None, list("abcda")), ValueError, r"keys\[4\] is 'a' a second time"),
        ((GREY, None, None, range(5)), TypeError, r"keys\[0\] is 0; a key is text"),
        ((GREY, None, None, ["a", "\udc80", "b", "c", "d"]), ValueError, r"keys\[1\] is '\\udc80'.*no Unicode text"),
    ],
)
def test_what_is_no_gallery_says_what_came_and_what_was_wanted(arguments, error, message):
    pictures, given, classes, keys = (*arguments, None, None, None)[:4]
    with pytest.raises(error, match=message):
        Gallery.from_arrays(pictures, given, classes=classes, keys=keys)


# --- datasets


class Items:
    """A dataset of whatever stands in a list; an exception there is raised."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        if isinstance(self.items[number], Exception):
            raise self.items[number]
        return self.items[number]


def test_a_torchvision_dataset_gives_its_pictures_labels_and_classes(tmp_path):
    for number, name in enumerate(["ant/a.png", "bee/b.png", "bee/c.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(COLOUR[number]).save(tmp_path / name)
    dataset = ImageFolder(tmp_path)
    gallery = Gallery.from_dataset(dataset, thread_safe=True)
    assert repr(gallery) == "<Gallery 'ImageFolder': 3 pictures, 2 classes>" and gallery.classes == ("ant", "bee")
    np.testing.assert_array_equal(pixels(gallery), COLOUR[:3])
    assert labels(gallery) == [0, 1, 1] and gallery.key(2) == "2" and gallery.signature(2) == ""
    assert gallery.spec() is None and gallery.path(0) is None
    part = Gallery.from_dataset(Subset(Subset(dataset, [2, 1, 0]), [0, 2]))
    assert labels(part) == [1, 0] and part.classes == ("ant", "bee") and part.name == "ImageFolder"


def test_labels_may_be_tensors_and_numpy_numbers_and_missing():
    fake = FakeData(2, (3, 4, 4), 3)
    assert labels(Gallery.from_dataset(fake)) == [int(fake[0][1]), int(fake[1][1])]
    items = Items((COLOUR[0], np.int64(2)), [COLOUR[1], torch.tensor([1])], GREY[2], (COLOUR[3], None), (GREY[4], -1))
    gallery = Gallery.from_dataset(items)
    assert labels(gallery) == [2, 1, -1, -1, -1] and gallery.classes == ()
    assert gallery.class_name(2) == "2" and gallery.class_name(-1) == ""
    tensors = TensorDataset(torch.from_numpy(COLOUR).permute(0, 3, 1, 2), torch.arange(5))
    np.testing.assert_array_equal(pixels(Gallery.from_dataset(tensors)), COLOUR)


def test_grey_and_transparent_pictures_come_out_as_rgb_through_the_same_door():
    clear = Image.fromarray(np.dstack([COLOUR[0], np.full((6, 7), 90, np.uint8)]))
    gallery = Gallery.from_dataset(Items(Image.fromarray(GREY[0]), clear, torch.rand(1, 4, 4)))
    assert [picture.mode for picture in gallery] == ["RGB"] * 3
    assert gallery[1].tobytes() == as_picture(clear).tobytes()


def test_an_item_that_cannot_be_had_is_an_unreadable_picture_and_the_others_are_there():
    items = Items(
        OSError("the disk is gone"),
        (COLOUR[1], 1),
        (COLOUR[2], 0.5),
        (COLOUR[3], 7),
        (COLOUR[0], 1, "more"),
        {"image": 1},
        ("no.png", 0),
        ("text", 0),
    )
    gallery = Gallery.from_dataset(items, classes=["no", "yes"])
    np.testing.assert_array_equal(gallery[1], COLOUR[1])
    reasons = dict(gallery.unreadable())
    assert set(reasons) == set("0234567")
    assert reasons["0"] == "picture 0 of Items cannot be had: OSError: the disk is gone"
    assert "whole number, and this one is 0.5 (float)" in reasons["2"] and "7 is not in 0..1" in reasons["3"]
    assert "3 values" in reasons["4"] and "a dict of 'image'" in reasons["5"] and "no file 'no.png'" in reasons["6"]


def test_what_is_wrong_with_all_items_is_said_at_once():
    with pytest.raises(ValueError, match=r"picture 0 of Items: a label is a whole number, and this one is tensor\(0.5"):
        Gallery.from_dataset(Items((COLOUR[0], torch.tensor(0.5))))
    with pytest.raises(ValueError, match=r"this one is a Tensor of shape \(4, 2\)"):
        Gallery.from_dataset(Items((COLOUR[0], torch.zeros(4, 2))))
    with pytest.raises(ImageError, match="picture 0 of Items is 3 values; wanted is a picture, or a picture and its l"):
        Gallery.from_dataset(Items((COLOUR[0], 1, 2)))
    with pytest.raises(ValueError, match="the dataset Items is empty"):
        Gallery.from_dataset(Items())
    with pytest.raises(TypeError, match="map-style dataset was wanted .* and a generator came"):
        Gallery.from_dataset(picture for picture in COLOUR)
    with pytest.raises(TypeError, match="a DataLoader came; hand over its dataset"):
        Gallery.from_dataset(torch.utils.data.DataLoader(Items(COLOUR[0])))


def test_no_item_is_taken_before_it_is_asked_for():
    class Counting(Items):
        taken: list[int] = []

        def __getitem__(self, number):
            self.taken.append(number)
            return super().__getitem__(number)

    gallery = Gallery.from_dataset(Counting(*COLOUR))
    assert len(gallery[1:].subset([3, 0])) == 2 and gallery.key(4) == "4"
    assert Counting.taken == [0]  # the first, to tell what is wrong with all
    gallery[1:].subset([3, 0]).read(0)
    assert Counting.taken == [0, 4]


class Slow(Items):
    """How many threads were inside at the same time."""

    inside = most = 0
    turn = threading.Lock()

    def __getitem__(self, number):
        with self.turn:
            type(self).inside += 1
            type(self).most = max(self.most, self.inside)
        time.sleep(0.01)
        with self.turn:
            type(self).inside -= 1
        return super().__getitem__(number)


@pytest.mark.parametrize("thread_safe", [False, True])
def test_threads_take_items_one_after_the_other_unless_the_dataset_allows_more(thread_safe):
    Slow.most = 0
    gallery = Gallery.from_dataset(Slow(*COLOUR), thread_safe=thread_safe)
    gallery = pickle.loads(pickle.dumps(gallery))
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_array_equal(list(threads.map(gallery.__getitem__, range(5))), COLOUR)
    assert (Slow.most > 1) == thread_safe
