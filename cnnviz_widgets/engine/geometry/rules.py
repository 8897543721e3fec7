"""Which rule follows which operation of torch."""

from __future__ import annotations

from collections.abc import Callable

from cnnviz_widgets.engine.geometry import joining, mixing, reshaping, sliding
from cnnviz_widgets.engine.geometry.call import Call
from cnnviz_widgets.engine.geometry.origin import Origin


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
        (pointwise, joining.same),
        ("cat concat concatenate stack", joining.cat),
        ("conv2d convolution _convolution mkldnn_convolution conv_transpose2d", sliding.window),
        ("max_pool2d max_pool2d_with_indices avg_pool2d mkldnn_max_pool2d", sliding.window),
        ("adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d", sliding.adaptive),
        ("avg_pool3d", sliding.channel_pool),
        ("mean sum amax amin max min var std logsumexp norm linalg_vector_norm prod any all argmax", mixing.reduce),
        ("linear", mixing.linear),
        ("matmul mm bmm addmm baddbmm einsum scaled_dot_product_attention _native_multi_head_attention", mixing.mixes),
        ("layer_norm native_layer_norm rms_norm group_norm native_group_norm", mixing.normalise),
        ("softmax _softmax log_softmax _log_softmax", mixing.normalise),
        (
            "batch_norm native_batch_norm cudnn_batch_norm _native_batch_norm_legit_no_training instance_norm",
            mixing.batch_norm,
        ),
        ("view reshape flatten unflatten _unsafe_view view_as reshape_as _reshape_alias", reshaping.view),
        ("permute transpose t swapaxes swapdims movedim moveaxis numpy_T", reshaping.permute),
        ("squeeze unsqueeze", reshaping.squeeze),
        ("expand expand_as", joining.expand),
        ("slice select narrow chunk split split_with_sizes tensor_split unbind", reshaping.take),
        ("pad constant_pad_nd reflection_pad2d replication_pad2d", sliding.pad),
    ):
        rules.update(dict.fromkeys(names.split(), rule))
    return rules


RULES = _table()
