"""`ArithmeticView`: the sum behind one value of a convolution, with the numbers that the network itself multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets as t

from cnnviz_widgets.results import Arithmetic
from cnnviz_widgets.views.colour import DIVERGING, SEQUENTIAL, lookup_table
from cnnviz_widgets.widgets.arithmetic_messages import FIRST, sum_message
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["ArithmeticView"]


class ArithmeticView(Publishing):
    """Input patch times kernel, summed over the input channels, plus bias: how one value came about.

    The largest contributions come first, 16 of them; more are sent when they are asked for. While `pinned` the view
    keeps what it shows; what is given meanwhile is shown when it follows again.

    Attributes:
        shown: The sum on the screen; set it with `show`.
        note: Why there is none; set it with `fail`.
        pinned: Whether the view keeps its sum, instead of following the newest one.

    Example:
        view = ArithmeticView()
        view.show(unit_arithmetic(engine, samples["cat"], Unit("features.3.squeeze", 4, y=12, x=7)))
        view
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    shown = t.Dict().tag(sync=True)
    note = t.Unicode("").tag(sync=True)
    pinned = t.Bool(False).tag(sync=True)
    tables = t.Dict(help="256 RGBA colours for each kind of values").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._arithmetic: Arithmetic | None = None
        self._number = 0
        self._waiting: tuple[Arithmetic | None, str] | None = None
        super().__init__(**traits)

    def __repr__(self) -> str:
        return f"ArithmeticView({self._arithmetic.target_name})" if self._arithmetic else "ArithmeticView(empty)"

    @property
    def result(self) -> Arithmetic | None:
        """The sum on the screen."""
        return self._arithmetic

    def show(self, arithmetic: Arithmetic | None, *, pin: bool = False) -> None:
        """Show a sum, or nothing; from any thread.

        Args:
            arithmetic: The sum of one value.
            pin: Show it even when another one is pinned, and pin this one.
        """
        self._take(arithmetic, "", pin)

    def fail(self, text: str) -> None:
        """Say in the place of a sum why there is none, e.g. "features.1 is a ReLU: it passes on max(0, x)"."""
        self._take(None, text, False)

    def _take(self, arithmetic: Arithmetic | None, note: str, pin: bool) -> None:
        with self._alone():
            if self.pinned and not pin:
                self._waiting = (arithmetic, note)
                return
            self._waiting = None
            self._arithmetic = arithmetic
            self._number += 1
            self.set_trait("shown", sum_message(arithmetic, self._number) if arithmetic else {})
            self.set_trait("note", note)
            if pin:
                self.set_trait("pinned", True)

    def _hear(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "more", "number": int(number), "count": int(count)}:
                with self._alone():
                    if self._arithmetic is not None and number == self._number:
                        self.set_trait("shown", sum_message(self._arithmetic, number, max(FIRST, count)))

    @t.observe("pinned")
    def _follow_again(self, _change: object) -> None:
        if not self.pinned and self._waiting is not None:
            self._take(*self._waiting, False)

    @t.default("tables")
    def _usual_tables(self) -> dict[str, bytes]:
        return {"sequential": lookup_table(SEQUENTIAL).tobytes(), "diverging": lookup_table(DIVERGING).tobytes()}
