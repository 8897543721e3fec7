"""The record itself: what every kind of result holds, checks, shows and saves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cnnviz_widgets.results.archive import decode, pack, read, write_whole
from cnnviz_widgets.results.unit import Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
R = TypeVar("R", bound="Result")


def array(shape: str, dtype: DTypeLike = np.float32) -> dict[str, object]:
    """Field metadata of an array: its axes by name, and its number type.

    A name stands for one length throughout a record (`"H W"` is the picture's size wherever it occurs), a number for
    itself: `array("H W 3", np.uint8)`. A field whose default is None may be left at that.
    """
    return {"axes": tuple(shape.split()), "dtype": np.dtype(dtype)}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result:
    """What a method found; see the subclasses for the arrays.

    Attributes:
        target: What was explained: a class index, a `Unit`, or None.
        target_name: The target in words: "tabby", "features.12 channel 7", "tabby - Egyptian cat" for a contrast.
        layer: The layer that was looked at, by its dotted name, or None.
        method: The name of the public function: "grad_cam".
        parameters: How it was called; plain JSON values only (tuples become lists, numpy scalars become numbers).
        citation: The paper, in one line.

    Raises:
        ValueError: An array of the wrong shape, naming the shape that was wanted.
        TypeError: An array of the wrong number type, or a parameter that JSON cannot hold.
    """

    target: int | Unit | None = None
    target_name: str = ""
    layer: str | None = None
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    citation: str = ""

    def __post_init__(self) -> None:
        lengths: dict[str, tuple[int, str]] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if "axes" in f.metadata and not (value is None and f.default is None):
                owned = _own(value, f"{type(self).__name__}.{f.name}", f.metadata["dtype"])
                _check_axes(owned, f.metadata["axes"], f"{type(self).__name__}.{f.name}", f.name, lengths)
                object.__setattr__(self, f.name, owned)
        target = self.target
        if isinstance(target, bool) or not isinstance(target, int | np.integer | Unit | None):
            raise TypeError(f"target is a class index, a Unit or None, not {target!r}")
        object.__setattr__(self, "target", int(target) if isinstance(target, np.integer) else target)
        object.__setattr__(self, "parameters", _plain(dict(self.parameters), "parameters"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary()})"

    def _summary(self) -> str:
        """The middle of the text form; a subclass may say more to the point."""
        of = f" of {self.target_name!r}" if self.target_name else ""
        at = f" at {self.layer}" if self.layer else ""
        return f"{self.method}{of}{at}"

    @overload
    def plot(self, ax: None = None, **options: Any) -> Figure: ...
    @overload
    def plot(self, ax: Axes, **options: Any) -> Axes: ...
    def plot(self, ax: Axes | None = None, **options: Any) -> Figure | Axes:
        """A matplotlib figure of this result; `cnnviz_widgets.views` says which options each kind takes.

        With `ax`, the main panel alone is drawn there and `ax` comes back (a notebook shows that figure by itself at
        the end of the cell: returning it would show it twice).
        """
        from cnnviz_widgets.views import plot

        return plot(self, ax, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        from cnnviz_widgets.views import png

        return png(self.plot())

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write this result: whole as `.npz`, or as a picture (.png .jpg .svg .pdf) drawn with `plot(**options)`.

        The file appears under its name only when it is complete, so an interrupted save leaves an older one as it was.

        Raises:
            ValueError: An ending that is none of these.
            FileNotFoundError: The folder does not exist.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending != ".npz" and ending not in PICTURES:
            came = f"not as {path.suffix!r}" if ending else "the name needs an ending"
            raise ValueError(f"cannot save {path.name!r}: results are saved as .npz (everything) or "
                             f"{' '.join(PICTURES)} (a picture), {came}")  # fmt: skip
        if ending == ".npz":
            if options:
                raise TypeError(f"{', '.join(options)}: options are for pictures; a .npz holds the result itself")
            header, arrays = pack(self)
            write_whole(path, lambda file: np.savez_compressed(file, json=np.array(header), **arrays))
        else:
            figure = self.plot(**options)
            write_whole(path, lambda file: figure.savefig(file, format=ending[1:]))
        return path

    @classmethod
    def load(cls: type[R], path: str | os.PathLike[str]) -> R:
        """The result that `save` wrote to a `.npz`, as the subclass that it was.

        Nothing in the file is ever run: arrays and JSON are read, pickles are refused.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no result, is damaged, is of another format version, or is another kind than `cls`.
        """
        path = Path(path)
        with path.open("rb") as file:
            header, arrays = read(file, path)
        known = {kind.__name__: kind for kind in _kinds(Result)}
        kind = known.get(header["type"])
        if kind is None:
            raise ValueError(f"{path} holds a {header['type']!r}, which is none of {', '.join(sorted(known))}")
        if not issubclass(kind, cls):
            raise ValueError(f"{path} holds a {kind.__name__}, not a {cls.__name__}: "
                             f"use {kind.__name__}.load or Result.load")  # fmt: skip
        try:
            return kind(**{name: decode(value, arrays) for name, value in header["fields"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a {kind.__name__} that this version can read: {error}") from error


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PictureResult(Result):
    """A picture and what a method found in it.

    Attributes:
        image: (H, W, 3) uint8, the very pixels that the network saw, after resize and crop.
    """

    image: NDArray[np.uint8] = field(metadata=array("H W 3", np.uint8))

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"{type(self).__name__}({self._summary()}, {width}x{height})"


# What a record does with the values it is given.


def _own(value: object, what: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A read-only, contiguous copy: whatever the caller does with his array later, the result stays what it was.

    An array that nobody can write to, because it is its own memory and read-only, is kept as it is.
    """
    came = np.asarray(value)
    # A picture of floats 0..1 cast to uint8 would be black: only number types that lose nothing but precision pass.
    allowed = {"f": "fiub", "i": "iu", "u": "", "b": "b"}[dtype.kind]
    if came.dtype != dtype and came.dtype.kind not in allowed:
        raise TypeError(f"{what} must be an array of {dtype}, not of {came.dtype}")
    if came.dtype == dtype and came.flags.owndata and came.flags.c_contiguous and not came.flags.writeable:
        return came
    copy = np.array(came, dtype=dtype, order="C", copy=True)
    copy.flags.writeable = False
    return copy


def _check_axes(
    value: NDArray[Any], axes: tuple[str, ...], what: str, name: str, lengths: dict[str, tuple[int, str]]
) -> None:
    wanted = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
    if value.ndim != len(axes):
        raise ValueError(f"{what} has the shape {wanted}, not {value.shape}")
    for axis, length in zip(axes, value.shape, strict=True):
        expected, source = (int(axis), "") if axis.isdigit() else lengths.setdefault(axis, (length, name))
        if length != expected:
            why = f" with {axis} = {expected} as in {source}" if source else ""
            raise ValueError(f"{what} has the shape {wanted}{why}, not {value.shape}")


def _plain(value: object, where: str) -> Any:
    """The value as JSON would give it back, so that a saved result equals the one in memory."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Unit):
        return asdict(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}: the names of parameters are text")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"{where} is a {type(value).__name__}; parameters are numbers, text, None, lists and dicts")


def _kinds(kind: type[Result]) -> Iterator[type[Result]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
