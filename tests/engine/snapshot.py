"""Everything that a module is, as plain values that compare bit for bit."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


def snapshot(value: Any) -> Any:
    """All of a module (or array, tensor, picture, container of them), down to the identity of its parts."""
    return _of(value, set())


def _of(value: Any, seen: set[int]) -> Any:
    if isinstance(value, (int, float, str, bytes, bool, type(None))):
        return repr(value)
    if isinstance(value, Tensor):
        return _tensor(value, seen)
    if isinstance(value, np.ndarray):
        return (id(value), value.dtype.str, value.shape, value.tobytes(), value.flags.writeable)
    if isinstance(value, Image.Image):
        return (id(value), value.mode, value.size, value.tobytes())
    if id(value) in seen:
        return ("seen", id(value))
    seen.add(id(value))
    if isinstance(value, dict):
        return (id(value), type(value), [(repr(key), _of(item, seen)) for key, item in value.items()])
    if isinstance(value, (list, tuple, set)):
        return (id(value), type(value), [_of(item, seen) for item in value])
    if isinstance(value, nn.Module):  # its whole __dict__: flags, settings, weights, buffers, hooks, children
        return (id(value), type(value), [(key, _of(item, seen)) for key, item in value.__dict__.items()])
    if isinstance(value, types.FunctionType):
        return (id(value), id(value.__code__), [id(cell) for cell in value.__closure__ or ()])
    return id(value)


def _tensor(tensor: Tensor, seen: set[int]) -> Any:
    data = tensor.detach().cpu().contiguous()
    return (
        id(tensor),
        tensor.data_ptr(),
        tuple(tensor.shape),
        tensor.stride(),
        str(tensor.dtype),
        str(tensor.device),
        data.reshape(-1).view(torch.uint8).numpy().tobytes(),
        tensor.requires_grad,
        None if tensor.is_inference() else tensor._version,
        _of(tensor.grad, seen) if tensor.is_leaf else None,
        len(tensor._backward_hooks or ()),
    )
