"""What the parts of an `EmbeddingScatter` say and show about the pictures of an index: colours, words, marks."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnviz_widgets.results import Neighbors
from cnnviz_widgets.widgets.picture_wall import PictureWall
from cnnviz_widgets.widgets.point_map import PointMap

if TYPE_CHECKING:
    from cnnviz_widgets.index import Index

COLOURS = {
    "label": "Label",
    "prediction": "Prediction",
    "correct": "Right or wrong",
    "probability": "Probability",
}
RIGHT, WRONG = (0x5B, 0x8D, 0xB8), (0xD8, 0x43, 0x15)  # told apart by all eyes, on white and on black
NAMED = 300  # pictures on a wall that are called by their keys, each of which is looked up
THUMBNAIL = 96


def colours(index: Index) -> dict[str, str]:
    """By what the pictures of this index can be coloured: a picture without a label is neither right nor wrong."""
    able = {"label": bool((index.labels >= 0).any()), "correct": bool((index.correct >= 0).any())}
    return {name: words for name, words in COLOURS.items() if able.get(name, True)}


def paint(points: PointMap, index: Index, by: str) -> None:
    """Colour the points, with a ring round those that are misclassified unless their colour says so already."""
    wrong = index.correct == 0
    points.show_highlight(wrong if wrong.any() and by != "correct" else None, "misclassified")
    if by == "probability":
        points.show_values(index.probabilities, "probability", signed=False)
        points.scale = [0.0, 1.0]
        return
    points.set_trait("scale", None)
    if by == "label":
        points.show_groups(index.labels, _class_names(index), title="label")
    elif by == "prediction":
        points.show_groups(*_predictions(index), title="prediction")
    else:
        groups = np.where(index.correct < 0, -1, 1 - index.correct)
        points.show_groups(groups, ["right", "wrong"], title="prediction", colors=np.array([RIGHT, WRONG], np.uint8))


def name_of(index: Index, row: int) -> str:
    """What a picture is called on the map: its label, or its key where it has none."""
    about = index.about(row)
    return about.label_name or about.key


def about(index: Index, row: int) -> dict[str, Any]:
    """What is said under a picture's name."""
    one = index.about(row)
    wrong = " (wrong)" if index.correct[row] == 0 else ""
    said = {"prediction": f"{one.prediction_name}, {one.probability:.0%}{wrong}"} if one.prediction >= 0 else {}
    return {**said, "picture": one.key} if one.label_name else said


def wrong_marks(index: Index, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
    """The badges of pictures: a cross on those that the network takes for something else."""
    wrong = index.correct[np.asarray(rows, np.int64)] == 0
    return ["wrong" if one else "" for one in wrong]


def show_neighbors(wall: PictureWall, index: Index, found: Neighbors, where: str) -> None:
    """Hang up neighbours, nearest first, each with its name and distance."""
    captions = [f"{name}\n{distance:.3g}" for name, distance in zip(found.names, found.distances, strict=True)]
    title = f"Nearest by {where}"
    if len(found.rows) > 1 and (index.labels[found.rows] >= 0).any():
        name, many = Counter(found.names).most_common(1)[0]
        title += f": {many} of {len(found.rows)} are {name}"
    wall.show(found.rows, captions=captions, marks=wrong_marks(index, found.rows), title=title, key=title)


def show_selection(wall: PictureWall, index: Index, rows: tuple[int, ...]) -> None:
    """Hang up the selected pictures, with what the network says where it is wrong."""
    wrong = sum(index.correct[list(rows)] == 0)
    title = f"Selected: {wrong:,} of them misclassified" if wrong else "Selected"
    wall.show(rows, captions=_captions(index, rows), marks=wrong_marks(index, rows), title=title, key=str(hash(rows)))


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """What the network saw as a small encoded picture."""
    picture = Image.fromarray(frame)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    encoded = io.BytesIO()
    picture.save(encoded, "PNG" if max(picture.size) < THUMBNAIL else "JPEG", quality=90)
    return encoded.getvalue()


def _captions(index: Index, rows: tuple[int, ...]) -> list[str]:
    """A label and, where the network says something else, what it says; of few without a label the key."""
    names, categories = _class_names(index), index.categories
    captions = []
    for row in rows:
        label, said = int(index.labels[row]), int(index.predictions[row])
        guess = categories[said] if 0 <= said < len(categories) else ""
        if label >= 0:
            captions.append(names[label] + (f"\nsays {guess}" if index.correct[row] == 0 else ""))
        else:
            captions.append(f"{index.about(row).key}\n{guess}" if len(rows) <= NAMED else guess)
    return captions


def _class_names(index: Index) -> list[str]:
    """A name for each label number, also for those that the gallery has no name for."""
    known = list(index.classes)
    return known + [str(number) for number in range(len(known), int(index.labels.max(initial=-1)) + 1)]


def _predictions(index: Index) -> tuple[NDArray[np.int64], list[str]]:
    """A group for each class that is predicted: numbered as the labels where these have the same names, so that a class
    keeps its colour; else the most frequent first, for a network may know a thousand.
    """
    found, numbers, counts = np.unique(index.predictions, return_inverse=True, return_counts=True)
    names = [index.categories[one] if 0 <= one < len(index.categories) else str(one) for one in found]
    known = {name: number for number, name in enumerate(index.classes)}
    if all(one < 0 or name in known for one, name in zip(found, names, strict=True)):
        groups, listed = [known.get(name, -1) for name in names], list(index.classes)
    else:
        order = [int(one) for one in np.argsort(-counts, kind="stable") if found[one] >= 0]
        listed = [names[one] for one in order]
        place = {one: number for number, one in enumerate(order)}
        groups = [place.get(one, -1) for one in range(len(found))]
    return np.array(groups, np.int64)[numbers.reshape(-1)], listed
