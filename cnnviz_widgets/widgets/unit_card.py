"""`UnitCard`: everything about one channel of one layer on one picture, at a glance.

What is cheap (the map and its numbers) comes first; mask, projection and filter may come later, from any thread. Each
part says which unit and which picture it belongs to, and is shown beside no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t
from numpy.typing import ArrayLike

from cnnviz_widgets.results import ActivationMask, Activations, Filters, Unit, UnitProjection
from cnnviz_widgets.views.colour import DIVERGING, SEQUENTIAL, color_attribution, lookup_table
from cnnviz_widgets.widgets.card_messages import (
    SIDE,
    field_in_words,
    filter_message,
    level_message,
    mask_message,
    part_key,
    patches_message,
    place_of,
    small_picture,
    statistics,
)
from cnnviz_widgets.widgets.front_end import module, style
from cnnviz_widgets.widgets.publishing import Publishing

__all__ = ["PARTS", "PROJECTIONS", "UnitCard"]

PARTS = ("mask", "projection", "filter")
LOOKS = ("offered", "running", "here", "wrong")
PROJECTIONS = ("deconvnet", "guided_backprop", "saliency")
LIVE_SIDE = 160  # Of a picture that is followed by another one at once.


class UnitCard(Publishing):
    """One channel's map over the picture, its mask, its projection, its filter and its numbers.

    Attributes:
        unit: The channel that is seen, with its map and its numbers; set it with `show_unit`. All other parts are
            {key, …} or {key, error}, and are shown while their key is the unit's.
        picture: {width, height, data (RGB bytes), id}.
        mask, projection, filter, patches: The later parts; set them with `show_mask` and its siblings.
        look: A picture made for the channel, or the offer to make one; set it with `show_look`.
        projection_method: Which projection is wanted: "deconvnet", "guided_backprop" or "saliency". Observe it to make
            another one; the front end keeps those of the unit on the screen.
        opacity: Of the map over the picture, 0 to 1.
        code: The Python that rebuilds what is seen, under "Copy as code"; "" hides that.

    Example:
        card = UnitCard()
        card.show(activations(engine, samples["cat"], "features.6"), 12)
        card
    """

    _esm = module(Path(__file__).with_suffix(".js"))
    _css = style(Path(__file__).with_suffix(".css"))

    picture = t.Dict().tag(sync=True)
    unit = t.Dict().tag(sync=True)
    mask = t.Dict().tag(sync=True)
    projection = t.Dict().tag(sync=True)
    filter = t.Dict().tag(sync=True)
    patches = t.Dict().tag(sync=True)
    look = t.Dict().tag(sync=True)
    projection_method = t.Enum(PROJECTIONS, default_value="deconvnet").tag(sync=True)
    opacity = t.Float(0.6, min=0, max=1).tag(sync=True)
    code = t.Unicode("").tag(sync=True)
    tables = t.Dict(help="256 RGBA colours for each kind of map").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._lookers: list[tuple[Callable[[], object], Callable[[], object]]] = []
        super().__init__(**traits)

    def __repr__(self) -> str:
        return f"UnitCard({self.unit['layer']} channel {self.unit['channel']})" if self.unit else "UnitCard(empty)"

    def show(
        self,
        activations: Activations,
        channel: int,
        *,
        mask: ActivationMask | None = None,
        projection: UnitProjection | None = None,
        filters: Filters | None = None,
        patches: ArrayLike | None = None,
        captions: Sequence[str] = (),
        code: str = "",
    ) -> None:
        """Show a channel with all that is known about it already; parts that are not given are said not to be.

        Args:
            activations: The maps of its layer.
            channel: Which of them.
            mask: Of this channel on this picture.
            projection: Of this channel on this picture.
            filters: Of this layer.
            patches: The strongest of other pictures, (k, h, w, 3) uint8.
            captions: One for each patch.
            code: What "Copy as code" copies.

        Raises:
            IndexError: There is no such channel.
            ValueError: A part that belongs to another unit or picture.
        """
        name = activations.layer or ""
        for part in (mask, projection):
            if part is not None and _key_of(part) != part_key(name, channel, activations.image):
                raise ValueError(f"the {type(part).__name__} of {part.target} does not belong to this unit and picture")
        if filters is not None and filters.layer != activations.layer:
            raise ValueError(f"the filters are those of {filters.layer!r}, and the maps those of {name!r}")
        self.show_unit(activations, channel, coming=(), code=code)
        if mask is not None:
            self.show_mask(mask)
        if projection is not None:
            self.show_projection(projection)
        if filters is not None:
            self.show_filter(filters, channel)
        if patches is not None:
            self.show_patches(patches, captions)

    def show_unit(
        self,
        activations: Activations,
        channel: int,
        *,
        coming: Sequence[str] = PARTS,
        live: bool = False,
        code: str | None = None,
        key: str | None = None,
    ) -> None:
        """Turn to a channel: head, map and numbers. Parts of another unit or picture leave the screen.

        Args:
            activations: The maps of its layer.
            channel: Which of them.
            coming: The parts that are on their way, of "mask", "projection" and "filter".
            live: Another picture follows at once: this one travels small, and the later parts are said to wait.
            code: What "Copy as code" copies; None leaves it.
            key: What names unit and picture, where layer, channel and pixels do not (a network in training).

        Raises:
            IndexError: There is no such channel.
        """
        maps = activations.maps
        if not 0 <= channel < len(maps):
            raise IndexError(f"{activations.layer!r} has the channels 0 to {len(maps) - 1}, not {channel}")
        if unknown := set(coming) - set(PARTS):
            raise ValueError(f"parts are {', '.join(map(repr, PARTS))}, not {', '.join(map(repr, sorted(unknown)))}")
        name = activations.layer or ""
        picture = small_picture(activations.image, LIVE_SIDE if live else SIDE)
        field = activations.parameters.get("receptive_field")
        rows, columns = place_of(maps.shape[1:], activations.image.shape[:2], field)
        own = {
            "mean": float(activations.mean[channel]),
            "zeros": float(activations.zeros[channel]),
            "dead": bool(activations.dead[channel]),
        }
        message = {
            "key": key or part_key(name, channel, activations.image),
            "name": f"{name}|{channel}",
            "layer": name,
            "channel": int(channel),
            "kind": activations.parameters.get("kind", ""),
            "field": field_in_words(field),
            "size": list(maps.shape),
            "picture": picture["id"],
            "rows": rows,
            "columns": columns,
            "map": level_message(maps[channel], activations.signed),
            "statistics": statistics(maps[channel], channel, activations.maximum, **own),
            "coming": [part for part in PARTS if part in coming],
            "live": bool(live),
        }
        self._publish("picture", picture)
        self._publish("unit", message)
        if code is not None:
            self._publish("code", code)

    def show_mask(self, mask: ActivationMask, *, key: str | None = None) -> None:
        """Show where the channel is strong; waits unseen when it belongs to another unit or picture."""
        message = {"threshold": float(mask.threshold), "quantile": mask.parameters.get("quantile")}
        self._publish("mask", {"key": key or _key_of(mask), **mask_message(mask.mask), **message})

    def show_projection(self, projection: UnitProjection, *, key: str | None = None) -> None:
        """Show what the channel answers to: the projection in its receptive field, and the patch that lies there."""
        unit, method = _unit_of(projection), str(projection.parameters.get("method", self.projection_method))
        whose = {"key": key or _key_of(projection), "method": method}
        if not projection.patch().size:
            self._publish("projection", {**whose, "error": "it sees nothing but padding"})
            return
        message = {
            "values": small_picture(color_attribution(projection.crop(), signed=projection.signed)),
            "patch": small_picture(projection.patch()),
            "box": [int(edge) for edge in projection.box],
            "y": unit.y,
            "x": unit.x,
            "activation": float(projection.activation),
            "rectified": bool(projection.parameters.get("rectified", True)),
        }
        self._publish("projection", {**whose, **message})

    def show_filter(self, filters: Filters | ArrayLike, channel: int, *, layer: str = "", rgb: bool = False) -> None:
        """Show the weights that make the channel. A filter belongs to every picture.

        Args:
            filters: The layer's; or its weights (n, c, kh, kw), with `layer` and `rgb`.
            channel: Which of the n.
            layer: The layer's name, for plain weights.
            rgb: Whether the three input channels of plain weights are red, green and blue.
        """
        first = 0
        if isinstance(filters, Filters):
            rgb, layer, weights = filters.rgb, filters.layer or "", filters.weights
            groups = int(filters.parameters.get("groups", 1))
            first = channel // (len(weights) // groups) * weights.shape[1]
        else:
            weights = np.asarray(filters)
        self._publish("filter", {"key": f"{layer}|{channel}", **filter_message(weights[channel], rgb, first)})

    def show_patches(self, pictures: ArrayLike, captions: Sequence[str] = ()) -> None:
        """Show what this channel answers to most strongly among many pictures: (k, h, w, 3) uint8, strongest first."""
        self._publish("patches", {"key": self.unit.get("name", ""), **patches_message(pictures, captions)})

    def on_look(self, start: Callable[[], object], stop: Callable[[], object]) -> None:
        """Call `start()` when the reader asks what the channel looks for, and `stop()` when that is taken back."""
        self._lookers.append((start, stop))

    def show_look(
        self, unit: Unit, state: str, words: str = "", picture: ArrayLike | None = None, score: float = 0.0
    ) -> None:
        """Show a picture that was made for a channel, or offer it; it is seen while that channel is on the card.

        Args:
            unit: Whose it is.
            state: "offered", "running", "here", or "wrong".
            words: How far it is, or what went wrong.
            picture: (H, W, 3) uint8, also one that is not finished.
            score: The mean of the channel's map for the finished picture.
        """
        if state not in LOOKS:
            raise ValueError(f"state is one of {', '.join(map(repr, LOOKS))}, not {state!r}")
        sent = {"key": f"{unit.layer}|{unit.channel}", "state": state, "words": words, "score": float(score)}
        more = {} if picture is None else {"picture": small_picture(picture)}
        self._publish("look", {**sent, **more})

    def fail(self, part: str, text: str, *, key: str | None = None, method: str | None = None) -> None:
        """Say in the place of a part why there is none, e.g. "not a convolution".

        Args:
            part: "mask", "projection" or "filter".
            text: One sentence.
            key: Of the unit it is about; by default the one on the screen.
            method: Of a projection, the one that failed; by default the one that is wanted.
        """
        if part not in PARTS:
            raise ValueError(f"a part is one of {', '.join(map(repr, PARTS))}, not {part!r}")
        whose = self.unit.get("name" if part == "filter" else "key", "") if key is None else key
        extra = {"method": method or self.projection_method} if part == "projection" else {}
        self._publish(part, {"key": whose, "error": text or "no reason was given", **extra})

    def clear(self) -> None:
        """Show nothing."""
        for name in ("unit", "picture", *PARTS, "patches", "look"):
            self._publish(name, {})
        self._publish("code", "")

    def _hear(self, content: Mapping[str, Any]) -> None:
        if content.get("type") == "look":
            for start, stop in self._lookers:
                (stop if content.get("stop") else start)()

    @t.default("tables")
    def _usual_tables(self) -> dict[str, bytes]:
        return {
            "sequential": lookup_table(SEQUENTIAL).tobytes(),
            "diverging": lookup_table(DIVERGING).tobytes(),
        }


def _unit_of(part: ActivationMask | UnitProjection) -> Unit:
    if not isinstance(part.target, Unit):
        raise ValueError(f"a {type(part).__name__} belongs to a unit, not to {part.target!r}")
    return part.target


def _key_of(part: ActivationMask | UnitProjection) -> str:
    unit = _unit_of(part)
    return part_key(unit.layer, unit.channel, part.image)
