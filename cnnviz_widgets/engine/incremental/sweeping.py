"""A sweep by computing only what the patch can change, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnviz_widgets.engine.device import exact
from cnnviz_widgets.engine.incremental import patches
from cnnviz_widgets.engine.incremental.base import Base
from cnnviz_widgets.engine.incremental.execute import run
from cnnviz_widgets.engine.incremental.interval import Span
from cnnviz_widgets.engine.incremental.plan import Plan
from cnnviz_widgets.engine.incremental.planner import Planner, part
from cnnviz_widgets.engine.incremental.report import Report
from cnnviz_widgets.engine.incremental.sweep import Sweep
from cnnviz_widgets.engine.jobs import progress

# positions at once: more are no faster on a CPU, fewer leave its kernels idle
CPU_BLOCK, GPU_BLOCK = 32, 1024
CPU_MEMORY = 512 * 2**20
# positions that go on as one where maps are whole: weights of that many are read once
TOGETHER = 64
# for how many rows that is done: until reading weights is this share of what they cost, but not for more than so many
# multiply-adds (except two rows), for rows are to be seen as they come; and nowhere where it is next to nothing
UNIMPORTANT, AT_A_TIME, NOTHING = 0.02, 30_000_000_000, 1_000_000_000
# below this share of multiply-adds skipped, plain batches of whole pictures are as fast
WORTHWHILE = 0.1


@dataclass(frozen=True, eq=False)
class Blocks:
    """How the positions of a sweep are split.

    Attributes:
        rows: how many rows at once.
        columns: which columns at once.
        group: how many rows are computed before the first of them is there.
        joined: whether their blocks go on as one from where maps are whole.
        together: as `plan` has it.
        plans: the plans of a row in the middle, by part.
        bytes: memory that a block takes at most, with those whose maps wait for it.
    """

    rows: int
    columns: list[range]
    group: int
    joined: bool
    together: int
    plans: list[Plan]
    bytes: int

    def report(self, network: str, positions: int, base_bytes: int) -> Report:
        """What is computed, by the row in the middle."""
        program = self.plans[0].program
        stops = dict.fromkeys(stop for made in self.plans for stop in made.stops)
        return Report(
            network=network,
            positions=positions,
            macs=program.macs,
            computed=sum(made.macs * made.columns for made in self.plans) // sum(made.columns for made in self.plans),
            stops=tuple(stops),
            base_bytes=base_bytes,
            weights_bytes=program.own_bytes + _tiled(self.plans),
            block=self.rows * max(map(len, self.columns)),
            block_bytes=self.bytes,
        )


def why_not(sweep: Sweep, planner: Planner) -> str:
    """Why plain batches of whole pictures are as fast; "" where they are not."""
    row, lefts = _middle(sweep)
    skipped = 1 - planner.plan(row, lefts).macs / max(1, planner.program.macs)
    return "" if skipped > WORTHWHILE else f"only {max(0.0, skipped):.0%} of its multiply-adds could be skipped"


def room_for_tiles(sweep: Sweep, planner: Planner, base_bytes: int, memory: int) -> bool:
    """Whether a limit leaves room for the weights of Winograd's tiles, and half of it for windows."""
    plans = _rows(sweep, planner)
    return base_bytes + planner.program.own_bytes + _tiled(plans) + _each(sweep, plans) <= memory // 2


def blocks(sweep: Sweep, planner: Planner, base_bytes: int, memory: int | None) -> Blocks:
    """The split that costs least and keeps a limit of memory: of windows, of `base_bytes` and of weights of its own.

    Raises:
        ValueError: not even one position at a time fits.
    """
    device = sweep.x.device
    row, lefts = _middle(sweep)
    if memory is None:
        each = _each(sweep, [planner.plan(row, lefts)])
        limit = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_MEMORY
    else:
        plans = _rows(sweep, planner)
        each = _each(sweep, plans)
        fixed = base_bytes + planner.program.own_bytes + _tiled(plans)
        limit = memory - fixed
        if limit < each:
            raise ValueError(
                f"memory={memory}: this network needs {fixed} bytes for the picture without a patch and for weights, "
                f"and {each} for one position, so at least {fixed + each}"
            )
    fitting = max(1, limit // max(1, each))
    most = min(fitting, GPU_BLOCK if device.type == "cuda" else CPU_BLOCK)
    # where memory is short, or a GPU has room for all at once, every block goes its own way to the end
    joined = memory is None and device.type == "cpu" and fitting >= max(TOGETHER, len(sweep.lefts))
    together = min(TOGETHER, len(sweep)) if joined else 0
    columns = planner.split(row, lefts, most, len(sweep.tops), together)
    largest = max(map(len, columns))
    rows = max(1, min(most // largest, len(sweep.tops))) if len(columns) == 1 else 1
    plans = [planner.plan(row, part(lefts, each), together) for each in columns]
    group = max(rows, min(_worth_joining(plans), fitting // len(sweep.lefts), len(sweep.tops))) if joined else rows
    positions = max(rows * largest, group * len(sweep.lefts)) if joined else rows * largest
    return Blocks(rows, columns, group, joined, together, plans, positions * each)


def rows(sweep: Sweep, planner: Planner, base: Base, split: Blocks) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order; a job can be stopped within a row."""
    with progress(len(sweep.tops)) as report:
        for first in range(0, len(sweep.tops), split.group):
            group = range(first, min(first + split.group, len(sweep.tops)))
            for row, values in zip(group, _group(sweep, planner, base, split, group), strict=True):
                yield values
                report(row + 1)


def _group(sweep: Sweep, planner: Planner, base: Base, split: Blocks, group: range) -> list[Tensor]:
    """(n, k) for each of some rows."""
    tops, lefts = patches.spans(sweep)
    chunks = [range(first, min(first + split.rows, group.stop)) for first in group[:: split.rows]]
    blocks = [(chunk, columns) for chunk in chunks for columns in split.columns]
    plans = [planner.plan(part(tops, chunk), part(lefts, columns), split.together) for chunk, columns in blocks]
    windows = (
        patches.windows(_block(sweep, *block), made.stretches[0]) for block, made in zip(blocks, plans, strict=True)
    )
    with torch.inference_mode(), exact(sweep.x.device):
        if split.joined:
            found = iter(run(plans, windows, base))
        else:
            found = (run([made], [given], base)[0] for made, given in zip(plans, windows, strict=True))
        values = [each.cpu() for each in found]
    whole: list[Tensor] = []
    for chunk in chunks:
        parts = [values.pop(0).reshape(len(chunk), len(columns), -1) for columns in split.columns]
        whole += torch.cat(parts, 1)
    return whole


def _block(sweep: Sweep, rows: range, columns: range) -> Sweep:
    tops, lefts = sweep.tops[rows.start : rows.stop], sweep.lefts[columns.start : columns.stop]
    return replace(sweep, tops=tops, lefts=lefts)


def _worth_joining(plans: list[Plan]) -> int:
    """For how many rows reading weights is shared where maps are whole; `plans` are those of one row."""
    tail = max(made.tail for made in plans)
    row = sum(made.cost * made.columns + made.start for made in plans)
    wanted = math.ceil(tail / (UNIMPORTANT * max(1, row)))
    return 1 if tail < NOTHING else min(wanted, max(2, AT_A_TIME // max(1, row)))


def _middle(sweep: Sweep) -> tuple[Span, Span]:
    """A row that stands for all others, and the columns."""
    tops, lefts = patches.spans(sweep)
    return part(tops, range(len(sweep.tops) // 2, len(sweep.tops) // 2 + 1)), lefts


def _rows(sweep: Sweep, planner: Planner) -> list[Plan]:
    """The plans of all rows."""
    tops, lefts = patches.spans(sweep)
    return [planner.plan(part(tops, range(row, row + 1)), lefts) for row in range(len(sweep.tops))]


def _each(sweep: Sweep, plans: list[Plan]) -> int:
    """Bytes that one position takes at most."""
    return max(made.numbers for made in plans) * sweep.x.element_size()


def _tiled(plans: list[Plan]) -> int:
    """Bytes of weights for Winograd's tiles, each kind once."""
    kinds = {key: size for made in plans for key, size in made.tiled.items()}
    return sum(kinds.values())
