"""A real Chromium for the tests of the front ends.

Fixtures:
    browser: Chromium, one for the whole run.
    new_page: Makes pages; a page on which an error was logged or an exception went uncaught fails its test.
    mount: Puts a Python widget with its real ES module on a blank page (see `harness.Mounted`).
    jupyter_lab, notebook7: Real servers (see `jupyter.JupyterServer`).
    jupyter_server: Either of them: a test that takes it runs twice.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.harness import ADDRESS, Mounted
from tests.browser.jupyter import JupyterServer

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # A camera with a test picture, for pages that are permitted to use one.
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        why = "no Chromium on this machine: the front ends cannot be tested"
        # What is skipped where every merge is checked would never be checked at all.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


class PageErrors:
    """What pages complained about: console errors and uncaught exceptions.

    `allow(text)` passes over messages that contain `text`, for tests that provoke them.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._allowed: list[str] = []

    def allow(self, text: str) -> None:
        self._allowed.append(text)

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.messages.append(f"uncaught: {error.stack or error}"))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.messages.append(f"console: {message.text} ({message.location.get('url', '')})")

    def unexpected(self) -> list[str]:
        return [text for text in self.messages if not any(allowed in text for allowed in self._allowed)]


@pytest.fixture
def page_errors() -> Iterator[PageErrors]:
    errors = PageErrors()
    yield errors
    assert not errors.unexpected(), "the page complained:\n" + "\n".join(errors.unexpected())


@pytest.fixture
def new_page(browser: Browser, page_errors: PageErrors) -> Iterator[Callable[..., Page]]:
    """`new_page(device_scale_factor=2, color_scheme="dark", …)`: a page of a fresh browser context."""
    contexts = []

    def make(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page_errors.watch(page)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def mount(new_page: Callable[..., Page]) -> Callable[..., Mounted]:
    """`mount(widget, views=1, kernel=True, address=ADDRESS, **page_options)`: the widget on a blank page."""

    def make(widget: Any, *, views: int = 1, kernel: bool = True, address: str = ADDRESS, **options: Any) -> Mounted:
        return Mounted(new_page(**options), widget, views=views, kernel=kernel, address=address)

    return make


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], JupyterServer]]:
    """Each server is started when it is first asked for and serves the whole run: a start takes seconds."""
    running: dict[str, JupyterServer] = {}

    def get(app: str) -> JupyterServer:
        if app not in running:
            running[app] = JupyterServer(app, tmp_path_factory.mktemp(app))
            running[app].start()
        return running[app]

    yield get
    for server in running.values():
        server.stop()


# Notebook 7.6 throws this itself while it loads its settings, whatever notebook is opened.
NOTEBOOKS_OWN = "reading 'schema'"


@pytest.fixture
def jupyter_lab(_servers: Callable[[str], JupyterServer], new_page: Callable[..., Page]) -> JupyterServer:
    """A real JupyterLab: `jupyter_lab.open(path_or_notebook)`."""
    return _servers("lab").using(new_page)


@pytest.fixture
def notebook7(
    _servers: Callable[[str], JupyterServer], new_page: Callable[..., Page], page_errors: PageErrors
) -> JupyterServer:
    """A real Notebook 7, driven in the same way."""
    page_errors.allow(NOTEBOOKS_OWN)
    return _servers("notebook").using(new_page)


@pytest.fixture(params=["jupyter_lab", "notebook7"])
def jupyter_server(request: pytest.FixtureRequest) -> JupyterServer:
    """JupyterLab, then Notebook 7."""
    return request.getfixturevalue(request.param)
