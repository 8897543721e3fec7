"""Where the parts of an `EmbeddingScatter` stand, and what can be chosen."""

from __future__ import annotations

import html
from collections.abc import Mapping

import ipywidgets as ipw

from cnnviz_widgets.widgets.picture_source import PictureSource
from cnnviz_widgets.widgets.picture_wall import PictureWall
from cnnviz_widgets.widgets.point_map import PointMap

TILE = 58  # of the strips, in CSS pixels
METRICS = {"Cosine": "cosine", "Euclidean": "euclidean"}


class ScatterLayout(ipw.VBox):
    """The controls above, the map in the middle, the query and its neighbours beside it or below, the selection last.

    Args:
        layers: what the layers are called in the menu, by their names.
        projections: what the maps are called.
        colours: by what the points can be coloured.
        pictures: those to choose a query from, by name; None for the sample photos.
    """

    def __init__(
        self,
        layers: Mapping[str, str],
        projections: Mapping[str, str],
        colours: Mapping[str, str],
        source: PictureSource,
    ) -> None:
        self.layer = _menu("Layer", layers, "whose embedding the map and the neighbours are of", "250px")
        self.color_by = _menu("Colour", colours, "what the colours of the points say", "200px")
        self.projection = ipw.ToggleButtons(
            options=[(words, name) for name, words in projections.items()],
            tooltips=[MEANINGS.get(name, "") for name in projections],
            style={"button_width": "auto"},
            layout=ipw.Layout(width="auto"),
        )
        self.perplexity = ipw.BoundedFloatText(
            description="Perplexity", min=1, max=10_000, step=5, continuous_update=False,
            tooltip="how many neighbours count, about", style=_style(70), layout=ipw.Layout(width="140px"),
        )  # fmt: skip
        self.seed = ipw.BoundedIntText(
            description="Seed", min=0, max=2**32 - 1, continuous_update=False,
            tooltip="of the random numbers; another one gives another map", style=_style(36),
            layout=ipw.Layout(width="110px"),
        )  # fmt: skip
        self.again = ipw.Button(
            description="Restart", icon="refresh", tooltip="make the map again", layout=ipw.Layout(width="94px")
        )
        self.k = ipw.BoundedIntText(
            description="Neighbours", min=1, max=100, continuous_update=False, tooltip="how many are shown",
            style=_style(76), layout=ipw.Layout(width="142px"),
        )  # fmt: skip
        self.metric = ipw.Dropdown(
            description="Distance", options=list(METRICS.items()), tooltip="what near means", style=_style(58),
            layout=ipw.Layout(width="166px"),
        )  # fmt: skip
        self.note = ipw.HTML(layout=ipw.Layout(display="none"))
        self.points = PointMap(height=400)
        self.source = source
        self.near, self.alike = (PictureWall(row=True, tile_size=TILE) for _ in range(2))
        self.near.empty = "Click a point or choose a picture: its nearest neighbours come here,"
        self.alike.empty = "and here the pictures that are most alike pixel by pixel."
        self.chosen = PictureWall(tile_size=TILE, height=230)
        self.chosen.empty = "Shift-drag on the map to draw a lasso: the pictures in it come here."
        super().__init__([self._controls(), self.note, self._body(), self.chosen], layout=ipw.Layout(width="100%"))

    def say(self, note: str) -> None:
        """Show a line under the controls; "" for none."""
        self.note.value = f'<span style="{_FAINT}">{html.escape(note)}</span>'
        self.note.layout.display = "" if note else "none"

    def arrange(self, projection: str) -> None:
        """Show what a map can be made with, hide the rest."""
        self.perplexity.layout.display = "" if projection == "tsne" else "none"
        self.seed.layout.display = "none" if projection == "pca" else ""

    def _controls(self) -> ipw.Box:
        lines = [self.layer, self.projection, self.color_by], [self.perplexity, self.seed, self.again]
        layout = {"align_items": "center", "grid_gap": "2px 10px"}
        return ipw.HBox(
            [ipw.HBox(line, layout=ipw.Layout(flex_flow="row wrap", **layout)) for line in lines],
            layout=ipw.Layout(flex_flow="row wrap", **layout),
        )

    def _body(self) -> ipw.Box:
        self.points.layout.flex = "3 1 740px"
        self.points.layout.min_width = "320px"
        self.source.layout.flex = "1 1 200px"
        self.source.add_class("cnnviz-narrow")
        about = ipw.HBox([self.k, self.metric], layout=ipw.Layout(flex_flow="row wrap"))
        strips = ipw.VBox([about, self.near, self.alike], layout=ipw.Layout(flex="1000 1 360px", min_width="260px"))
        side = ipw.HBox(
            [self.source, strips],
            layout=ipw.Layout(flex="1 1 400px", min_width="300px", flex_flow="row wrap", align_items="flex-start"),
        )
        return ipw.HBox(
            [self.points, side], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start", width="100%")
        )


MEANINGS = {
    "tsne": "neighbours lie together; distances between groups mean nothing",
    "pca": "the flat shadow that holds most of the variance; distances are true as far as it does",
    "umap": "neighbours lie together, groups drawn tighter",
}
_FAINT = "color:var(--jp-ui-font-color2,#616161);line-height:1.4"


def _style(width: int) -> dict[str, str]:
    return {"description_width": f"{width}px"}


def _menu(name: str, options: Mapping[str, str], tooltip: str, width: str) -> ipw.Dropdown:
    return ipw.Dropdown(
        description=name,
        options=[(words, value) for value, words in options.items()],
        tooltip=tooltip,
        style=_style(48),
        layout=ipw.Layout(width=width, max_width="98%"),
    )
