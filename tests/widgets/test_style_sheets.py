"""A page holds the style sheets of all widgets at once, so a sheet must speak of its own widget alone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnnviz_widgets.widgets
from cnnviz_widgets.widgets.front_end import module

HERE = Path(cnnviz_widgets.widgets.__file__).parent
SHEETS = {path.stem: path.read_text("utf-8") for path in sorted(HERE.glob("*.css"))}
CLASS = re.compile(r"cnnviz-[\w-]+")


def _selectors(sheet: str) -> Iterator[str]:
    """Every selector of a sheet; lists are taken apart at the commas that are not within brackets."""
    bare = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    for prelude in re.findall(r"([^{};]+)\{", bare):
        if not prelude.strip().startswith("@"):
            yield from (one.strip() for one in re.split(r",(?![^()]*\))", prelude))


def _holders(selector: str) -> list[set[str]]:
    """What keeps a rule within a widget: the classes of its first part, the class of all widgets aside; one set for
    each part that may stand there."""
    for part in re.split(r"[\s>+~]+(?![^()]*\))", selector):
        either = re.match(r":is\(([^()]*)\)", part)
        held = [set(CLASS.findall(one)) for one in (either[1].split(",") if either else [part])]
        if any(held):
            return held
    return [set()]


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """For each widget that has a sheet: all classes that its front end or its sheet names."""
    return {name: set(CLASS.findall(module(HERE / f"{name}.js") + sheet)) for name, sheet in SHEETS.items()}


@pytest.mark.parametrize("name", SHEETS)
def test_no_rule_of_a_widgets_sheet_reaches_into_another_widget(name: str, used: dict[str, set[str]]):
    reaching = {
        f"{selector} -> {other}"
        for selector in _selectors(SHEETS[name])
        for other, classes in used.items()
        if other != name and any(held <= classes for held in _holders(selector)) and selector not in ("to", "from")
    }
    assert not reaching, "begin these with the class of the widget, as in :where(.cnnviz-card) .cnnviz-hint"


def test_the_reading_of_selectors_finds_what_holds_a_rule():
    sheet = "/* a, b */ .cnnviz-a,\n:is(.cnnviz-b, .cnnviz-c) > p { x: y }"
    sheet += "@media (q) { .cnnviz .cnnviz-d:hover b { x: y } }"
    found = list(_selectors(sheet))
    assert found == [".cnnviz-a", ":is(.cnnviz-b, .cnnviz-c) > p", ".cnnviz .cnnviz-d:hover b"]
    assert [_holders(one) for one in found] == [[{"cnnviz-a"}], [{"cnnviz-b"}, {"cnnviz-c"}], [{"cnnviz-d"}]]
    assert _holders(":where(.cnnviz-card) .cnnviz-hint") == [{"cnnviz-card"}]
    assert _holders("td") == [set()], "what no class holds reaches everywhere"
