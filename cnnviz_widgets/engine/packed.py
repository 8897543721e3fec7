"""Filters laid out as oneDNN takes them: once, instead of in each pass."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d


class Packed:
    """A convolution of float32 on a CPU, for many inputs of one shape.

    How the filters lie best depends on the input's shape, so they are laid out again where that changes.
    """

    def __init__(self, weight: Tensor, steps: tuple[int, int], margins: tuple[int, int], groups: int) -> None:
        """Of filters (O, I / groups, height, width); steps and margins are of rows and columns.

        Raises:
            NotImplementedError: this torch cannot do it, see `can_pack`.
        """
        if not can_pack():
            raise NotImplementedError(f"torch {torch.__version__} has no convolution with filters laid out by oneDNN")
        self._weight, self._steps, self._margins, self._groups = weight.detach(), steps, margins, groups
        self._shape: torch.Size | None = None

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The maps of an input (N, I, H, W), channels last; no gradient flows through it."""
        if x.shape != self._shape:
            self._filters = _laid_out(self._weight, self._steps, self._margins, self._groups, x.shape)
            self._shape = x.shape
        return _convolved(x, self._filters, bias, self._steps, self._margins, self._groups)


@cache
def can_pack() -> bool:
    """Whether torch has the two operations, and they do what they did when this was written: they are made for its own
    compiler, so no promise keeps them."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = torch.arange(150.0).view(1, 6, 5, 5), torch.arange(216.0).view(8, 3, 3, 3), torch.arange(8.0)
    try:
        filters = _laid_out(weight, (2, 1), (0, 1), 2, x.shape)
        found = _convolved(x, filters, bias, (2, 1), (0, 1), 2)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, conv2d(x, weight, bias, (2, 1), (0, 1), 1, 2))


def _laid_out(
    weight: Tensor, steps: tuple[int, int], margins: tuple[int, int], groups: int, shape: torch.Size
) -> Tensor:
    return torch.ops.aten.mkldnn_reorder_conv2d_weight.default(
        weight.to_mkldnn(), margins, steps, (1, 1), groups, shape
    )


def _convolved(
    x: Tensor, filters: Tensor, bias: Tensor | None, steps: tuple[int, int], margins: tuple[int, int], groups: int
) -> Tensor:
    return torch.ops.mkldnn._convolution_pointwise.default(
        x, filters, bias, margins, steps, (1, 1), groups, "none", (), ""
    )
