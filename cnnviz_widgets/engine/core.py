"""The engine: a network kept live, with the picture it sees, the classes it knows and everything inside it."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets.data import ImageLike, as_picture
from cnnviz_widgets.engine import device as devices
from cnnviz_widgets.engine.backward import Rule, Unpool, backward
from cnnviz_widgets.engine.batches import Batches
from cnnviz_widgets.engine.cache import Cache, key_of, state_of
from cnnviz_widgets.engine.capture import Run, measure, run, scores_of
from cnnviz_widgets.engine.fingerprint import fingerprint
from cnnviz_widgets.engine.incremental import Incremental
from cnnviz_widgets.engine.jobs import Worker, checkpoint
from cnnviz_widgets.engine.last_maps import find_last_maps
from cnnviz_widgets.engine.layers import Layer, Layers, tabulate
from cnnviz_widgets.engine.layout import Lasting, Layout
from cnnviz_widgets.engine.shadow import shadow, unwrap
from cnnviz_widgets.engine.targets import Objective, Score, Target, check_unit, class_names, find_class, make_objective
from cnnviz_widgets.models import Preprocessing, imagenet_categories, load
from cnnviz_widgets.results import Predictions, Unit

T = TypeVar("T")

# whose state is held, and which: see Engine.still
_held: ContextVar[tuple[Engine, Hashable] | None] = ContextVar("cnnviz_held", default=None)


@dataclass(frozen=True)
class Gradients:
    """What a backward pass gave, for N pictures: their scores (N,), the gradient at the input (N, C, H, W), and for
    each layer asked for its output and the gradient there, as (N, C, h, w) for maps. A layer that the score does not
    depend on is missing from `gradients`; an input that it does not depend on has zeros.
    """

    scores: Tensor
    input: Tensor | None
    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]

    def copy(self) -> Gradients:
        """The same in tensors of its own, to write into."""
        with torch.inference_mode(False):
            return Gradients(
                self.scores.clone(),
                None if self.input is None else self.input.clone(),
                {name: value.clone() for name, value in self.outputs.items()},
                {name: value.clone() for name, value in self.gradients.items()},
            )


class Engine:
    """A network to look into: give it a name or your own module, then pass it to every method and widget.

    The module stays yours. Every run goes through a stand-in that shares the weights and nothing else (see
    `engine.shadow`), so modes, hooks, gradients and settings are never touched, and what you train in another cell is
    seen by the next call.

    Args:
        model: ``"squeezenet1_1"`` (bundled, offline), ``"efficientnet_lite0"`` (extra), the name of any torchvision
            classifier (downloads its weights), or any `torch.nn.Module` that maps (N, C, H, W) to scores (N, classes).
        device: where to compute; by default cuda, else mps, else cpu. A module that lies elsewhere is not moved: a
            copy of its weights is, and is renewed when they change.
        transform: for your own module: what makes its input (C, H, W) from an RGB PIL picture (any torchvision
            transform or callable, or a `Preprocessing`). Left out, ImageNet's usual one is taken, with a warning.
        categories: for your own module: the names of its classes, or a dict from index to name.
        dtype: number type to compute in; by default the weights' own. ``torch.float64`` for checks.
        batch_size: pictures at once in long computations; chosen by device and free memory when left out.

    Raises:
        ValueError: unknown name or device, a transform without a way back, categories that do not fit.
        TypeError: `model` is neither a name nor a module.
        WeightsUnavailable: the weights of a named network are not here and cannot be downloaded.

    Example:
        >>> engine = Engine("squeezenet1_1")
        >>> grad_cam(engine, samples["cat"])
    """

    def __init__(
        self,
        model: str | nn.Module,
        *,
        device: str | torch.device | None = None,
        transform: Callable[[Image.Image], object] | None = None,
        categories: Sequence[str] | Mapping[int, str] | None = None,
        dtype: torch.dtype | None = None,
        batch_size: int | None = None,
    ) -> None:
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ValueError(f"dtype={dtype!r}; wanted a floating point type such as torch.float32 or torch.float64")
        self._batches = Batches(batch_size)
        self._assumed: list[str] = []
        if isinstance(model, str):
            network = load(model)
            self.model: nn.Module = network.module
            self.name = model
            transform = transform or network.preprocessing
            names: Sequence[str] | None = network.categories if categories is None else class_names(categories)
        elif isinstance(model, nn.Module):
            self.model, self.name = model, type(unwrap(model)).__name__
            names = None if categories is None else class_names(categories)
            if transform is None:
                self._assumed.append("transform (taken: ImageNet's, short side 256, centre 224, usual mean and std)")
        else:
            raise TypeError(
                f"model is {type(model).__name__}; wanted a name such as 'squeezenet1_1' or a torch.nn.Module"
            )
        self.preprocessing = Preprocessing.of(transform)
        self._network = unwrap(self.model)
        here, own_dtype = devices.home(self._network)
        shadow(self._network)  # what cannot be observed is refused here, not at the first picture
        self.device = devices.choose_device(device)
        self.dtype = dtype or own_dtype
        self._placement = devices.Placement(self.device, self.dtype)
        if device is None and devices.is_split(self._network):
            self.device, self._placement = here, None  # spread over several devices on purpose: leave it so
        self._layout = Layout(self.dtype)
        self._names = names
        self.cache = Cache()
        self.worker = Worker(f"cnnviz engine {self.name}")
        self.incremental = Incremental(self)
        weakref.finalize(self, self.worker.close)
        if categories is not None:
            self._count_classes()  # names that do not fit are refused here, not at the first picture
        if self._assumed:
            warnings.warn(
                f"Engine({self.name}) was given no {'; no '.join(self._assumed)}. If the network was trained on other "
                "input, everything shown is wrong: pass transform=",
                UserWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        """``Engine(squeezenet1_1 on cpu, float32)``."""
        return f"Engine({self.name} on {self.device}, {str(self.dtype).removeprefix('torch.')})"

    # --- pictures in, pictures out ------------------------------------------------------------------------------------

    def prepare(self, image: ImageLike) -> Tensor:
        """The network's input (1, C, H, W) for a picture, on the engine's device.

        Raises:
            ImageError: `image` is no picture (see `cnnviz_widgets.data.as_picture`).
        """
        tensor = self.preprocessing(as_picture(image))[None].to(self.dtype)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def assemble(self, pictures: Sequence[Tensor]) -> Tensor:
        """One batch (N, C, H, W) of pictures of one size: (C, H, W) as `preprocessing` makes them, or its `levels`."""
        batch = torch.stack(list(pictures))
        if batch.dtype == torch.uint8:
            batch = self.preprocessing.numbers(batch)
        if self.device.type == "cuda":
            return batch.pin_memory().to(self.device, self.dtype, non_blocking=True)
        return batch.to(self.device, self.dtype)

    def display(self, tensor: Tensor) -> NDArray[np.uint8]:
        """The inverse of `prepare`: the pixels (H, W, 3) that the network saw in an input (1, C, H, W) or (C, H, W)."""
        single = tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor
        if single.ndim != 3:
            raise ValueError(f"display takes one input (1, C, H, W) or (C, H, W), not {tuple(tensor.shape)}")
        return self.preprocessing.inverse(single)

    # --- classes ------------------------------------------------------------------------------------------------------

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the classes, one for each output."""
        if self._names is not None:
            return tuple(self._names)
        count = self._classes()
        names = imagenet_categories()
        return names if count == len(names) else tuple(f"class {n}" for n in range(count))

    def scores(self, images: ImageLike | Sequence[ImageLike]) -> NDArray[np.float32]:
        """Class scores (logits) of one picture or several: (N, classes), N = 1 for one."""
        return self.logits(self._prepare_all(images)).float().cpu().numpy()

    def predict(self, image: ImageLike, top: int = 5) -> Predictions:
        """The `top` most probable classes of a picture, best first; shows itself as bars.

        Raises:
            ValueError: `top` is no number from 1 up, or the scores are NaN and nothing is the most probable.

        Example:
            >>> engine.predict(samples["cat"])
        """
        x = self.prepare(image)
        return self.ranked(x, self._single_scores(x), top)

    def ranked(self, x: Tensor, scores: Tensor, top: int = 5) -> Predictions:
        """`predict` for a prepared picture whose scores (1, classes) are there already.

        Raises:
            ValueError: as `predict` does.
        """
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
            raise ValueError(f"top={top!r}; wanted a whole number from 1 up")
        row = self._rankable(scores)
        categories = self.categories
        order = row.argsort(descending=True, stable=True)[: int(top)]
        indices = order.numpy()
        return Predictions(
            image=self.display(x),
            method="predict",
            target=None,
            parameters={"top": int(top)},
            names=tuple(categories[n] for n in indices),
            probabilities=row.softmax(0)[order].float().numpy(),
            scores=row[order].float().numpy(),
            indices=indices,
        )

    def objective(
        self,
        x: Tensor,
        target: Target | None = None,
        against: Target | None = None,
        score: Score = "logit",
    ) -> Objective:
        """What a method explains, checked and named: the class or unit `target`, minus `against` for a contrast.

        Args:
            x: the prepared picture; its most probable class is the target when none is given.
            target: class index, class name, or `Unit`.
            against: the second of a contrast, likewise.
            score: ``"logit"``, ``"probability"`` or ``"log_probability"``, for classes.

        Raises:
            KeyError, IndexError: no such class, layer or channel; near names are suggested.
            ValueError: a contrast of something with itself, or no target where the scores are NaN.
        """
        wanted = (
            int(self._rankable(self._single_scores(x)).argmax()) if target is None else self.check_target(target, x)
        )
        second = None if against is None else self.check_target(against, x)
        units = isinstance(wanted, Unit) or isinstance(second, Unit)
        return make_objective(wanted, second, score, self.layers_for(x) if units else None, self.categories)

    def check_target(self, target: Target, x: Tensor | None = None) -> int | Unit:
        """A target as every method would take it: a class's index, or a `Unit` that the network has for inputs like
        `x`, of usual size when left out.

        Raises:
            KeyError, IndexError: no such class, layer or channel; near names are suggested.
            TypeError: neither a class nor a unit.
        """
        if isinstance(target, Unit):
            return check_unit(target, (self.layers if x is None else self.layers_for(x))[target.layer])
        return find_class(target, self.categories)

    @property
    def state(self) -> Hashable:
        """A value that changes whenever the network could compute something else: trained, replaced, hooked."""
        held = _held.get()
        return held[1] if held is not None and held[0] is self else state_of(self._network)

    @property
    def fingerprint(self) -> str:
        """A short text that is the same for the same network on any machine: its weights, modules, preprocessing."""
        return self.remember(("fingerprint",), lambda: fingerprint(self))

    @contextmanager
    def still(self, state: Hashable = None) -> Iterator[None]:
        """Within, in this thread, the network counts as unchanged: its state is looked at once instead of many times.

        For one call of a method, whose answers are then all of one state; for the pictures of a camera, `state` may be
        one that was looked at a moment ago.
        """
        token = _held.set((self, self.state if state is None else state))
        try:
            yield
        finally:
            _held.reset(token)

    # --- the inside ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> Layers:
        """The table of all layers: name, kind, output shape, parameters, receptive field; for a picture of usual
        size."""
        return self.layers_for(self.prepare(Image.new("RGB", (256, 256), (124, 116, 104))))

    def layers_for(self, x: Tensor) -> Layers:
        """The table of layers for inputs of the shape of `x` (N, C, H, W)."""
        one = x[:1].detach()
        return self.remember(("layers", tuple(one.shape)), lambda: self._tabulate(one))

    def capture(self, image: ImageLike | Sequence[ImageLike], layers: str | Sequence[str]) -> dict[str, Tensor]:
        """What layers put out for a picture (or several): by name, (N, C, h, w) for maps, as the layer gave it.

        ``"name#1"`` is the first call of a layer that runs several times in a pass; the bare name is the last.

        Raises:
            KeyError: no such layer; near names are suggested.

        Example:
            >>> engine.capture(samples["cat"], "features.12")["features.12"].shape
            torch.Size([1, 512, 13, 13])
        """
        names = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else [layers]
        return self.outputs(self._prepare_all(image), names)

    def outputs(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """`capture` for prepared inputs."""
        table = self.layers_for(x)
        axes = {name: self._captured(table, name).axes for name in layers}
        kept = self.run(x, layers)
        return {name: _permuted(kept.outputs[name], axes[name]) for name in layers}

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The user's own modules by name; for reading their weights and settings."""
        return dict(self._network.named_modules())

    def run(self, x: Tensor, outputs: Sequence[str] = (), inputs: Sequence[str] = ()) -> Run:
        """One forward pass of prepared inputs that keeps outputs and inputs of layers, beside the scores; no gradient.

        Kept tensors are as the layers gave them; `capture` is the same for pictures, with maps as (N, C, h, w). A job
        can be stopped before each pass.
        """
        checkpoint()
        with torch.inference_mode(), devices.exact(self.device):
            return self._named(self._layout.run(x, lambda x: run(self._twin(), x, outputs, inputs)))

    def scorer(self, lasting: Lasting | None = None) -> Callable[[Callable[[], Tensor]], Tensor]:
        """What gives the scores (N, classes) of inputs that a function makes, for many calls while nothing is trained.

        As `run(x).scores`, but one stand-in serves all calls (`lasting`, of this network as it is, or a fresh one), and
        inputs are not copied: some networks write over theirs, so the function is called again should that be needed.
        """
        twin = lasting or self._lasting()

        def scores(make: Callable[[], Tensor]) -> Tensor:
            checkpoint()
            with torch.inference_mode(), devices.exact(self.device):
                return twin.run(make, lambda net, x: scores_of(net(x)))

        return scores

    def last_maps(self, x: Tensor, before: str | None = None) -> str:
        """The name of the last layer that still has a spatial extent, found by running the network on `x`.

        The classifier is left out: SqueezeNet's class maps have an extent too, but they are its scores, not what it
        scores. Of several layers that pass on the same maps it is the first that runs once.

        Args:
            x: a prepared picture.
            before: look only at what finished before this layer began to (for a unit of that layer).

        Raises:
            ValueError: the network has no such layer.
        """
        found = find_last_maps(self.layers_for(x), self._classes(), before)
        if found is None:
            raise ValueError(
                f"{self.name} has no layer with a spatial extent{'' if before is None else f' before {before!r}'} for "
                f"an input of {x.shape[-2]}x{x.shape[-1]}; pixel attributions (saliency) need none"
            )
        return found

    def logits(self, x: Tensor) -> Tensor:
        """Scores (N, classes) of prepared inputs, in batches that fit in memory; no gradient."""
        return torch.cat(self.in_batches(x, lambda part: self.run(part).scores))

    def values(self, x: Tensor, objective: Objective) -> Tensor:
        """The objective (N,) of prepared inputs, in batches that fit in memory; no gradient."""
        return torch.cat(self.in_batches(x, lambda part: objective(self.run(part, objective.layers))))

    def gradients(
        self,
        x: Tensor,
        objective: Objective,
        layers: Sequence[str] = (),
        *,
        rule: Rule = "gradient",
        unpool: Unpool = "gradient",
        at_input: bool = True,
    ) -> Gradients:
        """Run prepared inputs forward and their score back: gradients at the input and at `layers`, under a rule.

        Nobody's `.grad` is written. The rules are those of `engine.backward`.

        Raises:
            NoRuleError: the rule cannot be right on this network.
            LookupError: a layer did not run.
        """
        names = tuple(dict.fromkeys(layers))
        table = self.layers_for(x) if names else {}
        axes = {name: self._captured(table, name).axes for name in names}

        def both_ways(x: Tensor) -> tuple[Run, Tensor, list[Tensor | None]]:
            # a fresh tensor: the caller's is never made to require a gradient, and inference tensors cannot
            leaf = x.detach().clone().requires_grad_()
            kept = self._named(run(self._twin(), leaf, list(dict.fromkeys((*names, *objective.layers)))))
            scores = objective(kept)
            wanted = [*([leaf] if at_input else []), *(kept.outputs[name] for name in names)]
            return kept, scores, backward(scores, wanted, rule, unpool)

        def compute() -> Gradients:
            checkpoint()
            with torch.inference_mode(False), torch.enable_grad(), devices.exact(self.device):
                kept, scores, found = self._layout.run(x, both_ways)
            first = found.pop(0) if at_input else None
            return Gradients(
                scores.detach(),
                torch.zeros_like(x) if at_input and first is None else first,
                {name: _permuted(kept.outputs[name].detach(), axes[name]) for name in names},
                {
                    name: _permuted(value, axes[name])
                    for name, value in zip(names, found, strict=True)
                    if value is not None
                },
            )

        if len(x) > 1:
            return compute()
        return self.remember(("gradients", key_of(x), objective, names, rule, unpool, at_input), compute).copy()

    def measure(self, x: Tensor, layers: Sequence[str], function: Callable[[Tensor], T]) -> dict[str, T]:
        """`function` of what each layer puts out for prepared inputs, (N, C, h, w) for maps; one pass, nothing kept.

        For figures of many layers at once, whose outputs together need not fit in memory. The function must not keep or
        change its tensor.
        """
        checkpoint()
        table = self.layers_for(x)
        axes = {name: self._captured(table, name).axes for name in layers}
        found: dict[str, T] = {}

        def look(name: str, tensor: Tensor) -> None:
            found[name] = function(_permuted(tensor, axes[name]))

        with torch.inference_mode(), devices.exact(self.device):
            self._layout.run(x, lambda x: measure(self._twin(), x, tuple(layers), look))
        return {name: found[name] for name in layers}

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `key`, computed once for each state of the network and kept while the cache has room.

        The value is shared by all who ask: nobody may write into it. `engine.cache.key_of` makes a key of an input.
        """
        return self.cache.get(self.state, key, compute)

    def recall(self, key: Hashable) -> object | None:
        """What `remember` would give for `key` without computing anything; None where it would have to."""
        return self.cache.recall(self.state, key)

    def learn(self, x: Tensor, scores: Tensor) -> None:
        """Remember the scores (1, classes) that a pass elsewhere gave for a prepared picture; saves a pass of our own.

        Raises:
            ValueError: not as many as there are names of classes.
        """
        self._check_count(scores)
        self.remember(("scores", key_of(x)), lambda: scores)
        self.remember(("classes",), lambda: scores.shape[1])

    # --- batches and memory -------------------------------------------------------------------------------------------

    def batch_size(self, x: Tensor) -> int:
        """How many inputs like `x` go through the network at once."""

        def bytes_for_one() -> int:
            rows = self.layers_for(x).values()
            return 4 * sum(int(np.prod(row.shape)) * row.calls for row in rows if row.shape) * self.dtype.itemsize

        return self._batches.size(self.device, bytes_for_one)

    def in_batches(self, items: Tensor, compute: Callable[[Tensor], T], like: Tensor | None = None) -> list[T]:
        """`compute` on parts of `items` (N, ...) that fit in memory; what it gave, part by part.

        A job can be stopped between two parts and reports each. Out of memory, the part is halved and the engine
        remembers the smaller size.

        Args:
            items: prepared inputs, or numbers or weights from which `compute` makes them.
            compute: must have no effect when it raises.
            like: an input such as `compute` makes; `items` itself when left out.
        """
        return self._batches.over(items, compute, lambda: self.batch_size(items if like is None else like))

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _prepare_all(self, images: ImageLike | Sequence[ImageLike]) -> Tensor:
        """One batch (N, C, H, W) of one picture or several."""
        many: Sequence[ImageLike] = images if isinstance(images, (list, tuple)) else [cast(ImageLike, images)]
        if not many:
            raise ValueError("no picture at all was given; give one or more")
        tensors = [self.prepare(image) for image in many]
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(shapes) > 1:
            raise ValueError(
                f"after the transform the pictures differ in shape: {sorted(shapes)}; give them one by one"
            )
        return torch.cat(tensors)

    def _twin(self) -> nn.Module:
        """The stand-in for one run; of copied weights where the module lies elsewhere, also when it was moved since."""
        if self._placement is None or devices.lies_at(self._network, self.device, self.dtype):
            return shadow(self._network)
        return shadow(self._network, self._placement.at(self.state))

    def _lasting(self) -> Lasting:
        """The stand-in for several runs."""
        return Lasting(self._twin, self._layout)

    def _single_scores(self, x: Tensor) -> Tensor:
        return self.remember(("scores", key_of(x)), lambda: self.logits(x))

    def _rankable(self, scores: Tensor) -> Tensor:
        """The scores (classes,) of one picture, once it is clear that they can be ranked."""
        row = scores[0].cpu().double()  # not every device has double precision
        if row.softmax(0).isnan().any():
            raise ValueError(
                f"the scores of {self.name} for this picture are not all numbers ({_some(row)}), so no class is the "
                "most probable; look for NaN or infinity in its weights, and in engine.capture of its layers"
            )
        return row

    def _named(self, kept: Run) -> Run:
        """A run whose scores are as many as the names of classes, if names were given."""
        self._check_count(kept.scores)
        return kept

    def _check_count(self, scores: Tensor) -> None:
        count = scores.shape[1]
        if self._names is not None and count != len(self._names):
            raise ValueError(f"{len(self._names)} categories for a network of {count} outputs; give one name for each")

    def _tabulate(self, x: Tensor) -> Layers:
        checkpoint()
        with devices.exact(self.device):
            return tabulate(self._twin(), x.clone(memory_format=torch.contiguous_format), self.name)

    def _captured(self, table: Mapping[str, Layer], name: str) -> Layer:
        row = table[name]
        if not row.shape:
            raise LookupError(f"layer {name!r} of {self.name} cannot be captured: it {row.note or 'gives no tensor'}")
        return row

    def _classes(self) -> int:
        return self.remember(("classes",), self._count_classes)  # asked again when the network changes: a new head

    def _count_classes(self) -> int:
        return self._single_scores(self.prepare(Image.new("RGB", (256, 256), (124, 116, 104)))).shape[1]


def _permuted(tensor: Tensor, axes: Sequence[int] | None) -> Tensor:
    return tensor.permute(*axes) if axes else tensor


def _some(scores: Tensor) -> str:
    values = ", ".join(f"{value:g}" for value in scores[:3].tolist())
    return f"{values}, ..." if len(scores) > 3 else values
