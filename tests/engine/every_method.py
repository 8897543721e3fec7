"""Every public method, called as quickly as it goes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cnnviz_widgets.methods import backprop, cam
from cnnviz_widgets.methods.activations import activation_mask, activations
from cnnviz_widgets.methods.arithmetic import unit_arithmetic
from cnnviz_widgets.methods.units import project_unit
from cnnviz_widgets.results import Unit

_SHORT: Mapping[str, Mapping[str, object]] = {"smooth_grad": {"samples": 3}, "integrated_gradients": {"steps": 3}}

METHODS: dict[str, Callable[..., Any]] = {
    name: functools.partial(function, **_SHORT.get(name, {}))
    for module in (backprop, cam)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}

# What looks at layers and units of `nets.Messy` instead of explaining a class; called with an engine and a picture.
LOOKS: dict[str, Callable[..., Any]] = {
    "activations": functools.partial(activations, layer="last"),
    "activation_mask": functools.partial(activation_mask, unit=Unit("last", 3)),
    "project_unit": functools.partial(project_unit, unit=Unit("last", 3)),
    "unit_arithmetic": functools.partial(unit_arithmetic, unit=Unit("spectral", 3)),
}
