"""Recipes that have proved themselves, by name."""

from __future__ import annotations

from cnnviz_widgets.methods.synthesis.recipes import Recipe, one_of
from cnnviz_widgets.methods.synthesis.regularizers import (
    L2,
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    Regularizer,
    Rivals,
    TotalVariation,
)
from cnnviz_widgets.methods.synthesis.transforms import Jitter, Rotate, Scale

OLAH = "Olah, Mordvintsev & Schubert, Feature visualization, Distill 2017 (doi:10.23915/distill.00007)"
SIMONYAN = "Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks, 2013 (arXiv:1312.6034)"
YOSINSKI = "Yosinski et al., Understanding neural networks through deep visualization, 2015 (arXiv:1506.06579)"


def _toolbox(
    decay: float, blur: float, every: int, norm: float, contribution: float, steps: int, rate: float
) -> Recipe:
    """One of the four settings that Yosinski et al. found by a random search; rates, which they do not give, are ours:
    such that the pictures, which they stretch for print, have some contrast as they are."""
    pieces: list[Regularizer] = []
    if decay:
        pieces.append(Decay(decay))
    if blur and every:
        pieces.append(Blur(blur, every))
    if norm:
        pieces.append(ClipNorm(norm))
    if contribution:
        pieces.append(ClipContribution(contribution))
    return Recipe("pixel", tuple(pieces), (), steps, rate, "normalized", citation=YOSINSKI)


PRESETS: dict[str, Recipe] = {
    "fourier": Recipe(
        "fourier",
        (TotalVariation(5e-7), Rivals()),
        (Jitter(16), Rotate(10), Scale(0.9, 1.1)),
        384,
        0.03,
        "normalized",
        24.0,
        False,
        OLAH,
    ),
    "simonyan": Recipe("pixel", (L2(1e-5),), (), 300, 1.0, "normalized", None, True, SIMONYAN),
    "yosinski_1": _toolbox(0, 0.5, 4, 50, 0, 500, 2.0),
    "yosinski_2": _toolbox(0.3, 0, 0, 20, 0, 750, 12.0),
    "yosinski_3": _toolbox(0.0001, 1.0, 4, 0, 0, 1000, 4.0),
    "yosinski_4": _toolbox(0, 0.5, 4, 0, 90, 1000, 2.0),
    "unregularized": Recipe("pixel", (), (), 300, 1.0, "normalized"),
}


def preset(name: str) -> Recipe:
    """A recipe by its name.

    Raises:
        ValueError: there is none; near names are suggested.
    """
    one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
