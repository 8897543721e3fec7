"""How long does an exact search take, beside the bare product of all vectors with the query?

python tests/benchmarks/search.py [--rows 100000 1000000] [--columns 512] [--k 8] [--seconds 15] [--pixels]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cnnviz_widgets.methods.search import lengths, nearest
from tests.benchmarks.stopwatch import Clock, in_turn

PIXELS = 32 * 32 * 3


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000])
    parser.add_argument("--columns", type=int, default=512)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15, help="for each line")
    parser.add_argument("--pixels", action="store_true", help="pictures of 32x32 pixels too")
    options = parser.parse_args()
    print(f"{'':<30}{'product, ms':>12}{'search, ms':>12}{'ratio':>8}{'middle half':>14}{'rounds':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            vectors = stored(Path(folder) / f"{rows}.npy", rows, options.columns, np.float32)
            measure(vectors, f"{rows:,} x {options.columns}", options)
            if options.pixels:
                pixels = stored(Path(folder) / f"{rows}_pixels.npy", rows, PIXELS, np.uint8)
                measure(pixels, f"{rows:,} x {PIXELS} pixels", options)


def stored(path: Path, rows: int, columns: int, dtype: type) -> NDArray[Any]:
    """A memory map of vectors such as a rectifier's averages, or of pixels; made in parts."""
    rng = np.random.default_rng(0)
    vectors = open_memmap(path, "w+", dtype, (rows, columns))
    for start in range(0, rows, 10_000):
        part = vectors[start : start + 10_000]
        if dtype is np.uint8:
            part[:] = rng.integers(0, 256, part.shape, np.uint8)
        else:
            part[:] = np.maximum(rng.standard_normal(part.shape, np.float32), 0)
    vectors.flush()
    return np.load(path, mmap_mode="r")


def measure(vectors: NDArray[Any], what: str, options: argparse.Namespace) -> None:
    """One line for each metric."""
    norms = lengths(vectors)
    rng = np.random.default_rng(1)

    def queries(metric: Any) -> Iterator[list[Callable[[], object]]]:
        while True:
            query = vectors[rng.integers(len(vectors))].astype(np.float32)
            yield [partial(product, vectors, query), partial(nearest, vectors, norms, query, options.k, metric)]

    for metric in ("cosine", "euclidean"):
        times = in_turn(queries(metric), options.seconds, Clock(torch.device("cpu")))
        bare, ours = np.median(times, 0) * 1000
        low, ratio, high = np.quantile(times[:, 1] / times[:, 0], (0.25, 0.5, 0.75))
        spread = f"{low:.2f} - {high:.2f}"
        name = f"{what}, {metric}"
        print(f"{name:<30}{bare:>12.1f}{ours:>12.1f}{ratio:>8.2f}{spread:>14}{len(times):>8}", flush=True)


def product(vectors: NDArray[Any], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """All products; of pixels, in parts of 4,096 rows that are turned into single precision."""
    if vectors.dtype == np.float32:
        return vectors @ query
    parts = range(0, len(vectors), 4096)
    return np.concatenate([vectors[i : i + 4096].astype(np.float32) @ query for i in parts])


if __name__ == "__main__":
    main()
