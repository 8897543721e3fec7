"""A class by index or name, a unit, a contrast: each is what it says, or an error that names what is near."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.layers import NoLayerError
from cnnviz_widgets.engine.targets import NoClassError, find_class
from cnnviz_widgets.models import imagenet_categories
from cnnviz_widgets.results import Unit
from tests.engine.nets import CLASSES, TRANSFORM, plain

IMAGENET = imagenet_categories()


class Every(nn.Module):
    """Maps, maps of one position, a rectifier shared by maps and vectors, tokens, no tensor, a layer never run."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.relu = nn.ReLU()
        self.tokens = nn.Flatten(2)
        self.words = nn.Linear(6, 4)
        self.squeeze = nn.Conv2d(6, 8, 1)
        self.gate = nn.SiLU()
        self.middle = nn.Linear(8, 10)
        self.fc = nn.Linear(10, len(CLASSES))
        self.unused = nn.Linear(2, 2)
        self.table = Table()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x))
        self.words(self.tokens(x).transpose(1, 2))
        self.table(x)
        x = self.gate(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.fc(self.relu(self.middle(x.flatten(1))))


class Table(nn.Module):
    """Gives no tensor."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"maps": x}


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(Every(), transform=TRANSFORM, categories=CLASSES, dtype=torch.float64)


# --- classes by index -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [2, np.int64(2), np.uint8(2), np.int16(2), "cat"])
def test_a_class_is_given_by_any_whole_number_or_by_name(target: Any, engine: Engine) -> None:
    found = engine.check_target(target)
    assert found == 2 and type(found) is int


@pytest.mark.parametrize("target", [5, -1, 1000, np.int64(-5), np.uint8(255), 2**70])
def test_a_class_index_that_does_not_exist_is_an_error_with_the_range(target: Any, engine: Engine) -> None:
    with pytest.raises(IndexError) as caught:
        engine.check_target(target)
    assert str(caught.value) == f"no class {target}; this network has classes 0 to 4"


@pytest.mark.parametrize(
    "target", [True, np.True_, 2.0, np.float32(2), b"2", ("cat",), [2], None, torch.tensor(2), np.array(2)]
)
def test_what_is_neither_number_nor_name_nor_unit_is_an_error_that_shows_it(target: Any, engine: Engine) -> None:
    with pytest.raises(TypeError) as caught:
        engine.check_target(target)
    assert str(caught.value) == f"a target is a class index, a class name or a Unit, not {target!r}"


# --- classes by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["Egyptian cat", "egyptian cat", "EGYPTIAN CAT", "  Egyptian cat\n", np.str_("egyptian Cat")]
)
def test_a_name_is_found_whatever_its_case_and_the_blanks_around_it(target: str) -> None:
    assert find_class(target, IMAGENET) == 285 == IMAGENET.index("Egyptian cat")


def test_every_name_that_imagenet_uses_once_is_found_in_any_case() -> None:
    lower = [name.lower() for name in IMAGENET]
    assert lower.count("cardigan") == 2  # the dog has a capital letter, the jacket has not
    for number, name in enumerate(IMAGENET):
        if IMAGENET.count(name) == 1:
            assert find_class(name, IMAGENET) == number
        if lower.count(name.lower()) == 1:
            assert find_class(name.upper(), IMAGENET) == number


@pytest.mark.parametrize(
    ("name", "both"), [("crane", [134, 517]), ("Crane", [134, 517]), ("maillot", [638, 639]), ("CARDIGAN", [264, 474])]
)
def test_a_name_of_two_classes_is_an_error_with_both_indices(name: str, both: list[int]) -> None:
    names = list(IMAGENET)  # as older versions of torchvision have them
    names[134], names[639] = "crane", "maillot"
    with pytest.raises(NoClassError) as caught:
        find_class(name, names)
    assert str(caught.value) == f"2 classes are called {name!r}; say which by its index: {both[0]} or {both[1]}"
    assert [find_class(number, names) for number in both] == both


def test_of_names_that_differ_in_case_only_the_exact_one_is_meant() -> None:
    names = ("Crane", "crane", "CRANE")
    assert [find_class(name, names) for name in names] == [0, 1, 2]
    with pytest.raises(NoClassError, match="3 classes are called 'cRaNe'; say which by its index: 0, 1 or 2"):
        find_class("cRaNe", names)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tabbi", "no class 'tabbi'; did you mean 'tabby'?"),
        ("Egyptain cat", "no class 'Egyptain cat'; did you mean 'Egyptian cat' or 'Persian cat'?"),
        ("goldfinsh", "no class 'goldfinsh'; did you mean 'goldfish', 'goldfinch'"),
        ("siamese", "no class 'siamese'; did you mean 'Siamese cat'"),
        ("retriever", "no class 'retriever'; did you mean 'flat-coated retriever', 'curly-coated retriever', "),
        ("qqqqqqqq", "no class 'qqqqqqqq'; engine.categories lists the names"),
        ("", "no class ''; engine.categories lists the names"),
        ("  ", "no class '  '; engine.categories lists the names"),
    ],
)
def test_a_wrong_name_is_a_key_error_that_says_what_is_near(target: str, message: str) -> None:
    with pytest.raises(KeyError) as caught:
        find_class(target, IMAGENET)
    assert isinstance(caught.value, NoClassError)
    assert str(caught.value).startswith(message)
    assert str(caught.value).count(" or ") <= 1 and len(str(caught.value)) < 200


def test_names_that_hold_what_was_asked_for_are_suggested_first() -> None:
    with pytest.raises(NoClassError) as caught:
        find_class("shark", IMAGENET)
    suggested = str(caught.value).partition("did you mean ")[2]
    holding = [name for name in IMAGENET if "shark" in name.lower()]
    assert [suggested.count(repr(name)) for name in holding] == [1] * len(holding)
    assert suggested.startswith(repr(holding[0]))


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit",
    [
        *(Unit("conv", 5), Unit("conv", 0, 14, 14), Unit("conv#1", 5, 0, 14), Unit("relu#1", 5, 14, 0)),
        *(Unit("relu", 9), Unit("relu#2", 9), Unit("squeeze", 7), Unit("squeeze", 7, 0, 0), Unit("gate", 7)),
        *(Unit("middle", 9), Unit("fc", 4)),
    ],
)
def test_a_unit_that_the_network_has_is_a_target(unit: Unit, engine: Engine, picture: Image.Image) -> None:
    assert engine.check_target(unit) is unit
    x = engine.prepare(picture)
    objective = engine.objective(x, unit)
    assert objective.target is unit and objective.layers == (unit.layer,) and objective.name == str(unit)
    assert engine.values(x, objective).shape == (1,)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (Unit("conv", 6), "no channel 6 in layer 'conv'; it has 0 to 5"),
        (Unit("relu", 10), "no channel 10 in layer 'relu'; it has 0 to 9"),
        (Unit("relu#1", 6), "no channel 6 in layer 'relu#1'; it has 0 to 5"),
        (Unit("fc", 5), "no channel 5 in layer 'fc'; it has 0 to 4"),
        (Unit("gate", 8), "no channel 8 in layer 'gate'; it has 0 to 7"),
        (Unit("conv", 0, 15, 0), "no position y=15, x=0 in layer 'conv'; its maps are 15 x 15"),
        (Unit("relu#1", 0, 3, 99), "no position y=3, x=99 in layer 'relu#1'; its maps are 15 x 15"),
        (Unit("squeeze", 0, 0, 1), "no position y=0, x=1 in layer 'squeeze'; its maps are 1 x 1"),
    ],
)
def test_a_unit_outside_of_its_layer_is_an_error_with_the_range(unit: Unit, message: str, engine: Engine) -> None:
    with pytest.raises(IndexError) as caught:
        engine.check_target(unit)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (Unit("fc", 1, 0, 0), "layer 'fc' has no positions, so its unit takes a channel only"),
        (Unit("relu", 1, 2, 2), "layer 'relu' has no positions, so its unit takes a channel only"),
        (Unit("unused", 0), "layer 'unused' has no units: it did not run"),
        (Unit("table", 0), "layer 'table' has no units: it gives no tensor"),
        (Unit("words", 0), "layer 'words' puts out (225, 4) values whose channels and positions are not known"),
    ],
)
def test_a_layer_that_has_no_such_unit_says_what_it_has(unit: Unit, message: str, engine: Engine) -> None:
    with pytest.raises(ValueError) as caught:
        engine.check_target(unit)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("con", "no layer 'con' in Every; did you mean 'conv'"),
        ("features.3", "no layer 'features.3' in Every"),
        ("relu#3", "'relu' runs 2 time(s) in a pass, so there is no call 'relu#3'"),
    ],
)
def test_a_unit_of_a_layer_that_does_not_exist_says_what_is_near(layer: str, message: str, engine: Engine) -> None:
    with pytest.raises(NoLayerError) as caught:
        engine.check_target(Unit(layer, 0))
    assert str(caught.value).startswith(message)


def test_positions_are_those_of_the_picture_at_hand(engine: Engine) -> None:
    wide = torch.zeros(1, 3, 32, 64, dtype=torch.float64)
    assert engine.objective(wide, Unit("conv", 0, 14, 30)).target == Unit("conv", 0, 14, 30)
    with pytest.raises(IndexError, match="its maps are 15 x 31"):
        engine.objective(wide, Unit("conv", 0, 15, 30))
    with pytest.raises(IndexError, match="its maps are 15 x 15"):
        engine.check_target(Unit("conv", 0, 14, 30))


# --- what the score is ------------------------------------------------------------------------------------------------


def by_hand(engine: Engine, x: Tensor) -> dict[str, Tensor]:
    net = cast(Every, engine.model)
    weights = {name: value.detach().double() for name, value in net.named_parameters()}

    def linear(name: str, value: Tensor) -> Tensor:
        return F.linear(value, weights[f"{name}.weight"].flatten(1), weights[f"{name}.bias"])

    conv = F.conv2d(x, weights["conv.weight"], weights["conv.bias"], stride=2)
    squeeze = linear("squeeze", conv.relu().mean((2, 3)))
    middle = linear("middle", F.silu(squeeze))
    return {"conv": conv, "squeeze": squeeze, "middle": middle, "scores": linear("fc", middle.relu())}


@pytest.fixture(scope="module")
def x(engine: Engine) -> Tensor:
    """Three inputs."""
    return torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_class_has_its_logit_probability_or_log_probability(engine: Engine, x: Tensor) -> None:
    scores = by_hand(engine, x)["scores"]
    expected: dict[Any, Tensor] = {
        "logit": scores[:, 3],
        "probability": scores.exp()[:, 3] / scores.exp().sum(1),
        "log_probability": (scores.exp()[:, 3] / scores.exp().sum(1)).log(),
    }
    for score, values in expected.items():
        assert_close(engine.values(x, engine.objective(x[:1], "dog", score=score)), values)
    assert_close(engine.values(x, engine.objective(x[:1], 3)), expected["logit"])


def test_a_contrast_is_the_difference_of_two_scores(engine: Engine, x: Tensor) -> None:
    scores = by_hand(engine, x)["scores"]
    objective = engine.objective(x[:1], "dog", against="bee")
    assert_close(engine.values(x, objective), scores[:, 3] - scores[:, 1])
    assert (objective.target, objective.against, objective.name) == (3, 1, "dog - bee")
    shares = scores.softmax(1)
    found = engine.values(x, engine.objective(x[:1], "dog", against="bee", score="probability"))
    assert_close(found, shares[:, 3] - shares[:, 1])


def test_a_unit_with_a_position_is_the_value_there(engine: Engine, x: Tensor) -> None:
    found = engine.values(x, engine.objective(x[:1], Unit("conv", 4, 3, 12)))
    assert_close(found, by_hand(engine, x)["conv"][:, 4, 3, 12])


def test_a_unit_without_a_position_is_its_channels_strongest_value(engine: Engine, x: Tensor) -> None:
    maps = by_hand(engine, x)["conv"][:, 4]
    assert_close(engine.values(x, engine.objective(x[:1], Unit("conv", 4))), maps.flatten(1).max(1).values)
    assert maps.flatten(1).max(1).indices.unique().numel() > 1  # each picture's own strongest


def test_a_unit_of_a_vector_is_that_value(engine: Engine, x: Tensor) -> None:
    values = by_hand(engine, x)
    assert_close(engine.values(x, engine.objective(x[:1], Unit("middle", 9))), values["middle"][:, 9])
    assert_close(engine.values(x, engine.objective(x[:1], Unit("relu", 9))), values["middle"][:, 9].relu())
    assert_close(engine.values(x, engine.objective(x[:1], Unit("squeeze", 2))), values["squeeze"][:, 2])
    assert_close(engine.values(x, engine.objective(x[:1], Unit("gate", 2))), F.silu(values["squeeze"][:, 2]))
    assert_close(engine.values(x, engine.objective(x[:1], Unit("fc", 2))), values["scores"][:, 2])


def test_units_and_classes_can_be_contrasted_with_each_other(engine: Engine, x: Tensor) -> None:
    values = by_hand(engine, x)
    one, other = Unit("conv", 1, 2, 3), Unit("middle", 0)
    conv, middle = values["conv"][:, 1, 2, 3], values["middle"][:, 0]
    mixed = engine.objective(x[:1], one, against=other)
    assert_close(engine.values(x, mixed), conv - middle)
    assert mixed.name == "conv channel 1 at y=2, x=3 - middle channel 0"
    assert_close(engine.values(x, engine.objective(x[:1], "eel", against=one)), values["scores"][:, 4] - conv)
    same_layer = engine.objective(x[:1], one, against=Unit("conv", 2))
    assert same_layer.layers == ("conv",)
    assert_close(engine.values(x, same_layer), conv - values["conv"][:, 2].flatten(1).amax(1))


def test_without_a_target_the_most_probable_class_is_explained(engine: Engine, picture: Image.Image) -> None:
    prepared = engine.prepare(picture)
    best = int(by_hand(engine, prepared)["scores"][0].argmax())
    objective = engine.objective(prepared)
    assert (objective.target, objective.name, objective.against) == (best, CLASSES[best], None)
    assert engine.predict(picture, top=1).indices.tolist() == [best]


@pytest.mark.parametrize(
    ("target", "against", "name"),
    [("cat", "cat", "cat"), ("cat", 2, "cat"), (Unit("conv", 1), Unit("conv", 1), "conv channel 1")],
)
def test_a_contrast_with_itself_is_an_error(
    target: Any, against: Any, name: str, engine: Engine, picture: Image.Image
) -> None:
    with pytest.raises(ValueError) as caught:
        engine.objective(engine.prepare(picture), target, against)
    assert str(caught.value) == f"target and against are both {name!r}; a contrast needs two"


def test_a_contrast_of_the_most_probable_class_with_itself_is_an_error(engine: Engine, picture: Image.Image) -> None:
    best = engine.predict(picture).indices[0]
    with pytest.raises(ValueError, match="a contrast needs two"):
        engine.objective(engine.prepare(picture), against=best)


def test_the_second_of_a_contrast_is_checked_like_the_first(engine: Engine, picture: Image.Image) -> None:
    prepared = engine.prepare(picture)
    with pytest.raises(NoClassError, match="did you mean 'bee'"):
        engine.objective(prepared, "cat", "beee")
    with pytest.raises(IndexError, match="no channel 6 in layer 'conv'"):
        engine.objective(prepared, "cat", Unit("conv", 6))
    with pytest.raises(TypeError, match="not True"):
        engine.objective(prepared, "cat", True)


@pytest.mark.parametrize("score", ["softmax", "Logit", "", None, 1])
def test_an_unknown_score_is_an_error_with_those_that_there_are(
    score: Any, engine: Engine, picture: Image.Image
) -> None:
    with pytest.raises(ValueError) as caught:
        engine.objective(engine.prepare(picture), 0, score=score)
    assert str(caught.value) == f"score={score!r}; wanted one of 'logit', 'probability', 'log_probability'"


@pytest.mark.parametrize("score", ["probability", "log_probability"])
def test_a_unit_has_no_probability(score: Any, engine: Engine, picture: Image.Image) -> None:
    prepared = engine.prepare(picture)
    for target, against in ((Unit("conv", 1), None), (0, Unit("conv", 1))):
        with pytest.raises(ValueError, match=f"score='{score}' is for classes; a unit has only its activation"):
            engine.objective(prepared, target, against, score)


def test_an_objective_is_a_key_by_what_it_asks(engine: Engine, picture: Image.Image) -> None:
    prepared = engine.prepare(picture)
    questions: list[dict[str, Any]] = [
        {"target": "cat"},
        {"target": 2},
        {"target": "cat", "against": "dog"},
        {"target": "cat", "score": "probability"},
        {"target": Unit("conv", 2)},
    ]
    asked = [engine.objective(prepared, **question) for question in questions]
    assert asked[0] == asked[1] and hash(asked[0]) == hash(asked[1])
    assert len(set(asked)) == 4


def test_more_classes_than_names_are_numbered() -> None:
    unnamed = Engine(plain(classes=1003), transform=TRANSFORM)
    assert unnamed.check_target("class 1002") == 1002
    with pytest.raises(NoClassError, match="did you mean 'class 10"):
        unnamed.check_target("class 1003")
    named = Engine(plain(classes=1000), transform=TRANSFORM)
    assert named.check_target("tabby") == IMAGENET.index("tabby")
    assert math.isclose(sum(named.predict(Image.new("RGB", (32, 32)), top=1000).probabilities), 1, rel_tol=1e-4)
