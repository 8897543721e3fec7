"""On random networks, at random places of the patch, a sweep is what the whole network gives, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cnnviz_widgets.engine.incremental import Sweep, Want, sweeping
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.results import Unit
from tests.engine.incremental.graphs import networks
from tests.engine.incremental.occluded import covered, engine_of, in_one, lively, sweep_of
from tests.engine.nets import Do

POOL = Do(lambda x: x.mean((2, 3)))
CONSTANT = torch.linspace(-1, 1, 20, dtype=torch.float64).view(1, 5, 4)


@pytest.fixture(autouse=True, scope="module")
def _incremental_even_where_it_saves_little():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeping, "WORTHWHILE", -1.0)
        yield


@st.composite
def sweeps(draw: st.DrawFn, height: int, width: int) -> Sweep:
    """Patches of any size, at any distance, partly or wholly beside the picture."""
    largest = draw(st.sampled_from([(4, 4), (height + 4, width + 4)]))
    size = draw(st.integers(1, largest[0])), draw(st.integers(1, largest[1]))
    tops, lefts = (draw(places(length, side)) for length, side in zip((height, width), size, strict=True))
    mask = draw(st.sampled_from(["none", "none", "random"]))
    covers = None if mask == "none" else np.random.default_rng(0).random(size) > 0.4
    return sweep_of(height, width, tops, lefts, size, mask=covers, seed=draw(st.integers(0, 3)))


@st.composite
def places(draw: st.DrawFn, length: int, side: int) -> tuple[int, ...]:
    if draw(st.booleans()):
        first, step, count = draw(st.integers(-side, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
        return tuple(first + n * step for n in range(count))
    return tuple(sorted(draw(st.lists(st.integers(-side - 2, length + 2), min_size=1, max_size=3))))


@pytest.mark.filterwarnings("ignore:Using padding=.same.:UserWarning")
@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to find a smaller network that fails takes minutes
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(st.data())
def test_a_sweep_of_a_random_network_is_what_the_whole_network_gives(data: st.DataObject) -> None:
    net, height, width = data.draw(networks())
    sweep = data.draw(sweeps(height, width))
    lively(net, seed=data.draw(st.integers(0, 3)))
    engine = engine_of(net)
    want: Want = data.draw(st.sampled_from([None, (1,), (2, 0)]))
    axes = None
    if data.draw(st.integers(0, 3)) == 0:
        rows = [row for row in engine.layers_for(sweep.x).in_order() if len(row.shape) in (1, 3)]
        row = data.draw(st.sampled_from(rows))
        axes = row.axes
        place = [data.draw(st.integers(0, size - 1)) for size in row.shape]
        want = Unit(row.name, *(place if data.draw(st.booleans()) else place[:1]))
    note(f"{net}\n{sweep.tops} {sweep.lefts} {sweep.size} {want}")
    truth = _slowly(net, sweep, want, axes)
    assume(bool(truth.isfinite().all()))  # max-pooling with ceil_mode may look at padding alone
    came = in_one(engine.incremental.rows(sweep, want)).flatten(0, 1)
    note(str(engine.incremental.report()))
    why_not = engine.incremental.report().why_not
    assert not why_not or "is read again through another tensor" in why_not  # which no list of operations can say
    assert came.shape == truth.shape
    spread, size = float((truth.amax(0) - truth.amin(0)).max()), float(truth.abs().max())
    error = float((came - truth).abs().max())
    note(f"error {error}, spread {spread}, size {size}")
    assert error <= max(1e-9 * spread, 1e-13 * size)


def _slowly(net: nn.Module, sweep: Sweep, want: Want, axes: tuple[int, ...] | None = None) -> Tensor:
    """(n, k): one picture after the other through a stand-in of the network."""
    found: list[Tensor] = []
    for picture in covered(sweep):
        twin, kept = shadow(net), list[Tensor]()
        if isinstance(want, Unit):
            twin.get_submodule(want.layer).register_forward_hook(lambda *args, kept=kept: kept.append(args[2].clone()))
        with torch.inference_mode():
            scores = twin(picture[None])
            if isinstance(want, Unit):
                value = (kept[-1].permute(axes) if axes else kept[-1])[:, want.channel]
                scores = (value.sum() if want.y is None else value[:, want.y, want.x]).reshape(1, 1)
            elif want is not None:
                scores = scores[:, list(want)]
        found.append(scores[0])
    return torch.stack(found).clone()


def _halves(x: Tensor) -> Tensor:
    seen = x[:, :2]
    return seen + F.relu(x)[:, 2:]


class ReadTwice(nn.Module):
    """A convolution that batch norm reads, and somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) * y.sigmoid()


CASES = {
    "a convolution is read by others than batch norm": nn.Sequential(ReadTwice(), POOL),
    "a slice of what a rectifier reads is read on": nn.Sequential(nn.Conv2d(3, 4, 3), Do(_halves), POOL),
    "channels and positions are flattened into scores": nn.Sequential(nn.Conv2d(3, 3, 12, stride=8), nn.Flatten()),
    "statistics of the picture itself": nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), POOL
    ),
    "a column beside the patch for all columns": nn.Sequential(
        nn.Conv2d(3, 4, 1), Do(lambda x: x[:, :, 5:, :1] + x[:, :, :-5]), POOL
    ),
    "an enlarged corner beside the patch": nn.Sequential(
        nn.Conv2d(3, 4, 1), Do(lambda x: F.interpolate(x[:, :, 11:, 11:], x.shape[2:]) + x), POOL
    ),
    "a list of one part of a whole map": nn.Sequential(
        Do(lambda x: F.interpolate(x, (9, 9)).mean(1, True)), Do(lambda x: torch.cat(x.chunk(2, 1), 1)), nn.Flatten()
    ),
    "a product of matrices with a constant": nn.Sequential(
        nn.Conv2d(3, 4, 3), Do(lambda x: torch.bmm(CONSTANT.expand(len(x), -1, -1), x.flatten(2)).mean(2))
    ),
    "axes swapped and swapped back": nn.Sequential(
        nn.Conv2d(3, 4, 3),
        Do(lambda x: x.swapaxes(1, 3).relu().swapaxes(-1, 1)),
        Do(lambda x: x.flip(2).swapaxes(1, 2)),
        Do(lambda x: x.mean((1, 3))),
    ),
    "a linear layer on cells, flattened": nn.Sequential(
        nn.Conv2d(3, 4, 3), Do(lambda x: x.flatten(2).transpose(1, 2)[:, ::40]), nn.Linear(4, 2), nn.Flatten()
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("want", [None, (1, 0)])
@pytest.mark.parametrize("tops", [(-3, 0, 7, 19), (-3, -2, -1)])
def test_where_a_short_cut_would_be_wrong_none_is_taken(case: str, want: Want, tops: tuple[int, ...]) -> None:
    net = lively(CASES[case])
    sweep = sweep_of(21, 23, tops, (-3, 2, 5), (4, 4))
    engine = engine_of(net)
    torch.testing.assert_close(
        in_one(engine.incremental.rows(sweep, want)).flatten(0, 1), _slowly(net, sweep, want), rtol=1e-11, atol=1e-11
    )
    assert engine.incremental.report().why_not == ""
