"""Pictures of classes and channels to look at, whether they mean something, and how fast they are made.

python tests/benchmarks/synthesis.py [--network NAME] [--only classes|channels|speed|lucent] [--photos FOLDER]
                                     [--to FOLDER]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets import Engine, Gallery, Synthesis, Unit, maximize_each  # noqa: E402
from cnnviz_widgets.methods.synthesis import PRESETS, Ascent  # noqa: E402
from cnnviz_widgets.methods.synthesis.goals import aim_of  # noqa: E402
from tests.benchmarks.stopwatch import Clock, engine_of, frozen  # noqa: E402

CLASSES = (1, 9, 84, 130, 145, 207, 281, 291, 301, 323, 340, 388, 417, 483, 555, 779, 817, 949, 953, 980)
CHANGES = ("as it is", "shift 4", "shift -6", "x 0.94", "x 1.06", "JPEG 75")
AT_ONCE = 4
STEPS = 40  # that are timed
CHANNELS = 10  # of each of three layers
Picture = NDArray[np.uint8]


def main() -> None:
    """Print the tables and write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="squeezenet1_1")
    parser.add_argument("--device")
    parser.add_argument("--preset")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", help="a folder of photos to compare channels with")
    parser.add_argument("--to", default=".", help="the folder for the contact sheets")
    parser.add_argument("--only", choices=["classes", "channels", "speed", "lucent"])
    options = parser.parse_args()
    Path(options.to).mkdir(parents=True, exist_ok=True)  # now, not after ten minutes of work
    engine = engine_of(options.network, options.device)
    if options.only in (None, "classes"):
        _classes(engine, options)
    if options.only == "channels" or (options.only is None and options.photos):
        _channels(engine, options)
    if options.only in (None, "speed"):
        _speed(engine, options)
    if options.only == "lucent":
        _beside_lucent(engine)


def _classes(engine: Engine, options: argparse.Namespace) -> None:
    found = _made(engine, CLASSES, options)
    table = np.array([_probabilities(engine, one) for one in found])
    print(f"{'':24}" + "".join(f"{name:>10}" for name in CHANGES))
    for one, row in zip(found, table, strict=True):
        print(f"{one.target_name:24.24}" + "".join(f"{share:10.3f}" for share in row))
    print(f"{'median':24}" + "".join(f"{share:10.3f}" for share in np.median(table, 0)))
    hits = np.array([[_is_hit(engine, one, change) for change in CHANGES] for one in found])
    print(f"{'classified as target':24}" + "".join(f"{count:7d}/{len(found)}" for count in hits.sum(0)))
    _sheet(found, Path(options.to) / f"{engine.name}-classes.png")


def _made(engine: Engine, targets: Sequence[int | Unit], options: argparse.Namespace) -> list[Synthesis]:
    found: list[Synthesis] = []
    for start in range(0, len(targets), AT_ONCE):
        part = targets[start : start + AT_ONCE]
        found += maximize_each(engine, part, preset=options.preset, steps=options.steps, seed=options.seed)
    return found


def _probabilities(engine: Engine, one: Synthesis) -> list[float]:
    assert isinstance(one.target, int)
    scores = engine.scores([_changed(one.picture, change) for change in CHANGES])
    return torch.from_numpy(scores).softmax(1)[:, one.target].tolist()


def _is_hit(engine: Engine, one: Synthesis, change: str) -> bool:
    return int(engine.scores(_changed(one.picture, change))[0].argmax()) == one.target


def _changed(picture: Picture, change: str) -> Picture:
    """The picture a little off: what means something survives it."""
    kind, _, number = change.partition(" ")
    if kind == "shift":
        return np.roll(picture, (int(number), int(number)), (0, 1))
    if kind == "x":
        side = picture.shape[0]
        sides = round(side * float(number))
        near = Image.fromarray(picture).resize((sides, sides), Image.Resampling.BICUBIC)
        off = (sides - side) // 2
        return np.asarray(near.crop((off, off, off + side, off + side))) if off >= 0 else _padded(near, side)
    if kind == "JPEG":
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=int(number))
        return np.asarray(Image.open(file))
    return picture


def _padded(near: Image.Image, side: int) -> Picture:
    before = (side - near.width) // 2
    return np.pad(np.asarray(near), ((before, side - near.width - before),) * 2 + ((0, 0),), "reflect")


def _channels(engine: Engine, options: argparse.Namespace) -> None:
    """Of three depths, how far beyond the photos' answers those to the pictures are."""
    rows = [row for row in engine.layers.values() if row.kind == "Conv2d" and row.spatial]
    layers = [rows[round(share * (len(rows) - 1))] for share in (0.2, 0.5, 0.85)]
    gallery = Gallery.from_folder(options.photos)
    answers = {row.name: np.concatenate([_means(engine, photo, row.name) for photo in _of(gallery)]) for row in layers}
    units = [Unit(row.name, int(channel)) for row in layers for channel in np.linspace(0, row.shape[0] - 1, CHANNELS)]
    found = _made(engine, units, options)
    print(f"{'':28}{'picture':>10}{'99.9 %':>10}{'largest':>10}   of {len(gallery)} photos")
    beyond = 0
    for unit, one in zip(units, found, strict=True):
        seen = answers[unit.layer][:, unit.channel]
        limit = float(np.percentile(seen, 99.9))
        beyond += one.score > limit
        print(f"{unit!s:36.36}{one.score:10.3f}{limit:10.3f}{seen.max():10.3f}")
    print(f"beyond the 99.9th percentile: {beyond} of {len(units)}")
    _sheet(found, Path(options.to) / f"{engine.name}-channels.png")


def _of(gallery: Gallery) -> Iterator[Image.Image]:
    return (gallery.read(number)[0] for number in range(len(gallery)))


def _means(engine: Engine, photo: Image.Image, layer: str) -> NDArray[np.float32]:
    return engine.capture(photo, layer)[layer].flatten(2).mean(2).numpy()


def _speed(engine: Engine, options: argparse.Namespace) -> None:
    """Steps a second beside the bare network forward and back, in turn."""
    clock = Clock(engine.device, False)
    print(f"{'batch':>8}{'steps /s':>10}{'bare /s':>10}{'ratio':>8}")
    for batch in (1, 4):
        rows = np.array(
            [_turn(engine, list(CLASSES[:batch]), options.preset or "fourier", clock) for _ in range(6)][1:]
        )
        ours, bare = np.median(rows, 0)
        print(f"{batch:8d}{ours:10.1f}{bare:10.1f}{np.median(rows[:, 0] / rows[:, 1]):8.2f}")
    start = time.perf_counter()
    maximize_each(engine, [CLASSES[0]], preset=options.preset, steps=options.steps)
    print(f"a class with all its steps: {time.perf_counter() - start:.1f} s")


def _turn(engine: Engine, classes: Sequence[int], preset: str, clock: Clock) -> tuple[float, float]:
    """Steps a second, ours and those of the network alone."""
    like = engine.prepare(np.full((256, 256, 3), 128, np.uint8))
    run = Ascent(engine, [aim_of(engine, one, like) for one in classes], PRESETS[preset])
    bare = _bare(engine, classes)
    with engine.still():
        for warm in (run.step, bare):
            warm()
        ours, alone = (STEPS / clock.of(lambda step=step: _times(step)) for step in (run.step, bare))
    return ours, alone


def _beside_lucent(engine: Engine) -> None:
    """Steps a second of a class picture of 256 x 256 beside torch-lucent's, each with its own usual transforms."""
    clock = Clock(engine.device, False)
    rows = np.array(
        [(_turn(engine, [CLASSES[0]], "fourier", clock)[0], _lucents(engine, CLASSES[0], clock)) for _ in range(6)][1:]
    )
    ours, theirs = np.median(rows, 0)
    ratio = np.median(rows[:, 0] / rows[:, 1])
    print(f"{'ours /s':>10}{'lucent /s':>12}{'ratio':>8}\n{ours:10.1f}{theirs:12.1f}{ratio:8.1f}")


def _lucents(engine: Engine, target: int, clock: Clock) -> float:
    """Steps a second of torch-lucent, on the network alone at its best setting."""
    try:
        from lucent.optvis import param, render  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        sys.exit(f'{error}; torch-lucent needs an old kornia: pip install --no-deps torch-lucent "kornia==0.4.1"')
    net = frozen(engine.model, torch.channels_last, engine)

    def render_all() -> object:
        picture = partial(param.image, 256, fft=True, decorrelate=True)
        return render.render_vis(
            net, f"labels:{target}", picture, thresholds=(STEPS,), show_image=False, progress=False
        )

    return STEPS / clock.of(render_all)


def _times(step: Callable[[], object]) -> None:
    for _ in range(STEPS):
        step()


def _bare(engine: Engine, targets: Sequence[int]) -> Callable[[], object]:
    net = frozen(engine.model, torch.channels_last, engine)
    x = torch.cat([engine.prepare(np.full((256, 256, 3), 128, np.uint8))] * len(targets))
    x = x.contiguous(memory_format=torch.channels_last)
    rows = torch.arange(len(targets))

    def step() -> object:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(net(leaf)[rows, list(targets)].sum(), leaf)

    return step


def _sheet(found: Sequence[Synthesis], path: Path, columns: int = 5) -> None:
    """All pictures with their names under them."""
    height, width = found[0].picture.shape[:2]
    rows = -(-len(found) // columns)
    paper = Image.new("RGB", (columns * (width + 8), rows * (height + 22)), "white")
    pen = ImageDraw.Draw(paper)
    for number, one in enumerate(found):
        top, left = number // columns * (height + 22), number % columns * (width + 8)
        paper.paste(Image.fromarray(one.picture), (left, top))
        share = "" if np.isnan(one.probability) else f"  {one.probability:.3f}"
        pen.text((left, top + height + 4), f"{one.target_name}  {one.score:.1f}{share}", fill="black")
    paper.save(path)
    print(path)


if __name__ == "__main__":
    main()
