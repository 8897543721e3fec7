"""Rules for sliding windows: convolutions, poolings, and the padding before them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnnviz_widgets.engine.geometry.call import Call, as_list
from cnnviz_widgets.engine.geometry.origin import Dim, Origin, image_dims, is_image


def window(call: Call) -> Origin:
    """Convolutions and poolings: a sliding window over the last two dimensions, which therefore are the image axes."""
    _, origin = call.known("input", "self")[0] if call.known("input", "self") else call.source()
    args, output = call.args, call.output
    if call.known("weight"):
        return Origin(image_dims(output.shape), None, True, "the kernel itself is computed from the picture")
    if args.get("transposed") or "transpose" in call.name:
        return origin.lost(f"{call.name} is not followed", dims=False)
    kernel = args["weight"].shape[-2:] if "weight" in args else _pair(args["kernel_size"])
    stride = _pair(args.get("stride") or kernel)
    padding, dilation = args.get("padding", 0), _pair(args.get("dilation", 1))
    if isinstance(padding, str):
        same = padding == "same"
        padding = [(d * (k - 1)) // 2 if same else 0 for d, k in zip(dilation, kernel, strict=True)]
    padding = _pair(padding)
    dims = image_dims(output.shape)
    if origin.spans is None or not is_image(origin):
        return Origin(dims, None, origin.whole, origin.why or f"{call.name}: its input's axes are unknown")
    spans = [
        span.window(k, s, p, d)
        for span, k, s, p, d in zip(origin.spans, kernel, stride, padding, dilation, strict=True)
    ]
    return Origin(dims, (spans[0], spans[1]), origin.whole)


def adaptive(call: Call) -> Origin:
    """Pooling to a fixed size, where all windows are of one size."""
    tensor, origin = call.source()
    dims = image_dims(call.output.shape)
    if origin.spans is None or not is_image(origin):
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


def channel_pool(call: Call) -> Origin:
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


def pad(call: Call) -> Origin:
    """Rows and columns put around maps, or cut off."""
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


def _pair(value: Any) -> tuple[int, int]:
    values = as_list(value)
    return (values[0], values[-1])


def _triple(value: Any) -> tuple[int, ...]:
    values = as_list(value)
    return tuple(values * 3 if len(values) == 1 else values)
