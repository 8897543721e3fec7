"""Networks that come with the package or are built by it, each with its preprocessing and the names of its classes."""

from cnnviz_widgets.models.network import BUNDLED, Network, WeightsUnavailable, imagenet_categories
from cnnviz_widgets.models.preprocessing import IMAGENET, Preprocessing
from cnnviz_widgets.models.registry import load, names
from cnnviz_widgets.models.zfnet import ZFNet, alexnet, zfnet

__all__ = [
    "BUNDLED",
    "IMAGENET",
    "Network",
    "Preprocessing",
    "WeightsUnavailable",
    "ZFNet",
    "alexnet",
    "imagenet_categories",
    "load",
    "names",
    "zfnet",
]
