"""`IndexBuilder`: build an index where one can see how far it is, stop it, and go on another day."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets as t

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Cancelled, Engine, Job
from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.desk import Desk, Every
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.pace import Pace, duration

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

__all__ = ["IndexBuilder"]

OFTEN = 0.1  # Seconds between two reports,
LISTED = 500  # and skipped pictures that are listed.
BUILD = "build"  # The one concern at the desk.

# What `Index.build` warns of, pictures that are skipped, is listed in the page; a warning from another thread would
# appear under whatever cell runs.
warnings.filterwarnings("ignore", category=UserWarning, module=rf"{__name__}$")


class IndexBuilder(Calling):
    """A progress bar with Start and Stop: pictures done, pictures a second, the time left; then what was skipped.

    Nothing is computed before Start is pressed or `start` is called. An index that is there already opens at once. Stop
    keeps what is done, also when the kernel ends; the same builder, or another one of the same gallery and folder, goes
    on from there. It runs in the engine's worker: cells and other widgets stay alive, and what somebody waits for with
    the mouse in hand goes first.

    Args:
        engine: the network.
        gallery: the pictures.
        path: the folder of the index.
        **build_arguments: what else `Index.build` takes: layers, k, client, batch_size, shard.

    Attributes:
        index: The `Index`, or None while it is not there.
        status, error: What is being done, and what went wrong.
        skipped: (key, reason) of the pictures that could not be read, the first 500 of them.

    Raises:
        TypeError: no Engine, no Gallery, or an argument that `Index.build` does not know.

    Example:
        >>> builder = IndexBuilder(engine, Gallery.from_folder("my_pictures"), "my_index")
        >>> builder  # and press Start; in the next cell:
        >>> EmbeddingScatter(builder.wait())
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    title = t.Unicode("").tag(sync=True)
    action = t.Unicode("").tag(sync=True)  # What the button says; "" for none.
    skipped = t.List(t.Tuple(t.Unicode(), t.Unicode())).tag(sync=True)
    skipped_count = t.Int(0).tag(sync=True)

    def __init__(self, engine: Engine, gallery: Gallery, path: str | os.PathLike[str], **build_arguments: Any) -> None:
        from cnnviz_widgets.index import Index

        if not isinstance(engine, Engine) or not isinstance(gallery, Gallery):
            came = f"{type(engine).__name__} and {type(gallery).__name__}"
            raise TypeError(f"wanted an Engine and a Gallery, got {came}, as in IndexBuilder(engine, gallery, path)")
        if "progress" in build_arguments:
            raise TypeError("progress is what an IndexBuilder shows; leave it out")
        inspect.signature(Index.build).bind(engine, gallery, path, **build_arguments)  # says what it does not know
        self.engine, self.gallery, self.path = engine, gallery, Path(path).expanduser()
        self._arguments = build_arguments
        self._index: Index | None = None
        self._listeners: list[Callable[[Index], object]] = []
        self._share: float | None = None  # how much of it was done when that was told last
        self._started = False  # whether the present job builds, and does not only look what is there
        self._desk = Desk(engine.worker, lambda _concern, text: self._failed(text))
        super().__init__(title=f"Index of {gallery.name} as {engine.name} sees it")
        self.on_stop(self.stop)
        self.report("running", "looking what is there")
        self._desk.submit(BUILD, self._open, urgent=True)  # also while another builder works

    def __repr__(self) -> str:
        """``IndexBuilder(digits, digits.index: done, 5,000 pictures)``."""
        words = f"{self.status['state']}, {self.status['text']}".strip(", ")
        return f"IndexBuilder({self.gallery.name}, {self.path.name}: {words})"

    # --- from Python --------------------------------------------------------------------------------------------------

    @property
    def index(self) -> Index | None:
        """The index, once it is there."""
        return self._index

    def start(self) -> None:
        """Build it, go on with what was stopped, or add the pictures that are new; nothing while that is being done."""
        if self._started and self._desk.busy(BUILD):
            return
        self._started = True
        self._tell_started("waiting for other work")
        pace, due = Pace(), Every(OFTEN)
        self._desk.submit(BUILD, self._build, on_progress=lambda job: self._tell(job, pace, due))

    def stop(self) -> None:
        """Stop; what is done is kept, except the pictures of the last few seconds, whose shard is not whole."""
        if self._desk.busy(BUILD):
            self._desk.stop(BUILD)
            self._tell_stopped()

    def wait(self, timeout: float | None = None) -> Index | None:
        """Block until it is there, or stopped, and return `index`.

        Raises:
            TimeoutError: it is not there after `timeout` seconds (and goes on).
            Exception: what went wrong; it is shown under the bar too.
        """
        self._desk.wait(timeout)
        return self._index

    def on_done(self, callback: Callable[[Index], object]) -> Callable[[], None]:
        """Call `callback(index)` when the index is there, now if it already is; returns how to take that back.

        It is called in the worker's thread, and what it raises is shown under the bar.
        """
        self._listeners.append(callback)
        if self._index is not None:
            self._hand_over(callback, self._index)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    # --- done in the worker -------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """See whether it is there already."""
        from cnnviz_widgets.index import Index, IndexIncomplete

        try:
            index = Index.open(self.path, self.engine, self.gallery)
        except FileNotFoundError:
            self._offer("Start")
            self.report("idle", f"{_pictures(len(self.gallery))} to look at; nothing is done yet")
        except IndexIncomplete:
            self._offer("Go on")
            self.report("stopped", "begun and not finished")
        except Cancelled:
            raise
        except Exception:
            self._offer("Start")
            raise
        else:
            self._done(index)

    def _build(self) -> None:
        from cnnviz_widgets.index import Index

        self._tell_started("listing the pictures")
        try:
            index = Index.build(self.engine, self.gallery, self.path, **self._arguments, progress=False)
        except Cancelled:
            self._tell_stopped()
            raise
        except Exception:
            self._offer("Try again")
            raise
        self._done(index)

    def _tell_started(self, words: str) -> None:
        self.error = ""
        self._offer("")
        self.report("running", words)

    def _tell_stopped(self) -> None:
        self._offer("Go on")
        self.report("stopped", "stopped; what is done is kept", self._share)

    def _tell(self, job: Job[Any], pace: Pace, due: Every) -> None:
        """So many pictures are done."""
        done, total = job.done, job.total or 0
        pace.mark(done)
        if job.stopping or not total or not (due.due() or done == total):
            return
        if done >= total:
            self.report("running", f"{total:,} pictures seen; putting the index together", 1.0)
            return
        words = [f"{done:,} of {_pictures(total)}"]
        rate, left = pace.rate, pace.left(total)
        if rate is not None and left is not None:
            words += [f"{rate:.0f} a second" if rate >= 9.5 else f"{rate:.1f} a second", f"{duration(left)} left"]
        self._share = done / total
        self.report("running", ", ".join(words), self._share)

    def _done(self, index: Index) -> None:
        self._index = index
        found = index.skipped
        with self.hold_sync():
            self.skipped, self.skipped_count = [tuple(one) for one in found[:LISTED]], len(found)
        more = len(self.gallery) - len(index) - len(found)
        count, layers = len(index.units), ", ".join(index.layers)
        words = f"ready as .index: {_pictures(len(index))}, {count} convolution{'s' * (count != 1)}, {layers} embedded"
        self._offer("Bring up to date")
        self.report("done", words + (f"; the gallery has {_pictures(more)} more" if more > 0 else ""), 1.0)
        for callback in list(self._listeners):
            self._hand_over(callback, index)

    def _failed(self, text: str) -> None:
        self.report("error", text, self._share)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _hand_over(self, callback: Callable[[Index], object], index: Index) -> None:
        try:
            callback(index)
        except Exception as error:
            self._publish("error", str(error) or type(error).__name__)

    def _offer(self, action: str) -> None:
        self._publish("action", action)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "start"}:
                self.start()
            case _:
                super()._hear(content)


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"
