"""What keeps a picture that climbs a score a picture: penalties in the score, and rules between the steps.

Pictures are u (N, C, H, W): levels of 0..255 minus the network's mean colour, in which both papers of section 9 work.
A penalty is subtracted from the climbed value. A rule is the r of x ← r(x + η ∂a/∂x): it changes the picture after a
step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


@dataclass(frozen=True)
class Regularizer:
    """One piece; its numbers are its fields."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{type(self).__name__}({one.name}={value!r}): wanted a finite number from 0 up")

    def to_json(self) -> dict[str, Any]:
        """Its name and numbers, for a result's parameters."""
        return {"name": type(self).__name__, **{one.name: getattr(self, one.name) for one in fields(self)}}


class Penalty(Regularizer, ABC):
    """Subtracted from what is climbed.

    Attributes:
        of_differences: it is the same of u and of the levels, because it looks at differences between pixels alone.
    """

    of_differences: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, u: Tensor) -> Tensor:
        """How much of it (N,) pictures u (N, C, H, W) have."""


class Rule(Regularizer, ABC):
    """Changes the picture between two steps; needs a picture made of pixels."""

    @abstractmethod
    def __call__(self, u: Tensor, gradient: Tensor, step: int) -> Tensor:
        """The picture after step number `step` (from 1), whose gradient at it was ∂a/∂u."""


# --- penalties --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class L2(Penalty):
    """λ‖u‖²: no pixel is far from the mean colour without need.

    Simonyan, Vedaldi & Zisserman 2013, equation 1: arg max S_c(I) - λ‖I‖².
    """

    weight: float = 1e-5

    def __call__(self, u: Tensor) -> Tensor:
        """See `Penalty`."""
        return self.weight * u.square().flatten(1).sum(1)


@dataclass(frozen=True)
class TotalVariation(Penalty):
    """λ Σ (Δx² + Δy²)^(β/2): neighbours differ little, so there are surfaces and edges instead of noise.

    Mahendran & Vedaldi 2015, section 3; differences to the pixel on the right and to the one below, summed over
    positions and channels.
    """

    weight: float = 1e-5
    beta: float = 2.0
    of_differences: ClassVar[bool] = True

    def __call__(self, u: Tensor) -> Tensor:
        """See `Penalty`."""
        if self.beta == 2:
            return self.weight * _SquaredSteps.apply(u)
        down, right = _steps(u)
        squares = down.square() + right.square() + (1e-6 if self.beta < 2 else 0.0)  # a root has no slope at zero
        return self.weight * (squares ** (self.beta / 2)).flatten(1).sum(1)


@dataclass(frozen=True)
class RangePenalty(Penalty):
    """λ Σ |u / 128|^p: values that a picture cannot have cost much, others almost nothing.

    Mahendran & Vedaldi 2015, section 3 (their R_α, with α = 6).
    """

    weight: float = 1e-3
    power: float = 6.0

    def __call__(self, u: Tensor) -> Tensor:
        """See `Penalty`."""
        return self.weight * ((u / HALF).abs() ** self.power).flatten(1).sum(1)


@dataclass(frozen=True)
class Rivals(Regularizer):
    """λ max(0, log Σ exp(s_j) - s_c) over the other classes j: none of them may be as probable as the one sought.

    The logit alone also grows by what other classes share (any beetle's legs make a ladybug more likely, and a beetle
    more yet). It is nothing as soon as the class has half of the probability, and of goals that are no class.
    """

    weight: float = 1.0

    def __call__(self, scores: Tensor, sought: int) -> Tensor:
        """How much of it (N,) pictures have whose class scores (N, classes) are these."""
        if scores.shape[1] < 2 or bool((scores.detach().softmax(1)[:, sought] >= 0.5).all()):
            return torch.zeros_like(scores[:, 0])  # no way back from what is nothing
        others = torch.cat((scores[:, :sought], scores[:, sought + 1 :]), 1).logsumexp(1)
        return self.weight * (others - scores[:, sought]).clamp(min=0)


# --- rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decay(Rule):
    """u ← (1 - share) u: extreme values shrink at each step.

    Yosinski, Clune, Nguyen, Fuchs & Lipson 2015, section 3: L2 decay.
    """

    share: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_most(self, "share", self.share, 1)

    def __call__(self, u: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Rule`."""
        return u * (1 - self.share)


@dataclass(frozen=True)
class Blur(Rule):
    """A Gaussian blur every n steps: no noise of single pixels survives.

    Yosinski et al. 2015, section 3. `radius` is the standard deviation in pixels; borders are mirrored.
    """

    radius: float = 0.5
    every: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"Blur(every={self.every!r}): wanted a whole number of steps from 1 up")

    def __call__(self, u: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Rule`."""
        return gaussian(u, self.radius) if step % self.every == 0 else u


@dataclass(frozen=True)
class ClipNorm(Rule):
    """Pixels of small norm become the mean colour: only what stands out is kept.

    Yosinski et al. 2015, section 3: the norm over the colours of a pixel, compared with that percentile of all its
    picture's.
    """

    percentile: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_most(self, "percentile", self.percentile, 100)

    def __call__(self, u: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Rule`."""
        return _without_smallest(u, u.square().sum(1, keepdim=True).sqrt(), self.percentile)


@dataclass(frozen=True)
class ClipContribution(Rule):
    """Pixels that contribute little become the mean colour: only what the score needs is kept.

    Yosinski et al. 2015, section 3: the contribution is |Σ over colours of u · ∂a/∂u|, compared with that percentile
    of all its picture's.
    """

    percentile: float = 90.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_most(self, "percentile", self.percentile, 100)

    def __call__(self, u: Tensor, gradient: Tensor, step: int) -> Tensor:
        """See `Rule`."""
        return _without_smallest(u, (u * gradient).sum(1, keepdim=True).abs(), self.percentile)


def _steps(u: Tensor) -> tuple[Tensor, Tensor]:
    """From each pixel, but for those of the last row and column, to the one below and to the one on the right."""
    here = u[..., :-1, :-1]
    return u[..., 1:, :-1] - here, u[..., :-1, 1:] - here


class _SquaredSteps(torch.autograd.Function):
    """Σ (Δx² + Δy²) of each picture u, which is half of u times its own slope. Torch's own way back from slices takes
    new memory for each, and three times as long."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        slope, here = u * _steps_of_each(u.shape[-2], u.shape[-1], u.dtype, u.device), u[..., :-1, :-1]
        slope[..., :-1, :-1] -= u[..., 1:, :-1]
        slope[..., :-1, :-1] -= u[..., :-1, 1:]
        slope[..., 1:, :-1] -= here
        slope[..., :-1, 1:] -= here
        ctx.save_for_backward(slope)
        return torch.stack([torch.dot(*pair) for pair in zip(u.flatten(1), slope.flatten(1), strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return slope * (2 * grad_outputs[0].view(-1, *[1] * (slope.ndim - 1)))


@lru_cache(maxsize=8)
def _steps_of_each(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """In how many steps a pixel takes part: those of the last row and column in fewer."""
    steps = torch.full((height, width), 4.0, dtype=dtype, device=device)
    steps[0, :], steps[:, 0] = 3, 3
    steps[-1, :], steps[:, -1] = 1, 1
    steps[0, 0], steps[-1, -1] = 2, 0
    return steps


HALF = 128.0  # half of what levels reach


def gaussian(u: Tensor, radius: float) -> Tensor:
    """Pictures (N, C, H, W) blurred by a Gaussian of that standard deviation in pixels; borders are mirrored."""
    if radius <= 0:
        return u
    for axis in (-2, -1):
        reach = min(math.ceil(4 * radius), u.shape[axis] - 1)
        places = torch.arange(-reach, reach + 1, dtype=u.dtype, device=u.device)
        weights = torch.exp(-0.5 * (places / radius) ** 2)
        sides = (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0)
        shape = (1, 1, -1, 1) if axis == -2 else (1, 1, 1, -1)
        flat = F.pad(u, sides, "reflect").flatten(0, 1)[:, None]
        u = F.conv2d(flat, (weights / weights.sum()).view(shape)).view(u.shape)
    return u


def _without_smallest(u: Tensor, size: Tensor, percentile: float) -> Tensor:
    limit = size.flatten(1).quantile(percentile / 100, dim=1).view(-1, 1, 1, 1)
    return torch.where(size < limit, torch.zeros_like(u), u)


def _at_most(piece: Regularizer, name: str, value: float, most: float) -> None:
    if value > most:
        raise ValueError(f"{type(piece).__name__}({name}={value!r}): wanted a number from 0 to {most}")
