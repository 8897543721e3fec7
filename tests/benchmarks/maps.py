"""How long a map of a collection takes, how soon there is something to see, and how soon a new picture is placed in it.

python tests/benchmarks/maps.py [--counts 1000 5000] [--width 512] [--iterations 750] [--umap] [--threads 1 --cpu-time]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets.methods.nearest_rows import nearest_rows  # noqa: E402
from cnnviz_widgets.methods.principal_axes import principal_axes  # noqa: E402
from cnnviz_widgets.methods.tsne_map import fit_tsne, place_by_tsne, usable_perplexity  # noqa: E402
from cnnviz_widgets.methods.umap_map import fit_umap, place_by_umap  # noqa: E402

COLUMNS = ("pictures", "map", "axes", "neighbours", "seen", "moving", "whole", "place 1", "place 100", "KL")


def main() -> None:
    """Print one line for each map."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--iterations", type=int, default=750)
    parser.add_argument("--umap", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    now = time.process_time if options.cpu_time else time.perf_counter
    warm = groups(50, 8)
    for kind in ("tsne", "umap") if options.umap else ("tsne",):
        measure(kind, warm, 20, now)  # the libraries are loaded, and umap's loops compiled
    print("  ".join(f"{name:>10}" for name in COLUMNS))
    for count in options.counts:
        for kind in ("tsne", "umap") if options.umap else ("tsne",):
            cells = measure(kind, groups(count + 100, options.width), options.iterations, now)
            print("  ".join(f"{cell:>10}" for cell in (count, kind, *cells)), flush=True)


def measure(kind: str, vectors: NDArray[np.float32], iterations: int, now: Callable[[], float]) -> list[str]:
    """The cells of one line; the last 100 vectors (or fewer) are placed into the map of the others."""
    count = max(len(vectors) - 100, 10)
    start = now()
    axes = principal_axes(vectors[:count], 50)
    old, new = axes(vectors[:count]), axes(vectors[count:])
    found = [now() - start]
    nearest_rows(old, old, min(90, count - 1), themselves=True)
    found.append(now() - start - found[0])
    shown: list[float] = []
    divergence = float("nan")

    def look(*_: Any) -> None:
        shown.append(now() - start)

    start = now()
    if kind == "tsne":
        points, trace = fit_tsne(old, usable_perplexity(30, count), iterations, 0, look)
        divergence = float(trace[-1])
    else:
        points = fit_umap(old, min(15, count), 0, look)
    found += [found[0] + shown[0], found[0] + shown[1], found[0] + now() - start]
    for queries in (new[:1], new):
        start = now()
        if kind == "tsne":
            place_by_tsne(queries, old, points)
        else:
            place_by_umap(queries, old, points, min(15, count), 0)
        found.append(now() - start)
    return [f"{seconds:.2f}" for seconds in found] + [f"{divergence:.2f}" if kind == "tsne" else ""]


def groups(count: int, width: int) -> NDArray[np.float32]:
    """Vectors in 20 groups, the directions within which matter ever less, as in a network's embedding."""
    random = np.random.default_rng(0)
    spread = 0.98 ** np.arange(width)
    middles = random.normal(size=(20, width)) * spread
    return (middles[random.integers(0, 20, count)] + random.normal(size=(count, width)) * spread).astype(np.float32)


if __name__ == "__main__":
    main()
