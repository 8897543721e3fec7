"""What travels to an `ImageCanvas`: pictures and maps as dictionaries of numbers and bytes.

Each is one trait that is sent as a whole, so that the front end never sees new values with an old scale.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike, NDArray

from cnnviz_widgets.views.colour import scale_of

__all__ = ["OUTLIERS", "check_map", "check_picture", "map_message", "picture_message"]

OUTLIERS = 99.5  # Colour attributions end at this percentile of their magnitudes, as in `views.color_attribution`.


def picture_message(image: ArrayLike) -> dict[str, Any]:
    """A picture as it travels: {width, height, data, id}, from (H, W, 3) uint8.

    Raises:
        TypeError: Not uint8.
        ValueError: Another shape, or empty.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise TypeError(f"a picture is uint8, (H, W, 3), not {pixels.dtype}")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise ValueError(f"a picture has the shape (H, W, 3), not {pixels.shape}")
    data = pixels.tobytes()
    height, width = pixels.shape[:2]
    # The id ties a map to its picture; it names the content, so the same picture twice is one picture.
    return {"width": width, "height": height, "data": data, "id": f"{width}x{height}-{zlib.crc32(data):08x}"}


def map_message(values: ArrayLike, lo: float | None, hi: float | None, signed: bool | None) -> dict[str, Any]:
    """A map and its scale as they travel: {shape, values, lo, hi, signed, kind}, from (h, w) or (3, h, w) numbers.

    Raises:
        TypeError: Not real numbers.
        ValueError: Another shape, infinite values, or a scale that falls or, if signed, is not centred on zero.
    """
    cells = _real(values)
    if cells.ndim == 3 and len(cells) == 1:
        cells = cells[0]
    color = cells.ndim == 3
    if cells.ndim not in (2, 3) or (color and len(cells) != 3) or cells.size == 0:
        raise ValueError(f"a map has the shape (h, w), or (3, h, w) for red, green and blue, not {cells.shape}")
    if np.isinf(cells).any():
        raise ValueError("a map holds infinite values (in float32); NaN is allowed and drawn transparent")
    signed = bool((cells < 0).any()) if signed is None else bool(signed)
    usual = scale_of(cells, signed, percentile=OUTLIERS if color else None)
    if signed and lo is None and hi is not None:
        lo = -hi
    if signed and hi is None and lo is not None:
        hi = -lo
    lo, hi = float(usual.lo if lo is None else lo), float(usual.hi if hi is None else hi)
    if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
        raise ValueError(f"a scale goes from a finite lo up to a finite hi, not from {lo} to {hi}")
    if signed and lo != -hi:
        raise ValueError(f"the scale of a signed map is centred on zero, lo == -hi, not from {lo} to {hi}")
    return {
        "shape": list(cells.shape[-2:]),
        "values": cells.tobytes(),
        "lo": lo,
        "hi": hi,
        "signed": signed,
        "kind": "color" if color else "heatmap",
    }


def check_picture(message: Mapping[str, Any]) -> None:
    """Raise a TraitError unless this is a picture as `picture_message` makes it."""
    _check_bytes(message, ("width", "height"), "data", 3, "picture")


def check_map(message: Mapping[str, Any]) -> None:
    """Raise a TraitError unless this is a map as `ImageCanvas.publish` sends it."""
    channels = {"heatmap": 1, "color": 3}.get(message.get("kind", ""), 0)
    if not channels or not isinstance(message.get("key"), str) or len(message.get("shape", ())) != 2:
        raise t.TraitError("a map has a key, a shape [h, w] and a kind, 'heatmap' or 'color'; use publish()")
    size = {"h": message["shape"][0], "w": message["shape"][1], "values": message.get("values")}
    _check_bytes(size, ("h", "w"), "values", 4 * channels, "map")
    if not message.get("lo", 1) <= message.get("hi", 0):
        raise t.TraitError("a map has a scale, lo at most hi; use publish()")


def _real(values: Any) -> NDArray[np.float32]:
    if hasattr(values, "detach"):  # A torch tensor, without importing torch for those who bring none.
        values = values.detach().cpu()
    cells = np.asarray(values)
    if cells.dtype.kind not in "fiub":
        raise TypeError(f"a map holds real numbers, not {cells.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(cells, dtype="<f4")


def _check_bytes(message: Mapping[str, Any], sides: tuple[str, str], content: str, each: int, what: str) -> None:
    lengths = [message.get(side) for side in sides]
    if not all(isinstance(length, int) and length > 0 for length in lengths):
        raise t.TraitError(f"a {what} has sides of one pixel or more, not {lengths}")
    wanted = math.prod(lengths) * each  # type: ignore[arg-type]
    data = message.get(content)
    if not isinstance(data, bytes | memoryview) or memoryview(data).nbytes != wanted:
        came = f"{memoryview(data).nbytes} bytes" if isinstance(data, bytes | memoryview) else type(data).__name__
        raise t.TraitError(f"a {what} of these sides has {wanted} bytes of {content}, not {came}")
