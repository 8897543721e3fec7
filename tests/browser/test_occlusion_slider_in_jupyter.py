"""OcclusionSlider with real weights in a real JupyterLab: the patch under the hand while the map is computed."""

import re
from collections.abc import Iterator

import nbformat
import pytest

from tests.browser.harness import wait_until
from tests.browser.jupyter import JupyterServer
from tests.browser.occlusion_page import OcclusionPage

pytestmark = pytest.mark.browser

MAKE = """\
import ipywidgets, threading, time
import numpy as np
from cnnviz_widgets import Engine, OcclusionSlider, occlusion, samples

engine = Engine("squeezenet1_1")
slider = OcclusionSlider(engine, samples["cat"], stride=16)
slider"""

# What the network says to the picture with the patch at the slider's place, run as a whole picture, in words.
TRUTH = """
def truth():
    occluder = slider._jobs._work.occluder(slider._jobs.scene, slider._choice().setting)
    y, x = slider.place
    picture = occluder.sweep((y,), (x,)).pictures(y, [x])
    said = engine.ranked(picture, engine.logits(picture))
    return said.names[0], float(said.probabilities[0])
"""


@pytest.fixture
def shown(jupyter_lab: JupyterServer) -> Iterator[OcclusionPage]:
    """A notebook with an OcclusionSlider whose first map is whole."""
    cells = [nbformat.v4.new_code_cell(MAKE), nbformat.v4.new_code_cell(TRUTH)]
    notebook = jupyter_lab.open(
        nbformat.v4.new_notebook(cells=cells), name="occlusion.ipynb", viewport={"width": 1400, "height": 1200}
    )
    notebook.run_all()
    page = OcclusionPage(notebook).ready()
    notebook.python("slider.wait(120)", 130)
    yield page
    notebook.python("slider.stop(); ipywidgets.Widget.close_all()")


def until_answered(page: OcclusionPage) -> None:
    """Wait until the bars stand for the very place where the patch is, and the kernel knows that."""
    page.notebook.until_python(
        "slider.canvas.shown.get('exact') and (slider.canvas.shown['y'], slider.canvas.shown['x']) == slider.place"
        " and slider.canvas.place == {'y': slider.place[0], 'x': slider.place[1]}",
        seconds=60,
    )
    page.notebook.until_python(f"slider.place == {page.place()}")


def assert_true(page: OcclusionPage) -> None:
    """The bars say what the network says when the whole picture is run."""
    page.notebook.python(
        "name, share = truth()\n"
        "assert slider.answer.names[0] == name, (slider.answer.names, name)\n"
        "assert abs(float(slider.answer.probabilities[0]) - share) < 1e-3"
    )
    said = page.headline()
    share = re.search(r"([\d.]+)\s*%", said)
    assert share, said
    page.notebook.python(f"assert name in {said!r}, ({said!r}, name)")
    page.notebook.python(f"assert abs(100 * share - {share[1]}) <= 0.6, ({said!r}, share)")


def test_a_hundred_moves_in_three_seconds_end_with_the_last_one_and_nothing_stale_after_it(shown: OcclusionPage):
    shown.watch()
    shown.drag(moves=100, seconds=3)
    until_answered(shown)
    assert_true(shown)
    last = shown.headline()
    heard = shown.heard()
    assert len(heard) >= 4, f"the bars followed {len(heard)} times only"
    shown.notebook.wait_idle()
    shown.notebook.python("slider.wait(60)")
    shown.page.wait_for_timeout(500)  # whatever was still on its way has come
    assert shown.headline() == last
    assert not shown.alarm()


def test_the_patch_is_followed_while_a_map_is_computed(shown: OcclusionPage):
    shown.notebook.python("slider.stride = 2")
    wait_until(lambda: shown.status().startswith("row "), 60, "the first rows")
    shown.watch()
    shown.drag(moves=40, seconds=2)
    until_answered(shown)
    assert_true(shown)
    answers = [one for one in shown.heard() if one["computing"]]
    assert len(answers) >= 3, shown.heard()
    shown.notebook.until_python("slider.result.done > 0.1", seconds=60)  # the map goes on beside


def test_sliders_moved_during_a_map_restart_it_and_the_last_value_is_what_is_computed(shown: OcclusionPage):
    shown.notebook.python("slider.stride = 4")
    wait_until(lambda: shown.status().startswith("row "), 60, "the first rows")
    handle = shown.root.locator(".noUi-handle").first
    handle.focus()
    for _ in range(30):
        shown.page.keyboard.press("ArrowRight")
    shown.notebook.until_python("slider.patch == 62")
    shown.notebook.python("slider.stride = 32")
    shown.notebook.until_python("slider.result is not None and slider.result.size == (62, 62)", seconds=60)
    shown.notebook.until_python("slider.result.done == 1 and slider.canvas.status['state'] == 'done'", seconds=60)
    shown.notebook.python(
        "slider.wait(60)\n"
        "expected = occlusion(engine, samples['cat'], patch=62, stride=32)\n"
        "assert np.abs(slider.result.scores - expected.scores).max() < 1e-3",
        60,
    )
    until_answered(shown)
    assert_true(shown)


NOTE_CLICK_AND_END = """() => {
  const root = document.querySelector('.cnnviz-occlusion');
  const [stop, words] = [root.querySelector('.cnnviz-stop'), root.querySelector('.cnnviz-state')];
  stop.addEventListener('click', () => (window.clicked = performance.now()), { capture: true });
  new MutationObserver(() => {
    if (words.textContent.startsWith('stopped')) window.ended ??= performance.now();
  }).observe(words, { childList: true, characterData: true, subtree: true });
}"""


def test_stop_ends_a_map_within_half_a_second_and_what_is_there_stays(shown: OcclusionPage):
    shown.notebook.python(
        "told = {}\n"
        "slider.canvas.on_msg(lambda _canvas, message, _buffers: told.setdefault(message['type'], time.time()))\n"
        "slider.stride = 2\n"
        "told.clear()\n"
        "job = slider._jobs._desk._jobs['map']\n"
        "def watch():\n"
        "    job._ended.wait(60); told['ended'] = time.time()\n"
        "threading.Thread(target=watch).start()"
    )
    wait_until(lambda: re.match(r"row ([3-9]|\d\d+) of", shown.status()), 60, "some rows")
    shown.page.evaluate(NOTE_CLICK_AND_END)
    shown.button("Stop").click()
    wait_until(lambda: shown.status().startswith("stopped at row"), what="the word 'stopped'")
    took = shown.page.evaluate("() => (window.ended - window.clicked) / 1000")
    assert took < 1.0, f"{took:.2f} s from the click to the word"
    shown.notebook.until_python("'ended' in told")
    shown.notebook.python("assert told['ended'] - told['stop'] < 0.5, told")
    shown.notebook.python("assert 0 < slider.result.done < 1")
    assert not shown.alarm(), "a stop is no error"
    shown.drag(moves=10, seconds=0.5)
    until_answered(shown)  # the patch goes on
    assert_true(shown)


def test_views_are_chosen_with_the_mouse_and_cost_no_pass(shown: OcclusionPage):
    shown.notebook.python(
        "swept = []; rows = engine.incremental.rows\n"
        "def noted(sweep, *a, **k):\n"
        "    swept.append(len(sweep)); yield from rows(sweep, *a, **k)\n"
        "engine.incremental.rows = noted"
    )
    for name, words in (
        ("Probability", "probability of tiger cat"),
        ("Most probable class", "most probable class"),
        ("Compare two", "lead of tiger cat over Egyptian cat"),
        ("Score", "score of tiger cat"),
    ):
        shown.button(name).click()
        wait_until(lambda words=words: words in shown.caption().lower().replace("egyptian", "Egyptian"), what=words)
    shown.notebook.python("slider.wait(60); assert not swept, swept")
    shown.button("Feature map").click()
    wait_until(lambda: "features.12 channel" in shown.caption(), 60, "the strongest feature map")
    shown.notebook.until_python("slider.result.layer == 'features.12' and slider.result.done == 1", seconds=60)
    shown.notebook.python("assert len(swept) == 1, swept")
    shown.root.get_by_label("Layer").select_option(label="features.6 (256 maps)")
    shown.notebook.until_python("slider.unit.layer == 'features.6'", seconds=60)
    wait_until(lambda: "features.6 channel" in shown.caption(), 60, "another feature map")


def test_another_class_is_searched_and_what_is_none_is_said(shown: OcclusionPage):
    field = shown.root.get_by_label("Class", exact=True)
    field.fill("lynx")
    field.press("Enter")
    wait_until(lambda: "lynx" in shown.caption(), what="the map of the lynx")
    field.fill("linx")
    field.press("Enter")
    wait_until(lambda: "did you mean 'lynx'" in shown.alarm(), what="a message")
    field.fill("tabby")
    field.press("Enter")
    wait_until(lambda: "tabby" in shown.caption() and not shown.alarm(), what="the map of the tabby")


def test_a_map_is_drawn_row_by_row(shown: OcclusionPage):
    shown.notebook.python("slider.stride = 4")
    seen: list[float] = []

    def drawn() -> bool:
        # the dimmed picture is grey, the map is not
        colourful = shown.map.evaluate(
            """(canvas) => {
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              let count = 0;
              for (let i = 0; i < data.length; i += 4) {
                const [low, high] = [Math.min(...data.slice(i, i + 3)), Math.max(...data.slice(i, i + 3))];
                count += high - low > 8;
              }
              return count / (data.length / 4);
            }"""
        )
        seen.append(colourful)
        return shown.status() in ("", "done")

    wait_until(drawn, 90, "the whole map")
    drawn()
    assert len({round(share, 2) for share in seen}) >= 3, seen
    assert seen[-1] > 2 * min(seen), seen
