"""See inside trained convolutional networks: every technique as a function, as a picture and as a Jupyter widget.

    from cnnviz_widgets import Engine, SaliencyToggle, grad_cam, samples

    engine = Engine("squeezenet1_1")
    grad_cam(engine, samples["cat"])
    SaliencyToggle(engine, samples["cat"])

Every public name is loaded when it is first used, so that the engine and the methods run where no notebook is installed
and `import cnnviz_widgets` costs nothing. To publish a name: its line in `_HOME` and its import under `TYPE_CHECKING`,
which tells editors and type checkers what `_HOME` tells the interpreter (a test holds the two equal).
"""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "ActivationMask": "results",
    "Activations": "results",
    "Arithmetic": "results",
    "ArithmeticView": "widgets",
    "Blur": "methods.synthesis",
    "ClipContribution": "methods.synthesis",
    "ClipNorm": "methods.synthesis",
    "Decay": "methods.synthesis",
    "EmbeddingScatter": "widgets",
    "Engine": "engine",
    "FeatureStudio": "widgets",
    "FilterSpectrum": "results",
    "FilterViewer": "widgets",
    "Filters": "results",
    "Gallery": "data",
    "Heatmap": "results",
    "ImageCanvas": "widgets",
    "Index": "index",
    "IndexBuilder": "widgets",
    "Jitter": "methods.synthesis",
    "L2": "methods.synthesis",
    "LayerBrowser": "widgets",
    "LayerOutline": "widgets",
    "Neighbors": "results",
    "OcclusionCanvas": "widgets",
    "OcclusionMap": "results",
    "OcclusionSlider": "widgets",
    "PatchWall": "widgets",
    "Patches": "results",
    "PictureSource": "widgets",
    "PictureWall": "widgets",
    "PixelMap": "results",
    "PointMap": "widgets",
    "Predictions": "results",
    "Projection": "results",
    "RangePenalty": "methods.synthesis",
    "Result": "results",
    "Rivals": "methods.synthesis",
    "Rotate": "methods.synthesis",
    "SaliencyToggle": "widgets",
    "Scale": "methods.synthesis",
    "Synthesis": "results",
    "TileGrid": "widgets",
    "TotalVariation": "methods.synthesis",
    "Unit": "results",
    "UnitCard": "widgets",
    "UnitClasses": "results",
    "UnitProjection": "results",
    "activation_mask": "methods.activations",
    "activations": "methods.activations",
    "cam": "methods.cam",
    "deconvnet": "methods.backprop",
    "digits": "data",
    "dream": "methods.synthesis",
    "filter_spectrum": "methods.filters",
    "filters": "methods.filters",
    "grad_cam": "methods.cam",
    "grad_cam_plus_plus": "methods.cam",
    "grad_times_input": "methods.backprop",
    "guided_backprop": "methods.backprop",
    "guided_grad_cam": "methods.cam",
    "integrated_gradients": "methods.backprop",
    "invert": "methods.synthesis",
    "layer_activity": "methods.activations",
    "layer_cam": "methods.cam",
    "maximize": "methods.synthesis",
    "maximize_each": "methods.synthesis",
    "neighbors": "methods.neighbors",
    "occlusion": "methods.occlusion",
    "pca": "methods.projection",
    "photos": "data",
    "place": "methods.projection",
    "project_unit": "methods.units",
    "saliency": "methods.backprop",
    "samples": "data",
    "score_cam": "methods.cam",
    "smooth_grad": "methods.backprop",
    "top_patches": "methods.patches",
    "tsne": "methods.projection",
    "umap": "methods.projection",
    "unit_arithmetic": "methods.arithmetic",
    "unit_classes": "methods.unit_classes",
}

if TYPE_CHECKING:
    from cnnviz_widgets.data import Gallery as Gallery
    from cnnviz_widgets.data import digits as digits
    from cnnviz_widgets.data import photos as photos
    from cnnviz_widgets.data import samples as samples
    from cnnviz_widgets.engine import Engine as Engine
    from cnnviz_widgets.index import Index as Index
    from cnnviz_widgets.methods.activations import activation_mask as activation_mask
    from cnnviz_widgets.methods.activations import activations as activations
    from cnnviz_widgets.methods.activations import layer_activity as layer_activity
    from cnnviz_widgets.methods.arithmetic import unit_arithmetic as unit_arithmetic
    from cnnviz_widgets.methods.backprop import deconvnet as deconvnet
    from cnnviz_widgets.methods.backprop import grad_times_input as grad_times_input
    from cnnviz_widgets.methods.backprop import guided_backprop as guided_backprop
    from cnnviz_widgets.methods.backprop import integrated_gradients as integrated_gradients
    from cnnviz_widgets.methods.backprop import saliency as saliency
    from cnnviz_widgets.methods.backprop import smooth_grad as smooth_grad
    from cnnviz_widgets.methods.cam import cam as cam
    from cnnviz_widgets.methods.cam import grad_cam as grad_cam
    from cnnviz_widgets.methods.cam import grad_cam_plus_plus as grad_cam_plus_plus
    from cnnviz_widgets.methods.cam import guided_grad_cam as guided_grad_cam
    from cnnviz_widgets.methods.cam import layer_cam as layer_cam
    from cnnviz_widgets.methods.cam import score_cam as score_cam
    from cnnviz_widgets.methods.filters import filter_spectrum as filter_spectrum
    from cnnviz_widgets.methods.filters import filters as filters
    from cnnviz_widgets.methods.neighbors import neighbors as neighbors
    from cnnviz_widgets.methods.occlusion import occlusion as occlusion
    from cnnviz_widgets.methods.patches import top_patches as top_patches
    from cnnviz_widgets.methods.projection import pca as pca
    from cnnviz_widgets.methods.projection import place as place
    from cnnviz_widgets.methods.projection import tsne as tsne
    from cnnviz_widgets.methods.projection import umap as umap
    from cnnviz_widgets.methods.synthesis import L2 as L2
    from cnnviz_widgets.methods.synthesis import Blur as Blur
    from cnnviz_widgets.methods.synthesis import ClipContribution as ClipContribution
    from cnnviz_widgets.methods.synthesis import ClipNorm as ClipNorm
    from cnnviz_widgets.methods.synthesis import Decay as Decay
    from cnnviz_widgets.methods.synthesis import Jitter as Jitter
    from cnnviz_widgets.methods.synthesis import RangePenalty as RangePenalty
    from cnnviz_widgets.methods.synthesis import Rivals as Rivals
    from cnnviz_widgets.methods.synthesis import Rotate as Rotate
    from cnnviz_widgets.methods.synthesis import Scale as Scale
    from cnnviz_widgets.methods.synthesis import TotalVariation as TotalVariation
    from cnnviz_widgets.methods.synthesis import dream as dream
    from cnnviz_widgets.methods.synthesis import invert as invert
    from cnnviz_widgets.methods.synthesis import maximize as maximize
    from cnnviz_widgets.methods.synthesis import maximize_each as maximize_each
    from cnnviz_widgets.methods.unit_classes import unit_classes as unit_classes
    from cnnviz_widgets.methods.units import project_unit as project_unit
    from cnnviz_widgets.results import ActivationMask as ActivationMask
    from cnnviz_widgets.results import Activations as Activations
    from cnnviz_widgets.results import Arithmetic as Arithmetic
    from cnnviz_widgets.results import Filters as Filters
    from cnnviz_widgets.results import FilterSpectrum as FilterSpectrum
    from cnnviz_widgets.results import Heatmap as Heatmap
    from cnnviz_widgets.results import Neighbors as Neighbors
    from cnnviz_widgets.results import OcclusionMap as OcclusionMap
    from cnnviz_widgets.results import Patches as Patches
    from cnnviz_widgets.results import PixelMap as PixelMap
    from cnnviz_widgets.results import Predictions as Predictions
    from cnnviz_widgets.results import Projection as Projection
    from cnnviz_widgets.results import Result as Result
    from cnnviz_widgets.results import Synthesis as Synthesis
    from cnnviz_widgets.results import Unit as Unit
    from cnnviz_widgets.results import UnitClasses as UnitClasses
    from cnnviz_widgets.results import UnitProjection as UnitProjection
    from cnnviz_widgets.widgets import ArithmeticView as ArithmeticView
    from cnnviz_widgets.widgets import EmbeddingScatter as EmbeddingScatter
    from cnnviz_widgets.widgets import FeatureStudio as FeatureStudio
    from cnnviz_widgets.widgets import FilterViewer as FilterViewer
    from cnnviz_widgets.widgets import ImageCanvas as ImageCanvas
    from cnnviz_widgets.widgets import IndexBuilder as IndexBuilder
    from cnnviz_widgets.widgets import LayerBrowser as LayerBrowser
    from cnnviz_widgets.widgets import LayerOutline as LayerOutline
    from cnnviz_widgets.widgets import OcclusionCanvas as OcclusionCanvas
    from cnnviz_widgets.widgets import OcclusionSlider as OcclusionSlider
    from cnnviz_widgets.widgets import PatchWall as PatchWall
    from cnnviz_widgets.widgets import PictureSource as PictureSource
    from cnnviz_widgets.widgets import PictureWall as PictureWall
    from cnnviz_widgets.widgets import PointMap as PointMap
    from cnnviz_widgets.widgets import SaliencyToggle as SaliencyToggle
    from cnnviz_widgets.widgets import TileGrid as TileGrid
    from cnnviz_widgets.widgets import UnitCard as UnitCard

# "__version__" is left out, as a star import is for the names that one works with.
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it (PEP 562), once."""
    if name not in _HOME:
        near = get_close_matches(name, _HOME, n=1)
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not, beside what the module holds already."""
    return sorted({*globals(), *_HOME})
