"""Neighbours, strongest patches and classes of an index equal a slow, obvious computation, ties included."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from cnnviz_widgets import Engine, Gallery, Index, Unit, neighbors, project_unit, top_patches, unit_classes
from cnnviz_widgets.engine import Cancelled, Job
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.results import Neighbors, Patches, Result, UnitClasses
from tests.engine.nets import Do

SIDE, COUNT, K = 16, 40, 5
CLASSES = ("ant", "bee", "cat")
CONVOLUTIONS = ("0", "3", "6")
FIELDS = {"0": (1, -1, 3), "3": (2, -3, 8), "6": (4, -7, 18)}  # stride, start, size, worked out by hand
# Sums of small whole numbers are exact in any order, so the slow way gives the very same numbers.
WHOLE_NUMBERS = Preprocessing(resize=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1), scale=1, channels="BGR")


def network(seed: int = 0) -> nn.Sequential:
    """Three convolutions whose weights are whole numbers; the last one's field is longer than the picture."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randint(-1, 2, weight.shape))
        net[3].weight[2], net[3].bias[2] = 0, 0  # a channel that is off: every place of every picture is equal
    return net


def pictures() -> tuple[NDArray[np.uint8], list[int]]:
    rng = np.random.default_rng(0)
    found = rng.integers(0, 3, (COUNT, SIDE, SIDE, 3), np.uint8)
    found[7] = found[3]
    found[20:24] = found[11]
    found[30] = 0
    return found, [int(n) for n in rng.integers(-1, 3, COUNT)]


class Slow:
    """All activations of all pictures, kept."""

    def __init__(self, net: nn.Sequential, batch: NDArray[np.uint8]) -> None:
        net = copy.deepcopy(net).eval()
        self.maps: dict[str, NDArray[Any]] = {}
        with torch.no_grad():
            x = torch.from_numpy(batch[..., ::-1].copy()).permute(0, 3, 1, 2).float()
            for name, module in net.named_children():
                x = module(x.clone())
                self.maps[name] = x.clone().double().numpy()

    def strongest(self, layer: str, channel: int, k: int) -> list[tuple[int, float, int, int]]:
        """(row, value, y, x), best first."""
        maps = self.maps[layer][:, channel]
        best = [int(np.argsort(-one.ravel(), kind="stable")[0]) for one in maps]
        values = np.array([one.ravel()[place] for one, place in zip(maps, best, strict=True)])
        rows = np.argsort(-values, kind="stable")[:k]
        return [(int(r), float(values[r]), *map(int, divmod(best[r], maps.shape[-1]))) for r in rows]

    def embedding(self, layer: str) -> NDArray[np.float64]:
        return self.maps[layer].mean((2, 3))


@pytest.fixture(scope="module")
def net() -> nn.Sequential:
    return network()


@pytest.fixture(scope="module")
def slow(net: nn.Sequential) -> Slow:
    return Slow(net, pictures()[0])


@pytest.fixture(scope="module")
def index(net: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Index:
    batch, labels = pictures()
    keys = [f"p{n}.png" for n in range(COUNT)]
    gallery = Gallery.from_arrays(batch, labels, classes=CLASSES, keys=keys)
    engine = Engine(net, transform=WHOLE_NUMBERS, categories=["x", "y", "z"])
    path = tmp_path_factory.mktemp("index") / "i"
    return Index.build(engine, gallery, path, ["6", "4"], K, shard=16, progress=False)


def cases() -> Iterator[tuple[str, int]]:
    for layer, channels in zip(CONVOLUTIONS, (4, 5, 6), strict=True):
        for channel in range(channels):
            yield layer, channel


@pytest.mark.parametrize(("layer", "channel"), list(cases()))
def test_patches_are_the_strongest_places_of_all_activations(
    index: Index, slow: Slow, layer: str, channel: int
) -> None:
    found = top_patches(index, Unit(layer, channel), K)
    stride, start, size = FIELDS[layer]
    batch, labels = pictures()
    wanted = slow.strongest(layer, channel, K)
    assert found.target == Unit(layer, channel) and found.method == "top_patches" and found.layer == layer
    assert found.rows.tolist() == [row for row, *_ in wanted]
    assert found.activations.tolist() == [value for _, value, *_ in wanted]
    assert found.positions.tolist() == [[y, x] for *_, y, x in wanted]
    assert found.labels.tolist() == [labels[row] for row, *_ in wanted]
    assert found.predictions.tolist() == index.predictions[found.rows].tolist()
    assert found.names == tuple(f"p{r}.png" if labels[r] < 0 else CLASSES[labels[r]] for r in found.rows)
    for number, (row, _, y, x) in enumerate(wanted):
        top, left = start + stride * y, start + stride * x
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, SIDE), min(top + size, SIDE)
        assert found.boxes[number].tolist() == [x0, y0, x1, y1]
        there = np.zeros((SIDE, SIDE), bool)
        there[y0:y1, x0:x1] = True
        seen = np.where(there[..., None], batch[row], 128).astype(np.uint8)
        back = project_unit(index.engine, index.picture(row), Unit(layer, channel, y, x)).values.transpose(1, 2, 0)
        if size < SIDE:
            place = (slice(top + 20, top + 20 + size), slice(left + 20, left + 20 + size))
            seen = np.pad(seen, ((20, 20), (20, 20), (0, 0)), constant_values=128)[place]
            back = np.pad(back, ((20, 20), (20, 20), (0, 0)))[place]
        assert np.array_equal(found.pictures[number], seen)
        assert np.array_equal(found.projections[number].transpose(1, 2, 0), back)


def test_the_cases_hold_ties_of_pictures_and_of_places_and_a_channel_that_is_off(slow: Slow) -> None:
    values = [[value for _, value, *_ in slow.strongest(*case, K)] for case in cases()]
    assert any(len(set(one)) < K for one in values)
    assert any((one == one.max()).sum() > 1 for maps in slow.maps["6"] for one in maps)
    assert slow.strongest("3", 2, K) == [(row, 0.0, 0, 0) for row in range(K)]


def test_patches_of_a_channel_that_is_off_have_no_projection(index: Index) -> None:
    off = top_patches(index, Unit("3", 2))
    assert not off.projections.any() and not off.activations.any()
    assert texts(off).count("| nothing") == K


def test_a_unit_s_position_is_not_looked_at(index: Index) -> None:
    assert_same(top_patches(index, Unit("3", 1, 2, 2)), top_patches(index, Unit("3", 1)))


@pytest.mark.parametrize("way", ["guided_backprop", "saliency", None])
def test_patches_are_projected_in_the_way_that_was_asked_for(index: Index, way: Any) -> None:
    unit = Unit("3", 0)
    plain, other = top_patches(index, unit, 2), top_patches(index, unit, 2, projection=way)
    assert np.array_equal(plain.pictures, other.pictures)
    if way is None:
        assert other.projections.shape == (2, 0, 8, 8)
        assert "rectified" not in other.parameters and other.citation == ""
        return
    y, x = other.positions[0]
    top, left = (max(0, -(2 * int(v) - 3)) for v in (y, x))
    whole = project_unit(index.engine, index.picture(int(other.rows[0])), Unit("3", 0, int(y), int(x)), method=way)
    crop = whole.crop()
    assert np.array_equal(other.projections[0][:, top : top + crop.shape[1], left : left + crop.shape[2]], crop)
    assert other.citation == whole.citation


def test_where_there_are_fewer_pictures_than_k_all_of_them_come(net: nn.Sequential, tmp_path: Path) -> None:
    engine = Engine(net, transform=WHOLE_NUMBERS, categories=["x", "y", "z"])
    few = Index.build(engine, Gallery.from_arrays(pictures()[0][:3]), tmp_path / "few", progress=False)
    assert len(top_patches(few, Unit("0", 1)).rows) == 3
    assert len(neighbors(few, 0).rows) == 2
    with pytest.raises(ValueError, match="no picture of this index has a label; by='prediction'"):
        unit_classes(few, Unit("0", 1))


def test_a_field_that_is_not_known_shows_the_whole_frame_and_says_so(tmp_path: Path) -> None:
    net = nn.Sequential(Do(lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real), *network())
    engine = Engine(net, transform=WHOLE_NUMBERS, categories=["x", "y", "z"])
    index = Index.build(engine, Gallery.from_arrays(pictures()[0][:4]), tmp_path / "far", k=2, progress=False)
    found = top_patches(index, Unit("1", 1), 2)
    assert engine.layers_for(index.input(0))["1"].receptive_field is None
    assert found.parameters["seen"] == "whole frame"
    assert np.array_equal(found.pictures, pictures()[0][found.rows])
    assert found.boxes.tolist() == [[0, 0, SIDE, SIDE]] * 2
    assert "is not known" in texts(found)


def test_pictures_of_several_sizes_give_patches_of_one_shape(net: nn.Sequential, tmp_path: Path) -> None:
    batch, _ = pictures()
    mixed = [batch[0], batch[1, :12], batch[2, :, :8], batch[3]]
    engine = Engine(net, transform=WHOLE_NUMBERS, categories=["x", "y", "z"])
    index = Index.build(engine, Gallery.from_arrays(mixed), tmp_path / "mixed", k=4, progress=False)
    found = top_patches(index, Unit("6", 0), 4)
    assert found.pictures.shape == (4, SIDE, SIDE, 3) and found.projections.shape == (4, 3, SIDE, SIDE)
    near = neighbors(index, 0)
    assert near.pictures.shape == (3, SIDE, SIDE, 3)
    assert (near.pictures[near.rows.tolist().index(2), :, :4] == 255).all()


# Neighbours.


def by_hand(vectors: NDArray[Any], query: NDArray[Any], metric: str) -> NDArray[np.float64]:
    vectors, query = vectors.astype(np.float64), query.astype(np.float64)
    found = []
    for one in vectors:
        if metric == "euclidean":
            found.append(np.sqrt(((one - query) ** 2).sum()))
        else:
            scale = np.sqrt((one**2).sum()) * np.sqrt((query**2).sum())
            found.append(max(0.0, 1 - (one * query).sum() / scale) if scale else 1.0)
    return np.array(found)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("space", ["6", "4", "pixels"])
def test_neighbours_of_a_row_are_those_of_all_distances_without_itself(
    index: Index, slow: Slow, space: Any, metric: Any
) -> None:
    batch, _ = pictures()
    vectors = batch.reshape(COUNT, -1) if space == "pixels" else slow.embedding(space)
    where: dict[str, Any] = {"space": "pixels"} if space == "pixels" else {"layer": space}
    for row in (0, 3, 11, 30, COUNT - 1):
        distances = by_hand(vectors, vectors[row], metric)
        order = [int(r) for r in np.argsort(distances, kind="stable") if r != row]
        found = neighbors(index, row, 7, metric, **where)
        assert found.rows.tolist() == order[:7]
        assert np.array_equal(found.distances, distances[order[:7]].astype(np.float32))
        assert np.array_equal(found.image, batch[row])
        assert found.keys == tuple(f"p{r}.png" for r in found.rows)
        assert found.layer == (None if space == "pixels" else space)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_of_a_picture_from_elsewhere(index: Index, net: nn.Sequential, slow: Slow, metric: Any) -> None:
    batch, _ = pictures()
    other = np.random.default_rng(5).integers(0, 3, (SIDE, SIDE, 3), np.uint8)
    asked = Slow(net, other[None])
    for image in (other, batch[11]):
        query = Slow(net, image[None]).embedding("6")[0] if image is not other else asked.embedding("6")[0]
        order = np.argsort(by_hand(slow.embedding("6"), query, metric), kind="stable")[:8]
        assert neighbors(index, image, metric=metric).rows.tolist() == order.tolist()
        order = np.argsort(by_hand(batch.reshape(COUNT, -1), image.ravel(), metric), kind="stable")[:8]
        assert neighbors(index, image, metric=metric, space="pixels").rows.tolist() == order.tolist()
    same = neighbors(index, batch[11], 6, metric)
    assert same.rows.tolist()[:5] == [11, 20, 21, 22, 23] and same.distances[0] < 1e-6
    assert same.parameters["row"] is None


def test_neighbours_are_called_by_their_label_or_key_and_seen_as_the_index_keeps_them(index: Index) -> None:
    found = neighbors(index, 3, 12)
    for name, row in zip(found.names, found.rows, strict=True):
        about = index.about(int(row))
        assert name == (about.label_name or f"p{row}.png")
    assert found.pictures.shape == (12, SIDE, SIDE, 3)
    assert found.target_name == (index.about(3).label_name or "p3.png")


def test_without_its_gallery_an_index_still_finds_neighbours(index: Index) -> None:
    alone = Index.open(index.path, index.engine)
    assert alone.gallery is None
    assert neighbors(alone, 3).rows.tolist() == neighbors(index, 3).rows.tolist()
    with pytest.raises(ValueError, match="hand them over"):
        top_patches(alone, Unit("0", 1))


# Classes.


@pytest.mark.parametrize("by", ["label", "prediction"])
def test_classes_are_ranked_by_the_mean_over_their_pictures(index: Index, slow: Slow, by: Any) -> None:
    numbers = np.array(pictures()[1]) if by == "label" else slow.maps["10"].argmax(1)
    names = CLASSES if by == "label" else ("x", "y", "z")
    for channel in range(6):
        found = unit_classes(index, Unit("6", channel), by)
        values = slow.embedding("6")[:, channel]
        wanted = sorted((-values[numbers == n].mean(), n) for n in set(numbers.tolist()) - {-1})
        assert found.classes.tolist() == [n for _, n in wanted]
        assert found.names == tuple(names[n] for _, n in wanted)
        assert found.values == pytest.approx([-mean for mean, _ in wanted], rel=1e-6)
        assert found.spreads == pytest.approx([values[numbers == n].std() for _, n in wanted], rel=1e-5, abs=1e-6)
        assert found.counts.tolist() == [(numbers == n).sum() for _, n in wanted]
        assert found.parameters["over"] == "pictures"
        assert found.parameters["without"] == (numbers < 0).sum()


def test_where_there_is_no_embedding_the_strongest_patches_are_counted(index: Index, slow: Slow) -> None:
    labels = pictures()[1]
    for channel in range(4):
        rows = [row for row, *_ in slow.strongest("0", channel, K)]
        found = unit_classes(index, Unit("0", channel))
        counted = {n: sum(labels[r] == n for r in rows) for n in {labels[r] for r in rows} - {-1}}
        assert found.classes.tolist() == sorted(counted, key=lambda n: (-counted[n], n))
        assert found.values.tolist() == [counted[n] for n in found.classes.tolist()] == found.counts.tolist()
        assert found.parameters["over"] == "strongest patches"
        assert found.parameters["without"] == sum(labels[r] < 0 for r in rows)


# What goes wrong.


def test_what_cannot_be_is_an_error_that_names_what_is_near(index: Index) -> None:
    def error(kind: type[Exception], call: Any, *args: Any, **options: Any) -> str:
        with pytest.raises(kind) as raised:
            call(*args, **options)
        return str(raised.value)

    assert "the first argument is Engine; wanted an Index" in error(TypeError, neighbors, index.engine, 3)
    assert "the first argument is str; wanted an Index" in error(TypeError, top_patches, "photos", Unit("0", 1))
    assert "unit is '0'; wanted a Unit" in error(TypeError, top_patches, index, "0")
    assert "unit is '0'; wanted a Unit" in error(TypeError, unit_classes, index, "0")
    assert "no strongest patches of layer '1'" in error(KeyError, top_patches, index, Unit("1", 0))
    assert "no channel 4 in layer '0'; it has 0 to 3" in error(IndexError, top_patches, index, Unit("0", 4))
    assert "no channel 6 in layer '6'; it has 0 to 5" in error(IndexError, unit_classes, index, Unit("6", 6))
    assert "embeddings of '6', '4'" in error(KeyError, unit_classes, index, Unit("1", 0))
    assert "k=6; this index keeps the 5 strongest" in error(ValueError, top_patches, index, Unit("0", 1), 6)
    assert "k=0; wanted" in error(ValueError, top_patches, index, Unit("0", 1), 0)
    assert "projection='deconv'" in error(ValueError, top_patches, index, Unit("0", 1), projection="deconv")
    assert "k=0; wanted" in error(ValueError, neighbors, index, 3, 0)
    assert "they go from 0 to 39" in error(IndexError, neighbors, index, 40)
    assert "they go from 0 to 39" in error(IndexError, neighbors, index, -1)
    assert "did you mean 'pixels'?" in error(ValueError, neighbors, index, 3, space="pixel")
    assert "pixels are of no layer" in error(ValueError, neighbors, index, 3, space="pixels", layer="6")
    assert "no embedding of layer '0'" in error(KeyError, neighbors, index, 3, layer="0")
    assert "did you mean 'cosine'?" in error(ValueError, neighbors, index, 3, metric="cosin")
    assert "did you mean 'label'?" in error(ValueError, unit_classes, index, Unit("6", 1), "lable")


def test_patches_can_be_stopped_between_two_of_them(index: Index) -> None:
    done: list[int] = []

    def told(job: Job[Any]) -> None:
        done.append(job.done)
        if job.done == 2:
            job.cancel()

    job = index.engine.worker.submit(lambda: top_patches(index, Unit("0", 0), K), on_progress=told)
    with pytest.raises(Cancelled):
        job.wait(30)
    assert max(done) == 2


# The records.


def texts(result: Result) -> str:
    from matplotlib.text import Text

    figure: Any = result.plot()
    return re.sub(r"\s+", " ", " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_text()))


def assert_same(a: Result, b: Result) -> None:
    assert type(a) is type(b)
    for field in fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y, field.name


def test_results_are_saved_and_loaded_whole(index: Index, tmp_path: Path) -> None:
    made = (neighbors(index, 3), top_patches(index, Unit("3", 1)), unit_classes(index, Unit("6", 1)))
    for result, kind in zip(made, (Neighbors, Patches, UnitClasses), strict=True):
        assert_same(kind.load(result.save(tmp_path / "r.npz")), result)
        assert repr(result).startswith(f"{kind.__name__}(")
    assert "by cosine in 6" in repr(made[0]) and "5 of 8x8" in repr(made[1])
