"""Any transform of the caller's: what is learned of it, and why some cannot be used."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import transforms as T
from torchvision.transforms import functional as F
from torchvision.transforms import v2

from cnnviz_widgets.data import samples
from cnnviz_widgets.models import Preprocessing

NORMALIZE = T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FRAME = T.Compose([T.Resize(256), T.CenterCrop(224)])
USUAL = T.Compose([FRAME, T.ToTensor(), NORMALIZE])


def hand_made(picture: Image.Image) -> np.ndarray:
    return (np.asarray(picture.resize((97, 61)), np.float64).transpose(2, 0, 1) - 127.5) / 127.5


def caffe(picture: Image.Image) -> torch.Tensor:
    return 255 * F.to_tensor(FRAME(picture)).flip(0) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]


def frames(transform) -> np.ndarray:
    return np.asarray(transform(samples["cat"]))


@pytest.mark.parametrize(
    ("transform", "seen", "channels"),
    [
        (USUAL, lambda: frames(FRAME), "RGB"),
        (
            v2.Compose([v2.Resize(64), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
            lambda: frames(T.Resize(64)),
            "RGB",
        ),
        (T.ToTensor(), lambda: np.asarray(samples["cat"]), "RGB"),
        (T.Compose([USUAL, lambda x: x.half()]), lambda: frames(FRAME), "RGB"),
        (T.Compose([T.ToTensor(), lambda x: 1 - x]), lambda: np.asarray(samples["cat"]), "RGB"),
        (hand_made, lambda: np.asarray(samples["cat"].resize((97, 61))), "RGB"),
        (caffe, lambda: frames(FRAME), "BGR"),
        (T.Compose([T.Grayscale(), T.ToTensor()]), lambda: frames(T.Grayscale(3)), "L"),
        (T.Compose([T.Grayscale(3), T.ToTensor(), NORMALIZE]), lambda: frames(T.Grayscale(3)), "RGB"),
        (T.Compose([T.Pad(40), T.ToTensor(), NORMALIZE]), lambda: frames(T.Pad(40)), "RGB"),
    ],
    ids=["usual", "v2", "plain", "half", "negative", "numpy", "caffe", "grey", "grey thrice", "padded"],
)
def test_the_way_back_is_learned_so_that_the_pixels_seen_are_shown(transform, seen, channels) -> None:
    learned = Preprocessing.of(transform)
    tensor = learned(samples["cat"])
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, torch.as_tensor(np.asarray(transform(samples["cat"]))).float())
    assert np.array_equal(learned.inverse(tensor), seen())
    assert learned.channels == channels


@pytest.mark.parametrize(
    "transform",
    [USUAL, lambda picture: 1 - F.to_tensor(picture), hand_made, caffe],
    ids=["usual", "negative", "numpy", "caffe"],
)
def test_shown_pixels_are_encoded_as_the_transform_would_without_resizing_again(transform) -> None:
    learned = Preprocessing.of(transform)
    tensor = learned(samples["cat"])
    again = learned.encode(learned.inverse(tensor))
    assert again.shape == tensor.shape
    torch.testing.assert_close(again, tensor, rtol=1e-5, atol=1e-4 * float(tensor.abs().max()))


@pytest.mark.parametrize(
    "transform",
    [
        T.Compose([T.Grayscale(), T.ToTensor()]),
        T.Compose([T.Grayscale(3), T.ToTensor(), NORMALIZE]),
        lambda picture: F.to_tensor(picture).mean(0, keepdim=True),
    ],
    ids=["grey", "grey thrice", "mean of channels"],
)
def test_colours_are_encoded_as_the_grey_that_the_transform_makes_of_them(transform) -> None:
    learned = Preprocessing.of(transform)
    for colour in ((200, 30, 90), (255, 0, 0), (1, 200, 255), (90, 90, 90)):
        pixels = np.full((20, 30, 3), colour, np.uint8)
        off = (learned.encode(pixels) - learned(Image.fromarray(pixels))) * torch.tensor(learned.std)[:, None, None]
        assert off.abs().max() <= 1.01  # levels


def test_a_preprocessing_is_left_as_it_is() -> None:
    ours = Preprocessing(resize=10, crop=None)
    assert Preprocessing.of(ours) is ours


def test_bgr_networks_get_their_attributions_in_rgb() -> None:
    learned = Preprocessing.of(caffe)
    x = torch.arange(12.0).reshape(3, 2, 2)
    assert torch.equal(learned.to_rgb(x), x.flip(0))


class Squared:
    """Not affine, but it knows the way back."""

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        return F.to_tensor(picture) ** 2

    def inverse(self, tensor: torch.Tensor) -> np.ndarray:
        return (tensor.sqrt() * 255).round().byte().permute(1, 2, 0).numpy()


def test_an_inverse_of_the_transforms_own_is_used() -> None:
    learned = Preprocessing.of(Squared())
    x = learned(samples["cat"])
    assert torch.equal(x, Squared()(samples["cat"]))
    assert np.array_equal(learned.inverse(x), np.asarray(samples["cat"]))
    batch = torch.stack([x, x.flip(-1)])[None]
    assert np.array_equal(learned.inverse(batch)[0, 1], np.asarray(samples["cat"])[:, ::-1])
    assert "Squared" in repr(learned)


def test_an_own_transform_encodes_by_itself_when_it_leads_back() -> None:
    learned = Preprocessing.of(Squared())
    pixels = np.asarray(samples["cat"])
    assert torch.equal(learned.encode(pixels), learned(samples["cat"]))
    assert torch.equal(learned.encode(np.stack([pixels, pixels[::-1]]))[1], learned(samples["cat"]).flip(-2))
    assert torch.equal(learned.encode(pixels + 0.25), learned(samples["cat"]))


def test_an_own_transform_that_would_crop_again_is_an_error() -> None:
    class Cropped(Squared):
        def __call__(self, picture: Image.Image) -> torch.Tensor:
            return super().__call__(FRAME(picture))

    learned = Preprocessing.of(Cropped())
    seen = learned.inverse(learned(samples["cat"]))
    with pytest.raises(ValueError, match="does not keep a picture of 224 x 224.*resizes or crops it again"):
        learned.encode(seen)


def test_an_inverse_that_gives_no_picture_is_an_error_at_once() -> None:
    class Wrong(Squared):
        def inverse(self, tensor: torch.Tensor) -> np.ndarray:
            return tensor.numpy()

    with pytest.raises(ValueError, match=r"inverse that gave float32 \(3, "):
        Preprocessing.of(Wrong())


class OwnCoin:
    """Random with a generator of its own, which no global state betrays."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        return F.to_tensor(ImageOps.mirror(picture) if self.generator.random() < 0.5 else picture)


def broken(picture: Image.Image) -> torch.Tensor:
    raise RuntimeError("no such lens")


def mean_picture(picture: Image.Image) -> torch.Tensor:
    x = F.to_tensor(picture)
    return x - torch.linspace(0, 0.5, x.shape[-1])


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        (T.Compose([T.RandomHorizontalFlip(), USUAL]), "is random"),
        (T.Compose([USUAL, T.RandomErasing(p=0.2)]), "is random"),
        (T.Compose([T.RandomResizedCrop(100), T.ToTensor()]), "is random"),
        (T.Compose([T.ColorJitter(0.1), T.ToTensor()]), "is random"),
        (OwnCoin(), "is random"),
        (lambda picture: F.to_tensor(F.adjust_gamma(picture, 1.3)), "not affine in colour"),
        (lambda picture: F.to_tensor(F.solarize(picture, 128)), "black one"),
        (lambda picture: F.to_tensor(F.posterize(picture, 4)), "not affine in colour"),
        (lambda picture: F.to_tensor(F.equalize(picture)), "whole picture"),
        (lambda picture: F.to_tensor(F.autocontrast(picture)), "whole picture"),
        (lambda picture: F.to_tensor(picture) - F.to_tensor(picture).mean(), "black one"),
        (lambda picture: F.to_tensor(picture) / F.to_tensor(picture).max(), "not finite"),
        (lambda picture: F.to_tensor(picture.convert("YCbCr")), "channel 1"),
        (lambda picture: F.to_tensor(picture).cumsum(0), "mixes"),
        (lambda picture: F.to_tensor(picture)[[1, 0, 2]], "order GRB"),
        (lambda picture: F.to_tensor(picture)[[0, 0, 1]], "mixes or repeats"),
        (mean_picture, "other amounts at other places"),
        (lambda picture: torch.zeros(3, 8, 8), "nothing leads back"),
        (lambda picture: picture, "gave Image"),
        (lambda picture: F.pil_to_tensor(picture), "torch.uint8"),
        (lambda picture: F.to_tensor(picture)[None], "no batch"),
        (lambda picture: np.asarray(picture, np.float32), "channels are wanted first"),
        (lambda picture: F.to_tensor(picture)[:2], r"shape \(2, 288, 320\)"),
        (T.Compose([T.FiveCrop(100), lambda crops: torch.stack([F.to_tensor(c) for c in crops])]), "no batch"),
        (broken, "RuntimeError: no such lens"),
    ],
)
def test_what_cannot_be_led_back_is_an_error_that_says_why_and_what_is_wanted(transform, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Preprocessing.of(transform)
    assert "inverse(tensor)" in str(caught.value)


def test_what_cannot_be_called_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="called with a picture, got dict"):
        Preprocessing.of({"mean": 0.5})  # type: ignore[arg-type]


def test_a_transform_that_draws_random_numbers_for_nothing_is_taken() -> None:
    certain = T.Compose([T.RandomHorizontalFlip(p=0.0), T.ToTensor()])
    assert Preprocessing.of(certain).channels == "RGB"


@pytest.mark.parametrize("good", [True, False])
def test_nobodys_random_numbers_are_disturbed(good: bool) -> None:
    def draws(picture: Image.Image) -> torch.Tensor:
        kept = torch.rand(()) + np.random.rand() + random.random()
        return F.to_tensor(picture) + (0 if good else kept)

    def next_ones() -> tuple[float, float, float]:
        return torch.rand(()).item(), np.random.rand(), random.random()

    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(7)
    wanted = next_ones()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(7)
    if good:
        Preprocessing.of(draws)
    else:
        with pytest.raises(ValueError, match="random"):
            Preprocessing.of(draws)
    assert next_ones() == wanted


def test_a_transform_that_draws_on_the_picture_leaves_the_callers_alone() -> None:
    def marks(picture: Image.Image) -> torch.Tensor:
        tensor = F.to_tensor(picture)
        picture.paste((255, 0, 0), (0, 0, 50, 50))
        return tensor

    photo = samples["cat"].copy()
    Preprocessing.of(marks)(photo)
    assert np.array_equal(np.asarray(photo), np.asarray(samples["cat"]))


def test_another_number_of_channels_for_another_picture_is_an_error() -> None:
    def moody(picture: Image.Image) -> torch.Tensor:
        return F.to_tensor(picture)[: 1 if picture.width == 11 else 3]

    with pytest.raises(ValueError, match="gave 1 channels for this picture, but 3"):
        Preprocessing.of(moody)(Image.new("RGB", (11, 11)))
