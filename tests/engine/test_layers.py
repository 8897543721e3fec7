"""The table of layers says what each one is and does; the last maps are found by running, not by names."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any, cast

import pytest
import torch
import torchvision
from PIL import Image
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision import transforms
from torchvision.models.googlenet import Inception

from cnnviz_widgets.engine import Engine, Layer
from cnnviz_widgets.engine.flow import Inflow
from cnnviz_widgets.engine.layers import NoLayerError
from cnnviz_widgets.results import Unit
from tests.engine.nets import CLASSES, TRANSFORM, Do, plain


class Backwards(nn.Module):
    """Defined from its end to its beginning; one layer is shared, one never runs, dropout passes on what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.zz_head = nn.Sequential(nn.Dropout(), nn.Linear(6, len(CLASSES)))
        self.unused = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.late = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6))
        self.early = nn.Conv2d(3, 4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.late(self.act(self.early(x))))
        return self.zz_head(x.mean((2, 3)))


def engine_of(net: nn.Module, size: int = 32, **options: Any) -> Engine:
    scaled = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )
    return Engine(net, transform=scaled, **options)


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(CLASSES))]


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_a_row_says_kind_shape_parameters_calls_and_order() -> None:
    rows = engine_of(Backwards()).layers
    said = {
        name: (row.kind, row.shape, row.parameters, row.calls, row.order, row.spatial) for name, row in rows.items()
    }
    assert said == {
        "zz_head": ("Sequential", (5,), 35, 1, 8, False),
        "zz_head.0": ("Dropout", (6,), 0, 1, 6, False),
        "zz_head.1": ("Linear", (5,), 35, 1, 7, False),
        "unused": ("Linear", (), 16, 0, -1, False),
        "act": ("ReLU", (6, 14, 14), 0, 2, 5, True),
        "late": ("Sequential", (6, 14, 14), 4 * 6 * 9 + 6 + 12, 1, 4, True),
        "late.0": ("Conv2d", (6, 14, 14), 4 * 6 * 9 + 6, 1, 2, True),
        "late.1": ("BatchNorm2d", (6, 14, 14), 12, 1, 3, True),
        "early": ("Conv2d", (4, 30, 30), 3 * 4 * 9, 1, 0, True),
    }
    assert all(row.name == name for name, row in rows.items())
    assert rows["early"].axes == (0, 1, 2, 3) and rows["zz_head"].axes is None
    assert rows["unused"].note == "did not run" and rows["unused"].receptive_field is None
    assert str(rows["late.0"].receptive_field) == "5x5 stride 2 start 0"


def test_each_call_of_a_shared_layer_has_its_own_row() -> None:
    rows = engine_of(Backwards()).layers
    first, last = rows["act#1"], rows["act#2"]
    assert (first.name, first.shape, first.order, first.calls) == ("act#1", (4, 30, 30), 1, 2)
    assert (last.name, last.shape, last.order, last.calls) == ("act#2", (6, 14, 14), 5, 2)
    assert str(first.receptive_field) == "3x3 stride 1 start 0"
    assert str(last.receptive_field) == str(rows["act"].receptive_field) == "5x5 stride 2 start 0"
    assert rows["early#1"].shape == rows["early"].shape
    assert list(rows) == [name for name, _ in Backwards().named_modules() if name]  # calls are no layers of their own


def test_the_table_lists_layers_as_the_module_does_and_in_order_as_they_ran() -> None:
    engine = engine_of(Backwards())
    assert list(engine.layers) == [name for name in engine.modules if name]
    assert len(engine.layers) == 9
    ran = [row.name for row in engine.layers.in_order()]
    assert ran == ["early", "late.0", "late.1", "late", "act", "zz_head.0", "zz_head.1", "zz_head"]


def test_weights_of_a_shared_layer_are_counted_where_they_are_used() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1)
    net = nn.Sequential(nn.Sequential(conv, nn.ReLU()), nn.Sequential(conv, nn.ReLU()), *head(3))
    rows = engine_of(net).layers
    assert (rows["0"].parameters, rows["1"].parameters, rows["0.0"].parameters) == (84, 84, 84)
    assert rows["0.0"].calls == 2 and "1.0" not in rows


def test_maps_of_one_position_are_not_spatial() -> None:
    rows = engine_of(nn.Sequential(nn.Conv2d(3, 4, 32), nn.ReLU(), *head(4))).layers
    assert rows["0"].shape == rows["1"].shape == (4, 1, 1) and not rows["0"].spatial and not rows["1"].spatial
    line = engine_of(nn.Sequential(nn.Conv2d(3, 4, (32, 1)), *head(4))).layers["0"]
    assert line.shape == (4, 1, 32) and line.spatial


def test_a_table_is_for_inputs_of_one_size() -> None:
    engine = engine_of(plain())
    assert engine.layers["0"].shape == (6, 32, 32)
    wide = engine.layers_for(torch.zeros(4, 3, 16, 40))
    assert wide["0"].shape == (6, 16, 40) and wide["2"].shape == (6, 8, 20)
    assert engine.layers["0"].shape == (6, 32, 32)


def test_the_table_follows_changes_of_the_network() -> None:
    net = plain()
    engine = engine_of(net)
    assert engine.layers["1"].kind == "ReLU"
    net[1] = nn.Conv2d(6, 6, 3)
    net.append(nn.Identity())
    assert (engine.layers["1"].kind, engine.layers["1"].shape) == ("Conv2d", (6, 30, 30))
    assert list(engine.layers)[-1] == "8"
    assert engine.layers is engine.layers  # and is remembered while nothing changes


def test_the_table_does_not_disturb_running_statistics_or_random_numbers() -> None:
    net = Backwards().train()
    engine = engine_of(net)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert len(engine.layers) == 9
    assert torch.equal(torch.rand(1), expected)
    assert net.late[1].num_batches_tracked == 0 and net.training


# --- layers that pass on what others put out --------------------------------------------------------------------------


def test_a_container_shows_what_its_last_part_put_out() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.Tanh())), *head(4))
    engine = engine_of(net)
    rows = engine.layers
    assert (rows["0"].same_as, rows["0.1"].same_as, rows["0.1.1"].same_as) == ("0.1.1", "0.1.1", "")
    for name in ("0", "0.1"):
        assert rows[name].shape == rows["0.1.1"].shape
        assert rows[name].receptive_field == rows["0.1.1"].receptive_field
    found = engine.capture(Image.new("RGB", (32, 32), "teal"), ["0", "0.1", "0.1.1"])
    assert torch.equal(found["0"], found["0.1.1"]) and torch.equal(found["0.1"], found["0.1.1"])


SAME: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "dropout in eval mode": (lambda: [nn.Dropout()], "0"),
    "an identity": (lambda: [nn.Identity()], "0"),
    "pooling to the same size": (lambda: [nn.AdaptiveAvgPool2d(30)], "0"),
    "a rectifier": (lambda: [nn.ReLU()], ""),
    "a rectifier in place": (lambda: [nn.ReLU(inplace=True)], ""),
    "pooling to another size": (lambda: [nn.AdaptiveAvgPool2d(15)], ""),
    "a copy changed in place": (lambda: [nn.Sequential(Do(lambda x: x.clone().mul_(2)))], "1.0"),
    "the maps changed in place by a function": (lambda: [Do(lambda x: x.mul_(2))], ""),
    "pooling to the same size after a change in place": (lambda: [Do(F.relu_), nn.AdaptiveAvgPool2d(30)], "1"),
}


@pytest.mark.parametrize("case", SAME)
def test_a_layer_is_said_to_pass_on_maps_only_when_it_does(case: str, picture: Image.Image) -> None:
    make, expected = SAME[case]
    added = make()
    engine = engine_of(nn.Sequential(nn.Conv2d(3, 4, 3), *added, nn.Conv2d(4, 4, 1), *head(4)))
    name = str(len(added))
    assert engine.layers[name].same_as == expected
    found = engine.capture(picture, ["0", name])
    equal = found["0"].shape == found[name].shape and torch.equal(found["0"], found[name])
    assert equal == (expected == "0")


def test_pooling_after_a_function_in_place_does_not_pass_on_what_the_convolution_put_out(picture: Image.Image) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.fc = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(30), nn.Linear(4, len(CLASSES))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.pool(F.relu_(self.conv(x))).mean((2, 3)))

    engine = engine_of(Functional())
    found = engine.capture(picture, ["conv", "pool"])
    assert not torch.equal(found["conv"], found["pool"])
    assert engine.layers["pool"].same_as == ""
    assert engine.last_maps(engine.prepare(picture)) == "pool"


def test_containers_that_end_with_one_shared_rectifier_are_told_apart(picture: Image.Image) -> None:
    relu = nn.ReLU()
    blocks = [nn.Sequential(nn.Conv2d(into, out, 3), relu) for into, out in ((3, 4), (4, 6))]
    engine = engine_of(nn.Sequential(*blocks, *head(6)))
    rows = engine.layers
    assert (rows["0"].same_as, rows["1"].same_as) == ("0.1#1", "0.1")
    assert rows[rows["0"].same_as].shape == rows["0"].shape == (4, 30, 30)
    assert rows[rows["1"].same_as].shape == rows["1"].shape == (6, 28, 28)
    x = engine.prepare(picture)
    assert engine.last_maps(x) == "1"
    assert engine.last_maps(x, before="1") == "0"


# --- looking up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("erly", "no layer 'erly' in Backwards; did you mean 'early'?"),
        ("late.2", "no layer 'late.2' in Backwards; did you mean 'late.1' or 'late.0' or 'late'?"),
        ("Early", "no layer 'Early' in Backwards; did you mean 'early'?"),
        ("xyz", "no layer 'xyz' in Backwards; engine.layers lists them"),
        ("", "no layer '' in Backwards; engine.layers lists them"),
        ("act#3", "'act' runs 2 time(s) in a pass, so there is no call 'act#3'"),
        ("unused#1", "'unused' runs 0 time(s) in a pass, so there is no call 'unused#1'"),
        (None, "no layer None in Backwards; engine.layers lists them"),
        (3, "no layer 3 in Backwards; engine.layers lists them"),
    ],
)
def test_a_wrong_name_is_a_key_error_that_says_what_is_near(name: Any, message: str) -> None:
    rows = engine_of(Backwards()).layers
    with pytest.raises(KeyError) as caught:
        _ = rows[name]
    assert isinstance(caught.value, NoLayerError)
    assert str(caught.value) == message
    assert name not in rows and rows.get(name) is None


def test_the_table_is_a_mapping() -> None:
    rows = engine_of(plain()).layers
    assert "3" in rows and "3#1" in rows
    assert dict(rows)["3"] is rows["3"]
    assert [row.name for row in rows.values()] == list(rows) == list("01234567")
    with pytest.raises(TypeError):
        cast(Any, rows)["3"] = rows["0"]
    with pytest.raises(AttributeError):
        cast(Any, rows["3"]).kind = "Linear"


def test_modules_are_the_users_own_to_read() -> None:
    net = Backwards()
    modules = engine_of(net).modules
    assert modules["late.0"] is net.late[0] and modules[""] is net
    modules.clear()
    assert engine_of(net).modules["early"] is net.early


# --- what it looks like -----------------------------------------------------------------------------------------------


class Cells(HTMLParser):
    """The table's cells by row, and every tag that was met."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def test_the_table_shows_itself_in_a_notebook_and_as_text() -> None:
    rows = engine_of(Backwards()).layers
    cells = Cells(rows._repr_html_()).rows
    assert cells[0] == ["layer", "kind", "output", "parameters", "receptive field"]
    assert cells[1:] == [
        ["zz_head", "Sequential", "5", "35", "31x31 stride 0 start 0"],
        ["zz_head.0", "Dropout", "6", "0", "31x31 stride 0 start 0"],
        ["zz_head.1", "Linear", "5", "35", "31x31 stride 0 start 0"],
        ["unused", "Linear", "-", "16", "did not run"],
        ["act", "ReLU (2 calls)", "6 x 14 x 14", "0", "5x5 stride 2 start 0"],
        ["late", "Sequential", "6 x 14 x 14", "234", "5x5 stride 2 start 0"],
        ["late.0", "Conv2d", "6 x 14 x 14", "222", "5x5 stride 2 start 0"],
        ["late.1", "BatchNorm2d", "6 x 14 x 14", "12", "5x5 stride 2 start 0"],
        ["early", "Conv2d", "4 x 30 x 30", "108", "3x3 stride 1 start 0"],
    ]
    lines = repr(rows).splitlines()
    assert [line.split() for line in lines] == [" ".join(row).split() for row in cells]
    starts = {line.index(row[2]) for line, row in zip(lines, cells, strict=True) if row[2] not in ("-", "5", "6")}
    assert len(starts) == 1  # columns stand under each other


def test_an_unknown_field_is_said_with_the_reason() -> None:
    rows = engine_of(nn.Sequential(Do(lambda x: x.flip(3)), nn.Conv2d(3, 1200, 1), *head(1200))).layers
    cells = {row[0]: row for row in Cells(rows._repr_html_()).rows}
    assert cells["1"][3] == "4,800"
    assert cells["1"][4].startswith("unknown: ") and "flip" in cells["1"][4]


def test_names_cannot_smuggle_markup_into_a_notebook() -> None:
    evil = "<img src=x onerror=alert(1)>&amp;"
    kind = type("<script>", (nn.ReLU,), {})
    net = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3)))
    net.add_module(evil, kind())
    for name, module in zip("abc", head(4), strict=True):
        net.add_module(name, module)
    rows = engine_of(net).layers
    page = Cells(rows._repr_html_())
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.rows[2][:2] == [evil, "<script>"]
    assert evil in repr(rows)


def test_a_network_without_layers_has_an_empty_table() -> None:
    rows = engine_of(nn.Flatten()).layers
    assert len(rows) == 0 and rows.in_order() == []
    assert repr(rows).split() == ["layer", "kind", "output", "parameters", "receptive", "field"]
    assert len(Cells(rows._repr_html_()).rows) == 1


# --- the last maps ----------------------------------------------------------------------------------------------------


class TokensOfPatches(nn.Module):
    """A vision transformer as torchvision builds it, small."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = torchvision.models.VisionTransformer(
            image_size=64, patch_size=16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.vit(x)


def torchvision_net(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: torchvision.models.get_model(name, weights=None, num_classes=5, **options)


LAST: dict[str, tuple[Callable[[], nn.Module], int, str, tuple[int, ...]]] = {
    "squeezenet1_1": (torchvision_net("squeezenet1_1"), 64, "features.12", (512, 3, 3)),
    "resnet18": (torchvision_net("resnet18"), 64, "layer4.1", (512, 2, 2)),
    "resnet18 on a small picture": (torchvision_net("resnet18"), 32, "layer3.1", (256, 2, 2)),
    "vgg11": (torchvision_net("vgg11", init_weights=False), 224, "features.20", (512, 7, 7)),
    "googlenet": (torchvision_net("googlenet", init_weights=False), 64, "inception5b", (1024, 2, 2)),
    "densenet121": (torchvision_net("densenet121"), 64, "features.norm5", (1024, 2, 2)),
    "mobilenet_v3_small": (torchvision_net("mobilenet_v3_small"), 64, "features.12.2", (576, 2, 2)),
    "swin_t": (torchvision_net("swin_t"), 64, "permute", (768, 2, 2)),
    "a small vision transformer": (TokensOfPatches, 64, "vit.conv_proj", (16, 4, 4)),
}


@pytest.mark.parametrize("case", LAST)
def test_the_last_maps_of_known_networks(case: str, picture: Image.Image) -> None:
    make, size, name, shape = LAST[case]
    torch.manual_seed(0)
    engine = engine_of(make(), size)
    x = engine.prepare(picture)
    assert engine.last_maps(x) == name
    assert engine.layers_for(x)[name].shape == shape
    assert engine.outputs(x, [name])[name].shape == (1, *shape)


class Whole(fx.Tracer):
    """Takes layers apart, but not the blocks that join their branches in code: as one module they are maps."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Inception) or super().is_leaf_module(m, module_qualified_name)


def disguised(net: nn.Module, seed: int) -> nn.Module:
    """The same computation with layers of other names, listed in another order."""
    graph = Whole().trace(net)
    modules = dict(net.named_modules())
    used = sorted({str(node.target) for node in graph.nodes if node.op == "call_module"})
    rng = random.Random(seed)
    names = dict(zip(used, rng.sample(range(1000, 9999), len(used)), strict=True))
    for node in graph.nodes:
        if node.op == "call_module":
            node.target = f"classifier_{names[str(node.target)]}"  # a name that promises something else
    listed = rng.sample(used, len(used))
    return fx.GraphModule({f"classifier_{names[name]}": modules[name] for name in listed}, graph)


@pytest.mark.parametrize(
    "case", ["squeezenet1_1", "resnet18", "googlenet", "densenet121", "mobilenet_v3_small", "a plain one"]
)
def test_a_network_renamed_and_listed_in_another_order_has_the_same_last_maps(case: str, picture: Image.Image) -> None:
    torch.manual_seed(0)
    net = (plain() if case == "a plain one" else LAST[case][0]()).eval()
    one, other = (engine_of(each, 64, dtype=torch.float64) for each in (net, disguised(net, 1)))
    x = one.prepare(picture)
    name, again = one.last_maps(x), other.last_maps(x)
    assert again.startswith("classifier_")
    assert torch.equal(one.outputs(x, [name])[name], other.outputs(x, [again])[again])


def test_class_maps_are_scores_and_not_the_last_maps(picture: Image.Image) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(6, 5, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    engine = engine_of(net)
    assert engine.last_maps(engine.prepare(picture)) == "1"  # and not dropout, which passes on the same


def test_a_layer_after_the_classifier_changes_nothing(picture: Image.Image) -> None:
    engine = engine_of(nn.Sequential(*plain(), nn.BatchNorm1d(5), nn.Softmax(1)))
    assert engine.last_maps(engine.prepare(picture)) == "4"


def test_an_own_container_counts_as_the_maps_that_it_puts_out(picture: Image.Image) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(8, len(CLASSES))
            self.stem = nn.Conv2d(3, 8, 3)
            self.act = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.fc((self.act(self.stem(x)) + 1).amax((2, 3)))

    engine = engine_of(Net())
    assert engine.last_maps(engine.prepare(picture)) == "act"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("7", "4"),
        ("4", "3"),
        ("3", "2"),
        ("2", "1"),
        ("1", "0"),
        ("5", "4"),
    ],
)
def test_the_last_maps_before_a_layer_finished_before_it_began(
    before: str, expected: str, picture: Image.Image
) -> None:
    engine = engine_of(plain())
    assert engine.last_maps(engine.prepare(picture), before=before) == expected


def test_the_last_maps_before_a_block_are_not_inside_it(picture: Image.Image) -> None:
    engine = engine_of(LAST["resnet18"][0](), 64)
    x = engine.prepare(picture)
    assert engine.last_maps(x, before="layer4") == "layer3.1"
    assert engine.last_maps(x, before="layer4.1") == "layer4.0"
    assert engine.last_maps(x, before="layer4.1.bn2") == "layer4.1.conv2"
    assert engine.last_maps(x, before="fc") == "layer4.1"


def test_the_last_maps_before_one_call_of_a_shared_layer(picture: Image.Image) -> None:
    engine = engine_of(Backwards())
    x = engine.prepare(picture)
    assert engine.last_maps(x, before="act#1") == "early"
    assert engine.last_maps(x, before="act#2") == engine.last_maps(x, before="act") == "late.1"
    with pytest.raises(NoLayerError, match="runs 2 time"):
        engine.last_maps(x, before="act#3")
    with pytest.raises(NoLayerError, match="did you mean 'early'"):
        engine.last_maps(x, before="earl")


@pytest.mark.parametrize("unit", [Unit("act#1", 2), Unit("act#1", 2, 3, 3), Unit("act", 5), Unit("zz_head.1", 4)])
def test_a_unit_depends_on_the_last_maps_before_its_layer(unit: Unit, picture: Image.Image) -> None:
    engine = engine_of(Backwards(), dtype=torch.float64)
    x = engine.prepare(picture)
    name = engine.last_maps(x, before=unit.layer)
    found = engine.gradients(x, engine.objective(x, unit), [name])
    assert found.gradients[name].abs().max() > 0


def test_a_network_without_maps_is_an_error_that_points_to_pixel_attributions(picture: Image.Image) -> None:
    engine = engine_of(nn.Sequential(nn.Flatten(), nn.Linear(3072, 8), nn.ReLU(), nn.Linear(8, 5)))
    with pytest.raises(ValueError, match="Sequential has no layer with a spatial extent for an input of 32x32; .*sali"):
        engine.last_maps(engine.prepare(picture))
    engine = engine_of(plain())
    with pytest.raises(ValueError, match="no layer with a spatial extent before '0' for an input of 32x32"):
        engine.last_maps(engine.prepare(picture), before="0")


def test_rows_are_plain_records() -> None:
    assert engine_of(plain()).layers["6"] == Layer(
        "6", "Flatten", (8,), 0, engine_of(plain()).layers["5"].receptive_field, order=6, reads=Inflow(("5",))
    )


def test_the_usual_size_is_that_of_the_transform() -> None:
    assert Engine(plain(), transform=TRANSFORM).layers["0"].shape == (6, 32, 32)
    with pytest.warns(UserWarning, match="no transform"):
        engine = Engine(plain())
    assert engine.layers["0"].shape == (6, 224, 224)
