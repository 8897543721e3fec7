"""The engine takes any network, shows what it saw, and answers as the network itself would."""

from __future__ import annotations

import copy
import threading
import warnings
from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision import transforms

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.methods.backprop import saliency
from cnnviz_widgets.methods.cam import grad_cam
from cnnviz_widgets.models import Preprocessing, imagenet_categories
from cnnviz_widgets.results import Unit
from tests.engine.nets import CLASSES, TRANSFORM, plain
from tests.engine.snapshot import snapshot

Both = namedtuple("Both", ["first", "second"])


class Wrapped(nn.Module):
    """A plain network whose scores come wrapped in something."""

    def __init__(self, wrap: Callable[[Tensor], Any], body: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.wrap = body or plain(), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.body(x))


class Normed(nn.Module):
    """A batch norm that would be trained if the module itself ran in its training mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.fc = nn.Linear(6, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.maps(x).mean((2, 3)))

    def maps(self, x: Tensor) -> Tensor:
        return self.body(x)


def engine_of(net: nn.Module, **options: Any) -> Engine:
    return Engine(net, **{"transform": TRANSFORM, **options})


def weight_of(net: nn.Sequential, number: int, name: str = "weight") -> nn.Parameter:
    return net[number].get_parameter(name)


def expected_scores(net: nn.Module, engine: Engine, *pictures: Image.Image) -> NDArray[np.float64]:
    """The scores of a copy of the network, run by itself in double precision."""
    x = torch.cat([engine.prepare(picture) for picture in pictures]).double()
    with torch.no_grad():
        return copy.deepcopy(net).double().eval()(x).numpy()


# --- which networks it takes ------------------------------------------------------------------------------------------


def test_a_bundled_network_comes_with_its_preprocessing_and_names(picture: Image.Image) -> None:
    engine = Engine("squeezenet1_1")
    assert engine.name == "squeezenet1_1"
    assert engine.categories == imagenet_categories()
    x = engine.prepare(picture)
    assert x.shape == (1, 3, 224, 224) and engine.preprocessing.channels == "BGR"
    with torch.no_grad():
        assert_close(torch.from_numpy(engine.scores(picture)), engine.model.eval()(x), rtol=1e-4, atol=1e-4)


def test_a_bundled_network_takes_other_names_and_another_transform(picture: Image.Image) -> None:
    names = [f"thing {n}" for n in range(1000)]
    engine = Engine("squeezenet1_1", categories=names, transform=TRANSFORM)
    assert engine.categories == tuple(names)
    assert engine.prepare(picture).shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="2 categories for a network of 1000 outputs"):
        Engine("squeezenet1_1", categories=["cat", "dog"], transform=TRANSFORM)


def test_an_unknown_name_is_an_error_that_says_what_is_near() -> None:
    with pytest.raises(ValueError, match="squeezenet1_1"):
        Engine("squeezenet1_2")


@pytest.mark.parametrize(
    "model", [None, 7, b"resnet18", nn.Linear, plain, ["resnet18"], {"conv.weight": torch.ones(1)}]
)
def test_what_is_no_network_is_an_error_that_says_what_came(model: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Engine(model)
    assert str(caught.value).startswith(f"model is {type(model).__name__}; wanted a name such as 'squeezenet1_1'")


def test_an_own_module_without_a_transform_warns_that_one_was_assumed(picture: Image.Image) -> None:
    with pytest.warns(UserWarning, match=r"Engine\(Sequential\) was given no transform .* pass transform="):
        engine = Engine(plain())
    assert engine.prepare(picture).shape == (1, 3, 224, 224)
    assert engine.preprocessing == Preprocessing()


def test_an_own_module_with_a_transform_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert engine_of(plain()).name == "Sequential"


@pytest.mark.parametrize(
    ("transform", "error", "message"),
    [
        (lambda picture: np.zeros((1, 3, 32, 32)), ValueError, "one picture is wanted, no batch"),
        (transforms.Compose([transforms.RandomCrop(16), transforms.ToTensor()]), ValueError, "is random"),
        ("imagenet", TypeError, "wanted a transform that can be called"),
    ],
)
def test_a_transform_that_cannot_be_right_is_refused_at_once(
    transform: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Engine(plain(), transform=transform)


def test_networks_without_values_are_refused_at_once() -> None:
    for net in (nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten()), plain().to("meta")):
        with pytest.raises(ValueError, match="have no values yet"):
            engine_of(net)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, "float32", float])
def test_a_dtype_that_is_no_floating_type_is_an_error(dtype: Any) -> None:
    with pytest.raises(ValueError, match="wanted a floating point type such as torch.float32"):
        engine_of(plain(), dtype=dtype)


@pytest.mark.parametrize("batch_size", [0, -1, 1.0, True, "8"])
def test_a_batch_size_that_is_no_whole_number_is_an_error(batch_size: Any) -> None:
    with pytest.raises(ValueError, match="wanted a whole number from 1 up, or None"):
        engine_of(plain(), batch_size=batch_size)


def test_it_says_what_it_is() -> None:
    assert repr(engine_of(plain(), device="cpu")) == "Engine(Sequential on cpu, float32)"
    assert repr(engine_of(plain().double(), device="cpu")) == "Engine(Sequential on cpu, float64)"
    assert repr(engine_of(nn.DataParallel(Normed()), device="cpu")) == "Engine(Normed on cpu, float32)"


# --- wrapped and compiled networks ------------------------------------------------------------------------------------


def compiled(net: nn.Module) -> nn.Module:
    compiled: Any = torch.compile(net, backend="eager")
    return compiled


def in_place(net: nn.Module) -> nn.Module:
    net.compile(backend="eager")
    return net


def part_compiled(net: Any) -> nn.Module:
    net.body = compiled(net.body)
    return net


def part_in_place(net: Any) -> nn.Module:
    net.body.compile(backend="eager")
    return net


def function_compiled(net: Any) -> nn.Module:
    net.maps = torch.compile(net.maps, backend="eager")
    return net


def part_parallel(net: Any) -> nn.Module:
    net.body = nn.DataParallel(net.body)
    return net


WRAPPED = [
    pytest.param(nn.DataParallel, id="DataParallel"),
    pytest.param(part_parallel, id="a part in DataParallel"),
    pytest.param(compiled, id="torch.compile"),
    pytest.param(lambda net: nn.DataParallel(compiled(net)), id="DataParallel of torch.compile"),
    pytest.param(function_compiled, id="a compiled method"),
    pytest.param(part_compiled, id="a compiled part"),
    pytest.param(in_place, id="compiled in place"),
    pytest.param(part_in_place, id="a part compiled in place"),
]


@pytest.mark.parametrize("wrap", WRAPPED)
def test_a_wrapped_network_is_seen_as_the_network_itself(
    wrap: Callable[[nn.Module], nn.Module], picture: Image.Image
) -> None:
    bare = engine_of(Normed().train())
    net = Normed().train()
    engine = engine_of(wrap(net))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert np.array_equal(engine.scores(picture), bare.scores(picture))
    conv = next(name for name, row in engine.layers.items() if row.kind == "Conv2d")
    assert torch.equal(engine.capture(picture, conv)[conv], bare.capture(picture, "body.0")["body.0"])
    assert np.array_equal(saliency(engine, picture).values, saliency(bare, picture).values)
    assert np.array_equal(grad_cam(engine, picture, layer=conv).raw, grad_cam(bare, picture, layer="body.0").raw)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_names_of_a_wrapped_network_are_those_of_the_network() -> None:
    for wrap in (nn.DataParallel, compiled, lambda net: nn.DataParallel(compiled(net))):
        assert list(engine_of(wrap(Normed())).layers) == ["body", "body.0", "body.1", "body.2", "fc"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("part", [False, True], ids=["whole", "a part"])
@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_is_refused_at_once_with_the_way_out(how: str, part: bool) -> None:
    scripted: Any = torch.jit.script(plain()) if how == "script" else torch.jit.trace(plain(), torch.rand(1, 3, 32, 32))
    with pytest.raises(
        TypeError, match="is a TorchScript module, whose inside cannot be observed; give Engine the Pyth"
    ):
        engine_of(nn.Sequential(scripted) if part else scripted)


# --- what networks return ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: (scores, scores * 2),
        lambda scores: [scores, None],
        lambda scores: Both(scores, scores * 2),
        lambda scores: {"loss": None, "logits": scores},
        lambda scores: {"out": scores, "aux": scores * 2},
        lambda scores: SimpleNamespace(logits=scores),
        lambda scores: scores[:, :, None, None],
    ],
)
def test_scores_are_found_in_what_a_network_returns(wrap: Callable[[Tensor], Any], picture: Image.Image) -> None:
    bare, engine = engine_of(plain(), categories=CLASSES), engine_of(Wrapped(wrap), categories=CLASSES)
    assert np.array_equal(engine.scores(picture), bare.scores(picture))
    assert engine.predict(picture).names == bare.predict(picture).names
    assert np.array_equal(saliency(engine, picture).values, saliency(bare, picture).values)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_of_a_network_in_training_do_not_count(name: str, picture: Image.Image) -> None:
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None, num_classes=5, init_weights=False, aux_logits=True).train()
    transform = transforms.Compose([transforms.Resize((96, 96)), transforms.ToTensor()])
    engine = engine_of(net, transform=transform, categories=CLASSES, dtype=torch.float64)
    assert_close(engine.logits(engine.prepare(picture)).numpy(), expected_scores(net, engine, picture))
    rows = engine.layers
    unused = [name for name, row in rows.items() if not row.calls]
    assert unused and all(name.lower().startswith("aux") for name in unused)
    assert net.training


@pytest.mark.parametrize(
    ("wrap", "error", "message"),
    [
        (lambda scores: {}, TypeError, "returned dict, wanted class scores"),
        (lambda scores: None, TypeError, "returned NoneType, wanted class scores"),
        (lambda scores: scores.tolist(), TypeError, "returned list, wanted class scores"),
        (lambda scores: scores.numpy(), TypeError, "returned ndarray, wanted class scores"),
        (lambda scores: {"out": scores[:, :, None, None].expand(-1, -1, 8, 8)}, ValueError, r"shape \(1, 5, 8, 8\), "),
        (lambda scores: scores[0], ValueError, r"shape \(5,\), wanted class scores \(N, classes\)"),
        (lambda scores: scores[:, None], ValueError, r"shape \(1, 1, 5\), wanted class scores \(N, classes\)"),
    ],
)
def test_a_network_that_returns_no_scores_is_an_error_that_says_what_came(
    wrap: Callable[[Tensor], Any], error: type[Exception], message: str, picture: Image.Image
) -> None:
    engine = engine_of(Wrapped(wrap))
    for ask in (engine.scores, engine.predict, lambda picture: engine.categories):
        with pytest.raises(error, match=message):
            ask(picture)
    with pytest.raises(error, match=message):
        engine_of(Wrapped(wrap), categories=CLASSES)


def test_a_network_of_one_output_has_one_class(picture: Image.Image) -> None:
    engine = engine_of(plain(classes=1), categories=["tumour"])
    found = engine.predict(picture)
    assert found.names == ("tumour",) and found.probabilities.tolist() == [1]
    assert np.abs(saliency(engine, picture, "tumour").values).max() > 0


# --- names of classes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", [CLASSES, list(CLASSES), dict(enumerate(CLASSES)), {4 - n: CLASSES[4 - n] for n in range(5)}]
)
def test_names_come_as_a_list_or_by_index(given: Any) -> None:
    assert engine_of(plain(), categories=given).categories == CLASSES


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (CLASSES[:4], "4 categories for a network of 5 outputs; give one name for each"),
        ((*CLASSES, "fox"), "6 categories for a network of 5 outputs; give one name for each"),
        ([], "0 categories for a network of 5 outputs; give one name for each"),
        ("abcde", "categories is 'abcde'; wanted a list of names, or a dict from index to name"),
        ([0, 1, 2, 3, 4], "wanted a list of names, or a dict from index to name"),
        ({1: "bee", 2: "cat", 3: "dog", 4: "eel", 5: "fox"}, "categories has 5 names but none for class 0"),
        ({"ant": 0, "bee": 1}, "categories has 2 names but none for class 0"),
    ],
)
def test_names_that_do_not_fit_are_refused_at_once(given: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        engine_of(plain(), categories=given)
    assert message in str(caught.value)


def test_without_names_the_classes_are_numbered_and_a_thousand_are_imagenets() -> None:
    assert engine_of(plain(classes=3)).categories == ("class 0", "class 1", "class 2")
    assert engine_of(plain(classes=1000)).categories == imagenet_categories()


def test_numbered_classes_follow_a_head_that_is_replaced(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net)
    assert engine.categories[-1] == "class 4"
    net[7] = nn.Linear(8, 9)
    assert engine.categories == tuple(f"class {n}" for n in range(9))
    assert engine.predict(picture, top=20).indices.size == 9
    assert engine.check_target("class 8") == 8


def test_names_that_no_longer_fit_a_replaced_head_are_an_error(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, categories=CLASSES)
    engine.predict(picture)
    net[7] = nn.Linear(8, 9)
    x = engine.prepare(picture)
    for ask in (
        lambda: engine.predict(picture),
        lambda: engine.scores(picture),
        lambda: saliency(engine, picture, "cat"),
        lambda: engine.gradients(x, engine.objective(x, 2)),
    ):
        with pytest.raises(ValueError, match="5 categories for a network of 9 outputs; give one name for each"):
            ask()


# --- scores and predictions -------------------------------------------------------------------------------------------


def test_scores_and_logits_are_those_of_the_network_itself(picture: Image.Image) -> None:
    net = Normed().train()
    engine = engine_of(net, dtype=torch.float64)
    other = picture.transpose(Image.Transpose.ROTATE_180)
    expected = expected_scores(net, engine, picture, other)
    assert_close(engine.logits(torch.cat([engine.prepare(p) for p in (picture, other)])).numpy(), expected)
    scores = engine.scores([picture, other])
    assert scores.dtype == np.float32 and scores.shape == (2, 5)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    np.testing.assert_allclose(engine_of(net).scores((picture, other)), expected, rtol=1e-4, atol=1e-5)


def test_values_of_an_objective_are_those_of_the_network_itself(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, dtype=torch.float64, batch_size=2)
    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        scores = copy.deepcopy(net).double()(x.clone())
        maps = copy.deepcopy(net[:1]).double()(x)
    assert_close(engine.values(x, engine.objective(x[:1], 1, against=3)), scores[:, 1] - scores[:, 3])
    assert_close(engine.values(x, engine.objective(x[:1], 1, score="probability")), scores.softmax(1)[:, 1])
    assert_close(engine.values(x, engine.objective(x[:1], Unit("0", 2, 4, 5))), maps[:, 2, 4, 5])


def test_a_prediction_lists_the_most_probable_classes_best_first(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, categories=CLASSES, dtype=torch.float64)
    scores = expected_scores(net, engine, picture)[0]
    order = np.argsort(-scores)
    found = engine.predict(picture, top=3)
    assert found.indices.tolist() == order[:3].tolist()
    assert found.names == tuple(CLASSES[n] for n in order[:3])
    shares = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(found.scores, scores[order[:3]], rtol=1e-6)
    np.testing.assert_allclose(found.probabilities, shares[order[:3]], rtol=1e-6)
    assert np.array_equal(found.image, engine.display(engine.prepare(picture)))
    assert (found.method, found.target, found.parameters) == ("predict", None, {"top": 3})


def test_more_classes_than_there_are_gives_all_of_them(picture: Image.Image) -> None:
    found = engine_of(plain(), categories=CLASSES).predict(picture, top=1000)
    assert sorted(found.names) == sorted(CLASSES)
    assert found.probabilities.sum() == pytest.approx(1)
    assert engine_of(plain()).predict(picture).indices.size == 5
    assert engine_of(plain()).predict(picture, top=np.int64(1)).indices.size == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [0, -1, 1.0, True, "5", None])
def test_top_that_is_no_number_from_one_up_is_an_error(top: Any, picture: Image.Image) -> None:
    with pytest.raises(ValueError) as caught:
        engine_of(plain()).predict(picture, top=top)
    assert str(caught.value) == f"top={top!r}; wanted a whole number from 1 up"


def test_equal_scores_keep_the_order_of_the_classes(picture: Image.Image) -> None:
    engine = engine_of(Wrapped(torch.zeros_like, plain(classes=1000)))
    found = engine.predict(picture, top=1000)
    assert found.indices.tolist() == list(range(1000))
    np.testing.assert_allclose(found.probabilities, 0.001, rtol=1e-6)


def test_large_scores_do_not_overflow(picture: Image.Image) -> None:
    engine = engine_of(Wrapped(lambda scores: torch.tensor([[1e30, -1e30, 0.0, 9e29, -torch.inf]]) + 0 * scores))
    found = engine.predict(picture)
    assert found.probabilities.tolist() == [1, 0, 0, 0, 0]
    assert found.indices.tolist() == [0, 3, 2, 1, 4]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_scores_that_are_no_numbers_are_an_error_and_not_a_ranking(bad: float, picture: Image.Image) -> None:
    def spoil(scores: Tensor) -> Tensor:
        return scores + torch.tensor([0, 0, bad, 0, 0])

    engine = engine_of(Wrapped(spoil), categories=CLASSES)
    for ask in (engine.predict, lambda image: saliency(engine, image), lambda image: grad_cam(engine, image)):
        with pytest.raises(ValueError, match=r"the scores of Wrapped for this picture are not all numbers .*weights"):
            ask(picture)
    assert not np.isfinite(engine.scores(picture)[0, 2]) and np.isfinite(engine.scores(picture)[0, 1])


def test_a_weight_that_is_no_number_is_an_error_at_the_first_question(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net, categories=CLASSES)
    engine.predict(picture)
    with torch.no_grad():
        weight_of(net, 3)[0] = torch.nan
    with pytest.raises(ValueError, match=r"not all numbers \(nan, nan, nan, ...\), so no class is the most probable"):
        engine.predict(picture)
    assert engine.capture(picture, "0")["0"].isfinite().all()  # which layer begins it can be found out
    assert engine.capture(picture, "3")["3"].isnan().any()


def test_what_is_trained_in_another_cell_is_seen_by_the_next_call(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net)
    before, state = engine.scores(picture), engine.state
    assert engine.state == state
    with torch.no_grad():
        weight_of(net, 7, "bias").add_(1)
    np.testing.assert_allclose(engine.scores(picture), before + 1, rtol=1e-5)
    assert engine.state != state


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_what_is_displayed_is_what_the_network_saw() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for dtype in (torch.float32, torch.float64):
        engine = engine_of(plain(), dtype=dtype)
        x = engine.prepare(pixels)
        assert x.dtype == dtype and x.shape == (1, 3, 32, 32)
        assert np.array_equal(engine.display(x), pixels)
        assert np.array_equal(engine.display(x[0]), pixels)
        assert torch.equal(engine.prepare(engine.display(x)), x)


def test_only_one_input_can_be_displayed() -> None:
    engine = engine_of(plain())
    for shape in ((2, 3, 32, 32), (32, 32), (1, 1, 3, 32, 32)):
        with pytest.raises(ValueError) as caught:
            engine.display(torch.zeros(shape))
        assert str(caught.value) == f"display takes one input (1, C, H, W) or (C, H, W), not {shape}"


def test_a_network_of_one_channel_sees_and_shows_grey(picture: Image.Image) -> None:
    net = plain(channels=1)
    grey = transforms.Compose([transforms.Grayscale(), transforms.Resize((28, 28)), transforms.ToTensor()])
    for transform in (grey, Preprocessing(resize=(28, 28), crop=None, mean=(0.0,), std=(1.0,), channels="L")):
        engine = engine_of(net, transform=transform)
        x = engine.prepare(picture)
        assert x.shape == (1, 1, 28, 28)
        shown = engine.display(x)
        assert shown.shape == (28, 28, 3) and (shown == shown[:, :, :1]).all()
        luminance = np.asarray(picture.resize((28, 28), Image.Resampling.BILINEAR).convert("L"), dtype=float)
        assert np.abs(shown[:, :, 0] - luminance).max() <= 2
        assert engine.layers["0"].shape == (6, 28, 28)
        assert saliency(engine, picture).values.shape == (1, 28, 28)
        np.testing.assert_allclose(engine.scores(picture), expected_scores(net, engine, picture), rtol=1e-4, atol=1e-5)


def test_a_network_of_blue_green_red_answers_as_its_twin_of_red_green_blue(picture: Image.Image) -> None:
    rgb, bgr = plain(), plain()
    with torch.no_grad():
        weight_of(bgr, 0).copy_(weight_of(rgb, 0).flip(1))
    numbers: dict[str, Any] = {"resize": (32, 32), "crop": None, "mean": (104.0, 117.0, 123.0), "std": (1.0, 2.0, 3.0)}
    one = engine_of(bgr, transform=Preprocessing(**numbers, scale=1.0, channels="BGR"), dtype=torch.float64)
    numbers |= {"mean": numbers["mean"][::-1], "std": numbers["std"][::-1]}
    other = engine_of(rgb, transform=Preprocessing(**numbers, scale=1.0), dtype=torch.float64)
    assert torch.equal(one.prepare(picture), other.prepare(picture).flip(1))
    assert np.array_equal(one.display(one.prepare(picture)), np.asarray(picture))
    np.testing.assert_allclose(one.scores(picture), other.scores(picture), rtol=1e-6)
    np.testing.assert_allclose(saliency(one, picture).values, saliency(other, picture).values, rtol=1e-5, atol=1e-9)


def test_a_network_that_takes_plain_numbers_from_zero_to_one(picture: Image.Image) -> None:
    engine = engine_of(plain(), transform=transforms.ToTensor())
    x = engine.prepare(picture)
    assert 0 <= x.min() < x.max() <= 1
    assert np.array_equal(engine.display(x), np.asarray(picture))
    assert engine.prepare(picture.resize((40, 24))).shape == (1, 3, 24, 40)


def test_pictures_of_several_sizes_make_one_batch_when_the_transform_makes_them_equal(picture: Image.Image) -> None:
    net = plain()
    engine = engine_of(net)
    pictures: list[Any] = [picture, picture.resize((50, 20)), np.full((9, 7, 3), 200, np.uint8), torch.rand(3, 64, 33)]
    many = engine.scores(pictures)
    assert many.shape == (4, 5)
    for each, row in zip(pictures, many, strict=True):
        np.testing.assert_allclose(engine.scores(each)[0], row, rtol=1e-5, atol=1e-6)
    assert engine.capture(pictures, "4")["4"].shape == (4, 8, 16, 16)


def test_pictures_that_stay_of_several_sizes_are_an_error_with_the_sizes(picture: Image.Image) -> None:
    engine = engine_of(plain(), transform=transforms.ToTensor())
    with pytest.raises(ValueError) as caught:
        engine.scores([picture, picture.resize((40, 24))])
    assert str(caught.value) == (
        "after the transform the pictures differ in shape: [(1, 3, 24, 40), (1, 3, 32, 32)]; give them one by one"
    )


def test_no_picture_at_all_is_an_error() -> None:
    for ask in (engine_of(plain()).scores, lambda none: engine_of(plain()).capture(none, "0")):
        with pytest.raises(ValueError, match="no picture at all was given"):
            ask([])


# --- number types -----------------------------------------------------------------------------------------------------


def test_double_precision_computes_in_double_precision(picture: Image.Image) -> None:
    net = plain()
    before = snapshot(net)
    engine = engine_of(net, dtype=torch.float64)
    x = engine.prepare(picture)
    assert x.dtype == engine.logits(x).dtype == engine.capture(picture, "3")["3"].dtype == torch.float64
    assert_close(engine.logits(x).numpy(), expected_scores(net, engine, picture), rtol=1e-13, atol=1e-13)
    assert engine.gradients(x, engine.objective(x, 0), ["3"]).gradients["3"].dtype == torch.float64
    assert snapshot(net) == before and net[0].weight.dtype == torch.float32


def test_the_number_type_is_that_of_the_weights_unless_said(picture: Image.Image) -> None:
    assert engine_of(plain().double()).dtype == torch.float64
    assert engine_of(plain().double(), dtype=torch.float32).logits(torch.rand(1, 3, 32, 32)).dtype == torch.float32
    half = engine_of(plain().to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.scores(picture), engine_of(plain()).scores(picture), atol=0.05)


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_in_batches_gives_the_same_as_at_once(batch_size: int) -> None:
    engine = engine_of(plain(), dtype=torch.float64, batch_size=batch_size)
    x = torch.randn(7, 3, 32, 32, dtype=torch.float64)
    sizes = engine.in_batches(x, len)
    assert sum(sizes) == 7 and max(sizes) == min(batch_size, 7) and all(size == batch_size for size in sizes[:-1])
    assert_close(engine.logits(x), engine_of(plain(), dtype=torch.float64, batch_size=7).logits(x))


def test_out_of_memory_the_batch_is_halved_until_it_fits_and_stays_so() -> None:
    engine = engine_of(plain(), batch_size=8)
    tried: list[int] = []

    def compute(part: Tensor) -> list[int]:
        tried.append(len(part))
        if len(part) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return part.tolist()

    assert engine.in_batches(torch.arange(5), compute) == [[0, 1], [2, 3], [4]]
    assert tried == [5, 2, 2, 1]
    assert engine.in_batches(torch.arange(4), compute) == [[0, 1], [2, 3]]


def test_what_no_smaller_batch_cures_is_raised() -> None:
    engine = engine_of(plain(), batch_size=4)

    def never(part: Tensor) -> None:
        raise torch.OutOfMemoryError(f"CUDA out of memory for {len(part)}")

    with pytest.raises(torch.OutOfMemoryError, match="for 1"):
        engine.in_batches(torch.arange(4), never)
    tried: list[int] = []

    def wrong(part: Tensor) -> None:
        tried.append(len(part))
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        engine_of(plain(), batch_size=4).in_batches(torch.arange(4), wrong)
    assert tried == [4]


# --- at the same time -------------------------------------------------------------------------------------------------


def test_threads_at_the_same_time_get_the_answers_that_each_would_get_alone(picture: Image.Image) -> None:
    net = Normed().train()
    before = snapshot(net)
    engine = engine_of(net, categories=CLASSES)
    pictures = [picture.rotate(30 * turn) for turn in range(4)]

    def answers(each: Image.Image) -> list[bytes]:
        return [
            engine.scores(each).tobytes(),
            engine.capture(each, "body.0")["body.0"].numpy().tobytes(),
            saliency(engine, each, "cat").values.tobytes(),
            grad_cam(engine, each, Unit("body.2", 1)).raw.tobytes(),
            repr(engine.predict(each)).encode(),
        ]

    alone = [answers(each) for each in pictures]
    assert len({each[0] for each in alone}) == 4
    start, wrong, rounds = threading.Barrier(4), [], []

    def ask(number: int) -> None:
        start.wait(30)
        for turn in range(10):
            if turn % 3 == 0:
                engine.cache.clear()
            if answers(pictures[number]) != alone[number]:
                wrong.append((number, turn))
            rounds.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(rounds) == 40 and wrong == []
    assert snapshot(net) == before


def test_two_engines_of_one_module_do_not_disturb_each_other(picture: Image.Image) -> None:
    net = Normed()
    one, other = engine_of(net), engine_of(net, dtype=torch.float64)
    expected = one.scores(picture)
    np.testing.assert_allclose(other.scores(picture), expected, rtol=1e-4, atol=1e-5)
    other.cache.clear()
    assert np.array_equal(one.scores(picture), expected)
    assert one.worker is not other.worker
