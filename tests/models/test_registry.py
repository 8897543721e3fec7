"""Networks by name: what there is offline, what is downloaded, and what is said when it cannot be had."""

from __future__ import annotations

import hashlib
import io
import socket
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest
import torch
import torchvision

from cnnviz_widgets.data import samples
from cnnviz_widgets.models import BUNDLED, WeightsUnavailable, imagenet_categories, load, names, registry

BOTH = "'squeezenet1_1' and 'efficientnet_lite0'"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for torchvision's downloads."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def internet(monkeypatch: pytest.MonkeyPatch, answer) -> None:
    def urlopen(request, *args, **kwargs):
        return answer(request)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(torch.hub, "urlopen", urlopen)


class Response(io.BytesIO):
    """As much of an HTTP answer as torch's download wants."""

    def info(self) -> Message:
        return Message()


def raising(error: Exception):
    def answer(request):
        raise error

    return answer


def test_the_bundled_ones_come_first_and_every_classifier_of_torchvision_is_there() -> None:
    assert names()[: len(BUNDLED)] == BUNDLED == ("squeezenet1_1", "efficientnet_lite0")
    assert len(set(names())) == len(names())
    assert {"resnet18", "alexnet", "vgg16", "inception_v3", "vit_b_16", "squeezenet1_0"} <= set(names())
    assert not [name for name in names() if any(part in name for part in ("rcnn", "quantized", "deeplab", "raft"))]


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
        PermissionError("no"),
        urllib.error.HTTPError("http://x", 403, "Forbidden", None, None),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failed_download_names_the_bundled_ones(home: Path, monkeypatch, error: Exception) -> None:
    internet(monkeypatch, raising(error))
    with pytest.raises(WeightsUnavailable) as caught:
        load("resnet18")
    for part in ("'resnet18'", str(error), BOTH, "Engine(torchvision.models.resnet18())", "resnet18-f37072fd.pth"):
        assert part in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_download_that_breaks_off_or_is_another_file_leaves_nothing_behind(home: Path, monkeypatch) -> None:
    internet(monkeypatch, lambda request: Response(b"half a file"))
    with pytest.raises(WeightsUnavailable, match="hash"):
        load("resnet18")
    assert not list(home.iterdir())


def test_a_broken_file_from_before_is_named(home: Path, monkeypatch) -> None:
    internet(monkeypatch, raising(AssertionError("the file is there: nothing to download")))
    for content in (b"", b"half a file", b"PK\x03\x04 half a file"):
        (home / "resnet18-f37072fd.pth").write_bytes(content)
        with pytest.raises(WeightsUnavailable, match=r"resnet18-f37072fd\.pth may be broken: delete it"):
            load("resnet18")


def test_weights_of_another_network_are_named_as_broken(home: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1().state_dict(), home / "resnet18-f37072fd.pth")
    with pytest.raises(WeightsUnavailable, match="may be broken"):
        load("resnet18")


def test_a_server_that_never_answers_is_given_up_soon(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(registry, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            registry._knock(f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth")
        assert time.monotonic() - started < 5


def test_a_downloaded_network_has_its_weights_preprocessing_and_names(home: Path, monkeypatch) -> None:
    """The way through the internet, up to the hash, which only torchvision's own file has."""
    weights = torchvision.models.ShuffleNet_V2_X0_5_Weights.DEFAULT
    made = torchvision.models.shufflenet_v2_x0_5()
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    name = f"shufflenet-{hashlib.sha256(file.getvalue()).hexdigest()[:10]}.pth"
    monkeypatch.setattr(weights.value, "url", f"https://nowhere.invalid/{name}")
    asked = []
    internet(monkeypatch, lambda request: asked.append(request.get_method()) or Response(file.getvalue()))
    network = load("shufflenet_v2_x0_5")
    assert asked == ["HEAD", "GET"]
    assert network.name == "shufflenet_v2_x0_5" and not network.module.training
    assert all(torch.equal(value, made.state_dict()[key]) for key, value in network.module.state_dict().items())
    assert torch.equal(network.preprocessing(samples["cat"]), weights.transforms()(samples["cat"]))
    assert network.categories == tuple(weights.meta["categories"])
    again = load("shufflenet_v2_x0_5")
    assert asked == ["HEAD", "GET"] and again.module is not network.module


@pytest.mark.parametrize("name", BUNDLED)
def test_loading_leaves_the_callers_random_numbers_as_they_were(name: str) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    load(name)
    assert torch.equal(torch.rand(4), wanted)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ResNet-18", "did you mean 'resnet18'\\?"),
        ("SqueezeNet1.1", "did you mean 'squeezenet1_1'\\?"),
        ("efficientnet-lite0", "did you mean 'efficientnet_lite0'\\?"),
        ("resnet81", "'resnet18'"),
        ("xyzzy", "names\\(\\) lists them"),
        ("", "names\\(\\) lists them"),
        (18, "no network 18"),
        ("fasterrcnn_resnet50_fpn", "detection"),
        ("quantized_resnet18", "quantization"),
        ("fcn_resnet50", "segmentation"),
        ("r3d_18", "video"),
    ],
)
def test_a_name_that_is_none_says_what_is_near_or_what_it_is(name, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        load(name)


def test_the_thousand_names_are_in_the_networks_order() -> None:
    categories = imagenet_categories()
    assert isinstance(categories, tuple) and len(categories) == 1000
    wanted = {0: "tench", 281: "tabby", 285: "Egyptian cat", 999: "toilet tissue"}
    assert {index: categories[index] for index in wanted} == wanted
    # crane the bird and crane the machine, two kinds of maillot: newer versions of torchvision tell them apart
    assert all(categories[index].startswith("crane") for index in (134, 517))
    assert all(categories[index].startswith("maillot") for index in (638, 639))
