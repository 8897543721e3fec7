"""From a file or a stream to the picture in it, with errors that name the file."""

from __future__ import annotations

import difflib
import itertools
import os
import stat
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile, UnidentifiedImageError

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.upright import upright_rgb


def picture_from_path(path: str | os.PathLike[str]) -> Image.Image:
    """The upright RGB picture in a file.

    Raises:
        FileNotFoundError, IsADirectoryError, PermissionError: as they say.
        ImageError: the file holds no whole picture.
    """
    given = os.fspath(path)
    if not isinstance(given, str) or "\0" in given:
        raise ImageError(f"{given!r} cannot be the path of a file")
    if given.startswith(("http://", "https://")):
        raise ImageError(f"{given!r} is a web address; download the picture and hand over the file's path")
    file = os.path.expanduser(given) or "."
    try:
        kind = os.stat(file).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(_missing(given, Path(file))) from error
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(f"{given!r} is a folder; hand over one of the pictures in it")
    if not stat.S_ISREG(kind):
        raise ImageError(f"{given!r} is neither a file nor a folder (a pipe or a device)")
    with open(file, "rb") as stream:
        return picture_from_stream(stream, repr(given))


def picture_from_stream(stream: IO[bytes], name: str) -> Image.Image:
    """The upright RGB picture in a seekable binary stream; `name` begins the error messages.

    Raises:
        ImageError: no picture, a damaged or truncated one, or one too large to decode.
    """
    try:
        frame = Image.open(stream)
    except UnidentifiedImageError as error:
        raise ImageError(_unknown(stream, name)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large to decode: {error}") from error
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged header
        raise ImageError(f"{name} is damaged: {error}") from error
    with frame:
        if 0 in frame.size:
            raise ImageError(f"{name} is empty: its size is {frame.width} x {frame.height} pixels")
        refuse_bomb(frame.size, name)
        try:
            frame.load()
        except Exception as error:  # and on damaged pixels
            raise ImageError(f"{name} is damaged or cut off, its {frame.format} data ends early: {error}") from error
        if ImageFile.LOAD_TRUNCATED_IMAGES and not _has_its_end(stream, frame.format):
            raise ImageError(f"{name} is cut off: the mark that ends a {frame.format} file is missing")
        return upright_rgb(frame, name)


def refuse_bomb(size: tuple[int, int], name: str) -> None:
    """Refuse a size at which Pillow itself only warns, before a small file fills the memory.

    Raises:
        ImageError: more than `PIL.Image.MAX_IMAGE_PIXELS` pixels.
    """
    limit, (width, height) = Image.MAX_IMAGE_PIXELS, size
    if limit is not None and width * height > limit:
        raise ImageError(
            f"{name} is too large to decode: {width} x {height} = {width * height:,} pixels, and the limit is "
            f"{limit:,}; if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def _has_its_end(stream: IO[bytes], kind: str | None) -> bool:
    """Whether the end mark is there, for the two kinds whose pixel data cannot contain it by chance."""
    stream.seek(0)
    encoded = stream.read()
    if kind == "JPEG":
        return encoded.rfind(b"\xff\xd9") > encoded.rfind(b"\xff\xda")  # end of image after the last start of scan
    return kind != "PNG" or encoded.rfind(b"IEND") > encoded.rfind(b"IDAT")


def _unknown(stream: IO[bytes], name: str) -> str:
    stream.seek(0)
    head = stream.read(64)
    if not head:
        return f"{name} is empty (0 bytes)"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return f"{name} is a HEIC picture: pip install pillow-heif, then pillow_heif.register_heif_opener()"
    text = head.decode("utf-8", errors="ignore")
    if len(text.encode()) > len(head) - 4 and all(c.isprintable() or c.isspace() for c in text):
        return f"{name} is not a picture but text; it begins with {text[:40]!r}"
    return f"{name} is not a picture of a known kind, or is cut off in its header; it begins with {head[:12]!r}"


def _missing(given: str, file: Path) -> str:
    from cnnviz_widgets.data.sample_photos import samples  # late: the sample photos come through this file

    message = f"no file {given!r}"
    if not file.is_absolute():
        message += f" in the working folder {str(Path.cwd())!r}"
    sample = next((name for name in (given, file.stem.lower()) if name in samples), None)
    if sample:
        return f"{message}; did you mean samples[{sample!r}]?"
    folder = file.parent
    if not folder.is_dir():
        return f"{message}: there is no folder {str(folder)!r}"
    by_lower = {entry.name.lower(): entry.name for entry in itertools.islice(folder.iterdir(), 10_000)}
    near = [by_lower[lower] for lower in difflib.get_close_matches(file.name.lower(), by_lower, n=3)]
    return f"{message}; did you mean {' or '.join(map(repr, near))}?" if near else message
