"""`engine.incremental.reach`: the cells that a patch can change, against those that it changes."""

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.engine.incremental import Sweep
from cnnviz_widgets.models import Preprocessing


class Net(nn.Module):
    """Strides, padding, a branch, and at last all of the map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5, stride=2, padding=1)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.wide = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.both = nn.Identity()
        self.mixed = nn.Identity()
        self.last = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.pool(self.first(x))
        maps = self.both(pooled + self.wide(pooled))
        gates = maps.mean((2, 3), keepdim=True).sigmoid()
        return self.last(self.mixed(maps * gates).mean((2, 3)))


def engine() -> Engine:
    torch.manual_seed(0)
    return Engine(Net().double(), transform=Preprocessing(resize=None, crop=None))


def sweep(top: int, left: int, size: tuple[int, int] = (6, 9)) -> Sweep:
    x = torch.randn(1, 3, 45, 52, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Sweep(x, torch.zeros_like(x), (top, 3), (left, 5), size)


LAYERS = ("first", "pool", "wide", "both", "mixed")


@pytest.mark.parametrize(("top", "left"), [(0, 0), (17, 20), (39, 43), (-3, 30), (42, 50)])
def test_nothing_changes_outside_and_the_outermost_cells_do_change(top: int, left: int) -> None:
    opened, one = engine(), sweep(top, left)
    before = opened.outputs(one.x, LAYERS)
    after = opened.outputs(one.pictures(top, [left]), LAYERS)
    for name, found in opened.incremental.reach(one, LAYERS).items():
        changed = (before[name] != after[name])[0].any(0).numpy()
        assert found.map == changed.shape
        inside = np.zeros(found.map, bool)
        inside[slice(*found.y), slice(*found.x)] = True
        assert not changed[~inside].any()
        if name != "pool":  # there a cell may still have the maximum that it had
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            slack = 0 if name in ("first", "mixed") else 1
            assert rows[0] - found.y[0] <= slack and found.y[1] - 1 - rows[-1] <= slack
            assert columns[0] - found.x[0] <= slack and found.x[1] - 1 - columns[-1] <= slack
        assert found.share == inside.mean()


def test_a_patch_beside_the_picture_reaches_nothing() -> None:
    opened = engine()
    found = opened.incremental.reach(sweep(60, 3), LAYERS)
    assert {reached.size for reached in found.values()} == {(0, 0)}


def test_what_has_no_maps_is_an_error_that_says_so() -> None:
    opened = engine()
    with pytest.raises(ValueError, match="'last'.*no maps"):
        opened.incremental.reach(sweep(0, 0), ["last"])
    with pytest.raises(KeyError, match="did you mean.*'wide'"):
        opened.incremental.reach(sweep(0, 0), ["wid"])
