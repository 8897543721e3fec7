"""What a unit looks for, on its card: a picture made for its channel when somebody asks, and remembered."""

from __future__ import annotations

from cnnviz_widgets.engine import Cancelled, Engine, checkpoint
from cnnviz_widgets.methods.synthesis import Ascent, maximize
from cnnviz_widgets.results import Synthesis, Unit
from cnnviz_widgets.widgets.desk import Desk, Every
from cnnviz_widgets.widgets.unit_card import UnitCard

__all__ = ["CardLook"]

CONCERN = "look"  # At the desk.
STEPS = 160  # Fewer than by default: a card is small, and somebody waits.
OFTEN = 0.2  # Seconds between two frames.


class CardLook:
    """Makes the picture that a card's channel answers to most, where the reader asks for it.

    The engine remembers it as long as the network stays as it is, so it is there at once when the channel is chosen
    again.

    Args:
        engine: the network whose units the card shows.
        card: where the picture goes.
        desk: where the work is done.
    """

    def __init__(self, engine: Engine, card: UnitCard, desk: Desk) -> None:
        self._engine, self._card, self._desk = engine, card, desk
        self._unit: Unit | None = None  # On the card.
        card.on_look(self.start, self.stop)

    def turn_to(self, unit: Unit) -> None:
        """Show the picture of another channel where it is remembered, else offer to make it."""
        self._unit = Unit(unit.layer, unit.channel)
        made = self._engine.recall(_key(self._unit))
        if isinstance(made, Synthesis):
            self._show(self._unit, made)
        elif not self._desk.busy(CONCERN):
            self._card.show_look(self._unit, "offered")

    def start(self) -> None:
        """Make the picture of the channel on the card."""
        unit = self._unit
        if unit is not None and not self._desk.busy(CONCERN):
            self._card.show_look(unit, "running", "waiting for other work")
            self._desk.submit(CONCERN, lambda: self._make(unit))

    def stop(self) -> None:
        """Give it up; also when something else is wanted, which would have to wait for it."""
        if self._unit is not None and self._desk.busy(CONCERN):
            self._desk.stop(CONCERN)
            self._card.show_look(self._unit, "offered")  # which work that was never begun cannot say

    def _make(self, unit: Unit) -> None:
        due = Every(OFTEN)

        def watch(run: Ascent) -> None:
            if run.done == 1 or due.due():
                checkpoint()
                self._card.show_look(unit, "running", f"step {run.done} of {STEPS}", run.pictures()[0])

        try:
            made = self._engine.remember(_key(unit), lambda: maximize(self._engine, unit, steps=STEPS, watch=watch))
        except Cancelled:
            self._card.show_look(unit, "offered")
            raise
        except (LookupError, ValueError, TypeError, ArithmeticError) as error:
            self._card.show_look(unit, "wrong", str(error))
        else:
            self._show(unit, made)

    def _show(self, unit: Unit, made: Synthesis) -> None:
        self._card.show_look(unit, "here", picture=made.picture, score=made.score)


def _key(unit: Unit) -> tuple[str, str, int]:
    return ("what it looks for", unit.layer, unit.channel)
