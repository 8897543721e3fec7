"""What widgets have in common whose front end asks for something: callbacks, and what goes wrong in them is shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import traitlets as t

from cnnviz_widgets.widgets.reporting import Reporting

__all__ = ["Calling"]

LARGEST_FILE = 20_000_000


class Calling(Reporting):
    """A widget with a Stop button on which pictures can be dropped. A subclass hears its own messages in `_hear`."""

    openable = t.Bool(False, help="whether pictures can be dropped here; `on_file` sets it").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._callbacks: dict[str, list[Callable[..., object]]] = defaultdict(list)
        super().__init__(**traits)

    def on_stop(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()` when Stop is pressed; returns how to take that back."""
        return self._register("stop", callback)

    def on_file(self, callback: Callable[[str, bytes], object]) -> Callable[[], None]:
        """Call `callback(name, content)` for a picture that is dropped, pasted or opened; returns how to take it back.

        An exception that the callback raises is shown under the picture.
        """
        undo = self._register("file", callback)
        self.openable = True
        return undo

    def _register(self, kind: str, callback: Callable[..., object]) -> Callable[[], None]:
        self._callbacks[kind].append(callback)

        def undo() -> None:
            if callback in self._callbacks[kind]:
                self._callbacks[kind].remove(callback)
            if kind == "file" and not self._callbacks[kind]:
                self.openable = False

        return undo

    def _call(self, kind: str, *arguments: object) -> None:
        for callback in list(self._callbacks[kind]):
            callback(*arguments)

    def _answer(self, _widget: object, content: Any, buffers: Any) -> None:
        """A message of the front end; what goes wrong in a callback is shown there, because a log is never read."""
        self.send({"type": "here"})  # The front end knows by this that it is no static page.
        try:
            match content:
                case {"type": "stop"}:
                    self._call("stop")
                case {"type": "file", "name": str(name)} if buffers:
                    self.error = ""  # So that the same message a second time is news.
                    if len(buffers[0]) > LARGEST_FILE:
                        raise ValueError(f"{name} is larger than {LARGEST_FILE // 1_000_000} MB")
                    self._call("file", name, bytes(buffers[0]))
                case Mapping():
                    self._hear(content)
        except Exception as error:
            self.error = str(error) or type(error).__name__
