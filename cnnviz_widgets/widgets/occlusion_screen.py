"""What an `OcclusionSlider` puts on its canvas: pictures, the map as it grows, and the answer at the patch's place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from cnnviz_widgets.methods.occluders import Occluder
from cnnviz_widgets.results import OcclusionMap, Predictions
from cnnviz_widgets.views.colour import scale_of
from cnnviz_widgets.widgets.desk import Every
from cnnviz_widgets.widgets.occlusion_canvas import OcclusionCanvas
from cnnviz_widgets.widgets.occlusion_sweeps import Swept
from cnnviz_widgets.widgets.occlusion_work import Scene

BULKY = 0.5  # seconds between two tables of answers, which are a hundred times as large as their map


class OcclusionScreen:
    """Feeds an `OcclusionCanvas`; called in the worker's thread only.

    Args:
        canvas: what is seen.

    Attributes:
        map: The `OcclusionMap` that is seen, or None.
    """

    def __init__(self, canvas: OcclusionCanvas) -> None:
        self._canvas = canvas
        self._under: Occluder | None = None
        self._answers_due = Every(BULKY)
        self._answers: tuple[Swept, int] | None = None  # whose are there, and how many rows
        self.map: OcclusionMap | None = None

    def begin(self) -> None:
        """A new picture, or a network that has changed: nothing that was shown counts any more."""
        self._canvas.forget()
        self._under = self._answers = self.map = None

    def show_patch(self, scene: Scene, occluder: Occluder, round_: bool) -> None:
        """The picture, and the patch with what is seen under it."""
        if self._under is occluder:
            return
        height, width = occluder.size
        new = self._under is None
        self._under, self.map = occluder, None  # the canvas takes the map of another patch away
        patch = {"h": height, "w": width, "round": round_}
        self._canvas.show_picture(occluder.picture, occluder.fill_picture, patch)
        if new:
            said = scene.predictions
            self._canvas.show_base(
                said.indices, said.probabilities, _names(scene, said.indices), all_probabilities=scene.probabilities
            )

    def show_answer(self, scene: Scene, y: int, x: int, said: Predictions, base: np.ndarray) -> None:
        """The classes with the patch there; `base`: the probabilities of those that lead without it."""
        names = _names(scene, said.indices)
        self._canvas.show_answer(y, x, said.indices, said.probabilities, names, base_probabilities=base)

    def show_map(self, scene: Scene, found: OcclusionMap, view: str, key: str) -> None:
        """A view of a sweep, as far as it has come."""
        self.map = found
        common: dict[str, Any] = {"key": key, "label": _label(found, view)}
        if view == "class":
            assert found.classes is not None
            common |= {"kind": "classes", "names": found.class_names, "base": float(scene.predictions.indices[0])}
            self._canvas.show_map(found.tops, found.lefts, found.classes, **common)
            return
        factor, unit = (100.0, "%") if view == "probability" else (1.0, "")
        values, base = found.scores * np.float32(factor), found.base * factor
        if view == "comparison":
            common["signed"] = True
        else:  # as far up as down from the value without a patch, as in the figure of an `OcclusionMap`
            reach = scale_of(base - values, True).hi or max(abs(base), 1.0)
            common |= {"signed": False, "lo": base - reach, "hi": base + reach}
        self._canvas.show_map(found.tops, found.lefts, values, base=base, unit=unit, **common)

    def show_answers(self, scene: Scene, swept: Swept, key: str) -> None:
        """Let the browser look up the bars at the places of a sweep; not more often than they are worth."""
        if self._answers == (swept, swept.done) or not (swept.whole or self._answers_due.due()):
            return
        self._answers = (swept, swept.done)
        names = _names(scene, np.unique(swept.order[swept.order >= 0]))
        base = np.stack([swept.probabilities(int(n)) for n in scene.predictions.indices], axis=2)
        self._canvas.show_answers(
            key, swept.tops, swept.lefts, swept.order, swept.shares, names, base_probabilities=base
        )


def _label(found: OcclusionMap, view: str) -> str:
    """The caption; its first word names the value under the cursor too."""
    if view == "class":
        return "most probable class"
    if view == "comparison":
        return f"lead of {' over '.join(found.target_name.split(' - ', 1))}"
    return f"{view} of {found.target_name}"


def _names(scene: Scene, numbers: Iterable[int]) -> dict[int, str]:
    return {int(number): scene.categories[int(number)] for number in numbers}
