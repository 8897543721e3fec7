"""What a technique returns: frozen records of arrays that remember how they came about.

Every record holds what was explained, where, by which method and with which parameters; what was found in a picture
(`PictureResult`) holds the picture too.
It shows itself as a picture when it is the last line of a cell, draws itself with `plot()`, and is saved as one `.npz`.

    heat = grad_cam(engine, samples["cat"])
    heat.save("tabby.npz"); heat.save("tabby.png")
    heat = Result.load("tabby.npz")

A new kind of result is a subclass with fields and nothing else: array fields carry `metadata=array("C h w")`; their
copying and checking, the text form, saving and loading follow from the fields. Only numpy and the standard library are
imported here; the views (matplotlib) are looked up when a picture is asked for.
"""

from cnnviz_widgets.results.activations import ActivationMask, Activations, Arithmetic, UnitProjection
from cnnviz_widgets.results.filters import Filters, FilterSpectrum
from cnnviz_widgets.results.kinds import Heatmap, PixelMap, Predictions, Reduction
from cnnviz_widgets.results.neighbors import Neighbors
from cnnviz_widgets.results.occlusion import OcclusionMap
from cnnviz_widgets.results.patches import Patches, UnitClasses
from cnnviz_widgets.results.projection import Projection
from cnnviz_widgets.results.record import PictureResult, Result, array
from cnnviz_widgets.results.synthesis import Synthesis
from cnnviz_widgets.results.unit import Unit

__all__ = [
    "ActivationMask",
    "Activations",
    "Arithmetic",
    "FilterSpectrum",
    "Filters",
    "Heatmap",
    "Neighbors",
    "OcclusionMap",
    "Patches",
    "PictureResult",
    "PixelMap",
    "Predictions",
    "Projection",
    "Reduction",
    "Result",
    "Synthesis",
    "Unit",
    "UnitClasses",
    "UnitProjection",
    "array",
]
