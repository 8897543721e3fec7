"""One run of the network that keeps what chosen layers put out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Run:
    """What one forward pass gave: class scores (N, classes) and the tensors that were asked for, by layer name."""

    scores: Tensor
    outputs: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)


def run(twin: nn.Module, x: Tensor, outputs: Sequence[str] = (), inputs: Sequence[str] = ()) -> Run:
    """Run a stand-in of the network (see `shadow`) on `x` and keep outputs and inputs of layers.

    A kept tensor is what the layer put out, also when an in-place operation follows: the network goes on with a copy of
    it. With gradients on, the kept tensor lies on the path from input to score, so gradients with respect to it are
    right. A layer that runs several times in a pass (a shared ReLU) gives its last call; ``"name#1"`` asks for the
    first. Inputs are named likewise.

    Without gradients they are copies, the caller's to write to and to train on.

    Raises:
        LookupError: there is no such layer, it did not run, or gave no tensor.
    """
    kept = Run(x)
    modules = dict(twin.named_modules())
    for name, calls in calls_of(outputs, modules).items():
        modules[name].register_forward_hook(_keeper(kept.outputs, calls))
    for name, calls in calls_of(inputs, modules).items():
        modules[name].register_forward_pre_hook(_input_keeper(kept.inputs, calls))
    kept.scores = scores_of(twin(x.clone()))  # some networks change their input in place
    for names, found, verb in ((outputs, kept.outputs, "gave"), (inputs, kept.inputs, "took")):
        missing = [name for name in names if name not in found]
        if missing:
            raise LookupError(
                f"layer {missing[0]!r} {verb} no tensor in this run; layers that do are listed in engine.layers"
            )
    return kept


def measure(twin: nn.Module, x: Tensor, layers: Sequence[str], look: Callable[[str, Tensor], None]) -> None:
    """Run a stand-in on `x` and let `look` see what each of the layers puts out, at the moment when it does.

    Nothing is kept or copied, and what an in-place operation does to the tensor comes after. Of a layer that runs
    several times its last call is seen last; ``"name#1"`` is its first alone.
    """
    modules = dict(twin.named_modules())
    for name, calls in calls_of(layers, modules).items():
        modules[name].register_forward_hook(_viewer(look, calls))
    twin(x.clone())


def scores_of(output: Any) -> Tensor:
    """The class scores (N, classes) in whatever a classifier returns.

    Raises:
        TypeError: there is no such tensor in it.
        ValueError: it holds maps, not scores.
    """
    found = output
    if isinstance(found, Mapping):
        found = found.get("logits", next(iter(found.values()), None))
    elif hasattr(found, "logits"):
        found = found.logits
    elif isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise TypeError(f"the network returned {type(output).__name__}, wanted class scores as a tensor (N, classes)")
    if found.ndim == 4 and found.shape[2:] == (1, 1):
        found = found.flatten(1)
    if found.ndim != 2:
        raise ValueError(
            f"the network returned a tensor of shape {tuple(found.shape)}, wanted class scores (N, classes); "
            "a network that ends in maps can be explained through a wrapper that reduces them to scores"
        )
    return found


def calls_of(names: Sequence[str], modules: Mapping[str, nn.Module]) -> dict[str, dict[int, str]]:
    """For each module that is meant: which of its calls are wanted, under which name."""
    wanted: dict[str, dict[int, str]] = {}
    for name in names:
        module, number = _call(name, modules)
        wanted.setdefault(module, {})[number] = name
    return wanted


def _counter(calls: Mapping[int, str]) -> Callable[[], list[str]]:
    """Called at each call of a module: the names under which this call is wanted."""
    count = 0

    def names() -> list[str]:
        nonlocal count
        count += 1
        return [calls[number] for number in (0, count) if number in calls]

    return names


def _viewer(look: Callable[[str, Tensor], None], calls: Mapping[int, str]) -> Any:
    wanted = _counter(calls)

    def hook(_module: nn.Module, _args: Any, output: Any) -> None:
        tensor = first_tensor(output)
        for name in wanted():
            if tensor is not None:
                look(name, tensor)

    return hook


def _keeper(store: dict[str, Tensor], calls: Mapping[int, str]) -> Any:
    wanted = _counter(calls)

    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        names = wanted()
        tensor = first_tensor(output)
        if not names or tensor is None:
            return None
        if not torch.is_grad_enabled():
            store.update({name: _own(tensor) for name in names})
            return None  # whatever happens to the network's own tensor, ours is another
        kept = tensor.clone()
        store.update(dict.fromkeys(names, kept))
        return with_first(output, kept.clone())

    return hook


def _input_keeper(store: dict[str, Tensor], calls: Mapping[int, str]) -> Any:
    wanted = _counter(calls)

    def hook(_module: nn.Module, args: Any) -> None:
        names = wanted()
        tensor = first_tensor(args)
        if names and tensor is not None:
            store.update({name: _own(tensor) for name in names})

    return hook


def _call(name: str, modules: Mapping[str, nn.Module]) -> tuple[str, int]:
    """The module that is meant, and which of its calls counted from 1; 0 for the last."""
    if name in modules:  # first, for a name may hold a "#" of its own
        return name, 0
    module, _, number = name.rpartition("#")
    if module not in modules or not number.isdecimal() or not int(number):
        raise LookupError(f"no layer {name!r} in this network; engine.layers lists them")
    return module, int(number)


def _own(tensor: Tensor) -> Tensor:
    """A copy without a past; an ordinary one also in inference mode, whose own nobody may write to or train on."""
    with torch.inference_mode(False):
        return tensor.detach().clone()


def first_tensor(value: Any) -> Tensor | None:
    """The tensor itself, or the first one of a tuple or list."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (tuple, list)):
        return next((item for item in value if isinstance(item, Tensor)), None)
    return None


def with_first(value: Any, replacement: Tensor) -> Any:
    """A value with another tensor in the place of its first."""
    if isinstance(value, Tensor):
        return replacement
    items = list(value)
    place = next(number for number, item in enumerate(items) if isinstance(item, Tensor))
    items[place] = replacement
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
