"""The record of an occlusion map: what it checks, what it says, and the mean drop at each pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnviz_widgets.results import OcclusionMap, Result

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 16, 3), np.uint8)


def occlusion_map(**changes: Any) -> OcclusionMap:
    about: dict[str, Any] = {
        "image": IMAGE, "fill": 255 - IMAGE, "method": "occlusion", "target": 281, "target_name": "tabby",
        "parameters": {"patch": 5, "stride": 4, "output": "score"}, "citation": "Zeiler & Fergus 2013",
        "scores": RNG.normal(size=(3, 4)), "tops": [0, 4, 8], "lefts": [0, 4, 8, 12], "size": (5, 5), "base": 0.5,
    }  # fmt: skip
    return OcclusionMap(**{**about, **changes})


def slow_heat(found: OcclusionMap) -> np.ndarray:
    """For each pixel the drops of all patches that cover it, looked up one by one."""
    (rows, columns, _), (height, width) = found.image.shape, found.size
    values = np.full((rows, columns), np.nan)
    for y in range(rows):
        for x in range(columns):
            drops = []
            for i, top in enumerate(found.tops):
                for j, left in enumerate(found.lefts):
                    inside = 0 <= y - top < height and 0 <= x - left < width
                    if inside and (found.mask is None or found.mask[y - top, x - left]):
                        drops.append(found.base - found.scores[i, j])
            known = [drop for drop in drops if drop == drop]
            if known:
                values[y, x] = sum(known) / len(known)
    return values


CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]], bool)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size": (2, 3)},
        {"size": (40, 50)},
        {"tops": [-3, 4, 10], "lefts": [-30, -1, 14, 16]},
        {"size": (4, 3), "mask": CROSS},
        {"size": (4, 3), "mask": CROSS, "tops": [-2, 3, 11], "lefts": [-1, 0, 5, 15]},
    ],
    ids=["overlap", "gaps", "larger than the picture", "over all borders", "mask", "mask over borders"],
)
@pytest.mark.parametrize("half", [False, True], ids=["whole", "half done"])
def test_the_heat_map_is_the_mean_drop_of_the_patches_that_cover_a_pixel(changes: Any, half: bool) -> None:
    found = occlusion_map(**changes)
    if half:
        scores = found.scores.copy()
        scores[1:] = np.nan
        found = replace(found, scores=scores)
    np.testing.assert_allclose(found.heatmap().values, slow_heat(found), rtol=1e-5)


def test_the_heat_map_keeps_what_the_map_is_of() -> None:
    found = occlusion_map()
    heat = found.heatmap()
    assert (heat.method, heat.target, heat.target_name, heat.signed) == ("occlusion", 281, "tabby", True)
    assert heat.parameters == found.parameters and heat.citation == found.citation
    assert (heat.image == found.image).all()


def test_what_did_not_move_is_a_drop_of_exactly_zero() -> None:
    third = np.float32(1 / 3)
    found = occlusion_map(scores=np.full((3, 4), third), base=1 / 3)
    assert (found.drop == 0).all() and (found.heatmap().values == 0).all()
    assert found.drop.dtype == np.float32


def test_the_strongest_place_is_the_lowest_score_that_is_there() -> None:
    scores = np.ones((3, 4))
    scores[1, 2], scores[2, 1], scores[0] = -2, -2, np.nan
    found = occlusion_map(scores=scores)
    assert found.strongest() == (1, 2) and found.done == 8 / 12
    with pytest.raises(ValueError, match="no place .* is computed yet"):
        occlusion_map(scores=np.full((3, 4), np.nan)).strongest()


def test_its_text_form_says_how_far_it_is() -> None:
    scores = np.ones((3, 4))
    scores[1, 2] = -2.25
    assert repr(occlusion_map(scores=scores)) == (
        "OcclusionMap(occlusion of 'tabby': patch 5x5 at 3 x 4 places, 0.5 without it, -2.25 at least, 16x12)"
    )
    scores[2] = np.nan
    assert "3 x 4 places (67% done), 0.5 without" in repr(occlusion_map(scores=scores))
    nothing = repr(occlusion_map(scores=np.full((3, 4), np.nan)))
    assert nothing.endswith("(0% done), 0.5 without it, 16x12)")


def test_class_numbers_and_names_come_back_from_a_file_as_numbers(tmp_path: Path) -> None:
    classes = np.array([[281, 282, 281, -1]] * 3)
    found = occlusion_map(classes=classes, class_names={281: "tabby", 282: "tiger cat"}, mask=np.eye(5, dtype=bool))
    again = Result.load(found.save(tmp_path / "map.npz"))
    assert isinstance(again, OcclusionMap)
    assert again.class_names == {281: "tabby", 282: "tiger cat"} == found.class_names
    assert again.classes is not None and again.classes.dtype == np.int64 and (again.classes == classes).all()
    assert again.mask is not None and (again.mask == np.eye(5)).all()
    assert again.size == (5, 5) and type(again.size) is tuple


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tops": [0, 4]}, r"tops has the shape \(ny,\) with ny = 3 as in scores"),
        ({"classes": np.zeros((3, 3), int)}, r"classes has the shape \(ny, nx\)"),
        ({"classes": np.full((3, 4), 7), "class_names": {8: "a"}}, "class_names lacks a name for class 7"),
        ({"mask": np.ones((4, 5), bool)}, r"mask has the shape of the patch, \(5, 5\), not \(4, 5\)"),
        ({"fill": IMAGE[:5]}, r"fill has the shape \(H, W, 3\)"),
    ],
)
def test_fields_that_do_not_fit_are_an_error(changes: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        occlusion_map(**changes)
