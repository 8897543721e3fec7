"""`LayerOutline`: a network's layers as a tree that folds, searches and is walked by keyboard."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t
from torch import nn

from cnnviz_widgets.engine import Layers
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.outline_rows import Row, folds, message, outline_rows
from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["LayerOutline"]


class LayerOutline(Publishing):
    """The module tree of a network: of each layer its kind, output, parameters, receptive field and how active it is.

    Branches that run side by side, shortcuts that go past and where they are joined are drawn as rails at the left.
    Folding, searching and walking happen in the browser; the kernel hears only of the layer that is chosen.

    Attributes:
        rows: The tree; set it with `show`.
        activity: The share of values above zero by row, float32 bytes, NaN where unknown; set it with `show_activity`.
        selected: The chosen layer, "" for none; "name#2" is the second call of a layer that runs several times.
        search: Only rows with these words in their name or kind, and what they stand in, are shown; "" for all.
        folded: The names of the rows whose parts are hidden.
        height: Screen pixels of the whole.

    Raises:
        traitlets.TraitError: `selected` is no layer of the network (near names are suggested) or cannot be opened.

    Example:
        >>> outline = LayerOutline()
        >>> outline.show(engine.layers, layer_activity(engine, samples["cat"]), engine.name, engine.modules)
        >>> outline
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    rows = t.Dict().tag(sync=True, echo_update=False)
    activity = t.Bytes().tag(sync=True, echo_update=False)
    selected = t.Unicode("").tag(sync=True)
    search = t.Unicode("").tag(sync=True)
    folded = t.List(t.Unicode()).tag(sync=True)
    height = t.Int(600, min=200).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._rows: list[Row] = []
        self._at: dict[str, int] = {}
        super().__init__(**traits)

    def __repr__(self) -> str:
        if not self._rows:
            return "LayerOutline(empty)"
        name = f"{self.rows['network']}: " if self.rows["network"] else ""
        chosen = f", {self.selected!r} selected" if self.selected else ""
        return f"LayerOutline({name}{self.rows['layers']} layers{chosen})"

    def show(
        self,
        layers: Layers,
        activity: Mapping[str, float] | None = None,
        network: str = "",
        modules: Mapping[str, nn.Module] | None = None,
    ) -> None:
        """Show a network; its first picture folds what is deep when there is more than can be read.

        The chosen layer stays chosen when the network has it, and folds stay when it is the same. May be called from
        any thread.

        Args:
            layers: `engine.layers`.
            activity: see `show_activity`.
            network: its name, for the caption.
            modules: `engine.modules`, from which kernels and strides are read.
        """
        rows = outline_rows(layers, modules)
        at = {row.name: number for number, row in enumerate(rows)}
        values = _values(rows, at, activity or {})
        with self._alone(), self.hold_sync():
            another = at != self._at
            self._rows, self._at = rows, at
            if self._closed(self.selected):
                self.selected = ""
            if another:
                self.folded = folds(rows)
            self.set_trait("rows", message(rows, network))
            self.set_trait("activity", values)
            self._reveal(self.selected)

    def show_activity(self, activity: Mapping[str, float]) -> None:
        """Show how active the layers are: the share of their values above zero, 0 to 1, by name.

        A layer that is left out shows no bar, except one that gives what another gives. Sends four bytes a row, so it
        may be called for every frame of a camera. May be called from any thread.

        Raises:
            KeyError: a name that is no layer of the network; near names are suggested.
            ValueError: a share that is not between 0 and 1 (NaN says unknown).
        """
        self._publish("activity", _values(self._rows, self._at, activity))

    def _closed(self, name: str) -> str:
        """Why a layer cannot be chosen, "" when it can."""
        if not name:
            return ""
        if not self._rows:
            return f"there is no layer {name!r}: no network is shown yet"
        if name not in self._at:
            return f"no layer {name!r}{_near(name, self._at)}"
        why = self._rows[self._at[name]].why
        return f"layer {name!r} cannot be opened: it {why}" if why else ""

    @t.validate("selected")
    def _openable(self, proposal: Any) -> str:
        name = proposal["value"]
        base, _, number = name.rpartition("#")
        if name not in self._at and base in self._at and number == "1":
            name = base  # the only call of a layer that runs once
        if trouble := self._closed(name):
            raise t.TraitError(trouble)
        return name

    @t.observe("selected")
    def _unfold_to_selected(self, change: Any) -> None:
        self._reveal(change["new"])

    def _reveal(self, name: str) -> None:
        """Unfold whatever the layer stands in."""
        above, at = set(), self._at.get(name, -1)
        while at >= 0 and (at := self._rows[at].parent) >= 0:
            above.add(self._rows[at].name)
        if above & set(self.folded):
            self.folded = [folded for folded in self.folded if folded not in above]


def _values(rows: list[Row], at: Mapping[str, int], activity: Mapping[str, float]) -> bytes:
    """A float32 for each row, NaN where nothing is known."""
    values = np.full(len(rows), np.nan, "<f4")
    for name, share in activity.items():
        row = at.get(name, at.get(name.removesuffix("#1")))
        if row is None:
            raise KeyError(f"no layer {name!r}{_near(name, at)}")
        if not (math.isnan(share) or 0 <= share <= 1):
            raise ValueError(f"the activity of {name!r} is {share!r}; wanted a share from 0 to 1")
        values[row] = share
    for number, row in enumerate(rows):  # a layer's last call is the layer
        last = at.get(f"{row.name}#{row.calls}") if row.calls > 1 else None
        if last is not None:
            pair = values[[number, last]]
            values[[number, last]] = pair[~np.isnan(pair)][:1] if not np.isnan(pair).all() else np.nan
    for number, row in enumerate(rows):
        if row.same_as and np.isnan(values[number]):
            values[number] = values[at[row.same_as]]
    return values.tobytes()


def _near(name: str, at: Mapping[str, int]) -> str:
    near = difflib.get_close_matches(name, at, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else "; .show lists a network's layers"
