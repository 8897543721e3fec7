"""What a person calls a result: "Grad-CAM · tabby · features.12"."""

from __future__ import annotations

from cnnviz_widgets.results import Result

__all__ = ["METHOD_TITLES", "method_title", "shorten", "title"]

METHOD_TITLES = {
    "predict": "Predictions",
    "saliency": "Saliency",
    "deconvnet": "Deconvnet",
    "guided_backprop": "Guided backpropagation",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": "Integrated gradients",
    "grad_times_input": "Gradient × input",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "layer_cam": "LayerCAM",
    "score_cam": "Score-CAM",
    "guided_grad_cam": "Guided Grad-CAM",
    "occlusion": "Occlusion",
    "activations": "Activations",
    "layer_activity": "Activity of the layers",
    "activation_mask": "Activation mask",
    "project_unit": "Unit projection",
    "unit_arithmetic": "Arithmetic",
    "filters": "Filters",
    "filter_spectrum": "Filter spectrum",
    "neighbors": "Nearest neighbours",
    "top_patches": "Strongest patches",
    "unit_classes": "Classes of a unit",
    "tsne": "t-SNE",
    "pca": "PCA",
    "umap": "UMAP",
    "place": "Places in a map",
    "maximize": "What it looks for",
    "maximize_each": "What it looks for",
    "invert": "What the layer still knows",
    "dream": "Dream",
}


def method_title(method: str) -> str:
    """The method as its paper writes it; one that is not listed reads "Some method" for `some_method`."""
    plain = method.replace("_", " ").strip()
    return METHOD_TITLES.get(method) or plain[:1].upper() + plain[1:]


def title(result: Result) -> str:
    """Method, target and layer, as far as there are any; a counterfactual map says that it answers 'why not'."""
    why_not = "why not " if result.parameters.get("counterfactual") is True and result.target_name else ""
    target = f"{why_not}{result.target_name}"
    # the name of a unit or of a whole layer says the layer
    named = result.layer is not None and result.target_name.startswith((f"{result.layer} ", f"{result.layer},"))
    layer = "" if named or not result.layer else result.layer
    return " · ".join(part for part in (method_title(result.method), target, layer) if part)


def shorten(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer."""
    return text if len(text) <= length else text[: length - 1].rstrip(" ,;-") + "…"
