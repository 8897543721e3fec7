"""Time of every method against captum's, or against the network alone where captum has none.

python tests/benchmarks/speed.py [--models squeezenet1_1 resnet18] [--methods saliency ...] [--seconds 8] [--device cpu]

Bundled networks have their weights, others random ones. README.md says what the columns mean. Both sides start from the
same PIL picture and the same `Engine.prepare`, and run in turn in one process.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Saliency,
)
from numpy.typing import NDArray
from profile_engine import print_parts
from stopwatch import LAYOUTS, Bare, Clock, engine_of, fastest, frozen, in_turn, pictures
from torch import Tensor, fx, nn

import cnnviz_widgets as cw
from cnnviz_widgets import Engine, Result

Peer: TypeAlias = Callable[[Tensor], Any]  # prepared picture -> what the method computes, in the network's channels

TARGET = 281  # tabby; given to both sides, so nobody has to classify first
STEPS, SAMPLES = 50, 25
SCORE_CAM_BATCH = 8

OURS: dict[str, Callable[[Engine, Any], Result]] = {
    "saliency": lambda engine, picture: cw.saliency(engine, picture, TARGET),
    "guided_backprop": lambda engine, picture: cw.guided_backprop(engine, picture, TARGET),
    "deconvnet": lambda engine, picture: cw.deconvnet(engine, picture, TARGET, unpool="gradient"),
    "grad_times_input": lambda engine, picture: cw.grad_times_input(engine, picture, TARGET),
    "integrated_gradients": lambda engine, picture: cw.integrated_gradients(engine, picture, TARGET, steps=STEPS),
    "smooth_grad": lambda engine, picture: cw.smooth_grad(engine, picture, TARGET, samples=SAMPLES),
    "grad_cam": lambda engine, picture: cw.grad_cam(engine, picture, TARGET),
    "grad_cam_plus_plus": lambda engine, picture: cw.grad_cam_plus_plus(engine, picture, TARGET),
    "layer_cam": lambda engine, picture: cw.layer_cam(engine, picture, TARGET),
    "cam": lambda engine, picture: cw.cam(engine, picture, TARGET),
    "score_cam": lambda engine, picture: cw.score_cam(engine, picture, TARGET),
}


def main() -> None:
    """Print, for each network, the table of methods, the overhead over the network alone, and where that goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["squeezenet1_1", "resnet18"])
    parser.add_argument("--methods", nargs="+", choices=OURS, default=list(OURS), metavar="METHOD")
    parser.add_argument("--seconds", type=float, default=8, help="about so long for each method, 2 to 40 repetitions")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice when left out")
    parser.add_argument("--cpu-time", action="store_true", help="of this process, for a busy machine; use --threads 1")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="captum")
    torch.set_num_threads(options.threads or torch.get_num_threads())
    for name in options.models:
        engine = engine_of(name, options.device)
        clock = Clock(engine.device, options.cpu_time)
        time = "CPU time" if options.cpu_time else "wall time"
        print(f"\n{name} on {engine.device}, {torch.get_num_threads()} threads, {time}, PyTorch {torch.__version__}")
        print_methods(engine, options.methods, options.seconds, clock)
        print_overheads(engine, options.seconds, clock)
        for method in ("saliency", "grad_cam"):
            print_parts(method, partial(OURS[method], engine), pictures(200), clock)


def print_methods(engine: Engine, methods: list[str], seconds: float, clock: Clock) -> None:
    """The table of methods."""
    heads = ("first", "next", "again", "theirs", "first/theirs", "next/theirs", "differs")
    print(f"{'milliseconds, medians':<22}" + "".join(f"{head:>13}" for head in heads) + "  theirs is")
    for name in methods:
        try:
            sample = OURS[name](engine, next(pictures()))
        except ValueError as error:
            print(f"{name:<22} {str(error):.100}")
            continue
        what, settings = _peers(engine, name, sample)
        x = engine.prepare(next(pictures()))
        best = fastest({key: partial(call, x) for key, call in settings.items()}, clock)
        times = in_turn(_rounds(engine, OURS[name], settings[best]), seconds, clock)
        ratios = np.median(times[:, [2, 0]] / times[:, 3:], 0)
        cells = [f"{value:.1f}" for value in np.median(times[:, [2, 0, 1, 3]] * 1e3, 0)]
        cells += [f"{ratio:.2f}" for ratio in ratios]
        cells.append(_difference(engine, sample, settings[best](x)) if what == "captum" else "")
        print(f"{name:<22}" + "".join(f"{cell:>13}" for cell in cells) + f"  {what} {best} ({len(times)} times)")


def print_overheads(engine: Engine, seconds: float, clock: Clock) -> None:
    """What saliency and grad_cam cost beside the picture's preparation and the bare forward and backward pass."""
    bare = Bare(engine)
    x = engine.prepare(next(pictures()))
    layer = cw.grad_cam(engine, next(pictures()), TARGET).layer or ""
    passes: dict[str, Callable[[str, Tensor], object]] = {
        "saliency": lambda layout, x: bare.backward(layout, x, TARGET),
        "grad_cam": lambda layout, x: bare.backward_to(layout, x, TARGET, layer),
    }
    print(f"{'milliseconds, medians':<22}{'whole':>13}{'prepare':>13}{'bare':>13}{'overhead':>13}{'of bare':>13}")
    for name, run in passes.items():
        layout = fastest({key: partial(run, key, x) for key in LAYOUTS}, clock)

        def rounds(name: str = name, run: Callable[..., object] = run, layout: str = layout) -> Iterator[Any]:
            for picture in pictures(100):
                x = engine.prepare(picture)
                yield (
                    partial(OURS[name], engine, picture),
                    partial(engine.prepare, picture),
                    partial(run, layout, x),
                )

        times = in_turn(rounds(), seconds, clock) * 1e3
        whole, prepare, alone = np.median(times, 0)
        over = np.median(times[:, 0] - times[:, 1] - times[:, 2])
        print(
            f"{name:<22}{whole:>13.1f}{prepare:>13.1f}{alone:>13.1f}{over:>13.1f}{over / alone:>12.0%}   bare {layout}"
        )


def _rounds(engine: Engine, ours: Callable[[Engine, Any], object], theirs: Peer) -> Iterator[Any]:
    """Each time another picture: by us, by us again, by us with nothing remembered any more, by them."""
    for picture in pictures():

        def first(picture: object = picture) -> object:
            engine.cache.clear()
            return ours(engine, picture)

        known = partial(ours, engine, picture)
        yield known, known, first, lambda picture=picture: theirs(engine.prepare(picture))


def _peers(engine: Engine, method: str, sample: Result) -> tuple[str, dict[str, Peer]]:
    """Who computes the same, and in which settings."""
    if method in ("cam", "score_cam", "grad_cam_plus_plus", "layer_cam"):
        return _bare_peers(engine, method, sample)
    settings: dict[str, Peer] = {}
    for layout, form in LAYOUTS.items():
        rules = method in ("guided_backprop", "deconvnet")
        net = frozen(unshared(engine.model) if rules else engine.model, form, engine)
        layer = None if rules or sample.layer is None else net.get_submodule(sample.layer)
        for batch, call in _captum(method, net, layer).items():
            settings[f"{layout}{batch}"] = lambda x, call=call, form=form: call(x.contiguous(memory_format=form))
    return "captum", settings


def _captum(method: str, net: nn.Module, layer: nn.Module | None) -> dict[str, Peer]:
    """Captum's attribution, in every batch size worth trying."""
    if method == "integrated_gradients":
        path = IntegratedGradients(net, multiply_by_inputs=True)
        return {
            f" batch {size}": partial(path.attribute, target=TARGET, n_steps=STEPS, internal_batch_size=size)
            for size in (1, 2, 4, 8, 16, STEPS)
        }
    if method == "smooth_grad":
        noise = NoiseTunnel(Saliency(net))
        return {
            f" batch {size}": lambda x, size=size: noise.attribute(
                x,
                nt_samples=SAMPLES,
                nt_samples_batch_size=size,
                stdevs=0.15 * float(x.max() - x.min()),
                target=TARGET,
                abs=False,
            )
            for size in (1, 2, 5, 9, SAMPLES)
        }
    if method == "grad_cam":
        assert layer is not None
        return {"": partial(LayerGradCam(net, layer).attribute, target=TARGET, relu_attributions=True)}
    if method == "saliency":
        return {"": partial(Saliency(net).attribute, target=TARGET, abs=False)}
    kinds = {"guided_backprop": GuidedBackprop, "deconvnet": Deconvolution, "grad_times_input": InputXGradient}
    return {"": partial(kinds[method](net).attribute, target=TARGET)}


def _bare_peers(engine: Engine, method: str, sample: Result) -> tuple[str, dict[str, Peer]]:
    """The least that the network itself must do for the method."""
    bare, layer = Bare(engine), sample.layer or ""
    if method == "cam":
        return "bare forward", {key: partial(bare.forward, key) for key in LAYOUTS}
    if method == "score_cam":
        count = 1 + engine.capture(sample.image, layer)[layer].shape[1]
        return f"{count} bare forwards", {
            key: lambda x, key=key: bare.forward(key, x.expand(count, -1, -1, -1), SCORE_CAM_BATCH) for key in LAYOUTS
        }
    return f"bare forward, and back to {layer}", {
        key: lambda x, key=key: bare.backward_to(key, x, TARGET, layer)[1] for key in LAYOUTS
    }


def unshared(model: nn.Module) -> fx.GraphModule:
    """The same network with a rectifier of its own, not in place, for every use: what captum's rules need."""
    graph = fx.symbolic_trace(model.eval())
    for number, node in enumerate(graph.graph.nodes):
        if node.op == "call_module" and isinstance(graph.get_submodule(str(node.target)), nn.ReLU):
            graph.add_submodule(f"rectifier_{number}", nn.ReLU())
            node.target = f"rectifier_{number}"
    graph.recompile()
    return graph


def _difference(engine: Engine, sample: Result, theirs: Tensor) -> str:
    """The largest difference of both sides' results for the same picture, as a share of the largest value."""
    if isinstance(sample, cw.PixelMap):
        ours: NDArray[np.floating] = sample.values
        other = engine.preprocessing.to_rgb(theirs)[0]
    else:
        assert isinstance(sample, cw.Heatmap)
        ours, other = sample.raw, theirs[0, 0]
    other = other.detach().cpu().numpy()
    return "(noise)" if sample.method == "smooth_grad" else f"{np.abs(ours - other).max() / np.abs(other).max():.0e}"


if __name__ == "__main__":
    main()
