"""Which pictures of an index are most alike to one: to the network, or by their bare pixels."""

from __future__ import annotations

import io
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.methods.common import index_method, whole_number
from cnnviz_widgets.methods.search import Metric, lengths, nearest
from cnnviz_widgets.results import Neighbors

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

Space = Literal["embedding", "pixels"]


@index_method
def neighbors(
    index: Index,
    image: ImageLike | int,
    k: int = 8,
    metric: Metric = "cosine",
    *,
    space: Space = "embedding",
    layer: str | None = None,
) -> Neighbors:
    """The k pictures that the network finds most alike to one: it, and its neighbours, nearest first.

    Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section
    6.1: pictures whose feature vectors are close are of the same kind, though their pixels may have little in common.
    To compare, `space="pixels"` looks for neighbours among the pictures themselves, reduced to at most 32 pixels a
    side. The search is exact: the distances are those of double precision, equal ones are in the order of the rows.

    Args:
        index: the pictures.
        image: path, PIL picture, array or tensor, not preprocessed; or the number of a row of the index, which then is
            no neighbour of its own.
        k: how many; all there are where these are fewer.
        metric: ``"cosine"``, 1 minus the cosine of the angle between two vectors; or ``"euclidean"``.
        space: ``"embedding"`` or ``"pixels"``.
        layer: whose embedding; by default the index's first.

    Returns:
        Neighbors: rows, distances, pictures, names and keys of k pictures; `image` is what the network saw of yours.

    Raises:
        KeyError, IndexError: the index has no such layer, or no such row.
        ValueError: a k below 1, an unknown metric or space, a layer for pixels, or an embedding that is not finite.
        ImageError: `image` is no picture.

    Example:
        >>> neighbors(index, samples["cat"])
        >>> neighbors(index, samples["cat"], space="pixels")
    """
    count = whole_number("k", k, 1)
    row = int(image) if isinstance(image, int | np.integer) and not isinstance(image, bool) else None
    vectors, norms, query = _asked(index, image, row, space, layer)
    rows, distances = nearest(vectors, norms, query, count, metric, leave_out=row)
    about = [index.about(int(found)) for found in rows]
    return Neighbors(
        image=_frame(index, image, row),
        target_name=_name(index, image, row),
        layer=None if space == "pixels" else layer or index.layers[0],
        method="neighbors",
        parameters={"metric": metric, "space": space, "k": count, "row": row},
        citation=_KRIZHEVSKY,
        rows=rows,
        distances=distances.astype(np.float32),
        pictures=thumbnails(index, rows),
        names=tuple(one.label_name or one.key for one in about),
        keys=tuple(one.key for one in about),
    )


def thumbnails(index: Index, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(k, h, w, 3) the index's small pictures of these rows; of different shapes in the middle of a white one."""
    found = [np.asarray(_thumbnail(index, int(row))) for row in rows]
    height, width = (max((one.shape[axis] for one in found), default=1) for axis in (0, 1))
    sheet = np.full((len(found), height, width, 3), 255, np.uint8)
    for place, one in zip(sheet, found, strict=True):
        top, left = (height - one.shape[0]) // 2, (width - one.shape[1]) // 2
        place[top : top + one.shape[0], left : left + one.shape[1]] = one
    return sheet


def _asked(
    index: Index, image: ImageLike | int, row: int | None, space: str, layer: str | None
) -> tuple[NDArray[np.float32 | np.uint8], NDArray[np.float32], NDArray[np.float32 | np.uint8]]:
    """Vectors (N, D), their lengths, and the vector (D,) that is asked about."""
    if row is not None:
        index.about(row)  # says which rows there are
    if space == "embedding":
        vectors = index.embedding(layer)
        query = vectors[row] if row is not None else index.embed(image, layer)[0]  # pyright: ignore[reportArgumentType]
        return vectors, index.norms(layer), query
    if space != "pixels":
        near = get_close_matches(str(space), ("embedding", "pixels"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"space={space!r}; wanted 'embedding' or 'pixels'{hint}")
    if layer is not None:
        raise ValueError(f"layer={layer!r} with space='pixels': pixels are of no layer; leave one of them out")
    pixels = index.pixels.reshape(len(index), -1)
    query = pixels[row] if row is not None else index.reduced(image).reshape(-1)  # pyright: ignore[reportArgumentType]
    return pixels, index.remember("lengths of pixels", lambda: lengths(pixels)), query


def _frame(index: Index, image: ImageLike | int, row: int | None) -> NDArray[np.uint8]:
    """What the network saw; of a row whose picture is not at hand any more, what the index keeps of it."""
    if row is None:
        return index.engine.display(index.engine.prepare(image))  # pyright: ignore[reportArgumentType]
    if index.gallery is None:
        return np.array(_thumbnail(index, row))
    return index.engine.display(index.input(row))


def _thumbnail(index: Index, row: int) -> Image.Image:
    return Image.open(io.BytesIO(index.thumbnail(row))).convert("RGB")


def _name(index: Index, image: ImageLike | int, row: int | None) -> str:
    if row is not None:
        about = index.about(row)
        return about.label_name or about.key
    return Path(image).name if isinstance(image, str | os.PathLike) else ""


_KRIZHEVSKY = "Krizhevsky, Sutskever & Hinton, ImageNet classification with deep CNNs, NeurIPS 2012, section 6.1"
