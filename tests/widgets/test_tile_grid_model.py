"""TileGrid without a browser: what it accepts and refuses, what it sends, and how true that is."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import traitlets

from cnnviz_widgets.views.colour import scale_of
from cnnviz_widgets.widgets import TileGrid
from cnnviz_widgets.widgets.tile_messages import ANSWER, WHOLE

RNG = np.random.default_rng(5)
MAPS = RNG.random((6, 4, 5), dtype=np.float32)
SIGNED = RNG.standard_normal((6, 4, 5)).astype(np.float32)
VGG = (64, 224, 224)


class Line:
    """The kernel's end of the connection: remembers what was sent."""

    comm_id = "line"

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_rest: object) -> None:
        self.sent.append((data, [bytes(buffer) for buffer in buffers or []]))

    def on_msg(self, _handler: object) -> None:
        """Nobody calls."""

    def close(self, *_args: object, **_rest: object) -> None:
        """Nothing to close."""

    def updates(self) -> list[dict[str, Any]]:
        return [data["state"] for data, _ in self.sent if data["method"] == "update"]

    def answers(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        said = [(data["content"], buffers) for data, buffers in self.sent if data["method"] == "custom"]
        return [(content, buffers) for content, buffers in said if content["type"] == "tiles"]


def wired(**traits: Any) -> tuple[TileGrid, Line]:
    grid, line = TileGrid(**traits), Line()
    grid.comm = line  # type: ignore[assignment]
    line.sent.clear()
    return grid, line


def numbers(tiles: dict[str, Any], shape: list[int], planes: int = 1) -> dict[int, np.ndarray]:
    """The values that the front end reads, by channel: (h, w), or (3, h, w)."""
    channels = np.frombuffer(tiles["channels"], "<i4")
    height, width = (-(-side // tiles["step"]) for side in shape)
    if tiles["encoding"] == "float16":
        values = np.frombuffer(tiles["data"], "<f2").astype(np.float64) * tiles["factor"]
    else:
        codes = np.frombuffer(tiles["data"], np.uint8).reshape(len(channels), -1).astype(np.float64)
        base, zero, width_ = np.frombuffer(tiles["limits"], "<f4").astype(np.float64).reshape(-1, 3).T[..., None]
        values = np.where(codes == 255, np.nan, base + (codes - zero) * width_)
    values = values.reshape(len(channels), planes, height, width)
    return {int(c): v[0] if planes == 1 else v for c, v in zip(channels, values, strict=True)}


def ask(grid: TileGrid, line: Line, channels: list[int], **how: Any) -> tuple[dict[str, Any], list[bytes]]:
    content = {"type": "need", "id": grid.layer["id"], "channels": channels, "step": 1, "exact": False, **how}
    grid._handle_custom_msg(content, [])
    content, buffers = line.answers()[-1]
    tiles = dict(zip(("channels", "limits", "data"), buffers, strict=True), **content["tiles"])
    return tiles, buffers


# How true the tiles are.


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-7, 1.0, 6e4, 1e8, 1e30, 3e38])
def test_a_small_layer_is_right_to_three_digits_whatever_its_size(size: float):
    grid = TileGrid()
    maps = (SIGNED / np.abs(SIGNED).max() * size).astype(np.float32)
    grid.show(maps)
    assert grid.layer["tiles"]["encoding"] == "float16"
    for channel, values in numbers(grid.layer["tiles"], [4, 5]).items():
        np.testing.assert_allclose(values, maps[channel], rtol=6e-4, atol=1e-7 * size)


@pytest.mark.parametrize("sign", ["positive", "signed", "negative", "far from zero", "extreme"])
def test_one_byte_is_right_to_half_of_a_253rd_of_the_tiles_range(sign: str):
    maps = RNG.standard_normal((300, 60, 60)).astype(np.float32)
    maps = {
        "positive": np.maximum(maps, 0), "signed": maps, "negative": -np.abs(maps) - 1,
        "far from zero": 1e6 + 100 * maps, "extreme": np.clip(maps, -3, 3) * np.float32(1.1e38),
    }[sign]  # fmt: skip
    grid = TileGrid()
    grid.show(maps.astype(np.float32))
    tiles = numbers(grid.layer["tiles"], [60, 60])
    assert grid.layer["tiles"]["encoding"] == "uint8"
    for channel in list(tiles)[:20]:
        wanted = maps[channel].astype(np.float64)
        assert np.abs(tiles[channel] - wanted).max() <= (wanted.max() - wanted.min()) / 253 * 0.51


def test_in_one_byte_zero_stays_zero():
    maps = RNG.standard_normal((300, 60, 60)).astype(np.float32)
    maps[:, ::2] = 0
    grid = TileGrid()
    grid.show(maps)
    assert grid.layer["tiles"]["encoding"] == "uint8"
    for values in numbers(grid.layer["tiles"], [60, 60]).values():
        assert (values[::2] == 0).all()


def test_a_map_of_one_value_is_that_value_in_either_encoding():
    grid, line = wired()
    grid.show(np.full((3, 2, 2), 0.7, np.float32))
    assert numbers(grid.layer["tiles"], [2, 2])[1] == pytest.approx(0.7, rel=1e-3)
    grid.show(np.full((3, 2, 2), 0.7, np.float32), live=True)
    assert numbers(grid.layer["tiles"], [2, 2])[1] == pytest.approx(0.7)


@pytest.mark.parametrize("live", [False, True])
def test_nan_stays_nan_and_touches_neither_scale_nor_statistics(live: bool):
    maps = SIGNED.copy()
    maps[2, 1, 3] = np.nan
    maps[4] = np.nan
    grid = TileGrid()
    grid.show(maps, live=live)
    came = numbers(grid.layer["tiles"], [4, 5])
    np.testing.assert_array_equal(np.isnan(came[2]), np.isnan(maps[2]))
    assert np.isnan(came[4]).all() and not np.isnan(came[3]).any()
    lo, hi, most, mean = np.frombuffer(grid.layer["stats"], "<f4").reshape(4, -1)
    assert hi[2] == np.nanmax(np.abs(maps[2])) == -lo[2]
    assert mean[2] == pytest.approx(np.nanmean(maps[2])) and most[2] == np.nanmax(maps[2])
    assert (lo[4], hi[4]) == (0, 0) and np.isnan(most[4]) and np.isnan(mean[4])


def test_colours_travel_as_three_planes():
    weights = RNG.standard_normal((7, 3, 5, 5)).astype(np.float32)
    grid = TileGrid()
    grid.show(weights, kind="color")
    came = numbers(grid.layer["tiles"], [5, 5], planes=3)
    np.testing.assert_allclose(came[3], weights[3], rtol=1e-3, atol=1e-5)
    assert grid.layer["signed"]


@pytest.mark.parametrize(
    ("maps", "signed", "kind"),
    [
        (MAPS, None, "map"), (SIGNED, None, "map"), (SIGNED, False, "map"), (MAPS, True, "map"),
        (-1 - MAPS, False, "map"),
        (RNG.standard_normal((4, 3, 9, 9)).astype(np.float32), None, "color"),
        (np.zeros((2, 3, 9, 9), np.float32), True, "color"),
    ],
)  # fmt: skip
def test_the_scale_of_each_tile_is_that_of_the_figures(maps: np.ndarray, signed: bool | None, kind: Any):
    grid = TileGrid()
    grid.show(maps, signed=signed, kind=kind)
    lo, hi, *_ = np.frombuffer(grid.layer["stats"], "<f4").reshape(4, -1)
    for channel, values in enumerate(maps):
        scale = scale_of(values, grid.layer["signed"], percentile=99.5 if kind == "color" else None)
        assert (lo[channel], hi[channel]) == pytest.approx((scale.lo, scale.hi), rel=1e-5)


# How much travels.


@pytest.mark.parametrize("shape", [(64, 224, 224), (64, 112, 112), (256, 56, 56), (2048, 28, 28), (3, 2000, 2000)])
@pytest.mark.parametrize("live", [False, True])
def test_no_message_is_larger_than_one_mebibyte_and_its_headers(shape: tuple[int, int, int], live: bool):
    grid, line = wired()
    maps = np.maximum(RNG.standard_normal(shape, dtype=np.float32), 0)
    grid.show(maps, live=live)
    grid.seen = [0, min(64, shape[0])]
    grid.show(maps, key="again", live=live)
    ask(grid, line, list(range(shape[0])))
    ask(grid, line, list(range(shape[0])), exact=True)
    grid._handle_custom_msg({"type": "keep", "id": grid.layer["id"], "channels": list(range(40))}, [])
    largest = max(sum(map(len, buffers)) for _, buffers in line.sent)
    assert largest <= WHOLE + 64 * 2048  # Statistics, orders and limits: 64 bytes for each channel at most.
    tiles = [len(buffers[2]) for _, buffers in line.answers()]
    assert max(tiles) <= ANSWER


def test_a_layer_travels_whole_where_it_fits_and_else_what_is_seen():
    grid = TileGrid()
    for shape, encoding, whole in (
        ((64, 55, 55), "float16", True), ((256, 56, 56), "uint8", True), (VGG, "uint8", False)
    ):  # fmt: skip
        grid.show(np.ones(shape, np.float32))
        assert (grid.layer["tiles"]["encoding"], grid.layer["whole"]) == (encoding, whole)
        sent = len(grid.layer["tiles"]["channels"]) // 4
        assert sent == shape[0] if whole else sent < shape[0]


def test_live_maps_are_one_byte_a_value_and_only_those_that_are_seen():
    grid = TileGrid(seen=[8, 20])
    maps = RNG.random((64, 20, 20), dtype=np.float32)
    grid.show(maps, key="a")
    grid.show(maps, key="a", live=True)
    assert grid.layer["tiles"]["encoding"] == "uint8"
    np.testing.assert_array_equal(np.frombuffer(grid.layer["tiles"]["channels"], "<i4"), np.arange(8, 20))
    assert len(grid.layer["tiles"]["data"]) == 12 * 400


def test_too_many_tiles_for_one_message_are_sent_coarse_and_every_value_is_a_real_one():
    grid = TileGrid()
    maps = RNG.random(VGG, dtype=np.float32)
    grid.show(maps)
    step = grid.layer["tiles"]["step"]
    assert step > 1
    for channel, values in list(numbers(grid.layer["tiles"], [224, 224]).items())[:5]:
        np.testing.assert_allclose(values, maps[channel, ::step, ::step], atol=0.5 / 253 + 1e-6)


def test_the_first_channels_that_are_asked_for_come_first_and_at_native_resolution():
    grid, line = wired()
    maps = RNG.random(VGG, dtype=np.float32)
    grid.show(maps)
    tiles, _ = ask(grid, line, [63, 5, *range(20, 60)])
    came = numbers(tiles, [224, 224])
    assert list(came)[:3] == [63, 5, 20] and len(came) == ANSWER // 224**2
    np.testing.assert_allclose(came[5], maps[5], atol=0.5 / 253 + 1e-6)


def test_who_looks_closely_gets_the_exact_values():
    grid, line = wired()
    maps = RNG.random(VGG, dtype=np.float32)
    grid.show(maps)
    tiles, _ = ask(grid, line, [17], exact=True)
    np.testing.assert_allclose(numbers(tiles, [224, 224])[17], maps[17], rtol=6e-4, atol=1e-7)


def test_a_question_about_maps_that_are_gone_is_answered_without_tiles():
    grid, line = wired()
    grid.show(MAPS, key="old")
    old = grid.layer["id"]
    grid.show(SIGNED, key="new")
    grid._handle_custom_msg({"type": "need", "id": old, "channels": [1]}, [])
    assert line.answers() == [({"type": "tiles", "id": old, "tiles": None}, [])]


def test_channels_that_there_are_not_are_passed_over():
    grid, line = wired()
    grid.show(MAPS)
    tiles, _ = ask(grid, line, [-1, 3, 6, 10**9])
    assert list(numbers(tiles, [4, 5])) == [3]


def test_what_a_page_rests_on_is_kept_in_the_state():
    grid, _ = wired()
    grid.show(RNG.random(VGG, dtype=np.float32))
    wanted = list(range(30, 60))
    grid._handle_custom_msg({"type": "keep", "id": grid.layer["id"], "channels": wanted}, [])
    assert list(numbers(grid.get_state()["layer"]["tiles"], [224, 224])) == wanted


# What belongs together, and who wins.


def test_new_maps_and_all_that_follows_from_them_are_one_update():
    grid, line = wired()
    grid.show(MAPS, key="a", orders={"hue": [5, 4, 3, 2, 1, 0]})
    grid.selected, grid.order, grid.picked = 5, "hue", {"channel": 5, "y": 3, "x": 4}
    line.sent.clear()
    grid.show(SIGNED[:3], key="b")
    (update,) = line.updates()
    assert update["layer"]["count"] == 3 and update["layer"]["key"] == "b"
    assert (update["selected"], update["order"], update["picked"]) == (None, "channel", {})


def test_maps_of_the_same_key_hang_on_the_same_wall():
    grid = TileGrid()
    grid.show(MAPS, key="a")
    grid.selected, grid.order, grid.first, grid.picked = 4, "activation", 3, {"channel": 4, "y": 3, "x": 4}
    grid.show(SIGNED, key="a")
    assert (grid.selected, grid.order, grid.first, grid.picked["y"]) == (4, "activation", 3, 3)
    grid.show(SIGNED, key="b")
    assert (grid.selected, grid.order, grid.first, grid.picked) == (None, "activation", 0, {})


def test_the_newest_call_wins_even_if_an_older_one_is_slower(monkeypatch: pytest.MonkeyPatch):
    from cnnviz_widgets.widgets import tile_grid

    grid, started, go = TileGrid(), threading.Event(), threading.Event()
    of = tile_grid.TileLayer.of

    def slowly(maps: Any, **rest: Any) -> Any:
        if rest["key"] == "slow":
            started.set()
            go.wait(10)
        return of(maps, **rest)

    monkeypatch.setattr(tile_grid.TileLayer, "of", slowly)
    thread = threading.Thread(target=lambda: grid.show(MAPS, key="slow"))
    thread.start()
    assert started.wait(10)
    grid.show(MAPS, key="quick")
    go.set()
    thread.join(10)
    assert grid.layer["key"] == "quick"


def test_maps_from_several_threads_and_a_busy_page_leave_one_whole_layer():
    grid, line = wired()
    grid.show(MAPS, key="0")

    def hang(name: int) -> None:
        for turn in range(20):
            grid.show(MAPS * (name + 1), key=f"{name}-{turn}")

    threads = [threading.Thread(target=hang, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for number in range(60):
        grid.set_state({"selected": number % 6, "first": number})
    for thread in threads:
        thread.join(30)
    sent = [update["layer"]["id"] for update in line.updates() if "layer" in update]
    assert grid._maps is not None and grid.layer["id"] == grid._maps.id == sent[-1]
    assert numbers(grid.layer["tiles"], [4, 5])[2] == pytest.approx(grid._maps.values[2, 0], rel=1e-3)


def test_the_same_maps_have_the_same_name_and_others_another():
    grid = TileGrid()
    names = []
    for maps in (MAPS, MAPS.copy(), MAPS + 1):
        grid.show(maps, key="a")
        names.append(grid.layer["id"])
    assert names[0] == names[1] != names[2]


def test_maps_that_are_float32_already_are_not_copied():
    grid = TileGrid()
    grid.show(MAPS)
    assert grid._maps is not None and np.shares_memory(grid._maps.values, MAPS)


# Orders.


def order(grid: TileGrid, name: str) -> list[int]:
    return np.frombuffer(grid.layer["orders"][name], "<i4").tolist()


def test_by_activation_the_largest_maximum_is_first_equals_by_number_and_nothing_last():
    maps = np.zeros((5, 2, 2), np.float32)
    maps[3], maps[1], maps[2], maps[0] = 2, 7, 2, np.nan
    grid = TileGrid()
    grid.show(maps)
    assert order(grid, "activation") == [1, 2, 3, 4, 0]


def test_live_tiles_do_not_jump_about_until_the_order_is_chosen_anew():
    def frame(strongest: int) -> np.ndarray:
        maps = MAPS.copy()
        maps[strongest] += 5
        return maps

    grid = TileGrid(order="activation")
    grid.show(frame(2), key="a", live=True)
    grid.show(frame(4), key="a", live=True)
    assert order(grid, "activation")[0] == 2
    grid.order = "channel"
    grid.order = "activation"
    grid.show(frame(4), key="a", live=True)
    assert order(grid, "activation")[0] == 4
    grid.show(frame(1), key="a")
    assert order(grid, "activation")[0] == 1


def test_an_order_of_ones_own_can_be_chosen_and_a_wrong_one_names_its_neighbour():
    grid = TileGrid()
    grid.show(MAPS, orders={"similarity": [5, 0, 4, 1, 3, 2]})
    grid.order = "similarity"
    assert order(grid, "similarity") == [5, 0, 4, 1, 3, 2]
    with pytest.raises(traitlets.TraitError, match="did you mean 'activation'"):
        grid.order = "activations"
    assert grid.order == "similarity"


# What is refused.


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g: g.show(np.ones((3, 4))), ValueError, r"\(n, h, w\).*\(3, 4\)"),
        (lambda g: g.show(np.ones((0, 4, 4))), ValueError, r"\(0, 4, 4\)"),
        (lambda g: g.show(np.ones((3, 4, 4)), kind="color"), ValueError, r"\(n, 3, h, w\)"),
        (lambda g: g.show(MAPS, kind="colour"), ValueError, "'map' or 'color'"),
        (lambda g: g.show(np.full((2, 2, 2), np.inf)), ValueError, "infinite"),
        (lambda g: g.show(np.full((2, 2, 2), 1e300)), ValueError, "infinite"),
        (lambda g: g.show(np.ones((2, 2, 2), complex)), TypeError, "complex"),
        (lambda g: g.show([[["a"]]]), TypeError, "real numbers"),
        (lambda g: g.show(MAPS, names=["a"]), ValueError, "6 maps, not 1"),
        (lambda g: g.show(MAPS, orders={"mine": [0, 0, 1, 2, 3, 4]}), ValueError, "permutation of the 6"),
        (lambda g: g.show(MAPS, orders={"mine": [0, 1]}), ValueError, "permutation of the 6"),
        (lambda g: g.show(MAPS, orders={"activation": range(6)}), ValueError, "name of its own"),
    ],
)
def test_what_are_no_maps_is_refused_and_the_wall_stays_as_it_was(
    call: Callable[[TileGrid], None], error: type[Exception], words: str
):
    grid = TileGrid()
    grid.show(MAPS, key="before")
    before = grid.layer
    with pytest.raises(error, match=words):
        call(grid)
    assert grid.layer == before and repr(grid) == "TileGrid(6 maps of 4x5, 'before')"


@pytest.mark.parametrize(
    ("trait", "value", "words"),
    [
        ("selected", 6, "channels go from 0 to 5"), ("selected", -1, "no channel -1"), ("tile_size", 4, "8 to 1024"),
        ("tile_size", 5000, "8 to 1024"), ("colormap", "infrno", "'inferno'"), ("scale", [2, 1], "lo at most hi"),
        ("seen", [3, 1], "start, stop"), ("picked", {"channel": 0, "y": 4, "x": 0}, "6 maps of 4x5"),
        ("picked", {"channel": 0}, "channel, y, x"), ("status", {"state": "busy"}, "busy"), ("first", -1, "first"),
        ("height", 3, "height"),
    ],
)  # fmt: skip
def test_an_impossible_setting_is_refused_and_the_wall_stays_as_it_was(trait: str, value: object, words: str):
    grid = TileGrid()
    grid.show(MAPS)
    before = getattr(grid, trait)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(grid, trait, value)
    assert getattr(grid, trait) == before


def test_what_a_page_says_about_maps_that_are_gone_is_put_right():
    grid, line = wired()
    grid.show(MAPS[:3], key="new")
    line.sent.clear()
    grid.set_state({"selected": 5, "picked": {"channel": 5, "y": 0, "x": 0}, "order": "hue", "tile_size": 64})
    assert (grid.selected, grid.picked, grid.order, grid.tile_size) == (None, {}, "channel", 64)
    assert {name: value for update in line.updates() for name, value in update.items() if name != "tile_size"} == {
        "selected": None, "picked": {}, "order": "channel",
    }  # fmt: skip


# The rest.


def test_a_scale_locks_and_unlocking_lets_it_go():
    grid = TileGrid()
    grid.scale = [0, 3]
    assert grid.locked
    grid.locked = False
    assert grid.scale is None
    grid.locked = True
    assert grid.scale is None, "locked without a scale: the layer's own"


def test_a_wall_can_be_cleared_and_says_what_hangs_there():
    grid = TileGrid()
    assert repr(grid) == "TileGrid(empty)"
    grid.show(MAPS)
    grid.selected, grid.order = 3, "activation"
    assert repr(grid) == "TileGrid(6 maps of 4x5)"
    grid.clear()
    assert repr(grid) == "TileGrid(empty)" and (grid.layer, grid.selected, grid.order) == ({}, None, "channel")


def test_stop_reaches_who_wants_to_know_and_an_error_there_is_shown():
    grid, stops = TileGrid(), []
    undo = grid.on_stop(lambda: stops.append(1))
    grid._handle_custom_msg({"type": "stop"}, [])
    undo()
    grid._handle_custom_msg({"type": "stop"}, [])
    assert stops == [1]
    grid.on_stop(lambda: 1 / 0)
    grid._handle_custom_msg({"type": "stop"}, [])
    assert "division" in grid.error


def test_a_torch_tensor_that_carries_gradients_can_hang_there():
    import torch

    grid = TileGrid()
    grid.show(torch.ones(2, 3, 3, requires_grad=True) * 2)
    assert numbers(grid.layer["tiles"], [3, 3])[0] == pytest.approx(2)
