"""`Index`: a gallery as one network sees it, on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import Gallery, ImageLike, as_picture
from cnnviz_widgets.engine import Engine, Layers
from cnnviz_widgets.engine.cache import Cache
from cnnviz_widgets.index.arrays import open_arrays
from cnnviz_widgets.index.build import build, check_network
from cnnviz_widgets.index.catalogue import Catalogue
from cnnviz_widgets.index.correctness import correctness
from cnnviz_widgets.index.embedding import embeddings
from cnnviz_widgets.index.errors import IndexDamaged
from cnnviz_widgets.index.manifest import Manifest
from cnnviz_widgets.index.reading import reduced
from cnnviz_widgets.index.thumbnails import Thumbnails

if TYPE_CHECKING:
    from dask.distributed import Client
    from PIL import Image

T = TypeVar("T")


class Skipped(NamedTuple):
    """A picture that is not in the index, and why."""

    key: str
    reason: str


@dataclass(frozen=True)
class Picture:
    """What the index knows of one of its pictures.

    Attributes:
        row: its place in all arrays.
        key: its name in the gallery; `path` where it is a file.
        label, label_name: as the gallery says; -1 and "" for none.
        prediction, prediction_name, probability: the network's most probable class.
    """

    row: int
    key: str
    path: Path | None
    label: int
    label_name: str
    prediction: int
    prediction_name: str
    probability: float


@dataclass(frozen=True)
class Strongest:
    """The k strongest answers of each of a layer's C channels over all pictures, best first, one a picture.

    Where there are fewer pictures than k, values are NaN and the rest is -1.

    Attributes:
        values: (C, k) what the channel put out.
        rows: (C, k) the picture.
        ys, xs: (C, k) where in the map; of equal values in one map the first row by row.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.int64]
    ys: NDArray[np.int32]
    xs: NDArray[np.int32]


class Index:
    """A gallery seen through a network: embeddings of all pictures, and what every channel answers to most.

    It lives in a folder and is only read: arrays are memory maps, thumbnails are fetched one by one, so an index of a
    million pictures opens as fast as one of ten. `build` makes one and goes on with one that was stopped, `open` opens
    one. A picture's place in all arrays is its row; rows are in the order of the gallery, and what could not be read is
    in `skipped` instead.

    Attributes:
        engine, path, name, k: the network, the folder, the gallery's name, the patches kept for each channel.

    Example:
        >>> index = Index.build(engine, Gallery.from_folder("my_pictures"), "my_index")
        >>> neighbors(index, samples["cat"])
    """

    def __init__(self, path: Path, engine: Engine, manifest: Manifest, gallery: Gallery | None) -> None:
        """Made by `open` and `build`."""
        self.path, self.engine = path, engine
        self._given, self._gone = gallery, "lived in memory"
        self.name, self.k = manifest.name, manifest.settings.k
        self._manifest, self._settings = manifest, manifest.settings
        self._arrays = open_arrays(path, manifest)
        self._thumbnails = Thumbnails(path / "shards", manifest.shards)
        self._cache = Cache()

    @classmethod
    def build(
        cls,
        engine: Engine,
        gallery: Gallery,
        path: str | os.PathLike[str],
        layers: str | Sequence[str] | None = None,
        k: int = 9,
        client: Client | None = None,
        *,
        batch_size: int | None = None,
        shard: int | None = None,
        progress: bool = True,
    ) -> Index:
        """Look at every picture once and keep what was seen, in a folder; shows a bar while it does.

        Stopped in any way, also killed, the same call goes on where it was: at most one shard is computed again.
        Several processes may build the same index at once and share the work. What cannot be read is listed in
        `skipped` and warned of, once.

        The index follows its gallery: called again, pictures that came are computed and get the rows behind, of those
        that changed or went the shards are computed anew, and the index has no more rows of those that went. Rows stay
        in the order in which pictures first came. Of a file a change is seen by its size and time, of an array by its
        pixels; of a dataset it cannot be seen: delete the folder then. An `Index` that is open meanwhile, here or in
        another process, stays as it was; open it again to see what is new.

        Args:
            engine: the network.
            gallery: the pictures.
            path: a folder, made when it is not there.
            layers: whose outputs are embeddings: maps averaged over their positions, vectors as they are. By default
                what the classifier reads. The first one is the default of all that asks for an embedding.
            k: patches kept for each channel of each convolution.
            client: computes on Dask's workers (extra ``dask``); the result is the same to the last bit where the
                workers have the same kind of processor.
            batch_size: pictures that go through the network at once.
            shard: pictures that are done or not done together; 256 by default, 2,048 of 100,000 pictures or more.
            progress: whether to show a bar. In a job of the engine's worker progress is the job's instead.

        Raises:
            ValueError: no pictures, or none that can be read; a wrong `k` or `batch_size`.
            KeyError: no such layer; near names are suggested.
            IndexRefused: the folder holds an index of another network or gallery, or of a newer version.
            OSError: no room, or no right to write there; an index that was complete is still as it was.

        Example:
            >>> Index.build(engine, photos(), "photos_index", layers=["features.6", "features.12"])
        """
        if not isinstance(engine, Engine) or not isinstance(gallery, Gallery):
            came = f"{type(engine).__name__} and {type(gallery).__name__}"
            raise TypeError(f"wanted an Engine and a Gallery, got {came}, as in Index.build(engine, gallery, path)")
        folder = Path(path).expanduser()
        with engine.still():
            build(engine, gallery, folder, layers, k, client, batch_size, shard, progress)
            return cls.open(folder, engine, gallery)

    @classmethod
    def open(cls, path: str | os.PathLike[str], engine: Engine, gallery: Gallery | None = None) -> Index:
        """The index in a folder.

        Args:
            path: the folder.
            engine: the network that it was built with.
            gallery: the pictures, where the index cannot come by them itself: they lived in memory, or were moved.

        Raises:
            FileNotFoundError: there is none.
            IndexIncomplete: it was begun and not finished.
            IndexRefused: it is of another network, or of a newer version.
            IndexDamaged: a file is missing or broken.
        """
        folder = Path(path).expanduser()
        manifest = Manifest.load(folder)
        check_network(manifest.settings, engine, f"the index in {str(folder)!r}")
        while True:
            try:
                return cls(folder, engine, manifest, gallery)
            except IndexDamaged:
                newer = Manifest.load(folder)
                if newer == manifest:
                    raise
                manifest = newer  # another process has just put its arrays in the place of those

    def __len__(self) -> int:
        """How many pictures there are."""
        return self._manifest.pictures

    def __repr__(self) -> str:
        """``Index(photos: 200 pictures seen by squeezenet1_1, 26 convolutions, embeddings of features.12)``."""
        skipped = f", {self._manifest.skipped} skipped" if self._manifest.skipped else ""
        return (
            f"Index({self.name}: {len(self):,} pictures{skipped} seen by {self.engine.name}, {len(self.units)} "
            f"convolutions, embeddings of {', '.join(self.layers)})"
        )

    # --- all pictures -------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers with embeddings, the default first."""
        return self._settings.layers

    @property
    def units(self) -> dict[str, int]:
        """The layers with strongest patches, every convolution, and how many channels each has."""
        return dict(self._settings.units)

    @cached_property
    def gallery(self) -> Gallery | None:
        """The pictures, or None where they lived in memory and were not handed over, or are gone.

        A folder is listed when this is first asked for, not when the index is opened.
        """
        if self._given is not None or self._manifest.gallery is None:
            return self._given
        try:
            return Gallery.from_spec(self._manifest.gallery)
        except (OSError, ValueError, ImportError) as error:
            self._gone = f"cannot be had: {error}"
            return None

    @property
    def identity(self) -> str:
        """A text that changes when what the index holds does."""
        return self._manifest.arrays

    def embedding(self, layer: str | None = None) -> NDArray[np.float32]:
        """(N, D), a read-only memory map: one vector a picture.

        Raises:
            KeyError: the index has no embedding of this layer.
        """
        return self._array(f"embedding-{self._settings.layer(layer)}")

    def norms(self, layer: str | None = None) -> NDArray[np.float32]:
        """(N,) the Euclidean lengths of the embeddings."""
        return self._array(f"norms-{self._settings.layer(layer)}")

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(N, h, w, 3), a read-only memory map: what the network saw, reduced to at most 32 pixels a side."""
        return self._array("pixels")

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) the pictures' labels as the gallery numbers them, -1 for none."""
        return self._array("labels")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self._manifest.classes

    @property
    def predictions(self) -> NDArray[np.int64]:
        """(N,) the most probable class of each picture; -1 where its scores are no numbers."""
        return self._array("predictions")

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """(N,) the probabilities of the `predictions`."""
        return self._array("probabilities")

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the network's classes."""
        return self.engine.categories

    @cached_property
    def correct(self) -> NDArray[np.int8]:
        """(N,) 1 where the prediction is the label, 0 where it is not, -1 where that cannot be told.

        Labels and the network's classes are matched by their names, whatever their case.
        """
        return correctness(self.labels, self.classes, self.predictions, self.categories)

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """The pictures that could not be read, and why."""
        return tuple(Skipped(key, reason) for key, reason in self._arrays.skipped)

    # --- one picture --------------------------------------------------------------------------------------------------

    def about(self, row: int) -> Picture:
        """What is known of a picture.

        Raises:
            IndexError: no such row.
        """
        row = self._row(row)
        key = self._thumbnails.key(self._number(row))
        label, prediction = int(self.labels[row]), int(self.predictions[row])
        path = None
        if self.gallery is not None:
            try:
                path = self.gallery.path(self.gallery.find(key))
            except KeyError:
                path = None
        return Picture(
            row,
            key,
            path,
            label,
            self.classes[label] if 0 <= label < len(self.classes) else "" if label < 0 else str(label),
            prediction,
            self.categories[prediction] if 0 <= prediction < len(self.categories) else "",
            float(self.probabilities[row]),
        )

    def find(self, key: str) -> int:
        """The row of the picture that the gallery calls so.

        Raises:
            KeyError: the index has none; it says why.
        """
        number = Catalogue(self.path).number(key)
        numbers = self._array("numbers")
        row = -1 if number is None else int(np.searchsorted(numbers, number))
        if 0 <= row < len(self) and numbers[row] == number:
            return row
        why = next((f": it could not be read: {one.reason}" for one in self.skipped if one.key == key), "")
        raise KeyError(f"no picture {key!r} in this index{why}")

    def thumbnail(self, row: int) -> bytes:
        """A JPEG of what the network saw, at most 112 pixels a side."""
        return self._thumbnails.thumbnail(self._number(self._row(row)))

    def picture(self, row: int) -> Image.Image:
        """The picture as the gallery has it.

        Raises:
            ValueError: the gallery is not at hand.
            ImageError: it cannot be read any more.
        """
        row = self._row(row)
        if self.gallery is None:
            raise ValueError(
                f"the pictures of this index {self._gone}; hand them over: "
                f"Index.open({str(self.path)!r}, engine, gallery)"
            )
        return self.gallery[self.gallery.find(self._thumbnails.key(self._number(row)))]

    def input(self, row: int) -> Tensor:
        """The picture as the network takes it, (1, C, H, W)."""
        return self.engine.prepare(self.picture(row))

    # --- what channels answer to --------------------------------------------------------------------------------------

    def strongest(self, layer: str) -> Strongest:
        """The strongest answers of a convolution's channels.

        Raises:
            KeyError: no such convolution; near names are suggested.
        """
        number = self._settings.unit_layer(layer)
        first = sum(count for _, count in self._settings.units[:number])
        part = slice(first, first + self._settings.units[number][1])
        values, rows, places = (
            np.array(self._array(f"strongest-{name}")[part]) for name in ("values", "rows", "places")
        )
        widths = self._widths(layer, rows)
        there = rows >= 0
        return Strongest(
            values.astype(np.float32),
            rows.astype(np.int64),
            np.where(there, places // widths, -1).astype(np.int32),
            np.where(there, places % widths, -1).astype(np.int32),
        )

    def box(self, layer: str, row: int, y: int, x: int) -> tuple[int, int, int, int]:
        """The receptive field of one place of a layer's maps: x0, y0, x1, y1 in pixels of what the network saw.

        Not cut at the border of the picture; all of it where the field is not known.
        """
        height, width = (int(side) for side in self._array("shapes")[self._row(row)])
        field = self._layers((height, width))[layer].receptive_field
        return (0, 0, width, height) if field is None else field.box(y, x)

    # --- pictures from elsewhere --------------------------------------------------------------------------------------

    def embed(self, images: ImageLike | Sequence[ImageLike], layer: str | None = None) -> NDArray[np.float32]:
        """(n, D) the embeddings of one picture or several, computed as those of the index were.

        One pass gives those of all the index's layers, and of a picture alone they are remembered.
        """
        number = self._settings.layer(layer)
        many = list(images) if isinstance(images, (list, tuple)) else [cast("ImageLike", images)]
        if not many:
            return np.empty((0, self.embedding(layer).shape[1]), np.float32)
        found = embeddings(self.engine, [self.engine.prepare(image) for image in many], self.layers)
        return found[number].numpy().copy()

    def reduced(self, image: ImageLike) -> NDArray[np.uint8]:
        """(h, w, 3) a picture in pixel space, as `pixels` has those of the index."""
        return reduced(self.engine.preprocessing.frame(as_picture(image)), self._settings.pixels)

    def check(self) -> None:
        """See that the network still is the one that the index was built with.

        Raises:
            IndexRefused: it was trained further, or changed otherwise, since the index was opened.
        """
        check_network(self._settings, self.engine, f"the index in {str(self.path)!r}")

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of `key`, computed once and kept while there is room; shared, so nobody may write into it."""
        return self._cache.get(self.identity, key, compute)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _row(self, row: int) -> int:
        if isinstance(row, bool) or not isinstance(row, (int, np.integer)):
            raise TypeError(f"a row is a whole number, not {row!r}; index.find(key) gives that of a picture")
        if not 0 <= row < len(self):
            raise IndexError(f"no row {row} in this index; they go from 0 to {len(self) - 1}")
        return int(row)

    def _number(self, row: int) -> int:
        return int(self._array("numbers")[row])

    def _array(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def _layers(self, shape: tuple[int, int]) -> Layers:
        x = torch.zeros((1, len(self.engine.preprocessing.channels), *shape), dtype=self.engine.dtype)
        return self.engine.layers_for(x.to(self.engine.device))

    def _widths(self, layer: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How wide a layer's maps are for the pictures of these rows."""
        shapes = self._array("shapes")
        widths = np.ones(rows.shape, np.int64)
        there = rows >= 0
        seen, which = np.unique(np.asarray(shapes[rows[there]]), axis=0, return_inverse=True)
        each = [self._layers((int(height), int(width)))[layer].shape[2] for height, width in seen]
        if each:
            widths[there] = np.array(each, np.int64)[which.ravel()]
        return widths
