"""The digits' network learns, does so the same way each time, and leaves the rest of torch as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cnnviz_widgets import models
from cnnviz_widgets.data import Gallery, digits
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models.digit_net import DIGITS, digit_net, fit


@pytest.fixture(scope="module")
def learned() -> tuple[nn.Sequential, list[float]]:
    net = digit_net()
    return net, fit(net, digits()[:600], epochs=8)


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))


def test_from_600_digits_it_learns_to_read_others(learned: tuple[nn.Sequential, list[float]]) -> None:
    net, losses = learned
    others = digits()[600:1000]
    with torch.no_grad():
        said = net(torch.stack([DIGITS(picture) for picture in others])).argmax(1)
    right = np.mean([int(number) == others.read(n)[1] for n, number in enumerate(said)])
    assert right > 0.88
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.3


def test_the_same_seeds_give_the_same_weights_whatever_the_number_of_threads() -> None:
    few, before = digits()[:100], torch.get_num_threads()
    nets = [digit_net(seed=seed) for seed in (0, 0, 0, 1)]
    for net, threads, seed in zip(nets, (1, 2, 2, 2), (0, 0, 1, 0), strict=True):
        torch.set_num_threads(threads)
        fit(net, few, epochs=1, seed=seed)
    torch.set_num_threads(before)
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2]) and not same(nets[0], nets[3])


def test_given_labels_are_learned_in_place_of_the_gallerys(learned: tuple[nn.Sequential, list[float]]) -> None:
    few = digits()[:200]
    shifted = [(few.read(n)[1] + 1) % 10 for n in range(200)]
    net, twin = digit_net(), digit_net()
    assert fit(net, few, shifted, epochs=1) != fit(twin, few, epochs=1)
    fit(net, few, shifted, epochs=15)
    with torch.no_grad():
        said = net(torch.stack([DIGITS(picture) for picture in few])).argmax(1)
    assert np.mean(said.numpy() == shifted) > 0.9


def test_training_leaves_modes_threads_and_random_numbers_as_they_were() -> None:
    net = digit_net().eval()
    net.conv1.train()
    threads = torch.get_num_threads()
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    digit_net(seed=8)
    fit(net, digits()[:64], epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert [module.training for module in (net, net.conv1, net.fc2)] == [False, True, False]


def test_an_engine_takes_it_with_its_preprocessing_and_sees_what_it_saw() -> None:
    engine = Engine(digit_net(), transform=DIGITS, categories=digits().classes)
    picture = digits()[0]
    x = engine.prepare(picture)
    assert torch.equal(x[0], DIGITS(picture)) and x.shape == (1, 1, 28, 28)
    assert np.array_equal(engine.display(x), np.asarray(picture))
    convolutions = [layer.shape for name, layer in engine.layers.items() if name.startswith("conv")]
    assert convolutions == [(16, 28, 28), (32, 14, 14), (64, 7, 7)]
    assert engine.layers["fc1"].shape == (64,) and engine.predict(picture).names[0] in digits().classes


def test_what_there_is_nothing_to_learn_from_is_an_error() -> None:
    grey = [Image.new("RGB", (28, 28), "grey")] * 2
    with pytest.raises(ValueError, match="3 labels were given for 2 pictures"):
        fit(digit_net(), Gallery.from_arrays(grey), [0, 1, 2])
    with pytest.raises(ValueError, match="'0' has no label"):
        fit(digit_net(), Gallery.from_arrays(grey))
    with pytest.raises(ValueError, match="is empty"):
        fit(digit_net(), digits()[:0])


def test_it_is_reached_through_models() -> None:
    assert (models.digit_net, models.fit, models.DIGITS) == (digit_net, fit, DIGITS)
