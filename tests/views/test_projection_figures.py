"""What the figure of a map shows, read from its artists and its rendered pixels."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any, cast

import matplotlib.text
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.results import Projection, Result
from cnnviz_widgets.views.layout import png
from cnnviz_widgets.views.palette import distinct_colors

RNG = np.random.default_rng(0)
NAMES = ("ant", "bee", "cat")


def chart(count: int = 90, method: str = "tsne", **changes: Any) -> Projection:
    labels = np.arange(count) % 3
    about: dict[str, Any] = {
        "method": method,
        "layer": "features.9",
        "parameters": {"perplexity": 30.0, "iterations": 750, "neighbors": 15, "epochs": 500},
        "points": np.array([[0, 0], [30, 5], [10, 40]])[labels] + RNG.normal(size=(count, 2)),
        "rows": np.arange(count),
        "labels": labels,
        "classes": NAMES,
        "predictions": (labels + (np.arange(count) < 9)) % 3,
        "categories": NAMES,
        "correct": (np.arange(count) >= 9).astype(np.int8),
        "trace": np.array([0.5, 0.25, 0.01], np.float32),
        "index": "abc",
    }
    return Projection(**{**about, **changes})


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in cast(Any, figure).findobj(matplotlib.text.Text) if t.get_text()]


def rendered(figure: Figure) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png(figure)[0])) as picture:
        return np.asarray(picture.convert("RGB"))


def dots(figure: Figure) -> PathCollection:
    (found,) = figure.axes[0].collections
    assert isinstance(found, PathCollection)
    return found


def colour_of_each(figure: Figure) -> dict[tuple[float, ...], tuple[int, ...]]:
    """Place (rounded) to colour, of every point."""
    places, colours = np.asarray(dots(figure).get_offsets()), np.asarray(dots(figure).get_facecolors())
    return {tuple(p.round(3)): tuple(np.rint(c[:3] * 255).astype(int)) for p, c in zip(places, colours, strict=True)}


@pytest.mark.parametrize("color_by", ["label", "prediction"])
def test_each_point_has_the_colour_of_its_class_and_the_list_says_which_and_how_many(color_by: str) -> None:
    result = chart()
    figure = result.plot(color_by=color_by)
    numbers = result.labels if color_by == "label" else result.predictions
    assert numbers is not None
    ranked = np.argsort(-np.bincount(numbers), kind="stable") if color_by == "prediction" else np.arange(3)
    colours = dict(zip(ranked.tolist(), distinct_colors(3).tolist(), strict=True))
    seen = colour_of_each(figure)
    assert len(seen) == 90
    for point, number in zip(result.points.astype(np.float64), numbers, strict=True):
        assert list(seen[tuple(point.round(3))]) == colours[int(number)]
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == [f"{NAMES[c]} ({np.sum(numbers == c)})" for c in ranked]
    marks = [np.rint(255 * np.array(cast(Any, mark).get_color())).astype(int).tolist() for mark in legend.get_lines()]
    assert marks == [colours[int(c)] for c in ranked]


def test_what_is_wrong_is_drawn_last_larger_and_in_another_colour() -> None:
    result = chart()
    figure = result.plot(color_by="correct")
    places, sizes = np.asarray(dots(figure).get_offsets()), np.asarray(dots(figure).get_sizes())
    assert {tuple(p.round(3)) for p in places[-9:]} == {tuple(p.round(3)) for p in result.points[:9].astype(float)}
    assert sizes[-9:].min() > sizes[:-9].max()
    assert {"right (81)", "wrong (9)"} <= set(texts(figure))
    assert len(set(colour_of_each(figure).values())) == 2


def test_the_list_lies_beside_the_map_and_never_over_its_points() -> None:
    for result in (chart(), chart(40, classes=("a name as long as a whole sentence about it", "b", "c")), chart(3)):
        figure = result.plot()
        figure.canvas.draw()
        renderer = cast(Any, figure.canvas).get_renderer()
        box, frame = figure.legends[0].get_window_extent(renderer), figure.axes[0].get_window_extent()
        assert box.x0 > frame.x1 and box.x1 < figure.bbox.x1 and box.y0 > 0 and box.y1 < figure.bbox.y1


@pytest.mark.parametrize("points", [
    RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2)) * [100, 1], RNG.normal(size=(50, 2)) * [1, 1000],
    np.zeros((50, 2)), RNG.normal(size=(1, 2)), np.outer(np.arange(5), [1, 0]), np.zeros((0, 2)),
])  # fmt: skip
@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_every_point_is_within_the_map_and_a_unit_is_as_long_across_as_up(points: Any, method: str) -> None:
    count = len(points)
    result = chart(count, method, points=points)
    figure = result.plot()
    figure.canvas.draw()
    ax = figure.axes[0]
    pixels = ax.transData.transform(np.asarray(result.points, float).reshape(-1, 2))
    frame = ax.get_window_extent()
    assert ((pixels > frame.p0) & (pixels < frame.p1)).all()
    unit = ax.transData.transform([(1, 1)]) - ax.transData.transform([(0, 0)])
    assert unit[0, 0] == pytest.approx(unit[0, 1], rel=1e-3)
    for axes in figure.axes:
        box = axes.get_tightbbox(cast(Any, figure.canvas).get_renderer())
        assert box is not None and box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


def test_axes_have_numbers_in_pca_alone_and_the_rest_says_that_they_mean_nothing() -> None:
    flat = chart(method="pca").plot()
    assert {"first axis: 50.0 % of the variance", "second axis: 25.0 % of the variance"} <= set(texts(flat))
    assert len(flat.axes[0].get_xticks()) > 1
    assert any("the two axes hold 75.0 % of the variance" in text for text in texts(flat))
    for method in ("tsne", "umap"):
        figure = chart(method=method).plot()
        assert not len(figure.axes[0].get_xticks()) and not len(figure.axes[0].get_yticks())
        assert "only who lies next to whom has a meaning" in " ".join(texts(figure)).replace("\n", " ")


def test_the_heading_says_what_was_done() -> None:
    assert "t-SNE · features.9" in texts(chart().plot())
    said = " ".join(texts(chart(parameters={"perplexity": 1.5, "asked_perplexity": 30.0, "iterations": 9}).plot()))
    assert "perplexity 1.5 (30 is too much for so few), 9 iterations" in said.replace("\n", " ")
    assert "15 neighbours, 500 epochs" in " ".join(texts(chart(method="umap").plot())).replace("\n", " ")


def test_names_stand_at_the_middle_of_their_points_and_none_over_another() -> None:
    result = chart()
    figure = result.plot()
    names = {text.get_text(): text for text in figure.axes[0].texts}
    assert set(names) == set(NAMES)
    for number, name in enumerate(NAMES):
        middle = np.median(result.points[result.labels == number], axis=0)
        np.testing.assert_allclose(names[name].get_position(), middle, atol=0.05 * np.ptp(result.points))
    crowded = chart(90, points=RNG.normal(size=(90, 2))).plot()
    crowded.canvas.draw()
    boxes = [text.get_window_extent() for text in crowded.axes[0].texts]
    assert len(boxes) >= 2
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[n + 1 :])
    assert not result.plot(names=False).axes[0].texts


def test_of_many_classes_the_largest_have_a_colour_and_the_rest_is_grey_beneath() -> None:
    count = 3000
    labels = np.minimum(RNG.integers(0, 60, count), RNG.integers(0, 60, count))
    result = chart(count, labels=labels, classes=tuple(f"c{n}" for n in range(60)), points=RNG.normal(size=(count, 2)),
                   predictions=None, correct=None)  # fmt: skip
    figure = result.plot()
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(entries) == 20 and entries[-1].startswith(f"{len(set(labels)) - 19} other classes (")
    assert sum(int(entry.split("(")[1][:-1]) for entry in entries) == count
    largest = {f"c{c} ({n})" for c, n in Counter(labels.tolist()).most_common(15)}
    assert largest <= set(entries)
    colours = [tuple(c[:3]) for c in np.asarray(dots(figure).get_facecolors())]
    grey = colours[0]
    assert colours.index(next(c for c in colours if c != grey)) == colours.count(grey)
    assert not figure.axes[0].texts, "so many names would be a thicket"


def test_without_labels_all_points_have_one_colour_and_there_is_no_list() -> None:
    result = chart(labels=np.full(90, -1), classes=(), predictions=None, correct=None)
    for options in ({}, {"color_by": None}):
        figure = result.plot(**cast(Any, options))
        assert not figure.legends and len(set(colour_of_each(figure).values())) == 1
    partly = chart(labels=np.where(np.arange(90) < 30, -1, np.arange(90) % 3))
    assert "no label (30)" in texts(partly.plot())
    assert "7 (30)" in texts(chart(labels=np.where(np.arange(90) < 30, 7, 0)).plot()), "a label without a name"


def test_a_hundred_thousand_points_are_small_pale_and_pixels_in_a_vector_file(tmp_path: Path) -> None:
    count = 100_000
    figure = chart(count, points=RNG.normal(size=(count, 2))).plot()
    many, few = dots(figure), dots(chart(50).plot())
    assert many.get_rasterized() and not few.get_rasterized()
    assert many.get_sizes().max() < 0.1 * few.get_sizes().min()
    assert np.asarray(many.get_facecolors())[:, 3].max() < np.asarray(few.get_facecolors())[:, 3].min()
    assert chart(5000).save(tmp_path / "map.svg").stat().st_size < 5e5
    assert dots(chart().plot(size=10, alpha=0.5)).get_sizes().max() == 100


def test_class_names_are_never_read_as_formulas() -> None:
    figure = chart(classes=("$x^2$", "a_b", "$")).plot()
    rendered(figure)
    assert "$x^2$ (30)" in texts(figure)


def test_it_can_be_drawn_into_somebodys_axes() -> None:
    mine = Figure(figsize=(5, 3))
    ax = mine.add_subplot()
    assert chart().plot(ax) is ax
    mine.canvas.draw()
    assert ax.collections and not mine.legends


@pytest.mark.parametrize(("result", "options", "words"), [
    (chart(), {"color_by": "labels"}, "color_by is 'label', 'prediction', 'correct' or None, not 'labels'; did you"),
    (chart(predictions=None), {"color_by": "prediction"}, "does not hold what the network took its pictures for"),
    (chart(correct=np.full(90, -1, np.int8)), {"color_by": "correct"}, "nobody knows what is correct here"),
    (chart(), {"size": 0}, "size is above 0, not 0"),
    (chart(), {"alpha": 2}, "alpha is above 0 and at most 1, not 2"),
])  # fmt: skip
def test_an_option_that_cannot_be_meant_is_an_error(result: Projection, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        result.plot(**options)


def test_a_saved_map_comes_back_as_it_was(tmp_path: Path) -> None:
    result = chart()
    loaded = Result.load(result.save(tmp_path / "map.npz"))
    assert isinstance(loaded, Projection)
    for name in ("points", "rows", "labels", "predictions", "correct", "trace"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(result, name))
    assert (loaded.classes, loaded.categories, loaded.index) == (NAMES, NAMES, "abc")
    with pytest.raises(
        ValueError, match=r"Projection.labels has the shape \(N,\) with N = 90 as in points, not \(2,\)"
    ):
        chart(labels=np.zeros(2, np.int64))
