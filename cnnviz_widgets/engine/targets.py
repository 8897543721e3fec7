"""What is explained: a class, a contrast of two, or a unit; whatever has a scalar score."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from torch import Tensor

from cnnviz_widgets.engine.capture import Run
from cnnviz_widgets.engine.layers import Layer, Layers
from cnnviz_widgets.results import Unit

Target: TypeAlias = int | str | Unit
Score = Literal["logit", "probability", "log_probability"]


@dataclass(frozen=True)
class Objective:
    """A scalar for each picture of a run: the target's score, minus that of `against` for a contrast."""

    target: int | Unit
    against: int | Unit | None
    score: Score
    name: str
    layers: tuple[str, ...]
    axes: tuple[tuple[int, ...] | None, ...]

    def __call__(self, run: Run) -> Tensor:
        """The scores (N,) of a run that captured `layers`."""
        scores = self._of(self.target, run)
        return scores if self.against is None else scores - self._of(self.against, run)

    def _of(self, target: int | Unit, run: Run) -> Tensor:
        if isinstance(target, Unit):
            return unit_values(run.outputs[target.layer], self.axes[self.layers.index(target.layer)], target)
        if self.score == "probability":
            return run.scores.softmax(1)[:, target]
        if self.score == "log_probability":
            return run.scores.log_softmax(1)[:, target]
        return run.scores[:, target]


def unit_values(output: Tensor, axes: Sequence[int] | None, unit: Unit) -> Tensor:
    """The activation (N,) of a unit: at its position, else at the channel's strongest one."""
    values = output.permute(*axes) if axes else output
    channel = values[:, unit.channel]
    if unit.y is not None:
        return channel[:, unit.y, unit.x]
    return channel if channel.ndim == 1 else channel.flatten(1).amax(1)


def make_objective(
    target: int | Unit,
    against: int | Unit | None,
    score: Score,
    layers: Layers | None,
    categories: Sequence[str],
) -> Objective:
    """Check target and contrast and join them.

    Raises:
        ValueError: an unknown score, or a contrast of something with itself.
    """
    if score not in get_args(Score):
        raise ValueError(f"score={score!r}; wanted one of {', '.join(map(repr, get_args(Score)))}")
    if against is not None and against == target:
        raise ValueError(f"target and against are both {_name(target, categories)!r}; a contrast needs two")
    units = {part.layer: part for part in (target, against) if isinstance(part, Unit)}
    if units and score != "logit":
        raise ValueError(f"score={score!r} is for classes; a unit has only its activation, so leave score out")
    axes = tuple(layers[name].axes for name in units) if layers is not None else ()
    name = _name(target, categories)
    if against is not None:
        name = f"{name} - {_name(against, categories)}"
    return Objective(target, against, score, name, tuple(units), axes)


def class_names(categories: Sequence[str] | Mapping[int, str]) -> tuple[str, ...]:
    """The names of the classes in order, from a list of them or a dict from index to name.

    Raises:
        ValueError: a name is missing, or is no text.
    """
    if isinstance(categories, Mapping):
        missing = [n for n in range(len(categories)) if n not in categories]
        if missing:
            raise ValueError(f"categories has {len(categories)} names but none for class {missing[0]}")
        categories = [categories[n] for n in range(len(categories))]
    if isinstance(categories, str) or not all(isinstance(name, str) for name in categories):
        raise ValueError(f"categories is {categories!r:.80}; wanted a list of names, or a dict from index to name")
    return tuple(categories)


def find_class(target: int | str, categories: Sequence[str]) -> int:
    """The index of a class given by index or name.

    Raises:
        IndexError: no class of that number.
        KeyError: no class of that name (near misses are named), or several.
        TypeError: neither a number nor a name.
    """
    if isinstance(target, (int, np.integer)) and not isinstance(target, (bool, np.bool_)):
        if not 0 <= target < len(categories):
            raise IndexError(f"no class {target}; this network has classes 0 to {len(categories) - 1}")
        return int(target)
    if not isinstance(target, str):
        raise TypeError(f"a target is a class index, a class name or a Unit, not {target!r}")
    wanted = target.strip().lower()
    hits = [n for n, name in enumerate(categories) if name == target]
    hits = hits or [n for n, name in enumerate(categories) if name.lower() == wanted]
    if len(hits) == 1:
        return hits[0]
    if hits:
        raise NoClassError(f"{len(hits)} classes are called {target!r}; say which by its index: {_either(hits)}")
    raise NoClassError(f"no class {target!r}; {_near(wanted, categories)}")


def check_unit(unit: Unit, layer: Layer) -> Unit:
    """`unit` when the layer has it.

    Raises:
        ValueError: the layer has no values, or a position is asked of something without positions.
        IndexError: the channel or the position lies outside.
    """
    if not layer.shape:
        raise ValueError(f"layer {layer.name!r} has no units: it {layer.note or 'gives no tensor'}")
    if layer.axes is None and math.prod(layer.shape[1:]) > 1:
        raise ValueError(
            f"layer {layer.name!r} puts out {tuple(layer.shape)} values whose channels and positions are not known "
            f"({layer.note or 'not a map'}); choose a layer that engine.layers shows as C x h x w"
        )
    sizes = list(layer.shape)
    if unit.channel >= sizes[0]:
        raise IndexError(f"no channel {unit.channel} in layer {layer.name!r}; it has 0 to {sizes[0] - 1}")
    if unit.y is not None and unit.x is not None:
        if layer.axes is None:
            raise ValueError(f"layer {layer.name!r} has no positions, so its unit takes a channel only")
        rows, columns = sizes[1:]
        if unit.y >= rows or unit.x >= columns:
            raise IndexError(
                f"no position y={unit.y}, x={unit.x} in layer {layer.name!r}; its maps are {rows} x {columns}"
            )
    return unit


class NoClassError(KeyError):
    """There is no class of that name; says itself without a KeyError's quotes."""

    def __str__(self) -> str:
        """The message."""
        return str(self.args[0])


def _near(wanted: str, categories: Sequence[str]) -> str:
    lower = {name.lower(): name for name in categories}
    near = [lower[name] for name in lower if wanted and wanted in name][:3]
    near += [lower[name] for name in difflib.get_close_matches(wanted, lower, n=3) if lower[name] not in near]
    return f"did you mean {_either(near[:4])}?" if near else "engine.categories lists the names"


def _either(options: Sequence[object]) -> str:
    words = [repr(option) for option in options]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _name(target: int | Unit, categories: Sequence[str]) -> str:
    return str(target) if isinstance(target, Unit) else categories[target]
