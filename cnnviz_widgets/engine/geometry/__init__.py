"""Which input pixels each value inside a network can depend on, followed through any graph while it runs.

A `Trace` watches one forward pass, operation by operation, and carries for each tensor (a) which of its dimensions are
the picture's rows and columns and (b) for each of these two axes the receptive field: output `i` depends on the input
cells ``lo + i * stride .. hi + i * stride`` (both ends included). Branches are joined, shapes are followed through
views and permutations, and whatever cannot be followed is *unknown* with the reason, never guessed. The arithmetic is
that of Araujo, Norris & Sim, "Computing receptive fields of convolutional neural networks", Distill 2019.
"""

from cnnviz_widgets.engine.geometry.origin import Dim, Origin, Span
from cnnviz_widgets.engine.geometry.trace import Trace

__all__ = ["Dim", "Origin", "Span", "Trace"]
