"""Random networks, for hypothesis: of everything that a convolutional network may do on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.engine.nets import Do

CLASSES = 3

Shape = tuple[int, int, int]
Make = Callable[[st.DrawFn, Shape], nn.Module]


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, int, int]:
    """A network to scores (N, 3) in double precision, and the height and width of the pictures that it sees."""
    height, width = draw(st.integers(9, 29)), draw(st.integers(9, 29))
    makers = draw(st.sampled_from([PLAIN, [*PLAIN, _places, _places, _whole]]))
    body = draw(parts((3, height, width), draw(st.integers(2, 7)), 2, makers))
    shape = shape_of(body, (3, height, width))
    assert shape is not None
    head = draw(heads(shape))
    return nn.Sequential(body, head).double().eval(), height, width


@st.composite
def parts(draw: st.DrawFn, shape: Shape, count: int, depth: int, makers: Sequence[Make]) -> nn.Sequential:
    """Some operations one after the other, among them branches that meet again."""
    made: list[nn.Module] = []
    for _ in range(count):
        if depth and draw(st.integers(0, 2)) == 0:
            inner = draw(parts(shape, draw(st.integers(1, 3)), depth - 1, makers))
            module: nn.Module = Branches(inner, draw(meetings()), shape)
        else:
            module = draw(st.sampled_from(makers))(draw, shape)
        after = shape_of(module, shape)
        if after is None or after[0] > 24 or after[1] * after[2] > 1600:
            continue
        made.append(module)
        shape = after
    return nn.Sequential(*made)


def shape_of(module: nn.Module, shape: Shape) -> Shape | None:
    """(C, H, W) behind a module; None where it does not run on such maps or gives no map."""
    with torch.no_grad():
        try:
            out = module.double().eval()(torch.zeros(1, *shape, dtype=torch.float64))
        except (RuntimeError, ValueError, IndexError):
            return None
    return (out.shape[1], out.shape[2], out.shape[3]) if out.ndim == 4 and out.numel() else None


class Branches(nn.Module):
    """What `meet` makes of the maps and of what `inner` makes of them, cropped or padded to the same height and width.

    Some read the maps before they go on, some after something was written over them.
    """

    def __init__(self, inner: nn.Module, meet: Meet, shape: Shape) -> None:
        super().__init__()
        after = shape_of(inner, shape)
        assert after is not None
        channels = 1 if meet.single else shape[0]
        self.inner, self.meet = inner, meet
        self.fit = nn.Conv2d(after[0], channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fit(self.inner(x))
        height, width = x.shape[2:]
        y = F.pad(y, (0, width - y.shape[3], height - y.shape[2], 0))
        return self.meet((x, y))


class Meet(nn.Module):
    def __init__(self, how: str, single: bool) -> None:
        super().__init__()
        self.how, self.single = how, single

    def extra_repr(self) -> str:
        return self.how

    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        x, y = pair
        if self.how == "in place":
            x = x * 1.5
            seen = x[:, :1] * 0.7  # a view that is read afterwards is refused: see test_tape
            x += y
            return x + seen
        if self.how == "written over later":
            x = x * 1.5
            seen = x[:, :1] + 0
            return F.relu(x, inplace=True) * y + seen
        if self.how == "view of what is read on":
            z = F.hardtanh(x * 1.5 + y)
            return z[:, :1] + F.relu(z)
        return {
            "add": lambda: x + y,
            "sub": lambda: torch.sub(x, y, alpha=0.5),
            "mul": lambda: x * y,
            "gate": lambda: x * torch.sigmoid(y),
            "cat": lambda: torch.cat([x, y], 1),
            "cat swapped": lambda: torch.cat([y, x, y.relu()], 1),
            "maximum": lambda: torch.maximum(x, y),
            "where": lambda: torch.where(y > 0, x, y * 0.1),
            "lerp": lambda: torch.lerp(x, y.expand_as(x), 0.3),
        }[self.how]()


@st.composite
def meetings(draw: st.DrawFn) -> Meet:
    """How two branches become one."""
    how = draw(st.sampled_from(["add", "sub", "mul", "gate", "cat", "cat swapped", "maximum", "where", "lerp",
                                "in place", "written over later", "view of what is read on"]))  # fmt: skip
    return Meet(how, draw(st.booleans()))


# -- one operation each


def _convolution(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))
    out, groups = draw(st.integers(1, 8)), 1
    if draw(st.booleans()):
        groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
        out = groups * draw(st.integers(1, 2))
    if draw(st.integers(0, 3)) == 0:
        padding, stride = draw(st.sampled_from(["same", "valid"])), 1
    else:
        padding, stride = draw(st.tuples(st.integers(0, 3), st.integers(0, 3))), draw(st.tuples(_few, _few))
    bias = draw(st.booleans())
    return nn.Conv2d(shape[0], out, kernel, stride, padding, dilation, groups, bias)


def _max_pool(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.tuples(*(st.integers(0, size // 2) for size in kernel)))
    dilation, ceil_mode = draw(st.integers(1, 2)), draw(st.booleans())
    return nn.MaxPool2d(kernel, draw(st.tuples(_few, _few)), padding, dilation, ceil_mode=ceil_mode)


def _average_pool(draw: st.DrawFn, shape: Shape) -> nn.Module:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.tuples(*(st.integers(0, size // 2) for size in kernel)))
    stride, divisor = draw(st.tuples(_few, _few)), draw(st.sampled_from([None, None, 3]))
    return nn.AvgPool2d(kernel, stride, padding, draw(st.booleans()), draw(st.booleans()), divisor)


def _adaptive_pool(draw: st.DrawFn, shape: Shape) -> nn.Module:
    return nn.AdaptiveAvgPool2d(draw(st.tuples(st.integers(2, 7), st.integers(2, 7))))


def _pointwise(draw: st.DrawFn, shape: Shape) -> nn.Module:
    return draw(st.sampled_from([
        nn.ReLU(), nn.ReLU(inplace=True), nn.Hardswish(inplace=True), nn.GELU(), nn.PReLU(shape[0]),
        nn.SiLU(inplace=True), nn.LeakyReLU(0.2), nn.Sigmoid(), nn.Hardtanh(inplace=True), nn.ELU(), nn.Softplus(),
        nn.Mish(), nn.ReLU6(), nn.Dropout(), nn.Identity(), Do(lambda x: 0.3 * x + 1 - x.abs() / 2),
        Do(lambda x: x.clamp(-1, 2)), Do(lambda x: torch.rsub(x, 2)), Do(lambda x: x.mul_(1.1)),
    ]))  # fmt: skip


def _norm(draw: st.DrawFn, shape: Shape) -> nn.Module:
    channels = shape[0]
    groups = draw(st.sampled_from([n for n in range(1, channels + 1) if channels % n == 0]))
    return draw(st.sampled_from([
        nn.BatchNorm2d(channels), nn.BatchNorm2d(channels, affine=False), nn.GroupNorm(groups, channels),
        nn.LocalResponseNorm(3), nn.InstanceNorm2d(channels), LayerNorm2d(channels),
        nn.BatchNorm2d(channels, track_running_stats=False), Do(lambda x: F.normalize(x, dim=1)),
    ]))  # fmt: skip


def _channels(draw: st.DrawFn, shape: Shape) -> nn.Module:
    groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
    return draw(st.sampled_from([
        nn.ChannelShuffle(groups), Do(lambda x: x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)),
        Do(lambda x: x.softmax(1)),
        Do(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)), Do(lambda x: x[:, ::2]), Do(lambda x: x[:, 0:1] + x[:, -1:]),
        Do(lambda x: torch.cat([x.mean(1, keepdim=True), x.amax(1, True)], 1)), Do(lambda x: x.flip(1)),
        Do(lambda x: torch.stack(x.unbind(1), 1)), Do(lambda x: x.cumsum(1)), Do(lambda x: x - x.mean(1).unsqueeze(1)),
        Do(lambda x: x.unflatten(1, (groups, -1)).sum(2)), Do(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2))),
        Do(lambda x: x.sort(1).values), Do(lambda x: x.permute(0, 2, 3, 1).contiguous().relu().permute(0, 3, 1, 2)),
    ]))  # fmt: skip


def _crop(draw: st.DrawFn, shape: Shape) -> nn.Module:
    left, right, up, down = draw(st.tuples(*[st.integers(-2, 3)] * 4))
    value = draw(st.sampled_from([0.0, -1.5]))
    first, step = draw(st.integers(-4, 4)), draw(st.integers(1, 3))
    return draw(st.sampled_from([
        Do(lambda x: F.pad(x, (left, right, up, down), value=value)), Do(lambda x: x[:, :, first:]),
        Do(lambda x: x[..., ::step]), Do(lambda x: x[:, :, ::step, first:]), nn.ZeroPad2d(1),
        Do(lambda x: x[:, :, :5, :] if x.shape[2] > 5 else x), Do(lambda x: x.transpose(2, 3)),
        Do(lambda x: x[:, :, 1:] - x[:, :, :-1]), Do(lambda x: x.squeeze(0).unsqueeze(0) * 2),
    ]))  # fmt: skip


def _places(draw: st.DrawFn, shape: Shape) -> nn.Module:
    """What looks at more of the map than a window, or moves it about."""
    return draw(st.sampled_from([
        nn.ReflectionPad2d(1), nn.ReplicationPad2d((1, 0, 2, 1)), nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=1.5, mode="bilinear"), Do(lambda x: x.flip(3)), Do(lambda x: x.roll(1, 2)),
        nn.PixelUnshuffle(2), Do(lambda x: x + x[..., :1]), Do(lambda x: x[:, :, 2:, :1] + x[:, :, :-2]),
        Do(lambda x: x.flatten(2).view(x.shape)), Do(lambda x: x.softmax(3)),
        nn.ConvTranspose2d(shape[0], draw(st.integers(1, 4)), draw(_few), stride=draw(st.integers(1, 2))),
    ]))  # fmt: skip


def _whole(draw: st.DrawFn, shape: Shape) -> nn.Module:
    channels, height, width = shape
    return draw(st.sampled_from([
        SqueezeExcite(channels), Position(1, height, width), Position(channels, height, 1), Position(channels, 1, 1),
        Do(lambda x: x * x.mean((2, 3), keepdim=True)), Do(lambda x: x - x.amax((2, 3), keepdim=True)),
        Do(lambda x: x + F.interpolate(F.adaptive_avg_pool2d(x, 3), x.shape[2:])), Attention(channels),
        Do(_unknown), Do(lambda x: x / (x.std() + 1)), Position(channels, height, width, joined=True),
    ]))  # fmt: skip


PLAIN: list[Make] = [_convolution, _convolution, _convolution, _max_pool, _average_pool, _adaptive_pool, _pointwise,
                     _pointwise, _norm, _norm, _channels, _crop]  # fmt: skip
_few = st.integers(1, 3)


@st.composite
def heads(draw: st.DrawFn, shape: Shape) -> nn.Module:
    """From maps to scores."""
    channels, height, width = shape
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    last = nn.Conv2d(channels, CLASSES, 1)
    return draw(st.sampled_from([
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)),
        nn.Sequential(nn.AdaptiveAvgPool2d(size), nn.Flatten(), nn.Linear(channels * size[0] * size[1], CLASSES)),
        nn.Sequential(nn.AdaptiveMaxPool2d(size), nn.Flatten(), nn.Linear(channels * size[0] * size[1], CLASSES)),
        nn.Sequential(Do(lambda x: x.mean([2, 3])), nn.Linear(channels, CLASSES), nn.Dropout()),
        nn.Sequential(Do(lambda x: x.flatten(2).mean(-1)), nn.Linear(channels, 5), nn.ReLU(), nn.Linear(5, CLASSES)),
        nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, CLASSES)),
        nn.Sequential(last, nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1)),
        nn.Sequential(last, Do(lambda x: x.sum((-1, -2)).log_softmax(1))),
        nn.Sequential(last, nn.BatchNorm2d(CLASSES), Do(lambda x: x.amax((2, 3)))),
        nn.Sequential(last, Do(lambda x: F.avg_pool2d(x, x.shape[2:]).flatten(1))),
        nn.Sequential(last, Do(lambda x: x.view(1 if len(x) == 1 else len(x), CLASSES, -1)[..., 0])),
    ]))  # fmt: skip


# -- modules that torch does not have


class LayerNorm2d(nn.LayerNorm):
    """Over channels, as ConvNeXt has it."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.up(self.down(F.adaptive_avg_pool2d(x, 1)).relu())
        return F.hardsigmoid(scale) * x


class Position(nn.Module):
    """A map of its own, added or put beside."""

    def __init__(self, channels: int, height: int, width: int, joined: bool = False) -> None:
        super().__init__()
        self.map, self.joined = nn.Parameter(torch.linspace(-1, 1, channels * height * width)), joined
        self.map.data = self.map.data.view(1, channels, height, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.map.expand(len(x), -1, -1, -1), x], 1) if self.joined else self.map + x


class Attention(nn.Module):
    """Every cell looks at every other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        weights = (tokens @ self.project(tokens).transpose(1, 2)).softmax(-1)
        return (weights @ tokens).transpose(1, 2).reshape(x.shape)


@torch.library.custom_op("cnnviz_tests::unknown", mutates_args=())
def _unknown(x: Tensor) -> Tensor:
    """No rule knows it, and it works on one picture alone."""
    if len(x) != 1:
        raise ValueError("one picture at a time")
    return x * x.mean() + x.flip(2)
