"""What is laid over the picture: every fill as the network would see it, shapes, places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms as T
from torchvision.transforms.functional import to_tensor

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.occluders import FILLS, Occluder, disc
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.models.efficientnet_lite import PREPROCESSING as LITE
from cnnviz_widgets.models.squeezenet import PREPROCESSING as CAFFE
from tests.methods.occlusion_nets import HEIGHT, WIDTH, picture, small

COMPOSED = T.Compose([T.Resize((40, 56)), T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
GREY = Preprocessing(resize=(40, 56), crop=None, mean=(0.13,), std=(0.31,), channels="L")


def by_hand(image: Image.Image) -> np.ndarray:
    return (np.asarray(image.resize((56, 40)), np.float32).transpose(2, 0, 1) - 127.5) / 50


class Rooted:
    """Not affine in colour, with its own way back; resizes to what it has already, so pixels stay."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return to_tensor(image.resize((56, 40))) ** 0.5

    def inverse(self, tensor: torch.Tensor) -> np.ndarray:
        return (tensor**2 * 255).round().byte().permute(1, 2, 0).numpy()


def engine_with(transform: Any) -> Engine:
    channels = 1 if transform is GREY else 3
    return Engine(nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), transform=transform)


TRANSFORMS = {"caffe": CAFFE, "lite": LITE, "composed": COMPOSED, "by hand": by_hand, "grey": GREY, "own": Rooted()}


@pytest.fixture(scope="module", params=TRANSFORMS)
def engine(request: pytest.FixtureRequest) -> Engine:
    return engine_with(TRANSFORMS[request.param])


@pytest.mark.parametrize("colour", [(255, 0, 0), (12, 200, 101), (128, 128, 128)])
def test_a_colour_is_what_the_network_sees_of_a_plain_picture_of_it(engine: Engine, colour: Any, cat: Any) -> None:
    occluder = Occluder.of(engine, cat, fill=colour)
    plain = engine.prepare(Image.new("RGB", cat.size, colour))
    assert occluder.fill.shape == occluder.x.shape == plain.shape
    torch.testing.assert_close(occluder.fill, plain, rtol=1e-5, atol=1e-4)
    if type(engine.preprocessing) is Preprocessing:
        assert torch.equal(occluder.fill, plain)
    assert (occluder.fill_picture == engine.display(plain)).all()


@pytest.mark.parametrize("fill", [*FILLS, "tomato"])
def test_what_is_shown_under_the_patch_is_what_the_network_sees_there(engine: Engine, fill: str, cat: Any) -> None:
    occluder = Occluder.of(engine, cat, fill=fill)
    assert (occluder.fill_picture == engine.display(occluder.fill)).all()
    assert (occluder.picture == engine.display(occluder.x)).all()
    assert occluder.fill_picture.dtype == np.uint8 and occluder.fill_picture.shape == occluder.picture.shape
    assert not occluder.fill_picture.flags.writeable


def test_a_transform_that_would_crop_again_is_an_error_and_no_wrong_fill(cat: Image.Image) -> None:
    class Cropped(Rooted):
        def __call__(self, image: Image.Image) -> torch.Tensor:
            return super().__call__(image.crop((10, 10, 100, 90)))

    with pytest.raises(ValueError, match="does not keep a picture of 56 x 40"):
        Occluder.of(engine_with(Cropped()), cat, fill="blur")


def test_the_mean_is_that_of_the_seen_pixels_channel_by_channel_and_not_rounded() -> None:
    engine = small()
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:9, :, 0], pixels[:9, :, 1], pixels[0, 0, 2] = 201, 1, 255
    occluder = Occluder.of(engine, pixels)
    levels = occluder.fill[0].double() * torch.tensor([50.0, 60, 70])[:, None, None]
    levels += torch.tensor([104.0, 117, 123])[:, None, None]
    wanted = torch.tensor([255 / (HEIGHT * WIDTH), 0.25, 50.25])  # blue, green, red
    torch.testing.assert_close(levels, wanted[:, None, None].expand_as(levels).double(), rtol=0, atol=1e-4)
    assert set(map(tuple, occluder.fill_picture.reshape(-1, 3).tolist())) == {(50, 0, 0)}


def test_grey_is_mid_grey_and_names_hex_and_levels_are_one_colour() -> None:
    engine, image = small(), picture()
    assert (Occluder.of(engine, image, fill="grey").fill_picture == 128).all()
    red = [Occluder.of(engine, image, fill=fill).fill for fill in ("red", "#f00", "#FF0000", (255, 0, 0), [255, 0, 0])]
    red.append(Occluder.of(engine, image, fill=np.array([255, 0, 0])).fill)  # pyright: ignore[reportArgumentType]
    assert all(torch.equal(red[0], other) for other in red[1:])


def test_noise_is_the_same_every_time_and_has_all_levels() -> None:
    engine = small()
    first, again = (Occluder.of(engine, picture(seed), fill="noise").fill_picture for seed in (0, 1))
    assert (first == again).all()
    assert abs(first.mean() - 127.5) < 5 and first.min() < 5 and first.max() > 250
    assert len(np.unique(first)) > 200


def test_blur_is_a_gaussian_of_a_twentieth_of_the_short_side_and_keeps_plain_borders() -> None:
    engine = small()
    flat = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    assert (Occluder.of(engine, flat, fill="blur").fill_picture == 77).all()
    pixels = np.asarray(picture())
    blurred = Occluder.of(engine, pixels, patch=3, fill="blur").fill_picture
    sigma, y, x = 0.05 * HEIGHT, 2, 20
    total = weight = 0.0
    for v in range(HEIGHT):
        for u in range(WIDTH):
            share = math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * sigma**2))
            total, weight = total + share * float(pixels[v, u, 1]), weight + share
    assert abs(blurred[y, x, 1] - total / weight) <= 0.5
    assert (blurred == Occluder.of(engine, pixels, patch=30, fill="blur").fill_picture).all()


@pytest.mark.parametrize("side", [1, 2, 3, 8, 33])
def test_a_disc_holds_the_pixels_whose_middle_is_within_half_the_side(side: int) -> None:
    found = disc(side, side)
    for y in range(side):
        for x in range(side):
            assert found[y, x] == (math.hypot(y + 0.5 - side / 2, x + 0.5 - side / 2) <= side / 2)
    if side >= 8:
        assert abs(found.mean() - math.pi / 4) < 0.05


def test_a_circle_covers_a_disc_and_a_rectangle_needs_no_patch() -> None:
    engine, image = small(), picture()
    circle = Occluder.of(engine, image, 9, shape="circle")
    assert circle.size == (9, 9) and circle.mask is not None and (circle.mask == disc(9, 9)).all()
    (seen,) = circle.sweep([4], [30]).pictures(4, [30])
    changed = (seen != circle.x[0]).any(0).numpy()
    assert not changed[4:13, 30:39][~disc(9, 9)].any() and changed[4:13, 30:39][disc(9, 9)].mean() > 0.9
    changed[4:13, 30:39] = False
    assert not changed.any()
    assert Occluder.of(engine, image, -1, shape=(5, 8)).size == (5, 8)
    assert Occluder.of(engine, image, 7).mask is None


@pytest.mark.parametrize("patch", [1, 5, 12, 35, 36, 40, 44, 100])
@pytest.mark.parametrize("stride", [1, 3, 12, 50])
def test_the_grid_starts_at_the_corner_covers_all_and_never_leaves_the_picture(patch: int, stride: int) -> None:
    grid = Occluder.of(small(), picture(), patch).grid(stride)
    for starts, length in zip(grid, (HEIGHT, WIDTH), strict=True):
        assert starts == tuple(range(0, starts[-1] + 1, stride))
        assert starts[-1] < length
        if patch >= length:
            assert starts == (0,)
        elif stride <= patch:
            assert len(starts) == math.ceil((length - patch) / stride) + 1  # captum's
            assert length <= starts[-1] + patch < length + stride
        else:
            assert starts[-1] + stride >= length - patch


@pytest.mark.parametrize("wrong", [0, -3, True, 4.0, "8", None])
def test_patch_and_stride_are_whole_numbers_from_one_up(wrong: Any) -> None:
    engine, image = small(), picture()
    with pytest.raises(ValueError, match=r"patch=.*whole number from 1 up"):
        Occluder.of(engine, image, wrong)
    with pytest.raises(ValueError, match=r"stride=.*whole number from 1 up"):
        Occluder.of(engine, image).grid(wrong)
    with pytest.raises(ValueError, match=r"the width in shape=.*whole number from 1 up"):
        Occluder.of(engine, image, shape=(4, wrong))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fill": "meen"}, "no fill 'meen'; did you mean 'mean'"),
        ({"fill": "Gray!"}, "no fill 'Gray!'; did you mean .*'gray'"),
        ({"fill": "???"}, r"no fill '\?\?\?'; wanted 'mean', 'grey', 'blur', 'noise', a colour"),
        ({"fill": "#ff000080"}, "transparent"),
        ({"fill": (0.5, 0.5, 0.5)}, r"fill=\(0.5, 0.5, 0.5\); wanted .*levels \(r, g, b\), whole numbers"),
        ({"fill": (1, 2)}, r"fill=\(1, 2\); wanted"),
        ({"fill": 128}, "fill=128; wanted"),
        ({"fill": None}, "fill=None; wanted"),
        ({"fill": (True, 0, 0)}, "whole numbers"),
        ({"fill": (0, 0, 256)}, "levels are 0 to 255"),
        ({"shape": "cirle"}, "no shape 'cirle'; did you mean 'circle'"),
        ({"shape": "heart"}, r"no shape 'heart'; wanted 'square', 'circle' or \(height, width\)"),
        ({"shape": (1, 2, 3)}, r"shape=\(1, 2, 3\); wanted"),
        ({"shape": 8}, "shape=8; wanted"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_what_is_near_or_wanted(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Occluder.of(small(), picture(), **options)
