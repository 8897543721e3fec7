"""ImageCanvas without a browser: what it accepts, what it refuses, what it sends and whom it calls."""

import threading
from typing import Any

import ipywidgets
import numpy as np
import pytest
import traitlets

from cnnviz_widgets.results import Heatmap, PixelMap
from cnnviz_widgets.widgets import ImageCanvas

PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def values_of(canvas: ImageCanvas) -> np.ndarray:
    sent = canvas.incoming
    planes = (3,) if sent["kind"] == "color" else ()
    return np.frombuffer(sent["values"], "<f4").reshape(*planes, *sent["shape"])


def heatmap(signed: bool = False) -> Heatmap:
    raw = np.array([[0, 1], [2, 3]], np.float32)
    return Heatmap(image=PICTURE, target=281, target_name="tabby", layer="features.12", method="grad_cam",
                   values=np.kron(raw, np.ones((2, 3), np.float32)) / 2, raw=raw, signed=signed)  # fmt: skip


def test_a_picture_travels_as_its_very_bytes():
    canvas = ImageCanvas()
    canvas.show_picture(PICTURE[:, ::-1])
    assert (canvas.picture["width"], canvas.picture["height"]) == (6, 4)
    assert canvas.picture["data"] == PICTURE[:, ::-1].tobytes()


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (PICTURE.astype(np.float32), TypeError, "float32"),
        (PICTURE[..., :2], ValueError, r"\(4, 6, 2\)"),
        (PICTURE[0], ValueError, r"\(6, 3\)"),
        (PICTURE[:0], ValueError, r"\(0, 6, 3\)"),
    ],
)
def test_what_is_no_picture_is_refused_and_the_canvas_stays_as_it_was(image: Any, error: type[Exception], words: str):
    canvas = ImageCanvas()
    canvas.show_picture(PICTURE)
    before = dict(canvas.picture)
    with pytest.raises(error, match=words):
        canvas.show_picture(image)
    assert canvas.picture == before


@pytest.mark.parametrize(
    ("values", "options", "error", "words"),
    [
        (np.ones(3), {}, ValueError, r"\(3,\)"),
        (np.ones((2, 3, 3)), {}, ValueError, r"\(2, 3, 3\)"),
        (np.ones((0, 3)), {}, ValueError, r"\(0, 3\)"),
        (np.array([[1, np.inf]]), {}, ValueError, "infinite"),
        (np.array([[1e300]]), {}, ValueError, "infinite"),
        (np.ones((2, 2), complex), {}, TypeError, "complex"),
        ([["a"]], {}, TypeError, "real numbers"),
        (np.ones((2, 2)), {"lo": 2.0, "hi": 1.0}, ValueError, "from 2.0 to 1.0"),
        (np.ones((2, 2)), {"lo": float("nan")}, ValueError, "finite"),
        (np.ones((2, 2)), {"signed": True, "lo": -1.0, "hi": 3.0}, ValueError, "centred on zero"),
    ],
)
def test_what_is_no_map_is_refused_and_the_canvas_stays_as_it_was(
    values: Any, options: dict[str, Any], error: type[Exception], words: str
):
    canvas = ImageCanvas()
    canvas.show_map(np.eye(2))
    before = dict(canvas.incoming)
    with pytest.raises(error, match=words):
        canvas.publish("a|b|c", values, **options)
    assert canvas.incoming == before


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("opacity", 1.5), ("opacity", -0.1), ("threshold", 2), ("colormap", "infrno"), ("scale", [2, 1]),
        ("scale", [1]), ("scale", [0, float("inf")]), ("zoom", -1), ("status", {"state": "busy"}),
        ("status", {"text": "no state"}), ("status", {"state": "running", "progress": 7}),
        ("picture", {"width": 2, "height": 2, "data": b"short"}),
        ("picture", {"width": 0, "height": 2, "data": b""}), ("incoming", {"key": "a|b|c"}),
        ("incoming", {"key": "a", "shape": [1, 1], "kind": "heatmap", "values": b"1234", "lo": 1.0, "hi": 0.0}),
        ("incoming", {"key": "a", "shape": [2, 1], "kind": "color", "values": b"1234", "lo": 0.0, "hi": 1.0}),
        ("tables", {"mine": b"too short"}),
    ],
)  # fmt: skip
def test_an_impossible_setting_is_refused_and_the_canvas_stays_as_it_was(trait: str, value: object):
    canvas = ImageCanvas()
    before = getattr(canvas, trait)
    with pytest.raises(traitlets.TraitError):
        setattr(canvas, trait, value)
    assert getattr(canvas, trait) == before


def test_an_unknown_colormap_names_its_neighbours_and_any_of_matplotlibs_joins_the_menu():
    canvas = ImageCanvas()
    with pytest.raises(traitlets.TraitError, match="'plasma'"):
        canvas.colormap = "plasm"
    canvas.colormap = "plasma"
    assert len(canvas.tables["plasma"]) == 1024


def test_nan_is_allowed_and_does_not_touch_the_scale():
    canvas = ImageCanvas()
    canvas.show_map(np.array([[np.nan, 2.0], [1.0, 0.5]]))
    assert (canvas.incoming["lo"], canvas.incoming["hi"], canvas.incoming["signed"]) == (0.0, 2.0, False)


def test_a_map_below_zero_is_signed_and_centred_unless_said_otherwise():
    canvas = ImageCanvas()
    canvas.show_map(np.array([[-1.0, 3.0]]))
    assert (canvas.incoming["lo"], canvas.incoming["hi"], canvas.incoming["signed"]) == (-3.0, 3.0, True)
    canvas.show_map(np.array([[-1.0, 3.0]]), signed=False)
    assert (canvas.incoming["lo"], canvas.incoming["hi"], canvas.incoming["signed"]) == (-1.0, 3.0, False)
    canvas.publish("a||", np.array([[-1.0, 3.0]]), hi=2.0)
    assert (canvas.incoming["lo"], canvas.incoming["hi"]) == (-2.0, 2.0)


def test_a_heatmap_travels_at_the_layers_resolution_with_the_scale_of_the_figure():
    canvas = ImageCanvas()
    canvas.show_map(heatmap())
    np.testing.assert_array_equal(values_of(canvas), [[0, 1], [2, 3]])
    assert (canvas.incoming["lo"], canvas.incoming["hi"]) == (0.0, 1.5)
    assert canvas.incoming["label"] == "grad_cam · tabby · features.12"
    assert canvas.incoming["picture"] == canvas.picture["id"]


def test_a_result_for_another_key_leaves_the_picture_alone():
    canvas = ImageCanvas(method="saliency")
    canvas.show_map(heatmap(), key="other|why|grad_cam")
    assert canvas.picture == {}
    assert canvas.incoming["key"] == "other|why|grad_cam"


def test_a_pixel_map_travels_in_colour_and_one_with_one_channel_as_a_heatmap():
    canvas = ImageCanvas()
    values = np.linspace(-1, 2, 3 * 4 * 6, dtype=np.float32).reshape(3, 4, 6)
    canvas.show_map(PixelMap(image=PICTURE, method="guided_backprop", values=values))
    assert canvas.incoming["kind"] == "color"
    np.testing.assert_array_equal(values_of(canvas), values)
    assert canvas.incoming["lo"] == -canvas.incoming["hi"]
    canvas.show_map(PixelMap(image=PICTURE, method="guided_backprop", values=values[:1]))
    assert canvas.incoming["kind"] == "heatmap"
    np.testing.assert_array_equal(values_of(canvas), values[0])


def test_a_torch_tensor_that_requires_grad_is_a_map():
    torch = pytest.importorskip("torch")
    canvas = ImageCanvas()
    canvas.show_map(torch.eye(2, requires_grad=True))
    np.testing.assert_array_equal(values_of(canvas), np.eye(2))


def test_a_scale_locks_and_unlocking_frees_it():
    canvas = ImageCanvas(scale=[0, 2])
    assert canvas.locked
    canvas.locked = False
    assert canvas.scale is None
    canvas.scale = [0, 1]
    canvas.scale = None
    assert not canvas.locked


def test_a_followed_menu_sets_what_is_wanted_except_when_the_browser_did():
    canvas = ImageCanvas(context="cat", mode="why")
    menu = ipywidgets.ToggleButtons(options=["saliency", "grad_cam", "cam"])
    canvas.follow(menu, "method")
    assert canvas.wanted == "cat|why|saliency"
    menu.value = "grad_cam"
    assert canvas.wanted == "cat|why|grad_cam"
    # The browser sets the canvas by itself, perhaps already to something newer.
    menu.set_state({"index": 2})
    assert (menu.value, canvas.method) == ("cam", "grad_cam")


def test_the_text_form_is_the_same_in_every_run():
    canvas = ImageCanvas()
    assert repr(canvas) == "ImageCanvas(empty)"
    canvas.show_picture(PICTURE)
    assert repr(canvas) == "ImageCanvas(6x4, no map)"
    canvas.context, canvas.mode, canvas.method = "ctx", "why", "grad_cam"
    canvas.show_map(np.eye(2))
    assert repr(canvas) == "ImageCanvas(6x4, map 'ctx|why|grad_cam')"


def test_messages_call_back_and_an_undone_callback_is_silent():
    canvas = ImageCanvas()
    heard: list[object] = []
    undo = canvas.on_need(heard.append)
    canvas.on_stop(lambda: heard.append("stop"))
    canvas._handle_custom_msg({"type": "need", "key": "a|b|c"}, [])
    canvas._handle_custom_msg({"type": "stop"}, [])
    undo()
    undo()
    canvas._handle_custom_msg({"type": "need", "key": "d|e|f"}, [])
    assert heard == ["a|b|c", "stop"]


@pytest.mark.parametrize(
    "content", [None, "stop", {}, {"type": "dance"}, {"type": "need"}, {"type": "file", "name": "x"}]
)
def test_a_message_that_makes_no_sense_is_passed_over(content: Any):
    canvas = ImageCanvas()
    canvas.on_need(lambda key: pytest.fail(key))
    canvas.on_file(lambda name, content: pytest.fail(name))
    canvas._handle_custom_msg(content, [])
    assert canvas.error == ""


def test_a_file_reaches_the_callback_whole_and_its_error_reaches_the_page_twice():
    canvas = ImageCanvas()
    assert not canvas.openable
    errors: list[str] = []
    canvas.observe(lambda change: errors.append(change["new"]), "error")

    def refuse(name: str, content: bytes) -> None:
        raise ValueError(f"{name} is no picture: {content[:4]!r}")

    undo = canvas.on_file(refuse)
    assert canvas.openable
    for _ in range(2):
        canvas._handle_custom_msg({"type": "file", "name": "notes.txt"}, [memoryview(b"dear diary")])
    assert errors == ["notes.txt is no picture: b'dear'", "", "notes.txt is no picture: b'dear'"]
    undo()
    assert not canvas.openable


def test_a_file_that_is_too_large_is_refused_by_the_kernel_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cnnviz_widgets.widgets.calling.LARGEST_FILE", 10)
    canvas = ImageCanvas()
    canvas.on_file(lambda name, content: pytest.fail("was opened"))
    canvas._handle_custom_msg({"type": "file", "name": "huge.png"}, [memoryview(b"12345678901")])
    assert "huge.png is larger" in canvas.error


def test_a_map_waits_while_an_update_of_the_front_end_is_applied(monkeypatch: pytest.MonkeyPatch):
    # In that moment traitlets holds all announcements back, and one from another thread could be lost.
    canvas = ImageCanvas()
    thread = threading.Thread(target=canvas.publish, args=("new||", np.eye(2)))
    seen: list[dict[str, Any]] = []

    def slowly(self: ImageCanvas, sync_data: dict[str, Any]) -> None:
        thread.start()
        thread.join(0.3)
        seen.append(dict(self.incoming))

    monkeypatch.setattr(ipywidgets.Widget, "set_state", slowly)
    canvas.set_state({"opacity": 0.5})
    thread.join(5)
    assert seen == [{}]
    assert canvas.incoming["key"] == "new||"


def test_every_map_is_announced_while_a_thread_publishes_and_the_front_end_writes():
    canvas = ImageCanvas()
    sent: list[str] = []
    canvas.observe(lambda change: sent.append(change["new"]["key"]), "incoming")

    def publish() -> None:
        for i in range(200):
            canvas.publish(f"{i}||", np.full((2, 2), i))

    thread = threading.Thread(target=publish)
    thread.start()
    turn = 0
    while thread.is_alive():
        turn += 1
        canvas.set_state({"opacity": (turn % 100) / 100, "threshold": (turn % 50) / 50})
    assert sent == [f"{i}||" for i in range(200)]


def test_an_observer_that_waits_for_the_publishing_thread_does_not_hang():
    canvas = ImageCanvas()

    def wait(_change: object) -> None:
        thread = threading.Thread(target=canvas.publish, args=("late||", np.eye(2)))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()

    canvas.observe(wait, "opacity")
    canvas.set_state({"opacity": 0.25})
    assert canvas.incoming["key"] == "late||"
