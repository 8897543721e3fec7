"""Which cells a patch can change, and from where windows are filled: against torch itself, and against slow loops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from cnnviz_widgets.engine.incremental.interval import Run, Slide, Span, Window, covered, runs
from cnnviz_widgets.engine.incremental.operations import pad

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, database=None)
CONVOLUTIONS = [
    (kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in itertools.product(range(1, 6), range(1, 5), range(4), (1, 2, 3))
    if dilation == 1 or kernel > 1
]
POOLS = [
    (kernel, stride, padding, dilation, ceil_mode)
    for kernel, stride, padding, dilation, ceil_mode in itertools.product(
        range(1, 6), range(1, 5), range(3), (1, 2), (False, True)
    )
    if padding <= kernel // 2 and (dilation == 1 or kernel > 1)
]


@pytest.mark.parametrize("length", [9, 10])
def test_what_changes_behind_a_convolution_is_what_torch_changes(length: int) -> None:
    for kernel, stride, padding, dilation in CONVOLUTIONS:
        weight = torch.rand(1, 1, kernel, 1, dtype=torch.float64) + 0.5
        if length + 2 * padding <= (kernel - 1) * dilation:
            continue

        def run(
            x: Tensor, weight: Tensor = weight, sizes: tuple[int, int, int] = (stride, padding, dilation)
        ) -> Tensor:
            step, around, apart = ((size, other) for size, other in zip(sizes, (1, 0, 1), strict=True))
            return F.conv2d(x, weight, None, step, around, apart)

        _as_torch_does(run, length, kernel, stride, padding, dilation)


@pytest.mark.parametrize("length", [9, 10])
def test_what_changes_behind_max_pooling_is_what_torch_changes(length: int) -> None:
    for kernel, stride, padding, dilation, ceil_mode in POOLS:

        def run(x: Tensor, args: tuple = (kernel, stride, padding, dilation), ceil_mode: bool = ceil_mode) -> Tensor:
            return F.max_pool2d(x, *zip(args, (1, 1, 0, 1), strict=True), ceil_mode=ceil_mode)

        _as_torch_does(run, length, kernel, stride, padding, dilation)


@pytest.mark.parametrize("length", [9, 10])
def test_what_changes_behind_average_pooling_is_what_torch_changes(length: int) -> None:
    for kernel, stride, padding, dilation, ceil_mode in POOLS:
        if dilation > 1:
            continue

        def run(x: Tensor, args: tuple = (kernel, stride, padding), ceil_mode: bool = ceil_mode) -> Tensor:
            return F.avg_pool2d(x, *zip(args, (1, 1, 0), strict=True), ceil_mode=ceil_mode)

        _as_torch_does(run, length, kernel, stride, padding, 1)


def _as_torch_does(run: Callable[[Tensor], Tensor], length: int, kernel: int, stride: int, padding: int, dilation: int):
    """Every interval of the axis is changed, in a picture of its own: what torch then changes lies in what is said.

    Without dilation it fills it from the first cell to the last; taps that are apart can straddle a short interval.
    """
    said = f"kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}, length {length}"
    intervals = [(lo, hi) for lo in range(length + 1) for hi in range(lo, length + 1)]
    base = torch.rand(length, dtype=torch.float64)
    pictures = base.repeat(len(intervals), 1)
    for picture, (lo, hi) in zip(pictures, intervals, strict=True):
        picture[lo:hi] += 10 + torch.rand(hi - lo, dtype=torch.float64)
    before = run(base[None, None, :, None])[0, 0, :, 0]
    after = run(pictures[:, None, :, None])[:, 0, :, 0]
    span = Span(length, tuple(lo for lo, _ in intervals), tuple(hi for _, hi in intervals))
    found = span.slide(Slide(kernel, stride, padding, dilation, len(before)))
    assert found.length == len(before)
    for interval, (lo, hi), row in zip(intervals, found.cells, after, strict=True):
        changed = (row != before).nonzero().flatten().tolist()
        tight = (changed[0], changed[-1] + 1) if changed else (0, 0)
        assert 0 <= lo <= hi <= len(before), f"{said}, {interval}"
        if dilation == 1:
            assert (lo, hi) == tight, f"{said}, {interval}"
        elif changed:
            assert lo <= tight[0] and tight[1] <= hi, f"{said}, {interval}"


@pytest.mark.parametrize("length", [7, 10, 11])
def test_padded_once_a_map_gives_what_torch_gives_with_its_own_padding_and_overhang(length: int) -> None:
    for kernel, stride, padding, dilation, ceil_mode in POOLS:
        if length + 2 * padding <= (kernel - 1) * dilation:
            continue
        x = torch.randn(1, 1, length, length + 2, dtype=torch.float64)
        wanted = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)
        y, z = (Slide(kernel, stride, padding, dilation, n) for n in wanted.shape[2:])
        padded = pad(x, (y, z), (2, 3), -math.inf)
        assert torch.equal(F.max_pool2d(padded, kernel, stride, 0, dilation), wanted)
        assert padded.shape[2:] == (y.needs(y.length), z.needs(z.length))


def test_a_window_of_the_output_needs_those_cells_of_the_padded_input() -> None:
    for kernel, stride, padding, dilation in CONVOLUTIONS:
        weight, x = torch.rand(1, 1, kernel, dtype=torch.float64), torch.rand(1, 1, 14, dtype=torch.float64)
        whole = F.conv1d(x, weight, None, stride, padding, dilation)
        slide = Slide(kernel, stride, padding, dilation, whole.shape[2])
        padded = F.pad(x, (padding, padding))
        for width in range(1, slide.length + 1):
            window = Window(width, tuple(range(slide.length - width + 1)))
            needed = window.before(slide)
            for start, begin in zip(window.starts, needed.starts, strict=True):
                part = F.conv1d(padded[..., begin : begin + needed.width], weight, None, stride, 0, dilation)
                torch.testing.assert_close(part, whole[..., start : start + width], rtol=1e-13, atol=1e-13)


@st.composite
def spans(draw: st.DrawFn, length: int | None = None, count: int | None = None) -> Span:
    length = length or draw(st.integers(1, 30))
    count = count or draw(st.integers(1, 9))
    cells = [sorted(draw(st.tuples(st.integers(0, length), st.integers(0, length)))) for _ in range(count)]
    return Span(length, tuple(lo for lo, _ in cells), tuple(hi for _, hi in cells))


@SETTINGS
@given(spans())
def test_windows_hold_what_changes_stay_on_the_axis_and_are_no_wider_than_the_widest(span: Span) -> None:
    window = span.window
    assert window.width == max(hi - lo for lo, hi in span.cells)
    for start, (lo, hi) in zip(window.starts, span.cells, strict=True):
        assert 0 <= start <= start + window.width <= span.length
        assert lo == hi or start <= lo <= hi <= start + window.width


@SETTINGS
@given(st.data())
def test_where_two_maps_meet_the_changes_of_both_are_held(data: st.DataObject) -> None:
    one = data.draw(spans())
    other = data.draw(spans(one.length, len(one.lo)))
    for (lo, hi), *pair in zip(one.join(other).cells, one.cells, other.cells, strict=True):
        changed = {cell for a, b in pair for cell in range(a, b)}
        assert (lo, hi) == (min(changed), max(changed) + 1) if changed else lo == hi


def test_all_and_nothing_can_change() -> None:
    assert Span.whole(5, 2).cells == [(0, 5), (0, 5)]
    assert Span.none(5, 2).window == Window(0, (0, 0))


@st.composite
def windows(draw: st.DrawFn, length: int, count: int, regular: bool) -> Window:
    width = draw(st.integers(0, length))
    room = length - width
    if regular:  # as patches at equal distances give them, in a layer of some stride, stopped by the border
        begin, step, coarse = draw(st.tuples(st.integers(-5, room), st.integers(0, 5), st.integers(1, 4)))
        starts = [min(max((begin + n * step) // coarse, 0), room) for n in range(count)]
    else:
        starts = draw(st.lists(st.integers(0, room), min_size=count, max_size=count))
    return Window(width, tuple(starts))


@SETTINGS
@given(st.data(), st.booleans(), st.integers(1, 24), st.integers(1, 12))
def test_every_cell_of_a_window_is_filled_from_what_changed_or_else_from_what_stays(
    data: st.DataObject, regular: bool, length: int, count: int
) -> None:
    wanted = data.draw(windows(length, count, regular))
    changed = data.draw(windows(length, count, regular))
    filled = _filled(runs(wanted, changed), wanted.width, count)
    for position, (start, place) in enumerate(zip(wanted.starts, changed.starts, strict=True)):
        for cell in range(wanted.width):
            on_axis = start + cell
            inside = place <= on_axis < place + changed.width
            right = ("changed", position, on_axis - place) if inside else ("stays", on_axis)
            assert filled[position][cell] == right


@SETTINGS
@given(st.data(), st.integers(1, 24), st.integers(1, 9), st.integers(1, 10))
def test_every_cell_of_a_window_of_the_picture_is_covered_where_the_patch_is(
    data: st.DataObject, length: int, count: int, size: int
) -> None:
    starts = data.draw(st.lists(st.integers(-12, length + 3), min_size=count, max_size=count))
    cut = [(min(max(s, 0), length), max(min(s + size, length), 0)) for s in starts]
    span = Span(length, tuple(lo for lo, _ in cut), tuple(hi for _, hi in cut))
    span = Span(length, span.lo, tuple(max(lo, hi) for lo, hi in span.cells))
    window = span.window
    filled = _filled(covered(window, span, starts), window.width, count)
    for position, (start, begin) in enumerate(zip(starts, window.starts, strict=True)):
        for cell in range(window.width):
            on_axis = begin + cell
            inside = start <= on_axis < start + size
            assert filled[position][cell] == (("changed", position, on_axis - start) if inside else ("stays", on_axis))


def _filled(found: tuple[Run, ...], width: int, count: int) -> list[list[tuple]]:
    """Runs carried out cell by cell; every position must be in exactly one."""
    filled: list[list[tuple]] = [[] for _ in range(count)]
    for run in found:
        assert len(range(count)[run.positions]) == run.count
        for number, position in enumerate(range(count)[run.positions]):
            assert not filled[position]
            assert run.step >= 0  # views of memory cannot go backwards
            begin = run.start + number * run.step
            row: list[tuple] = [("stays", begin + cell) for cell in range(width)]
            for cell in range(run.overlap):
                row[run.target + cell] = ("changed", position, run.source + cell)
            filled[position] = row
            assert len(row) == width
    assert all(len(row) == width for row in filled)
    assert sorted(p for run in found for p in range(count)[run.positions]) == list(range(count))
    return filled


def test_patches_at_equal_distances_are_few_runs() -> None:
    patches = Window(9, tuple(range(30)))
    assert len(runs(patches, patches)) == 1
    halved = Window(5, tuple(3 * n // 2 for n in range(30)))  # every second time one cell more
    assert len(runs(Window(7, halved.starts), halved)) <= 2
