"""What a `FeatureStudio` made, as the call that makes it again: for "copy as code"."""

from __future__ import annotations

from collections.abc import Mapping

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.synthesis import Recipe
from cnnviz_widgets.methods.synthesis.goals import Goal
from cnnviz_widgets.methods.synthesis.presets import preset as preset_of
from cnnviz_widgets.models import names
from cnnviz_widgets.results import Unit
from cnnviz_widgets.widgets.studio_making import Order

__all__ = ["studio_code"]


def studio_code(
    engine: Engine, order: Order, recipe: Recipe, steps: int, moves: list[tuple[int, Recipe]] | None = None
) -> str:
    """Python that makes the same pictures, to be pasted into a cell; of the recipe only what the preset has not.

    Args:
        engine: the network; one that was not made from a name can only be named, not rebuilt.
        order: what was made.
        recipe: how it was begun.
        steps: how many were made.
        moves: what was changed while it was made, see `Making`.
    """
    several = len(order.goals) > 1
    function = "maximize_each" if several else "maximize"
    imports = {"Engine", function}
    goals = [_said(goal) for goal in order.goals]
    imports |= {"Unit"} if any("Unit(" in goal for goal in goals) else set()
    changed = _changes(preset_of(order.preset), recipe, imports)
    if steps != preset_of(order.preset).steps:
        changed.append(f"steps={steps}")
    if order.seed:
        changed.append(f"seed={order.seed}")
    if order.n > 1:
        changed.append(f"n={order.n}")
    if order.diversity:
        changed.append(f"diversity={order.diversity!r}")
    if order.init is not None:
        changed.append(f"init={order.init_words or 'picture'}")
    imports |= {"samples"} if order.init_words.startswith("samples[") else set()
    watch = _watch(recipe, moves or [], imports)
    if watch:
        changed.append("watch=change")
    arguments = ["engine", f"[{', '.join(goals)}]" if several else goals[0], f"preset={order.preset!r}", *changed]
    known = engine.name in names()
    nameless = order.init is not None and not order.init_words
    lines = [
        f"from cnnviz_widgets import {', '.join(sorted(imports, key=str.lower))}",
        "",
        f"engine = Engine({engine.name!r})" if known else f"engine = ...  # your Engine of {engine.name}",
        *(["picture = ...  # the one it begins with: studio.init"] if nameless else []),
        *watch,
        _call(function, arguments),
    ]
    return "\n".join(lines)


def _said(goal: Goal) -> str:
    """A goal as one writes it."""
    if isinstance(goal, Unit):
        place = "" if goal.y is None else f", {goal.y}, {goal.x}"
        return f"Unit({goal.layer!r}, {goal.channel}{place})"
    if isinstance(goal, Mapping):
        return "{" + ", ".join(f"{_said(one)}: {weight!r}" for one, weight in goal.items()) + "}"
    return repr(goal)


def _changes(before: Recipe, after: Recipe, imports: set[str]) -> list[str]:
    """The arguments that turn one recipe into another, but for the number of steps."""
    found = []
    for name in ("regularizers", "transforms"):
        pieces = getattr(after, name)
        if pieces != getattr(before, name):
            imports |= {type(piece).__name__ for piece in pieces}
            found.append(f"{name}=[{', '.join(map(repr, pieces))}]")
    if after.rate != before.rate:
        found.append(f"rate={after.rate!r}")
    return found


def _watch(first: Recipe, moves: list[tuple[int, Recipe]], imports: set[str]) -> list[str]:
    """What was changed while it was made, as the function that changes it at the same steps."""
    if not moves:
        return []
    lines = ["", "", "def change(ascent):  # what was moved while it was made"]
    before = first
    for after, recipe in moves:
        changed = ", ".join(_changes(before, recipe, imports))
        lines.append(f"    if ascent.done == {after}:")
        lines.append(f"        ascent.recipe = ascent.recipe.with_changes({changed})")
        before = recipe
    return [*lines, "", ""]


def _call(function: str, arguments: list[str]) -> str:
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= 100:
        return line
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])
