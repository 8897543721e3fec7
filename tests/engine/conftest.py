"""What the tests of the engine share: small pictures, and one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small pictures gain nothing from two threads, which on a busy machine wait for each other for seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Noise over a gradient, 32 x 32."""
    rng = np.random.default_rng(7)
    ramp = np.linspace(0, 120, 32)[:, None, None] + np.zeros((32, 32, 3))
    return Image.fromarray((ramp + rng.integers(0, 120, (32, 32, 3))).astype(np.uint8))
