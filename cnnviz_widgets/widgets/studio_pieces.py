"""The pieces of a recipe as `FeatureStudio` offers them: what each is for, who found it, and its numbers as sliders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnnviz_widgets.methods.synthesis import (
    L2,
    Blur,
    ClipContribution,
    ClipNorm,
    Decay,
    Jitter,
    RangePenalty,
    Rivals,
    Rotate,
    Scale,
    TotalVariation,
)
from cnnviz_widgets.methods.synthesis.regularizers import Regularizer
from cnnviz_widgets.methods.synthesis.transforms import Transform

__all__ = ["OFFERS", "PRESET_WORDS", "RATE", "Dial", "Offer"]


@dataclass(frozen=True)
class Dial:
    """A number as a slider from `low` to `high`; `log` where it goes over decades, `whole` where it counts."""

    name: str
    label: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def said(self, value: float) -> dict[str, Any]:
        """As it travels, with its value."""
        return {
            "name": self.name,
            "label": self.label,
            "low": self.low,
            "high": self.high,
            "log": self.log,
            "whole": self.whole,
            "value": value,
        }


@dataclass(frozen=True)
class Offer:
    """One kind of piece: what it does, what comes without it, whose it is."""

    kind: type[Regularizer] | type[Transform]
    title: str
    does: str
    without: str
    paper: str
    dials: tuple[Dial, ...]

    @property
    def name(self) -> str:
        """Of the class."""
        return self.kind.__name__


RATE = Dial("rate", "Rate", 1e-3, 1e2, log=True)

_SIMONYAN, _YOSINSKI = "Simonyan et al. 2013, equation 1", "Yosinski et al. 2015, section 3"
_MAHENDRAN, _OLAH = "Mahendran & Vedaldi 2015, section 3", "Olah et al. 2017"

OFFERS: tuple[Offer, ...] = (
    Offer(
        L2,
        "L2 norm",
        "Pixels far from the mean colour cost.",
        "colours run to their extremes",
        _SIMONYAN,
        (Dial("weight", "weight", 1e-7, 1e-2, log=True),),
    ),
    Offer(
        TotalVariation,
        "Total variation",
        "Neighbouring pixels that differ cost: surfaces and edges instead of noise.",
        "fine noise covers the surfaces",
        _MAHENDRAN,
        (Dial("weight", "weight", 1e-8, 1e-2, log=True), Dial("beta", "power", 1.0, 3.0)),
    ),
    Offer(
        RangePenalty,
        "Range",
        "Values that no picture can have cost much, others almost nothing.",
        "values leave the range of a picture",
        _MAHENDRAN,
        (Dial("weight", "weight", 1e-6, 1.0, log=True), Dial("power", "power", 1.0, 12.0)),
    ),
    Offer(
        Rivals,
        "Rivals",
        "Classes that are more probable than the chosen one cost; nothing for units.",
        "the picture may look more like a relative of the class",
        "this library's own",
        (Dial("weight", "weight", 0.0, 5.0),),
    ),
    Offer(
        Decay,
        "Decay",
        "Each step takes this share of every pixel's distance from the mean colour.",
        "single pixels become extreme",
        _YOSINSKI,
        (Dial("share", "share", 1e-5, 1.0, log=True),),
    ),
    Offer(
        Blur,
        "Blur",
        "A Gaussian blur every few steps: no noise of single pixels survives.",
        "noise of single pixels, which the network loves, takes over",
        _YOSINSKI,
        (Dial("radius", "radius", 0.0, 4.0), Dial("every", "every nth", 1, 20, whole=True)),
    ),
    Offer(
        ClipNorm,
        "Clip by norm",
        "Pixels of small norm become the mean colour: only what stands out is kept.",
        "faint patterns fill the whole picture",
        _YOSINSKI,
        (Dial("percentile", "percentile", 0.0, 100.0),),
    ),
    Offer(
        ClipContribution,
        "Clip by effect",
        "Pixels that contribute little to the score become the mean colour.",
        "what the score does not need stays",
        _YOSINSKI,
        (Dial("percentile", "percentile", 0.0, 100.0),),
    ),
    Offer(
        Jitter,
        "Jitter",
        "Each step sees the picture shifted by up to so many pixels.",
        "patterns lock to the grid of the network's strides",
        "Mordvintsev et al. 2015",
        (Dial("pixels", "pixels", 0, 64, whole=True),),
    ),
    Offer(
        Rotate,
        "Rotate",
        "Each step sees the picture turned by up to so many degrees.",
        "shapes need hold in one direction only",
        _OLAH,
        (Dial("degrees", "degrees", 0.0, 90.0),),
    ),
    Offer(
        Scale,
        "Scale",
        "Each step sees the picture enlarged or reduced by a factor between the two.",
        "shapes need hold at one size only",
        _OLAH,
        (Dial("low", "from", 0.3, 1.0), Dial("high", "to", 1.0, 2.0)),
    ),
)

PRESET_WORDS = {
    "fourier": "fourier: waves, many views",
    "simonyan": "simonyan: score minus norm",
    "yosinski_1": "yosinski_1: blur, clip by norm",
    "yosinski_2": "yosinski_2: strong decay, clip",
    "yosinski_3": "yosinski_3: blur alone",
    "yosinski_4": "yosinski_4: blur, clip by effect",
    "unregularized": "unregularized: the score alone",
}
