"""PictureSource without a browser: what becomes the picture, who hears of it, and when the next frame may come."""

import io
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import traitlets
from PIL import Image, ImageOps

from cnnviz_widgets.data import ImageError, samples
from cnnviz_widgets.widgets import PictureSource
from cnnviz_widgets.widgets.camera_frame import Frame

RED, BLUE = (np.full((40, 60, 3), colour, np.uint8) for colour in ((200, 10, 20), (10, 20, 200)))


class Heard:
    """A source, what it told its callback and what it sent to the browser."""

    def __init__(self, pictures: Mapping[str, Any] | None = None, *, listening: bool = True, **options: Any) -> None:
        self.source = PictureSource(pictures, **options)
        self.told: list[tuple[Any, str]] = []
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        self.source.send = lambda content, buffers=None: self.sent.append((content, buffers or []))
        if listening:
            self.source.on_picture(lambda picture, kind: self.told.append((picture, kind)))

    def message(self, content: dict[str, Any], *buffers: bytes) -> None:
        """What the browser would send."""
        self.source._handle_custom_msg(content, [memoryview(buffer) for buffer in buffers])

    def film(self, number: int, data: bytes = b"", page: str = "a") -> None:
        self.message({"type": "camera", "number": number, "page": page}, data or encoded(RED))

    def answers(self) -> list[int]:
        return [number for content, _ in self.sent if content["type"] == "done" for number in content["numbers"]]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def camera(heard: Heard) -> Heard:
    """With the camera of page "a" running."""
    heard.source.set_state({"live": True, "page": "a"})
    return heard


def encoded(pixels: np.ndarray, form: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def mean(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).reshape(-1, 3).mean(0)


# Pictures that stay.


def test_a_sample_becomes_the_picture_and_a_small_jpeg_travels(heard: Heard):
    heard.source.choose("cat")
    [(picture, kind)] = heard.told
    assert kind == "sample" and picture is heard.source.image
    assert np.array_equal(np.asarray(picture), np.asarray(samples["cat"]))
    shown = heard.source.shown
    assert (shown["kind"], shown["name"], shown["width"], shown["height"]) == ("sample", "cat", 451, 300)
    small = Image.open(io.BytesIO(shown["data"]))
    assert small.format == "JPEG" and max(small.size) == 320 and len(shown["data"]) < 40_000
    assert repr(heard.source) == "PictureSource(sample 'cat')"


def test_the_samples_can_be_chosen_unless_other_pictures_are_given():
    assert PictureSource().names == list(samples)
    assert PictureSource({"mine": RED}).names == ["mine"]


def test_an_unknown_name_names_its_neighbours_and_the_picture_stays(heard: Heard):
    heard.source.choose("coffee")
    with pytest.raises(KeyError, match="no picture 'cofee'; did you mean 'coffee'?"):
        heard.source.choose("cofee")
    heard.message({"type": "choose", "name": "qqq"})
    assert heard.source.error.startswith("no picture 'qqq'; there are cat, coffee")
    assert heard.source.shown["name"] == "coffee" and len(heard.told) == 1


def test_pictures_are_opened_when_they_are_chosen_and_not_before():
    opened: list[str] = []

    class Many(Mapping[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            opened.append(name)
            return RED

        def __iter__(self) -> Iterator[str]:
            return iter(("a", "b"))

        def __len__(self) -> int:
            return 2

    source = PictureSource(Many())
    assert opened == []
    source.choose("b")
    assert opened == ["b"]


def test_a_picture_from_python_is_news_to_callbacks_too(heard: Heard):
    heard.source.show(RED, name="red")
    [(picture, kind)] = heard.told
    assert kind == "python" and picture.mode == "RGB" and picture.size == (60, 40)
    assert heard.source.shown["name"] == "red"


def test_what_is_no_picture_is_refused_and_the_picture_stays(heard: Heard):
    heard.source.show(RED)
    with pytest.raises(ImageError):
        heard.source.show(b"not a picture")
    assert heard.source.shown["kind"] == "python" and len(heard.told) == 1


def test_a_file_becomes_the_picture_and_one_that_is_none_says_so_every_time(heard: Heard):
    heard.message({"type": "file", "name": "red.png"}, encoded(RED, "PNG"))
    assert heard.told[0][1] == "file" and np.array_equal(np.asarray(heard.source.image), RED)
    errors: list[str] = []
    heard.source.observe(lambda change: errors.append(change["new"]), "error")
    for _ in range(2):
        heard.message({"type": "file", "name": "notes.txt"}, b"some text")
    assert [bool(error) for error in errors] == [True, False, True] and errors[0].startswith("notes.txt: ")
    assert heard.source.shown["name"] == "red.png" and len(heard.told) == 1
    heard.message({"type": "file", "name": "red.png"}, encoded(RED, "PNG"))
    assert heard.source.error == ""


def test_a_file_of_more_than_20_megabytes_is_refused(heard: Heard):
    heard.message({"type": "file", "name": "huge.png"}, bytes(20_000_001))
    assert heard.source.error == "huge.png is larger than 20 MB" and not heard.told


def test_a_drawing_arrives_without_loss_and_is_answered(heard: Heard):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    heard.message({"type": "drawing", "number": 7}, encoded(pixels, "PNG"))
    assert heard.told[0][1] == "drawing" and np.array_equal(np.asarray(heard.source.image), pixels)
    assert heard.answers() == [7]


def test_a_drawing_that_fails_is_answered_too_so_that_the_next_one_can_come(heard: Heard):
    heard.source.on_picture(lambda picture, kind: 1 / 0)
    heard.message({"type": "drawing", "number": 7}, encoded(RED, "PNG"))
    assert heard.answers() == [7] and heard.source.error == "division by zero"


# The camera.


def test_a_frame_is_decoded_by_whoever_asks_for_it_and_not_when_it_comes(camera: Heard):
    camera.film(1, b"no picture at all")
    [(frame, kind)] = camera.told
    assert kind == "camera" and isinstance(frame, Frame) and frame.number == 1 and camera.source.error == ""
    with pytest.raises(ImageError):
        frame.picture()
    camera.film(2)
    seen: list[Image.Image] = []
    worker = threading.Thread(target=lambda: seen.append(camera.told[1][0].picture()))
    worker.start()
    worker.join()
    assert np.abs(mean(seen[0]) - RED[0, 0]).max() < 4 and camera.told[1][0].picture() is seen[0]


def test_the_newest_frame_is_the_picture(camera: Heard):
    for number, colour in enumerate((BLUE, BLUE, RED), 1):
        camera.film(number, encoded(colour))
    assert [frame.number for frame, _ in camera.told] == [1, 2, 3]
    image = camera.source.image
    assert image is not None and np.abs(mean(image) - RED[0, 0]).max() < 4


def test_the_next_frame_is_asked_for_when_done_is_said_in_any_thread_and_once(camera: Heard):
    camera.film(41)
    assert camera.answers() == []
    worker = threading.Thread(target=camera.source.done)
    worker.start()
    worker.join()
    camera.source.done()
    assert camera.answers() == [41]
    camera.film(42)
    camera.source.done()
    assert camera.answers() == [41, 42]


def test_done_without_a_frame_says_nothing(heard: Heard):
    heard.source.done()
    assert heard.sent == []


def test_without_a_listener_every_frame_is_answered():
    camera = Heard(listening=False)
    camera.source.set_state({"live": True, "page": "a"})
    camera.film(1)
    assert camera.answers() == [1] and camera.source.image is not None


def test_a_callback_that_fails_is_an_answer_and_is_shown(camera: Heard):
    def fail(frame: Frame, kind: str) -> None:
        raise ValueError("too dark")

    undo = camera.source.on_picture(fail)
    camera.film(1)
    assert camera.answers() == [1] and camera.source.error == "too dark"
    undo()
    undo()
    camera.film(2)
    assert camera.answers() == [1]


def test_a_callback_that_fails_does_not_keep_the_news_from_the_next(heard: Heard):
    source = PictureSource()
    told: list[str] = []
    source.on_picture(lambda picture, kind: 1 / 0)
    source.on_picture(lambda picture, kind: told.append(kind))
    with pytest.raises(ZeroDivisionError):
        source.show(RED)
    assert told == ["python"]


def test_frames_that_come_after_the_stop_or_of_another_page_are_answered_and_dropped(camera: Heard):
    camera.film(1, page="b")
    camera.source.live = False
    camera.film(2)
    assert camera.told == [] and camera.source.image is None and camera.answers() == [1, 2]


def test_the_last_frame_stays_when_the_camera_stops(camera: Heard):
    camera.film(1, encoded(BLUE))
    assert camera.source.shown == {}  # While it runs, the page shows its own camera.
    camera.source.live = False
    assert camera.source.shown["kind"] == "camera" and camera.source.shown["data"] == encoded(BLUE)
    assert camera.source.page == ""


def test_a_frozen_camera_shows_the_frame_that_was_kept(camera: Heard):
    camera.film(1, encoded(RED))
    camera.source.frozen = True
    assert camera.source.shown["data"] == encoded(RED)
    camera.film(2, encoded(BLUE))  # It was on its way.
    assert camera.source.shown["data"] == encoded(BLUE)
    camera.source.live = False
    assert not camera.source.frozen


@pytest.mark.parametrize("how", ["show", "choose", "file", "drawing"])
def test_another_picture_ends_the_camera_and_stays(camera: Heard, how: str):
    camera.film(1)
    messages = {"file": {"type": "file", "name": "x.png"}, "drawing": {"type": "drawing", "number": 2}}
    if how in messages:
        camera.message(messages[how], encoded(BLUE, "PNG"))
    else:
        getattr(camera.source, how)("cat" if how == "choose" else BLUE)
    assert not camera.source.live and camera.source.shown["kind"] != "camera"
    picture = camera.source.image
    camera.film(3)
    assert camera.source.image is picture and camera.source.shown["kind"] != "camera"


# What the browser asks for.


def test_thumbnails_are_small_and_one_that_cannot_be_made_is_empty():
    heard = Heard({"red": RED, "broken": b"nothing"})
    heard.message({"type": "thumbnails", "names": ["red", "broken"]})
    heard.source._thumbnails.shutdown(wait=True)
    thumbnails = {content["name"]: buffers[0] for content, buffers in heard.sent if content["type"] == "thumbnail"}
    assert Image.open(io.BytesIO(thumbnails["red"])).size == (60, 40) and thumbnails["broken"] == b""


def test_no_thumbnail_of_the_samples_has_more_than_12_kilobytes():
    heard = Heard()
    heard.message({"type": "thumbnails", "names": heard.source.names})
    heard.source._thumbnails.shutdown(wait=True)
    sizes = [len(buffers[0]) for content, buffers in heard.sent if content["type"] == "thumbnail"]
    assert len(sizes) == len(samples) and min(sizes) > 0 and max(sizes) < 12_000


def test_the_ground_of_a_drawing_is_the_middle_of_the_picture_without_loss(heard: Heard):
    heard.message({"type": "ground"})
    assert not [content for content, _ in heard.sent if content["type"] == "ground"]
    heard.source.choose("cat")
    heard.message({"type": "ground"})
    content, [data] = heard.sent[-1]
    assert content["type"] == "ground"
    wanted = ImageOps.fit(samples["cat"], (256, 256))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(wanted))


@pytest.mark.parametrize("size", [15, 1025])
def test_an_impossible_size_is_refused(size: int):
    with pytest.raises(traitlets.TraitError):
        PictureSource(size=size)
