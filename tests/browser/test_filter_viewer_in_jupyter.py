"""FilterViewer with real weights in a real JupyterLab: menus, tiles, the card, two networks side by side."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests.browser.harness import wait_until
from tests.browser.jupyter import JupyterServer

pytestmark = pytest.mark.browser

MAKE = """\
import torch
from cnnviz_widgets import Engine, FilterViewer, models, samples

alexnet, zfnet = (
    Engine(make(10, generator=torch.Generator().manual_seed(0)), transform=models.IMAGENET)
    for make in (models.alexnet, models.zfnet)
)
viewer = FilterViewer(Engine("squeezenet1_1"), image=samples["cat"])
viewer"""


def test_filters_are_chosen_sorted_and_compared_by_hand(jupyter_lab: JupyterServer) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in (MAKE, "pair = FilterViewer(alexnet, zfnet)\npair")]
    notebook = jupyter_lab.open(nbformat.v4.new_notebook(cells=cells), name="filters.ipynb")
    notebook.run_all()

    one = notebook.page.locator(".cnnviz-filter-viewer").first
    card = one.locator(".cnnviz-filter-card")
    wait_until(lambda: card.locator("h3").inner_text() == "features.0 · all 64 filters", 60, "the first filters")
    wait_until(lambda: one.get_by_text("cannot carry").count(), 60, "the sentence about aliasing")

    box = one.locator(".cnnviz-scroller canvas").bounding_box()
    assert box is not None
    notebook.page.mouse.click(box["x"] + 30, box["y"] + 30)  # the first tile
    wait_until(lambda: card.locator("h3").inner_text() == "features.0 · filter 0", 20, "filter 0 on the card")
    assert "%" in card.locator("dd").nth(2).inner_text()
    one.get_by_label("Order").select_option("similarity")
    notebook.until_python("viewer.order == 'similarity'")
    one.get_by_label("Layer").select_option("features.3.squeeze · 16 of 1x1")
    wait_until(lambda: card.locator("h3").inner_text() == "features.3.squeeze · all 16 filters", 60, "another layer")
    notebook.until_python("[viewer.layer, viewer.order, viewer.selected] == ['features.3.squeeze', 'similarity', None]")

    two = notebook.page.locator(".cnnviz-filter-viewer").nth(1)
    two.scroll_into_view_if_needed()
    wait_until(lambda: two.locator("h3").count() == 2 and two.get_by_text("cannot carry").count() == 2, 90, "the stems")
    left, right = (two.get_by_label("Layer").nth(i).bounding_box() for i in (0, 1))
    assert left is not None and right is not None
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]  # side by side
    notebook.python("assert [len(column.result.weights) for column in pair.columns] == [64, 96]")
    notebook.theme("dark")
    ink = two.locator("h3").first
    wait_until(
        lambda: min(map(int, re.findall(r"\d+", ink.evaluate("(e) => getComputedStyle(e).color"))[:3])) > 150,
        what="light ink on the dark theme",
    )
    notebook.python("import ipywidgets; ipywidgets.Widget.close_all()")
