"""The network's part of an `OcclusionSlider`: called in the engine's worker only, it knows nothing of the screen."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.engine.targets import check_unit
from cnnviz_widgets.methods.occluders import Fill, Occluder, Shape
from cnnviz_widgets.results import Predictions, Unit
from cnnviz_widgets.widgets.occlusion_sweeps import Remembered, Swept


@dataclass(frozen=True)
class Setting:
    """What a sweep is made with."""

    patch: int
    stride: int
    fill: Fill
    shape: Shape


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, and what the network in one state says to it."""

    number: int
    picture: Image.Image
    state: Hashable
    x: Tensor
    scores: NDArray[np.float32]
    predictions: Predictions
    categories: tuple[str, ...]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(classes,) softmax of the scores."""
        return softmax(self.scores)

    @property
    def side(self) -> int:
        """The longer side of the picture as the network sees it."""
        return max(self.x.shape[-2:])


class NetworkChanged(RuntimeError):
    """The weights changed while a map was computed: its rows would not belong together."""


class OcclusionWork:
    """Looks at pictures, answers places, sweeps, and remembers what it found for the network as it is.

    Args:
        engine: the network.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.sweeps = Remembered()
        self._scene: Scene | None = None
        self._occluder: tuple[Scene, Setting, Occluder] | None = None
        self._bases: dict[Unit, float] = {}

    def scene(self, picture: Image.Image) -> Scene:
        """What the network, as it is now, says to a picture; looked at once."""
        state = self._engine.state
        known = self._scene
        if known is not None and known.picture is picture and known.state == state:
            return known
        with self._engine.still(state):
            x = self._engine.prepare(picture)
            scores = self._engine.logits(x)
            predictions = self._engine.ranked(x, scores)
            categories = self._engine.categories
        known = self._scene
        if known is not None and known.picture is picture and known.state == state:
            return known  # somebody urgent looked meanwhile
        self.sweeps.clear()
        self._bases.clear()
        number = 0 if known is None else known.number + 1
        self._scene = Scene(number, picture, state, x, _numbers(scores)[0], predictions, categories)
        return self._scene

    def occluder(self, scene: Scene, setting: Setting) -> Occluder:
        """What stands under the patch; the stride does not matter to it."""
        like = replace(setting, stride=1)
        known = self._occluder
        if known is None or known[0] is not scene or known[1] != like:
            made = Occluder.of(self._engine, scene.picture, setting.patch, setting.fill, setting.shape)
            known = self._occluder = (scene, like, made)
        return known[2]

    def answer(self, scene: Scene, setting: Setting, top: int, left: int) -> tuple[Predictions, NDArray[np.float32]]:
        """What the network says with the patch there: looked up where a sweep has been, else one pass.

        Returns:
            The likeliest classes, and the probabilities (classes,) of all.
        """
        one = self.occluder(scene, setting).sweep((top,), (left,))
        known = self.sweeps.get((setting, None))
        scores = None if known is None else known.at(top, left)
        if scores is None:
            with self._engine.still(scene.state):
                (row,) = self._engine.incremental.rows(one, None)
            scores = _numbers(row)[0]
        said = self._engine.ranked(one.pictures(top, [left]), torch.from_numpy(scores.copy())[None])
        return said, softmax(scores)

    def swept(self, scene: Scene, setting: Setting, unit: Unit | None) -> Swept:
        """What is known of a sweep; where nothing is, an empty one that is remembered from now on."""
        known = self.sweeps.get((setting, unit))
        if known is None:
            known = Swept(*self.occluder(scene, setting).grid(setting.stride), ranked=unit is None)
            self.sweeps.keep((setting, unit), known)
        return known

    def grow(self, scene: Scene, setting: Setting, unit: Unit | None) -> Iterator[Swept]:
        """Go on with a sweep where it ended, and give it after each row.

        Raises:
            NetworkChanged: the network is no more what it was at the first row.
        """
        swept = self.swept(scene, setting, unit)
        if swept.whole:
            return
        sweep = self.occluder(scene, setting).sweep(swept.tops[swept.done :], swept.lefts)
        for row in self._engine.incremental.rows(sweep, unit):
            if self._scene is not scene or self._engine.state != scene.state:
                raise NetworkChanged("the network changed while the map was computed; press Compute again")
            swept.add(_numbers(row))
            self.sweeps.keep((setting, unit), swept)  # it has grown
            yield swept
            checkpoint()  # here at the latest what is urgent is done

    def base(self, scene: Scene, unit: Unit) -> float:
        """The activity of a feature map without a patch; a map is remembered from then on.

        Raises:
            KeyError, IndexError: no such layer or channel; near names are suggested.
        """
        if unit not in self._bases:
            with self._engine.still(scene.state):
                check_unit(unit, self._engine.layers_for(scene.x)[unit.layer])
                self._bases[unit] = float(self._engine.incremental.base(scene.x, unit)[0])
        return self._bases[unit]

    def knows(self, unit: Unit) -> bool:
        """Whether the unit was looked at, so that nothing has to be computed to show what is known of it."""
        return unit in self._bases

    def channels(self, scene: Scene) -> dict[str, int]:
        """The layers that have feature maps, in the order in which they run, with how many."""
        return {row.name: row.shape[0] for row in self._engine.layers_for(scene.x).in_order() if row.spatial}

    def strongest(self, scene: Scene, layer: str | None = None) -> Unit:
        """The channel of a layer (by default the last with feature maps) whose map answers most in total."""
        layer = layer or self._engine.last_maps(scene.x)
        totals = self._engine.measure(scene.x, [layer], lambda maps: maps[0].flatten(1).sum(1))[layer]
        return Unit(layer, int(totals.argmax()))


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of scores (classes,)."""
    raised = np.exp(scores.astype(np.float64) - scores.max())
    return (raised / raised.sum()).astype(np.float32)


def _numbers(values: Tensor) -> NDArray[np.float32]:
    return values.detach().cpu().float().numpy()
