"""A sweep by computing only what the patch can change, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnviz_widgets.engine.device import exact
from cnnviz_widgets.engine.incremental import patches
from cnnviz_widgets.engine.incremental.base import Base
from cnnviz_widgets.engine.incremental.execute import Execution
from cnnviz_widgets.engine.incremental.plan import Plan, plan
from cnnviz_widgets.engine.incremental.sweep import Sweep
from cnnviz_widgets.engine.jobs import progress

# positions at once: more are no faster on a CPU, fewer leave its kernels idle
CPU_CHUNK, GPU_CHUNK = 24, 1024
CPU_MEMORY = 512 * 2**20


@dataclass(frozen=True)
class Chunking:
    """How the positions are split: so many rows at once, in so many parts along x, and the bytes that one part takes."""

    rows: int
    parts: tuple[tuple[int, ...], ...]
    bytes: int


def chunking(sweep: Sweep, made: Plan, base_bytes: int, memory: int | None) -> Chunking:
    """The split that keeps a limit of memory, the base included.

    Raises:
        ValueError: not even one position at a time fits.
    """
    device = sweep.x.device
    each = made.numbers * sweep.x.element_size()
    if memory is None:
        free = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else CPU_MEMORY
        limit = max(free, each)
    else:
        limit = memory - base_bytes
        if limit < each:
            raise ValueError(
                f"memory={memory}: this network needs {base_bytes} bytes for the picture without a patch and {each} "
                f"for one position, so at least {base_bytes + each}"
            )
    wanted = GPU_CHUNK if device.type == "cuda" else CPU_CHUNK
    at_once = max(1, min(limit // max(1, each), wanted))
    columns = len(sweep.lefts)
    if at_once >= columns or columns <= wanted * 2 <= 2 * limit // max(1, each):
        rows = max(1, min(at_once // columns, len(sweep.tops)))
        return Chunking(rows, (sweep.lefts,), rows * columns * each)
    count = -(-columns // at_once)
    size = -(-columns // count)
    parts = tuple(sweep.lefts[start : start + size] for start in range(0, columns, size))
    return Chunking(1, parts, size * each)


def rows(sweep: Sweep, made: Plan, base: Base, split: Chunking) -> Iterator[Tensor]:
    """(n, k) on the CPU for each row of positions, in order; a job can be stopped within a row."""
    parts = [replace(sweep, lefts=lefts) for lefts in split.parts]
    plans = [made] if len(parts) == 1 else [plan(made.program, *patches.spans(part)) for part in parts]
    with progress(len(sweep.tops)) as report:
        for first in range(0, len(sweep.tops), split.rows):
            chunk = range(first, min(first + split.rows, len(sweep.tops)))
            with torch.inference_mode(), exact(sweep.x.device):
                found = [_run(part, plan, base, chunk) for part, plan in zip(parts, plans, strict=True)]
            for place, row in enumerate(chunk):
                yield torch.cat([values[place] for values in found])
                report(row + 1)


def _run(sweep: Sweep, made: Plan, base: Base, chunk: range) -> Tensor:
    """(rows, n, k) for a chunk."""
    count = len(sweep.lefts)
    found = Execution(made, base, chunk, count).run(patches.windows(sweep, made, chunk))
    return found.reshape(len(chunk), count, -1).cpu()
