"""What `PatchWall` makes of an index: facts of a layer, and sheets of the channels that somebody looks at."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.methods.patches import top_patches
from cnnviz_widgets.methods.units import Way
from cnnviz_widgets.results import Patches, Unit
from cnnviz_widgets.views.colour import color_attribution
from cnnviz_widgets.widgets.patch_messages import LayerPatches, Sheet

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

__all__ = ["WAYS", "PatchShelf", "layer_patches", "make_note", "make_sheet"]

WAYS = {"deconvnet": "deconvnet", "guided_backprop": "guided backprop", "saliency": "gradient"}
CACHE = 64 * 2**20  # Bytes of sheets that are kept in the kernel.


def layer_patches(index: Index, layer: str, k: int, projection: Way | None) -> LayerPatches:
    """What is known of all channels of a layer, read from the index."""
    strongest = index.strongest(layer)
    k = min(k, strongest.rows.shape[1])
    names, shares, by = _classes(index, strongest.rows[:, :k])
    count = len(strongest.values)
    x0, y0, x1, y1 = index.box(layer, 0, 0, 0)
    label = f"{layer} · {count} channels, each sees {x1 - x0}×{y1 - y0} pixels · {index.name}: {len(index):,} pictures"
    return LayerPatches(
        layer=layer,
        label=label,
        k=k,
        values=np.asarray(strongest.values[:, 0], np.float32),
        names=names,
        shares=shares,
        by=by,
        projection=WAYS[projection] if projection else "",
        identity=f"{index.identity}|{layer}|{k}|{projection}",
    )


def make_sheet(index: Index, known: LayerPatches, channel: int, part: str, projection: Way | None) -> Sheet:
    """The patches of a channel, or what in them excites it."""
    wanted = projection if part == "projections" else None
    found = top_patches(index, Unit(known.layer, channel), known.k, projection=wanted)
    if not len(found.rows):
        return Sheet(channel, part, note="no patches")
    if part == "patches":
        return Sheet.of(channel, part, found.pictures, known.k, patch_words(index, found))
    if not found.projections.size:
        return Sheet(channel, part, note="nothing to project")
    colours = np.stack([color_attribution(values) for values in found.projections])
    return Sheet.of(channel, part, colours, known.k)


def make_note(channel: int, part: str, error: Exception) -> Sheet:
    """In place of a sheet: why there is none."""
    return Sheet(channel, part, note=str(error) or type(error).__name__)


def patch_words(index: Index, found: Patches) -> list[list[tuple[str, str]]]:
    """What is known of each patch, as pairs of a name and a value: its value, its label or picture, the prediction."""
    words = []
    for place, value in enumerate(found.activations):
        label, prediction = int(found.labels[place]), int(found.predictions[place])
        said = [("value", f"{value:.4g}"), ("label" if label >= 0 else "picture", found.names[place])]
        if prediction >= 0:
            said.append(("predicted", index.categories[prediction]))
        words.append(said)
    return words


class PatchShelf:
    """What is wanted and what is there already, for several threads; sheets not asked for the longest go first."""

    def __init__(self, limit: int = CACHE) -> None:
        self._limit = limit
        self._sheets: dict[tuple[str, int, str], Sheet] = {}
        self._bytes = 0
        self._wanted: list[int] = []
        self._lock = threading.Lock()
        self.seen: list[int] = []

    def want(self, channels: Iterable[int], seen: Iterable[int]) -> None:
        """These channels are missing where somebody looks, the first ones first; what was wanted before no more is."""
        with self._lock:
            self._wanted, self.seen = list(channels), list(seen)

    def get(self, identity: str, channel: int, part: str) -> Sheet | None:
        """A sheet, if it is there."""
        with self._lock:
            sheet = self._sheets.pop((identity, channel, part), None)
            if sheet is not None:
                self._sheets[identity, channel, part] = sheet
            return sheet

    def put(self, identity: str, sheet: Sheet) -> None:
        """Keep a sheet."""
        with self._lock:
            key = (identity, sheet.channel, sheet.part)
            before = self._sheets.pop(key, None)
            self._sheets[key] = sheet
            self._bytes += len(sheet.data) - (len(before.data) if before else 0)
            while self._bytes > self._limit and len(self._sheets) > 1:
                self._bytes -= len(self._sheets.pop(next(iter(self._sheets))).data)

    def there(self, identity: str, channels: Iterable[int], parts: Sequence[str]) -> list[Sheet]:
        """All sheets of these channels that are there."""
        found = [self.get(identity, channel, part) for channel in channels for part in parts]
        return [sheet for sheet in found if sheet is not None]

    def missing(self, identity: str, parts: Sequence[str]) -> list[tuple[int, str]]:
        """What is wanted and not there: patches of all channels first, because they come quickly."""
        with self._lock:
            return [
                (channel, part)
                for part in parts
                for channel in self._wanted
                if (identity, channel, part) not in self._sheets
            ]


def _naming(index: Index) -> tuple[NDArray[np.int64], Sequence[str], str]:
    """The number of each picture's class, the names of these numbers, and whose they are."""
    labels = np.asarray(index.labels)
    if index.classes and (labels >= 0).any():
        return labels, index.classes, "label"
    return np.asarray(index.predictions), index.categories, "prediction"


def _classes(index: Index, rows: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64], str]:
    """For each channel the class that most of its patches belong to, and how many do."""
    numbers, names, by = _naming(index)
    of_patches = np.where(rows >= 0, numbers[np.maximum(rows, 0)], -1)
    best, shares = [], []
    for classes in of_patches:
        known, first, counts = np.unique(classes[classes >= 0], return_index=True, return_counts=True)
        # Of several that are as frequent, the one of the strongest patch.
        place = min(range(len(known)), key=lambda i: (-counts[i], first[i]), default=None)
        best.append("" if place is None else str(names[known[place]]))
        shares.append(0 if place is None else int(counts[place]))
    return tuple(best), np.array(shares, np.int64), by
