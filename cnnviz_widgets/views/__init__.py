"""Results as matplotlib figures, made without pyplot: no figure is left open and no backend is chosen.

`plot(result)` draws any result; what each kind takes is in the `plot_...` function of its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from matplotlib.axes import Axes

from cnnviz_widgets.results import (
    ActivationMask,
    Activations,
    Arithmetic,
    Filters,
    FilterSpectrum,
    Heatmap,
    Neighbors,
    OcclusionMap,
    Patches,
    PixelMap,
    Predictions,
    Projection,
    Result,
    Synthesis,
    UnitClasses,
    UnitProjection,
)
from cnnviz_widgets.views.activation_mask import plot_activation_mask
from cnnviz_widgets.views.activations import plot_activations
from cnnviz_widgets.views.arithmetic import plot_arithmetic
from cnnviz_widgets.views.filter_spectrum import plot_filter_spectrum
from cnnviz_widgets.views.filters import plot_filters
from cnnviz_widgets.views.heatmap import plot_heatmap
from cnnviz_widgets.views.layout import png
from cnnviz_widgets.views.neighbors import plot_neighbors
from cnnviz_widgets.views.occlusion_map import plot_occlusion_map
from cnnviz_widgets.views.patches import plot_patches
from cnnviz_widgets.views.pixel_map import plot_pixel_map
from cnnviz_widgets.views.predictions import plot_predictions
from cnnviz_widgets.views.projection import plot_projection
from cnnviz_widgets.views.synthesis import plot_synthesis
from cnnviz_widgets.views.unit_classes import plot_unit_classes
from cnnviz_widgets.views.unit_projection import plot_unit_projection

__all__ = [
    "plot",
    "plot_activation_mask",
    "plot_activations",
    "plot_arithmetic",
    "plot_filter_spectrum",
    "plot_filters",
    "plot_heatmap",
    "plot_neighbors",
    "plot_occlusion_map",
    "plot_patches",
    "plot_pixel_map",
    "plot_predictions",
    "plot_projection",
    "plot_synthesis",
    "plot_unit_classes",
    "plot_unit_projection",
    "png",
]

VIEWS: dict[type[Result], Callable[..., Any]] = {
    ActivationMask: plot_activation_mask,
    Activations: plot_activations,
    Arithmetic: plot_arithmetic,
    FilterSpectrum: plot_filter_spectrum,
    Filters: plot_filters,
    Heatmap: plot_heatmap,
    Neighbors: plot_neighbors,
    OcclusionMap: plot_occlusion_map,
    Patches: plot_patches,
    PixelMap: plot_pixel_map,
    Predictions: plot_predictions,
    Projection: plot_projection,
    Synthesis: plot_synthesis,
    UnitClasses: plot_unit_classes,
    UnitProjection: plot_unit_projection,
}


def plot(result: Result, ax: Axes | None = None, **options: Any) -> Any:
    """The figure of a result, drawn by the view of its kind; with `ax`, its main panel there (and `ax` comes back).

    Raises:
        TypeError: There is no picture of this kind, or its view has no such option (near names are given).
    """
    view = next((VIEWS[kind] for kind in type(result).__mro__ if kind in VIEWS), None)
    if view is None:
        raise TypeError(f"there is no picture of a {type(result).__name__}")
    known = [name for name, p in inspect.signature(view).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{type(result).__name__}.plot has no option {name!r}; {hint}")
    return view(result, ax, **options)
