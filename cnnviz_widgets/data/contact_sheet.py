"""A gallery as a person sees it at the end of a cell: a sheet of small pictures with their labels."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from PIL import Image

from cnnviz_widgets.data.errors import ImageError

if TYPE_CHECKING:
    from cnnviz_widgets.data.gallery import Gallery

MOST, SIDE = 24, 96  # pictures on a sheet, and the longest side of each in pixels


def contact_sheet(gallery: Gallery) -> str:
    """HTML with at most 24 pictures, from all over the gallery, each above its label or key."""
    numbers = spread(len(gallery), MOST)
    figures = "".join(_figure(gallery, number) for number in numbers)
    told = html.escape(gallery.summary())
    more = f"; here are {len(numbers)} of them" if len(numbers) < len(gallery) else ""
    return (
        f"<div><p style='margin:4px 0'>{told}{more}</p>"
        f"<div style='display:flex; flex-wrap:wrap; gap:8px; align-items:flex-end'>{figures}</div></div>"
    )


def spread(total: int, most: int) -> list[int]:
    """At most `most` of the numbers 0..total-1, increasing, one from each of as many equal stretches.

    Where in its stretch each lies goes by the golden ratio: with equal steps, a gallery in which classes take turns
    would show one class alone.
    """
    count = min(total, most)
    edges = [at * total // max(count, 1) for at in range(count + 1)]
    return [edges[at] + int((at * 0.618034) % 1 * (edges[at + 1] - edges[at])) for at in range(count)]


def _figure(gallery: Gallery, number: int) -> str:
    key = gallery.key(number)
    try:
        picture, label = gallery.read(number)
    except ImageError as error:
        box, caption, title = _WRONG, "unreadable", f"{key}: {error}"
    else:
        caption = gallery.class_name(label) or key
        box = f"<img alt='{html.escape(caption, quote=True)}' src='{_thumbnail(picture)}' style='{_IMAGE}'>"
        title = key
    return (
        f"<figure title='{html.escape(title, quote=True)}' style='margin:0; width:{SIDE}px; text-align:center'>{box}"
        f"<figcaption style='{_CAPTION}'>{html.escape(caption)}</figcaption></figure>"
    )


_IMAGE = f"display:block; margin:0 auto; max-width:{SIDE}px; max-height:{SIDE}px"
_CAPTION = "font-size:11px; overflow:hidden; text-overflow:ellipsis; white-space:nowrap"
_WRONG = f"<div style='border:1px dashed; opacity:0.6; box-sizing:border-box; height:{SIDE * 2 // 3}px'></div>"


def _thumbnail(picture: Image.Image) -> str:
    small = picture.copy()
    if max(small.size) > SIDE:
        small.thumbnail((SIDE, SIDE))
    else:  # by whole steps, so that each pixel of a small picture stays a square
        times = max(1, SIDE // max(small.size))
        small = small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
