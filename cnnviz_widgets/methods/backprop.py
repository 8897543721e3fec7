"""Pixel attributions: carry a score back to the picture and see which pixels it depends on.

All of them explain a class or any unit, and a contrast of two (`target="tabby", against="Egyptian cat"`). They differ
in what happens on the way back: nothing (saliency), a rule at the rectifiers (deconvnet, guided backpropagation), an
average over noisy pictures (SmoothGrad) or over a path from a baseline (integrated gradients).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Score, Target
from cnnviz_widgets.engine.backward import Unpool
from cnnviz_widgets.methods.common import accumulator, from_zero, input_gradient, method, pixel_map, start, whole_number
from cnnviz_widgets.results import PixelMap

Baseline = Literal["zero", "black", "white"]


@method
def saliency(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    *,
    against: Target | None = None,
    score: Score = "logit",
) -> PixelMap:
    """Where a small change of a pixel would change the score most: the plain gradient.

    Simonyan, Vedaldi & Zisserman, "Deep inside convolutional networks", 2013, section 3: the gradient of the class
    score with respect to the input. The paper's picture is its largest magnitude over colours: `.heatmap()`.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        target: class index, class name or `Unit`; by default the most probable class.
        against: a second class or unit, for a contrast: the gradient of the difference of both scores.
        score: ``"logit"``, ``"probability"`` or ``"log_probability"``.

    Returns:
        PixelMap: values (3, H, W), d score / d input, in score per unit of the network's (preprocessed) input; signed.

    Raises:
        KeyError, IndexError: no such class, layer or channel; near names are suggested.
        ImageError: `image` is no picture.

    Example:
        >>> saliency(engine, samples["cat"], "tabby")
    """
    x, objective = start(engine, image, target, against, score)
    gradient = input_gradient(engine, x, objective)
    return pixel_map(engine, x, objective, gradient, "saliency", {"score": score}, SIMONYAN)


@method
def deconvnet(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    *,
    against: Target | None = None,
    unpool: Unpool = "switches",
) -> PixelMap:
    """What pattern in the picture excites the target, reconstructed by a deconvolutional network.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, section 2.1: on the way back every
    rectifier passes on only what is positive, whatever it did on the way forward, and max-pooling is undone by
    switches.

    Args:
        engine, image, target, against: as in `saliency`.
        unpool: ``"switches"`` is the paper's unpooling: a value goes back to where its maximum was; where windows
            overlap (AlexNet, ZFNet, SqueezeNet: 3x3, stride 2) the later window overwrites. ``"gradient"`` is the
            gradient of max-pooling, which sums there; other libraries' "deconvolution" is that. Without overlap they
            agree.

    Returns:
        PixelMap: values (3, H, W), signed.

    Raises:
        NoRuleError: the network has no rectifier on the way, or one that cannot be told from other arithmetic.

    Example:
        >>> deconvnet(engine, samples["cat"], Unit("features.6", 12))
    """
    x, objective = start(engine, image, target, against)
    gradient = input_gradient(engine, x, objective, "deconvnet", unpool)
    return pixel_map(engine, x, objective, gradient, "deconvnet", {"unpool": unpool}, ZEILER)


@method
def guided_backprop(
    engine: Engine, image: ImageLike, target: Target | None = None, *, against: Target | None = None
) -> PixelMap:
    """The fine structure that excites the target: sharp edges and textures, though hardly specific to the class.

    Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for simplicity", 2014, section 3.4: the gradient, kept at
    each rectifier only where both it and the rectifier's input are positive. Adebayo et al. 2018 show how little the
    result depends on the weights of the upper layers: read it as "what is there", not as "why this class".

    Args:
        engine, image, target, against: as in `saliency`.

    Returns:
        PixelMap: values (3, H, W), signed.

    Raises:
        NoRuleError: the network has no rectifier on the way, or one that cannot be told from other arithmetic.

    Example:
        >>> guided_backprop(engine, samples["cat"])
    """
    x, objective = start(engine, image, target, against)
    gradient = input_gradient(engine, x, objective, "guided")
    return pixel_map(engine, x, objective, gradient, "guided_backprop", {}, SPRINGENBERG)


@method
def grad_times_input(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    *,
    against: Target | None = None,
    score: Score = "logit",
) -> PixelMap:
    """How much each pixel adds to the score, to first order: the gradient times the (preprocessed) input.

    Shrikumar, Greenside, Shcherbina & Kundaje, "Not just a black box", 2016. For a network without biases made of
    ReLUs, convolutions and max-pooling the values add up to the score.

    Args:
        engine, image, target, against, score: as in `saliency`.

    Returns:
        PixelMap: values (3, H, W), in units of the score; signed.

    Example:
        >>> grad_times_input(engine, samples["cat"]).heatmap("sum")
    """
    x, objective = start(engine, image, target, against, score)
    values = input_gradient(engine, x, objective) * x
    return pixel_map(engine, x, objective, values, "grad_times_input", {"score": score}, _SHRIKUMAR)


@method
def smooth_grad(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    *,
    against: Target | None = None,
    score: Score = "logit",
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
) -> PixelMap:
    """A saliency map with its noise averaged away: the mean gradient over noisy copies of the picture.

    Smilkov, Thorat, Kim, Viégas & Wattenberg, "SmoothGrad: removing noise by adding noise", 2017.

    Args:
        engine, image, target, against, score: as in `saliency`.
        samples: how many noisy copies; the paper finds little gain beyond 50.
        noise: standard deviation of the Gaussian noise, as a share of the input's range (maximum minus minimum); the
            paper uses 0.1 to 0.2.
        seed: of the noise; the same seed gives the same map on every device.

    Returns:
        PixelMap: values (3, H, W), signed.

    Raises:
        ValueError: `samples` below 1 or a negative `noise`.

    Example:
        >>> smooth_grad(engine, samples["cat"], samples=50)
    """
    count = whole_number("samples", samples, 1)
    noise = from_zero("noise", noise)
    x, objective = start(engine, image, target, against, score)
    spread = noise * float(x.max() - x.min())
    first = whole_number("seed", seed, 0)
    total = accumulator(x)

    def add(numbers: Tensor) -> None:
        noisy = torch.cat([x + spread * _noise(x, first, int(number)) for number in numbers])
        total.add_(input_gradient(engine, noisy, objective).to(total).sum(0, keepdim=True))

    engine.in_batches(torch.arange(count), add, like=x)
    parameters = {"score": score, "samples": count, "noise": noise, "seed": seed}
    return pixel_map(engine, x, objective, total / count, "smooth_grad", parameters, _SMILKOV)


@method
def integrated_gradients(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    *,
    against: Target | None = None,
    score: Score = "logit",
    baseline: Baseline | ImageLike = "zero",
    steps: int = 50,
) -> PixelMap:
    """How much each pixel adds to the score on the way from a baseline picture: the values sum to the difference.

    Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", 2017, equation 1: the gradient integrated
    along the straight line from the baseline to the picture, here by Gauss-Legendre quadrature, times their
    difference. `parameters` records the score of both ends and the gap left by the finite number of steps.

    Args:
        engine, image, target, against, score: as in `saliency`.
        baseline: ``"zero"``, the input of all zeros, which for most networks is the mean colour; ``"black"`` or
            ``"white"``; or any picture. Pixels that equal the baseline's get no attribution, whatever they show.
        steps: points of the quadrature.

    Returns:
        PixelMap: values (3, H, W), in units of the score; signed.

    Raises:
        ValueError: `steps` below 1, or a baseline that is no picture of the same shape after preprocessing.

    Example:
        >>> integrated_gradients(engine, samples["cat"], "tabby", baseline="black").heatmap("sum")
    """
    count = whole_number("steps", steps, 1)
    x, objective = start(engine, image, target, against, score)
    origin = _baseline(engine, x, baseline)
    nodes, weights = np.polynomial.legendre.leggauss(count)
    points = torch.as_tensor(np.stack(((nodes + 1) / 2, weights / 2), 1)).to(x)  # place on the way, share of the sum
    total = accumulator(x)

    def add(part: Tensor) -> None:
        places, shares = (part[:, column].view(-1, 1, 1, 1) for column in (0, 1))
        gradient = input_gradient(engine, origin + places * (x - origin), objective)
        total.add_((gradient * shares).to(total).sum(0, keepdim=True))

    engine.in_batches(points, add, like=x)
    values = total * (x - origin)
    ends = engine.values(torch.cat((x, origin)), objective).tolist()
    parameters = {
        "score": score,
        "baseline": baseline if isinstance(baseline, str) and baseline in _BASELINES else "picture",
        "steps": count,
        "score_of_image": ends[0],
        "score_of_baseline": ends[1],
        "gap": float(values.double().sum()) - (ends[0] - ends[1]),
    }
    return pixel_map(engine, x, objective, values, "integrated_gradients", parameters, _SUNDARARAJAN)


_BASELINES = ("zero", "black", "white")
_BASELINE_NAMES = ", ".join(map(repr, _BASELINES))


def _baseline(engine: Engine, x: Tensor, baseline: Baseline | ImageLike) -> Tensor:
    if isinstance(baseline, str) and baseline == "zero":
        return torch.zeros_like(x)
    if isinstance(baseline, str) and baseline in _BASELINES:
        side = max(x.shape[-2:]) * 2
        baseline = np.full((side, side, 3), 0 if baseline == "black" else 255, np.uint8)
    try:
        prepared = engine.prepare(baseline)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; a baseline is a picture or one of {_BASELINE_NAMES}") from None
    if prepared.shape != x.shape:
        raise ValueError(
            f"after the transform the baseline has shape {tuple(prepared.shape)} and the picture {tuple(x.shape)}; "
            f"give a picture of the same shape, or one of {_BASELINE_NAMES}"
        )
    return prepared


def _noise(x: Tensor, seed: int, number: int) -> Tensor:
    """Standard normal noise for one copy: the same on every device, in every batch size and every number type."""
    generator = torch.Generator().manual_seed((seed << 20) + number)
    return torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)


SIMONYAN = "Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks, 2013 (arXiv:1312.6034)"
ZEILER = "Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014 (arXiv:1311.2901)"
SPRINGENBERG = "Springenberg et al., Striving for simplicity: the all convolutional net, 2014 (arXiv:1412.6806)"
_SHRIKUMAR = "Shrikumar et al., Not just a black box: learning important features …, 2016 (arXiv:1605.01713)"
_SMILKOV = "Smilkov et al., SmoothGrad: removing noise by adding noise, 2017 (arXiv:1706.03825)"
_SUNDARARAJAN = "Sundararajan, Taly & Yan, Axiomatic attribution for deep networks, ICML 2017 (arXiv:1703.01365)"
