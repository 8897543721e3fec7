"""A sweep under way can be stopped, and what is urgent goes first, also within a row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnnviz_widgets.engine import Cancelled, Engine, current_job
from cnnviz_widgets.engine.incremental import Sweep
from tests.engine.nets import CLASSES, TRANSFORM, plain

SOON = 20.0


@pytest.fixture
def engine() -> Engine:
    return Engine(plain(), transform=TRANSFORM, categories=CLASSES, device="cpu", dtype=torch.float64)


@pytest.fixture
def row(engine: Engine) -> Sweep:
    """One row of positions, and everything that is made for it once."""
    x = engine.prepare(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)))
    row = Sweep(x, torch.zeros_like(x), (4,), (0, 2, 8), (4, 4))
    list(engine.incremental.rows(row))
    assert engine.incremental.report().skipped > 0, "the test is about computing only what changes"
    return row


def test_what_is_urgent_is_done_within_a_row_and_disturbs_nothing(engine: Engine, row: Sweep) -> None:
    seen: list[str] = []
    other = Sweep(row.x, row.fill, (9,), (3, 5, 6), row.size)

    def urgent() -> Tensor:
        (found,) = engine.incremental.rows(other)
        seen.append("urgent")
        return found

    def work() -> tuple[Tensor, Tensor]:
        job = engine.worker.submit(urgent, urgent=True)
        (found,) = engine.incremental.rows(row)
        seen.append("row")
        return found, job.wait(SOON)

    found, between = engine.worker.submit(work).wait(SOON)
    assert seen == ["urgent", "row"]
    for sweep, values in ((row, found), (other, between)):
        expected = engine.logits(sweep.pictures(sweep.tops[0], sweep.lefts))
        torch.testing.assert_close(values, expected, rtol=1e-9, atol=1e-9)


def test_a_stopped_sweep_ends_within_its_row(engine: Engine, row: Sweep) -> None:
    came = []

    def work() -> None:
        job = current_job()
        assert job is not None
        job.cancel()
        came.extend(engine.incremental.rows(row))

    with pytest.raises(Cancelled):
        engine.worker.submit(work).wait(SOON)
    assert not came
