import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnviz_widgets.results import Heatmap, PictureResult, PixelMap, Predictions, Result, Unit, array

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (6, 8, 3), np.uint8)
ABOUT: dict[str, Any] = {
    "image": IMAGE,
    "target": 281,
    "target_name": "tabby",
    "layer": "features.12",
    "method": "grad_cam",
    "parameters": {"counterfactual": False},
    "citation": "Selvaraju et al. 2017",
}


def heatmap(**changes: Any) -> Heatmap:
    return Heatmap(**{**ABOUT, "values": RNG.normal(size=(6, 8)), "raw": RNG.normal(size=(2, 3)), **changes})


def pixel_map(**changes: Any) -> PixelMap:
    about = {**ABOUT, "layer": None, "method": "guided_backprop"}
    return PixelMap(**{**about, "values": RNG.normal(size=(3, 6, 8)), **changes})


def predictions(**changes: Any) -> Predictions:
    about = {**ABOUT, "target": None, "target_name": "", "layer": None, "method": "predict", "parameters": {}}
    best = {"names": ["tabby", "lynx"], "probabilities": [0.75, 0.125], "scores": [3.0, 1.0], "indices": [281, 287]}
    return Predictions(**{**about, **best, **changes})


MAKERS = [heatmap, pixel_map, predictions]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Curves(PictureResult):
    """A kind of result that the package knows nothing of."""

    x: np.ndarray = field(metadata=array("n"))
    series: dict[str, np.ndarray] = field(default_factory=dict)
    units: tuple[Unit, ...] = ()
    note: str | None = None


def assert_same(a: Result, b: Result) -> None:
    assert type(a) is type(b)
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype and x.tobytes() == y.tobytes(), f.name
        elif f.name == "series":
            assert {k: v.tolist() for k, v in x.items()} == {k: v.tolist() for k, v in y.items()}
        else:
            assert x == y and type(x) is type(y), f.name


# What a record is.


@pytest.mark.parametrize("make", MAKERS)
def test_a_result_cannot_be_changed(make: Any) -> None:
    result = make()
    with pytest.raises(FrozenInstanceError):
        result.method = "other"
    for f in fields(result):
        value = getattr(result, f.name)
        if isinstance(value, np.ndarray):
            assert value.flags.c_contiguous and not value.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                value[...] = 0


def test_a_result_does_not_alias_what_the_caller_gave() -> None:
    values, image, parameters = np.ones((6, 8), np.float32), IMAGE.copy(), {"sizes": [1, 2]}
    result = heatmap(values=values, image=image, parameters=parameters)
    values[...], image[...] = 7, 7
    parameters["sizes"].append(3)
    assert (result.values == 1).all()
    assert (result.image == IMAGE).all()
    assert result.parameters == {"sizes": [1, 2]}
    assert values.flags.writeable and image.flags.writeable


def test_arrays_become_contiguous_float32_and_keep_their_values() -> None:
    values = np.arange(48, dtype=np.float64).reshape(8, 6).T
    result = heatmap(values=values)
    assert result.values.dtype == np.float32 and result.values.flags.c_contiguous
    assert (result.values == values).all()
    assert predictions().indices.dtype == np.int64


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"values": np.ones((3, 3))}, ValueError, r"Heatmap\.values.*H = 6 as in image, not \(3, 3\)"),
        ({"values": np.ones((1, 6, 8))}, ValueError, r"Heatmap\.values has the shape \(H, W\), not \(1, 6, 8\)"),
        ({"image": np.ones((6, 8, 3))}, TypeError, r"Heatmap\.image must be an array of uint8, not of float64"),
        ({"image": np.ones((6, 8, 4), np.uint8)}, ValueError, r"\(H, W, 3\), not \(6, 8, 4\)"),
        ({"values": np.full((6, 8), "a")}, TypeError, "float32, not of <U1"),
        ({"values": np.ones((6, 8), complex)}, TypeError, "float32, not of complex128"),
        ({"target": "tabby"}, TypeError, "class index, a Unit or None, not 'tabby'"),
        ({"target": True}, TypeError, "class index"),
        ({"parameters": {"a": {"b": [1, object()]}}}, TypeError, r"parameters\['a'\]\['b'\]\[1\] is a object"),
        ({"parameters": {1: 2}}, TypeError, "has the key 1"),
    ],
)
def test_a_wrong_field_is_an_error_that_says_what_was_wanted(changes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        heatmap(**changes)


def test_other_kinds_check_their_own_fields() -> None:
    with pytest.raises(ValueError, match=r"3 channels \(R, G, B\) or 1, not 2"):
        pixel_map(values=np.ones((2, 6, 8)))
    with pytest.raises(ValueError, match="1 names for 2 probabilities"):
        predictions(names=["tabby"])
    with pytest.raises(ValueError, match="k = 2 as in probabilities"):
        predictions(scores=[1.0])
    with pytest.raises(TypeError, match="int64, not of float64"):
        predictions(indices=[0.5, 1])


def test_parameters_are_plain_json() -> None:
    given = {"size": (1, np.int64(2)), "unit": Unit("conv1", 3), "deep": {"x": np.float32(0.5)}, "none": None}
    plain = {"size": [1, 2], "unit": {"layer": "conv1", "channel": 3, "y": None, "x": None}, "deep": {"x": 0.5}}
    result = heatmap(parameters=given, target=np.int64(3))
    assert json.loads(json.dumps(result.parameters)) == {**plain, "none": None} == result.parameters
    assert type(result.target) is int


def test_a_unit_says_which_part_of_it_is_wrong() -> None:
    assert str(Unit("conv1", 7)) == "conv1 channel 7"
    assert str(Unit("conv1", 7, 1, 2)) == "conv1 channel 7 at y=1, x=2"
    assert Unit("conv1", np.int64(7)) == Unit("conv1", 7)  # pyright: ignore[reportArgumentType]
    assert type(Unit("conv1", np.int64(7)).channel) is int  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="together or not at all, not y=1, x=None"):
        Unit("conv1", 7, y=1)
    with pytest.raises(ValueError, match="channel counts from 0, not -1"):
        Unit("conv1", -1)
    for wrong in (1.5, True, None, "7"):
        with pytest.raises(TypeError, match="channel is a whole number"):
            Unit("conv1", wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="dotted name"):
        Unit(12, 3)  # pyright: ignore[reportArgumentType]


def test_the_text_form_is_one_stable_line() -> None:
    assert repr(heatmap()) == "Heatmap(grad_cam of 'tabby' at features.12, 8x6)"
    assert repr(pixel_map()) == "PixelMap(guided_backprop of 'tabby', 8x6)"
    assert repr(predictions()) == "Predictions(predict: 'tabby' 75.0% and 1 more, 8x6)"
    curves = Curves(image=IMAGE, method="evolution", x=np.ones(4))
    assert repr(curves) == "Curves(evolution, 8x6)"


@pytest.mark.parametrize(
    ("reduce", "slow"),
    [
        ("max_abs", lambda r, g, b: max(abs(r), abs(g), abs(b))),
        ("sum", lambda r, g, b: r + g + b),
        ("norm", lambda r, g, b: (r * r + g * g + b * b) ** 0.5),
        ("mean_abs", lambda r, g, b: (abs(r) + abs(g) + abs(b)) / 3),
    ],
)
def test_a_pixel_map_becomes_a_heat_map_pixel_by_pixel(reduce: Any, slow: Any) -> None:
    result = pixel_map()
    heat = result.heatmap(reduce)
    expected = [[slow(*map(float, result.values[:, y, x])) for x in range(8)] for y in range(6)]
    np.testing.assert_allclose(heat.values, expected, rtol=1e-6)
    assert heat.signed == (reduce == "sum")
    assert heat.parameters == {"counterfactual": False, "reduce": reduce}
    assert (heat.target_name, heat.method, heat.citation) == ("tabby", "guided_backprop", "Selvaraju et al. 2017")
    assert (heat.raw == heat.values).all()


def test_a_pixel_map_reduces_by_the_largest_magnitude_unless_told() -> None:
    result = pixel_map()
    assert (result.heatmap().values == np.abs(result.values).max(0)).all()
    assert not pixel_map(signed=False).heatmap("sum").signed
    with pytest.raises(ValueError, match="'max_abs', 'sum', 'norm', 'mean_abs', not 'max'"):
        result.heatmap("max")  # pyright: ignore[reportArgumentType]


# Saving and loading.


@pytest.mark.parametrize(
    "result",
    [
        heatmap(),
        heatmap(target=Unit("features.9", 7, 3, 4), target_name="features.9 channel 7", signed=True),
        heatmap(values=np.full((6, 8), np.nan), parameters={"a": {"b": [1, (2.5, None), {"c": "ü"}]}, "dict": {}}),
        pixel_map(),
        pixel_map(values=np.ones((1, 6, 8)), signed=False, target=None),
        predictions(),
        predictions(names=(), probabilities=[], scores=[], indices=np.zeros(0, int)),
        Curves(
            image=IMAGE, method="m", x=np.arange(4), series={"a.b": np.arange(3)}, units=(Unit("c", 1), Unit("d", 2))
        ),
    ],
    ids=lambda r: type(r).__name__,
)
def test_a_saved_result_comes_back_as_it_was(result: Result, tmp_path: Path) -> None:
    path = result.save(tmp_path / "result.npz")
    assert path == tmp_path / "result.npz"
    assert_same(result, Result.load(path))
    assert_same(result, type(result).load(str(path)))
    assert list(tmp_path.iterdir()) == [path]


def test_loading_as_another_kind_is_an_error_that_names_the_right_one(tmp_path: Path) -> None:
    path = pixel_map().save(tmp_path / "map.npz")
    with pytest.raises(
        ValueError, match=r"map\.npz holds a PixelMap, not a Heatmap: use PixelMap\.load or Result\.load"
    ):
        Heatmap.load(path)


def test_a_file_cut_anywhere_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    whole = heatmap().save(tmp_path / "whole.npz").read_bytes()
    cut = tmp_path / "cut.npz"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.npz"):
            Result.load(cut)


def test_a_damaged_byte_never_gives_a_wrong_result(tmp_path: Path) -> None:
    result = heatmap()
    whole = result.save(tmp_path / "whole.npz").read_bytes()
    hurt = tmp_path / "hurt.npz"
    refused = 0
    for position in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        hurt.write_bytes(damaged)
        try:
            loaded = Result.load(hurt)
        except ValueError as error:
            refused += "hurt.npz" in str(error)
        else:  # A byte that means nothing, such as a time stamp.
            assert_same(result, loaded)
    assert refused > 20


@pytest.mark.parametrize("content", [b"", b"not a result", pickle.dumps({"a": 1})])
def test_a_file_that_is_no_result_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(content)
    with pytest.raises(ValueError, match="other.npz is not a saved result"):
        Result.load(tmp_path / "other.npz")


def test_somebody_elses_npz_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=np.ones(3))
    np.savez(tmp_path / "b.npz", json=np.array(json.dumps({"format": "other", "version": 1})))
    np.savez(tmp_path / "c.npz", json=np.array("[1, 2]"))
    np.savez(tmp_path / "d.npz", json=np.array("{"))
    for name in "abcd":
        with pytest.raises(ValueError, match="not one that a result was saved to"):
            Result.load(tmp_path / f"{name}.npz")
    np.save(tmp_path / "e.npy", np.ones(3))
    (tmp_path / "e.npy").rename(tmp_path / "e.npz")
    with pytest.raises(ValueError, match="not a saved result"):
        Result.load(tmp_path / "e.npz")
    with pytest.raises(FileNotFoundError):
        Result.load(tmp_path / "nowhere.npz")


def _rewritten(path: Path, **changes: Any) -> Path:
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    header = {**json.loads(arrays.pop("json").item()), **changes}
    np.savez(path, json=np.array(json.dumps(header)), **arrays)
    return path


def test_another_version_or_kind_or_field_is_an_error(tmp_path: Path) -> None:
    path = heatmap().save(tmp_path / "h.npz")
    saved = path.read_bytes()
    with pytest.raises(ValueError, match="format version 2; this cnnviz_widgets reads version 1"):
        Result.load(_rewritten(path, version=2))
    path.write_bytes(saved)
    with pytest.raises(ValueError, match="holds a 'Hologram', which is none of .*Heatmap"):
        Result.load(_rewritten(path, type="Hologram"))
    path.write_bytes(saved)
    for wrong in ({}, {"image": {"array": "nothing"}}, {"image": {"code": "1"}}, {"wings": 2}, {"image": {}}):
        with pytest.raises(ValueError, match="not a Heatmap that this version can read"):
            Result.load(_rewritten(path, fields=wrong))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


def test_a_pickle_inside_the_file_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    path = heatmap().save(tmp_path / "h.npz")
    held = np.empty(1, object)
    held[0] = Bomb(mark)
    member = io.BytesIO()
    np.save(member, held, allow_pickle=True)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name in ("values.npy", "json.npy", "extra.npy"):
        with zipfile.ZipFile(path, "w") as new:
            for other, content in {**members, name: member.getvalue()}.items():
                new.writestr(other, content)
        with pytest.raises(ValueError, match=r"h\.npz cannot be read"):
            Result.load(path)
    assert not mark.exists()
    with pytest.raises(FileExistsError):  # The bomb is live: unpickled, it would have left its mark.
        mark.mkdir()
        pickle.loads(pickle.dumps(held[0]))


def test_an_interrupted_save_keeps_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = heatmap()
    path = first.save(tmp_path / "h.npz")

    def half(file: Any, **arrays: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", half)
    with pytest.raises(KeyboardInterrupt):
        heatmap(method="other").save(path)
    assert_same(first, Result.load(path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_saved_file_is_readable_by_whom_the_umask_allows(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        path = heatmap().save(tmp_path / "h.npz")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["a.gif", "a", "a.npy"])
def test_an_unknown_ending_is_an_error_that_lists_the_known(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.npz.*\.png \.jpg \.jpeg \.svg \.pdf"):
        heatmap().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_saving_into_no_folder_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder .*missing"):
        heatmap().save(tmp_path / "missing" / "h.npz")
    with pytest.raises(TypeError, match="opacity: options are for pictures"):
        heatmap().save(tmp_path / "h.npz", opacity=1)


@pytest.mark.parametrize(
    ("ending", "start"),
    [(".png", b"\x89PNG"), (".jpg", b"\xff\xd8"), (".JPEG", b"\xff\xd8"), (".svg", b"<?xml"), (".pdf", b"%PDF")],
)
@pytest.mark.parametrize("make", MAKERS)
def test_every_result_saves_as_every_kind_of_picture(make: Any, ending: str, start: bytes, tmp_path: Path) -> None:
    path = make().save(tmp_path / f"picture{ending}")
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", MAKERS)
def test_a_result_shows_itself_sharp(make: Any) -> None:
    data, size = make()._repr_png_()
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (size["width"] * 2, size["height"] * 2)


def test_a_replaced_field_is_checked_again() -> None:
    result = heatmap()
    assert replace(result, target_name="lynx").values.tolist() == result.values.tolist()
    with pytest.raises(ValueError, match="H = 6"):
        replace(result, values=np.ones((7, 7)))


def test_results_import_neither_torch_nor_matplotlib_nor_a_widget() -> None:
    code = (
        "import sys, cnnviz_widgets.results\n"
        "print([m for m in ('torch', 'matplotlib', 'ipywidgets', 'anywidget', 'IPython', 'PIL') if m in sys.modules])"
    )
    root = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
