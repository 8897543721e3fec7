"""t-SNE of handwritten digits' pixels: what the map keeps, what is shown on the way, and new digits put into it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import openTSNE
import openTSNE.affinity
import pytest
import torch
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness

from cnnviz_widgets.data import digits
from cnnviz_widgets.engine import Cancelled, Worker
from cnnviz_widgets.methods import tsne_map
from cnnviz_widgets.methods.nearest_rows import nearest_rows
from cnnviz_widgets.methods.principal_axes import principal_axes
from cnnviz_widgets.methods.tsne_map import fit_tsne, place_by_tsne, usable_perplexity

STEPS = 400


class Step(NamedTuple):
    points: NDArray[np.float32]
    iteration: int
    iterations: int
    divergence: float | None


class Made(NamedTuple):
    """A map of 600 digits, and 300 others."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    points: NDArray[np.float32]
    trace: NDArray[np.float32]
    steps: list[Step]
    new: NDArray[np.float32]
    new_labels: NDArray[np.int64]


@pytest.fixture(scope="module")
def made() -> Made:
    read = [digits(900).read(n) for n in range(900)]
    pixels = np.stack([np.asarray(picture.convert("L"), np.float32).ravel() for picture, _ in read])
    labels = np.array([label for _, label in read])
    vectors = principal_axes(pixels[:600], 50)(pixels)
    steps: list[Step] = []
    points, trace = fit_tsne(vectors[:600], 30, STEPS, 0, lambda *step: steps.append(Step(*step)))
    return Made(vectors[:600], labels[:600], points, trace, steps, vectors[600:], labels[600:])


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("test")
    yield worker
    worker.close()


def test_neighbours_on_the_map_are_neighbours_in_the_embedding(made: Made) -> None:
    kept = trustworthiness(made.vectors, made.points, n_neighbors=12)
    assert kept > 0.93 and kept > trustworthiness(made.vectors, made.vectors[:, :2], n_neighbors=12) + 0.1


def test_the_divergence_falls(made: Made) -> None:
    plain = made.trace[STEPS // 3 // 10 + 1 :]
    assert len(made.trace) == STEPS // 10 + 1
    assert plain[-1] < 0.5 * made.trace[0]
    assert (np.diff(plain) < 0.01).all()


def by_definition(affinities: Any, points: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
    """The divergence (van der Maaten & Hinton 2008, equation 2) and a quarter of its gradient (equation 5)."""
    p = affinities.toarray()
    way = points[:, None].astype(np.float64) - points[None]
    kernel = 1 / (1 + (way**2).sum(-1))
    np.fill_diagonal(kernel, 0)
    q, some = kernel / kernel.sum(), p > 0
    return (p[some] * np.log(p[some] / q[some])).sum(), (((p - q) * kernel)[..., None] * way).sum(1)


def alike(made: Made) -> Any:
    rows, distances = nearest_rows(made.vectors, made.vectors, 90, themselves=True)
    one_sided = tsne_map._affinities(rows, distances, 30, len(rows))
    return (one_sided + one_sided.T) / (2 * len(rows))


def test_affinities_are_those_of_opentsne_and_have_the_perplexity(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsne_map, "ROWS", 77)
    theirs = openTSNE.affinity.PerplexityBasedNN(made.vectors, 30, method="exact").P
    np.testing.assert_allclose(alike(made).toarray(), theirs.toarray(), atol=1e-9)
    rows, distances = nearest_rows(made.vectors, made.vectors, 90, themselves=True)
    told = tsne_map._affinities(rows, distances, 30, 600).toarray()
    entropy = -(told * np.log(told, where=told > 0, out=np.zeros_like(told))).sum(1)
    np.testing.assert_allclose(np.exp(entropy), 30, rtol=1e-3)


def test_the_divergence_is_that_of_its_definition(made: Made) -> None:
    assert made.trace[-1] == pytest.approx(by_definition(alike(made), made.points)[0], rel=0.01)


def test_every_tenth_step_is_shown_from_where_the_points_set_out_to_the_map_itself(made: Made) -> None:
    assert [step.iteration for step in made.steps] == [*range(0, STEPS, 10), STEPS]
    assert {step.iterations for step in made.steps} == {STEPS}
    first, last = made.steps[0], made.steps[-1]
    assert first.divergence is None
    for axis in (0, 1):
        assert np.corrcoef(first.points[:, axis], made.vectors[:, axis])[0, 1] > 0.999
    assert first.points[:, 0].std() == pytest.approx(1e-4, rel=0.01)
    np.testing.assert_array_equal(last.points, made.points)
    np.testing.assert_array_equal(np.array([s.divergence for s in made.steps[1:]], np.float32), made.trace[1:])


def test_the_same_seed_gives_the_same_map_to_the_last_bit_whatever_the_threads() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 10)).astype(np.float32)
    before = torch.get_num_threads()
    found = []
    for threads, seed in ((1, 0), (2, 0), (2, 1)):
        torch.set_num_threads(threads)
        found.append(fit_tsne(vectors, 20, 300, seed)[0])
    torch.set_num_threads(before)
    assert found[0].tobytes() == found[1].tobytes()
    assert np.abs(found[0] - found[2]).max() > 0.1


def test_the_grid_of_many_points_and_the_tree_of_few_give_the_gradient_of_the_paper(made: Made) -> None:
    options: dict[str, Any] = {"dof": 1, "bh_params": {"theta": 0.5}, "n_jobs": 1, "should_eval_error": True}
    options["fft_params"] = {"n_interpolation_points": 3, "min_num_intervals": 50, "ints_in_interval": 1}
    narrow = np.ascontiguousarray(made.points / np.ptp(made.points) * 30, np.float64)
    many = np.concatenate([narrow] * 5)
    divergence, gradient = by_definition(alike(made), narrow)
    assert tsne_map._forces(many) is not tsne_map._forces(many * 10) is tsne_map._forces(narrow)
    for like, error in ((narrow, 0.1), (many, 0.04)):
        told, found = tsne_map._forces(like)(narrow, alike(made), **options)
        assert told == pytest.approx(divergence, rel=0.02)
        assert np.linalg.norm(found - gradient) < error * np.linalg.norm(gradient)


@pytest.mark.parametrize("count", [4, 5, 10, 40])
def test_few_points_get_a_lower_perplexity_and_a_map(count: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    perplexity = usable_perplexity(30, count)
    assert 1.5 <= perplexity <= max((count - 1) / 3, 1.5)
    points, trace = fit_tsne(vectors, perplexity, 150, 0)
    assert np.isfinite(points).all() and points.std(0).min() > 0.1 and trace[-1] < trace[0]
    assert np.isfinite(place_by_tsne(vectors[:2] + 0.01, vectors, points)).all()


@pytest.mark.parametrize("vectors", [
    np.repeat(np.eye(2, 5), 40, 0), np.outer(np.arange(50), np.ones(4)), np.eye(60), np.eye(60) * 1e14,
    np.r_[np.zeros((90, 4)), np.eye(4)],
], ids=["two pictures many times", "a line", "all as far apart", "large numbers", "nearly all alike"])  # fmt: skip
def test_strange_collections_give_finite_maps_without_a_warning(
    vectors: NDArray[Any], recwarn: pytest.WarningsRecorder
) -> None:
    start = principal_axes(vectors.astype(np.float32), 50)(vectors)
    points, _ = fit_tsne(start, usable_perplexity(30, len(start)), 60, 0)
    assert np.isfinite(points).all() and points.std(0).max() > 0
    assert np.isfinite(place_by_tsne(start[:3], start, points)).all()
    assert not recwarn.list


def test_new_digits_are_placed_among_their_like(made: Made) -> None:
    def right(vectors: NDArray[np.float32], among: NDArray[np.float32]) -> float:
        votes = made.labels[nearest_rows(vectors, among, 10)[0]]
        return float(np.mean([np.bincount(vote).argmax() == label for vote, label in zip(votes, made.new_labels)]))  # noqa: B905

    placed = place_by_tsne(made.new, made.vectors, made.points)
    assert placed.dtype == np.float32 and placed.shape == (300, 2)
    assert right(placed, made.points) > right(made.new, made.vectors) - 0.05 > 0.7


def test_new_points_go_where_opentsne_puts_them(made: Made) -> None:
    affinities = openTSNE.affinity.PerplexityBasedNN(made.vectors, 30, method="exact")
    theirs = openTSNE.TSNEEmbedding(made.points, affinities, negative_gradient_method="bh", theta=0)
    middle = (made.points.max(0) + made.points.min(0)) / 2  # which openTSNE moves to the origin first
    placed = np.asarray(theirs.transform(made.new[:20])) + middle
    np.testing.assert_allclose(place_by_tsne(made.new[:20], made.vectors, made.points), placed, atol=0.02)


def test_new_points_do_not_see_each_other_and_few_go_where_many_go(made: Made) -> None:
    few = place_by_tsne(made.new[:8], made.vectors, made.points)
    alone = [place_by_tsne(made.new[n : n + 1], made.vectors, made.points)[0] for n in range(8)]
    np.testing.assert_allclose(few, alone, atol=1e-4)
    many = place_by_tsne(made.new[: tsne_map.FEW + 20], made.vectors, made.points)
    assert np.abs(few - many[:8]).max() < 0.02 * np.ptp(made.points)
    assert place_by_tsne(made.new[:0], made.vectors, made.points).shape == (0, 2)


def test_points_of_the_map_come_back_near_themselves(made: Made) -> None:
    placed = place_by_tsne(made.vectors[:100], made.vectors, made.points)
    away = np.linalg.norm(placed - made.points[:100], axis=1)
    assert np.median(away) < 0.05 * np.ptp(made.points)


@pytest.mark.parametrize("at", [0, 50])
def test_a_stopped_job_ends_within_half_a_second_wherever_it_is(worker: Worker, at: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 50)).astype(np.float32)
    asked: list[float] = []
    done: list[tuple[int, int | None]] = []

    def stop(points: Any, iteration: int, iterations: int, divergence: float | None) -> None:
        if iteration == at:
            asked.append(time.monotonic())
            job.cancel()

    job = worker.submit(lambda: fit_tsne(vectors, 30, 100_000, 0, stop),
                        on_progress=lambda job: done.append((job.done, job.total)))  # fmt: skip
    with pytest.raises(Cancelled):
        job.wait(60)
    assert time.monotonic() - asked[0] < 0.5 + 2 * _slowness()
    assert all(total is not None and total > 100_000 for _, total in done)
    assert [step for step, _ in done] == sorted(step for step, _ in done)


def _slowness() -> float:
    """Seconds that this machine takes now for what should take a tenth of one."""
    start = time.monotonic()
    np.linalg.norm(np.random.default_rng(0).normal(size=3_000_000))
    return time.monotonic() - start


def test_an_interrupt_goes_through_and_the_next_map_is_as_if_there_had_been_none() -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    expected = fit_tsne(vectors, 10, 60, 0)[0]

    def interrupt(points: Any, iteration: int, *rest: Any) -> None:
        if iteration == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_tsne(vectors, 10, 60, 0, interrupt)
    np.testing.assert_array_equal(fit_tsne(vectors, 10, 60, 0)[0], expected)
