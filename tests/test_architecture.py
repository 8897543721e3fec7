"""Who may import whom. Read from the source, so that a late or a conditional import counts too."""

import ast
import importlib
import importlib.metadata
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cnnviz_widgets

PACKAGE = Path(cnnviz_widgets.__file__).parent

BELOW = {
    "results": set(),
    "data": {"results"},
    "models": {"results", "data"},
    "engine": {"results", "data", "models"},
    "index": {"results", "data", "models", "engine"},
    "methods": {"results", "data", "models", "engine", "index"},
    "views": {"results"},
    "widgets": {"results", "data", "models", "engine", "index", "methods", "views"},
    "dashboard": {"results", "data", "models", "engine", "index", "methods", "views", "widgets"},
}
COMPUTE = {"results", "data", "models", "engine", "index", "methods"}
FRONT_ENDS = {"matplotlib", "ipywidgets", "anywidget", "bqplot", "traitlets", "IPython", "ipykernel", "comm"}


class Import(NamedTuple):
    """One imported module: `module` is "torch" or, for one of our own, "cnnviz_widgets.engine"."""

    where: str
    part: str
    module: str
    late: bool
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def _imports() -> list[Import]:
    return [found for path in sorted(PACKAGE.rglob("*.py")) for found in _imports_of(path)]


def _imports_of(path: Path) -> Iterator[Import]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    package = ["cnnviz_widgets", *parts[:-1]]

    def walk(node: ast.AST, late: bool, typing_only: bool) -> Iterator[Import]:
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for module in _modules(node, package):
            line = getattr(node, "lineno", 0)
            yield Import(f"{path.relative_to(PACKAGE)}:{line}", parts[0], module, late, typing_only)
        for child in ast.iter_child_nodes(node):
            guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            yield from walk(child, late, typing_only or guarded)

    return walk(ast.parse(path.read_text("utf-8")), False, False)


def _modules(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])] if node.level else [node.module]
    if base == ["cnnviz_widgets"]:  # from .. import engine
        return [f"cnnviz_widgets.{alias.name}" for alias in node.names]
    return [".".join(map(str, base))]


IMPORTS = _imports()


def _own(found: Import) -> str | None:
    """The part of this package that is imported ("engine"), None when it is another package or a part of itself."""
    part = found.module.split(".")[1] if found.module.startswith("cnnviz_widgets.") else None
    return None if part == found.part else part


def test_the_reader_of_imports_sees_them_all():
    seen = {(found.part, found.module) for found in IMPORTS}
    assert {("results", "numpy"), ("engine", "torch"), ("__init__", "cnnviz_widgets.methods.cam")} <= seen
    assert ("results", "cnnviz_widgets.views") in {(f.part, ".".join(f.module.split(".")[:2])) for f in IMPORTS}


def test_every_part_has_its_place_in_the_order():
    assert {found.part for found in IMPORTS} - {"__init__"} <= set(BELOW)


def test_a_part_imports_only_what_lies_below_it():
    upward = [
        found
        for found in IMPORTS
        if (part := _own(found)) is not None
        and found.part != "__init__"
        and part not in BELOW[found.part] | {"__version__"}
        and not (found.part == "results" and part == "views" and found.late)  # Result.plot() and the rich display
    ]
    assert not upward


def test_nothing_imports_the_package_through_its_front_door():
    assert not [found for found in IMPORTS if found.module == "cnnviz_widgets"]


def test_the_front_door_imports_nothing_at_once():
    eager = {found.top for found in IMPORTS if found.part == "__init__" and not found.late and not found.typing_only}
    assert eager <= set(sys.stdlib_module_names)


def test_the_compute_side_never_names_a_front_end():
    named = [found for found in IMPORTS if found.part in COMPUTE and found.top in FRONT_ENDS]
    # a type, and the picture that a result shows itself as, may be named where nothing is loaded for it
    assert not [found for found in named if not found.typing_only and not (found.part == "results" and found.late)]


def test_results_rest_on_numpy_alone():
    eager = [found for found in IMPORTS if found.part == "results" and not found.late and not found.typing_only]
    others = {found.top for found in eager if not found.module.startswith("cnnviz_widgets.results")}
    assert others <= {"numpy", *sys.stdlib_module_names}


def test_views_never_see_a_model():
    assert not [found for found in IMPORTS if found.part == "views" and found.top in {"torch", "torchvision"}]


def test_every_package_that_is_imported_is_a_declared_dependency(project: dict[str, Any]):
    extras = project["optional-dependencies"]
    used = ("lab", "efficientnet", "notebooks", "umap", "dask")
    lines = [*project["dependencies"], *(line for extra in used for line in extras[extra])]
    declared = {_canonical(line) for line in lines}
    provides = importlib.metadata.packages_distributions()
    others = {found.top for found in IMPORTS} - set(sys.stdlib_module_names) - {"cnnviz_widgets"}
    assert not {name for name in others if not declared & set(map(_canonical, provides.get(name, ())))}


def _canonical(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.mark.parametrize(
    ("statement", "kept_out"),
    [
        ("import cnnviz_widgets", FRONT_ENDS | {"torch", "torchvision", "numpy", "PIL"}),
        ("from cnnviz_widgets import Unit, Heatmap, Predictions", FRONT_ENDS | {"torch"}),
        ("from cnnviz_widgets import Engine, samples, saliency, grad_cam; Engine, samples, grad_cam", FRONT_ENDS),
    ],
)
def test_what_an_import_must_not_load_is_not_loaded(statement: str, kept_out: set[str]):
    script = f"{statement}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=PACKAGE.parent
    )
    assert run.returncode == 0, run.stderr
    loaded = set(json.loads(run.stdout))
    assert "cnnviz_widgets" in loaded
    assert not loaded & kept_out


def test_editors_are_told_the_names_that_the_interpreter_finds():
    told = {}
    for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("cnnviz_widgets."):
            for alias in node.names:
                assert alias.name == alias.asname, (
                    f"`import {alias.name} as {alias.name}` publishes it to type checkers"
                )
                told[alias.name] = str(node.module).removeprefix("cnnviz_widgets.")
    assert told == cnnviz_widgets._HOME


@pytest.mark.parametrize("name", cnnviz_widgets.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name: str):
    value = getattr(cnnviz_widgets, name)
    doc = (
        value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    ).__doc__  # its own, not a base's
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{name}("), f"{name} has only the signature that dataclass() writes"
    home = importlib.import_module(f"cnnviz_widgets.{cnnviz_widgets._HOME[name]}")
    assert getattr(home, name) is value


def test_dir_lists_every_public_name_and_a_star_import_gives_them():
    assert set(cnnviz_widgets.__all__) <= set(dir(cnnviz_widgets))
    namespace: dict[str, object] = {}
    exec("from cnnviz_widgets import *", namespace)
    assert set(cnnviz_widgets.__all__) <= set(namespace)


def test_an_unknown_name_is_an_attribute_error_that_names_what_is_near():
    with pytest.raises(AttributeError, match=r"'grad_cams'; did you mean 'grad_cam'\?"):
        cnnviz_widgets.grad_cams  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'zzz'$"):
        cnnviz_widgets.zzz  # noqa: B018
