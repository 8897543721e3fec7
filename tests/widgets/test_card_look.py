"""What a channel looks for, on the card of LayerBrowser: made on demand, remembered, given up for anything else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from cnnviz_widgets import Engine, LayerBrowser, Unit, maximize, samples
from cnnviz_widgets.widgets import UnitCard, card_look
from tests.engine.nets import CLASSES, TRANSFORM, plain

STEPS = 8


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> LayerBrowser:
    monkeypatch.setattr(card_look, "STEPS", STEPS)
    made = LayerBrowser(Engine(plain(), transform=TRANSFORM, categories=CLASSES), samples["cat"], layer="3", channel=2)
    made.wait(60)
    return made


@pytest.fixture
def seen(browser: LayerBrowser) -> list[Mapping[str, Any]]:
    """All that the card said of it."""
    told: list[Mapping[str, Any]] = []
    browser.card.observe(lambda change: told.append(change["new"]), "look")
    return told


def _ask(browser: LayerBrowser, **more: object) -> None:
    """What the button does."""
    browser.card._answer(None, {"type": "look", **more}, None)


def _pixels(sent: Mapping[str, Any]) -> np.ndarray:
    picture = sent["picture"]
    return np.frombuffer(picture["data"], np.uint8).reshape(picture["height"], picture["width"], 3)


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_is_offered_and_nothing_is_computed_before_it_is_asked_for(browser: LayerBrowser) -> None:
    assert browser.card.look == {"key": "3|2", "state": "offered", "words": "", "score": 0.0}


def test_asked_for_it_grows_and_is_what_maximize_makes_of_the_channel(
    browser: LayerBrowser, seen: list[Mapping[str, Any]]
) -> None:
    _ask(browser)
    browser.wait(60)
    wanted = maximize(browser.engine, Unit("3", 2), steps=STEPS)
    last = browser.card.look
    assert (last["key"], last["state"]) == ("3|2", "here") and last["score"] == pytest.approx(wanted.score)
    np.testing.assert_array_equal(_pixels(last), wanted.picture)
    first = next(one for one in seen if "picture" in one)
    assert (first["state"], first["words"]) == ("running", f"step 1 of {STEPS}")
    assert (_pixels(first) != wanted.picture).any()


def test_it_is_remembered_until_the_network_is_trained(browser: LayerBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask(browser)
    browser.wait(60)
    made = browser.card.look
    monkeypatch.setattr(card_look, "maximize", lambda *_, **__: pytest.fail("made a second time"))
    browser.channel = 1
    browser.wait(30)
    assert (browser.card.look["key"], browser.card.look["state"]) == ("3|1", "offered")
    browser.channel = 2
    browser.wait(30)
    assert browser.card.look == made
    with torch.no_grad():
        next(browser.engine.model.parameters()).mul_(1.5)
    browser.image = samples["coffee"]
    browser.wait(30)
    assert browser.card.look["state"] == "offered"


@pytest.mark.parametrize("how", ["the button", "another channel", "another layer", "another picture"])
def test_it_is_given_up_within_half_a_second(
    how: str, browser: LayerBrowser, seen: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_look, "STEPS", 10**6)
    _ask(browser)
    _until(lambda: any("picture" in one for one in seen))
    since = time.monotonic()
    match how:
        case "the button":
            _ask(browser, stop=True)
        case "another channel":
            browser.channel = 1
        case "another layer":
            browser.layer = "0"
        case _:
            browser.image = samples["coffee"]
    _until(lambda: browser.card.look["state"] == "offered")
    assert time.monotonic() - since < 0.5
    browser.wait(30)
    unit = browser.unit
    assert unit is not None and browser.card.look["key"] == f"{unit.layer}|{unit.channel}"
    assert browser.card.look["state"] == "offered"


def test_it_is_given_up_before_its_turn_came(browser: LayerBrowser) -> None:
    busy = threading.Event()
    other = browser.engine.worker.submit(busy.wait)
    _ask(browser)
    assert (browser.card.look["state"], browser.card.look["words"]) == ("running", "waiting for other work")
    _ask(browser, stop=True)
    assert browser.card.look["state"] == "offered"
    busy.set()
    other.wait(10)
    browser.wait(30)
    assert browser.card.look["state"] == "offered"


def test_asked_twice_it_is_made_once(browser: LayerBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Unit] = []
    whole = maximize
    monkeypatch.setattr(
        card_look, "maximize", lambda engine, unit, **more: made.append(unit) or whole(engine, unit, **more)
    )
    _ask(browser)
    _ask(browser)
    browser.wait(60)
    assert made == [Unit("3", 2)]


def test_what_goes_wrong_is_said_on_the_card_and_can_be_tried_again(browser: LayerBrowser) -> None:
    weight = next(browser.engine.model.parameters())
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(torch.nan)
    _ask(browser)
    browser.wait(60)
    assert browser.card.look["state"] == "wrong" and "not finite" in browser.card.look["words"]
    with torch.no_grad():
        weight.copy_(kept)
    _ask(browser)
    browser.wait(60)
    assert browser.card.look["state"] == "here"


def test_a_card_by_itself_offers_nothing_and_refuses_what_it_does_not_know() -> None:
    card = UnitCard()
    card._answer(None, {"type": "look"}, None)
    assert card.look == {}
    with pytest.raises(ValueError, match="'offered', 'running', 'here', 'wrong', not 'done'"):
        card.show_look(Unit("3", 2), "done")
