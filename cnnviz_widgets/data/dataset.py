"""Pictures of a torch dataset: taken one by one, as the dataset makes them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

from PIL import Image

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.labels import names_of, number_of
from cnnviz_widgets.data.picture import as_picture
from cnnviz_widgets.data.source import Source


class DatasetSource(Source):
    """Any map-style dataset: `len(dataset)`, and `dataset[n]` gives a picture or (picture, label)."""

    def __init__(self, dataset: Any, classes: Sequence[str] | None = None, *, thread_safe: bool = False) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"a map-style dataset was wanted (len(dataset) and dataset[n]), and a {type(dataset).__name__} came"
                + ("; hand over its dataset" if hasattr(dataset, "dataset") else "")
            )
        if not len(dataset):
            raise ValueError(f"the dataset {type(dataset).__name__} is empty")
        self._dataset, self._thread_safe = dataset, thread_safe
        self._turn = threading.Lock()
        self.name = type(_inner(dataset)).__name__
        found = getattr(_inner(dataset), "classes", ()) if classes is None else classes
        self.classes = names_of(found) if isinstance(found, Sequence) or classes is not None else ()
        self._look_at_the_first()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the lock here."""
        return super().__getstate__() | {"_turn": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A lock of its own."""
        vars(self).update(state, _turn=threading.Lock())

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, number: int) -> tuple[Image.Image, int]:
        """See `Source`."""
        where = f"picture {number} of {self.name}"
        try:
            with contextlib.nullcontext() if self._thread_safe else self._turn:
                item = self._dataset[number]
        except Exception as error:  # it is the user's code: whatever it raises, the other pictures are still there
            raise ImageError(f"{where} cannot be had: {type(error).__name__}: {error}") from error
        picture, label = _parted(item, where)
        try:
            return as_picture(picture), number_of(label, self.classes)
        except (ValueError, OSError) as error:
            raise ImageError(f"{where}: {error}") from error

    def signature(self, number: int) -> str:
        """See `Source`; a dataset does not say."""
        return ""

    def _look_at_the_first(self) -> None:
        """What is wrong with every item is said at once; a first picture that cannot be read is one of many."""
        try:
            item = self._dataset[0]
        except Exception:
            return
        _, label = _parted(item, f"picture 0 of {self.name}")
        try:
            number_of(label, self.classes)
        except ValueError as error:
            raise ValueError(f"picture 0 of {self.name}: {error}") from None


def _parted(item: Any, where: str) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list, dict)):
        return item, None
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    what = f"a dict of {', '.join(map(repr, item))}" if isinstance(item, dict) else f"{len(item)} values"
    raise ImageError(f"{where} is {what}; wanted is a picture, or a picture and its label")


def _inner(dataset: Any) -> Any:
    """The dataset under `torch.utils.data.Subset`s, where the names of the classes are."""
    while not hasattr(dataset, "classes") and hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        dataset = dataset.dataset
    return dataset
