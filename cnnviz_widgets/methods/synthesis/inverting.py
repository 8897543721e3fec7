"""Feature inversion: what a layer still knows of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Run
from cnnviz_widgets.methods.common import method, whole_number
from cnnviz_widgets.methods.synthesis.ascent import Ascent
from cnnviz_widgets.methods.synthesis.canvas import Parametrization, single
from cnnviz_widgets.methods.synthesis.maximizing import Watch, climb
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from cnnviz_widgets.methods.synthesis.regularizers import L2, Regularizer, TotalVariation
from cnnviz_widgets.results import Synthesis

# Without them, what a deep layer does not mind drifts far off in the first steps; later they would only blur.
FIRST = (TotalVariation(2e-9), L2(4e-10))
LAST = 0.1  # of the rate, which falls to it
MAHENDRAN = "Mahendran & Vedaldi, Understanding deep image representations by inverting them, CVPR 2015"


@method
def invert(
    engine: Engine,
    image: ImageLike,
    layer: str,
    *,
    steps: int = 256,
    regularizers: Sequence[Regularizer] | None = None,
    parametrization: Parametrization = "fourier",
    rate: float | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Synthesis:
    """What a layer still knows of a picture: another picture, made from noise, to which it answers in the same way.

    Mahendran & Vedaldi 2015: the x that minimises ‖Φ(x) - Φ(x₀)‖² / ‖Φ(x₀)‖² + R(x), Φ being what the layer puts out.
    What the two have in common the layer has kept, and what differs it has thrown away.

    An interrupt from the keyboard keeps what was made so far.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; not preprocessed.
        layer: its dotted name.
        steps: how many.
        regularizers: `TotalVariation` and `RangePenalty` are the paper's. When left out: a little `TotalVariation` and
            `L2`, which fade away.
        parametrization: ``"fourier"`` or ``"pixel"``.
        rate: how far the first step of Adam goes; the last one goes a tenth as far.
        seed: of the noise that it begins with.
        watch: called with the `Ascent` after each step.

    Returns:
        Synthesis: picture (H, W, 3) as large as what the network sees; trace, the error ‖Φ(x) - Φ(x₀)‖ / ‖Φ(x₀)‖ step
        by step; scores, that of the finished picture in whole levels: 0 is perfect, 1 as wrong as an empty answer.

    Raises:
        KeyError: no such layer; near names are suggested.
        ValueError: the layer's values for this picture are all zero, so nothing is left to invert.

    Example:
        >>> invert(engine, samples["cat"], "features.6")
    """
    x = engine.prepare(image)
    row = engine.layers_for(x)[layer]
    if not row.shape:
        raise ValueError(f"layer {layer!r} has no values: it {row.note or 'gives no tensor'}")
    answer = engine.run(x, [layer]).outputs[layer]
    wanted = answer.to(single(answer.dtype), copy=True)
    if not float(wanted.square().sum()) > 0:
        raise ValueError(f"layer {layer!r} answers to this picture with zeros alone; nothing is left of it to invert")
    aim = _Likeness(layer, wanted)
    pieces = FIRST if regularizers is None else tuple(regularizers)
    rate = (0.15 if parametrization == "fourier" else 3.0) if rate is None else rate
    recipe = Recipe(parametrization, pieces, (), whole_number("steps", steps, 1), rate, "adam", citation=MAHENDRAN)
    size = (x.shape[-2], x.shape[-1])
    run = Ascent(engine, [aim], recipe, seed=whole_number("seed", seed, 0), size=size, frame=size)

    def ease(run: Ascent) -> None:
        left = 1 - run.done / recipe.steps
        fading = tuple(replace(one, weight=one.weight * left**2) for one in FIRST)
        run.recipe = recipe.with_changes(
            rate=recipe.rate * (LAST + (1 - LAST) * left), regularizers=fading if regularizers is None else None
        )
        if watch is not None:
            watch(run)

    climb(run, recipe.steps, ease)
    frames = np.concatenate((run.pictures(), run.best()))
    errors = [_error(engine, aim, frame) for frame in frames]
    best = int(np.argmin(errors))
    trace = np.sqrt(np.maximum(0, -np.concatenate(run.trace)))
    return Synthesis(
        layer=layer,
        method="invert",
        parameters={**recipe.to_json(), "seed": seed, "steps": run.done},
        citation=MAHENDRAN,
        picture=frames[best],
        trace=trace,
        pictures=frames[best : best + 1],
        traces=trace[None],
        scores=np.array([errors[best]], np.float32),
        probabilities=np.array([math.nan], np.float32),
    )


@dataclass(frozen=True, eq=False)
class _Likeness:
    """How near a layer's answer is to a wanted one: minus the squared distance, as a share of the wanted one's size."""

    layer: str
    wanted: Tensor

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    @property
    def classes(self) -> tuple[int, ...]:
        return ()

    @property
    def sought(self) -> None:
        return None

    def __call__(self, run: Run) -> Tensor:
        apart = (run.outputs[self.layer] - self.wanted).flatten(1).square().sum(1)
        return -apart / self.wanted.square().sum()


def _error(engine: Engine, aim: _Likeness, picture: NDArray[np.uint8]) -> float:
    """The error of a finished picture of the network's own size."""
    x = engine.preprocessing.encode(picture)[None].to(engine.device, engine.dtype)
    with torch.inference_mode():
        return math.sqrt(max(0.0, -float(aim(engine.run(x, aim.layers))[0])))
