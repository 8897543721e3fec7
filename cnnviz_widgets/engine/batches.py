"""Long computations in parts that fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from cnnviz_widgets.engine import device as devices
from cnnviz_widgets.engine.jobs import checkpoint, progress

T = TypeVar("T")


class Batches:
    """How many inputs go through a network at once, and what is computed part by part."""

    def __init__(self, size: int | None = None) -> None:
        """Of `size` inputs, chosen by device and free memory when left out.

        Raises:
            ValueError: `size` is no whole number from 1 up.
        """
        if size is not None and (type(size) is bool or not isinstance(size, int) or size < 1):
            raise ValueError(f"batch_size={size!r}; wanted a whole number from 1 up, or None")
        self._size = size

    def size(self, device: torch.device, bytes_for_one: Callable[[], int]) -> int:
        """How many at once on `device`; `bytes_for_one` is asked only where memory decides."""
        return self._size or devices.default_batch(device, bytes_for_one)

    def over(self, items: Tensor, compute: Callable[[Tensor], T], size: Callable[[], int]) -> list[T]:
        """`compute` on parts of `items` (N, ...), of `size` each; what it gave, part by part.

        A job can be stopped between two parts and reports each. Out of memory, the part is halved and the smaller size
        is remembered. `compute` must have no effect when it raises.
        """
        results: list[T] = []
        start = 0
        with progress(len(items)) as report:
            while start < len(items):
                checkpoint()
                part = items[start : start + size()]
                try:
                    results.append(compute(part))
                except Exception as error:
                    if len(part) == 1 or not devices.out_of_memory(error):
                        raise
                    self._size = len(part) // 2
                else:
                    start += len(part)
                    if len(items) > len(part):
                        report(start)
                    continue
                devices.free_memory()  # out of the handler, whose error holds what did not fit
        return results
