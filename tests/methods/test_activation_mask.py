"""The active part of the picture: placed where units look, not stretched."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz_widgets.engine import Engine, ReceptiveField
from cnnviz_widgets.methods.activations import activation_mask, activations
from cnnviz_widgets.methods.placing import place_maps
from cnnviz_widgets.results import ActivationMask, Result, Unit
from tests.engine.nets import TRANSFORM, Do, messy
from tests.engine.snapshot import snapshot
from tests.methods.looks import engine_of, peaked


@pytest.fixture(scope="module")
def bundled() -> Engine:
    return Engine("squeezenet1_1")


STACKS = {
    "unpadded": [peaked(5, 2, 3), nn.ReLU(), peaked(5, 3)],
    "AlexNet's sizes": [peaked(11, 4, 3, padding=2), nn.ReLU(), nn.AvgPool2d(3, 2), peaked(5, 1, padding=2)],
    "SqueezeNet's sizes": [peaked(3, 2, 3), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True), peaked(3, 1, padding=1)],
    "even kernels": [peaked(4, 2, 3), peaked(2, 2), peaked(4, 1)],
}


@cache
def stack(name: str) -> Engine:
    net = nn.Sequential(*STACKS[name], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    return engine_of(net, 63, dtype=torch.float64)


def strongest(engine: Engine, layer: str, y: int, x: int) -> np.ndarray:
    """Where the map (h, w) is highest when the picture is one bright dot: all positions that tie."""
    dot = torch.zeros(1, 3, 63, 63, dtype=torch.float64)
    dot[..., y, x] = 1
    map_ = engine.outputs(dot, [layer])[layer][0, 0].numpy()
    return map_ > map_.max() * (1 - 1e-9) if map_.max() > 0 else np.zeros(map_.shape, bool)


def wrongly_placed(engine: Engine, field: ReceptiveField | None) -> tuple[int, int]:
    """Of the dots that a unit of layer "3" (or the last convolution) is nearest to: how many it misses, and of all."""
    layer = [name for name, part in engine.modules.items() if isinstance(part, nn.Conv2d)][-1]
    shape = engine.layers_for(torch.zeros(1, 3, 63, 63).double())[layer].shape[1:]
    numbers = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    placed, _ = place_maps(numbers, field, (63, 63))
    rng, wrong, all_ = np.random.default_rng(0), 0, 0
    for y, x in rng.integers(0, 63, (150, 2)):
        fires = strongest(engine, layer, y, x)
        if not np.isnan(placed[y, x]) and fires.any():
            all_ += 1
            wrong += not fires.flat[int(placed[y, x])]
    return wrong, all_


@pytest.mark.parametrize("name", STACKS)
def test_a_bright_dot_fires_the_unit_whose_cell_it_lies_in(name: str) -> None:
    engine = stack(name)
    layer = [n for n, part in engine.modules.items() if isinstance(part, nn.Conv2d)][-1]
    field = engine.layers_for(torch.zeros(1, 3, 63, 63).double())[layer].receptive_field
    wrong, dots = wrongly_placed(engine, field)
    assert dots > 60 and wrong == 0


@pytest.mark.parametrize("name", ["unpadded", "AlexNet's sizes", "even kernels"])
def test_stretching_the_map_would_put_many_dots_into_another_unit_s_cell(name: str) -> None:
    wrong, dots = wrongly_placed(stack(name), None)
    assert wrong > 0.15 * dots


def test_the_mask_of_a_dot_holds_the_dot_where_a_stretched_one_does_not() -> None:
    engine = stack("unpadded")
    pixels = np.zeros((63, 63, 3), np.uint8)
    pixels[14, 49] = 255
    # black is below zero after the transform, so only what the dot adds is above it when the kernel's sum is taken off
    net = nn.Sequential(Do(lambda x: x - x.amin((2, 3), keepdim=True)), *engine.model.children())
    unit = Unit("3", 0)
    found = activation_mask(engine_of(net, 63), pixels, unit, quantile=1.0)
    assert found.mask[14, 49] and found.mask.sum() == 36  # one cell of stride 6
    stretched, how = place_maps(found.raw, None, (63, 63))
    assert how == "stretched" and not (stretched >= found.threshold)[14, 49]


def test_each_pixel_has_the_value_of_the_unit_that_is_centred_nearest(cat: Image.Image, bundled: Engine) -> None:
    found = activation_mask(bundled, cat, Unit("features.9", 7))
    field = bundled.layers["features.9"].receptive_field
    assert field is not None
    centres = [field.center(i, i) for i in range(13)]
    rows = np.array([c[0] for c in centres if c is not None])
    for y in range(0, 224, 3):
        for x in range(0, 224, 5):
            i, j = (int(np.argmax((rows - 8 <= place) & (place < rows + 8))) for place in (y, x))
            if min(y - rows[i], x - rows[j]) < -8 or max(y - rows[i], x - rows[j]) >= 8:
                assert np.isnan(found.values[y, x]) and not found.mask[y, x]
            else:
                assert found.values[y, x] == found.raw[i, j]
    assert found.parameters["placed"] == "receptive field"
    assert np.isnan(found.values[:7]).all() and not np.isnan(found.values[7, 7:215]).any()


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.95, 0.995, 1.0])
def test_the_mask_is_what_is_at_the_quantile_or_above_and_above_zero(
    quantile: float, cat: Image.Image, bundled: Engine
) -> None:
    for layer, channel in (("features.9", 7), ("features.0", 3), ("classifier.1", 281)):
        found = activation_mask(bundled, cat, Unit(layer, channel), quantile)
        assert found.threshold == pytest.approx(np.quantile(found.raw.astype(float), quantile), rel=1e-12)
        with np.errstate(invalid="ignore"):
            assert np.array_equal(found.mask, (found.values >= found.threshold) & (found.values > 0))
        share = (found.raw >= found.threshold).mean()
        assert share >= 1 - quantile - 1e-9 and found.mask.any()
    assert np.array_equal(found.raw, activations(bundled, cat, "classifier.1").maps[281])


def test_a_dead_channel_has_an_empty_mask_and_a_sparse_one_no_zeros(cat: Image.Image, bundled: Engine) -> None:
    maps = activations(bundled, cat, "features.9")
    dead = int(np.flatnonzero(maps.dead)[0])
    assert not activation_mask(bundled, cat, Unit("features.9", dead), 0.0).mask.any()
    sparse = int(np.argmax(np.where(maps.dead, 0, maps.zeros)))
    found = activation_mask(bundled, cat, Unit("features.9", sparse), 0.5)
    assert found.threshold == 0 and 0 < found.mask.mean() < 0.5


def test_ties_with_the_quantile_all_count(cat: Image.Image) -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.Flatten(), nn.LazyLinear(2))
    net(torch.rand(1, 3, 64, 64))
    net.get_parameter("0.weight").data.zero_()
    net.get_parameter("0.bias").data.fill_(1)
    assert activation_mask(engine_of(net), cat, Unit("0", 1), 1.0).mask.all()


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 9, 4), Do(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid())
        self.lost = nn.Sequential(Do(lambda x: x.roll(1, 2)), nn.Conv2d(4, 4, 1))
        self.pool, self.flat, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flat(self.pool(self.lost(self.gate(self.conv(x))))))


def test_behind_a_gate_units_stand_where_their_local_path_looks(cat: Image.Image) -> None:
    engine = engine_of(Gated())
    gated, plain = (activation_mask(engine, cat, Unit(layer, 1), 0.0) for layer in ("gate", "conv"))
    assert gated.parameters["placed"] == "receptive field" and gated.parameters["receptive_field"]["whole"]
    assert np.array_equal(np.isnan(gated.values), np.isnan(plain.values)) and np.isnan(gated.values).any()


def test_where_the_field_is_unknown_the_map_is_stretched_and_says_so(cat: Image.Image) -> None:
    found = activation_mask(engine_of(Gated()), cat, Unit("lost", 1))
    assert found.parameters["placed"] == "stretched" and not np.isnan(found.values).any()
    for y, x in ((0, 0), (63, 63), (40, 21)):
        assert found.values[y, x] == found.raw[y * 14 // 64, x * 14 // 64]


@pytest.mark.parametrize("layer", ["pool", "flat", "fc"])
def test_one_value_for_the_whole_picture_has_no_mask(layer: str, cat: Image.Image) -> None:
    with pytest.raises(ValueError, match=f"'{layer}' has one value for the whole picture"):
        activation_mask(engine_of(Gated()), cat, Unit(layer, 1))


def test_wrong_questions_say_what_was_wanted(cat: Image.Image, bundled: Engine) -> None:
    for quantile in (-0.1, 1.5, True, float("nan")):
        with pytest.raises(ValueError, match="wanted a share from 0 to 1"):
            activation_mask(bundled, cat, Unit("features.9", 7), quantile)
    with pytest.raises(ValueError, match="leave y and x out"):
        activation_mask(bundled, cat, Unit("features.9", 7, 1, 1))
    with pytest.raises(IndexError, match="no channel 384 in layer 'features.9'"):
        activation_mask(bundled, cat, Unit("features.9", 384))
    with pytest.raises(TypeError, match="wanted a Unit"):
        activation_mask(bundled, cat, "features.9")  # pyright: ignore[reportArgumentType]


def test_the_module_stays_as_it_was_and_a_mask_is_saved_whole(cat: Image.Image, tmp_path: Path) -> None:
    net = messy()
    before = snapshot(net)
    found = activation_mask(Engine(net, transform=TRANSFORM), cat, Unit("last", 3))
    assert snapshot(net) == before
    loaded = Result.load(found.save(tmp_path / "mask.npz"))
    assert isinstance(loaded, ActivationMask) and loaded.target == Unit("last", 3)
    assert loaded.mask.tobytes() == found.mask.tobytes() and loaded.values.tobytes() == found.values.tobytes()
    assert (loaded.threshold, loaded.signed, loaded.parameters) == (found.threshold, False, found.parameters)
