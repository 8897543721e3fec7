"""What a `FeatureStudio` looks like: the pictures while they grow, their curve, the recipe as sliders, the gallery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import traitlets as t

from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.front_end import module, style

__all__ = ["StudioView"]

OFTEN = 0.1  # Seconds between two frames, at least;
PATIENCE = 1.0  # and so long the last one is waited for to be seen: a page in the background sees none.


class StudioView(Calling):
    """The part of a `FeatureStudio` that draws. It is told what there is, and calls back what was pressed.

    Args:
        press: called with what was pressed or moved, as the page says it: {type, ...}; what it raises is shown.
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    frame = t.Dict().tag(sync=True)  # The pictures as they are now, see `frame_message`.
    curve = t.Dict().tag(sync=True)
    settings = t.Dict().tag(sync=True)  # What can be chosen, and what is.
    pieces = t.List(t.Dict()).tag(sync=True)  # The recipe, row by row, see `piece_rows`.
    kept = t.List(t.Dict()).tag(sync=True)  # The gallery: {id, name, how, words, picture}.
    looked = t.Dict().tag(sync=True)  # The kept one that is seen large, {} for none: {id, title, frame, curve, code}.
    code = t.Unicode("").tag(sync=True)

    def __init__(self, press: Callable[[Mapping[str, Any]], object]) -> None:
        self._press = press
        self._numbers = 0
        self._sent = 0.0
        self._seen = threading.Event()
        self._seen.set()
        super().__init__()

    @property
    def ready(self) -> bool:
        """Whether a frame is due: the page has drawn the last one, or has not for a second."""
        waited = time.monotonic() - self._sent
        return waited >= OFTEN and (self._seen.is_set() or waited >= PATIENCE)

    def show(self, frame: Mapping[str, Any], curve: Mapping[str, Any]) -> None:
        """Show pictures and how their values climbed."""
        self._numbers += 1
        self._seen.clear()
        self._sent = time.monotonic()
        self._publish("curve", dict(curve))
        self._publish("frame", {**frame, "number": self._numbers})

    def publish(self, name: str, value: object) -> None:
        """Set a trait, from any thread."""
        self._publish(name, value)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "seen", "number": int(number)}:
                if number == self._numbers:
                    self._seen.set()
            case {"type": "hello"}:
                pass
            case _:
                self.error = ""  # So that the same message a second time is news.
                self._press(content)
