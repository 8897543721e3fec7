"""A process that has imported everything and builds indexes in children of its own: they can be killed by the dozen.

Run as a script it takes one order a line, as JSON, and answers likewise; `Workshop` is the other end of it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Workshop:
    """The process, started when it is made and ended by `close`."""

    def __init__(self, folder: Path) -> None:
        """What the children say is kept in a folder."""
        self._folder, self._jobs = folder, 0
        self._builds: list[Build] = []
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=folder,
        )
        assert self._ask({"do": "hello"}) == "ready"

    def start(self, **order: Any) -> Build:
        """Have a child build an index; see `_build` for what can be ordered."""
        self._jobs += 1
        out = self._folder / f"{self._jobs}.json"
        log = self._folder / f"{self._jobs}.log"
        pid = self._ask({"do": "build", "out": str(out), "log": str(log)} | order)
        self._builds.append(Build(self, pid, out, log))
        return self._builds[-1]

    def wait(self, pid: int) -> int:
        """How the child ended: its exit status, or minus the signal."""
        self._builds = [build for build in self._builds if build.pid != pid]
        return self._ask({"do": "wait", "pid": pid})

    def close(self) -> None:
        """End the process, and what is left of its children."""
        for build in self._builds:
            with contextlib.suppress(ProcessLookupError):
                build.kill()
        self._process.communicate(timeout=60)

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the workshop has ended"
        return json.loads(answer)


class Build:
    """A child at work.

    Attributes:
        pid: of the child.
        log: the file in which the network notes what it sees.
    """

    def __init__(self, workshop: Workshop, pid: int, out: Path, log: Path) -> None:
        self.pid, self.log = pid, log
        self._workshop, self._out = workshop, out

    def kill(self) -> None:
        """At once and without a word."""
        os.kill(self.pid, signal.SIGKILL)

    def status(self) -> int:
        """Wait for its end; 0 is well."""
        return self._workshop.wait(self.pid)

    def said(self) -> dict[str, Any]:
        """What it had to tell in the end, once it has ended well."""
        status = self.status()
        said = json.loads(self._out.read_text()) if self._out.exists() else {}
        assert status == 0, (status, said)
        return said


def _serve() -> None:
    import tests.index.material  # noqa: F401  (everything that a child needs)

    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "hello":
            answer: Any = "ready"
        elif order["do"] == "wait":
            answer = os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                _child(order)
        print(json.dumps(answer), flush=True)


def _child(order: dict[str, Any]) -> None:
    faulthandler.register(signal.SIGUSR1)  # says where it is
    status = 1
    try:
        said = _build(order)
        status = 0
    except BaseException:
        said = {"error": traceback.format_exc()}
    Path(order["out"]).write_text(json.dumps(said))
    os._exit(status)


def _build(order: dict[str, Any]) -> dict[str, Any]:
    """Build an index of numbered pictures.

    Args:
        order: "folder", "count" of pictures, "shard"; "pause" in seconds for each batch, "die_at" the n-th thing that
            the build does to its files, "wait_for" a file that is the signal to begin.
    """
    import torch

    from cnnviz_widgets import Index
    from tests.index.material import engine_of, network, pictures

    torch.set_num_threads(2)
    engine = engine_of(network(order["log"], order.get("pause", 0.0)))
    gallery = pictures(order["count"])
    deeds = _Deeds(order["folder"], order.get("die_at", 0))
    while "wait_for" in order and not os.path.exists(order["wait_for"]):
        time.sleep(0.005)
    deeds.watch()
    begun = time.monotonic()
    Index.build(engine, gallery, order["folder"], shard=order["shard"], progress=False)
    return {"seconds": time.monotonic() - begun, "deeds": deeds.done}


class _Deeds:
    """What a build does to its files, in order; before the n-th the process kills itself."""

    def __init__(self, folder: str, die_at: int) -> None:
        self.done: list[str] = []
        self._folder, self._die_at, self._on = folder, die_at, False

    def watch(self) -> None:
        """From now on."""
        self._on = True
        sys.addaudithook(self._heard)
        connect, fsync = sqlite3.connect, os.fsync

        def connected(*args: Any, **settings: Any) -> sqlite3.Connection:
            file = connect(*args, **settings)
            if str(args[0]).removeprefix("file://").startswith(self._folder) and "immutable" not in str(args[0]):
                file.set_trace_callback(lambda statement: self._note(f"sql {statement[:24]}"))
            return file

        def synced(descriptor: int) -> None:
            self._note("fsync")
            fsync(descriptor)

        sqlite3.connect, os.fsync = connected, synced  # type: ignore[assignment]

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            path = os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else ""
            if str(path).startswith(self._folder):
                self._note(f"{event} {os.path.relpath(path, self._folder)}")

    def _note(self, deed: str) -> None:
        if self.done[-1:] == [deed]:
            return
        self.done.append(deed)
        if len(self.done) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _serve()
