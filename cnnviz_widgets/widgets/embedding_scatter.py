"""`EmbeddingScatter`: the pictures of an index as a map that grows under one's eyes, and the neighbours of any one."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
import traitlets as t
from PIL import Image

from cnnviz_widgets.data import ImageLike, as_picture, samples
from cnnviz_widgets.results import Neighbors, Projection
from cnnviz_widgets.widgets.picture_source import PictureSource
from cnnviz_widgets.widgets.point_map import PointMap
from cnnviz_widgets.widgets.point_messages import rows_of
from cnnviz_widgets.widgets.scatter_jobs import ScatterJobs
from cnnviz_widgets.widgets.scatter_layout import METRICS, ScatterLayout
from cnnviz_widgets.widgets.scatter_maps import MapChoice, first_projection, projections
from cnnviz_widgets.widgets.scatter_messages import about, colours, name_of, paint
from cnnviz_widgets.widgets.scatter_query import Nearness, Query, picture_of, to_choose_from

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index, Picture

__all__ = ["EmbeddingScatter"]


class EmbeddingScatter(ipw.VBox):
    """A point for every picture: those that the network finds alike lie together. Watch t-SNE sort them.

    You see the map grow step by step; Stop keeps it as it is. Choose another layer and the points wander: the deeper,
    the better classes part. Misclassified pictures have a ring. Point at a point to see its picture. Click it, or
    bring a picture of your own (choose, open, draw or film one, or drop it on the map), and its nearest neighbours by
    the network hang beside those by bare pixels; a new picture is put into the finished map, with lines to them.
    Shift-drag draws a lasso: its pictures are `selection` in Python, and a wall under the map.

    Everything works from Python too: set `layer`, `projection`, `color_by`, `perplexity`, `seed`, `k`, `metric`,
    `selection`, `query` or `image`, then `wait()` for `result`.

    Args:
        index: the pictures as the network sees them.
        layer: whose embedding; by default the index's first.
        projection: "tsne", "pca" or, where umap-learn is installed, "umap"; by default t-SNE, but PCA of more than
            20,000 pictures, which t-SNE takes minutes for, and of fewer than 4.
        pictures: pictures to choose a query from, by name; by default `samples`, and of networks that read grey
            pictures one of each class of the index.

    Attributes:
        layer, projection: What the map shows.
        color_by: "label", "prediction", "correct" or "probability"; by default labels, where there are any.
        perplexity, seed: Of the map.
        k, metric: How many neighbours, and by "cosine" or "euclidean" distance.
        selection: Rows of the index in the lasso: a tuple, rising. Set it to any rows, or to a mask.
        query: The row that is looked for, or None.
        image: The picture that is looked for; set it to look for one from elsewhere.
        result: The `Projection` on the screen, also one that was stopped; None while it is made.
        neighbors, pixel_neighbors: The `Neighbors` of the query, or None while they are looked for.
        selected_pictures: What the index knows of each selected picture.
        map, source: The `PointMap` and the `PictureSource` in it.

    Raises:
        TypeError: `index` is no Index.
        ImageError: `image` is no picture.
        traitlets.TraitError: no such layer, projection, colour, metric or row; near names are suggested.

    Example:
        >>> scatter = EmbeddingScatter(index)
        >>> scatter.wait(60).plot()
        >>> scatter.query = 17; scatter.wait(10); scatter.neighbors
    """

    layer = t.Unicode("")
    projection = t.Unicode("tsne")
    color_by = t.Unicode("label")
    perplexity = t.Float(30.0, min=1)
    seed = t.Int(0, min=0, max=2**32 - 1)
    k = t.Int(8, min=1, max=1000)
    metric = t.Unicode("cosine")
    selection: Any = t.Any(())
    query: Any = t.Int(None, allow_none=True)

    def __init__(
        self,
        index: Index,
        *,
        layer: str | None = None,
        projection: str | None = None,
        pictures: Mapping[str, ImageLike] | None = None,
    ) -> None:
        from cnnviz_widgets.index import Index

        if not isinstance(index, Index):
            raise TypeError(f"the first argument is {type(index).__name__}; wanted an Index, as Index.open gives it")
        self.index = index
        self._quiet = threading.local()
        self._projections, self._colours = projections(), colours(index)
        self.source = PictureSource(to_choose_from(index) if pictures is None else pictures, ahead=2)
        layers = {name: f"{name} · {index.embedding(name).shape[1]:,} values" for name in index.layers}
        self._parts = ScatterLayout(layers, self._projections, self._colours, self.source)
        self.map: PointMap = self._parts.points
        self._jobs = ScatterJobs(index, self._parts, self._choice, self._nearness, self._preview)
        super().__init__([self._parts])
        with self._quietly():
            first, why = first_projection(index)
            self.layer = index.layers[0] if layer is None else layer
            self.projection = first if projection is None else projection
            self.color_by = next(iter(self._colours))
        self._note = why if projection is None else ""
        self._fill()
        self._connect()
        self.add_class("cnnviz-embedding-scatter")
        self._mark()
        self._jobs.ask_map()

    def __repr__(self) -> str:
        """``EmbeddingScatter(digits: t-SNE of relu4, 2,000 pictures)``."""
        return f"EmbeddingScatter({self.index.name}: {self._choice().title}, {len(self.index):,} pictures)"

    # --- from Python --------------------------------------------------------------------------------------------------

    @property
    def image(self) -> Image.Image | None:
        """The picture that is looked for, None before there is one; set it to look for one from elsewhere."""
        query = self._jobs.query
        if query is None:
            return None
        return query.picture if query.row is None else picture_of(self.index, query.row)

    @image.setter
    def image(self, image: ImageLike) -> None:
        picture = as_picture(image)
        self.source.show(picture, samples.name_of(picture))

    @property
    def result(self) -> Projection | None:
        """The map on the screen, finished or stopped; None while it is made."""
        return self._jobs.map

    @property
    def neighbors(self) -> Neighbors | None:
        """The nearest pictures by the layer's embedding; None while they are looked for."""
        return self._jobs.near

    @property
    def pixel_neighbors(self) -> Neighbors | None:
        """The nearest pictures by their bare pixels; None while they are looked for."""
        return self._jobs.alike

    @property
    def selected_pictures(self) -> tuple[Picture, ...]:
        """What the index knows of each selected picture: key, path, label, prediction."""
        return tuple(self.index.about(row) for row in self.selection)

    def refresh(self) -> None:
        """Make the map again, also one that is finished."""
        self._jobs.ask_map(anew=True)

    def stop(self) -> None:
        """Stop the map; it stays as it is."""
        self._jobs.stop()

    def wait(self, timeout: float | None = None) -> Projection | None:
        """Block until the map is finished (or stopped) and the neighbours are found, and return `result`.

        Raises:
            TimeoutError: it is not there after `timeout` seconds (and goes on).
            Exception: what the computation raised; it is shown under the map too.
        """
        self._jobs.wait(timeout)
        return self.result

    # --- what follows from a change -----------------------------------------------------------------------------------

    def _fill(self) -> None:
        """All pictures with what is known of them, before anybody knows where they lie."""
        index = self.index
        self.map.show(
            np.full((len(index), 2), np.nan, np.float32),
            key=index.identity,
            names=lambda row: name_of(index, row),
            about=lambda row: about(index, row),
        )
        for part in (self.map, self._parts.near, self._parts.alike, self._parts.chosen):
            part.show_thumbnails(index.thumbnail)
        paint(self.map, index, self.color_by)

    def _connect(self) -> None:
        parts = self._parts
        for name in ("layer", "projection", "color_by", "perplexity", "seed", "k", "metric"):
            getattr(parts, name).observe(lambda change, name=name: self._set(name, change["new"]), "value")
        parts.again.on_click(lambda _button: self.refresh())
        for wall in (parts.near, parts.alike, parts.chosen):
            wall.on_pick(lambda row: self._set("query", row))
        self.map.on_click(lambda row: self._set("query", row))
        self.map.on_stop(self.stop)
        self.map.on_file(lambda name, content: self.source.show(as_picture(content), name, kind="file"))
        self.map.observe(lambda change: self._set("selection", change["new"]), "selection")
        self.source.on_picture(self._pictured)
        self.source.observe(lambda change: self._switched(change["new"]), "live")

    @t.validate("layer", "projection", "color_by", "metric")
    def _known(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        known = {
            "layer": self.index.layers,
            "projection": self._projections,
            "color_by": self._colours,
            "metric": METRICS.values(),
        }[name]
        if value not in known:
            raise t.TraitError(_refusal(name, value, known))
        return value

    @t.validate("selection")
    def _known_rows(self, proposal: Any) -> tuple[int, ...]:
        try:
            return rows_of(len(self.index), proposal["value"])
        except (TypeError, ValueError) as error:
            raise t.TraitError(str(error)) from None

    @t.validate("query")
    def _known_row(self, proposal: Any) -> int | None:
        row, count = proposal["value"], len(self.index)
        if row is not None and not 0 <= row < count:
            raise t.TraitError(f"no row {row} in this index; they go from 0 to {count - 1}")
        return row

    @t.observe("layer", "projection", "color_by", "perplexity", "seed", "k", "metric", "selection", "query")
    def _changed(self, change: Any) -> None:
        if getattr(self._quiet, "on", False):
            return
        self._mark()
        match change["name"]:
            case "layer":
                self._jobs.ask_map()
                self._jobs.ask_neighbors()
            case "projection":
                self._note = ""
                self._mark()
                self._jobs.ask_map()
            case "perplexity" | "seed":
                if self.projection != "pca" and (change["name"], self.projection) != ("perplexity", "umap"):
                    self._jobs.ask_map()
            case "color_by":
                paint(self.map, self.index, self.color_by)
            case "k" | "metric":
                self._jobs.ask_neighbors()
            case "selection":
                self.map.selection = self.selection
                self._jobs.ask_selection(self.selection)
            case "query":
                self.map.selected = self.query
                self._jobs.ask_query(None if self.query is None else Query(self.query))

    def _set(self, name: str, value: object) -> None:
        """What was chosen on the screen; what is wrong with it is said there."""
        if value is None or getattr(self._quiet, "on", False):  # no button is down, or a control follows
            return
        try:
            self.set_trait(name, value)
        except t.TraitError as error:
            self.map.error = str(error)

    def _pictured(self, picture: Any, kind: str) -> None:
        """The source has another picture: it is looked for, unless it is there because it is."""
        if getattr(self._quiet, "on", False):
            return
        with self._quietly():
            self.query = None
        self.map.selected = None
        name = "" if kind == "camera" else self.source.shown["name"]
        self._jobs.ask_query(Query(given=picture, name=name or "your picture"))

    def _switched(self, live: bool) -> None:
        """The camera was stopped: its last picture stays, and now there is time to put it into the map."""
        query = self._jobs.query
        if not live and query is not None and query.live:
            self._jobs.ask_query(Query(given=query.picture, name=query.name))

    # --- asked by the worker ------------------------------------------------------------------------------------------

    def _choice(self) -> MapChoice:
        return MapChoice(self.layer, self.projection, self.perplexity, self.seed)

    def _nearness(self) -> Nearness:
        return Nearness(self.layer, self.k, self.metric)  # type: ignore[arg-type]

    def _preview(self, query: Query) -> None:
        """Show what is looked for in the source; of the camera let the next frame come."""
        if query.live:
            self.source.done()
        elif query.row is not None:
            with self._quietly():
                self.source.show(picture_of(self.index, query.row), name_of(self.index, query.row), kind="index")

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _mark(self) -> None:
        """Show what is chosen in the controls."""
        parts = self._parts
        with self._quietly():
            for name in ("layer", "projection", "color_by", "perplexity", "seed", "k", "metric"):
                control = getattr(parts, name)
                value = getattr(self, name)
                if hasattr(control, "max"):
                    control.max = max(control.max, value)
                if control.value != value:
                    control.value = value
        parts.arrange(self.projection)
        parts.say(self._note)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Within, in this thread, changes have no consequences: they are the consequence of something."""
        before = getattr(self._quiet, "on", False)
        self._quiet.on = True
        try:
            yield
        finally:
            self._quiet.on = before


def _refusal(name: str, value: object, known: Iterable[str]) -> str:
    options = list(known)
    what = {"layer": "this index has no embedding of layer", "color_by": "nothing to colour by called"}
    near = difflib.get_close_matches(str(value), options, n=2)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(options)}"
    return f"{what.get(name, f'no {name}')} {value!r}; {hint}"
