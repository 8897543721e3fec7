"""Whether a network was right about a labelled picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def correctness(
    labels: NDArray[np.int64], classes: Sequence[str], predictions: NDArray[np.int64], categories: Sequence[str]
) -> NDArray[np.int8]:
    """(N,) 1 where the predicted category has the label's name, 0 where it has not, -1 where that cannot be told.

    Case, spaces and underscores do not matter. A name that several categories share (ImageNet has two cranes) stands
    for each of them.
    """
    named: dict[str, set[int]] = {}
    for number, category in enumerate(categories):
        named.setdefault(_plain(category), set()).add(number)
    meant = [named.get(_plain(name), set()) for name in classes]
    found = np.full(len(labels), -1, np.int8)
    for label, numbers in enumerate(meant):
        if numbers:
            mine = (np.asarray(labels) == label) & (np.asarray(predictions) >= 0)
            found[mine] = np.isin(np.asarray(predictions)[mine], list(numbers))
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
