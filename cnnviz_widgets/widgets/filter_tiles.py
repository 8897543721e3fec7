"""Filters on a `TileGrid`: one tile for each, in colour where they read the picture's three colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnviz_widgets.results import Filters
from cnnviz_widgets.widgets.tile_grid import TileGrid

__all__ = ["show_filters"]


def show_filters(grid: TileGrid, found: Filters, orders: Mapping[str, Sequence[int]] | None = None) -> None:
    """Hang the filters of a layer up: tile k is filter k, the one that makes the layer's channel k.

    A filter of many input channels is shown by its strongest one, whose number stands in the tile's name; one of a 1x1
    convolution by its weights, row by row in a rectangle.

    Args:
        grid: where.
        found: what; its own order, when it is not by number, can be chosen by its name.
        orders: further permutations by name.
    """
    weights = found.weights
    n, c, height, width = weights.shape
    names: list[str] | None = None
    words = ""
    if not found.rgb and height == width == 1 and c > 1:
        tiles, words = _rectangles(weights[:, :, 0, 0]), f", the {c} weights of each row by row"
    elif not found.rgb and c > 1:
        strongest = np.square(weights.astype(np.float64)).sum((2, 3)).argmax(1)
        tiles = weights[np.arange(n), strongest]
        names = [f"← {channel}" for channel in strongest]
        words = f", of each the strongest of its {c} input channels (← which)"
    else:
        tiles = weights if found.rgb else weights[:, 0]
    kind = str(found.parameters.get("order", "index"))
    own = {} if kind == "index" else {kind: found.order.tolist()}
    grid.show(
        tiles,
        key=f"{found.layer} filters",
        label=f"{found.layer} · {n} filters of {height} × {width}{words}",
        signed=True,
        kind="color" if found.rgb else "map",
        names=names,
        orders={**own, **(orders or {})},
    )


def _rectangles(rows: np.ndarray) -> np.ndarray:
    """Rows (n, c) as pictures (n, h, w) of about equal sides; what is left over is NaN."""
    n, c = rows.shape
    width = int(np.ceil(np.sqrt(c)))
    height = -(-c // width)
    out = np.full((n, height * width), np.nan, np.float32)
    out[:, :c] = rows
    return out.reshape(n, height, width)
