"""Pictures made by gradient ascent: what a class, a channel or a neuron looks like to the network."""

from cnnviz_widgets.methods.synthesis.ascent import Ascent
from cnnviz_widgets.methods.synthesis.dreaming import dream
from cnnviz_widgets.methods.synthesis.inverting import invert
from cnnviz_widgets.methods.synthesis.maximizing import maximize, maximize_each
from cnnviz_widgets.methods.synthesis.presets import PRESETS
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from cnnviz_widgets.methods.synthesis.regularizers import (
    L2,
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    RangePenalty,
    Rivals,
    TotalVariation,
)
from cnnviz_widgets.methods.synthesis.transforms import Jitter, Rotate, Scale

__all__ = [
    "L2",
    "PRESETS",
    "Ascent",
    "Blur",
    "ClipContribution",
    "ClipNorm",
    "Decay",
    "Jitter",
    "RangePenalty",
    "Rivals",
    "Recipe",
    "Rotate",
    "Scale",
    "TotalVariation",
    "dream",
    "invert",
    "maximize",
    "maximize_each",
]
