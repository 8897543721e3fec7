"""FeatureStudio with real weights in a real JupyterLab: a flamingo grows, and one can do everything to it meanwhile."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import skimage
from PIL import Image, ImageOps
from playwright.sync_api import Locator

from tests.browser.harness import contrast, drop_file, wait_until
from tests.browser.jupyter import PANEL, JupyterServer, OpenNotebook

pytestmark = pytest.mark.browser

MAKE = """\
import ipywidgets, threading, time
from cnnviz_widgets import Engine, FeatureStudio, LayerBrowser, Unit, maximize, samples

engine = Engine("squeezenet1_1")
studio = FeatureStudio(engine, "flamingo")
studio"""

ALL_OF_THE_CANVAS = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 1) sum = (31 * sum + data[i]) >>> 0;
  return sum;
}"""


class StudioPage:
    """A notebook with a FeatureStudio, and the parts of it that a hand or an eye looks for."""

    def __init__(self, notebook: OpenNotebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = self.page.locator(".cnnviz-studio")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def tick(self, name: str) -> Locator:
        return self.root.get_by_role("checkbox", name=name, exact=True)

    def said(self) -> str:
        return self.root.locator(".cnnviz-state").inner_text()

    def step(self) -> int:
        found = re.search(r"step ([\d,]+) of", self.said())
        return int(found[1].replace(",", "")) if found else 0

    def picture(self) -> int:
        """A number that is another one when a single pixel is."""
        canvas = self.root.locator(".cnnviz-grown canvas")
        return canvas.first.evaluate(ALL_OF_THE_CANVAS) if canvas.count() else 0

    def begins(self) -> str:
        return self.root.locator(".cnnviz-line", has_text="Begins with").inner_text()

    def alarm(self) -> Locator:
        return self.root.locator(".cnnviz-alarm")

    def until_step(self, least: int) -> None:
        wait_until(lambda: self.step() >= least, 60, f"step {least}")


@pytest.fixture
def shown(jupyter_lab: JupyterServer, request: pytest.FixtureRequest) -> Iterator[StudioPage]:
    """A FeatureStudio in a notebook; its parameter is another cell."""
    cells = [nbformat.v4.new_code_cell(source) for source in (MAKE, *filter(None, [getattr(request, "param", "")]))]
    notebook = jupyter_lab.open(
        nbformat.v4.new_notebook(cells=cells), name="studio.ipynb", viewport={"width": 1400, "height": 1200}
    )
    notebook.run_all()
    page = StudioPage(notebook)
    page.root.wait_for()
    yield page
    notebook.python("ipywidgets.Widget.close_all()")


def test_a_picture_grows_before_the_eyes_from_the_first_second_on(shown: StudioPage):
    assert "Press Start" in shown.root.locator(".cnnviz-empty").inner_text()
    assert shown.button("Keep").is_disabled()
    # once, so that what follows is about the widget and not about the network's first breath
    shown.notebook.python("studio.steps = 60; studio.start(); studio.wait(60)", 70)
    shown.notebook.python("studio.target = 'goldfish'")
    wait_until(lambda: "goldfish" in shown.root.locator(".cnnviz-next").inner_text(), what="the next target")
    shown.page.evaluate(
        """() => {
          const [main] = document.querySelectorAll('.cnnviz-studio .cnnviz-main');
          const caption = document.querySelector('.cnnviz-studio .cnnviz-caption');
          main.addEventListener('click', () => (window.clicked = performance.now()), { capture: true });
          new MutationObserver(() => {
            if (caption.textContent === 'goldfish') window.came ??= performance.now();
          }).observe(caption, { childList: true, characterData: true, subtree: true });
        }"""
    )
    shown.button("Start").click()
    wait_until(lambda: shown.page.evaluate("window.came"), 20, "the first frame")
    took = shown.page.evaluate("() => (window.came - window.clicked) / 1000")
    assert took < 2.0, f"{took:.2f} s from the click to the first frame"
    frames = {shown.picture()}

    def more() -> bool:
        frames.add(shown.picture())
        return len(frames) >= 5

    wait_until(more, 30, "five different frames")
    shown.notebook.until_python("studio.status['state'] == 'done'", 90)
    caption = shown.root.locator(".cnnviz-grown figcaption")
    wait_until(lambda: "probability" in caption.inner_text(), what="what was measured")
    shown.notebook.python("assert studio.result.probability > 0.5, studio.result")
    assert shown.root.locator(".cnnviz-curves polyline").count() == 1
    assert not shown.alarm().is_visible()


def test_a_slider_and_a_tick_take_effect_while_it_runs(shown: StudioPage):
    shown.notebook.python("studio.steps = 5000")
    shown.button("Start").click()
    shown.until_step(3)
    jitter = shown.slider("Jitter, pixels")
    jitter.focus()
    for _ in range(6):
        shown.page.keyboard.press("ArrowRight")
    shown.notebook.until_python("studio.transforms[0].pixels == 22")
    shown.notebook.until_python("studio._jobs.making._ascent.recipe.transforms[0].pixels == 22")
    missing = shown.root.locator(".cnnviz-missing:visible")
    assert missing.count() == 0
    shown.tick("Total variation").uncheck()
    shown.notebook.until_python("len(studio._jobs.making._ascent.recipe.regularizers) == 1")
    wait_until(lambda: missing.count() == 1, what="what it is for")
    assert "Without it fine noise" in missing.inner_text()
    before = shown.step()
    shown.until_step(before + 3)  # it was not begun anew
    assert "def change(ascent)" in shown.root.locator(".cnnviz-code pre").text_content()


def test_a_tick_stays_as_it_was_put_until_a_busy_kernel_answers(shown: StudioPage):
    shown.notebook.python("import time; studio.steps = 5000")
    shown.button("Start").click()
    shown.until_step(3)
    kernel = f"{PANEL}.sessionContext.session.kernel"
    shown.page.evaluate(f"() => {{ {kernel}.requestExecute({{ code: 'time.sleep(1.5)' }}); }}")
    shown.tick("Total variation").uncheck()
    for _ in range(10):  # frames come on meanwhile
        assert not shown.tick("Total variation").is_checked()
        shown.page.wait_for_timeout(100)
    shown.notebook.until_python("len(studio._jobs.making._ascent.recipe.regularizers) == 1")
    assert not shown.tick("Total variation").is_checked()


def test_paused_the_network_is_free_and_resumed_it_goes_on(shown: StudioPage):
    shown.notebook.python("studio.steps = 5000")
    shown.button("Start").click()
    shown.until_step(5)
    shown.button("Pause").press("Enter")
    wait_until(lambda: shown.said().startswith("paused at step"), what="the word 'paused'")
    shown.notebook.python(
        "studio.wait(10); at = studio._jobs.making.done\n"
        "assert engine.worker.submit(lambda: 7).wait(5) == 7\n"
        "time.sleep(0.3)\n"
        "assert studio._jobs.making.done == at, 'it went on'"
    )
    at = shown.step()
    assert shown.button("Stop").is_visible()
    shown.button("Resume").click()
    shown.until_step(at + 5)


def test_stop_takes_less_than_half_a_second_and_the_best_is_kept(shown: StudioPage):
    shown.notebook.python("studio.steps = 5000")
    shown.button("Start").click()
    shown.until_step(10)
    shown.notebook.python(
        "told = {}\n"
        "studio.view.on_msg(lambda _view, message, _buffers: told.setdefault(message['type'], time.time()))\n"
        "job = studio._jobs._desk._jobs['make']\n"
        "def watch():\n"
        "    job._ended.wait(60); told['ended'] = time.time()\n"
        "threading.Thread(target=watch).start()"
    )
    shown.button("Stop").click()
    wait_until(lambda: re.match(r"stopped at step \d+ of 5,000; score", shown.said()), what="the score")
    shown.notebook.until_python("'ended' in told")
    shown.notebook.python("assert told['ended'] - told['stop'] < 0.5, told")
    shown.notebook.python("assert studio.result is not None and len(studio.result.trace) == studio._jobs.making.done")
    shown.button("Keep").click()
    kept = shown.root.locator(".cnnviz-kept-one")
    wait_until(lambda: kept.count() == 1, what="the kept picture")
    assert "flamingo" in kept.inner_text()
    kept.locator(".cnnviz-look").click()
    wait_until(lambda: shown.button("Back to the present picture").is_visible(), what="the kept picture, large")
    kept.get_by_role("button", name="Remove flamingo from the gallery").click()
    wait_until(lambda: kept.count() == 0, what="the removal")
    assert shown.root.locator(".cnnviz-caption").inner_text() == "flamingo"


def test_a_target_that_does_not_exist_is_said_and_the_next_one_is_taken(shown: StudioPage):
    field = shown.page.locator(".cnnviz-feature-studio input[type=text]").first
    field.fill("flamingoo")
    field.press("Enter")
    wait_until(lambda: shown.alarm().is_visible(), what="the error")
    assert "did you mean 'flamingo'" in shown.alarm().inner_text()
    shown.notebook.python("assert studio.target == 'flamingo'")
    field.fill("tabby")
    field.press("Enter")
    shown.notebook.until_python("studio.target == 'tabby'")
    wait_until(lambda: not shown.alarm().is_visible(), what="that the error went")


def test_a_photo_that_is_dropped_is_what_it_begins_with_and_a_text_is_refused(shown: StudioPage, tmp_path: Path):
    sample = Image.open(Path(skimage.__file__).parent / "data" / "coffee.png").convert("RGB")
    photo = ImageOps.mirror(sample)  # the sample itself would be known by its own name
    side, left = photo.height, (photo.width - photo.height) // 2
    photo.crop((left, 0, left + side, side)).resize((256, 256)).save(tmp_path / "middle.png")
    encoded = io.BytesIO()
    photo.save(encoded, "PNG")
    drop_file(shown.root, "coffee.png", encoded.getvalue())
    wait_until(lambda: "coffee.png" in shown.begins(), what="the photo's name")
    drop_file(shown.root, "no picture.png", b"this is a text")
    wait_until(lambda: shown.alarm().is_visible(), what="the error")
    assert "coffee.png" in shown.begins()
    shown.notebook.python(  # after a single step it still looks like the photo
        "import numpy as np; from PIL import Image; studio.steps = 1; studio.start(); made = studio.wait(60).picture\n"
        f"own = np.asarray(Image.open({str(tmp_path / 'middle.png')!r}))\n"
        "alike = np.corrcoef(own.ravel(), made.ravel())[0, 1]\nassert alike > 0.9, alike",
        70,
    )
    shown.button("Noise").click()
    shown.notebook.until_python("studio.init is None")
    wait_until(lambda: "noise" in shown.begins().lower(), what="the word noise")


FOLLOWED = """\
browser = LayerBrowser(engine, samples["cat"])
unfollow = studio.follow(browser)
browser"""


@pytest.mark.parametrize("shown", [FOLLOWED], indirect=True, ids=["with a LayerBrowser"])
def test_a_channel_that_is_chosen_in_a_layer_browser_is_the_next_target(shown: StudioPage):
    page = shown.page
    shown.notebook.python("browser.layer, browser.channel = 'features.9', 7; browser.wait(60)", 70)
    shown.notebook.scroll_to("browser")
    wall = page.locator(".cnnviz-wall .cnnviz-scroller")
    wall.focus()
    page.keyboard.press("ArrowRight")
    shown.notebook.until_python("browser.channel != 7 and studio.target == Unit('features.9', browser.channel)")
    # nothing of one widget lies over the other's
    stage, tools = (
        page.locator(f".cnnviz-wall .{name}").bounding_box() for name in ("cnnviz-scroller", "cnnviz-under")
    )
    assert stage and tools and stage["y"] + stage["height"] <= tools["y"] + 1, (stage, tools)
    shown.notebook.scroll_to("FeatureStudio(")
    offer = shown.root.locator(".cnnviz-empty")
    wait_until(lambda: "features.9 channel" in offer.inner_text(), what="the unit's name")
    shown.notebook.python("unfollow(); browser.channel = 11; browser.wait(60); assert studio.target.channel != 11")


def wider(page: StudioPage) -> list[Any]:
    """Elements that stick out of the widget."""
    return page.root.evaluate(
        """(root) => [...root.querySelectorAll('*')].filter((el) => {
          const [own, all] = [el.getBoundingClientRect(), root.getBoundingClientRect()];
          return own.width && own.right > all.right + 1 && !el.closest('.cnnviz-strip, pre');
        }).map((el) => el.className || el.tagName)"""
    )


@pytest.mark.parametrize("width", [1400, 760])
def test_several_stand_side_by_side_in_both_themes_and_nothing_sticks_out(
    shown: StudioPage, width: int, tmp_path: Path
):
    shown.page.set_viewport_size({"width": width, "height": 1200})
    shown.notebook.python(
        "studio.target = Unit('features.6', 20); studio.channels = 3; studio.preset = 'yosinski_1'; studio.steps = 8\n"
        "studio.start(); studio.wait(60); studio.keep()",
        70,
    )
    wait_until(lambda: shown.root.locator(".cnnviz-grown canvas").count() == 3, what="three pictures")
    wait_until(lambda: shown.root.locator(".cnnviz-kept-one").count() == 3, what="three kept ones")
    assert "features.6 channel 21" in shown.root.locator(".cnnviz-grown").inner_text()
    for theme in ("light", "dark"):
        shown.notebook.theme(theme)
        assert wider(shown) == []
        for words in (
            ".cnnviz-caption",
            ".cnnviz-grown figcaption span",
            ".cnnviz-piece-row label",
            ".cnnviz-look span",
        ):
            assert contrast(shown.root.locator(words).first) > 4.5, (words, theme)
        picture = shown.notebook.screenshot(tmp_path / f"{theme}.png", ".cnnviz-studio")
        assert picture.stat().st_size > 10_000
    shown.notebook.theme("light")
