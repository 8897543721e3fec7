"""What SaliencyToggle promises to a notebook without a browser: everything from Python, nothing twice, nothing lost."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import nn

from cnnviz_widgets import Engine, Heatmap, PixelMap, SaliencyToggle, Unit, grad_cam, saliency
from cnnviz_widgets.data import ImageError
from cnnviz_widgets.engine import Cancelled, steps
from cnnviz_widgets.methods import backprop, cam
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets.method_menu import map_methods

NAMES = ("red fox", "grey fox", "tabby", "tiger cat", "lynx", "otter")


class SmallNet(nn.Module):
    """A GAP network; its forward passes are counted and can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(True), nn.Conv2d(8, 12, 3), nn.ReLU(True))
        self.head = nn.Linear(12, len(NAMES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    transform = Preprocessing(resize=32, crop=32)
    return Engine(SmallNet(), transform=transform, categories=NAMES, device="cpu")


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))


@pytest.fixture
def toggle(engine: Engine, picture: Image.Image) -> Iterator[SaliencyToggle]:
    toggle = SaliencyToggle(engine, picture)
    toggle.wait(20)
    yield toggle
    toggle.stop()


def slow(engine: Engine, image: Any, target: Any = None) -> Heatmap:
    """Two seconds in steps of ten milliseconds."""
    for _ in steps(range(200)):
        time.sleep(0.01)
    return grad_cam(engine, image, target)


def broken(engine: Engine, image: Any, target: Any = None) -> Heatmap:
    """Raises in the middle."""
    raise RuntimeError("the seventh layer is on fire")


def test_it_starts_with_the_likeliest_class_and_gives_what_the_function_gives(
    toggle: SaliencyToggle, engine: Engine, picture: Image.Image
) -> None:
    best = int(engine.scores(picture)[0].argmax())
    assert toggle.target == best
    assert isinstance(toggle.result, Heatmap)
    np.testing.assert_array_equal(toggle.result.values, grad_cam(engine, picture).values)
    assert repr(toggle) == f"SaliencyToggle(SmallNet: grad_cam of {NAMES[best]!r})"


@pytest.mark.parametrize("name", list(map_methods()))
def test_every_method_of_the_menu_equals_its_function(
    toggle: SaliencyToggle, engine: Engine, picture: Image.Image, name: str
) -> None:
    toggle.target, toggle.method = "lynx", name
    result = toggle.wait(30)
    assert result is not None and result.method == name and result.target_name == "lynx"
    np.testing.assert_array_equal(result.values, map_methods()[name](engine, picture, "lynx").values)


def test_the_menu_is_filled_from_what_returns_a_map() -> None:
    public = {
        name: function
        for module in (backprop, cam)
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__annotations__", {}).get("return") in ("Heatmap", "PixelMap")
    }
    offered = map_methods()
    assert {"saliency", "deconvnet", "guided_backprop", "cam", "grad_cam", "score_cam"} <= set(offered)
    assert set(offered) <= set(public) and not any(name.startswith("_") for name in offered)


def test_own_methods_can_be_offered_and_what_is_no_map_method_is_refused(engine: Engine, picture: Image.Image) -> None:
    def inverted(engine: Engine, image: Any, target: Any = None) -> PixelMap:
        """Saliency upside down."""
        return saliency(engine, image, target)

    toggle = SaliencyToggle(engine, picture, methods=[grad_cam, inverted])
    toggle.method = "inverted"
    assert isinstance(toggle.wait(20), PixelMap)
    with pytest.raises(TypeError, match="no map method; wanted"):
        SaliencyToggle(engine, picture, methods=[print])


def test_going_back_to_a_computed_map_runs_nothing_and_gives_the_same_result(toggle: SaliencyToggle) -> None:
    first = toggle.result
    toggle.method = "saliency"
    toggle.wait(20)
    before = toggle.engine.worker.submitted
    toggle.method = "grad_cam"
    assert toggle.result is first
    assert toggle.engine.worker.submitted == before


def test_after_training_the_same_question_is_answered_anew(toggle: SaliencyToggle, engine: Engine) -> None:
    before = toggle.result
    with torch.no_grad():
        engine.model.head.weight.mul_(-1)  # type: ignore[union-attr]
    toggle.method = "saliency"
    toggle.wait(20)
    toggle.method = "grad_cam"
    after = toggle.wait(20)
    assert before is not None and after is not None
    assert not np.array_equal(before.values, after.values)


def test_why_not_and_contrast_are_the_functions_own(
    toggle: SaliencyToggle, engine: Engine, picture: Image.Image
) -> None:
    toggle.target = "otter"
    toggle.mode = "why not"
    np.testing.assert_array_equal(
        toggle.wait(20).values,  # type: ignore[union-attr]
        grad_cam(engine, picture, "otter", counterfactual=True).values,
    )
    toggle.mode, toggle.against = "contrast", "tabby"
    result = toggle.wait(20)
    assert result is not None and result.target_name == "otter - tabby"
    np.testing.assert_array_equal(result.values, grad_cam(engine, picture, "otter", against="tabby").values)


def test_a_contrast_without_a_second_class_takes_the_likeliest_other(toggle: SaliencyToggle, engine: Engine) -> None:
    toggle.mode = "contrast"
    order = np.argsort(-engine.scores(toggle.image)[0])
    assert toggle.wait(20).target_name == f"{NAMES[order[0]]} - {NAMES[order[1]]}"  # type: ignore[union-attr]


def test_a_method_that_cannot_answer_why_not_says_which_can(toggle: SaliencyToggle) -> None:
    toggle.method, toggle.mode = "saliency", "why not"
    with pytest.raises(ValueError, match="Saliency cannot answer 'why not'; these can: .*Grad-CAM"):
        toggle.wait(20)
    assert toggle.canvas.status["state"] == "error" and "cannot answer" in toggle.canvas.status["text"]
    assert toggle.result is None
    toggle.mode = "why"
    assert toggle.wait(20) is not None and toggle.canvas.status["state"] != "error"


def test_two_methods_side_by_side(toggle: SaliencyToggle) -> None:
    assert toggle.other_result is None
    toggle.compare, toggle.other_method = True, "guided_backprop"
    toggle.wait(20)
    assert toggle.result is not None and toggle.result.method == "grad_cam"
    assert toggle.other_result is not None and toggle.other_result.method == "guided_backprop"
    toggle.compare = False
    assert toggle.other_result is None


def test_a_unit_can_be_the_target(toggle: SaliencyToggle) -> None:
    toggle.target = Unit("features.0", 3, 5, 6)
    toggle.method = "saliency"
    assert toggle.wait(20).target_name == "features.0 channel 3 at y=5, x=6"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("target", "tabbi", "did you mean 'tabby'"),
        ("target", 6, "classes 0 to 5"),
        ("target", Unit("features.9", 0), "no layer 'features.9'"),
        ("method", "gradcam", "did you mean 'grad_cam'"),
        ("mode", "because", "there are why, why not, contrast"),
        ("pixels", "color", "did you mean 'colour'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_near_and_changes_nothing(
    toggle: SaliencyToggle, trait: str, value: Any, message: str
) -> None:
    before, result = getattr(toggle, trait), toggle.result
    with pytest.raises((KeyError, IndexError, traitlets.TraitError), match=message):
        setattr(toggle, trait, value)
    assert getattr(toggle, trait) == before and toggle.result is result


def test_a_wrong_class_typed_into_the_search_is_told_on_the_screen(toggle: SaliencyToggle) -> None:
    target = toggle.target
    toggle._picker.search.value = "tabbi"
    assert "did you mean 'tabby'" in toggle.canvas.error and toggle.target == target
    toggle._picker.search.value = "tabby"
    assert toggle.canvas.error == "" and toggle.wait(20).target_name == "tabby"  # type: ignore[union-attr]


def test_a_bad_picture_is_an_error_and_the_old_one_stays(toggle: SaliencyToggle) -> None:
    result = toggle.result
    with pytest.raises(ImageError):
        toggle.image = np.full((8, 8, 3), np.nan)
    toggle.canvas._answer(None, {"type": "file", "name": "notes.txt"}, [b"no picture at all"])
    assert toggle.canvas.error and toggle.result is result


def test_an_own_picture_is_looked_at_anew(toggle: SaliencyToggle, engine: Engine) -> None:
    other = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 33, 3), dtype=np.uint8))
    content = io.BytesIO()
    other.save(content, "PNG")
    toggle.canvas._answer(None, {"type": "file", "name": "other.png"}, [content.getvalue()])
    result = toggle.wait(20)
    assert result is not None
    np.testing.assert_array_equal(result.values, grad_cam(engine, other).values)
    np.testing.assert_array_equal(toggle.predictions.image, engine.display(engine.prepare(other)))


def test_an_error_in_a_method_is_shown_and_raised_by_wait_and_the_next_method_works(
    engine: Engine, picture: Image.Image
) -> None:
    toggle = SaliencyToggle(engine, picture, methods=[broken, grad_cam])
    with pytest.raises(RuntimeError, match="on fire"):
        toggle.wait(20)
    assert toggle.canvas.status["text"] == "the seventh layer is on fire"
    toggle.method = "grad_cam"
    assert toggle.wait(20) is not None


def test_a_slow_method_reports_progress_and_stops_at_once(engine: Engine, picture: Image.Image) -> None:
    toggle = SaliencyToggle(engine, picture, methods=[slow, grad_cam])
    shares: list[float] = []
    toggle.canvas.observe(lambda change: shares.append(change["new"]["progress"]), "status")
    deadline = time.monotonic() + 10
    while not any(shares) and time.monotonic() < deadline:
        time.sleep(0.01)
    toggle.canvas._answer(None, {"type": "stop"}, [])
    started = time.monotonic()
    with pytest.raises(Cancelled):
        toggle.wait(10)
    assert time.monotonic() - started < 0.5
    told = [share for share in shares if share is not None]
    assert told and told == sorted(told) and toggle.canvas.status["state"] == "stopped"
    toggle.method = "grad_cam"
    assert toggle.wait(20) is not None


def test_of_many_requests_the_last_one_wins_and_the_rest_are_not_finished(engine: Engine, picture: Image.Image) -> None:
    toggle = SaliencyToggle(engine, picture, methods=[slow, grad_cam])
    ends: list[str] = []
    finished = engine.worker.submit

    def counted(work: Any, **options: Any) -> Any:
        end = options.get("on_end")

        def on_end(job: Any) -> None:
            ends.append(job.state)
            if end is not None:
                end(job)

        return finished(work, **{**options, "on_end": on_end})

    engine.worker.submit = counted  # type: ignore[method-assign]
    deadline = time.monotonic() + 10
    while toggle.predictions is None and time.monotonic() < deadline:
        time.sleep(0.01)
    for target in (*range(len(NAMES)), 2):
        toggle.target = target
    result = toggle.wait(30)
    assert result is not None and result.target == 2
    assert ends.count("done") <= 2 and ends.count("cancelled") >= len(NAMES) - 1


def test_the_main_thread_never_runs_the_network(engine: Engine, picture: Image.Image) -> None:
    threads: set[str] = set()
    engine.model.register_forward_hook(lambda *_: threads.add(threading.current_thread().name))
    engine.categories, engine.layers  # noqa: B018  what Python's own checks of a target need
    threads.clear()
    toggle = SaliencyToggle(engine, picture)
    toggle.wait(20)
    toggle.method = "guided_backprop"
    toggle.target = "lynx"
    toggle.mode = "contrast"
    toggle.wait(20)
    assert threads and threading.main_thread().name not in threads
