"""OcclusionCanvas without a browser: what travels, what belongs together, what is asked, and what is refused."""

import threading
from typing import Any

import numpy as np
import pytest
import traitlets

from cnnviz_widgets.views.palette import _seen, distinct_colors
from cnnviz_widgets.widgets import OcclusionCanvas

H, W = 40, 60
RNG = np.random.default_rng(5)
PICTURE = RNG.integers(0, 256, (H, W, 3), dtype=np.uint8)
FILL = np.full_like(PICTURE, 117)
TOPS, LEFTS = np.array([0, 10, 20]), np.array([0, 15, 30, 45])
NAMES = {0: "tabby", 1: "tiger cat", 2: "tennis ball", 3: "lynx", 4: "muzzle", 7: "lion"}


def canvas(**traits: Any) -> OcclusionCanvas:
    made = OcclusionCanvas(**{"patch": {"h": 12, "w": 8, "round": False}, **traits})
    made.show_picture(PICTURE, FILL)
    return made


def ask(target: OcclusionCanvas, y: int, x: int, **more: Any) -> None:
    content = {"type": "place", "y": y, "x": x, "scene": target.scene, "number": 1, **more}
    target._handle_custom_msg(content, [])


def size_of(value: object) -> int:
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    return len(value) if isinstance(value, bytes) else len(str(value))


# Where the patch is.


def test_the_patch_begins_in_the_middle_of_the_picture():
    assert canvas().place == {"y": 20 - 6, "x": 30 - 4}


def test_a_patch_of_another_size_has_the_same_centre():
    one = canvas(place={"y": 3, "x": 7})
    one.patch = {"h": 6, "w": 20, "round": True}
    assert one.place == {"y": 6, "x": 1}


def test_the_patch_stays_when_a_picture_of_the_same_size_comes_and_is_centred_in_another():
    one = canvas(place={"y": 3, "x": 7})
    one.show_picture(PICTURE[::-1], FILL)
    assert one.place == {"y": 3, "x": 7}
    one.show_picture(PICTURE[:20], FILL[:20])
    assert one.place == {"y": 4, "x": 26}


def test_picture_and_patch_come_in_one_message(monkeypatch: pytest.MonkeyPatch):
    one, sent = canvas(place={"y": 3, "x": 7}), []
    monkeypatch.setattr(one, "send_state", lambda key=None: sent.append(set(key)))
    one.show_picture(PICTURE[::-1], FILL, {"h": 6, "w": 20, "round": True})
    assert one.patch == {"h": 6, "w": 20, "round": True} and one.place == {"y": 6, "x": 1}
    assert sent == [{"picture", "patch", "place"}]
    with pytest.raises(ValueError, match="a patch"):
        one.show_picture(PICTURE, FILL, {"h": 0, "w": 1})


@pytest.mark.parametrize("place", [{"y": 99, "x": 0}, {"y": -13, "x": 0}, {"y": 0}, {"y": 0.5, "x": 1}, {"top": 1}])
def test_an_impossible_place_is_refused_and_leaves_the_patch_where_it_was(place: dict[str, Any]):
    one = canvas(place={"y": 3, "x": 7})
    with pytest.raises(traitlets.TraitError, match="place is|outside"):
        one.place = place
    assert one.place == {"y": 3, "x": 7}


def test_a_patch_may_hang_over_the_border():
    one = canvas()
    one.place = {"y": -6, "x": W - 1}
    assert one.place == {"y": -6, "x": W - 1}


def test_a_place_of_the_picture_before_is_passed_over_when_it_comes_late_from_the_page():
    one = canvas()
    one.show_picture(PICTURE[:16, :16], FILL[:16, :16])
    one.set_state({"place": {"y": 39, "x": 50}, "opacity": 0.5})
    assert one.place == {"y": 2, "x": 4} and one.opacity == 0.5


@pytest.mark.parametrize("patch", [{"h": 0, "w": 3}, {"h": 2.5, "w": 3}, {"w": 3}, {"h": 3, "w": 3, "side": 1}])
def test_an_impossible_patch_is_refused(patch: dict[str, Any]):
    with pytest.raises(traitlets.TraitError, match="a patch"):
        canvas().patch = patch


# What travels.


def test_picture_and_what_is_under_the_patch_travel_as_bytes_of_the_same_size():
    one = canvas()
    assert one.picture["data"] == PICTURE.tobytes() and one.picture["fill"] == FILL.tobytes()
    with pytest.raises(ValueError, match="same size, 60x40, not 60x20"):
        one.show_picture(PICTURE, FILL[:20])
    with pytest.raises(TypeError, match="uint8"):
        one.show_picture(PICTURE / 255, FILL)


def test_another_patch_fill_or_picture_is_another_scene_and_the_old_one_is_known_again():
    one = canvas()
    scenes = [one.scene]
    one.patch = {"h": 12, "w": 8, "round": True}
    scenes.append(one.scene)
    one.show_picture(PICTURE, FILL + 1)
    scenes.append(one.scene)
    one.show_picture(FILL, FILL)
    scenes.append(one.scene)
    assert len(set(scenes)) == 4
    one.show_picture(PICTURE, FILL)
    one.patch = {"h": 12, "w": 8, "round": False}
    assert one.scene == scenes[0]


def test_what_was_computed_for_another_scene_says_so():
    one = canvas()
    before = one.scene
    one.patch = {"h": 3, "w": 3, "round": False}
    one.show_answer(1, 2, [0], [1.0], NAMES, scene=before)
    one.show_map(TOPS, LEFTS, np.zeros((3, 4)), scene=before)
    assert one.answer["scene"] == one.map["scene"] == before != one.scene
    one.show_answer(1, 2, [0], [1.0], NAMES)
    assert one.answer["scene"] == one.scene


def test_a_map_travels_with_its_values_and_nan_where_none_is_known():
    one = canvas()
    values = RNG.random((3, 4), dtype=np.float32)
    values[2] = np.nan
    one.show_map(TOPS, LEFTS, values, base=0.75, key="a", label="score", lo=0.0, hi=1.0)
    sent = one.map
    np.testing.assert_array_equal(np.frombuffer(sent["values"], "<f4").reshape(sent["shape"]), values)
    np.testing.assert_array_equal(np.frombuffer(sent["tops"], "<i4"), TOPS)
    np.testing.assert_array_equal(np.frombuffer(sent["lefts"], "<i4"), LEFTS)
    assert (sent["lo"], sent["hi"], sent["signed"], sent["base"]) == (0.0, 1.0, False, 0.75)


def test_a_signed_map_is_centred_on_zero_also_when_only_one_end_is_given():
    one = canvas()
    one.show_map(TOPS, LEFTS, RNG.random((3, 4)) - 0.7)
    assert one.map["signed"] and one.map["lo"] == -one.map["hi"]
    one.show_map(TOPS, LEFTS, np.zeros((3, 4)), signed=True, lo=-4)
    assert (one.map["lo"], one.map["hi"]) == (-4, 4)


def test_a_map_with_nothing_computed_yet_is_no_error():
    one = canvas()
    one.show_map(TOPS, LEFTS, np.full((3, 4), np.nan))
    assert (one.map["lo"], one.map["hi"]) == (0, 0)


@pytest.mark.parametrize(
    "tops, lefts, values, says",
    [
        (TOPS, LEFTS, np.zeros((4, 3)), "map of 3x4"),
        (TOPS[::-1], LEFTS, np.zeros((3, 4)), "rising order"),
        (TOPS + 0.5, LEFTS, np.zeros((3, 4)), "whole pixels"),
        (TOPS, LEFTS, np.full((3, 4), np.inf), "infinite"),
    ],
)
def test_a_map_that_does_not_fit_its_grid_is_refused(tops: Any, lefts: Any, values: Any, says: str):
    with pytest.raises(ValueError, match=says):
        canvas().show_map(tops, lefts, values)


def test_a_scale_that_falls_and_an_unknown_kind_are_refused():
    with pytest.raises(ValueError, match="scale"):
        canvas().show_map(TOPS, LEFTS, np.zeros((3, 4)), lo=2, hi=1)
    with pytest.raises(ValueError, match='"values" or "classes"'):
        canvas().show_map(TOPS, LEFTS, np.zeros((3, 4)), kind="klass")  # type: ignore[arg-type]


def test_classes_travel_with_the_most_frequent_first_each_with_a_colour_of_its_own():
    one = canvas()
    numbers = np.array([[3, 3, 3, 7], [1, 1, 3, 7], [-1, -1, -1, -1]])
    one.show_map(TOPS, LEFTS, numbers, kind="classes", base=1, names=NAMES)
    classes = one.map["classes"]
    assert [(entry["name"], entry["count"]) for entry in classes] == [("lynx", 4), ("tiger cat", 2), ("lion", 2)]
    assert len({tuple(entry["color"]) for entry in classes}) == 3
    places = np.frombuffer(one.map["values"], "<u2").reshape(3, 4)
    assert [classes[place]["number"] for place in places[1]] == [1, 1, 3, 7]
    assert (places[2] == 65535).all()


def test_a_class_keeps_its_colour_while_the_map_grows_and_when_the_patch_changes():
    one = canvas()
    numbers = np.full((3, 4), np.nan)
    numbers[0] = [3, 3, 3, 7]
    one.show_map(TOPS, LEFTS, numbers, kind="classes", base=1, names=NAMES)
    first = {entry["number"]: entry["color"] for entry in one.map["classes"]}
    numbers[1:] = 7
    one.patch = {"h": 5, "w": 5, "round": False}
    one.show_map(TOPS, LEFTS, numbers, kind="classes", base=1, names=NAMES)
    assert [entry["number"] for entry in one.map["classes"]] == [7, 3]
    assert {entry["number"]: entry["color"] for entry in one.map["classes"]} == first


def test_answers_travel_as_bytes_within_a_thousandth_of_a_percent():
    one = canvas()
    indices = RNG.integers(0, 5, (3, 4, 5))
    indices[2] = -1
    probabilities = RNG.random((3, 4, 5))
    probabilities[2] = np.nan
    one.show_answers("a", TOPS, LEFTS, indices, probabilities, NAMES, base_probabilities=probabilities)
    sent = one.answers
    np.testing.assert_array_equal(np.frombuffer(sent["indices"], "<i4").reshape(3, 4, 5), indices)
    came = np.frombuffer(sent["probabilities"], "<u2").reshape(3, 4, 5) / 65535
    np.testing.assert_allclose(came[:2], probabilities[:2], atol=1e-5)
    assert set(sent["names"]) == {str(number) for number in np.unique(indices[:2])}


def test_a_whole_sweep_of_the_usual_size_is_sent_in_less_than_50_kilobytes():
    one = canvas()
    edges = np.arange(27) * 8
    one.show_map(edges, edges, np.zeros((27, 27)))
    indices = RNG.integers(0, 5, (27, 27, 5))
    one.show_answers(
        "", edges, edges, indices, np.zeros(indices.shape), NAMES, base_probabilities=np.zeros((27, 27, 5))
    )
    assert size_of(one.map) + size_of(one.answers) < 50_000


def test_answers_that_do_not_fit_are_refused():
    one = canvas()
    with pytest.raises(ValueError, match="probability for each class"):
        one.show_answers("a", TOPS, LEFTS, np.zeros((3, 4, 5), int), np.zeros((3, 4, 4)), NAMES)
    with pytest.raises(ValueError, match="ny, nx, 1 to 10"):
        one.show_answers("a", TOPS, LEFTS, np.zeros((3, 4), int), np.zeros((3, 4)), NAMES)
    with pytest.raises(ValueError, match="as many probabilities"):
        one.show_answer(0, 0, [1, 2], [0.5], NAMES)


def test_a_class_without_a_name_is_called_by_its_number():
    one = canvas()
    one.show_base([5, 0], [0.6, 0.4], NAMES)
    assert one.base["names"] == {"0": "tabby", "5": "class 5"}


def test_forget_takes_back_all_that_the_network_said():
    one = canvas()
    one.show_base([0], [1.0], NAMES)
    one.show_answer(1, 2, [0], [1.0], NAMES)
    one.show_map(TOPS, LEFTS, np.zeros((3, 4)))
    one.forget()
    assert one.base == one.answer == one.map == one.answers == {}
    assert one.picture


# What is asked.


def test_the_answer_at_a_place_is_asked_for():
    one, asked = canvas(), []
    undo = one.on_place(lambda y, x: asked.append((y, x)))
    ask(one, -3, 7)
    assert asked == [(-3, 7)]
    undo()
    ask(one, 4, 4)
    assert asked == [(-3, 7)]


def test_an_answer_that_is_here_already_is_sent_again_without_asking_the_network(monkeypatch: pytest.MonkeyPatch):
    one, asked, sent = canvas(), [], []
    one.on_place(lambda y, x: asked.append((y, x)))
    one.show_answer(4, 5, [0], [1.0], NAMES)
    monkeypatch.setattr(one, "send_state", sent.append)
    ask(one, 4, 5)
    assert asked == [] and sent == ["answer"]
    ask(one, 4, 6)
    assert asked == [(4, 6)]


def test_a_question_about_another_scene_is_not_passed_on():
    one, asked = canvas(), []
    one.on_place(lambda y, x: asked.append((y, x)))
    ask(one, 4, 5, scene="yesterday's")
    assert asked == []


def test_stop_and_files_are_passed_on_and_what_goes_wrong_is_shown():
    one, stopped, opened = canvas(), [], []
    one.on_stop(lambda: stopped.append(True))
    assert not one.openable
    undo = one.on_file(lambda name, content: opened.append((name, content)))
    assert one.openable
    one._handle_custom_msg({"type": "stop"}, [])
    one._handle_custom_msg({"type": "file", "name": "a.png"}, [memoryview(b"abc")])
    assert stopped == [True] and opened == [("a.png", b"abc")]
    undo()
    assert not one.openable

    def fails(_name: str, _content: bytes) -> None:
        raise ValueError("that is no picture")

    one.on_file(fails)
    one._handle_custom_msg({"type": "file", "name": "a.png"}, [memoryview(b"abc")])
    assert one.error == "that is no picture"


def test_maps_and_answers_can_be_shown_from_several_threads():
    one = canvas()
    seen: list[int] = []
    one.observe(lambda change: seen.append(change["new"]["y"]), "answer")

    def answer(start: int) -> None:
        for y in range(start, start + 50):
            one.show_answer(y, 0, [0], [1.0], NAMES)
            one.show_map(TOPS, LEFTS, np.full((3, 4), float(y)))

    threads = [threading.Thread(target=answer, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [*range(50), *range(100, 150), *range(200, 250)]


def test_it_says_what_it_is():
    assert repr(OcclusionCanvas()) == "OcclusionCanvas(empty)"
    assert repr(canvas(place={"y": 1, "x": 2})) == "OcclusionCanvas(60x40, patch 12x8 at y=1, x=2)"


# Colours for kinds.


def test_a_longer_list_of_colours_begins_with_every_shorter_one():
    np.testing.assert_array_equal(distinct_colors(30)[:7], distinct_colors(7))
    assert len(distinct_colors(0)) == 0
    with pytest.raises(ValueError, match="not -1"):
        distinct_colors(-1)


def test_the_first_eight_colours_are_told_apart_by_a_normal_eye_and_by_one_without_red_or_green():
    seen = _seen(distinct_colors(8))
    distance = np.sqrt(((seen[:, :, None] - seen[:, None]) ** 2).sum(-1))
    distance[:, np.arange(8), np.arange(8)] = np.inf
    normal, protan, deutan = distance.min((1, 2))
    # In OKLab 0.02 is about the least that is seen side by side.
    assert normal > 0.14 and protan > 0.07 and deutan > 0.07


def test_no_colour_is_a_grey_or_lost_on_white_or_black():
    lightness, a, b = _seen(distinct_colors(40))[0].T
    assert (np.hypot(a, b) > 0.06).all()
    assert (lightness > 0.44).all() and (lightness < 0.91).all()
