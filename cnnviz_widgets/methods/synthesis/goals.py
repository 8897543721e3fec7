"""What a picture is made for: a class, a unit, a channel, a whole layer, or a weighted sum of these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from cnnviz_widgets.engine import Engine, Run
from cnnviz_widgets.methods.synthesis.canvas import single
from cnnviz_widgets.results import Unit

One: TypeAlias = int | str | Unit
Goal: TypeAlias = int | str | Unit | Mapping[int | str | Unit, float]
"""A class by index or name; a `Unit` (one position), a channel (a `Unit` without position), the name of a layer, or
several of these with their weights."""


class Climbed(Protocol):
    """What a picture is made for: a value of a run, the layers that it is made from and the classes."""

    def __call__(self, run: Run) -> Tensor:
        """The value (N,) of each picture of a run."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Those whose output it is made from."""
        ...

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes whose score it is made from."""
        ...

    @property
    def sought(self) -> int | None:
        """The class that the picture should be of, where it is one."""
        ...


@dataclass(frozen=True)
class Layerwide:
    """All of a layer at once."""

    layer: str


@dataclass(frozen=True)
class Term:
    """One summand: what, how much, and how the raw output of its layer is permuted into (N, C, h, w)."""

    what: int | Unit | Layerwide
    weight: float
    axes: tuple[int, ...] | None = None

    def __call__(self, run: Run) -> Tensor:
        """Its value (N,) in a run."""
        if isinstance(self.what, int):
            return self.weight * run.scores[:, self.what]
        output = run.outputs[self.what.layer]
        values = output.permute(*self.axes) if self.axes else output
        if isinstance(self.what, Layerwide):
            return self.weight * values.flatten(1).square().mean(1)
        channel = values[:, self.what.channel]
        if self.what.y is not None:
            return self.weight * channel[:, self.what.y, self.what.x]
        return self.weight * (channel if channel.ndim == 1 else channel.flatten(1).mean(1))


@dataclass(frozen=True)
class Aim:
    """What one picture is made for, checked and named.

    Values are: of a class its logit; of a unit its activation; of a channel the mean over its positions; of a layer the
    mean of the squares of all its values (Mordvintsev et al. 2015); of several the weighted sum.
    """

    terms: tuple[Term, ...]
    name: str

    def __call__(self, run: Run) -> Tensor:
        """The value (N,) of each picture of a run."""
        return reduce(torch.add, [term(run) for term in self.terms])

    @property
    def layers(self) -> tuple[str, ...]:
        """Those whose output it is made from."""
        found = [term.what.layer for term in self.terms if not isinstance(term.what, int)]
        return tuple(dict.fromkeys(found))

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes whose score it is made from."""
        return tuple(term.what for term in self.terms if isinstance(term.what, int))

    @property
    def sought(self) -> int | None:
        """The class that the picture should be of, where it is one."""
        return self.target if isinstance(self.target, int) and self.terms[0].weight > 0 else None

    @property
    def target(self) -> int | Unit | None:
        """The class or unit, where it is one alone."""
        what = self.terms[0].what
        return what if len(self.terms) == 1 and not isinstance(what, Layerwide) else None


def aim_of(engine: Engine, goal: Goal, like: Tensor) -> Aim:
    """A goal, checked against the network for inputs such as `like`.

    Raises:
        KeyError, IndexError: no such class, layer, channel or position; near names are suggested.
        ValueError: a sum of nothing, a weight that is no number, a layer without values.
        TypeError: none of the things that a goal can be.
    """
    if not isinstance(goal, Mapping):
        term = _term(engine, goal, 1.0, like)
        return Aim((term,), _name(engine, term))
    if not goal:
        raise ValueError(
            "the goal is an empty sum; wanted weights by class, unit or layer: {'tabby': 1, 'tiger cat': -1}"
        )
    terms = tuple(_term(engine, one, _weight(one, weight), like) for one, weight in goal.items())
    said = "".join(
        f"{' - ' if term.weight < 0 else ' + '}{_times(abs(term.weight))}{_name(engine, term)}" for term in terms
    )
    return Aim(terms, said.removeprefix(" + ").strip())


def _term(engine: Engine, one: One, weight: float, like: Tensor) -> Term:
    table = engine.layers_for(like)
    if isinstance(one, Unit):
        checked = engine.check_target(one, like)
        assert isinstance(checked, Unit)
        return Term(checked, weight, table[one.layer].axes)
    if isinstance(one, str):
        try:
            found = engine.check_target(one, like)
        except KeyError as error:
            if one not in table:
                raise type(error)(f"{error.args[0]} Nor is it a layer; engine.layers lists them") from None
            row = table[one]
            if not row.shape:
                raise ValueError(f"layer {one!r} has no values: it {row.note or 'gives no tensor'}") from None
            return Term(Layerwide(one), weight, row.axes)
        return Term(int(found), weight)  # type: ignore[arg-type]
    if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
        return Term(int(engine.check_target(int(one), like)), weight)  # type: ignore[arg-type]
    raise TypeError(
        f"a goal is a class (index or name), a Unit, the name of a layer, or a dict of these with weights, not {one!r}"
    )


def _weight(one: object, weight: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, (int, float, np.number)) or not math.isfinite(float(weight)):
        raise ValueError(f"the weight of {one!r} is {weight!r}; wanted a finite number")
    return float(weight)


def _times(weight: float) -> str:
    return "" if weight == 1 else f"{weight:g} × "


def _name(engine: Engine, term: Term) -> str:
    if isinstance(term.what, int):
        return engine.categories[term.what]
    return f"{term.what.layer}, all of it" if isinstance(term.what, Layerwide) else str(term.what)


def seen_share(engine: Engine, aim: Climbed, x: Tensor, size: tuple[int, int]) -> float:
    """How much of a picture of that size can change what is climbed, as a share of its pixels: all of it, but for
    neurons, which see their receptive field alone. `x` is an input such as will come."""
    terms = [term.what for term in aim.terms] if isinstance(aim, Aim) else []
    neurons = [what for what in terms if isinstance(what, Unit) and what.y is not None]
    fields = [engine.layers_for(x)[neuron.layer].receptive_field for neuron in neurons]
    if not fields or len(neurons) < len(terms) or None in fields:
        return 1.0
    sides = [[min(side, whole) for side, whole in zip(field.size, size, strict=True)] for field in fields if field]
    return max(height * width for height, width in sides) / (size[0] * size[1])


def of_rows(run: Run, rows: slice) -> Run:
    """A part of the pictures of a run, at least in single precision: sums over maps are too large for less."""

    def part(one: Tensor) -> Tensor:
        whole = rows.start == 0 and rows.stop == len(one)
        return (one if whole else one[rows]).to(single(one.dtype))

    scores, *outputs = map(part, (run.scores, *run.outputs.values()))
    return Run(scores, dict(zip(run.outputs, outputs, strict=True)))


def union(aims: Sequence[Climbed]) -> tuple[tuple[str, ...], bool]:
    """The layers of all, and whether any needs class scores."""
    return tuple(dict.fromkeys(layer for aim in aims for layer in aim.layers)), any(aim.classes for aim in aims)
