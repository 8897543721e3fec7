import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import matplotlib
import matplotlib.style
import matplotlib.text
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cnnviz_widgets.results import Heatmap, PictureResult, PixelMap, Predictions
from cnnviz_widgets.views.colour import Scale, color_attribution, lookup_table, overlay, scale_of
from cnnviz_widgets.views.layout import png
from cnnviz_widgets.views.predictions import percent
from cnnviz_widgets.views.titles import METHOD_TITLES, title

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 56, 3), np.uint8)
VALUES = np.abs(RNG.normal(size=(40, 56))).astype(np.float32)
ABOUT: dict[str, Any] = {"image": IMAGE, "target": 281, "target_name": "tabby", "citation": "c"}


def heatmap(**changes: Any) -> Heatmap:
    about = {**ABOUT, "method": "grad_cam", "layer": "features.12", "values": VALUES, "raw": VALUES[:5, :7]}
    return Heatmap(**{**about, **changes})


def pixel_map(**changes: Any) -> PixelMap:
    values = RNG.normal(size=(3, 40, 56))
    return PixelMap(**{**ABOUT, "method": "guided_backprop", "values": values, **changes})


def predictions(k: int = 3, **changes: Any) -> Predictions:
    shares = np.linspace(0.6, 0.0004, k)
    best = {
        "names": [f"class {i}" for i in range(k)],
        "probabilities": shares,
        "scores": shares,
        "indices": np.arange(k),
    }
    return Predictions(**{"image": IMAGE, "method": "predict", **best, **changes})


def rendered(figure: Figure) -> np.ndarray:
    data, _ = png(figure)
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def seen_in(figure: Figure, ax: Axes, shape: tuple[int, ...]) -> np.ndarray:
    """What a person sees in the middle of each pixel of the picture, (H, W, 3), read from the rendered figure."""
    pixels = rendered(figure)
    xs, ys = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    places = ax.transData.transform(np.stack([xs.ravel(), ys.ravel()], 1))
    columns, rows = np.floor(places[:, 0]).astype(int), pixels.shape[0] - 1 - np.floor(places[:, 1]).astype(int)
    return pixels[rows, columns].reshape(*shape[:2], 3)


def texts(figure: Figure) -> str:
    return " | ".join(t.get_text() for t in cast(Any, figure).findobj(matplotlib.text.Text) if t.get_text())


# Aligned to the pixel.


@pytest.mark.parametrize("options", [{}, {"opacity": 1.0}, {"threshold": 0.4, "opacity": 0.7}, {"colormap": "viridis"}])
def test_what_is_seen_of_an_overlay_is_the_very_pixels(options: dict[str, Any]) -> None:
    result = heatmap()
    figure = result.plot(**options)
    bare, over = figure.axes[:2]
    scale = scale_of(VALUES, False, options.pop("colormap", None))
    assert (seen_in(figure, bare, IMAGE.shape) == IMAGE).all()
    assert (seen_in(figure, over, IMAGE.shape) == overlay(IMAGE, VALUES, scale, **options)).all()


@pytest.mark.parametrize("shape", [(224, 224), (299, 299), (28, 28), (31, 97)])
def test_every_picture_pixel_is_an_equal_square_of_figure_pixels(shape: tuple[int, int]) -> None:
    image = RNG.integers(0, 256, (*shape, 3), np.uint8)
    figure = heatmap(image=image, values=np.ones(shape), raw=np.ones((2, 2))).plot()
    ax = figure.axes[0]
    box, times = ax.get_window_extent(), round(640 / max(shape))
    assert (box.width, box.height) == pytest.approx((shape[1] * times, shape[0] * times), abs=1e-6)
    pixels = rendered(figure)
    top, left = round(pixels.shape[0] - box.y1), round(box.x0)
    block = pixels[top : top + shape[0] * times, left : left + shape[1] * times]
    assert (block == image.repeat(times, 0).repeat(times, 1)).all()


def test_picture_and_overlay_have_one_frame_and_nothing_is_smoothed() -> None:
    for result in (heatmap(), pixel_map()):
        figure = result.plot()
        images = [ax.images[0] for ax in figure.axes if ax.images]
        assert len(images) == (2 if isinstance(result, Heatmap) else 3)
        assert {tuple(i.get_extent()) for i in images} == {(-0.5, 55.5, 39.5, -0.5)}
        assert {i.get_interpolation() for i in images} == {"nearest"}
        assert len({tuple(np.round(i.axes.get_window_extent().size, 6)) for i in images}) == 1


def test_a_style_of_the_user_changes_neither_pixels_nor_paper() -> None:
    plain = rendered(heatmap().plot())
    dark = {"image.interpolation": "bicubic", "image.origin": "lower", "savefig.facecolor": "black"}
    with matplotlib.rc_context(cast(Any, {**matplotlib.style.library["dark_background"], **dark})):
        styled = rendered(heatmap().plot())
    assert (styled == plain).all()
    assert (plain[0] == 255).all() and (plain[-1] == 255).all()


def test_a_wide_a_tall_and_a_large_picture_keep_the_sheet_whole() -> None:
    for shape in [(90, 300), (300, 60), (900, 700)]:
        image = np.zeros((*shape, 3), np.uint8)
        for result in (
            heatmap(image=image, values=np.ones(shape)),
            pixel_map(image=image, values=np.ones((3, *shape))),
            predictions(image=image),
        ):
            figure = result.plot()
            sheet = figure.bbox
            figure.canvas.draw()
            for ax in figure.axes:
                box = ax.get_tightbbox(cast(Any, figure.canvas).get_renderer())
                assert box is not None
                assert sheet.x0 <= box.x0 and box.x1 <= sheet.x1 and sheet.y0 <= box.y0 and box.y1 <= sheet.y1


# The scale tells the truth.


def colorbar_axes(figure: Figure) -> Any:
    return next(ax.child_axes[0] for ax in figure.axes if ax.child_axes)


def test_the_colour_bar_runs_in_raw_values_through_the_same_colours() -> None:
    figure = heatmap(values=VALUES * 1e-6).plot()
    bar = colorbar_axes(figure)
    assert bar.get_ylim() == pytest.approx((0, VALUES.max() * 1e-6))
    assert bar.get_ylabel() == "Grad-CAM value"
    colors = bar._colorbar.mappable.to_rgba((np.arange(256) + 0.5) / 256 * VALUES.max() * 1e-6, bytes=True)
    assert (colors == lookup_table("inferno")).all()


def test_a_signed_map_is_centred_on_zero() -> None:
    figure = heatmap(values=VALUES - 0.2, signed=True).plot()
    lo, hi = colorbar_axes(figure).get_ylim()
    assert lo == -hi == pytest.approx(-(VALUES - 0.2).max())


def test_values_beyond_the_scale_are_said_by_arrows() -> None:
    def arrows(**options: Any) -> str:
        return colorbar_axes(heatmap(values=VALUES - 0.5, signed=True).plot(**options))._colorbar.extend

    assert arrows() == "neither"
    assert arrows(locked=(-0.1, 0.1)) == "both"
    assert colorbar_axes(heatmap().plot(percentile=90))._colorbar.extend == "max"


def test_a_locked_scale_makes_two_maps_comparable() -> None:
    locked = Scale(0, 10, "viridis")
    one, two = heatmap().plot(locked=locked), heatmap(values=VALUES * 2).plot(locked=locked)
    assert colorbar_axes(one).get_ylim() == colorbar_axes(two).get_ylim() == (0, 10)
    expected = overlay(IMAGE, VALUES * 2, locked)
    assert (two.axes[1].images[0].get_array() == expected).all()


@pytest.mark.parametrize(("value", "signed"), [(0.0, False), (0.0, True), (-3.0, False)])
def test_a_map_of_one_value_says_so_and_its_bar_has_one_colour(value: float, signed: bool) -> None:
    figure = heatmap(values=np.full((40, 56), value), signed=signed).plot()
    assert f"with the map over it: {value:.4g} everywhere" in texts(figure)
    bar = colorbar_axes(figure)
    assert bar.get_yticks().tolist() == [value]
    assert bar._colorbar.mappable.get_cmap().N == 1
    color = lookup_table("RdBu_r" if signed else "inferno")[128 if signed else 0]
    assert (bar._colorbar.mappable.to_rgba(value, bytes=True) == color).all()


def test_maps_of_nan_and_infinity_are_drawn() -> None:
    values = VALUES.copy()
    values[0], values[1], values[2] = np.nan, np.inf, -np.inf
    for signed in (False, True):
        figure = heatmap(values=values, signed=signed).plot()
        assert (seen_in(figure, figure.axes[1], IMAGE.shape)[0] == IMAGE[0]).all()
    rendered(heatmap(values=np.full((40, 56), np.nan)).plot())
    rendered(pixel_map(values=np.full((3, 40, 56), np.nan)).plot())


@pytest.mark.parametrize(
    "options", [{}, {"opacity": 0.1}, {"threshold": 0.9}, {"colormap": "gray"}, {"percentile": 50}]
)
def test_the_cursor_reads_the_raw_value_however_it_is_coloured(options: dict[str, Any]) -> None:
    figure = heatmap().plot(**options)
    image = cast(Any, figure.axes[1].images[0])
    for y, x in [(0, 0), (39, 55), (12, 30), (39, 0)]:
        for dx, dy in [(0, 0), (0.45, -0.45), (-0.45, 0.45)]:
            px, py = figure.axes[1].transData.transform((x + dx, y + dy))
            assert image.get_cursor_data(SimpleNamespace(x=px, y=py)) == VALUES[y, x]
    outside = figure.axes[1].transData.transform((56, 3))
    assert image.get_cursor_data(SimpleNamespace(x=outside[0], y=outside[1])) is None
    assert image.format_cursor_data(0.123456) == "[0.1235]"


def test_what_a_threshold_hides_is_pale_on_the_bar() -> None:
    (span,) = colorbar_axes(heatmap().plot(threshold=0.25)).patches
    low, high = span.get_extents().transformed(span.axes.transData.inverted()).intervaly
    assert (low, high) == pytest.approx((0, VALUES.max() / 4), abs=1e-6)
    assert not colorbar_axes(heatmap().plot()).patches


# The other kinds.


def test_a_pixel_map_shows_picture_colours_and_heat_map() -> None:
    result = pixel_map()
    figure = result.plot()
    seen, color, heat = figure.axes[:3]
    assert (seen_in(figure, seen, IMAGE.shape) == IMAGE).all()
    assert (seen_in(figure, color, IMAGE.shape) == color_attribution(result.values, 99.5)).all()
    values = result.heatmap().values
    expected = overlay(IMAGE, values, scale_of(values, False, percentile=99.5), 1.0)
    assert (seen_in(figure, heat, IMAGE.shape) == expected).all()
    assert "largest magnitude of R, G, B" in texts(figure)


def test_a_signed_sum_is_drawn_centred_on_zero() -> None:
    figure = pixel_map().plot(reduce="sum", percentile=None)
    lo, hi = colorbar_axes(figure).get_ylim()
    assert lo == -hi
    assert "sum of R, G, B" in texts(figure)


def test_a_pixel_map_of_one_channel_speaks_of_no_colours() -> None:
    result = pixel_map(values=np.abs(RNG.normal(size=(1, 40, 56))), signed=False)
    figure = result.plot()
    assert "R, G, B" not in texts(figure) and "black: none" in texts(figure)
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert (shown[..., 0] == shown[..., 1]).all() and (shown[..., 0] == shown[..., 2]).all()


def test_predictions_are_bars_best_first_with_percentages() -> None:
    figure = predictions(3).plot()
    bars = figure.axes[1]
    assert [t.get_text() for t in bars.get_yticklabels()] == ["class 0", "class 1", "class 2"]
    assert bars.yaxis_inverted()
    widths = [patch.get_width() for patch in cast(Any, bars.patches)[3:]]  # The first three are the tracks behind.
    assert widths == pytest.approx([0.6, 0.3002, 0.0004])
    assert bars.get_xlim() == (0, 1)
    assert [t.get_text() for t in bars.texts] == ["60.0 %", "30.0 %", "<0.1 %"]
    assert (seen_in(figure, figure.axes[0], IMAGE.shape) == IMAGE).all()


def test_predictions_can_be_cut_to_the_best_and_have_long_names_and_many_rows() -> None:
    assert len(predictions(5).plot(top=2).axes[1].texts) == 2
    with pytest.raises(ValueError, match="top is at least 1, not 0"):
        predictions().plot(top=0)
    for result in (predictions(2, names=["W" * 200, "x"]), predictions(40), predictions(1), predictions(0)):
        figure = result.plot()
        figure.canvas.draw()
        renderer = cast(Any, figure.canvas).get_renderer()
        picture = figure.axes[0].get_window_extent()
        labels = [t.get_window_extent(renderer) for t in figure.axes[1].get_yticklabels()]
        assert all(box.x0 > picture.x1 for box in labels)
        assert all(above.y0 >= below.y1 for above, below in zip(labels, labels[1:], strict=False))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (0.0004, "<0.1 %"), (0.5321, "53.2 %"), (0.99999, "99.9 %"), (1, "100 %")],
)
def test_a_percentage_never_rounds_to_certainty(share: float, text: str) -> None:
    assert percent(share) == text


# Words.


def test_titles_are_for_people() -> None:
    assert title(heatmap()) == "Grad-CAM · tabby · features.12"
    assert title(pixel_map()) == "Guided backpropagation · tabby"
    assert title(predictions()) == "Predictions"
    assert title(heatmap(method="my_new_method")) == "My new method · tabby · features.12"
    assert title(heatmap(parameters={"counterfactual": True})) == "Grad-CAM · why not tabby · features.12"
    assert title(heatmap(parameters={"counterfactual": False})) == title(heatmap())


def test_every_method_of_the_package_has_a_title() -> None:
    import cnnviz_widgets

    homes = cnnviz_widgets._HOME.items()
    methods = [name for name, home in homes if home.startswith("methods.") and name.islower()]  # not their pieces
    assert methods
    assert [name for name in methods if name not in METHOD_TITLES] == []


def test_a_dollar_in_a_name_is_a_dollar() -> None:
    name = r"a $5 note, $\bad$"
    assert len(rendered(heatmap(target_name=name).plot())) and len(rendered(predictions(1, names=[name]).plot()))


@pytest.mark.parametrize("name", ["tabby", "a name of several words that goes on and on " * 4, "W" * 150])
def test_a_title_stays_on_the_sheet_and_off_the_pictures(name: str) -> None:
    for result in (heatmap(target_name=name), pixel_map(target_name=name)):
        figure = result.plot()
        figure.canvas.draw()
        renderer = cast(Any, figure.canvas).get_renderer()
        box = figure.texts[0].get_window_extent(renderer)
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        captions = [ax.get_tightbbox(renderer) for ax in figure.axes]
        assert all(caption is not None and box.y0 > caption.y1 for caption in captions)


# Options and axes of one's own.


def test_an_unknown_option_is_an_error_that_names_a_near_one() -> None:
    with pytest.raises(TypeError, match=r"Heatmap\.plot has no option 'opacty'; did you mean 'opacity'\?"):
        heatmap().plot(opacty=1)
    with pytest.raises(TypeError, match=r"Predictions\.plot has no option 'zzz'; there are top"):
        predictions().plot(zzz=1)
    with pytest.raises(ValueError, match="panel is 'color' or 'heatmap', not 'both'"):
        pixel_map().plot(panel="both")


def test_a_subclass_is_drawn_as_its_parent_and_a_kind_without_a_view_is_an_error() -> None:
    @dataclass(frozen=True, eq=False, kw_only=True, repr=False)
    class Finer(Heatmap):
        pass

    @dataclass(frozen=True, eq=False, kw_only=True, repr=False)
    class Unseen(PictureResult):
        pass

    fine = Finer(**ABOUT, method="m", values=VALUES, raw=VALUES)
    assert len(fine.plot().axes) == len(heatmap().plot().axes)
    with pytest.raises(TypeError, match="there is no picture of a Unseen"):
        Unseen(image=IMAGE, method="m").plot()


def test_without_side_by_side_the_overlay_stands_alone() -> None:
    figure = heatmap().plot(side_by_side=False)
    assert len([ax for ax in figure.axes if ax.images]) == 1
    expected = overlay(IMAGE, VALUES, scale_of(VALUES, False))
    assert (seen_in(figure, figure.axes[0], IMAGE.shape) == expected).all()


def test_axes_of_ones_own_get_the_main_panel_and_come_back() -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    first, second, third, fourth = cast(Any, figure.subplots(1, 4))
    assert heatmap().plot(first, opacity=1) is first
    assert (first.images[0].get_array() == overlay(IMAGE, VALUES, scale_of(VALUES, False), 1)).all()
    assert first.get_title(loc="left") == "Grad-CAM · tabby · features.12"
    result = pixel_map()
    assert result.plot(ax=second) is second
    assert (second.images[0].get_array() == color_attribution(result.values)).all()
    assert result.plot(third, panel="heatmap") is third
    assert third.images[0].get_cursor_data is not None and third.child_axes
    assert predictions().plot(fourth) is fourth
    assert len(fourth.texts) == 3
    assert len(figure.axes) == 4


def test_figures_leave_pyplot_alone() -> None:
    code = """
import sys, io, tempfile, numpy as np
import matplotlib
before = matplotlib.rcParams.copy()
from cnnviz_widgets.results import Heatmap
result = Heatmap(image=np.zeros((8, 8, 3), np.uint8), method="m", values=np.ones((8, 8)), raw=np.ones((2, 2)))
result._repr_png_()
for ending in ("png", "pdf", "svg", "jpg"):
    result.save(f"{tempfile.mkdtemp()}/x.{ending}")
assert "matplotlib.pyplot" not in sys.modules
assert "IPython" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=root, check=True)
