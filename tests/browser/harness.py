"""A widget on a blank page: the real Python object, its real ES module, and between them a stand-in for Jupyter.

`Mounted` carries messages both ways as a kernel would (state as JSON, bytes as buffers that begin at odd places), so a
test drives the Python side with Python and the front end with a real mouse and keyboard, and reads pixels back.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import numpy as np
from playwright.sync_api import Locator, Page

ADDRESS = "http://widget.test/"  # Not a secure page, as a browser sees it: "http://localhost/" would be one.

PAGE = """<!doctype html><meta charset="utf-8"><title>widget</title>
<style id="theme"></style><body style="margin:16px" data-jp-theme-light="true">"""

# JupyterLab's own values, as far as the widgets read them.
THEMES = {
    "light": {
        "ui-font-color1": "#212121", "ui-font-color2": "#616161", "layout-color1": "#ffffff",
        "layout-color2": "#eeeeee", "border-color1": "#bdbdbd", "border-color2": "#e0e0e0",
        "brand-color1": "#0d47a1", "error-color1": "#d32f2f",
    },
    "dark": {
        "ui-font-color1": "#ffffff", "ui-font-color2": "#c2c2c2", "layout-color1": "#111111",
        "layout-color2": "#212121", "border-color1": "#616161", "border-color2": "#424242",
        "brand-color1": "#42a5f5", "error-color1": "#ef5350",
    },
}  # fmt: skip

STAND_IN = """
window.revive = (value) => {
  if (Array.isArray(value)) return value.map(window.revive);
  if (value === null || typeof value !== "object") return value;
  if ("$bytes" in value) {
    const text = atob(value.$bytes);
    const whole = new Uint8Array(text.length + 3);
    for (let i = 0; i < text.length; i++) whole[i + 3] = text.charCodeAt(i);
    return new DataView(whole.buffer, 3);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, window.revive(inner)]));
};
window.base64 = (buffer) => {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
};
window.makeModel = (state) => {
  const handlers = {};
  const fire = (event, ...args) => { for (const handler of [...(handlers[event] ?? [])]) handler(...args); };
  const model = {
    state: window.revive(state), dirty: {}, outbox: [], handlers,
    get: (name) => model.state[name],
    set(name, value) {
      if (JSON.stringify(model.state[name]) === JSON.stringify(value)) return;
      model.state[name] = value;
      model.dirty[name] = value;
      fire(`change:${name}`);
    },
    save_changes() {
      if (Object.keys(model.dirty).length) model.outbox.push({ update: model.dirty });
      model.dirty = {};
    },
    on(event, handler) { (handlers[event] ??= []).push(handler); },
    off(event, handler) { handlers[event] = (handlers[event] ?? []).filter((other) => other !== handler); },
    send(content, callbacks, buffers = []) {
      model.outbox.push({ custom: content, buffers: buffers.map(window.base64) });
    },
    receive(update) {
      const values = window.revive(update);
      Object.assign(model.state, values);
      for (const name of Object.keys(values)) fire(`change:${name}`);
    },
    hear({ content, buffers }) { fire("msg:custom", content, window.revive(buffers)); },
    listening: () => Object.values(handlers).reduce((sum, list) => sum + list.length, 0),
  };
  return model;
};
window.start = async (esm, css, state) => {
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const exported = (await import(url)).default;
  window.definition = typeof exported === "function" ? await exported() : exported;
  window.model = window.makeModel(state);
  window.forget = await window.definition.initialize?.({ model: window.model });
  window.views = [];
};
window.show = async () => {
  const el = document.createElement("div");
  document.body.append(el);
  window.views.push({ el, clean: await window.definition.render({ model: window.model, el }) });
};
window.painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
"""


class Mounted:
    """A Python widget whose front end runs in `page`.

    Attributes:
        widget: The Python object.
        page: The browser's page.
        custom: Messages that the front end sent, oldest first.
        updates: Trait changes that the front end sent, oldest first.
    """

    def __init__(self, page: Page, widget: Any, *, views: int = 1, kernel: bool = True, address: str = ADDRESS) -> None:
        self.page, self.widget, self.kernel = page, widget, kernel
        self.custom: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        page.route(f"{address}**", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto(address)
        page.evaluate(STAND_IN)
        self.theme("light")
        widget.comm = _Wire(self)
        self._waiting: list[tuple[str, Any]] = []
        self._open(views)

    def _open(self, views: int) -> None:
        state = {name: value for name, value in self.widget.get_state().items() if not name.startswith("_")}
        state = {name: value for name, value in state.items() if name not in ("layout", "tabbable", "tooltip")}
        self.page.evaluate("([esm, css, state]) => start(esm, css, state)",
                           [str(self.widget._esm), str(self.widget._css), _packed(state)])  # fmt: skip
        for _ in range(views):
            self.page.evaluate("() => show()")
        self.settle()

    def reload(self) -> None:
        """Load the page anew, as a user does: the front end forgets everything, the kernel does not."""
        self.page.reload()
        self.page.evaluate(STAND_IN)
        self.theme("light")
        self._waiting.clear()
        self._open(1)

    def settle(self) -> None:
        """Carry messages both ways until nobody has anything to say, and wait until it is drawn."""
        for _ in range(20):
            sent = self.page.evaluate("() => model.outbox.splice(0)")
            for message in sent:
                self._from_front_end(message)
            waiting, self._waiting = self._waiting, []
            for kind, content in waiting:
                self.page.evaluate(f"(value) => model.{kind}(value)", content)
            if not sent and not waiting:
                break
        self.page.evaluate("() => painted()")

    def _from_front_end(self, message: dict[str, Any]) -> None:
        if "update" in message:
            self.updates.append(message["update"])
            if self.kernel:
                self.widget.set_state(message["update"])
        else:
            self.custom.append(message["custom"])
            if self.kernel:
                buffers = [memoryview(base64.b64decode(buffer)) for buffer in message["buffers"]]
                self.widget._handle_custom_msg(message["custom"], buffers)

    def to_front_end(self, kind: str, content: Any) -> None:
        """Called by the widget's comm; delivered by `settle`."""
        self._waiting.append((kind, content))

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that the front end sent."""
        return [message for message in self.custom if message["type"] == kind]

    def find(self, selector: str) -> Locator:
        """Elements in the page; `.first` and `.nth(i)` pick among several views."""
        return self.page.locator(selector)

    def theme(self, name: str) -> None:
        """Switch to JupyterLab's "light" or "dark" colours."""
        css = "".join(f"--jp-{key}:{value};" for key, value in THEMES[name].items())
        self.page.evaluate(
            """([css, light]) => {
              document.getElementById("theme").textContent = `:root{${css}} body{background:var(--jp-layout-color1)}`;
              document.body.dataset.jpThemeLight = light;
            }""",
            [css, str(name == "light").lower()],
        )

    def pixels(self, selector: str = "canvas.cnnviz-pixels") -> np.ndarray:
        """The canvas's own pixels, (height, width, 4) uint8 RGBA, at the screen's resolution."""
        width, height, data = self.page.evaluate(
            """(selector) => {
              const c = document.querySelector(selector);
              return [c.width, c.height, base64(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)];
            }""",
            selector,
        )
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)

    def picture(self, width: int, height: int) -> np.ndarray:
        """The same with one pixel for each of the picture's: (height, width, 3), taken at the middle of each."""
        whole = self.pixels()
        rows = ((np.arange(height) + 0.5) * whole.shape[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * whole.shape[1] / width).astype(int)
        return whole[np.ix_(rows, columns)][..., :3]

    def clean(self) -> None:
        """Take the views and then the model off the page, as Jupyter does."""
        self.page.evaluate("() => { views.forEach((view) => view.clean?.()); forget?.(); }")

    def listening(self) -> int:
        """How many handlers the model still has."""
        return self.page.evaluate("() => model.listening()")


class _Wire:
    """The kernel's end of the connection: what a widget sends is queued for the page."""

    def __init__(self, mounted: Mounted) -> None:
        self._mounted = mounted
        self.comm_id = uuid4().hex

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_rest: object) -> None:
        if data["method"] == "update":
            state = data["state"]
            for path, buffer in zip(data["buffer_paths"], buffers or [], strict=True):
                place = state
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = bytes(buffer)
            self._mounted.to_front_end("receive", _packed(state))
        elif data["method"] == "custom":
            packed = _packed({"content": data["content"], "buffers": list(buffers or [])})
            self._mounted.to_front_end("hear", packed)

    def on_msg(self, _handler: object) -> None:
        """What the front end sends is handed over by `Mounted.settle`."""

    def close(self, *_args: object, **_rest: object) -> None:
        """Nothing to close."""


def _packed(value: Any) -> Any:
    """JSON with bytes as base64, which the page turns into DataViews."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {key: _packed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(inner) for inner in value]
    json.dumps(value)
    return value


def wait_until(holds: Callable[[], Any], seconds: float = 20, what: str = "it") -> Any:
    """Poll until `holds()` is true and return that; raise TimeoutError after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not happen within {seconds} s")


DROP = """(el, [name, encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  for (const type of ['dragover', 'drop'])
    el.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
}"""


def drop_file(on: Locator, name: str, content: bytes) -> None:
    """Drag a file over an element and let it go there."""
    on.evaluate(DROP, [name, base64.b64encode(content).decode()])


# A colour as it is seen: its own, over the nearest background behind it that is not transparent.
INK_AND_PAPER = """(el) => {
  let behind = el;
  while (behind && /^(transparent|rgba\\(.*, 0\\))$/.test(getComputedStyle(behind).backgroundColor))
    behind = behind.parentElement;
  return [getComputedStyle(el).color, behind ? getComputedStyle(behind).backgroundColor : 'rgb(255, 255, 255)'];
}"""


def contrast(words: Locator) -> float:
    """How well words stand out against what is behind them, 1 (not at all) to 21, as WCAG 2 counts it."""
    ink, paper = (_luminance(colour) for colour in words.evaluate(INK_AND_PAPER))
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)


def _luminance(colour: str) -> float:
    channels = np.array([int(number) for number in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
