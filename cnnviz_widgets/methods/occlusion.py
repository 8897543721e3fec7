"""What the network says when a part of the picture is covered: exact, one pass of the patch for all that is asked."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cnnviz_widgets.data import ImageLike
from cnnviz_widgets.engine import Engine, Objective, Target, checkpoint
from cnnviz_widgets.engine.incremental import Want
from cnnviz_widgets.methods.backprop import ZEILER
from cnnviz_widgets.methods.common import method, whole_number
from cnnviz_widgets.methods.occluders import Fill, Occluder, Shape
from cnnviz_widgets.results import OcclusionMap, Unit

Output: TypeAlias = Literal["score", "probability"] | Unit
Targets: TypeAlias = list[Target] | tuple[Target, ...]


@overload
def occlusion(
    engine: Engine,
    image: ImageLike,
    target: Target | None = None,
    patch: int = 32,
    stride: int = 8,
    fill: Fill = "mean",
    *,
    output: Output = "score",
    shape: Shape = "square",
    most_probable: bool = False,
    memory: int | None = None,
) -> OcclusionMap: ...
@overload
def occlusion(
    engine: Engine,
    image: ImageLike,
    target: Targets,
    patch: int = 32,
    stride: int = 8,
    fill: Fill = "mean",
    *,
    output: Output = "score",
    shape: Shape = "square",
    most_probable: bool = False,
    memory: int | None = None,
) -> list[OcclusionMap]: ...
@method
def occlusion(
    engine: Engine,
    image: ImageLike,
    target: Target | None | Targets = None,
    patch: int = 32,
    stride: int = 8,
    fill: Fill = "mean",
    *,
    output: Output = "score",
    shape: Shape = "square",
    most_probable: bool = False,
    memory: int | None = None,
) -> OcclusionMap | list[OcclusionMap]:
    """How the score falls when a patch covers each part of the picture: what the network really looks at.

    Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2013, section 4.2 and figure 7. The network
    runs for every place of the patch and the values are exact; what the patch cannot change is not computed again.

    The patch starts at the upper left corner and moves by `stride`, until all is covered; the last one of a row or
    column is cut off at the border (so has captum's `Occlusion`, and `.heatmap()` is its averaged map). A patch larger
    than the picture has one place. A stride larger than the patch leaves pixels that are never covered.

    Args:
        engine, image: the network and the picture.
        target: class index, class name or `Unit`, by default the most probable class; or a list of them: all classes
            are read off one sweep, each unit takes one. The target of a unit without y and x is the total response of
            its feature map, the sum over its positions (figure 7b); elsewhere in this package it is the strongest
            position.
        patch: side of the square or diameter of the circle, in pixels of the network's input.
        stride: step in pixels.
        fill: what stands under the patch: ``"mean"``, the mean colour of the picture; ``"grey"``; ``"blur"``, the
            picture out of focus (a Gaussian of a 20th of the short side, whatever the patch); ``"noise"``, the same
            random pixels every time; or a colour: ``"red"``, ``"#808080"``, ``(128, 128, 128)``.
        output: ``"score"`` (logit), ``"probability"``, or a `Unit`, which is then the target.
        shape: ``"square"``, ``"circle"``, or (height, width), which says all and leaves `patch` unused.
        most_probable: look also which class is the most probable at each place (figure 7e). With ``"probability"``
            that comes by itself; otherwise it needs all classes' scores instead of the target's alone.
        memory: bytes that windows and activations may take.

    Returns:
        OcclusionMap: scores (ny, nx), base (the score without a patch), tops, lefts; a list of them for several
        targets.

    Raises:
        KeyError, IndexError: no such class, layer or channel; near names are suggested.
        ValueError: a patch, stride, fill, shape or output that cannot be; probabilities of a unit.

    Example:
        >>> occlusion(engine, samples["cat"], "tabby", patch=48, stride=16)
    """
    *_, maps = occlusion_rows(
        engine, image, target, patch, stride, fill, output=output, shape=shape, most_probable=most_probable,
        memory=memory,
    )  # fmt: skip
    return maps


@method
def occlusion_rows(
    engine: Engine,
    image: ImageLike,
    target: Target | None | Targets = None,
    patch: int = 32,
    stride: int = 8,
    fill: Fill = "mean",
    *,
    output: Output = "score",
    shape: Shape = "square",
    most_probable: bool = False,
    memory: int | None = None,
) -> Iterator[OcclusionMap | list[OcclusionMap]]:
    """`occlusion` while it grows: the map (or maps) after each finished row, NaN where it is not computed yet.

    Whoever iterates keeps what there is when a job is stopped. What cannot be is an error at once, before the first
    row. Args and raises: as `occlusion`.

    Example:
        >>> for half_done in occlusion_rows(engine, samples["cat"]): ...
    """
    targets = _targets(target, output)
    if memory is not None:
        memory = whole_number("memory", memory, 1)
    occluder = Occluder.of(engine, image, patch, fill, shape)
    engine.incremental.base(occluder.x)  # first, for the pass that it makes serves all that follows
    question = _Question(
        occluder,
        *occluder.grid(stride),
        [engine.objective(occluder.x, one) for one in targets],
        probability=output == "probability",
        most_probable=most_probable or output == "probability",
        categories=engine.categories,
        parameters={
            "patch": int(patch) if isinstance(shape, str) else None,
            "stride": int(stride),
            "fill": fill if isinstance(fill, str) else [int(level) for level in fill],
            "shape": shape,
        },
    )
    grown = _grow(engine, engine.state, question, memory)
    return grown if isinstance(target, (list, tuple)) else (maps[0] for maps in grown)


@dataclass(frozen=True)
class _Question:
    """What is asked of a sweep, and how its answers become maps."""

    occluder: Occluder
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    objectives: list[Objective]
    _: KW_ONLY
    probability: bool
    most_probable: bool
    categories: tuple[str, ...]
    parameters: dict[str, object]

    @property
    def wants(self) -> list[Want]:
        """One sweep for all classes, one for each unit."""
        targets = dict.fromkeys(one.target for one in self.objectives)
        classes = tuple(one for one in targets if not isinstance(one, Unit))
        units = [one for one in targets if isinstance(one, Unit)]
        return [*([None] if self.most_probable else [classes] if classes else []), *units]

    def read(self, answers: dict[Want, Tensor], objective: Objective) -> NDArray[np.float64]:
        """(n,) the objective's values in the answers (n, k) to `wants`."""
        target = objective.target
        if isinstance(target, Unit):
            return answers[target][:, 0].double().numpy()
        if None in answers:
            scores = answers[None].double()
            return (scores.softmax(1) if self.probability else scores)[:, target].numpy()
        (classes,) = (want for want in answers if isinstance(want, tuple))
        return answers[classes][:, classes.index(target)].double().numpy()

    def maps(
        self, base: list[float], scores: NDArray[np.float64], classes: NDArray[np.int64] | None
    ) -> list[OcclusionMap]:
        """The records of scores (targets, ny, nx), as far as they are computed."""
        names = {} if classes is None else {n: self.categories[n] for n in np.unique(classes).tolist() if n >= 0}
        return [
            OcclusionMap(
                image=self.occluder.picture,
                target=objective.target,
                target_name=objective.name,
                layer=objective.target.layer if isinstance(objective.target, Unit) else None,
                method="occlusion",
                parameters={**self.parameters, "output": self._output(objective)},
                citation=ZEILER,
                scores=scores[number],
                tops=np.array(self.tops),
                lefts=np.array(self.lefts),
                size=self.occluder.size,
                base=base[number],
                fill=self.occluder.fill_picture,
                mask=self.occluder.mask,
                classes=classes,
                class_names=names,
            )
            for number, objective in enumerate(self.objectives)
        ]

    def _output(self, objective: Objective) -> str:
        if isinstance(objective.target, Unit):
            return "activity"
        return "probability" if self.probability else "score"


def _grow(engine: Engine, state: Hashable, question: _Question, memory: int | None) -> Iterator[list[OcclusionMap]]:
    wants, objectives = question.wants, question.objectives
    sweep = question.occluder.sweep(question.tops, question.lefts)
    scores = np.full((len(objectives), len(question.tops), len(question.lefts)), np.nan)
    classes = np.full(scores.shape[1:], -1) if question.most_probable else None
    with engine.still(state):  # never around a yield: what the caller does meanwhile is not ours to hold
        plain = {want: engine.incremental.base(sweep.x, want)[None] for want in wants}
        base = [float(question.read(plain, objective)[0]) for objective in objectives]
        rows = [engine.incremental.rows(sweep, want, memory=memory) for want in wants]
    for number in range(len(question.tops)):
        checkpoint()
        with engine.still(state):
            answers = dict(zip(wants, map(next, rows), strict=True))
        for place, objective in enumerate(objectives):
            scores[place, number] = question.read(answers, objective)
        if classes is not None:
            classes[number] = _most_probable(answers[None])
        yield question.maps(base, scores, classes)
    with engine.still(state):
        for row in rows:
            next(row, None)  # it ends here, and reports that it has


def _most_probable(scores: Tensor) -> NDArray[np.int64]:
    """(n,) the number of the highest of scores (n, classes); -1 where they cannot be ranked."""
    best = scores.argmax(1)
    return best.where(~scores.isnan().any(1), -1).numpy()


def _targets(target: Target | None | Targets, output: Output) -> Sequence[Target | None]:
    """What is explained, one by one, once it is clear that the output can be given for each."""
    if isinstance(output, Unit):
        if target is not None and target != output:
            raise ValueError(f"output is the unit {output}, which is then the target; leave target={target!r} out")
        return [output]
    if output not in _OUTPUTS:
        near = difflib.get_close_matches(str(output), _OUTPUTS, n=1)
        raise ValueError(f"no output {output!r}; " + (f"did you mean {near[0]!r}?" if near else _WANTED))
    targets = target if isinstance(target, (list, tuple)) else [target]
    if not targets:
        raise ValueError("an empty list of targets; give one or more, or None for the most probable class")
    if output == "probability" and (units := [one for one in targets if isinstance(one, Unit)]):
        raise ValueError(f"output='probability' is of classes; {units[0]} has only its activity, so leave output out")
    return targets


_OUTPUTS = ("score", "probability")
_WANTED = "wanted 'score', 'probability' or a Unit"
