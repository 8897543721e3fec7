"""IndexBuilder in a real Chromium: one button at a time, a bar that stays where it was, what was skipped."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.widgets.index_builder import IndexBuilder
from tests.browser.harness import Mounted, contrast, wait_until

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]


@pytest.fixture
def builder(tmp_path: Path) -> IndexBuilder:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    engine = Engine(
        nn.Sequential(*layers), transform=Preprocessing(resize=8, crop=8), categories=["a", "b"], device="cpu"
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    for number, picture in enumerate(Gallery.from_arrays(pictures)):
        picture.save(folder / f"{number:02}.png")
    (folder / "<b>broken.png").write_bytes(b"no picture")
    builder = IndexBuilder(engine, Gallery.from_folder(folder), tmp_path / "index")
    builder.wait(30)
    return builder


def buttons(view: Mounted) -> list[str]:
    return [button.inner_text() for button in view.find("button").all() if button.is_visible()]


def bar(view: Mounted) -> int:
    return int(view.find("[role=progressbar]").first.get_attribute("aria-valuenow") or -1)


@pytest.mark.filterwarnings("ignore:.*could not be read")
def test_the_button_starts_the_build_and_what_was_skipped_unfolds(mount: Mount, builder: IndexBuilder):
    view = mount(builder)
    view.settle()
    assert buttons(view) == ["Start"]
    view.find("button.cnnviz-start").press("Enter")
    view.settle()
    builder.wait(30)
    wait_until(lambda: (view.settle(), builder.index)[1], 30, "the index")
    view.settle()
    assert buttons(view) == ["Bring up to date"]
    assert bar(view) == 100
    assert "ready as .index: 12 pictures" in view.find(".cnnviz-state").inner_text()
    summary = view.find(".cnnviz-skipped summary")
    assert summary.inner_text() == "1 picture could not be read"
    assert view.find(".cnnviz-skipped li").is_hidden()
    summary.press("Enter")
    assert view.find(".cnnviz-skipped li b").inner_text() == "<b>broken.png"


def test_while_it_works_there_is_stop_and_stopped_the_bar_stays(mount: Mount, builder: IndexBuilder):
    view = mount(builder)
    builder._offer("")
    builder._share = 0.4
    builder.report("running", "5 of 13 pictures", 0.4)
    view.settle()
    assert buttons(view) == ["Stop"]
    assert bar(view) == 40
    stopped: list[str] = []
    builder.on_stop(lambda: stopped.append("stop"))
    view.find(".cnnviz-stop").click()
    view.settle()
    assert stopped == ["stop"]
    builder._tell_stopped()
    view.settle()
    assert buttons(view) == ["Go on"]
    assert bar(view) == 40


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_goes_wrong_stands_in_a_box_and_is_readable(mount: Mount, builder: IndexBuilder, theme: str):
    view = mount(builder)
    view.theme(theme)
    builder._failed("no space left for the index")
    view.settle()
    alarm = view.find(".cnnviz-alarm")
    assert "no space left" in alarm.inner_text()
    assert contrast(alarm) > 4.5
    view.find(".cnnviz-close").click()
    assert alarm.is_hidden()


def test_without_a_kernel_it_says_so_and_starts_nothing(mount: Mount, builder: IndexBuilder):
    view = mount(builder, kernel=False)
    wait_until(lambda: view.find(".cnnviz-static").is_visible(), 10, "the notice")
    assert view.find("button.cnnviz-start").is_disabled()


def test_leaving_the_page_leaves_nothing_behind(mount: Mount, builder: IndexBuilder):
    view = mount(builder)
    view.settle()
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-builder").count() == 0
