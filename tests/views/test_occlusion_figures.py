"""Figures of occlusion maps: each place where the patch is centred, the base in the middle of the colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

from cnnviz_widgets.results import OcclusionMap, Unit
from cnnviz_widgets.views.colour import Scale, colorize, lookup_table
from cnnviz_widgets.views.palette import distinct_colors
from tests.views.test_figures import rendered, seen_in, texts

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 56, 3), np.uint8)
FILL = np.full((40, 56, 3), (10, 200, 30), np.uint8)
NAMES = {3: "tabby", 5: "tiger cat", 9: "a $name$ to read"}


def occlusion_map(**changes: Any) -> OcclusionMap:
    about: dict[str, Any] = {
        "image": IMAGE, "fill": FILL, "method": "occlusion", "target": 3, "target_name": "tabby",
        "parameters": {"patch": 16, "stride": 8, "output": "score"},
        "scores": RNG.normal(size=(4, 6)), "tops": np.arange(4) * 8, "lefts": np.arange(6) * 8, "size": (16, 16),
        "base": 0.25,
    }  # fmt: skip
    return OcclusionMap(**{**about, **changes})


def with_classes(**changes: Any) -> OcclusionMap:
    classes = np.full((4, 6), 5)
    classes[0, :3], classes[3, 5] = 3, 9
    return occlusion_map(classes=classes, class_names=NAMES, **changes)


def places(starts: np.ndarray, size: int, stride: int, length: int) -> list[int]:
    """Slowly: which place each pixel stands for; -1 for none."""
    found = []
    for pixel in range(length):
        near = [n for n, s in enumerate(starts) if abs(pixel + 0.5 - (s + size / 2)) <= min(stride, size) / 2]
        found.append(near[0] if near else -1)
    return found


def middle_of(scale: Scale) -> tuple[int, ...]:
    return tuple(lookup_table(scale.colormap)[128])


@pytest.mark.parametrize(
    ("size", "stride"), [((16, 16), 8), ((12, 8), 8), ((6, 6), 8)], ids=["overlap", "edge", "gaps"]
)
def test_a_cell_stands_where_its_patch_is_centred_in_the_colour_of_its_score(size: Any, stride: int) -> None:
    found = occlusion_map(size=size)
    figure = found.plot(opacity=1.0)
    seen = seen_in(figure, figure.axes[1], IMAGE.shape)
    reach = np.abs(found.scores.astype(float) - found.base).max()
    colours = colorize(found.scores, Scale(found.base - reach, found.base + reach, "RdBu_r"))[..., :3]
    grey = np.rint(IMAGE @ [0.299, 0.587, 0.114])
    rows, columns = places(found.tops, size[0], stride, 40), places(found.lefts, size[1], stride, 56)
    assert set(rows) == {-1, 0, 1, 2, 3}
    for y, i in enumerate(rows):
        for x, j in enumerate(columns):
            expected = [grey[y, x]] * 3 if min(i, j) < 0 else colours[i, j]
            assert (seen[y, x] == expected).all(), (y, x)


def test_the_score_without_a_patch_is_the_middle_of_the_colours_and_marked_on_the_bar() -> None:
    scores = np.full((4, 6), 0.25)
    scores[0, 0] = -3.75
    figure = occlusion_map(scores=scores).plot(opacity=1.0)
    seen = seen_in(figure, figure.axes[1], IMAGE.shape)
    table = lookup_table("RdBu_r")
    assert tuple(seen[8, 8]) == tuple(table[0, :3])  # lowest: the blue end
    assert tuple(seen[20, 30]) in {tuple(table[127, :3]), tuple(table[128, :3])}
    (bar,) = [ax for ax in figure.axes[1].child_axes]
    assert bar.get_ylim() == (-3.75, 4.25)
    assert [list(np.ravel(line.get_ydata())) for line in bar.lines] == [[0.25, 0.25]]
    assert "without a patch 0.25" in texts(figure)


def test_a_map_that_nothing_moves_is_of_one_colour() -> None:
    figure = occlusion_map(scores=np.full((4, 6), 0.25)).plot(opacity=1.0)
    seen = seen_in(figure, figure.axes[1], IMAGE.shape)
    assert len(np.unique(seen[8:32, 8:48].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("shape", ["square", "disc"])
def test_the_patch_is_drawn_to_scale_where_the_score_is_lowest(shape: str) -> None:
    scores = np.zeros((4, 6))
    scores[2, 4] = -1.5
    mask = None if shape == "square" else np.hypot(*np.indices((16, 16)) - 7.5) <= 8
    figure = occlusion_map(scores=scores, mask=mask).plot()
    inner, outer = np.zeros((40, 56), bool), np.zeros((40, 56), bool)
    outer[14:34, 30:50] = True  # with its outline
    if mask is None:
        inner[18:30, 34:46] = True
    else:
        inner[16:32, 32:48] = np.hypot(*np.indices((16, 16)) - 7.5) < 6
    seen = seen_in(figure, figure.axes[0], IMAGE.shape)
    assert (seen[inner] == FILL[0, 0]).all()
    assert (seen[~outer] == IMAGE[~outer]).all()
    outline = figure.axes[0].patches[0]
    box = outline.get_extents().transformed(figure.axes[0].transData.inverted())
    assert isinstance(outline, Rectangle if mask is None else Ellipse)
    assert sorted((box.x0, box.x1)) == pytest.approx([31.5, 47.5], abs=0.05)
    assert sorted((box.y0, box.y1)) == pytest.approx([15.5, 31.5], abs=0.05)
    assert "lowest with the patch here: -1.5" in texts(figure)


def test_classes_have_distinct_colours_and_their_names_beside_them_the_most_frequent_first() -> None:
    found = with_classes()
    figure = found.plot(opacity=1.0)
    panel = figure.axes[2]
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["tiger cat", "tabby", "a $name$ to read"]
    seen = seen_in(figure, panel, IMAGE.shape)
    colours = distinct_colors(3)
    assert (
        (seen[20, 20] == colours[0]).all() and (seen[8, 8] == colours[1]).all() and (seen[31, 47] == colours[2]).all()
    )
    assert len(rendered(figure))  # a dollar in a name is a dollar


def test_rare_classes_share_one_colour_and_are_counted() -> None:
    classes = np.minimum(np.arange(24), 13).reshape(4, 6)
    figure = occlusion_map(classes=classes, class_names={n: f"class {n}" for n in range(14)}).plot()
    legend = figure.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][-1] == "4 others" and len(legend.get_texts()) == 11


def test_what_is_not_computed_yet_shows_the_picture() -> None:
    whole = with_classes()
    scores, classes = whole.scores.copy(), np.array(whole.classes)
    scores[1:], classes[1:] = np.nan, -1
    for found in (replace(whole, scores=scores, classes=classes), replace(whole, scores=scores * np.nan)):
        figure = found.plot(opacity=1.0)
        seen = seen_in(figure, figure.axes[1], IMAGE.shape)
        assert (seen[16:] == np.rint(IMAGE @ [0.299, 0.587, 0.114])[16:, :, None]).all()
    none = replace(whole, scores=scores * np.nan, classes=np.full((4, 6), -1))
    assert none.plot().axes[2].get_legend() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "score with the patch there"),
        ({"parameters": {"output": "probability"}}, "probability with the patch there"),
        ({"target": Unit("conv", 3), "target_name": "conv channel 3"}, "total response with the patch there"),
        ({"target": Unit("conv", 3, 1, 2)}, "activation with the patch there"),
    ],
)
def test_the_bar_says_what_the_numbers_are(changes: Any, words: str) -> None:
    figure = occlusion_map(**changes).plot()
    (bar,) = figure.axes[1].child_axes
    assert bar.get_ylabel() == words
    assert "Occlusion · " in texts(figure)


def test_one_panel_can_be_drawn_into_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert with_classes().plot(left) is left
    assert with_classes().plot(right, panel="classes") is right
    assert right.get_legend() is not None and left.images and not left.get_legend()
    with pytest.raises(ValueError, match=r"holds no classes; ask for them: occlusion\(\.\.\., most_probable=True\)"):
        occlusion_map().plot(right, panel="classes")
    with pytest.raises(ValueError, match="panel is 'score' or 'classes', not 'both'"):
        occlusion_map().plot(right, panel="both")


def test_maps_can_be_locked_to_one_scale() -> None:
    (bar,) = occlusion_map().plot(locked=(-5, 7)).axes[1].child_axes
    assert bar.get_ylim() == (-5, 7)
