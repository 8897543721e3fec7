"""What the tests of the engine share: small pictures, and one thread."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def _one_thread(one_thread: None) -> None:
    """For all tests here."""


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Noise over a gradient, 32 x 32."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 120, 32)[:, None, None] + np.zeros((32, 32, 3))
    return Image.fromarray((ramp + rng.integers(0, 120, (32, 32, 3))).astype(np.uint8))
