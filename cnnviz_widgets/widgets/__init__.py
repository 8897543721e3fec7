"""Widgets: what the methods find, on the screen and under the hand.

Names are loaded on first use, so that one widget does not wait for the libraries of another.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnviz_widgets.widgets.arithmetic_view import ArithmeticView
    from cnnviz_widgets.widgets.embedding_scatter import EmbeddingScatter
    from cnnviz_widgets.widgets.feature_studio import FeatureStudio
    from cnnviz_widgets.widgets.filter_card import FilterCard
    from cnnviz_widgets.widgets.filter_viewer import FilterViewer
    from cnnviz_widgets.widgets.image_canvas import ImageCanvas
    from cnnviz_widgets.widgets.index_builder import IndexBuilder
    from cnnviz_widgets.widgets.layer_browser import LayerBrowser
    from cnnviz_widgets.widgets.layer_outline import LayerOutline
    from cnnviz_widgets.widgets.occlusion_canvas import OcclusionCanvas
    from cnnviz_widgets.widgets.occlusion_slider import OcclusionSlider
    from cnnviz_widgets.widgets.patch_wall import PatchWall
    from cnnviz_widgets.widgets.picture_source import PictureSource
    from cnnviz_widgets.widgets.picture_wall import PictureWall
    from cnnviz_widgets.widgets.point_map import PointMap
    from cnnviz_widgets.widgets.saliency_toggle import SaliencyToggle
    from cnnviz_widgets.widgets.tile_grid import TileGrid
    from cnnviz_widgets.widgets.unit_card import UnitCard

__all__ = [
    "ArithmeticView",
    "EmbeddingScatter",
    "FeatureStudio",
    "FilterCard",
    "FilterViewer",
    "ImageCanvas",
    "IndexBuilder",
    "LayerBrowser",
    "LayerOutline",
    "OcclusionCanvas",
    "OcclusionSlider",
    "PatchWall",
    "PictureSource",
    "PictureWall",
    "PointMap",
    "SaliencyToggle",
    "TileGrid",
    "UnitCard",
]

_HOME = {
    "ArithmeticView": "arithmetic_view",
    "EmbeddingScatter": "embedding_scatter",
    "FeatureStudio": "feature_studio",
    "FilterCard": "filter_card",
    "FilterViewer": "filter_viewer",
    "ImageCanvas": "image_canvas",
    "IndexBuilder": "index_builder",
    "LayerBrowser": "layer_browser",
    "LayerOutline": "layer_outline",
    "OcclusionCanvas": "occlusion_canvas",
    "OcclusionSlider": "occlusion_slider",
    "PatchWall": "patch_wall",
    "PictureSource": "picture_source",
    "PictureWall": "picture_wall",
    "PointMap": "point_map",
    "SaliencyToggle": "saliency_toggle",
    "TileGrid": "tile_grid",
    "UnitCard": "unit_card",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
