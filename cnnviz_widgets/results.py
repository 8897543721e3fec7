"""What a technique returns: frozen records of arrays that remember how they came about.

Every record holds the picture it belongs to, what was explained, where, by which method and with which parameters.
It shows itself as a picture when it is the last line of a cell, draws itself with `plot()`, and is saved as one `.npz`.

    heat = grad_cam(engine, samples["cat"])
    heat.save("tabby.npz"); heat.save("tabby.png")
    heat = Result.load("tabby.npz")

A new kind of result is a subclass with fields and nothing else: array fields carry `metadata=array("C h w")`; their
copying and checking, the text form, saving and loading follow from the fields. Only numpy and the standard library are
imported here; the views (matplotlib) are looked up when a picture is asked for.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, overload
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Heatmap", "PixelMap", "Predictions", "Reduction", "Result", "Unit", "array"]

FORMAT, VERSION = "cnnviz_widgets result", 1
PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
Reduction = Literal["max_abs", "sum", "norm", "mean_abs"]
R = TypeVar("R", bound="Result")


@dataclass(frozen=True)
class Unit:
    """One channel of a layer; with `y` and `x` (together) one position of it.

    Example:
        grad_cam(engine, image, target=Unit("features.9", 7))
    """

    layer: str
    channel: int
    y: int | None = None
    x: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.layer, str):
            raise TypeError(f"a unit's layer is a dotted name such as 'features.12', not {self.layer!r}")
        if (self.y is None) != (self.x is None):
            raise ValueError(f"a unit's y and x are given together or not at all, not y={self.y}, x={self.x}")
        for name in ("channel", "y", "x"):
            value = getattr(self, name)
            if value is None and name != "channel":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise TypeError(f"a unit's {name} is a whole number, not {value!r}")
            if value < 0:
                raise ValueError(f"a unit's {name} counts from 0, not {value}")
            object.__setattr__(self, name, int(value))

    def __str__(self) -> str:
        place = "" if self.y is None else f" at y={self.y}, x={self.x}"
        return f"{self.layer} channel {self.channel}{place}"


def array(shape: str, dtype: DTypeLike = np.float32) -> dict[str, object]:
    """Field metadata of an array: its axes by name, and its number type.

    A name stands for one length throughout a record (`"H W"` is the picture's size wherever it occurs), a number for
    itself: `array("H W 3", np.uint8)`.
    """
    return {"axes": tuple(shape.split()), "dtype": np.dtype(dtype)}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Result:
    """A picture and what a method found in it; see the subclasses for the arrays.

    Attributes:
        image: (H, W, 3) uint8, the very pixels that the network saw, after resize and crop.
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

    image: NDArray[np.uint8] = field(metadata=array("H W 3", np.uint8))
    target: int | Unit | None = None
    target_name: str = ""
    layer: str | None = None
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    citation: str = ""

    def __post_init__(self) -> None:
        lengths: dict[str, tuple[int, str]] = {}
        for f in fields(self):
            if "axes" in f.metadata:
                owned = _own(getattr(self, f.name), f"{type(self).__name__}.{f.name}", f.metadata["dtype"])
                _check_axes(owned, f.metadata["axes"], f"{type(self).__name__}.{f.name}", f.name, lengths)
                object.__setattr__(self, f.name, owned)
        target = self.target
        if isinstance(target, bool) or not isinstance(target, int | np.integer | Unit | None):
            raise TypeError(f"target is a class index, a Unit or None, not {target!r}")
        object.__setattr__(self, "target", int(target) if isinstance(target, np.integer) else target)
        object.__setattr__(self, "parameters", _plain(dict(self.parameters), "parameters"))

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"{type(self).__name__}({self._summary()}, {width}x{height})"

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
            header, arrays = _pack(self)
            _write_whole(path, lambda file: np.savez_compressed(file, json=np.array(header), **arrays))
        else:
            figure = self.plot(**options)
            _write_whole(path, lambda file: figure.savefig(file, format=ending[1:]))
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
            header, arrays = _read(file, path)
        known = {kind.__name__: kind for kind in _kinds(Result)}
        kind = known.get(header["type"])
        if kind is None:
            raise ValueError(f"{path} holds a {header['type']!r}, which is none of {', '.join(sorted(known))}")
        if not issubclass(kind, cls):
            raise ValueError(f"{path} holds a {kind.__name__}, not a {cls.__name__}: "
                             f"use {kind.__name__}.load or Result.load")  # fmt: skip
        try:
            return kind(**{name: _decode(value, arrays) for name, value in header["fields"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is not a {kind.__name__} that this version can read: {error}") from error


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Predictions(Result):
    """The classes that a network holds most likely, best first.

    Attributes:
        names: (k) class names.
        probabilities: (k,) softmax of all scores, 0 to 1; the k need not add up to 1.
        scores: (k,) logits.
        indices: (k,) int64, the classes' numbers.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32] = field(metadata=array("k"))
    scores: NDArray[np.float32] = field(metadata=array("k"))
    indices: NDArray[np.int64] = field(metadata=array("k", np.int64))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(self.names))
        if len(self.names) != len(self.probabilities):
            raise ValueError(f"Predictions has {len(self.names)} names for {len(self.probabilities)} probabilities")

    def _summary(self) -> str:
        best = [f"{name!r} {share:.1%}" for name, share in zip(self.names, self.probabilities, strict=True)]
        rest = f" and {len(best) - 1} more" if len(best) > 1 else ""
        return f"{self.method}: {best[0]}{rest}" if best else self.method


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Heatmap(Result):
    """One value for every pixel of the network's input: where it matters.

    Attributes:
        values: (H, W) on the frame of `image`, in the method's own units, never normalised.
        raw: (h, w) the same map at the layer's own resolution.
        signed: Whether values below zero have a meaning of their own (against the target); colours then centre on 0.
    """

    values: NDArray[np.float32] = field(metadata=array("H W"))
    raw: NDArray[np.float32] = field(metadata=array("h w"))
    signed: bool = False


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PixelMap(Result):
    """One value for every colour of every input pixel: what changing it does.

    Attributes:
        values: (C, H, W) on the frame of `image`, C = 3 in the order R, G, B or C = 1; never normalised.
        signed: Whether values below zero have a meaning of their own.
    """

    values: NDArray[np.float32] = field(metadata=array("C H W"))
    signed: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) not in (1, 3):
            raise ValueError(f"PixelMap.values has 3 channels (R, G, B) or 1, not {len(self.values)}")

    def heatmap(self, reduce: Reduction = "max_abs") -> Heatmap:
        """One value a pixel: the channels drawn together.

        Args:
            reduce: "max_abs", the largest magnitude (Simonyan et al. 2013, section 3.1); "sum", which keeps the sign
                and, for integrated gradients, the total; "norm", the Euclidean length; "mean_abs", the mean magnitude.

        Example:
            guided_backprop(engine, image).heatmap("norm")
        """
        if reduce not in _REDUCTIONS:
            raise ValueError(f"reduce is one of {', '.join(map(repr, _REDUCTIONS))}, not {reduce!r}")
        values = _REDUCTIONS[reduce](self.values.astype(np.float64)).astype(np.float32)
        common = {f.name: getattr(self, f.name) for f in fields(Result)}
        common["parameters"] = {**self.parameters, "reduce": reduce}
        return Heatmap(**common, values=values, raw=values, signed=self.signed and reduce == "sum")


_REDUCTIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "max_abs": lambda v: np.abs(v).max(0),
    "sum": lambda v: v.sum(0),
    "norm": lambda v: np.sqrt(np.square(v).sum(0)),
    "mean_abs": lambda v: np.abs(v).mean(0),
}


# What a record does with the values it is given.


def _own(value: object, what: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A read-only, contiguous copy: whatever the caller does with his array later, the result stays what it was."""
    came = np.asarray(value)
    # A picture of floats 0..1 cast to uint8 would be black: only number types that lose nothing but precision pass.
    allowed = {"f": "fiub", "i": "iu", "u": "", "b": "b"}[dtype.kind]
    if came.dtype != dtype and came.dtype.kind not in allowed:
        raise TypeError(f"{what} must be an array of {dtype}, not of {came.dtype}")
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


# The file: arrays under their field's name, and "json" for the rest, its containers tagged so that nothing is guessed.


def _pack(result: Result) -> tuple[str, dict[str, Any]]:
    arrays: dict[str, Any] = {}
    content = {f.name: _encode(getattr(result, f.name), f.name, arrays) for f in fields(result)}
    header = {"format": FORMAT, "version": VERSION, "type": type(result).__name__, "fields": content}
    return json.dumps(header), arrays


def _encode(value: Any, where: str, arrays: dict[str, Any]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays[where] = value
        return {"array": where}
    if isinstance(value, Unit):
        return {"unit": asdict(value)}
    if isinstance(value, Mapping):
        return {"dict": {key: _encode(item, f"{where}.{key}", arrays) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{where}.{i}", arrays) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise TypeError(f"{where} is a {type(value).__name__}, which cannot be saved without pickle")


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return arrays[content]
    if tag == "unit":
        return Unit(**content)
    if tag == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    if tag == "dict":
        return {key: _decode(item, arrays) for key, item in content.items()}
    raise ValueError(f"unknown entry {tag!r}")


def _read(file: BinaryIO, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{path} is not a saved result, or it is cut short: a result is a whole .npz file")
    file.seek(0)
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ValueError(f"{path} cannot be read as a saved result: {error}") from error
    try:
        header = json.loads(arrays.pop("json").item())
        if header["format"] != FORMAT:
            raise ValueError(header["format"])
        version, _, _ = header["version"], header["type"], header["fields"].items
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is a .npz file, but not one that a result was saved to") from error
    if version != VERSION:
        raise ValueError(f"{path} is of format version {version}; this cnnviz_widgets reads version {VERSION}")
    return header, arrays


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot save {path}: there is no folder {path.parent}")
    # In the same folder, so that the last step is a rename; opened by us and not by tempfile, so that the umask holds.
    partial = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _kinds(kind: type[Result]) -> Iterator[type[Result]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)
