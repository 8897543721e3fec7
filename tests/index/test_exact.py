"""What an index holds is what a slow, obvious computation gives: all activations kept, then sorted."""

from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from cnnviz_widgets import Engine, Gallery, Index, digits, photos
from cnnviz_widgets.models import Preprocessing
from cnnviz_widgets.models.digit_net import DIGITS, digit_net

SHARD = 16


class Rough(nn.Module):
    """A small network with ties everywhere: weights of whole numbers, a dead channel, in-place rectifiers, a branch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.left, self.right = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 5, 3, stride=2, padding=1)
        self.shared = nn.Conv2d(5, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last = nn.Linear(9, 10)
        for parameter in self.parameters():
            parameter.data = (2 * parameter.data / parameter.data.abs().max()).round()
        self.first.weight.data[2] = 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        right = self.shared(self.relu(self.shared(self.right(x))))
        both = [nn.functional.relu_(self.left(x)).mean((2, 3)), right.amax((2, 3))]
        return self.last(torch.cat(both, 1))


def rough() -> Engine:
    levels = Preprocessing(resize=None, crop=16, mean=(0.0,), std=(1.0,), scale=64.0, channels="L")
    return Engine(Rough(), transform=levels, categories=[str(n) for n in range(10)])


def untrained_digits() -> Engine:
    return Engine(digit_net(), transform=DIGITS, categories=[str(n) for n in range(10)], dtype=torch.float64)


# In double precision what is computed in another order still is the same in single precision, which is what is kept.
CASES = {
    "digits, whole weights": (rough, lambda: digits(60), None),
    "digits": (untrained_digits, lambda: digits(60), None),
    "photos": (
        lambda: Engine("squeezenet1_1", dtype=torch.float64),
        lambda: photos(2)[:24],
        ["features.12", "features.4"],
    ),
}


@pytest.fixture(scope="module", params=CASES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Index, Gallery]:
    engine, gallery, layers = CASES[request.param]
    pictures = gallery()
    folder = tmp_path_factory.mktemp("index") / "index"
    return Index.build(engine(), pictures, folder, layers, shard=SHARD, progress=False), pictures


@pytest.fixture(scope="module")
def all_maps(built: tuple[Index, Gallery]) -> dict[str, NDArray[np.float32]]:
    """What every convolution and every embedded layer puts out for all pictures."""
    index, gallery = built
    names = [*index.units, *(name for name in index.layers if not name.endswith(":input"))]
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    for batch in _batches(index, len(gallery)):
        x = torch.cat([index.engine.prepare(gallery[n]) for n in batch])
        for name, maps in index.engine.outputs(x, names).items():
            parts[name].append(maps)
    return {name: torch.cat(part).float().numpy() for name, part in parts.items()}


def _batches(index: Index, count: int) -> list[range]:
    """As the index does it, since the last bits of a map may depend on what it is computed with."""
    size = index._settings.batch
    shards = [range(first, min(first + SHARD, count)) for first in range(0, count, SHARD)]
    return [range(n, min(n + size, shard.stop)) for shard in shards for n in range(shard.start, shard.stop, size)]


def test_the_strongest_of_every_channel_are_those_of_a_sort_of_all_activations_ties_included(
    built: tuple[Index, Gallery], all_maps: dict[str, NDArray[np.float32]]
):
    index, _ = built
    ties = 0
    for layer, channels in index.units.items():
        maps = all_maps[layer]
        flat = maps.reshape(*maps.shape[:2], -1)
        peaks, places = flat.max(2), flat.argmax(2)  # numpy's argmax is the first of equal ones
        found = index.strongest(layer)
        assert found.values.shape == (channels, index.k)
        for channel in range(channels):
            order = np.argsort(-peaks[:, channel], kind="stable")[: index.k]
            np.testing.assert_array_equal(found.rows[channel], order, err_msg=f"{layer} {channel}")
            np.testing.assert_array_equal(found.values[channel], peaks[order, channel])
            y, x = np.divmod(places[order, channel], maps.shape[3])
            np.testing.assert_array_equal(found.ys[channel], y)
            np.testing.assert_array_equal(found.xs[channel], x)
            ties += len(np.unique(peaks[order, channel])) < index.k
    if index.engine.name == "Rough":
        assert ties >= 5  # or this would not have tried them


def test_embeddings_are_the_means_of_the_maps(built: tuple[Index, Gallery], all_maps: dict[str, NDArray[np.float32]]):
    index, _ = built
    for layer in index.layers:
        if layer in all_maps:
            maps = all_maps[layer]
            wanted = maps.mean((2, 3), dtype=np.float64) if maps.ndim == 4 else maps
            np.testing.assert_allclose(index.embedding(layer), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())
            np.testing.assert_allclose(
                index.norms(layer), np.linalg.norm(index.embedding(layer).astype(np.float64), axis=1), rtol=1e-6
            )


def test_the_default_embedding_is_what_the_classifier_reads(built: tuple[Index, Gallery]):
    index, gallery = built
    heads = {"Rough": "last", "squeezenet1_1": "classifier.1"}
    head = heads.get(index.engine.name) or [name for name, _ in index.engine.model.named_children()][-1]
    x = torch.cat([index.engine.prepare(gallery[n]) for n in range(4)])
    read = index.engine.run(x, [], [head]).inputs[head]
    wanted = (read.mean((2, 3)) if read.ndim == 4 else read).numpy()
    np.testing.assert_allclose(index.embedding()[:4], wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())


def test_predictions_labels_and_thumbnails_are_those_of_the_pictures(built: tuple[Index, Gallery]):
    index, gallery = built
    for row in (0, 7, len(index) - 1):
        said = index.engine.predict(gallery[row], top=1)
        about = index.about(row)
        assert (about.prediction, about.prediction_name) == (said.indices[0], said.names[0])
        assert about.probability == pytest.approx(float(said.probabilities[0]), rel=1e-4)
        assert about.label == gallery.read(row)[1] and about.label_name == gallery.classes[about.label]
        assert index.find(about.key) == row
        assert gallery.key(row) == about.key
        small = Image.open(BytesIO(index.thumbnail(row)))
        seen = Image.fromarray(said.image).resize(small.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(seen, int)).mean() < 6


def test_a_picture_that_is_given_again_has_the_embedding_that_the_index_has(built: tuple[Index, Gallery]):
    index, gallery = built
    for layer in index.layers:
        given = index.embed([gallery[3], gallery[9]], layer)
        kept = index.embedding(layer)[[3, 9]]
        np.testing.assert_allclose(given, kept, rtol=1e-4, atol=1e-5 * np.abs(kept).max())
    np.testing.assert_array_equal(index.reduced(gallery[3]), index.pixels[3])


def test_a_picture_is_seen_as_engine_prepare_sees_it(built: tuple[Index, Gallery]):
    index, gallery = built
    preprocessing = index.engine.preprocessing
    levels = [preprocessing.levels(preprocessing.frame(gallery[n])) for n in range(3)]
    assert torch.equal(index.engine.assemble(levels), torch.cat([index.engine.prepare(gallery[n]) for n in range(3)]))
