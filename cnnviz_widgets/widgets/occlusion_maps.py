"""The five views of one sweep as results: each is read off the scores that are there, none runs the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnviz_widgets.methods.backprop import ZEILER
from cnnviz_widgets.methods.occluders import Occluder
from cnnviz_widgets.results import OcclusionMap, Unit
from cnnviz_widgets.widgets.occlusion_sweeps import Swept
from cnnviz_widgets.widgets.occlusion_work import Scene, Setting


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep.

    Attributes:
        view: "score", "probability", "activity", "class" or "comparison".
        target: The class.
        against: The class that it is held against in a comparison.
        unit: The feature map whose activity is looked at.
    """

    view: str
    target: int
    against: int
    unit: Unit | None


def occlusion_map(
    scene: Scene, setting: Setting, occluder: Occluder, swept: Swept, asked: Question, base: float = np.nan
) -> OcclusionMap:
    """A view of a sweep as `occlusion` would give it; rows that have not come are NaN.

    Args:
        scene: the picture and what the network says to it.
        setting: how the sweep is made.
        occluder: what stands under the patch.
        swept: what it found so far.
        asked: the view, and of what.
        base: the unit's activity without a patch, for "activity".
    """
    parameters: dict[str, Any] = {
        "patch": setting.patch if isinstance(setting.shape, str) else None,
        "stride": setting.stride,
        "fill": setting.fill,
        "shape": setting.shape,
        "output": "score",
    }
    target, name, layer = asked.target, scene.categories[asked.target], None
    more: dict[str, Any] = {}
    if asked.view == "activity":
        assert asked.unit is not None
        target, name, layer = asked.unit, str(asked.unit), asked.unit.layer
        parameters["output"] = "activity"
        scores = swept.scores(0)
    elif asked.view == "comparison":
        name = f"{name} - {scene.categories[asked.against]}"
        parameters["against"] = asked.against
        scores = swept.scores(target) - swept.scores(asked.against)
        base = float(scene.scores[target] - scene.scores[asked.against])
    elif asked.view == "score":
        scores, base = swept.scores(target), float(scene.scores[target])
    else:
        parameters["output"] = "probability"
        scores = swept.probabilities(target)
        base = float(scene.probabilities[target])
        best = swept.order[:, :, 0].astype(np.int64)
        more = {"classes": best, "class_names": {int(n): scene.categories[n] for n in np.unique(best[best >= 0])}}
    return OcclusionMap(
        image=occluder.picture,
        target=target,
        target_name=name,
        layer=layer,
        method="occlusion",
        parameters=parameters,
        citation=ZEILER,
        scores=scores,
        tops=np.array(swept.tops),
        lefts=np.array(swept.lefts),
        size=occluder.size,
        base=base,
        fill=occluder.fill_picture,
        mask=occluder.mask,
        **more,
    )
