"""Every layer of every classification network of torchvision, opened as LayerBrowser opens it, or the reason why not.

Prints a markdown table: for each network how many layers there are, how many `activations` opens (as maps, as vectors),
how many calls of shared layers besides, why the others cannot be opened, and how far the opened ones are from what a
plain forward pass with hooks that copy at once gives (as a share of the layer's largest value; the network runs once
in each memory layout, so the last digits differ).

python tests/benchmarks/layers.py [--networks NAME ...] [--most 150]
"""

from __future__ import annotations

import argparse
import copy
import gc
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import torch
import torchvision
from torch import Tensor, nn
from zoo import parameters, random_network

from cnnviz_widgets import Engine
from cnnviz_widgets.data import ImageLike, samples
from cnnviz_widgets.engine import Layer
from cnnviz_widgets.methods.activations import activations
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Activations

HEADS = ("network", "M parameters", "input", "layers", "as maps", "as vectors", "calls", "not opened", "differs", "s")
AT_ONCE = 2**28  # values of maps that are compared at once


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    known = torchvision.models.list_models(module=torchvision.models)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=known, choices=known, metavar="NAME", help="by default all")
    parser.add_argument(
        "--most", type=float, default=float("inf"), help="millions of parameters: leave larger ones out"
    )
    options = parser.parse_args(arguments)
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}", flush=True)
    left_out = []
    for name in sorted(options.networks, key=parameters):
        if parameters(name) > options.most:
            left_out.append(name)
            continue
        side = torchvision.models.get_model_weights(name)["DEFAULT"].transforms().crop_size[0]
        start = time.perf_counter()
        try:
            cells = row(random_network(name, side), side)
        except Exception as error:  # the next network goes on
            traceback.print_exc(file=sys.stderr)
            cells = [f"**{type(error).__name__}**", *"-----"]
        seconds = time.perf_counter() - start
        print(f"| {name} | {parameters(name):.1f} | {side} | {' | '.join(cells)} | {seconds:.1f} |", flush=True)
        gc.collect()
    if left_out:
        print(f"\nleft out: {', '.join(left_out)}")


def row(network: nn.Module, side: int) -> list[str]:
    """The cells of one network."""
    engine = Engine(network, transform=Preprocessing(resize=side, crop=side))
    picture = samples["cat"]
    x = engine.prepare(picture)
    table = engine.layers_for(x)
    refused: Counter[str] = Counter()
    able: list[Layer] = []
    for layer in table.values():
        if layer.shape:
            able.append(layer)
        else:
            try:
                activations(engine, picture, layer.name)
                refused["**opened without a shape**"] += 1
            except (LookupError, ValueError) as error:
                assert layer.note in str(error), error
                refused[layer.note] += 1
    calls = [table[f"{layer.name}#{n}"] for layer in able if layer.calls > 1 for n in range(1, layer.calls + 1)]
    worst, kinds = 0.0, Counter[str]()
    for part in _parts([*able, *calls]):
        expected = plain(network, x, [layer.name for layer in part])
        opened = open_all(engine, picture, part, refused)
        for layer in part:
            found = opened.get(layer.name)
            if found is None:
                continue
            if found.maps.shape != (*layer.shape, 1, 1)[:3]:
                refused[f"**wrong shape {found.maps.shape}**"] += 1
            reference = expected[layer.name]
            reference = reference.permute(*layer.axes)[0] if layer.axes else reference[0]
            distance = (torch.from_numpy(found.maps.copy()).view(reference.shape) - reference).abs().max()
            worst = max(worst, float(distance / reference.abs().max().clamp(min=1e-30)))
            kinds["call" if "#" in layer.name else "map" if layer.axes else "vector"] += 1
        engine.cache.clear()
    reasons = "; ".join(f"{count} {reason}" for reason, count in refused.most_common()) or "none"
    return [str(len(table)), *(str(kinds[kind]) for kind in ("map", "vector", "call")), reasons, f"{worst:.0e}"]


def open_all(
    engine: Engine, picture: ImageLike, layers: Sequence[Layer], refused: Counter[str]
) -> dict[str, Activations]:
    """The activations of layers, those that are maps or vectors in one pass, and the others' reasons."""
    able = [layer.name for layer in layers if layer.axes or int(torch.Size(layer.shape[1:]).numel()) == 1]
    found = activations(engine, picture, able)
    for layer in layers:
        if layer.name not in found:
            try:
                found[layer.name] = activations(engine, picture, layer.name)
            except (LookupError, ValueError) as error:
                refused[str(error).partition("not known (")[2].partition(")")[0] or str(error)[:80]] += 1
    return found


@torch.no_grad()
def plain(network: nn.Module, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """What layers put out in a plain forward pass, each copied in its hook, before anything else can change it."""
    network = copy.deepcopy(network)
    kept: dict[str, Tensor] = {}
    count: Counter[str] = Counter()

    def keeper(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            count[name] += 1
            tensor = output if isinstance(output, Tensor) else next(v for v in output if isinstance(v, Tensor))  # type: ignore[attr-defined]
            for key in (name, f"{name}#{count[name]}"):
                if key in names:
                    kept[key] = tensor.clone()

        return hook

    modules = dict(network.named_modules())
    for name in {name.partition("#")[0] for name in names}:
        modules[name].register_forward_hook(keeper(name))
    network(x)
    return kept


def _parts(layers: Sequence[Layer]) -> Iterator[list[Layer]]:
    """Layers whose values together fit well into memory."""
    part: list[Layer] = []
    held = 0
    for layer in layers:
        size = int(torch.Size(layer.shape).numel())
        if part and held + size > AT_ONCE:
            yield part
            part, held = [], 0
        part.append(layer)
        held += size
    if part:
        yield part


if __name__ == "__main__":
    main()
