"""An ordered collection of pictures, opened one by one."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, overload

from PIL import Image

from cnnviz_widgets.data.arrays import ArraySource
from cnnviz_widgets.data.contact_sheet import contact_sheet
from cnnviz_widgets.data.crops import CropSource
from cnnviz_widgets.data.dataset import DatasetSource
from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.folder import FolderSource
from cnnviz_widgets.data.keys import name_of_key
from cnnviz_widgets.data.mnist import DigitSource
from cnnviz_widgets.data.source import Source, Unreadable, part_of_json


class Gallery:
    """An ordered collection of pictures with or without labels: of a folder, a dataset, arrays.

    Nothing is opened before it is asked for, and nothing is kept. A part (`gallery[:50]`, `gallery.subset(numbers)`)
    is a gallery whose pictures keep their keys and whose classes keep their numbers. A gallery may be read from several
    threads at once, and pickled: its pictures in a folder then have to lie at the same place on the other machine.
    As the last line of a cell it shows up to 24 of its pictures.

    Example:
        >>> gallery = Gallery.photos()
        >>> picture, label = gallery.read(0)
        >>> picture.size, gallery.classes[label], gallery.key(0)
        ((224, 224), 'cat', 'cat/00')
    """

    def __init__(self, source: Source, part: range | list[int] | None = None) -> None:
        """The pictures of a source, or a part of them by number; `Gallery.from_folder` and its like make one."""
        self._source, self._part = source, part

    @classmethod
    def from_folder(cls, root: str | os.PathLike[str], *, recursive: bool = True) -> Gallery:
        """The pictures in a folder; each of its subfolders is a class, with the pictures anywhere below it.

        The order is that of the relative paths by code point, the same on every machine. Pictures that lie in the
        folder itself have no label (-1). Files are told by their extension; what is passed over (other files, hidden
        ones) is counted in `ignored`. Links are followed, but not in circles. A million files take seconds and about
        100 MB while they are sorted.

        Args:
            root: The folder; `~` is expanded.
            recursive: False takes the pictures in the folder itself alone, without labels.

        Raises:
            FileNotFoundError, NotADirectoryError, PermissionError: as they say, with folders of a similar name.
            ValueError: No pictures are there; the message says what else is.

        Example:
            >>> Gallery.from_folder("~/animals")  # doctest: +SKIP
            <Gallery 'animals': 2,000 pictures, 10 classes>
        """
        return cls(FolderSource(root, recursive=recursive))

    @classmethod
    def from_dataset(cls, dataset: Any, *, classes: Sequence[str] | None = None, thread_safe: bool = False) -> Gallery:
        """The pictures of a torch dataset: `len(dataset)`, and `dataset[n]` gives a picture or (picture, label).

        A picture may be what `as_picture` takes: a PIL picture, an array (H, W, 3), a tensor (3, H, W) in 0..1. Take a
        dataset without normalisation, for the engine does that itself. Item 0 is taken at once, to tell what is wrong
        with all. An item that raises is an unreadable picture.

        Args:
            dataset: Any map-style dataset. Pickling the gallery pickles it.
            classes: Names of the label numbers; by default the dataset's own `classes`, as torchvision's have them.
            thread_safe: True lets several threads take items at the same time, which is faster where decoding is the
                dataset's work; torchvision's `ImageFolder` allows that, an open archive or HDF5 file may not.

        Raises:
            TypeError: No map-style dataset.
            ValueError: An empty one, or labels that are not whole numbers.
        """
        return cls(DatasetSource(dataset, classes, thread_safe=thread_safe))

    @classmethod
    def from_arrays(
        cls,
        pictures: Any,
        labels: Any = None,
        *,
        classes: Sequence[str] | None = None,
        keys: Sequence[str] | None = None,
    ) -> Gallery:
        """Pictures in memory: an array (N, H, W, 3) or (N, H, W), a tensor (N, C, H, W), or a list of pictures.

        Nothing is copied: what is written into the array later changes the gallery.

        Args:
            pictures: The batch, or a list of whatever `as_picture` takes, paths too. Values as `as_picture` has them.
            labels: One for each picture: whole numbers (-1 or None: none), or words, which become classes in sorted
                order.
            classes: The names of the label numbers, or which words there are and in what order; by default "0", "1"
                and so on.
            keys: What each picture is called, text without repeats; by default its number.

        Raises:
            TypeError, ValueError: No batch, lengths that differ, labels that are none.

        Example:
            >>> import numpy as np
            >>> Gallery.from_arrays(np.zeros((2, 28, 28), np.uint8), ["zero", "one"])
            <Gallery 'arrays': 2 pictures, 2 classes>
        """
        return cls(ArraySource(pictures, labels, classes, keys))

    @staticmethod
    def digits(n: int = 5000) -> Gallery:
        """See `cnnviz_widgets.digits`."""
        from cnnviz_widgets.data import bundled  # late: it makes galleries

        return bundled.digits(n)

    @staticmethod
    def photos(crops: int = 24, *, names: Sequence[str] | None = None, size: int = 224) -> Gallery:
        """See `cnnviz_widgets.photos`."""
        from cnnviz_widgets.data import bundled  # late: it makes galleries

        return bundled.photos(crops, names=names, size=size)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Gallery:
        """The gallery that `spec()` told of; a folder is listed anew.

        Raises:
            FileNotFoundError: Its folder is gone.
            ValueError: No such kind of gallery.
        """
        kind = spec.get("kind")
        if kind == "folder" and "keys" in spec:
            return cls(FolderSource.of_keys(name_of_key(spec["root"]), spec["keys"], spec["classes"]))
        if kind == "folder":
            return cls(FolderSource(name_of_key(spec["root"]), recursive=spec.get("recursive", True)))
        if kind == "digits":
            return cls(DigitSource(), part_of_json(spec))
        if kind == "photos":
            return cls(CropSource(spec["names"], spec["crops"], spec["size"]), part_of_json(spec))
        raise ValueError(f"no gallery of the kind {kind!r}; there are 'folder', 'digits' and 'photos'")

    @property
    def name(self) -> str:
        """For titles: the folder's name, "digits", "photos"."""
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the label numbers; () where there are none."""
        return self._source.classes

    @property
    def ignored(self) -> dict[str, int]:
        """What a folder holds beside pictures, and how often, most first: {".txt": 3, "hidden": 1}."""
        return dict(self._source.ignored)

    def __len__(self) -> int:
        return len(self._source if self._part is None else self._part)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> Gallery: ...
    def __getitem__(self, index: int | slice) -> Image.Image | Gallery:
        """The upright RGB picture, or of a slice a gallery of the part.

        Raises:
            ImageError: It cannot be read.
            IndexError: There are not as many.
        """
        if isinstance(index, slice):
            part = range(len(self._source)) if self._part is None else self._part
            return Gallery(self._source, part[index])
        return self.read(index)[0]

    def __iter__(self) -> Iterator[Image.Image]:
        """The pictures one by one; one that cannot be read raises (`unreadable()` lists them)."""
        return (self.read(number)[0] for number in range(len(self)))

    def subset(self, numbers: Iterable[int]) -> Gallery:
        """The pictures of these numbers, in this order; they keep their keys.

        Raises:
            IndexError: There are not as many.
        """
        part = [self._at(number) for number in numbers]
        if len(set(part)) < len(part):
            raise ValueError(f"{len(part) - len(set(part))} of the numbers came more than once")
        return Gallery(self._source, part)

    def read(self, number: int) -> tuple[Image.Image, int]:
        """The upright RGB picture and its label number (-1: none). May be called from several threads at once.

        Raises:
            ImageError: It cannot be read; the message names it and says why.
            IndexError: There are not as many.
        """
        return self._source.read(self._at(number))

    def key(self, number: int) -> str:
        r"""What the picture is called, today and tomorrow: of a file the path relative to the folder, with "/".

        Text that JSON and SQLite take: what is no text in a file's name is written out (`\xff`), a backslash twice.
        Pictures of arrays and datasets are called by their number.
        """
        return self._source.key(self._at(number))

    def find(self, key: str) -> int:
        """The number of the picture with this key.

        Raises:
            KeyError: There is none; near ones are named.
        """
        number = self._source.find(key)
        if self._part is None:
            return number
        try:
            return self._part.index(number)
        except ValueError:
            raise KeyError(f"the picture {key!r} is in {self.name!r}, but not in this part of it") from None

    def signature(self, number: int) -> str:
        """Text that changes when the picture does: of a file size and time, of an array a checksum; "" if unknown."""
        return self._source.signature(self._at(number))

    def path(self, number: int) -> Path | None:
        """The file of this picture, or None where it is in none."""
        return self._source.path(self._at(number))

    def class_name(self, label: int) -> str:
        """The name of a label number: the number itself where names are missing, "" for -1."""
        if label < 0:
            return ""
        return self.classes[label] if label < len(self.classes) else str(label)

    def spec(self) -> dict[str, Any] | None:
        """How to make this gallery again, in words that JSON knows; None where it lives in memory only."""
        return self._source.spec(self._part)

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Read every picture, and list those that cannot be read with the reason, and the folders not listed."""
        found = list(self._source.problems)
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
            for start in range(0, len(self), 256):  # not all at once: a million waiting tasks would fill the memory
                some = range(start, min(start + 256, len(self)))
                found += [problem for problem in threads.map(self._problem, some) if problem is not None]
        return tuple(found)

    def summary(self) -> str:
        """The gallery in one line: "animals: 2,000 pictures, 10 classes, 3 other files ignored"."""
        return f"{self.name}: {self._counts()}"

    def __repr__(self) -> str:
        return f"<Gallery {self.name!r}: {self._counts()}>"

    def _repr_html_(self) -> str:
        return contact_sheet(self)

    def _at(self, number: int) -> int:
        """The number in the source."""
        try:
            index = operator.index(number)
        except TypeError:
            raise TypeError(f"pictures are numbered, and {number!r:.60} is no whole number") from None
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"no picture {index}: there are {count:,}, numbered from 0")
        index = index % count
        return index if self._part is None else self._part[index]

    def _problem(self, number: int) -> Unreadable | None:
        try:
            self.read(number)
        except ImageError as error:
            return Unreadable(self.key(number), str(error))
        return None

    def _counts(self) -> str:
        parts = [_count(len(self), "picture")]
        if self.classes:
            parts.append(_count(len(self.classes), "class", "classes"))
        if self._part is None and (passed := sum(self._source.ignored.values())):
            parts.append(f"{passed:,} other {'entry' if passed == 1 else 'entries'} ignored")
        if self._part is None and self._source.problems:
            parts.append(f"{len(self._source.problems):,} not listed, see unreadable()")
        return ", ".join(parts)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
