"""LayerOutline in a real Chromium: what is drawn, how it is walked, folded and searched, and what is sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torchvision
from playwright.sync_api import Locator, expect
from torch import Tensor, nn

from cnnviz_widgets.engine import Layers
from cnnviz_widgets.engine.layers import tabulate
from cnnviz_widgets.engine.shadow import shadow
from cnnviz_widgets.widgets import LayerOutline
from tests.browser.harness import Mounted, wait_until

pytestmark = pytest.mark.browser

Mount = Callable[..., Mounted]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet50": torchvision.models.resnet50,
    "squeezenet": torchvision.models.squeezenet1_1,
    "googlenet": lambda: torchvision.models.googlenet(init_weights=False),
    "long": lambda: nn.Sequential(*(Block() for _ in range(250)), nn.Flatten()),
}


class Block(nn.Sequential):
    """Five rows."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout())


@cache
def table(name: str) -> tuple[Layers, dict[str, nn.Module]]:
    net = NETWORKS[name]()
    size = 2 if name == "long" else 64
    return tabulate(shadow(net), torch.rand(1, 3, size, size), name), dict(net.named_modules())


def outline_of(name: str = "resnet50", **traits: Any) -> LayerOutline:
    outline = LayerOutline(**traits)
    layers, modules = table(name)
    outline.show(layers, network=name, modules=modules)
    return outline


def tree(view: Mounted) -> Locator:
    return view.find(".cnnviz-ol-box").first


def row(view: Mounted, name: str) -> Locator:
    return view.find(f'.cnnviz-ol-row[data-at="{view.widget.rows["name"].index(name)}"]').first


def focused(view: Mounted) -> str:
    at = view.page.evaluate(
        "() => document.getElementById(document.querySelector('[role=tree]').getAttribute('aria-activedescendant'))"
        "?.dataset.at"
    )
    return view.widget.rows["name"][int(at)]


def shown(view: Mounted) -> list[str]:
    """Names from top to bottom, of the rows that are elements."""
    found = view.page.evaluate(
        """() => [...document.querySelector('[role=tree]').querySelectorAll('[role=treeitem]')]
          .filter((row) => !row.hidden).sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))
          .map((row) => Number(row.dataset.at))"""
    )
    return [view.widget.rows["name"][at] for at in found]


def press(view: Mounted, *keys: str) -> None:
    for key in keys:
        tree(view).press(key)
    view.settle()


def look_for(view: Mounted, text: str) -> None:
    view.find("input[type=search]").first.fill(text)
    view.settle()


def chosen(view: Mounted, name: str) -> None:
    """Wait until walking has become choosing."""

    def holds() -> bool:
        view.settle()
        return view.widget.selected == name

    wait_until(holds, 5, f"choosing {name}")


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_a_row_shows_name_kind_output_parameters_and_receptive_field(mount: Mount):
    view = mount(outline_of("squeezenet"))
    text = row(view, "features.3").inner_text().split("\n")
    assert "".join(text) == "▸3Fire stack128×15×1511.4 k15×15 /4".replace(" stack", "stack")
    assert "".join(row(view, "features.0").inner_text().split("\n")) == "0Conv2d 3×3 /264×31×311.8 k3×3 /2"
    assert view.find(".cnnviz-ol-caption").inner_text() == "squeezenet"
    assert view.find(".cnnviz-ol-count").inner_text() == "67 layers"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (999, "999"), (1000, "1.0 k"), (11408, "11.4 k"), (99_960, "100 k"), (999_499, "999 k"),
     (999_500, "1.0 M"), (25_557_032, "25.6 M"), (138_357_544, "138 M"), (2_000_000_000, "2.0 G")],
)  # fmt: skip
def test_large_numbers_are_shortened_and_exact_at_the_foot(mount: Mount, count: int, text: str):
    outline = outline_of("squeezenet")
    outline.set_trait("rows", {**outline.rows, "parameters": [count] * len(outline.rows["name"])})
    view = mount(outline)
    assert row(view, "features.0").locator(".cnnviz-ol-parameters").inner_text() == text
    exact = f"{count:,} parameters" if count else "no parameters"
    assert exact in view.find(".cnnviz-ol-facts").inner_text()


def test_the_pointed_row_tells_all_that_is_known_of_it(mount: Mount):
    view = mount(outline_of("squeezenet"))
    view.widget.show_activity({"features.3": 0.4321})
    view.settle()
    row(view, "features.3").hover()
    assert (row(view, "features.3").get_attribute("title") or "").split("\n") == [
        "features.3  Fire",
        "gives 128 × 15 × 15 · 11,408 parameters · sees 15×15 stride 4 start -4 · 43.2 % above zero",
        "reads features.2",
        "ends in the stack of features.3.expand1x1_activation, features.3.expand3x3_activation",
    ]


def test_the_tree_is_one_for_screen_readers(mount: Mount):
    view = mount(outline_of())
    for name, level, place, size, expanded in [
        ("conv1", "1", "1", "10", None), ("layer1", "1", "5", "10", "true"), ("layer1.1", "2", "2", "3", "false"),
    ]:  # fmt: skip
        found = row(view, name)
        attributes = [found.get_attribute(f"aria-{key}") for key in ("level", "posinset", "setsize", "expanded")]
        assert attributes == [level, place, size, expanded]
    assert row(view, "layer1.1").get_attribute("aria-label") == "1, Bottleneck, 256 by 16 by 16"
    assert tree(view).get_attribute("aria-label") == "Layers of resnet50"


def test_of_a_thousand_rows_only_those_in_sight_are_elements(mount: Mount):
    outline = outline_of("long")
    outline.folded = []
    view = mount(outline)
    assert len(outline.rows["name"]) == 1251
    assert view.find("[role=treeitem]").count() < 30
    press(view, "End")
    assert focused(view) == "250"
    assert view.find("[role=treeitem]").count() < 30
    tree(view).evaluate("(box) => { box.scrollTop = 20000; }")
    view.settle()
    view.settle()
    in_sight = shown(view)
    assert 10 < len(in_sight) < 32
    high = float(view.find(".cnnviz-ol-row").first.evaluate("(row) => row.offsetHeight"))
    top = round(float(tree(view).evaluate("(box) => box.scrollTop")) / high)
    assert outline.rows["name"][top] in in_sight


def test_a_key_in_a_thousand_rows_makes_a_few_elements_and_not_all_anew(mount: Mount):
    outline = outline_of("long")
    outline.folded = []
    view = mount(outline)
    press(view, "ArrowDown")
    view.page.evaluate(
        """() => {
          window.changed = 0;
          new MutationObserver((all) => all.forEach((one) => { window.changed += one.addedNodes.length; }))
            .observe(document.querySelector('.cnnviz-ol-list'), { childList: true });
        }"""
    )
    press(view, *["ArrowDown"] * 20)
    assert focused(view) == outline.rows["name"][21]
    assert view.page.evaluate("() => changed") <= 25


def test_the_bars_show_the_share_above_zero_and_change_alone(mount: Mount):
    view = mount(outline_of("squeezenet"))
    bar = row(view, "features.0").locator(".cnnviz-ol-bar")
    expect(bar).to_have_css("visibility", "hidden")
    row(view, "features.0").evaluate("(row) => { row.dataset.kept = 'yes'; }")
    view.widget.show_activity({"features.0": 0.25, "features.1": 1.0})
    view.settle()
    expect(bar).to_have_css("visibility", "visible")
    share = bar.evaluate("(bar) => bar.firstChild.getBoundingClientRect().width / bar.getBoundingClientRect().width")
    assert share == pytest.approx(0.25, abs=0.01)
    assert bar.get_attribute("title") == "25.0 % above zero"
    assert row(view, "features.0").get_attribute("data-kept") == "yes"
    assert view.updates == []


def test_heads_that_did_not_run_are_grey_and_say_why(mount: Mount):
    view = mount(outline_of("googlenet"))
    view.widget.folded = [name for name in view.widget.folded if name != "aux1"]
    press(view, "End", "Enter")
    head = row(view, "aux1")
    assert "did not run in this pass" in head.inner_text()
    assert head.get_attribute("aria-disabled") == "true"
    assert float(head.evaluate("(row) => getComputedStyle(row).opacity")) < 0.8
    head.click(force=True)  # Playwright takes what is disabled for what cannot be clicked
    view.settle()
    assert (focused(view), view.widget.selected) == ("aux1", "fc")
    assert "did not run in this pass" in view.find(".cnnviz-ol-facts").inner_text()


def test_branches_have_rails_that_span_what_is_unfolded_in_them(mount: Mount):
    view = mount(outline_of("googlenet"))
    view.widget.folded = [name for name in view.widget.folded if name not in ("inception3a", "inception3a.branch4")]
    view.settle()
    names = ["branch1", "branch2", "branch3", "branch4", "branch4.0", "branch4.1"]
    classes = [row(view, f"inception3a.{name}").locator("i[class*=lane]").get_attribute("class") for name in names]
    assert [(one or "").removeprefix("cnnviz-ol-lane ") for one in classes] == [
        "s e f b", "s e b", "s e b", "s b", "b", "e l b",
    ]  # fmt: skip
    assert row(view, "inception3b").locator("i[class*=lane]").count() == 0


def test_a_shortcut_is_a_rail_of_its_own_kind(mount: Mount):
    outline = outline_of()
    outline.folded = [name for name in outline.folded if name != "layer1.1"]
    view = mount(outline)
    lane = row(view, "layer1.1.conv1").locator("i[class*=lane]")
    assert lane.get_attribute("class") == "cnnviz-ol-lane s f c"
    dashes = lane.evaluate("(lane) => getComputedStyle(lane, '::before').backgroundSize")
    assert dashes == "2px 6px"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(mount: Mount, theme: str):
    outline = outline_of("googlenet")
    outline.folded = []
    outline.selected = "inception3a.branch1"
    view = mount(outline)
    view.theme(theme)
    view.settle()
    worst = view.page.evaluate(
        """() => {
          const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
          const over = (colours) => {
            pen.clearRect(0, 0, 1, 1);
            for (const [colour, opacity] of colours) {
              pen.globalAlpha = opacity; pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
            }
            return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
          };
          const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
          const light = (rgb) => 0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2]);
          const paper = getComputedStyle(document.body).backgroundColor;
          const ratios = {};
          for (const row of document.querySelectorAll('.cnnviz-ol-row')) {
            const ground = [[paper, 1], [getComputedStyle(row).backgroundColor, 1]];
            const opacity = Number(getComputedStyle(row).opacity);
            for (const span of row.querySelectorAll('span')) {
              if (!span.textContent || span.children.length) continue;
              const own = opacity * Number(getComputedStyle(span).opacity);
              const [a, b] = [light(over([...ground, [getComputedStyle(span).color, own]])), light(over(ground))];
              const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
              ratios[span.className] = Math.min(ratios[span.className] ?? 99, ratio);
            }
          }
          return ratios;
        }"""
    )
    assert {"cnnviz-ol-name", "cnnviz-ol-kind", "cnnviz-ol-output", "cnnviz-ol-sees", "cnnviz-ol-same"} <= worst.keys()
    assert min(worst.values()) >= 4.5, worst


@pytest.mark.parametrize("width", [270, 310, 420])
def test_columns_stand_under_one_another_and_nothing_sticks_out(mount: Mount, width: int):
    outline = outline_of()
    outline.folded = [name for name in outline.folded if name not in ("layer1.0", "layer1.0.relu")]
    view = mount(outline, viewport={"width": width + 32, "height": 700})
    assert tree(view).evaluate("(box) => box.scrollWidth <= box.clientWidth")
    for column in ("output", "parameters", "sees"):
        edges = view.page.evaluate(
            """(column) => [...document.querySelectorAll(`.cnnviz-ol-box .cnnviz-ol-${column}`)]
              .map((cell) => Math.round(cell.getBoundingClientRect().right))""",
            column,
        )
        assert len(edges) > 10 and len(set(edges)) == 1
        head = view.find(f".cnnviz-ol-columns .cnnviz-ol-{column}").evaluate("(c) => c.getBoundingClientRect().right")
        assert head == pytest.approx(edges[0], abs=1.5)


def test_where_there_is_room_a_row_is_one_line(mount: Mount):
    view = mount(outline_of())
    place = row(view, "conv1").bounding_box()
    assert place is not None and place["height"] == 24
    view.page.set_viewport_size({"width": 340, "height": 700})
    view.settle()
    place = row(view, "conv1").bounding_box()
    assert place is not None and place["height"] == 36


# --- walking ----------------------------------------------------------------------------------------------------------


def test_arrows_walk_what_is_seen_and_go_in_and_out(mount: Mount):
    view = mount(outline_of())
    assert focused(view) == "conv1"
    steps = [
        ("ArrowUp", "conv1"), ("ArrowDown", "bn1"), ("End", "fc"), ("ArrowDown", "fc"), ("Home", "conv1"),
        *[("ArrowDown", name) for name in ("bn1", "relu", "maxpool", "layer1")],
        ("ArrowRight", "layer1.0"), ("ArrowRight", "layer1.0"), ("ArrowRight", "layer1.0.conv1"),
        ("ArrowRight", "layer1.0.conv1"), ("ArrowLeft", "layer1.0"), ("ArrowLeft", "layer1.0"),
        ("ArrowLeft", "layer1"), ("ArrowLeft", "layer1"), ("ArrowDown", "layer2"),
    ]  # fmt: skip
    for key, name in steps:
        press(view, key)
        assert focused(view) == name, key
    assert "layer1" in view.widget.folded and "layer1.0" in view.widget.folded


def test_resting_on_a_layer_chooses_it_and_walking_past_does_not(mount: Mount):
    view = mount(outline_of())
    press(view, *["ArrowDown"] * 6)
    chosen(view, "layer1.1")
    assert [update["selected"] for update in view.updates if "selected" in update] == ["layer1.1"]
    assert row(view, "layer1.1").get_attribute("aria-selected") == "true"
    assert row(view, "conv1").get_attribute("aria-selected") == "false"


def test_enter_and_a_click_choose_at_once(mount: Mount):
    view = mount(outline_of())
    press(view, "ArrowDown", "Enter")
    assert view.widget.selected == "bn1"
    row(view, "layer2").locator(".cnnviz-ol-name").click()
    view.settle()
    assert view.widget.selected == "layer2"
    assert "layer2" not in view.widget.folded


def test_letters_go_to_the_next_name_that_begins_so(mount: Mount):
    view = mount(outline_of())
    press(view, "l")
    assert focused(view) == "layer1"
    press(view, "l")
    assert focused(view) == "layer2"
    view.page.wait_for_timeout(800)
    press(view, "m", "a", "x")
    assert focused(view) == "maxpool"
    view.page.wait_for_timeout(800)
    press(view, "b", "o")
    assert focused(view) == "layer1.0", "by kind where no name begins so"


def test_a_star_unfolds_all_beside_it(mount: Mount):
    view = mount(outline_of())
    press(view, *["ArrowDown"] * 5, "*")
    assert not [name for name in view.widget.folded if name.count(".") == 1 and name.startswith("layer1")]
    assert "layer2.0" in view.widget.folded


def test_a_triangle_folds_and_python_unfolds(mount: Mount):
    view = mount(outline_of())
    row(view, "layer1").locator(".cnnviz-ol-twisty").click()
    view.settle()
    assert "layer1" in view.widget.folded
    assert "layer1.0" not in shown(view) and view.widget.selected == ""
    view.widget.folded = ["layer2"]
    view.settle()
    assert "layer1.0.conv1" in shown(view)


def test_what_is_folded_away_leaves_the_keyboard_where_it_is_folded_into(mount: Mount):
    view = mount(outline_of())
    press(view, *["ArrowDown"] * 6)
    assert focused(view) == "layer1.1"
    view.widget.folded = [*view.widget.folded, "layer1"]
    view.settle()
    assert focused(view) == "layer1"


def test_a_shared_layer_unfolds_into_calls_that_can_be_chosen(mount: Mount):
    view = mount(outline_of())
    view.widget.selected = "layer1.0.relu"
    view.settle()
    assert "×3" in row(view, "layer1.0.relu").inner_text()
    press(view, "ArrowRight", "ArrowDown", "ArrowDown", "Enter")
    assert view.widget.selected == "layer1.0.relu#2"


def test_what_is_chosen_from_python_is_unfolded_and_in_sight(mount: Mount):
    view = mount(outline_of("long"))
    view.widget.selected = "200.2"
    view.settle()
    assert focused(view) == "200.2"
    expect(row(view, "200.2")).to_be_in_viewport()
    assert row(view, "200.2").get_attribute("aria-selected") == "true"
    press(view, "ArrowUp")
    chosen(view, "200.1")


# --- searching --------------------------------------------------------------------------------------------------------


def test_a_search_keeps_matches_and_what_they_stand_in_marks_and_counts_them(mount: Mount):
    view = mount(outline_of())
    look_for(view, "downsample")
    blocks = [f"layer{n}.0.downsample" for n in (1, 2, 3, 4)]
    assert [name for name in shown(view) if name.endswith("downsample")] == blocks
    assert len(shown(view)) == 12
    assert view.find(".cnnviz-ol-count").inner_text() == f"4 of {len(view.widget.rows['name'])}"
    assert row(view, blocks[0]).locator("mark").all_inner_texts() == ["downsample"]
    assert row(view, "layer1").locator("mark").count() == 0
    assert view.find(".cnnviz-ol-lane").count() == 0, "rows between are missing, so rails would tell lies"


@pytest.mark.parametrize(
    ("text", "hits", "one"),
    [("1x1", 36, "layer1.0.conv3"), ("layer3 relu", 6, "layer3.5.relu"), ("LAYER3", 1, "layer3"),
     ("layer3.0", 1, "layer3.0"), ("bottle", 16, "layer4.2"), ("relu#2", 16, "layer1.0.relu#2")],
)  # fmt: skip
def test_names_kinds_and_several_words_are_found(mount: Mount, text: str, hits: int, one: str):
    view = mount(outline_of(height=4000))
    look_for(view, text)
    assert view.find(".cnnviz-ol-count").inner_text().split(" ")[0] == str(hits)
    assert one in shown(view)
    assert view.widget.search == text


def test_nothing_found_is_said(mount: Mount):
    view = mount(outline_of())
    look_for(view, "zebra")
    assert shown(view) == []
    assert view.find(".cnnviz-ol-nothing").inner_text() == "No layer's name or kind has “zebra”."
    look_for(view, "")
    assert len(shown(view)) > 10


def test_escape_ends_the_search_where_the_keyboard_is(mount: Mount):
    view = mount(outline_of())
    look_for(view, "layer4.2.conv2")
    view.find("input[type=search]").press("ArrowDown")
    chosen(view, "layer4.2.conv2")
    press(view, "Escape")
    assert (view.widget.search, view.find("input[type=search]").input_value()) == ("", "")
    assert focused(view) == "layer4.2.conv2"
    expect(row(view, "layer4.2.conv2")).to_be_in_viewport()


@pytest.mark.parametrize("text", ["bn2", "zebra"])
def test_a_search_given_up_leaves_the_keyboard_where_it_was(mount: Mount, text: str):
    view = mount(outline_of())
    press(view, "End", "Enter")
    before = list(view.widget.folded)
    look_for(view, text)
    view.find("input[type=search]").press("Escape")
    view.settle()
    assert (view.widget.search, focused(view), view.widget.folded) == ("", "fc", before)


def test_an_unknown_receptive_field_is_said_with_its_reason(mount: Mount):
    outline = outline_of("squeezenet")
    unknown = {"sees": ["?"] * 67, "exact": ["unknown: sort is not followed"] * 67}
    outline.set_trait("rows", {**outline.rows, **unknown})
    view = mount(outline)
    assert "receptive field unknown: sort is not followed" in view.find(".cnnviz-ol-facts").inner_text()


def test_a_slash_goes_to_the_search_and_enter_takes_the_first_hit(mount: Mount):
    view = mount(outline_of())
    press(view, "/")
    expect(view.find("input[type=search]")).to_be_focused()
    view.page.keyboard.type("bn2")
    view.settle()
    view.page.keyboard.press("Enter")
    view.settle()
    assert view.widget.selected == "layer1.0.bn2"
    expect(tree(view)).to_be_focused()


def test_a_hit_can_be_unfolded_during_a_search(mount: Mount):
    view = mount(outline_of())
    look_for(view, "downsample")
    before = list(view.widget.folded)
    view.find("input[type=search]").press("ArrowDown")
    press(view, "ArrowRight")
    assert [name for name in shown(view) if "downsample." in name] == [
        "layer1.0.downsample.0", "layer1.0.downsample.1",
    ]  # fmt: skip
    press(view, "ArrowLeft")
    assert not [name for name in shown(view) if "downsample." in name]
    assert view.widget.folded == before


def test_python_searches_too_and_choosing_what_is_not_found_ends_the_search(mount: Mount):
    view = mount(outline_of())
    view.widget.search = "downsample"
    view.settle()
    assert view.find("input[type=search]").input_value() == "downsample"
    view.widget.selected = "fc"
    view.settle()
    assert view.widget.search == "" and focused(view) == "fc"


# --- the page ---------------------------------------------------------------------------------------------------------


def test_without_a_kernel_it_folds_searches_and_says_that_it_is_static(mount: Mount):
    view = mount(outline_of(), kernel=False)
    row(view, "layer1").locator(".cnnviz-ol-twisty").click()
    view.settle()
    assert "layer1.0" not in shown(view)
    look_for(view, "downsample")
    assert "layer4.0.downsample" in shown(view)
    view.page.get_by_text("static: no kernel answers").wait_for(state="visible", timeout=10_000)


def test_another_network_takes_the_place_of_the_first(mount: Mount):
    view = mount(outline_of())
    press(view, "End", "Enter")
    layers, modules = table("squeezenet")
    view.widget.show(layers, network="squeezenet", modules=modules)
    view.settle()
    assert view.find(".cnnviz-ol-caption").inner_text() == "squeezenet"
    assert shown(view)[:3] == ["features", "features.0", "features.1"]
    assert view.widget.selected == "" and focused(view) == "features"


def test_before_a_network_is_shown_the_place_is_empty_and_says_so(mount: Mount):
    view = mount(LayerOutline())
    assert "No network yet" in tree(view).inner_text()
    tree(view).focus()
    press(view, "ArrowDown", "Enter", "x")


def test_two_views_show_the_same_and_a_removed_one_leaves_nothing_behind(mount: Mount):
    view = mount(outline_of(), views=2)
    press(view, "ArrowDown", "Enter")
    second = view.find(".cnnviz-ol-box").nth(1)
    assert second.locator("[aria-selected=true]").get_attribute("aria-label") == "bn1, BatchNorm2d, 64 by 32 by 32"
    ids = view.page.evaluate("() => [...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))
    view.clean()
    assert view.listening() == 0
    assert view.find(".cnnviz-ol").count() == 0


def test_names_are_texts_and_never_markup(mount: Mount):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<b>bold</b>", nn.Conv2d(3, 2, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("<b>bold</b>")(x).mean((2, 3))

    outline = LayerOutline()
    outline.show(tabulate(shadow(Odd()), torch.rand(1, 3, 8, 8), "odd"), network="<i>odd</i>")
    view = mount(outline)
    assert view.find(".cnnviz-ol-name").inner_text() == "<b>bold</b>"
    assert view.find(".cnnviz-ol-caption").inner_text() == "<i>odd</i>"
