"""Every method on every classification network of torchvision, with random weights: what works, what it takes.

Prints a markdown table: a row for each network with its parameters, the default layer, its size and receptive field
(rows x columns of the input), and for each method the seconds it took or why it does not apply. ``python
tests/benchmarks/zoo.py`` runs all networks one after another, each in memory alone; a network that fails is reported
and the next one goes on.

smooth_grad and integrated_gradients take --samples and --steps, and score_cam masks by the first few maps of a narrow
layer (--score-cam-maps), since all three repeat one forward pass.
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from cnnviz_widgets.data import ImageLike, samples
from cnnviz_widgets.engine import Engine, NoRuleError
from cnnviz_widgets.methods import backprop, cam
from cnnviz_widgets.methods.synthesis import dream, invert, maximize
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Heatmap, Synthesis

METHODS: tuple[str, ...] = (
    "saliency",
    "deconvnet",
    "guided_backprop",
    "grad_times_input",
    "smooth_grad",
    "integrated_gradients",
    "cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "layer_cam",
    "score_cam",
    "guided_grad_cam",
)
PICTURES: tuple[str, ...] = ("maximize", "dream", "invert")
_RANDOM = (
    "kaiming_uniform_",
    "kaiming_normal_",
    "xavier_uniform_",
    "xavier_normal_",
    "trunc_normal_",
    "normal_",
    "uniform_",
)


@contextmanager
def quick_weights(seed: int = 0) -> Iterator[None]:
    """Networks built inside get random weights of a sensible size in a fraction of the usual time.

    Every initialiser of torch.nn.init that draws numbers is replaced by one that repeats a short normal sample, with
    a variance of 2 / fan-in, so that a giant network takes no longer than it takes to write its memory. Matrices that
    would start at zero get them as well.
    """
    generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def fill(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 10_000
        sample = torch.randn(min(tensor.numel(), 2**20 - 3), generator=generator) * (2 / fan_in) ** 0.5
        flat = tensor.view(-1)
        for start in range(0, len(flat), len(sample)):
            part = flat[start : start + len(sample)]
            part.copy_(sample[: len(part)])
        return tensor

    with ExitStack() as stack:
        for name in _RANDOM:
            stack.enter_context(mock.patch.object(nn.init, name, fill))
        zeros = nn.init.zeros_
        # ViT's classifier starts with weights of zero, and every map of it would be zero, too
        stack.enter_context(mock.patch.object(nn.init, "zeros_", lambda t: fill(t) if t.ndim > 1 else zeros(t)))
        yield


def random_network(name: str, side: int = 64, **options: Any) -> nn.Module:
    """A network of torchvision with random weights, in eval mode, its batch norms settled on noise of `side` pixels."""
    if name.startswith("vit_"):
        options = {"image_size": side, **options}  # which its weights were made for, as its position embedding is
    with quick_weights(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network = torchvision.models.get_model(name, weights=None, **options).eval()
    settle(network, torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)))
    return network


@torch.no_grad()
def settle(network: nn.Module, x: Tensor) -> None:
    """Give every batch norm the statistics of `x`: without them signals grow or die in deep random networks."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    known = torchvision.models.list_models(module=torchvision.models)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=known, metavar="NAME", help="by default all of torchvision's")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        choices=(*METHODS, *PICTURES),
        metavar="NAME",
        help="by default all that give maps",
    )
    parser.add_argument(
        "--size", type=int, help="side of the input in pixels; by default what its weights were made for"
    )
    parser.add_argument("--samples", type=int, default=2, help="of smooth_grad")
    parser.add_argument("--steps", type=int, default=2, help="of integrated_gradients")
    parser.add_argument("--score-cam-maps", type=int, default=8, help="maps that score_cam masks by; 0 leaves it out")
    parser.add_argument(
        "--light-above",
        type=float,
        default=300,
        help="millions of parameters above which only "
        "saliency, grad_cam and cam are run (one forward and backward pass)",
    )
    parser.add_argument(
        "--most", type=float, default=float("inf"), help="millions of parameters: leave larger ones out"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no further network after that time")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.networks) - set(known))
    if unknown:
        parser.error(f"torchvision has no classifier called {', '.join(unknown)}")
    print(f"| network | M parameters | input | default layer | maps | field | {' | '.join(options.methods)} |")
    print("|" + "---|" * (6 + len(options.methods)), flush=True)
    begin, left_out = time.perf_counter(), []
    for name in sorted(options.networks, key=parameters):
        if parameters(name) > options.most or time.perf_counter() - begin > options.seconds:
            left_out.append(name)
            continue
        print(f"| {name} | {parameters(name):.1f} | {' | '.join(row(name, options))} |", flush=True)
        gc.collect()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{time.perf_counter() - begin:.0f} s in all, {peak:.1f} GiB at most, {torch.get_num_threads()} threads")
    if left_out:
        print(f"\nleft out: {', '.join(left_out)}")


def parameters(name: str) -> float:
    """Millions of parameters of a network, read from its published weights."""
    return torchvision.models.get_model_weights(name)["DEFAULT"].meta["num_params"] / 1e6


def row(name: str, options: argparse.Namespace) -> list[str]:
    """Input, default layer, its maps, its receptive field, and one cell for each method."""
    preset = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()
    side = options.size or preset.crop_size[0]
    methods = options.methods
    if parameters(name) > options.light_above:
        methods = [method for method in methods if method in ("saliency", "cam", "grad_cam")]
    try:
        engine = Engine(random_network(name, side), transform=Preprocessing(resize=side, crop=side))
        x = engine.prepare(samples["cat"])
        layer = engine.layers_for(x)[engine.last_maps(x)]
    except Exception as error:  # the next network goes on
        traceback.print_exc(file=sys.stderr)
        return [str(side), "-", "-", "-", *(_short(error) for _ in options.methods)]
    ready = calls(engine, samples["cat"], options.samples, options.steps, options.score_cam_maps)
    cells = [_cell(ready[method], side) if method in methods else "left out (size)" for method in options.methods]
    maps = " x ".join(map(str, layer.shape))
    return [str(side), layer.name, maps, str(layer.receptive_field or f"unknown: {layer.note}"), *cells]


def calls(engine: Engine, picture: ImageLike, samples: int, steps: int, maps: int) -> dict[str, Callable[[], Any]]:
    """Every method by name, ready to be called on a picture: the slow ones with so many samples, steps and maps."""
    more = {"smooth_grad": {"samples": samples}, "integrated_gradients": {"steps": steps}}
    found: dict[str, Callable[[], Any]] = {}
    for name in METHODS:
        method = getattr(cam, name) if name.endswith("cam") or "_cam_" in name else getattr(backprop, name)
        found[name] = partial(method, engine, picture, **more.get(name, {}))
    table = engine.layers_for(engine.prepare(picture)).in_order()
    rows = [row for row in table if row.spatial and row.calls == 1]
    fit = [row for row in rows if row.shape[0] <= maps]
    narrow = fit[-1] if fit else min(rows, key=lambda row: row.shape[0])
    found["score_cam"] = partial(_score_cam, engine, picture, narrow.name, maps)
    last = engine.last_maps(engine.prepare(picture))
    found["maximize"] = partial(maximize, engine, 7, steps=6)
    seen = engine.display(engine.prepare(picture))  # square, as some networks want it
    found["dream"] = partial(dream, engine, seen, last, octaves=1, steps=4)
    found["invert"] = partial(invert, engine, picture, last, steps=6)
    return found


def _score_cam(engine: Engine, picture: ImageLike, layer: str, most: int) -> Heatmap:
    """Score-CAM as it is, on the first `most` maps of a layer: time is proportional to their number."""
    whole = Engine.outputs

    def some(self: Engine, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {name: maps[:, :most] for name, maps in whole(self, x, layers).items()}

    if not most:
        raise _LeftOut("left out")
    with mock.patch.object(Engine, "outputs", some):
        return cam.score_cam(engine, picture, layer=layer)


class _LeftOut(Exception):
    pass


def _cell(call: Callable[[], Any], side: int) -> str:
    """Seconds of a call that gives a finite map of the input's size, or why it gives none."""
    start = time.perf_counter()
    try:
        result = call()
    except _LeftOut as reason:
        return str(reason)
    except Exception as error:
        return _short(error)
    seconds = time.perf_counter() - start
    if isinstance(result, Synthesis):
        finite = np.isfinite(result.trace).all() and np.isfinite(result.scores).all()
        return f"{seconds:.2f}" if finite else f"**wrong**: {result.trace}"
    values = torch.as_tensor(result.values.copy())
    if not values.isfinite().all() or tuple(values.shape[-2:]) != (side, side):
        return f"**wrong**: {tuple(values.shape)}, finite {bool(values.isfinite().all())}"
    return f"{seconds:.2f}{' (all zero)' if not values.any() else ''}"


def _short(error: Exception) -> str:
    if isinstance(error, NoRuleError):
        return "no rule: " + str(error).split("computes with ")[-1].split(",")[0]
    if isinstance(error, ValueError) and "global average pooling" in str(error):
        return "no such head"
    return f"**{type(error).__name__}**: {str(error)[:60]}".replace("|", "/").replace("\n", " ")


if __name__ == "__main__":
    main()
