"""What is installed is what was written: the wheel, tried in an environment that does not see the source tree."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import cnnviz_widgets

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnnviz_widgets"
FRONT_END = {".js", ".css"}

# Run in the clean environment: what it finds through importlib.resources, and what the widgets would send to a browser.
REPORT = """
import importlib.metadata, json, pkgutil
from importlib.resources import files

def walk(folder, prefix=""):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from walk(entry, prefix + entry.name + "/")
        else:
            yield prefix + entry.name, entry

import anywidget
import cnnviz_widgets.widgets
for module in pkgutil.iter_modules(cnnviz_widgets.widgets.__path__, "cnnviz_widgets.widgets."):
    __import__(module.name)

def own(kind):
    for child in kind.__subclasses__():
        if child.__module__.startswith("cnnviz_widgets."):
            yield child
        yield from own(child)

found = dict(walk(files("cnnviz_widgets")))
distribution = importlib.metadata.distribution("cnnviz_widgets")
print(json.dumps({
    "place": cnnviz_widgets.__file__,
    "version": [cnnviz_widgets.__version__, distribution.version],
    "files": sorted(name for name in found if "__pycache__" not in name),
    "front_end": {n: f.read_bytes().decode() for n, f in found.items() if n.endswith((".js", ".css"))},
    "modules": {kind.__name__: str(kind._esm) for kind in own(anywidget.AnyWidget) if hasattr(kind, "_esm")},
    "extras": distribution.metadata.get_all("Provides-Extra"),
    "requires": distribution.requires,
}))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from that archive."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Path:
    (path,) = archives.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a clean environment with that wheel says about it."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(home, with_pip=False)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--no-compile", wheel)
    # The dependencies are those of this environment. A .pth line adds the folder and reads no .pth in it: an editable
    # installation of the package itself stays out of sight.
    place = _run(python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    mine = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    Path(place, "dependencies.pth").write_text("\n".join(mine) + "\n", "utf-8")
    report = json.loads(_run(python, "-I", "-c", REPORT))
    assert Path(report["place"]).is_relative_to(home)
    return report


def _run(*command: object) -> str:
    run = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{command} failed:\n{run.stdout}\n{run.stderr}"
    return run.stdout


def _source(suffixes: set[str]) -> dict[str, str]:
    return {
        path.relative_to(PACKAGE).as_posix(): path.read_bytes().decode()
        for path in PACKAGE.rglob("*")
        if path.suffix in suffixes
    }


def test_the_wheel_has_the_es_modules_and_styles_byte_for_byte(installed: dict[str, Any]):
    source = _source(FRONT_END)
    assert "widgets/image_canvas.js" in source
    assert installed["front_end"] == source


def test_every_widget_that_draws_for_itself_sends_the_es_modules_of_the_wheel(installed: dict[str, Any]):
    assert "ImageCanvas" in installed["modules"]
    for widget, module in installed["modules"].items():
        own = next(text for text in installed["front_end"].values() if text.rstrip().endswith(module[-200:].rstrip()))
        assert "export default" in own and "import {" not in module, f"{widget} sends what no browser can run by itself"


def test_the_wheel_has_every_module_and_the_marker_of_its_types(installed: dict[str, Any]):
    assert set(_source({".py"})) | {"py.typed"} <= set(installed["files"])


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path):
    folders = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert folders == {"cnnviz_widgets", f"cnnviz_widgets-{cnnviz_widgets.__version__}.dist-info"}


def test_the_wheel_carries_the_licence_and_names_it(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (licence,) = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    metadata = archive.read(licence.replace("licenses/LICENSE", "METADATA")).decode()
    assert "License-Expression: BSD-3-Clause" in metadata


def test_the_source_archive_has_what_the_tests_need(archives: Path):
    (path,) = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ["pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "binder/environment.yml", "binder/postBuild"]
    wanted += ["tests/conftest.py", "tests/test_packaging.py"]
    wanted += [path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert set(wanted) <= names


def test_the_metadata_has_the_extras_and_their_requirements(installed: dict[str, Any], project: dict[str, Any]):
    extras = project["optional-dependencies"]
    assert set(installed["extras"]) == set(extras) >= {"lab", "test", "efficientnet"}
    declared = {_plain(line, None) for line in project["dependencies"]}
    declared |= {_plain(line, extra) for extra, lines in extras.items() for line in lines}
    assert {_plain(line, None) for line in installed["requires"]} >= {d for d in declared if "cnnviz" not in d}


def _plain(line: str, extra: str | None) -> str:
    requirement = Requirement(line)
    marker = str(requirement.marker or "").replace("'", '"')
    if extra:
        marker = f'({marker}) and extra == "{extra}"' if " or " in marker else f'{marker} and extra == "{extra}"'
        marker = marker.removeprefix(" and ")
    return f"{requirement.name.lower()} {requirement.specifier} {sorted(requirement.extras)} {marker}"


def test_the_version_is_said_once(installed: dict[str, Any]):
    assert installed["version"] == [cnnviz_widgets.__version__] * 2
    assert cnnviz_widgets.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_torch_is_not_held_to_one_version(project: dict[str, Any]):
    (torch,) = [line for line in project["dependencies"] if re.match(r"torch\b", line)]
    assert Requirement(torch).specifier.contains(importlib.metadata.version("torch"))
    assert not re.search("==|<|~", torch)


def test_the_readme_names_the_two_commands_and_every_technique():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert 'pip install -e ".[lab]" && jupyter lab notebooks/00_tour.ipynb\n' in readme
    assert 'pip install -e ".[test]" && pytest\n' in readme
    techniques = [name for name, home in cnnviz_widgets._HOME.items() if home.startswith("methods.")]
    assert not [name for name in techniques if f"`{name}`" not in readme]


def test_the_examples_of_the_readme_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # they write an index
    namespace: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    for example in examples:
        exec(compile(example, "README.md", "exec"), namespace)
    assert len(examples) >= 2
