"""The solutions of the lessons' exercises, run in the kernel that nbval ran the lesson in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile


def solutions(path: Path) -> list[str]:
    """The code of a lesson's solutions, which lie folded in its last text."""
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    folded = re.findall(r"<summary>Solution</summary>(.*?)</details>", texts[-1], re.S)
    return [code for one in folded for code in re.findall(r"```python\n(.*?)```", one, re.S)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Behind the last cell of each lesson that is run as a whole come its solutions."""
    items[:] = list(_with_solutions(items))


def _with_solutions(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    wanted: dict[pytest.Item, IPyNbFile] = {}
    for lesson in {item.parent for item in items if isinstance(item, IPyNbCell)}:
        mine = [item for item in items if item.parent is lesson]
        if len(mine) == sum(cell.cell_type == "code" for cell in lesson.nb.cells):
            wanted[mine[-1]] = lesson
    for item in items:
        yield item
        if isinstance(item, IPyNbCell) and item in wanted:
            yield from _cells(wanted[item], item.cell_num + 1)


def _cells(lesson: IPyNbFile, first: int) -> Iterator[IPyNbCell]:
    for number, code in enumerate(solutions(lesson.path)):
        cell = nbformat.v4.new_code_cell(code)
        yield IPyNbCell.from_parent(
            lesson, name=f"Solution {number}", cell_num=first + number, cell=cell, options=defaultdict(bool)
        )
