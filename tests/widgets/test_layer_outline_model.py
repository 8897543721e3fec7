"""LayerOutline without a browser: its rows, its rails, what it accepts, what it refuses and what it sends."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
import torchvision
import traitlets
from torch import Tensor, nn
from torchvision.models.googlenet import Inception

from cnnviz_widgets.engine import Layers
from cnnviz_widgets.engine.layers import tabulate
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.widgets import LayerOutline
from cnnviz_widgets.widgets.outline_rails import END, FIRST, LAST, SHORTCUT, START, Lane
from cnnviz_widgets.widgets.outline_rows import Row, folds, message, outline_rows

MODELS = torchvision.models


def table(net: nn.Module, size: int = 64) -> tuple[Layers, dict[str, nn.Module]]:
    return tabulate(shadow(net), torch.rand(1, 3, size, size), "net"), dict(net.named_modules())


@cache
def of(name: str) -> tuple[Layers, dict[str, nn.Module]]:
    options = {"init_weights": False} if name == "googlenet" else {}
    return table(getattr(MODELS, name)(**options), 224 if name.startswith("vit") else 64)


@cache
def rows_of(name: str) -> dict[str, Row]:
    layers, modules = of(name)
    return {row.name: row for row in outline_rows(layers, modules)}


def lanes_of(net: nn.Module) -> dict[str, tuple[Lane, ...]]:
    layers, modules = table(net, 16)
    return {row.name: row.lanes for row in outline_rows(layers, modules)}


def outline_of(name: str = "resnet18") -> LayerOutline:
    outline = LayerOutline()
    layers, modules = of(name)
    outline.show(layers, network=name, modules=modules)
    return outline


def shares_of(outline: LayerOutline) -> dict[str, float]:
    return dict(zip(outline.rows["name"], np.frombuffer(outline.activity, "<f4").tolist(), strict=True))


# --- what a row says --------------------------------------------------------------------------------------------------


def test_a_row_says_kind_with_kernel_and_stride_output_parameters_and_receptive_field():
    row = rows_of("resnet18")["layer2.0.conv1"]
    assert (row.part, row.kind, row.output) == ("conv1", "Conv2d 3×3 /2", "128×8×8")
    assert row.parameters == 64 * 128 * 9
    assert (row.sees, row.exact) == ("51×51 /8", "51x51 stride 8 start -25")
    assert row.reads == "layer1.1.relu#2"


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.Conv2d(3, 6, 3), "Conv2d 3×3"),
        (nn.Conv2d(3, 6, (1, 7), stride=(1, 2)), "Conv2d 1×7 /1×2"),
        (nn.Conv2d(3, 6, 3, dilation=2), "Conv2d 3×3 dilated 2"),
        (nn.Conv2d(3, 6, 3, groups=3), "Conv2d 3×3 depthwise"),
        (nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=2))[1], "Conv2d 3×3 2 groups"),
        (nn.MaxPool2d(2), "MaxPool2d 2×2 /2"),
        (nn.AvgPool2d((3, 1), 1), "AvgPool2d 3×1"),
        (nn.ReLU(), "ReLU"),
    ],
)
def test_kernels_of_every_form_are_named(layer: nn.Module, kind: str):
    inputs = getattr(layer, "in_channels", 3)
    layers, modules = table(nn.Sequential(nn.Conv2d(3, inputs, 1), layer), 16)
    assert outline_rows(layers, modules)[1].kind == kind


def test_without_the_modules_kinds_are_named_all_the_same():
    layers, _ = of("resnet18")
    assert {row.name: row.kind for row in outline_rows(layers)}["conv1"] == "Conv2d"


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "resnet50", "googlenet", "densenet121", "vit_b_16"])
def test_every_module_has_its_row_under_the_module_that_holds_it(name: str):
    layers, modules = of(name)
    rows = outline_rows(layers, modules)
    assert [row.name for row in rows if "#" not in row.name] == [name for name in modules if name]
    for row in rows:
        above = rows[row.parent].name if row.parent >= 0 else ""
        joint = "#" if "#" in row.part else "."
        assert row.name == (f"{above}{joint}{row.part.lstrip('#')}" if above else row.part)


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "resnet50", "googlenet", "densenet121", "vit_b_16"])
def test_what_a_row_says_is_what_the_table_says(name: str):
    layers, _ = of(name)
    for row in rows_of(name).values():
        layer = layers[row.name]
        assert row.output == "×".join(map(str, layer.shape))
        assert row.parameters == layer.parameters
        assert bool(row.why) == (layer.shape == ())
        if layer.shape:
            assert row.exact == (str(layer.receptive_field or "") or f"unknown: {layer.note}")


def test_heads_that_did_not_run_say_so_with_all_their_parts():
    rows = rows_of("googlenet")
    heads = [row for row in rows.values() if row.name.split(".")[0] in ("aux1", "aux2")]
    assert len(heads) == 14
    assert {(row.why, row.idle) for row in heads} == {("did not run in this pass", True)}
    assert not any(row.idle for row in rows.values() if not row.name.startswith("aux"))


def test_a_list_whose_parts_run_is_no_dead_layer():
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.ReLU()])

        def forward(self, x: Tensor) -> Tensor:
            for step in self.steps:
                x = step(x)
            return x.mean((2, 3))

    steps, conv, _ = outline_rows(*table(Loop(), 16))
    assert (steps.why, steps.idle) == ("is never called itself, only its parts are", False)
    assert (conv.why, conv.lanes) == ("", ())


def test_unknown_receptive_fields_are_said_with_their_reason():
    row = rows_of("vit_b_16")["encoder.layers.encoder_layer_0"]
    assert (row.output, row.sees) == ("197×768", "?")
    assert row.exact.startswith("unknown: ") and len(row.exact) > len("unknown: ")


def test_a_layer_that_runs_several_times_unfolds_into_its_calls():
    rows = rows_of("resnet50")
    relu = rows["layer1.0.relu"]
    calls = [row for row in rows.values() if row.name.startswith("layer1.0.relu#")]
    assert relu.calls == 3
    assert [row.kind for row in calls] == ["call 1 of 3", "call 2 of 3", "call 3 of 3"]
    assert [row.output for row in calls] == ["64×16×16", "64×16×16", "256×16×16"]
    assert [row.reads for row in calls] == [
        "layer1.0.bn1",
        "layer1.0.bn2",
        "the sum of layer1.0.bn3, layer1.0.downsample.1",
    ]
    assert rows["layer1.0"].same_as == "layer1.0.relu#3"


def test_joins_are_named_at_the_block_that_makes_them_and_not_at_what_holds_it():
    resnet, googlenet, squeezenet = rows_of("resnet18"), rows_of("googlenet"), rows_of("squeezenet1_1")
    assert (resnet["layer1.0"].join, resnet["layer1.0"].gives) == ("sum", "the sum of layer1.0.bn2, maxpool")
    assert resnet["layer1"].join == resnet["layer1.0.conv1"].join == ""
    assert googlenet["inception3a"].join == squeezenet["features.3"].join == "stack"
    assert (googlenet["inception3a.branch2"].join, squeezenet["features"].join) == ("", "")


def test_long_lists_of_what_is_read_are_shortened_and_counted():
    reads = rows_of("densenet121")["features.denseblock1.denselayer6.norm1"].reads
    assert reads.startswith("the stack of features.pool0, ")
    assert reads.endswith(", 2 more, features.denseblock1.denselayer5.conv2")
    assert rows_of("densenet121")["features.conv0"].reads == "the picture"


# --- rails ------------------------------------------------------------------------------------------------------------

ALONE = START | END


def test_the_four_branches_of_an_inception_block_run_side_by_side():
    lanes = [rows_of("googlenet")[f"inception3a.branch{n}"].lanes for n in (1, 2, 3, 4)]
    flags = [ALONE | FIRST, ALONE, ALONE, ALONE | LAST]
    assert lanes == [(Lane(flag, n, 4),) for n, flag in enumerate(flags)]
    assert not any(rows_of("googlenet")[name].lanes for name in ("conv1", "inception3a", "inception3b", "aux1"))


def test_both_expansions_of_a_fire_block_are_branches_behind_its_squeeze():
    rows = rows_of("squeezenet1_1")
    names = ["squeeze", "squeeze_activation", "expand1x1", "expand1x1_activation", "expand3x3", "expand3x3_activation"]
    assert [rows[f"features.3.{name}"].lanes for name in names] == [
        (), (),
        (Lane(START | FIRST, 0, 2),), (Lane(END, 0, 2),),
        (Lane(START, 1, 2),), (Lane(END | LAST, 1, 2),),
    ]  # fmt: skip


def test_a_residual_block_has_a_shortcut_or_a_downsample_beside_its_main_path():
    rows = rows_of("resnet50")
    main = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "relu"]
    straight = [rows[f"layer1.1.{name}"].lanes for name in main]
    assert all(len(lanes) == 1 and lanes[0].of == 1 and lanes[0].flags & SHORTCUT for lanes in straight)
    beside = [rows[f"layer1.0.{name}"].lanes for name in [*main, "downsample"]]
    assert [lanes[0].branch for lanes in beside] == [0] * 7 + [1]
    assert all(len(lanes) == 1 and lanes[0].of == 2 and not lanes[0].flags & SHORTCUT for lanes in beside)


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_a_chain_has_no_rails_also_with_dropout_in_it(name: str):
    assert not any(row.lanes for row in rows_of(name).values())


def test_every_sum_of_a_transformer_block_has_its_own_shortcut():
    rows = rows_of("vit_b_16")
    block = "encoder.layers.encoder_layer_3"
    flags = {
        name: rows[f"{block}.{name}"].lanes[0].flags for name in ("ln_1", "self_attention", "dropout", "ln_2", "mlp")
    }
    assert flags == {
        "ln_1": SHORTCUT | START | FIRST, "self_attention": SHORTCUT, "dropout": SHORTCUT | END | LAST,
        "ln_2": SHORTCUT | START | FIRST, "mlp": SHORTCUT | END | LAST,
    }  # fmt: skip


def test_a_gate_is_a_shortcut_past_what_computes_it():
    layers, modules = table(MODELS.efficientnet_b0())
    rows = {row.name: row for row in outline_rows(layers, modules)}
    gate = "features.1.0.block.1"
    assert rows[gate].join == "product"
    assert all(rows[f"{gate}.{part}"].lanes[0].flags & SHORTCUT for part in ("avgpool", "fc1", "scale_activation"))


def test_branches_within_a_branch_stand_one_level_deeper():
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 1) for _ in range(4))
            self.end = nn.Conv2d(9, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            b = self.b(x)
            return self.end(torch.cat([self.a(x), self.c(b), self.d(b)], 1)).mean((2, 3))

    lanes = lanes_of(Nested())
    assert lanes == {
        "a": (Lane(ALONE | FIRST, 0, 2),),
        "b": (Lane(START, 1, 2),),
        "c": (Lane(0, 1, 2), Lane(ALONE | FIRST, 0, 2)),
        "d": (Lane(END | LAST, 1, 2), Lane(ALONE | LAST, 1, 2)),
        "end": (),
    }


def test_calls_of_a_shared_layer_are_not_taken_for_one_source():
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(3, 3, 1) for _ in range(3))
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.relu(self.b(self.relu(self.a(x))))).mean((2, 3))

    assert not any(lanes_of(Shared()).values())


def test_branches_that_are_not_defined_side_by_side_are_drawn_in_pieces():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a1, self.b1, self.a2, self.b2 = (nn.Conv2d(3, 3, 1) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            return (self.a2(self.a1(x)) + self.b2(self.b1(x))).mean((2, 3))

    lanes = lanes_of(Mixed())
    assert [lanes[name][0].branch for name in ("a1", "b1", "a2", "b2")] == [0, 1, 0, 1]
    assert all(found[0].flags & ALONE == ALONE for found in lanes.values())


# --- folds ------------------------------------------------------------------------------------------------------------


def seen(rows: list[Row], folded: set[str]) -> list[str]:
    hidden: set[int] = set()
    for at, row in enumerate(rows):
        if row.parent >= 0 and (row.parent in hidden or rows[row.parent].name in folded):
            hidden.add(at)
    return [row.name for at, row in enumerate(rows) if at not in hidden]


@pytest.mark.parametrize(
    ("name", "first"),
    [("squeezenet1_1", 19), ("resnet50", 26), ("googlenet", 21), ("densenet121", 14), ("vit_b_16", 19)],
)
def test_the_first_picture_can_be_read(name: str, first: int):
    rows = list(rows_of(name).values())
    assert len(seen(rows, set(folds(rows)))) == first


def test_a_small_network_is_not_folded_but_for_the_calls_of_its_shared_layers():
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.body[1](self.relu(self.body[0](x)))).mean((2, 3))

    assert folds(outline_rows(*table(Small(), 16))) == ["relu"]


# --- the widget -------------------------------------------------------------------------------------------------------


def test_the_rows_are_one_message_of_less_than_300_bytes_a_row():
    rows = list(rows_of("densenet121").values())
    sent = message(rows, "densenet121")
    assert len(json.dumps(sent, ensure_ascii=False).encode()) < 300 * len(rows)
    assert {len(column) for column in sent.values() if isinstance(column, list)} == {len(rows)}
    assert (sent["network"], sent["layers"]) == ("densenet121", len(of("densenet121")[0]))


def test_it_says_what_it_shows():
    outline = LayerOutline()
    assert repr(outline) == "LayerOutline(empty)"
    outline = outline_of()
    assert repr(outline) == "LayerOutline(resnet18: 67 layers)"
    outline.selected = "layer1.0.conv1"
    assert repr(outline) == "LayerOutline(resnet18: 67 layers, 'layer1.0.conv1' selected)"


@pytest.mark.parametrize(
    ("network", "name", "words"),
    [
        ("resnet18", "layer1.0.conv9", "no layer 'layer1.0.conv9'; did you mean 'layer1.0.conv"),
        ("resnet18", "layer1.0.relu#3", "no layer 'layer1.0.relu#3'; did you mean 'layer1.0.relu"),
        ("resnet18", "zebra", "no layer 'zebra'; .show lists"),
        ("googlenet", "aux1.conv", "layer 'aux1.conv' cannot be opened: it did not run in this pass"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_the_reason(network: str, name: str, words: str):
    outline = outline_of(network)
    outline.selected = "conv1"
    with pytest.raises(traitlets.TraitError, match=words.replace("(", r"\(")):
        outline.selected = name
    assert outline.selected == "conv1"


def test_before_a_network_is_shown_there_is_nothing_to_choose():
    with pytest.raises(traitlets.TraitError, match="no network is shown yet"):
        LayerOutline(selected="conv1")


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [("layer1.0.relu#1", "layer1.0.relu#1"), ("layer1.0.relu", "layer1.0.relu"), ("conv1#1", "conv1"), ("", "")],
)
def test_single_calls_can_be_chosen(asked: str, chosen: str):
    outline = outline_of()
    outline.selected = asked
    assert outline.selected == chosen


def test_what_is_chosen_from_python_is_unfolded_and_nothing_else_is():
    outline = outline_of("resnet50")
    before = set(outline.folded)
    outline.selected = "layer3.2.relu#2"
    assert before - set(outline.folded) == {"layer3.2", "layer3.2.relu"}


def test_the_same_network_shown_again_keeps_choice_and_folds_and_another_one_loses_them():
    outline = outline_of()
    outline.selected, outline.folded = "layer4.1.conv2", ["layer1"]
    layers, modules = of("resnet18")
    outline.show(layers, modules=modules)
    assert (outline.selected, outline.folded) == ("layer4.1.conv2", ["layer1"])
    layers, modules = of("squeezenet1_1")
    outline.show(layers, modules=modules)
    assert (outline.selected, outline.folded) == ("", folds(list(rows_of("squeezenet1_1").values())))


def test_activity_travels_as_four_bytes_a_row_and_nothing_else_does():
    outline = outline_of()
    changed = []
    outline.observe(lambda change: changed.append(change["name"]))
    outline.show_activity({"conv1": 0.25, "layer1.0.bn1": 0.75})
    assert changed == ["activity"]
    assert len(outline.activity) == 4 * len(outline.rows["name"])
    shares = shares_of(outline)
    assert (shares["conv1"], shares["layer1.0.bn1"]) == (0.25, 0.75)
    assert np.isnan(shares["bn1"])


def test_the_last_call_is_the_layer_and_a_block_is_as_active_as_what_it_gives():
    outline = outline_of()
    outline.show_activity({"layer1.0.relu#1": 0.125, "layer1.0.relu#2": 0.5, "layer1.1.relu": 0.75, "conv1#1": 1.0})
    shares = shares_of(outline)
    assert [shares[f"layer1.0{end}"] for end in (".relu#1", ".relu#2", ".relu", "")] == [0.125, 0.5, 0.5, 0.5]
    assert [shares[name] for name in ("layer1.1.relu#2", "layer1.1", "layer1", "conv1")] == [0.75, 0.75, 0.75, 1.0]


@pytest.mark.parametrize(
    ("activity", "error", "words"),
    [
        ({"conv9": 0.5}, KeyError, "no layer 'conv9'; did you mean 'conv1'"),
        ({"conv1": 1.5}, ValueError, "'conv1' is 1.5; wanted a share from 0 to 1"),
        ({"conv1": -0.1}, ValueError, "-0.1"),
    ],
)
def test_what_is_no_activity_is_refused_and_the_bars_stay(
    activity: dict[str, float], error: type[Exception], words: str
):
    outline = outline_of()
    outline.show_activity({"conv1": 0.5})
    before = outline.activity
    with pytest.raises(error, match=words):
        outline.show_activity(activity)
    assert outline.activity == before


def test_what_the_front_end_never_sets_is_not_echoed():
    assert outline_of().traits()["rows"].metadata["echo_update"] is False
    assert outline_of().traits()["activity"].metadata["echo_update"] is False


def test_an_inception_block_alone_has_its_rails_at_the_top():
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inner = Inception(3, 2, 2, 2, 2, 2, 2)
            self.branch1, self.branch2 = inner.branch1, inner.branch2

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.branch1(x), self.branch2(x)], 1).mean((2, 3))

    lanes = lanes_of(Wrapped())
    assert [lanes[name][0].of for name in ("branch1", "branch2")] == [2, 2]
