"""A glance at a picture of the camera is what prediction and activations are, in one forward pass."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torch import nn

from cnnviz_widgets import Engine, samples
from cnnviz_widgets.methods.activations import activations, glance
from tests.engine.nets import TRANSFORM, plain


@pytest.mark.parametrize("layer", ["features.0", "features.1", "features.12"])
def test_a_glance_equals_prediction_and_activations(layer: str) -> None:
    engine = Engine("squeezenet1_1")
    seen = glance(engine, samples["cat"], layer)
    predictions, maps = seen.predictions, seen.activations
    expected, wanted = engine.predict(samples["cat"]), activations(engine, samples["cat"], layer)
    assert predictions.names == expected.names
    np.testing.assert_allclose(predictions.scores, expected.scores, rtol=1e-5)
    np.testing.assert_allclose(maps.maps, wanted.maps, rtol=1e-5, atol=1e-5)
    assert maps.parameters == wanted.parameters and maps.layer == layer
    assert (maps.image == wanted.image).all()


def test_a_glance_is_one_pass_and_leaves_nothing_in_the_cache(cat: Image.Image) -> None:
    net = plain()
    passes = []
    next(m for m in net.modules() if isinstance(m, nn.Conv2d)).register_forward_hook(lambda *_: passes.append(1))
    engine = Engine(net, transform=TRANSFORM)
    name = next(row.name for row in engine.layers_for(engine.prepare(cat)).values() if row.kind == "Conv2d")
    engine.predict(cat)  # asks for the names of classes once
    before, kept = len(passes), len(engine.cache)
    seen = glance(engine, cat, name)
    assert seen.predictions and seen.activations
    assert len(passes) == before + 1 and len(engine.cache) == kept


def test_a_wrong_layer_says_what_is_near() -> None:
    with pytest.raises(KeyError, match="did you mean 'features.3"):
        glance(Engine("squeezenet1_1"), samples["cat"], "feature.3")
