"""What a cell shows, in a real kernel: each picture exactly once, sharp, and at its size."""

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

SETUP = """
import numpy as np
from cnnviz_widgets.results import Heatmap
result = Heatmap(image=np.zeros((8, 8, 3), np.uint8), method="m", values=np.ones((8, 8)), raw=np.ones((2, 2)))
"""
BEFORE_PYPLOT = ["result", "result.plot()", "figure = result.plot(); figure", "display(result.plot())"]
AFTER_PYPLOT = [*BEFORE_PYPLOT, "figure, ax = plt.subplots()\nresult.plot(ax=ax)"]
SILENT = ["figure = result.plot()", "result.plot();", "result.save('x.png');"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    sources = [SETUP, *BEFORE_PYPLOT, *SILENT, "import matplotlib.pyplot as plt", *AFTER_PYPLOT, *SILENT]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    root = Path(__file__).parents[2]
    notebook.cells[0].source = f"import sys; sys.path.insert(0, {str(root)!r})" + SETUP
    resources = {"metadata": {"path": str(tmp_path_factory.mktemp("cells"))}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    return notebook.cells


def pictures(cell: Any) -> list[Any]:
    return [out for out in cell.outputs if any(kind.startswith("image/") for kind in out.get("data", {}))]


def test_a_picture_is_shown_exactly_once_with_and_without_pyplot(cells: list[Any]) -> None:
    counts = {(i, cell.source): len(pictures(cell)) for i, cell in enumerate(cells)}
    shown = {key: count for key, count in counts.items() if key[1] in AFTER_PYPLOT}
    assert len(shown) == len(BEFORE_PYPLOT) + len(AFTER_PYPLOT)
    assert set(shown.values()) == {1}, shown
    assert {count for key, count in counts.items() if key[1] not in AFTER_PYPLOT} == {0}, counts


def test_a_shown_picture_is_twice_as_sharp_as_its_size(cells: list[Any]) -> None:
    own = [cell for cell in cells if cell.source in BEFORE_PYPLOT]
    assert own
    for cell in own:
        (output,) = pictures(cell)
        size = output.metadata["image/png"]
        with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as picture:
            assert picture.size == (size["width"] * 2, size["height"] * 2), cell.source
