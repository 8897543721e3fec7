"""What an embedding is, and those of pictures that are not in an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from cnnviz_widgets.engine import Engine, Observer
from cnnviz_widgets.engine.cache import key_of


def pooled(output: Tensor) -> Tensor:
    """The vectors (N, D) in what a layer put out: maps averaged over their places, tokens over all of them."""
    if output.ndim == 4:
        return output.mean((2, 3))
    if output.ndim == 3:  # tokens (N, tokens, D)
        return output.mean(1)
    return output.flatten(1).clone()


def together(parts: Mapping[int, Tensor]) -> Tensor:
    """The embeddings of a batch, from those of its parts by their first pictures, in their order."""
    return torch.cat(list(parts.values())).float().cpu()


def embeddings(engine: Engine, inputs: Sequence[Tensor], layers: Sequence[str]) -> list[Tensor]:
    """(n, D) for each of the layers, of prepared pictures (1, C, H, W) each; remembered for a picture alone."""
    names = tuple(layers)
    if len(inputs) == 1:
        x = inputs[0]
        return engine.remember(("embeddings", names, key_of(x)), lambda: _embeddings(engine, x, names))
    if len({x.shape for x in inputs}) > 1:
        single = [embeddings(engine, [x], names) for x in inputs]
    else:
        single = engine.in_batches(torch.cat(list(inputs)), lambda part: _embeddings(engine, part, names))
    return [torch.cat(parts) for parts in zip(*single, strict=True)]


def _embeddings(engine: Engine, x: Tensor, names: Sequence[str]) -> list[Tensor]:
    found: dict[str, dict[int, Tensor]] = {name: {} for name in names}

    def keep(name: str, output: Tensor, first: int) -> None:
        found[name][first] = pooled(output)

    Observer(engine, {name: partial(keep, name) for name in names}, x)(x.clone)
    return [together(found[name]) for name in names]
