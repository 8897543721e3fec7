"""Pictures in: one door for whatever holds a picture, and sample photos that need no download."""

from cnnviz_widgets.data.errors import ImageError
from cnnviz_widgets.data.sample_photos import SamplePhotos, samples
from cnnviz_widgets.data.picture import ImageLike, as_picture

__all__ = ["ImageError", "ImageLike", "SamplePhotos", "as_picture", "samples"]
