"""One thread's share of the pass: batches go through the network, and on the way the index takes what it wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.engine import Engine, Observer
from cnnviz_widgets.index.board import Board, keys_of
from cnnviz_widgets.index.settings import Settings

OFFER_AFTER = 16  # pictures: the board is set in order for several batches at once


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


class Runner:
    """Runs batches and keeps the board of a shard."""

    def __init__(self, engine: Engine, settings: Settings, like: Tensor) -> None:
        """With a stand-in of the network of its own; `like` is an input such as will come."""
        self._engine, self._settings = engine, settings
        self._first = np.concatenate([[0], np.cumsum([count for _, count in settings.units])]).astype(np.int64)
        looks: dict[str, list[partial[None]]] = {}
        for number, (name, _) in enumerate(settings.units):
            looks.setdefault(name, []).append(partial(self._peaks, number))
        for number, name in enumerate(settings.layers):
            looks.setdefault(name, []).append(partial(self._embed, number))
        self._observe = Observer(engine, {name: partial(_all, each) for name, each in looks.items()}, like)
        self._positions = np.empty(0, np.int64)
        self._embeddings: dict[int, Tensor] = {}
        self._found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]] = []
        self.begin()

    def begin(self) -> None:
        """With another shard: an empty board."""
        self.board = Board(self._settings.channels, self._settings.k)
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]] = []
        self._pictures = 0
        self._set_floors()

    def run(self, positions: Sequence[int], tensors: Sequence[Tensor]) -> Gathered:
        """Of the pictures at these positions of the shard, in ascending order and of one size."""
        self._positions = np.asarray(positions, np.int64)

        def make() -> Tensor:
            self._found, self._embeddings = [], {}
            return self._engine.assemble(tensors)

        scores = self._observe(make).float().cpu()
        if self._found:
            channels, keys, places = zip(*self._found, strict=True)
            self._waiting.append((np.concatenate(channels), np.concatenate(keys), np.concatenate(places)))
        self._pictures += len(positions)
        if self._pictures >= OFFER_AFTER:
            self.settle()
        # double precision, so that a probability is what engine.predict says
        probable, best = scores.double().softmax(1).max(1)
        unknown = ~torch.isfinite(scores).all(1)
        return Gathered(
            self._positions,
            torch.where(unknown, -1, best).numpy(),
            torch.where(unknown, torch.nan, probable).float().numpy(),
            [self._embeddings[number].float().cpu().numpy() for number in range(len(self._settings.layers))],
        )

    def settle(self) -> None:
        """Bring the board up to date."""
        if self._waiting:
            channels, keys, places = (np.concatenate(part) for part in zip(*self._waiting, strict=True))
            self.board.offer(channels, keys, places)
            self._set_floors()
        self._waiting, self._pictures = [], 0

    def _set_floors(self) -> None:
        floors = torch.from_numpy(self.board.floor).to(self._engine.device)
        self._floors = [floors[a:b] for a, b in zip(self._first[:-1], self._first[1:], strict=True)]

    def _embed(self, number: int, tensor: Tensor) -> None:
        if tensor.ndim == 4:  # maps: global average pooling
            self._embeddings[number] = tensor.mean((2, 3))
        elif tensor.ndim == 3:  # tokens (N, tokens, D)
            self._embeddings[number] = tensor.mean(1)
        else:
            self._embeddings[number] = tensor.flatten(1).clone()

    def _peaks(self, number: int, maps: Tensor) -> None:
        """Find where in these maps (N, C, h, w) a channel is strong enough for the board.

        Of each map only its largest value is looked at, row by row; the few that count are then looked up.
        """
        cells = maps.float().permute(0, 2, 3, 1)
        rows = cells.amax(2)  # (N, h, C)
        peaks = rows.amax(1)
        picture, channel = (peaks >= self._floors[number]).nonzero(as_tuple=True)
        if not len(picture):
            return
        y = rows[picture, :, channel].argmax(1)  # the first of equal ones, and so is x
        x = cells[picture, y, :, channel].argmax(1)
        values = peaks[picture, channel].cpu().numpy()
        keys = keys_of(values, self._positions[picture.cpu().numpy()])
        places = (y * cells.shape[2] + x).to(torch.int32).cpu().numpy()
        self._found.append((self._first[number] + channel.cpu().numpy(), keys, places))


def _all(looks: Sequence[partial[None]], tensor: Tensor) -> None:
    for look in looks:
        look(tensor)
