"""Of what a batch is known to go through sample by sample, when it is given whole maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cnnviz_widgets.engine.incremental.local import swapped
from cnnviz_widgets.engine.incremental.operations import Batched, Flat, Linear, Looped, Operation, Value
from cnnviz_widgets.engine.incremental.recorded import Recorded
from cnnviz_widgets.engine.incremental.rules import POINTWISE
from cnnviz_widgets.engine.incremental.tape import Ref

# by which arguments a batch may come in; all others must be weights or plain numbers
_SAMPLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        [
            "conv2d",
            "convolution",
            "_convolution",
            "conv_transpose2d",
            "conv1d",
            "linear",
            "layer_norm",
            "native_layer_norm",
            "rms_norm",
            "group_norm",
            "native_group_norm",
            "batch_norm",
            "native_batch_norm",
            "instance_norm",
        ],
        ("input",),
    ),
    **dict.fromkeys(
        [
            "max_pool2d",
            "max_pool2d_with_indices",
            "avg_pool2d",
            "adaptive_avg_pool2d",
            "_adaptive_avg_pool2d",
            "adaptive_max_pool2d",
            "max_pool1d",
            "avg_pool1d",
            "adaptive_avg_pool1d",
            "avg_pool3d",
            "max_pool3d",
            "lp_pool2d",
            "upsample_nearest2d",
            "upsample_bilinear2d",
            "upsample_bicubic2d",
            "_upsample_nearest_exact2d",
            "pixel_shuffle",
            "pixel_unshuffle",
            "channel_shuffle",
            "native_channel_shuffle",
            "im2col",
            "reflection_pad2d",
            "replication_pad2d",
            "pad",
            "constant_pad_nd",
        ],
        ("self", "input"),
    ),
    "scaled_dot_product_attention": ("query", "key", "value"),
    "matmul": ("self", "other", "tensor2"),
    "bmm": ("self", "mat2"),
}
_ALONG = frozenset(
    [
        "softmax",
        "_softmax",
        "log_softmax",
        "_log_softmax",
        "cumsum",
        "mean",
        "sum",
        "amax",
        "amin",
        "prod",
        "logsumexp",
        "std",
        "var",
        "linalg_vector_norm",
        "norm",
        "max",
        "min",
        "argmax",
        "argmin",
        "slice",
        "narrow",
        "select",
        "chunk",
        "split",
        "split_with_sizes",
        "tensor_split",
        "unbind",
        "cat",
        "concat",
        "concatenate",
        "flip",
        "roll",
        "unflatten",
        "flatten",
    ]
)
_SAME = frozenset(
    ["view", "reshape", "flatten", "unflatten", "_unsafe_view", "_reshape_alias", "squeeze", "unsqueeze", "view_as"]
)


def batched(call: Recorded) -> Operation:
    """The operation on whole maps: for a batch at once where that is known to be right, else for one at a time."""
    read = call.read
    samples = all(not value.stacked and value.shape[:1] == (1,) for value in read)
    value = Value(call.shape, None, stacked=call.shape[:1] != (1,))
    common: dict[str, Any] = {
        "name": call.name,
        "inputs": call.inputs,
        "constants": call.tensors,
        "macs": _macs(call),
    }
    if samples and not value.stacked:
        if call.name in _SAME and len(call.refs) == 1:
            return Flat(**common, value=value, fresh=False)
        if call.name == "linear" and call.only("input") and len(call.shape) > 1:
            args = call.node.named()
            return Linear(**common, value=value, weight=args["weight"], bias=args["bias"])
        if _by_sample(call):
            return Batched(**common, value=value, call=_with_samples(call), fresh=False)
    return Looped(**common, value=value, call=call.call(), stacked=tuple(value.stacked for value in read), fresh=False)


def _by_sample(call: Recorded) -> bool:
    args, name = call.node.named(), call.name
    same = all(len(value.shape) == len(call.read[0].shape) for value in call.read)
    if name in POINTWISE:
        constants = all(t.ndim < len(call.shape) or (t.ndim == len(call.shape) and len(t) == 1) for t in call.tensors)
        return same and constants and len(call.shape) == len(call.read[0].shape)
    if name in ("permute", "transpose", "swapaxes", "swapdims"):
        count = len(call.shape)
        if "dims" in args:
            return args["dims"][0] % count == 0
        return 0 not in swapped(args, count)
    if name in _ALONG:
        dims = args.get("dim", args.get("dims", args.get("start_dim", 0)))
        dims = list(dims) if isinstance(dims, (list, tuple)) else [dims]
        return bool(dims) and None not in dims and all(dim % len(call.read[0].shape) for dim in dims) and same
    if name == "bmm":  # of its samples neither side is repeated
        return same and not call.tensors
    if name == "matmul":
        return same and len(call.shape) >= 3 and all(t.ndim <= 2 or len(t) == 1 for t in call.tensors)
    if name in ("batch_norm", "native_batch_norm") and args.get("training"):
        return False  # statistics of the whole batch
    if name in ("layer_norm", "native_layer_norm", "rms_norm"):
        behind = len(args.get("normalized_shape") or [0])
        return call.only("input") and len(call.read[0].shape) > behind
    if name in ("avg_pool3d", "max_pool3d"):
        return call.only("self") and len(call.read[0].shape) == 5
    if name in ("pad", "constant_pad_nd"):
        return call.only("self", "input") and len(args["pad"]) < 2 * len(call.shape)
    return name in _SAMPLES and call.only(*_SAMPLES[name]) and same and len(call.read[0].shape) >= 3


def _with_samples(call: Recorded) -> Any:
    """The operation for a batch: constants among the parts of a cat are repeated for each sample."""
    if call.name not in ("cat", "concat", "concatenate"):
        return call.call()
    args = call.node.named()
    refs, parts, dim, func = call.refs, args["tensors"], args.get("dim", 0), call.node.func

    def join(tensors: Sequence[Tensor]) -> Tensor:
        given = [tensors[refs.index(part)] if isinstance(part, Ref) else part for part in parts]
        count = max(map(len, tensors))
        return func([t if len(t) == count else t.expand(count, *t.shape[1:]) for t in given], dim)

    return join


def _macs(call: Recorded) -> int:
    """Multiply-adds of products and convolutions; what else there is costs memory, not arithmetic."""
    args = call.node.named()
    if isinstance(weight := args.get("weight"), Tensor) and "conv" in call.name:
        return math.prod(call.shape) * math.prod(weight.shape[1:])
    if call.name == "linear":
        return math.prod(call.shape) * call.read[0].shape[-1]
    if call.name in ("matmul", "bmm"):
        return math.prod(call.shape) * (call.read[0].shape or (1,))[-1]
    if call.name == "scaled_dot_product_attention":
        return 2 * math.prod(call.read[0].shape) * call.read[-1].shape[-2]
    return 0
