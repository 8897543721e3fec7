"""Principal axes, against scikit-learn's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from cnnviz_widgets.methods import principal_axes as module
from cnnviz_widgets.methods.principal_axes import principal_axes

RNG = np.random.default_rng(0)


def mixed(count: int, width: int) -> np.ndarray:
    """Vectors whose axes differ clearly, far from the origin."""
    turned = np.linalg.qr(RNG.normal(size=(width, width)))[0]
    return (RNG.normal(size=(count, width)) * 0.8 ** np.arange(width) @ turned + 20).astype(np.float32)


@pytest.mark.parametrize(("count", "width"), [(200, 12), (12, 200), (40, 40), (5, 3)])
def test_axes_shares_and_coordinates_are_those_of_scikit_learn(
    count: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", 7)  # parts of a large collection
    vectors = mixed(count, width)
    most = min(6, count - 1, width)
    mine = principal_axes(vectors, most)
    other = PCA(most, svd_solver="full").fit(vectors.astype(np.float64))
    np.testing.assert_allclose(mine.shares, other.explained_variance_ratio_, rtol=1e-6)
    signs = np.sign((mine.axes * other.components_).sum(1))
    np.testing.assert_allclose(mine.axes, other.components_ * signs[:, None], atol=1e-5)
    np.testing.assert_allclose(mine(vectors), other.transform(vectors) * signs, atol=1e-4)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_each_axis_points_to_where_its_largest_number_is_positive(shape: tuple[int, int]) -> None:
    vectors = mixed(*shape)
    axes = principal_axes(vectors, 5).axes
    assert (np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1) > 0).all()
    np.testing.assert_allclose(principal_axes(vectors[::-1].copy(), 5).axes, axes, atol=1e-6)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_there_are_as_many_axes_as_directions_in_which_vectors_differ(shape: tuple[int, int]) -> None:
    plane = RNG.normal(size=(shape[0], 2)) @ RNG.normal(size=(2, shape[1])) + 5
    assert len(principal_axes(plane.astype(np.float32), 5).axes) >= 2
    assert principal_axes(plane.astype(np.float32), 5).shares[:2].sum() == pytest.approx(1)
    assert principal_axes(np.full(shape, 0.1, np.float32), 5).axes.shape == (0, shape[1])
    assert principal_axes(np.ones((1, 4), np.float32), 5)(np.ones((1, 4))).shape == (1, 0)
