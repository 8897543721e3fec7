"""Convolutions of stride 1 with fewer multiplications: Winograd's minimal filtering, by products of matrices.

Lavin & Gray, "Fast algorithms for convolutional neural networks", 2015. F(m, r) computes m outputs of a filter of r
taps from t = m + r - 1 multiplications along an axis, so tiles of m x m outputs take t * t products of matrices (tiles,
channels in) x (channels in, channels out). The transforms are made by Toom's and Cook's construction from a few small
points, exactly, then rounded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

import torch
from torch import Tensor

# where the polynomials are evaluated, beside infinity; small ones keep rounding errors small
_POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2), Fraction(2), Fraction(-1, 2))
# the outputs of a tile along one axis that are tried, by the taps of the filter
TILES = {3: (2, 3, 4), 5: (2, 3)}

# bytes of tiles that are worked on at once: they are read again at once, but the weights, too, once for each lot
IN_CACHE = 8 * 2**20

# what things cost beside a multiply-add of torch's direct convolution, measured on a CPU of today: one of the large
# products, going once through one number of the tiles (which transforms and copies do), laying out and reading one
# number of the weights
_PRODUCT, _TOUCHED, _LAID_OUT, _READ = 1.4, 40, 50, 20
# tiles suffer more where others use the machine, so they have to promise something
_WORTHWHILE = 1.25


class Winograd:
    """A convolution by tiles of `tile` x `tile` outputs, for windows in channels-last memory.

    The tiles lie innermost, so every transform is two products with a small matrix, first along y, then along x.

    Example:
        ``Winograd(weight, bias, 4)(padded)`` is ``conv2d(padded, weight, bias)``, with sides of whole tiles
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, tile: int) -> None:
        """Transform weights (out, in, r, r)."""
        out, channels, taps, _ = weight.shape
        self.tile, self.taps = tile, taps
        collect, filters, spread = matrices(tile, taps)
        transform = torch.kron(filters, filters)
        self.weight = weight.new_empty(len(transform), channels, out)
        some = max(1, IN_CACHE // (16 * len(transform) * out))
        for first in range(0, channels, some):  # in parts, for in float64 all of it would be read from afar
            part = weight[:, first : first + some].double().permute(2, 3, 1, 0).reshape(taps * taps, -1)
            self.weight[:, first : first + some] = (transform @ part).view(len(transform), -1, out)
        self.bias = weight.new_zeros(out) if bias is None else bias
        self.spread, self.collect = spread.to(weight.dtype), collect.to(weight.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, out, h, w) for padded maps (N, in, h + r - 1, w + r - 1), h and w whole multiples of the tile."""
        x = x.permute(0, 2, 3, 1)
        count, height, width, channels = x.shape
        tile, side, out = self.tile, self.tile + self.taps - 1, self.weight.shape[2]
        down, across = (height - self.taps + 1) // tile, (width - self.taps + 1) // tile
        laid = x.new_empty(count, down, tile, across, tile, out)
        each = down * across * side * side * max(channels, out)
        at_once = max(1, min(count, max(IN_CACHE, self.weight.nbytes) // (2 * each * x.element_size())))
        one, other = x.new_empty(at_once * each), x.new_empty(at_once * each)
        for first in range(0, count, at_once):
            part = x[first : first + at_once]
            tiles = len(part) * down * across
            sample, row, column, channel = part.stride()
            strides = (row, column, sample, tile * row, tile * column, channel)
            cut = _shaped(one, side, side, len(part), down, across, channels)
            cut.copy_(part.as_strided(cut.shape, strides, part.storage_offset()))
            _along_both(self.spread, one, other, tiles * channels)
            torch.bmm(
                _shaped(one, side * side, tiles, channels), self.weight, out=_shaped(other, side * side, tiles, out)
            )
            _along_both(self.collect, other, one, tiles * out)
            turned = _shaped(other, tile, tile, len(part), down, across, out).permute(2, 3, 0, 4, 1, 5)
            torch.add(turned, self.bias, out=laid[first : first + at_once])
        return laid.view(count, down * tile, across * tile, out).permute(0, 3, 1, 2)


def _along_both(matrix: Tensor, values: Tensor, room: Tensor, count: int) -> None:
    """``matrix @ v @ matrix.T`` in place of each of `count` squares v in `values`, laid as (side, side, count)."""
    made, side = matrix.shape
    torch.mm(matrix, _shaped(values, side, side * count), out=_shaped(room, made, side * count))
    columns = matrix.expand(made, made, side)
    torch.bmm(columns, _shaped(room, made, side, count), out=_shaped(values, made, made, count))


def _shaped(room: Tensor, *shape: int) -> Tensor:
    return room[: math.prod(shape)].view(shape)


@dataclass(frozen=True)
class Way:
    """A way to compute a convolution: by tiles of this side, or directly (0).

    Attributes:
        tile: the side.
        cost: for one window, in the time of multiply-adds of a direct convolution.
        start: for reading the weights, whatever the number of windows.
    """

    tile: int
    cost: int
    start: int


@lru_cache(4096)
def best_way(channels: int, out: int, taps: int, height: int, width: int, count: int) -> Way:
    """What costs least for `count` windows of this size."""
    weights = taps * taps * channels * out
    ways = [direct(weights, height, width)]
    for tile in TILES.get(taps, ()):
        side = tile + taps - 1
        tiles = -(-height // tile) * -(-width // tile)
        products = side * side * channels * out
        touched = 3 * side * side * channels + (side * side + side * tile + tile * tile) * out
        ways.append(Way(tile, round(tiles * (products * _PRODUCT + touched * _TOUCHED)), _READ * products))
    return min(ways, key=lambda way: (count * way.cost + way.start) * (_WORTHWHILE if way.tile else 1))


def direct(weights: int, height: int, width: int) -> Way:
    """Torch's own convolution, with so many numbers of weights."""
    return Way(0, height * width * weights, _LAID_OUT * weights)


def numbers(channels: int, out: int, taps: int, tile: int, height: int, width: int) -> int:
    """How many numbers are held beside input and output for one window."""
    return -(-height // tile) * -(-width // tile) * 2 * (tile + taps - 1) ** 2 * max(channels, out)


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
