"""AlexNet, and what Zeiler & Fergus made of it after looking inside: both untrained, to compare how they are built."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
import torchvision
from torch import Tensor, nn

from cnnviz_widgets.models.probing import undisturbed

M = TypeVar("M", bound=nn.Module)


class ZFNet(nn.Module):
    """The network of Zeiler & Fergus 2013, figure 3, for inputs (N, 3, 224, 224); see `zfnet`."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2, padding=1),  # 110
            nn.ReLU(inplace=True),
            _pool(),  # 55
            _contrast(),
            nn.Conv2d(96, 256, 5, stride=2),  # 26
            nn.ReLU(inplace=True),
            _pool(),  # 13
            _contrast(),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            _pool(),  # 6
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # changes nothing at 224; as in torchvision's AlexNet, for other sizes
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, num_classes)."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def zfnet(num_classes: int = 1000, *, generator: torch.Generator | None = None) -> ZFNet:
    """The network of Zeiler & Fergus with **untrained**, random weights: its scores mean nothing.

    "Visualizing and understanding convolutional networks", 2013, arXiv:1311.2901, figure 3. Against AlexNet the first
    filters are 7x7 with stride 2 instead of 11x11 with stride 4. At 224 pixels the maps are the paper's: 96 of 110x110,
    pooled to 55, 256 of 26x26, pooled to 13, then 384, 384 and 256 of 13x13, pooled to 6, and 4096, 4096, classes.

    The paper leaves three things open. Pooling rounds up, as only that gives 55 and 13 without a border. "Contrast
    normalized across feature maps" is taken to be the response normalisation of AlexNet, with its numbers, the layer
    that the paper starts from. Weights are drawn as PyTorch draws them: the paper's 0.01 lets an untrained signal fade
    from layer to layer.

    Args:
        num_classes: how many scores there are.
        generator: where the weights are drawn from, for the same ones each time; by default PyTorch's global one.

    Example:
        >>> engine = Engine(models.zfnet(), transform=models.IMAGENET)
        >>> filter_spectrum(engine, "features.0")
    """
    return _drawn(lambda: ZFNet(num_classes), generator)


def alexnet(num_classes: int = 1000, *, generator: torch.Generator | None = None) -> torchvision.models.AlexNet:
    """torchvision's AlexNet with **untrained**, random weights: its scores mean nothing.

    Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, arXiv:1404.5997: 64 filters of
    11x11 with stride 4 come first (the AlexNet of 2012 has 96 of them, on two GPUs). `Engine("alexnet")` is the trained
    one, from torchvision's download.

    Args:
        num_classes, generator: as in `zfnet`.

    Example:
        >>> filters(Engine(models.alexnet(), transform=models.IMAGENET))
    """
    return _drawn(lambda: torchvision.models.alexnet(weights=None, num_classes=num_classes), generator)


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _contrast() -> nn.Module:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2)


def _drawn(make: Callable[[], M], generator: torch.Generator | None) -> M:
    """A new module whose weights, if a generator is given, are drawn from that, in the way of PyTorch's own layers."""
    if generator is None:
        return make()
    with undisturbed():
        module = make()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in layer.parameters(recurse=False):
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return module
