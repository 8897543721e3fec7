"""From a Pillow picture of any mode to the RGB picture that a person sees."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from cnnviz_widgets.data.pixels import eight_bits

_EXIF_ORIENTATION = 274
_UPRIGHT_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_PROFILE_SPACE = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}


def upright_rgb(image: Image.Image, name: str = "the picture") -> Image.Image:
    """The upright RGB picture in a decoded Pillow picture, as a new picture without metadata; `image` stays as it was.

    Raises:
        ImageError: a picture of floats or of 32-bit integers whose values leave open what is white.
    """
    # Else a copy: Pillow's convert() writes transparency into the palette of the picture that it reads.
    plain = image.mode in _PROFILE_SPACE and "transparency" not in image.info
    frame = image if plain else image.copy()
    colour, alpha = _colour_and_alpha(frame, image, name)
    picture = _in_srgb(colour, image.info.get("icc_profile"))
    if alpha is not None:
        picture = Image.composite(picture, Image.new("RGB", picture.size, "white"), alpha)
    turn = _UPRIGHT_BY.get(_orientation(image))
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info = {}  # an orientation left behind would turn the picture again
    return picture


def _colour_and_alpha(frame: Image.Image, image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """The picture as L, RGB or CMYK, and its alpha channel if anything can shine through."""
    if frame.mode == "F" or frame.mode.startswith("I"):
        return _deep_grey(frame, image, name)
    if frame.mode in ("La", "LA"):
        frame = frame.convert("LA")
        return frame.getchannel("L"), frame.getchannel("A")
    if frame.has_transparency_data:
        frame = frame.convert("RGBA")
        return frame.convert("RGB"), frame.getchannel("A")
    if frame.mode == "1":
        return frame.convert("L"), None
    return (frame if frame.mode in _PROFILE_SPACE else frame.convert("RGB")), None


def _deep_grey(frame: Image.Image, image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Greyscale of more than 8 bits, scaled: Pillow's own convert() cuts everything above 255 off to white."""
    values = np.asarray(frame)
    tags = getattr(image, "tag_v2", {})
    white = None
    if frame.mode.startswith("I;16"):
        white = 4095 if tags.get(_TIFF_BITS) == (12,) else 65535
    elif frame.mode == "I" and image.format in ("PNG", "PPM"):  # 16-bit files that Pillow widens to 32 bits
        white = 65535
    grey = eight_bits(values, f"{name} ({image.width} x {image.height}, Pillow mode {image.mode})", white=white)
    if white and tags.get(_TIFF_PHOTOMETRIC) == 0:  # "white is zero", which Pillow minds up to 8 bits only
        grey = 255 - grey
    key = frame.info.get("transparency")
    alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)) if isinstance(key, int) else None
    return Image.fromarray(grey), alpha


def _in_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, through the embedded colour profile where there is one that fits the picture."""
    if profile and profile[16:20] == _PROFILE_SPACE[colour.mode]:  # there an ICC header says its colour space
        try:
            source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            if converted := ImageCms.profileToProfile(colour, source, srgb, outputMode="RGB"):
                return converted
        except (ImageCms.PyCMSError, OSError, ImportError):
            pass  # a broken profile, or Pillow without LittleCMS: viewers show the plain numbers then
    return colour.convert("RGB")


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # broken metadata raises nearly anything and is no reason to refuse good pixels
        return 1
