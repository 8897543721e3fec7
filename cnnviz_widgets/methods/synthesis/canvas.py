"""What a picture is made of while it grows: pixels, or waves of decorrelated colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.synthesis.regularizers import HALF

Parametrization = Literal["fourier", "pixel"]


class Colours:
    """The way from levels 0..255 (N, 3 or 1, H, W) to a network's input, which any preprocessing does colour by colour.

    Attributes:
        channels: 3, or 1 for a network of grey pictures.
        mean: (channels, 1, 1) the levels that the network takes for zero.
    """

    def __init__(self, engine: Engine) -> None:
        """Of an engine's preprocessing.

        Raises:
            ValueError: its colours are mixed in a way that is not affine.
        """
        self.channels = 1 if engine.preprocessing.channels == "L" else 3
        device, dtype = engine.device, single(engine.dtype)
        probes = np.zeros((6, PROBE, PROBE, 3), np.float64)
        probes[1:4][np.arange(3), :, :, np.arange(3)] = 255
        probes[4], probes[5] = 255, (64, 128, 191)
        given = engine.preprocessing.encode(probes).double()[:, :, PROBE // 2, PROBE // 2]  # (6, C)
        self._zero = given[0]
        self._slopes = (given[1:4] - given[0]).T / 255  # (C, 3)
        said = probes[:, 0, 0] @ self._slopes.T.numpy() + self._zero.numpy()
        if np.abs(said - given.numpy()).max() > 1e-3 * max(1.0, float(given.abs().max())):
            raise ValueError(
                f"the preprocessing of {engine.name} does not treat colours alike from dark to bright, so no gradient "
                "leads from its input back to pixels; give Engine a transform that scales them"
            )
        if self.channels == 1:
            self._slopes = self._slopes.sum(1, keepdim=True)
        mean = -torch.linalg.lstsq(self._slopes, self._zero[:, None]).solution[:, 0]
        self.mean = mean.to(device, dtype).view(-1, 1, 1)
        self._slopes, self._zero = self._slopes.to(device, dtype), self._zero.to(device, dtype).view(-1, 1)
        self._given = engine.dtype
        self._apart = _each_of_one(self._slopes, self._zero)

    def inputs(self, levels: Tensor) -> Tensor:
        """The network's input (N, C, H, W)."""
        if self._apart:
            return _Coloured.apply(levels, self._apart).to(self._given)
        weights = self._slopes.expand(len(levels), -1, -1)
        return torch.baddbmm(self._zero, weights, levels.flatten(2)).unflatten(2, levels.shape[2:]).to(self._given)


def _each_of_one(slopes: Tensor, zero: Tensor) -> list[tuple[int, float, Tensor]]:
    """Of each input channel the one colour that it is made from, its factor and what is added; empty where colours are
    mixed, which is unusual."""
    places = [row.nonzero().flatten().tolist() for row in slopes]
    if sorted(places) != [[colour] for colour in range(slopes.shape[1])]:
        return []
    return [(place[0], float(row[place[0]]), add[0]) for place, row, add in zip(places, slopes, zero, strict=True)]


class _Coloured(torch.autograd.Function):
    """Levels as input, channel by channel, laid out as networks take it best in the same pass."""

    @staticmethod
    def forward(ctx: Any, levels: Tensor, apart: Sequence[tuple[int, float, Tensor]]) -> Tensor:
        ctx.apart = apart
        found = torch.empty_like(levels, memory_format=torch.channels_last)
        for channel, (colour, factor, zero) in enumerate(apart):
            torch.add(zero, levels[:, colour], alpha=factor, out=found[:, channel])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        found = torch.empty_like(grad_outputs[0], memory_format=torch.contiguous_format)
        for channel, (colour, factor, _) in enumerate(ctx.apart):
            torch.mul(grad_outputs[0][:, channel], factor, out=found[:, colour])
        return found, None


def single(dtype: torch.dtype) -> torch.dtype:
    """What pictures of a network that computes in `dtype` are kept in: the same, but single for half precision, whose
    numbers near 255 lie farther apart than a step goes."""
    return torch.promote_types(dtype, torch.float32)


class Canvas:
    """Pictures that grow.

    Attributes:
        leaf: the tensor that is climbed.
    """

    leaf: Tensor

    def levels(self) -> Tensor:
        """The pictures (N, C, H, W) in levels of about 0..255, by way of `leaf`."""
        raise NotImplementedError


class Pixels(Canvas):
    """Each pixel by itself: the leaf is u, levels minus the mean colour."""

    def __init__(self, colours: Colours, start: Tensor) -> None:
        """From levels (N, C, H, W)."""
        self._mean = colours.mean
        self.leaf = (start - colours.mean).requires_grad_()

    def levels(self) -> Tensor:
        """See `Canvas`."""
        return self.leaf + self._mean


class Waves(Canvas):
    """Waves of all lengths, the easier to change the longer they are, in colours that vary independently in photos.

    Olah, Mordvintsev & Schubert 2017: gradient ascent in the Fourier basis, with decorrelated colours. Levels go
    through a sigmoid, so none is out of range.
    """

    def __init__(
        self, colours: Colours, start: Tensor, longest: float | None = None, shares: Sequence[float] | None = None
    ) -> None:
        """Begin.

        Args:
            colours: the network's.
            start: levels (N, C, H, W).
            longest: waves that are longer are as hard to change as those of so many pixels.
            shares: how much of each picture may change, as a share of its pixels: they have the contrast.
        """
        self._size = (start.shape[-2], start.shape[-1])
        lengths = wave_lengths(self._size).clamp(max=longest or max(self._size))
        # each wave by its length, so that what comes out has the spectrum of photos; their sum has a spread near one
        weights = lengths / lengths.square().sum().sqrt() * max(self._size)
        # most waves are half of a pair of mirror images; so that a pair goes as far as any other two
        weights[:, _paired(self._size[1])] /= math.sqrt(2)
        weights = weights.to(start)
        self._weights = weights[..., None].expand(*weights.shape, 2).contiguous()  # of real and imaginary part
        self._slopes = self._weights.clone()
        self._slopes[:, _paired(self._size[1])] *= 2  # each stands for its mirror image, too
        mixing = torch.tensor(COLOURS, dtype=torch.float64)
        mixing = mixing if start.shape[1] == 3 else torch.ones(1, 1, dtype=torch.float64)
        self._mixing, inverse = mixing.to(start), torch.linalg.inv(mixing)  # not every device has double precision
        bright = ((start / 255).clamp(0.02, 0.98)).logit()
        parts = start.new_tensor(shares or [1.0] * len(start)).sqrt().view(-1, 1, 1, 1)
        self._most = torch.maximum(_moments(bright)[1], CONTRAST * parts)
        unmixed = _mixed(inverse.to(start), bright)
        spectrum = torch.fft.rfft2(unmixed, norm="ortho")
        self.leaf = (torch.view_as_real(spectrum) / self._weights).requires_grad_()

    def levels(self) -> Tensor:
        """See `Canvas`."""
        return _Shown.apply(self.leaf, self._weights, self._slopes, self._mixing, self._most, self._size)


class _Shown(torch.autograd.Function):
    """Waves as levels. A step's own way there and back would cost a third of the network's, most of it for new memory;
    so it is written out, each number touched as seldom as can be."""

    @staticmethod
    def forward(
        ctx: Any, leaf: Tensor, weights: Tensor, slopes: Tensor, mixing: Tensor, most: Tensor, size: tuple[int, int]
    ) -> Tensor:
        spectrum = torch.view_as_complex(leaf * weights)
        bright = _mixed(mixing, torch.fft.irfft2(spectrum, s=size, norm="ortho"))
        means, spreads = _moments(bright)
        ctx.shares = (most / spreads.clamp(min=torch.finfo(spreads.dtype).tiny)).clamp(max=1)
        # these lose contrast, by way of all their pixels
        much = (spreads > most).flatten().nonzero().flatten().tolist()
        ctx.much = [(row, bright[row], means[row].view(()), spreads[row].view(())) for row in much]
        parts = (bright * ctx.shares if much else bright).sigmoid_()
        ctx.save_for_backward(parts, slopes, mixing)
        return parts * 255

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        parts, slopes, mixing = ctx.saved_tensors
        slope = torch.ops.aten.sigmoid_backward(grad_outputs[0].contiguous(), parts)
        for row, before, mean, spread in ctx.much:
            flat, values = slope[row].view(-1), before.view(-1)
            lost = torch.dot(flat, values) / (spread.square() * len(values))
            flat.addcmul_(values, -lost).add_(lost * mean)
        back = mixing.T * (255 * ctx.shares[:, 0])  # of each picture
        spectrum = torch.view_as_real(torch.fft.rfft2(_mixed(back, slope), norm="ortho"))
        return spectrum.mul_(slopes), None, None, None, None, None


PROBE = 32
CONTRAST = 1.0
# Columns: brightness, blue against orange, green against purple: the square root of how colours vary together in photos
# (Olah et al. 2017, there called decorrelated colour space), scaled so that the largest is one; but colours count 1.75
# times as much, or pictures are grey.
COLOURS = ((0.56, 0.33, 0.07), (0.58, 0.0, -0.18), (0.58, -0.33, 0.11))


def _mixed(weights: Tensor, pictures: Tensor) -> Tensor:
    """Colours (N, C, H, W) through a matrix (K, C)."""
    return (weights @ pictures.flatten(2)).unflatten(2, pictures.shape[2:])


def _paired(width: int) -> slice:
    """The columns of `torch.fft.rfft2` whose mirror images it leaves away."""
    return slice(1, (width + 1) // 2)


def _moments(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation (N, 1, 1, 1) of each picture."""
    flat = pictures.flatten(1)
    means, squares = flat.mean(1), torch.linalg.vector_norm(flat, dim=1).square() / flat.shape[1]
    spreads = (squares - means.square()).clamp(min=0).sqrt()
    return means.view(-1, 1, 1, 1), spreads.view(-1, 1, 1, 1)


def noise_about(middle: Tensor, generators: Sequence[torch.Generator], parametrization: Parametrization) -> Tensor:
    """Where pictures begin: levels (N, C, H, W) of faint noise about a colour (C, H, W), one for each generator.

    Of pixels each has its own; waves are as strong as they are long, and lie about a mid grey, whose neighbourhood a
    sigmoid changes most.
    """
    noise = torch.stack([torch.randn(middle.shape, generator=one, dtype=torch.float64) for one in generators])
    if parametrization == "pixel":
        return middle + PIXEL_NOISE * noise.to(middle)
    size = (middle.shape[-2], middle.shape[-1])
    smooth = torch.fft.irfft2(torch.fft.rfft2(noise) * wave_lengths(size), s=size)
    smooth = smooth / smooth.flatten(1).std(1).view(-1, 1, 1, 1)
    return (HALF + WAVE_NOISE * smooth).to(middle)


def wave_lengths(size: tuple[int, int]) -> Tensor:
    """Of each wave of `torch.fft.rfft2`, in pixels; that of the mean is the longer side."""
    rows = torch.fft.fftfreq(size[0], dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(size[1], dtype=torch.float64)[None, :]
    return 1 / (rows.square() + columns.square()).sqrt().clamp(min=1 / max(size))


PIXEL_NOISE, WAVE_NOISE = 10.0, 5.0  # levels, standard deviations
