"""The panel of a `FeatureStudio`: its recipe as rows that can be ticked and moved, and what else can be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnnviz_widgets.methods.synthesis import Recipe
from cnnviz_widgets.methods.synthesis.presets import PRESETS
from cnnviz_widgets.methods.synthesis.recipes import one_of
from cnnviz_widgets.methods.synthesis.regularizers import Regularizer, Rule
from cnnviz_widgets.methods.synthesis.transforms import Transform
from cnnviz_widgets.widgets.studio_pieces import OFFERS, PRESET_WORDS, RATE

__all__ = ["changed_piece", "piece_rows", "settings_message"]

Piece = Regularizer | Transform


def settings_message(recipe: Recipe, preset: str, **chosen: Any) -> dict[str, Any]:
    """What can be chosen beside the pieces, as it travels.

    Args:
        recipe: the present one.
        preset: the name of the one that it came from.
        chosen: seed, n, channels, diversity and so on, as they are.
    """
    return {
        "presets": [[name, PRESET_WORDS.get(name, name)] for name in PRESETS],
        "preset": preset,
        "changed": recipe != PRESETS[preset],
        "parametrization": recipe.parametrization,
        "citation": recipe.citation,
        "steps": recipe.steps,
        "rate": RATE.said(recipe.rate),
        **chosen,
    }


def piece_rows(recipe: Recipe, preset: str, last: Mapping[str, Piece]) -> list[dict[str, Any]]:
    """The rows of the panel as they travel: each piece that can act on such pictures, on or off.

    Args:
        recipe: the present one.
        preset: whose pieces are the usual ones; of one that is off it is said what it is for.
        last: by name, the pieces that were on last: one that is off keeps its numbers.
    """
    usual = PRESETS[preset]
    here = {type(piece).__name__: piece for piece in reversed((*recipe.regularizers, *recipe.transforms))}
    of_preset = {type(piece).__name__: piece for piece in (*usual.regularizers, *usual.transforms)}
    rows = []
    for offer in OFFERS:
        if issubclass(offer.kind, Rule) and recipe.parametrization != "pixel":
            continue
        piece = here.get(offer.name) or last.get(offer.name) or of_preset.get(offer.name) or offer.kind()
        on = offer.name in here
        rows.append(
            {
                "name": offer.name,
                "group": "transforms" if issubclass(offer.kind, Transform) else "regularizers",
                "title": offer.title,
                "does": offer.does,
                "paper": offer.paper,
                "on": on,
                "missing": offer.without if offer.name in of_preset and not on else "",
                "dials": [dial.said(getattr(piece, dial.name)) for dial in offer.dials],
            }
        )
    return rows


def changed_piece(
    recipe: Recipe, last: Mapping[str, Piece], name: str, on: bool, values: Mapping[str, Any]
) -> tuple[str, tuple[Piece, ...], Piece]:
    """What becomes of a recipe when a row is ticked or moved: the name of its part, that part, and the row's piece.

    Args:
        recipe: the present one.
        last: by name, the pieces that were on last.
        name: of the row.
        on: whether it is ticked.
        values: its numbers by name; what is left out stays.

    Raises:
        ValueError: no such piece, or a number that it cannot have.
    """
    one_of("piece", name, [offer.name for offer in OFFERS])
    offer = next(offer for offer in OFFERS if offer.name == name)
    part = "transforms" if issubclass(offer.kind, Transform) else "regularizers"
    pieces: Sequence[Piece] = getattr(recipe, part)
    before = next((one for one in pieces if type(one).__name__ == name), last.get(name) or offer.kind())
    numbers = {
        dial.name: (round if dial.whole else float)(values[dial.name]) for dial in offer.dials if dial.name in values
    }
    piece = replace(before, **numbers)
    return part, _with_piece(pieces, name, piece if on else None), piece


def _with_piece(pieces: Sequence[Piece], name: str, piece: Piece | None) -> tuple[Piece, ...]:
    """The pieces with the one of that name replaced, added at its usual place, or (None) left out."""
    kept = [one for one in pieces if type(one).__name__ != name]
    if piece is None:
        return tuple(kept)
    place = next((at for at, one in enumerate(pieces) if type(one).__name__ == name), None)
    if place is None:
        order = [offer.name for offer in OFFERS]
        before = [one for one in kept if order.index(type(one).__name__) < order.index(name)]
        place = max((kept.index(one) + 1 for one in before), default=0)
    return (*kept[:place], piece, *kept[place:])
