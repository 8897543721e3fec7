"""What `PointMap` costs: drawing in a real Chromium, finding and selecting points, time in the kernel.

python tests/benchmarks/points.py [--counts 5000 100000] [--frames 200] [--scale 1] [--groups 10]

README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnviz_widgets.widgets import PointMap  # noqa: E402
from cnnviz_widgets.widgets.point_polygon import points_in_polygon  # noqa: E402
from tests.browser.harness import Mounted  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu"]

# How long it takes from the message to the end of the first drawing: the handlers of the traits, then the frame.
WATCH = """() => {
  const ask = window.requestAnimationFrame.bind(window);
  window.spent = [];
  window.requestAnimationFrame = (call) => ask((now) => {
    const start = performance.now();
    call(now);
    window.spent.push(performance.now() - start);
  });
  window.frame = () => new Promise((done) => ask(done));
  const receive = model.receive;
  model.receive = (update) => {
    const values = Object.fromEntries(Object.entries(update).map(([name, value]) => [name, window.revive(value)]));
    window.spent = [];
    const start = performance.now();
    Object.assign(model.state, values);
    for (const name of Object.keys(values)) for (const call of model.handlers[`change:${name}`] ?? []) call();
    window.taken = performance.now() - start;
  };
}"""
DRAG = """async ([frames, wheel]) => {
  const ground = document.querySelector(".cnnviz-points-ground");
  const box = ground.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const fire = (type, more) => ground.dispatchEvent(
    new (type === "wheel" ? WheelEvent : PointerEvent)(type, { clientX: x, clientY: y, bubbles: true, cancelable: true,
      button: 0, pointerId: 1, ...more }));
  ground.setPointerCapture = () => {};
  await frame(); await frame();
  window.spent = [];
  const apart = [];
  let before = await frame();
  if (!wheel) fire("pointerdown");
  for (let i = 0; i < frames; i++) {
    if (wheel) fire("wheel", { deltaY: i < frames / 2 ? -12 : 12 });
    else fire("pointermove", { clientX: x + 120 * Math.sin(i / 9), clientY: y + 60 * Math.cos(i / 7) });
    const now = await frame();
    apart.push(now - before);
    before = now;
  }
  if (!wheel) fire("pointerup", { clientX: x + 200, clientY: y });
  await frame();
  return [window.spent, apart];
}"""
HOVER = """async (steps) => {
  const ground = document.querySelector(".cnnviz-points-ground");
  const box = ground.getBoundingClientRect();
  const took = [];
  for (let i = 0; i < steps; i++) {
    window.spent = [];
    ground.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, pointerId: 1,
      clientX: box.left + box.width * (0.3 + 0.4 * ((i * 0.618) % 1)),
      clientY: box.top + box.height * (0.3 + 0.4 * ((i * 0.377) % 1)) }));
    await frame(); await frame();
    took.push(window.spent.reduce((sum, each) => sum + each, 0));
  }
  return took;
}"""
LASSO = """async (corners) => {
  const ground = document.querySelector(".cnnviz-points-ground");
  const box = ground.getBoundingClientRect();
  const fire = (type, angle) => ground.dispatchEvent(new PointerEvent(type, { bubbles: true, button: 0, pointerId: 1,
    shiftKey: true, clientX: box.left + box.width * (0.5 + 0.4 * Math.cos(angle)),
    clientY: box.top + box.height * (0.5 + 0.4 * Math.sin(angle)) }));
  fire("pointerdown", 0);
  for (let i = 1; i < corners; i++) fire("pointermove", (2 * Math.PI * i) / corners);
  const start = performance.now();
  fire("pointerup", 0);
  const took = performance.now() - start;
  await frame(); await frame();
  return took;
}"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[5_000, 20_000, 100_000, 300_000])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1, help="pixels of the screen for one CSS pixel")
    parser.add_argument("--groups", type=int, default=10)
    options = parser.parse_args()
    _kernel(options.counts, options.groups)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        _draw(browser, options)
        browser.close()


def _kernel(counts: list[int], groups: int) -> None:
    print("\nTime in the kernel; milliseconds, medians")
    print(f"{'points':<12}{'show':>10}{'move':>10}{'colours':>10}{'selection':>10}{'kB':>10}")
    for count in counts:
        times = "".join(f"{number:>10.2f}" for number in _kernel_times(*_clusters(count, groups)))
        print(f"{count:<12,}{times}{(8 + 2) * count / 1e3:>10,.0f}")


def _kernel_times(points: NDArray[np.float32], labels: NDArray[np.int64]) -> list[float]:
    view = PointMap()
    rows = np.arange(0, len(points), 3)
    calls: list[Callable[[], object]] = [
        lambda: view.show(points, groups=labels),
        lambda: view.move(points),
        lambda: view.show_groups(labels),
        lambda: setattr(view, "selection", rows),
    ]
    return [_median(call) for call in calls]


def _draw(browser: Browser, options: argparse.Namespace) -> None:
    print(
        f"\nIn Chromium, map of {_size(browser, options.scale)}, {options.scale:g} pixels for a CSS pixel; milliseconds"
    )
    print(f"{'points':<12}{'first draw':>12}{'pan':>9}{'p95':>8}{'zoom':>9}{'p95':>8}{'apart':>8}{'step':>9}", end="")
    print(f"{'hover':>9}{'p95':>8}{'lasso':>9}{'equal':>7}")
    for count in options.counts:
        points, labels = _clusters(count, options.groups)
        view = _mounted(browser, options.scale)
        view.page.evaluate(WATCH)
        firsts = []
        for turn in range(5):
            view.widget.show(points, groups=labels, key=f"{turn}")
            view.settle()
            firsts.append(view.page.evaluate("() => taken + (spent[0] ?? 0)"))
        pan, apart = (np.asarray(each) for each in view.page.evaluate(DRAG, [options.frames, False]))
        zoom, _ = (np.asarray(each) for each in view.page.evaluate(DRAG, [options.frames, True]))
        view.find(".cnnviz-points-zooms button").last.click()
        view.page.wait_for_timeout(500)
        hover = np.asarray(view.page.evaluate(HOVER, 100))
        lasso = view.page.evaluate(LASSO, 200)
        view.settle()
        polygon = view.widget.polygon
        equal = np.array_equal(view.widget.selection, np.flatnonzero(points_in_polygon(points, polygon)))
        view.widget.selection = ()
        steps = []
        for turn in range(8):
            view.widget.move(points * np.float32(1 + 0.01 * turn))
            view.settle()
            steps.append(view.page.evaluate("() => taken"))
        print(f"{count:<12,}{np.median(firsts):>12.1f}{np.median(pan):>9.2f}{np.percentile(pan, 95):>8.2f}"
              f"{np.median(zoom):>9.2f}{np.percentile(zoom, 95):>8.2f}{np.median(apart):>8.1f}{np.median(steps):>9.2f}"
              f"{np.median(hover):>9.2f}{np.percentile(hover, 95):>8.2f}{lasso:>9.1f}{equal!s:>7}")  # fmt: skip
        view.page.context.close()


def _clusters(count: int, groups: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, groups, count)
    middles = rng.normal(0, 30, (groups, 2))
    return (middles[labels] + rng.normal(0, 6, (count, 2))).astype(np.float32), labels


def _mounted(browser: Browser, scale: float) -> Mounted:
    page = browser.new_context(viewport={"width": 1140, "height": 900}, device_scale_factor=scale).new_page()
    return Mounted(page, PointMap(height=560))


def _size(browser: Browser, scale: float) -> str:
    view = _mounted(browser, scale)
    view.widget.show([[0, 0], [1, 1]], groups=[0, 1])
    view.settle()
    box = view.find(".cnnviz-points-ground").bounding_box() or {"width": 0, "height": 0}
    view.page.context.close()
    return f"{box['width']:.0f} x {box['height']:.0f}"


def _median(call: Callable[[], object], times: int = 15) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return 1e3 * float(np.median(spent))


if __name__ == "__main__":
    main()
