"""ArithmeticView without a browser: what travels and in which order, how much of it, pinned and following."""

import threading
from typing import Any

import numpy as np
import pytest

from cnnviz_widgets.results import Arithmetic, Unit
from cnnviz_widgets.widgets import ArithmeticView


def arithmetic(
    channels: int = 40, side: int = 3, seed: int = 0, inside: np.ndarray | None = None, **parameters: Any
) -> Arithmetic:
    rng = np.random.default_rng(seed)
    inputs = np.maximum(rng.normal(size=(channels, side, side)), 0).astype(np.float32)
    kernel = rng.normal(size=(channels, side, side)).astype(np.float32)
    sums = (inputs.astype(np.float64) * kernel).sum((1, 2))
    settings = {"top": 3, "left": 1, "dilation": [1, 1], "padding_mode": "zeros", **parameters}
    return Arithmetic(
        image=np.zeros((8, 8, 3), np.uint8), target=Unit("features.3", seed, y=4, x=2), layer="features.3",
        method="unit_arithmetic", parameters=settings,
        inputs=inputs, kernel=kernel, contributions=sums, channels=np.arange(100, 100 + channels),
        inside=np.ones((side, side), bool) if inside is None else inside, bias=0.25, total=float(sums.sum()) + 0.25,
        value=float(np.float32(sums.sum() + 0.25)),
    )  # fmt: skip


def size_of(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    return len(value) if isinstance(value, bytes) else len(str(value))


def ask(view: ArithmeticView, **content: Any) -> None:
    """As the front end does."""
    view._handle_custom_msg({"type": "more", **content}, [])


def test_the_largest_contributions_travel_first_and_the_rest_as_one_number():
    view, sums = ArithmeticView(), arithmetic()
    view.show(sums)
    order = np.argsort(-np.abs(sums.contributions))
    assert view.shown["names"] == [str(100 + row) for row in order[:16]]
    assert view.shown["contributions"] == pytest.approx(sums.contributions[order[:16]].tolist())
    assert view.shown["rest"] == 24
    assert view.shown["rest_sum"] == pytest.approx(sums.contributions[order[16:]].sum())
    np.testing.assert_array_equal(np.frombuffer(view.shown["inputs"], "<f4"), sums.inputs[order[:16]].ravel())
    np.testing.assert_array_equal(np.frombuffer(view.shown["kernel"], "<f4"), sums.kernel[order[:16]].ravel())


def test_what_travels_adds_up_to_the_total():
    view = ArithmeticView()
    view.show(arithmetic())
    shown = view.shown
    assert sum(shown["contributions"]) + shown["rest_sum"] + shown["bias"] == pytest.approx(shown["total"], abs=1e-9)


def test_a_layer_that_reads_the_picture_has_its_rows_in_the_order_red_green_blue():
    view, sums = ArithmeticView(), arithmetic(channels=3, colors=["blue", "green", "red"])
    view.show(sums)
    assert view.shown["names"] == ["red", "green", "blue"]
    assert view.shown["contributions"] == pytest.approx(sums.contributions[::-1].tolist())


def test_more_is_sent_on_request_up_to_all():
    view, sums = ArithmeticView(), arithmetic()
    view.show(sums)
    ask(view, number=view.shown["number"], count=32)
    assert (len(view.shown["names"]), view.shown["rest"]) == (32, 8)
    ask(view, number=view.shown["number"], count=64)
    assert (len(view.shown["names"]), view.shown["rest"], view.shown["rest_sum"]) == (40, 0, 0)


def test_a_request_for_more_of_an_older_sum_is_passed_over():
    view = ArithmeticView()
    view.show(arithmetic(seed=1))
    old = view.shown["number"]
    view.show(arithmetic(seed=2))
    ask(view, number=old, count=32)
    assert (view.shown["channel"], len(view.shown["names"])) == (2, 16)


def test_colours_stay_the_same_when_more_is_shown():
    view = ArithmeticView()
    view.show(arithmetic())
    before = [view.shown[name] for name in ("input_scale", "kernel_limit", "product_limit")]
    ask(view, number=view.shown["number"], count=64)
    assert [view.shown[name] for name in ("input_scale", "kernel_limit", "product_limit")] == before


def test_a_wide_layer_sends_less_than_thirty_kilobytes_at_first():
    view = ArithmeticView()
    view.show(arithmetic(channels=2048, side=5))
    assert size_of(view.shown) < 30_000


def test_a_pinned_view_keeps_its_sum_and_shows_the_newest_when_it_follows_again():
    view = ArithmeticView()
    view.show(arithmetic(seed=1), pin=True)
    assert view.pinned
    view.show(arithmetic(seed=2))
    view.show(arithmetic(seed=3))
    assert view.shown["channel"] == 1
    view.pinned = False
    assert view.shown["channel"] == 3


def test_a_newly_pinned_sum_takes_the_place_of_the_pinned_one():
    view = ArithmeticView()
    view.show(arithmetic(seed=1), pin=True)
    view.show(arithmetic(seed=2))
    view.show(arithmetic(seed=3), pin=True)
    assert (view.shown["channel"], view.pinned) == (3, True)
    view.pinned = False
    assert view.shown["channel"] == 3


def test_why_there_is_no_sum_takes_the_place_of_the_sum():
    view = ArithmeticView()
    view.show(arithmetic())
    view.fail("features.1 is a ReLU: it passes on max(0, x) of features.0")
    assert (view.shown, view.result) == ({}, None)
    assert "ReLU" in view.note
    view.show(arithmetic())
    assert view.note == ""
    view.show(None)
    assert (view.shown, view.note) == ({}, "")


def test_what_is_on_the_screen_can_be_taken_from_the_view():
    view, sums = ArithmeticView(), arithmetic()
    view.show(sums)
    assert view.result is sums


def test_numbers_that_json_cannot_carry_are_sent_as_none():
    sums = arithmetic(channels=2)
    broken = Arithmetic(
        **{**vars(sums), "contributions": np.array([np.nan, 1.0]), "total": float("inf"), "value": float("nan")}
    )
    view = ArithmeticView()
    view.show(broken)
    assert None in view.shown["contributions"]
    assert (view.shown["total"], view.shown["value"]) == (None, None)


def test_the_newest_sum_wins_whatever_thread_it_comes_from():
    view = ArithmeticView()
    threads = [threading.Thread(target=view.show, args=(arithmetic(seed=seed),)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = arithmetic(seed=7)
    view.show(last)
    assert (view.shown["channel"], view.result) == (7, last)
