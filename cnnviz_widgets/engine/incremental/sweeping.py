"""A sweep by computing only what the patch can change, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnviz_widgets.engine.device import exact
from cnnviz_widgets.engine.incremental import patches
from cnnviz_widgets.engine.incremental.base import Base
from cnnviz_widgets.engine.incremental.execute import Execution
from cnnviz_widgets.engine.incremental.interval import Span
from cnnviz_widgets.engine.incremental.plan import Plan
from cnnviz_widgets.engine.incremental.planner import Planner, part
from cnnviz_widgets.engine.incremental.report import Report
from cnnviz_widgets.engine.incremental.sweep import Sweep
from cnnviz_widgets.engine.jobs import progress

# positions at once: more are no faster on a CPU, fewer leave its kernels idle
CPU_BLOCK, GPU_BLOCK = 32, 1024
CPU_MEMORY = 512 * 2**20
# below this share of multiply-adds skipped, plain batches of whole pictures are as fast
WORTHWHILE = 0.1


@dataclass(frozen=True, eq=False)
class Blocks:
    """How the positions of a sweep are split.

    Attributes:
        rows: how many rows at once.
        columns: which columns at once.
        plans: the plans of a row in the middle, by part.
        bytes: memory that a block takes at most.
    """

    rows: int
    columns: list[range]
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
    most = max(1, min(limit // max(1, each), GPU_BLOCK if device.type == "cuda" else CPU_BLOCK))
    columns = planner.split(row, lefts, most, len(sweep.tops))
    largest = max(map(len, columns))
    rows = max(1, min(most // largest, len(sweep.tops))) if len(columns) == 1 else 1
    return Blocks(rows, columns, [planner.plan(row, part(lefts, each)) for each in columns], rows * largest * each)


def rows(sweep: Sweep, planner: Planner, base: Base, split: Blocks) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order; a job can be stopped within a row."""
    tops, lefts = patches.spans(sweep)
    with progress(len(sweep.tops)) as report:
        for first in range(0, len(sweep.tops), split.rows):
            chunk = range(first, min(first + split.rows, len(sweep.tops)))
            found = []
            for columns in split.columns:
                made = planner.plan(part(tops, chunk), part(lefts, columns))
                block = replace(
                    sweep, tops=sweep.tops[chunk.start : chunk.stop], lefts=sweep.lefts[columns.start : columns.stop]
                )
                with torch.inference_mode(), exact(sweep.x.device):
                    values = Execution(made, base).run(patches.windows(block, made.stretches[0]))
                    found.append(values.reshape(len(chunk), len(columns), -1).cpu())
            for place, row in enumerate(chunk):
                yield torch.cat([values[place] for values in found])
                report(row + 1)


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
