"""Maps of an index: what they are of, that they can be stopped, and that pictures find their place in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cnnviz_widgets import Engine, Gallery, Index, Projection, Result, digits, models, pca, place, tsne, umap
from cnnviz_widgets.engine import Cancelled

COUNT = 120


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(models.digit_net(), transform=models.DIGITS, categories=digits(1).classes)


@pytest.fixture(scope="module")
def index(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("maps") / "digits"
    return Index.build(engine, digits(COUNT), path, layers=["pool3", "fc1"], progress=False)


@pytest.fixture(scope="module")
def quick(index: Index) -> Projection:
    return tsne(index, perplexity=10, iterations=150)


@pytest.fixture
def others(engine: Engine, tmp_path: Path) -> Callable[..., Index]:
    """An index of other pictures (n, 28, 28)."""
    return lambda pictures: Index.build(engine, Gallery.from_arrays(pictures), tmp_path / "others", progress=False)


def noise(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28), np.uint8)


def test_a_map_says_what_it_is_of(index: Index, quick: Projection) -> None:
    assert quick.points.shape == (COUNT, 2) and quick.points.dtype == np.float32
    assert (quick.method, quick.layer, quick.index) == ("tsne", "pool3", index.identity)
    np.testing.assert_array_equal(quick.rows, np.arange(COUNT))
    np.testing.assert_array_equal(quick.labels, index.labels)
    np.testing.assert_array_equal(quick.predictions, index.predictions)
    np.testing.assert_array_equal(quick.correct, index.correct)
    assert quick.classes == index.classes and quick.categories == index.categories
    assert quick.parameters == {"perplexity": 10, "iterations": 150, "seed": 0, "axes": 50}
    assert "t-SNE" in quick.citation and repr(quick) == f"Projection(tsne at pool3: {COUNT} pictures)"


def test_a_lowered_perplexity_is_told(index: Index) -> None:
    made = tsne(index, "fc1", perplexity=100, iterations=20)
    assert made.layer == "fc1"
    assert made.parameters["perplexity"] == pytest.approx((COUNT - 1) / 3)
    assert made.parameters["asked_perplexity"] == 100


def test_pca_is_that_of_scikit_learn(index: Index) -> None:
    made = pca(index)
    vectors = np.asarray(index.embedding(), np.float64)
    other = PCA(50, svd_solver="full").fit(vectors)
    theirs = other.transform(vectors)[:, :2]
    signs = np.sign((made.points * theirs).sum(0))
    np.testing.assert_allclose(made.points, theirs * signs, atol=1e-5 * np.abs(theirs).max())
    np.testing.assert_allclose(made.trace, other.explained_variance_ratio_, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(pca(index).points, made.points)


def test_a_picture_of_the_index_lies_on_its_own_point_however_it_is_given(index: Index, quick: Projection) -> None:
    rows = [5, 60, 119]
    for images in (rows, np.array(rows), [index.picture(row) for row in rows], np.array(index.embedding()[rows])):
        np.testing.assert_array_equal(place(index, quick, images), quick.points[rows])
    np.testing.assert_array_equal(place(index, quick, 7), quick.points[[7]])
    flat = pca(index)
    np.testing.assert_allclose(place(index, flat, index.picture(3)), flat.points[[3]], atol=1e-4)


def test_a_new_picture_lies_between_its_neighbours(index: Index, quick: Projection) -> None:
    new = [digits(COUNT + 20)[n] for n in range(COUNT, COUNT + 20)]
    placed = place(index, quick, new)
    assert placed.dtype == np.float32 and placed.shape == (20, 2)
    apart = np.linalg.norm(index.embedding()[None] - index.embed(new)[:, None], axis=2)
    near = quick.points[apart.argsort(1)[:, :10]]
    away = np.linalg.norm(near - placed[:, None], axis=2).min(1)
    assert np.median(away) < 0.1 * np.ptp(quick.points)
    np.testing.assert_allclose(place(index, quick, new[4]), placed[[4]], atol=1e-3)
    np.testing.assert_allclose(place(index, quick, index.embed(new)), placed, atol=1e-3)


def test_pictures_and_rows_may_be_mixed_and_none_is_no_error(index: Index, quick: Projection) -> None:
    mixed = place(index, quick, [3, index.picture(4)])
    np.testing.assert_array_equal(mixed, quick.points[[3, 4]])
    assert place(index, quick, []).shape == (0, 2)


def test_a_saved_map_takes_in_pictures_when_it_is_loaded(index: Index, quick: Projection, tmp_path: Path) -> None:
    loaded = Result.load(quick.save(tmp_path / "map.npz"))
    assert isinstance(loaded, Projection)
    new = digits(COUNT + 1)[COUNT]
    np.testing.assert_array_equal(place(index, loaded, new), place(index, quick, new))


def test_a_map_of_other_pictures_is_refused(
    index: Index, quick: Projection, others: Callable[..., Index]
) -> None:  # fmt: skip
    with pytest.raises(ValueError, match=r"of another index.*the map has 120, the index 5.*tsne\(index\)"):
        place(others(noise(5)), quick, 0)
    with pytest.raises(TypeError, match="projection is a ndarray; wanted a map"):
        place(index, quick.points, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", [tsne, umap])
def test_too_few_pictures_are_an_error_that_names_pca_which_shows_them(
    method: Callable[..., Projection], others: Callable[..., Index]
) -> None:
    index = others(noise(3))
    with pytest.raises(ValueError, match="needs at least 4 pictures, the index has 3; pca shows so few"):
        method(index)
    assert np.isfinite(pca(index).points).all()


def test_pictures_that_are_all_alike_are_an_error_and_lie_on_one_point_in_pca(others: Callable[..., Index]) -> None:
    index = others(np.full((6, 28, 28), 77, np.uint8))
    with pytest.raises(ValueError, match="all 6 pictures have the same embedding at layer"):
        tsne(index)
    np.testing.assert_array_equal(pca(index).points, np.zeros((6, 2)))


def test_one_picture_is_a_point_in_pca(others: Callable[..., Index]) -> None:
    np.testing.assert_array_equal(pca(others(noise(1))).points, [[0, 0]])


def test_an_embedding_that_is_not_finite_is_an_error_that_names_the_picture(
    others: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = others(noise(5))
    broken = np.array(index.embedding())
    broken[3, 7] = np.nan
    monkeypatch.setattr(index, "embedding", lambda layer=None: broken)
    for method in (tsne, pca, umap):
        with pytest.raises(ValueError, match=r"the embedding of '3' \(row 3\) at layer .* is not finite"):
            method(index)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda index: tsne(index, perplexity=0.5), ValueError, "perplexity=0.5; wanted a finite number from 1 up"),
    (lambda index: tsne(index, perplexity=float("nan")), ValueError, "perplexity=nan"),
    (lambda index: tsne(index, iterations=0), ValueError, "iterations=0; wanted a whole number from 1 up"),
    (lambda index: tsne(index, seed=-1), ValueError, "seed=-1"),
    (lambda index: tsne(index, seed=2**32), ValueError, "below 2"),
    (lambda index: umap(index, neighbors=1), ValueError, "neighbors=1; wanted a whole number from 2 up"),
    (lambda index: pca(index, "pool4"), KeyError, "did you mean 'pool3'"),
    (lambda index: tsne(index.engine), TypeError, "the first argument is Engine; wanted an Index"),
    (lambda index: place(index, pca(index), 120), IndexError, "no row 120; the index has the rows 0 to 119"),
    (lambda index: place(index, pca(index), [0, -1]), IndexError, "no row -1"),
    (lambda index: place(index, pca(index), "nowhere.png"), FileNotFoundError, "nowhere.png"),
    (lambda index: place(index, pca(index), np.full((1, 64), np.nan)), ValueError, "not finite"),
])  # fmt: skip
def test_what_cannot_be_meant_is_an_error_that_says_so(
    index: Index, call: Callable[[Index], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call(index)


def test_in_a_job_a_map_reports_its_progress_and_can_be_stopped(index: Index) -> None:
    seen: list[int] = []

    def look(points: Any, iteration: int, iterations: int, divergence: float | None) -> None:
        seen.append(iteration)
        if iteration == 200:
            job.cancel()

    reported: list[float] = []
    job = index.engine.worker.submit(
        lambda: tsne(index, iterations=50_000, on_step=look),
        on_progress=lambda job: reported.append(job.done / (job.total or 1)),
    )
    with pytest.raises(Cancelled):
        job.wait(60)
    assert seen == list(range(0, 201, 10))
    assert reported == sorted(reported) and 0 < reported[-1] < 0.01


def test_umap_shows_itself_is_the_same_for_a_seed_and_takes_in_pictures(index: Index) -> None:
    shown: list[tuple[int, int]] = []
    made = umap(index, neighbors=500, on_step=lambda points, at, of, divergence: shown.append((at, of)))
    assert shown == [(at, 500) for at in range(0, 501, 10)]
    assert made.parameters["neighbors"] == COUNT and made.parameters["asked_neighbors"] == 500
    assert np.isfinite(made.points).all() and made.trace.shape == (0,)
    small, again, other = (umap(index, neighbors=8, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(small.points, again.points)
    assert np.abs(small.points - other.points).max() > 0.1
    # Neighbours in the embedding are neighbours on the map, far beyond chance (5 of 119).
    apart = ((index.embedding()[:, None] - index.embedding()[None]) ** 2).sum(-1) + np.diag([np.inf] * COUNT)
    on_map = ((small.points[:, None] - small.points[None]) ** 2).sum(-1) + np.diag([np.inf] * COUNT)
    kept = [len({*a} & {*b}) / 5 for a, b in zip(apart.argsort(1)[:, :5], on_map.argsort(1)[:, :5], strict=True)]
    assert np.mean(kept) > 0.35
    np.testing.assert_array_equal(place(index, small, [3, index.picture(4)]), small.points[[3, 4]])
    new = [digits(COUNT + 6)[n] for n in range(COUNT, COUNT + 6)]
    together = place(index, small, new)
    np.testing.assert_allclose(together, [place(index, small, picture)[0] for picture in new], atol=1e-4)
    nearest = small.points[np.linalg.norm(index.embedding()[None] - index.embed(new)[:, None], axis=2).argmin(1)]
    assert np.median(np.linalg.norm(together - nearest, axis=1)) < 0.2 * np.ptp(small.points)
    job = index.engine.worker.submit(
        lambda: umap(index, on_step=lambda points, at, of, divergence: job.cancel() if at == 20 else None)
    )
    with pytest.raises(Cancelled):
        job.wait(60)


def test_without_umap_learn_umap_says_what_to_install(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setitem(sys.modules, "umap.umap_", None)
    with pytest.raises(ImportError, match=r'pip install "cnnviz_widgets\[umap\]"'):
        umap(index)
