"""LayerBrowser without a page: what follows from each choice, what it costs, and that what it says is true."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image, ImageOps
from traitlets import TraitError

from cnnviz_widgets import Engine, LayerBrowser, Unit, samples
from cnnviz_widgets.methods.activations import activation_mask, activations
from cnnviz_widgets.methods.filters import filters
from cnnviz_widgets.methods.units import project_unit
from tests.engine.nets import TRANSFORM, plain


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("squeezenet1_1")


@pytest.fixture
def browser(engine: Engine) -> LayerBrowser:
    browser = LayerBrowser(engine, samples["cat"])
    browser.wait(60)
    return browser


@pytest.fixture
def passes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the network is run for: each forward pass leaves a word."""
    made: list[str] = []
    for name in ("run", "measure", "gradients"):
        whole = getattr(Engine, name)

        def counted(self: Engine, *args: Any, _whole: Any = whole, _name: str = name, **options: Any) -> Any:
            made.append(_name)
            return _whole(self, *args, **options)

        monkeypatch.setattr(Engine, name, counted)
    return made


def test_it_opens_with_the_first_convolution_and_the_channel_that_answers_most(browser: LayerBrowser) -> None:
    found = activations(browser.engine, samples["cat"], "features.0")
    assert browser.layer == browser.outline.selected == "features.0"
    assert browser.channel == browser.tiles.selected == int(found.maximum.argmax())
    assert browser.result is not None
    np.testing.assert_array_equal(browser.result.maps, found.maps)  # type: ignore[union-attr]
    assert browser.card.unit["layer"] == "features.0" and browser.card.unit["channel"] == browser.channel
    assert "Egyptian cat" in browser._places.says.value
    assert repr(browser) == "LayerBrowser(squeezenet1_1: features.0)"


def test_the_chosen_layer_and_channel_are_shown_everywhere(browser: LayerBrowser) -> None:
    browser.layer = "features.6"
    browser.channel = 12
    browser.wait(30)
    assert browser.unit == Unit("features.6", 12)
    assert browser.outline.selected == "features.6"
    assert browser.tiles.selected == 12 and browser.tiles.layer["key"] == "features.6"
    key = browser.card.unit["key"]
    for part in (browser.card.mask, browser.card.projection):
        assert part["key"] == key and "error" not in part
    assert "error" in browser.card.filter  # a Fire module has no filters of its own


def test_layer_and_channel_are_chosen_together_whatever_hung_there_before(browser: LayerBrowser) -> None:
    browser.layer, browser.channel = "features.10", 369  # the first convolution has 64 channels only
    browser.wait(60)
    assert browser.unit == Unit("features.10", 369)
    assert browser.tiles.selected == browser.card.unit["channel"] == 369


def test_another_layer_costs_one_forward_pass_and_coming_back_costs_none(
    browser: LayerBrowser, passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_ask_card", lambda: None)  # whose projection has passes of its own
    browser.layer = "features.7"
    browser.wait(30)
    assert passes == ["run"]
    passes.clear()
    browser.layer = "features.0"
    browser.wait(30)
    browser.layer = "features.7"
    browser.wait(30)
    assert passes == []


def test_moving_through_channels_runs_nothing_for_the_tiles_and_sends_none(
    browser: LayerBrowser, passes: list[str]
) -> None:
    sent = browser.tiles.layer
    for channel in (1, 2, 3):
        browser.channel = channel
        browser.wait(30)
    assert browser.tiles.layer is sent
    assert "run" not in passes and "measure" not in passes  # the projection alone goes through the network


def test_another_picture_keeps_layer_and_channel(browser: LayerBrowser) -> None:
    browser.layer, browser.channel = "features.4", 5
    browser.wait(30)
    browser.image = samples["coffee"]
    browser.wait(30)
    assert (browser.layer, browser.channel) == ("features.4", 5)
    expected = activations(browser.engine, samples["coffee"], "features.4")
    np.testing.assert_array_equal(browser.result.maps, expected.maps)  # type: ignore[union-attr]


def test_a_value_that_is_picked_is_explained_to_the_last_digit(browser: LayerBrowser) -> None:
    browser.tiles.picked = {"channel": 3, "y": 20, "x": 31}
    browser.wait(30)
    assert browser.unit == Unit("features.0", 3, 20, 31)
    sums = browser.arithmetic
    assert sums is not None and sums.target == browser.unit
    value = float(browser.result.maps[3, 20, 31])  # type: ignore[union-attr]
    assert sums.value == value
    assert sums.total == pytest.approx(value, rel=1e-5, abs=1e-5)
    assert (browser.card.projection["y"], browser.card.projection["x"]) == (20, 31)


def test_the_arithmetic_of_what_is_no_convolution_is_refused_with_the_reason(browser: LayerBrowser) -> None:
    browser.layer = "features.1"
    browser.wait(30)
    assert not browser.tiles.pointing
    browser.position = (3, 3)
    browser.wait(30)
    assert browser.arithmetic is None
    assert "features.0" in browser._sum.note  # the convolution that feeds it is named


def test_a_channel_that_the_layer_does_not_have_is_said_and_another_is_shown(browser: LayerBrowser) -> None:
    browser.layer, browser.channel = "features.6", 700
    with pytest.raises(IndexError, match="no channel 700 in layer 'features.6'; it has 0 to 255"):
        browser.wait(30)
    assert browser.tiles.status["state"] == "error" and "no channel 700" in browser.tiles.status["text"]
    assert browser.channel == int(browser.result.maximum.argmax())  # type: ignore[union-attr]
    with pytest.raises(TraitError, match="no channel 700"):
        browser.channel = 700
    assert browser.channel == browser.tiles.selected < 256


def test_pointing_follows_the_mouse_until_it_is_pinned(browser: LayerBrowser) -> None:
    assert browser.tiles.pointing
    browser.tiles.pointed = {"channel": 3, "y": 20, "x": 31}
    browser.wait(30)
    assert browser.arithmetic is not None and browser.arithmetic.target == Unit("features.0", 3, 20, 31)
    browser.position = (2, 2)
    browser.tiles.pointed = {}
    browser.wait(30)
    assert browser.arithmetic.target == browser.unit  # the mouse has left: back to the value that was chosen
    browser.tiles.pointed = {"channel": 3, "y": 20, "x": 31}
    browser.wait(30)
    browser._sum.pinned = True
    browser.tiles.pointed = {"channel": 4, "y": 1, "x": 1}
    browser.wait(30)
    assert browser.arithmetic.target == Unit("features.0", 3, 20, 31)


def test_the_filters_of_a_convolution_and_why_another_layer_has_none(browser: LayerBrowser) -> None:
    browser.view = "filters"
    browser.wait(30)
    np.testing.assert_array_equal(browser.result.weights, filters(browser.engine, "features.0").weights)  # type: ignore[union-attr]
    assert browser.tiles.layer["kind"] == "color"
    browser.layer = "features.3"
    with pytest.raises(ValueError, match="features.3.squeeze"):
        browser.wait(30)
    assert browser.tiles.status["state"] == "error" and "features.3.squeeze" in browser.tiles.status["text"]
    browser.view = "maps"
    browser.wait(30)
    assert browser.tiles.status["state"] == "done"


def test_what_the_network_does_not_have_is_an_error_that_names_what_is_near(browser: LayerBrowser) -> None:
    with pytest.raises(TraitError, match="no layer 'feature.3' in squeezenet1_1; did you mean 'features.3"):
        browser.layer = "feature.3"
    with pytest.raises(TraitError, match="view is one of maps, filters, not 'map'"):
        browser.view = "map"
    with pytest.raises(TraitError, match="projection is one of deconvnet"):
        browser.projection = "grad_cam"
    with pytest.raises(TraitError, match="a position is"):
        browser.position = (1, -1)
    with pytest.raises(TraitError, match="no layer 'conv1' in squeezenet1_1"):
        LayerBrowser(browser.engine, samples["cat"], layer="conv1")
    with pytest.raises(TypeError, match="wanted an Engine"):
        LayerBrowser("squeezenet1_1", samples["cat"])  # type: ignore[arg-type]
    browser.wait(30)
    assert browser.layer == "features.0"


@pytest.mark.parametrize("position", [None, (7, 9)])
def test_the_code_rebuilds_the_view(browser: LayerBrowser, position: tuple[int, int] | None) -> None:
    browser.layer, browser.channel = "features.3.expand3x3", 17
    browser.projection, browser.quantile = "guided_backprop", 0.9
    browser.position = position
    browser.wait(30)
    made: list[Any] = []
    space: dict[str, Any] = {}
    for line in browser.code.splitlines():
        # what a notebook would show: each call on a line of its own
        if re.match(rf"({'|'.join(_CALLS)})\(", line):
            made.append(eval(line, space))
        else:
            exec(line, space)
    kinds = [type(result).__name__ for result in made]
    assert kinds[:4] == ["Sheet", "ActivationMask", "UnitProjection", "Filters"]
    engine, unit = browser.engine, browser.unit
    assert unit is not None
    np.testing.assert_array_equal(
        made[1].mask, activation_mask(engine, samples["cat"], Unit(unit.layer, unit.channel), 0.9).mask
    )
    expected = project_unit(engine, samples["cat"], unit, method="guided_backprop")
    np.testing.assert_allclose(made[2].values, expected.values, rtol=1e-5, atol=1e-7)
    assert ("Arithmetic" in kinds) == (position is not None)
    rebuilt = made[-1]
    assert isinstance(rebuilt, LayerBrowser)
    rebuilt.wait(60)
    assert (rebuilt.layer, rebuilt.channel) == (browser.layer, browser.channel)


_CALLS = ("activations", "activation_mask", "project_unit", "filters", "unit_arithmetic", "LayerBrowser")


def test_the_code_names_a_path_and_says_what_it_cannot_rebuild(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "cup.png"
    samples["coffee"].save(path)
    browser = LayerBrowser(engine, path)
    browser.wait(30)
    assert f"image = {str(path)!r}" in browser.code
    own = LayerBrowser(Engine(plain(), transform=TRANSFORM), Image.new("RGB", (40, 40), (200, 30, 30)))
    own.wait(30)
    assert "engine = ...  # your Engine of Sequential" in own.code
    assert "image = ...  # the picture on the screen" in own.code


def test_the_camera_is_followed_and_its_last_picture_stays(browser: LayerBrowser) -> None:
    frames = [_frame(name) for name in ("coffee", "astronaut", "rocket")]
    browser.layer = "features.3"
    browser.wait(30)
    channel = browser.channel
    browser.source.set_state({"live": True, "page": "p"})
    for number, frame in enumerate(frames, start=1):
        message = {"type": "camera", "number": number, "page": "p"}
        browser.source._handle_custom_msg(message, [memoryview(frame)])
    _settle(browser)
    last = Image.open(io.BytesIO(frames[-1])).convert("RGB")
    expected = activations(browser.engine, last, "features.3")
    np.testing.assert_allclose(browser.result.maps, expected.maps, rtol=1e-5, atol=1e-4)  # type: ignore[union-attr]
    assert browser.channel == channel and browser.card.unit["live"]
    browser.source.set_state({"live": False})
    _settle(browser)
    assert not browser.card.unit["live"]
    assert browser.card.projection["key"] == browser.card.unit["key"]
    assert np.array_equal(np.asarray(browser.image), np.asarray(last))
    assert "image = ..." in browser.code


def test_a_network_trained_meanwhile_is_looked_at_anew(tmp_path: Path) -> None:
    net = plain()
    engine = Engine(net, transform=TRANSFORM)
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    browser = LayerBrowser(engine, picture)
    browser.wait(30)
    before = browser.result.maps.copy()  # type: ignore[union-attr]
    with torch.no_grad():
        net[0].weight.mul_(2)  # type: ignore[union-attr, operator]
        net[0].bias.mul_(2)  # type: ignore[union-attr, operator]
    browser.layer = "3"
    browser.wait(30)
    browser.layer = "0"
    browser.wait(30)
    np.testing.assert_allclose(browser.result.maps, 2 * before, rtol=1e-5, atol=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "shufflenet_v2_x0_5"])
def test_every_layer_of_these_networks_opens_or_says_why_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerBrowser, "_ask_card", lambda browser: None)  # the tiles alone, for time
    torch.manual_seed(0)
    options: dict[str, Any] = {"init_weights": False} if name == "googlenet" else {}
    engine = Engine(torchvision.models.get_model(name, weights=None, **options), transform=TRANSFORM)
    browser = LayerBrowser(engine, samples["cat"].resize((96, 96)))
    browser.wait(60)
    opened = 0
    for row in engine.layers_for(engine.prepare(browser.image)).values():
        if row.shape:
            browser.layer = row.name
            browser.wait(60)
            assert browser.result is not None and browser.result.layer == row.name
            assert browser.tiles.status["state"] == "done"
            opened += 1
        else:
            with pytest.raises(TraitError, match=row.note):
                browser.layer = row.name
            with pytest.raises(TraitError, match=row.note):
                browser.outline.selected = row.name
            assert browser.layer != row.name
    assert opened > 20
    assert engine.cache._bytes <= engine.cache.max_bytes


def test_the_cache_stays_under_its_bound_when_all_layers_are_browsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerBrowser, "_ask_card", lambda browser: None)
    torch.manual_seed(0)
    engine = Engine(torchvision.models.resnet18(weights=None), transform=torchvision.transforms.ToTensor())
    engine.cache.max_bytes = 3 * 2**20
    browser = LayerBrowser(engine, samples["cat"].resize((160, 160)))
    browser.wait(60)
    most = 0
    for row in engine.layers_for(engine.prepare(browser.image)).values():
        if row.shape:
            browser.layer = row.name
            browser.wait(60)
            most = max(most, engine.cache._bytes)
    assert 2**20 < most <= engine.cache.max_bytes


def _frame(name: str) -> bytes:
    encoded = io.BytesIO()
    ImageOps.fit(samples[name], (256, 256)).save(encoded, "JPEG", quality=85)
    return encoded.getvalue()


def _settle(browser: LayerBrowser) -> None:
    """Until everything is done that was submitted, and what that submitted."""
    for _ in range(4):
        browser.engine.worker.submit(lambda: None).wait(30)
        browser.wait(30)
