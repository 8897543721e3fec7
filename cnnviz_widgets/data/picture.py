"""The one door for pictures: whatever holds a picture comes out as the upright RGB picture that a person sees."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.files import picture_from_path, picture_from_stream, refuse_bomb
from cnnviz_widgets.data.pixels import pixels_of_array, pixels_of_tensor
from cnnviz_widgets.data.upright import upright_rgb

if TYPE_CHECKING:
    from torch import Tensor

# A Union and not `str | ...`, so that `ImageLike | None` works at run time although torch is not imported here.
ImageLike = Union[  # noqa: UP007
    str, os.PathLike[str], Image.Image, NDArray[Any], "Tensor", bytes, bytearray, memoryview, IO[bytes]
]

# Pillow decodes a lazily opened picture inside the caller's object and is not safe there for two threads at once.
_shared_pictures = threading.RLock()


def as_picture(image: ImageLike) -> Image.Image:
    """The upright RGB picture that a person sees in `image`, as a new PIL picture.

    What may come in:

    - a path (`~` is expanded), the bytes of an encoded picture (what an upload hands over), or a binary file object,
      which is read from its start and left where it stood; of an animation the first frame;
    - a `PIL.Image.Image` of any mode, which is left as it was (a lazily opened one gets decoded; of an animation the
      frame it stands on);
    - a numpy array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a torch tensor (H, W), (1, H, W), (3, H, W) or
      (4, H, W) on any device; a batch of one (1, H, W, C) or (1, C, H, W) counts as its picture. Channels are R, G, B
      and alpha. Values by dtype: uint8 0..255; uint16 0..65535; bool black and white; float 0..1 (an overshoot of less
      than half an 8-bit step is taken as rounding); other integers 0..255, refused where that could be wrong.

    What is done: EXIF orientation is applied. Transparent parts are laid over white. Deep greyscale is scaled, not
    cut off, to 8 bits (value / 257, rounded; of 16-bit RGB files Pillow gives the high byte). An embedded colour
    profile is converted to sRGB, as a browser does, because a network was trained on sRGB pictures: without that the
    sample photo `rocket`, stored in Adobe RGB, is off by up to 55 levels. A profile that cannot be read is ignored.
    The result carries no metadata and shares no memory with `image`. May be called from several threads.

    Raises:
        ImageError: nothing that could be shown. A picture of more than `PIL.Image.MAX_IMAGE_PIXELS` pixels in a file
            is refused before it is decoded. A truncated file is refused too; where somebody has switched on
            `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, that is noticed for JPEG and PNG only.
        FileNotFoundError: no such file; the message names files with a similar name.
        IsADirectoryError: the path is a folder.

    Example:
        >>> import numpy as np
        >>> as_picture(np.zeros((224, 224, 3))).size
        (224, 224)
    """
    if isinstance(image, (str, os.PathLike)):
        return picture_from_path(image)
    if isinstance(image, Image.Image):
        return _from_pil(image)
    if isinstance(image, np.ndarray):
        return _from_pixels(pixels_of_array(image))
    if _is_tensor(image):
        return _from_pixels(pixels_of_tensor(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return picture_from_stream(io.BytesIO(image), f"the encoded picture ({memoryview(image).nbytes} bytes)")
    if hasattr(image, "read"):
        return _from_file_object(image)
    raise ImageError(_no_picture(image))


def _is_tensor(image: object) -> TypeGuard[Tensor]:
    torch = sys.modules.get("torch")  # nobody can hold a tensor before torch has been imported
    return torch is not None and isinstance(image, torch.Tensor)


def _from_pixels(pixels: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(pixels)
    return picture if picture.mode == "RGB" else upright_rgb(picture)  # RGB is a copy already, and upright


def _from_pil(image: Image.Image) -> Image.Image:
    name = f"the picture {Path(path).name!r}" if (path := getattr(image, "filename", "")) else "the PIL picture"
    if 0 in image.size:
        raise ImageError(f"{name} is empty: its size is {image.width} x {image.height} pixels")
    with _shared_pictures:
        if getattr(image, "tile", None):  # opened, not yet decoded
            refuse_bomb(image.size, name)
        try:
            image.load()
        except Exception as error:  # Pillow's readers raise nearly anything on a damaged or closed file
            raise ImageError(f"{name} cannot be decoded (damaged, cut off or already closed): {error}") from error
        return upright_rgb(image, name)


def _from_file_object(file: Any) -> Image.Image:
    name = f"the file object {getattr(file, 'name', None) or type(file).__name__!r}"
    seekable = hasattr(file, "seekable") and file.seekable()
    before = file.tell() if seekable else 0
    try:
        if seekable:
            file.seek(0)
        encoded = file.read()
    finally:
        if seekable:
            file.seek(before)
    if not isinstance(encoded, bytes):
        raise ImageError(f"{name} gives text: open the picture in binary mode, open(path, 'rb')")
    return picture_from_stream(io.BytesIO(encoded), name)


def _no_picture(image: object) -> str:
    came = "None" if image is None else f"a {type(image).__module__}.{type(image).__qualname__}"
    came = came.replace("builtins.", "")
    if isinstance(image, (list, tuple)):
        hint = "; hand over one picture at a time, and nested lists of numbers as np.asarray(numbers, dtype=np.uint8)"
    elif isinstance(image, dict) and "content" in image:
        hint = "; of an upload hand over its bytes: upload['content']"
    elif hasattr(image, "__array__"):
        hint = "; hand over np.asarray(image)"
    else:
        hint = ""
    return f"a picture was wanted (path, PIL picture, numpy array, torch tensor or encoded bytes) and {came} came{hint}"
