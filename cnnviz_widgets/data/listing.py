"""Which pictures lie in a folder: a million names in seconds, in a fixed order, in little memory."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from cnnviz_widgets.data.keys import key_of_name
from cnnviz_widgets.data.source import Unreadable

# By extension, because a million files cannot be opened to see. AVIF and HEIC need a decoder that not everybody has;
# without it they are listed as unreadable, with what to install, and that is better than not to be seen.
# fmt: off
PICTURES = frozenset((
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff",
    "ppm", "pgm", "pbm", "pnm", "tga", "jp2", "j2k", "avif", "heic", "heif",
))
# fmt: on


class Names(Sequence[str]):
    """Many names in one block of bytes: 1,000,000 of them take 8 bytes each beside their letters."""

    def __init__(self, names: Iterable[str]) -> None:
        letters, ends = bytearray(), array("q", [0])
        for name in names:
            letters += name.encode("utf-8", "surrogatepass")
            ends.append(len(letters))
        self._letters, self._ends = bytes(letters), np.array(ends)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """A name, or a list of names."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._letters[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogatepass")


@dataclass
class Listing:
    """What lies in a folder: names relative to it with "/" between, and what was passed over."""

    names: Names
    ignored: Counter[str] = field(default_factory=Counter)
    problems: list[Unreadable] = field(default_factory=list)


def list_pictures(root: str, *, recursive: bool) -> Listing:
    """The pictures in a folder and below it, by code point of their relative names.

    Hidden files and folders (".name") are passed over. A link is followed, but not into a folder that it lies in.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    listing = Listing(Names(()))
    listing.names = Names(_walk(root, recursive, listing))
    return listing


def _walk(root: str, recursive: bool, listing: Listing) -> Iterator[str]:
    # A stack and not recursion: folders may lie deeper in each other than Python's calls may.
    stack = [(_identity(root), iter(_entries(root, "", listing)))]
    while stack:
        name = next(stack[-1][1], None)
        if name is None:
            stack.pop()
        elif not name.endswith("/"):
            yield name
        elif recursive:
            try:
                identity = _identity(os.path.join(root, name))
                if any(identity == above for above, _ in stack):
                    listing.problems.append(Unreadable(key_of_name(name), "a link back to a folder that it lies in"))
                    continue
                stack.append((identity, iter(_entries(root, name, listing))))
            except OSError as error:
                reason = f"the folder cannot be listed: {error.strerror or error}"
                listing.problems.append(Unreadable(key_of_name(name), reason))
        else:
            listing.ignored["folder"] += 1


def _entries(root: str, folder: str, listing: Listing) -> list[str]:
    """Pictures and folders ("name/") of one folder, sorted; with its "/" a folder sorts as the names below it do."""
    found = []
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                listing.ignored["hidden"] += 1
                continue
            try:
                if entry.is_dir():
                    found.append(f"{folder}{name}/")
                    continue
                extension = _extension(name)
                if extension not in PICTURES:
                    listing.ignored[f".{key_of_name(extension)}" if extension else "no extension"] += 1
                elif entry.is_file():
                    found.append(folder + name)
                else:
                    reason = "a link that leads nowhere" if entry.is_symlink() else "no file (a pipe or a device)"
                    listing.problems.append(Unreadable(key_of_name(folder + name), reason))
            except OSError as error:
                reason = f"cannot be looked at: {error.strerror or error}"
                listing.problems.append(Unreadable(key_of_name(folder + name), reason))
    found.sort()
    return found


def _extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
