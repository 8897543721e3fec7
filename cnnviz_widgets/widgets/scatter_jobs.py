"""The jobs of an `EmbeddingScatter`: make the map, look for neighbours, put a new picture into the map, hang walls up.

A map takes seconds to minutes and shows itself while it grows. Between two of its steps what a hand waits for is done:
neighbours and walls are urgent jobs. A new picture is put into the map when that is finished. Finished maps are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine import Cancelled, Job
from cnnviz_widgets.methods.neighbors import neighbors
from cnnviz_widgets.methods.projection import place
from cnnviz_widgets.results import Neighbors, Projection
from cnnviz_widgets.widgets.desk import Desk, Every
from cnnviz_widgets.widgets.pace import Pace, duration
from cnnviz_widgets.widgets.scatter_layout import ScatterLayout
from cnnviz_widgets.widgets.scatter_maps import MapChoice, first_points, make_map, said_of, unfinished_map
from cnnviz_widgets.widgets.scatter_messages import jpeg, show_neighbors, show_selection
from cnnviz_widgets.widgets.scatter_query import Nearness, Query

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

OFTEN = 0.15  # seconds between two pictures of a growing map
KEPT = 32  # finished maps


class ScatterJobs:
    """What an `EmbeddingScatter` has in work, and what came of it.

    Args:
        index: the pictures.
        parts: where it is seen.
        choice: gives the map that is wanted now.
        nearness: gives what near means now.
        preview: called with a query that is looked for, in the worker's thread.
    """

    def __init__(
        self,
        index: Index,
        parts: ScatterLayout,
        choice: Callable[[], MapChoice],
        nearness: Callable[[], Nearness],
        preview: Callable[[Query], object],
    ) -> None:
        self._index, self._parts = index, parts
        self._choice, self._nearness, self._preview = choice, nearness, preview
        self._desk = Desk(index.engine.worker, self._failed)
        self._lock = threading.RLock()
        self._wanted: object = None  # the request whose map is to be seen
        self._maps: dict[tuple[object, ...], Projection] = {}
        self._about: tuple[Query, Nearness] | None = None  # what `near` is about
        self.query: Query | None = None
        self.map: Projection | None = None
        self.near: Neighbors | None = None
        self.alike: Neighbors | None = None

    # --- asked from any thread ----------------------------------------------------------------------------------------

    def ask_map(self, anew: bool = False) -> None:
        """Show the map that is wanted: at once where it is known, else while it is made; `anew`: made in any case."""
        growth = _Growth(self._choice())
        points = self._parts.points
        with self._lock:
            self._wanted, self.map = growth, None
            points.error = ""
            points.marks = []
            known = None if anew else self._maps.get(growth.choice.key)
            if known is not None:
                self._desk.stop("map")
                self._finish(growth, known, fit=True)
                return
        points.report("running", f"{growth.choice.title}: waiting for other work")
        self._desk.submit("map", lambda: self._make(growth), on_progress=lambda job: self._tell(growth, job))

    def ask_query(self, query: Query | None) -> None:
        """Look for the neighbours of another picture; None: of none."""
        with self._lock:
            self.query = query
            self._parts.points.error = ""
            if query is None or not query.live:
                self._parts.points.marks = []
        self.ask_neighbors()

    def ask_neighbors(self) -> None:
        """Look for the neighbours, as near is understood now."""
        query = self.query
        self.near = self.alike = None
        if query is None:
            self._parts.near.clear()
            self._parts.alike.clear()
            return
        self._desk.submit("near", lambda: self._look(query), urgent=True)
        self._desk.submit("alike", lambda: self._look_at_pixels(query), urgent=True)

    def ask_selection(self, rows: tuple[int, ...]) -> None:
        """Hang up the selected pictures."""
        wall = self._parts.chosen
        if rows:
            self._desk.submit("chosen", lambda: show_selection(wall, self._index, rows), urgent=True)
        else:
            self._desk.stop("chosen")
            wall.clear()

    def stop(self) -> None:
        """Stop the map; it stays as it is."""
        with self._lock:
            growth = self._wanted
            if not self._desk.busy("map"):
                return
            self._desk.stop("map", "place")
            words = f" at step {growth.step} of {growth.steps}" if isinstance(growth, _Growth) and growth.step else ""
            self._parts.points.report("stopped", f"stopped{words}")

    def wait(self, timeout: float | None = None) -> None:
        """Block until nothing is in work; see `Desk.wait`."""
        self._desk.wait(timeout)

    # --- the map, in the worker ---------------------------------------------------------------------------------------

    def _make(self, growth: _Growth) -> None:
        if self._wanted is growth:
            self._parts.points.report("running", f"{growth.choice.title}: looking at the embedding")
        try:
            self._draw(growth, first_points(self._index, growth.choice), fit=True)
            found = make_map(self._index, growth.choice, lambda *step: self._step(growth, *step))
        except Cancelled:
            self._keep_unfinished(growth)
            raise
        with self._lock:
            self._maps[growth.choice.key] = found
            while len(self._maps) > KEPT:
                self._maps.pop(next(iter(self._maps)))
            self._finish(growth, found, fit=False)

    def _step(self, growth: _Growth, points: NDArray[np.float32], step: int, steps: int, kl: float | None) -> None:
        growth.points, growth.step, growth.steps, growth.divergence = points, step, steps, kl
        if step and growth.due.due():
            self._draw(growth, points, fit=False)

    def _draw(self, growth: _Growth, points: NDArray[np.float32], fit: bool) -> None:
        with self._lock:  # so that no step of an old map comes after the first one of a new one
            if self._wanted is growth:
                self._parts.points.label = growth.choice.title
                self._parts.points.move(points, fit=fit)

    def _finish(self, growth: _Growth, found: Projection, fit: bool) -> None:
        with self._lock:
            if self._wanted is not growth:
                return
            self._draw(growth, found.points, fit)
            self.map = found
            self._parts.points.report("done", said_of(found))
        self._mark()

    def _keep_unfinished(self, growth: _Growth) -> None:
        """A map that was stopped is a map: what is seen can be saved and asked."""
        with self._lock:
            if self._wanted is not growth or growth.points is None:
                return
            self._draw(growth, growth.points, fit=False)
            self.map = unfinished_map(self._index, growth.choice, growth.points, growth.step, growth.steps)
        self._mark()

    def _tell(self, growth: _Growth, job: Job[Any]) -> None:
        growth.pace.mark(job.done)
        if not job.total or job.stopping or not growth.told.due():
            return
        words = f"{growth.choice.title}: "
        if growth.step:
            divergence = "" if growth.divergence is None else f", divergence {growth.divergence:.2f}"
            words += f"step {growth.step} of {growth.steps}{divergence}"
            left = growth.pace.left(job.total)
            words += "" if left is None else f", {duration(left)} left"
        else:
            words += "looking for neighbours"
        with self._lock:
            if self._wanted is growth and not job.stopping:
                self._parts.points.report("running", words, job.done / job.total)

    # --- the query, in the worker -------------------------------------------------------------------------------------

    def _look(self, query: Query) -> None:
        """The nearest by embedding, and where the picture lies in the map."""
        nearness = self._nearness()
        if query is not self.query:
            return
        self._preview(query)
        found = neighbors(self._index, query.asked, nearness.k, nearness.metric, layer=nearness.layer)
        with self._lock:
            if query is not self.query:
                return
            self.near, self._about = found, (query, nearness)
        show_neighbors(self._parts.near, self._index, found, nearness.layer)
        self._mark()

    def _look_at_pixels(self, query: Query) -> None:
        nearness = self._nearness()
        if query is not self.query:
            return
        found = neighbors(self._index, query.asked, nearness.k, nearness.metric, space="pixels")
        if query is self.query:
            self.alike = found
            show_neighbors(self._parts.alike, self._index, found, "pixels")

    def _mark(self) -> None:
        """Mark the query in the map, with lines to its neighbours, as soon as both are there."""
        with self._lock:
            query, found, near = self.query, self.map, self.near
            if query is None or found is None or near is None or self._about != (query, self._nearness()):
                return
            if query.row is not None:
                self._put_mark(query, found, near, found.points[query.row], b"")
                return
        self._desk.submit("place", lambda: self._place(query, found, near))

    def _place(self, query: Query, found: Projection, near: Neighbors) -> None:
        (spot,) = place(self._index, found, query.picture)
        self._put_mark(query, found, near, spot, jpeg(near.image))

    def _put_mark(
        self, query: Query, found: Projection, near: Neighbors, spot: NDArray[np.float32], thumbnail: bytes
    ) -> None:
        x, y = map(float, spot)
        mark = {"x": x, "y": y, "name": query.name, "lines_to": near.rows.tolist(), "thumbnail": thumbnail}
        with self._lock:
            if query is self.query and found is self.map:
                self._parts.points.marks = [mark]

    # --- what went wrong ----------------------------------------------------------------------------------------------

    def _failed(self, concern: str, text: str) -> None:
        if concern == "map":
            self._parts.points.report("error", text)
        else:  # a map that goes on would soon write over it
            self._parts.points.error = text


class _Growth:
    """A map while it is made."""

    def __init__(self, choice: MapChoice) -> None:
        self.choice = choice
        self.points: NDArray[np.float32] | None = None
        self.step = self.steps = 0
        self.divergence: float | None = None
        self.due, self.told, self.pace = Every(OFTEN), Every(OFTEN), Pace()
