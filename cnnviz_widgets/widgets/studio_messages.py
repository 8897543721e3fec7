"""What travels to a `StudioView`: pictures as files that a browser opens, curves as few numbers as can be seen."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.results import Synthesis
from cnnviz_widgets.views.predictions import percent

__all__ = ["curve_message", "frame_message", "result_messages", "result_words", "short_words", "thumbnail"]

POINTS = 400  # Of a curve: about as many as it is wide.
THUMBNAIL = 192  # Pixels of the longer side: sharp on a dense screen, too.


def frame_message(
    pictures: NDArray[np.uint8], names: Sequence[str], words: Sequence[str], *, exact: bool = False
) -> dict[str, Any]:
    """Pictures (rows, H, W, 3) side by side, {width, height, columns, type, pictures, names, words}.

    Args:
        pictures: all of them, those of one goal after the other.
        names: of the goals.
        words: what is said under each picture.
        exact: as PNG; frames that are soon followed by another are JPEG.
    """
    return {
        "height": int(pictures.shape[1]),
        "width": int(pictures.shape[2]),
        "each": len(pictures) // max(1, len(names)),
        "type": "image/png" if exact else "image/jpeg",
        "pictures": [_file(picture, exact) for picture in pictures],
        "names": list(names),
        "words": list(words),
    }


def curve_message(traces: NDArray[np.float32]) -> dict[str, Any]:
    """How values (rows, steps) climbed: {rows, steps, each, values}, every so manieth step."""
    rows, count = traces.shape
    each = max(1, math.ceil(count / POINTS))
    thin = np.nan_to_num(np.ascontiguousarray(traces[:, ::each], "<f4"))
    return {"rows": rows, "steps": count, "each": each, "values": thin.tobytes()}


def result_messages(results: Sequence[Synthesis]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was made, as a frame and its curve: of each goal the best picture first."""
    pictures = np.concatenate([result.pictures for result in results])
    words = [_measured(result, row) for result in results for row in range(len(result.pictures))]
    frame = frame_message(pictures, [result.target_name or "" for result in results], words, exact=True)
    return frame, curve_message(np.concatenate([result.traces for result in results]))


def result_words(results: Sequence[Synthesis]) -> str:
    """In one line how it went: of one goal its best picture's score, of several how many there are."""
    if len(results) == 1:
        return ("best: " if len(results[0].pictures) > 1 else "") + _measured(results[0], 0)
    return f"{len(results)} targets"


def short_words(result: Synthesis) -> str:
    """What the best picture reached, for a narrow place: its probability where it has one."""
    return (
        f"score {result.score:.4g}" if math.isnan(result.probability) else f"probability {percent(result.probability)}"
    )


def thumbnail(result: Synthesis) -> bytes:
    """The best picture, small, as JPEG."""
    picture = Image.fromarray(result.picture)
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return _file(np.asarray(picture), False)


def _measured(result: Synthesis, row: int) -> str:
    share = float(result.probabilities[row])
    return f"score {result.scores[row]:.4g}" + ("" if math.isnan(share) else f", probability {percent(share)}")


def _file(picture: NDArray[np.uint8], exact: bool) -> bytes:
    file = io.BytesIO()
    if exact:
        Image.fromarray(picture).save(file, "PNG", compress_level=3)
    else:
        Image.fromarray(picture).save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()
