"""Which maps an `EmbeddingScatter` can draw, how it makes them, and which one it begins with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.methods.projection import pca, tsne, umap
from cnnviz_widgets.methods.tsne_map import FEWEST, OnStep
from cnnviz_widgets.results import Projection
from cnnviz_widgets.views.titles import METHOD_TITLES

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

SMALL = {"tsne": 1e-4, "umap": 2.5}  # the spread of the first axis of a map that begins
MANY = 20_000  # pictures from which nobody should have to wait for t-SNE unasked


@dataclass(frozen=True)
class MapChoice:
    """What makes one map differ from another of the same index."""

    layer: str
    projection: str
    perplexity: float
    seed: int

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for choices that give the same map."""
        used = {"tsne": (self.perplexity, self.seed), "umap": (self.seed,)}
        return (self.layer, self.projection, *used.get(self.projection, ()))

    @property
    def title(self) -> str:
        """ "t-SNE of features.12"."""
        return f"{METHOD_TITLES[self.projection]} of {self.layer}"


def projections() -> dict[str, str]:
    """The maps that can be made here, and what they are called."""
    able = ["tsne", "pca", *(["umap"] if find_spec("umap") is not None else [])]
    return {name: METHOD_TITLES[name] for name in able}


def first_projection(index: Index) -> tuple[str, str]:
    """What to begin with, and why where it is not t-SNE."""
    count = len(index)
    if count < FEWEST:
        pictures = f"{count} picture{'' if count == 1 else 's'}"
        return "pca", f"t-SNE needs at least {FEWEST} pictures, and the index has {pictures}: this is PCA."
    if count > MANY:
        return "pca", (
            f"t-SNE takes minutes for {count:,} pictures, so this begins with PCA, which is there at once. Choose "
            "t-SNE to have it made; you see it grow and can stop it."
        )
    return "tsne", ""


def first_points(index: Index, choice: MapChoice) -> NDArray[np.float32]:
    """Where the points set out from, (N, 2): their principal components, as large as the map is then.

    They are there before the libraries that make the map are loaded.
    """
    points = pca(index, choice.layer).points
    spread = float(points[:, 0].std()) or 1.0
    return points if choice.projection == "pca" else points * np.float32(SMALL[choice.projection] / spread)


def make_map(index: Index, choice: MapChoice, on_step: OnStep) -> Projection:
    """The whole map; `on_step` sees it grow where it does."""
    if choice.projection == "pca":
        return pca(index, choice.layer)
    if choice.projection == "umap":
        return umap(index, choice.layer, seed=choice.seed, on_step=on_step)
    return tsne(index, choice.layer, perplexity=choice.perplexity, seed=choice.seed, on_step=on_step)


def unfinished_map(index: Index, choice: MapChoice, points: NDArray[np.float32], step: int, steps: int) -> Projection:
    """A map as it was when it was stopped; its `parameters` say after which of how many steps."""
    parameters: dict[str, object] = {"seed": choice.seed, "iterations": step, "asked_iterations": steps}
    if choice.projection == "tsne":
        parameters["perplexity"] = choice.perplexity
    return Projection(
        layer=choice.layer,
        method=choice.projection,
        parameters=parameters,
        points=points,
        rows=np.arange(len(points)),
        labels=index.labels,
        classes=index.classes,
        predictions=index.predictions,
        categories=tuple(index.categories),
        correct=index.correct,
        trace=np.zeros(0, np.float32),
        index=index.identity,
    )


def said_of(found: Projection) -> str:
    """What there is to know of a finished map, in a few words."""
    told = found.parameters
    if found.method == "pca":
        return f"these two axes hold {found.trace[:2].sum():.0%} of the variance" if len(found.trace) else ""
    if found.method == "tsne":
        asked = told.get("asked_perplexity")
        lowered = f", perplexity {told['perplexity']:.3g} as {asked:g} is too much for so few" if asked else ""
        return f"{told['iterations']} steps, divergence {found.trace[-1]:.3g}{lowered}"
    return f"{told['epochs']} steps, {told['neighbors']} neighbours"
