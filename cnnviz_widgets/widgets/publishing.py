"""What the widgets that are fed from a worker's thread have in common: one trait set at a time, and a sign of life."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anywidget

__all__ = ["Publishing"]


class Publishing(anywidget.AnyWidget):
    """A widget whose traits may be set from any thread, and that answers its front end.

    A subclass sends with `_publish`, and takes messages in `_hear`.
    """

    def __init__(self, **traits: Any) -> None:
        self._publishing = threading.RLock()
        super().__init__(**traits)
        self.on_msg(self._answer)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the front end changed (called by ipywidgets)."""
        with self._alone():
            super().set_state(sync_data)

    def _publish(self, name: str, value: object) -> None:
        """Set a trait; each is one message that is sent as a whole."""
        with self._alone():
            self.set_trait(name, value)

    def _hear(self, content: Mapping[str, Any]) -> None:
        """A message of the front end."""

    def _answer(self, _widget: object, content: Any, _buffers: object) -> None:
        self.send({"type": "here"})  # The front end knows by this that it is no static page.
        self._hear(content)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # While traitlets applies an update of the front end it swaps the method that announces changes, and a value set
        # in another thread at that moment could go unannounced. An observer that waits for the publishing thread must
        # not hang for ever, though: after a second that rare loss is the lesser evil.
        held = self._publishing.acquire(timeout=1.0)
        try:
            yield
        finally:
            if held:
                self._publishing.release()
