"""LayerBrowser with real weights in a real JupyterLab, by keyboard, mouse and camera, and exported without a kernel."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Page

from tests.browser.harness import Mounted, contrast, wait_until
from tests.browser.jupyter import JupyterServer, OpenNotebook

pytestmark = pytest.mark.browser

MAKE = """\
import ipywidgets
import numpy as np
from cnnviz_widgets import Engine, LayerBrowser, samples

engine = Engine("squeezenet1_1")
browser = LayerBrowser(engine, samples["cat"])
browser"""

TREE = ".cnnviz-ol [role=tree]"
WALL = ".cnnviz-wall .cnnviz-scroller"
NUMBER = r"(-?\d[\d.]*(?:e-?\d+)?)"


@pytest.fixture
def lab(jupyter_lab: JupyterServer) -> Iterator[OpenNotebook]:
    """A notebook with a LayerBrowser that shows its first layer."""
    cells = [nbformat.v4.new_code_cell(MAKE)]
    notebook = jupyter_lab.open(
        nbformat.v4.new_notebook(cells=cells), name="browser.ipynb", viewport={"width": 1500, "height": 1250},
        permissions=["camera"],
    )  # fmt: skip
    notebook.run_all()
    notebook.page.locator(".cnnviz-layer-browser").scroll_into_view_if_needed()
    until_caption(notebook, "features.0 · 64 maps")
    notebook.python("browser.tiles.order = 'channel'; browser.wait(60)")  # so that a tile's place is its number
    yield notebook
    notebook.python("browser.source.live = False; ipywidgets.Widget.close_all()")


def until_caption(notebook: OpenNotebook, words: str, seconds: float = 30) -> None:
    caption = notebook.page.locator(".cnnviz-wall .cnnviz-caption")
    wait_until(lambda: words in caption.inner_text(), seconds, f"the caption {words!r}")


def card(notebook: OpenNotebook) -> str:
    return notebook.page.locator(".cnnviz-card").inner_text()


def test_the_tree_and_the_tiles_are_walked_by_keyboard_and_the_card_follows(lab: OpenNotebook):
    page = lab.page
    page.locator(TREE).focus()
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    lab.until_python("browser.layer == 'features.2'")
    until_caption(lab, "features.2 · 64 maps of 55 × 55")
    page.locator(WALL).focus()
    page.keyboard.press("Home")
    lab.until_python("browser.channel == 0")
    lab.python("browser.wait(60); before = browser.tiles.layer")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    lab.until_python("browser.channel == 3 and browser.card.unit['channel'] == 3")
    lab.python("browser.wait(60); assert browser.tiles.layer is before, 'tiles were sent again'")
    wait_until(lambda: "features.2 · channel 3" in card(lab), what="the card of channel 3")
    lab.until_python("browser.card.projection['key'] == browser.card.unit['key']")


def test_a_layer_is_found_by_its_name_and_a_unit_is_chosen_with_the_mouse(lab: OpenNotebook):
    page = lab.page
    page.get_by_label("Search layers by name or kind").fill("12 squeeze")
    page.locator(".cnnviz-ol-row", has_text="squeeze").last.click()
    lab.until_python("browser.layer.startswith('features.12.squeeze')")
    until_caption(lab, "features.12.squeeze")
    lab.python("browser.wait(60)")
    page.locator(WALL).focus()
    page.keyboard.press("Home")  # the wall is scrolled to the strongest map: back to its top
    lab.until_python("browser.channel == 0")
    box = page.locator(WALL).bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 60, box["y"] + 60)
    lab.until_python("browser.tiles.picked and browser.unit.y == browser.tiles.picked['y']")
    lab.until_python("browser.channel == browser.tiles.picked['channel'] == browser.card.unit['channel']")
    lab.until_python("browser.card.projection.get('y') == browser.unit.y")
    wait_until(lambda: re.search(r"features\.12\.squeeze\S* · channel \d+", card(lab)), what="its card")


def test_what_a_channel_looks_for_grows_on_the_card_and_is_given_up_for_another(lab: OpenNotebook):
    page = lab.page
    lab.python("browser.layer, browser.channel = 'features.9', 7; browser.wait(60)")
    wish = page.locator(".cnnviz-wish")
    wish.get_by_role("button", name="Make a picture of it").click()
    wait_until(lambda: wish.locator("canvas").count() == 1, 10, "the first frame")
    frame = "(canvas) => canvas.toDataURL().length + canvas.toDataURL().slice(-64)"
    first = wish.locator("canvas").evaluate(frame)
    wait_until(lambda: wish.locator("canvas").evaluate(frame) != first, 10, "another frame")
    wish.get_by_role("button", name="Stop").click()
    wait_until(lambda: wish.get_by_role("button", name="Make a picture of it").count() == 1, 2, "the offer again")
    wish.get_by_role("button", name="Make a picture of it").click()
    wait_until(lambda: "on this picture" in wish.inner_text(), 60, "the finished picture")
    lab.python("assert browser.card.look['score'] > 3 * browser.result.mean[7]")  # far more than to the cat
    lab.python("browser.channel = 8; browser.wait(60)")
    wait_until(
        lambda: wish.get_by_role("button", name="Make a picture of it").count() == 1, 5, "another channel's offer"
    )
    lab.python("browser.channel = 7; browser.wait(60)")
    wait_until(lambda: "on this picture" in wish.inner_text(), 5, "the remembered picture")


def test_pointing_at_a_value_tells_the_sum_that_made_it(lab: OpenNotebook):
    page = lab.page
    page.locator(WALL).focus()
    page.keyboard.press("Home")
    box = page.locator(WALL).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 70)
    lab.until_python("browser.arithmetic is not None and browser.arithmetic.target.channel == 0")
    # the kernel's own check, on the network's own numbers
    lab.python(
        "sums = browser.arithmetic\n"
        "there = browser.result.maps[0, sums.target.y, sums.target.x]\n"
        "products = (sums.inputs.astype(float) * sums.kernel).sum() + sums.bias\n"
        "assert abs(products - there) <= 1e-5 * max(1, abs(there)), (products, there)"
    )
    view = page.locator(".cnnviz-arithmetic")
    wait_until(lambda: "the network put out" in view.inner_text(), what="the sum in words")
    words = view.inner_text()
    rows = page.locator(".cnnviz-arithmetic").get_by_text(re.compile("^(red|green|blue)$", re.I))
    assert rows.count() == 3
    said = re.search(rf"is\s+{NUMBER} \+ bias {NUMBER} = {NUMBER}", words)
    assert said, words
    products, bias, total = map(float, said.groups())
    assert abs(products + bias - total) <= 2e-3 * max(1, abs(total))
    lab.until_python(f"abs(browser.arithmetic.value - {total}) <= 1e-3 * max(1, abs({total}))")


def test_the_camera_is_followed_and_when_it_stops_the_whole_card_comes_back(lab: OpenNotebook):
    lab.page.get_by_role("button", name="Camera", exact=True).click()
    lab.until_python("browser._stream.begun >= 5", seconds=60)
    lab.until_python("browser.card.unit['live'] and browser.image.size == (256, 256)")
    lab.python("seen = browser.result.maps.copy()")
    lab.until_python("browser.result is not None and (browser.result.maps != seen).any()")  # the stand-in's pie turns
    lab.page.get_by_role("button", name="Stop camera", exact=True).click()
    lab.until_python("not browser.source.live")
    lab.until_python("not browser.card.unit['live'] and browser.card.projection['key'] == browser.card.unit['key']")
    lab.python(
        "browser.wait(60)\n"
        "from cnnviz_widgets.methods.activations import activations\n"
        "again = activations(engine, browser.image, browser.layer)\n"
        "np.testing.assert_array_equal(browser.result.maps, again.maps)"
    )


def test_words_are_readable_in_both_themes(lab: OpenNotebook):
    for theme in ("light", "dark"):
        lab.theme(theme)
        for selector in (
            ".cnnviz-ol-what",
            ".cnnviz-wall .cnnviz-caption",
            ".cnnviz-card",
            ".cnnviz-arithmetic",
            ".cnnviz-source",
        ):
            element = lab.page.locator(selector).first
            assert contrast(element) >= 4.5, f"{selector} in {theme}"


def test_an_exported_page_shows_the_last_view_without_a_kernel(lab: OpenNotebook, new_page: Callable[..., Page]):
    lab.python("browser.layer = 'features.3'; browser.channel = 7; browser.wait(60)")
    until_caption(lab, "features.3 · 128 maps")
    wait_until(lambda: "features.3 · channel 7" in card(lab), what="the card")
    state = exported(lab)
    by_trait = {trait: kept for kept in state.values() for trait in kept.state}
    tiles = Mounted(new_page(), by_trait["tile_size"], kernel=False)
    assert "features.3 · 128 maps of 55 × 55" in tiles.find(".cnnviz-caption").first.inner_text()
    colours = tiles.pixels(".cnnviz-wall canvas.cnnviz-pixels")
    assert len(np.unique(colours.reshape(-1, 4), axis=0)) > 100, "no maps are drawn"
    outline = Mounted(new_page(), by_trait["folded"], kernel=False)
    assert outline.find("[aria-selected=true]").inner_text().split()[:3] == ["▸", "3", "Fire"]
    unit = Mounted(new_page(), by_trait["projection_method"], kernel=False)
    words = unit.find(".cnnviz-card").inner_text()
    assert "features.3 · channel 7" in words and "rank" in words


class Kept:
    """A widget as an exported page holds it: enough of one to be mounted."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.state = content["state"]
        self._esm, self._css = self.state["_esm"], self.state["_css"]
        for buffer in content.get("buffers", ()):
            place = self.state
            for step in buffer["path"][:-1]:
                place = place[step]
            place[buffer["path"][-1]] = base64.b64decode(buffer["data"])
        self.comm: Any = None

    def get_state(self) -> dict[str, Any]:
        return {name: value for name, value in self.state.items() if name != "layout"}


def exported(lab: OpenNotebook) -> dict[str, Kept]:
    """The widgets with an ES module in the page that nbconvert makes of the saved notebook."""
    lab.page.evaluate(
        """async () => {
          await window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState');
          await window.jupyterapp.commands.execute('docmanager:save');
        }"""
    )
    wait_until(lambda: "application/vnd.jupyter.widget-state+json" in lab.path.read_text(), what="the saved state")
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", str(lab.path)]
    subprocess.run(command, check=True, capture_output=True)
    page = lab.path.with_suffix(".html").read_text("utf-8")
    found = re.search(r'<script type="application/vnd\.jupyter\.widget-state\+json">(.*?)</script>', page, re.S)
    assert found, "the page holds no state of widgets"
    state = json.loads(found[1])["state"]
    return {name: Kept(content) for name, content in state.items() if "_esm" in content["state"]}
