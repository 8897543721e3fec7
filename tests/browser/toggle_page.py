"""`SaliencyToggle` on the page of a real notebook: its buttons, canvases, words and pixels, as a reader finds them.

page = TogglePage(notebook)            # an `OpenNotebook` whose kernel has a `toggle`
page.method("Saliency").click()
page.until_caption("Saliency")
page.pixels()                          # (height, width, 4) uint8
"""

from __future__ import annotations

import base64
import re

import numpy as np
from playwright.sync_api import Locator

from tests.browser.harness import wait_until
from tests.browser.jupyter import OpenNotebook

PIXELS = """(c) => {
  if (c.width < 2) return null;
  const data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let text = '';
  for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
  return [c.width, c.height, btoa(text)];
}"""


class TogglePage:
    """The one SaliencyToggle of an open notebook.

    Attributes:
        notebook, page: The notebook and its page.
        root: Everything that belongs to the widget.
    """

    def __init__(self, notebook: OpenNotebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.root = self.page.locator(".cnnviz-saliency-toggle")

    def ready(self) -> TogglePage:
        """Wait until the first map is seen."""
        self.root.scroll_into_view_if_needed()
        self.until_caption(" · ", seconds=60)
        return self

    def column(self, place: int = 0) -> Locator:
        """A canvas with everything around it but its menu: 0 is the first, 1 the one beside it."""
        return self.root.locator(".cnnviz-canvas").nth(place)

    def at_rest(self) -> TogglePage:
        """Wait until nothing moves any more. Where two maps find their place, a chart above them is drawn anew a while
        later, and what is pressed on one spot and let go of on another was not clicked."""
        place = "(root) => JSON.stringify([...root.querySelectorAll('button')].map((b) => b.getBoundingClientRect()))"
        seen: list[str] = []

        def rests() -> bool:
            seen.append(self.root.evaluate(place))
            return len(seen) > 8 and len(set(seen[-8:])) == 1  # for 0.4 s

        wait_until(rests, what="rest")
        return self

    def method(self, title: str, place: int = 0) -> Locator:
        """A method's button, by what is written on it."""
        menus = self.root.locator(".widget-toggle-buttons", has_text="Guided backpropagation")
        return menus.nth(place).get_by_role("button", name=title, exact=True)

    def button(self, name: str) -> Locator:
        """Any other button: a question, a way to draw pixels, Compare, Stop."""
        return self.root.locator("button", has_text=re.compile(rf"^\s*{name}\s*$"))

    def field(self, name: str) -> Locator:
        """A text field, by the word before it: "Class" or "Against"."""
        return self.root.get_by_label(name, exact=True)

    def search(self, name: str, field: str = "Class") -> None:
        """Type a class's name and press Enter."""
        self.field(field).fill(name)
        self.field(field).press("Enter")

    def caption(self, place: int = 0) -> str:
        """The words above a canvas: method, class, layer."""
        return self.column(place).locator(".cnnviz-caption").inner_text()

    def status(self, place: int = 0) -> str:
        """The words beside the progress bar."""
        return self.column(place).locator(".cnnviz-state").text_content() or ""

    def alarm(self, place: int = 0) -> str:
        """What the message box under a canvas says, "" when none is seen."""
        box = self.column(place).locator(".cnnviz-alarm")
        return box.locator("span").inner_text() if box.is_visible() else ""

    def pixels(self, place: int = 0) -> np.ndarray:
        """A canvas's own pixels, (height, width, 4) uint8 RGBA."""
        canvas = self.column(place).locator("canvas.cnnviz-pixels")
        width, height, data = wait_until(lambda: canvas.evaluate(PIXELS), what="a drawn canvas")
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)

    def until_caption(self, *words: str, place: int = 0, seconds: float = 20) -> str:
        """Wait until the caption has all these words, which is when their map is seen; return the caption."""
        said = ""

        def holds() -> bool:
            nonlocal said
            said = self.caption(place)
            return all(word in said for word in words)

        try:
            wait_until(holds, seconds, f"a caption with {words}")
        except TimeoutError as late:
            raise AssertionError(f"{late}: it says {said!r}; {self.status(place)!r} {self.alarm(place)!r}") from late
        return said

    def until_alarm(self, *words: str, seconds: float = 20) -> str:
        """Wait until the message box has all these words (without any: until it is gone); return what it says."""
        said = ""

        def holds() -> bool:
            nonlocal said
            said = self.alarm()
            return all(word in said for word in words) if words else not said

        try:
            wait_until(holds, seconds, f"a message with {words}" if words else "no message")
        except TimeoutError as late:
            raise AssertionError(f"{late}: it says {said!r}") from late
        return said

    def until_computing(self, place: int = 0, seconds: float = 20) -> None:
        """Wait until progress is seen: "Score-CAM: 32 of 512" and a bar that is as long."""
        bar = self.column(place).locator(".cnnviz-track")

        def holds() -> bool:
            counted = re.search(r": (\d+) of (\d+)", self.status(place))
            return bool(counted and int(counted[1]) and int(bar.get_attribute("aria-valuenow") or 0))

        try:
            wait_until(holds, seconds, "a count of steps")
        except TimeoutError as late:
            pressed = self.root.locator(".widget-toggle-buttons .mod-active").all_inner_texts()
            seen = f"{self.status(place)!r} {self.alarm(place)!r} under {self.caption(place)!r}, {pressed} pressed"
            raise AssertionError(f"{late}: it says {seen}") from late

    def kernel_process(self) -> int:
        """The number of the kernel's process."""
        kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        self.page.evaluate(
            f"""async () => {{
              const run = {kernel}.requestExecute({{ code: 'import os; print(os.getpid())' }});
              run.onIOPub = (message) => {{ if (message.content.text) window.kernelProcess = message.content.text; }};
              await run.done;
            }}"""
        )
        return int(wait_until(lambda: self.page.evaluate("() => window.kernelProcess"), what="the kernel's number"))
