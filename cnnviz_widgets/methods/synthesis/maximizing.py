"""Class visualisation and activation maximisation: the picture that a class or a unit answers to most."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine import steps as each_step
from cnnviz_widgets.methods.common import from_zero, method, whole_number
from cnnviz_widgets.methods.synthesis.ascent import Ascent, frame_of, levels_of
from cnnviz_widgets.methods.synthesis.canvas import Parametrization
from cnnviz_widgets.methods.synthesis.goals import Aim, Goal, aim_of
from cnnviz_widgets.methods.synthesis.presets import preset as preset_of
from cnnviz_widgets.methods.synthesis.recipes import Ascending, Recipe
from cnnviz_widgets.methods.synthesis.regularizers import Regularizer
from cnnviz_widgets.methods.synthesis.transforms import Transform
from cnnviz_widgets.results import Synthesis

Watch = Callable[[Ascent], object]


@method
def maximize(
    engine: Engine,
    target: Goal,
    *,
    preset: str | None = None,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    regularizers: Sequence[Regularizer] | None = None,
    parametrization: Parametrization | None = None,
    transforms: Sequence[Transform] | None = None,
    rate: float | None = None,
    ascent: Ascending | None = None,
    seed: int = 0,
    init: ImageLike | None = None,
    n: int = 1,
    diversity: float = 0.0,
    watch: Watch | None = None,
) -> Synthesis:
    """What the network would most like to see: a picture that climbs the score of a class or a unit.

    x ← r(x + η ∂a/∂x), from noise (or from `init`) on. Erhan et al. 2009; Simonyan, Vedaldi & Zisserman 2013, section
    2; Yosinski et al. 2015; Olah, Mordvintsev & Schubert 2017, whose way ("fourier") is the default.

    All is computed in the network's own precision: nothing is cast to a lower one, and TF32 is off. Of a network in
    half precision the picture itself, its regularisers and what is climbed are in single precision nevertheless.

    An interrupt from the keyboard keeps what was made so far.

    Args:
        engine: the network.
        target: a class (index or name), a `Unit` (one position), a channel (a `Unit` without position), the name of a
            layer, or weights of several: ``{"tabby": 1, "tiger cat": -1}``.
        preset: ``"fourier"``, ``"simonyan"``, ``"yosinski_1"`` to ``"yosinski_4"`` (the four settings of the Deep
            Visualization Toolbox), or ``"unregularized"``; what follows changes single parts of it.
        size: side in pixels, or (height, width); by default that of a picture which the preprocessing does not resize.
        steps: how many.
        regularizers: penalties (`L2`, `TotalVariation`, `RangePenalty`, `Rivals`) and, for pixels, rules (`Decay`,
            `Blur`, `ClipNorm`, `ClipContribution`).
        parametrization: ``"fourier"`` (waves of decorrelated colours) or ``"pixel"``.
        transforms: `Jitter`, `Rotate`, `Scale`: random views, one a step.
        rate: how far a step goes.
        ascent: ``"adam"``, ``"plain"`` or ``"normalized"``.
        seed: of noise and views. The same seed gives the same picture on the same device.
        init: a picture to begin with, instead of noise.
        n: how many pictures of each target.
        diversity: how much these should differ; 0 leaves it to their noise.
        watch: called with the `Ascent` after each step: `ascent.pictures()` are the frames.

    Returns:
        Synthesis: pictures (n, H, W, 3), best first.

    Raises:
        KeyError, IndexError: no such class, layer, channel or position; near names are suggested.
        ValueError: unknown names, numbers out of range, a rule for pixels where there are none.
        FloatingPointError: the network's values are not finite.

    Example:
        >>> maximize(engine, "flamingo")
        >>> maximize(engine, Unit("features.9", 7), n=4, diversity=1)
    """
    return maximize_each(
        engine,
        [target],
        preset=preset,
        size=size,
        steps=steps,
        regularizers=regularizers,
        parametrization=parametrization,
        transforms=transforms,
        rate=rate,
        ascent=ascent,
        seed=seed,
        init=init,
        n=n,
        diversity=diversity,
        watch=watch,
    )[0]


@method
def maximize_each(
    engine: Engine,
    targets: Sequence[Goal],
    *,
    preset: str | None = None,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    regularizers: Sequence[Regularizer] | None = None,
    parametrization: Parametrization | None = None,
    transforms: Sequence[Transform] | None = None,
    rate: float | None = None,
    ascent: Ascending | None = None,
    seed: int = 0,
    init: ImageLike | None = None,
    n: int = 1,
    diversity: float = 0.0,
    watch: Watch | None = None,
) -> list[Synthesis]:
    """`maximize` for several targets at once, in one batch: a `Synthesis` for each.

    Each is what `maximize` makes of it alone, but for rounding.

    Example:
        >>> maximize_each(engine, [Unit("features.9", channel) for channel in range(8)], steps=200)
    """
    recipe = _recipe(preset, parametrization).with_changes(
        steps=None if steps is None else whole_number("steps", steps, 1),
        regularizers=None if regularizers is None else tuple(regularizers),
        parametrization=parametrization,
        transforms=None if transforms is None else tuple(transforms),
        rate=rate,
        ascent=ascent,
    )
    if isinstance(targets, (str, bytes)) or not isinstance(targets, Iterable):
        raise TypeError(f"targets is {targets!r:.80}; wanted a list of them (maximize takes a single one)")
    goals = list(targets)
    if not goals:
        raise ValueError("no target at all was given; give a class, a unit or a layer")
    count, first = whole_number("n", n, 1), whole_number("seed", seed, 0)
    apart = from_zero("diversity", diversity)
    like = engine.prepare(np.zeros((*frame_of(engine), 3), np.uint8))
    aims = [aim_of(engine, goal, like) for goal in goals]
    sides = _size(size)
    start = None if init is None else levels_of(engine, as_picture(init), sides)
    run = Ascent(engine, aims, recipe, n=count, seed=first, size=sides, start=start, diversity=apart)
    climb(run, recipe.steps, watch)
    said = {
        "preset": preset,
        **recipe.to_json(),
        "seed": first,
        "n": count,
        "diversity": apart,
        "from": "noise" if init is None else "picture",
    }
    return finished(engine, run, aims, count, "maximize", said, recipe.citation)


def climb(run: Ascent, count: int, watch: Watch | None = None) -> None:
    """Make so many steps; an interrupt from the keyboard ends them."""
    try:
        for _ in each_step(range(count)):
            run.step()
            if watch is not None:
                watch(run)
    except KeyboardInterrupt:
        if not run.done:
            raise
        warnings.warn(f"stopped after {run.done} of {count} steps; this is the picture so far", UserWarning, 5)


def finished(
    engine: Engine,
    run: Ascent,
    aims: Sequence[Aim],
    n: int,
    method: str,
    parameters: dict[str, Any],
    citation: str,
) -> list[Synthesis]:
    """What was made, measured as any picture is: of each the last or the best frame, whichever scores more."""
    frames = [run.pictures(), run.best()]
    measured = [[measure(engine, aim, part[k * n : k * n + n]) for k, aim in enumerate(aims)] for part in frames]
    traces = np.stack(run.trace, 1) if run.trace else np.zeros((len(frames[0]), 0), np.float32)
    found = []
    for k, aim in enumerate(aims):
        rows = slice(k * n, k * n + n)
        (last, sure), (best, surer) = measured[0][k], measured[1][k]
        better = best > last
        pictures = np.where(better[:, None, None, None], frames[1][rows], frames[0][rows])
        scores, shares = np.where(better, best, last), np.where(better, surer, sure)
        order = np.argsort(-scores, kind="stable")
        what = aim.terms[0].what
        found.append(
            Synthesis(
                target=aim.target,
                target_name=aim.name,
                layer=None if isinstance(what, int) else what.layer,
                method=method,
                parameters={**parameters, "steps": run.done},
                citation=citation,
                picture=pictures[order[0]],
                trace=traces[rows][order[0]],
                pictures=pictures[order],
                traces=traces[rows][order],
                scores=scores[order],
                probabilities=shares[order],
            )
        )
    return found


def measure(engine: Engine, aim: Aim, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Value and, for one class, probability (n,) of finished pictures, through the network's own preprocessing."""
    x = torch.cat([engine.prepare(picture) for picture in pictures])
    target = aim.target

    def both(part: torch.Tensor) -> torch.Tensor:
        kept = engine.run(part, aim.layers)
        value = aim(kept)
        share = kept.scores.softmax(1)[:, target] if isinstance(target, int) else torch.full_like(value, math.nan)
        return torch.stack((value, share))

    values, shares = torch.cat(engine.in_batches(x, both), 1).float().cpu().numpy()
    return values, shares


def _recipe(name: str | None, parametrization: Parametrization | None) -> Recipe:
    return preset_of(name or ("unregularized" if parametrization == "pixel" else "fourier"))


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) and not isinstance(size, bool) else size
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise ValueError(f"size={size!r}; wanted a side in pixels, or (height, width)")
    height, width = (whole_number("size", side, LEAST) for side in sides)
    return height, width


LEAST = 16  # pixels of a side
