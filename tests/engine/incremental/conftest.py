"""These tests are about following networks, so a few places are enough to begin."""

from __future__ import annotations

import math

import pytest

from cnnviz_widgets.engine.incremental import glance


@pytest.fixture(autouse=True)
def followed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the places are, the network is followed; except in tests of when it is."""
    if "when_to_follow" not in request.node.nodeid:
        monkeypatch.setattr(glance, "GAINED", math.inf)
