"""How fast an index is built, beside the network alone; how much memory it takes; how fast it opens.

python tests/benchmarks/index.py [FOLDER] [--pictures 512] [--rounds 3] [--network NAME] [--only rate|memory|open]

FOLDER holds JPEG files to read, for the second line of the table. README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets import Engine, Gallery, Index, models, samples  # noqa: E402
from cnnviz_widgets.engine.threads import Crew  # noqa: E402
from tests.benchmarks.stopwatch import Clock, engine_of, frozen  # noqa: E402

SIDE = 256
WIDE = ("10.1f", "10.1f", "8.2f", "10.1f", "8.2f")  # of the columns


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="squeezenet1_1")
    parser.add_argument("--device")
    parser.add_argument("--cpu-time", action="store_true", help="CPU time of the process instead of the wall's")
    parser.add_argument("--only", choices=["rate", "memory", "open"])
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)  # a process of its own for each figure
    options = parser.parse_args()
    if options.peak_of:
        print(_peak(options.network, options.peak_of))
        return
    engine = engine_of(options.network, options.device)
    if options.only in (None, "rate"):
        _rates(engine, options)
    if options.only in (None, "memory"):
        for count in (200, 2000):
            command = [sys.executable, __file__, "--network", options.network, "--peak-of", str(count)]
            print(f"peak memory, {count:5d} pictures: {subprocess.check_output(command, text=True).strip()} MiB")
    if options.only in (None, "open"):
        _opening()


def _rates(engine: Engine, options: argparse.Namespace) -> None:
    clock = Clock(engine.device, options.cpu_time)
    sources = {"pictures in memory": _in_memory(options.pictures)}
    if options.folder:
        sources["JPEG files"] = Gallery.from_folder(options.folder)
    print(f"{'':20}{'build /s':>10}{'bare /s':>10}{'ratio':>8}{'alone /s':>10}{'ratio':>8}")
    for name, gallery in sources.items():
        figures = _rate(engine, gallery, options.rounds, clock)
        print(f"{name:20}" + "".join(f"{one:{wide}}" for one, wide in zip(figures, WIDE, strict=False)), flush=True)


def _rate(engine: Engine, gallery: Gallery, rounds: int, clock: Clock) -> list[float]:
    """Pictures a second of a whole build; of the network alone at its best, and their ratio, for each way to use the
    cores."""
    x = torch.cat([engine.prepare(gallery[n % len(gallery)]) for n in range(32)])
    ways = [
        min(_of_sizes(way, x), key=lambda run: min(clock.of(lambda: run(64)) for _ in range(3)))
        for way in _ways(engine)
    ]
    rates = []
    for _ in range(rounds + 1):
        row = [len(gallery) / clock.of(lambda run=run: run(len(gallery))) for run in ways]
        with _folder() as folder:
            rates.append([len(gallery) / clock.of(lambda folder=folder: _build(engine, gallery, folder)), *row])
    table = np.array(rates[1:])  # the first warms up
    built, *bare = np.median(table, axis=0)
    ratios = np.median(table[:, :1] / table[:, 1:], axis=0)
    return [built, *(figure for pair in zip(bare, ratios, strict=True) for figure in pair)]


def _ways(engine: Engine) -> Iterator[Callable[[Tensor, int], object]]:
    """The network alone on so many pictures that are there already: all cores on one batch after the other and, on a
    CPU, a core alone for each batch."""
    net = frozen(engine.model, torch.channels_last, engine)
    yield lambda batch, count: _run(net, batch, count)
    if engine.device.type == "cpu":
        yield lambda batch, count: _crew(engine, net, batch, count)


def _of_sizes(way: Callable[[Tensor, int], object], x: Tensor) -> Iterator[Callable[[int], object]]:
    """One way with batches of several sizes."""
    for size in (4, 8, 16, 32):
        batch = x[:size].contiguous(memory_format=torch.channels_last)
        yield lambda count, batch=batch: way(batch, count)


def _run(net: nn.Module, batch: Tensor, count: int) -> None:
    with torch.inference_mode():
        for start in range(0, count, len(batch)):
            net(batch[: count - start])


def _crew(engine: Engine, net: nn.Module, batch: Tensor, count: int) -> None:
    def one(_: object) -> None:
        with torch.inference_mode():
            net(batch)

    with Crew(engine.device, object) as crew:
        for future in [crew.submit(one) for _ in range(0, count, len(batch))]:
            future.result()


def _build(engine: Engine, gallery: Gallery, folder: Path) -> Index:
    return Index.build(engine, gallery, folder, progress=False)


def _in_memory(count: int) -> Gallery:
    return Gallery.from_arrays(list(_pictures(count)))


def _pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    """Cuts of the sample photos, each another one."""
    photos = [np.asarray(samples[name]) for name in samples]
    photos = [photo for photo in photos if min(photo.shape[:2]) > SIDE]
    rng = np.random.default_rng(0)
    for number in range(count):
        photo = photos[number % len(photos)]
        top, left = (int(rng.integers(0, side - SIDE)) for side in photo.shape[:2])
        yield photo[top : top + SIDE, left : left + SIDE].copy()


def _peak(network: str, count: int) -> int:
    """MiB that the process held at most while it built an index of JPEG files."""
    with _folder() as folder:
        from PIL import Image

        (folder / "in").mkdir()
        for number, picture in enumerate(_pictures(count)):
            Image.fromarray(picture).save(folder / "in" / f"{number:05d}.jpg")
        Index.build(engine_of(network, None), Gallery.from_folder(folder / "in"), folder / "index", progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _opening() -> None:
    """An index of 100,000 pictures, small ones seen by a small network."""
    count = 100_000
    noise = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    engine = Engine(models.digit_net(), transform=models.DIGITS, categories=[str(n) for n in range(10)])
    with _folder() as folder:
        start = time.perf_counter()
        _build(engine, Gallery.from_arrays(noise), folder)
        built = time.perf_counter() - start
        times = []
        for _ in range(9):
            start = time.perf_counter()
            index = Index.open(folder, engine)
            index.embedding()[len(index) // 2].sum()
            index.thumbnail(len(index) // 2)
            times.append(time.perf_counter() - start)
    print(f"built {count:,} pictures of 28x28 with digit_net in {built:.0f} s")
    print(f"opened in {1000 * np.median(times):.1f} ms (first {1000 * times[0]:.1f}), one vector and thumbnail read")


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cnnviz-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
