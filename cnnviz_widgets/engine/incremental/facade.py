"""The way in: `engine.incremental`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from cnnviz_widgets.engine.incremental import plain
from cnnviz_widgets.engine.incremental.reading import layers_of, read
from cnnviz_widgets.engine.incremental.sweep import Sweep, Want
from cnnviz_widgets.results import Unit

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine


class Incremental:
    """What an engine answers when a patch moves over a picture, computing only what the patch can change.

    Example:
        ``for row in engine.incremental.rows(sweep, None): ...``
    """

    def __init__(self, engine: Engine) -> None:
        """Belong to `engine`, which is not kept alive."""
        self._engine = weakref.ref(engine)

    def rows(self, sweep: Sweep, want: Want = None, *, memory: int | None = None) -> Iterator[Tensor]:
        """What is wanted for each row of positions, in order: (n, k) on the CPU.

        Args:
            sweep: the picture and where the patch goes.
            want: None for all class scores, a tuple of class numbers for theirs, or a `Unit`: with a position its
                activation, without one the total response of its feature map (Zeiler & Fergus 2013, figure 7b).
            memory: bytes that activations may take.
        """
        engine = self._own()
        return plain.rows(engine, sweep, want)

    def base(self, x: Tensor, want: Want = None) -> Tensor:
        """The same (k,) for a prepared picture without a patch."""
        engine = self._own()
        axes = engine.layers_for(x)[want.layer].axes if isinstance(want, Unit) else None
        return read(engine.run(x, layers_of(want)), want, axes)[0].cpu()

    def _own(self) -> Engine:
        engine = self._engine()
        if engine is None:
            raise RuntimeError("the engine that this belonged to is gone; keep it in a variable")
        return engine
