"""Penalties against finite differences, rules against slow copies of their papers' sentences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from cnnviz_widgets.methods.synthesis.regularizers import (
    L2,
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    Penalty,
    RangePenalty,
    Regularizer,
    Rivals,
    TotalVariation,
)

PENALTIES = [
    L2(0.3),
    TotalVariation(0.2),
    TotalVariation(0.2, beta=1.0),
    TotalVariation(0.2, beta=3.0),
    RangePenalty(0.5),
    RangePenalty(0.5, 4.0),
]


def _pictures(seed: int = 0, shape: tuple[int, ...] = (2, 3, 7, 6)) -> Tensor:
    return 60 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_the_gradient_of_a_penalty_is_that_of_finite_differences(penalty: Penalty) -> None:
    u = _pictures().requires_grad_()
    assert torch.autograd.gradcheck(penalty, (u,), eps=1e-4, atol=1e-5, rtol=1e-5)


def test_l2_is_simonyans_squared_norm() -> None:
    u = _pictures()
    slow = [0.3 * sum(float(v) ** 2 for v in picture.flatten()) for picture in u]
    np.testing.assert_allclose(L2(0.3)(u), slow)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_total_variation_sums_mahendrans_differences(beta: float) -> None:
    u = _pictures()
    slow = np.zeros(2)
    for n, c, y, x in itertools.product(range(2), range(3), range(6), range(5)):
        here = u[n, c, y, x]
        slow[n] += float((u[n, c, y + 1, x] - here) ** 2 + (u[n, c, y, x + 1] - here) ** 2) ** (beta / 2)
    np.testing.assert_allclose(TotalVariation(0.2, beta)(u), 0.2 * slow, rtol=1e-6)


def test_range_is_mahendrans_alpha_norm() -> None:
    u = _pictures()
    slow = [0.5 * sum(abs(float(v) / 128) ** 6 for v in picture.flatten()) for picture in u]
    np.testing.assert_allclose(RangePenalty(0.5)(u), slow)


def test_rivals_cost_what_the_class_lacks_to_half_of_the_probability() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [9.0, 2.0, 3.0]], dtype=torch.float64)
    share = scores.softmax(1)[:, 0]
    np.testing.assert_allclose(Rivals(0.7)(scores, 0), [0.7 * float(((1 - share[0]) / share[0]).log()), 0.0])
    assert torch.autograd.gradcheck(lambda one: Rivals(0.7)(one, 1), (scores.requires_grad_(),))


def test_rivals_that_are_behind_everywhere_cost_nothing_and_pull_nowhere() -> None:
    scores = torch.tensor([[9.0, 2.0, 3.0], [8.0, 1.0, 3.0]], requires_grad=True)
    cost = Rivals()(scores, 0)
    assert cost.tolist() == [0.0, 0.0] and not cost.requires_grad


@pytest.mark.parametrize("penalty", [one for one in PENALTIES if one.of_differences], ids=repr)
def test_a_penalty_of_differences_does_not_ask_where_zero_is(penalty: Penalty) -> None:
    u, mean = _pictures(), torch.tensor([124.0, 117.0, 104.0], dtype=torch.float64).view(3, 1, 1)
    np.testing.assert_allclose(penalty(u + mean), penalty(u))


def test_a_class_alone_has_no_rivals() -> None:
    assert Rivals()(torch.ones(2, 1), 0).tolist() == [0.0, 0.0]


def test_decay_shrinks_every_value_by_its_share() -> None:
    u = _pictures()
    np.testing.assert_array_equal(Decay(0.3)(u, u, 1), u.numpy() * 0.7)


@pytest.mark.parametrize("radius", [0.3, 0.5, 1.0, 1.7])
def test_blur_is_scipys_gaussian_filter_with_mirrored_borders(radius: float) -> None:
    u = _pictures(shape=(2, 3, 23, 18))
    theirs = ndimage.gaussian_filter(u.numpy(), (0, 0, radius, radius), mode="mirror", radius=math.ceil(4 * radius))
    np.testing.assert_allclose(Blur(radius, 1)(u, u, 1), theirs, atol=1e-12)


def test_blur_comes_every_so_many_steps_and_not_between() -> None:
    u = _pictures()
    changed = [step for step in range(1, 13) if not torch.equal(Blur(0.5, 4)(u, u, step), u)]
    assert changed == [4, 8, 12]


def test_a_picture_of_one_pixel_can_be_blurred() -> None:
    u = _pictures(shape=(1, 3, 1, 1))
    np.testing.assert_allclose(Blur(1.0, 1)(u, u, 1), u)


def _percentile(values: list[float], share: float) -> float:
    """Between the two nearest of the sorted values."""
    ordered = sorted(values)
    place = share / 100 * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@pytest.mark.parametrize("share", [0, 20, 50, 90, 100])
def test_clip_norm_clears_pixels_whose_norm_over_colours_is_below_the_percentile(share: float) -> None:
    u = _pictures()
    slow = u.clone()
    for picture in slow:
        norms = {(y, x): math.sqrt(sum(float(v) ** 2 for v in picture[:, y, x])) for y in range(7) for x in range(6)}
        limit = _percentile(list(norms.values()), share)
        for (y, x), norm in norms.items():
            if norm < limit and not math.isclose(norm, limit):
                picture[:, y, x] = 0
    np.testing.assert_array_equal(ClipNorm(share)(u, torch.zeros_like(u), 1), slow)


@pytest.mark.parametrize("share", [0, 50, 90])
def test_clip_contribution_clears_pixels_whose_products_with_the_gradient_sum_to_little(share: float) -> None:
    u, gradient = _pictures(), _pictures(1)
    slow = u.clone()
    for n, picture in enumerate(slow):
        sums = {
            (y, x): abs(sum(float(u[n, c, y, x]) * float(gradient[n, c, y, x]) for c in range(3)))
            for y in range(7)
            for x in range(6)
        }
        limit = _percentile(list(sums.values()), share)
        for (y, x), size in sums.items():
            if size < limit and not math.isclose(size, limit):
                picture[:, y, x] = 0
    np.testing.assert_array_equal(ClipContribution(share)(u, gradient, 1), slow)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L2(-1.0), r"L2\(weight=-1.0\): wanted a finite number from 0 up"),
        (lambda: L2(float("nan")), "finite"),
        (lambda: Decay(1.5), r"Decay\(share=1.5\): wanted a number from 0 to 1"),
        (lambda: Blur(0.5, 0), r"Blur\(every=0\): wanted a whole number of steps from 1 up"),
        (lambda: ClipNorm(101), r"ClipNorm\(percentile=101\): wanted a number from 0 to 100"),
        (
            lambda: ClipContribution("90"),  # pyright: ignore[reportArgumentType]
            r"ClipContribution\(percentile='90'\)",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


def test_every_piece_tells_its_name_and_numbers() -> None:
    pieces: list[Regularizer] = [Blur(0.5, 4), L2(1e-4)]
    assert [piece.to_json() for piece in pieces] == [
        {"name": "Blur", "radius": 0.5, "every": 4},
        {"name": "L2", "weight": 1e-4},
    ]
