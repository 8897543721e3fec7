"""Pictures in a folder: listed by name, opened when they are asked for."""

from __future__ import annotations

import bisect
import difflib
import os
from array import array
from pathlib import Path
from typing import Any

from PIL import Image

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.files import picture_from_path
from cnnviz_widgets.data.keys import key_of_name, name_of_key
from cnnviz_widgets.data.listing import Listing, Names, list_pictures
from cnnviz_widgets.data.source import Source


class FolderSource(Source):
    """The pictures in a folder; the key is the path relative to it, the label the subfolder right below it."""

    def __init__(self, root: str | os.PathLike[str], *, recursive: bool = True) -> None:
        self.root, self._recursive = _folder(root), recursive
        listing = list_pictures(self.root, recursive=recursive)
        if not len(listing.names):
            raise ValueError(_nothing_in(self.root, listing, recursive))
        self.ignored, self.problems = dict(listing.ignored.most_common()), tuple(listing.problems)
        self._listed = True
        self._take(listing.names, None)

    @classmethod
    def of_keys(cls, root: str, keys: list[str], classes: list[str]) -> FolderSource:
        """Certain pictures of a folder that was listed before; one that is gone is unreadable then."""
        source = cls.__new__(cls)
        source.root, source._listed = _folder(root), False
        source._take(Names(name_of_key(key) for key in keys), [name_of_key(name) for name in classes])
        return source

    def _take(self, names: Names, folders: list[str] | None) -> None:
        self.name = key_of_name(os.path.basename(self.root) or self.root)
        self._names = names
        if folders is None:
            folders = sorted({name.partition("/")[0] for name in names if "/" in name})
        self.classes = tuple(map(key_of_name, folders))
        numbers = {folder: number for number, folder in enumerate(folders)}
        self._labels = array("i", (numbers[name.partition("/")[0]] if "/" in name else -1 for name in names))

    def __len__(self) -> int:
        return len(self._names)

    def read(self, number: int) -> tuple[Image.Image, int]:
        """See `Source`."""
        path = self._file(number)
        try:
            return picture_from_path(path), self._labels[number]
        except OSError as error:
            raise ImageError(f"{path!r} cannot be read: {error.strerror or error}") from error

    def key(self, number: int) -> str:
        """See `Source`."""
        return key_of_name(self._names[number])

    def find(self, key: str) -> int:
        """See `Source`."""
        if not self._listed:  # and so in the order that somebody gave
            return super().find(key)
        name = name_of_key(key)
        number = bisect.bisect_left(self._names, name)
        if number < len(self) and self._names[number] == name:
            return number
        raise self.no_such(key)

    def signature(self, number: int) -> str:
        """See `Source`; of a file that is gone "gone"."""
        try:
            status = os.stat(self._file(number))
        except OSError:
            return "gone"
        return f"{status.st_size}-{status.st_mtime_ns}"

    def path(self, number: int) -> Path:
        """See `Source`."""
        return Path(self._file(number))

    def spec(self, part: range | list[int] | None) -> dict[str, Any]:
        """See `Source`; a part is told by its keys, which a picture that is added later does not move."""
        recipe: dict[str, Any] = {"kind": "folder", "root": key_of_name(Path(self.root).as_posix())}
        if part is None and self._listed:
            return recipe | {"recursive": self._recursive}
        numbers = range(len(self)) if part is None else part
        return recipe | {"classes": list(self.classes), "keys": [self.key(number) for number in numbers]}

    def _file(self, number: int) -> str:
        return os.path.join(self.root, self._names[number])


def _folder(root: str | os.PathLike[str]) -> str:
    """The folder's full path.

    Raises:
        FileNotFoundError, NotADirectoryError: there is none; the message says what is near.
    """
    given = os.fspath(root)
    if not isinstance(given, str):
        raise TypeError(f"a folder's path is text or a Path, not {type(given).__name__}")
    if "://" in given:
        raise FileNotFoundError(f"{given!r} is an address; a folder that this machine sees was wanted")
    folder = Path(given).expanduser().absolute()
    if folder.is_dir():
        return str(folder.resolve() if ".." in folder.parts else folder)
    if folder.exists():
        what = "a picture" if folder.suffix.lower() in (".jpg", ".jpeg", ".png") else "a file"
        hint = "; unpack it first" if folder.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z") else ""
        raise NotADirectoryError(f"{given!r} is {what}, and a folder of pictures was wanted{hint}")
    there = next(above for above in folder.parents if above.is_dir())
    missing = folder.relative_to(there).parts[0]
    try:
        folders = {entry.name.lower(): entry.name for entry in os.scandir(there) if entry.is_dir()}
    except OSError:
        folders = {}
    near = [folders[lower] for lower in difflib.get_close_matches(missing.lower(), folders, n=3)]
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise FileNotFoundError(f"no folder {given!r}: there is no {missing!r} in {str(there)!r}{hint}")


def _nothing_in(root: str, listing: Listing, recursive: bool) -> str:
    where = f"in {root!r}" + (" or below it" if recursive else "; recursive=True looks into its subfolders too")
    found = ", ".join(f"{count:,} {kind}" for kind, count in listing.ignored.most_common(8))
    parts = [f"no pictures {where}"]
    parts.append(f"what there is: {found}" if found else "it is empty")
    parts += [f"{problem.key!r}: {problem.reason}" for problem in listing.problems[:3]]
    return "; ".join(parts)
