"""A picture of the camera as it came from the browser: bytes, until somebody wants to see it."""

from __future__ import annotations

import threading

from PIL import Image

from cnnviz_widgets.data import as_picture

__all__ = ["Frame"]


class Frame:
    """One picture of the camera, decoded when it is asked for, in the thread that asks.

    Attributes:
        data: The encoded picture (JPEG).
        number: Which one it is of those that reached the kernel, from 1.
        size: Its side in pixels.

    Example:
        source.on_picture(lambda picture, kind: print(picture.number) if kind == "camera" else None)
    """

    def __init__(self, data: bytes, number: int, size: int) -> None:
        self.data = data
        self.number = number
        self.size = size
        self._picture: Image.Image | None = None
        self._decoding = threading.Lock()

    def __repr__(self) -> str:
        return f"Frame({self.number}, {len(self.data)} bytes)"

    def picture(self) -> Image.Image:
        """The picture in RGB; the same one each time, so do not write into it.

        Raises:
            ImageError: What came is no picture.
        """
        with self._decoding:
            if self._picture is None:
                self._picture = as_picture(self.data)
            return self._picture
