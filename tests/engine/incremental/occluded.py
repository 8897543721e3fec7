"""What the tests of engine.incremental share: networks that react to a patch, and the slow truth to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.convnext import CNBlock

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental import Sweep, Want, plain
from cnnviz_widgets.models import Preprocessing

AS_IT_IS = Preprocessing(resize=None, crop=None)


@dataclass(frozen=True)
class Compared:
    """The largest error of a sweep, how much the truth varies over its positions, and how large it is."""

    error: float
    spread: float
    size: float

    @property
    def relative(self) -> float:
        return self.error / self.spread


def lively(net: nn.Module, seed: int = 0) -> nn.Module:
    """In eval mode and double precision, with weights and statistics under which a patch changes the scores."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1, generator=generator)
        elif isinstance(module, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.normal_(module.running_mean, 0, 0.2, generator=generator)
            nn.init.uniform_(module.running_var, 0.5, 2.0, generator=generator)
        if isinstance(module, CNBlock):
            nn.init.uniform_(module.layer_scale, 0.5, 1.0, generator=generator)
    return net.double().eval()


def engine_of(net: nn.Module, dtype: torch.dtype | None = torch.float64) -> Engine:
    return Engine(net, transform=AS_IT_IS, device="cpu", dtype=dtype)


def sweep_of(
    height: int,
    width: int,
    tops: Sequence[int],
    lefts: Sequence[int],
    size: tuple[int, int],
    *,
    channels: int = 3,
    mask: NDArray[np.bool_] | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 1,
) -> Sweep:
    """Over noise, with other noise under the patch."""
    generator = torch.Generator().manual_seed(seed)
    x, fill = torch.randn(2, 1, channels, height, width, dtype=torch.float64, generator=generator)
    return Sweep(x.to(dtype), (fill + 0.5).to(dtype), tuple(tops), tuple(lefts), size, mask)


def disc(side: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return y**2 + x**2 <= side**2 / 4


def in_one(rows: object) -> Tensor:
    """(ny, nx, k) of a sweep's rows."""
    return torch.stack(list(rows))  # type: ignore[call-overload]


def compare(engine: Engine, sweep: Sweep, want: Want = None, truth: Tensor | None = None) -> Compared:
    """The sweep against the whole network on every occluded picture."""
    truth = in_one(plain.rows(engine, sweep, want)) if truth is None else truth
    return compared(in_one(engine.incremental.rows(sweep, want)), truth)


def compared(came: Tensor, truth: Tensor) -> Compared:
    assert came.shape == truth.shape
    assert came.dtype == truth.dtype
    assert bool(truth.isfinite().all())
    flat = truth.flatten(0, 1)
    spread = (flat.amax(0) - flat.amin(0)).max()
    return Compared(float((came - truth).abs().max()), float(spread), float(truth.abs().max()))


def covered(sweep: Sweep) -> Tensor:
    """(ny * nx, C, H, W): every occluded picture, pixel by pixel."""
    height, width = sweep.x.shape[2:]
    pictures = []
    for top in sweep.tops:
        for left in sweep.lefts:
            picture = sweep.x[0].clone()
            for y in range(sweep.size[0]):
                for x in range(sweep.size[1]):
                    inside = 0 <= top + y < height and 0 <= left + x < width
                    if inside and (sweep.mask is None or sweep.mask[y, x]):
                        picture[:, top + y, left + x] = sweep.fill[0, :, top + y, left + x]
            pictures.append(picture)
    return torch.stack(pictures)
