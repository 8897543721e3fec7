"""`as_picture` of what is in memory: arrays, tensors, PIL pictures, and what is no picture at all."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from cnnviz_widgets.data import ImageError, as_picture

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def pixels(image) -> np.ndarray:
    picture = as_picture(image)
    assert type(picture) is Image.Image and picture.mode == "RGB" and picture.info == {}
    return np.asarray(picture)


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


# --- what comes in comes out


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 3), (4, 3), (31, 17)])
def test_a_uint8_array_comes_back_as_it_was(shape):
    array = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels(array), array)


def test_every_float_that_stands_for_an_8_bit_value_gives_that_value():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(pixels((ramp / 255).astype(dtype)), rgb(ramp))


def test_16_bit_values_are_rounded_to_8_bits_and_not_cut_off():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = rgb(np.round(ramp / 257).astype(np.uint8))
    np.testing.assert_array_equal(pixels(ramp), expected)
    np.testing.assert_array_equal(pixels(ramp.astype(">u2")), expected)
    np.testing.assert_array_equal(pixels(torch.from_numpy(ramp)), expected)
    np.testing.assert_array_equal(pixels(Image.fromarray(ramp)), expected)


@pytest.mark.parametrize("array", [GREY, GREY[..., None], GREY[None, ..., None]])
def test_grey_arrays_become_three_equal_channels(array):
    np.testing.assert_array_equal(pixels(array), rgb(GREY))


def test_bool_is_black_and_white():
    mask = GREY > 128
    np.testing.assert_array_equal(pixels(mask), rgb(mask * np.uint8(255)))


def test_wide_integers_count_as_0_to_255_when_that_is_the_only_reading():
    np.testing.assert_array_equal(pixels(COLOUR.astype(np.int64)), COLOUR)
    np.testing.assert_array_equal(pixels(np.zeros((2, 2), np.int32)), np.zeros((2, 2, 3)))


def test_an_overshoot_below_half_a_step_is_rounding():
    np.testing.assert_array_equal(pixels(np.array([[-0.0019, 1.0019]], np.float32)), [[[0] * 3, [255] * 3]])


def test_strided_and_reversed_arrays_are_read_in_their_own_order():
    for view in (COLOUR[::-1, ::2], COLOUR.transpose(1, 0, 2), COLOUR[..., ::-1], np.asfortranarray(COLOUR)):
        np.testing.assert_array_equal(pixels(view), view)


@pytest.mark.parametrize("batch", [False, True])
def test_tensors_have_channels_first(batch):
    tensor = torch.from_numpy(COLOUR).permute(2, 0, 1)
    tensor = tensor[None] if batch else tensor
    np.testing.assert_array_equal(pixels(tensor), COLOUR)
    np.testing.assert_array_equal(pixels(tensor.float() / 255), COLOUR)
    np.testing.assert_array_equal(pixels(tensor[..., :1, :, :]), rgb(GREY))


def test_tensors_that_numpy_cannot_hold_are_read_too():
    tensor = torch.tensor([[0.0, 0.5, 1.0]])
    expected = [[[0] * 3, [128] * 3, [255] * 3]]
    np.testing.assert_array_equal(pixels(tensor.bfloat16()), expected)
    np.testing.assert_array_equal(pixels(tensor.clone().requires_grad_()), expected)


@pytest.mark.gpu
def test_a_tensor_on_the_gpu_is_read_too():
    np.testing.assert_array_equal(pixels(torch.from_numpy(COLOUR).permute(2, 0, 1).cuda()), COLOUR)


def test_transparent_parts_are_laid_over_white():
    colours = [[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]
    expected = [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]]
    array = np.array([colours], np.uint8)
    np.testing.assert_array_equal(pixels(array), expected)
    np.testing.assert_array_equal(pixels(array.astype(np.uint16) * 257), expected)
    np.testing.assert_array_equal(pixels(torch.from_numpy(array).permute(2, 0, 1)), expected)


# --- the caller's picture stays the caller's


def test_nothing_of_the_callers_is_changed_or_shared():
    array, frozen = COLOUR.copy(), COLOUR.copy()
    frozen.flags.writeable = False
    tensor = torch.from_numpy(COLOUR.copy()).permute(2, 0, 1)
    for mode in ("RGB", "L", "RGBA", "I;16"):
        source = Image.fromarray(COLOUR).convert(mode)
        before = source.tobytes()
        as_picture(source).paste("red", (0, 0, 5, 7))
        assert (source.mode, source.tobytes()) == (mode, before)
    for image in (array, frozen, tensor):
        as_picture(image).paste("red", (0, 0, 5, 7))
    for left in (array, frozen, tensor.permute(1, 2, 0).numpy()):
        np.testing.assert_array_equal(left, COLOUR)


def test_a_palette_picture_keeps_its_palette_and_transparency():
    source = Image.new("P", (2, 1))
    source.putpalette([255, 0, 0, 0, 0, 255])
    source.putdata([0, 1])
    source.info["transparency"] = b"\x00\xff"
    before = source.getpalette(), source.im.getpalette("RGBA", "RGBA"), source.tobytes(), dict(source.info)
    np.testing.assert_array_equal(pixels(source), [[[255, 255, 255], [0, 0, 255]]])
    after = source.getpalette(), source.im.getpalette("RGBA", "RGBA"), source.tobytes(), dict(source.info)
    assert after == before


def test_a_picture_of_a_picture_is_the_same_picture():
    source = Image.fromarray(COLOUR)
    source.getexif()[274] = 6
    once = as_picture(source)
    assert once.size == (7, 5)
    np.testing.assert_array_equal(pixels(once), np.asarray(once))


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA"]
)
def test_white_is_white_in_every_mode(mode):
    white = {"CMYK": (0,) * 4, "YCbCr": (255, 128, 128), "LAB": (255, 128, 128), "HSV": (0, 0, 255), "1": 1, "L": 255}
    white |= {"LA": (255, 255), "PA": (1, 255), "P": 1}
    source = Image.new(mode, (3, 2), white.get(mode, (255,) * len(mode)))
    if mode in ("P", "PA"):
        source.putpalette([0, 0, 0, 255, 255, 255])
    assert pixels(source).min() >= 254


def test_premultiplied_grey_is_read_too():
    source = Image.new("La", (1, 1), (0, 0))
    np.testing.assert_array_equal(pixels(source), [[[255] * 3]])


def test_float_and_32_bit_pictures_follow_the_rules_of_arrays():
    np.testing.assert_array_equal(pixels(Image.fromarray((GREY / 255).astype(np.float32))), rgb(GREY))
    np.testing.assert_array_equal(pixels(Image.fromarray(GREY.astype(np.int32))), rgb(GREY))
    with pytest.raises(ImageError, match=r"Pillow mode F\) has values from .* divide by 255"):
        as_picture(Image.fromarray(GREY.astype(np.float32)))


def test_many_threads_may_open_the_same_lazy_picture(tmp_path):
    large = RNG.integers(0, 256, (300, 200, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(large).save(tmp_path / "a.png", exif=exif)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            lazy = Image.open(tmp_path / "a.png")
            for result in pool.map(pixels, [lazy] * 8):
                np.testing.assert_array_equal(result, large[::-1, ::-1])


def test_torch_is_not_imported_for_those_who_do_not_use_it():
    code = (
        "import sys, numpy as np; from cnnviz_widgets.data import as_picture, samples; as_picture(np.zeros((2, 2)));"
        "list(samples); bad = {'torch', 'matplotlib', 'sklearn', 'skimage'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is no picture


def nan_at(*index):
    array = np.zeros((4, 6, 3))
    array[index] = np.nan
    array[3, 5, 2] = np.inf
    return array


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (nan_at(1, 2, 0), r"2 of 72 values are NaN or infinite, the first \(nan\) at row 1, column 2, channel 0"),
        (torch.tensor([[0.0, float("inf")]]), r"the tensor \(1, 2\) float32: 1 of 2 .* \(inf\) at row 0, column 1"),
        (np.zeros((0, 5, 3)), r"the array \(0, 5, 3\) float64 is empty"),
        (torch.zeros(3, 0, 5), r"the tensor \(3, 0, 5\) float32 is empty"),
        (Image.new("RGB", (0, 5)), "the PIL picture is empty: its size is 0 x 5 pixels"),
        (np.zeros(5), "has 1 axes; a picture has 2"),
        (np.zeros((1, 1, 4, 4, 3)), "has 5 axes"),
        (np.zeros((3, 8, 9)), r"channels first: np\.moveaxis\(array, 0, -1\)"),
        (np.zeros((8, 9, 2)), r"is not a picture \(H, W\), \(H, W, 3\) or \(H, W, 4\)$"),
        (torch.zeros(8, 9, 3), r"channels last: tensor\.permute\(2, 0, 1\)"),
        (np.zeros((8, 4, 4, 3)), r"is a batch of 8; hand over one picture: images\[0\]"),
        (torch.zeros(2, 3, 4, 4), r"is a batch of 2"),
        (np.array([[-2.1, 2.6]]), r"values from -2\.1 to 2\.6; floats must be in 0\.\.1: this looks preprocessed"),
        (np.array([[0.0, 200.0]]), "if white is 255, divide by 255"),
        (np.array([[0.0, 1.002]]), r"np\.clip"),
        (np.array([[0.0, 4000.0]]), "divide by the value that means white"),
        (np.array([[0, 4000]]), "values from 0 to 4000, and it is not clear which is white: hand over uint8"),
        (np.array([[-1, 4]], np.int8), "values from -1 to 4, and it is not clear"),
        (np.array([[0, 1]]), r"image\.astype\(bool\)"),
        (np.zeros((2, 2), complex), "the array .* complex128 does not hold pixels; wanted are uint8"),
        (torch.zeros(2, 2, dtype=torch.complex64), "the tensor .* complex64 does not hold pixels"),
        (np.full((2, 2), None), "object does not hold pixels"),
        (np.array([["a"]]), "does not hold pixels"),
        (np.ma.masked_less(np.ones((2, 2)), 2), r"masked pixels; .* array\.filled"),
        (torch.zeros(2, 2).to_sparse(), r"the tensor \(2, 2\) float32 cannot be read as a dense array"),
        (torch.zeros(2, 2, device="meta"), "cannot be read as a dense array"),
        ([[0, 1], [2, 3]], r"and a list came; .* np\.asarray\(numbers, dtype=np\.uint8\)"),
        (None, "and None came"),
        (3.5, "and a float came"),
        (np.float32(0.5), r"and a numpy\.float32 came"),
        ({"name": "cat.png", "content": b""}, r"upload\['content'\]"),
    ],
)
def test_what_is_no_picture_is_an_error_that_says_why(image, message):
    with pytest.raises(ImageError, match=message):
        as_picture(image)


def test_an_image_error_is_a_value_error():
    assert issubclass(ImageError, ValueError)
