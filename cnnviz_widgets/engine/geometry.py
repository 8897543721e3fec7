"""Which input pixels each value inside a network can depend on, followed through any graph while it runs.

A `Trace` watches one forward pass, operation by operation, and carries for each tensor (a) which of its dimensions are
the picture's rows and columns and (b) for each of these two axes the receptive field: output `i` depends on the input
cells ``lo + i * stride .. hi + i * stride`` (both ends included). Branches are joined, shapes are followed through
views and permutations, and whatever cannot be followed is *unknown* with the reason, never guessed. The arithmetic is
that of Araujo, Norris & Sim, "Computing receptive fields of convolutional neural networks", Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Span:
    """One axis of a receptive field: output `i` depends on input cells lo + i * stride .. hi + i * stride."""

    stride: int
    lo: int
    hi: int

    def window(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Span:
        """The span after a sliding window."""
        first = -padding * self.stride
        last = ((kernel - 1) * dilation - padding) * self.stride
        return Span(self.stride * stride, self.lo + first, self.hi + last)

    def shift(self, cells: int, step: int = 1) -> Span:
        """The span after a slice that begins at `cells` and takes every `step`-th."""
        return Span(self.stride * step, self.lo + cells * self.stride, self.hi + cells * self.stride)

    def all(self, length: int) -> Span:
        """The span of one value that depends on all `length` positions."""
        return Span(0, self.lo, self.hi + (length - 1) * self.stride)

    def join(self, other: Span) -> Span | None:
        """The span of a value that depends on both; None when no regular grid describes it."""
        if self.stride != other.stride:
            return None
        return Span(self.stride, min(self.lo, other.lo), max(self.hi, other.hi))


Dim = tuple[tuple[str, int], ...]  # a dimension as a product of factors, "y" and "x" (image axes) or "" (anything else)
Spans = tuple[Span, Span]


@dataclass(frozen=True)
class Origin:
    """Where a tensor comes from: what its dimensions mean and what its values depend on.

    `dims` is None when the meaning of the dimensions was lost; `spans` is None when the receptive field is unknown, and
    `why` then says which operation lost it; `whole` is True when every value depends on the whole picture.
    """

    dims: tuple[Dim, ...] | None
    spans: Spans | None
    whole: bool = False
    why: str = ""

    def axis(self, label: str) -> int | None:
        """The number of the dimension that is exactly this image axis."""
        for number, dim in enumerate(self.dims or ()):
            if len(dim) == 1 and dim[0][0] == label:
                return number
        return None

    def varies(self, label: str) -> bool:
        """True when the tensor has more than one position along this image axis."""
        return any(part == label and size > 1 for dim in self.dims or () for part, size in dim)

    def lost(self, why: str, *, dims: bool = True) -> Origin:
        """The same tensor with its receptive field (and its dimensions' meaning) given up."""
        return Origin(None if dims else self.dims, None, self.whole, self.why or why)


class Trace(TorchDispatchMode):
    """Follow one forward pass; enter it inside `torch.inference_mode()`, where operations arrive undivided.

    Example:
        ``with torch.inference_mode(), Trace() as trace: trace.start(x); y = model(x); trace.origin(y)``
    """

    def __init__(self) -> None:
        """Make a trace that knows no tensor yet."""
        super().__init__()
        self._origins = WeakIdKeyDictionary()
        # memory that something known was written into; the tensor is kept so that its address is not used again
        self._written: dict[int, tuple[Origin, Tensor]] = {}
        self._changes = WeakIdKeyDictionary()  # how often a tensor was changed in place

    def start(self, image: Tensor) -> None:
        """Declare `image` (N, C, H, W) to be the network's input."""
        unit = (Span(1, 0, 0), Span(1, 0, 0))
        self._origins[image] = Origin(_image_dims(image.shape), unit)

    def origin(self, tensor: Tensor) -> Origin | None:
        """What is known of `tensor`; None when it does not depend on the picture."""
        if self._written and tensor not in self._origins and _storage(tensor) in self._written:
            self._origins[tensor] = self._written[_storage(tensor)][0]
        return self._origins.get(tensor)

    def changes(self, tensor: Tensor) -> int:
        """How often `tensor` was changed in place so far."""
        return self._changes.get(tensor) or 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and work out where its outputs come from."""
        name = func.overloadpacket.__name__
        arguments = _named(func, args, kwargs or {})
        before = [origin for origin in map(self.origin, _tensors(arguments.values())) if origin is not None]
        result = func(*args, **(kwargs or {}))
        outputs = _tensors([result])
        if not before or not outputs or name in _FRESH:
            return result
        in_place = name.endswith("_") and outputs[0] is arguments.get("self")
        was = self._origins.get(outputs[0]) if in_place else None
        rule = _RULES.get(name.rstrip("_")) or _RULES.get(name)
        for number, output in enumerate(outputs):
            call = Call(name, arguments, self._origins, output, number)
            found = rule(call) if rule else before[0].lost(f"{name} is not followed")
            self._origins[output] = _fitting(found, output, name)
        if in_place:
            self._changes[outputs[0]] = self.changes(outputs[0]) + 1
            if self._origins[outputs[0]] != was:
                self._spoil(outputs[0], before[0].lost(f"a part of it was written by {name}"))
        return result

    def _spoil(self, part: Tensor, origin: Origin) -> None:
        """Something was written into `part`: nothing is certain any more of whatever else shares its memory."""
        place = _storage(part)
        self._written[place] = (origin, part)
        for tensor in list(self._origins.keys()):
            if tensor is not part and _storage(tensor) == place:
                self._origins[tensor] = self._origins[tensor].lost(origin.why)


@dataclass
class Call:
    """One operation as the rules below see it: its name, its arguments by name, and one of its outputs."""

    name: str
    args: dict[str, Any]
    origins: Any
    output: Tensor
    number: int = 0

    def known(self, *names: str) -> list[tuple[Tensor, Origin]]:
        """The arguments (all, or those named) that depend on the picture."""
        values = [self.args.get(name) for name in names] if names else list(self.args.values())
        return [(t, self.origins[t]) for t in _tensors(values) if t in self.origins]

    def source(self) -> tuple[Tensor, Origin]:
        """The one tensor that a unary operation works on."""
        return self.known()[0]


# --- the rules, one for each kind of operation ------------------------------------------------------------------------


def _same(call: Call) -> Origin:
    """Values change, positions do not. Several inputs are joined (residuals, gates, branches), broadcasting
    included."""
    known = call.known()
    dims = _broadcast_dims([(t.shape, o) for t, o in known], call.output.shape)
    return _join([o for _, o in known], dims, call.name)


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


def _broadcast_dims(known: Sequence[tuple[Sequence[int], Origin]], shape: Sequence[int]) -> tuple[Dim, ...] | None:
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


def _cat(call: Call) -> Origin:
    known = call.known()
    origins = [o for _, o in known]
    if call.name == "stack":
        return _join(origins, None, call.name).lost("stack is not followed")
    axis = call.args.get("dim", 0) % call.output.ndim
    if any(label for o in origins if o.dims for label, size in o.dims[axis] if size > 1):
        return _join(origins, None, call.name).lost(f"{call.name} along an image axis")
    shape = [1 if number == axis else size for number, size in enumerate(call.output.shape)]
    parts = [([1 if number == axis else size for number, size in enumerate(t.shape)], o) for t, o in known]
    dims = _broadcast_dims(parts, shape)
    if dims is not None:
        dims = (*dims[:axis], (("", call.output.shape[axis]),), *dims[axis + 1 :])
    return _join(origins, dims, call.name)


def _window(call: Call) -> Origin:
    """Convolutions and poolings: a sliding window over the last two dimensions, which therefore are the image axes."""
    _, origin = call.known("input", "self")[0] if call.known("input", "self") else call.source()
    args, output = call.args, call.output
    if call.known("weight"):
        return Origin(_image_dims(output.shape), None, True, "the kernel itself is computed from the picture")
    if args.get("transposed") or "transpose" in call.name:
        return origin.lost(f"{call.name} is not followed", dims=False)
    kernel = args["weight"].shape[-2:] if "weight" in args else _pair(args["kernel_size"])
    stride = _pair(args.get("stride") or kernel)
    padding, dilation = args.get("padding", 0), _pair(args.get("dilation", 1))
    if isinstance(padding, str):
        same = padding == "same"
        padding = [(d * (k - 1)) // 2 if same else 0 for d, k in zip(dilation, kernel, strict=True)]
    padding = _pair(padding)
    dims = _image_dims(output.shape)
    if origin.spans is None or not _is_image(origin):
        return Origin(dims, None, origin.whole, origin.why or f"{call.name}: its input's axes are unknown")
    spans = [
        span.window(k, s, p, d)
        for span, k, s, p, d in zip(origin.spans, kernel, stride, padding, dilation, strict=True)
    ]
    return Origin(dims, (spans[0], spans[1]), origin.whole)


def _adaptive(call: Call) -> Origin:
    tensor, origin = call.source()
    dims = _image_dims(call.output.shape)
    if origin.spans is None or not _is_image(origin):
        return Origin(dims, None, origin.whole, origin.why or f"{call.name}: its input's axes are unknown")
    spans = []
    for span, have, want in zip(origin.spans, tensor.shape[-2:], call.output.shape[-2:], strict=True):
        if want == 1:
            spans.append(span.all(have))
        elif have % want == 0:
            spans.append(span.window(have // want, have // want))
        else:
            return Origin(dims, None, origin.whole, f"{call.name} from {have} to {want} cells has windows of two sizes")
    return Origin(dims, (spans[0], spans[1]), origin.whole)


def _channel_pool(call: Call) -> Origin:
    """A 3-D average over neighbouring channels only (local response normalisation)."""
    kernel, stride = _triple(call.args["kernel_size"]), _triple(call.args.get("stride") or call.args["kernel_size"])
    if kernel[1:] != (1, 1) or stride[1:] != (1, 1):
        return call.source()[1].lost("a window over three axes is not followed")
    dims: list[Dim] = [(("", size),) for size in call.output.shape]
    origin = call.source()[1]
    if origin.dims is None:
        return origin
    dims[-2:] = origin.dims[-2:]
    return replace(origin, dims=tuple(dims))


def _reduce(call: Call) -> Origin:
    """mean, sum, max … over some dimensions: over an image axis the value comes to depend on all of it."""
    if isinstance(call.args.get("other"), Tensor):  # max and min of two tensors
        return _same(call)
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    chosen = call.args.get("dim")
    axes = range(tensor.ndim) if chosen is None or chosen == [] else _list(chosen)
    axes = {axis % tensor.ndim for axis in axes}
    keep = bool(call.args.get("keepdim", False))
    dims = tuple(
        (("", 1),) if number in axes else dim for number, dim in enumerate(origin.dims) if keep or number not in axes
    )
    for axis in axes:
        origin = _contract(origin, origin.dims[axis])  # type: ignore[index]
    return replace(origin, dims=dims)


def _contract(origin: Origin, dim: Dim) -> Origin:
    """`origin` after summing over a dimension."""
    if origin.spans is None:
        return origin
    spans = list(origin.spans)
    for label, size in dim:
        if label:
            spans["yx".index(label)] = spans["yx".index(label)].all(size)
    return replace(origin, spans=(spans[0], spans[1]))


def _linear(call: Call) -> Origin:
    _, origin = call.source()
    if call.known("weight", "bias"):
        return origin.lost(f"{call.name}: the weights themselves are computed from the picture")
    if origin.dims is None:
        return origin
    after = _contract(origin, origin.dims[-1])
    return replace(after, dims=(*origin.dims[:-1], (("", call.output.shape[-1]),)))


def _mixes(call: Call) -> Origin:
    """Products: of a map and constant weights, or of two maps (attention), where every position sees every other."""
    known = call.known()
    tensor, origin = known[0]
    if len(known) == 1 and call.name in ("matmul", "mm", "bmm", "addmm"):
        left = call.args.get("mat1", call.args["self"]) if call.name == "addmm" else call.args["self"]
        if tensor is left:
            return _linear(call)
        if origin.dims is not None and len(origin.dims) == call.output.ndim >= 2 and tensor is not call.args["self"]:
            after = _contract(origin, origin.dims[-2])
            return replace(after, dims=(*origin.dims[:-2], (("", call.output.shape[-2]),), origin.dims[-1]))
    if any(o.whole for _, o in known):
        return Origin(None, None, True)
    apart = any(label for _, o in known if o.dims for dim in o.dims[:-2] for label, size in dim if size > 1)
    if apart or call.name == "einsum" or any(o.spans is None or o.dims is None for _, o in known):
        return origin.lost(f"{call.name} mixes positions")
    return Origin(None, None, True, f"{call.name} mixes positions")


def _normalise(call: Call) -> Origin:
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


def _batch_norm(call: Call) -> Origin:
    origin = call.source()[1]
    in_training = call.args.get("training", False) or call.args.get("use_input_stats", False)
    return replace(origin, whole=True) if in_training and origin.spans is not None else origin


def _view(call: Call) -> Origin:
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


def _merged(dim: list[tuple[str, int]]) -> Dim:
    """Neighbouring plain factors are one."""
    out: list[tuple[str, int]] = []
    for label, size in dim:
        if out and not label and not out[-1][0]:
            out[-1] = ("", out[-1][1] * size)
        else:
            out.append((label, size))
    return tuple(out) or (("", 1),)


_SWAPS = (("dim0", "dim1"), ("axis0", "axis1"))  # what transpose and swapaxes call their arguments


def _permute(call: Call) -> Origin:
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    order = list(range(tensor.ndim))
    if "dims" in call.args:
        order = [axis % tensor.ndim for axis in call.args["dims"]]
    elif call.name in ("movedim", "moveaxis"):
        source = [axis % tensor.ndim for axis in _list(call.args["source"])]
        target = [axis % tensor.ndim for axis in _list(call.args["destination"])]
        rest = iter([axis for axis in order if axis not in source])
        order = [source[target.index(place)] if place in target else next(rest) for place in order]
    elif tensor.ndim >= 2:  # transpose, swapaxes, t: two dimensions change places
        pair = next((names for names in _SWAPS if names[0] in call.args), None)
        a, b = (call.args[pair[0]], call.args[pair[1]]) if pair else (0, 1)
        order[a], order[b] = order[b], order[a]
    return replace(origin, dims=tuple(origin.dims[axis] for axis in order))


def _squeeze(call: Call) -> Origin:
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    dims = list(origin.dims)
    if call.name.startswith("unsqueeze"):
        dims.insert(call.args["dim"] % (tensor.ndim + 1), (("", 1),))
    else:
        axes = range(tensor.ndim) if call.args.get("dim") is None else _list(call.args["dim"])
        gone = {axis % tensor.ndim for axis in axes if tensor.shape[axis] == 1}
        dims = [dim for number, dim in enumerate(dims) if number not in gone]
    return replace(origin, dims=tuple(dims))


def _expand(call: Call) -> Origin:
    known = call.known("self")
    if not known:
        return call.source()[1].lost(f"{call.name} is not followed")
    dims = _broadcast_dims([(t.shape, o) for t, o in known], call.output.shape)
    return _join([known[0][1]], dims, call.name)


def _slice(call: Call) -> Origin:
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


def _pad(call: Call) -> Origin:
    tensor, origin = call.source()
    if origin.dims is None:
        return origin
    mode = call.args.get("mode", "constant")
    if mode == "circular":
        return origin.lost("circular padding is not followed", dims=False)
    widths = list(call.args.get("pad") or call.args.get("padding") or [])
    dims, spans = list(origin.dims), list(origin.spans) if origin.spans else None
    for number in range(len(widths) // 2):
        axis = tensor.ndim - 1 - number
        if len(dims[axis]) != 1:
            if widths[2 * number] or widths[2 * number + 1]:
                return origin.lost("padding of merged axes")
            continue
        label = dims[axis][0][0]
        dims[axis] = ((label, call.output.shape[axis]),)
        if label and spans is not None:
            spans["yx".index(label)] = spans["yx".index(label)].shift(-widths[2 * number])
    return replace(origin, dims=tuple(dims), spans=(spans[0], spans[1]) if spans else None)


def _table() -> dict[str, Callable[[Call], Origin]]:
    rules: dict[str, Callable[[Call], Origin]] = {}
    pointwise = """
        relu relu6 hardtanh hardswish hardsigmoid sigmoid tanh silu gelu mish elu celu selu leaky_relu rrelu prelu
        _prelu_kernel softplus softshrink hardshrink softsign logsigmoid log_sigmoid_forward threshold clamp clamp_min
        clamp_max abs neg exp log log1p log2 exp2 expm1 sqrt rsqrt square pow sign reciprocal sin cos tan atan erf
        trunc frac round floor ceil
        add sub mul div rsub true_divide maximum minimum fmax fmin where lerp addcmul addcdiv remainder
        eq ne lt le gt ge logical_and logical_or logical_not bitwise_not masked_fill nan_to_num
        dropout dropout2d feature_dropout alpha_dropout native_dropout bernoulli
        clone contiguous detach alias lift_fresh to _to_copy type_as float half double real
        channel_shuffle native_channel_shuffle
    """
    for names, rule in (
        (pointwise, _same),
        ("cat concat concatenate stack", _cat),
        ("conv2d convolution _convolution mkldnn_convolution conv_transpose2d", _window),
        ("max_pool2d max_pool2d_with_indices avg_pool2d mkldnn_max_pool2d", _window),
        ("adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d", _adaptive),
        ("avg_pool3d", _channel_pool),
        ("mean sum amax amin max min var std logsumexp norm linalg_vector_norm prod any all argmax", _reduce),
        ("linear", _linear),
        ("matmul mm bmm addmm baddbmm einsum scaled_dot_product_attention _native_multi_head_attention", _mixes),
        ("layer_norm native_layer_norm rms_norm group_norm native_group_norm", _normalise),
        ("softmax _softmax log_softmax _log_softmax", _normalise),
        (
            "batch_norm native_batch_norm cudnn_batch_norm _native_batch_norm_legit_no_training instance_norm",
            _batch_norm,
        ),
        ("view reshape flatten unflatten _unsafe_view view_as reshape_as _reshape_alias", _view),
        ("permute transpose t swapaxes swapdims movedim moveaxis numpy_T", _permute),
        ("squeeze unsqueeze", _squeeze),
        ("expand expand_as", _expand),
        ("slice select narrow chunk split split_with_sizes tensor_split unbind", _slice),
        ("pad constant_pad_nd reflection_pad2d replication_pad2d", _pad),
    ):
        rules.update(dict.fromkeys(names.split(), rule))
    return rules


_RULES = _table()


# what only looks at a tensor's shape, type and place
_FRESH = frozenset(
    (
        *("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like"),
        *("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"),
    )
)


# --- small helpers ----------------------------------------------------------------------------------------------------


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, defaults included: the dispatcher leaves them out."""
    schema = func._schema.arguments
    defaults = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**defaults, **dict(zip((argument.name for argument in schema), args, strict=False)), **kwargs}


def _tensors(values: Any) -> list[Tensor]:
    out: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            out.append(value)
        elif isinstance(value, (list, tuple)):
            out += [item for item in value if isinstance(item, Tensor)]
    return out


def _fitting(origin: Origin, output: Tensor, name: str) -> Origin:
    """`origin`, unless it does not describe a tensor of this shape: a case that its rule did not foresee."""
    sizes = None if origin.dims is None else [math.prod(size for _, size in dim) for dim in origin.dims]
    return (
        origin if sizes is None or sizes == list(output.shape) else origin.lost(f"{name} in this form is not followed")
    )


def _image_dims(shape: Sequence[int]) -> tuple[Dim, ...]:
    plain: list[Dim] = [(("", size),) for size in shape[:-2]]
    return (*plain, (("y", shape[-2]),), (("x", shape[-1]),))


def _is_image(origin: Origin) -> bool:
    """True when the last two dimensions are rows and columns, as a convolution takes them to be."""
    if origin.dims is None or len(origin.dims) < 3:
        return False
    rows, columns = origin.dims[-2], origin.dims[-1]
    fits = all(
        dim == ((label, dim[0][1]),) or math.prod(s for _, s in dim) == 1
        for dim, label in ((rows, "y"), (columns, "x"))
    )
    return fits and not any(label for dim in origin.dims[:-2] for label, size in dim if size > 1)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _list(value: Any) -> list[int]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _pair(value: Any) -> tuple[int, int]:
    values = _list(value)
    return (values[0], values[-1])


def _triple(value: Any) -> tuple[int, ...]:
    values = _list(value)
    return tuple(values * 3 if len(values) == 1 else values)
