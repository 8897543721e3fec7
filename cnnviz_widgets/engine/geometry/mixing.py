"""Rules for operations in which positions come to depend on each other: sums, products, statistics."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from cnnviz_widgets.engine.geometry.call import Call, as_list
from cnnviz_widgets.engine.geometry.joining import same
from cnnviz_widgets.engine.geometry.origin import Dim, Origin


def reduce(call: Call) -> Origin:
    """mean, sum, max … over some dimensions: over an image axis the value comes to depend on all of it."""
    if isinstance(call.args.get("other"), Tensor):  # max and min of two tensors
        return same(call)
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    chosen = call.args.get("dim")
    axes = range(tensor.ndim) if chosen is None or chosen == [] else as_list(chosen)
    axes = {axis % tensor.ndim for axis in axes}
    keep = bool(call.args.get("keepdim", False))
    dims = tuple(
        (("", 1),) if number in axes else dim for number, dim in enumerate(origin.dims) if keep or number not in axes
    )
    for axis in axes:
        origin = _contract(origin, origin.dims[axis])  # type: ignore[index]
    return replace(origin, dims=dims)


def linear(call: Call) -> Origin:
    """A fully connected layer, over the last dimension."""
    _, origin = call.source()
    if call.known("weight", "bias"):
        return origin.lost(f"{call.name}: the weights themselves are computed from the picture")
    if origin.dims is None:
        return origin
    after = _contract(origin, origin.dims[-1])
    return replace(after, dims=(*origin.dims[:-1], (("", call.output.shape[-1]),)))


def mixes(call: Call) -> Origin:
    """Products: of a map and constant weights, or of two maps (attention), where every position sees every other."""
    known = call.known()
    tensor, origin = known[0]
    if len(known) == 1 and call.name in ("matmul", "mm", "bmm", "addmm"):
        left = call.args.get("mat1", call.args["self"]) if call.name == "addmm" else call.args["self"]
        if tensor is left:
            return linear(call)
        if origin.dims is not None and len(origin.dims) == call.output.ndim >= 2 and tensor is not call.args["self"]:
            after = _contract(origin, origin.dims[-2])
            return replace(after, dims=(*origin.dims[:-2], (("", call.output.shape[-2]),), origin.dims[-1]))
    if any(o.whole for _, o in known):
        return Origin(None, None, True)
    apart = any(label for _, o in known if o.dims for dim in o.dims[:-2] for label, size in dim if size > 1)
    if apart or call.name == "einsum" or any(o.spans is None or o.dims is None for _, o in known):
        return origin.lost(f"{call.name} mixes positions")
    return Origin(None, None, True, f"{call.name} mixes positions")


def normalise(call: Call) -> Origin:
    """Statistics over some dimensions, given back to every position."""
    tensor, origin = call.source()
    if call.name in ("layer_norm", "native_layer_norm", "rms_norm"):
        axes = range(tensor.ndim - len(call.args["normalized_shape"]), tensor.ndim)
    elif call.name.startswith(("softmax", "_softmax", "log_softmax", "_log_softmax")):
        axes = [call.args["dim"]]
    else:  # group and instance norm
        axes = range(1, tensor.ndim)
    if origin.dims is None:
        return origin
    mixed = any(label for axis in axes for label, size in origin.dims[axis] if size > 1)
    return replace(origin, whole=origin.whole or (mixed and origin.spans is not None))


def batch_norm(call: Call) -> Origin:
    """Stored statistics move nothing; those of the batch, in training, come from the whole picture."""
    origin = call.source()[1]
    in_training = call.args.get("training", False) or call.args.get("use_input_stats", False)
    return replace(origin, whole=True) if in_training and origin.spans is not None else origin


def _contract(origin: Origin, dim: Dim) -> Origin:
    """`origin` after summing over a dimension."""
    if origin.spans is None:
        return origin
    spans = list(origin.spans)
    for label, size in dim:
        if label:
            spans["yx".index(label)] = spans["yx".index(label)].all(size)
    return replace(origin, spans=(spans[0], spans[1]))
