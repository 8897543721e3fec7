"""A picture that was made for a network."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import Result, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Synthesis(Result):
    """What a class, a unit, a channel or a layer looks like to a network, or what a layer still knows of a picture.

    Of several pictures made at once, the best comes first. `parameters` hold the whole recipe.

    Attributes:
        picture: (H, W, 3) uint8, the best.
        trace: (steps,) the value that was climbed, of the best picture, at the begin of each step and in that step's
            view.
        pictures: (n, H, W, 3) uint8, all of them.
        traces: (n, steps) likewise.
        scores: (n,) what the finished pictures score when they are given to the network as any picture is: in whole
            levels and through its own preprocessing. Of a class it is the logit.
        probabilities: (n,) of the class; NaN where the target is not one class.
    """

    picture: NDArray[np.uint8] = field(metadata=array("H W 3", np.uint8))
    trace: NDArray[np.float32] = field(metadata=array("steps"))
    pictures: NDArray[np.uint8] = field(metadata=array("n H W 3", np.uint8))
    traces: NDArray[np.float32] = field(metadata=array("n steps"))
    scores: NDArray[np.float32] = field(metadata=array("n"))
    probabilities: NDArray[np.float32] = field(metadata=array("n"))

    @property
    def measured(self) -> str:
        """What `scores` are: "score", or "error" of an inversion."""
        return "error" if self.method == "invert" else "score"

    @property
    def score(self) -> float:
        """That of the best picture."""
        return float(self.scores[0])

    @property
    def probability(self) -> float:
        """That of the best picture; NaN where the target is not one class."""
        return float(self.probabilities[0])

    def _summary(self) -> str:
        height, width = self.picture.shape[:2]
        many = f"{len(self.pictures)} of " if len(self.pictures) > 1 else ""
        sure = "" if np.isnan(self.probability) else f", probability {self.probability:.1%}"
        return f"{self.target_name or self.method}: {many}{width}x{height}, {self.measured} {self.score:.4g}{sure}"
