"""`FilterCard`: one filter of a layer with its spectrum and its numbers, or the layer's mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t
from numpy.typing import NDArray

from cnnviz_widgets.results import Filters, FilterSpectrum
from cnnviz_widgets.views.colour import DIVERGING, SEQUENTIAL, lookup_table
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["FilterCard"]

MOST = 9  # kernels of a filter that are shown, the strongest ones


class FilterCard(Publishing):
    """A filter, the frequencies that it passes with the square that its stride can carry, and its numbers.

    Attributes:
        shown: What is on the screen; set it with `show`.
        note: What stands in place of a spectrum.

    Example:
        card = FilterCard()
        card.show(filters(engine), filter_spectrum(engine), 12)
        card
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    shown = t.Dict().tag(sync=True)
    note = t.Unicode("").tag(sync=True)
    tables = t.Dict(help="256 RGBA colours for each kind of values").tag(sync=True)

    def __repr__(self) -> str:
        return f"FilterCard({self.shown['title']})" if self.shown else "FilterCard(empty)"

    def show(
        self, found: Filters | None, spectrum: FilterSpectrum | None = None, filter: int | None = None, note: str = ""
    ) -> None:
        """Show a filter, or with None the mean of the layer; from any thread.

        Args:
            found: the layer's filters; None takes everything off the card.
            spectrum: their spectra; None while they are computed, or where there are none: `note` says why.
            filter: its number.
            note: what stands in the place of the spectrum.
        """
        content: dict[str, Any] = {}
        if found is not None:
            what = f"all {len(found.weights)} filters" if filter is None else f"filter {filter}"
            content = {
                "title": f"{found.layer} · {what}",
                "kernels": {} if filter is None else _kernels(found, filter),
                "spectrum": {} if spectrum is None else _spectrum(spectrum, filter),
                "numbers": _numbers(found, spectrum, filter),
            }
        with self._alone():
            self.set_trait("note", note)
            self.set_trait("shown", content)

    @t.default("tables")
    def _usual_tables(self) -> dict[str, bytes]:
        return {"sequential": lookup_table(SEQUENTIAL).tobytes(), "diverging": lookup_table(DIVERGING).tobytes()}


def _kernels(found: Filters, filter: int) -> dict[str, Any]:
    """The filter as (m, kh, kw): three planes in colour, a 1x1 as a rectangle, else its strongest kernels."""
    weights = found.weights[filter]
    names: list[str] = []
    words = ""
    if found.rgb:
        words = "in colour, grey is 0"
    elif weights.shape[1:] == (1, 1) and len(weights) > 1:
        c, width = len(weights), int(np.ceil(np.sqrt(len(weights))))
        rows = np.full(-(-c // width) * width, np.nan, np.float32)
        rows[:c] = weights[:, 0, 0]
        weights, words = rows.reshape(1, -1, width), f"{c} weights, row by row"
    elif len(weights) > 1:
        strongest = np.argsort(-np.square(weights.astype(np.float64)).sum((1, 2)), kind="stable")[:MOST]
        words = f"the {len(strongest)} strongest of {len(weights)} input channels" if len(weights) > MOST else ""
        weights, names = weights[strongest], [f"← {channel}" for channel in strongest]
    return {
        "shape": list(weights.shape),
        "color": found.rgb,
        "names": names,
        "words": words,
        "limit": float(np.nanmax(np.abs(weights))),
        "data": _bytes(weights),
    }


def _spectrum(spectrum: FilterSpectrum, filter: int | None) -> dict[str, Any]:
    """The power with the frequency 0.5 on both sides, and how far the stride reaches, down and across."""
    power = spectrum.power.mean(0) if filter is None else spectrum.power[filter]
    middle = len(power) // 2
    if len(power) % 2 == 0:
        power = np.pad(power, ((0, 1), (0, 1)), mode="wrap")
    return {
        "cells": len(power),
        "middle": middle,
        "size": len(spectrum.frequencies),
        "reach": [1 / (2 * s) for s in spectrum.parameters["stride"]],
        "most": float(power.max()),
        "data": _bytes(power),
    }


def _numbers(found: Filters, spectrum: FilterSpectrum | None, filter: int | None) -> list[list[str]]:
    """[what, value, in the layer]: text for the table beside the pictures."""
    norms = found.norms
    mean = f"{norms.mean():.3g}"
    rows = [["length of the weights", mean if filter is None else f"{norms[filter]:.3g}", f"mean {mean}"]]
    if filter is not None:
        rank = 1 + int((norms > norms[filter]).sum())
        rows.append(["by length", f"{rank} of {len(norms)}", ""])
    if spectrum is not None and tuple(spectrum.parameters["stride"]) != (1, 1):
        shares = [("energy that aliases", spectrum.aliasing), ("response that aliases", spectrum.response_aliasing)]
        for what, values in shares:
            if values is not None:
                own = values.mean() if filter is None else values[filter]
                rows.append([what, f"{100 * own:.1f} %", f"mean {100 * values.mean():.1f} %"])
    return [[what, value, "" if filter is None else layer] for what, value, layer in rows]


def _bytes(values: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()
