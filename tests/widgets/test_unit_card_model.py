"""UnitCard without a browser: what travels, how much of it, and what is refused."""

import threading
from typing import Any

import numpy as np
import pytest
import traitlets

from cnnviz_widgets.results import ActivationMask, Activations, Filters, Unit, UnitProjection
from cnnviz_widgets.widgets import UnitCard
from cnnviz_widgets.widgets.card_messages import field_in_words, place_of

RNG = np.random.default_rng(3)
PICTURE = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
FIELD = {"size": (3, 5), "stride": (4, 4), "start": (-1, 1), "whole": False, "local": None}


def activations(
    maps: np.ndarray | None = None, image: np.ndarray = PICTURE, layer: str = "conv", **more: Any
) -> Activations:
    maps = RNG.normal(size=(6, 5, 7)).astype(np.float32) if maps is None else maps
    parameters = {"kind": "Conv2d", "receptive_field": FIELD, **more}
    return Activations(
        image=image, layer=layer, method="activations", parameters=parameters, maps=maps, signed=bool((maps < 0).any()),
        maximum=maps.max((1, 2)), mean=maps.mean((1, 2)), zeros=(maps == 0).mean((1, 2)), dead=~(maps > 0).any((1, 2)),
    )  # fmt: skip


def mask(channel: int = 2, image: np.ndarray = PICTURE, layer: str = "conv") -> ActivationMask:
    inside = np.zeros(image.shape[:2], bool)
    inside[3:9, 4:12] = True
    return ActivationMask(
        image=image, target=Unit(layer, channel), layer=layer, method="activation_mask", parameters={"quantile": 0.95},
        mask=inside, values=inside.astype(np.float32), raw=np.ones((5, 7), np.float32), threshold=1.5,
    )  # fmt: skip


def projection(box: tuple[int, int, int, int] = (2, 3, 13, 10), way: str = "saliency") -> UnitProjection:
    values = RNG.normal(size=(3, 24, 32)).astype(np.float32)
    return UnitProjection(
        image=PICTURE, target=Unit("conv", 2, 1, 4), layer="conv", method="project_unit", parameters={"method": way},
        values=values, box=np.array(box), activation=2.5,
    )  # fmt: skip


def filters(weights: np.ndarray, rgb: bool = False, groups: int = 1) -> Filters:
    n = len(weights)
    return Filters(
        layer="conv", method="filters", weights=weights, order=np.arange(n), rgb=rgb, parameters={"groups": groups},
        norms=np.linalg.norm(weights.reshape(n, -1), axis=1).astype(np.float32),
    )  # fmt: skip


def size_of(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    return len(value) if isinstance(value, bytes) else len(str(value))


# The map and its numbers.


@pytest.mark.parametrize("signed", [True, False])
def test_a_map_travels_at_its_own_resolution_and_within_a_colour_of_its_values(signed: bool):
    maps = RNG.normal(size=(2, 5, 7)).astype(np.float32)
    card = UnitCard()
    card.show_unit(activations(maps if signed else np.abs(maps)), 1)
    sent = card.unit["map"]
    share = np.frombuffer(sent["levels"], "<u2").reshape(sent["shape"]) / 65534
    came = sent["lo"] + share * (sent["hi"] - sent["lo"])
    np.testing.assert_allclose(came, maps[1] if signed else abs(maps[1]), atol=(sent["hi"] - sent["lo"]) / 65534)
    assert (sent["lo"] == -sent["hi"]) == signed


def test_a_value_that_is_none_is_sent_as_none():
    maps = np.ones((2, 3, 3), np.float32)
    maps[0, 1, 2] = np.nan
    card = UnitCard()
    card.show_unit(activations(maps), 0)
    levels = np.frombuffer(card.unit["map"]["levels"], "<u2").reshape(3, 3)
    np.testing.assert_array_equal(levels == 65535, np.isnan(maps[0]))
    assert card.unit["statistics"]["maximum"] is None  # JSON has no NaN


def test_the_numbers_are_those_of_the_channel():
    result = activations()
    card = UnitCard()
    card.show_unit(result, 4)
    found = card.unit["statistics"]
    assert found["maximum"] == pytest.approx(float(result.maximum[4]))
    assert result.maps[4, found["y"], found["x"]] == result.maximum[4]
    assert found["mean"] == pytest.approx(float(result.maps[4].mean()))
    assert found["rank"] == 1 + sorted(result.maximum, reverse=True).index(result.maximum[4])
    assert sum(found["counts"]) == found["channels"] == 6
    assert found["counts"][found["bin"]] >= 1


def test_the_strongest_is_first_and_channels_of_the_same_maximum_share_a_rank():
    maps = np.zeros((4, 2, 2), np.float32)
    maps[2] = 3
    card = UnitCard()
    ranks = []
    for channel in range(4):
        card.show_unit(activations(maps), channel)
        ranks.append(card.unit["statistics"]["rank"])
    assert ranks == [2, 2, 1, 2]


def test_a_dead_channel_is_said_to_be_dead():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[1] = 1
    card = UnitCard()
    card.show_unit(activations(maps), 0)
    assert (card.unit["statistics"]["dead"], card.unit["statistics"]["zeros"]) == (True, 1.0)
    card.show_unit(activations(maps), 1)
    assert (card.unit["statistics"]["dead"], card.unit["statistics"]["zeros"]) == (False, 0.0)


def test_a_channel_that_is_not_there_is_refused_and_the_card_stays_as_it_was():
    card = UnitCard()
    card.show_unit(activations(), 1)
    before = dict(card.unit)
    with pytest.raises(IndexError, match="0 to 5, not 6"):
        card.show_unit(activations(), 6)
    assert card.unit == before


# Where cells lie, and what they see.


def test_cells_lie_in_the_middle_of_what_they_see():
    rows, columns = place_of((5, 7), (24, 32), FIELD)
    # Row 0 sees the pixels -1, 0, 1: its middle is that of pixel 0. Column 0 sees 1 to 5: that of pixel 3.
    np.testing.assert_allclose([rows[0] * 24, columns[0] * 32], [0.5, 3.5])
    np.testing.assert_allclose([rows[1] * 24, columns[1] * 32], [4, 4])


@pytest.mark.parametrize(
    "field",
    [None, {**FIELD, "stride": None}, {**FIELD, "stride": (0, 0)}, {**FIELD, "whole": True, "local": None}],
    ids=["unknown", "no stride", "one cell", "sees everything, nowhere first"],
)
def test_where_the_geometry_is_unknown_the_map_is_spread_evenly(field: dict[str, Any] | None):
    rows, columns = place_of((5, 7), (24, 32), field)
    np.testing.assert_allclose([*rows, *columns], [1 / 10, 1 / 5, 1 / 14, 1 / 7])


def test_behind_a_gate_cells_lie_where_their_local_path_looks():
    gated = {**FIELD, "size": (24, 32), "whole": True, "local": (3, 5)}
    assert place_of((5, 7), (24, 32), gated) == place_of((5, 7), (24, 32), FIELD)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({**FIELD, "size": (51, 51), "stride": (8, 8)}, "sees 51×51 pixels, one every 8"),
        ({**FIELD, "size": (3, 3), "stride": (1, 1)}, "sees 3×3 pixels, one at every pixel"),
        ({**FIELD, "size": (1, 1), "stride": (1, 1)}, "sees one pixel, one at every pixel"),
        ({**FIELD, "stride": (2, 4)}, "sees 3×5 pixels, one every 2 down and 4 across"),
        ({**FIELD, "stride": None}, "sees 3×5 pixels"),
        ({**FIELD, "whole": True}, "sees the whole picture"),
        (None, "what it sees is unknown"),
    ],
)
def test_a_receptive_field_is_said_in_words(field: dict[str, Any] | None, words: str):
    assert field_in_words(field) == words


# Parts and their keys.


def test_parts_of_one_unit_and_picture_carry_the_same_key():
    card = UnitCard()
    card.show_unit(activations(), 2)
    card.show_mask(mask())
    card.show_projection(projection())
    assert card.mask["key"] == card.projection["key"] == card.unit["key"]


@pytest.mark.parametrize(
    "other",
    [mask(channel=3), mask(image=PICTURE[::-1].copy()), mask(layer="other")],
    ids=["channel", "picture", "layer"],
)
def test_a_part_of_another_unit_or_picture_has_another_key(other: ActivationMask):
    card = UnitCard()
    card.show_unit(activations(), 2)
    card.show_mask(other)
    assert card.mask["key"] != card.unit["key"]
    with pytest.raises(ValueError, match="does not belong"):
        card.show(activations(), 2, mask=other)


def test_a_key_of_ones_own_tells_states_of_a_network_in_training_apart():
    card = UnitCard()
    card.show_unit(activations(), 2, key="step 100")
    card.show_mask(mask(), key="step 99")
    assert card.mask["key"] != card.unit["key"]


def test_a_filter_belongs_to_every_picture():
    card = UnitCard()
    card.show_filter(filters(np.ones((6, 2, 3, 3), np.float32)), 2)
    card.show_unit(activations(), 2)
    assert card.filter["key"] == card.unit["name"]
    card.show_unit(activations(image=PICTURE[::-1].copy()), 2)
    assert card.filter["key"] == card.unit["name"]


def test_what_failed_says_so_in_the_place_of_its_part():
    card = UnitCard()
    card.show_unit(activations(), 2)
    card.fail("filter", "not a convolution")
    card.fail("projection", "no rectifier on the way")
    assert card.filter == {"key": card.unit["name"], "error": "not a convolution"}
    assert card.projection["key"] == card.unit["key"]
    assert card.projection["method"] == "deconvnet"
    with pytest.raises(ValueError, match="'mask', 'projection', 'filter', not 'picture'"):
        card.fail("picture", "no")


def test_a_projection_that_sees_only_padding_is_an_error_in_its_place():
    card = UnitCard()
    card.show_projection(projection(box=(4, 0, 4, 7)))
    assert "padding" in card.projection["error"]


def test_a_projection_travels_cut_to_its_receptive_field():
    card = UnitCard()
    card.show_projection(projection())
    sent = card.projection
    assert (sent["patch"]["width"], sent["patch"]["height"]) == (11, 7)
    assert sent["patch"]["data"] == PICTURE[3:10, 2:13].tobytes()
    assert (sent["values"]["width"], sent["values"]["height"], sent["method"]) == (11, 7, "saliency")


def test_clear_leaves_nothing():
    card = UnitCard()
    card.show(activations(), 2, mask=mask(), filters=filters(np.ones((6, 2, 3, 3), np.float32)), code="1 + 1")
    card.clear()
    assert not any([card.unit, card.picture, card.mask, card.projection, card.filter, card.patches, card.code])
    assert repr(card) == "UnitCard(empty)"


def test_an_impossible_projection_method_is_refused():
    with pytest.raises(traitlets.TraitError):
        UnitCard().projection_method = "magic"


# Filters.


def test_the_kernels_of_the_largest_norm_travel_first_with_their_input_channels():
    weights = RNG.normal(size=(4, 40, 3, 3)).astype(np.float32)
    card = UnitCard()
    card.show_filter(filters(weights), 1)
    norms = np.linalg.norm(weights[1].reshape(40, -1), axis=1)
    assert card.filter["channels"] == np.argsort(-norms)[:16].tolist()
    came = np.frombuffer(card.filter["values"], "<f4").reshape(16, 3, 3)
    np.testing.assert_array_equal(came, weights[1, card.filter["channels"]])
    assert card.filter["limit"] == pytest.approx(float(np.abs(weights[1]).max()))


def test_kernels_of_a_grouped_convolution_are_named_by_the_channels_that_they_read():
    card = UnitCard()
    card.show_filter(filters(np.ones((6, 2, 3, 3), np.float32), groups=3), 4)  # the last group of three
    assert sorted(card.filter["channels"]) == [4, 5]


def test_a_filter_that_reads_colours_travels_as_colours_and_a_1x1_filter_as_bars():
    card = UnitCard()
    card.show_filter(filters(RNG.normal(size=(2, 3, 7, 7)).astype(np.float32), rgb=True), 0)
    assert (card.filter["kind"], card.filter["width"], card.filter["height"]) == ("rgb", 7, 7)
    weights = RNG.normal(size=(2, 1000, 1, 1)).astype(np.float32)
    card.show_filter(filters(weights), 1)
    assert card.filter["kind"] == "bars"
    assert len(card.filter["lows"]) == len(card.filter["highs"]) == 128
    assert max(card.filter["highs"]) == pytest.approx(float(weights[1].max()))
    assert min(card.filter["lows"]) == pytest.approx(float(weights[1].min()))


def test_plain_weights_are_a_filter_too():
    card = UnitCard()
    card.show_filter(np.ones((2, 5, 3, 3)), 1, layer="mine")
    assert (card.filter["key"], card.filter["kind"]) == ("mine|1", "kernels")


# What travels is bounded, from any thread.


def test_a_card_of_large_maps_and_pictures_stays_below_a_megabyte_and_a_half():
    image = RNG.integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    card = UnitCard()
    card.show_unit(activations(RNG.normal(size=(3, 900, 1200)).astype(np.float32), image=image), 0)
    card.show_mask(mask(channel=0, image=image))
    values = RNG.normal(size=(3, 900, 1200)).astype(np.float32)
    whole = UnitProjection(
        image=image, target=Unit("conv", 0, 1, 4), layer="conv", method="project_unit", parameters={},
        values=values, box=np.array([0, 0, 1200, 900]), activation=1.0,
    )  # fmt: skip
    card.show_projection(whole)
    card.show_filter(filters(RNG.normal(size=(1, 2048, 31, 31)).astype(np.float32)), 0)
    card.show_patches(np.tile(image[None, :400, :400], (40, 1, 1, 1)))
    total = sum(size_of(getattr(card, name)) for name in ("unit", "picture", "mask", "projection", "filter", "patches"))
    assert total < 1_500_000
    assert (card.picture["width"], card.picture["height"]) == (320, 240)


def test_while_the_camera_runs_a_frame_is_below_a_hundred_kilobytes():
    image = RNG.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    card = UnitCard()
    card.show_unit(activations(RNG.normal(size=(64, 55, 55)).astype(np.float32), image=image), 0, coming=(), live=True)
    assert size_of(card.unit) + size_of(card.picture) < 100_000


def test_the_newest_unit_wins_whatever_thread_it_comes_from():
    card = UnitCard()
    result = activations()
    threads = [threading.Thread(target=card.show_unit, args=(result, channel)) for channel in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    card.show_unit(result, 5)
    assert (card.unit["channel"], card.picture["id"]) == (5, card.unit["picture"])


def test_patches_have_a_caption_each():
    card = UnitCard()
    card.show_unit(activations(), 2)
    card.show_patches(np.zeros((2, 8, 8, 3), np.uint8), ["a cat", "a dog"])
    assert [patch["caption"] for patch in card.patches["pictures"]] == ["a cat", "a dog"]
    assert card.patches["key"] == card.unit["name"]
    with pytest.raises(ValueError, match="1 captions were given for 2"):
        card.show_patches(np.zeros((2, 8, 8, 3), np.uint8), ["a cat"])
