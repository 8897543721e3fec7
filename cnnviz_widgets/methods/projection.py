"""A whole collection of pictures as a map: pictures that the network finds alike lie together.

    index = Index.open("animals.index", engine)
    animals = tsne(index)                     # a picture at the end of a cell
    place(index, animals, "my_cat.jpg")       # where a new picture belongs in it

All three maps start from the same coordinates: the embedding along its principal axes, 50 of them at most, which is
usual before t-SNE (van der Maaten & Hinton 2008, section 4.2) and keeps nearly all of the distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union, cast

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine.jobs import steps
from cnnviz_widgets.methods.common import index_method, whole_number
from cnnviz_widgets.methods.nearest_rows import nearest_rows
from cnnviz_widgets.methods.principal_axes import ROWS, PrincipalAxes, principal_axes
from cnnviz_widgets.methods.tsne_map import FEWEST, OnStep, fit_tsne, place_by_tsne, usable_perplexity
from cnnviz_widgets.methods.umap_map import epochs_of, fit_umap, place_by_umap
from cnnviz_widgets.results import Projection

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

AXES = 50  # principal axes that maps start from
SAME = 1e-4  # of the embedding's spread: what lies nearer is the same picture, seen again

Placeable: TypeAlias = Union[ImageLike, int, NDArray[Any], Sequence[Union[ImageLike, int]]]  # noqa: UP007


@index_method
def tsne(
    index: Index,
    layer: str | None = None,
    *,
    perplexity: float = 30,
    iterations: int = 750,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Projection:
    """A map on which the nearest neighbours of a picture lie round it: groups of pictures that the layer finds alike.

    Van der Maaten & Hinton, "Visualizing data using t-SNE", 2008, made by openTSNE (Poličar, Stražar & Zupan 2019).
    Distances between groups, their sizes and the axes mean nothing.

    The neighbours are exact. The points set out from the first two principal components and attract each other 12 times
    as much during the first third of the iterations (at most 250). One thread: the same index and seed give the same
    map to the last bit on the same machine with the same libraries; elsewhere roundings differ, which t-SNE enlarges
    until points of a group have changed places.

    Args:
        index: the pictures.
        layer: whose embedding; by default the index's first.
        perplexity: how many neighbours count, about; at least 1. More than a third of the other pictures is lowered to
            that, which `parameters` then says.
        iterations: steps of the descent.
        seed: of the small noise that parts equal points.
        on_step: called with (points (N, 2), iteration, iterations, divergence) every 10 iterations, first with the
            points as they set out (1e-4 wide; the map grows to about a hundred) and None for the divergence.

    Returns:
        Projection: points (N, 2), centred on 0; `trace` is the Kullback-Leibler divergence.

    Raises:
        KeyError: the index has no such layer.
        ValueError: fewer than 4 pictures, all pictures alike, or an embedding that is not finite.
        Cancelled: the job that this runs in was stopped.

    Example:
        >>> tsne(index).plot(color_by="correct")
    """
    if not (isinstance(perplexity, int | float | np.number) and 1 <= perplexity < np.inf):
        raise ValueError(f"perplexity={perplexity!r}; wanted a finite number from 1 up")
    whole_number("iterations", iterations, 1)
    seed = _seed(seed)
    layer, start = _start(index, layer)
    _need_a_few(index, layer, start, "tsne")
    used = usable_perplexity(perplexity, len(start.vectors))
    points, trace = fit_tsne(start.vectors, used, iterations, seed, on_step)
    parameters = {"perplexity": used, "iterations": int(iterations), "seed": seed, "axes": start.vectors.shape[1]}
    if used < perplexity:
        parameters["asked_perplexity"] = float(perplexity)
    return _projection(index, layer, "tsne", points, trace, parameters, VAN_DER_MAATEN)


@index_method
def pca(index: Index, layer: str | None = None) -> Projection:
    """The flat shadow of the embedding that shows most of its variance.

    Pearson, "On lines and planes of closest fit to systems of points in space", 1901; Hotelling 1933. A linear map:
    distances are true as far as the two axes hold the variance. Each axis points to where its largest loading grows, so
    that the same index always gives the same picture.

    Args:
        index: the pictures.
        layer: whose embedding; by default the index's first.

    Returns:
        Projection: points (N, 2) in the embedding's units, its mean at 0; `trace` is the share of the whole variance
        that each of the first axes explains, 50 at most.

    Raises:
        KeyError: the index has no such layer.
        ValueError: an embedding that is not finite.

    Example:
        >>> pca(index, "features.9").plot()
    """
    layer, start = _start(index, layer)
    points = _on_two_axes(start.vectors)
    return _projection(index, layer, "pca", points, start.axes.shares.astype(np.float32), {}, PEARSON)


@index_method
def umap(
    index: Index,
    layer: str | None = None,
    *,
    neighbors: int = 15,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Projection:
    """A map of which picture is connected with which: groups as t-SNE shows them, drawn tighter.

    McInnes, Healy & Melville, "UMAP: uniform manifold approximation and projection for dimension reduction", 2018. An
    extra: ``pip install "cnnviz_widgets[umap]"``; the first map of a session waits seconds for its compiler. The
    neighbours are exact, the points set out from the first two principal components (umap-learn's own default is a
    spectral layout). As with t-SNE the axes and the distances between groups mean nothing, and the same seed gives the
    same map on the same machine.

    Args:
        index: the pictures.
        layer: whose embedding; by default the index's first.
        neighbors: that each picture is connected with, itself included; at least 2, and at most all, which `parameters`
            then says.
        seed: of the random choices.
        on_step: as for `tsne`; the divergence is always None.

    Returns:
        Projection: points (N, 2).

    Raises:
        ImportError: umap-learn is not installed.
        KeyError: the index has no such layer.
        ValueError: fewer than 4 pictures, all pictures alike, or an embedding that is not finite.
        Cancelled: the job that this runs in was stopped.

    Example:
        >>> umap(index, neighbors=30)
    """
    whole_number("neighbors", neighbors, 2)
    seed = _seed(seed)
    layer, start = _start(index, layer)
    _need_a_few(index, layer, start, "umap")
    count = len(start.vectors)
    used = min(int(neighbors), count)
    points = fit_umap(start.vectors, used, seed, on_step)
    parameters = {"neighbors": used, "epochs": epochs_of(count), "seed": seed, "axes": start.vectors.shape[1]}
    if used < neighbors:
        parameters["asked_neighbors"] = int(neighbors)
    return _projection(index, layer, "umap", points, np.zeros(0, np.float32), parameters, MCINNES)


@index_method
def place(index: Index, projection: Projection, images: Placeable) -> NDArray[np.float32]:
    """Where pictures belong in a finished map, which stays as it is.

    In a map of `pca` by its axes; of `tsne` as openTSNE's `transform` and of `umap` as umap-learn's: near its nearest
    neighbours, then drawn and pushed by the points of the map. Each picture is placed by itself, whatever else is
    placed with it. A picture that is in the index lies on its own point.

    Args:
        index: the one that the map was made of.
        projection: the map; a saved and loaded one does as well.
        images: a picture (path, PIL picture, array, tensor), the number of a row of the index, or a list of these; or
            vectors (n, D) of the layer's embedding, floating.

    Returns:
        Points (n, 2), for a single picture (1, 2).

    Raises:
        TypeError: `projection` is no map.
        ValueError: it was made of another index, or a vector is not finite.
        IndexError: there is no such row.
        ImageError: one of them is no picture.

    Example:
        >>> place(index, tsne(index), samples["cat"])
    """
    if not isinstance(projection, Projection):
        raise TypeError(f"projection is a {type(projection).__name__}; wanted a map, as in tsne(index)")
    if projection.index != index.identity:
        raise ValueError(
            f"this map is of another index, or of this one when it held other pictures (the map has "
            f"{len(projection.points)}, the index {len(index)}); make a new one, as in {projection.method}(index)"
        )
    layer, start = _start(index, projection.layer)
    vectors, rows = _vectors(index, layer, images)
    if not np.isfinite(vectors).all():
        raise ValueError("the embedding of what is to be placed is not finite")
    queries = start.axes(vectors)
    if projection.method == "pca":
        return _on_two_axes(queries)
    nearest, distances = nearest_rows(queries, start.vectors, 1)
    spread = float(np.sqrt(np.square(start.vectors, dtype=np.float64).sum(1).mean()))
    known = np.where(rows < 0, np.where(distances[:, 0] <= SAME * spread, nearest[:, 0], -1), rows)
    points = projection.points[known]
    new = known < 0
    if projection.method == "umap":
        told = cast(Mapping[str, int], projection.parameters)
        points[new] = place_by_umap(queries[new], start.vectors, projection.points, told["neighbors"], told["seed"])
    else:
        points[new] = place_by_tsne(queries[new], start.vectors, projection.points)
    return points


VAN_DER_MAATEN = 'van der Maaten & Hinton, "Visualizing data using t-SNE", 2008'
PEARSON = 'Pearson, "On lines and planes of closest fit to systems of points in space", 1901'
MCINNES = 'McInnes, Healy & Melville, "UMAP: uniform manifold approximation and projection", 2018'


@dataclass(frozen=True)
class _Start:
    """The pictures along the principal axes of their embedding: vectors (N, K)."""

    axes: PrincipalAxes
    vectors: NDArray[np.float32]


def _start(index: Index, layer: str | None) -> tuple[str, _Start]:
    """The layer's name, and what every map of it starts from; remembered, so that the second map has it at once."""
    layer = index.layers[0] if layer is None else layer
    vectors = index.embedding(layer)

    def compute() -> _Start:
        for first in range(0, len(vectors), ROWS):
            whole = np.isfinite(vectors[first : first + ROWS]).all(1)
            if not whole.all():
                bad = first + int(whole.argmin())
                key = index.about(bad).key
                raise ValueError(f"the embedding of {key!r} (row {bad}) at layer {layer!r} is not finite")
        axes = principal_axes(vectors, AXES)
        return _Start(axes, axes(vectors))

    return layer, index.remember(("principal axes", layer), compute)


def _need_a_few(index: Index, layer: str, start: _Start, method: str) -> None:
    count, axes = start.vectors.shape
    if count < FEWEST:
        raise ValueError(f"{method} needs at least {FEWEST} pictures, the index has {count}; pca shows so few")
    if not axes:
        raise ValueError(f"all {count} pictures have the same embedding at layer {layer!r}: nothing tells them apart")


def _on_two_axes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    points = np.zeros((len(vectors), 2), np.float32)
    points[:, : vectors.shape[1]] = vectors[:, :2]
    return points


def _seed(seed: int) -> int:
    if whole_number("seed", seed, 0) >= 2**32:
        raise ValueError(f"seed={seed!r}; wanted a whole number below 2**32")
    return int(seed)


def _projection(
    index: Index,
    layer: str,
    method: str,
    points: NDArray[np.float32],
    trace: NDArray[np.float32],
    parameters: Mapping[str, object],
    citation: str,
) -> Projection:
    return Projection(
        layer=layer,
        method=method,
        parameters=parameters,
        citation=citation,
        points=points,
        rows=np.arange(len(points)),
        labels=index.labels,
        classes=index.classes,
        predictions=index.predictions,
        categories=tuple(index.categories),
        correct=index.correct,
        trace=trace,
        index=index.identity,
    )


def _vectors(index: Index, layer: str, images: Placeable) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors (n, D), and the rows (n,) that they are of, -1 for none."""
    embedding = index.embedding(layer)
    width = embedding.shape[1]
    if isinstance(images, np.ndarray) and images.ndim == 2 and images.dtype.kind == "f" and images.shape[1] == width:
        return images.astype(np.float32), np.full(len(images), -1)
    numbers = isinstance(images, np.ndarray) and images.ndim == 1 and images.dtype.kind in "iu"
    items = list(images) if isinstance(images, list | tuple) or numbers else [images]  # type: ignore[arg-type]
    vectors, rows = np.empty((len(items), width), np.float32), np.full(len(items), -1)
    for number, item in enumerate(steps(items)):
        if isinstance(item, int | np.integer) and not isinstance(item, bool):
            if not 0 <= item < len(embedding):
                raise IndexError(f"no row {item}; the index has the rows 0 to {len(embedding) - 1}")
            rows[number], vectors[number] = item, embedding[item]
        else:
            vectors[number] = index.embed(cast(ImageLike, item), layer)[0]
    return vectors, rows
