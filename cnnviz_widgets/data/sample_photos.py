"""Sample photos that come with scikit-image, scikit-learn and matplotlib: by name, without a download."""

from __future__ import annotations

import base64
import difflib
import functools
import html
import importlib.util
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cnnviz_widgets.data.picture import as_picture


@dataclass(frozen=True)
class Photo:
    """One sample photo: where it lies, what it shows and whose it is."""

    name: str
    package: str  # as pip calls it
    file: str  # inside the folder where the package keeps its pictures
    shows: str
    credit: str  # licence and author, as far as the package or the file itself states them

    @property
    def path(self) -> Path | None:
        """The file, or None where the package is not installed; the package is found without importing it."""
        module, folder = _FOLDERS[self.package]
        spec = importlib.util.find_spec(module)
        for root in (spec and spec.submodule_search_locations) or ():
            path = Path(root) / folder / self.file
            if path.is_file():
                return path
        return None


class SamplePhotos(Mapping[str, Image.Image]):
    """The sample photos of the installed packages, as a read-only mapping from name to upright RGB picture.

    As the last line of a cell it shows itself as a table: thumbnail, name, what it shows, size, package and licence.
    Each access opens the file afresh, so a picture may be changed at will.

    Example:
        >>> samples["cat"].size
        (451, 300)
    """

    def __init__(self, photos: tuple[Photo, ...]) -> None:
        """A collection of `photos`; those whose package is missing are not counted but named in errors."""
        self._photos = {photo.name: photo for photo in photos}

    def __getitem__(self, name: str) -> Image.Image:
        """The photo, freshly opened.

        Raises:
            KeyError: no such photo (near misses are named), or its package is missing (how to install it).
        """
        photo = self.about(name)
        if photo.path is None:
            raise KeyError(f"sample photo {name!r} comes with {photo.package}: pip install {photo.package}")
        return as_picture(photo.path)

    def __iter__(self) -> Iterator[str]:
        """The names of the photos that can be opened here."""
        return (photo.name for photo in self._photos.values() if photo.path is not None)

    def __len__(self) -> int:
        """How many photos can be opened here."""
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether a photo can be opened here; unlike the inherited test it opens no file."""
        photo = self._photos.get(name) if isinstance(name, str) else None
        return photo is not None and photo.path is not None

    def about(self, name: str) -> Photo:
        """What is known about a photo: path, package, what it shows, licence and credit.

        Raises:
            KeyError: no such photo; near misses are named.
        """
        if isinstance(name, str) and name in self._photos:
            return self._photos[name]
        near = difflib.get_close_matches(name.lower(), self._photos, n=3) if isinstance(name, str) else []
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(self)}"
        raise KeyError(f"no sample photo {name!r}; {hint}")

    def name_of(self, picture: Image.Image) -> str:
        """The name under which this very picture is here, pixel for pixel; "" where it is none of the samples."""
        for name in self:
            path = self._photos[name].path
            assert path is not None  # the listing asks for installed photos only
            with Image.open(path) as header:
                alike = sorted(header.size) == sorted(picture.size)  # a rotated photo has its sides exchanged
            if alike and picture.mode == "RGB" and self[name].tobytes() == picture.tobytes():
                return name
        return ""

    def __repr__(self) -> str:
        """The names."""
        return f"<{len(self)} sample photos: {', '.join(self)}>"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def _repr_html_(self) -> str:
        heads = "".join(f"<th style='text-align:left'>{head}</th>" for head in _COLUMNS)
        rows = "".join(_row(self._photos[name]) for name in self)
        missing = sorted({photo.package for photo in self._photos.values() if photo.path is None})
        more = f"<p>More photos: <code>pip install {' '.join(missing)}</code></p>" if missing else ""
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


_COLUMNS = ("photo", "name", "shows", "width x height", "comes with", "licence and credit")


def _row(photo: Photo) -> str:
    assert photo.path is not None  # the listing asks for installed photos only
    (width, height), thumbnail = _size_and_thumbnail(photo.path)
    cells = (
        f"<img alt='{html.escape(photo.shows, quote=True)}' src='data:image/jpeg;base64,{thumbnail}'>",
        f"<code>{html.escape(photo.name)}</code>",
        html.escape(photo.shows),
        f"{width} x {height}",
        html.escape(photo.package),
        html.escape(photo.credit),
    )
    return "<tr>" + "".join(f"<td style='text-align:left; white-space:normal'>{cell}</td>" for cell in cells) + "</tr>"


@functools.lru_cache(maxsize=64)
def _size_and_thumbnail(path: Path) -> tuple[tuple[int, int], str]:
    picture = as_picture(path)
    small = picture.copy()
    small.thumbnail((96, 64))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=80)
    return picture.size, base64.b64encode(encoded.getvalue()).decode("ascii")


# package as pip calls it -> module, and the folder of its pictures inside the module's own
_FOLDERS = {
    "scikit-image": ("skimage", "data"),
    "scikit-learn": ("sklearn", "datasets/images"),
    "matplotlib": ("matplotlib", "mpl-data/sample_data"),
}

_MIDDLEBURY = "no licence stated; Middlebury 2014 stereo benchmark, Scharstein et al., GCPR 2014"

# Licences and credits are those that the package's own documentation of the picture states.
# fmt: off
samples = SamplePhotos((
    Photo("cat", "scikit-image", "chelsea.png", "Chelsea, a tabby cat", "CC0, Stefan van der Walt"),
    Photo("coffee", "scikit-image", "coffee.png", "an espresso in a red cup, with a spoon",
          "CC0, Rachel Michetti, courtesy of Pikolo Espresso Bar"),
    Photo("motorcycle", "scikit-image", "motorcycle_left.png", "a red motorcycle in a garage", _MIDDLEBURY),
    Photo("motorcycle_right", "scikit-image", "motorcycle_right.png", "the same motorcycle, 19 cm further right",
          _MIDDLEBURY),
    Photo("rocket", "scikit-image", "rocket.jpg", "a Falcon 9 rocket on its launch pad at dusk",
          "public domain, SpaceX"),
    Photo("astronaut", "scikit-image", "astronaut.png", "astronaut Eileen Collins, with flag and model shuttle",
          "public domain, NASA Great Images"),
    Photo("grace_hopper", "matplotlib", "grace_hopper.jpg", "Grace Hopper in the uniform of the U.S. Navy",
          "no licence stated; from Wikimedia Commons, File:Grace_Hopper.jpg"),
    Photo("camera", "scikit-image", "camera.png", "a photographer with a tripod, grey", "CC0, Lav Varshney"),
    Photo("china", "scikit-learn", "china.jpg", "a Chinese temple", "CC BY 2.0, danielbuechele on Flickr"),
    Photo("flower", "scikit-learn", "flower.jpg", "an orange dahlia",
          "CC BY 2.0, vultilion on Flickr (so its address; scikit-learn's note says danielbuechele)"),
    Photo("coins", "scikit-image", "coins.png", "24 Greek coins from Pompeii, grey",
          "no known copyright restrictions, Brooklyn Museum"),
    Photo("horse", "scikit-image", "horse.png", "the black silhouette of a horse: shape without texture",
          "CC0, Andreas Preuss (openclipart)"),
    Photo("brick", "scikit-image", "brick.png", "a brick wall, grey: texture without shape", "CC0, CC0Textures"),
    Photo("grass", "scikit-image", "grass.png", "grass, grey: texture without shape", "CC0, DeviantArt linolafett"),
    Photo("gravel", "scikit-image", "gravel.png", "gravel, grey: texture without shape", "CC0, CC0Textures"),
    Photo("retina", "scikit-image", "retina.jpg", "the retina of a left eye", "CC0, Mikael Häggström"),
    Photo("hubble_deep_field", "scikit-image", "hubble_deep_field.jpg", "thousands of galaxies, Hubble telescope",
          "public domain, NASA"),
))
# fmt: on
