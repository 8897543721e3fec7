"""Which rule recognises which operation of torch, and of what else it is known that a batch goes sample by sample."""

from __future__ import annotations

from collections.abc import Callable

from cnnviz_widgets.engine.incremental import local, sliding
from cnnviz_widgets.engine.incremental.operations import Operation
from cnnviz_widgets.engine.incremental.recorded import Recorded

Rule = Callable[[Recorded], Operation | None]

POINTWISE = frozenset(
    [
        "relu",
        "relu6",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "tanh",
        "silu",
        "gelu",
        "mish",
        "elu",
        "celu",
        "selu",
        "leaky_relu",
        "prelu",
        "_prelu_kernel",
        "softplus",
        "softshrink",
        "hardshrink",
        "softsign",
        "logsigmoid",
        "log_sigmoid_forward",
        "threshold",
        "clamp",
        "clamp_min",
        "clamp_max",
        "abs",
        "neg",
        "exp",
        "log",
        "log1p",
        "log2",
        "exp2",
        "expm1",
        "sqrt",
        "rsqrt",
        "square",
        "pow",
        "sign",
        "reciprocal",
        "sin",
        "cos",
        "tan",
        "atan",
        "erf",
        "trunc",
        "frac",
        "round",
        "floor",
        "ceil",
        "add",
        "sub",
        "rsub",
        "mul",
        "div",
        "true_divide",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "where",
        "lerp",
        "addcmul",
        "addcdiv",
        "remainder",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "logical_and",
        "logical_or",
        "logical_not",
        "bitwise_not",
        "masked_fill",
        "nan_to_num",
        "dropout",
        "dropout2d",
        "feature_dropout",
        "alpha_dropout",
        "clone",
        "contiguous",
        "detach",
        "alias",
        "lift_fresh",
        "to",
        "_to_copy",
        "type_as",
        "float",
        "half",
        "double",
    ]
)


def _table() -> dict[str, tuple[Rule, ...]]:
    rules: dict[str, tuple[Rule, ...]] = {name: (local.pointwise,) for name in POINTWISE}
    for names, found in (
        ("conv2d convolution _convolution mkldnn_convolution", (sliding.convolution,)),
        ("max_pool2d max_pool2d_with_indices mkldnn_max_pool2d", (sliding.max_pool,)),
        ("avg_pool2d", (sliding.mean_pool,)),
        ("adaptive_avg_pool2d _adaptive_avg_pool2d", (sliding.adaptive_pool,)),
        ("pad constant_pad_nd", (sliding.frame, local.padded_channels)),
        ("avg_pool3d", (local.padded_channels,)),
        ("batch_norm native_batch_norm cudnn_batch_norm _native_batch_norm_legit_no_training", (local.normalised,)),
        ("layer_norm native_layer_norm rms_norm", (local.layer_norm,)),
        ("linear", (local.linear,)),
        ("softmax _softmax log_softmax _log_softmax cumsum", (local.along,)),
        ("mean sum amax amin prod logsumexp std var linalg_vector_norm norm", (local.reduced,)),
        ("max min argmax argmin", (local.reduced,)),
        (
            "view reshape flatten unflatten _unsafe_view view_as reshape_as _reshape_alias squeeze unsqueeze",
            (local.reshaped,),
        ),
        ("permute transpose swapaxes swapdims", (local.permuted,)),
        ("slice narrow", (sliding.crop, local.taken)),
        ("select chunk split split_with_sizes tensor_split unbind", (local.taken,)),
        ("cat concat concatenate", (local.joined,)),
    ):
        rules.update(dict.fromkeys(names.split(), found))
    return rules


RULES = _table()
