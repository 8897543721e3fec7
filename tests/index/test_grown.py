"""An index of part of a gallery grows into one of more of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cnnviz_widgets import Gallery, Index, neighbors, photos
from cnnviz_widgets.index import IndexRefused
from tests.index.material import engine_of, levels, network, pictures


def test_with_more_of_the_same_gallery_the_rows_that_were_there_stay_and_others_come_behind(tmp_path: Path):
    engine = engine_of()
    small = photos(1, names=["cat", "coffee"], size=32)
    first = Index.build(engine, small, tmp_path / "index", progress=False)
    vectors = np.array(first.embedding())
    more = photos(3, names=["cat", "coffee"], size=32)
    second = Index.build(engine, more, tmp_path / "index", progress=False)
    assert (len(first), len(second)) == (2, 6)
    np.testing.assert_array_equal(second.embedding()[:2], vectors)
    opened = Index.open(tmp_path / "index", engine)
    assert opened.gallery is not None and len(opened.gallery) == 6
    assert {opened.about(row).label_name for row in range(6)} == {"cat", "coffee"}


def test_pictures_of_another_origin_are_refused_and_both_are_named(tmp_path: Path):
    engine = engine_of()
    Index.build(engine, photos(1, names=["cat"], size=32), tmp_path / "index", progress=False)
    with pytest.raises(IndexRefused, match=r"kind 'photos'.*of pictures in memory"):
        Index.build(engine, Gallery.from_arrays(levels(3)), tmp_path / "index", progress=False)


def test_a_network_that_was_trained_on_is_told_from_the_one_that_the_index_knows(tmp_path: Path):
    net = network()
    engine = engine_of(net)
    index = Index.build(engine, pictures(12), tmp_path / "index", progress=False)
    neighbors(index, 0)
    with torch.no_grad():
        net[1].weight.mul_(1.5)
    with pytest.raises(IndexRefused, match="trained further"):
        neighbors(index, 0)
