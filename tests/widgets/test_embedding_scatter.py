"""What EmbeddingScatter promises to a notebook without a browser: true neighbours, a map that grows, nothing stale."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets import neighbors, pca, place
from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import Index
from cnnviz_widgets.methods import tsne_map
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Projection
from cnnviz_widgets.widgets import scatter_jobs, scatter_maps, scatter_query
from cnnviz_widgets.widgets.camera_frame import Frame
from cnnviz_widgets.widgets.embedding_scatter import EmbeddingScatter

SOON = 60.0
COUNT, STEPS = 60, 40
NAMES = ("red", "green", "blue")


class SmallNet(nn.Module):
    """Sees colours; its classes are the strongest channel."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


def gallery(count: int = COUNT, labels: bool = True) -> Gallery:
    random = np.random.default_rng(0)
    kinds = np.arange(count) % 3
    pictures = random.integers(0, 90, (count, 16, 16, 3), dtype=np.uint8)
    pictures[np.arange(count), :, :, kinds] += 120
    return Gallery.from_arrays(pictures, kinds if labels else None, classes=NAMES if labels else None)


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(SmallNet(), transform=Preprocessing(resize=16, crop=16), categories=NAMES, device="cpu")


@pytest.fixture(scope="module")
def index(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index") / "index"
    return Index.build(engine, gallery(), folder, layers=["features.3", "features.1"], progress=False)


class Gate:
    """Holds a map up after some of its steps, where it can still be stopped and asked."""

    def __init__(self) -> None:
        self.after: int | None = None
        self.made = 0
        self.reached, self.go_on = threading.Event(), threading.Event()

    def hold(self, after: int) -> None:
        self.after = after
        self.reached.clear()
        self.go_on.clear()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Maps of few steps, each of which is told; held up when wanted."""
    gate = Gate()

    def small(index: Index, choice: scatter_maps.MapChoice, on_step: Any) -> Projection:
        def step(points: Any, done: int, total: int, kl: float | None) -> None:
            on_step(points, done, total, kl)
            while gate.after is not None and done >= gate.after and not gate.go_on.wait(0.002):
                gate.reached.set()
                checkpoint()

        gate.made += 1
        if choice.projection == "pca":
            return pca(index, choice.layer)
        return scatter_maps.tsne(
            index, choice.layer, perplexity=choice.perplexity, iterations=STEPS, seed=choice.seed, on_step=step
        )

    monkeypatch.setattr(scatter_jobs, "make_map", small)
    monkeypatch.setattr(scatter_jobs, "OFTEN", 0.0)
    return gate


@pytest.fixture
def scatter(index: Index, gate: Gate) -> EmbeddingScatter:
    scatter = EmbeddingScatter(index)
    scatter.wait(SOON)
    return scatter


def moves(scatter: EmbeddingScatter) -> list[np.ndarray]:
    """The places that the map will be told of from now on."""
    found: list[np.ndarray] = []
    scatter.map.observe(lambda _change: found.append(scatter.map.places.copy()), "points")
    return found


def photo(seed: int = 5) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def test_the_map_on_the_screen_is_the_result(scatter: EmbeddingScatter, index: Index):
    found = scatter.result
    assert found is not None and found.method == "tsne" and found.layer == "features.3"
    np.testing.assert_array_equal(scatter.map.places, found.points)
    np.testing.assert_array_equal(found.labels, index.labels)
    assert scatter.map.status["state"] == "done" and "40 steps" in str(scatter.map.status["text"])
    assert scatter.map.label == "t-SNE of features.3"


def test_the_map_is_seen_while_it_converges(index: Index, gate: Gate):
    gate.hold(20)
    scatter = EmbeddingScatter(index)
    assert gate.reached.wait(SOON)
    assert scatter.result is None
    assert scatter.map.status["state"] == "running" and "of 40" in str(scatter.map.status["text"])
    early, seen = scatter.map.places.copy(), moves(scatter)
    gate.go_on.set()
    scatter.wait(SOON)
    assert len(seen) >= 2, "the map jumped to its end"
    assert not np.allclose(early, seen[-1])
    assert scatter.map.status["progress"] is None


def test_neither_map_nor_neighbours_are_computed_in_the_callers_thread(
    scatter: EmbeddingScatter, monkeypatch: pytest.MonkeyPatch
):
    threads: set[int] = set()

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            threads.add(threading.get_ident())
            return function(*arguments, **options)

        return call

    for name in ("make_map", "first_points", "neighbors", "place", "show_selection"):
        monkeypatch.setattr(scatter_jobs, name, noted(getattr(scatter_jobs, name)))
    scatter.layer = "features.1"
    scatter.query = 3
    scatter.selection = range(9)
    scatter.image = photo()
    scatter.wait(SOON)
    assert threads and threading.get_ident() not in threads


def test_stop_keeps_the_picture_as_it_is_and_it_is_a_result(index: Index, gate: Gate):
    gate.hold(20)
    scatter = EmbeddingScatter(index)
    assert gate.reached.wait(SOON)
    scatter.stop()
    found = scatter.wait(SOON)
    assert scatter.map.status == {"state": "stopped", "text": "stopped at step 20 of 40", "progress": None}
    assert found is not None and found.parameters["iterations"] == 20
    np.testing.assert_array_equal(scatter.map.places, found.points)
    gate.go_on.set()
    scatter.refresh()
    whole = scatter.wait(SOON)
    assert whole is not None and whole.parameters["iterations"] == STEPS


def test_another_layer_restarts_the_map_with_the_same_points_and_the_latest_wins(index: Index, gate: Gate):
    gate.hold(10)
    scatter = EmbeddingScatter(index)
    assert gate.reached.wait(SOON)
    points = scatter.map.points["id"]
    scatter.layer = "features.1"
    scatter.layer = "features.3"
    scatter.layer = "features.1"
    gate.go_on.set()
    found = scatter.wait(SOON)
    assert found is not None and found.layer == "features.1"
    assert scatter.map.points["id"] == points, "other points, which do not glide"
    assert scatter.map.label == "t-SNE of features.1"
    np.testing.assert_array_equal(scatter.map.places, found.points)


def test_going_back_to_a_finished_map_computes_nothing_and_needs_no_worker(scatter: EmbeddingScatter, gate: Gate):
    first = scatter.result
    scatter.layer = "features.1"
    scatter.wait(SOON)
    made = gate.made
    busy = threading.Event()
    scatter.index.engine.worker.submit(lambda: busy.wait(SOON))
    try:
        scatter.layer = "features.3"
        assert scatter.result is first
        assert first is not None
        np.testing.assert_array_equal(scatter.map.places, first.points)
    finally:
        busy.set()
    scatter.wait(SOON)
    assert gate.made == made


def test_perplexity_and_seed_make_another_map_and_pca_asks_for_neither(scatter: EmbeddingScatter, gate: Gate):
    made = gate.made
    scatter.seed = 1
    found = scatter.wait(SOON)
    assert found is not None and found.parameters["seed"] == 1
    scatter.perplexity = 5
    found = scatter.wait(SOON)
    assert found is not None and found.parameters["perplexity"] == 5
    assert gate.made == made + 2
    scatter.projection = "pca"
    found = scatter.wait(SOON)
    assert found is not None and found.method == "pca"
    np.testing.assert_array_equal(found.points, pca(scatter.index).points)
    assert "% of the variance" in str(scatter.map.status["text"])
    scatter.seed, scatter.perplexity = 2, 7
    scatter.wait(SOON)
    assert gate.made == made + 3


def test_a_clicked_point_is_looked_for_and_its_neighbours_are_those_of_the_method(scatter: EmbeddingScatter):
    scatter.map._hear({"type": "click", "points": scatter.map.points["id"], "point": 7})
    scatter.wait(SOON)
    assert scatter.query == 7 == scatter.map.selected
    near, alike = scatter.neighbors, scatter.pixel_neighbors
    assert near is not None and alike is not None
    np.testing.assert_array_equal(near.rows, neighbors(scatter.index, 7).rows)
    np.testing.assert_array_equal(alike.rows, neighbors(scatter.index, 7, space="pixels").rows)
    assert scatter._parts.near.numbers == tuple(near.rows)
    assert scatter._parts.alike.numbers == tuple(alike.rows)
    assert scatter.source.shown["kind"] == "index"
    (mark,) = scatter.map.marks
    assert scatter.result is not None
    assert (mark["x"], mark["y"]) == tuple(map(float, scatter.result.points[7]))
    assert mark["lines_to"] == near.rows.tolist()


def test_neighbours_say_name_distance_and_what_is_misclassified(scatter: EmbeddingScatter):
    scatter.query = 7
    scatter.wait(SOON)
    near, wall = scatter.neighbors, scatter._parts.near.wall
    assert near is not None
    assert wall["captions"][0] == f"{near.names[0]}\n{near.distances[0]:.3g}"
    assert [mark == "wrong" for mark in wall["marks"]] == (scatter.index.correct[near.rows] == 0).tolist()
    assert wall["title"].startswith("Nearest by features.3: ")


def test_neighbours_are_found_between_two_steps_of_a_map_and_the_mark_comes_when_it_is_finished(
    index: Index, gate: Gate
):
    gate.hold(10)
    scatter = EmbeddingScatter(index)
    assert gate.reached.wait(SOON)
    found = threading.Event()
    scatter._parts.alike.observe(lambda _change: found.set(), "wall")
    scatter.image = photo()
    assert found.wait(SOON), "the neighbours wait for the map"
    assert scatter.result is None and scatter.neighbors is not None
    assert scatter.map.marks == []
    gate.go_on.set()
    whole = scatter.wait(SOON)
    (mark,) = scatter.map.marks
    assert whole is not None
    np.testing.assert_allclose([mark["x"], mark["y"]], place(index, whole, photo())[0], rtol=1e-5)
    assert Image.open(io.BytesIO(mark["thumbnail"])).size == (16, 16)


def test_another_layer_k_or_metric_looks_again(scatter: EmbeddingScatter):
    scatter.query = 7
    scatter.wait(SOON)
    scatter.layer, scatter.k, scatter.metric = "features.1", 3, "euclidean"
    scatter.wait(SOON)
    wanted = neighbors(scatter.index, 7, 3, "euclidean", layer="features.1")
    assert scatter.neighbors is not None and scatter.pixel_neighbors is not None
    np.testing.assert_array_equal(scatter.neighbors.rows, wanted.rows)
    assert len(scatter.pixel_neighbors.rows) == 3
    assert scatter.map.marks[0]["lines_to"] == wanted.rows.tolist()


def test_a_dropped_picture_is_looked_for_and_is_no_row(scatter: EmbeddingScatter):
    scatter.query = 7
    scatter.wait(SOON)
    file = io.BytesIO()
    photo().save(file, "PNG")
    scatter.map._call("file", "mine.png", file.getvalue())
    scatter.wait(SOON)
    assert scatter.query is None is scatter.map.selected
    assert scatter.image is not None and scatter.image.size == (16, 16)
    assert scatter.neighbors is not None
    np.testing.assert_array_equal(scatter.neighbors.rows, neighbors(scatter.index, photo()).rows)
    assert scatter.map.marks[0]["name"] == "mine.png"
    assert scatter.source.shown["name"] == "mine.png"
    scatter.query = None
    scatter.query = 3
    scatter.query = None
    scatter.wait(SOON)
    assert scatter.image is None is scatter.neighbors
    assert scatter.map.marks == [] and scatter._parts.near.numbers == ()


def test_a_picture_in_a_strip_or_on_the_wall_is_looked_for_when_it_is_picked(scatter: EmbeddingScatter):
    scatter.query = 7
    scatter.selection = [4, 9]
    scatter.wait(SOON)
    first = scatter._parts.near.numbers[0]
    scatter._parts.near._pick(0)
    assert scatter.query == first
    scatter._parts.chosen._pick(1)
    assert scatter.query == 9
    scatter.wait(SOON)


def test_each_frame_of_the_camera_is_answered_and_the_last_one_stays(scatter: EmbeddingScatter):
    sent: list[Any] = []
    scatter.source.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    scatter.source.live, scatter.source.page = True, "page"
    for number in (1, 2):
        file = io.BytesIO()
        photo(number).save(file, "JPEG", quality=95)
        scatter.source._answer(None, {"type": "camera", "number": number, "page": "page"}, [file.getvalue()])
        scatter.wait(SOON)
    assert [number for content in sent if content["type"] == "done" for number in content["numbers"]] == [1, 2]
    query = scatter._jobs.query
    assert query is not None and isinstance(query.given, Frame)
    assert len(scatter.map.marks) == 1
    scatter.source.live = False
    scatter.wait(SOON)
    assert scatter.image is not None and scatter.neighbors is not None
    np.testing.assert_array_equal(scatter.neighbors.rows, neighbors(scatter.index, scatter.image).rows)


def test_a_lasso_is_a_selection_in_python_and_a_wall_of_its_pictures(scatter: EmbeddingScatter):
    rows = np.array([2, 5, 11], "<u4")
    message = {"type": "selection", "points": scatter.map.points["id"], "number": 1}
    scatter.map._answer(None, message, [rows.tobytes(), np.zeros((4, 2)).tobytes()])
    scatter.wait(SOON)
    assert scatter.selection == (2, 5, 11) == scatter._parts.chosen.numbers
    assert [one.key for one in scatter.selected_pictures] == ["2", "5", "11"]
    scatter.selection = scatter.index.labels == 1
    scatter.wait(SOON)
    assert scatter.map.selection == scatter.selection == tuple(range(1, COUNT, 3))
    scatter.selection = ()
    assert scatter.map.selection == () == scatter._parts.chosen.numbers


def test_colours_follow_what_is_asked_for(scatter: EmbeddingScatter, index: Index):
    assert scatter.color_by == "label" and scatter.map.groups["names"] == list(NAMES)
    scatter.color_by = "correct"
    assert scatter.map.groups["names"] == ["right", "wrong"]
    assert scatter.map.groups["counts"] == [int((index.correct == 1).sum()), int((index.correct == 0).sum())]
    scatter.color_by = "probability"
    assert scatter.map.values["name"] == "probability" and scatter.map.scale == [0, 1]
    scatter.color_by = "prediction"
    assert scatter.map.values == {} and scatter.map.scale is None
    counts = [int((index.predictions == number).sum()) for number in range(3)]
    assert (scatter.map.groups["names"], scatter.map.groups["counts"]) == (list(NAMES), counts)


def test_misclassified_pictures_stand_out(scatter: EmbeddingScatter, index: Index):
    wrong = index.correct == 0
    assert wrong.any(), "the untrained network should be wrong somewhere"
    shown = np.unpackbits(np.frombuffer(scatter.map.highlight["bits"], np.uint8), bitorder="little")[:COUNT]
    np.testing.assert_array_equal(shown.astype(bool), wrong)
    scatter.color_by = "correct"
    assert scatter.map.highlight == {}, "the colours say it already"
    scatter.color_by = "probability"
    assert scatter.map.highlight["count"] == wrong.sum()


def test_a_point_says_what_its_picture_is_and_shows_it(scatter: EmbeddingScatter, index: Index):
    row = int(np.flatnonzero(index.correct == 0)[0])
    ((name, lines),) = scatter.map._words.answer(scatter.map.words["source"], [row])["words"]
    about = index.about(row)
    assert name == about.label_name
    assert dict(lines)["prediction"] == f"{about.prediction_name}, {about.probability:.0%} (wrong)"
    assert dict(lines)["picture"] == about.key
    fetch = scatter.map._thumbnails[1]
    assert fetch is not None and fetch(row) == index.thumbnail(row)


def test_the_controls_and_python_say_the_same(scatter: EmbeddingScatter):
    parts = scatter._parts
    parts.layer.value, parts.k.value, parts.metric.value = "features.1", 5, "euclidean"
    parts.color_by.value, parts.projection.value, parts.perplexity.value = "correct", "pca", 12.0
    assert (scatter.layer, scatter.k, scatter.metric) == ("features.1", 5, "euclidean")
    assert (scatter.color_by, scatter.projection, scatter.perplexity) == ("correct", "pca", 12.0)
    assert parts.perplexity.layout.display == "none" == parts.seed.layout.display
    scatter.layer, scatter.k, scatter.projection = "features.3", 200, "tsne"
    assert (parts.layer.value, parts.k.value, parts.projection.value) == ("features.3", 200, "tsne")
    assert scatter.k == 200
    assert parts.perplexity.layout.display == ""
    scatter.wait(SOON)


@pytest.mark.parametrize(
    ("name", "value", "near"),
    [
        ("layer", "features.2", "features.3"),
        ("projection", "tsen", "tsne"),
        ("color_by", "lable", "label"),
        ("metric", "cosin", "cosine"),
        ("query", COUNT, "0 to 59"),
        ("selection", [3, COUNT], "0 to 59"),
    ],
)
def test_what_cannot_be_is_refused_and_what_is_near_is_named(
    scatter: EmbeddingScatter, name: str, value: object, near: str
):
    before = getattr(scatter, name)
    with pytest.raises(traitlets.TraitError, match=near):
        setattr(scatter, name, value)
    assert getattr(scatter, name) == before


def test_what_goes_wrong_is_shown_under_the_map_and_raised_by_wait(
    scatter: EmbeddingScatter, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_arguments: Any, **_options: Any) -> None:
        raise RuntimeError("no such neighbour")

    monkeypatch.setattr(scatter_jobs, "neighbors", broken)
    scatter.query = 3
    with pytest.raises(RuntimeError, match="no such neighbour"):
        scatter.wait(SOON)
    assert scatter.map.error == "no such neighbour"
    monkeypatch.setattr(scatter_jobs, "neighbors", neighbors)
    scatter.query = 4
    scatter.wait(SOON)
    assert scatter.map.error == ""


def test_without_labels_colours_are_predictions_and_nothing_is_called_wrong(engine: Engine, tmp_path: Path, gate: Gate):
    index = Index.build(engine, gallery(12, labels=False), tmp_path / "index", progress=False)
    scatter = EmbeddingScatter(index)
    scatter.query = 5
    scatter.selection = [1, 2]
    assert scatter.wait(SOON) is not None
    assert scatter.color_by == "prediction"
    assert scatter.map.highlight == {}
    assert scatter._parts.near.wall["captions"][0].split("\n")[0] == scatter.neighbors.keys[0]  # type: ignore[union-attr]
    with pytest.raises(traitlets.TraitError, match="prediction"):
        scatter.color_by = "label"


def test_one_picture_is_a_map_too(engine: Engine, tmp_path: Path, gate: Gate):
    index = Index.build(engine, gallery(1), tmp_path / "index", progress=False)
    scatter = EmbeddingScatter(index)
    found = scatter.wait(SOON)
    assert found is not None and found.method == "pca"
    assert "at least 4 pictures" in scatter._parts.note.value
    scatter.query = 0
    scatter.wait(SOON)
    assert scatter.neighbors is not None and len(scatter.neighbors.rows) == 0
    scatter.projection = "tsne"
    with pytest.raises(ValueError, match="at least 4"):
        scatter.wait(SOON)
    assert scatter.map.status["state"] == "error"


def test_of_many_pictures_it_begins_with_pca_says_why_and_makes_tsne_when_asked(
    index: Index, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scatter_maps, "MANY", COUNT - 1)
    scatter = EmbeddingScatter(index)
    found = scatter.wait(SOON)
    assert found is not None and found.method == "pca"
    assert "minutes for 60 pictures" in scatter._parts.note.value and scatter._parts.note.layout.display == ""
    scatter.projection = "tsne"
    found = scatter.wait(SOON)
    assert found is not None and found.method == "tsne"
    assert scatter._parts.note.layout.display == "none"
    assert EmbeddingScatter(index, projection="tsne").projection == "tsne"


def test_its_own_tsne_is_the_methods(index: Index):
    """Without the gate: the map that is made is that of `tsne` with its own number of steps."""
    choice = scatter_maps.MapChoice("features.3", "tsne", 10.0, 3)
    seen: list[int] = []
    found = scatter_maps.make_map(index, choice, lambda _points, step, *_rest: seen.append(step))
    assert found.parameters["perplexity"] == 10 and found.parameters["seed"] == 3
    assert seen[0] == 0 and seen[-1] == found.parameters["iterations"]


def test_a_map_begins_on_the_page_where_tsne_sets_out(index: Index):
    start = scatter_maps.first_points(index, scatter_maps.MapChoice("features.3", "tsne", 30.0, 0))
    seen: list[np.ndarray] = []
    tsne_map.fit_tsne(pca_vectors(index), 10, 1, 0, lambda points, *_rest: seen.append(points))
    np.testing.assert_allclose(start, seen[0], atol=5e-6)


def pca_vectors(index: Index) -> np.ndarray:
    vectors = index.embedding("features.3")
    found = pca(index, "features.3").points
    return np.hstack([found, np.zeros((len(vectors), 1), np.float32)])


def test_it_wants_an_index_and_says_what_it_shows(scatter: EmbeddingScatter, engine: Engine):
    assert repr(scatter) == "EmbeddingScatter(arrays: t-SNE of features.3, 60 pictures)"
    with pytest.raises(TypeError, match="wanted an Index"):
        EmbeddingScatter(engine)  # type: ignore[arg-type]


def test_a_network_of_grey_pictures_offers_some_of_its_own_and_not_the_photos(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    grey = Preprocessing(resize=16, crop=16, mean=(0.0,), std=(1.0,), channels="L")
    index = Index.build(Engine(net, transform=grey, categories=NAMES), gallery(), tmp_path / "grey", progress=False)
    offered = scatter_query.to_choose_from(index)
    assert list(offered) == ["red (0)", "green (1)", "blue (2)"]
    assert offered["green (1)"].tobytes() == index.picture(1).tobytes()
    assert EmbeddingScatter(index, projection="pca").source.names == list(offered)
