"""What all tests share: a fixed number of threads, when a test may skip, and what pyproject.toml says."""

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

IN_CI = os.environ.get("CI", "").lower() == "true"


@pytest.fixture(scope="session", autouse=True)
def _two_torch_threads() -> None:
    """Sums are taken in the same order on every machine, and a large one is not slower than a small one."""
    import torch

    torch.set_num_threads(2)


@pytest.fixture(scope="module", autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """What one file leaves there, the kernels and browsers of all later ones start with."""
    import sklearn  # noqa: F401 # both set variables of their own when they are imported, which is nobody's fault
    import torchvision  # noqa: F401

    before = dict(os.environ)
    yield
    names = (before.keys() ^ os.environ.keys()) | {name for name in before if os.environ.get(name) != before[name]}
    assert not names - {"PYTEST_CURRENT_TEST"}, "these variables were changed and not put back"


@pytest.fixture(scope="module", autouse=True)
def _networks_of_a_file_go_with_it(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file's own `@cache` holds: all networks of all files together are several gigabytes."""
    yield
    for value in vars(request.module).values():
        if getattr(value, "__module__", None) == request.module.__name__ and hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small pictures gain nothing from two threads, which on a busy machine wait for each other for seconds."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The table [project] of pyproject.toml."""
    return tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `gpu` where there is none: the one skip that CI allows."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that skips has failed: the dependency that it misses must be installed."""
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("gpu")
    if IN_CI and report.skipped and not expected:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file (`pytest.importorskip` at its top)."""
    report = yield
    if IN_CI and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} may not skip where CI=true. {reason}"
