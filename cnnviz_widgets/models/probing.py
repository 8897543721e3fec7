"""Learn what a transform does to colours by showing it pictures made for the purpose.

Plain black and white give scale and shift of each output channel, plain red, green and blue tell which colour it
follows. Everything else is there to be sure: more plain colours, and a texture made brighter and richer in contrast,
which a transform that looks at the whole picture (equalisation, standardisation) answers in another way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.models.preprocessing import Channels

SIZE = (320, 288)
"""Width and height of the probes: not square, and larger than most networks' inputs."""

_BLOCK = 32
_RUNS = 8  # a coin tossed in each run is missed once in 128 times
_RUNS_WHEN_DRAWING = 64  # what draws global random numbers is suspect, but may be certain all the same
# How far colours may be off, in levels of 255. Grey is rounded to whole levels once more, and so is what was resized.
_SLACK, _SLACK_GREY, _SLACK_TEXTURE = 1.0, 2.5, 3.5

Run = Callable[[Image.Image], torch.Tensor]


class TransformError(ValueError):
    """A transform that cannot be used: what it does, and what is wanted instead."""

    def __init__(self, does: str) -> None:
        super().__init__(
            f"the transform {does}. Wanted: a callable that takes an RGB picture of Pillow and gives a float tensor "
            "(C, H, W) with C = 1 or 3, the same each time, with colours only scaled and shifted; or an object with a "
            "method inverse(tensor) -> uint8 array (H, W, 3) of its own, which may do what it likes to colours"
        )


@dataclass(frozen=True)
class Colours:
    """Tensor = (level - mean) / std for each channel, levels being 0..255 of the colours in `channels`.

    Where all is grey, `weights` says how much red, green and blue add to the level of each channel, 1 together.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: Channels
    weights: tuple[tuple[float, ...], ...] = ()


def learn_colours(run: Run) -> Colours:
    """The colour map of a transform that gives float tensors (C, H, W).

    Raises:
        TransformError: It is random, not affine in colour, mixes colours, or loses them.
    """
    texture = _repeated(run)
    black, white = (_plain(run, level, level, level) for level in (0, 255))
    middle = (slice(None), texture.shape[1] // 2, texture.shape[2] // 2)
    shift = black[middle][:, None, None]
    gain = (white[middle][:, None, None] - shift) / 255
    if (lost := np.abs(gain) * 255 <= 1e-6 * np.maximum(1, np.abs(shift))).any():
        raise TransformError(
            f"gives the same for a white picture as for a black one (channel {lost.argmax()}), so nothing leads back"
        )

    def levels(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.shape != texture.shape:
            raise TransformError(f"gives {values.shape} and {texture.shape} for pictures of one size")
        return (values - shift) / gain

    # Only where the picture is: a border that the transform adds is no function of the picture's colours.
    inside = np.abs(levels(white) - levels(black) - 255) <= _SLACK
    if np.abs(levels(black))[inside].max() > _SLACK:
        raise TransformError("shifts colours by other amounts at other places")
    weights = np.stack([levels(_plain(run, *primary))[middle] / 255 for primary in 255 * np.eye(3, dtype=int)], axis=1)
    channels, weights, slack = _channels(weights)
    for colour in _CHECKS:
        off = levels(_plain(run, *colour))[middle] - weights @ colour
        if np.abs(off).max() > slack:
            raise TransformError(f"is not affine in colour: RGB {colour} comes out {np.abs(off).max():.1f} levels off")
    base = levels(texture)
    for made, expected in ((textured(brighter=48), base + 48), (textured(contrast=2), 2 * base - 96)):
        if np.abs(levels(_array(run(made))) - expected)[inside].max() > _SLACK_TEXTURE:
            raise TransformError("makes each picture's colours depend on the whole picture")
    mixed = len(weights) == 1 or np.ptp(weights, axis=0).max() < 0.5
    shares = tuple(tuple(row) for row in (weights / weights.sum(1, keepdims=True)).tolist()) if mixed else ()
    return Colours(tuple((-shift / gain).ravel().tolist()), tuple((1 / gain).ravel().tolist()), channels, shares)


def textured(brighter: int = 0, contrast: int = 1) -> Image.Image:
    """Random blocks of colour, levels 64 to 127 before they are made brighter or richer in contrast."""
    width, height = (length // _BLOCK for length in SIZE)
    blocks = np.random.default_rng(0).integers(64, 128, (height, width, 3))
    made = (blocks - 96) * contrast + 96 + brighter
    return Image.fromarray(made.repeat(_BLOCK, 0).repeat(_BLOCK, 1).astype(np.uint8))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever random numbers are drawn inside, the caller's sequences go on as if nothing had been."""
    ours, numpys, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cudas = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)
        torch.set_rng_state(torchs)
        if cudas:
            torch.cuda.set_rng_state_all(cudas)


def _repeated(run: Run) -> NDArray[np.float64]:
    """The texture's tensor, once it is clear that it is the same each time."""
    before = _fingerprint()
    first = _array(run(textured()))
    for _ in range((_RUNS if _fingerprint() == before else _RUNS_WHEN_DRAWING) - 1):
        again = _array(run(textured()))
        if again.shape != first.shape or not np.allclose(again, first, rtol=1e-5, atol=1e-6):
            raise TransformError("is random: one picture gives different tensors (take the one for validation)")
    return first


def _fingerprint() -> tuple[object, ...]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return random.getstate(), kind, np.asarray(keys).tobytes(), tuple(rest), torch.get_rng_state().numpy().tobytes()


def _channels(weights: NDArray[np.float64]) -> tuple[Channels, NDArray[np.float64], float]:
    """What (C, 3) weights of red, green and blue mean: their name, the weights made clean, and how exact they are."""
    if len(weights) == 1:
        return "L", weights, _SLACK_GREY
    order = weights.argmax(1)
    if np.abs(weights - np.eye(3)[order]).max() <= _SLACK / 255 * 2 and len(set(order)) == 3:
        letters = "".join("RGB"[colour] for colour in order)
        if letters in ("RGB", "BGR"):
            return letters, np.eye(3)[order], _SLACK
        raise TransformError(f"gives the colours in the order {letters}; only RGB and BGR are known")
    if np.ptp(weights, axis=0).max() <= _SLACK_GREY / 255:
        return "RGB", weights, _SLACK_GREY  # three times the same grey
    raise TransformError("mixes or repeats the colours red, green and blue")


def _plain(run: Run, red: int, green: int, blue: int) -> NDArray[np.float64]:
    return _array(run(Image.new("RGB", SIZE, (int(red), int(green), int(blue)))))


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    if not torch.isfinite(tensor).all():
        raise TransformError("gives values that are not finite for some pictures")
    return tensor.cpu().double().numpy()


_CHECKS = [
    *((level, level, level) for level in (21, 59, 98, 131, 175, 222)),
    *((200, 30, 90), (17, 180, 66), (77, 40, 240), (255, 255, 0), (0, 255, 255), (255, 0, 255)),
]
