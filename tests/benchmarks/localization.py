"""Does a map lie on the object? Boxes from maps against boxes drawn by people, beside two guesses that saw no network.

python tests/benchmarks/localization.py FOLDER [--model squeezenet1_1] [--limit 100]

FOLDER holds annotations.json, a list of {"file", "label", "boxes": [[x0, y0, x1, y1], ...]} with boxes in pixels, and
images/ with the files. The network sees every picture whole, at the size it has there. README.md says what the columns
mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cnnviz_widgets import Engine, cam, grad_cam, grad_cam_plus_plus, layer_cam, saliency
from cnnviz_widgets.data import as_picture
from cnnviz_widgets.models import load

Map: TypeAlias = NDArray[np.floating]  # (H, W)
Method: TypeAlias = Callable[[Engine, Image.Image, int], Map]

THRESHOLD = 0.2  # of the map's maximum: Zhou et al. 2016, section 3.1
OVERLAP = 0.5  # of intersection and union, from which on two boxes are the same: ILSVRC
BLUR = 8.0  # pixels, standard deviation
BLOB = 0.25  # of the picture's side, standard deviation
BLOBS = np.arange(0.1, 0.32, 0.01)  # likewise; a wider one's box is the whole picture


def main() -> None:
    """Print one line for each method: hits with the true class, top-1, top-5 and the pointing game, in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="squeezenet1_1")
    parser.add_argument("--limit", type=int, help="only the first so many pictures")
    options = parser.parse_args()
    pictures = json.loads((options.folder / "annotations.json").read_text())[: options.limit]
    if not pictures:
        parser.error(f"{options.folder}/annotations.json names no picture")
    whole = dataclasses.replace(load(options.model).preprocessing, resize=None, crop=None)
    engine = Engine(options.model, transform=whole)

    methods = {**METHODS, **GUESSES}
    hits = {name: np.zeros((len(pictures), 2), bool) for name in methods}  # box, point
    ranks = np.zeros(len(pictures), int)
    for number, entry in enumerate(pictures):
        picture = as_picture(options.folder / "images" / entry["file"])
        boxes = np.asarray(entry["boxes"], float)
        scores = engine.scores(picture)[0]
        ranks[number] = (scores > scores[entry["label"]]).sum()
        for name, method in methods.items():
            values = method(engine, picture, entry["label"])
            hits[name][number] = overlap(box_of(values), boxes).max() >= OVERLAP, points_into(values, boxes)

    best = max((f"(blob {size:.2f})" for size in BLOBS), key=lambda name: hits[name][:, 0].sum())
    shown = {name: hits[name] for name in (*METHODS, "(centred blob)", best, "(whole picture)")}
    right = [ranks < k for k in (1, 5)]
    top1, top5 = (f"{100 * part.mean():.1f} %" for part in right)
    print(f"{options.model}, {len(pictures)} pictures; classifies {top1} of them right, {top5} among its first five")
    print(f"{'percent':<22} {'true class':>13} {'top-1':>13} {'top-5':>13} {'pointing':>13}")
    for name, (box, point) in ((name, both.T) for name, both in shown.items()):
        cells = (share(part) for part in (box, box & right[0], box & right[1], point))
        print(f"{name:<22} " + " ".join(f"{cell:>13}" for cell in cells))


def blurred_saliency(engine: Engine, picture: Image.Image, target: int) -> Map:
    """The gradient's magnitude, smeared out until it has a body."""
    return ndimage.gaussian_filter(raw_saliency(engine, picture, target).astype(float), BLUR)


def raw_saliency(engine: Engine, picture: Image.Image, target: int) -> Map:
    """The gradient's magnitude, pixel by pixel."""
    return saliency(engine, picture, target).heatmap().values


def centred_blob(_engine: Engine, picture: Image.Image, _target: int, size: float = BLOB) -> Map:
    """A Gaussian in the middle: a guess that saw neither picture nor network."""
    y, x = (np.linspace(-0.5, 0.5, side) / size for side in (picture.height, picture.width))
    return np.exp(-(y[:, None] ** 2 + x**2) / 2)


def whole_picture(_engine: Engine, picture: Image.Image, _target: int) -> Map:
    """Everything: the object is somewhere in it."""
    return np.ones((picture.height, picture.width))


METHODS: dict[str, Method] = {
    "cam": lambda engine, picture, target: cam(engine, picture, target).values,
    "grad_cam": lambda engine, picture, target: grad_cam(engine, picture, target).values,
    "grad_cam_plus_plus": lambda engine, picture, target: grad_cam_plus_plus(engine, picture, target).values,
    "layer_cam": lambda engine, picture, target: layer_cam(engine, picture, target).values,
    "saliency, blurred 8 px": blurred_saliency,
    "saliency": raw_saliency,
}
GUESSES: dict[str, Method] = {
    "(centred blob)": centred_blob,
    "(whole picture)": whole_picture,
    **{f"(blob {size:.2f})": partial(centred_blob, size=float(size)) for size in BLOBS},
}


def box_of(values: Map) -> NDArray[np.floating]:
    """x0, y0, x1, y1 around the largest connected part above the threshold; empty where nothing is positive."""
    parts, count = ndimage.label(values > THRESHOLD * max(values.max(), 0))
    if not count:
        return np.zeros(4)
    largest = 1 + np.bincount(parts.ravel())[1:].argmax()
    rows, columns = np.nonzero(parts == largest)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def overlap(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """Intersection over union of one box with each of several (n, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = sides.clip(min=0).prod(1)
    return common / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - common)


def points_into(values: Map, boxes: NDArray[np.floating]) -> bool:
    """Does the strongest pixel lie in a box (Zhang et al. 2016, without their margin of 15 pixels)?"""
    rows, columns = np.nonzero(values == values.max())
    middle = np.array([columns.mean(), rows.mean()]) + 0.5  # of several, for the map that is the same everywhere
    return bool(((boxes[:, :2] <= middle) & (middle <= boxes[:, 2:])).all(1).any())


def share(hits: NDArray[np.bool_]) -> str:
    """Percent and its binomial standard error."""
    p = hits.mean()
    return f"{100 * p:.1f} ± {100 * np.sqrt(p * (1 - p) / len(hits)):.1f}"


if __name__ == "__main__":
    main()
