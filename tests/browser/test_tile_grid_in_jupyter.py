"""TileGrid in a real JupyterLab: tiles come when they are looked at, and an exported page shows the last view."""

import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from tests.browser.harness import wait_until
from tests.browser.jupyter import JupyterServer, OpenNotebook

pytestmark = pytest.mark.browser

SHOW = """\
import numpy as np
from cnnviz_widgets.widgets import TileGrid

maps = np.random.default_rng(0).random((2048, 28, 28), dtype=np.float32)
grid = TileGrid()
grid.show(maps, key="layer4")
grid"""
PIXELS = """() => {
  const c = document.querySelector('.cnnviz-wall canvas.cnnviz-pixels');
  return c && c.width > 300 ? c.toDataURL().split(',')[1] : null;
}"""
WALL = ".cnnviz-wall .cnnviz-scroller"


def covered(notebook: OpenNotebook) -> float:
    """The share of the wall that maps cover: of theirs, few pixels are dark or light grey."""
    png = notebook.page.evaluate(PIXELS)
    if png is None:
        return 0
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")).astype(int)
    return float((np.ptp(pixels[..., :3], axis=-1) > 30).mean())


@pytest.fixture
def notebook(jupyter_lab: JupyterServer) -> OpenNotebook:
    cells = [nbformat.v4.new_code_cell(SHOW)]
    opened = jupyter_lab.open(nbformat.v4.new_notebook(cells=cells), name="wall.ipynb")
    opened.run_all()
    wait_until(lambda: covered(opened) > 0.4, what="a drawn wall")
    return opened


def test_tiles_come_when_they_are_looked_at_and_both_sides_stay_in_touch(notebook: OpenNotebook):
    wall = notebook.page.locator(WALL)
    wall.focus()
    notebook.page.keyboard.press("Home")
    notebook.page.keyboard.press("ArrowRight")
    notebook.until_python("grid.selected == 1")
    notebook.page.keyboard.press("End")
    notebook.until_python("grid.selected == 2047 and grid.seen[1] == 2048")
    wait_until(lambda: covered(notebook) > 0.3, what="the last tiles")
    # What is seen is in the state, for a page without a kernel.
    kept = "np.frombuffer(grid.layer['tiles']['channels'], '<i4')"
    notebook.until_python(f"set(range(*grid.seen)) <= set({kept}.tolist())")
    notebook.page.keyboard.press("Enter")
    notebook.until_python("grid.picked['channel'] == 2047 and "
                          "(grid.picked['y'], grid.picked['x']) == divmod(int(maps[2047].argmax()), 28)")  # fmt: skip


def test_live_frames_keep_coming_and_the_keys_do_not_reach_the_notebook(notebook: OpenNotebook):
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = notebook.page.evaluate(cells)
    wall = notebook.page.locator(WALL)
    for key in ("b", "a", "c", "l", "o", "ArrowDown"):
        wall.press(key)
    assert notebook.page.evaluate(cells) == before
    notebook.until_python("grid.locked and grid.order == 'activation'")
    notebook.python("for turn in range(30):\n    grid.show(maps * (turn + 1), key='layer4', live=True)")
    high = notebook.page.locator(".cnnviz-wall .cnnviz-hi")
    wait_until(lambda: high.inner_text() == "30", what="the last frame")
    wait_until(lambda: covered(notebook) > 0.3, what="the tiles of the last frame")
