"""Deep dreams: a photo in which a layer is shown more of what it sees already."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine import steps as each_step
from cnnviz_widgets.engine.device import out_of_memory
from cnnviz_widgets.methods.common import method, whole_number
from cnnviz_widgets.methods.synthesis.ascent import Ascent, frame_of, levels_of
from cnnviz_widgets.methods.synthesis.canvas import Parametrization
from cnnviz_widgets.methods.synthesis.goals import Goal, aim_of
from cnnviz_widgets.methods.synthesis.maximizing import Watch
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from cnnviz_widgets.methods.synthesis.transforms import Jitter
from cnnviz_widgets.results import Synthesis, Unit

MORDVINTSEV = "Mordvintsev, Olah & Tyka, Inceptionism: going deeper into neural networks, Google Research blog 2015"
LARGEST = 512  # pixels of the longer side, unless asked for
LEAST = 64  # of the shorter side of the smallest octave


@method
def dream(
    engine: Engine,
    image: ImageLike,
    layer: Goal,
    *,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 20,
    parametrization: Parametrization = "fourier",
    rate: float | None = None,
    size: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Synthesis:
    """A photo that turns into what a layer sees in it: dogs in the clouds.

    Mordvintsev, Olah & Tyka 2015: from a small copy of the photo to its full size (octaves), each time some steps that
    make the layer's answer stronger; what came up in one octave is enlarged and laid over the next one's photo.

    Args:
        engine: the network.
        image: path, PIL picture, array or tensor; of any shape.
        layer: the name of a layer, all of whose answer grows; or a `Unit` without position. (A class's score is made
            for pictures of one size, so use `maximize` with `init` for it.)
        octaves: how many sizes.
        ratio: of one size to the next smaller one.
        steps: in each octave.
        parametrization: ``"fourier"`` (waves of decorrelated colours, see `maximize`) or ``"pixel"``, as in 2015, whose
            colours are loud.
        rate: how far a step goes: 0.02 of waves, by Adam; 2 levels of pixels, root mean square.
        size: pixels of the longer side; the photo's own, at most 512, when left out.
        seed: of the jitter.
        watch: called with the `Ascent` after each step.

    Returns:
        Synthesis: picture (H, W, 3); trace, the layer's value over all steps of all octaves; scores, its last.

    Raises:
        KeyError, IndexError: no such layer or channel; near names are suggested.
        ValueError: a class, a unit with a position, numbers out of range, a network that bears one size alone.

    Example:
        >>> dream(engine, samples["rocket"], "features.9")
    """
    count, each = whole_number("octaves", octaves, 1), whole_number("steps", steps, 1)
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 1 < ratio < math.inf:
        raise ValueError(f"ratio={ratio!r}; wanted a number above 1")
    aim = aim_of(engine, layer, engine.prepare(np.zeros((*frame_of(engine), 3), np.uint8)))
    if aim.classes:
        raise ValueError(
            f"{aim.name!r} is a class; a dream is of a layer or a channel. maximize(engine, {aim.name!r}, init=image) "
            "turns a photo towards a class"
        )
    if isinstance(aim.target, Unit) and aim.target.y is not None:
        raise ValueError(f"{aim.name!r} is one position, and a dream has pictures of several sizes; leave y and x out")
    photo = as_picture(image)
    longest = max(photo.size) if size is None else whole_number("size", size, LEAST)
    scale = (min(longest, LARGEST) if size is None else longest) / max(photo.size)
    whole = (max(1, round(photo.height * scale)), max(1, round(photo.width * scale)))
    sizes = [tuple(max(1, round(side / ratio**n)) for side in whole) for n in reversed(range(count))]
    sizes = [one for one in sizes if min(one) >= LEAST] or [whole]
    ascent, usual = ("normalized", 2.0) if parametrization == "pixel" else ("adam", 0.02)
    rate = usual if rate is None else rate
    recipe = Recipe(parametrization, (), (Jitter(16),), each, rate, ascent, None, True, MORDVINTSEV)
    full = levels_of(engine, photo, whole)
    trace: list[np.ndarray] = []
    detail: Tensor | None = None
    run: Ascent | None = None
    ticks = iter(each_step(range(each * len(sizes))))
    for number, one in enumerate(sizes):
        base = full if one == whole else F.interpolate(full, one, mode="bicubic", antialias=True)
        begin = base if detail is None else base + F.interpolate(detail, one, mode="bicubic")
        run = Ascent(engine, [aim], recipe, seed=seed + number, start=begin, frame=(one[0], one[1]))
        for _ in range(each):
            next(ticks)
            _step(run, engine, one)
            if watch is not None:
                watch(run)
        trace += run.trace
        detail = run.levels() - base
    next(ticks, None)
    assert run is not None
    values = np.concatenate(trace)
    return Synthesis(
        target=aim.target,
        target_name=aim.name,
        layer=aim.layers[0],
        method="dream",
        parameters={
            **recipe.to_json(),
            "octaves": len(sizes),
            "ratio": float(ratio),
            "steps": len(values),
            "seed": seed,
        },
        citation=MORDVINTSEV,
        picture=run.pictures()[0],
        trace=values,
        pictures=run.pictures(),
        traces=values[None],
        scores=values[-1:],
        probabilities=np.array([math.nan], np.float32),
    )


def _step(run: Ascent, engine: Engine, size: tuple[int, ...]) -> None:
    try:
        run.step()
    except (RuntimeError, AssertionError) as error:
        if out_of_memory(error):
            raise
        raise ValueError(
            f"{engine.name} does not bear pictures of {size[0]} x {size[1]} pixels ({error}); a dream has pictures of "
            "several sizes, in the photo's shape: try octaves=1, with a photo cut to the size the network is for"
        ) from error
