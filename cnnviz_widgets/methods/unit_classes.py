"""Which classes of a collection a channel answers to."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.methods.common import index_method
from cnnviz_widgets.methods.patches import channel_of
from cnnviz_widgets.results import Unit, UnitClasses

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

By = Literal["label", "prediction"]


@index_method
def unit_classes(index: Index, unit: Unit, by: By = "label") -> UnitClasses:
    """Which classes a channel answers to: a bar for each, the highest first.

    Where the index has the embedding of the unit's layer, all its pictures are asked: a class's value is the mean, over
    its pictures, of the channel's mean over a picture. Of other convolutions the index knows the strongest patches
    alone: the value is how many of them come from the class. `parameters["over"]` says which.

    Args:
        index: the pictures.
        unit: a channel of a layer with an embedding, or of any convolution; a position is not looked at.
        by: ``"label"``, the pictures' own; or ``"prediction"``, the class that the network holds most probable.

    Returns:
        UnitClasses: names, values, spreads and counts of the classes that occur.

    Raises:
        KeyError, IndexError: the index has neither of this layer (near names are given), or it no such channel.
        ValueError: another `by`, or labels are wanted where no picture has one.

    Example:
        >>> unit_classes(index, Unit("features.12", 7))
    """
    if by not in ("label", "prediction"):
        near = get_close_matches(str(by), ("label", "prediction"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"by={by!r}; wanted 'label' or 'prediction'{hint}")
    if isinstance(unit, Unit) and unit.layer in index.layers:
        vectors = index.embedding(unit.layer)
        if unit.channel >= vectors.shape[1]:
            raise IndexError(f"no channel {unit.channel} in layer {unit.layer!r}; it has 0 to {vectors.shape[1] - 1}")
        unit, over = Unit(unit.layer, unit.channel), "pictures"
        values, rows = vectors[:, unit.channel].astype(np.float64), np.arange(len(index))
    else:
        unit, over = _known(index, unit), "strongest patches"
        rows = index.strongest(unit.layer).rows[unit.channel]
        rows, values = rows[rows >= 0], None
    of_all, names = (index.labels, index.classes) if by == "label" else (index.predictions, index.categories)
    if by == "label" and not (of_all >= 0).any():
        raise ValueError("no picture of this index has a label; by='prediction' asks for the network's own classes")
    numbers = np.asarray(of_all[rows])
    classes, value, spread, counts = _by_class(numbers, values)
    return UnitClasses(
        target=unit,
        target_name=str(unit),
        layer=unit.layer,
        method="unit_classes",
        parameters={"by": by, "over": over, "without": int((numbers < 0).sum())},
        citation="",
        names=tuple(names[number] if number < len(names) else str(number) for number in classes),
        classes=classes,
        values=value,
        spreads=spread,
        counts=counts,
    )


def _known(index: Index, unit: Unit) -> Unit:
    """The channel of a convolution; the error for any other layer knows those with embeddings too."""
    try:
        return channel_of(index, unit)
    except KeyError as error:
        near = get_close_matches(unit.layer, index.layers, n=2, cutoff=0.5) or index.layers
        message = f"{error}; and it has embeddings of {', '.join(map(repr, near))}"
        raise type(error)(message) from None


def _by_class(
    numbers: NDArray[np.int64], values: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Classes, means, standard deviations and counts, highest mean first; without values the counts are the means."""
    known = numbers >= 0
    classes, which, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
    if values is None:
        means, spreads = counts.astype(np.float64), np.zeros(len(classes))
    else:
        seen = values[known]
        means = np.bincount(which, seen, len(classes)) / counts
        spreads = np.sqrt(np.bincount(which, (seen - means[which]) ** 2, len(classes)) / counts)
    found = means.astype(np.float32)
    order = np.argsort(-found, kind="stable")
    return classes[order], found[order], spreads.astype(np.float32)[order], counts[order].astype(np.int64)
