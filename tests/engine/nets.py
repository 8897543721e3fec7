"""Small networks for the tests, among them one with everything that is easily disturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torchvision import transforms

CLASSES = ("ant", "bee", "cat", "dog", "eel")

TRANSFORM = transforms.Compose(
    [
        transforms.Resize((32, 32)),
        transforms.ToTensor(),
        transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    ]
)


def _by_the_input(layer: nn.Conv2d) -> None:
    own = layer.weight.detach().clone()

    def scale(module: nn.Module, args: tuple[Any, ...]) -> None:
        module.weight = nn.Parameter(own * args[0].detach().mean(), requires_grad=False)

    layer.register_forward_pre_hook(scale)


# Hooks that make a convolution's filters anew before each pass.
REMADE: dict[str, Callable[[nn.Conv2d], object]] = {
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "old weight norm": nn.utils.weight_norm,
    "old spectral norm": nn.utils.spectral_norm,
    "by the input": _by_the_input,
}


class Do(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class Fuse:
    """Does something at the n-th look, counted from when it was lit; nothing while it is not lit."""

    def __init__(self) -> None:
        self.left = -1
        self.looks = 0
        self.act: Callable[[], None] = lambda: None

    def light(self, after: int, act: Callable[[], None]) -> None:
        self.left, self.looks, self.act = after, 0, act

    def put_out(self) -> None:
        self.left = -1

    def look(self) -> None:
        self.looks += 1
        if self.left == 0:
            self.left = -1
            self.act()
        elif self.left > 0:
            self.left -= 1


class Fused(nn.Module):
    """Passes on what it gets, and looks at a fuse, on the way forward or back."""

    def __init__(self, fuse: Fuse, backward: bool = False) -> None:
        super().__init__()
        self.fuse, self.backward = fuse, backward

    def forward(self, x: Tensor) -> Tensor:
        if not self.backward:
            self.fuse.look()
        elif x.requires_grad:
            x = x * 1
            x.register_hook(lambda gradient: self.fuse.look())
        return x


class Messy(nn.Module):
    """Writes to its attributes and buffers, shares a module, hides others in a list, changes maps in place."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = Fuse()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)  # shared
        self.hidden = [nn.Conv2d(8, 8, 3, padding=1), {"bn": nn.BatchNorm2d(8)}]  # not among the children
        self.normed = parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
        self.spectral = parametrizations.spectral_norm(nn.Conv2d(8, 10, 3, padding=1))
        self.pool = nn.MaxPool2d(2)
        self.early, self.late = Fused(self.fuse), Fused(self.fuse)
        self.back = Fused(self.fuse, backward=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.ReLU(inplace=True)
        self.fc = nn.Linear(10, len(CLASSES))
        self.register_buffer("counter", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(8), persistent=False)
        self.calls = 0
        self.history: list[float] = []
        self.table = {"seen": [0]}
        self.scale = torch.ones(8, 1, 1)  # a tensor that is no buffer
        self.memory: Tensor | None = None
        self.conv.register_forward_hook(self._remember)  # a method of the module itself
        self.pool.register_forward_pre_hook(lambda _module, _args: self.history.append(0.0))

    def _remember(self, _module: nn.Module, _args: object, output: Tensor) -> None:
        self.memory = output

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.history.append(float(x.detach().mean()))
        self.table["seen"][0] += 1
        self.counter += 1
        x = self.relu(self.bn(self.conv(self.early(x))))
        self.mean.mul_(0.9).add_(x.detach().mean((0, 2, 3)))
        self.scale.mul_(1.0 + 1e-3)
        first, second = self.hidden
        x = self.relu(second["bn"](first(x)) * (self.scale / self.scale))
        x = self.pool(self.relu(self.normed(self.back(x))))
        x = self.last(self.spectral(self.drop(x)))
        return self.fc(self.late(x).mean((2, 3)))


def messy(seed: int = 0) -> Messy:
    """A `Messy` in the middle of its training: mixed modes, frozen weights, gradients, hooks."""
    torch.manual_seed(seed)
    net = Messy().train()
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()  # running statistics and .grad
    net.memory = None
    net.bn.eval()
    net.pool.eval()
    for weight in net.conv.parameters():
        weight.requires_grad_(False)
    net.fc.weight.grad = torch.full_like(net.fc.weight, 0.25)
    net.fc.bias.grad = None
    return net


def plain(seed: int = 0, channels: int = 3, classes: int = len(CLASSES)) -> nn.Sequential:
    """Two convolutions, in-place rectifiers, max-pooling, averages, one linear layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )
