"""Trained networks by name: the bundled ones, offline, and all of torchvision's classifiers."""

from __future__ import annotations

import difflib
import http.client
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import torch
import torchvision

from cnnviz_widgets.models.efficientnet_lite import load_efficientnet_lite
from cnnviz_widgets.models.network import BUNDLED, Network, WeightsUnavailable
from cnnviz_widgets.models.preprocessing import Preprocessing
from cnnviz_widgets.models.probing import undisturbed
from cnnviz_widgets.models.squeezenet import load_squeezenet

_PATIENCE = 10.0  # seconds that a server may take to answer at all


def load(name: str) -> Network:
    """A trained network with its preprocessing and its class names, in eval mode, new at every call.

    "squeezenet1_1" is the bundled one (offline), "efficientnet_lite0" comes with the extra `efficientnet` (offline);
    any other classification network of torchvision is downloaded by torchvision, once.

    Raises:
        ValueError: No such network; near names are suggested.
        WeightsUnavailable: Not installed, or not to be downloaded now.

    Example:
        >>> network = load("squeezenet1_1")
        >>> network.module(network.preprocessing(picture)[None]).argmax()
    """
    if name not in names():
        raise ValueError(_unknown(name))
    with undisturbed():  # modules are made with random weights before they get their own
        if name == "squeezenet1_1":
            return load_squeezenet()
        if name == "efficientnet_lite0":
            return load_efficientnet_lite()
        return _from_torchvision(name)


def names() -> tuple[str, ...]:
    """All names that `load` knows, the bundled ones first."""
    others = torchvision.models.list_models(module=torchvision.models)
    return BUNDLED + tuple(name for name in others if name not in BUNDLED)


def _from_torchvision(name: str) -> Network:
    weights = torchvision.models.get_model_weights(name)["DEFAULT"]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    try:
        if not file.exists():
            _knock(weights.url)
        module = torchvision.models.get_model(name, weights=weights)
    # OSError has URLError, timeouts and a full disk in it; RuntimeError and the rest are what a broken file provokes.
    except (OSError, http.client.HTTPException, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        broken = f" The file {file} may be broken: delete it and try again." if file.exists() else ""
        raise WeightsUnavailable(
            f"the weights of {name!r} could not be had from {weights.url}: {error or type(error).__name__}.{broken} "
            f"Without internet there are {' and '.join(map(repr, BUNDLED))}, and "
            f"Engine(torchvision.models.{name}()) works with untrained weights."
        ) from error
    return Network(name, module.eval(), Preprocessing.of(weights.transforms()), tuple(weights.meta["categories"]))


def _knock(url: str) -> None:
    """Fail soon where there is no way to the server: torch's own download would wait for minutes."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE):
            pass
    except urllib.error.HTTPError:
        pass  # it answers; what it says to the download itself is what counts


def _unknown(name: str) -> str:
    """What to say about a name that is not known: what it is instead, or what is near."""
    if name in torchvision.models.list_models():
        kind = torchvision.models.get_model_builder(name).__module__.split(".")[2]
        return f"{name!r} is torchvision's, but of its {kind} networks; only classification networks can be opened"
    plain = {_plain(known): known for known in names()}
    spelled = _plain(name)
    near = [plain[match] for match in ([spelled] if spelled in plain else difflib.get_close_matches(spelled, plain))]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "cnnviz_widgets.models.names() lists them"
    return f"no network {name!r}; {hint}"


def _plain(name: str) -> str:
    return "".join(letter for letter in str(name).lower() if letter.isalnum())
