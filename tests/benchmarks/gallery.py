"""How fast is a folder listed, in how much memory, and how fast are its pictures read?

python tests/benchmarks/gallery.py [FOLDER] [--names 1000000] [--rounds 5]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets import Gallery  # noqa: E402


def main() -> None:
    """Print both tables."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("folder", nargs="?", help="pictures of yours, to be read")
    ask.add_argument("--names", type=int, default=1_000_000, help="empty files that are made and listed")
    ask.add_argument("--rounds", type=int, default=5)
    asked = ask.parse_args()
    if asked.folder:
        read(Gallery.from_folder(asked.folder), asked.rounds)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), asked.names)
        list_names(Path(folder))


def make(root: Path, names: int) -> None:
    """A thousand classes of empty files, named as ImageNet's are."""
    for number in range(names):
        folder = root / f"n{number % 1000:08d}"
        if number < 1000:
            folder.mkdir()
        (folder / f"ILSVRC2012_val_{number:08d}.JPEG").touch()


def list_names(root: Path) -> None:
    """Seconds of CPU, and by how much the process grew at most."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    gallery = Gallery.from_folder(root)
    taken = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024
    print(f"{len(gallery):,} names: {taken:.2f} s, {grown:.0f} MiB at most")


def read(gallery: Gallery, rounds: int) -> None:
    """Pictures a second of one core, beside Pillow alone."""
    paths = [path for number in range(len(gallery)) if (path := gallery.path(number)) is not None]
    ours, bare = [], []
    for _ in range(rounds):
        start = time.process_time()
        for number in range(len(gallery)):
            gallery.read(number)
        middle = time.process_time()
        for path in paths:
            with Image.open(path) as picture:
                picture.load()
        ours.append(middle - start)
        bare.append(time.process_time() - middle)
    rates = [len(gallery) / min(seconds) for seconds in (ours, bare)]
    print(f"{len(gallery):,} pictures: {rates[0]:,.0f} /s, Pillow alone {rates[1]:,.0f} /s")


if __name__ == "__main__":
    main()
