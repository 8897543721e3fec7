"""Results as matplotlib figures, made without pyplot: no figure is left open and no backend is chosen.

`plot(result)` draws any result; what each kind takes is in `plot_heatmap`, `plot_pixel_map` and `plot_predictions`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from matplotlib.axes import Axes

from cnnviz_widgets.results import Heatmap, PixelMap, Predictions, Result
from cnnviz_widgets.views.heatmap import plot_heatmap
from cnnviz_widgets.views.layout import png
from cnnviz_widgets.views.pixel_map import plot_pixel_map
from cnnviz_widgets.views.predictions import plot_predictions

__all__ = ["plot", "plot_heatmap", "plot_pixel_map", "plot_predictions", "png"]

VIEWS: dict[type[Result], Callable[..., Any]] = {
    Heatmap: plot_heatmap,
    PixelMap: plot_pixel_map,
    Predictions: plot_predictions,
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
