"""Rules for operations that work position by position, on one tensor or on several: residuals, gates, branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cnnviz_widgets.engine.geometry.call import Call
from cnnviz_widgets.engine.geometry.origin import Dim, Origin, Span


def same(call: Call) -> Origin:
    """Values change, positions do not. Several inputs are joined (residuals, gates, branches), broadcasting
    included."""
    known = call.known()
    dims = broadcast_dims([(t.shape, o) for t, o in known], call.output.shape)
    return _join([o for _, o in known], dims, call.name)


def cat(call: Call) -> Origin:
    """Tensors side by side along a dimension that is none of the picture's."""
    known = call.known()
    origins = [o for _, o in known]
    if call.name == "stack":
        return _join(origins, None, call.name).lost("stack is not followed")
    axis = call.args.get("dim", 0) % call.output.ndim
    if any(label for o in origins if o.dims for label, size in o.dims[axis] if size > 1):
        return _join(origins, None, call.name).lost(f"{call.name} along an image axis")
    shape = [1 if number == axis else size for number, size in enumerate(call.output.shape)]
    parts = [([1 if number == axis else size for number, size in enumerate(t.shape)], o) for t, o in known]
    dims = broadcast_dims(parts, shape)
    if dims is not None:
        dims = (*dims[:axis], (("", call.output.shape[axis]),), *dims[axis + 1 :])
    return _join(origins, dims, call.name)


def expand(call: Call) -> Origin:
    """One value repeated to a larger shape."""
    known = call.known("self")
    if not known:
        return call.source()[1].lost(f"{call.name} is not followed")
    dims = broadcast_dims([(t.shape, o) for t, o in known], call.output.shape)
    return _join([known[0][1]], dims, call.name)


def _join(origins: Sequence[Origin], dims: tuple[Dim, ...] | None, name: str) -> Origin:
    whole = any(o.whole for o in origins)
    lost = next((o for o in origins if o.spans is None), None)
    if lost is not None:
        return Origin(dims, None, whole, lost.why)
    if dims is None:
        return Origin(None, None, whole, f"{name} joins maps whose axes lie differently")
    joined = Origin(dims, None)
    pairs = [tuple(_as_part_of(joined, o, label) for label in "yx") for o in origins]
    local = [pair for pair in pairs if any(span.stride for span in pair)]
    if local and len(local) < len(pairs):  # a gate computed from the whole map times the map: every position sees both
        whole, pairs = True, local
    rows, columns = (_joined([pair[n] for pair in pairs], joined.varies("yx"[n])) for n in (0, 1))
    if rows is None or columns is None:
        return Origin(dims, None, whole, f"{name} joins maps of different strides")
    return Origin(dims, (rows, columns), whole)


def _as_part_of(joined: Origin, origin: Origin, label: str) -> Span:
    """The span of one of the joined tensors; where it is broadcast, every position sees the same cells."""
    assert origin.spans is not None
    span = origin.spans["yx".index(label)]
    return replace(span, stride=0) if joined.varies(label) and not origin.varies(label) else span


def _joined(spans: Sequence[Span], varies: bool) -> Span | None:
    if len({span.stride for span in spans}) > 1:
        if varies:
            return None
        spans = [replace(span, stride=0) for span in spans]  # one position only
    found = spans[0]
    for span in spans[1:]:
        found = found.join(span) or found
    return found


def broadcast_dims(known: Sequence[tuple[Sequence[int], Origin]], shape: Sequence[int]) -> tuple[Dim, ...] | None:
    """What the dimensions mean where tensors are combined position by position; None where they disagree."""
    dims: list[Dim] = [(("", size),) for size in shape]
    labelled = [False] * len(dims)
    for have, origin in known:
        if origin.dims is None:
            continue
        extra = len(dims) - len(have)
        for number, dim in enumerate(origin.dims, start=extra):
            if have[number - extra] != shape[number] or not any(label for label, size in dim if size > 1):
                continue
            if labelled[number] and dims[number] != dim:
                return None
            dims[number], labelled[number] = dim, True
    if all(origin.dims is None for _, origin in known):
        return None
    image = [label for dim in dims for label, size in dim if label]
    return tuple(dims) if len(image) == len(set(image)) else None
