"""The same places of a patch by four hands: this package, captum, plain batches, and what says that they agree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn

from cnnviz_widgets import Engine, occlusion
from cnnviz_widgets.methods.occluders import Occluder

PATCH, STRIDE = 16, 8
TARGET = 281  # tabby; given to all, so nobody has to classify first

warnings.filterwarnings("ignore", module="captum")


@dataclass(frozen=True)
class Places:
    """Where the patch goes.

    Attributes:
        tops, lefts: the upper and left edges.
        rows: which rows of the whole map these are; None for all of them.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    rows: tuple[int, ...] | None = None

    def __len__(self) -> int:
        """How many places there are."""
        return len(self.tops) * len(self.lefts)

    @classmethod
    def of(cls, occluder: Occluder, rows: int | None = None) -> Places:
        """The whole map, or so many of its rows, evenly spread, the first and the last among them."""
        tops, lefts = occluder.grid(STRIDE)
        if rows is None or rows >= len(tops):
            return cls(tops, lefts)
        chosen = tuple(np.linspace(0, len(tops) - 1, rows).round().astype(int).tolist())
        return cls(tuple(tops[n] for n in chosen), lefts, chosen)

    @classmethod
    def few(cls, occluder: Occluder, rows: int = 4, columns: int = 8) -> Places:
        """32 places of the whole map, as far apart as they can be evenly."""
        height, width = occluder.picture.shape[:2]
        tops, lefts = (
            tuple(number * ((length - PATCH) // (count - 1) // STRIDE * STRIDE) for number in range(count))
            for length, count in ((height, rows), (width, columns))
        )
        return cls(tops, lefts, rows=())


def ours(engine: Engine, picture: Any, places: Places) -> NDArray[np.floating]:
    """(ny, nx) scores by `occlusion`; where that has no such places, by the steps it takes."""
    if places.rows is None:
        return occlusion(engine, picture, TARGET, PATCH, STRIDE).scores
    occluder = Occluder.of(engine, picture, PATCH)
    with engine.still():
        engine.incremental.base(occluder.x, (TARGET,))
        rows = engine.incremental.rows(occluder.sweep(places.tops, places.lefts), (TARGET,))
        return torch.stack(list(rows))[..., 0].numpy()


def plain(net: nn.Module, engine: Engine, picture: Any, places: Places, batch: int) -> tuple[float, NDArray[Any]]:
    """The score without a patch and (ny, nx) scores, by running the network on pictures with the patch in them."""
    occluder = Occluder.of(engine, picture, PATCH)
    dtype = next(net.parameters()).dtype
    x, fill = (t.to(dtype, memory_format=torch.channels_last) for t in (occluder.x, occluder.fill))
    corners = [(top, left) for top in places.tops for left in places.lefts]
    found = []
    with torch.inference_mode():
        base = float(_scores(net, x))
        for first in range(0, len(corners), batch):
            part = corners[first : first + batch]
            pictures = x.repeat(len(part), 1, 1, 1).contiguous(memory_format=torch.channels_last)
            for number, (top, left) in enumerate(part):
                box = (..., slice(top, top + PATCH), slice(left, left + PATCH))
                pictures[number][box] = fill[0][box]
            found.append(_scores(net, pictures))
    return base, torch.cat(found).cpu().numpy().reshape(len(places.tops), len(places.lefts))


def captum(net: nn.Module, engine: Engine, picture: Any, places: Places, at_once: int) -> Tensor:
    """(H, W): captum's map, the mean drop of the score over the patches that cover a pixel."""
    occluder = Occluder.of(engine, picture, PATCH)
    x, channels = occluder.x, occluder.x.shape[1]
    found = (Occlusion(net) if places.rows is None else SomeRows(net, places.rows)).attribute(
        x,
        sliding_window_shapes=(channels, PATCH, PATCH),
        strides=(channels, STRIDE, STRIDE),
        baselines=occluder.fill,
        target=TARGET,
        perturbations_per_eval=at_once,
    )
    return found[0, 0]


class SomeRows(Occlusion):
    """Captum's Occlusion at some rows of places; nothing else is changed."""

    def __init__(self, net: nn.Module, rows: Sequence[int]) -> None:
        super().__init__(net)
        self._rows = frozenset(rows)

    def _get_feature_idx_to_tensor_idx(self, formatted_feature_mask: Any, **kwargs: Any) -> dict[int, list[int]]:
        places = super()._get_feature_idx_to_tensor_idx(formatted_feature_mask, **kwargs)
        height = kwargs["shift_counts"][0][1]  # of channels, rows, columns the first runs fastest
        return {number: tensor for number, tensor in places.items() if number % height in self._rows}


def averaged(base: float, scores: NDArray[Any], places: Places, side: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W): what captum makes of scores; NaN where no patch came."""
    total, count = np.zeros(side), np.zeros(side)
    for i, top in enumerate(places.tops):
        for j, left in enumerate(places.lefts):
            total[top : top + PATCH, left : left + PATCH] += base - float(scores[i, j])
            count[top : top + PATCH, left : left + PATCH] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def _scores(net: nn.Module, pictures: Tensor) -> Tensor:
    return net(pictures)[:, TARGET]
