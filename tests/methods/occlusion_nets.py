"""For the tests of occlusion: a small network that sees 36 x 44 pixels, in double precision."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models import Preprocessing

HEIGHT, WIDTH = 36, 44
CLASSES = ("ant", "bee", "cat", "dog", "eel")
BGR = Preprocessing(
    resize=None, crop=None, scale=1.0, mean=(104.0, 117.0, 123.0), std=(50.0, 60.0, 70.0), channels="BGR"
)


def small(transform: Preprocessing = BGR) -> Engine:
    torch.manual_seed(3)
    last = nn.Linear(48, len(CLASSES))
    last.weight.data *= 20
    net = nn.Sequential(
        nn.Conv2d(len(transform.channels), 8, 5, stride=2, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), last,
    )  # fmt: skip
    net.double()
    with torch.no_grad():
        last.bias -= 0.9 * net(transform(picture())[None].double())[0]  # near a draw: a patch turns the ranking over
    return Engine(net, transform=transform, categories=CLASSES)


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """Smooth enough that a patch is something else than what it covers."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
