"""The embedding of a picture that is not in the index, made as those in it were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.common import to_array


def embed(engine: Engine, x: Tensor, layer: str) -> NDArray[np.float32]:
    """The vectors (N, D) of prepared inputs (N, C, H, W): maps averaged over their places, vectors as they are."""
    return engine.measure(x, [layer], _vectors)[layer]


def _vectors(output: Tensor) -> NDArray[np.float32]:
    if output.ndim == 4:
        return to_array(output.mean((2, 3)))
    if output.ndim == 3:  # tokens (N, tokens, D)
        return to_array(output.mean(1))
    return to_array(output.flatten(1).clone())
