"""Views against a slow lookup, and laws: no change moves nothing, a shift is a cut, four quarter turns are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cnnviz_widgets.methods.synthesis.transforms import Jitter, Rotate, Scale, View, look, views_of


def _pictures(height: int = 12, width: int = 10, count: int = 2) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.rand((count, 3, height, width), generator=random, dtype=torch.float64)


def _mirrored(place: float, length: int) -> float:
    """A coordinate in pixels, -0.5 being the left edge, folded back into the picture."""
    period = 2 * length
    place = (place + 0.5) % period
    return min(max(min(place, period - place) - 0.5, 0.0), length - 1.0)


def _slowly(picture: Tensor, view: View, size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel: turn and scale its distance from the middle, shift it, look it up between four pixels."""
    _, height, width = picture.shape
    found = np.zeros((3, *size))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    for y in range(size[0]):
        for x in range(size[1]):
            up, across = y + top + 0.5 - height / 2, x + left + 0.5 - width / 2
            cosine, sine = math.cos(view.angle) / view.scale, math.sin(view.angle) / view.scale
            row = _mirrored(sine * across + cosine * up + view.down + height / 2 - 0.5, height)
            column = _mirrored(cosine * across - sine * up + view.right + width / 2 - 0.5, width)
            y0, x0 = int(row), int(column)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            dy, dx = row - y0, column - x0
            found[:, y, x] = (1 - dy) * ((1 - dx) * picture[:, y0, x0] + dx * picture[:, y0, x1]) + dy * (
                (1 - dx) * picture[:, y1, x0] + dx * picture[:, y1, x1]
            )
    return found


VIEWS = [
    View(),
    View(down=1.0, right=-1.0),
    View(down=5.0, right=4.0),
    View(down=0.25, right=-0.5),
    View(angle=0.3),
    View(scale=1.4),
    View(scale=0.6),
    View(angle=-0.2, scale=0.9, down=2.0, right=1.0),
]


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("size", [(8, 8), (12, 10)])
def test_a_view_is_a_slow_lookup_between_pixels_with_mirrored_borders(view: View, size: tuple[int, int]) -> None:
    pictures = _pictures()
    found = look(pictures, [view, view], size)
    for n in range(2):
        np.testing.assert_allclose(found[n], _slowly(pictures[n], view, size), atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("cores", [2, 3, 5])
def test_cut_into_bands_for_several_cores_it_is_the_same_both_ways(
    count: int, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = VIEWS[-count:]

    def both() -> tuple[Tensor, Tensor]:
        pictures = _pictures(count=count).requires_grad_()
        seen = look(pictures, views, (8, 9))
        weights = torch.linspace(-1, 1, seen.numel(), dtype=seen.dtype).view(seen.shape)
        return seen.detach(), torch.autograd.grad((weights * seen).sum(), pictures)[0]

    assert torch.get_num_threads() == 1  # one band
    whole = both()
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    for found, wanted in zip(both(), whole, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("views", [VIEWS[-2:], [View(), View()], [View(down=2), View()]], ids=["turned", "none", "cut"])
def test_a_tint_is_of_the_pixels_that_are_shown(views: list[View], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = _pictures()
    wanted = look(pictures, views, (8, 8)).flip(1) * 2 + 1
    for cores in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        torch.testing.assert_close(look(pictures, views, (8, 8), lambda part: part.flip(1) * 2 + 1), wanted)


def test_no_change_is_the_middle_of_the_picture_to_the_last_bit() -> None:
    pictures = _pictures()
    assert torch.equal(look(pictures, [View(), View()], (8, 8)), pictures[:, :, 2:10, 1:9])
    assert look(pictures, [View(), View()], (12, 10)) is pictures


def test_a_shift_within_the_picture_is_a_cut_to_the_last_bit() -> None:
    pictures = _pictures()
    found = look(pictures, [View(down=2, right=-1), View(down=-2, right=1)], (8, 8))
    assert torch.equal(found[0], pictures[0, :, 4:12, 0:8])
    assert torch.equal(found[1], pictures[1, :, 0:8, 2:10])


def test_a_quarter_turn_is_numpys() -> None:
    pictures = _pictures(10, 10)
    found = look(pictures, [View(angle=math.pi / 2)] * 2, (10, 10))
    turned = np.rot90(pictures.numpy(), -1, (2, 3)), np.rot90(pictures.numpy(), 1, (2, 3))
    assert any(np.allclose(found, one, atol=1e-9) for one in turned)
    fourth = pictures
    for _ in range(4):
        fourth = look(fourth, [View(angle=math.pi / 2)] * 2, (10, 10))
    np.testing.assert_allclose(fourth, pictures, atol=1e-9)


def test_the_gradient_of_a_view_is_that_of_finite_differences() -> None:
    pictures = _pictures(6, 5, 1).requires_grad_()
    view = View(angle=0.2, scale=1.1, down=0.7, right=-0.3)
    assert torch.autograd.gradcheck(lambda one: look(one, [view], (4, 4)), (pictures,))


def test_views_stay_within_what_was_asked_and_reach_both_ends() -> None:
    random = torch.Generator().manual_seed(0)
    views = [views_of([Jitter(3), Rotate(10), Scale(0.8, 1.25)], [random])[0] for _ in range(3000)]
    assert {view.down for view in views} == {view.right for view in views} == set(range(-3, 4))
    angles, scales = [math.degrees(view.angle) for view in views], [view.scale for view in views]
    assert -10 <= min(angles) < -9.9 and 9.9 < max(angles) <= 10
    assert 0.8 <= min(scales) < 0.801 and 1.249 < max(scales) <= 1.25


def test_a_view_depends_on_its_own_generator_alone() -> None:
    def of(*seeds: int) -> list[View]:
        return views_of([Jitter(9), Rotate(30)], [torch.Generator().manual_seed(seed) for seed in seeds])

    assert of(1, 2, 3)[1] == of(2)[0] != of(1)[0]


@pytest.mark.parametrize(
    "make", [lambda: Jitter(-1), lambda: Rotate(float("inf")), lambda: Scale(1.2, 0.8), lambda: Scale(0, 1)]
)
def test_numbers_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match="wanted"):
        make()  # type: ignore[operator]
