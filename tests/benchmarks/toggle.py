"""What `SaliencyToggle` costs beside the method it calls and the network alone, in the kernel, no page attached.

python tests/benchmarks/toggle.py [--model squeezenet1_1] [--methods saliency grad_cam] [--seconds 8] [--device cpu]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from stopwatch import LAYOUTS, Bare, Clock, engine_of, fastest, in_turn, pictures

import cnnviz_widgets as cw
from cnnviz_widgets import Engine, SaliencyToggle

PATIENCE = 600  # seconds


def main() -> None:
    """Print the time from a choice to its map, beside the function's and the bare network's, and of going back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--methods", nargs="+", default=["saliency", "grad_cam"])
    parser.add_argument("--seconds", type=float, default=8, help="about so long for each method, 2 to 40 repetitions")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice when left out")
    parser.add_argument("--cpu-time", action="store_true", help="of this process, for a busy machine; use --threads 1")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    engine = engine_of(options.model, options.device)
    clock = Clock(engine.device, options.cpu_time)
    time = "CPU time" if options.cpu_time else "wall time"
    print(f"{options.model} on {engine.device}, {torch.get_num_threads()} threads, {time}, PyTorch {torch.__version__}")
    heads = ("toggle", "function", "bare", "over function", "over bare", "of bare", "back")
    print(f"{'milliseconds, medians':<22}" + "".join(f"{head:>14}" for head in heads))

    picture = next(pictures())
    toggle = SaliencyToggle(engine, picture)
    toggle.wait(PATIENCE)
    for number, name in enumerate(options.methods):
        rounds, bare = _rounds(engine, toggle, name, picture, clock, 1 + 300 * number)
        times = in_turn(rounds, options.seconds, clock) * 1e3
        back = np.median(in_turn(_back(toggle, name), 1, clock)) * 1e3
        whole, function, alone = np.median(times, 0)
        over, above = np.median(times[:, :1] - times[:, 1:], 0)
        cells = [f"{value:.1f}" for value in (whole, function, alone, over, above)]
        cells += [f"{above / alone:.0%}", f"{back:.1f}"]
        print(f"{name:<22}" + "".join(f"{cell:>14}" for cell in cells) + f"   bare {bare} ({len(times)} times)")


def _rounds(
    engine: Engine, toggle: SaliencyToggle, name: str, picture: Any, clock: Clock, first: int
) -> tuple[Iterator[Any], str]:
    """Each time two classes that were not asked for yet: one through the widget, one by the function; then bare."""
    method, bare, x = getattr(cw, name), Bare(engine), engine.prepare(picture)
    layer = method(engine, picture, 0).layer

    def alone(layout: str, target: int) -> object:
        if layer is None:
            return bare.backward(layout, x, target)
        return bare.backward_to(layout, x, target, layer)

    layout = fastest({key: partial(alone, key, 0) for key in LAYOUTS}, clock)
    toggle.method = name
    toggle.wait(PATIENCE)

    def rounds() -> Iterator[list[Callable[[], object]]]:
        for target in range(first, first + 298, 2):
            yield [
                partial(_choose, toggle, "target", target),
                partial(method, engine, picture, target + 1),
                partial(alone, layout, target),
            ]

    return rounds(), layout


def _back(toggle: SaliencyToggle, name: str) -> Iterator[list[Callable[[], object]]]:
    """From another method's map back to one that was computed."""
    other = "saliency" if name != "saliency" else "grad_cam"
    _choose(toggle, "method", other)
    while True:
        toggle.method = other
        toggle.wait(PATIENCE)
        yield [partial(_choose, toggle, "method", name)]


def _choose(toggle: SaliencyToggle, trait: str, value: object) -> None:
    setattr(toggle, trait, value)
    if toggle.wait(PATIENCE) is None:
        raise RuntimeError(f"the toggle shows nothing for {trait}={value!r}")


if __name__ == "__main__":
    main()
