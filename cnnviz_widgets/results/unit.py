"""One channel of a layer, or one position of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """One channel of a layer; with `y` and `x` (together) one position of it.

    Example:
        grad_cam(engine, image, target=Unit("features.9", 7))
    """

    layer: str
    channel: int
    y: int | None = None
    x: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str):
            raise TypeError(f"a unit's layer is a dotted name such as 'features.12', not {self.layer!r}")
        if (self.y is None) != (self.x is None):
            raise ValueError(f"a unit's y and x are given together or not at all, not y={self.y}, x={self.x}")
        for name in ("channel", "y", "x"):
            value = getattr(self, name)
            if value is None and name != "channel":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"a unit's {name} is a whole number, not {value!r}")
            if value < 0:
                raise ValueError(f"a unit's {name} counts from 0, not {value}")
            object.__setattr__(self, name, int(value))

    def __str__(self) -> str:
        place = "" if self.y is None else f" at y={self.y}, x={self.x}"
        return f"{self.layer} channel {self.channel}{place}"
