"""ImageCanvas in a real JupyterLab and a real Notebook 7, on a real photo."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from tests.browser.harness import wait_until
from tests.browser.jupyter import JupyterServer, OpenNotebook

pytestmark = pytest.mark.browser

MAKE = """\
from pathlib import Path
import numpy as np, skimage
from PIL import Image
from cnnviz_widgets.widgets import ImageCanvas

photo = Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png").convert("RGB").crop((75, 0, 375, 300))
y, x = np.mgrid[:13, :13]
blob = np.exp(-((x - 6) ** 2 + (y - 5) ** 2) / 8) * 3.2
canvas = ImageCanvas(context="chelsea", mode="why", method="blob")
canvas.show_picture(np.asarray(photo.resize((224, 224))))
canvas.show_map(blob, label="a blob")
needs = []
canvas.on_need(needs.append)
"""
SHOW = """\
import ipywidgets
menu = ipywidgets.Dropdown(options=["blob", "waves"], description="method")
canvas.follow(menu, "method")
ipywidgets.VBox([menu, canvas])"""

PIXELS = """() => {
  const c = document.querySelector('canvas.cnnviz-pixels');
  return c && c.width > 1 ? c.toDataURL().split(',')[1] : null;
}"""


def pixels(notebook: OpenNotebook) -> np.ndarray:
    png = wait_until(lambda: notebook.page.evaluate(PIXELS), what="a drawn canvas")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"))


def until_pixels_change(notebook: OpenNotebook, before: np.ndarray) -> np.ndarray:
    return wait_until(lambda: (now := pixels(notebook)).shape == before.shape and (now != before).any() and [now],
                      what="a change of the pixels")[0]  # fmt: skip


@pytest.fixture
def notebook(jupyter_server: JupyterServer) -> OpenNotebook:
    cells = [nbformat.v4.new_code_cell(source) for source in (MAKE, SHOW)]
    opened = jupyter_server.open(nbformat.v4.new_notebook(cells=cells), name="canvas.ipynb")
    opened.run_all()
    opened.page.locator("canvas.cnnviz-pixels").scroll_into_view_if_needed()
    return opened


def test_a_notebook_shows_the_canvas_and_both_sides_stay_in_touch(notebook: OpenNotebook):
    first = pixels(notebook)
    assert len(np.unique(first.reshape(-1, 4), axis=0)) > 1000, "the canvas is blank"

    # From the page to the kernel and its map back to the page.
    notebook.page.get_by_label("Opacity").fill("90")
    second = until_pixels_change(notebook, first)
    notebook.page.locator("select", has_text="waves").select_option("waves")
    bare = until_pixels_change(notebook, second)
    notebook.until_python("needs == ['chelsea|why|waves'] and canvas.opacity == 0.9")
    notebook.python("canvas.publish(needs[0], np.sin(x), label='waves')")
    until_pixels_change(notebook, bare)
    assert notebook.page.locator(".cnnviz-caption").inner_text() == "waves"

    # Back to the first map: the browser has it.
    notebook.page.locator("select", has_text="waves").select_option("blob")
    wait_until(lambda: (pixels(notebook) == second).all(), what="the first map again")
    notebook.python("assert needs == ['chelsea|why|waves'], needs")


def test_keys_move_the_cross_hair_and_not_the_notebook(notebook: OpenNotebook):
    canvas = notebook.page.locator("canvas.cnnviz-pixels")
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = notebook.page.evaluate(cells)
    # The buttons too: a letter pressed on one of them is no command for the notebook.
    notebook.page.get_by_role("button", name="Lock scale").press("b")
    canvas.focus()
    for key in ("ArrowUp", "ArrowLeft", "b", "a", "x", "d", "d", "c", "Enter"):
        canvas.press(key)
    wait_until(lambda: "x 111" in (notebook.page.locator(".cnnviz-readout").get_attribute("data-text") or ""))
    assert notebook.page.evaluate(cells) == before
    assert canvas.evaluate("(c) => document.activeElement === c")
    notebook.until_python("canvas.cursor == {'x': 111, 'y': 112}")


def test_a_thread_publishes_while_the_kernel_is_busy_and_the_canvas_wears_the_theme_of_the_page(
    notebook: OpenNotebook, tmp_path: Path
):
    first = pixels(notebook)
    notebook.python(
        "import threading, time\n"
        "threading.Thread(target=lambda: canvas.show_map(np.cos(y), label='late')).start(); time.sleep(1)"
    )
    until_pixels_change(notebook, first)
    colours = []
    for theme in ("light", "dark"):
        notebook.theme(theme)
        colours.append(notebook.page.locator(".cnnviz-caption").evaluate("(el) => getComputedStyle(el).color"))
        shot = notebook.screenshot(tmp_path / f"canvas-{theme}.png", ".cnnviz-canvas")
        assert shot.stat().st_size > 10_000
    dark, light = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert dark < 200 and light > 550, colours
