"""Pictures to tensors and back: the same as torchvision, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from cnnviz_widgets.data import samples
from cnnviz_widgets.models import IMAGENET, Preprocessing
from cnnviz_widgets.models.efficientnet_lite import PREPROCESSING as LITE
from cnnviz_widgets.models.squeezenet import PREPROCESSING as CAFFE

GREY = Preprocessing(resize=None, crop=None, mean=(0.13,), std=(0.31,), channels="L")


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def every_level() -> Image.Image:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return Image.fromarray(np.stack([ramp, ramp[::-1], ramp.T], -1))


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "inception_v3", "efficientnet_b0", "efficientnet_v2_l", "swin_t", "vit_h_14"]
)
@pytest.mark.parametrize("photo", ["cat", "coffee"])
def test_torchvisions_presets_are_read_so_that_tensors_are_equal_to_the_last_bit(name: str, photo: str) -> None:
    preset = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()
    ours = Preprocessing.of(preset)
    assert type(ours) is Preprocessing
    tensor = ours(samples[photo])
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, preset(samples[photo]))


def test_no_transform_is_imagenets_usual_one() -> None:
    assert Preprocessing.of(None) == IMAGENET
    preset = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    assert torch.equal(IMAGENET(samples["cat"]), preset(samples["cat"]))


@pytest.mark.parametrize("preprocessing", [IMAGENET, CAFFE, LITE], ids=["imagenet", "caffe", "lite"])
def test_the_pixels_shown_are_the_pixels_that_the_network_saw(preprocessing: Preprocessing) -> None:
    photo = samples["cat"]
    width, height = photo.size
    size = (256, int(256 * width / height)) if height < width else (int(256 * height / width), 256)
    frame = photo.resize(size[::-1], Image.Resampling.BILINEAR)
    top, left = (round((length - 224) / 2) for length in size)
    seen = np.asarray(frame)[top : top + 224, left : left + 224]
    assert np.array_equal(preprocessing.inverse(preprocessing(photo)), seen)


@pytest.mark.parametrize(
    ("mean", "std", "scale", "channels"),
    [
        (IMAGENET.mean, IMAGENET.std, 255.0, "RGB"),
        (CAFFE.mean, CAFFE.std, CAFFE.scale, "BGR"),
        (LITE.mean, LITE.std, LITE.scale, "RGB"),
        ((0.0,) * 3, (-1.0,) * 3, 255.0, "BGR"),
        ((5e3,) * 3, (1e-3,) * 3, 1.0, "RGB"),
    ],
)
def test_every_level_of_every_channel_comes_back_unchanged(mean, std, scale, channels) -> None:
    exact = Preprocessing(resize=None, crop=None, mean=mean, std=std, scale=scale, channels=channels)
    assert np.array_equal(exact.inverse(exact(every_level())), np.asarray(every_level()))


def test_the_inverse_takes_batches_of_any_rank_and_gives_their_order_back() -> None:
    pictures = [noise(224, 224, seed) for seed in range(6)]
    same = Preprocessing(resize=None, crop=None)
    batch = torch.stack([same(picture) for picture in pictures]).reshape(2, 3, 3, 224, 224)
    back = same.inverse(batch)
    assert back.shape == (2, 3, 224, 224, 3) and back.dtype == np.uint8 and back.flags.c_contiguous
    assert np.array_equal(back.reshape(6, 224, 224, 3), np.stack([np.asarray(picture) for picture in pictures]))


def test_the_inverse_leaves_the_tensor_alone_and_needs_no_gradient() -> None:
    tensor = IMAGENET(noise(300, 300)).requires_grad_()
    before = tensor.detach().clone()
    IMAGENET.inverse(tensor)
    assert torch.equal(tensor.detach(), before) and tensor.requires_grad and tensor.grad is None


def test_values_that_no_pixel_has_are_clipped_and_not_wrapped() -> None:
    tensor = torch.stack([torch.full((3, 2, 2), value) for value in (-100.0, 100.0)])
    low, high = IMAGENET.inverse(tensor)
    assert (low == 0).all() and (high == 255).all()


def test_a_tensor_that_is_not_finite_is_no_picture() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not finite"):
            IMAGENET.inverse(torch.full((3, 4, 4), value))


def test_a_tensor_of_the_wrong_shape_is_an_error_that_says_the_right_one() -> None:
    for shape in [(4, 4), (1, 4, 4), (4, 4, 3)]:
        with pytest.raises(ValueError, match=r"wanted shape \(\.\.\., 3, H, W\)"):
            IMAGENET.inverse(torch.zeros(shape))


def test_caffes_first_channel_is_blue_less_104() -> None:
    red = Image.new("RGB", (300, 260), (255, 10, 20))
    assert CAFFE(red)[:, 100, 100].tolist() == [20 - 104, 10 - 117, 255 - 123]


def test_channels_are_put_into_the_order_rgb_for_arrays_and_tensors() -> None:
    array = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    assert np.array_equal(CAFFE.to_rgb(array), array[:, [2, 1, 0]])
    assert CAFFE.to_rgb(array).flags.c_contiguous
    assert torch.equal(CAFFE.to_rgb(torch.from_numpy(array)), torch.from_numpy(array)[:, [2, 1, 0]])
    assert np.array_equal(IMAGENET.to_rgb(array), array)
    with pytest.raises(ValueError, match="wanted shape"):
        CAFFE.to_rgb(array[:, :2])


def test_a_grey_network_gets_one_channel_and_shows_a_grey_picture() -> None:
    photo = noise(20, 30)
    tensor = GREY(photo)
    assert tensor.shape == (1, 20, 30)
    grey = np.asarray(photo.convert("L"))
    assert np.array_equal(GREY.inverse(tensor), np.stack([grey] * 3, -1))


def test_what_is_no_rgb_picture_is_an_error_that_names_as_picture() -> None:
    for thing in (Image.new("L", (9, 9)), np.zeros((9, 9, 3), np.uint8), "cat.jpg"):
        with pytest.raises(TypeError, match="as_picture"):
            IMAGENET(thing)  # type: ignore[arg-type]


def test_a_thread_of_a_picture_is_an_error_and_not_a_gigabyte() -> None:
    with pytest.raises(ValueError, match="too long and thin"):
        IMAGENET(Image.new("RGB", (5000, 1)))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"channels": "RBG"}, "RGB, BGR, L"),
        ({"mean": (0.5,)}, "1 means and 3 stds"),
        ({"std": (1.0, 0.0, 1.0)}, "no way back"),
        ({"scale": float("nan")}, "no way back"),
        ({"interpolation": "cubic"}, "bicubic"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(wrong: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Preprocessing(**wrong)


@pytest.mark.parametrize("ours", [IMAGENET, CAFFE, LITE, GREY], ids=["imagenet", "caffe", "lite", "grey"])
def test_shown_pixels_lead_to_the_very_input_that_they_came_from(ours: Preprocessing) -> None:
    for photo in ("cat", "coffee"):
        tensor = ours(samples[photo])
        assert torch.equal(ours.encode(ours.inverse(tensor)), tensor)
    batch = torch.stack([ours(samples["cat"]), ours(samples["cat"]).flip(-1)])[None]
    assert torch.equal(ours.encode(ours.inverse(batch)), batch)


@pytest.mark.parametrize("ours", [IMAGENET, CAFFE, LITE, GREY], ids=["imagenet", "caffe", "lite", "grey"])
def test_a_plain_colour_is_encoded_as_a_picture_of_it_would_be(ours: Preprocessing) -> None:
    for colour in ((200, 30, 90), (0, 255, 1), (77, 77, 78)):
        plain = Image.new("RGB", (300, 240), colour)
        height, width = ours(plain).shape[1:]
        assert torch.equal(ours.encode(np.full((height, width, 3), colour, np.uint8)), ours(plain))


def test_grey_levels_are_rounded_as_pillow_does() -> None:
    pixels = np.asarray(noise(64, 64))
    assert torch.equal(GREY.encode(pixels), GREY(Image.fromarray(pixels)))


def test_fractions_of_a_level_are_kept() -> None:
    low, middle, high = (CAFFE.encode(np.full((1, 1, 3), level)) for level in (10.0, 10.25, 11.0))
    assert torch.equal(middle - low, torch.full((3, 1, 1), 0.25))
    assert torch.equal(high - low, torch.ones(3, 1, 1))


def test_pixels_without_three_colours_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"pixels \(..., H, W, 3\), got \(3, 8, 8\)"):
        IMAGENET.encode(np.zeros((3, 8, 8)))
