"""IndexBuilder and EmbeddingScatter in a real JupyterLab: a build that is stopped, a map that grows, a lasso."""

import io
import json
import re

import nbformat
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator

from tests.browser.harness import contrast, drop_file, wait_until
from tests.browser.jupyter import JupyterServer, OpenNotebook

pytestmark = pytest.mark.browser

MAKE = """\
import ipywidgets, time, threading
import numpy as np
import torch
from PIL import Image
from torch import nn
from cnnviz_widgets import EmbeddingScatter, Engine, Gallery, Index, IndexBuilder, neighbors, place
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets.point_polygon import points_in_polygon

NAMES = ("red", "green", "blue")

def picture(n):
    "One colour, another one for every number, with a little noise; the class is the strongest channel."
    levels = np.full(3, 10 + n // 6 % 10 * 12)
    levels[n % 3] = 130 + n // 60 % 12 * 10
    noise = np.random.default_rng(n).integers(-8, 9, (16, 16, 3))
    return Image.fromarray((levels + noise).clip(0, 255).astype(np.uint8))

class Slow:
    "A data set that takes its time, and notes what was read."
    classes, pause, read = NAMES, 0.0, []
    def __init__(self, count): self.count = count
    def __len__(self): return self.count
    def __getitem__(self, n):
        time.sleep(self.pause); self.read.append(n)
        return picture(n), n % 3

torch.manual_seed(1)
net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
engine = Engine(net, transform=Preprocessing(resize=16, crop=16), categories=NAMES, device="cpu")
"""

BUILD = """\
data = Slow(300)
builder = IndexBuilder(engine, Gallery.from_dataset(data), FOLDER, shard=30, batch_size=10)
builder"""

SCATTER = """\
index = Index.build(engine, Gallery.from_dataset(Slow(400)), FOLDER, layers=["3", "1"], progress=False)
scatter = EmbeddingScatter(index)
scatter"""

MEAN = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i] / (data.length / 4);
  return sums;
}"""


def opened(server: JupyterServer, name: str, last: str) -> OpenNotebook:
    """A notebook whose last cell shows a widget."""
    # JupyterLab's question whether it may fetch news lies over the lower right corner.
    settings = server.folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    cells = [nbformat.v4.new_code_cell(MAKE + f"FOLDER = {name!r}"), nbformat.v4.new_code_cell(last)]
    notebook = server.open(
        nbformat.v4.new_notebook(cells=cells), name=f"{name}.ipynb", viewport={"width": 1280, "height": 1250}
    )
    notebook.run_all()
    notebook.scroll_to(last.splitlines()[0])
    return notebook


def button(root: Locator, name: str) -> Locator:
    return root.locator("button", has_text=re.compile(rf"^\s*{name}\s*$"))  # an icon is part of the name


def test_an_index_is_built_with_its_progress_stopped_and_gone_on_with(jupyter_lab: JupyterServer):
    notebook = opened(jupyter_lab, "building", BUILD)
    root = notebook.page.locator(".cnnviz-builder")
    words, bar = root.locator(".cnnviz-state"), root.get_by_role("progressbar")
    wait_until(lambda: "300 pictures" in said(words), what="what there is to do")
    notebook.python("Slow.pause = 0.015")
    button(root, "Start").click()

    def done() -> int:
        counted = re.match(r"(\d+) of 300 pictures", said(words))
        return int(counted[1]) if counted else 0

    first = wait_until(done, 40, "some pictures")
    wait_until(lambda: done() >= max(60, first + 10), 40, "two shards")
    assert 0 < int(bar.get_attribute("aria-valuenow") or 0) < 100
    button(root, "Stop").click()
    wait_until(lambda: said(words).startswith("stopped"), 20, "the word 'stopped'")
    notebook.python("builder.wait(20); assert builder.index is None; before = set(Slow.read); Slow.read.clear()")
    assert 0 < int(bar.get_attribute("aria-valuenow") or 0) < 100, "the bar stays where it was"
    assert contrast(words) > 4.5

    notebook.python("Slow.pause = 0.0")
    go_on = button(root, "Go on")
    go_on.focus()
    notebook.page.keyboard.press("Enter")
    wait_until(lambda: said(words).startswith("ready as .index: 300 pictures"), 40, "the index")
    notebook.until_python("builder.index is not None and len(builder.index) == 300")
    notebook.python("assert not {n for n in range(30)} & set(Slow.read) - {0}, 'a shard that was whole is read again'")
    notebook.python("assert len(Slow.read) < 300 - 29, len(Slow.read)")
    notebook.theme("dark")
    assert contrast(words) > 4.5
    assert contrast(root.locator(".cnnviz-caption")) > 4.5
    assert root.locator(".cnnviz-alarm").is_hidden()
    notebook.python("ipywidgets.Widget.close_all()")


def said(words: Locator) -> str:
    return words.text_content() or ""


class ScatterPage:
    """An EmbeddingScatter in a notebook."""

    def __init__(self, notebook: OpenNotebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = notebook.page.locator(".cnnviz-embedding-scatter")
        self.ground = self.root.locator(".cnnviz-points-ground")

    def status(self) -> str:
        return self.root.locator(".cnnviz-points .cnnviz-state").text_content() or ""

    def step(self) -> int:
        counted = re.search(r"step (\d+) of 750", self.status())
        return int(counted[1]) if counted else 0

    def finished(self) -> bool:
        return "750 steps, divergence" in self.status()

    def drawn(self) -> str:
        """What is on the canvas of the points."""
        return self.ground.locator("canvas.cnnviz-pixels").evaluate("(canvas) => canvas.toDataURL()")

    def box(self) -> tuple[float, float, float, float]:
        box = self.ground.bounding_box()
        assert box is not None
        return box["x"], box["y"], box["width"], box["height"]


def test_a_map_converges_on_the_screen_and_its_points_answer_to_the_hand(jupyter_lab: JupyterServer):
    shown = ScatterPage(opened(jupyter_lab, "scatter", SCATTER))
    converges(shown)
    hover_shows_the_picture_of_the_point(shown)
    a_dropped_picture_is_placed_beside_its_neighbours(shown)
    a_lasso_selects_in_python_and_hangs_the_wall(shown)
    another_layer_moves_the_points(shown)
    the_theme_is_followed(shown)
    assert shown.root.locator(".cnnviz-points .cnnviz-alarm").is_hidden()
    shown.notebook.python("ipywidgets.Widget.close_all()")


def converges(shown: ScatterPage) -> None:
    button(shown.root, "Restart").click()
    wait_until(lambda: not shown.step(), 20, "another start")
    early = wait_until(shown.step, 60, "the first steps")
    first = shown.drawn()
    shown.notebook.python("then = scatter.map.places.copy()")
    wait_until(lambda: shown.step() >= early + 50 or shown.finished(), 60, "later steps")
    assert shown.drawn() != first, "nothing moved"
    wait_until(shown.finished, 90, "the end")
    shown.notebook.python("assert scatter.result is not None and np.abs(scatter.map.places - then).max() > 1")


def hover_shows_the_picture_of_the_point(shown: ScatterPage) -> None:
    left, top, width, height = shown.box()
    tip = shown.root.locator(".cnnviz-points-tip")

    def pointed() -> bool:
        for down in np.linspace(0.1, 0.9, 9):
            for right in np.linspace(0.1, 0.9, 12):
                shown.page.mouse.move(left + width * right, top + height * down)
                shown.page.wait_for_timeout(20)
                if tip.is_visible():
                    return True
        return False

    assert pointed(), "there is no point under any place of the map"
    wait_until(lambda: re.search(r"picture\s+(\d+)", tip.inner_text()), 20, "the words of the point")
    named = re.search(r"picture\s+(\d+)", tip.inner_text())
    assert named and re.search(r"prediction\s+(red|green|blue), \d+%", tip.inner_text()), tip.inner_text()
    shown.notebook.python(
        f"wanted = np.asarray(picture({named[1]})).mean((0, 1))\n"
        "others = [np.asarray(picture(n)).mean((0, 1)) for n in range(400)]"
    )
    seen = wait_until(lambda: [level for level in tip.locator("canvas").evaluate(MEAN) if level], 20, "a thumbnail")
    shown.notebook.python(f"assert np.abs(wanted - {seen}).max() < 6, (wanted, {seen})")


def a_dropped_picture_is_placed_beside_its_neighbours(shown: ScatterPage) -> None:
    mine = Image.fromarray(np.full((16, 16, 3), (30, 200, 40), np.uint8))
    encoded = io.BytesIO()
    mine.save(encoded, "PNG")
    drop_file(shown.ground, "mine.png", encoded.getvalue())
    shown.notebook.until_python("len(scatter.map.marks) == 1 and scatter.pixel_neighbors is not None", 60)
    shown.notebook.python(
        "mine = Image.fromarray(np.full((16, 16, 3), (30, 200, 40), np.uint8))\n"
        "assert scatter.query is None and scatter.map.marks[0]['name'] == 'mine.png'\n"
        "assert (scatter.neighbors.rows == neighbors(index, mine).rows).all()\n"
        "assert scatter.map.marks[0]['lines_to'] == scatter.neighbors.rows.tolist()\n"
        "assert np.allclose([scatter.map.marks[0][c] for c in 'xy'], place(index, scatter.result, mine)[0], atol=1e-3)"
    )
    strip = shown.root.locator(".cnnviz-pictures").first
    wait_until(lambda: "8 of 8 are green" in strip.inner_text(), what="the green neighbours")
    wait_until(lambda: strip.locator(".cnnviz-tile canvas:visible").count() >= 4, 20, "their pictures")
    for tile in strip.locator(".cnnviz-tile canvas:visible").all()[:4]:
        red, green, blue = tile.evaluate(MEAN)
        assert green > max(red, blue) + 20, "a strip of other pictures"
    assert "mine.png" in shown.root.locator(".cnnviz-source").inner_text()


def a_lasso_selects_in_python_and_hangs_the_wall(shown: ScatterPage) -> None:
    left, top, width, height = shown.box()
    corners = [(0.03, 0.03), (0.6, 0.03), (0.55, 0.5), (0.6, 0.97), (0.03, 0.97)]
    shown.page.keyboard.down("Shift")
    shown.page.mouse.move(left + width * corners[0][0], top + height * corners[0][1])
    shown.page.mouse.down()
    for right, down in corners[1:]:
        shown.page.mouse.move(left + width * right, top + height * down, steps=8)
    shown.page.mouse.up()
    shown.page.keyboard.up("Shift")
    shown.notebook.until_python("len(scatter.selection) > 0")
    shown.notebook.python(
        "inside = np.flatnonzero(points_in_polygon(scatter.map.places, scatter.map.polygon))\n"
        "assert scatter.selection == tuple(inside.tolist())\n"
        "assert 50 < len(inside) < 400, len(inside)\n"
        "scatter.wait(20); assert scatter._parts.chosen.numbers == scatter.selection"
    )
    wall = shown.root.locator(".cnnviz-pictures").last
    wait_until(lambda: re.search(r"Selected.*\d+ pictures", wall.inner_text(), re.DOTALL), what="the wall")


def another_layer_moves_the_points(shown: ScatterPage) -> None:
    first = shown.drawn()
    shown.root.get_by_label("Layer", exact=True).select_option(index=1)
    caption = shown.root.locator(".cnnviz-points .cnnviz-caption")
    wait_until(lambda: caption.inner_text() == "t-SNE of 1", 20, "the other layer")
    wait_until(lambda: shown.drawn() != first, 20, "other places")
    button(shown.root, "PCA").click()
    shown.notebook.until_python("scatter.result is not None and scatter.result.method == 'pca'", 60)
    button(shown.root, "t-SNE").click()
    shown.root.get_by_label("Layer", exact=True).select_option(index=0)
    wait_until(lambda: shown.finished() and caption.inner_text() == "t-SNE of 3", 20, "the finished map, at once")


def the_theme_is_followed(shown: ScatterPage) -> None:
    light = shown.drawn()
    shown.notebook.theme("dark")
    for words in (".cnnviz-points .cnnviz-caption", ".cnnviz-pictures .cnnviz-caption", ".cnnviz-pic-title"):
        assert contrast(shown.root.locator(words).first) > 4.5, words
    ground = shown.ground.evaluate("(el) => getComputedStyle(el).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground)[:3])) < 80, f"the ground stays light: {ground}"
    wait_until(lambda: shown.drawn() != light, what="the points on a dark ground")
