"""What tells one network from another, on any machine: for what is computed once and kept on disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

if TYPE_CHECKING:
    from cnnviz_widgets.engine.core import Engine

LENGTH = 16  # hexadecimal digits: 64 bits


def fingerprint(engine: Engine) -> str:
    """A short text that is the same for the same network: its modules, weights, number type and preprocessing.

    Where it lies and how it is laid out in memory does not matter, nor do the names of the classes. The preprocessing
    counts by what it makes of a fixed picture.
    """
    digest = hashlib.blake2b(digest_size=LENGTH // 2)
    network = engine._network
    for name, module in network.named_modules():
        digest.update(f"{name}:{type(module).__qualname__}{_settings(module)};".encode())
    for name, tensor in network.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
            digest.update(_bytes(tensor))
    seen = engine.prepare(_probe())
    digest.update(f"{tuple(seen.shape)}:{seen.dtype};".encode())
    # rounded: the very last bits of a resized picture may differ between versions of the imaging library
    digest.update(np.round(seen.float().cpu().numpy(), 1).astype("<f4").tobytes())
    return digest.hexdigest()


def _settings(module: nn.Module) -> str:
    """What a module computes with beside its weights: strides, poolings, rates, as it says itself."""
    try:
        return module.extra_repr()
    except Exception:  # a module of the user's own that is not yet complete
        return ""


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().data


def _probe() -> Image.Image:
    """Plain colours that any resizing and cropping leaves alone in the middle of each."""
    levels = np.zeros((256, 256, 3), np.uint8)
    levels[:, :128] = (200, 40, 90)
    levels[:, 128:] = (30, 160, 220)
    return Image.fromarray(levels)
