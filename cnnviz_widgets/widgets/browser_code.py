"""What `LayerBrowser` shows, as the calls that make it: for "copy as code"."""

from __future__ import annotations

from cnnviz_widgets.engine import Engine
from cnnviz_widgets.models import names
from cnnviz_widgets.results import Unit


def browser_code(
    engine: Engine,
    image: str,
    unit: Unit,
    *,
    projection: str,
    quantile: float,
    convolution: bool,
) -> str:
    """Python that rebuilds the view of one unit, to be pasted into a cell.

    Args:
        engine: the network; one that was not made from a name can only be named, not rebuilt.
        image: an expression for the picture, such as ``samples["cat"]``, or "" for one that only lives in the widget.
        unit: the channel, with y and x when a position was chosen.
        projection: the method of the projection.
        quantile: of the mask.
        convolution: whether the layer has filters and its values an arithmetic.
    """
    plain = Unit(unit.layer, unit.channel)
    imports = ["Engine", "LayerBrowser", "Unit", "activation_mask", "activations", "project_unit"]
    imports += ["filters"] if convolution else []
    imports += ["unit_arithmetic"] if convolution and unit.y is not None else []
    imports += ["samples"] if image.startswith("samples[") else []
    named = engine.name in names()
    lines = [
        f"from cnnviz_widgets import {', '.join(sorted(imports, key=str.lower))}",
        "",
        f"engine = Engine({engine.name!r})" if named else f"engine = ...  # your Engine of {engine.name}",
        f"image = {image}" if image else "image = ...  # the picture on the screen: browser.image",
        f"unit = {unit!r}",
        "",
        "activations(engine, image, unit.layer).plot(channels=[unit.channel])",
        f"activation_mask(engine, image, {plain!r}, quantile={quantile:g})"
        if unit.y is not None
        else f"activation_mask(engine, image, unit, quantile={quantile:g})",
        f"project_unit(engine, image, unit, method={projection!r})",
    ]
    lines += ["filters(engine, unit.layer)"] if convolution else []
    lines += ["unit_arithmetic(engine, image, unit)"] if convolution and unit.y is not None else []
    lines += ["", f"LayerBrowser(engine, image, layer={unit.layer!r}, channel={unit.channel})"]
    return "\n".join(lines)
