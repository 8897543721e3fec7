"""`OcclusionSlider` on the page of a real notebook: its patch, bars, words and buttons, as a reader finds them.

page = OcclusionPage(notebook)         # an `OpenNotebook` whose kernel has a `slider`
page.drag(moves=100, seconds=3)
page.headline()                        # "now: tabby 51 %"
"""

from __future__ import annotations

import math
import re

from playwright.sync_api import Locator

from tests.browser.harness import wait_until
from tests.browser.jupyter import OpenNotebook

# Every change of the headline, with the time, and whether a map was being computed at that moment.
WATCH = """() => {
  const root = document.querySelector('.cnnviz-occlusion');
  const [answers, state] = ['.cnnviz-oc-answers', '.cnnviz-state'].map((name) => root.querySelector(name));
  window.heard = [];
  window.listener?.disconnect();
  window.listener = new MutationObserver(() => {
    const words = answers.innerText;
    if (words === window.heard.at(-1)?.words) return;
    window.heard.push({ words, time: performance.now(), computing: state.textContent.startsWith('row ') });
  });
  window.listener.observe(answers, { childList: true, characterData: true, subtree: true, attributes: true });
}"""


class OcclusionPage:
    """The one OcclusionSlider of an open notebook.

    Attributes:
        notebook, page: The notebook and its page.
        root: Everything that belongs to the widget.
    """

    def __init__(self, notebook: OpenNotebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = self.page.locator(".cnnviz-occlusion-slider")
        self.picture = self.root.locator(".cnnviz-oc-picture canvas").first
        self.map = self.root.locator(".cnnviz-oc-map canvas").first

    def ready(self) -> OcclusionPage:
        """Wait until the picture has its patch and the first answer is there."""
        self.root.scroll_into_view_if_needed()
        wait_until(lambda: "%" in self.headline(), 60, "the first answer")
        return self

    def headline(self) -> str:
        """What the network says: its first lines."""
        return self.root.locator(".cnnviz-oc-answers").inner_text()

    def caption(self) -> str:
        """What the map shows, in words."""
        return self.root.locator(".cnnviz-oc-head-map .cnnviz-caption").inner_text()

    def status(self) -> str:
        """The words beside the progress bar."""
        return self.root.locator(".cnnviz-state").text_content() or ""

    def place(self) -> tuple[int, int]:
        """(y, x) of the patch, as it is said under the picture: "patch 32 × 32 at x 96…127, y 96…127"."""
        said = self.root.locator(".cnnviz-oc-where").inner_text()
        found = re.search(r"x\s*(-?\d+).*y\s*(-?\d+)", said.replace("−", "-"), re.S)
        assert found, said
        return int(found[2]), int(found[1])

    def alarm(self) -> str:
        """What the message box says, "" when none is seen."""
        box = self.root.locator(".cnnviz-alarm")
        return box.inner_text() if box.is_visible() else ""

    def button(self, name: str) -> Locator:
        """A button, by what is written on it."""
        return self.root.get_by_role("button", name=name, exact=True)

    def watch(self) -> None:
        """Note from now on what the bars say; `heard` gives it."""
        self.page.evaluate(WATCH)

    def heard(self) -> list[dict[str, object]]:
        """{words, time (ms), computing}, one for each time that the bars changed."""
        return self.page.evaluate("() => window.heard")

    def drag(self, moves: int, seconds: float) -> float:
        """Drag the patch with the mouse over the picture, in loops; return how long that took."""
        box = self.picture.bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(*middle)
        self.page.mouse.down()
        start = self.page.evaluate("() => performance.now()")
        for number in range(moves):
            turn = number / 23
            reach = 0.15 + 0.25 * number / moves
            x = middle[0] + box["width"] * reach * math.cos(turn)
            y = middle[1] + box["height"] * reach * math.sin(turn)
            self.page.mouse.move(x, y)
            passed = self.page.evaluate("() => performance.now()") - start
            self.page.wait_for_timeout(max(0.0, 1000 * seconds * (number + 1) / moves - passed))
        took = (self.page.evaluate("() => performance.now()") - start) / 1000
        self.page.mouse.up()
        return took
