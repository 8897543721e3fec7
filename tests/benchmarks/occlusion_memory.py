"""Memory of an occlusion map: what `report()` states, what a limit allows, and what the process took at most."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from occlusion_peers import PATCH, STRIDE, TARGET
from stopwatch import pictures

from cnnviz_widgets import Engine, occlusion

MIB = 2**20


def print_memory(engines: Mapping[str, Callable[[], Engine]]) -> None:
    """For each network a map without a limit, and with limits that leave a half and a tenth for the windows."""
    print("| network | limit | at once | weights | bare picture | windows | picture and windows | measured |")
    print(f"|{'---|' * 8}", flush=True)
    for name, make in engines.items():
        lasting, windows = print_row(name, make(), None)
        for share in (0.5, 0.1):
            print_row(name, make(), lasting + int(windows * share))


def print_row(name: str, engine: Engine, limit: int | None) -> tuple[int, int]:
    """One line of the table, in MiB; the bytes that are stated, for what stays and for windows."""
    known, new = islice(pictures(), 2)
    occlusion(engine, known, TARGET, PATCH, STRIDE, memory=limit)  # the tape and the weights, once for all pictures
    most = peak(engine, partial(occlusion, engine, new, TARGET, PATCH, STRIDE, memory=limit))
    report = engine.incremental.report()
    base, windows = report.base_bytes, report.block_bytes
    sizes = (report.weights_bytes, base, windows, base + windows, most)
    cells = (name, "none" if limit is None else f"{limit / MIB:.0f}", str(report.block))
    print(f"| {' | '.join((*cells, *(f'{size / MIB:.0f}' for size in sizes)))} |", flush=True)
    gc.collect()
    return report.weights_bytes + base, windows


def peak(engine: Engine, call: Callable[[], object]) -> int:
    """Bytes that a call takes at most, beyond what is held before: of the device, or of the whole process on Linux."""
    gc.collect()
    if engine.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(engine.device)
        before = torch.cuda.memory_allocated(engine.device)
        call()
        return torch.cuda.max_memory_allocated(engine.device) - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed before is not found again for nothing
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    call()
    return (_kilobytes("VmHWM") - before) * 1024


def _kilobytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found, f"/proc/self/status has no {field}"
    return int(found[1])
