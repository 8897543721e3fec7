"""`LayerBrowser` in a real JupyterLab and a real Chromium: from a click to the drawn tiles, and the camera's frames.

python tests/benchmarks/lab.py [--layers features.0 features.3 features.6 features.12] [--rounds 5] [--seconds 6]

Needs the extra `test` and a `chromium`. README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.browser.conftest import FLAGS
from tests.browser.harness import wait_until
from tests.browser.jupyter import JupyterServer, OpenNotebook

MAKE = """\
import time
import torch
from cnnviz_widgets import Engine, LayerBrowser, samples

engine = Engine("squeezenet1_1")
browser = LayerBrowser(engine, samples["cat"])
told = {}

def forwards(seconds=1.5):
    x, module, rates = engine.prepare(samples["cat"]), engine.model.eval(), []
    with torch.inference_mode():
        for y in (x, x.contiguous(memory_format=torch.channels_last)):
            module(y)
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < seconds / 2:
                module(y)
                count += 1
            rates.append(count / (time.perf_counter() - start))
    told["bare"] = max(rates)

browser"""

# Search for a layer, then click its row: from there until the caption says it and a frame has been painted.
CLICK = """async ([words, caption]) => {
  const field = document.querySelector('.cnnviz-ol-search');
  field.value = words;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((done) => setTimeout(done, 300));
  const rows = [...document.querySelectorAll('.cnnviz-ol-row')];
  const named = (row) => {
    row.dispatchEvent(new PointerEvent('pointerover', { bubbles: true })); // which gives a row its title
    return row.title.split(/\\s/)[0] === caption;
  };
  const row = rows.find(named);
  if (!row) throw new Error(`no row of ${caption} among ${rows.map((one) => one.title)}`);
  const said = document.querySelector('.cnnviz-wall .cnnviz-caption');
  const start = performance.now();
  row.click();
  while (!said.textContent.startsWith(caption + ' ')) {
    if (performance.now() - start > 10000) throw new Error(`${caption} did not come: ${said.textContent}`);
    await new Promise(requestAnimationFrame);
  }
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    layers = ["features.0", "features.3", "features.6", "features.12"]
    parser.add_argument("--layers", nargs="+", default=layers)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6, help="of filming, for each layer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = JupyterServer("lab", Path(folder) / "server")
        server.start()
        path = shutil.which("chromium") or shutil.which("google-chrome")
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            server.using(lambda **page: chromium.new_context(**page).new_page())
            measure(server, options)
        finally:
            chromium.close()
            server.stop()


def measure(server: JupyterServer, options: argparse.Namespace) -> None:
    """Open the notebook and take the times."""
    cells = [nbformat.v4.new_code_cell(MAKE)]
    view = {"viewport": {"width": 1500, "height": 1250}, "permissions": ["camera"]}
    lab = server.open(nbformat.v4.new_notebook(cells=cells), name="lab.ipynb", **view)
    lab.run_all()
    lab.python("browser.wait(60)")
    lab.page.locator(".cnnviz-layer-browser").scroll_into_view_if_needed()
    lab.page.wait_for_timeout(2000)
    print(f"{'click to drawn, ms':<24}{'first time':>12}{'again':>12}{'forward':>12}")
    for layer in options.layers:
        first, again = [], []
        for _ in range(options.rounds):
            lab.python("engine.cache.clear(); engine.layers_for(engine.prepare(browser.image))")
            first.append(click(lab, layer))
            click(lab, "features.9")
            again.append(click(lab, layer))
            click(lab, "features.9")
        lab.python("forwards()")
        times = [np.median(first), np.median(again), 1000 / number(lab, "told['bare']")]
        print(f"{layer:<24}" + "".join(f"{time:>12.0f}" for time in times))
    print(f"\n{'the camera':<24}{'frames /s':>12}{'bare /s':>12}{'share':>8}")
    for layer in options.layers:
        lab.python(f"browser.layer = {layer!r}; browser.wait(60); forwards()")
        lab.python("browser.source.live = True; first = None")
        lab.until_python("browser.tiles._maps.live", seconds=60)
        lab.page.wait_for_timeout(1000)
        lab.python("first, start = browser.tiles._number, time.perf_counter()")
        lab.page.wait_for_timeout(1000 * options.seconds)
        lab.python("told['rate'] = (browser.tiles._number - first) / (time.perf_counter() - start)")
        lab.python("browser.source.live = False; browser.wait(60)")
        rate, bare = number(lab, "told['rate']"), number(lab, "told['bare']")
        print(f"{layer:<24}{rate:>12.1f}{bare:>12.1f}{rate / bare:>8.0%}", flush=True)


def click(lab: OpenNotebook, layer: str) -> float:
    """Milliseconds from a click on a layer's row to its drawn tiles."""
    time = lab.page.evaluate(CLICK, [layer.partition(".")[2] or layer, layer])
    lab.python("browser.wait(60)")
    return time


def number(lab: OpenNotebook, expression: str) -> float:
    """The value of an expression in the kernel."""
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    lab.page.evaluate(
        f"""async (code) => {{
          window.said = null;
          const run = {kernel}.requestExecute({{ code }});
          run.onIOPub = (message) => {{ if (message.content.text) window.said = message.content.text; }};
          await run.done;
        }}""",
        f"print({expression})",
    )
    return float(wait_until(lambda: lab.page.evaluate("() => window.said"), what=expression))


if __name__ == "__main__":
    main()
