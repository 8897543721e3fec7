"""What each layer reads is what the network does: branches, sums, gates, shared and in-place layers, written anyhow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.engine.flow import Inflow
from cnnviz_widgets.engine.layers import Layers, tabulate
from cnnviz_widgets.engine.shadow import shadow


def table(net: nn.Module, size: int = 32) -> Layers:
    return tabulate(shadow(net), torch.rand(1, 3, size, size), "net")


class Wired(nn.Module):
    """Four convolutions, wired by a function."""

    def __init__(self, wire: Callable[[Wired, Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(4))
        self.relu = nn.ReLU(inplace=True)
        self.rest = nn.Dropout()
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        return self.wire(self, x).mean((2, 3))


def stacked(net: Wired, x: Tensor) -> Tensor:
    x = F.relu(net.a(x))
    return net.d(torch.cat([net.b(x), net.c(x)], 1)[:, :3])


def written(net: Wired, x: Tensor) -> Tensor:
    x = net.a(x)
    room = torch.zeros(1, 6, 32, 32)
    room[:, :3] = net.b(x)
    room[:, 3:] = net.c(x)
    return net.d(room[:, 1:4])


def summed(net: Wired, x: Tensor) -> Tensor:
    x = net.a(x)
    y = net.c(net.b(x))
    y += x
    return net.d(F.max_pool2d(y, 2))


def gated(net: Wired, x: Tensor) -> Tensor:
    x = net.b(net.a(x))
    return net.d(x * net.c(x).sigmoid())


@pytest.mark.parametrize(
    ("wire", "reads"),
    [
        (stacked, {"a": Inflow(("",)), "b": Inflow(("a",)), "c": Inflow(("a",)), "d": Inflow(("b", "c"), "cat")}),
        (summed, {"b": Inflow(("a",)), "c": Inflow(("b",)), "d": Inflow(("c", "a"), "add")}),
        (gated, {"b": Inflow(("a",)), "c": Inflow(("b",)), "d": Inflow(("b", "c"), "mul")}),
    ],
)
def test_what_is_computed_between_layers_without_a_module_is_followed(
    wire: Callable[[Wired, Tensor], Tensor], reads: dict[str, Inflow]
) -> None:
    rows = table(Wired(wire))
    assert {name: rows[name].reads for name in reads} == reads


def test_what_is_written_into_a_part_of_a_tensor_is_in_the_whole() -> None:
    assert table(Wired(written))["d"].reads.layers == ("b", "c")


def test_after_a_change_in_place_the_changing_layer_is_read_whoever_held_the_tensor() -> None:
    def wire(net: Wired, x: Tensor) -> Tensor:
        held = net.a(x)
        net.relu(held)
        return net.b(held)

    rows = table(Wired(wire))
    assert rows["relu"].reads == Inflow(("a",))
    assert rows["b"].reads == Inflow(("relu",))


def test_a_layer_that_passes_its_input_on_is_no_source() -> None:
    rows = table(Wired(lambda net, x: net.c(net.rest(net.a(x)))))
    assert rows["rest"].same_as == "a"
    assert rows["c"].reads == Inflow(("a",))


def test_each_call_of_a_shared_layer_reads_its_own_and_is_read_by_its_own_name() -> None:
    def wire(net: Wired, x: Tensor) -> Tensor:
        x = net.relu(net.a(x))
        return net.relu(net.c(net.b(x)) + x)

    rows = table(Wired(wire))
    assert rows["relu#1"].reads == Inflow(("a",))
    assert rows["b"].reads == Inflow(("relu#1",))
    assert rows["relu"].reads == rows["relu#2"].reads == Inflow(("c", "relu#1"), "add")


def test_tensors_given_by_keyword_and_in_lists_are_read() -> None:
    class Sum(nn.Module):
        def forward(self, parts: list[Tensor], more: Tensor) -> Tensor:
            return parts[0] + parts[1] + more

    net = Wired(lambda net, x: net.sum([net.a(x), net.b(x)], more=net.c(x)))
    net.sum = Sum()
    row = table(net)["sum"]
    assert row.reads == Inflow(("a", "b", "c"))
    assert row.gathers == Inflow(("a", "b", "c"), "add")


def test_a_residual_block_reads_one_and_joins_two() -> None:
    rows = table(torchvision.models.resnet18(), 64)
    assert rows["layer1.0.relu"].reads == Inflow(("layer1.0.bn2", "maxpool"), "add")
    assert rows["layer2.0.relu"].reads == Inflow(("layer2.0.bn2", "layer2.0.downsample.1"), "add")
    assert rows["layer2.1.conv1"].reads == rows["layer2.1"].reads == Inflow(("layer2.0.relu",))


def test_an_inception_block_gathers_its_four_branches() -> None:
    rows = table(torchvision.models.googlenet(init_weights=False), 64)
    block = "inception3a"
    assert [rows[f"{block}.branch{n}"].reads for n in (1, 2, 3, 4)] == [Inflow(("maxpool2",))] * 4
    ends = (f"{block}.branch1", *(f"{block}.branch{n}.1" for n in (2, 3, 4)))
    assert rows[block].gathers == Inflow(ends, "cat")
    assert not rows["aux1"].reads


def test_a_constant_reads_nothing() -> None:
    class Constant(nn.Module):
        def forward(self) -> Tensor:
            return torch.ones(1, 3, 1, 1)

    net = Wired(lambda net, x: net.a(x) + net.constant())
    net.constant = Constant()
    assert table(net)["constant"].reads == Inflow()
