"""Convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering as plain matrix products.

Lavin & Gray, "Fast algorithms for convolutional neural networks", 2015. F(m, r) computes m outputs of a filter of r taps
from t = m + r - 1 multiplications along an axis, so tiles of m x m outputs take t * t products of matrices (tiles,
channels in) x (channels in, channels out). The transforms are made by Toom's and Cook's construction from a few small
points, exactly, then rounded once.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

# where the polynomials are evaluated, beside infinity; small ones keep rounding errors small
_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2), Fraction(2), Fraction(-1, 2))
# the outputs of a tile along one axis that are tried, by the taps of the filter
TILES = {3: (2, 3, 4), 5: (2, 3)}

# what things cost beside a multiply-add of torch's direct convolution: a multiply-add of the large products and of the
# small ones that transform, and reading or writing one number; measured on a CPU of today
_LARGE, _SMALL, _MOVED = 1 / 0.85, 1 / 0.5, 13.0


class Winograd:
    """A convolution by tiles of `tile` x `tile` outputs, for windows in channels-last memory.

    Example:
        ``Winograd(weight, bias, 4)(padded)`` is ``conv2d(padded, weight, bias)`` where its sides are as `sides` says
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, tile: int) -> None:
        """Transform weights (out, in, r, r)."""
        out, channels, taps, _ = weight.shape
        self.tile, self.taps = tile, taps
        collect, filters, spread = matrices(tile, taps)
        transformed = torch.kron(filters, filters) @ weight.double().permute(2, 3, 1, 0).reshape(taps * taps, -1)
        self.weight = transformed.to(weight.dtype).view(-1, channels, out)
        self.bias = weight.new_zeros(out) if bias is None else bias
        self.spread = torch.kron(spread, spread).to(weight.dtype)
        self.collect = torch.kron(collect, collect).to(weight.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, out, h, w) for padded maps (N, in, h + r - 1, w + r - 1), h and w whole multiples of the tile."""
        x = x.permute(0, 2, 3, 1)
        count, height, width, channels = x.shape
        tile, side = self.tile, self.tile + self.taps - 1
        down, across = (height - self.taps + 1) // tile, (width - self.taps + 1) // tile
        sample, row, column, channel = x.stride()
        cut = x.new_empty(side, side, count, down, across, channels)
        cut.copy_(
            x.as_strided(cut.shape, (row, column, sample, tile * row, tile * column, channel), x.storage_offset())
        )
        spread = torch.mm(self.spread, cut.view(side * side, -1)).view(side * side, -1, channels)
        products = torch.bmm(spread, self.weight)
        out = products.shape[2]
        collected = torch.mm(self.collect, products.view(side * side, -1)).view(tile, tile, count, down, across, out)
        laid = x.new_empty(count, down, tile, across, tile, out)
        torch.add(collected.permute(2, 3, 0, 4, 1, 5), self.bias, out=laid)
        return laid.view(count, down * tile, across * tile, out).permute(0, 3, 1, 2)


def best_tile(channels: int, out: int, taps: int, height: int, width: int) -> tuple[int, int]:
    """The tile that costs least for windows of this size, 0 for the direct convolution, and what it costs.

    In multiply-adds of the direct convolution, for one window.
    """
    options = [(height * width * taps * taps * channels * out, 0)]
    for tile in TILES.get(taps, ()):
        side = (tile + taps - 1) ** 2
        tiles = -(-height // tile) * -(-width // tile)
        products = side * channels * out * _LARGE
        transforms = side * (side * channels + tile * tile * out) * _SMALL
        moved = (3 * side * channels + 2 * (side + tile * tile) * out) * _MOVED
        options.append((round(tiles * (products + transforms + moved)), tile))
    cost, tile = min(options)
    return tile, cost


def numbers(channels: int, out: int, taps: int, tile: int, height: int, width: int) -> int:
    """How many numbers are held beside input and output for one window."""
    side = (tile + taps - 1) ** 2
    return -(-height // tile) * -(-width // tile) * (2 * side * channels + (side + tile * tile) * out)


def fitted(x: Tensor, taps: int, tile: int) -> Tensor:
    """Padded maps with zeros behind them, so that whole tiles come out."""
    more = [-(side - taps + 1) % tile for side in x.shape[2:]]
    return F.pad(x, (0, more[1], 0, more[0])) if any(more) else x


@cache
def matrices(tile: int, taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of F(tile, taps) in float64: of products to outputs, of filters, of inputs.

    For d of t = tile + taps - 1 values and g of `taps`: ``collect @ ((filters @ g) * (spread @ d))`` are the `tile`
    values of the filter g sliding over d.
    """
    size = tile + taps - 1
    points = _POINTS[: size - 1]
    collect = [[p**n for p in points] + [Fraction(int(n == tile - 1))] for n in range(tile)]
    filters, spread = [], []
    for p in points:
        others = [q for q in points if q != p]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        filters.append([p**n / scale for n in range(taps)])
        spread.append([*_polynomial(others), Fraction(0)])
    filters.append([Fraction(int(n == taps - 1)) for n in range(taps)])
    spread.append(_polynomial(points))
    as_tensor = [torch.tensor([[float(v) for v in row] for row in m], dtype=torch.float64) for m in
                 (collect, filters, spread)]  # fmt: skip
    return as_tensor[0], as_tensor[1], as_tensor[2]


def _polynomial(roots: tuple[Fraction, ...] | list[Fraction]) -> list[Fraction]:
    """The coefficients, lowest first, of the polynomial with these roots and leading coefficient 1."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = [Fraction(0), *found], [*(-root * c for c in found), Fraction(0)]
        found = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return found
