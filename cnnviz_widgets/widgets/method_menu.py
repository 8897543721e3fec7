"""Which methods a menu offers: every public function that takes an engine and a picture and returns a map."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterable
from typing import Any

from cnnviz_widgets import methods
from cnnviz_widgets.results import Heatmap, PixelMap

MapMethod = Callable[..., Any]


def map_methods() -> dict[str, MapMethod]:
    """The methods that return a `Heatmap` or a `PixelMap`, by name, file by file in the order of their definition.

    A function written into any file of `cnnviz_widgets.methods` appears here, and so in the menus, by itself.
    """
    found: dict[str, MapMethod] = {}
    for info in pkgutil.iter_modules(methods.__path__):
        module = importlib.import_module(f"{methods.__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__ and is_map_method(value):
                found[name] = value
    return found


def is_map_method(function: MapMethod) -> bool:
    """True for a public function `(engine, image, target, ...)` whose annotation says that it returns a map."""
    if function.__name__.startswith("_"):
        return False
    names = list(inspect.signature(function).parameters)[:3]
    if names != ["engine", "image", "target"]:
        return False
    returned = function.__annotations__.get("return")
    if isinstance(returned, str):  # written under `from __future__ import annotations`; the other hints are not needed
        returned = getattr(inspect.unwrap(function), "__globals__", {}).get(returned)
    return isinstance(returned, type) and issubclass(returned, (Heatmap, PixelMap))


def named(functions: Iterable[MapMethod]) -> dict[str, MapMethod]:
    """A caller's own choice of methods, by name.

    Raises:
        TypeError: one of them is no map method, so its result could not be shown.
    """
    chosen: dict[str, MapMethod] = {}
    for function in functions:
        name = getattr(function, "__name__", repr(function))
        if not callable(function) or not is_map_method(function):
            raise TypeError(f"{name} is no map method; wanted f(engine, image, target, ...) -> Heatmap or PixelMap")
        chosen[name] = function
    if not chosen:
        raise TypeError("no method at all was given; wanted one or more")
    return chosen


def understands(function: MapMethod, parameter: str) -> bool:
    """True when a method has this parameter ("counterfactual", "against")."""
    return parameter in inspect.signature(function).parameters
