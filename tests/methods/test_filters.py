"""Filters and their spectra: against slow sums written from the definitions, laws, and convolutions of every sort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.convolution import convolutions, find_convolution
from cnnviz_widgets.methods.filter_order import by_hue, by_norm, by_similarity
from cnnviz_widgets.methods.filters import filter_spectrum, filters
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Filters, FilterSpectrum, Result
from tests.engine.nets import messy
from tests.engine.snapshot import snapshot

RNG = np.random.default_rng(0)
RGB, BGR = Preprocessing(resize=40, crop=40), Preprocessing(resize=40, crop=40, channels="BGR")
NETWORKS = ("squeezenet1_1", "efficientnet_lite0")


class Averaged(nn.Sequential):
    """Layers, their maps averaged to scores."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).mean((2, 3))


def engine_of(*layers: nn.Module, transform: Preprocessing = RGB) -> Engine:
    return Engine(Averaged(*layers), transform=transform, device="cpu")


def conv(weight: Any, **settings: Any) -> nn.Conv2d:
    """A convolution with these weights (n, c, kh, kw)."""
    weight = torch.tensor(np.array(weight), dtype=torch.float32)
    n, c, *kernel = weight.shape
    made = nn.Conv2d(c * settings.get("groups", 1), n, tuple(kernel), **settings)
    with torch.no_grad():
        made.weight.copy_(weight)
    return made


def image(side: int = 40) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (side, side, 3), np.uint8))


# Weights.


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_gives_its_very_weights(name: str) -> None:
    engine = Engine(name)
    found = {n: m for n, m in engine.modules.items() if isinstance(m, nn.Conv2d)}
    assert len(found) > 20
    first = next(iter(found))
    for layer, module in found.items():
        result = filters(engine, layer)
        weight = module.weight.detach().numpy()
        assert result.rgb == (layer == first)
        colours = weight[:, ::-1] if layer == "features.0" else weight  # SqueezeNet reads blue, green, red
        np.testing.assert_array_equal(result.weights, colours)
        np.testing.assert_allclose(result.norms, np.sqrt((weight.astype(float) ** 2).sum((1, 2, 3))), rtol=1e-6)
        assert result.parameters["stride"] == list(module.stride)
        assert result.parameters["groups"] == module.groups
        assert (result.order == np.arange(len(weight))).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_without_a_layer_it_is_the_first_convolution_that_runs(name: str) -> None:
    engine = Engine(name)
    assert filters(engine).layer == {"squeezenet1_1": "features.0", "efficientnet_lite0": "_conv_stem"}[name]
    assert filter_spectrum(engine).layer == filters(engine).layer


def test_the_first_that_runs_is_not_the_first_that_is_written() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.unused, self.first = nn.Conv2d(4, 5, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x)).mean((2, 3))

    engine = Engine(Backwards(), transform=RGB, device="cpu")
    assert filters(engine).layer == "first"
    with pytest.raises(ValueError, match="'unused' does not run"):
        filters(engine, "unused")


def test_a_network_that_reads_only_red_has_red_filters_whatever_its_order() -> None:
    red = RNG.normal(size=(4, 1, 3, 3))
    none = np.zeros_like(red)
    for transform, weight in ((RGB, [red, none, none]), (BGR, [none, none, red])):
        result = filters(engine_of(conv(np.concatenate(weight, 1)), transform=transform))
        assert result.rgb
        np.testing.assert_allclose(result.weights[:, 0], red[:, 0], rtol=1e-6)
        assert (result.weights[:, 1:] == 0).all()


class Swap(nn.Module):
    """Normalises by itself and swaps red and blue."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.flip(1) - 0.3) * torch.tensor([0.5, 2.0, 3.0])[:, None, None]


@pytest.mark.parametrize("before", [nn.Identity(), nn.ZeroPad2d((0, 1, 0, 1)), nn.ReflectionPad2d(3)])
def test_colours_are_followed_through_what_a_network_does_before_its_first_layer(before: nn.Module) -> None:
    weight = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
    result = filters(engine_of(before, Swap(), conv(weight)))
    assert result.rgb
    np.testing.assert_array_equal(result.weights, weight[:, ::-1])


class Luminance(nn.Module):
    """Three channels that are no colours."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.mean(1), x[:, 0] - x[:, 1], x[:, 2]], 1)


@pytest.mark.parametrize(
    ("before", "groups"),
    [(Luminance(), 1), (nn.AvgPool2d(2), 1), (nn.Conv2d(3, 3, 3), 1), (nn.ReLU(), 1), (nn.Identity(), 3)],
)
def test_three_channels_alone_make_no_colours(before: nn.Module, groups: int) -> None:
    engine = engine_of(before, conv(RNG.normal(size=(6, 3 // groups, 3, 3)), groups=groups))
    assert not filters(engine, "1").rgb
    with pytest.raises(ValueError, match="'1' does not read the picture's colours.*'norm' or 'similarity'"):
        filters(engine, "1", order="hue")


def test_a_grey_network_has_filters_of_one_channel() -> None:
    grey = Preprocessing(resize=40, crop=40, mean=(0.5,), std=(0.5,), channels="L")
    result = filters(engine_of(conv(RNG.normal(size=(4, 1, 5, 5))), transform=grey))
    assert not result.rgb and result.weights.shape == (4, 1, 5, 5)


# Convolutions of every sort.


class Standardised(nn.Conv2d):
    """Makes its weights on the way, as weight-standardised ResNets do."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(input, weight / weight.std((1, 2, 3), keepdim=True), None, self.stride)


class Own(nn.Module):
    """A convolution by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(5, 3, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), self.kernel, None, (2, 1))


def effective(layer: nn.Module) -> Tensor:
    """What a layer without bias does to single impulses: its kernels, found without looking at its weights."""
    x = torch.zeros(3, 3, 9, 9)
    x[range(3), range(3), 4, 4] = 1
    with torch.no_grad():
        return layer.eval()(x).transpose(0, 1)  # (n, c, 9 - kh + 1, ...), mirrored


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("sort", ["weight norm", "old weight norm", "spectral norm", "pruned", "standardised"])
def test_weights_that_are_made_on_the_way_are_the_effective_ones(sort: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 6, 3, bias=False)
    if sort == "weight norm":
        layer = parametrizations.weight_norm(layer)
        layer.parametrizations.weight.original0.data.mul_(3)
    elif sort == "old weight norm":
        layer = nn.utils.weight_norm(layer)
        layer.weight_g.data.mul_(3)  # what `layer.weight` holds is old until the next run
    elif sort == "spectral norm":
        layer = parametrizations.spectral_norm(layer)
    elif sort == "pruned":
        prune.random_unstructured(layer, "weight", 0.5)
    else:
        layer = Standardised(3, 6, 3)
    layer.train()
    engine = engine_of(layer)
    before = snapshot(engine.model)
    result = filters(engine, "0")
    assert snapshot(engine.model) == before
    layer.bias = None
    mirrored = effective(layer)[..., 2:5, 2:5].flip(-2, -1)
    np.testing.assert_allclose(result.weights, mirrored.numpy(), atol=1e-6)


def test_a_module_of_ones_own_is_a_convolution_when_it_does_one() -> None:
    own = Own()
    engine = engine_of(own)
    result = filters(engine)
    np.testing.assert_array_equal(result.weights, own.kernel.detach().numpy())
    assert result.rgb and result.layer == "0"
    assert (result.parameters["kind"], result.parameters["stride"]) == ("Own", [2, 1])
    assert filter_spectrum(engine).parameters["stride"] == [2, 1]


def test_a_block_with_one_convolution_in_it_may_be_named() -> None:
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    np.testing.assert_array_equal(filters(engine_of(block), "0").weights, filters(engine_of(block), "0.0").weights)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_transposed_convolution_shows_what_one_value_paints(groups: int) -> None:
    layer = nn.ConvTranspose2d(4, 8, 3, stride=2, groups=groups, bias=False)
    engine = engine_of(nn.Conv2d(3, 4, 1), layer)
    result = filters(engine, "1")
    assert result.parameters["transposed"] is True
    assert result.weights.shape == (8, 4 // groups, 3, 3)
    for channel in range(4):
        x = torch.zeros(1, 4, 1, 1)
        x[0, channel] = 1
        painted = layer(x)[0].detach().numpy()  # (8, 3, 3)
        group = channel // (4 // groups)
        mine = slice(group * 8 // groups, (group + 1) * 8 // groups)
        np.testing.assert_allclose(result.weights[mine, channel % (4 // groups)], painted[mine], rtol=1e-6)
    with pytest.raises(ValueError, match="'1' is a transposed convolution.*nothing is folded"):
        filter_spectrum(engine, "1")


def test_a_layer_that_runs_several_times_has_one_set_of_weights() -> None:
    shared = nn.Conv2d(3, 3, 3, padding=1)
    engine = engine_of(shared, nn.ReLU(), shared)
    assert filters(engine, "0#1").rgb and not filters(engine, "0#2").rgb
    np.testing.assert_array_equal(filters(engine, "0#2").weights, filters(engine, "0").weights)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("1", r"'1' \(ReLU\) does no convolution in two dimensions; convolutions near it are '0', '2\.a'"),
        ("2", r"'2' \(Sequential\) does several convolutions; convolutions near it are '2\.a', '2\.b'"),
    ],
)
def test_what_is_no_convolution_is_an_error_that_names_near_ones(layer: str, words: str) -> None:
    inner = nn.Sequential()
    inner.add_module("a", nn.Conv2d(4, 4, 1))
    inner.add_module("b", nn.Conv2d(4, 4, 1))
    engine = engine_of(nn.Conv2d(3, 4, 3), nn.ReLU(), inner)
    for method in (filters, filter_spectrum):
        with pytest.raises(ValueError, match=words):
            method(engine, layer)


def test_a_network_without_convolutions_and_a_wrong_name_say_so() -> None:
    plain = Engine(nn.Sequential(nn.Flatten(), nn.Linear(4800, 5)), transform=RGB, device="cpu")
    with pytest.raises(ValueError, match="Sequential has no layer that does a convolution"):
        filters(plain)
    with pytest.raises(ValueError, match=r"'1' \(Linear\) does no convolution.*Sequential has no convolutions"):
        filters(plain, "1")
    with pytest.raises(KeyError, match="did you mean"):
        filters(engine_of(nn.Conv2d(3, 4, 3)), "00")
    with pytest.raises(ValueError, match="did you mean 'similarity'"):
        filters(engine_of(nn.Conv2d(3, 4, 3)), order="similar")  # pyright: ignore[reportArgumentType]


def test_nothing_of_the_users_module_changes_and_training_on_is_seen() -> None:
    module = messy().train()
    engine = Engine(module, transform=RGB, device="cpu")
    before = snapshot(module)
    for layer in ("conv", "normed", "spectral"):
        filters(engine, layer, order="similarity")
        filter_spectrum(engine, layer, image=image())
    assert snapshot(module) == before
    old = filters(engine, "conv").weights
    module.conv.weight.data[3, 1, 0, 2] += 1  # a single weight, past every counter
    new = filters(engine, "conv").weights
    assert (new - old != 0).sum() == 1 and new[3, 1, 0, 2] == pytest.approx(old[3, 1, 0, 2] + 1)


def test_the_weights_of_a_parametrised_convolution_are_not_taken_for_a_layer() -> None:
    assert convolutions(Engine(messy(), transform=RGB, device="cpu")) == ["conv", "normed", "spectral"]


# Orders.


@pytest.mark.parametrize("order", ["index", "norm", "hue", "similarity"])
def test_an_order_is_a_permutation_and_the_same_each_time(order: Any) -> None:
    engine = Engine("squeezenet1_1")
    first, second = filters(engine, order=order), filters(engine, order=order)
    assert sorted(first.order) == list(range(64))
    assert (first.order == second.order).all()
    assert first.parameters["order"] == order


def test_the_strongest_come_first_and_equals_keep_their_order() -> None:
    weights = np.array([1.0, 3.0, 1.0, 2.0, 3.0])[:, None, None, None] * np.ones((5, 2, 3, 3))
    assert by_norm(weights).tolist() == [1, 4, 3, 0, 2]


def test_filters_of_one_colour_come_round_the_colour_circle_and_grey_ones_by_direction() -> None:
    blob = np.outer(*[np.hanning(7)] * 2)
    colours = {"red": (1, -0.5, -0.5), "yellow": (0.5, 0.5, -1), "green": (-0.5, 1, -0.5), "blue": (-0.5, -0.5, 1)}
    y, x = np.mgrid[:7, :7] - 3
    stripes = {angle: np.cos(1.5 * (x * np.cos(angle) + y * np.sin(angle))) * blob for angle in (0.1, 0.8, 1.5, 2.4)}
    made = [np.multiply.outer(np.array(colours[name]), blob) for name in ("green", "blue", "red", "yellow")]
    made += [np.stack([stripes[angle]] * 3) for angle in (2.4, 0.1, 1.5, 0.8)]
    order = by_hue(np.array(made))
    assert [("green", "blue", "red", "yellow", 2.4, 0.1, 1.5, 0.8)[k] for k in order] == [
        *("red", "yellow", "green", "blue"),
        *(0.1, 0.8, 1.5, 2.4),
    ]


def test_of_two_opponent_colours_the_stronger_gives_the_hue() -> None:
    weights = np.zeros((2, 3, 1, 2))
    weights[0, :, 0] = np.array([[1.0, -0.5], [-0.5, 0.25], [-0.5, 0.25]])  # red, weak cyan
    weights[1, :, 0] = -weights[0, :, 0]  # cyan, weak red
    assert by_hue(weights[::-1]).tolist() == [1, 0]


def test_doubles_stand_side_by_side() -> None:
    weights = RNG.normal(size=(30, 4, 3, 3))
    doubles = np.concatenate([weights, weights[::-1] * RNG.uniform(0.5, 2, (30, 1, 1, 1))])
    place = np.argsort(by_similarity(doubles))
    assert [abs(place[k] - place[59 - k]) for k in range(30)] == [1] * 30


def test_a_walk_along_a_line_finds_the_line_again() -> None:
    angles = RNG.permutation(np.linspace(0, 2, 25))
    weights = np.stack([np.cos(angles), np.sin(angles)], 1)[:, :, None, None]
    weights[angles.argmin()] *= 2  # the strongest is where the walk starts
    assert (by_similarity(weights) == np.argsort(angles)).all()


def test_no_stretch_of_the_walk_could_be_turned_round_to_make_it_shorter() -> None:
    def length(order: NDArray[np.int64]) -> float:
        return float(np.linalg.norm(np.diff(unit[order], axis=0), axis=1).sum())

    weights = RNG.normal(size=(24, 1, 2, 2))
    unit = weights.reshape(24, -1) / np.linalg.norm(weights.reshape(24, -1), axis=1, keepdims=True)
    order = by_similarity(weights)
    for i in range(1, 24):
        for j in range(i + 2, 25):
            turned = np.concatenate([order[:i], order[i:j][::-1], order[j:]])
            assert length(turned) > length(order) - 1e-8


def test_a_walk_is_shorter_than_that_in_order_of_index_and_takes_filters_of_zeros() -> None:
    weights = RNG.normal(size=(40, 1, 3, 3))
    weights[[3, 17]] = 0
    order = by_similarity(weights)
    unit = weights.reshape(40, -1) / np.maximum(np.linalg.norm(weights.reshape(40, -1), axis=1, keepdims=True), 1e-9)
    length = [np.linalg.norm(np.diff(unit[o], axis=0), axis=1).sum() for o in (order, np.arange(40))]
    assert sorted(order) == list(range(40)) and length[0] < 0.8 * length[1]


# Spectra.


def slow_power(kernel: NDArray[np.floating], dilation: tuple[int, int], fy: float, fx: float) -> float:
    """|DFT|^2 at one frequency, summed over input channels, tap by tap."""
    whole = 0.0
    for channel in kernel.astype(float):
        value = 0j
        for y, row in enumerate(channel):
            for x, tap in enumerate(row):
                value += tap * np.exp(-2j * np.pi * (fy * y * dilation[0] + fx * x * dilation[1]))
        whole += abs(value) ** 2
    return whole


@pytest.mark.parametrize("settings", [{}, {"dilation": (1, 3)}, {"dilation": 2, "groups": 2}])
@pytest.mark.parametrize("size", [8, 9, 16])
def test_power_is_that_of_a_slow_fourier_sum(settings: dict[str, Any], size: int) -> None:
    engine = engine_of(nn.Conv2d(3, 4, 1), conv(RNG.normal(size=(2, 4 // settings.get("groups", 1), 3, 2)), **settings))
    result = filter_spectrum(engine, "1", size=size)
    weights = filters(engine, "1").weights
    dilation = tuple(result.parameters["dilation"])
    assert result.power.shape == (2, size, size)
    for i in range(size):
        for j in range(size):
            fy, fx = result.frequencies[i], result.frequencies[j]
            assert result.power[1, i, j] == pytest.approx(slow_power(weights[1], dilation, fy, fx), rel=1e-4, abs=1e-5)


def test_zero_frequency_is_in_the_middle_and_frequencies_are_cycles_per_pixel() -> None:
    engine = engine_of(conv(np.abs(RNG.normal(size=(3, 3, 5, 5)))))
    result = filter_spectrum(engine, size=10)
    np.testing.assert_allclose(result.frequencies, np.arange(-5, 5) / 10, atol=1e-7)
    sums = filters(engine).weights.sum((2, 3)).astype(float)
    np.testing.assert_allclose(result.power[:, 5, 5], (sums**2).sum(1), rtol=1e-5)
    assert (result.power.reshape(3, -1).argmax(1) == 55).all()


@pytest.mark.parametrize(("kernel", "dilation", "size"), [(3, 1, 64), (11, 1, 16), (3, 9, 8), (5, 4, 17)])
def test_the_mean_power_is_the_squared_norm(kernel: int, dilation: int, size: int) -> None:
    engine = engine_of(conv(RNG.normal(size=(4, 3, kernel, kernel)), dilation=dilation))
    result = filter_spectrum(engine, size=size)
    assert len(result.frequencies) == max(size, dilation * (kernel - 1) + 1)
    np.testing.assert_allclose(result.power.mean((1, 2)), filters(engine).norms ** 2, rtol=1e-5)


def test_a_dilated_filter_has_the_spectrum_and_aliasing_of_its_kernel_with_zeros_between() -> None:
    weight = RNG.normal(size=(5, 3, 3, 3))
    stuffed = np.zeros((5, 3, 5, 7))
    stuffed[:, :, ::2, ::3] = weight
    dilated = filter_spectrum(engine_of(conv(weight, dilation=(2, 3), stride=2)), image=image())
    plain = filter_spectrum(engine_of(conv(stuffed, stride=2)), image=image())
    np.testing.assert_allclose(dilated.power, plain.power, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dilated.aliasing, plain.aliasing, rtol=1e-5)


# Aliasing.


@pytest.mark.parametrize("stride", [2, 3, 4, (1, 2), (4, 2)])
def test_aliasing_is_the_share_of_a_finely_sampled_spectrum_beyond_nyquist(stride: Any) -> None:
    engine = engine_of(conv(RNG.normal(size=(3, 3, 5, 4)), stride=stride))
    result = filter_spectrum(engine)
    weights = filters(engine).weights.astype(float)
    middles = (np.arange(480) + 0.5) / 480 - 0.5  # the middles of small squares: none lies on the border
    waves = [np.exp(-2j * np.pi * np.outer(middles, np.arange(k))) for k in (5, 4)]
    power = (np.abs(np.einsum("fy,ncyx,gx->ncfg", waves[0], weights, waves[1])) ** 2).sum(1)
    sy, sx = result.parameters["stride"]
    beyond = (np.abs(middles)[:, None] > 1 / (2 * sy)) | (np.abs(middles)[None] > 1 / (2 * sx))
    np.testing.assert_allclose(result.aliasing, power[:, beyond].sum(1) / power.sum((1, 2)), atol=2e-3)


def wave(cycles: float, side: int = 33) -> NDArray[np.float64]:
    """A cosine across, under a window that keeps its frequencies together: (1, 3, side, side)."""
    at = np.arange(side) - side // 2
    window = np.outer(*[np.exp(-0.5 * (at / (side / 8)) ** 2)] * 2)
    return np.broadcast_to(np.cos(2 * np.pi * cycles * at) * window, (1, 3, side, side))


@pytest.mark.parametrize(("cycles", "stride", "share"), [(0.1, 2, 0), (0.4, 2, 1), (0.01, 4, 0), (0.3, 4, 1)])
def test_a_wave_slower_than_nyquist_does_not_alias_and_a_faster_one_is_nothing_but_aliasing(
    cycles: float, stride: int, share: float
) -> None:
    assert filter_spectrum(engine_of(conv(wave(cycles), stride=stride))).aliasing[0] == pytest.approx(share, abs=2e-3)


@pytest.mark.parametrize(("stride", "share"), [((1, 4), 1), ((4, 1), 0)])
def test_each_axis_has_the_nyquist_frequency_of_its_own_stride(stride: tuple[int, int], share: float) -> None:
    across = filter_spectrum(engine_of(conv(wave(0.3), stride=stride)))
    assert across.aliasing[0] == pytest.approx(share, abs=2e-3)


def test_a_single_tap_aliases_what_a_stride_drops_stride_1_nothing_and_zeros_nothing() -> None:
    tap = np.zeros((2, 3, 3, 3))
    tap[0, 1, 2, 0] = 5
    assert filter_spectrum(engine_of(conv(tap, stride=4))).aliasing.tolist() == [pytest.approx(15 / 16), 0]
    still = filter_spectrum(engine_of(conv(RNG.normal(size=(9, 3, 5, 5)))), image=image())
    assert still.response_aliasing is not None
    assert (still.aliasing < 1e-6).all() and (still.response_aliasing < 1e-6).all()


# Responses.


@pytest.mark.parametrize(
    "settings",
    [
        {"stride": 2},
        {"stride": (3, 2), "padding": 2},
        {"stride": 2, "padding": 1, "padding_mode": "reflect"},
        {"stride": 2, "padding": 2, "dilation": 2, "groups": 2},
        {"stride": 2, "groups": 4},
    ],
)
def test_the_response_is_that_of_the_layer_itself_at_every_position(settings: dict[str, Any]) -> None:
    engine = engine_of(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, **settings))
    x = engine.prepare(image())
    dense = find_convolution(engine, "1", x).dense()
    sy, sx = nn.modules.utils._pair(settings["stride"])
    layer = engine.modules["1"]
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    given = engine.outputs(x, ["1"])["1"] - layer.bias.detach()[:, None, None]
    torch.testing.assert_close(dense[..., ::sy, ::sx], given)


def slow_response_aliasing(response: NDArray[np.float64], strides: tuple[int, int]) -> float:
    """Continue the response as in a mirror and count its Fourier energy beyond Nyquist."""
    response = response - response.mean()
    mirrored = np.block([[response, response[:, ::-1]], [response[::-1], response[::-1, ::-1]]])
    # a half-sample shift makes the transform of an even row real; its size is all that counts
    energy = np.abs(np.fft.fft2(mirrored)) ** 2
    fy, fx = (np.abs(np.fft.fftfreq(length)) for length in mirrored.shape)
    beyond = (fy[:, None] > 1 / (2 * strides[0]) + 1e-9) | (fx[None] > 1 / (2 * strides[1]) + 1e-9)
    return float(energy[beyond].sum() / energy.sum())


@pytest.mark.parametrize(("stride", "padding"), [((2, 2), 0), ((4, 4), 2), ((3, 1), 1), ((5, 2), 0)])
def test_response_aliasing_is_that_of_a_slow_transform_of_the_mirrored_response(
    stride: tuple[int, int], padding: int
) -> None:
    layer = conv(RNG.normal(size=(4, 3, 5, 4)), stride=stride, padding=padding)
    engine, picture = engine_of(layer), image(41)
    result = filter_spectrum(engine, image=picture)
    weight = layer.weight.detach().double()
    responses = F.conv2d(engine.prepare(picture).double(), weight, None, 1, padding)[0].numpy()
    assert result.response_aliasing is not None
    for n in range(4):
        assert result.response_aliasing[n] == pytest.approx(slow_response_aliasing(responses[n], stride), rel=1e-3)


def test_a_smooth_picture_aliases_less_than_a_noisy_one_and_an_even_one_not_at_all() -> None:
    engine = engine_of(conv(RNG.normal(size=(4, 3, 3, 3)), stride=2))
    ramp = np.broadcast_to((np.arange(40) * 6)[None, :, None], (40, 40, 3)).astype(np.uint8)
    even = np.full((40, 40, 3), 77, np.uint8)
    shares = [filter_spectrum(engine, image=Image.fromarray(p)).response_aliasing for p in (ramp, even)]
    noisy = filter_spectrum(engine, image=image()).response_aliasing
    assert noisy is not None and shares[0] is not None and shares[1] is not None
    assert noisy.mean() > 10 * shares[0].mean() and (shares[1] < 1e-3).all()


def test_a_picture_is_part_of_the_result_only_where_one_was_given(tmp_path: Path) -> None:
    engine = Engine("squeezenet1_1")
    with_picture, without = filter_spectrum(engine, image=image(300)), filter_spectrum(engine)
    assert with_picture.image is not None and with_picture.image.shape == (224, 224, 3)
    assert without.image is None and without.response_aliasing is None
    np.testing.assert_array_equal(with_picture.aliasing, without.aliasing)
    for result in (with_picture, without, filters(engine, order="hue")):
        loaded = Result.load(result.save(tmp_path / "result.npz"))
        assert type(loaded) is type(result) and repr(loaded) == repr(result)
        assert loaded.parameters == result.parameters
        for name in ("power", "frequencies", "aliasing", "response_aliasing", "image", "weights", "order", "norms"):
            np.testing.assert_array_equal(getattr(loaded, name, None), getattr(result, name, None))


def test_a_size_that_is_no_number_of_frequencies_is_an_error() -> None:
    for wrong in (0, 1, 2.5):
        with pytest.raises(ValueError, match="size="):
            filter_spectrum(engine_of(nn.Conv2d(3, 4, 3)), size=wrong)  # pyright: ignore[reportArgumentType]


def test_results_refuse_what_does_not_go_together() -> None:
    ones = np.ones((2, 4, 3, 3), np.float32)
    about: dict[str, Any] = {"method": "filters", "weights": ones, "order": np.arange(2), "norms": np.ones(2)}
    assert repr(Filters(**about, layer="c")) == "Filters(filters at c: 2 of 4x3x3)"
    with pytest.raises(ValueError, match="3 input channels, not 4"):
        Filters(**about, rgb=True)
    with pytest.raises(ValueError, match="from 0 to 1 once"):
        Filters(**{**about, "order": np.array([1, 1])})
    with pytest.raises(ValueError, match="together"):
        FilterSpectrum(method="m", power=np.ones((2, 3, 3)), frequencies=np.ones(3), aliasing=np.ones(2),
                       response_aliasing=np.ones(2))  # fmt: skip


@pytest.mark.gpu
def test_weights_are_the_same_where_the_network_computes_on_a_gpu() -> None:
    layer = conv(RNG.normal(size=(4, 3, 3, 3)), stride=2)
    engine = Engine(Averaged(layer), transform=BGR, device="cuda")
    np.testing.assert_array_equal(filters(engine).weights, layer.weight.detach().numpy()[:, ::-1])
    here = filter_spectrum(Engine(Averaged(layer), transform=BGR, device="cpu"), image=(picture := image()))
    there = filter_spectrum(engine, image=picture)
    np.testing.assert_allclose(there.response_aliasing, here.response_aliasing, rtol=1e-4)  # type: ignore[arg-type]
