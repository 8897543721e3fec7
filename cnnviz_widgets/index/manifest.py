"""The index as a whole: `manifest.json`, written last and replaced in one go, and the arrays that it names."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnviz_widgets.index.catalogue import FORMAT, too_new
from cnnviz_widgets.index.errors import IndexDamaged, IndexIncomplete, IndexRefused
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.shard import write

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What an index is and which files it consists of.

    Attributes:
        settings: how the pictures were looked at.
        gallery: how to come by the gallery again, None where it lived in memory.
        name: of the gallery.
        classes: the names of the labels.
        pictures: how many could be read.
        skipped: how many could not.
        shards: the shards' files.
        arrays: the folder of the arrays; its name tells one state of the index from another.
        sizes: bytes of each file in it.
    """

    settings: Settings
    gallery: dict[str, Any] | None
    name: str
    classes: tuple[str, ...]
    pictures: int
    skipped: int
    shards: tuple[tuple[str, int, int], ...]  # name, first number, how many
    arrays: str
    sizes: dict[str, int]

    def save(self, folder: Path) -> None:
        """Put it in the place of the one before."""
        values = {"format": FORMAT, **asdict(self), "settings": self.settings.to_json()}
        write(folder / MANIFEST, json.dumps(values, indent=1, ensure_ascii=True).encode())

    @staticmethod
    def load(folder: Path) -> Manifest:
        """The manifest of the index in a folder.

        Raises:
            FileNotFoundError: there is no index.
            IndexIncomplete: one was begun.
            IndexRefused: a newer version made it.
            IndexDamaged: the file, or one that it names, is not what it should be.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise _missing(folder)
        try:
            values = json.loads(path.read_bytes())
            version = values.pop("format")
            if not isinstance(version, int):
                raise ValueError(f"its format is {version!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(path, error) from error
        if version > FORMAT:
            raise IndexRefused(too_new(path, version))
        try:
            settings = Settings.from_json(values.pop("settings"))
            shards = tuple((str(name), int(first), int(count)) for name, first, count in values.pop("shards"))
            sizes = {str(name): int(size) for name, size in values.pop("sizes").items()}
            classes = tuple(map(str, values.pop("classes")))
            found = Manifest(settings=settings, shards=shards, sizes=sizes, classes=classes, **values)
            for name, kind in (("pictures", int), ("skipped", int), ("arrays", str), ("name", str)):
                if not isinstance(getattr(found, name), kind):
                    raise ValueError(f"its {name} is {getattr(found, name)!r}")
            return found
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> IndexDamaged:
    return IndexDamaged(f"{path} cannot be read: {error}. Run Index.build again: this is made anew")


def _missing(folder: Path) -> Exception:
    if (folder / "catalogue.sqlite").is_file():
        done = len(list((folder / "shards").glob("*.sqlite")))
        return IndexIncomplete(
            f"the index in {str(folder)!r} was begun and is not complete ({done} shard{'s' * (done != 1)} done); run "
            "Index.build with the same arguments: it goes on where it stopped"
        )
    if not folder.is_dir():
        return FileNotFoundError(f"there is no index in {str(folder)!r}: no such folder; Index.build makes one")
    return FileNotFoundError(f"there is no index in {str(folder)!r}; Index.build makes one")
