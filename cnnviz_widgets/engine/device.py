"""Where the network runs, and how many pictures go through it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device {device!r} is not a device; here there are {', '.join(_devices())}") from error
    index = chosen.index or 0
    if (
        (chosen.type == "cuda" and index >= torch.cuda.device_count())
        or (chosen.type == "mps" and not _has_mps())
        or chosen.type == "meta"
    ):
        raise ValueError(f"device {str(device)!r} is not available; here there are {', '.join(_devices())}")
    return chosen


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


def default_batch(device: torch.device, bytes_for_one: int) -> int:
    """How many pictures at once: few on a CPU, what half the free memory holds on a GPU."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(GPU_BATCH, free // 2 // max(1, bytes_for_one)))
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
    """Full float32 arithmetic on CUDA: TF32 would cost three digits."""
    if device.type != "cuda":
        yield
        return
    matmul = torch.backends.cuda.matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = matmul


class Placement:
    """Copies of a network's weights on another device or of another type, renewed when the weights change."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        """Say where weights should be."""
        self.device, self.dtype = device, dtype
        self._copies: dict[int, tuple[Tensor, int | None, Tensor]] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        """`tensor` there: itself when it is there already."""
        dtype = self.dtype if tensor.is_floating_point() else tensor.dtype
        if tensor.device == self.device and tensor.dtype == dtype:
            return tensor
        version = None if tensor.is_inference() else tensor._version
        kept = self._copies.get(id(tensor))
        if kept is None or kept[0] is not tensor or kept[1] != version:
            kept = (tensor, version, tensor.detach().to(self.device, dtype))
            self._copies[id(tensor)] = kept
        return kept[2]

    def refresh(self) -> None:
        """Forget all copies."""
        self._copies.clear()


def free_memory() -> None:
    """Give cached blocks back, so that the next, smaller attempt finds room."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
