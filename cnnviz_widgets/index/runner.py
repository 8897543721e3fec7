"""One thread's share of the pass: batches go through the network, and on the way the index takes what it wants."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from cnnviz_widgets.engine import Engine, Observer
from cnnviz_widgets.index.board import Board, keys_of
from cnnviz_widgets.index.embedding import pooled, together
from cnnviz_widgets.index.settings import Settings

OFFER_AFTER = 16  # pictures: the board is set in order for several batches at once
Answers = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]
"""The channel among those of all layers, the picture among those that wait, the value, the place in the map."""


@dataclass(frozen=True)
class Gathered:
    """What a batch of n pictures gave.

    Attributes:
        positions: (n,) in the shard.
        predictions: (n,) the most probable class, -1 where scores are no numbers.
        probabilities: (n,) of it.
        embeddings: (n, D) of each layer.
    """

    positions: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    embeddings: list[NDArray[np.float32]]


class SharedBoard(Board):
    """The board of a shard, which several threads fill: what one has found spares the others work."""

    def __init__(self, channels: int, k: int) -> None:
        """Empty."""
        super().__init__(channels, k)
        self._lock = threading.Lock()

    def offer(
        self,
        channels: NDArray[np.int64],
        slots: NDArray[np.int64],
        keys: NDArray[np.int64],
        places: NDArray[np.int32],
    ) -> None:
        """Take in answers, one thread after the other."""
        with self._lock:
            super().offer(channels, slots, keys, places)


class Runner:
    """Runs batches and fills the board of a shard."""

    def __init__(self, engine: Engine, settings: Settings, like: Tensor) -> None:
        """With a stand-in of the network of its own; `like` is an input such as will come."""
        self._engine, self._settings = engine, settings
        looks: dict[str, list[partial[None]]] = {}
        for number, (name, _) in enumerate(settings.units):
            looks.setdefault(name, []).append(partial(self._peaks, number))
        for number, name in enumerate(settings.layers):
            looks.setdefault(name, []).append(partial(self._embed, number))
        self._observe = Observer(engine, {name: partial(_all, each) for name, each in looks.items()}, like)
        self._embeddings: dict[int, dict[int, Tensor]] = {}  # by layer, and by the first picture of a part of the batch
        self._strongest: dict[int, dict[int, tuple[Tensor, Tensor]]] = {}  # likewise
        self.begin(SharedBoard(settings.channels, settings.k))

    def begin(self, shared: SharedBoard) -> None:
        """With another shard and its board."""
        self._shared = shared
        self._waiting: list[Answers] = []
        self._positions: list[NDArray[np.int64]] = []  # of the pictures that wait
        self._pictures = 0  # that wait
        self._floor = shared.floor

    def run(self, positions: Sequence[int], tensors: Sequence[Tensor]) -> Gathered:
        """Of the pictures at these positions of the shard, of one size."""

        def make() -> Tensor:
            self._strongest, self._embeddings = {}, {}
            return self._engine.assemble(tensors)

        scores = self._observe(make).float().cpu()
        places = np.asarray(positions, np.int64)
        if self._settings.units:
            self._keep(places)
        # double precision, so that a probability is what engine.predict says
        probable, best = scores.double().softmax(1).max(1)
        unknown = ~torch.isfinite(scores).all(1)
        return Gathered(
            places,
            torch.where(unknown, -1, best).numpy(),
            torch.where(unknown, torch.nan, probable).float().numpy(),
            [together(self._embeddings[number]).numpy() for number in range(len(self._settings.layers))],
        )

    def settle(self) -> None:
        """Bring the board up to date."""
        if self._waiting:
            channels, slots, peaks, places = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
            keys = keys_of(peaks, np.concatenate(self._positions)[slots])
            self._shared.offer(channels, slots, keys, places.astype(np.int32))
        self._waiting, self._positions, self._pictures = [], [], 0
        self._floor = self._shared.floor

    def _embed(self, number: int, output: Tensor, first: int) -> None:
        self._embeddings.setdefault(number, {})[first] = pooled(output)

    def _peaks(self, number: int, maps: Tensor, first: int) -> None:
        """Where each channel of these maps (N, C, h, w) is strongest."""
        # the first of equal ones, row by row, is the one that this pooling finds
        self._strongest.setdefault(number, {})[first] = adaptive_max_pool2d(maps.float(), 1, return_indices=True)

    def _keep(self, positions: NDArray[np.int64]) -> None:
        """Of what a batch gave, keep what is strong enough for the board."""
        layers = [zip(*self._strongest[number].values(), strict=True) for number in range(len(self._strongest))]
        found = [[torch.cat(parts) for parts in layer] for layer in layers]
        peaks, places = (torch.cat(part, 1).flatten(1).cpu().numpy() for part in zip(*found, strict=True))
        picture, channel = np.nonzero(peaks >= self._floor)
        self._waiting.append((channel, self._pictures + picture, peaks[picture, channel], places[picture, channel]))
        self._positions.append(positions)
        self._pictures += len(positions)
        if self._pictures >= OFFER_AFTER:
            self.settle()


def _all(looks: Sequence[partial[None]], tensor: Tensor, first: int) -> None:
    for look in looks:
        look(tensor, first)
