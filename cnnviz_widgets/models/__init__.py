"""Networks that come with the package or are built by it, each with its preprocessing and the names of its classes."""

from cnnviz_widgets.models.digit_net import DIGITS, digit_net, fit
from cnnviz_widgets.models.network import BUNDLED, Network, WeightsUnavailable, imagenet_categories
from cnnviz_widgets.models.preprocessing import IMAGENET, Preprocessing
from cnnviz_widgets.models.registry import load, names
from cnnviz_widgets.models.zfnet import ZFNet, alexnet, zfnet

__all__ = [
    "BUNDLED",
    "DIGITS",
    "IMAGENET",
    "Network",
    "Preprocessing",
    "WeightsUnavailable",
    "ZFNet",
    "alexnet",
    "digit_net",
    "fit",
    "imagenet_categories",
    "load",
    "names",
    "zfnet",
]
