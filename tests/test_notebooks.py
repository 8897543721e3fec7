"""The stored lessons: what GitHub shows of them. That they run is shown by nbval, which runs every cell."""

import re
from pathlib import Path

import nbformat
import pytest

from tests.solutions import solutions

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_every_cell_was_run_once_from_top_to_bottom(path: Path):
    counts = [cell.execution_count for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))


def test_no_stored_output_is_an_error_or_a_warning(path: Path):
    outputs = [output for cell in cells(path, "code") for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_pictures_are_stored_also_where_a_widget_was(path: Path):
    shown = [output.data for cell in cells(path, "code") for output in cell.outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 3
    # without a kernel JupyterLab shows an error in place of a stored widget, and GitHub shows nothing
    assert not [kind for data in shown for kind in data if "widget" in kind]


def test_it_begins_with_a_question_and_ends_with_something_to_try(path: Path):
    texts = [cell.source for cell in cells(path, "markdown")]
    assert texts[0].startswith("# ") and "?" in texts[0]
    assert re.search(r"^## (Exercises|Try it)$", texts[-1], re.M)
    assert texts[-1].count("<summary>Solution</summary>") >= 2


def test_numbers_that_matter_are_compared_and_cells_are_short(path: Path):
    sources = [cell.source for cell in cells(path, "code")]
    assert sum(source.startswith("# NBVAL_CHECK_OUTPUT") for source in sources) >= 3
    for cell in cells(path, "code"):
        assert not cell.source.startswith("# NBVAL_CHECK_OUTPUT") or cell.outputs, f"nothing to compare:\n{cell.source}"
        assert len(cell.source.splitlines()) <= 16, f"more than one idea:\n{cell.source}"


def test_the_exercises_have_solutions_which_are_run_behind_the_lesson(path: Path, request: pytest.FixtureRequest):
    assert len(solutions(path)) >= 2
    run = [item.name for item in request.session.items if item.path == path]  # none where this file is run alone
    behind = [f"Solution {number}" for number in range(len(solutions(path)))]
    assert not run or run[len(cells(path, "code")) :] == behind


def test_links_lead_to_lessons_that_exist(path: Path):
    for text in (cell.source for cell in cells(path, "markdown")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (path.parent / target).exists(), target
