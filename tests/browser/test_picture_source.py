"""PictureSource in a real Chromium: thumbnails, files, a drawing by hand, and the camera (Chromium's stand-in)."""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnviz_widgets.data import samples
from cnnviz_widgets.widgets import PictureSource
from tests.browser.harness import THEMES, Mounted, wait_until

pytestmark = pytest.mark.browser

SECURE = "http://localhost/"
BOARD = "canvas.cnnviz-pic-board"
WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (0xE5, 0x39, 0x35)

Mount = Callable[..., Mounted]


class Told:
    """What a source told its callback; frames are worked off at once unless `patient`."""

    def __init__(self, source: PictureSource, patient: bool = False) -> None:
        self.all: list[tuple[Any, str]] = []
        self._source, self._patient = source, patient
        source.on_picture(self)

    def __call__(self, picture: Any, kind: str) -> None:
        self.all.append((picture, kind))
        if kind == "camera" and not self._patient:
            self._source.done()

    def of(self, kind: str) -> list[Any]:
        return [picture for picture, told in self.all if told == kind]


def until(view: Mounted, holds: Callable[[], Any], what: str) -> Any:
    """Carry messages until it is so."""

    def look() -> Any:
        view.settle()
        return holds()

    return wait_until(look, what=what)


def settled(view: Mounted) -> None:
    """Until what the page does by itself (decode, encode) has been told too."""
    for _ in range(3):
        view.page.wait_for_timeout(50)
        view.settle()


def click(view: Mounted, name: str) -> None:
    view.page.get_by_role("button", name=name, exact=True).first.click()
    settled(view)


def preview(view: Mounted) -> np.ndarray:
    """The picture in the preview, as it is decoded by the page: (height, width, 3)."""
    data = view.page.evaluate(
        """async () => {
          const image = document.querySelector(".cnnviz-pic-still");
          await image.decode();
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
          canvas.getContext("2d").drawImage(image, 0, 0);
          const bytes = await (await canvas.convertToBlob()).arrayBuffer();
          return Array.from(new Uint8Array(bytes));
        }"""
    )
    return np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB"))


# Choose.


def test_thumbnails_are_asked_for_when_the_list_is_opened_and_a_click_chooses(mount: Mount):
    view = mount(PictureSource())
    told = Told(view.widget)
    assert view.sent("thumbnails") == []
    click(view, "Choose")
    thumbs = view.find(".cnnviz-pic-thumb img:not([hidden])")
    until(view, lambda: thumbs.count() >= 8, "thumbnails")
    view.page.get_by_role("radio", name="coffee").click()
    until(view, lambda: told.all, "the picture")
    [coffee] = told.of("sample")
    assert coffee.size == samples["coffee"].size
    view.settle()
    assert view.page.get_by_role("radio", name="coffee").get_attribute("aria-checked") == "true"
    assert view.find(".cnnviz-pic-title").inner_text() == "coffee"
    small = samples["coffee"].resize((320, 213))
    assert np.abs(preview(view).astype(int) - np.asarray(small).astype(int)).mean() < 6


def test_only_thumbnails_in_sight_are_asked_for_and_each_once(mount: Mount):
    source = PictureSource({f"picture {i}": np.full((20, 20, 3), i % 256, np.uint8) for i in range(300)})
    view = mount(source, views=2)
    click(view, "Choose")
    asked = [name for message in view.sent("thumbnails") for name in message["names"]]
    assert 4 <= len(asked) < 60 and asked[0] == "picture 0"
    view.find(".cnnviz-pic-grid").first.evaluate("(grid) => { grid.scrollTop = grid.scrollHeight; }")
    settled(view)
    view.page.get_by_role("button", name="Choose").nth(1).click()
    settled(view)
    asked = [name for message in view.sent("thumbnails") for name in message["names"]]
    assert "picture 299" in asked and "picture 150" not in asked and len(set(asked)) == len(asked)


def test_the_list_is_walked_and_chosen_from_with_the_keyboard(mount: Mount):
    view = mount(PictureSource())
    told = Told(view.widget)
    view.page.get_by_role("button", name="Choose").focus()
    view.page.keyboard.press("Enter")
    view.settle()
    view.page.get_by_role("radio", name="cat").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        view.page.keyboard.press(key)
    view.page.keyboard.press("Enter")
    until(view, lambda: told.all, "the picture")
    assert view.widget.shown["name"] == "coffee"
    view.page.keyboard.press("End")
    assert view.page.evaluate("document.activeElement.dataset.name") == list(samples)[-1]
    view.page.keyboard.press("Home")
    view.page.keyboard.press("ArrowDown")
    assert view.page.evaluate("document.activeElement.offsetTop") > 10
    assert view.find(".cnnviz-pic-grid [tabindex='0']").count() == 1


# Files.


def drop(view: Mounted, name: str, content: bytes, size: int = 0) -> None:
    transfer = view.page.evaluate_handle(
        """([name, content, size]) => {
          const transfer = new DataTransfer();
          const bytes = size ? new Uint8Array(size) : new Uint8Array(content);
          if (name) transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [name, list(content), size],
    )
    view.find(".cnnviz-source").dispatch_event("dragover", {"dataTransfer": transfer})
    assert view.find(".cnnviz-dropping").count() == 1
    view.find(".cnnviz-source").dispatch_event("drop", {"dataTransfer": transfer})
    settled(view)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


NOISE = np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8)


def test_a_file_is_dropped_pasted_or_opened_and_arrives_pixel_for_pixel(mount: Mount):
    view = mount(PictureSource())
    told = Told(view.widget)
    drop(view, "noise.png", png(NOISE))
    assert view.find(".cnnviz-dropping").count() == 0
    assert view.find(".cnnviz-pic-title").inner_text() == "noise.png"
    assert view.find(".cnnviz-pic-head").inner_text().split("\n")[-1] == "File, 40 × 30"
    with view.page.expect_file_chooser() as chooser:
        view.page.get_by_role("button", name="Open…").click()
    chooser.value.set_files({"name": "opened.png", "mimeType": "image/png", "buffer": png(NOISE)})
    settled(view)
    view.page.evaluate(
        """(content) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(content)], "pasted.png"));
          const paste = new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
          document.querySelector(".cnnviz-source button").dispatchEvent(paste);
        }""",
        list(png(NOISE)),
    )
    settled(view)
    assert len(told.of("file")) == 3 and view.widget.shown["name"] == "pasted.png"
    assert all(np.array_equal(np.asarray(picture), NOISE) for picture in told.of("file"))


def test_what_is_no_picture_is_said_under_the_buttons_until_it_is_dismissed(mount: Mount):
    view = mount(PictureSource())
    told = Told(view.widget)
    for _ in range(2):
        drop(view, "notes.txt", b"some text")
        assert "notes.txt" in view.page.get_by_role("alert").inner_text()
        assert "Opening" not in view.find(".cnnviz-source").inner_text()
        view.page.get_by_label("Dismiss the error").click()
        view.settle()
        assert view.widget.error == "" and not view.page.get_by_role("alert").is_visible()
    assert told.all == []


@pytest.mark.parametrize(("name", "size", "words"), [("huge.tif", 20_000_001, "20 MB"), ("", 0, "no file")])
def test_what_cannot_be_opened_is_refused_before_it_is_sent(mount: Mount, name: str, size: int, words: str):
    view = mount(PictureSource())
    drop(view, name, b"", size)
    assert words in view.page.get_by_role("alert").inner_text()
    assert view.sent("file") == []


# Draw.


def board(mount: Mount, **options: Any) -> tuple[Mounted, Told]:
    view = mount(PictureSource(size=128), **options)
    told = Told(view.widget)
    click(view, "Draw")
    return view, told


def line(view: Mounted, *points: tuple[float, float], size: int = 128) -> None:
    """Draw with the mouse through these pixels of the picture."""
    box = view.find(BOARD).bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"] / size, box["y"] + y * box["height"] / size) for x, y in points]
    view.page.mouse.move(*places[0])
    view.page.mouse.down()
    for place in places[1:]:
        view.page.mouse.move(*place, steps=8)
    view.page.mouse.up()
    settled(view)


def newest(told: Told) -> np.ndarray:
    return np.asarray(told.of("drawing")[-1])


def colours(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(map(int, colour)) for colour in np.unique(pixels.reshape(-1, 3), axis=0)}


def test_a_stroke_of_the_mouse_arrives_pixel_for_pixel(mount: Mount):
    view, told = board(mount)
    assert told.all == []  # An empty board is no picture yet.
    line(view, (20, 64), (108, 64))
    assert len(told.all) == 1
    pixels = newest(told)
    assert pixels.shape == (128, 128, 3)
    assert np.array_equal(pixels, view.pixels(BOARD)[..., :3])
    ink = pixels.max(-1) < 128
    rows, columns = np.nonzero(ink)
    assert (rows.min(), rows.max()) == (62, 65)  # Four pixels wide, about y = 64.
    assert abs(columns.min() - 18) <= 1 and abs(columns.max() - 109) <= 1
    assert ink[64, 20:108].all() and tuple(pixels[0, 0]) == WHITE


def test_colour_width_eraser_undo_and_clear_do_what_they_say(mount: Mount):
    view, told = board(mount)
    view.page.get_by_label("Red pen").click()
    view.page.get_by_label("Width").fill("20")
    line(view, (20, 64), (108, 64))
    first = newest(told)
    assert tuple(first[64, 64]) == RED and tuple(first[55, 64]) == RED and tuple(first[50, 64]) == WHITE
    click(view, "Eraser")
    line(view, (64, 20), (64, 108))
    assert tuple(newest(told)[64, 64]) == WHITE and tuple(newest(told)[64, 30]) == RED
    click(view, "Undo")
    assert np.array_equal(newest(told), first)
    click(view, "Clear")
    assert colours(newest(told)) == {WHITE}
    click(view, "Undo")
    assert np.array_equal(newest(told), first)
    click(view, "Undo")
    assert view.page.get_by_role("button", name="Undo").is_disabled()
    assert colours(newest(told)) == {WHITE}


def test_a_drawing_starts_from_black_or_from_the_present_picture_which_the_eraser_uncovers(mount: Mount):
    view, told = board(mount)
    click(view, "Black")
    assert colours(newest(told)) == {BLACK}
    view.widget.show(np.kron(NOISE, np.ones((8, 8, 1), np.uint8)))
    view.settle()
    click(view, "Picture")
    ground = newest(told)
    assert len(colours(ground)) > 200
    view.page.get_by_label("White pen").click()
    line(view, (10, 10), (100, 100))
    assert tuple(newest(told)[50, 50]) == WHITE
    click(view, "Eraser")
    view.page.get_by_label("Width").fill("64")
    line(view, (5, 5), (105, 105))
    assert np.array_equal(newest(told), ground)


def test_one_draws_with_the_keyboard_too(mount: Mount):
    view, told = board(mount)
    canvas = view.find(BOARD)
    canvas.focus()
    for key in ("ArrowUp", " ", "Shift+ArrowRight", "ArrowRight", " "):
        canvas.press(key)
    settled(view)
    ink = newest(told).max(-1) < 128
    assert len(told.all) == 1 and ink[60, 64:84].all() and not ink[60, 90] and not ink[66].any()
    assert view.find(".cnnviz-pic-where").inner_text() == "Pen up at x 84, y 60"
    canvas.press("z")
    settled(view)
    assert colours(newest(told)) == {WHITE}


def test_strokes_that_come_while_one_is_worked_on_arrive_as_one_picture_the_newest(mount: Mount):
    source = PictureSource(size=128)
    told = Told(source)
    view = mount(source)
    click(view, "Draw")
    view.kernel = False  # Nobody answers for a while.
    for y in (20, 50, 80):
        line(view, (20, y), (100, y))
    assert len(view.sent("drawing")) == 1
    view.kernel = True
    view.page.evaluate("(number) => model.hear({ content: { type: 'done', numbers: [number] }, buffers: [] })",
                       view.sent("drawing")[0]["number"])  # fmt: skip
    settled(view)
    assert len(view.sent("drawing")) == 2 and len(told.all) == 1
    assert (newest(told)[[20, 50, 80], 60] == 0).all()


# The camera.


TRACKS = """() => {
  window.tracks = [];
  const ask = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (ask) navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}"""


def filming(mount: Mount, *, patient: bool = False, **options: Any) -> tuple[Mounted, Told]:
    """A page that may use the camera, and remembers every track that it got."""
    source = PictureSource()
    told = Told(source, patient)
    view = mount(source, **{"address": SECURE, "permissions": ["camera"], **options})
    view.page.evaluate(TRACKS)
    return view, told


def states(view: Mounted) -> list[str]:
    return view.page.evaluate("() => tracks.map((track) => track.readyState)")


def test_frames_arrive_as_squares_and_there_are_never_two_in_flight(mount: Mount):
    view, told = filming(mount, patient=True)
    click(view, "Camera")
    for number in range(15):
        until(view, lambda number=number: len(told.all) > number, "the next frame")
        view.page.wait_for_timeout(20 * (number % 3))  # Up to two pictures of the camera later.
        view.settle()
        assert len(view.sent("camera")) == len(told.all) == number + 1
        view.widget.done()
    assert view.widget.live
    frames = told.of("camera")
    assert [frame.number for frame in frames] == list(range(1, 16))
    pictures = [np.asarray(frame.picture()) for frame in frames]
    assert all(picture.shape == (256, 256, 3) for picture in pictures)
    assert (pictures[-1] != pictures[0]).any(), "the picture does not move"
    assert pictures[-1][128, 10, 1] > 100 > pictures[-1][128, 10, 0], "Chromium's stand-in is green"
    assert all(len(frame.data) < 40_000 for frame in frames)
    view.settle()
    assert "frames/s" in view.find(".cnnviz-pic-rate").inner_text()


def test_no_frame_is_sent_before_the_last_was_worked_off_and_then_it_is_the_newest(mount: Mount):
    view, told = filming(mount, patient=True)
    click(view, "Camera")
    until(view, lambda: told.all, "a frame")
    for _ in range(10):
        view.page.wait_for_timeout(50)
        view.settle()
    assert len(view.sent("camera")) == 1
    seen = view.pixels(".cnnviz-pic-moving")[..., :3].astype(int)
    view.widget.done()
    until(view, lambda: len(told.all) == 2, "the next frame")
    first, second = (np.asarray(frame.picture()).astype(int) for frame in told.of("camera"))
    # The stand-in's pie turns once a second: the second frame is what was seen at the answer, not what came first.
    assert np.abs(second - seen).mean() < np.abs(first - seen).mean()


def test_as_many_frames_as_are_allowed_are_on_their_way_and_one_answer_is_for_all_that_came(mount: Mount):
    source = PictureSource(ahead=3)
    told = Told(source, True)
    view = mount(source, address=SECURE, permissions=["camera"])
    click(view, "Camera")
    until(view, lambda: len(told.all) == 3, "three frames")
    for _ in range(5):
        view.page.wait_for_timeout(50)
        view.settle()
    assert len(view.sent("camera")) == 3
    source.done()
    until(view, lambda: len(told.all) == 6, "three more")
    view.page.wait_for_timeout(200)
    view.settle()
    assert len(view.sent("camera")) == 6


def test_stopping_releases_the_camera_and_keeps_the_last_frame(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 3, "frames")
    assert states(view) == ["live"]
    click(view, "Stop camera")
    assert states(view) == ["ended"] and not view.widget.live
    number = len(told.all)
    view.page.wait_for_timeout(300)
    view.settle()
    assert len(told.all) == number
    last = np.asarray(told.of("camera")[-1].picture()).astype(int)
    assert np.abs(preview(view).astype(int) - last).max() <= 2
    assert view.find(".cnnviz-pic-title").inner_text() == "Camera"


def test_python_starts_and_stops_the_camera(mount: Mount):
    view, told = filming(mount)
    view.widget.live = True
    until(view, lambda: len(told.all) >= 3, "frames")
    assert view.page.get_by_role("button", name="Stop camera").is_visible()
    view.widget.live = False
    settled(view)
    assert states(view) == ["ended"]


def test_another_picture_ends_the_camera(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 2, "frames")
    drop(view, "noise.png", png(NOISE))
    assert states(view) == ["ended"] and view.widget.shown["name"] == "noise.png"


def test_what_is_frozen_is_what_python_has_and_the_camera_goes_on_afterwards(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 3, "frames")
    click(view, "Freeze")
    settled(view)
    number = len(told.all)
    seen = view.pixels(".cnnviz-pic-moving")[..., :3].astype(int)
    came = np.asarray(told.of("camera")[-1].picture()).astype(int)
    assert np.abs(came - seen).mean() < 1.5
    view.page.wait_for_timeout(300)
    view.settle()
    assert len(told.all) == number and states(view) == ["live"] and view.widget.frozen
    click(view, "Freeze")
    until(view, lambda: len(told.all) > number + 2, "more frames")


def test_the_mirror_turns_what_is_sent_and_what_is_seen(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")

    def clock_side() -> str:
        """The stand-in writes the time into its upper left corner."""
        picture = np.asarray(told.of("camera")[-1].picture()).astype(int)
        left, right = (picture[5:30, part, 0].std() for part in (slice(0, 100), slice(156, 256)))
        return "left" if left > right else "right"

    until(view, lambda: len(told.all) >= 3, "frames")
    assert clock_side() == "right"
    view.page.get_by_label("Mirror").uncheck()
    settled(view)
    number = len(told.all)
    until(view, lambda: len(told.all) > number + 1, "more frames")
    assert clock_side() == "left" and view.widget.mirror is False


def test_the_camera_rests_while_the_page_or_the_widget_is_hidden(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 3, "frames")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    fold = (
        "(hidden) => { document.querySelector('.cnnviz-source').parentElement.style.display = hidden ? 'none' : ''; }"
    )
    for how in (hide, fold):
        view.page.evaluate(how, True)
        settled(view)
        number = len(told.all)
        view.page.wait_for_timeout(300)
        view.settle()
        assert len(told.all) == number and states(view)[-1] == "live"
        view.page.evaluate(how, False)
        until(view, lambda number=number: len(told.all) > number + 2, "more frames")


@pytest.mark.parametrize("how", ["views cleared", "page left"])
def test_the_camera_is_released_when_nobody_sees_it_any_more(mount: Mount, how: str):
    view, told = filming(mount, views=2)
    view.page.get_by_role("button", name="Camera").first.click()
    until(view, lambda: len(told.all) >= 2, "frames")
    if how == "page left":
        view.page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))")
    else:
        view.page.evaluate("() => views.shift().clean()")
        assert states(view) == ["live"]  # One of two views is enough.
        view.page.evaluate("() => views.shift().clean()")
    settled(view)
    assert states(view) == ["ended"] and not view.widget.live


def test_a_view_that_goes_while_the_camera_is_starting_leaves_no_camera_on(mount: Mount):
    view, _told = filming(mount)
    view.page.evaluate(
        """() => {
          [...document.querySelectorAll("button")].find((button) => button.textContent === "Camera").click();
          views[0].clean();
        }"""
    )
    wait_until(lambda: states(view), what="the camera's answer")
    settled(view)
    assert states(view) == ["ended"] and not view.widget.live


def test_of_two_pages_only_one_films(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 2, "frames")
    view.widget.page = "another page"
    settled(view)
    assert states(view) == ["ended"] and view.widget.live
    assert view.find("[role=status]").first.inner_text() == "The camera runs in another page."
    click(view, "Camera")
    until(view, lambda: states(view) == ["ended", "live"], "the camera here")
    assert view.widget.page not in ("", "another page")


def test_a_camera_that_is_not_allowed_says_so_and_can_be_tried_again(mount: Mount):
    view, told = filming(mount, permissions=[])
    view.widget.live = True
    until(view, lambda: view.widget.error, "the refusal")
    assert view.widget.error.startswith("The camera was not allowed.") and not view.widget.live
    view.settle()
    assert "not allowed" in view.page.get_by_role("alert").inner_text()
    view.page.context.grant_permissions(["camera"])
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 2, "frames")
    assert view.widget.error == "" and not view.page.get_by_role("alert").is_visible()


def test_a_page_without_a_camera_and_an_insecure_page_say_so(mount: Mount):
    view, _told = filming(mount)
    view.page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia =
          () => Promise.reject(new DOMException("Requested device not found", "NotFoundError")); }"""
    )
    click(view, "Camera")
    assert "has no camera" in view.widget.error
    insecure = mount(PictureSource())
    click(insecure, "Camera")
    assert "needs a secure page" in insecure.page.get_by_role("alert").inner_text()
    assert "http://widget.test" in insecure.widget.error and not insecure.widget.live


def test_a_camera_that_is_pulled_out_is_said(mount: Mount):
    view, told = filming(mount)
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 2, "frames")
    view.page.evaluate("() => tracks[0].dispatchEvent(new Event('ended'))")
    settled(view)
    assert view.widget.error == "The camera was disconnected." and not view.widget.live


def test_an_error_of_a_callback_is_shown_and_the_stream_goes_on(mount: Mount):
    view, _told = filming(mount)
    count = 0

    def fail(picture: Any, kind: str) -> None:
        nonlocal count
        count += 1
        raise ValueError("the network is too small")

    view.widget.on_picture(fail)
    click(view, "Camera")
    until(view, lambda: count >= 3, "frames")
    assert "the network is too small" in view.page.get_by_role("alert").inner_text()


def test_an_answer_that_is_lost_does_not_stop_the_stream_for_ever(mount: Mount):
    source = PictureSource()
    told = Told(source, patient=True)
    source._esm = str(source._esm).replace("ANSWER_WITHIN = 10_000", "ANSWER_WITHIN = 400")
    view = mount(source, address=SECURE, permissions=["camera"])
    begin = time.monotonic()
    click(view, "Camera")
    until(view, lambda: len(told.all) >= 3, "more frames")
    assert time.monotonic() - begin > 0.7


# The page around it.


def test_a_saved_page_shows_the_last_picture_says_that_it_is_static_and_starts_no_camera(mount: Mount):
    source = PictureSource()
    source.choose("cat")
    source.live = True
    view = mount(source, kernel=False, address=SECURE, permissions=["camera"])
    assert preview(view).shape[1] == 320
    note = view.page.get_by_text("static: no kernel answers")
    assert not note.is_visible()
    note.wait_for(state="visible", timeout=10_000)
    assert view.find(".cnnviz-pic-moving").is_hidden() and view.sent("camera") == view.updates == []


def test_every_control_has_a_name_and_keeps_its_keys_from_jupyterlab(mount: Mount):
    view, _told = filming(mount)
    for name in ("Choose", "Draw", "Camera"):
        click(view, name)
    until(view, lambda: view.widget.live, "the camera")
    click(view, "Choose")
    unnamed = view.page.evaluate(
        """() => [...document.querySelectorAll(".cnnviz-source :is(button, input:not([hidden]), canvas[tabindex])")]
          .filter((e) => !e.textContent.trim() && !e.getAttribute("aria-label") && !e.labels?.[0]?.textContent.trim())
          .map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    leaking = view.page.evaluate(
        """() => [...document.querySelectorAll(".cnnviz-source :is(button, input, canvas[tabindex], summary)")]
          .filter((e) => e.dataset.lmSuppressShortcuts !== "true").map((e) => e.outerHTML)"""
    )
    assert leaking == []


def test_it_follows_the_theme(mount: Mount):
    view = mount(PictureSource())
    for theme in ("light", "dark"):
        view.theme(theme)
        view.settle()
        colour = view.find(".cnnviz-pic-title").evaluate("(el) => getComputedStyle(el).color")
        wanted = THEMES[theme]["ui-font-color1"]
        assert colour == f"rgb({', '.join(str(int(wanted[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_it_fits_a_narrow_cell(mount: Mount):
    view = mount(PictureSource(), viewport={"width": 320, "height": 900})
    for panel in ("Choose", "Draw"):
        click(view, panel)
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_removed_view_leaves_nothing_behind(mount: Mount):
    view, told = filming(mount)
    click(view, "Draw")
    click(view, "Camera")
    until(view, lambda: told.all, "frames")
    view.clean()
    settled(view)
    assert view.listening() == 0 and view.find(".cnnviz-source").count() == 0 and states(view) == ["ended"]
    view.theme("dark")
    view.widget.show(NOISE)
    view.widget.live = True
    view.settle()
    assert len(states(view)) == 1
