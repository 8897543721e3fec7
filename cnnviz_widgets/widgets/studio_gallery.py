"""The gallery of a `FeatureStudio`: what was kept, as a strip of small pictures, one of which is seen large."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnviz_widgets.methods.synthesis import PRESETS
from cnnviz_widgets.results import Synthesis
from cnnviz_widgets.widgets.studio_messages import result_messages, short_words, thumbnail
from cnnviz_widgets.widgets.studio_view import StudioView

__all__ = ["StudioGallery"]

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class _Kept:
    result: Synthesis
    code: str
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def name(self) -> str:
        return self.result.target_name or self.result.method

    @property
    def how(self) -> str:
        said, count = self.result.parameters, len(self.result.pictures)
        usual = PRESETS[said["preset"]].to_json()
        moved = "changes" in said or any(said[part] != usual[part] for part in usual if part != "steps")
        many = f"{count} × " if count > 1 else ""
        return f"{many}{said['preset']}{' changed' if moved else ''}, {said['steps']} steps"

    def message(self) -> dict[str, Any]:
        """As a thumbnail travels."""
        words, small = short_words(self.result), thumbnail(self.result)
        return {"id": self.number, "name": self.name, "how": self.how, "words": words, "picture": small}


class StudioGallery:
    """What was kept.

    Args:
        view: where it is seen.
    """

    def __init__(self, view: StudioView) -> None:
        self._view = view
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    @property
    def results(self) -> list[Synthesis]:
        """What was kept, the oldest first."""
        with self._lock:
            return [kept.result for kept in self._kept]

    def add(self, results: Sequence[Synthesis], code: str) -> None:
        """Keep these, each once."""
        with self._lock:
            known = [kept.result for kept in self._kept]
            new = [result for result in results if not any(result is one for one in known)]
            self._kept += [_Kept(result, code) for result in new]
        self._show()

    def remove(self, place: int) -> None:
        """Take one out, by its place.

        Raises:
            IndexError: there are not so many.
        """
        with self._lock:
            if not -len(self._kept) <= place < len(self._kept):
                raise IndexError(f"no kept picture {place}; there are {len(self._kept)}")
            gone = self._kept.pop(place)
        if self._view.looked.get("id") == gone.number:
            self._view.publish("looked", {})
        self._show()

    def pressed(self, content: Mapping[str, Any]) -> None:
        """What was pressed in the strip: a picture, its cross, or the way back to the present picture."""
        match content:
            case {"type": "look", "id": int(number)}:
                self._look(number)
            case {"type": "remove", "id": int(number)}:
                places = [place for place, kept in enumerate(self._kept) if kept.number == number]
                for place in places:
                    self.remove(place)
            case {"type": "back"}:
                self._view.publish("looked", {})

    def _look(self, number: int) -> None:
        for kept in self._kept:
            if kept.number == number:
                frame, curve = result_messages([kept.result])
                title = f"Kept: {kept.name} ({kept.how})"
                looked = {"id": number, "title": title, "frame": frame, "curve": curve, "code": kept.code}
                self._view.publish("looked", looked)

    def _show(self) -> None:
        self._view.publish("kept", [kept.message() for kept in self._kept])
