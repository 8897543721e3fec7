"""Whole occlusion maps, one dragged patch, the first call: beside captum and beside the network in plain batches.

python tests/benchmarks/occlusion.py [--networks NAME ...] [--rows 3]   maps, then one dragged patch
python tests/benchmarks/occlusion.py --zoo                              the first call on torchvision's classifiers
python tests/benchmarks/occlusion.py --memory                           memory, as stated and as measured

Patch 16, stride 8, wall clock. Bundled networks have their weights, others random ones. All contenders start from the
same picture, another one in each round, and run in turn in one process; before that, they must agree. README.md says
what the columns mean.
"""

from __future__ import annotations

import argparse
import copy
import gc
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from occlusion_memory import print_memory
from occlusion_peers import PATCH, Places, averaged, captum, ours, plain
from stopwatch import LAYOUTS, Bare, Clock, fastest, frozen, pictures
from torch import nn
from zoo import parameters, random_network

from cnnviz_widgets import Engine
from cnnviz_widgets.engine.incremental import Sweep
from cnnviz_widgets.methods.occluders import Occluder
from cnnviz_widgets.models import BUNDLED, Preprocessing

# how many times faster the map has to be than captum at its best and than plain batches, and the stretch for captum
MAPS: dict[str, tuple[float, float | None, float]] = {
    "squeezenet1_1": (10, 5.5, 13),
    "vgg16": (13, 12, 16),
    "googlenet": (6, 3.5, 8),
    "mobilenet_v2": (5.5, 4.5, 7),
    "resnet18": (4.5, 3.8, 5.5),
    "resnet50": (3.5, 3, 4.5),
    "alexnet": (3.8, 3, 5),
    "densenet121": (2.3, None, 3),
}
# one dragged patch: milliseconds, or how many times faster than a full pass on a slower machine
DRAG: dict[str, tuple[float, float]] = {"squeezenet1_1": (8, 3.5), "vgg16": (80, 5)}
SLOWEST = 1.05  # of plain batches, for any network, tracing included
TOLERANCE = 1e-4  # of the spread of the scores over the places

Call = Callable[[], object]


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="of torchvision; by default those with a target")
    parser.add_argument("--rows", type=int, help="so many rows of the map, evenly spread, for all; by default all 27")
    parser.add_argument("--repeats", type=int, default=5, help="medians of so many")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--device")
    parser.add_argument("--zoo", action="store_true", help="the first call, on all of torchvision's classifiers")
    parser.add_argument(
        "--most", type=float, default=100, help="with --zoo: leave out those of more million parameters"
    )
    parser.add_argument("--memory", action="store_true", help="memory instead of time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, PyTorch {torch.__version__}, medians of {options.repeats}\n", flush=True)
    if options.zoo:
        known = torchvision.models.list_models(module=torchvision.models)
        print_zoo(sorted(options.networks or known, key=parameters), options)
    elif options.memory:
        print_memory({n: partial(engine_of, n, options.device) for n in options.networks or ("squeezenet1_1", "vgg16")})
    else:
        print_maps(options.networks or list(MAPS), options)
        print_drag(options.networks or list(DRAG), options)


# --- maps -------------------------------------------------------------------------------------------------------------


def print_maps(networks: list[str], options: argparse.Namespace) -> None:
    """The table of maps: milliseconds a place, and how many times slower the others are."""
    heads = ("network", "ours", "captum", "captum nhwc", "captum default", "plain nhwc")
    ratios = ("captum / ours", "captum nhwc", "captum default", "plain")
    print_head(*heads, *ratios, "map, s", "first 32, ms", "of plain", "differs")
    for name in networks:
        print_row(name, *network_row(name, options))


def network_row(name: str, options: argparse.Namespace) -> list[str]:
    """The cells of one network."""
    engine = engine_of(name, options.device)
    clock = Clock(engine.device)
    known = next(pictures())
    places, whole = (Places.of(Occluder.of(engine, known, PATCH), rows) for rows in (options.rows, None))
    few = Places.of(Occluder.of(engine, known, PATCH), 2)
    nets = {layout: frozen(engine.model, form, engine) for layout, form in LAYOUTS.items()}
    tuned = {
        "captum": tune(partial(captum, nets["nchw"], engine, known, few), sizes(engine), clock),
        "captum nhwc": tune(partial(captum, nets["nhwc"], engine, known, few), sizes(engine), clock),
        "plain": tune(partial(plain, nets["nhwc"], engine, known, few), sizes(engine)[1:], clock),
    }
    differs = check(engine, nets)

    def contenders(picture: object) -> dict[str, Call]:
        calls: dict[str, Call] = {"ours": partial(ours, engine, picture, places)}
        for label, layout in (("captum", "nchw"), ("captum nhwc", "nhwc")):
            calls[label] = partial(captum, nets[layout], engine, picture, places, tuned[label])
        if tuned["captum"] != 1:  # else the best setting is the default
            calls["default"] = partial(captum, nets["nchw"], engine, picture, places, 1)
        calls["plain"] = partial(plain, nets["nhwc"], engine, picture, places, tuned["plain"])
        return calls

    times = rounds(contenders, options.repeats, clock, start=1)
    times.setdefault("default", times["captum"])
    others = ("captum", "captum nhwc", "default", "plain")
    each = {label: float(np.median(seconds)) / len(places) * 1e3 for label, seconds in times.items()}
    ratio = {label: float(np.median(times[label] / times["ours"])) for label in others}
    over, under, stretch = MAPS.get(name, (None, None, None))
    first, share = first_call(engine, nets["nhwc"], tuned["plain"], options.repeats, clock)
    return [
        f"{each['ours']:.2f}",
        *(f"{each[label]:.1f} ({tuned.get(label, 1)})" for label in others),
        f"**{ratio['captum']:.1f}**" + (f" ({over:g}, stretch {stretch:g})" if over else ""),
        *(f"{ratio[label]:.1f}" for label in ("captum nhwc", "default")),
        f"**{ratio['plain']:.1f}**" + (f" ({under:g})" if under else ""),
        f"{each['ours'] * len(whole) / 1e3:.1f}",
        f"{first * 1e3:.0f}",
        f"{share:.0%}",
        f"{differs:.0e}",
    ]


def first_call(engine: Engine, net: nn.Module, batch: int, repeats: int, clock: Clock) -> tuple[float, float]:
    """Seconds of the very first call, tracing included, at 32 places; and its share of what plain batches take."""
    known = next(pictures())
    places = Places.few(Occluder.of(engine, known, PATCH))

    def contenders(picture: object) -> dict[str, Call]:
        fresh = Engine(
            copy.deepcopy(engine.model),
            device=engine.device,
            transform=engine.preprocessing,
            categories=engine.categories,
        )
        return {
            "ours": partial(ours, fresh, picture, places),
            "plain": partial(plain, net, engine, picture, places, batch),
        }

    times = rounds(contenders, repeats, clock)
    return float(np.median(times["ours"])), float(np.median(times["ours"] / times["plain"]))


def check(engine: Engine, nets: Mapping[str, nn.Module]) -> float:
    """The largest difference between us and the others, as a share of the spread over some of the places.

    Raises:
        SystemExit: it is more than `TOLERANCE` (or, where the network itself is less exact in float32 than that, than
            twice its own error), or the network computes with denormal numbers, which are slow.
    """
    picture = next(pictures())
    refuse_denormals(engine, picture)
    occluder = Occluder.of(engine, picture, PATCH)
    few = Places.few(occluder)
    _, scores = plain(nets["nhwc"], engine, picture, few, 8)
    _, truth = plain(copy.deepcopy(nets["nhwc"]).double(), engine, picture, few, 8)
    spread, error = float(np.ptp(truth)), float(np.abs(scores - truth).max())
    differs = float(np.abs(ours(engine, picture, few) - truth).max())
    row = Places.of(occluder, 1)
    base, scores = plain(nets["nhwc"], engine, picture, row, 8)
    theirs = captum(nets["nchw"], engine, picture, row, 8).cpu().numpy()
    side = (occluder.picture.shape[0], occluder.picture.shape[1])
    apart = float(np.nanmax(np.abs(averaged(base, scores, row, side) - theirs)))
    if max(differs, apart / 2) > max(TOLERANCE * spread, 2 * error):  # captum's map is a difference of two scores
        raise SystemExit(
            f"{engine.name}: of a spread of {spread:.1e}, float64 is {differs:.1e} from us and {error:.1e} from plain "
            f"batches, which are {apart:.1e} from captum; nothing is timed"
        )
    return differs / spread


def refuse_denormals(engine: Engine, picture: object) -> None:
    """Stop when a random network has values so small that they are computed many times slower."""
    x = engine.prepare(picture)  # type: ignore[arg-type]
    tiny = torch.finfo(x.dtype).tiny
    layers = [name for name, layer in engine.layers_for(x).items() if layer.shape]
    shares = engine.measure(x, layers, lambda t: float(((t != 0) & (t.abs() < tiny)).float().mean()))
    worst = max(shares, key=lambda layer: shares[layer])
    if shares[worst] > 0.01:
        raise SystemExit(f"{engine.name}: {shares[worst]:.0%} of {worst}'s values are denormal; nothing is timed")


# --- one dragged patch ------------------------------------------------------------------------------------------------


def print_drag(networks: list[str], options: argparse.Namespace) -> None:
    """The table of one dragged patch: all class scores at a place where it never was, the picture known."""
    print()
    print_head("network", "patch", "ours, ms", "full nchw, ms", "full nhwc, ms", "nchw / ours", "nhwc / ours")
    for name in networks:
        engine = engine_of(name, options.device)
        for patch in (16, 32):
            print_row(name, str(patch), *drag_row(engine, name, patch, 4 * options.repeats))


def drag_row(engine: Engine, name: str, patch: int, repeats: int) -> list[str]:
    """The cells of one network and patch."""
    clock, bare = Clock(engine.device), Bare(engine)
    occluder = Occluder.of(engine, next(pictures()), patch)
    corners = np.random.default_rng(patch).integers(0, 224 - patch, (repeats + 3, 2)).tolist()
    found = []
    for top, left in corners:
        sweep = occluder.sweep([top], [left])
        covered = sweep.pictures(top, [left])
        calls: dict[str, Call] = {layout: partial(bare.forward, layout, covered) for layout in LAYOUTS}
        calls["ours"] = partial(one_place, engine, sweep)
        found.append({label: clock.of(call) for label, call in calls.items()})
    times = {label: np.array([one[label] for one in found[3:]]) for label in found[0]}  # the first warm up
    ms = {label: float(np.median(seconds)) * 1e3 for label, seconds in times.items()}
    ratio = {layout: float(np.median(times[layout] / times["ours"])) for layout in LAYOUTS}
    most, least = DRAG.get(name, (None, None))
    return [
        f"**{ms['ours']:.1f}**" + (f" ({most:g})" if most else ""),
        *(f"{ms[layout]:.1f}" for layout in LAYOUTS),
        f"**{ratio['nchw']:.1f}**" + (f" ({least:g})" if least else ""),
        f"{ratio['nhwc']:.1f}",
    ]


def one_place(engine: Engine, sweep: Sweep) -> object:
    """All class scores with the patch at one place."""
    return list(engine.incremental.rows(sweep, None))


# --- every classifier -------------------------------------------------------------------------------------------------


def print_zoo(networks: list[str], options: argparse.Namespace) -> None:
    """The table of first calls, and the slowest of them."""
    print_head("network", "M parameters", "input", "ours, ms", "plain nhwc, ms", "ours / plain", "skipped", "why not")
    shares: dict[str, float] = {}
    for name in networks:
        if parameters(name) > options.most:
            continue
        side = torchvision.models.get_model_weights(name)["DEFAULT"].transforms().crop_size[0]
        try:
            engine = engine_of(name, options.device, side)
            known, clock = next(pictures()), Clock(engine.device)
            net = frozen(engine.model, torch.channels_last, engine)
            places = Places.few(Occluder.of(engine, known, PATCH))
            batch = tune(partial(plain, net, engine, known, places), sizes(engine), clock)
            first, shares[name] = first_call(engine, net, batch, options.repeats, clock)
            ours(engine, known, places)
            report = engine.incremental.report()
            cells = [f"{first * 1e3:.0f}", f"{first / shares[name] * 1e3:.0f} ({batch})", f"{shares[name]:.0%}"]
            cells += ["-" if report.why_not else f"{report.skipped:.0%}", report.why_not]
        except Exception as error:  # the next network goes on
            traceback.print_exc(file=sys.stderr)
            cells = [f"**{type(error).__name__}**", *"----"]
        print_row(name, f"{parameters(name):.1f}", str(side), *cells)
        gc.collect()
    if shares:
        worst = max(shares, key=lambda name: shares[name])
        slow = [name for name, share in shares.items() if share > SLOWEST]
        print(f"\nslowest: {worst}, {shares[worst]:.0%} of plain; more than {SLOWEST:.0%}: {', '.join(slow) or 'none'}")
    left_out = [name for name in networks if parameters(name) > options.most]
    print(f"left out: {', '.join(left_out) or 'none'}")


# --- helpers ----------------------------------------------------------------------------------------------------------


def engine_of(name: str, device: str | None, side: int = 224) -> Engine:
    """A bundled network with its weights; any other with random ones whose activations neither grow nor die."""
    torch.backends.cudnn.allow_tf32 = False  # the engine computes in full float32, so the others must too
    if name in BUNDLED:
        return Engine(name, device=device)
    network = random_network(name, side).to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Engine(network, device=device, transform=Preprocessing(resize=side * 8 // 7, crop=side))


def sizes(engine: Engine) -> tuple[int, ...]:
    """Batches worth trying; 1, captum's default, first."""
    return (1, 8, 32, 128, 512) if engine.device.type == "cuda" else (1, 8, 32)


def tune(call: Callable[[int], object], batches: tuple[int, ...], clock: Clock) -> int:
    """The batch with which it is fastest."""
    call(batches[0])
    return int(fastest({str(batch): partial(call, batch) for batch in batches}, clock))


def rounds(
    contenders: Callable[[Any], Mapping[str, Call]], repeats: int, clock: Clock, start: int = 0
) -> dict[str, NDArray[np.float64]]:
    """Seconds (repeats,) of each contender, all in turn, with another picture each time."""
    found = [
        {label: clock.of(call) for label, call in contenders(picture).items()}
        for picture in islice(pictures(start), repeats)
    ]
    return {label: np.array([one[label] for one in found]) for label in found[0]}


def print_head(*cells: str) -> None:
    """The first two lines of a table."""
    print_row(*cells)
    print(f"|{'---|' * len(cells)}", flush=True)


def print_row(*cells: str) -> None:
    """A line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
