"""What `TileGrid` costs: drawing in a real Chromium, bytes on the way, time in the kernel.

python tests/benchmarks/tiles.py [--frames 300] [--scale 1] [--only draw|bytes|kernel]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets.widgets import TileGrid  # noqa: E402
from tests.browser.harness import Mounted  # noqa: E402

LAYERS = {
    "squeezenet1_1 features.0": (64, 111, 111),
    "squeezenet1_1 features.3": (128, 55, 55),
    "squeezenet1_1 features.12": (512, 13, 13),
    "resnet50 layer1": (256, 56, 56),
    "resnet50 layer4": (2048, 7, 7),
    "vgg16 features.0": (64, 224, 224),
    "2,048 maps of 28x28": (2048, 28, 28),
}
FLAGS = ["--no-sandbox", "--disable-gpu"]

# How long each callback of requestAnimationFrame takes: that is where the wall is drawn.
WATCH = """() => {
  const ask = window.requestAnimationFrame.bind(window);
  window.spent = [];
  window.requestAnimationFrame = (call) => ask((now) => {
    const start = performance.now();
    call(now);
    window.spent.push(performance.now() - start);
  });
  window.frame = () => new Promise((done) => ask(done));
}"""
SCROLL = """async ([frames, by]) => {
  const wall = document.querySelector(".cnnviz-scroller");
  wall.scrollTop = 0;
  await frame(); await frame();
  window.spent = [];
  const apart = [];
  let before = await frame();
  for (let i = 0; i < frames; i++) {
    wall.scrollTop += by;
    const now = await frame();
    apart.push(now - before);
    before = now;
  }
  await frame();
  return [window.spent, apart];
}"""
WALK = """async (steps) => {
  const wall = document.querySelector(".cnnviz-scroller");
  const took = [];
  const press = (key) => wall.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  press("Home");
  await frame(); await frame();
  for (let i = 0; i < steps; i++) {
    window.spent = [];
    const start = performance.now();
    press(i % 8 === 7 ? "ArrowDown" : "ArrowRight");
    const handled = performance.now() - start;
    await frame(); await frame();
    took.push(handled + window.spent.reduce((sum, each) => sum + each, 0));
  }
  return took;
}"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--scale", type=float, default=1, help="pixels of the screen for one CSS pixel")
    parser.add_argument("--only", choices=["draw", "bytes", "kernel"])
    options = parser.parse_args()
    wanted = [options.only] if options.only else ["draw", "bytes", "kernel"]
    if "kernel" in wanted:
        _kernel()
    if {"draw", "bytes"} & set(wanted):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), headless=True, args=FLAGS
            )  # fmt: skip
            if "draw" in wanted:
                _draw(browser, options.frames, options.scale)
            if "bytes" in wanted:
                _bytes(browser, options.scale)
            browser.close()


def _draw(browser: Browser, frames: int, scale: float) -> None:
    print(f"\n2,048 maps of 28x28 in Chromium, {scale:g} pixels for a CSS pixel; milliseconds")
    print(f"{'tile size':<12}{'tiles seen':>12}{'first draw':>12}{'frame':>9}{'p95':>8}{'apart':>8}{'p95':>8}", end="")
    print(f"{'late':>7}{'walk':>9}{'p95':>8}{'asked':>8}")
    for size in (0, 28, 56, 224):
        view = _mounted(browser, TileGrid(tile_size=size), scale)
        view.page.evaluate(WATCH)
        view.widget.show(_maps((2048, 28, 28)), key="layer")
        view.settle()
        first = max(view.page.evaluate("() => spent"))
        _settled(view)
        spent, apart = (np.asarray(each) for each in view.page.evaluate(SCROLL, [frames, 24]))
        _settled(view)
        asked = len(view.sent("need"))
        walked = np.asarray(view.page.evaluate(WALK, min(frames, 200)))
        asked = len(view.sent("need")) - asked
        start, stop = view.widget.seen
        numbers = (first, *_median_p95(spent), *_median_p95(apart))
        print(f"{size or 'automatic':<12}{stop - start:>12}{numbers[0]:>12.1f}{numbers[1]:>9.2f}{numbers[2]:>8.2f}"
              f"{numbers[3]:>8.1f}{numbers[4]:>8.1f}{(apart > 25).mean():>7.0%}"
              f"{np.median(walked):>9.2f}{np.percentile(walked, 95):>8.2f}{asked:>8}")  # fmt: skip
        view.page.context.close()


def _bytes(browser: Browser, scale: float) -> None:
    print("\nWhat travels when a layer is opened in a page of 1000 x 900 and nobody scrolls; kB")
    print(f"{'layer':<28}{'float32':>10}{'with it':>10}{'in all':>10}{'largest':>10}{'messages':>10}{'live frame':>12}")
    for name, shape in LAYERS.items():
        maps = _maps(shape)
        view = _mounted(browser, TileGrid(), scale)
        sent = _meter(view)
        view.widget.show(maps, key="layer")
        _settled(view)
        whole = list(sent)
        sent.clear()
        view.widget.show(maps * np.float32(1.1), key="layer", live=True)
        numbers = [maps.nbytes, whole[0], sum(whole), max(whole)]
        print(f"{name:<28}" + "".join(f"{number / 1e3:>10,.0f}" for number in numbers), end="")
        print(f"{len(whole):>10}{sent[0] / 1e3:>12,.0f}")
        view.page.context.close()


def _kernel() -> None:
    print("\nTime in the kernel; milliseconds, medians")
    print(f"{'layer':<28}{'show':>10}{'live frame':>12}")
    for name, shape in LAYERS.items():
        maps = _maps(shape)
        grid = TileGrid(seen=[0, 40])
        times = [_median(lambda live=live: grid.show(maps, key="layer", live=live)) for live in (False, True)]  # noqa: B023
        print(f"{name:<28}{times[0]:>10.2f}{times[1]:>12.2f}")


def _maps(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Half of it zero, as after a rectifier."""
    return np.maximum(np.random.default_rng(0).standard_normal(shape, dtype=np.float32), 0)


def _mounted(browser: Browser, grid: TileGrid, scale: float) -> Mounted:
    page = browser.new_context(viewport={"width": 1000, "height": 900}, device_scale_factor=scale).new_page()
    return Mounted(page, grid)


def _settled(view: Mounted) -> None:
    """Until nothing more travels and the page has told what it rests on."""
    for _ in range(5):
        view.settle()
        view.page.wait_for_timeout(350)
    view.settle()


def _meter(view: Mounted) -> list[int]:
    """The bytes of each message that the kernel sends from now on, those of mere signs of life left out."""
    sent: list[int] = []
    wire: Any = view.widget.comm
    send = wire.send

    def counted(data: dict[str, Any], buffers: list[Any] | None = None, **rest: object) -> None:
        if buffers:
            sent.append(sum(memoryview(buffer).nbytes for buffer in buffers))
        send(data, buffers, **rest)

    wire.send = counted
    return sent


def _median_p95(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(np.median(values)), float(np.percentile(values, 95))


def _median(call: Callable[[], object], times: int = 30) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return 1e3 * float(np.median(spent))


if __name__ == "__main__":
    main()
