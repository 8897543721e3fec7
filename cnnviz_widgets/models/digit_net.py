"""A small network for handwritten digits, and the loop that trains it while one waits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cnnviz_widgets.models.preprocessing import Preprocessing
from cnnviz_widgets.models.probing import undisturbed

if TYPE_CHECKING:
    from cnnviz_widgets.data import Gallery

DIGITS = Preprocessing(resize=28, crop=28, mean=(0.1307,), std=(0.3081,), channels="L")
"""What `digit_net` wants: 28 pixels square, one grey channel, light ink on a dark ground, MNIST's mean and spread."""


def digit_net(num_classes: int = 10, *, seed: int = 0) -> nn.Sequential:
    """An **untrained** network for grey pictures of 28x28: three convolutions with 16, 32 and 64 channels, 64 values.

    Its layers are called conv1, relu1, pool1, ... fc1, relu4, fc2. `fit` trains it in seconds.

    Args:
        num_classes: how many scores there are.
        seed: of the weights, drawn as PyTorch draws them; its own random numbers go on as they were.

    Example:
        >>> net = models.digit_net()
        >>> models.fit(net, digits()[:3000])
        >>> engine = Engine(net, transform=models.DIGITS, categories=digits().classes)
    """
    with undisturbed():
        torch.manual_seed(seed)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 16, 3, padding=1),  # 28
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(16, 32, 3, padding=1),  # 14
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                conv3=nn.Conv2d(32, 64, 3, padding=1),  # 7
                relu3=nn.ReLU(),
                pool3=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                fc1=nn.Linear(64 * 3 * 3, 64),
                relu4=nn.ReLU(),
                fc2=nn.Linear(64, num_classes),
            )
        )


def fit(
    net: nn.Module,
    gallery: Gallery,
    labels: Sequence[int] | None = None,
    *,
    transform: Callable[[Image.Image], Tensor] = DIGITS,
    epochs: int = 8,
    seed: int = 0,
) -> list[float]:
    """Train a small network to name the pictures of a gallery, and get the mean loss of each epoch.

    Adam with a learning rate that rises and falls again (Smith & Topin, "Super-convergence", 2018, arXiv:1708.07120),
    64 pictures at a time, all of them in memory. One core does the work: on so small a network several would mostly
    wait for each other, and would add in another order. So the same seed gives the same weights, whatever the number
    of cores.

    Args:
        net: takes (N, C, H, W), gives scores (N, classes); its weights are changed, its mode is left as it was.
        gallery: the pictures.
        labels: their classes as numbers; by default the gallery's own.
        transform: from a picture to the network's input (C, H, W).
        epochs: how often each picture is seen.
        seed: of the order in which they are seen.

    Raises:
        ValueError: no pictures, one without a label, or as many labels as there are not pictures.
        ImageError: a picture cannot be read.

    Example:
        >>> models.fit(models.digit_net(), digits()[:3000])
    """
    with _training(net), _one_thread():
        x, y = _tensors(gallery, labels, transform, next(net.parameters()).device)
        order = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(net.parameters())
        batches = -(-len(x) // 64)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, epochs=epochs, steps_per_epoch=batches)
        losses = []
        for _ in range(epochs):
            total = 0.0
            for batch in torch.randperm(len(x), generator=order).split(64):
                loss = cross_entropy(net(x[batch]), y[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
                total += loss.item() * len(batch)
            losses.append(total / len(x))
    return losses


def _tensors(
    gallery: Gallery, labels: Sequence[int] | None, transform: Callable[[Image.Image], Tensor], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The inputs (N, C, H, W) and class numbers (N,) of a whole gallery."""
    pictures, own = zip(*map(gallery.read, range(len(gallery))), strict=True) if len(gallery) else ((), ())
    classes = torch.tensor(own if labels is None else labels, dtype=torch.int64)
    if not pictures:
        raise ValueError(f"the gallery {gallery.name!r} is empty: there is nothing to learn from")
    if len(classes) != len(pictures):
        raise ValueError(f"{len(classes)} labels were given for {len(pictures)} pictures")
    if (classes < 0).any():
        raise ValueError(f"picture {gallery.key(int(classes.argmin()))!r} has no label, so there is nothing to learn")
    return torch.stack([transform(picture) for picture in pictures]).to(device), classes.to(device)


@contextmanager
def _training(net: nn.Module) -> Iterator[None]:
    """Every module in training mode, and back in its own afterwards."""
    modes = {module: module.training for module in net.modules()}
    net.train()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
