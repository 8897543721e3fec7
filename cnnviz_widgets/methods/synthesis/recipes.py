"""How a picture is made: what it is made of, what keeps it a picture, how far it goes at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args

from cnnviz_widgets.methods.synthesis.canvas import Parametrization
from cnnviz_widgets.methods.synthesis.regularizers import Regularizer, Rule
from cnnviz_widgets.methods.synthesis.transforms import Transform

Ascending = Literal["adam", "plain", "normalized"]


@dataclass(frozen=True)
class Recipe:
    """All that decides how a picture is made, but for what and from where.

    Attributes:
        parametrization: "fourier" or "pixel".
        regularizers: penalties and rules, in the order in which they act.
        transforms: random changes of the view before each step.
        steps: how many.
        rate: how far a step goes: η. For pixels in levels.
        ascent: "plain" is x + η ∂a/∂x; "normalized" divides the gradient by its root mean square over as much of the
            picture as the target sees; "adam" is Kingma & Ba 2015.
        longest: of a picture of waves: those longer than so many pixels are as hard to change as those of that length.
            A class's score hardly depends on them, so they would wander until all the contrast were theirs. With None
            each is as easy to change as it is long.
        blank: whether pictures begin at the mean colour instead of at noise.
        citation: the paper.
    """

    parametrization: Parametrization = "fourier"
    regularizers: tuple[Regularizer, ...] = ()
    transforms: tuple[Transform, ...] = ()
    steps: int = 512
    rate: float = 0.05
    ascent: Ascending = "adam"
    longest: float | None = None
    blank: bool = False
    citation: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "regularizers", tuple(self.regularizers))
        object.__setattr__(self, "transforms", tuple(self.transforms))
        one_of("parametrization", self.parametrization, get_args(Parametrization))
        one_of("ascent", self.ascent, get_args(Ascending))
        for name, pieces, kind in (
            ("regularizers", self.regularizers, Regularizer),
            ("transforms", self.transforms, Transform),
        ):
            for piece in pieces:
                if not isinstance(piece, kind):
                    raise TypeError(f"{name} holds {piece!r}; wanted {_those(kind)}")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps={self.steps!r}; wanted a whole number from 1 up")
        for name, number in (("rate", self.rate), ("longest", 1 if self.longest is None else self.longest)):
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < math.inf:
                raise ValueError(f"{name}={number!r}; wanted a number above 0")
        rules = [piece for piece in self.regularizers if isinstance(piece, Rule)]
        if rules and self.parametrization != "pixel":
            raise ValueError(
                f"{type(rules[0]).__name__} changes pixels between two steps, and a picture of waves has none; "
                "use parametrization='pixel', or penalties such as TotalVariation and L2"
            )

    def with_changes(self, **changes: Any) -> Recipe:
        """The same but for what is given and not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """All of it, for a result's parameters."""
        return {
            "parametrization": self.parametrization,
            "regularizers": [piece.to_json() for piece in self.regularizers],
            "transforms": [piece.to_json() for piece in self.transforms],
            "steps": self.steps,
            "rate": self.rate,
            "ascent": self.ascent,
            "longest": self.longest,
        }


def one_of(what: str, came: object, known: Sequence[str]) -> None:
    """Refuse what is none of the known names; near ones are suggested."""
    if came not in known:
        near = get_close_matches(str(came), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{what}={came!r}; wanted one of {', '.join(map(repr, known))}{hint}")


def _those(kind: type) -> str:
    def leaves(one: type) -> list[str]:
        below = one.__subclasses__()
        return [name for child in below for name in leaves(child)] if below else [one.__name__]

    return f"one of {', '.join(leaves(kind))}, as in {leaves(kind)[0]}()"
