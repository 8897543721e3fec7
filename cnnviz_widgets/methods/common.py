"""What the methods share: the way in (picture, target), the way out (results), checks of numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Objective, Score, Target
from cnnviz_widgets.engine.backward import Rule, Unpool
from cnnviz_widgets.results import Heatmap, PixelMap

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

M = TypeVar("M", bound=Callable[..., Any])


def method(function: M) -> M:
    """Every public method: one call explains one state of the network, which is looked at once.

    Raises:
        TypeError: the first argument is no engine.
    """

    @functools.wraps(function)
    def call(engine: Engine, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(engine, Engine):
            raise TypeError(
                f"the first argument is {type(engine).__name__}; wanted an Engine, as in Engine('squeezenet1_1')"
            )
        with engine.still():
            return function(engine, *args, **kwargs)

    return cast(M, call)


def index_method(function: M) -> M:
    """Every public method of an index: as `method`, for the network that the index was made with.

    Raises:
        TypeError: the first argument is no index.
        IndexRefused: the network was trained further since the index was built.
    """

    @functools.wraps(function)
    def call(index: Index, *args: Any, **kwargs: Any) -> Any:
        from cnnviz_widgets.index import Index  # late: most methods do without

        if not isinstance(index, Index):
            raise TypeError(
                f"the first argument is {type(index).__name__}; wanted an Index, as in Index.open('my.index', engine)"
            )
        with index.engine.still():
            index.check()
            return function(index, *args, **kwargs)

    return cast(M, call)


def start(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    against: Target | None = None,
    score: Score = "logit",
) -> tuple[Tensor, Objective]:
    """The prepared picture (1, C, H, W) and what is to be explained."""
    x = engine.prepare(image)
    return x, engine.objective(x, target, against, score)


def input_gradient(
    engine: Engine, x: Tensor, objective: Objective, rule: Rule = "gradient", unpool: Unpool = "gradient"
) -> Tensor:
    """The gradient (N, C, H, W) at the input, under a rule."""
    found = engine.gradients(x, objective, rule=rule, unpool=unpool).input
    assert found is not None
    return found


def accumulator(x: Tensor) -> Tensor:
    """Zeros like `x` for a long sum: in double precision where the device has it."""
    return torch.zeros_like(x, dtype=x.dtype if x.device.type == "mps" else torch.float64)


def pixel_map(
    engine: Engine,
    x: Tensor,
    objective: Objective,
    values: Tensor,
    method: str,
    parameters: Mapping[str, object],
    citation: str,
    layer: str | None = None,
) -> PixelMap:
    """A `PixelMap` of `values` (1, C, H, W), with its channels in the order R, G, B."""
    return PixelMap(
        image=engine.display(x),
        target=objective.target,
        target_name=objective.name,
        layer=layer,
        method=method,
        parameters=parameters,
        citation=citation,
        values=to_array(engine.preprocessing.to_rgb(values)[0]),
    )


def heat_map(
    engine: Engine,
    x: Tensor,
    objective: Objective,
    raw: Tensor,
    method: str,
    parameters: Mapping[str, object],
    citation: str,
    layer: str,
    signed: bool = False,
) -> Heatmap:
    """A `Heatmap` of `raw` (h, w), brought to the size of the network's input."""
    return Heatmap(
        image=engine.display(x),
        target=objective.target,
        target_name=objective.name,
        layer=layer,
        method=method,
        parameters=parameters,
        citation=citation,
        values=to_array(enlarge(raw[None, None], x)[0, 0]),
        raw=to_array(raw),
        signed=signed,
    )


def enlarge(maps: Tensor, x: Tensor) -> Tensor:
    """Maps (N, C, h, w) at the size of the input `x`: bilinear, pixel areas aligned, as the browser draws them."""
    return F.interpolate(maps, size=x.shape[-2:], mode="bilinear", align_corners=False)


def to_array(values: Tensor) -> NDArray[np.float32]:
    """A float32 array on the CPU."""
    return values.detach().cpu().to(torch.float32).contiguous().numpy()


def whole_number(name: str, value: int, least: int) -> int:
    """`value` when it is a whole number of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r}; wanted a whole number from {least} up")
    return int(value)


def from_zero(name: str, value: float) -> float:
    """`value` when it is a finite number of at least zero."""
    numeric = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not numeric or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}={value!r}; wanted a finite number from 0 up")
    return float(value)
