"""Pictures in: one door for whatever holds a picture, galleries of many, and photos that need no download."""

from cnnviz_widgets.data.bundled import digits, photos
from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.gallery import Gallery
from cnnviz_widgets.data.picture import ImageLike, as_picture
from cnnviz_widgets.data.sample_photos import SamplePhotos, samples
from cnnviz_widgets.data.source import Unreadable

__all__ = [
    "Gallery",
    "ImageError",
    "ImageLike",
    "SamplePhotos",
    "Unreadable",
    "as_picture",
    "digits",
    "photos",
    "samples",
]
