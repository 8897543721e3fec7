"""The filters of a convolution: what they look like, which frequencies they pass, and what their stride folds."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, steps
from cnnviz_widgets.methods.common import method, to_array, whole_number
from cnnviz_widgets.methods.convolution import Convolution, colours_read, find_convolution, probe
from cnnviz_widgets.methods.filter_order import by_hue, by_norm, by_similarity
from cnnviz_widgets.results import Filters, FilterSpectrum

Order = Literal["index", "norm", "hue", "similarity"]


@method
def filters(engine: Engine, layer: str | None = None, *, order: Order = "index") -> Filters:
    """The kernels of a convolution as pictures: in colour where the layer reads the picture, else signed maps.

    Whether it reads the picture is found by running the network and comparing what the layer gets with the picture:
    the same three colours, possibly scaled, shifted, reordered or with a border. Then the weights are put in the order
    red, green, blue. Their colours say what the filter adds up **in the network's own input**: reddish where more red
    raises its response, cyan where red lowers it. A network whose preprocessing divides the colours by different
    numbers weighs them by these as well (ImageNet's usual 0.229, 0.224, 0.225 differ by 2 %).

    Weights are those that the layer computes with at this moment: weight-normed, pruned or standardised ones are the
    effective ones. Of a transposed convolution a kernel is what one input value paints into the output.

    Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", 2012, figure 3;
    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, figure 5.

    Args:
        engine: the network.
        layer: the dotted name of a convolution of any kind: dilated, grouped, depthwise, 1x1, transposed, your own; by
            default the first that runs.
        order: ``"index"``, as they are numbered; ``"norm"``, strongest first; ``"hue"``, round the colour circle and
            then grey ones by direction, for filters in colour; ``"similarity"``, like beside like.

    Returns:
        Filters: weights (n, c, kh, kw), never normalised, and the order as a permutation.

    Raises:
        KeyError: no such layer; near names are suggested.
        ValueError: the layer does no convolution or several (near ones are named), or it has no hues.

    Example:
        >>> filters(engine, "features.0", order="hue")
    """
    if order not in get_args(Order):
        near = get_close_matches(str(order), get_args(Order), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, get_args(Order)))}"
        raise ValueError(f"order={order!r}; {hint}")
    x = probe(engine)
    found = find_convolution(engine, layer, x)
    weights = to_array(found.kernels)
    colours = colours_read(engine, found.received, x) if weights.shape[1] == 3 else None
    if colours is not None:
        weights = weights[:, list(colours)]
    if order == "hue" and colours is None:
        raise ValueError(
            f"layer {found.layer!r} does not read the picture's colours, so its filters have no hue; "
            "order them by 'norm' or 'similarity'"
        )
    exact = weights.astype(np.float64)
    orders = {"norm": by_norm, "hue": by_hue, "similarity": by_similarity}
    return Filters(
        layer=found.layer,
        method="filters",
        parameters={"order": order, **found.settings},
        citation=_KRIZHEVSKY,
        weights=weights,
        order=orders[order](exact) if order in orders else np.arange(len(weights)),
        norms=np.sqrt(np.square(exact).sum((1, 2, 3))).astype(np.float32),
        rgb=colours is not None,
    )


@method
def filter_spectrum(
    engine: Engine, layer: str | None = None, *, image: ImageLike | None = None, size: int = 64
) -> FilterSpectrum:
    """Which spatial frequencies each filter passes, and how much of that the layer's stride folds onto others.

    A stride of s keeps every s-th value. Of a pattern finer than 2 s pixels it keeps too few to tell it from a coarser
    one: it **aliases**. Zeiler & Fergus 2013, section 4.1, saw this behind AlexNet's first layer (11x11, stride 4) and
    took 7x7, stride 2.

    The aliasing of a filter w with strides (sy, sx) is the share of its energy beyond the Nyquist frequency of the
    stride, integrated exactly over the continuous spectrum W of its real taps (a dilated filter has zeros between
    them): 1 - E(1/(2 sy), 1/(2 sx)) / E(1/2, 1/2), where E(a, b) is the integral of |W(fy, fx)|^2, summed over input
    channels, over |fy| <= a and |fx| <= b. It is what aliases of a response to white noise: 0 with stride 1, and
    1 - 1 / (sy sx) for a single tap.

    With an image: the filter's response to it at every position (stride 1, the layer's own padding, no bias), less its
    mean, taken apart by a discrete cosine transform (which goes on beyond the frame as in a mirror, so that the frame's
    own border is no edge): the share of its energy at frequencies k / (2 N) above 1 / (2 s) in y or x, N being the
    response's height or width.

    Args:
        engine: the network.
        layer: the dotted name of a convolution; by default the first that runs.
        image: a picture to measure the aliasing of responses on; path, PIL picture, array or tensor.
        size: how many frequencies on each axis of `power`; as many as the kernel is wide where that is more.

    Returns:
        FilterSpectrum: power (n, F, F), frequencies (F,), aliasing (n,), and response_aliasing (n,) with an image.

    Raises:
        KeyError: no such layer; near names are suggested.
        ValueError: the layer does no convolution or several (near ones are named), or it is a transposed one, which
            makes maps larger and folds nothing; or a `size` below 2.

    Example:
        >>> filter_spectrum(engine, "features.0", image=samples["cat"]).aliasing.mean()
    """
    size = whole_number("size", size, 2)
    x = probe(engine) if image is None else engine.prepare(image)
    found = find_convolution(engine, layer, x)
    if found.transposed:
        raise ValueError(
            f"layer {found.layer!r} is a transposed convolution: its stride makes maps larger, so nothing "
            "is folded and there is no aliasing to measure; filters() shows its kernels"
        )
    weights = found.kernels.cpu().double().numpy()
    lags = np.stack([_autocorrelation(one) for one in steps(weights)])
    reach = [d * (k - 1) + 1 for d, k in zip(found.dilation, weights.shape[2:], strict=True)]
    size = max(size, *reach)
    return FilterSpectrum(
        layer=found.layer,
        method="filter_spectrum",
        parameters={"size": size, **found.settings},
        citation=_ZEILER,
        power=_power(lags, found.dilation, size),
        frequencies=np.fft.fftshift(np.fft.fftfreq(size)).astype(np.float32),
        aliasing=_aliasing(lags, found.dilation, found.stride),
        response_aliasing=None if image is None else _response_aliasing(found),
        image=None if image is None else engine.display(x),
    )


def _autocorrelation(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """How the taps of one filter (c, kh, kw) go with each other at each distance: (2 kh - 1, 2 kw - 1).

    Distance 0 is in the middle. The power spectrum is its Fourier transform (Wiener-Khinchin): all input channels in
    one small array, however many.
    """
    lengths = [2 * side - 1 for side in kernel.shape[1:]]
    power = np.square(np.abs(np.fft.rfft2(kernel, lengths))).sum(0)
    return np.fft.fftshift(np.fft.irfft2(power, lengths))


def _power(lags: NDArray[np.float64], dilation: tuple[int, int], size: int) -> NDArray[np.float32]:
    """The power spectra (n, size, size) with zero frequency in the middle."""
    rows, columns = (_distances(lags, axis, dilation) % size for axis in (0, 1))
    grid = np.zeros((size, size, len(lags)))
    np.add.at(grid, np.ix_(rows, columns), lags.transpose(1, 2, 0))  # a wide kernel has distances that fall on one cell
    # rounding may leave a spectrum of nearly nothing a little below zero
    return np.fft.fftshift(np.fft.fft2(grid.transpose(2, 0, 1)).real.clip(min=0), axes=(1, 2)).astype(np.float32)


def _aliasing(lags: NDArray[np.float64], dilation: tuple[int, int], stride: tuple[int, int]) -> NDArray[np.float32]:
    """The share of energy beyond Nyquist (n,).

    The integral of exp(-2 pi i f d) over |f| <= 1 / (2 s) is sinc(d / s) / s: one weight for each distance d.
    """
    down, right = (np.sinc(_distances(lags, axis, dilation) / s) / s for axis, s in enumerate(stride))
    kept = np.einsum("nyx,y,x->n", lags, down, right)
    whole = lags[:, lags.shape[1] // 2, lags.shape[2] // 2]
    return np.where(whole > 0, 1 - kept / np.where(whole > 0, whole, 1), 0).clip(0, 1).astype(np.float32)


def _response_aliasing(found: Convolution) -> NDArray[np.float32]:
    with torch.inference_mode(False), torch.no_grad():
        responses = found.dense()[0]
        low_y, low_x = (
            _low_cosines(length, stride).to(responses.device)
            for length, stride in zip(responses.shape[1:], found.stride, strict=True)
        )
        return np.array([_beyond(one.double(), low_y, low_x) for one in steps(responses.unbind())], np.float32)


def _beyond(response: Tensor, low_y: Tensor, low_x: Tensor) -> float:
    """The share of a response's energy, its mean left out, that is in none of the low frequencies."""
    response = response - response.mean()
    whole = float(response.square().sum())
    kept = float((low_y @ response @ low_x.T).square().sum())
    return max(0.0, 1 - kept / whole) if whole > 0 else 0.0


def _low_cosines(length: int, stride: int) -> Tensor:
    """The rows k of the orthonormal cosine transform (DCT-II) with k / (2 length) <= 1 / (2 stride)."""
    k = torch.arange(min(length, length // stride + 1), dtype=torch.float64)[:, None]
    rows = torch.cos(torch.pi / length * (torch.arange(length, dtype=torch.float64) + 0.5) * k)
    return rows / rows.norm(dim=1, keepdim=True)


def _distances(lags: NDArray[np.float64], axis: int, dilation: tuple[int, int]) -> NDArray[np.int64]:
    """The distances, in pixels, that the lags of an axis stand for."""
    half = lags.shape[1 + axis] // 2
    return np.arange(-half, half + 1) * dilation[axis]


_KRIZHEVSKY = (
    "Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, 2012, figure 3"
)
_ZEILER = "Zeiler & Fergus, Visualizing and understanding convolutional networks, arXiv:1311.2901, 2013, section 4.1"
