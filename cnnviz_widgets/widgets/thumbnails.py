"""What widgets have in common whose page asks for small pictures by their numbers, as many as it sees."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any

import traitlets as t

from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["Thumbnailed"]

AT_ONCE = 64  # Pictures in one answer,
LONGEST = 0.05  # and seconds after which it is sent with what there is: the kernel has other things to do.

_numbers = itertools.count(1)


class Thumbnailed(Publishing):
    """A widget with thumbnails; `front/thumbnails.js` gets them, and a subclass's `_hear` calls the one of this class.

    Attributes:
        thumbnail_source: Names where thumbnails come from; "" while there are none. Set it with `show_thumbnails`.
    """

    thumbnail_source = t.Unicode("").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._thumbnails: tuple[str, Callable[[int], bytes] | None] = ("", None)
        self._told = ""  # The source about which something went wrong already.
        super().__init__(**traits)

    def show_thumbnails(self, fetch: Callable[[int], bytes] | None) -> None:
        """Show these thumbnails from now on; what the page has of others is forgotten.

        Args:
            fetch: Called with a number, gives an encoded picture (JPEG or PNG), b"" where there is none. It is called
                in the thread that answers the page, so it should take well under a millisecond. None: no thumbnails.
        """
        source = f"thumbnails {next(_numbers)}" if fetch else ""
        self._thumbnails = (source, fetch)
        self._publish("thumbnail_source", source)

    def _hear(self, content: Mapping[str, Any]) -> None:
        """A message of the front end.

        Raises:
            Exception: What went wrong with a thumbnail, once for each source; the page has its answer all the same.
        """
        match content:
            case {"type": "thumbnails", "source": str(source), "numbers": list(numbers), "number": int(ticket)}:
                self._send_thumbnails(source, numbers, ticket)
            case _:
                super()._hear(content)

    def _send_thumbnails(self, source: str, numbers: list[Any], ticket: int) -> None:
        present, fetch = self._thumbnails
        pictures: list[bytes] = []
        wrong: Exception | None = None
        end = time.monotonic() + LONGEST
        if fetch is not None and source == present:
            for number in numbers[:AT_ONCE]:
                try:
                    pictures.append(bytes(fetch(int(number))))
                except Exception as error:
                    pictures.append(b"")
                    wrong = wrong or error
                if time.monotonic() > end:
                    break  # The page asks for the others again.
        answered = {"numbers": numbers[: len(pictures)], "number": ticket}
        self.send({"type": "thumbnails", "source": source, **answered}, buffers=pictures)
        if wrong is not None and self._told != source:
            self._told = source
            raise wrong
