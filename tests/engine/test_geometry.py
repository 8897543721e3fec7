"""Receptive fields: equal to brute force, or said to be unknown; never a wrong number."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.engine.layers import ReceptiveField, tabulate
from cnnviz_widgets.engine.shadow import shadow
from tests.engine import brute_force
from tests.engine.nets import Do


class Branches(nn.Module):
    """Several paths from one map, joined by `how`."""

    def __init__(self, how: Callable[[list[Tensor]], Tensor], *paths: nn.Module) -> None:
        super().__init__()
        self.how, self.paths = how, nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        return self.how([path(x) for path in self.paths])


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))


class Attention(nn.Module):
    """Self-attention over all positions of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return mixed.transpose(1, 2).reshape(x.shape)


def added(parts: list[Tensor]) -> Tensor:
    return torch.stack([part.clone() for part in parts]).sum(0) if len(parts) > 2 else parts[0] + parts[1]


def joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, 1)


def conv(into: int, out: int, kernel: int | tuple[int, int], **options) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel, **options)


def shuffled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def halves(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    c, d = a.split([1, 1], 1)
    return torch.cat((b * 2, c, d), 1)


KNOWN: dict[str, Callable[[], nn.Module]] = {
    "kernels and strides": lambda: nn.Sequential(
        conv(3, 4, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1), conv(4, 4, (3, 5), stride=(1, 2))
    ),
    "dilation": lambda: nn.Sequential(conv(3, 4, 3, dilation=3, padding=2), conv(4, 4, 2, dilation=(2, 1))),
    "padding same": lambda: nn.Sequential(
        conv(3, 4, 4, padding="same"), conv(4, 4, (2, 3), padding="same", dilation=3)
    ),
    "padding valid": lambda: nn.Sequential(conv(3, 4, 4, padding="valid"), nn.AvgPool2d(2)),
    "ceil mode": lambda: nn.Sequential(
        conv(3, 4, 3, stride=2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, 2, ceil_mode=True), conv(4, 2, 2)
    ),
    "asymmetric zero padding": lambda: nn.Sequential(nn.ZeroPad2d((1, 0, 2, 5)), conv(3, 4, 3, stride=2)),
    "negative padding": lambda: nn.Sequential(nn.ZeroPad2d((-3, 1, -2, -1)), conv(3, 4, 3)),
    "constant padding": lambda: nn.Sequential(nn.ConstantPad2d((2, 1, 0, 3), 0.7), conv(3, 4, 3, stride=3)),
    "reflection padding": lambda: nn.Sequential(conv(3, 4, 5, padding=2, padding_mode="reflect"), nn.AvgPool2d(2)),
    "replication padding": lambda: nn.Sequential(conv(3, 4, 3, padding=1, padding_mode="replicate"), nn.Tanh()),
    "depthwise and grouped": lambda: nn.Sequential(
        conv(3, 6, 1), conv(6, 6, 5, groups=6, padding=2), conv(6, 4, 3, groups=2, stride=2)
    ),
    "branches of different kernels": lambda: nn.Sequential(
        conv(3, 4, 3, stride=2),
        Branches(
            joined,
            conv(4, 2, 1),
            conv(4, 2, 3, padding=1),
            nn.Sequential(conv(4, 2, (1, 7), padding=(0, 3)), conv(2, 2, (3, 1), padding=(1, 0))),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(4, 2, 1)),
        ),
        conv(8, 2, 3),
    ),
    "a residual with stride": lambda: nn.Sequential(
        conv(3, 4, 3, padding=1),
        Branches(
            added,
            nn.Sequential(
                conv(4, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ELU(True), conv(4, 4, 3, padding=1)
            ),
            conv(4, 4, 1, stride=2),
        ),
        nn.ELU(inplace=True),
        conv(4, 2, 3),
    ),
    "branches that look aside": lambda: nn.Sequential(
        conv(3, 4, 3), Branches(added, Do(lambda x: x[:, :, 5:]), Do(lambda x: x[:, :, :-5])), conv(4, 2, 2)
    ),
    "functional pooling": lambda: nn.Sequential(
        conv(3, 4, 3), Do(lambda x: F.avg_pool2d(F.max_pool2d(x, 3, 2), (2, 1)) ** 3), conv(4, 2, 2)
    ),
    "power average pooling": lambda: nn.Sequential(nn.LPPool2d(2, 2), conv(3, 4, 3)),
    "channel shuffle": lambda: nn.Sequential(
        conv(3, 4, 3, stride=2), Do(shuffled), nn.ChannelShuffle(2), conv(4, 4, 3)
    ),
    "chunk and split of channels": lambda: nn.Sequential(conv(3, 4, 3), Do(halves), conv(4, 4, 2)),
    "channels last layers": lambda: nn.Sequential(
        conv(3, 8, 4, stride=4),
        Do(lambda x: x.permute(0, 2, 3, 1)),
        nn.LayerNorm(8),
        nn.Linear(8, 8),
        nn.GELU(),
        Do(lambda x: x.permute(0, 3, 1, 2)),
        conv(8, 4, 5, padding=2, groups=4),
    ),
    "tokens": lambda: nn.Sequential(
        conv(3, 8, 4, stride=4),
        Do(lambda x: nn.functional.softmax(x.flatten(2).transpose(1, 2), -1).transpose(1, 2).reshape(x.shape)),
        conv(8, 4, 3),
    ),
    "slices of rows and columns": lambda: nn.Sequential(
        conv(3, 4, 3, stride=2), Do(lambda x: x[:, :, 2::3, -15:-1]), conv(4, 2, 3), Do(lambda x: x.narrow(3, 1, 6))
    ),
    "adaptive pooling of even windows": lambda: nn.Sequential(
        conv(3, 4, (2, 4)), nn.AdaptiveAvgPool2d((11, 12)), conv(4, 4, 2), nn.AdaptiveMaxPool2d(1)
    ),
    "channel attention over positions": lambda: nn.Sequential(
        conv(3, 4, 3), Do(lambda x: x * torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1).sum(1, True))
    ),
    "products with a constant": lambda: nn.Sequential(
        conv(3, 4, 3),
        Do(lambda x: (torch.ones(5, 4, dtype=x.dtype) @ x.flatten(2)).unflatten(2, x.shape[2:])),
        conv(5, 2, 2),
    ),
    "maximum of two maps": lambda: nn.Sequential(
        conv(3, 4, 3), Do(lambda x: torch.max(x, F.pad(x[:, :, 2:], (0, 0, 0, 2)))), conv(4, 2, 2)
    ),
    "response normalisation": lambda: nn.Sequential(conv(3, 6, 3, stride=2), nn.LocalResponseNorm(3), conv(6, 2, 3)),
    "one position times all": lambda: nn.Sequential(
        conv(3, 4, 3, stride=3), Do(lambda x: x * F.avg_pool2d(x, (15, 13))), conv(4, 2, 2)
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", KNOWN)
def test_fields_equal_brute_force(case: str) -> None:
    torch.manual_seed(0)
    net = KNOWN[case]()
    assert brute_force.disagreements(net) == []
    last = list(brute_force.table(net.double(), 45, 39).values())[-1]
    assert last.receptive_field is not None, last.note


WHOLE: dict[str, Callable[[], nn.Module]] = {
    "a squeeze and excitation gate": lambda: Gate(4),
    "self-attention": lambda: Attention(4),
    "group norm": lambda: nn.GroupNorm(2, 4),
    "instance norm": lambda: nn.InstanceNorm2d(4),
    "layer norm over space": lambda: nn.LayerNorm([22, 19]),
    "a softmax over positions": lambda: Do(lambda x: x.flatten(2).softmax(-1).reshape(x.shape)),
    "batch norm without running statistics": lambda: nn.BatchNorm2d(4, track_running_stats=False),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_sees_every_position_is_whole(case: str) -> None:
    net = nn.Sequential(conv(3, 4, 3, stride=2), WHOLE[case](), Do(torch.abs)).double()
    field = brute_force.table(net, 45, 39)["2"].receptive_field
    assert field is not None and field.whole
    assert field.size == (45, 39)
    assert brute_force.disagreements(net) == []  # the convolution before it


def test_global_pooling_sees_all_that_the_maps_saw() -> None:
    net = nn.Sequential(conv(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).double()
    rows = brute_force.table(net, 45, 39)
    assert {str(rows[name].receptive_field) for name in "123"} == {"45x39 stride 0 start 0"}
    mean = nn.Sequential(conv(3, 4, 3, stride=2), Do(lambda x: x.mean((2, 3))), nn.Linear(4, 2)).double()
    assert str(brute_force.table(mean, 45, 39)["2"].receptive_field) == "45x39 stride 0 start 0"


def canvas(x: Tensor) -> Tensor:
    y = x.new_zeros(x.shape)
    y[:, :, 1:] = x[:, :, :-1]
    return y


def canvas_by_adding(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :, 1:].add_(x[:, :, :-1])
    return y


def through_a_view(x: Tensor) -> Tensor:
    x[:, :, 1:].add_(x[:, :, :-1].clone())
    return x


def scattered(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y.index_copy_(2, torch.arange(x.shape[2]).flip(0), x)
    return y


UNKNOWN: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "circular padding": (lambda: conv(4, 4, 3, padding=1, padding_mode="circular"), "circular"),
    "roll": (lambda: Do(lambda x: x.roll(3, 2)), "roll"),
    "flip": (lambda: Do(lambda x: x.flip(3)), "flip"),
    "interpolation": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), "upsample"),
    "transposed convolution": (lambda: nn.ConvTranspose2d(4, 4, 3, stride=2), "transpose"),
    "a canvas": (lambda: Do(canvas), "copy_"),
    "a canvas added to": (lambda: Do(canvas_by_adding), "add_"),
    "a sum written through a view": (lambda: Do(through_a_view), "add_"),
    "a scattered map": (lambda: Do(scattered), "index_copy_"),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), "pixel_shuffle"),
    "a map plus its transpose": (lambda: Do(lambda x: x[:, :, :9, :9] + x[:, :, :9, :9].transpose(2, 3)), "axes"),
    "a map beside its transpose": (lambda: Do(lambda x: joined([y := x[:, :, :9, :9], y.transpose(2, 3)])), "axes"),
    "strides that differ": (lambda: Do(lambda x: x[:, :, :9] + x[:, :, ::2][:, :, :9]), "strides"),
    "a row for all rows": (lambda: Do(lambda x: x + x[:, :, :1]), "strides"),
    "maps side by side": (lambda: Do(lambda x: torch.cat((x, x), 3)), "cat"),
    "chunks of rows": (lambda: Do(lambda x: joined(list(x[:, :, :10].chunk(2, 2)))), "chunk"),
    "gathered columns": (lambda: Do(lambda x: x[..., torch.tensor([3, 1, 2, 5])]), "index"),
    "uneven adaptive pooling": (lambda: nn.AdaptiveAvgPool2d(5), "two sizes"),
    "windows": (lambda: Do(lambda x: x[:, :, :20, :18].unflatten(2, (5, 4)).mean(3)), "cuts"),
    "sums along rows": (lambda: Do(lambda x: x.cumsum(2)), "cumsum"),
    "unfolded patches": (lambda: Do(lambda x: x.unfold(2, 3, 2).mean(-1)), "unfold"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_cannot_be_followed_is_unknown_with_the_reason(case: str) -> None:
    make, reason = UNKNOWN[case]
    net = nn.Sequential(conv(3, 4, 3, stride=2), make(), nn.LazyConv2d(4, 1)).double()
    net(torch.rand(1, 3, 45, 39, dtype=torch.float64))
    rows = brute_force.table(net, 45, 39)
    for name in ("1", "2"):
        assert rows[name].receptive_field is None, rows[name]
        assert reason in rows[name].note
    assert rows["0"].receptive_field == ReceptiveField((3, 3), (2, 2), (0, 0))


def test_after_an_unknown_operation_maps_are_still_maps() -> None:
    net = nn.Sequential(conv(3, 4, 3), Do(lambda x: x.roll(1, 2)), conv(4, 5, 3)).double()
    assert brute_force.table(net, 45, 39)["2"].shape == (5, 41, 35)


def test_attention_inside_windows_is_not_said_to_see_the_whole_picture() -> None:
    net = torchvision.models.swin_t(weights=None).eval()
    rows = tabulate(shadow(net), torch.rand(1, 3, 64, 64), "swin")
    block = rows["features.1.0"]
    assert block.receptive_field is None and block.note
    assert block.shape == (96, 16, 16)
    assert block.axes == (0, 3, 1, 2)
    assert rows["features.0"].shape == (96, 16, 16)
    assert str(rows["features.0.0"].receptive_field) == "4x4 stride 4 start 0"


RESNET18 = {
    "conv1": ((7, 7), 2, -3),
    "maxpool": ((11, 11), 4, -5),
    "layer1.0.conv1": ((19, 19), 4, -9),
    "layer2.1.conv2": ((99, 99), 8, -49),
    "layer4.1.conv2": ((435, 435), 32, -217),
}


def test_resnet18_has_the_published_fields() -> None:
    net = torchvision.models.resnet18(weights=None)
    rows = tabulate(shadow(net), torch.rand(1, 3, 224, 224), "resnet18")
    for name, (size, stride, start) in RESNET18.items():
        assert rows[name].receptive_field == ReceptiveField(size, (stride, stride), (start, start)), name
    assert rows["layer4.1.conv2"].shape == (512, 7, 7)


def test_a_box_is_the_window_of_a_unit() -> None:
    assert ReceptiveField((7, 5), (2, 4), (-3, -2)).box(3, 2) == (6, 3, 11, 10)
    assert ReceptiveField((45, 39), (2, 2), (0, 0), whole=True).box(3, 2) == (0, 0, 39, 45)


def test_a_unit_stands_in_the_middle_of_its_window() -> None:
    assert ReceptiveField((7, 4), (2, 4), (-3, -2)).center(3, 2) == (6.0, 7.5)
    assert ReceptiveField((7, 7), None, None).center(0, 0) is None


def test_behind_a_gate_a_unit_stands_where_its_local_path_looks() -> None:
    stem = [conv(3, 4, 3, stride=2), conv(4, 4, 5)]
    plain, gated = (nn.Sequential(*stem, *more).double() for more in ([], [Gate(4), conv(4, 4, 3)]))
    rows = brute_force.table(gated, 45, 39)
    before, behind, after = rows["1"].receptive_field, rows["2"].receptive_field, rows["3"].receptive_field
    assert before == brute_force.table(plain, 45, 39)["1"].receptive_field
    assert before is not None and behind is not None and after is not None
    assert behind.whole and behind.size == (45, 39) and behind.local == before.size
    assert behind.center(2, 3) == before.center(2, 3) == (9.0, 11.0)
    assert after.whole and after.local == (15, 15) and after.center(2, 3) == (11.0, 13.0)
    rows = brute_force.table(nn.Sequential(*stem, Gate(4), nn.Flatten()).double(), 45, 39)
    vector = rows["3"].receptive_field
    assert vector is not None and vector.local is None and vector.center(0, 0) is None


# --- random compositions ----------------------------------------------------------------------------------------------


def _random_net(seed: int) -> tuple[nn.Module, bool]:
    rng = random.Random(seed)
    cropped = False

    def step(channels: int) -> nn.Module:
        nonlocal cropped
        kernel = (rng.randint(1, 4), rng.randint(1, 4))
        padding = tuple(rng.randint(0, size // 2) for size in kernel)
        kind = rng.choice(
            ["conv", "conv", "conv", "max", "avg", "pad", "slice", "point", "branch", "linear", "shuffle"]
        )
        if kind == "conv":
            dilation = (rng.randint(1, 2), rng.randint(1, 2))
            stride = (rng.randint(1, 2), rng.randint(1, 2))
            groups = rng.choice([1, 2, channels])
            return conv(channels, channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
        if kind in ("max", "avg"):
            pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
            return pool(kernel, (rng.randint(1, 2), 1), padding, ceil_mode=rng.random() < 0.5)
        if kind == "pad":
            widths = [rng.randint(0, 2) for _ in range(4)]
            return Do(lambda x: F.pad(x, widths))
        if kind == "slice":
            cropped = True
            first, stride = rng.randint(0, 2), rng.choice([1, 1, 2])
            return Do(lambda x: x[:, :, first::stride, : x.shape[3] - first])
        if kind == "branch":
            sizes = [rng.choice([1, 3, 5]) for _ in range(2)]
            paths = [conv(channels, channels, size, padding=size // 2) for size in sizes]
            return Branches(added, *paths, nn.Identity()) if rng.random() < 0.5 else Branches(added, *paths)
        if kind == "linear":
            linear = nn.Linear(channels, channels)
            return nn.Sequential(Do(lambda x: x.permute(0, 2, 3, 1)), linear, Do(lambda x: x.permute(0, 3, 1, 2)))
        return nn.ChannelShuffle(2) if kind == "shuffle" else nn.Softplus()

    net = nn.Sequential(conv(3, 4, 1), *(step(4) for _ in range(4)))
    return net, cropped


@pytest.mark.parametrize("seed", range(10))
def test_random_compositions_equal_brute_force(seed: int) -> None:
    torch.manual_seed(seed)
    net, cropped = _random_net(seed)
    # behind a crop some units inside the picture see less than their window, as others do at the picture's border
    assert brute_force.disagreements(net, 27, 25, exact=not cropped) == []
    rows = brute_force.table(net.double(), 27, 25)
    assert all(row.receptive_field is not None for row in rows.values() if row.axes), rows
