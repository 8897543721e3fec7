"""Where the network runs, and how many pictures go through it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# On a CPU a batch buys no speed, and short steps are what makes a long job stoppable.
CPU_BATCH = 8
GPU_BATCH = 256


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, else the best there is: cuda, mps, cpu.

    Raises:
        ValueError: no such device here; the message lists those that are.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device {device!r} is not a device; here there are {', '.join(_devices())}") from error
    absent = f"device {str(device)!r} is not available; here there are {', '.join(_devices())}"
    if chosen.type == "meta":
        raise ValueError(absent)
    try:
        return torch.empty(0, device=chosen).device  # "cuda" comes back as "cuda:0", as weights call it
    except Exception as error:  # each kind of device that this torch was built without says so in its own way
        raise ValueError(absent) from error


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _devices() -> list[str]:
    return ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count())), *(["mps"] if _has_mps() else [])]


def home(module: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a module's weights lie and of which floating type they are; (cpu, float32) without weights.

    Raises:
        ValueError: weights without values (a lazy module before its first run, the meta device).
    """
    tensors = [*module.parameters(), *module.buffers()]
    if any(
        isinstance(t, nn.UninitializedParameter | nn.UninitializedBuffer) or t.device.type == "meta" for t in tensors
    ):
        raise ValueError("the network's weights have no values yet (a lazy or meta module); run or load it once first")
    floating = [t for t in tensors if t.is_floating_point()]
    return (tensors[0].device if tensors else torch.device("cpu"), floating[0].dtype if floating else torch.float32)


def is_split(module: nn.Module) -> bool:
    """True when a module's weights lie on more than one device."""
    return len({t.device for t in (*module.parameters(), *module.buffers())}) > 1


def lies_at(module: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
    """True when a module can run on `device` in `dtype` as it is."""
    # in one walk, since every run asks; the first floating type decides, as in `home`
    places: set[torch.device] = set()
    floating: torch.dtype | None = None
    for part in module.modules():
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                places.add(tensor.device)
                if floating is None and tensor.is_floating_point():
                    floating = tensor.dtype
    if any(place.type == "meta" for place in places):
        home(module)  # which says what is wrong with it
    return places <= {device} and (floating or torch.float32) == dtype


def default_batch(device: torch.device, bytes_for_one: Callable[[], int]) -> int:
    """How many pictures at once: few on a CPU, what half the free memory holds on a GPU (only there `bytes_for_one`,
    which may take a pass of the network to find out, is asked)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(GPU_BATCH, free // 2 // max(1, bytes_for_one())))
    return CPU_BATCH


def out_of_memory(error: BaseException) -> bool:
    """True for the errors that a smaller batch may cure."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and (
            "not enough memory" in str(error) or "can't allocate memory" in str(error) or "out of memory" in str(error)
        )
    )


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Full float32 arithmetic on CUDA: TF32 would cost three digits.

    The switch is one for the whole process, so of several runs at once the first turns it and the last turns it back.
    """
    if device.type != "cuda":
        yield
        return
    with _turning:
        if not _exact_runs:
            _undo.append(_without_tf32())
        _exact_runs.append(device)
    try:
        yield
    finally:
        with _turning:
            _exact_runs.pop()
            if not _exact_runs:
                _undo.pop()()


_turning = threading.Lock()
_exact_runs: list[torch.device] = []
_undo: list[Callable[[], None]] = []


def _without_tf32() -> Callable[[], None]:
    """Turn TF32 off; call what comes back to have it as before."""
    cudnn: Any = torch.backends.cudnn
    try:
        _ = torch.backends.cuda.matmul.allow_tf32
        products, convolutions = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    except RuntimeError:  # somebody used the switches of torch 2.9, which the older ones refuse to speak for
        return _without_tf32_since_2_9()
    if getattr(cudnn, "fp32_precision", "none") != "none":  # or speak for wrongly
        return _without_tf32_since_2_9()
    # Only what is on is touched: even a switch set to what it shows no longer follows the ones above it. (Torch's own
    # default for convolutions, on until a switch above says otherwise, cannot be set again; they come back as on.)
    if products != "highest":
        torch.set_float32_matmul_precision("highest")
    if convolutions:
        cudnn.allow_tf32 = False

    def undo() -> None:
        if products != "highest":
            torch.set_float32_matmul_precision(products)
        if convolutions:
            cudnn.allow_tf32 = True

    return undo


def _without_tf32_since_2_9() -> Callable[[], None]:
    """The same by the switches of torch 2.9, each of which follows the one above it while it is "none" itself."""
    top: Any = torch.backends
    cuda: Any = torch.backends.cudnn
    switches: tuple[Any, ...] = (torch.backends.cuda.matmul, cuda.conv, cuda.rnn)
    everywhere, top.fp32_precision = top.fp32_precision, "none"
    on_cuda, cuda.fp32_precision = cuda.fp32_precision, "none"
    before = [switch.fp32_precision for switch in switches]  # what each says itself, now that those above are silent
    for switch in switches:
        switch.fp32_precision = "ieee"
    cuda.fp32_precision, top.fp32_precision = on_cuda, everywhere

    def undo() -> None:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value

    return undo


class Placement:
    """Copies of a network's weights on another device or of another type, renewed when the network changes."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        """Say where weights should be."""
        self.device, self.dtype = device, dtype
        self._state: Hashable = None
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}

    def at(self, state: Hashable) -> Callable[[Tensor], Tensor]:
        """What gives the copy of a weight, for the network in `state` (see `cache.state_of`)."""
        if state != self._state:
            self._state, self._copies = state, {}
        copies = self._copies  # a run in another thread goes on with those that it began with

        def place(tensor: Tensor) -> Tensor:
            dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
            if tensor.device == self.device and tensor.dtype == dtype:
                return tensor
            if id(tensor) not in copies:
                # also from within inference mode a copy must be good for a gradient later
                with torch.inference_mode(False), torch.no_grad():
                    copies[id(tensor)] = (tensor, tensor.detach().to(self.device, dtype))
            return copies[id(tensor)][1]

        return place


def free_memory() -> None:
    """Give cached blocks back, so that the next, smaller attempt finds room."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
