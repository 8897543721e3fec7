"""How pictures, maps and filters lie in memory while a network runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Layout:
    """Channels last where that is fast and the network bears it.

    Convolutions of float32 are up to twice as fast so; for float64 there are no such kernels. But a network that looks
    at its maps by `view` fails on what lies otherwise than it was written for, and then gets torch's own layout, from
    the first failure on.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        """For a network that computes in `dtype`."""
        self.last = dtype != torch.float64
        self.filters = self.last  # whether filters may lie so, too

    def of(self, x: Tensor) -> Tensor:
        """A picture (N, C, H, W) as the network takes it best; anything else as it is."""
        if x.ndim != 4:
            return x
        return x.contiguous(memory_format=torch.channels_last if self.last else torch.contiguous_format)

    def run(self, x: Tensor, compute: Callable[[Tensor], T]) -> T:
        """`compute` of prepared inputs with channels last; should it fail by that, again with torch's own layout."""
        try:
            return compute(self.of(x))
        except RuntimeError as error:
            if not (self.last and _views(error)):
                raise
        found = compute(x.contiguous())
        self.last = self.filters = False
        return found


class Lasting:
    """A stand-in of the network for many passes, as long as nothing is trained.

    Its filters are of its own, laid out as the maps are, which pays from the first pass on. A network that looks at its
    weights by `view` gets them as they were made.
    """

    def __init__(self, make: Callable[[], nn.Module], layout: Layout) -> None:
        """Of stand-ins as `make` makes them."""
        self._make, self._layout = make, layout
        self._twin = make()
        if layout.filters:
            _lay_out_filters(self._twin)

    def run(self, make: Callable[[], Tensor], compute: Callable[[nn.Module, Tensor], T]) -> T:
        """`compute` of the stand-in and of the inputs that `make` makes; again, of others, where a layout was wrong."""
        try:
            return compute(self._twin, self._layout.of(make()))
        except RuntimeError as error:
            if not _views(error):
                raise

        def again(x: Tensor) -> T:
            self._twin = self._make()  # what a failed pass noted in its modules goes with it
            return compute(self._twin, x.clone())  # and what it wrote over

        found = self._layout.run(make(), again)
        self._layout.filters = False  # or every stand-in to come would fail once
        return found


def _lay_out_filters(twin: nn.Module) -> None:
    for module in twin.modules():
        filters = {name: w for name, w in module._parameters.items() if w is not None and w.ndim == 4}
        for name, weight in filters.items():
            module._parameters[name] = weight.contiguous(memory_format=torch.channels_last)  # type: ignore[assignment]


def _views(error: RuntimeError) -> bool:
    """True where what failed was `view`, which torch refuses where elements do not lie in the order of the axes."""
    return "view size is not compatible" in str(error)
