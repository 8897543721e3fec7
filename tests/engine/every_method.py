"""Every public method, called as quickly as it goes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cnnviz_widgets.methods import backprop, cam

_SHORT: Mapping[str, Mapping[str, object]] = {"smooth_grad": {"samples": 3}, "integrated_gradients": {"steps": 3}}

METHODS: dict[str, Callable[..., Any]] = {
    name: functools.partial(function, **_SHORT.get(name, {}))
    for module in (backprop, cam)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
}
