"""Real notebooks in a real JupyterLab or Notebook 7, driven by their own commands.

def test_the_tour_runs(jupyter_lab):                      # or notebook7, or jupyter_server for both
    notebook = jupyter_lab.open(Path("notebooks/00_tour.ipynb"))
    notebook.run_all()                                    # raises if a cell raised
    notebook.page.locator(".cnnviz-canvas").first.click()
    notebook.theme("dark")
    notebook.screenshot(Path("tour-dark.png"))
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import nbformat
from playwright.sync_api import Page

from tests.browser.harness import wait_until

ROOT = Path(__file__).resolve().parents[2]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# A workspace of its own for each page of JupyterLab: else it opens the notebooks of earlier pages as well.
APPS = {
    "lab": ("lab", "LabApp", "lab/workspaces/{page}/tree"),
    "notebook": ("notebook", "JupyterNotebookApp", "notebooks"),
}


class JupyterServer:
    """A server on a free port of this machine, with a folder of its own and this very interpreter as its kernel.

    Args:
        app: "lab" or "notebook".
        folder: An empty folder; notebooks are copied into it, settings and the log lie beside them.
    """

    def __init__(self, app: str, folder: Path) -> None:
        self.command, self.name, self.place = APPS[app]
        self.folder = folder
        self.files = folder / "files"
        self.log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._new_page: Callable[..., Page] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.files.mkdir(parents=True)
        kernel = self.folder / "share" / "kernels" / "python3"
        kernel.mkdir(parents=True)
        arguments = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (kernel / "kernel.json").write_text(
            json.dumps({"argv": arguments, "display_name": "Python 3", "language": "python"})
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "share"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "PYTHONUNBUFFERED": "1",
        }
        options = [
            f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.files}", "--IdentityProvider.token=", "--ServerApp.password=",
            "--ServerApp.open_browser=False", "--ServerApp.disable_check_xsrf=True", "--allow-root",
            f"--{self.name}.expose_app_in_browser=True", f"--LabApp.user_settings_dir={self.folder / 'settings'}",
            f"--LabApp.workspaces_dir={self.folder / 'workspaces'}", "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]  # fmt: skip
        if self.name != "LabApp":
            options = [option.replace("--LabApp.", f"--{self.name}.") for option in options
                       if "news_url" not in option and "check_for_updates" not in option]  # fmt: skip
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter", self.command, *options],
                stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=self.files, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(self._answers, 60, "the server's first answer")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and its kernels."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        # The session is its own process group: whatever is left in it goes too.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def using(self, new_page: Callable[..., Page]) -> JupyterServer:
        """Open pages with this from now on (the fixture's, so that their errors fail the right test).

        The kernels of earlier pages end, which nobody looks at any more: each holds up to a gigabyte. Nobody waits for
        it, either.
        """
        with urllib.request.urlopen(f"{self.address}/api/sessions") as answer:
            sessions = [f"{self.address}/api/sessions/{session['id']}" for session in json.load(answer)]
        Thread(target=_delete, args=(sessions,), daemon=True).start()
        self._new_page = new_page
        return self

    def open(self, notebook: Path | nbformat.NotebookNode, *, name: str = "", **page_options: Any) -> OpenNotebook:
        """Open a copy of a notebook in a new page, and wait until the page is ready and the kernel idle.

        Each copy has a name of its own: two of one name would share a session, which may just be ending.
        """
        assert self._new_page is not None, "take the fixture jupyter_lab or notebook7"
        if isinstance(notebook, Path):
            name, notebook = name or notebook.name, nbformat.read(notebook, as_version=4)
        key = uuid4().hex
        path = self.files / f"{Path(name or 'test').stem}-{key}.ipynb"
        # Whatever kernel it was written with; without any, a dialog would ask.
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, path)
        page = self._new_page(**{"viewport": {"width": 1280, "height": 1000}, **page_options})
        page.goto(f"{self.address}/{self.place.format(page=key)}/{path.name}")
        opened = OpenNotebook(page, path)
        opened.wait_ready()
        return opened

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the server ended at once:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{self.address}/api/status", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


def _delete(addresses: Sequence[str]) -> None:
    for address in addresses:
        with suppress(OSError):  # the server may have ended since
            urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()


# The panel of the notebook that is open: the current widget of the shell, in both applications.
PANEL = "window.jupyterapp.shell.currentWidget"


class OpenNotebook:
    """A notebook in a page.

    Attributes:
        page: The page, for everything else that a test does.
        path: The notebook's file.
    """

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def wait_ready(self, seconds: float = 60) -> None:
        """Until the application is restored, the notebook is there and its kernel is idle."""
        self._wait("window.jupyterapp && window.jupyterapp.restored.then(() => true)", seconds)
        self._wait(f"Boolean({PANEL} && {PANEL}.content && {PANEL}.content.widgets)", seconds)
        self._wait(f"{PANEL}.context.ready.then(() => true)", seconds)
        self.wait_idle(seconds)

    def wait_idle(self, seconds: float = 60) -> None:
        """Until the kernel has nothing to do."""
        self._wait(f"{PANEL}.sessionContext.session?.kernel?.status === 'idle'", seconds)

    def run_all(self, seconds: float = 180) -> None:
        """Run all cells and wait for the last one; AssertionError with the traceback when a cell raised."""
        self.page.set_default_timeout(seconds * 1000)
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.set_default_timeout(20_000)
        self._wait(
            f"{PANEL}.content.widgets.every(cell => cell.model.type !== 'code' || !cell.model.sharedModel.source.trim()"
            " || cell.model.executionState !== 'running' && cell.model.executionCount !== null)"
            # after a cell that raised, the others are not run
            f" || {PANEL}.content.model.toJSON().cells.some("
            "cell => (cell.outputs ?? []).some(output => output.output_type === 'error'))",
            seconds,
        )
        failures = [
            output
            for cell in self.page.evaluate(f"() => {PANEL}.content.model.toJSON()")["cells"]
            for output in cell.get("outputs", ())
            if output["output_type"] == "error"
        ]
        assert not failures, "\n".join(f"{failure['ename']}: {failure['evalue']}" for failure in failures)
        self.wait_idle(seconds)

    def scroll_to(self, text: str) -> None:
        """Bring the first cell that contains `text` into view: the applications draw only cells that are in sight."""
        found = self.page.evaluate(
            f"""async (text) => {{
              const {{ content }} = {PANEL};
              const index = content.widgets.findIndex((cell) => cell.model.sharedModel.source.includes(text));
              if (index >= 0) await content.scrollToItem(index, 'start');
              return index;
            }}""",
            text,
        )
        assert found >= 0, f"no cell contains {text!r}"

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of one cell, as a notebook file holds them."""
        return self.page.evaluate(f"(i) => {PANEL}.content.model.toJSON().cells[i].outputs ?? []", index)

    def python(self, code: str, seconds: float = 30) -> None:
        """Run code in the notebook's kernel without a cell; wait until it is done."""
        self.page.set_default_timeout(seconds * 1000)
        result = self.page.evaluate(
            f"async (code) => (await {PANEL}.sessionContext.session.kernel.requestExecute({{code}}).done).content", code
        )
        self.page.set_default_timeout(20_000)
        assert result["status"] == "ok", f"{result.get('ename')}: {result.get('evalue')}"

    def until_python(self, condition: str, seconds: float = 20) -> None:
        """Wait until an expression is true in the notebook's kernel.

        For whatever follows from the page: it sends a change only when the kernel has answered the last one.
        """

        def holds() -> bool:
            try:
                self.python(f"assert {condition}")
            except AssertionError:
                return False
            return True

        wait_until(holds, seconds, condition)

    def theme(self, name: str) -> None:
        """Switch the application to "light" or "dark"."""
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[name]
        )
        light = str(name == "light").lower()
        self.page.wait_for_selector(f'body[data-jp-theme-light="{light}"]', state="attached")
        self.page.wait_for_timeout(300)  # The style sheet of the theme is still on its way.

    def screenshot(self, path: Path, selector: str | None = None) -> Path:
        """A picture of the page, or of the first element that the selector finds."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if selector is None:
            self.page.screenshot(path=path)
        else:
            self.page.locator(selector).first.scroll_into_view_if_needed()
            self.page.locator(selector).first.screenshot(path=path)
        return path

    def _wait(self, holds: str, seconds: float) -> None:
        wait_until(lambda: self.page.evaluate(f"() => {holds}"), seconds, holds)
