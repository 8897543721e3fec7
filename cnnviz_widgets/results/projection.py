"""A map of many pictures: a point for each."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.record import Result, array


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Projection(Result):
    """The pictures of an index as points of a plane: those that the layer answers alike lie together.

    Attributes:
        points: (N, 2), x and y. Of "pca" in the units of the embedding; of "tsne" and "umap" only who lies next to
            whom has a meaning, not the axes, nor how far apart two groups lie.
        rows: (N,) int64, the picture of each point: its row in the index.
        labels: (N,) int64, numbers of `classes`; -1 where a picture has no label.
        classes: The names of the labels; a label without one goes by its number.
        predictions: (N,) int64, the class that the network holds most likely, a number of `categories`.
        categories: The names of the network's classes.
        correct: (N,) int8, 1 where the prediction is the label, 0 where not, -1 where nobody knows.
        trace: (steps,) of "tsne" the Kullback-Leibler divergence at every 10th iteration and at the end, as openTSNE
            approximates it; of "pca" each axis's share of the whole variance, more than the two that are drawn; of
            "umap" empty.
        index: The identity of the index whose pictures these are.
    """

    points: NDArray[np.float32] = field(metadata=array("N 2"))
    rows: NDArray[np.int64] = field(metadata=array("N", np.int64))
    labels: NDArray[np.int64] = field(metadata=array("N", np.int64))
    classes: tuple[str, ...] = ()
    predictions: NDArray[np.int64] | None = field(default=None, metadata=array("N", np.int64))
    categories: tuple[str, ...] = ()
    correct: NDArray[np.int8] | None = field(default=None, metadata=array("N", np.int8))
    trace: NDArray[np.float32] = field(metadata=array("steps"))
    index: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "categories", tuple(self.categories))

    def _summary(self) -> str:
        count = len(self.points)
        return f"{super()._summary()}: {count} picture{'' if count == 1 else 's'}"
