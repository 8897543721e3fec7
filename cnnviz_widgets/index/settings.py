"""What every part of an index has in common."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from cnnviz_widgets.engine import Engine, Layer, penultimate
from cnnviz_widgets.engine.observer import INPUT

CPU_BATCH = 8  # with fewer the interpreter's share grows, with more the maps no longer stay in the caches
PIXEL_SIDE = 32  # "pixel space": tiny pictures, as Torralba et al. 2008


@dataclass(frozen=True)
class Settings:
    """How the pictures were looked at; two shards of one index agree in all of it.

    Attributes:
        fingerprint, network: of the engine, for machines and for people.
        layers: those with embeddings, the default first.
        units: the convolutions and how many channels each has.
        k: patches kept for each channel.
        batch: pictures at once, since the last bits of a result may depend on it.
        pixels: (h, w) of a picture in pixel space.
    """

    fingerprint: str
    network: str
    layers: tuple[str, ...]
    units: tuple[tuple[str, int], ...]
    k: int
    batch: int
    pixels: tuple[int, int]

    @staticmethod
    def of(engine: Engine, x: Tensor, layers: str | Sequence[str] | None, k: int, batch: int | None) -> Settings:
        """For a network and an input `x` (1, C, H, W) such as it will see.

        Raises:
            KeyError: there is no such layer; near names are suggested.
            ValueError: `k` or `batch` is no whole number from 1 up, a layer gives no embedding.
        """
        for name, value in (("k", k), ("batch_size", batch)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}; wanted a whole number from 1 up")
        names = [layers] if isinstance(layers, str) else list(layers) if layers is not None else []
        table = engine.layers_for(x)
        for name in names:
            row = table[name.removesuffix(INPUT)]
            if not row.shape:
                raise ValueError(f"layer {name!r} {row.note or 'gives no tensor'}, so it has no embedding")
        chosen = dict.fromkeys([*names] or [_default(engine, x)])
        height, width = (int(side) for side in x.shape[-2:])
        return Settings(
            engine.fingerprint,
            engine.name,
            tuple(chosen),
            tuple((name, row.shape[0]) for name, row in _convolutions(engine, x)),
            k,
            batch or (CPU_BATCH if engine.device.type == "cpu" else engine.batch_size(x)),
            (min(PIXEL_SIDE, height), min(PIXEL_SIDE, width)),
        )

    @property
    def channels(self) -> int:
        """Of all convolutions together."""
        return sum(count for _, count in self.units)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Settings:
        """The settings that `to_json` gave."""
        units = tuple((str(name), int(count)) for name, count in values["units"])
        height, width = values["pixels"]
        return Settings(
            str(values["fingerprint"]), str(values["network"]), tuple(map(str, values["layers"])), units,
            int(values["k"]), int(values["batch"]), (int(height), int(width)),
        )  # fmt: skip

    def digest_text(self) -> str:
        """The same text for the same settings."""
        return json.dumps(self.to_json(), sort_keys=True)

    def layer(self, name: str | None) -> int:
        """Which of the embeddings; the first for None.

        Raises:
            KeyError: none of this name.
        """
        return 0 if name is None else _place(name, self.layers, "embedding")

    def unit_layer(self, name: str) -> int:
        """Which of the convolutions.

        Raises:
            KeyError: none of this name.
        """
        return _place(name, [unit for unit, _ in self.units], "strongest patches")


class NoSuchLayer(KeyError):
    """The index has nothing of this layer; says itself without a KeyError's quotes."""

    def __str__(self) -> str:
        """The message."""
        return str(self.args[0])


def _place(name: str, known: Sequence[str], what: str) -> int:
    if name in known:
        return known.index(name)
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {', '.join(map(repr, known))}"
    raise NoSuchLayer(f"this index holds no {what} of layer {name!r}; {hint}")


def _default(engine: Engine, x: Tensor) -> str:
    """The default layer; found by a pass that keeps everything, hence remembered."""
    return engine.remember(("penultimate", tuple(x.shape)), lambda: penultimate(engine, x))


def _convolutions(engine: Engine, x: Tensor) -> list[tuple[str, Layer]]:
    """Every call of every convolution that puts out maps, in the order in which they ran."""
    table, modules = engine.layers_for(x), engine.modules
    found: list[tuple[str, Layer]] = []
    for row in table.in_order():
        if not isinstance(modules[row.name], _ConvNd):
            continue
        calls = [row.name] if row.calls == 1 else [f"{row.name}#{n}" for n in range(1, row.calls + 1)]
        found += [(name, table[name]) for name in calls if table[name].axes is not None]
    return found
