"""Class activation maps: which part of the picture a layer's maps hold for the target.

Each method weighs the maps A (C, h, w) of one layer and adds them up; they differ in the weights. `layer=None` takes
the last layer that still has a spatial extent. `counterfactual=True` asks the opposite question, "what speaks against
it?": the same computation on the negated score. `against` asks "why this rather than that?": the difference of two
scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Objective, Target
from cnnviz_widgets.methods.cam_head import find_head
from cnnviz_widgets.methods.common import enlarge, heat_map, input_gradient, method, pixel_map, start
from cnnviz_widgets.results import Heatmap, PixelMap, Unit


@method
def cam(
    engine: Engine,
    image: ImageLike,
    target: int | str | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: int | str | None = None,
) -> Heatmap:
    """Where the class is, for networks that average their last maps and classify the averages.

    Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning deep features for discriminative localization", CVPR 2016,
    equation 2: the last maps weighted by the class's own weights in the linear layer, without its bias.

    Args:
        engine, image: the network and the picture.
        target: class index or name; by default the most probable class.
        layer: only to check: the maps must be those that the network averages, and there is one such layer.
        counterfactual: the weights' sign turned: where the evidence speaks against the class.
        against: a second class: the difference of both classes' weights.

    Returns:
        Heatmap: raw (h, w) at the layer's resolution, values (H, W) on the input frame; signed. Its mean over raw,
        plus the bias, is the class score (for a head without a rectifier in between).

    Raises:
        ValueError: the network has no global average pooling followed by one linear layer (checked by running it);
            `grad_cam` needs neither.

    Example:
        >>> cam(engine, samples["cat"], "tabby")
    """
    x, objective = start(engine, image, target, against)
    if isinstance(objective.target, Unit) or isinstance(objective.against, Unit):
        raise ValueError(
            "cam explains classes, since only they have weights in the linear layer; use grad_cam for a unit"
        )
    head = find_head(engine, x)
    if layer is not None and layer not in head.names:
        raise ValueError(f"cam works at {head.names[0]!r}, the maps that {engine.name} averages, not at {layer!r}")
    weights = head.weights[objective.target]
    if objective.against is not None:
        weights = weights - head.weights[objective.against]
    raw = torch.einsum("c,chw->hw", -weights if counterfactual else weights, head.maps)
    parameters = {"counterfactual": counterfactual}
    return heat_map(engine, x, objective, raw, "cam", parameters, _ZHOU, layer or head.names[0], signed=True)


@method
def grad_cam(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: Target | None = None,
) -> Heatmap:
    """Where the target is, on any network: maps weighted by how much the score grows with their mean.

    Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra, "Grad-CAM", ICCV 2017, equations 1 and 2: the weight of a map
    is the mean of its gradient, and what is negative in the sum is cut off. `counterfactual` is section 3.3, "why
    not".

    Args:
        engine, image: the network and the picture.
        target: class index, class name or `Unit`; by default the most probable class.
        layer: whose maps; by default the last one with a spatial extent (before the unit, for a unit).
        counterfactual: negated gradients: regions that would make the network change its mind if they were not there.
        against: a second class or unit, for a contrast.

    Returns:
        Heatmap: raw (h, w) at the layer's resolution, values (H, W) on the input frame; from 0 up, not normalised.

    Raises:
        KeyError, IndexError: no such class, layer or channel; near names are suggested.
        ValueError: the layer puts out no maps, or the score does not depend on it.

    Example:
        >>> grad_cam(engine, samples["cat"], "tabby", against="Egyptian cat")
    """
    x, objective, layer = _begin(engine, image, target, layer, against)
    maps, slope = _at(engine, x, objective, layer, counterfactual)
    raw = torch.einsum("c,chw->hw", slope.mean((1, 2)), maps).clamp(min=0)
    return heat_map(engine, x, objective, raw, "grad_cam", {"counterfactual": counterfactual}, _SELVARAJU, layer)


@method
def grad_cam_plus_plus(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: Target | None = None,
) -> Heatmap:
    """Like Grad-CAM, but several objects of one class all light up, and the whole of each.

    Chattopadhyay, Sarkar, Howlader & Balasubramanian, "Grad-CAM++", WACV 2018, equations 10 and 19: positions whose
    gradient is positive are weighted so that each of them counts once, however large the object. The paper's exp(score)
    scales the map as a whole and is left out.

    Args, returns, raises: as `grad_cam`.

    Example:
        >>> grad_cam_plus_plus(engine, samples["coffee"])
    """
    x, objective, layer = _begin(engine, image, target, layer, against)
    maps, slope = _at(engine, x, objective, layer, counterfactual)
    square, cube = slope.square(), slope.pow(3)
    below = 2 * square + maps.sum((1, 2), keepdim=True) * cube
    share = torch.where(below != 0, square / torch.where(below != 0, below, 1), 0)
    weights = (share * slope.clamp(min=0)).sum((1, 2))
    raw = torch.einsum("c,chw->hw", weights, maps).clamp(min=0)
    parameters = {"counterfactual": counterfactual}
    return heat_map(engine, x, objective, raw, "grad_cam_plus_plus", parameters, _CHATTOPADHYAY, layer)


@method
def layer_cam(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: Target | None = None,
) -> Heatmap:
    """Fine maps also from early layers: every position has a weight of its own, its positive gradient.

    Jiang, Zhang, Hou, Cheng & Wei, "LayerCAM", IEEE Transactions on Image Processing 2021, equations 6 to 8.

    Args, returns, raises: as `grad_cam`.

    Example:
        >>> layer_cam(engine, samples["cat"], layer="features.7")
    """
    x, objective, layer = _begin(engine, image, target, layer, against)
    maps, slope = _at(engine, x, objective, layer, counterfactual)
    raw = (slope.clamp(min=0) * maps).sum(0).clamp(min=0)
    return heat_map(engine, x, objective, raw, "layer_cam", {"counterfactual": counterfactual}, _JIANG, layer)


@method
def score_cam(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: Target | None = None,
) -> Heatmap:
    """Without gradients: each map is used as a mask on the picture, and weighs what the score then is.

    Wang, Wang, Du, Yang, Zhang, Ding, Mardziel & Hu, "Score-CAM", CVPR workshops 2020, algorithm 1: maps are enlarged
    and scaled to 0..1, the preprocessed input is multiplied by each, and the softmax of the scores over all maps
    gives the weights. One forward pass for each channel, so it is slow; as a job it reports progress and can be
    stopped.

    Args, returns, raises: as `grad_cam`; `counterfactual` weighs by the negated score.

    Example:
        >>> score_cam(engine, samples["cat"], layer="features.12")
    """
    x, objective, layer = _begin(engine, image, target, layer, against)
    maps = engine.outputs(x, [layer])[layer][0]
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    alive = (high > low).nonzero()[:, 0]  # a constant map masks nothing
    if not len(alive):
        raise ValueError(f"every map of {layer!r} is constant on this picture, so there is nothing to mask by")

    def masked(channels: Tensor) -> Tensor:
        mask = (maps[channels] - low[channels, None, None]) / (high - low)[channels, None, None]
        return engine.values(enlarge(mask[:, None], x) * x, objective)

    scores = torch.cat(engine.in_batches(alive, masked, like=x))
    weights = (-scores if counterfactual else scores).softmax(0)
    raw = torch.einsum("c,chw->hw", weights, maps[alive]).clamp(min=0)
    return heat_map(engine, x, objective, raw, "score_cam", {"counterfactual": counterfactual}, _WANG, layer)


@method
def guided_grad_cam(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    layer: str | None = None,
    counterfactual: bool = False,
    *,
    against: Target | None = None,
) -> PixelMap:
    """The fine structure of guided backpropagation, kept only where Grad-CAM finds the target.

    Selvaraju et al., "Grad-CAM", ICCV 2017, section 3.2: the product of both maps, pixel by pixel.

    Args: as `grad_cam`.

    Returns:
        PixelMap: values (3, H, W), signed.

    Raises:
        NoRuleError: as `guided_backprop`; otherwise as `grad_cam`.

    Example:
        >>> guided_grad_cam(engine, samples["cat"], "Egyptian cat")
    """
    x, objective, layer = _begin(engine, image, target, layer, against)
    maps, slope = _at(engine, x, objective, layer, counterfactual)
    raw = torch.einsum("c,chw->hw", slope.mean((1, 2)), maps).clamp(min=0)
    values = input_gradient(engine, x, objective, "guided") * enlarge(raw[None, None], x)
    parameters = {"counterfactual": counterfactual}
    return pixel_map(engine, x, objective, values, "guided_grad_cam", parameters, _SELVARAJU, layer)


def _begin(
    engine: Engine, image: ImageLike, target: Target | None, layer: str | None, against: Target | None
) -> tuple[Tensor, Objective, str]:
    x, objective = start(engine, image, target, against)
    table = engine.layers_for(x)
    if layer is None:
        parts = [objective.target] if objective.against is None else [objective.target, objective.against]
        last = [engine.last_maps(x, before=part.layer if isinstance(part, Unit) else None) for part in parts]
        return x, objective, min(last, key=lambda name: table[name].order)  # both of a contrast depend on the earlier
    row = table[layer]
    if row.axes is None:
        shape = " x ".join(map(str, row.shape)) or "nothing"
        last = engine.last_maps(x)
        why = f" ({row.note})" if row.note else ""
        raise ValueError(f"layer {layer!r} puts out {shape}{why}, not maps C x h x w; the last with maps is {last!r}")
    return x, objective, layer


def _at(engine: Engine, x: Tensor, objective: Objective, layer: str, counterfactual: bool) -> tuple[Tensor, Tensor]:
    """The maps (C, h, w) of a layer and the slope of the score (or of its negative) there."""
    found = engine.gradients(x, objective, [layer], at_input=False)
    if layer not in found.gradients:
        raise _independent(objective.name, layer)
    if objective.against is not None and objective.layers:  # of a unit's contrast only one half may depend on the layer
        for part in (objective.target, objective.against):
            half = engine.objective(x, part)
            if layer not in engine.gradients(x, half, [layer], at_input=False).gradients:
                raise _independent(half.name, layer)
    slope = found.gradients[layer][0]
    return found.outputs[layer][0], -slope if counterfactual else slope


def _independent(name: str, layer: str) -> ValueError:
    return ValueError(f"the score of {name!r} does not depend on layer {layer!r}; choose one before it")


_ZHOU = "Zhou et al., Learning deep features for discriminative localization, CVPR 2016 (arXiv:1512.04150)"
_SELVARAJU = "Selvaraju et al., Grad-CAM: visual explanations from deep networks, ICCV 2017 (arXiv:1610.02391)"
_CHATTOPADHYAY = "Chattopadhyay et al., Grad-CAM++, WACV 2018 (arXiv:1710.11063)"
_JIANG = "Jiang et al., LayerCAM: exploring hierarchical class activation maps, IEEE TIP 2021"
_WANG = "Wang et al., Score-CAM, CVPR workshops 2020 (arXiv:1910.01279)"
