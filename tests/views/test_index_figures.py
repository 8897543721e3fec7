"""Figures of neighbours, patches and classes of a unit: the very pixels in order, and words that fit."""

from __future__ import annotations

from typing import Any, cast

import matplotlib.text
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnviz_widgets.results import Neighbors, Patches, Unit, UnitClasses
from cnnviz_widgets.views.captioned import Captioned, fitted, sized
from cnnviz_widgets.views.colour import color_attribution
from tests.views.test_figures import rendered, texts

RNG = np.random.default_rng(0)
UNIT = Unit("features.3", 2)


def near(k: int = 8, side: int = 96, **changes: Any) -> Neighbors:
    about: dict[str, Any] = {
        "image": RNG.integers(0, 256, (224, 224, 3), np.uint8), "method": "neighbors", "layer": "features.12",
        "parameters": {"metric": "cosine", "space": "embedding", "k": k, "row": None}, "rows": np.arange(k),
        "distances": np.linspace(0.01, 0.9, k), "pictures": RNG.integers(0, 256, (k, side, side, 3), np.uint8),
        "names": [f"name {n}" for n in range(k)], "keys": [f"{n}.jpg" for n in range(k)],
    }  # fmt: skip
    return Neighbors(**{**about, **changes})


def patches(k: int = 9, side: int = 15, channels: int = 3, **changes: Any) -> Patches:
    about: dict[str, Any] = {
        "target": UNIT, "target_name": str(UNIT), "layer": UNIT.layer, "method": "top_patches",
        "parameters": {"projection": "deconvnet", "seen": "receptive field", "frame": [224, 224], "rectified": True},
        "rows": np.arange(k), "boxes": np.tile([0, 0, side, side], (k, 1)), "positions": np.zeros((k, 2), int),
        "activations": np.linspace(9, 1, k), "pictures": RNG.integers(0, 256, (k, side, side, 3), np.uint8),
        "projections": RNG.normal(size=(k, channels, side, side)) * np.arange(1, k + 1)[:, None, None, None],
        "names": [f"name {n}" for n in range(k)], "labels": np.zeros(k, int), "predictions": np.zeros(k, int),
    }  # fmt: skip
    return Patches(**{**about, **changes})


def classes(n: int = 20, over: str = "pictures", **changes: Any) -> UnitClasses:
    values = np.linspace(3, -1, n) if over == "pictures" else np.arange(n, 0, -1)
    about: dict[str, Any] = {
        "target": UNIT, "target_name": str(UNIT), "layer": UNIT.layer, "method": "unit_classes",
        "parameters": {"by": "label", "over": over, "without": 0}, "names": [f"class {i}" for i in range(n)],
        "classes": np.arange(n), "values": values, "spreads": np.full(n, 0.25) * (over == "pictures"),
        "counts": np.full(n, 4000) if over == "pictures" else values,
    }  # fmt: skip
    return UnitClasses(**{**about, **changes})


def tiles_of(figure: Figure, ax: Axes, places: Captioned) -> np.ndarray:
    """(count, h, w, 3) what is drawn at the places of a grid, read from the rendered figure."""
    pixels, box = rendered(figure), ax.get_window_extent()
    top, left = round(pixels.shape[0] - box.y1), round(box.x0)
    assert (round(box.height), round(box.width)) == places.size
    corners = [places.corner(number) for number in range(places.count)]
    height, width = places.shape
    return np.stack([pixels[top + y : top + y + height, left + x : left + x + width] for y, x in corners])


def words_fit(figure: Figure) -> None:
    """All words are on the sheet, and none lies on another."""
    figure.canvas.draw()
    sheet = figure.bbox
    found = [text for text in cast(Any, figure).findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in found]
    for text, box in zip(found, boxes, strict=True):
        inside = box.x0 >= -1 and box.x1 <= sheet.x1 + 1 and box.y0 >= -1 and box.y1 <= sheet.y1 + 1
        assert inside, text.get_text()
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert not (one.shrunk(0.98, 0.7)).overlaps(other.shrunk(0.98, 0.7)), found[i].get_text()


def test_neighbours_are_drawn_in_order_beside_what_was_asked_each_pixel_whole() -> None:
    result = near()
    figure = result.plot()
    asked, grid = figure.axes
    seen = tiles_of(figure, grid, Captioned(8, (192, 192), 4))
    assert (seen == result.pictures.repeat(2, 1).repeat(2, 2)).all()
    assert (asked.get_window_extent().height, asked.get_window_extent().width) == pytest.approx((448, 448))
    assert asked.get_window_extent().y1 == pytest.approx(grid.get_window_extent().y1)
    said = texts(figure)
    assert "name 0 | 0.01" in said and "name 7 | 0.9" in said
    assert "nearest first, by cosine distance between their embeddings" in said.replace("\n", " ")


@pytest.mark.parametrize("k", [0, 1, 5, 11])
@pytest.mark.parametrize("side", [8, (60, 96)])
def test_words_under_neighbours_fit_whatever_their_number_and_size(k: int, side: Any) -> None:
    height, width = side if isinstance(side, tuple) else (side, side)
    pictures = RNG.integers(0, 256, (k, height, width, 3), np.uint8)
    names = [("a very long name, with a\nline break " * 3)[: 3 + 9 * n] for n in range(k)]
    figure = near(k, pictures=pictures, names=names).plot()
    words_fit(figure)
    if not k:
        assert "no other picture" in texts(figure)


def test_pixel_neighbours_say_that_they_are() -> None:
    said = texts(near(layer=None, parameters={"metric": "euclidean", "space": "pixels"}).plot())
    assert "by Euclidean distance between their reduced pixels" in said.replace("\n", " ")


@pytest.mark.parametrize(("side", "times"), [(3, 59), (111, 2), (207, 1)])
def test_patches_and_projections_are_two_grids_in_one_order_each_pixel_whole(side: int, times: int) -> None:
    result = patches(6, side)
    figure = result.plot(columns=3)
    seen, back = figure.axes
    places = Captioned(6, (side * times, side * times), 3)
    assert (tiles_of(figure, seen, places) == result.pictures.repeat(times, 1).repeat(times, 2)).all()
    coloured = np.stack([color_attribution(one) for one in result.projections])
    assert (tiles_of(figure, back, places) == coloured.repeat(times, 1).repeat(times, 2)).all()
    assert seen.get_window_extent().y0 == back.get_window_extent().y0
    words_fit(figure)


def test_a_projection_s_own_scale_stands_under_it_and_the_value_under_its_patch() -> None:
    result = patches(k=4)
    said = texts(result.plot(percentile=None))
    for value, name, projection in zip(result.activations, result.names, result.projections, strict=True):
        assert f"{value:.4g} | {name}" in said
        assert f"± {np.abs(projection).max():.2g}" in said


def test_large_patches_are_reduced_to_the_mean_of_what_a_pixel_stands_for() -> None:
    pictures = RNG.integers(0, 256, (2, 352, 352, 3), np.uint8)
    means = pictures.reshape(2, 176, 2, 176, 2, 3).mean((2, 4))
    assert np.abs(sized(pictures, 176) - means).max() <= 1  # rounded once along each axis
    assert sized(pictures[:, :176], 176).shape == (2, 88, 176, 3)


def test_patches_without_projections_are_one_grid() -> None:
    figure = patches(projections=np.empty((9, 0, 15, 15)), parameters={"projection": None, "frame": [224, 224]}).plot()
    assert len(figure.axes) == 1
    assert "projection" not in texts(figure)
    with pytest.raises(ValueError, match="there are no projections"):
        patches(projections=np.empty((9, 0, 15, 15))).plot(Figure().add_subplot(), panel="projections")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "it sees 15x15 pixels;"),
        ({"boxes": np.tile([0, 0, 9, 15], (9, 1))}, "it sees 15x15 pixels, grey outside the picture;"),
        ({"parameters": {"frame": [15, 15], "projection": "saliency"}}, "it sees all of the picture"),
        ({"parameters": {"seen": "whole frame"}}, "is not known"),
        ({"parameters": {"rectified": False}}, "the gradient, for there is no rectifier below"),
    ],
)
def test_the_caption_says_how_much_a_patch_is_and_how_it_was_projected(changes: dict[str, Any], said: str) -> None:
    assert said in texts(patches(**changes).plot()).replace("\n", " ")


@pytest.mark.parametrize("k", [0, 1, 7])
def test_any_number_of_patches_is_a_sheet(k: int) -> None:
    figure = patches(k).plot()
    words_fit(figure)
    if not k:
        assert "no picture" in texts(figure)


def test_bars_have_their_values_spreads_and_counts() -> None:
    figure = classes().plot(most=6)
    (ax,) = figure.axes
    assert [bar.get_width() for bar in cast(Any, ax.patches)] == pytest.approx(np.linspace(3, -1, 20)[:6])
    (lines,) = [one for one in ax.collections if len(cast(Any, one).get_segments()) == 6]
    assert cast(Any, lines).get_segments()[0][:, 0] == pytest.approx([2.75, 3.25])
    assert [text.get_text() for text in ax.get_yticklabels()] == [f"class {i}" for i in range(6)]
    said = texts(figure).replace("\n", " ")
    assert "the first 6 of 20" in said and "4,000" in said and "standard deviation" in said
    words_fit(figure)


def test_counted_patches_are_said_to_be_counted() -> None:
    figure = classes(3, "strongest patches", parameters={"over": "strongest patches", "by": "prediction", "without": 2})
    said = texts(figure.plot()).replace("\n", " ")
    assert "where its 6 strongest patches come from, by most probable class; 2 without one left out" in said
    assert "±" not in said


@pytest.mark.parametrize("make", [near, patches, classes])
def test_with_axes_of_one_s_own_the_main_panel_alone_is_drawn(make: Any) -> None:
    figure = Figure()
    ax = figure.add_subplot()
    assert make().plot(ax) is ax
    assert figure.axes == [ax]
    assert ax.get_title(loc="left")


def test_options_that_cannot_be_are_refused() -> None:
    for call, said in (
        (lambda: near().plot(columns=0), "columns is at least 1, not 0"),
        (lambda: patches().plot(columns=0), "columns is at least 1, not 0"),
        (lambda: patches().plot(panel="patch"), "panel is 'patches' or 'projections', not 'patch'"),
        (lambda: classes().plot(most=0), "most is at least 1, not 0"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


def test_a_text_is_cut_to_its_width_on_one_line() -> None:
    assert fitted("two\nlines", 900) == "two lines"
    assert fitted("W" * 40, 100).endswith("…") and 2 < len(fitted("W" * 40, 100)) < 12
