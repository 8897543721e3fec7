"""The arrays of an index, opened: all at once, so that they stay what they are whatever becomes of their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.index.errors import IndexDamaged
from cnnviz_widgets.index.manifest import Manifest

SKIPPED = "skipped.json"


@dataclass(frozen=True)
class Arrays:
    """Read-only memory maps by name, and (key, reason) of each picture that could not be read."""

    maps: dict[str, NDArray[Any]]
    skipped: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array of this name."""
        return self.maps[name]


def open_arrays(folder: Path, manifest: Manifest) -> Arrays:
    """What a manifest names.

    A map outlives its file: when another process puts new arrays in the place of these, they are still there.

    Raises:
        IndexDamaged: something is missing or not what it should be.
    """
    place = folder / "arrays" / manifest.arrays
    for name, size in manifest.sizes.items():
        path = place / name
        try:
            there = path.stat().st_size
        except OSError:
            raise _damaged(path, "is missing") from None
        if there != size:
            raise _damaged(path, f"has {there} bytes instead of {size}")
    layers, pictures = range(len(manifest.settings.layers)), manifest.pictures
    channels = manifest.settings.channels
    rows = dict.fromkeys(("numbers", "labels", "predictions", "probabilities", "shapes", "pixels"), pictures)
    rows |= {f"{kind}-{layer}": pictures for kind in ("embedding", "norms") for layer in layers}
    rows |= {f"strongest-{kind}": channels for kind in ("values", "rows", "places")}
    maps = {name: _map(place / f"{name}.npy", count) for name, count in rows.items()}
    path = place / SKIPPED
    try:
        skipped = tuple((str(key), str(reason)) for key, reason in json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    return Arrays(maps, skipped)


def _map(path: Path, rows: int) -> NDArray[Any]:
    try:
        # a plain array over the map: np.memmap is slower in every operation
        found = np.asarray(np.load(path, mmap_mode="r"))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    if found.shape[:1] != (rows,):
        raise _damaged(path, f"has the shape {found.shape} instead of {rows} rows")
    return found


def _damaged(path: Path, what: str) -> IndexDamaged:
    return IndexDamaged(f"{path} of this index {what}. Run Index.build again: it is made anew from the rest")
