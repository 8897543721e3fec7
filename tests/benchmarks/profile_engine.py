"""Where the time of a method goes: the engine's own steps, each timed from outside while the method runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from stopwatch import Clock

from cnnviz_widgets import Engine, results
from cnnviz_widgets.engine import core
from cnnviz_widgets.methods import common
from cnnviz_widgets.models import Preprocessing

# None of them calls another.
PARTS: dict[str, tuple[object, str]] = {
    "picture: decode, copy": (core, "as_picture"),
    "picture: resize, normalise": (Preprocessing, "__call__"),
    "network: forward": (core, "run"),
    "network: backward": (core, "backward"),
    "stand-in of the modules": (core, "shadow"),
    "state of the weights": (core, "state_of"),
    "key of the picture": (core, "_key"),
    "display: pixels seen": (Engine, "display"),
    "result: arrays to numpy": (common, "to_array"),
    "result: own, check": (results.Result, "__post_init__"),
}


def print_parts(
    name: str, method: Callable[[Any], object], pictures: Iterator[Any], clock: Clock, repetitions: int = 15
) -> None:
    """The median milliseconds that each part takes in one call for a new picture, and how often it is called."""
    spent: list[dict[str, float]] = []
    calls: dict[str, int] = {}
    method(next(pictures))
    for _ in range(repetitions):
        seconds: dict[str, float] = defaultdict(float)
        calls = defaultdict(int)
        picture = next(pictures)
        with ExitStack() as watched:
            for part, (owner, attribute) in PARTS.items():
                timed = _timed(getattr(owner, attribute), part, seconds, calls, clock)
                watched.enter_context(mock.patch.object(owner, attribute, timed))
            seconds["whole"] = clock.of(partial(method, picture))
        seconds["the rest"] = 2 * seconds["whole"] - sum(seconds.values())
        spent.append(seconds)
    print(f"{f'milliseconds in {name}':<30}{'median':>8}{'calls':>8}")
    for part in (*PARTS, "the rest", "whole"):
        median = 1e3 * np.median([seconds.get(part, 0) for seconds in spent])
        print(f"{part:<30}{median:>8.2f}{calls.get(part, ''):>8}")


def _timed(
    function: Callable[..., Any], part: str, seconds: dict[str, float], calls: dict[str, int], clock: Clock
) -> Callable[..., Any]:
    def timed(*args: Any, **options: Any) -> Any:
        start = clock()
        try:
            return function(*args, **options)
        finally:
            seconds[part] += clock() - start
            calls[part] += 1

    return timed
