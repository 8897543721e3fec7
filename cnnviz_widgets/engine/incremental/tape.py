"""One forward pass, operation by operation, so that another executor can run it for other pictures.

The tape is the network only where the pass did nothing that a list of operations cannot express. What could make it
another network (control flow that reads values, random numbers, memory written through one tensor and read through
another, code that torch does not see) is refused with the reason, never guessed. What Python alone decides (a clock,
`random.random()`) cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cnnviz_widgets.engine.capture import first_tensor, scores_of
from cnnviz_widgets.engine.incremental.node import Node, Ref
from cnnviz_widgets.engine.incremental.taping import Recorder, Refusal
from cnnviz_widgets.engine.incremental.unseen import Unseen

# modules of torch's own that take another path when their calls are watched
_WATCHFUL = frozenset((nn.MultiheadAttention, nn.TransformerEncoderLayer))

__all__ = ["Node", "Ref", "Tape", "record"]


@dataclass(frozen=True, eq=False)
class Tape:
    """The operations of one pass that depend on the picture, in order; some may lead nowhere.

    Sizes in arguments are those of a batch of 1, and a constant that meets a value of the picture (a class token) has a
    batch of 1. Weights are the network's own; what was computed from weights alone is as it was at the time.

    Attributes:
        nodes: the operations; empty where `why_not` says something.
        shape: of the picture, (1, C, H, W).
        output: the class scores (1, classes).
        layers: what each layer put out (of several tensors the first) by its name in ``engine.layers``, its calls as
            ``"name#1"``; the bare name is the last call. A layer that does not depend on the picture is not in it.
        why_not: why the tape cannot stand for the network; "" where it can.
    """

    nodes: tuple[Node, ...]
    shape: tuple[int, ...]
    output: Ref
    layers: dict[str, Ref] = field(default_factory=dict)
    why_not: str = ""

    def replay(self, x: Tensor) -> list[list[Tensor]]:
        """All outputs of all nodes for another picture (1, C, H, W); nothing is freed on the way.

        Raises:
            ValueError: a picture of another shape, or a tape that was refused.
        """
        if self.why_not:
            raise ValueError(f"this network has no tape: {self.why_not}")
        if tuple(x.shape) != self.shape:
            raise ValueError(f"got a picture of shape {tuple(x.shape)}, the tape was recorded with {self.shape}")
        values: list[list[Tensor]] = []
        with torch.inference_mode():
            for node in self.nodes:
                values.append(node.run(lambda ref: x if ref.node < 0 else values[ref.node][ref.output]))
        return values


def record(twin: nn.Module, x: Tensor) -> tuple[Tape, list[list[Tensor]]]:
    """Run a stand-in of the network (see `shadow`), which gets hooks and is used up, on `x` (1, C, H, W).

    Returns the tape and the outputs of every node in that very pass: what an operation put out, also where the
    network wrote over it later. Both are empty, and the tape says why, where the network cannot be recorded.

    Raises:
        ValueError: more than one picture; and whatever the network raises.

    Example:
        ``tape, values = record(shadow(net), x); scores = values[tape.output.node][tape.output.output]``
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ValueError(f"wanted one picture (1, C, H, W), got a tensor of shape {tuple(x.shape)}")
    layers: dict[str, Ref] = {}
    output: Ref | None = None
    with torch.inference_mode():
        picture = x.clone()  # some networks change their input in place
        recorder = Recorder(twin, picture)
        hooks = _note_layers(twin, recorder, layers)
        try:
            with recorder, Unseen(recorder):
                scores = recorder.read(scores_of(twin(picture)))
                if scores is None:
                    recorder.refuse("the class scores do not depend on the picture")
                output = scores
        except Refusal:
            pass
        finally:
            for hook in hooks:  # they hold the recorder and it the network: the values would wait for a collection
                hook.remove()
    if output is None:
        return Tape((), tuple(x.shape), Ref(-1), {}, recorder.why_not), []
    return Tape(recorder.nodes(), tuple(x.shape), output, layers), recorder.values


def _note_layers(twin: nn.Module, recorder: Recorder, layers: dict[str, Ref]) -> list[RemovableHandle]:
    calls: dict[str, int] = {}
    hooks: list[RemovableHandle] = []

    def note(name: str, module: nn.Module) -> None:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            tensor = first_tensor(output)
            ref = None if tensor is None else recorder.read(tensor)
            layers.pop(name, None)
            if ref is not None:
                layers[name] = layers[f"{name}#{calls[name]}"] = ref

        hooks.append(module.register_forward_hook(hook))

    for name, module in twin.named_modules():
        if name:
            note(name, module)
        if type(module) in _WATCHFUL:
            hooks += recorder.leave_alone(module)
    return hooks
