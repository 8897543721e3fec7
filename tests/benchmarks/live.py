"""How fast `LayerBrowser` follows the camera, in the kernel: frames a second beside the network's bare forward rate.

python tests/benchmarks/live.py [--model squeezenet1_1] [--layers features.0 features.6 features.12] [--seconds 4]

Frames are JPEG pictures of the camera's size that come as a page sends them: the next one when the last was begun. What
the page would be sent is made whole (JSON and buffers) and counted. Bare: `module(x)` alone on a prepared picture, in
the faster memory layout, in turn with the browser in one process; medians of the rounds.
"""

from __future__ import annotations

import argparse
import io
import json
import threading
import time
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from PIL import ImageOps
from stopwatch import engine_of

from cnnviz_widgets import samples
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.widgets.layer_browser import LayerBrowser

ROUNDS = 5


def main() -> None:
    """Print a line for each layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--layers", nargs="+", default=["features.0", "features.3", "features.6", "features.12"])
    parser.add_argument("--seconds", type=float, default=4, help="about so long for each layer and side")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice when left out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    engine = engine_of(options.model, options.device)
    print(f"{options.model} on {engine.device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(f"{'layer':<24}{'maps':>16}{'browser /s':>12}{'bare /s':>10}{'share':>8}{'kB a frame':>12}")
    frames = [_jpeg(name) for name in ("cat", "coffee", "astronaut", "rocket")]
    for layer in options.layers:
        camera = Camera(engine, layer, frames)
        ours, bare = [], []
        for _ in range(ROUNDS):
            bare.append(_bare(engine, options.seconds / ROUNDS))
            ours.append(camera.rate(options.seconds / ROUNDS))
        share = np.median(np.divide(ours, bare))
        size = " x ".join(map(str, camera.browser.engine.layers[layer].shape))
        print(
            f"{layer:<24}{size:>16}{np.median(ours):>12.1f}{np.median(bare):>10.1f}{share:>8.0%}{camera.kilobytes:>12.0f}"
        )


class Camera:
    """A LayerBrowser whose page is a stand-in: it sends a frame when the kernel asks for one, and counts what comes."""

    def __init__(self, engine: Engine, layer: str, frames: list[bytes]) -> None:
        self.frames = frames
        self.browser = LayerBrowser(engine, samples["cat"], layer=layer)
        self.browser.wait(60)
        self.bytes = self.sent = 0
        self.wanted = threading.Semaphore(0)
        for widget in (self.browser.source, self.browser.tiles, self.browser.card, self.browser.outline):
            widget.comm = _Wire(self)  # type: ignore[assignment]
        # what a page of a usual size sees
        self.browser.tiles.set_state({"seen": [0, 24]})
        self.browser.source.set_state({"live": True, "page": "page"})

    def rate(self, seconds: float) -> float:
        """Frames a second whose maps were sent to the page."""
        source = self.browser.source
        self._send()
        self.wanted.acquire(timeout=10)
        first, before, start = self.browser.tiles._number, self.bytes, time.perf_counter()
        while time.perf_counter() - start < seconds:
            self._send()
            if not self.wanted.acquire(timeout=10):
                raise RuntimeError(f"no frame was asked for within 10 s; {source.error or 'no error'}")
        done, spent = self.browser.tiles._number - first, time.perf_counter() - start
        self.kilobytes = (self.bytes - before) / done / 1000
        self.browser.wait(10)
        return done / spent

    def _send(self) -> None:
        self.sent += 1
        message = {"type": "camera", "number": self.sent, "page": "page"}
        self.browser.source._handle_custom_msg(message, [memoryview(self.frames[self.sent % len(self.frames)])])


class _Wire:
    """The kernel's end of a connection: everything is packed as for the page, and counted."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self.comm_id = uuid4().hex

    def send(self, data: dict[str, Any], buffers: list[Any] | None = None, **_rest: object) -> None:
        self._camera.bytes += len(json.dumps(data)) + sum(len(bytes(buffer)) for buffer in buffers or [])
        if data.get("method") == "custom" and data["content"].get("type") == "done":
            self._camera.wanted.release()

    def on_msg(self, _handler: object) -> None:
        """Nothing comes by this way."""

    def close(self, *_args: object, **_rest: object) -> None:
        """Nothing to close."""


def _bare(engine: Engine, seconds: float) -> float:
    """Forward passes a second of the network alone, in the faster of both memory layouts."""
    x, module = engine.prepare(samples["cat"]), engine.model.eval()
    layouts = [x, x.contiguous(memory_format=torch.channels_last)]
    rates = []
    with torch.inference_mode():
        for y in layouts:
            module(y)
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < seconds / 2:
                module(y)
                count += 1
            rates.append(count / (time.perf_counter() - start))
    return max(rates)


def _jpeg(name: str) -> bytes:
    encoded = io.BytesIO()
    ImageOps.fit(samples[name], (256, 256)).save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


if __name__ == "__main__":
    main()
