"""Thumbnailed: what the page is answered when it asks for thumbnails by number."""

import time
from typing import Any

import pytest

from cnnviz_widgets.widgets.calling import Calling
from cnnviz_widgets.widgets.publishing import Publishing
from cnnviz_widgets.widgets.thumbnails import Thumbnailed


class Plain(Thumbnailed, Publishing):
    pass


class Shown(Thumbnailed, Calling):
    pass


def asked(widget: Any, numbers: list[int], source: str | None = None) -> tuple[dict[str, Any], list[bytes]]:
    """The answer to a page that asks."""
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    widget.send = lambda content, buffers=None: sent.append((content, list(buffers or [])))
    source = widget.thumbnail_source if source is None else source
    widget._handle_custom_msg({"type": "thumbnails", "source": source, "numbers": numbers, "number": 7}, [])
    return sent[-1]


def test_each_number_is_answered_with_its_own_picture() -> None:
    widget = Plain()
    widget.show_thumbnails(lambda number: b"picture %d" % number)
    content, buffers = asked(widget, [3, 1])
    assert (content["type"], content["numbers"], content["number"]) == ("thumbnails", [3, 1], 7)
    assert buffers == [b"picture 3", b"picture 1"]


def test_an_answer_has_no_more_than_64_pictures() -> None:
    widget = Plain()
    widget.show_thumbnails(lambda number: b"x")
    content, buffers = asked(widget, list(range(500)))
    assert content["numbers"] == list(range(64)) and len(buffers) == 64


def test_slow_pictures_come_a_few_at_a_time_and_at_least_one() -> None:
    widget = Plain()

    def slow(number: int) -> bytes:
        time.sleep(0.06)
        return b"x"

    widget.show_thumbnails(slow)
    content, buffers = asked(widget, list(range(20)))
    assert content["numbers"] == [0] and len(buffers) == 1


def test_a_question_about_other_thumbnails_is_answered_with_none() -> None:
    widget = Plain()
    widget.show_thumbnails(lambda number: b"old")
    before = widget.thumbnail_source
    widget.show_thumbnails(lambda number: b"new")
    assert widget.thumbnail_source != before
    content, buffers = asked(widget, [1], source=before)
    assert (content["numbers"], buffers) == ([], [])
    widget.show_thumbnails(None)
    assert widget.thumbnail_source == "" and asked(widget, [1])[1] == []


def test_one_that_cannot_be_had_is_empty_and_said_once() -> None:
    widget = Shown()

    def fetch(number: int) -> bytes:
        if number == 2:
            raise OSError("the disk is gone")
        return b"x"

    widget.show_thumbnails(fetch)
    assert asked(widget, [1, 2, 3])[1] == [b"x", b"", b"x"]
    assert widget.error == "the disk is gone"
    widget.error = ""
    assert asked(widget, [2])[1] == [b""]
    assert widget.error == ""


def test_without_a_place_for_errors_it_is_raised_after_the_answer() -> None:
    widget = Plain()
    widget.show_thumbnails(lambda number: 1 / 0)  # type: ignore[return-value, arg-type]
    sent: list[Any] = []
    widget.send = lambda content, buffers=None: sent.append(buffers)
    with pytest.raises(ZeroDivisionError):
        widget._hear({"type": "thumbnails", "source": widget.thumbnail_source, "numbers": [1], "number": 1})
    assert sent == [[b""]]
