"""Rules for operations that only move values to other places: views, permutations, slices."""

from __future__ import annotations

from dataclasses import replace

from cnnviz_widgets.engine.geometry.call import Call, as_list
from cnnviz_widgets.engine.geometry.origin import Dim, Origin

_SWAPS = (("dim0", "dim1"), ("axis0", "axis1"))  # what transpose and swapaxes call their arguments


def view(call: Call) -> Origin:
    """Regroup the factors of the old shape into the new one."""
    _, origin = call.source()
    if origin.dims is None:
        return origin
    factors = [(label, size) for dim in origin.dims for label, size in dim if size != 1]
    dims: list[Dim] = []
    for want in call.output.shape:
        dim: list[tuple[str, int]] = []
        have = 1
        while have < want and factors:
            label, size = factors.pop(0)
            if want % (have * size) == 0:
                dim.append((label, size))
                have *= size
            elif not label and (want // have) and size % (want // have) == 0:
                part = want // have
                dim.append(("", part))
                factors.insert(0, ("", size // part))
                have = want
            else:
                return origin.lost(f"{call.name} cuts an image axis into parts")
        dims.append(_merged(dim))
    return replace(origin, dims=tuple(dims))


def permute(call: Call) -> Origin:
    """Dimensions in another order."""
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    order = list(range(tensor.ndim))
    if "dims" in call.args:
        order = [axis % tensor.ndim for axis in call.args["dims"]]
    elif call.name in ("movedim", "moveaxis"):
        source = [axis % tensor.ndim for axis in as_list(call.args["source"])]
        target = [axis % tensor.ndim for axis in as_list(call.args["destination"])]
        rest = iter([axis for axis in order if axis not in source])
        order = [source[target.index(place)] if place in target else next(rest) for place in order]
    elif tensor.ndim >= 2:  # transpose, swapaxes, t: two dimensions change places
        pair = next((names for names in _SWAPS if names[0] in call.args), None)
        a, b = (call.args[pair[0]], call.args[pair[1]]) if pair else (0, 1)
        order[a], order[b] = order[b], order[a]
    return replace(origin, dims=tuple(origin.dims[axis] for axis in order))


def squeeze(call: Call) -> Origin:
    """A dimension of size one less or more."""
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    dims = list(origin.dims)
    if call.name.startswith("unsqueeze"):
        dims.insert(call.args["dim"] % (tensor.ndim + 1), (("", 1),))
    else:
        axes = range(tensor.ndim) if call.args.get("dim") is None else as_list(call.args["dim"])
        gone = {axis % tensor.ndim for axis in axes if tensor.shape[axis] == 1}
        dims = [dim for number, dim in enumerate(dims) if number not in gone]
    return replace(origin, dims=tuple(dims))


def take(call: Call) -> Origin:
    """slice, select, narrow, chunk, split: a part of one dimension."""
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    axis = call.args.get("dim", 0) % tensor.ndim
    dim = origin.dims[axis]
    dims, spans = list(origin.dims), origin.spans
    length = tensor.shape[axis]
    whole_axis = call.name == "slice" and call.output.shape == tensor.shape
    if any(label for label, _ in dim) and not whole_axis:
        if len(dim) > 1 or call.name not in ("slice", "select", "narrow"):
            return origin.lost(f"{call.name} takes a part of the image axes")
        start = call.args.get("index", call.args.get("start")) or 0
        start = max(0, start + length) if start < 0 else min(start, length)
        if spans is not None:
            place = "yx".index(dim[0][0])
            moved = spans[place].shift(start, 0 if call.name == "select" else call.args.get("step", 1))
            spans = (moved, spans[1]) if place == 0 else (spans[0], moved)
    if call.name == "select" or call.name == "unbind":
        del dims[axis]
    else:
        label = dim[0][0] if len(dim) == 1 else ""
        dims[axis] = dim if whole_axis else ((label, call.output.shape[axis]),)
    return replace(origin, dims=tuple(dims), spans=spans)


def _merged(dim: list[tuple[str, int]]) -> Dim:
    """Neighbouring plain factors are one."""
    out: list[tuple[str, int]] = []
    for label, size in dim:
        if out and not label and not out[-1][0]:
            out[-1] = ("", out[-1][1] * size)
        else:
            out.append((label, size))
    return tuple(out) or (("", 1),)
