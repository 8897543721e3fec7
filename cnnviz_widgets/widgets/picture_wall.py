"""`PictureWall`: pictures of a collection by number, as a wall or as a strip, loaded as they come into sight."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t

from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.thumbnails import Thumbnailed

__all__ = ["PictureWall"]

KEPT = 2**20  # Bytes of pictures that stay in the page when there is no kernel any more.


class PictureWall(Thumbnailed, Calling):
    """Small pictures side by side, each with a caption and a mark, from a handful to as many as you like.

    Only the pictures in sight are asked for and exist in the page, so a wall of ten thousand opens as quickly as one of
    ten. A click picks a picture; by keyboard the arrows walk and Enter picks, + and - make the pictures larger and
    smaller.

    Args:
        fetch: gives the encoded picture (JPEG or PNG) of a number, e.g. ``index.thumbnail``; called as pictures come
            into sight. None: set it later with `show_thumbnails`.

    Attributes:
        wall: What hangs there, as it travels; set it with `show`.
        clicked: {number, place, turn} of the picture that was picked last; {} before that. `turn` counts, so that the
            same picture picked twice is news.
        row: One row, which scrolls sideways, instead of a wall.
        tile_size: Of a picture's place in CSS pixels, 24 to 256.
        height: Of the wall at most, in CSS pixels.
        empty: What is said when there are no pictures.
        kept: The pictures that stay in the page when there is no kernel any more.

    Raises:
        traitlets.TraitError: Any of these set to something impossible; the wall stays as it was.

    Example:
        wall = PictureWall(index.thumbnail)
        wall.show([3, 14, 159], captions=["cat", "dog", "boat"], title="Three of them")
        wall
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    wall = t.Dict().tag(sync=True, echo_update=False)
    clicked = t.Dict().tag(sync=True)
    row = t.Bool(False).tag(sync=True)
    tile_size = t.Int(96, min=24, max=256).tag(sync=True)
    height = t.Int(360, min=80, max=4000).tag(sync=True)
    empty = t.Unicode("No pictures.").tag(sync=True)
    kept = t.Dict().tag(sync=True, echo_update=False)

    def __init__(self, fetch: Callable[[int], bytes] | None = None, **traits: Any) -> None:
        self._numbers: tuple[int, ...] = ()
        self._turns = itertools.count(1)
        self._turn = 0
        super().__init__(**traits)
        if fetch is not None:
            self.show_thumbnails(fetch)

    def __repr__(self) -> str:
        return f"PictureWall({len(self._numbers)} pictures)" if self._numbers else "PictureWall(empty)"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the pictures, in the order in which they hang."""
        return self._numbers

    def show(
        self,
        numbers: Iterable[int],
        *,
        captions: Sequence[str] | None = None,
        marks: Sequence[str] | None = None,
        title: str = "",
        key: str = "",
    ) -> None:
        """Hang up these pictures. May be called from any thread; of several calls the newest one counts.

        Args:
            numbers: As `fetch` knows them, in this order; one may hang twice.
            captions: Words under each picture, in several lines where they hold line breaks.
            marks: A badge on each picture: "wrong" is a red cross, "right" a tick, any other short text is written, ""
                is none.
            title: The heading.
            key: Names what is shown. Pictures of another key are seen from the first one; of the same key, from where
                the wall was scrolled to.

        Raises:
            TypeError: Numbers that are not whole.
            ValueError: Numbers below 0, or not one caption or mark for each picture.
        """
        turn = next(self._turns)
        rows = _whole(numbers)
        for name, words in (("captions", captions), ("marks", marks)):
            if words is not None and len(words) != len(rows):
                raise ValueError(f"{name} are one for each of the {len(rows)} pictures, not {len(words)}")
        message = {
            "numbers": rows.astype("<i4").tobytes(),
            "captions": None if captions is None else [str(caption) for caption in captions],
            "marks": None if marks is None else [str(mark) for mark in marks],
            "title": title,
            "key": key,
            "turn": turn,
        }
        with self._alone():
            if turn > self._turn:  # Else a call that came later was quicker.
                self._turn, self._numbers = turn, tuple(rows.tolist())
                self.wall = message

    def clear(self) -> None:
        """Take the pictures down."""
        self.show(())

    def on_pick(self, callback: Callable[[int], object]) -> Callable[[], None]:
        """Call `callback(number)` when a picture is picked; returns how to take that back.

        What the callback raises is shown under the wall.
        """
        return self._register("pick", callback)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "pick", "turn": int(turn), "place": int(place)}:
                if turn == self._turn and 0 <= place < len(self._numbers):  # Else another wall hangs there by now.
                    self._pick(place)
            case {"type": "keep", "source": str(source), "numbers": list(numbers)}:
                self._keep(source, numbers)
            case _:
                super()._hear(content)

    def _pick(self, place: int) -> None:
        number = self._numbers[place]
        self.error = ""
        self._publish("clicked", {"number": number, "place": place, "turn": self.clicked.get("turn", 0) + 1})
        self._call("pick", number)

    def _keep(self, source: str, numbers: list[int]) -> None:
        """Put the pictures that a page rests on into the state, so that they are there without a kernel."""
        there, fetch = self._thumbnails
        if fetch is None or source != there:
            return
        kept: dict[int, bytes] = {}
        size = 0
        for number in dict.fromkeys(numbers):
            picture = bytes(fetch(int(number)))
            size += len(picture)
            if size > KEPT:
                break
            kept[int(number)] = picture
        self._publish("kept", {"source": source, "numbers": list(kept), "pictures": list(kept.values())})


def _whole(numbers: Iterable[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    rows = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers))
    if rows.size and rows.dtype.kind not in "iu":
        raise TypeError(f"pictures are named by whole numbers, not by {rows.dtype}")
    if rows.ndim != 1:
        raise ValueError(f"the numbers of pictures are one list, not an array of shape {rows.shape}")
    if rows.size and (rows.min() < 0 or rows.max() >= 2**31):
        wrong = int(rows.min()) if rows.min() < 0 else int(rows.max())
        raise ValueError(f"the numbers of pictures count from 0 to {2**31 - 1}; there is {wrong}")
    return rows.astype(np.int64)
