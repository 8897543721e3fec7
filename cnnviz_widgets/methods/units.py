"""What one unit fires for: its answer carried back to the pixels within its receptive field."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Objective, ReceptiveField
from cnnviz_widgets.engine.backward import NoRectifierError, Rule, Unpool
from cnnviz_widgets.methods.backprop import SIMONYAN, SPRINGENBERG, ZEILER
from cnnviz_widgets.methods.common import input_gradient, method, pixel_map
from cnnviz_widgets.methods.layer_values import placed, row_of
from cnnviz_widgets.methods.placing import cut_box
from cnnviz_widgets.results import Unit, UnitProjection

Way = Literal["deconvnet", "guided_backprop", "saliency"]


@method
def project_unit(
    engine: Engine, image: ImageLike, unit: Unit, *, method: Way = "deconvnet", unpool: Unpool = "switches"
) -> UnitProjection:
    """What in the picture made one unit fire: the pattern, beside the patch of the picture that it saw.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, section 2.1: all activations but one
    are set to zero and that one is carried back to the pixels. A unit without y and x is taken where its channel is
    strongest in this picture. Values are per unit of activation (what is sent back is 1), and zero outside the
    receptive field.

    A unit whose value is 0 after a rectifier is off: nothing made it fire, so all values are zero, and `activation`
    says why. A unit with no rectifier between it and the picture (the first convolution's) has one projection whatever
    the method: its kernel; for the first two `parameters["rectified"]` is False then.

    Args:
        engine, image: the network and the picture.
        unit: ``Unit("features.9", 7)``, or with a position ``Unit("features.9", 7, y=3, x=5)``.
        method: ``"deconvnet"``, ``"guided_backprop"`` or ``"saliency"``: see the functions of these names.
        unpool: of the deconvnet: ``"switches"`` or ``"gradient"``, see `deconvnet`.

    Returns:
        UnitProjection: values (3, H, W), signed; `box` the receptive field cut to the picture, `crop()` and `patch()`
        what is in it, `activation` the unit's value, `target` the unit with its position.

    Raises:
        KeyError, IndexError, ValueError: the network has no such unit; the message says what there is.
        NoRuleError: there are rectifiers on the way that cannot be told from other arithmetic; saliency needs none.

    Example:
        >>> project_unit(engine, samples["cat"], Unit("features.9", 7))
    """
    _, citation = way_of(method)
    x = engine.prepare(image)
    field = row_of(engine, x, unit).receptive_field
    unit, activation = placed(engine, x, unit)
    back = carried_back(engine, x, unit, activation, method, unpool)
    parameters: dict[str, object] = {"method": method}
    if method != "saliency":
        parameters["rectified"] = back.rectified
    if method == "deconvnet":
        parameters["unpool"] = unpool
    pixels = pixel_map(engine, x, back.objective, back.values, "project_unit", parameters, citation, unit.layer)
    box = _cut_to((int(x.shape[-2]), int(x.shape[-1])), field, unit)
    return UnitProjection(**{f.name: getattr(pixels, f.name) for f in fields(pixels)}, box=box, activation=activation)


class CarriedBack(NamedTuple):
    """What comes back to the input: values (1, C, H, W), and whether there was a rectifier for the rule to change."""

    objective: Objective
    values: Tensor
    rectified: bool


def carried_back(
    engine: Engine, x: Tensor, unit: Unit, activation: float, way: Way, unpool: Unpool = "switches"
) -> CarriedBack:
    """One unit of a prepared picture, at its position, carried back to the input; zeros where it is off.

    Args:
        engine, x: the network, and the input (1, C, H, W).
        unit: with its position, where its layer has positions.
        activation: its value for `x`.
        way, unpool: as in `project_unit`.
    """
    rule, _ = way_of(way)
    objective = engine.objective(x, unit)
    rectified = True
    try:
        values = input_gradient(engine, x, objective, rule, unpool if rule == "deconvnet" else "gradient")
    except NoRectifierError:
        values, rectified = input_gradient(engine, x, objective, "gradient", "gradient"), False
    if rule == "deconvnet" and activation == 0:  # gradients are zero here by themselves, a deconvnet's signal is not
        values = torch.zeros_like(values)
    return CarriedBack(objective, values, rectified)


def way_of(way: str, name: str = "method") -> tuple[Rule, str]:
    """The rule of a way back, and its paper.

    Raises:
        ValueError: no such way; `name` is what the caller calls it.
    """
    if way not in _WAYS:
        near = get_close_matches(str(way), _WAYS, n=1) or [", ".join(_WAYS)]
        raise ValueError(f"{name}={way!r}; wanted {' or '.join(map(repr, _WAYS))}; near: {near[0]}")
    return _WAYS[way]


_WAYS: dict[str, tuple[Rule, str]] = {
    "deconvnet": ("deconvnet", ZEILER),
    "guided_backprop": ("guided", SPRINGENBERG),
    "saliency": ("gradient", SIMONYAN),
}


def _cut_to(size: tuple[int, int], field: ReceptiveField | None, unit: Unit) -> NDArray[np.int64]:
    """The field of a unit within a picture of `size` (H, W); all of it where the field is unknown."""
    height, width = size
    if field is None or unit.y is None or unit.x is None:
        return np.array([0, 0, width, height])
    return cut_box(field.box(unit.y, unit.x), size)
