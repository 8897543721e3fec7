"""A sweep gives its rows one by one, can be stopped, notices new weights, leaves the network alone and says why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from cnnviz_widgets.engine import Cancelled, Engine
from cnnviz_widgets.engine.incremental import facade, plain, sweeping
from cnnviz_widgets.engine.incremental.execute import Execution
from tests.engine.incremental.live_bytes import LiveBytes
from tests.engine.incremental.occluded import compare, compared, engine_of, in_one, lively, sweep_of
from tests.engine.nets import Do, messy
from tests.engine.snapshot import snapshot

TOPS, LEFTS = tuple(range(0, 30, 5)), tuple(range(40))
WIDE = sweep_of(36, 48, TOPS, LEFTS, (6, 8))  # more columns than a block has room for


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


@pytest.fixture
def net() -> nn.Module:
    return lively(small())


@pytest.fixture
def engine(net: nn.Module) -> Engine:
    return engine_of(net)


def test_rows_come_in_order(engine: Engine) -> None:
    came = list(engine.incremental.rows(WIDE))
    assert [row.shape for row in came] == [(len(LEFTS), 4)] * len(TOPS)
    for top, row in zip(TOPS, came, strict=True):
        (alone,) = plain.rows(engine, replace(WIDE, tops=(top,)), None)
        torch.testing.assert_close(row, alone, rtol=1e-11, atol=1e-11)


def test_the_order_of_places_is_the_callers(engine: Engine) -> None:
    mixed = replace(WIDE, tops=(20, 5, 5, 33, -4), lefts=(40, 7, 7, 0, -3, 12))
    assert compare(engine, mixed).relative < 1e-9


def test_a_row_is_computed_when_it_is_asked_for(engine: Engine) -> None:
    list(engine.incremental.rows(WIDE))  # all that is made once
    counts = []
    with LiveBytes() as watch:
        for _ in engine.incremental.rows(WIDE):
            counts.append(watch.calls["conv2d"])
    assert len(counts) == len(TOPS)
    assert counts[0] > 0
    assert all(after > before for before, after in zip(counts, counts[1:], strict=False))


def test_a_sweep_that_nobody_reads_computes_nothing(engine: Engine) -> None:
    with LiveBytes() as watch:
        engine.incremental.rows(WIDE)
    assert not watch.calls


def test_progress_is_told_row_by_row(engine: Engine) -> None:
    told: list[tuple[int, int | None]] = []
    job = engine.worker.submit(
        lambda: in_one(engine.incremental.rows(WIDE)), on_progress=lambda job: told.append((job.done, job.total))
    )
    assert job.wait(60).shape == (len(TOPS), len(LEFTS), 4)
    assert [pair for pair in told if pair[1] == len(TOPS)] == [(n + 1, len(TOPS)) for n in range(len(TOPS))]


def test_a_stopped_job_ends_within_a_row_and_keeps_the_rows_that_it_had(engine: Engine) -> None:
    whole = in_one(engine.incremental.rows(WIDE))
    had: list[Tensor] = []

    def work() -> None:
        for row in engine.incremental.rows(WIDE):
            had.append(row)
            if len(had) == 2:
                job.cancel()

    job = engine.worker.submit(work)
    with pytest.raises(Cancelled):
        job.wait(60)
    assert torch.equal(torch.stack(had), whole[:2])


def test_a_plan_is_made_once_for_the_same_places_on_any_picture(engine: Engine) -> None:
    list(engine.incremental.rows(WIDE))
    planner = engine.incremental._planner(engine, WIDE.x, None, engine.state)
    before = planner.plan.cache_info()
    other = replace(WIDE, x=WIDE.x.flip(3), fill=WIDE.fill * 2)
    assert compare(engine, other).relative < 1e-9
    after = planner.plan.cache_info()
    assert (after.misses, after.hits > before.hits) == (before.misses, True)


def test_what_the_bare_picture_gives_is_computed_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    base = facade.Base
    monkeypatch.setattr(facade, "Base", lambda *args: made.append(1) or base(*args))
    list(engine.incremental.rows(WIDE))
    list(engine.incremental.rows(replace(WIDE, tops=(3,), lefts=(4,), size=(9, 9), fill=WIDE.fill * 3)))
    assert len(made) == 1
    list(engine.incremental.rows(replace(WIDE, x=WIDE.x + 0.1)))
    assert len(made) == 2


def test_new_weights_give_new_answers_at_once(net: nn.Module, engine: Engine) -> None:
    before = in_one(engine.incremental.rows(WIDE))
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(WIDE.x)[0, 1].backward()
    optimiser.step()
    trained = in_one(engine.incremental.rows(WIDE))
    assert not torch.allclose(trained, before)
    assert compare(engine, WIDE).relative < 1e-9
    with torch.no_grad():
        net.get_submodule("1").running_mean.add_(0.5)  # type: ignore[operator,union-attr]
    assert not torch.allclose(in_one(engine.incremental.rows(WIDE)), trained)
    assert compare(engine, WIDE).relative < 1e-9
    net.load_state_dict(lively(small(), seed=5).state_dict())
    assert compare(engine, WIDE).relative < 1e-9


@pytest.mark.parametrize("make", [small, messy])
def test_the_users_network_is_left_as_it_is(make) -> None:  # noqa: ANN001
    net = make().train()
    net(torch.randn(3, 3, 32, 32)).sum().backward()
    net.register_forward_hook(lambda *args: None)
    net.memory = None
    engine = engine_of(net, torch.float32)
    sweep = sweep_of(32, 32, (0, 9), (3, 20), (8, 8), dtype=torch.float32)
    before = snapshot(net)
    fill = snapshot([sweep.x, sweep.fill])
    list(engine.incremental.rows(sweep))
    list(engine.incremental.rows(sweep, (1,)))
    engine.incremental.check(sweep, count=1)
    assert snapshot(net) == before
    assert snapshot([sweep.x, sweep.fill])[2:] == fill[2:]


# -- memory


@pytest.mark.parametrize(("name", "pixels"), [("squeezenet1_1", 112), ("resnet18", 96), ("vgg16", 64)])
def test_a_limit_of_memory_is_kept_and_an_impossible_one_names_the_least(name: str, pixels: int) -> None:
    options = {"init_weights": False} if name == "vgg16" else {}
    engine = engine_of(torchvision.models.get_model(name, weights=None, **options).eval(), torch.float32)
    lefts = tuple(range(0, pixels - 16, 3))
    sweep = sweep_of(pixels, pixels, (0, pixels // 2), lefts, (16, 16), dtype=torch.float32)
    with pytest.raises(ValueError, match="so at least [0-9]+") as error:
        list(engine.incremental.rows(sweep, memory=1000))
    least = int(str(error.value).rsplit(" ", 1)[1])
    with pytest.raises(ValueError, match="so at least"):
        list(engine.incremental.rows(sweep, memory=least - 1))
    blocks = []
    for limit in (least, least + least // 4, 3 * least):
        list(engine.incremental.rows(sweep, memory=limit))  # the network is traced and planned
        other = replace(sweep, x=sweep.x + 0.1 * (1 + len(blocks)))
        with LiveBytes() as watch:
            came = torch.stack([row[:, :5].clone() for row in engine.incremental.rows(other, memory=limit)])
        report = engine.incremental.report()
        truth = in_one(engine.incremental.rows(other))
        assert watch.peak + report.weights_bytes <= limit
        assert watch.peak > report.base_bytes // 3  # it does see what is made
        torch.testing.assert_close(came, truth[..., :5], rtol=1e-3, atol=1e-5)
        blocks.append(report.block)
    assert blocks[0] == 1
    assert blocks == sorted(blocks)
    assert blocks[-1] > 1


def classifying() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d((4, 5)), nn.Flatten(), nn.Linear(160, 64), nn.ReLU(), nn.Linear(64, 4),
    )  # fmt: skip


@pytest.mark.parametrize("make", [small, classifying])
def test_rows_that_share_the_reading_of_weights_are_as_those_that_do_not(
    make: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(lively(make()))
    tops = (-9, *TOPS, 33, 40)  # the first and the last miss the picture
    sweep = sweep_of(36, 48, tops, (-9, *range(0, 40, 2), 60), (6, 8))
    apart = in_one(engine.incremental.rows(sweep))
    monkeypatch.setattr(sweeping, "NOTHING", 0)
    monkeypatch.setattr(sweeping, "UNIMPORTANT", 1e-9)
    sizes: list[int] = []
    run = sweeping.run
    monkeypatch.setattr(sweeping, "run", lambda plans, *rest: sizes.append(len(plans)) or run(plans, *rest))
    with LiveBytes() as watch:
        joined = in_one(engine.incremental.rows(sweep))
    report = engine.incremental.report()
    assert max(sizes) > 1
    assert watch.peak <= report.block_bytes
    torch.testing.assert_close(joined, apart, rtol=1e-11, atol=1e-11)
    assert compare(engine, sweep).relative < 1e-9


# -- precision


@pytest.mark.parametrize("name", ["squeezenet1_1", "resnet18", "mobilenet_v2"])
def test_in_single_precision_a_sweep_is_no_more_than_twice_as_far_off_as_the_whole_network(name: str) -> None:
    net = Engine(name).model if name == "squeezenet1_1" else lively(torchvision.models.get_model(name, weights=None))
    net = net.float()
    scale = 60 if name == "squeezenet1_1" else 1
    single = sweep_of(112, 121, (-5, 30, 75, 100), (-4, 41, 60, 110), (16, 16), dtype=torch.float32)
    single = replace(single, x=single.x * scale, fill=single.fill * scale)
    double = replace(single, x=single.x.double(), fill=single.fill.double())
    truth = in_one(plain.rows(engine_of(net), double, None))
    engine = engine_of(net, torch.float32)
    whole = (in_one(plain.rows(engine, single, None)).double() - truth).abs().flatten(0, 1).amax(1)
    parts = (in_one(engine.incremental.rows(single)).double() - truth).abs().flatten(0, 1).amax(1)
    assert engine.incremental.report().why_not == ""
    assert float(whole.median()) > 0
    assert float(parts.median()) <= 2 * float(whole.median())
    assert float(parts.max()) <= 2 * float(whole.max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_too(net: nn.Module, dtype: torch.dtype) -> None:
    sweep = sweep_of(36, 48, (0, 10, 30), (0, 22, 41), (8, 8), dtype=dtype)
    engine = engine_of(net, dtype)
    came, truth = in_one(engine.incremental.rows(sweep)), in_one(plain.rows(engine, sweep, None))
    assert came.dtype == dtype
    found = compared(came, truth)
    assert found.error < 0.05 * found.size


def test_pictures_may_be_tiny_and_without_colour() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    engine = engine_of(lively(net))
    for size in ((1, 1), (3, 2), (40, 40)):
        sweep = sweep_of(32, 32, (0, 13, 31), tuple(range(0, 32, 4)), size, channels=1)
        assert compare(engine, sweep, (3,)).relative < 1e-9 or size == (40, 40)
    assert compare(engine_of(lively(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()))), one_pixel()).relative < 1e-9


def one_pixel():  # noqa: ANN201
    return sweep_of(1, 1, (0, 1), (0,), (1, 1), channels=1)


# -- what it says of itself


def counted(between: nn.Module) -> tuple[Engine, int, int]:
    """A network, its multiply-adds, and those of a 4 x 4 patch in the middle of 20 x 20 pixels when all are windows."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), between, nn.Conv2d(4, 5, 3, padding=1), Do(mean), nn.Linear(5, 2)
    )
    first, second, last = 4 * 3 * 9, 5 * 4 * 9, 5 * 2
    return engine_of(lively(net)), 400 * (first + second) + last, 6 * 6 * first + 8 * 8 * second + last


def mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def test_the_report_counts_as_one_counts_by_hand() -> None:
    engine, macs, computed = counted(nn.ReLU())
    with pytest.raises(RuntimeError, match="no sweep yet"):
        engine.incremental.report()
    sweep = sweep_of(20, 20, (8,), (8,), (4, 4))
    assert compare(engine, sweep).error < 1e-12
    report = engine.incremental.report()
    assert (report.macs, report.computed, report.stops, report.why_not) == (macs, computed, (), "")
    assert report.skipped == pytest.approx(1 - computed / macs)
    assert report.positions == 1
    assert f"{report.skipped:.1%}" in str(report)


def test_the_report_names_what_stopped_it() -> None:
    engine, _, _ = counted(nn.Sequential(nn.ReLU(), nn.GroupNorm(2, 4)))
    list(engine.incremental.rows(sweep_of(20, 20, (8,), (8,), (4, 4))))
    report = engine.incremental.report()
    assert len(report.stops) == 1
    assert "group_norm" in report.stops[0]
    assert "group_norm" in str(report)


def test_a_check_finds_nothing_where_all_is_right_and_what_is_wrong(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engine.incremental.check(WIDE) < 1e-11
    finish = Execution.finish
    monkeypatch.setattr(Execution, "finish", lambda self, number: finish(self, number) + 0.5)
    assert engine.incremental.check(WIDE) == pytest.approx(0.5)


def looks(x: Tensor) -> Tensor:
    return x * 2 if x.mean() > 0 else x


def reads(x: Tensor) -> Tensor:
    return x * x.max().item()


def noisy(x: Tensor) -> Tensor:
    return x + 0 * torch.rand_like(x)


@pytest.mark.parametrize(("function", "why"), [(looks, "Python"), (reads, "Python"), (noisy, "random")])
def test_what_cannot_be_traced_runs_whole_and_the_report_says_why(function, why: str) -> None:  # noqa: ANN001
    net = lively(nn.Sequential(nn.Conv2d(3, 4, 3), Do(function), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    engine = Engine(net, transform=engine_of(net).preprocessing, device="cpu", dtype=torch.float64, batch_size=1)
    sweep = sweep_of(20, 20, (0, 8), (8, 16), (4, 4))
    truth = torch.stack([net(picture) for top in sweep.tops for picture in sweep.pictures(top, sweep.lefts)[:, None]])
    came = in_one(engine.incremental.rows(sweep))
    torch.testing.assert_close(came.flatten(0, 1), truth[:, 0].detach(), rtol=1e-11, atol=1e-11)
    report = engine.incremental.report()
    assert why in report.why_not
    assert report.why_not in str(report)
    assert report.skipped == 0


def test_where_little_could_be_skipped_pictures_run_whole_and_the_report_says_so() -> None:
    engine, _, _ = counted(nn.ReLU())
    sweep = sweep_of(20, 20, (0,), (0,), (20, 20))
    assert compare(engine, replace(sweep, tops=(-8, 0))).relative < 1e-9
    assert "could be skipped" in engine.incremental.report().why_not
    assert sweeping.WORTHWHILE < 0.5
