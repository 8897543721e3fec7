"""What the tests of methods share: a picture, small inputs, and results before they are rounded to single precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from torch import Tensor

from cnnviz_widgets.data import samples
from cnnviz_widgets.methods import common


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread: None) -> None:
    """For all tests here."""


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    return samples["cat"]


@pytest.fixture
def unrounded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Tensor]]:
    """Calls a method and gives the numbers of its result, as they were computed: [values] or [values, raw]."""

    def call(method: Callable[..., Any], *args: Any, **options: Any) -> list[Tensor]:
        found: list[Tensor] = []

        def recorded(values: Tensor) -> Any:
            found.append(values.detach().clone())
            return rounded(values)

        rounded = common.to_array
        with monkeypatch.context() as patch:
            patch.setattr(common, "to_array", recorded)
            method(*args, **options)
        return found

    return call
