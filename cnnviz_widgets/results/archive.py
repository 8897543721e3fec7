"""The file of a result, a `.npz`: arrays under their field's name, and "json" for the rest.

Containers are tagged, so that nothing is guessed when they are read, and nothing in a file is ever run.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.results.unit import Unit

FORMAT, VERSION = "cnnviz_widgets result", 1


def pack(result: Any) -> tuple[str, dict[str, Any]]:
    """The header of a result (a dataclass of arrays and plain values), as JSON, and its arrays by name."""
    arrays: dict[str, Any] = {}
    content = {f.name: _encode(getattr(result, f.name), f.name, arrays) for f in fields(result)}
    header = {"format": FORMAT, "version": VERSION, "type": type(result).__name__, "fields": content}
    return json.dumps(header), arrays


def read(file: BinaryIO, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a file.

    Raises:
        ValueError: it is no result, is damaged, or is of another format version.
    """
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


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that appears under its name only when it is complete."""
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


def decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """A value as it was before it was packed."""
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "array":
        return arrays[content]
    if tag == "unit":
        return Unit(**content)
    if tag == "tuple":
        return tuple(decode(item, arrays) for item in content)
    if tag == "dict":
        return {key: decode(item, arrays) for key, item in content.items()}
    raise ValueError(f"unknown entry {tag!r}")


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
