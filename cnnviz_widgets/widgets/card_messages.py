"""What travels to a `UnitCard`: each part as one dictionary of numbers and bytes that says which unit it belongs to.

Nothing larger than `SIDE` pixels a side travels, so that a card of any network at any picture stays below a megabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from cnnviz_widgets.views.colour import color_attribution, scale_of
from cnnviz_widgets.widgets.canvas_messages import picture_message

__all__ = [
    "SIDE",
    "field_in_words",
    "filter_message",
    "level_message",
    "mask_message",
    "part_key",
    "patches_message",
    "place_of",
    "small_picture",
    "statistics",
]

SIDE = 320  # The longest side of what travels, in pixels.
KERNELS = 16  # So many kernels of a filter are shown.
WEIGHTS = 128  # So many bars stand for the weights of a 1x1 convolution.
BINS = 24
PATCHES, PATCH_SIDE = 16, 96
STEPS = 65534  # Levels of a map; the one above them is "no value".


def part_key(layer: str, channel: int, image: ArrayLike) -> str:
    """What names one channel on one picture: a part with another key is never shown beside it."""
    return f"{layer}|{channel}|{zlib.crc32(np.asarray(image).tobytes()):08x}"


def small_picture(image: ArrayLike, side: int = SIDE) -> dict[str, Any]:
    """A picture as it travels, {width, height, data, id}: (H, W, 3) uint8, reduced when a side is longer than `side`.

    Raises:
        TypeError: Not uint8.
        ValueError: Another shape, or empty.
    """
    pixels = np.asarray(image)
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and max(pixels.shape[:2]) > side:
        pixels = np.asarray(Image.fromarray(pixels).resize(_within(pixels.shape, side), Image.Resampling.BOX))
    return picture_message(pixels)


def level_message(values: ArrayLike, signed: bool) -> dict[str, Any]:
    """One map (h, w) at its own resolution: {shape, levels, lo, hi, signed}, levels being uint16 from lo to hi.

    65,534 levels between the ends of the scale: each of its 256 colours is told apart 256 times over, at half the bytes
    of float32. NaN is 65,535.
    """
    cells = np.asarray(values, np.float32)
    if cells.ndim != 2 or not cells.size:
        raise ValueError(f"a map has the shape (h, w), not {cells.shape}")
    if max(cells.shape) > SIDE:
        with_sides = Image.fromarray(cells).resize(_within(cells.shape, SIDE), Image.Resampling.BOX)
        cells = np.asarray(with_sides, np.float32)
    scale = scale_of(cells, signed)
    share = (np.clip(cells.astype(np.float64), scale.lo, scale.hi) - scale.lo) / ((scale.hi - scale.lo) or 1)
    levels = np.where(np.isnan(share), STEPS + 1, np.rint(np.nan_to_num(share) * STEPS)).astype("<u2")
    return {
        "shape": list(cells.shape), "levels": levels.tobytes(), "lo": scale.lo, "hi": scale.hi, "signed": scale.signed,
    }  # fmt: skip


def place_of(
    shape: Sequence[int], picture: Sequence[int], field: Mapping[str, Any] | None
) -> tuple[list[float], list[float]]:
    """Where the middles of a map's cells lie, as (first, step) in shares of the picture's height, then of its width.

    Args:
        shape: (h, w) of the map.
        picture: (H, W) of the picture.
        field: The receptive field in plain numbers, as `Activations.parameters` holds it; where it does not say where
            a cell looks, the map is spread evenly.
    """
    window = field["local" if field["whole"] else "size"] if field else None
    if not field or not window or not field["start"] or not field["stride"] or 0 in field["stride"]:
        return [0.5 / shape[0], 1 / shape[0]], [0.5 / shape[1], 1 / shape[1]]
    rows, columns = (
        [(start + extent / 2) / length, stride / length]
        for start, extent, stride, length in zip(field["start"], window, field["stride"], picture, strict=True)
    )
    return rows, columns


def mask_message(mask: ArrayLike) -> dict[str, Any]:
    """A mask (H, W) as {width, height, bits, share}: eight pixels a byte, row after row without gaps."""
    inside = np.asarray(mask)
    if inside.dtype != bool or inside.ndim != 2 or not inside.size:
        raise TypeError(f"a mask is an array (H, W) of bool, not {inside.dtype} {inside.shape}")
    share = float(inside.mean())
    if max(inside.shape) > SIDE:
        small = Image.fromarray(inside).resize(_within(inside.shape, SIDE), Image.Resampling.NEAREST)
        inside = np.asarray(small)
    height, width = inside.shape
    return {"width": width, "height": height, "bits": np.packbits(inside).tobytes(), "share": share}


def filter_message(weights: ArrayLike, rgb: bool, first: int = 0) -> dict[str, Any]:
    """One filter (c, kh, kw) as {kind: "rgb" | "kernels" | "bars", …}.

    "rgb": colours about grey. "bars": a 1x1 filter, the smallest and the largest weight of each of at most 128 runs of
    input channels. "kernels": the 16 of the largest norm, signed on one scale, with their input channels from `first`.
    """
    kernels = np.asarray(weights, np.float32)
    if kernels.ndim != 3 or not kernels.size:
        raise ValueError(f"a filter has the shape (c, kh, kw), not {kernels.shape}")
    count, height, width = kernels.shape
    norms = np.linalg.norm(kernels.reshape(count, -1).astype(np.float64), axis=1)
    common = {"shape": list(kernels.shape), "norm": float(np.linalg.norm(norms)), "limit": scale_of(kernels, True).hi}
    if rgb and count == 3:
        return {**common, "kind": "rgb", **small_picture(color_attribution(kernels, None))}
    if height == width == 1:
        runs = np.array_split(kernels.ravel(), min(count, WEIGHTS))
        lows, highs = [float(run.min()) for run in runs], [float(run.max()) for run in runs]
        return {**common, "kind": "bars", "lows": lows, "highs": highs}
    best = np.argsort(-norms, kind="stable")[:KERNELS]
    shown = kernels[best, :SIDE, :SIDE]
    return {
        **common, "kind": "kernels", "channels": [int(first + channel) for channel in best],
        "sides": list(shown.shape[1:]), "values": np.ascontiguousarray(shown, "<f4").tobytes(),
    }  # fmt: skip


def statistics(values: NDArray[np.float32], channel: int, maximum: ArrayLike, **own: float | bool) -> dict[str, Any]:
    """The numbers of one channel: where its map (h, w) is largest, and its rank among the maxima (C,) of the layer."""
    maxima = np.asarray(maximum, np.float64)
    finite = maxima[np.isfinite(maxima)]
    here = float(maxima[channel])
    known = bool(np.isfinite(here))
    y, x = np.unravel_index(int(np.nanargmax(values)), values.shape) if not np.isnan(values).all() else (0, 0)
    counts, edges = np.histogram(finite, BINS) if finite.size else (np.zeros(BINS, int), np.zeros(BINS + 1))
    bin_ = int(np.clip(np.searchsorted(edges, here, "right") - 1, 0, BINS - 1)) if known else -1
    return {
        "maximum": here if known else None,
        "y": int(y),
        "x": int(x),
        "rank": 1 + int((finite > here).sum()) if known else 0,
        "channels": len(maxima),
        "counts": counts.tolist(),
        "bin": bin_,
        "lo": float(edges[0]),
        "hi": float(edges[-1]),
        **{name: value if np.isfinite(value) else None for name, value in own.items()},
    }


def patches_message(pictures: ArrayLike, captions: Sequence[str] = ()) -> dict[str, Any]:
    """The strongest patches (k, h, w, 3) uint8, at most 16 of 96 pixels a side, with a caption each."""
    patches = np.asarray(pictures)
    if patches.ndim != 4 or patches.shape[-1] != 3:
        raise ValueError(f"patches have the shape (k, h, w, 3), not {patches.shape}")
    if captions and len(captions) != len(patches):
        raise ValueError(f"{len(captions)} captions were given for {len(patches)} patches")
    words = [*captions, *[""] * len(patches)]
    shown = [
        {**small_picture(patch, PATCH_SIDE), "caption": str(caption)}
        for patch, caption in zip(patches[:PATCHES], words, strict=False)
    ]
    return {"pictures": shown}


def field_in_words(field: Mapping[str, Any] | None) -> str:
    """``sees 51×51 pixels, one every 8``, from a receptive field in plain numbers."""
    if not field:
        return "what it sees is unknown"
    if field["whole"]:
        return "sees the whole picture"
    height, width = field["size"]
    size = f"{height}×{width} pixels" if (height, width) != (1, 1) else "one pixel"
    down, right = field["stride"] or (0, 0)
    if not (down and right):
        return f"sees {size}"
    if down != right:
        return f"sees {size}, one every {down} down and {right} across"
    return f"sees {size}, one at every pixel" if down == 1 else f"sees {size}, one every {down}"


def _within(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Width and height of a picture of this shape with no side longer than `side`."""
    height, width = shape[:2]
    ratio = side / max(height, width)
    return max(1, round(width * ratio)), max(1, round(height * ratio))
