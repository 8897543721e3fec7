"""What a channel looks for, asked of a whole collection: the patches that it answers to most."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.engine.jobs import steps
from cnnviz_widgets.methods.common import index_method, to_array, whole_number
from cnnviz_widgets.methods.placing import V, cut_box, cut_out
from cnnviz_widgets.methods.units import Way, carried_back, way_of
from cnnviz_widgets.results import Patches, Unit

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index
    from cnnviz_widgets.index.index import Strongest

GREY = 128  # of what lies outside the picture
NINE = 9  # patches, as in the paper's figure


@index_method
def top_patches(index: Index, unit: Unit, k: int | None = None, *, projection: Way | None = "deconvnet") -> Patches:
    """The patches that a channel answers to most, each beside what of it made the channel fire.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, figure 2: the places, over all
    pictures and at most one in each, where the channel's value is highest, cut out at the receptive field; and each
    carried back to the pixels. What the patches have in common is what the channel may be looking for; what differs,
    it does not mind.

    Args:
        index: the pictures.
        unit: a channel of a convolution, ``Unit("features.9", 7)``; a position is not looked at.
        k: how many; nine if you say nothing, or as many as the index keeps where these are fewer. All there are where
            its pictures are fewer.
        projection: ``"deconvnet"``, ``"guided_backprop"`` or ``"saliency"``, as in `project_unit`; None for the patches
            alone, which needs no backward pass.

    Returns:
        Patches: strongest first; equal ones in the order of the rows.

    Raises:
        KeyError, IndexError: the index has no such convolution (near names are given), or it no such channel.
        ValueError: the index keeps fewer patches than k, or its pictures are not at hand.
        ImageError: a picture cannot be read any more.
        Cancelled: the job that this runs in was stopped.

    Example:
        >>> top_patches(index, Unit("features.9", 7))
    """
    unit = channel_of(index, unit)
    count = min(NINE, index.k) if k is None else whole_number("k", k, 1)
    if count > index.k:
        raise ValueError(f"k={count}; this index keeps the {index.k} strongest patches of a channel: "
                         f"build one with k={count}")  # fmt: skip
    citation = "" if projection is None else way_of(projection, "projection")[1]
    strongest = index.strongest(unit.layer)
    best = [Unit(unit.layer, unit.channel, int(y), int(x)) for y, x in _places(strongest, unit.channel, count)]
    rows, values = strongest.rows[unit.channel, : len(best)], strongest.values[unit.channel, : len(best)]
    asked = list(zip(rows.tolist(), values.tolist(), best, strict=True))
    patches = [_patch(index, row, value, place, projection) for row, value, place in steps(asked)]
    about = [index.about(int(row)) for row in rows]
    parameters: dict[str, object] = {"k": count, "projection": projection}
    if patches:
        parameters |= {"seen": patches[0].seen, "frame": patches[0].frame}
        parameters |= {} if projection in (None, "saliency") else {"rectified": patches[0].rectified}
    return Patches(
        target=unit,
        target_name=str(unit),
        layer=unit.layer,
        method="top_patches",
        parameters=parameters,
        citation=citation,
        rows=rows,
        boxes=np.array([one.box for one in patches], np.int64).reshape(-1, 4),
        positions=np.array([(place.y, place.x) for place in best], np.int64).reshape(-1, 2),
        activations=values,
        pictures=_stacked([one.picture for one in patches], GREY, np.uint8),
        projections=_stacked([one.projection for one in patches], 0, np.float32).transpose(0, 3, 1, 2),
        names=tuple(one.label_name or one.key for one in about),
        labels=np.array([one.label for one in about], np.int64),
        predictions=np.array([one.prediction for one in about], np.int64),
    )


def channel_of(index: Index, unit: Unit) -> Unit:
    """The unit without its position, once it is clear that the index has strongest patches of it.

    Raises:
        TypeError, KeyError, IndexError: it has none; the message says what there is.
    """
    if not isinstance(unit, Unit):
        raise TypeError(f"unit is {unit!r}; wanted a Unit, as in Unit('features.3', 7)")
    channels = len(index.strongest(unit.layer).rows)
    if unit.channel >= channels:
        raise IndexError(f"no channel {unit.channel} in layer {unit.layer!r}; it has 0 to {channels - 1}")
    return Unit(unit.layer, unit.channel)


class _Patch(NamedTuple):
    """One place of one picture: its pixels (h, w, 3), and what of them made the channel fire (h, w, C)."""

    picture: NDArray[np.uint8]
    projection: NDArray[np.float32]
    box: NDArray[np.int64]
    seen: str
    frame: tuple[int, int]
    rectified: bool


def _patch(index: Index, row: int, value: float, unit: Unit, projection: Way | None) -> _Patch:
    engine, x = index.engine, index.input(row)
    size = (int(x.shape[-2]), int(x.shape[-1]))
    known = engine.layers_for(x)[unit.layer].receptive_field is not None
    assert unit.y is not None and unit.x is not None
    box = index.box(unit.layer, row, unit.y, unit.x)
    picture = cut_out(engine.display(x), box, GREY)
    pixels, rectified = np.empty((*size, 0), np.float32), True
    if projection is not None:
        back = carried_back(engine, x, unit, value, projection)
        pixels, rectified = to_array(engine.preprocessing.to_rgb(back.values)[0]).transpose(1, 2, 0), back.rectified
    seen = "receptive field" if known else "whole frame"
    return _Patch(picture, cut_out(pixels, box, 0), cut_box(box, size), seen, size, rectified)


def _places(strongest: Strongest, channel: int, count: int) -> list[tuple[int, int]]:
    """(y, x) of the channel's strongest patches, as many as there are."""
    there = strongest.rows[channel, :count] >= 0
    return list(zip(strongest.ys[channel, :count][there], strongest.xs[channel, :count][there], strict=True))


def _stacked(parts: list[NDArray[V]], fill: int, dtype: type[V]) -> NDArray[V]:
    """(k, h, w, C); where pictures of several sizes give patches of several sizes, `fill` is below and beside."""
    shape = tuple(max((part.shape[axis] for part in parts), default=least) for axis, least in enumerate((1, 1, 3)))
    found = np.full((len(parts), *shape), fill, dtype)
    for place, part in zip(found, parts, strict=True):
        place[: part.shape[0], : part.shape[1]] = part
    return found
