"""Pictures that climb a value, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnnviz_widgets.engine import Climber, Engine, NoRuleError, Run
from cnnviz_widgets.methods.synthesis.canvas import Canvas, Colours, Pixels, Waves, noise_about, single
from cnnviz_widgets.methods.synthesis.goals import Climbed, of_rows, seen_share, union
from cnnviz_widgets.methods.synthesis.recipes import Recipe
from cnnviz_widgets.methods.synthesis.regularizers import Penalty, Rivals, Rule
from cnnviz_widgets.methods.synthesis.transforms import look, views_of


class Ascent:
    """Pictures that grow: each `step` is x ← r(x + η ∂a/∂x), for all of them in one batch.

    Between two steps it can be looked at, left alone for as long as one likes, and given another recipe.

    Attributes:
        recipe: how; may be set, but for what the pictures are made of.
        trace: for each step the values (rows,) that it began with.
    """

    def __init__(
        self,
        engine: Engine,
        aims: Sequence[Climbed],
        recipe: Recipe,
        *,
        n: int = 1,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        start: Tensor | None = None,
        frame: tuple[int, int] | None = None,
        diversity: float = 0.0,
    ) -> None:
        """Begin.

        Args:
            engine: the network.
            aims: one for each kind of picture; there are `n` of each, one after the other.
            recipe: how.
            n: how many of each.
            seed: of noise and views. Picture number k of an aim is the same whatever others are made with it.
            size: (height, width) of the pictures; what the network sees of them is its frame in their middle.
            start: levels (1, C, H, W) to begin with instead of noise, see `levels_of`.
            frame: (height, width) of what the network sees; its usual one when left out.
            diversity: how much `n` pictures of one aim should differ, see `alike`.
        """
        self._engine, self._aims, self._n, self._diversity = engine, tuple(aims), n, diversity
        self.recipe = recipe
        self._colours = Colours(engine)
        usual = frame_of(engine)
        self._frame = frame or usual
        self._random = [torch.Generator().manual_seed((seed << 20) + k) for _ in aims for k in range(n)]
        if start is None:
            middle = self._colours.mean.expand(-1, *(size or canvas_size(engine)))
            start = middle[None] if recipe.blank else noise_about(middle, self._random, recipe.parametrization)
        start = start.to(self._colours.mean).expand(len(self._random), -1, -1, -1)
        x = self._colours.inputs(self._colours.mean.new_zeros(1, self._colours.channels, *usual))
        shares = [
            seen_share(engine, aim, x, (start.shape[-2], start.shape[-1])) for aim in self._aims for _ in range(n)
        ]
        self._roots = start.new_tensor(shares).sqrt()
        self._canvas = _canvas_of(recipe, self._colours, start.clone(), shares)
        layers, classes = union(self._aims)
        self._textures = [_maps_of(engine, aim, x) if diversity and n > 1 else {} for aim in self._aims]
        layers += tuple(name for textures in self._textures for name in textures)
        self._climber = Climber(engine, layers, x, classes=classes)
        self._steps: torch.optim.Adam | None = None
        self.trace: list[NDArray[np.float32]] = []
        self._best: tuple[Tensor, list[float]] | None = None

    @property
    def done(self) -> int:
        """How many steps were made."""
        return len(self.trace)

    def step(self) -> None:
        """One step of all pictures.

        Raises:
            FloatingPointError: a value or its gradient is not finite; the pictures are as they were before the step.
        """
        views = views_of(self.recipe.transforms, self._random)
        penalties = [piece for piece in self.recipe.regularizers if isinstance(piece, Penalty)]
        rivals = [piece for piece in self.recipe.regularizers if isinstance(piece, Rivals)]
        levels: list[Tensor] = []
        values: list[Tensor] = []

        def make() -> Tensor:
            levels[:] = [self._canvas.levels()]
            return look(levels[0], views, self._frame, self._colours.inputs)

        def value(run: Run) -> Tensor:
            values[:] = [self._values(run)]
            total = values[0].sum()
            for piece in rivals:
                for number, aim in enumerate(self._aims):
                    if aim.sought is not None:
                        rows = slice(number * self._n, number * self._n + self._n)
                        total = total - piece(run.scores[rows], aim.sought).sum()
            for piece in penalties:
                total = total - piece(levels[0] if piece.of_differences else levels[0] - self._colours.mean).sum()
            if self._diversity and self._n > 1:
                total = total - self._diversity * self._alike(run)
            return total

        leaf = self._canvas.leaf
        (gradient,) = self._climber.gradients(make, value, [leaf])
        reached = values[0].detach().tolist()
        sizes = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        if not all(map(math.isfinite, reached + sizes.tolist())):
            raise FloatingPointError(
                f"step {self.done + 1} met a value or a gradient that is not finite; try a smaller rate (it is "
                f"{self.recipe.rate:g}), or look for NaN in engine.capture of the network's layers"
            )
        self._keep(leaf.detach(), reached)
        silent = [row for row, one in enumerate(reached) if one == 0]
        if silent:
            gradient = gradient + self._waking(make, silent)
            sizes = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        with torch.no_grad():
            if self.recipe.ascent == "adam":
                self._adam(gradient)
            elif self.recipe.ascent == "plain":
                leaf.add_(gradient, alpha=self.recipe.rate)
            else:
                leaf.addcmul_(gradient, self._paces(sizes))
            for piece in self.recipe.regularizers:
                if isinstance(piece, Rule):
                    leaf.copy_(piece(leaf, gradient, self.done))

    def levels(self) -> Tensor:
        """All pictures (rows, C, H, W) as they are now, in levels."""
        with torch.no_grad():
            return self._canvas.levels()

    def pictures(self) -> NDArray[np.uint8]:
        """All pictures (rows, H, W, 3) as they are now."""
        return self._shown(self._canvas.leaf.detach())

    def best(self) -> NDArray[np.uint8]:
        """All pictures (rows, H, W, 3), each as it was when its value was the highest."""
        return self.pictures() if self._best is None else self._shown(self._best[0])

    def _shown(self, leaf: Tensor) -> NDArray[np.uint8]:
        kept, self._canvas.leaf = self._canvas.leaf, leaf
        try:
            with torch.no_grad():
                levels = self._canvas.levels()
        finally:
            self._canvas.leaf = kept
        pixels = levels.cpu().double().numpy()
        whole = np.rint(pixels).clip(0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(np.moveaxis(whole, 1, -1), (len(whole), *whole.shape[2:], 3)))

    def _waking(self, make: Callable[[], Tensor], silent: Sequence[int]) -> Tensor:
        """Where to go from where a rectifier is silent at every place, so that the gradient is zero: as if it passed on
        what would wake it."""

        def value(run: Run) -> Tensor:
            return self._values(run)[silent].sum()

        try:
            return self._climber.gradients(make, value, [self._canvas.leaf], "redirected")[0]
        except NoRuleError:
            return torch.zeros_like(self._canvas.leaf)

    def _values(self, run: Run) -> Tensor:
        """What is climbed, of each picture."""
        parts = [of_rows(run, slice(start, start + self._n)) for start in range(0, len(self._random), self._n)]
        found = [aim(part) for aim, part in zip(self._aims, parts, strict=True)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def _keep(self, leaf: Tensor, values: Sequence[float]) -> None:
        self.trace.append(np.array(values, np.float32))
        if self._best is None:
            self._best = (leaf.clone(), list(values))
            return
        best, highest = self._best
        for row, value in enumerate(values):
            if value > highest[row]:
                best[row].copy_(leaf[row])
                highest[row] = value

    def _paces(self, sizes: Tensor) -> Tensor:
        """How far each picture's leaf goes for a slope of one, "normalized": by the root mean square of its gradient
        (its `sizes` are the norm) over as much of the picture as the target sees."""
        leaf = self._canvas.leaf
        most = self.recipe.rate * math.sqrt(leaf[0].numel()) * self._roots
        return (most / sizes.clamp(min=torch.finfo(sizes.dtype).tiny)).view(-1, *[1] * (leaf.ndim - 1))

    def _adam(self, gradient: Tensor) -> None:
        """A step of Adam, by torch's own, which passes over the picture once."""
        leaf = self._canvas.leaf
        if self._steps is None:
            fused = leaf.device.type != "mps" and leaf.dtype in (torch.float32, torch.float64)
            self._steps = torch.optim.Adam([leaf], maximize=True, fused=fused)
        self._steps.param_groups[0]["lr"] = self.recipe.rate
        leaf.grad = gradient
        self._steps.step()
        leaf.grad = None

    def _alike(self, run: Run) -> Tensor:
        total = torch.zeros((), device=self._canvas.leaf.device, dtype=self._canvas.leaf.dtype)
        for textures, start in zip(self._textures, range(0, len(self._random), self._n), strict=True):
            part = of_rows(run, slice(start, start + self._n))
            for name, axes in textures.items():
                total = total + alike(part.outputs[name].permute(*axes))
        return total


def alike(maps: Tensor) -> Tensor:
    """How alike the textures of maps (N, C, h, w) are: the sum over pairs of the cosine between their Gram matrices.

    Olah, Mordvintsev & Schubert 2017, "Diversity".
    """
    flat = maps.flatten(2)
    gram = torch.bmm(flat, flat.transpose(1, 2)).flatten(1)
    gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=torch.finfo(gram.dtype).tiny)
    return ((gram @ gram.T).sum() - (gram * gram).sum()) / 2


def _maps_of(engine: Engine, aim: Climbed, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Where the textures of pictures are compared, and how the layers' output becomes maps (N, C, h, w): in the aim's
    own layers, else in the last one that has maps."""
    table = engine.layers_for(x)
    own = {name: axes for name in aim.layers if (axes := table[name].axes) is not None}
    if own:
        return own
    last = engine.last_maps(x)
    axes = table[last].axes
    assert axes is not None
    return {last: axes}


def _canvas_of(recipe: Recipe, colours: Colours, start: Tensor, shares: Sequence[float]) -> Canvas:
    if recipe.parametrization == "pixel":
        return Pixels(colours, start)
    return Waves(colours, start, recipe.longest, shares)


def frame_of(engine: Engine) -> tuple[int, int]:
    """(height, width) of what the network sees of a square picture of usual size."""
    height, width = engine.prepare(Image.new("RGB", (256, 256), (124, 116, 104))).shape[-2:]
    return height, width


def canvas_size(engine: Engine) -> tuple[int, int]:
    """(height, width) of a picture that the preprocessing need not resize: the network sees its very pixels."""
    frame, resize = frame_of(engine), engine.preprocessing.resize
    if isinstance(resize, int):
        return (max(resize, frame[0]), max(resize, frame[1]))
    return resize or frame


def levels_of(engine: Engine, picture: Image.Image, size: tuple[int, int] | None = None) -> Tensor:
    """A photo as levels (1, C, H, W) of a canvas: its short side brought to the size, its middle cut out."""
    height, width = size or canvas_size(engine)
    scale = max(height / picture.height, width / picture.width)
    sides = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    near = picture if sides == picture.size else picture.resize(sides, Image.Resampling.BICUBIC)
    left, top = (near.width - width) // 2, (near.height - height) // 2
    cut = near.crop((left, top, left + width, top + height))
    pixels = np.asarray(cut.convert("L") if engine.preprocessing.channels == "L" else cut, np.float64)
    levels = torch.from_numpy(np.atleast_3d(pixels).transpose(2, 0, 1).copy())[None]
    return levels.to(engine.device, single(engine.dtype))
