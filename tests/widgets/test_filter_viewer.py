"""What FilterViewer promises to a notebook without a browser: all from Python, in the background, nothing lost."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets import Engine, Filters, FilterSpectrum, FilterViewer, filter_spectrum, filters
from cnnviz_widgets.data import ImageError
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets import FilterCard

RGB = Preprocessing(resize=40, crop=40)
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))


class Net(nn.Module):
    """Colours, many channels, 1x1, transposed; and no convolution at all."""

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride)
        self.relu = nn.ReLU(inplace=True)
        self.deep = nn.Conv2d(8, 12, 3)
        self.point = nn.Conv2d(12, 6, 1)
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.up(self.point(self.deep(self.relu(self.stem(x))))).mean((2, 3)))


def engine_of(seed: int = 0, stride: int = 2) -> Engine:
    torch.manual_seed(seed)
    return Engine(Net(stride), transform=RGB, device="cpu")


@pytest.fixture
def engine() -> Engine:
    return engine_of()


@pytest.fixture
def viewer(engine: Engine) -> FilterViewer:
    viewer = FilterViewer(engine)
    viewer.wait(30)
    return viewer


def floats(data: bytes, *shape: int) -> Any:
    return np.frombuffer(data, "<f4").reshape(shape)


def test_it_opens_with_the_first_convolution_and_gives_what_the_functions_give(
    viewer: FilterViewer, engine: Engine
) -> None:
    assert (viewer.layer, viewer.order, viewer.selected) == ("stem", "index", None)
    assert isinstance(viewer.result, Filters) and isinstance(viewer.spectrum, FilterSpectrum)
    np.testing.assert_array_equal(viewer.result.weights, filters(engine).weights)
    np.testing.assert_array_equal(viewer.spectrum.power, filter_spectrum(engine).power)
    assert repr(viewer) == "FilterViewer(Net: stem)"


def test_the_menu_lists_the_convolutions_in_the_order_in_which_they_run(viewer: FilterViewer) -> None:
    menu = viewer.columns[0].menu
    assert [name for _, name in menu.options] == ["stem", "deep", "point", "up"]
    assert menu.options[0][0] == "stem · 8 of 5x5, stride 2" and menu.options[3][0].endswith("stride 2, transposed")
    assert menu.value == "stem"
    menu.value = "point"  # as on the screen
    viewer.wait(30)
    assert viewer.layer == "point" and viewer.result is not None and viewer.result.weights.shape == (6, 12, 1, 1)


def test_another_layer_forgets_the_filter_but_not_the_order(viewer: FilterViewer, engine: Engine) -> None:
    viewer.selected, viewer.order = 3, "similarity"
    viewer.layer = "deep"
    assert viewer.selected is None and viewer.result is None
    result = viewer.wait(30)
    assert result is not None and viewer.columns[0].menu.value == "deep"
    np.testing.assert_array_equal(result.order, filters(engine, "deep", order="similarity").order)
    assert viewer.order == "similarity" == viewer.columns[0].tiles.order


@pytest.mark.parametrize("order", ["index", "norm", "hue", "similarity"])
def test_every_order_is_that_of_the_function_and_needs_no_new_work(
    viewer: FilterViewer, engine: Engine, order: Any
) -> None:
    before = engine.worker.submitted
    viewer.order = order
    expected = filters(engine, order=order)
    assert viewer.result is not None and viewer.result.parameters == expected.parameters
    np.testing.assert_array_equal(viewer.result.order, expected.order)
    assert engine.worker.submitted == before
    assert viewer.columns[0].tiles.order == ("channel" if order == "index" else order)


def test_an_order_chosen_on_the_wall_is_the_viewers(viewer: FilterViewer) -> None:
    tiles = viewer.columns[0].tiles
    tiles.order = "hue"
    assert viewer.order == "hue"
    tiles.order = "activation"  # "strongest first": of filters that is their norm
    assert viewer.order == "norm" == tiles.order


def test_what_was_asked_for_before_the_network_was_opened_holds(engine: Engine) -> None:
    viewer = FilterViewer(engine, layer="deep")
    viewer.order, viewer.selected = "similarity", 7
    result = viewer.wait(30)
    assert result is not None and (result.layer, result.parameters["order"]) == ("deep", "similarity")
    assert viewer.selected == 7 == viewer.columns[0].tiles.selected
    assert viewer.columns[0].card.shown["title"] == "deep · filter 7"


def test_filters_that_are_not_in_colour_have_no_hue(viewer: FilterViewer) -> None:
    viewer.order = "hue"
    viewer.layer = "deep"
    viewer.wait(30)
    assert viewer.order == "index"
    with pytest.raises(traitlets.TraitError, match="deep are not in colour, so they have no hue"):
        viewer.order = "hue"
    assert viewer.order == "index" == viewer.columns[0].order


def test_the_card_shows_the_chosen_filter_its_spectrum_and_its_numbers(viewer: FilterViewer) -> None:
    result, spectrum, card = viewer.result, viewer.spectrum, viewer.columns[0].card
    assert result is not None and spectrum is not None
    assert card.shown["title"] == "stem · all 8 filters" and not card.shown["kernels"]
    mean = floats(card.shown["spectrum"]["data"], 65, 65)
    np.testing.assert_array_equal(mean[:64, :64], spectrum.power.mean(0))
    viewer.columns[0].tiles.selected = 5  # as on the screen
    assert viewer.selected == 5 and card.shown["title"] == "stem · filter 5"
    np.testing.assert_array_equal(floats(card.shown["kernels"]["data"], 3, 5, 5), result.weights[5])
    assert card.shown["spectrum"]["reach"] == [0.25, 0.25]
    numbers = {what: (value, layer) for what, value, layer in card.shown["numbers"]}
    assert numbers["length of the weights"] == (f"{result.norms[5]:.3g}", f"mean {result.norms.mean():.3g}")
    shares = 100 * spectrum.aliasing
    assert numbers["energy that aliases"] == (f"{shares[5]:.1f} %", f"mean {shares.mean():.1f} %")
    assert numbers["by length"][0] == f"{sorted(-result.norms).index(-result.norms[5]) + 1} of 8"


def test_of_many_kernels_the_strongest_are_on_the_card_and_a_1x1_is_a_rectangle(viewer: FilterViewer) -> None:
    card = viewer.columns[0].card
    viewer.layer = "deep"
    viewer.wait(30)
    viewer.selected = 2
    assert viewer.result is not None
    weights = viewer.result.weights[2]
    strongest = np.argsort(-np.linalg.norm(weights.reshape(8, -1), axis=1))
    assert card.shown["kernels"]["names"] == [f"← {k}" for k in strongest]
    np.testing.assert_array_equal(floats(card.shown["kernels"]["data"], 8, 3, 3), weights[strongest])
    viewer.layer = "point"
    viewer.wait(30)
    viewer.selected = 0
    assert card.shown["kernels"]["shape"] == [1, 3, 4]
    np.testing.assert_array_equal(
        floats(card.shown["kernels"]["data"], 12), viewer.result.weights[0].ravel() if viewer.result else []
    )


def test_a_picture_adds_the_aliasing_of_responses_and_can_be_another_one(engine: Engine) -> None:
    viewer = FilterViewer(engine, image=PICTURE)
    viewer.wait(30)
    expected = filter_spectrum(engine, image=PICTURE).response_aliasing
    assert viewer.spectrum is not None and viewer.spectrum.response_aliasing is not None and expected is not None
    np.testing.assert_array_equal(viewer.spectrum.response_aliasing, expected)
    assert [what for what, *_ in viewer.columns[0].card.shown["numbers"]][-1] == "response that aliases"
    assert f"{100 * expected.mean():.1f} %" in viewer.columns[0].words.value
    viewer.image = None
    viewer.wait(30)
    assert viewer.image is None and viewer.spectrum.response_aliasing is None


def test_a_transposed_convolution_has_filters_and_says_why_it_has_no_spectrum(viewer: FilterViewer) -> None:
    viewer.layer = "up"
    assert viewer.wait(30) is not None and viewer.spectrum is None
    assert "nothing aliases" in viewer.columns[0].card.note and viewer.columns[0].tiles.error == ""


def test_two_networks_stand_side_by_side_each_with_its_own_choice(engine: Engine) -> None:
    other = engine_of(1, stride=4)
    viewer = FilterViewer(engine, other)
    viewer.wait(30)
    first, second = viewer.columns
    assert viewer.children == (first, second) and first.result is not None and second.result is not None
    np.testing.assert_array_equal(second.result.weights, filters(other).weights)
    assert second.spectrum is not None and second.spectrum.parameters["stride"] == [4, 4]
    viewer.selected, second.selected = 1, 2
    assert (first.selected, second.selected) == (1, 2)
    second.layer = "deep"
    viewer.wait(30)
    assert first.layer == viewer.layer == "stem"
    viewer.order = "similarity"  # both
    assert first.order == second.order == "similarity"
    viewer.order = "hue"  # the second is not in colour
    assert (first.order, second.order) == ("hue", "similarity")
    assert repr(viewer) == "FilterViewer(Net: stem, Net: deep)"


def test_what_is_no_convolution_is_said_under_the_tiles_and_raised_by_wait(viewer: FilterViewer) -> None:
    viewer.layer = "relu"
    with pytest.raises(ValueError, match=r"'relu' \(ReLU\) does no convolution.*'stem', 'deep'"):
        viewer.wait(30)
    assert viewer.result is None
    assert viewer.columns[0].tiles.status["state"] == "error"
    assert "does no convolution" in viewer.columns[0].tiles.status["text"]
    viewer.layer = "deep"
    assert viewer.wait(30) is not None
    assert viewer.columns[0].tiles.status["state"] == "done" and viewer.columns[0].tiles.error == ""


def test_what_cannot_be_meant_is_an_error_and_changes_nothing(viewer: FilterViewer, engine: Engine) -> None:
    for name, value, words in (
        ("layer", "stam", "did you mean 'stem'"),
        ("order", "similar", "did you mean 'similarity'"),
        ("selected", 8, "no filter 8; those of stem go from 0 to 7"),
    ):
        before = getattr(viewer, name)
        with pytest.raises(traitlets.TraitError, match=words):
            setattr(viewer, name, value)
        assert getattr(viewer, name) == before, name
        assert getattr(viewer.columns[0], name) == before, name
    with pytest.raises(traitlets.TraitError, match="no layer 'nowhere'"):
        FilterViewer(engine, layer="nowhere")
    with pytest.raises(TypeError, match="network 2 is str; wanted an Engine"):
        FilterViewer(engine, "alexnet")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ImageError):
        FilterViewer(engine, image=np.zeros((4, 4, 7)))


def test_handlers_return_at_once_and_the_newest_layer_wins(engine: Engine) -> None:
    viewer = FilterViewer(engine)
    viewer.wait(30)
    gate, begun = threading.Event(), threading.Event()
    engine.worker.submit(lambda: (begun.set(), gate.wait(20)))
    assert begun.wait(20)
    for layer in ("deep", "point", "up", "point"):  # the worker is busy: nothing is computed here
        viewer.layer = layer
    assert viewer.result is None and viewer.columns[0].tiles.status["state"] == "running"
    gate.set()
    result = viewer.wait(30)
    assert result is not None and result.layer == "point"


def test_refresh_shows_weights_that_were_trained_meanwhile(viewer: FilterViewer, engine: Engine) -> None:
    viewer.selected = 4
    stem: Any = engine.modules["stem"]
    with torch.no_grad():
        stem.weight.mul_(2)
    before = viewer.result
    viewer.refresh()
    after = viewer.wait(30)
    assert before is not None and after is not None and viewer.selected == 4
    np.testing.assert_allclose(after.weights, 2 * before.weights, rtol=1e-6)


def test_an_empty_card_and_one_without_a_spectrum_say_so() -> None:
    card = FilterCard()
    assert repr(card) == "FilterCard(empty)"
    card.show(None)
    assert card.shown == {}
    card.show(filters(engine_of()), None, 1, "computing the spectra")
    assert card.shown["spectrum"] == {} and card.note == "computing the spectra"
    assert repr(card) == "FilterCard(stem · filter 1)"
