"""What travels to a `TileGrid`: the maps of a layer, in as few bytes as the eye and the read-out need.

A tile is one channel's map on its way: its cells row by row, for colours three planes one after the other. All tiles of
one message have the same encoding:

    float16  value = code * factor, factor a power of two, so that nothing is too large or too small for a float16;
             right to three digits.
    uint8    value = base + (code - zero) * width, with base, zero and width for each tile; 255 is NaN. Where a tile has
             values on both sides of zero, zero itself is one of the codes.

A coarse tile holds every `step`-th row and column.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnviz_widgets.widgets.canvas_messages import OUTLIERS

__all__ = ["ANSWER", "WHOLE", "Statistics", "TileLayer", "encode"]

WHOLE = 2**20  # Bytes: up to so many, all maps of a layer travel at once.
ANSWER = 2**19  # Bytes of tiles in any other message.
UNUSABLE = np.finfo(np.float32).tiny  # Of a smaller width the reciprocal is no float32.

Cells = NDArray[np.float32]
Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class Statistics:
    """What is known of every channel: arrays (n,), float32. NaN counts as no value.

    Attributes:
        minimum, maximum: Of its values; NaN where it has none.
        mean: Of its values.
        lo, hi: The ends of its own scale, as `views.colour.scale_of` takes them.
        holes: Whether a channel may hold NaN.
    """

    minimum: Cells
    maximum: Cells
    mean: Cells
    lo: Cells
    hi: Cells
    holes: bool

    @classmethod
    def of(cls, values: Cells, signed: bool | None, color: bool) -> tuple[Statistics, bool]:
        """The statistics of values (n, p, h, w), and whether they are signed: as said, or because some are below zero.

        Raises:
            ValueError: Some values are infinite.
        """
        rows = values.reshape(len(values), -1)
        minimum, maximum = np.fmin.reduce(rows, 1), np.fmax.reduce(rows, 1)
        if np.isinf(minimum).any() or np.isinf(maximum).any():
            raise ValueError("maps hold infinite values (in float32); NaN is allowed and drawn transparent")
        with np.errstate(over="ignore", invalid="ignore"):
            mean = rows.mean(1)
        unsure = ~np.isfinite(mean)  # NaN among its values, or a sum too large for a float32.
        for row in np.flatnonzero(unsure):
            known = rows[row][~np.isnan(rows[row])]
            mean[row] = known.mean(dtype=np.float64) if known.size else np.nan
        low, high = np.nan_to_num(minimum), np.nan_to_num(maximum)
        signed = bool((low < 0).any()) if signed is None else bool(signed)
        if color:
            hi = _outliers_cut(rows)
            lo = -hi if signed else np.minimum(np.maximum(low, -hi), 0)
        elif signed:
            hi = np.maximum(np.abs(low), np.abs(high))
            lo = -hi
        else:
            lo, hi = np.minimum(low, 0), high
        return cls(minimum, maximum, mean, lo, hi, bool(unsure.any())), signed


@dataclass(frozen=True)
class TileLayer:
    """The maps of one layer, kept in the kernel, and how any of them travel.

    Attributes:
        values: (n, planes, h, w) float32, one plane or three; what was handed over, where possible not a copy.
        statistics: Of every channel.
        orders: Permutations of the channels by name, "activation" among them.
        live: One of many that follow each other quickly.
        id: Names these very maps.
    """

    values: Cells
    key: str
    label: str
    kind: str
    signed: bool
    names: list[str] | None
    statistics: Statistics
    orders: dict[str, Numbers]
    live: bool
    id: str

    @classmethod
    def of(
        cls,
        maps: ArrayLike,
        *,
        key: str,
        label: str,
        signed: bool | None,
        kind: str,
        names: Sequence[str] | None,
        orders: Mapping[str, Sequence[int]] | None,
        live: bool,
    ) -> TileLayer:
        """Take maps (n, h, w), or (n, 3, h, w) for kind "color".

        Raises:
            TypeError: Values that are not real numbers.
            ValueError: Another shape or kind, infinite values, names or orders that do not fit.
        """
        values = _planes(maps, kind)
        statistics, signed = Statistics.of(values, signed, kind == "color")
        count = len(values)
        if names is not None and len(names) != count:
            raise ValueError(f"names are one for each of the {count} maps, not {len(names)}")
        activation = np.argsort(-statistics.maximum, kind="stable").astype("<i4")
        permutations = {"activation": activation}
        for name, order in (orders or {}).items():
            permutations[str(name)] = _permutation(str(name), order, count)
        digest = 0
        for part in (statistics.minimum, statistics.maximum, statistics.mean):
            digest = zlib.crc32(part.tobytes(), digest)
        identity = f"{key}|{'x'.join(map(str, values.shape))}|{kind}|{digest:08x}"
        words = None if names is None else [str(name) for name in names]
        return cls(values, key, label, kind, signed, words, statistics, permutations, live, identity)

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of each map."""
        return self.values.shape[2], self.values.shape[3]

    @property
    def whole(self) -> bool:
        """Whether all maps travel at once."""
        return not self.live and self.values.size <= WHOLE

    def in_order(self, name: str) -> Numbers:
        """The channels in the order of this name."""
        return self.orders[name] if name in self.orders else np.arange(self.count, dtype="<i4")

    def opening(self, visible: Numbers) -> dict[str, Any]:
        """The tiles that travel with the layer: all of them, or the visible ones, coarse where they are too many."""
        if not self.whole:
            return self.tiles(visible, WHOLE if self.live else ANSWER)
        half = 2 * self.values.size <= WHOLE
        return encode(self.values, self.statistics, np.arange(self.count, dtype="<i4"), half=half)

    def tiles(self, channels: ArrayLike, limit: int) -> dict[str, Any]:
        """All of these as uint8, as coarse as it takes to stay within `limit` bytes."""
        channels = np.asarray(channels, dtype="<i4")
        planes, height, width = self.values.shape[1:]
        step = 1
        while len(channels) * planes * -(-height // step) * -(-width // step) > limit and step < max(height, width):
            step += 1
        return encode(self.values, self.statistics, channels, half=False, step=step)

    def answer(self, channels: Sequence[int], step: int, exact: bool) -> dict[str, Any]:
        """As many of these as fit into one answer, the first ones first, and always one.

        Args:
            channels: What the front end misses; numbers that there are not are passed over.
            step: Every so many rows and columns.
            exact: As float16, if one tile of them fits.
        """
        wanted = np.asarray([c for c in channels if 0 <= c < self.count], dtype="<i4")
        planes, height, width = self.values.shape[1:]
        step = min(max(1, step), max(height, width))
        each = planes * -(-height // step) * -(-width // step)
        exact = exact and 2 * each <= ANSWER
        fitting = max(1, ANSWER // (2 * each if exact else each))
        if not exact and each > ANSWER:
            return self.tiles(wanted[:1], ANSWER)
        return encode(self.values, self.statistics, wanted[:fitting], half=exact, step=step)

    def message(self, tiles: dict[str, Any], number: int) -> dict[str, Any]:
        """The layer as it travels, with these tiles; `number` is another one each time."""
        known = self.statistics
        return {
            "key": self.key,
            "id": self.id,
            "count": self.count,
            "shape": list(self.shape),
            "kind": self.kind,
            "signed": self.signed,
            "live": self.live,
            "whole": self.whole,
            "label": self.label,
            "names": self.names,
            "stats": np.stack([known.lo, known.hi, known.maximum, known.mean]).astype("<f4").tobytes(),
            "orders": {name: order.tobytes() for name, order in self.orders.items()},
            "tiles": tiles,
            "number": number,  # Last, because that is where the browser begins to compare a new value with the old.
        }


def encode(values: Cells, known: Statistics, channels: Numbers, *, half: bool, step: int = 1) -> dict[str, Any]:
    """These channels of values (n, p, h, w) as they travel: {channels, encoding, step, factor, limits, data}."""
    grid = values if step == 1 else values[..., ::step, ::step]
    count = len(channels)
    run = count > 0 and channels[-1] - channels[0] == count - 1 and (np.diff(channels) == 1).all()
    picked = grid[channels[0] : channels[0] + count] if run else grid[channels]
    cells = picked.reshape(count, -1)
    message = {"channels": channels.tobytes(), "encoding": "float16" if half else "uint8", "step": step}
    if half:
        codes, factor = _to_half(cells)
        return {**message, "factor": factor, "limits": b"", "data": codes.tobytes()}
    codes, limits = _to_bytes(cells, known.minimum[channels], known.maximum[channels], known.holes)
    return {**message, "factor": 1.0, "limits": limits.tobytes(), "data": codes.tobytes()}


def _to_half(cells: Cells) -> tuple[NDArray[np.float16], float]:
    most = float(np.fmax.reduce(np.abs(cells), axis=None, initial=0)) if cells.size else 0.0
    exponent = int(np.frexp(most)[1]) - 15 if most else 0  # The largest lies between 2**14 and 2**15.
    return np.ldexp(cells, -exponent).astype("<f2"), 2.0**exponent


def _to_bytes(cells: Cells, low: Cells, high: Cells, holes: bool) -> tuple[NDArray[np.uint8], Cells]:
    lo, hi = np.nan_to_num(low.astype(np.float64)), np.nan_to_num(high.astype(np.float64))
    width = (hi - lo) / 253
    width[width < UNUSABLE] = 0
    both = (lo < 0) & (hi > 0) & (width > 0)
    per = np.divide(1, width, out=np.zeros_like(width), where=width > 0)
    zero = np.where(both, np.ceil(-lo * per), 0)
    base = np.where(both, 0, lo)
    extreme = bool((hi - lo > np.finfo(np.float32).max).any())
    work = np.subtract(cells, base[:, None].astype(np.float32), dtype=np.float64 if extreme else np.float32)
    work *= per[:, None].astype(np.float32)
    work += (zero + 0.5)[:, None].astype(np.float32)
    if holes:
        work[np.isnan(work)] = 255
    return work.astype(np.uint8), np.stack([base, zero, width], 1).astype("<f4")


def _planes(maps: Any, kind: str) -> Cells:
    if kind not in ("map", "color"):
        raise ValueError(f"a kind of maps is 'map' or 'color', not {kind!r}")
    if hasattr(maps, "detach"):  # A torch tensor, without importing torch for those who bring none.
        maps = maps.detach().cpu()
    values = np.asarray(maps)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"maps hold real numbers, not {values.dtype}")
    wanted = "(n, h, w)" if kind == "map" else "(n, 3, h, w)"
    fits = values.ndim == 3 if kind == "map" else values.ndim == 4 and values.shape[1] == 3
    if not fits or values.size == 0:
        raise ValueError(f"maps of kind {kind!r} have the shape {wanted}, none of them 0, not {values.shape}")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype="<f4")
    return values[:, None] if kind == "map" else values


def _outliers_cut(rows: Cells) -> Cells:
    """The percentile of each channel's magnitudes at which colours end; their maximum where that is 0."""
    magnitudes = np.abs(rows)
    if np.isnan(magnitudes).any():
        magnitudes = np.nan_to_num(magnitudes)
    limit = np.percentile(magnitudes, OUTLIERS, axis=1)
    return np.where(limit > 0, limit, magnitudes.max(1)).astype(np.float32)


def _permutation(name: str, order: Sequence[int], count: int) -> Numbers:
    numbers = np.asarray(order)
    if name in ("", "channel", "activation"):
        raise ValueError(f"an order of your own has a name of its own, not {name!r}")
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu" or (np.sort(numbers) != np.arange(count)).any():
        raise ValueError(f"order {name!r} is a permutation of the {count} channels")
    return numbers.astype("<i4")
