"""What is chosen in a `FeatureStudio`: for what, by which recipe, from where; what cannot be is refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as ipw
import numpy as np
import traitlets as t
from PIL import Image

from cnnviz_widgets.data import as_picture, samples
from cnnviz_widgets.engine import Engine, current_job
from cnnviz_widgets.methods.synthesis import Recipe
from cnnviz_widgets.methods.synthesis.presets import preset as preset_of
from cnnviz_widgets.results import Unit
from cnnviz_widgets.widgets.studio_making import Order, aims_of

__all__ = ["PARTS", "StudioChoice"]

PARTS = ("regularizers", "transforms", "steps", "rate")  # Of a recipe, each a trait; may change while it runs.


class StudioChoice(ipw.VBox):
    """The traits of a `FeatureStudio`, and the recipe and the order that follow from them."""

    engine: Engine

    target: Any = t.Any(None, allow_none=True)
    preset = t.Unicode("fourier")
    steps = t.Int(preset_of("fourier").steps, min=1)
    rate = t.Float(preset_of("fourier").rate)
    seed = t.Int(0, min=0)
    n = t.Int(1, min=1)
    channels = t.Int(1, min=1)
    diversity = t.Float(0.0, min=0)
    regularizers: Any = t.Any(())
    transforms: Any = t.Any(())
    init: Any = t.Any(None, allow_none=True)

    def __init__(self, children: Sequence[ipw.Widget], **options: Any) -> None:
        self._quiet = threading.local()
        self._init_words = ""  # the picture to begin with, as an expression ...
        self._init_name = ""  # ... or the name of the file that was dropped
        self._names = ""  # of what is chosen
        super().__init__(children, **options)

    @property
    def recipe(self) -> Recipe:
        """How pictures are made: the preset with what was changed."""
        return self._with()

    @t.validate("target")
    def _known_target(self, proposal: Any) -> Any:
        value = proposal["value"]
        value = int(value) if isinstance(value, np.integer) else list(value) if isinstance(value, tuple) else value
        if value is None:
            self._names = ""
            return None
        goals = value if isinstance(value, list) else [value]
        if not goals:
            raise ValueError("no target at all was given; give a class, a unit or a layer")

        def check() -> str:
            return ", ".join(aim.name for aim in aims_of(self.engine, goals))

        # the names may have to be counted and the layers listed, which is the network's work and so the worker's
        inside = current_job() is not None
        self._names = check() if inside else self.engine.worker.submit(check, urgent=True).wait()
        return value

    @t.validate("preset")
    def _known_preset(self, proposal: Any) -> str:
        try:
            preset_of(proposal["value"])
        except ValueError as error:
            raise t.TraitError(str(error)) from None
        return proposal["value"]

    @t.validate(*PARTS)
    def _possible(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        try:
            return getattr(self._with(**{name: value}), name)
        except (TypeError, ValueError) as error:
            raise t.TraitError(str(error)) from None

    @t.validate("init")
    def _picture(self, proposal: Any) -> Image.Image | None:
        value = proposal["value"]
        if value is None:
            self._init_words = self._init_name = ""
            return None
        picture = as_picture(value)
        self._init_name = ""
        name = samples.name_of(picture)
        path = repr(os.fspath(value)) if isinstance(value, (str, os.PathLike)) else ""
        self._init_words = path or (f"samples[{name!r}]" if name else "")
        return picture

    def _take_preset(self) -> None:
        usual = preset_of(self.preset)
        for name in PARTS:  # regularisers first: those of another preset may be none for such pictures
            self.set_trait(name, getattr(usual, name))

    def _with(self, **changes: Any) -> Recipe:
        now = {name: getattr(self, name) for name in PARTS}
        return preset_of(self.preset).with_changes(**{**now, **changes})

    def _order(self) -> Order:
        if self.target is None:
            raise ValueError("nothing is chosen yet; choose a class or a unit, or set target")
        goals = self._neighbours() or (self.target if isinstance(self.target, list) else [self.target])
        return Order(tuple(goals), self.preset, self.n, self.seed, self.diversity, self.init, self._init_words)

    def _neighbours(self) -> list[Unit]:
        """The channels that are made side by side; none where the target is no unit."""
        unit = self.target
        if not isinstance(unit, Unit):
            return []
        return [Unit(unit.layer, unit.channel + k, unit.y, unit.x) for k in range(self.channels)]

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, changes have no consequences: they are the consequence of something."""
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = False
