"""PointMap without a browser: what it accepts and refuses, what it sends, and which points a polygon holds."""

import threading
from typing import Any

import numpy as np
import pytest
import traitlets

from cnnviz_widgets.views.palette import distinct_colors
from cnnviz_widgets.widgets import PointMap
from cnnviz_widgets.widgets.point_polygon import points_in_polygon
from cnnviz_widgets.widgets.point_words import FEW

RNG = np.random.default_rng(3)
POINTS = RNG.normal(size=(50, 2)).astype(np.float32)
GROUPS = np.arange(50) % 3
SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]


class Line:
    """The kernel's end of the connection: remembers what was sent."""

    comm_id = "line"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_rest: object) -> None:
        self.sent.append(data)

    def on_msg(self, _handler: object) -> None:
        """Nobody calls."""

    def close(self, *_args: object, **_rest: object) -> None:
        """Nothing to close."""

    def names(self) -> list[set[str]]:
        """The traits of each update."""
        return [set(data["state"]) for data in self.sent if data["method"] == "update"]

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [data["content"] for data in self.sent
                if data["method"] == "custom" and data["content"]["type"] == kind]  # fmt: skip


def wired() -> tuple[PointMap, Line]:
    where, line = PointMap(), Line()
    where.show(POINTS, groups=GROUPS, group_names=["a", "b", "c"], key="set")
    where.comm = line  # type: ignore[assignment]
    line.sent.clear()
    return where, line


# --- what travels ----------------------------------------------------------------------------------------------------


def test_the_page_has_the_very_numbers_that_python_holds() -> None:
    where = PointMap()
    where.show(POINTS)
    np.testing.assert_array_equal(np.frombuffer(where.points["data"], "<f4").reshape(-1, 2), where.places)
    np.testing.assert_array_equal(where.places, POINTS)
    assert not where.places.flags.writeable


def test_what_was_given_is_copied() -> None:
    where, points = PointMap(), POINTS.copy()
    where.show(points)
    points[:] = 0
    np.testing.assert_array_equal(where.places, POINTS)


def test_points_without_a_place_are_counted_and_left_out() -> None:
    where, points = PointMap(), POINTS.astype(np.float64)
    points[3, 0], points[5, 1], points[7] = np.nan, np.inf, 1e300
    where.show(points)
    assert where.points["missing"] == 3
    assert np.flatnonzero(np.isnan(where.places).all(1)).tolist() == [3, 5, 7]


@pytest.mark.parametrize("colour", ["groups", "values", "highlight", "words"])
def test_another_colour_does_not_send_the_points_again(colour: str) -> None:
    where, line = wired()
    match colour:
        case "groups":
            where.show_groups(GROUPS[::-1].copy(), ["x", "y", "z"], title="prediction")
        case "values":
            where.show_values(RNG.random(50), "probability")
        case "highlight":
            where.show_highlight(GROUPS == 1)
        case "words":
            where.show_words([f"name {n}" for n in range(50)])
    assert line.names() and not any("points" in names for names in line.names())


def test_a_step_sends_only_the_points() -> None:
    where, line = wired()
    where.move(POINTS * 2)
    assert line.names() == [{"points"}]
    assert len(where.points["data"]) == 50 * 8


def test_a_groups_colour_goes_by_its_number_alone() -> None:
    where = PointMap()
    where.show(POINTS, groups=GROUPS)
    three = where.groups["colors"]
    where.show(POINTS, groups=np.arange(50) % 7)
    assert where.groups["colors"].startswith(three)
    assert where.groups["colors"] == distinct_colors(7).tobytes()


def test_few_names_travel_and_many_are_asked_for() -> None:
    where, line = wired()
    where.show_words([str(n) for n in range(50)])
    assert where.words == {"names": [str(n) for n in range(50)], "named": True, "source": ""}
    many = FEW + 1
    where.show(np.zeros((many, 2)), names=[f"n{n}" for n in range(many)], about=lambda n: {"twice": 2 * n})
    assert where.words["names"] == [] and where.words["source"]
    asked = {"type": "words", "source": where.words["source"], "numbers": [7, many - 1], "number": 4}
    where._handle_custom_msg(asked, [])
    (answer,) = line.said("words")
    assert answer["number"] == 4 and answer["numbers"] == [7, many - 1]
    assert answer["words"] == [("n7", [("twice", "14")]), (f"n{many - 1}", [("twice", str(2 * many - 2))])]


def test_words_that_fail_are_said_in_their_place() -> None:
    where, line = wired()
    where.show_words(None, lambda n: {"half": 1 / n})
    asked = {"type": "words", "source": where.words["source"], "numbers": [0, 2], "number": 1}
    where._handle_custom_msg(asked, [])
    (answer,) = line.said("words")
    assert answer["words"] == [("", [("error", "division by zero")]), ("", [("half", "0.5")])]


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_the_same_set_elsewhere_keeps_selection_and_hidden_groups_and_another_set_does_not() -> None:
    where, _ = wired()
    where.selection, where.selected, where.hidden = [1, 5], 5, [2]
    number = where.points["id"]
    where.show(POINTS[::-1], groups=GROUPS, group_names=["a", "b", "c"], key="set")
    assert (where.selection, where.selected, where.hidden) == ((1, 5), 5, [2])
    assert where.points["id"] == number
    where.show(POINTS, groups=GROUPS, group_names=["a", "b", "c"], key="other")
    assert (where.selection, where.selected, where.hidden) == ((), None, [])
    assert where.points["id"] != number


def test_other_groups_are_all_shown() -> None:
    where, _ = wired()
    where.hidden = [0]
    where.show_groups(GROUPS, ["a", "b", "c"])
    assert where.hidden == [0]
    where.show_groups(GROUPS, ["x", "y", "z"])
    assert where.hidden == []


def test_a_selection_is_any_numbers_or_a_mask_and_is_told_once() -> None:
    where, _ = wired()
    told: list[Any] = []
    where.observe(lambda change: told.append(change["new"]), "selection")
    where.selection = [9, 3, 3]
    where.selection = np.array([3, 9])
    assert where.selection == (3, 9)
    mask = np.zeros(50, bool)
    mask[[3, 9]] = True
    where.selection = mask
    where.selection = []
    assert told == [(3, 9), ()]


def test_a_lasso_of_other_points_is_not_taken() -> None:
    where, line = wired()
    rows, corners = np.array([1, 2], "<u4").tobytes(), np.array(SQUARE, "<f8").tobytes()
    late = {"type": "selection", "points": "others", "number": 1}
    where._handle_custom_msg(late, [memoryview(rows), memoryview(corners)])
    assert where.selection == () and where.polygon is None
    where._handle_custom_msg(
        {**late, "points": where.points["id"], "number": 2}, [memoryview(rows), memoryview(corners)]
    )
    assert where.selection == (1, 2)
    np.testing.assert_array_equal(where.polygon, SQUARE)
    assert [said["number"] for said in line.said("selection")] == [1, 2]


def test_late_news_of_the_page_are_refused_and_corrected() -> None:
    where, line = wired()
    where.show(POINTS[:5], key="fewer")
    line.sent.clear()
    where.set_state({"selected": 40, "hidden": [1]})
    assert (where.selected, where.hidden) == (None, [])
    assert {"selected", "hidden"} in line.names()


def test_shown_from_several_threads_the_map_is_one_of_them_whole() -> None:
    where = PointMap()

    def show(count: int) -> None:
        for _ in range(20):
            where.show(np.zeros((count, 2)), groups=np.zeros(count, int), values=np.ones(count))

    threads = [threading.Thread(target=show, args=(count,)) for count in (3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    count = where.points["count"]
    assert len(where.places) == count and len(where.values["data"]) == 4 * count
    assert len(where.groups["numbers"]) == 2 * count


def test_clear_leaves_nothing() -> None:
    where, _ = wired()
    where.selection, where.marks = [1], [{"x": 0, "y": 0}]
    where.clear()
    assert (where.points, where.groups, where.selection, where.marks) == ({}, {}, (), [])
    assert repr(where) == "PointMap(empty)"


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"points": np.zeros((5, 3))}, r"pairs x, y: an array \(N, 2\), not \(5, 3\)"),
        ({"points": np.zeros((5, 2), complex)}, "real numbers, not complex128"),
        ({"groups": np.zeros(4, int)}, r"each of 5 points has a group: \(5,\), not \(4,\)"),
        ({"groups": np.zeros(5)}, "whole numbers, -1 for none, not float64"),
        ({"groups": np.full(5, 2), "group_names": ["a"]}, "no group 2: there are names for 0 to 0"),
        ({"groups": np.full(5, -2)}, "no group -2"),
        ({"values": np.full(5, np.inf)}, "finite, or NaN"),
        ({"values": np.zeros(6)}, "each of 5 points has a value"),
        ({"highlight": np.zeros(5, int)}, "True and False, not int64"),
        ({"names": ["a"]}, "each of 5 points has a name, not 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_what_was_shown_stays(how: dict[str, Any], words: str) -> None:
    where, _ = wired()
    before = where.points["id"]
    with pytest.raises((ValueError, TypeError), match=words):
        where.show(**{"points": np.zeros((5, 2)), **how})
    assert where.points["id"] == before and len(where.groups["names"]) == 3


def test_another_number_of_points_cannot_be_moved() -> None:
    where, _ = wired()
    with pytest.raises(ValueError, match="there are 50 points to move, not 49"):
        where.move(POINTS[:49])


@pytest.mark.parametrize(
    ("trait", "value", "words"),
    [
        ("selection", [50], "no point 50; they go from 0 to 49"),
        ("selection", [-1], "no point -1"),
        ("selection", [0.5], "by their numbers or by a mask"),
        ("selection", np.zeros(3, bool), r"\(50,\), not \(3,\)"),
        ("selected", 50, "no point 50"),
        ("hidden", [3], "no group 3; they go from 0 to 2"),
        ("marks", [{"x": 0}], "a mark has a place, x and y"),
        ("marks", [{"x": 0, "y": float("nan")}], "finite"),
        ("marks", [{"x": 0, "y": 0, "size": 3}], "not 'size'"),
        ("marks", [{"x": 0, "y": 0, "lines_to": [99]}], "no point 99"),
    ],
)
def test_what_is_impossible_is_refused_with_what_there_is(trait: str, value: Any, words: str) -> None:
    where, _ = wired()
    before = getattr(where, trait)
    with pytest.raises(traitlets.TraitError, match=words):
        setattr(where, trait, value)
    assert getattr(where, trait) == before


# --- which points a polygon holds ------------------------------------------------------------------------------------


def slowly(points: np.ndarray, polygon: np.ndarray) -> list[bool]:
    """Winding of a ray to the right, one point and one edge at a time."""
    found = []
    for x, y in points.astype(np.float64):
        odd = False
        for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
            (x0, y0), (x1, y1) = sorted((tuple(a), tuple(b)), key=lambda corner: corner[1])
            if y0 <= y < y1 and x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)):
                odd = not odd
        found.append(odd)
    return found


def test_a_polygon_holds_the_points_that_a_slow_look_finds() -> None:
    for _ in range(30):
        polygon = RNG.normal(size=(RNG.integers(3, 12), 2))
        assert points_in_polygon(POINTS, polygon).tolist() == slowly(POINTS, polygon)


def test_of_squares_side_by_side_exactly_one_holds_each_point_of_their_edges() -> None:
    lattice = np.stack(np.meshgrid(np.arange(9) / 2, np.arange(9) / 2), -1).reshape(-1, 2)
    held = np.zeros(len(lattice), int)
    for x in range(4):
        for y in range(4):
            corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])[:: 1 if (x + y) % 2 else -1]
            held += points_in_polygon(lattice, corners + [x, y])
    inside = (lattice < 4).all(1)
    np.testing.assert_array_equal(held, inside.astype(int))


def test_of_triangles_that_fill_a_square_exactly_one_holds_each_point() -> None:
    points = (RNG.integers(0, 64, (4000, 2)) / 16).astype(np.float32)
    middle = [1.7, 2.3]
    square = np.array(SQUARE, float)
    fan = [[square[i], square[(i + 1) % 4], middle] for i in range(4)]
    held = sum(points_in_polygon(points, triangle).astype(int) for triangle in fan)
    np.testing.assert_array_equal(held, points_in_polygon(points, square).astype(int))


def test_what_is_enclosed_twice_is_outside() -> None:
    star = [[np.sin(4 * np.pi * k / 5), np.cos(4 * np.pi * k / 5)] for k in range(5)]
    assert points_in_polygon([[0, 0], [0, 0.8]], star).tolist() == [False, True]


def test_points_without_a_place_are_in_no_polygon_and_two_corners_enclose_nothing() -> None:
    nowhere = [[np.nan, 1], [1, np.nan], [-np.inf, 1], [1, 1]]
    assert points_in_polygon(nowhere, SQUARE).tolist() == [False, False, False, True]
    assert not points_in_polygon(nowhere, SQUARE[:2]).any()
    with pytest.raises(ValueError, match="finite"):
        points_in_polygon(nowhere, [[0, 0], [1, np.inf], [1, 1]])
