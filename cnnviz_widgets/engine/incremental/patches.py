"""The windows of the picture itself: what stands under the patch, and around it what a wider window shows."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnviz_widgets.engine.incremental.interval import Span, covered
from cnnviz_widgets.engine.incremental.plan import Stretch
from cnnviz_widgets.engine.incremental.sweep import Sweep


def spans(sweep: Sweep) -> tuple[Span, Span]:
    """What the patches cover, along y and along x."""
    height, width = sweep.x.shape[2:]
    y, x = (
        Span(length, tuple(lo for lo, _ in cells), tuple(hi for _, hi in cells))
        for length, cells in ((height, sweep.boxes(0)), (width, sweep.boxes(1)))
    )
    return y, x


def windows(sweep: Sweep, stretch: Stretch | None) -> Tensor:
    """(n, C, h, w): what the network sees in the windows of a block of positions; whole pictures where there are none.

    Position by position, row by row.
    """
    if stretch is None:
        return sweep.covered([(top, left) for top in sweep.tops for left in sweep.lefts])
    x, fill = sweep.x, sweep.fill
    tops, lefts = spans(sweep)
    height, width = stretch.size
    count = len(sweep.lefts)
    out = x.new_empty(len(sweep), height, width, x.shape[1]).permute(0, 3, 1, 2)
    mask = None if sweep.mask is None else torch.from_numpy(sweep.mask).to(x.device)
    columns = covered(stretch.x, lefts, sweep.lefts)
    for row, (y, (lo, hi)) in enumerate(zip(stretch.y.starts, tops.cells, strict=True)):
        for run in columns:
            target = out[row * count + run.first : row * count + run.first + run.count]
            shown = _strided(x, run.count, (height, width), (y, run.start), run.step)
            whole = mask is None and hi - lo == height and run.overlap == width
            if not whole:
                target.copy_(shown)
            if lo >= hi or not run.overlap:
                continue
            area = (hi - lo, run.overlap)
            cover = _strided(fill, run.count, area, (lo, run.start + run.target), run.step)
            part = target[:, :, lo - y : hi - y, run.target : run.target + run.overlap]
            if mask is None:
                part.copy_(cover)
            else:
                above = lo - sweep.tops[row]
                cut = mask[above : above + area[0], run.source : run.source + area[1]]
                part.copy_(torch.where(cut, cover, part))
    return out


def _strided(x: Tensor, count: int, size: tuple[int, int], at: tuple[int, int], step: int) -> Tensor:
    """(count, C, h, w): views of one picture, `step` columns apart, the first at row and column `at`."""
    _, channels, down, right = x.stride()
    start = x.storage_offset() + at[0] * down + at[1] * right
    return x.as_strided((count, x.shape[1], *size), (step * right, channels, down, right), start)
