"""The sample photos: found offline, upright, RGB, fresh, and listed with their licences."""

import importlib.util
import pickle

import numpy as np
import pytest
from PIL import Image

from cnnviz_widgets.data import samples
from cnnviz_widgets.data.sample_photos import Photo, SamplePhotos

SIZES = {
    "cat": (451, 300),
    "coffee": (600, 400),
    "motorcycle": (741, 500),
    "motorcycle_right": (741, 500),
    "rocket": (640, 427),
    "astronaut": (512, 512),
    "grace_hopper": (512, 600),
    "camera": (512, 512),
    "china": (640, 427),
    "flower": (640, 427),
    "coins": (384, 303),
    "horse": (400, 328),
    "brick": (512, 512),
    "grass": (512, 512),
    "gravel": (512, 512),
    "retina": (1411, 1411),
    "hubble_deep_field": (1000, 872),
}


def test_these_photos_are_there():
    assert {name: samples[name].size for name in samples} == SIZES
    assert {picture.mode for picture in samples.values()} == {"RGB"}
    assert len(samples) == len(SIZES)


def test_the_pictures_are_those_that_scikit_image_shows():
    data = pytest.importorskip("skimage.data")
    np.testing.assert_array_equal(np.asarray(samples["cat"]), data.chelsea())
    np.testing.assert_array_equal(np.asarray(samples["coffee"]), data.coffee())
    np.testing.assert_array_equal(np.asarray(samples["astronaut"]), data.astronaut())
    np.testing.assert_array_equal(np.asarray(samples["camera"])[..., 1], data.camera())
    for name, picture in zip(("motorcycle", "motorcycle_right"), data.stereo_motorcycle(), strict=False):
        np.testing.assert_array_equal(np.asarray(samples[name]), picture)


def test_the_horse_stands_black_on_white():
    horse = np.asarray(samples["horse"])
    assert horse[0, 0].tolist() == [255, 255, 255] and horse[150, 200].tolist() == [0, 0, 0]


def test_a_photo_can_be_painted_over_without_spoiling_the_next():
    first = np.asarray(samples["cat"]).copy()
    samples["cat"].paste("red", (0, 0, 400, 300))
    np.testing.assert_array_equal(np.asarray(samples["cat"]), first)


def test_the_collection_is_read_only():
    with pytest.raises(TypeError):
        samples["dog"] = Image.new("RGB", (1, 1))  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "message"), [("cats", "did you mean 'cat'"), ("Coffe", "'coffee'"), ("zzz", "there are cat, coffee")]
)
def test_a_wrong_name_is_an_error_that_names_near_ones(name, message):
    assert name not in samples and samples.get(name) is None
    with pytest.raises(KeyError, match=message):
        samples[name]


@pytest.mark.parametrize("name", [3, None, ("cat",), ["cat"]])
def test_what_is_no_name_is_a_key_error_too(name):
    assert name not in samples
    with pytest.raises(KeyError, match="no sample photo"):
        samples[name]


def test_a_missing_package_is_not_listed_and_the_error_says_how_to_install_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else find(name))
    assert set(samples) == set(SIZES) - {"china", "flower"} and "china" not in samples
    assert "pip install scikit-learn" in samples._repr_html_()
    with pytest.raises(KeyError, match="'china' comes with scikit-learn: pip install scikit-learn"):
        samples["china"]


def test_the_listing_shows_every_photo_with_size_package_and_credit():
    listing = samples._repr_html_()
    for name, (width, height) in SIZES.items():
        photo = samples.about(name)
        for text in (f"<code>{name}</code>", f"{width} x {height}", photo.package):
            assert text in listing
        assert photo.credit.replace("'", "&#x27;") in listing
    assert listing.count("<img alt=") == listing.count("src='data:image/jpeg;base64,") == len(SIZES)
    assert "http" not in listing and len(listing) < 100_000


def test_the_listing_escapes_what_it_shows():
    tricky = SamplePhotos((Photo("cat", "scikit-image", "chelsea.png", "a <b>'cat'</b> & co", "CC0"),))
    assert "a &lt;b&gt;&#x27;cat&#x27;&lt;/b&gt; &amp; co" in tricky._repr_html_()


def test_names_are_completed_and_printed():
    assert samples._ipython_key_completions_() == list(SIZES)
    assert repr(samples).startswith("<17 sample photos: cat, coffee")


def test_what_is_known_about_a_photo_can_be_asked():
    photo = samples.about("china")
    assert photo.path is not None and photo.path.name == "china.jpg" and "CC BY" in photo.credit
    assert pickle.loads(pickle.dumps(photo)) == photo


def test_a_sample_is_known_by_its_pixels_and_a_changed_one_is_not() -> None:
    assert samples.name_of(samples["coffee"]) == "coffee"
    assert samples.name_of(samples["motorcycle_right"]) == "motorcycle_right"  # the left one has the same size
    changed = samples["coffee"].copy()
    changed.putpixel((5, 5), (1, 2, 3))
    assert samples.name_of(changed) == ""
    assert samples.name_of(samples["coffee"].convert("L")) == ""
    assert samples.name_of(samples["coffee"].resize((10, 10))) == ""
