"""From arrays and tensors to 8-bit pixels: which axis is which, and which value is white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnnviz_widgets.data.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

_CHANNELS = (1, 3, 4)
_HALF_STEP = 0.5 / 255  # a float that overshoots 0..1 by less still rounds to the right 8-bit value


def pixels_of_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The pixels (H, W), (H, W, 3) or (H, W, 4) of a numpy array with channels last.

    Raises:
        ImageError: shape, dtype or values that are not a picture's.
    """
    name = f"the array {array.shape} {array.dtype}"
    if np.ma.isMaskedArray(array) and np.ma.is_masked(array):
        raise ImageError(f"{name} has masked pixels; say what they are with array.filled(value)")
    array = _one_picture(np.asarray(array), name)
    if array.ndim == 3 and array.shape[2] not in _CHANNELS:
        hint = "; this looks like channels first: np.moveaxis(array, 0, -1)" if array.shape[0] in _CHANNELS else ""
        raise ImageError(f"{name} is not a picture (H, W), (H, W, 3) or (H, W, 4){hint}")
    return eight_bits(_without_single_channel(array), name)


def pixels_of_tensor(tensor: Tensor) -> NDArray[np.uint8]:
    """The pixels (H, W), (H, W, 3) or (H, W, 4) of a torch tensor with channels first, on any device.

    Raises:
        ImageError: shape, dtype or values that are not a picture's.
    """
    name = f"the tensor {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
    try:
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()  # numpy has no bfloat16
        array = tensor.numpy(force=True)
    except (TypeError, RuntimeError) as error:  # sparse, quantised, on the meta device
        raise ImageError(f"{name} cannot be read as a dense array: {error}") from error
    array = _one_picture(array, name)
    if array.ndim == 3:
        if array.shape[0] not in _CHANNELS:
            hint = "; this looks like channels last: tensor.permute(2, 0, 1)" if array.shape[2] in _CHANNELS else ""
            raise ImageError(f"{name} is not a picture (H, W), (1, H, W), (3, H, W) or (4, H, W){hint}")
        array = np.moveaxis(array, 0, -1)
    return eight_bits(_without_single_channel(array), name)


def eight_bits(values: NDArray[Any], name: str, *, white: int | None = None) -> NDArray[np.uint8]:
    """The values as 0..255, C-contiguous, in memory of their own.

    Args:
        values: numbers of any shape, at least one.
        name: begins the error messages.
        white: the integer that means white, where a file says so; otherwise the dtype decides.

    Raises:
        ImageError: the values are no picture's, or leave open which of them is white.
    """
    kind = values.dtype.kind
    if kind == "b":
        return np.where(values, 255, 0).astype(np.uint8)
    if kind == "f":
        return _from_floats(values, name)
    if kind not in "ui":
        raise ImageError(f"{name} does not hold pixels; wanted are uint8, uint16, bool, or float in 0..1")
    if white is None and kind == "u" and values.dtype.itemsize == 2:
        white = 65535
    if white is not None:
        return ((values.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8, order="C")
    if values.dtype != np.uint8:
        _refuse_unclear_integers(values, name)
    return values.astype(np.uint8, order="C")


def _one_picture(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.size == 0:
        raise ImageError(f"{name} is empty: a picture has at least one pixel")
    if array.ndim == 4 and array.shape[0] == 1:
        return array[0]
    if array.ndim == 4:
        raise ImageError(f"{name} is a batch of {array.shape[0]}; hand over one picture: images[0]")
    if array.ndim not in (2, 3):
        raise ImageError(f"{name} has {array.ndim} axes; a picture has 2 (grey) or 3 (colour)")
    return array


def _without_single_channel(array: NDArray[Any]) -> NDArray[Any]:
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _from_floats(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.all():
        first = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), values.shape))
        where = f"row {first[0]}, column {first[1]}" + (f", channel {first[2]}" if len(first) == 3 else "")
        count = int(finite.size - np.count_nonzero(finite))
        bad = f"{count} of {finite.size} values are NaN or infinite"
        raise ImageError(f"{name}: {bad}, the first ({values[first]}) at {where}")
    low, high = float(values.min()), float(values.max())
    if low < -_HALF_STEP:
        hint = "this looks preprocessed (mean and standard deviation taken off); hand over the picture before that"
    elif high > 255 + _HALF_STEP:
        hint = "divide by the value that means white"
    elif high > 1 + _HALF_STEP:
        hint = "if white is 255, divide by 255; if these are overshoots of a resize, use np.clip(image, 0, 1)"
    else:
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8, order="C")
    raise ImageError(f"{name} has values from {low:.4g} to {high:.4g}; floats must be in 0..1: {hint}")


def _refuse_unclear_integers(values: NDArray[Any], name: str) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 255:
        advice = "hand over uint8 (white is 255), uint16 (white is 65535), or floats in 0..1"
    elif high == 1:
        advice = "a mask is image.astype(bool), a nearly black picture image.astype(np.uint8)"
    else:
        return
    raise ImageError(f"{name} has values from {low} to {high}, and it is not clear which is white: {advice}")
