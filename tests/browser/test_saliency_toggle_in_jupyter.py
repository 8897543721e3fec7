"""SaliencyToggle on a real photo with real weights, in a real JupyterLab and a real Notebook 7, by mouse and keys."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import skimage
from PIL import Image

from tests.browser.harness import contrast, wait_until
from tests.browser.jupyter import ROOT, JupyterServer
from tests.browser.toggle_page import TogglePage

pytestmark = pytest.mark.browser

TOUR = ROOT / "notebooks" / "00_tour.ipynb"

MAKE = """\
import ipywidgets
from cnnviz_widgets import Engine, SaliencyToggle, samples

engine = Engine("squeezenet1_1")
toggle = SaliencyToggle(engine, samples["cat"])
toggle"""


@pytest.fixture
def show() -> Iterator[Callable[..., TogglePage]]:
    """`show(server, *more_cells, **page_options)`: a notebook with a SaliencyToggle and its first map on the page."""
    shown = []

    def make(server: JupyterServer, *more_cells: str, **page_options: object) -> TogglePage:
        no_news(server)
        cells = [nbformat.v4.new_code_cell(source) for source in (MAKE, *more_cells)]
        notebook = server.open(nbformat.v4.new_notebook(cells=cells), name="toggle.ipynb", **page_options)
        shown.append(notebook)
        notebook.run_all()
        return TogglePage(notebook).ready()

    yield make
    for notebook in shown:  # The kernel goes on to the next test, as a reader's does all day.
        notebook.python("ipywidgets.Widget.close_all()")


@pytest.fixture
def toggle(jupyter_server: JupyterServer, show: Callable[..., TogglePage]) -> TogglePage:
    """In JupyterLab, then in Notebook 7."""
    return show(jupyter_server)


@pytest.fixture
def toggle_in_lab(jupyter_lab: JupyterServer, show: Callable[..., TogglePage]) -> TogglePage:
    """In JupyterLab only, for what does not depend on the application."""
    return show(jupyter_lab)


def no_news(server: JupyterServer) -> None:
    """Keep JupyterLab from asking whether it may fetch news: the question lies over the lower right corner."""
    settings = server.folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and bool((first == second).all())


def test_the_tour_runs_and_ends_in_a_picture_under_a_map(jupyter_server: JupyterServer):
    no_news(jupyter_server)
    notebook = jupyter_server.open(TOUR)
    notebook.run_all()
    notebook.scroll_to("toggle = SaliencyToggle(")
    tour = TogglePage(notebook)
    tour.root.scroll_into_view_if_needed()
    wait_until(lambda: " · " in tour.caption(), what="a map")
    assert len(np.unique(tour.pixels().reshape(-1, 4), axis=0)) > 1000, "the canvas is blank"
    assert not tour.alarm()


def test_a_computed_map_comes_back_at_once_while_the_kernel_stands_still(toggle: TogglePage):
    first = toggle.pixels()
    assert len(np.unique(first.reshape(-1, 4), axis=0)) > 1000, "the canvas is blank"
    toggle.method("Saliency").click()
    toggle.until_caption("Saliency", "tiger cat")
    second = toggle.pixels()
    assert not same(first, second)
    toggle.notebook.wait_idle()

    toggle.notebook.python("asked, jobs = [], []; toggle.canvas.on_need(asked.append)\n"
                           "submit = engine.worker.submit\n"
                           "engine.worker.submit = lambda *a, **k: jobs.append(k) or submit(*a, **k)")  # fmt: skip
    kernel = toggle.kernel_process()
    os.kill(kernel, signal.SIGSTOP)  # Nothing in this process answers anything now, whatever thread or channel.
    try:
        for title, wanted in (("Grad-CAM", first), ("Saliency", second), ("Grad-CAM", first)):
            toggle.method(title).click()
            toggle.until_caption(title, seconds=2)
            assert same(toggle.pixels(), wanted), title
    finally:
        os.kill(kernel, signal.SIGCONT)
    toggle.notebook.until_python("toggle.wait(20).method == 'grad_cam' == toggle.method")
    toggle.notebook.python("assert not asked and not jobs, (asked, jobs)")


def test_stop_ends_a_slow_method_within_half_a_second_and_the_widget_goes_on(toggle: TogglePage):
    toggle.notebook.python(
        "import threading, time\n"
        "told = {}\n"
        "toggle.canvas.on_msg(lambda _canvas, message, _buffers: told.setdefault(message['type'], time.time()))"
    )
    toggle.method("Score-CAM").click()
    toggle.until_computing()
    toggle.notebook.python(
        "told.clear(); job = toggle._slots[0].job\n"
        "def watch(job=job):\n"
        "    job._ended.wait(60); told['ended'] = time.time(); told['state'] = job.state\n"
        "threading.Thread(target=watch).start()"
    )
    toggle.page.evaluate(NOTE_CLICK_AND_END)
    toggle.button("Stop").click()
    wait_until(lambda: toggle.status() == "stopped", what="the word 'stopped'")
    seen = toggle.page.evaluate("() => (window.ended - window.clicked) / 1000")
    assert seen < 1.0, f"{seen:.2f} s from the click to the word"
    toggle.notebook.python(
        "took = told['ended'] - told['stop']\nassert told['state'] == 'cancelled' and took < 0.5, (told, took)"
    )

    toggle.method("Saliency").click()
    toggle.until_caption("Saliency")
    toggle.method("Score-CAM").click()  # What was stopped can be asked for again.
    toggle.until_computing()
    toggle.button("Stop").click()
    wait_until(lambda: toggle.status() == "stopped", what="the word 'stopped'")
    assert not toggle.alarm(), "a stop is no error"


NOTE_CLICK_AND_END = """() => {
  const canvas = document.querySelector('.cnnviz-saliency-toggle .cnnviz-canvas');
  const [stop, words] = [canvas.querySelector('.cnnviz-stop'), canvas.querySelector('.cnnviz-state')];
  stop.addEventListener('click', () => (window.clicked = performance.now()), { capture: true });
  new MutationObserver(() => {
    if (words.textContent === 'stopped') window.ended ??= performance.now();
  }).observe(words, { childList: true, characterData: true, subtree: true });
}"""

SLIDER = """\
slider, echo = ipywidgets.IntSlider(value=5, description="mine"), ipywidgets.Label("nothing yet")
state = lambda: toggle.other_canvas.status["state"]
slider.observe(lambda change: setattr(echo, "value", f"{change['new']} while {state()}"), "value")
slider.add_class("test-slider"); echo.add_class("test-echo")
ipywidgets.VBox([slider, echo])"""


def test_sliders_stay_alive_while_a_slow_method_runs(jupyter_server: JupyterServer, show: Callable[..., TogglePage]):
    toggle = show(jupyter_server, SLIDER, viewport={"width": 1280, "height": 1600})
    toggle.button("Compare two methods").click()
    toggle.until_caption("Saliency", place=1)
    words = toggle.page.locator(".test-echo")
    handle = toggle.page.locator(".test-slider .noUi-handle")
    assert words.inner_text() == "nothing yet"

    def until_echo(wanted: str) -> None:
        try:
            wait_until(lambda: words.inner_text() == wanted)
        except TimeoutError:
            raise AssertionError(f"{words.inner_text()!r}, not {wanted!r}; {toggle.status(1)!r}") from None

    before = toggle.pixels()
    toggle.at_rest().method("Score-CAM", 1).click()
    toggle.until_computing(1)

    reached = 5.0
    for _ in range(2):  # by mouse: in Notebook 7 the arrow keys of a slider that is not ours walk through the notebook
        box = handle.bounding_box()
        assert box is not None
        toggle.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        toggle.page.mouse.down()
        toggle.page.mouse.move(box["x"] + 40, box["y"] + box["height"] / 2, steps=6)
        toggle.page.mouse.up()
        before_drag, reached = reached, float(handle.get_attribute("aria-valuenow") or 0)
        assert reached > before_drag + 5
        # Python itself says that the job was still running, so time is no matter here.
        until_echo(f"{reached:.0f} while running")

    toggle.column().get_by_label("Opacity").press("ArrowRight")
    wait_until(lambda: not same(toggle.pixels(), before), 2, "another opacity")
    assert " of " in toggle.status(1), "the slow method was over before the sliders had been tried"
    toggle.notebook.until_python("toggle.canvas.opacity == 0.56")
    toggle.notebook.python("toggle.stop()")


def test_errors_are_read_under_the_picture_and_go_away_with_the_next_good_choice(toggle: TogglePage):
    before = toggle.pixels()
    toggle.method("Saliency").click()
    toggle.until_caption("Saliency")
    toggle.button("Why not").click()
    said = toggle.until_alarm("Saliency", "why not")
    assert "Grad-CAM" in said and "Score-CAM" in said, said
    toggle.button("Why").click()
    toggle.until_caption("Saliency")
    toggle.until_alarm()

    toggle.search("tabbby")
    assert "tabby" in toggle.until_alarm("tabbby").replace("tabbby", "")
    toggle.search("tabby")
    toggle.until_caption("Saliency", "tabby")
    toggle.until_alarm()
    toggle.search("tabbby")
    toggle.until_alarm("tabbby")
    toggle.method("Grad-CAM").click()
    toggle.until_caption("Grad-CAM", "tabby")
    toggle.until_alarm()
    assert not same(toggle.pixels(), before)


def test_a_bar_a_name_and_a_contrast_choose_what_is_explained(toggle: TogglePage):
    first = toggle.pixels()
    bars = toggle.root.locator(".bqplot svg rect.bar, .bqplot svg .bar rect")
    assert bars.count() == 5
    bars.nth(1).click()
    toggle.until_caption("Grad-CAM", "Egyptian cat")
    second = toggle.pixels()
    assert not same(first, second)
    toggle.search("goldfish")  # None of the five.
    toggle.until_caption("goldfish")
    toggle.search("tiger cat")
    toggle.until_caption("Grad-CAM · tiger cat")
    assert same(toggle.pixels(), first)

    assert not toggle.field("Against").is_visible()
    toggle.button("Contrast").click()
    toggle.until_caption("tiger cat", "Egyptian cat")  # By default against the next likeliest.
    toggle.search("tabby", "Against")
    toggle.until_caption("tiger cat", "tabby")
    assert not same(toggle.pixels(), first)


def test_two_methods_side_by_side_are_two_maps_with_one_opacity(toggle_in_lab: TogglePage):
    toggle = toggle_in_lab
    toggle.button("Compare two methods").click()
    toggle.until_caption("Grad-CAM")
    toggle.until_caption("Saliency", place=1)
    assert not same(toggle.pixels(0), toggle.pixels(1))
    toggle.at_rest().method("Grad-CAM", 1).click()
    toggle.until_caption("Grad-CAM", place=1)
    wait_until(lambda: same(toggle.pixels(0), toggle.pixels(1)), what="the same map twice")
    toggle.method("Guided backpropagation", 1).click()
    toggle.until_caption("Guided backpropagation", place=1)

    boxes = [toggle.column(place).locator("canvas.cnnviz-pixels").bounding_box() for place in (0, 1)]
    assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"] and boxes[0]["width"] == boxes[1]["width"]
    toggle.column(0).get_by_label("Opacity").fill("0")
    wait_until(lambda: same(toggle.pixels(0), toggle.pixels(1)), what="both bare")
    toggle.button("Compare two methods").click()
    wait_until(lambda: toggle.root.locator(".cnnviz-canvas").count() == 1, what="one canvas")


def test_an_own_picture_brings_its_own_classes_and_map_and_a_text_file_brings_a_message(
    toggle: TogglePage, tmp_path: Path
):
    own = tmp_path / "my coffee.png"
    photo = Image.open(Path(skimage.__file__).parent / "data" / "coffee.png")
    photo.resize((photo.width // 2, photo.height // 2)).save(own)
    (tmp_path / "no picture.png").write_text("this is a text")
    before = toggle.pixels()
    opener = toggle.column().locator("input[type=file]")

    opener.set_input_files(tmp_path / "no picture.png")
    toggle.until_alarm("picture")
    assert same(toggle.pixels(), before)

    opener.set_input_files(own)
    toggle.until_caption("espresso")
    toggle.until_alarm()
    assert "espresso" in (toggle.root.locator(".bqplot svg", has_text="%").text_content() or "")
    assert not same(toggle.pixels(), before)
    toggle.notebook.until_python("toggle.image.size == (300, 200)")


def test_both_themes_keep_the_pictures_and_their_words_readable(toggle: TogglePage, tmp_path: Path):
    toggle.button("Compare two methods").click()
    toggle.until_caption("Saliency", place=1)
    before = [toggle.pixels(place) for place in (0, 1)]
    for theme in ("dark", "light"):
        toggle.notebook.theme(theme)
        wait_until(lambda: all(same(toggle.pixels(i), before[i]) for i in (0, 1)), 5, f"the same pictures, {theme}")
        canvas = toggle.column()
        for words in (".cnnviz-caption", ".cnnviz-readout", ".cnnviz-tools button", ".cnnviz-tools output"):
            assert contrast(canvas.locator(words).first) > 4.5, (theme, words)
        assert contrast(toggle.method("CAM")) > 4.5, theme
        shot = toggle.notebook.screenshot(tmp_path / f"toggle-{theme}.png", ".cnnviz-saliency-toggle")
        assert shot.stat().st_size > 50_000


def test_nothing_is_cut_off_in_a_narrow_window(jupyter_server: JupyterServer, show: Callable[..., TogglePage]):
    toggle = show(jupyter_server, viewport={"width": 700, "height": 1400})
    toggle.button("Compare two methods").click()
    toggle.until_caption("Saliency", place=1)
    outside = toggle.root.evaluate(OUTSIDE)
    assert not outside, outside


# What is seen of the widget but stands out of the cell's output, where it is cut off.
OUTSIDE = """(root) => {
  const frame = root.closest('.jp-OutputArea-output').getBoundingClientRect();
  return [...root.querySelectorAll('button, input, select, canvas, .cnnviz-caption, svg text')]
    .filter((el) => el.checkVisibility())
    .map((el) => [el.className.baseVal ?? el.className, el.textContent, el.getBoundingClientRect()])
    .filter(([, , box]) => box.width && (box.right > frame.right + 1 || box.left < frame.left - 1))
    .map(([name, text, box]) => `${name} ${text}: ${box.left} to ${box.right} in ${frame.left} to ${frame.right}`);
}"""
