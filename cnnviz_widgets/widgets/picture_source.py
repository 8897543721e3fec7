"""`PictureSource`: four ways to hand a picture to a network: choose one, open a file, draw, or use the camera.

The browser sends files, drawings and frames of the camera as encoded bytes. A frame is sent only while no
more than `ahead` are without an answer (`done`), and what is filmed in between is dropped: so the newest always wins,
however slow the network is.
"""

from __future__ import annotations

import difflib
import io
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeAlias

import traitlets as t
from PIL import Image, ImageOps

from cnnviz_widgets.data import ImageLike, as_picture, samples
from cnnviz_widgets.widgets.camera_frame import Frame
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["PictureSource"]

Kind: TypeAlias = Literal["sample", "file", "drawing", "camera", "python", "index"]
Callback: TypeAlias = Callable[[Any, Kind], object]

LARGEST_FILE = 20_000_000
PREVIEW = 320  # Pixels of the longer side, for 160 on a fine screen.
THUMBNAIL = 144


class PictureSource(Publishing):
    """A small preview and four buttons: a list of pictures, a file, a drawing board, and the camera.

    Files can also be dropped on it or pasted. The camera's pictures are squares of `size` pixels, cut from the middle;
    `ahead` of them are on their way at a time, and whoever works on one says `done()`. Choosing, opening or drawing
    something ends the camera, so that the picture stays.

    Args:
        pictures: What can be chosen, by name; by default the sample photos. Opened when chosen, not before.
        size: Side of drawings and of the camera's pictures, in pixels.

    Attributes:
        live: Whether the camera runs. Set it to have the browser start or stop it; where that fails it goes back to
            False and `error` says why.
        frozen: The camera runs, but the picture stays.
        mirror: The camera's pictures are mirrored, as one knows oneself.
        shown: {kind, name, width, height, data}: the picture as a small JPEG; {} while there is none.
        error: What went wrong, shown under the buttons; "" when nothing did.
        names: What can be chosen.
        ahead: How many of the camera's pictures may be on their way at a time. One is never sent in vain, but then the
            kernel waits for each, about 50 ms in JupyterLab; whoever works on the newest and passes over the others
            takes more.
        page: Which page's camera it is: of two that show the widget only one films.

    Example:
        source = PictureSource()
        source.on_picture(lambda picture, kind: print(kind, picture))
        source
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    live = t.Bool(False).tag(sync=True)
    frozen = t.Bool(False).tag(sync=True)
    mirror = t.Bool(True).tag(sync=True)
    size = t.Int(256, min=16, max=1024).tag(sync=True)
    ahead = t.Int(1, min=1, max=8).tag(sync=True)
    shown = t.Dict().tag(sync=True)
    error = t.Unicode("").tag(sync=True)
    names = t.List(t.Unicode()).tag(sync=True)
    page = t.Unicode("").tag(sync=True)

    def __init__(self, pictures: Mapping[str, ImageLike] | None = None, *, size: int = 256, **traits: Any) -> None:
        self._pictures: Mapping[str, ImageLike] = samples if pictures is None else pictures
        self._callbacks: list[Callback] = []
        self._newest: Image.Image | Frame | None = None
        self._frames = 0
        self._unanswered: list[int] = []
        self._lock = threading.Lock()
        self._thumbnails = ThreadPoolExecutor(1, "cnnviz-thumbnails")
        super().__init__(names=[str(name) for name in self._pictures], size=size, **traits)

    def __repr__(self) -> str:
        """``PictureSource(sample 'cat')``."""
        if not self.shown:
            return "PictureSource(empty)"
        return f"PictureSource({self.shown['kind']} {self.shown['name']!r})"

    @property
    def image(self) -> Image.Image | None:
        """The newest picture, in RGB; of the camera the last frame that came. None before the first."""
        newest = self._newest
        return newest.picture() if isinstance(newest, Frame) else newest

    def show(self, image: ImageLike, name: str = "", *, kind: Kind = "python") -> None:
        """Make this the picture; callbacks hear of it as of any other.

        Args:
            image: The picture.
            name: What it is called under the preview.
            kind: Where it came from, as the preview and the callbacks are told.

        Raises:
            ImageError: It is no picture.
            Exception: What a callback raised.
        """
        self._take(as_picture(image), kind, name)

    def choose(self, name: str) -> None:
        """Make one of the `pictures` the picture, as a click on its thumbnail does.

        Raises:
            KeyError: There is none of that name; near names are suggested.
            ImageError: It cannot be opened.
            Exception: What a callback raised.
        """
        if name not in self.names:
            raise KeyError(_no_such(name, self.names))
        self._take(as_picture(self._pictures[name]), "sample", name)

    def on_picture(self, callback: Callback) -> Callable[[], None]:
        """Call `callback(picture, kind)` for every new picture; returns how to take that back.

        `kind` is "sample", "file", "drawing", "camera", "python" or "index". `picture` is a PIL picture in RGB; for
        "camera" a `Frame`, whose `picture()` is decoded in the thread that asks for it. For each frame somebody has to
        say `done()`, or the next one comes only after ten seconds. What a callback raises is shown under the buttons.
        """
        self._callbacks.append(callback)

        def undo() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return undo

    def done(self) -> None:
        """Say that the frames that came were worked off, or passed over for the last of them, and the next may come.

        From any thread; twice does no harm.
        """
        with self._lock:
            numbers, self._unanswered = self._unanswered, []
        if numbers:
            self.send({"type": "done", "numbers": numbers})

    # --- what the browser sends --------------------------------------------------------------------------------------

    def _answer(self, _widget: object, content: Any, _buffers: Any) -> None:
        """A message of the front end; what goes wrong is shown there, because a log is never read."""
        try:
            match content:
                case {"type": "camera", "number": int(number), "page": str(page)} if _buffers:
                    self._film(bytes(_buffers[0]), number, page)  # Its answer is `done`.
                    return
                case _:
                    self.send({"type": "here"})  # The front end knows by this that it is no static page.
            match content:
                case {"type": "drawing", "number": int(number)} if _buffers:
                    self.error = ""
                    try:
                        self._take(as_picture(bytes(_buffers[0])), "drawing", "")
                    finally:
                        self.send({"type": "done", "numbers": [number]})
                case {"type": "file", "name": str(name)} if _buffers:
                    self.error = ""  # So that the same message a second time is news.
                    self._open(name, bytes(_buffers[0]))
                case {"type": "choose", "name": str(name)}:
                    self.error = ""
                    self.choose(name)
                case {"type": "thumbnails", "names": list(names)}:
                    self._thumbnails.submit(self._send_thumbnails, names)
                case {"type": "ground"}:
                    self._send_ground()
        except Exception as error:
            words = error.args[0] if isinstance(error, KeyError) and error.args else error
            self.error = str(words) or type(error).__name__

    def _open(self, name: str, content: bytes) -> None:
        if len(content) > LARGEST_FILE:
            raise ValueError(f"{name} is larger than {LARGEST_FILE // 1_000_000} MB")
        try:
            picture = as_picture(content)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        self._take(picture, "file", name)

    def _film(self, data: bytes, number: int, page: str) -> None:
        with self._lock:
            self._unanswered.append(number)
            # One that was on its way when the camera was stopped, or of a page that lost it, is late.
            late = not self.live or page != self.page
            if not late:
                self._frames += 1
                self._newest = Frame(data, self._frames, self.size)
            frame = self._newest
        if late or not self._callbacks:
            self.done()
        if late or not isinstance(frame, Frame):
            return
        if self.frozen:
            self._show_frame()
        try:
            self._call(frame, "camera")
        except Exception:
            self.done()  # An error is an end too.
            raise

    def _send_thumbnails(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                data = _jpeg(as_picture(self._pictures[name]), THUMBNAIL)
            except Exception:
                data = b""  # What is wrong with it is said when it is chosen.
            self.send({"type": "thumbnail", "name": name}, [data])

    def _send_ground(self) -> None:
        """The present picture as a drawing begins on it: the square that a network sees, without loss."""
        if self.image is not None:
            encoded = io.BytesIO()
            ImageOps.fit(self.image, (self.size, self.size)).save(encoded, "PNG", compress_level=1)
            self.send({"type": "ground"}, [encoded.getvalue()])

    # --- what follows ------------------------------------------------------------------------------------------------

    def _take(self, picture: Image.Image, kind: Kind, name: str) -> None:
        with self._lock:
            self._newest = picture
        width, height = picture.size
        small = {"kind": kind, "name": name, "width": width, "height": height, "data": _jpeg(picture, PREVIEW)}
        self._publish("shown", small)
        self._publish("live", False)
        self._call(picture, kind)

    def _call(self, picture: Image.Image | Frame, kind: Kind) -> None:
        """Tell everybody; one that fails does not keep the news from the others."""
        first: Exception | None = None
        for callback in list(self._callbacks):
            try:
                callback(picture, kind)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    @t.observe("live")
    def _camera_was_switched(self, change: Any) -> None:
        if not change["new"]:
            self.frozen, self.page = False, ""
            self._show_frame()

    @t.observe("frozen")
    def _camera_was_frozen(self, change: Any) -> None:
        if change["new"]:
            self._show_frame()

    def _show_frame(self) -> None:
        """What the camera saw last as the picture that stays; not of each frame, for the page sees its own camera."""
        frame = self._newest
        if isinstance(frame, Frame):
            size = frame.size
            self._publish("shown", {"kind": "camera", "name": "", "width": size, "height": size, "data": frame.data})


def _jpeg(picture: Image.Image, longest: int) -> bytes:
    small = picture.copy()
    small.thumbnail((longest, longest))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _no_such(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(names), n=2)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(names)}"
    return f"no picture {name!r}; {hint}"
