"""`FilterViewer`: the filters of any convolution, their spectra, and two networks side by side."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets as ipw
import traitlets as t
from PIL import Image

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.results import Filters, FilterSpectrum
from cnnviz_widgets.widgets.filter_column import FilterColumn

__all__ = ["FilterViewer"]


class FilterViewer(ipw.HBox):
    """Every filter of a convolution as a tile, and of the chosen one its spectrum; one column for each network.

    You choose a layer, sort its filters, and click one: beside its weights you see the frequencies that it passes, the
    square that the layer's stride can carry, and how much of the filter lies beyond it and aliases. With an image you
    also see how much of its response to that very picture does. Two networks stand side by side, as AlexNet's first
    layer against ZFNet's.

    Everything works from Python too: set `layer`, `order`, `selected` or `image`, then `wait()` for `result`. Of
    several networks these speak of the first; each has its own in `columns`.

    Args:
        engine: the network.
        others: further networks to compare with.
        layer: the layer shown first, in each network that has it; by default each network's first convolution.
        image: a picture to measure the aliasing of responses on; path, PIL picture, array or tensor.

    Attributes:
        layer: The first network's layer.
        order: Of the filters, in all columns that can have it: "index", "norm", "similarity", or "hue" where filters
            are in colour.
        selected: The chosen filter of the first network, or None.
        columns: One `FilterColumn` for each network, with `layer`, `order`, `selected`, `result` and `spectrum`.

    Raises:
        ImageError: `image` is no picture.
        traitlets.TraitError: no such layer or order; near names are suggested.

    Example:
        >>> FilterViewer(Engine("squeezenet1_1"), Engine("efficientnet_lite0"), image=samples["cat"])
    """

    layer = t.Unicode("")
    order = t.Unicode("index")
    selected: Any = t.Int(None, allow_none=True, min=0)

    def __init__(
        self, engine: Engine, *others: Engine, layer: str | None = None, image: ImageLike | None = None
    ) -> None:
        for number, one in enumerate((engine, *others), start=1):
            if not isinstance(one, Engine):
                raise TypeError(f"network {number} is {type(one).__name__}; wanted an Engine")
        self.engine = engine
        picture = None if image is None else as_picture(image)
        first = FilterColumn(engine, layer, picture)
        rest = [FilterColumn(one, layer if layer in one.modules else None, picture) for one in others]
        self.columns = (first, *rest)
        super().__init__(list(self.columns))
        self.layout = ipw.Layout(flex_flow="row wrap", align_items="flex-start", width="100%", grid_gap="18px")
        for name in ("layer", "selected", "order"):
            t.link((first, name), (self, name))
        self.observe(self._sort_others, "order")
        self.add_class("cnnviz-filter-viewer")

    def __repr__(self) -> str:
        """``FilterViewer(squeezenet1_1: features.0)``."""
        each = [f"{one.engine.name}: {one.layer}" if one.layer else one.engine.name for one in self.columns]
        return f"FilterViewer({', '.join(each)})"

    @property
    def result(self) -> Filters | None:
        """The first network's `Filters`, in their order; None while they are computed."""
        return self.columns[0].result

    @property
    def spectrum(self) -> FilterSpectrum | None:
        """Their `FilterSpectrum`; None while it is computed, and for a transposed convolution."""
        return self.columns[0].spectrum

    @property
    def image(self) -> Image.Image | None:
        """The picture on which the aliasing of responses is measured, or None; set it to measure on another one."""
        return self.columns[0].picture

    @image.setter
    def image(self, image: ImageLike | None) -> None:
        picture = None if image is None else as_picture(image)
        for column in self.columns:
            column.picture = picture

    def refresh(self) -> None:
        """Look again: for networks that were trained meanwhile."""
        for column in self.columns:
            column.refresh()

    def wait(self, timeout: float | None = None) -> Filters | None:
        """Block until everything is there and return `result`; for scripts and tests, not for cells.

        Raises:
            TimeoutError: it is not there after `timeout` seconds.
            Exception: what the computation raised; it is shown under the tiles too.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for column in self.columns:
            column.wait(None if end is None else max(0.0, end - time.monotonic()))
        return self.result

    @t.validate("layer", "order", "selected")
    def _known(self, proposal: Any) -> Any:
        return self.columns[0].check(proposal["trait"].name, proposal["value"])

    def _sort_others(self, change: Any) -> None:
        for column in self.columns[1:]:
            if column.can_sort(change["new"]):
                column.order = change["new"]
