"""Binder's environment is one that pyproject.toml allows, and can only ever be a CPU build."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVIRONMENT = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text("utf-8"))
CONDA = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]
PIP = next(entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
PINS: dict[str, Requirement] = {
    canonicalize_name(pin.name): pin for pin in map(Requirement, (line for line in PIP if line[0] != "-"))
}


def _version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==" and "*" not in specifier.version, f"{pin} is not one exact version"
    return specifier.version


@pytest.fixture
def needed(project: dict[str, Any]) -> dict[str, Requirement]:
    extras = project["optional-dependencies"]
    found = list(map(Requirement, [*project["dependencies"], *extras["lab"]]))
    for requirement in found:  # which grows: an extra may name others
        if requirement.name == "cnnviz_widgets":
            found += [inner for extra in requirement.extras for inner in map(Requirement, extras[extra])]
    return {canonicalize_name(one.name): one for one in found if one.name != "cnnviz_widgets"}


def test_the_runtime_dependencies_are_pinned_all_of_them_and_nothing_else(needed: dict[str, Requirement]):
    assert set(PINS) == set(needed)


def test_every_pin_is_a_version_that_pyproject_allows(needed: dict[str, Requirement]):
    wrong = [
        f"{pin} is not {needed[name]}" for name, pin in PINS.items() if _version(pin) not in needed[name].specifier
    ]
    assert not wrong


def test_python_is_named_and_one_that_pyproject_allows(project: dict[str, Any]):
    (python,) = [line for line in CONDA if re.match(r"python\b", line)]
    version = re.fullmatch(r"python=(3\.\d+)", python)
    assert version, f"{python!r} does not name a minor version of Python"
    assert version[1] in SpecifierSet(project["requires-python"])


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_torch_is_the_cpu_build_and_no_other_can_satisfy_the_pin(name: str):
    assert _version(PINS[name]).endswith("+cpu")
    assert not PINS[name].specifier.contains(_version(PINS[name]).replace("+cpu", "+cu130"))
    assert not PINS[name].specifier.contains(_version(PINS[name]).removesuffix("+cpu"))


def test_the_cpu_builds_have_an_index_to_come_from():
    assert [line for line in PIP if line[0] == "-"] == ["--extra-index-url https://download.pytorch.org/whl/cpu"]


def test_nothing_of_cuda_is_named():
    named = [*CONDA, *PINS]
    assert not [name for name in named if re.search(r"nvidia|cuda|cudnn|cupy|triton|\bpytorch\b|-gpu\b", name)]


def test_post_build_installs_the_package_and_nothing_else():
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK), "repo2docker runs postBuild only when it is executable"
    commands = [line for line in script.read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert commands == ["set -euo pipefail", "pip install --no-deps ."]
