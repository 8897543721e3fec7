"""One network of every family that torchvision has for classification: each method gives a map, or says why not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torchvision
from PIL import Image

from cnnviz_widgets.data import samples
from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Heatmap, PixelMap, Synthesis
from tests.benchmarks.zoo import METHODS, PICTURES, calls, random_network

NO_SUCH_HEAD = "cam needs global average pooling followed by one linear layer"

# side of the input, the last layer with maps, whether CAM applies. AlexNet and VGG pool to a fixed size, by which the
# maps of inputs below 224 would grow.
FAMILIES = {
    "alexnet": (224, "features.12", False),
    "convnext_tiny": (64, "features.7.2", False),  # a layer norm lies between the average and the linear layer
    "densenet121": (64, "features.norm5", True),
    "efficientnet_b0": (64, "features.8.2", True),
    "efficientnet_v2_s": (64, "features.7.2", True),
    "googlenet": (96, "inception5b", True),
    "inception_v3": (107, "Mixed_7c", True),
    "maxvit_t": (224, "blocks.3.layers.1.layers.grid_attention.departition_op", False),
    "mnasnet0_5": (64, "layers.16", True),
    "mobilenet_v2": (64, "features.18.2", True),
    "mobilenet_v3_small": (64, "features.12.2", False),  # two linear layers
    "regnet_y_400mf": (64, "trunk_output.block4.block4-5.activation", True),
    "resnet18": (64, "layer4.1", True),
    "resnext50_32x4d": (64, "layer4.2", True),
    "shufflenet_v2_x0_5": (64, "conv5.2", True),
    "squeezenet1_0": (64, "features.12", True),
    "swin_t": (64, "permute", True),
    "swin_v2_t": (64, "permute", True),
    "vgg11": (224, "features.20", False),
    "vit_b_16": (224, "conv_proj", False),
    "wide_resnet50_2": (64, "layer4.2", True),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def engine(family: str) -> Iterator[Engine]:
    side = FAMILIES[family][0]
    yield Engine(random_network(family, side), transform=Preprocessing(resize=side, crop=side))


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return samples["cat"]


def test_every_family_of_torchvision_is_here() -> None:
    modules = torchvision.models.list_models(module=torchvision.models)
    families = {torchvision.models.get_model_builder(name).__module__ for name in modules}
    assert families == {torchvision.models.get_model_builder(name).__module__ for name in FAMILIES}


def test_the_last_maps_are_those_before_the_classifier(family: str, engine: Engine, picture: Image.Image) -> None:
    assert engine.last_maps(engine.prepare(picture)) == FAMILIES[family][1]


@pytest.mark.parametrize("method", METHODS)
def test_a_finite_map_of_the_right_shape_or_an_error_that_is_right(
    method: str, family: str, engine: Engine, picture: Image.Image
) -> None:
    side, layer, has_head = FAMILIES[family]
    call = calls(engine, picture, samples=2, steps=2, maps=4)[method]
    if method == "cam" and not has_head:
        with pytest.raises(ValueError, match=NO_SUCH_HEAD):
            call()
        return
    result = call()
    assert isinstance(result, Heatmap | PixelMap)
    assert result.values.shape == ((3, side, side) if isinstance(result, PixelMap) else (side, side))
    assert np.isfinite(result.values).all()
    if method in ("saliency", "deconvnet", "guided_backprop", "smooth_grad", "grad_times_input", "cam"):
        assert result.values.any()
    if method.startswith("grad_cam"):
        assert result.layer == layer
        assert (
            isinstance(result, Heatmap)
            and result.raw.shape == engine.layers_for(engine.prepare(picture))[layer].shape[1:]
        )


@pytest.mark.parametrize("method", PICTURES)
def test_a_picture_made_for_random_weights_is_finite_at_every_step(
    method: str, engine: Engine, picture: Image.Image
) -> None:
    found = calls(engine, picture, samples=2, steps=2, maps=4)[method]()
    assert isinstance(found, Synthesis) and found.picture.std() > 0
    assert np.isfinite(found.trace).all() and np.isfinite(found.scores).all()
