"""Building an index: what is missing is computed, shard by shard, and the whole is put together at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint, current_job
from cnnviz_widgets.engine.jobs import progress as job_progress
from cnnviz_widgets.index.arrays import open_arrays
from cnnviz_widgets.index.catalogue import Catalogue, Shard
from cnnviz_widgets.index.errors import IndexDamaged, IndexIncomplete, IndexRefused
from cnnviz_widgets.index.manifest import Manifest
from cnnviz_widgets.index.merge import is_merged, merge
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.upkeep import alone, drop_broken, tidy
from cnnviz_widgets.index.work import Work

if TYPE_CHECKING:
    from dask.distributed import Client

FEW, MANY = 512, 2048  # pictures a shard
MANY_FROM = 100_000
SIGNED = 32  # pictures whose signatures one thread computes in one go
TOLD = 3  # of the pictures that could not be read, in the warning


def build(
    engine: Engine,
    gallery: Gallery,
    folder: Path,
    layers: str | Sequence[str] | None,
    k: int,
    client: Client | None,
    batch: int | None,
    shard: int | None,
    progress: bool,
) -> None:
    """See `Index.build`."""
    if not len(gallery):
        raise ValueError(f"gallery {gallery.name!r} has no pictures; an index needs one at least")
    if shard is not None and (isinstance(shard, bool) or not isinstance(shard, int) or shard < 1):
        raise ValueError(f"shard={shard!r}; wanted a whole number from 1 up")
    catalogue = Catalogue(folder)
    like = _first_input(engine, gallery)

    def agreed() -> Settings:
        return _settings(engine, gallery, catalogue, like, layers, k, batch)

    settings = agreed()  # before anything is written
    with _plainly(folder), engine.still():
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with alone(folder):
            _drop_broken_plan(catalogue)
            settings = agreed()  # of two that begin at once the first decides
            catalogue.begin(settings, gallery.spec())
            size = shard or (MANY if len(gallery) >= MANY_FROM else FEW)
            shards = catalogue.plan(settings, _signed(gallery), size)
            broken, late = drop_broken(folder, settings, shards)
        if broken:
            were = "was" if len(broken) == 1 else "were"
            _warn(f"{_count(len(broken), 'shard')} of the index in {str(folder)!r} {were} damaged; computed anew", 4)
        with _told(sum(one.count for one in shards), progress) as done:
            work = Work(engine, gallery, folder, catalogue, settings, like, client, done)
            work.do(shards)
            with alone(folder):
                work.do(shards)  # what a build with other pictures, beside this one, took for superseded
                if not is_merged(folder, gallery, shards):
                    _warn_of_skipped(folder, _merge(work, folder, settings, gallery, shards))
                elif late:
                    Manifest.load(folder).save(folder)  # younger than the shards, which need not be read again
                tidy(folder, settings, catalogue, shards)


def _signed(gallery: Gallery) -> Iterator[tuple[str, str]]:
    """Key and signature of all pictures, in order; several threads compute them, for some are sums over all pixels."""

    def signed(first: int) -> list[tuple[str, str]]:
        numbers = range(first, min(first + SIGNED, len(gallery)))
        return [(gallery.key(number), gallery.signature(number)) for number in numbers]

    threads = os.cpu_count() or 1
    pool = ThreadPoolExecutor(threads, "cnnviz signer")
    waiting: deque[Future[list[tuple[str, str]]]] = deque()
    try:
        for first in range(0, len(gallery), SIGNED):
            checkpoint()
            waiting.append(pool.submit(signed, first))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _merge(work: Work, folder: Path, settings: Settings, gallery: Gallery, shards: Sequence[Shard]) -> Manifest:
    """Put the whole together; a broken shard is computed anew, once."""
    try:
        return merge(folder, settings, gallery, shards, checkpoint)
    except IndexDamaged as error:
        _warn(f"{error} (this is being done now)")
    broken, _ = drop_broken(folder, settings, shards, thorough=True)
    work.again(broken, shards)
    work.do(shards)
    return merge(folder, settings, gallery, shards, checkpoint)


def _drop_broken_plan(catalogue: Catalogue) -> None:
    """A plan that cannot be read is put aside; the next one is made of the gallery as it is."""
    try:
        catalogue.about()
    except IndexDamaged as error:
        _warn(f"{error} (this is being done now; rows may be numbered anew)")
        for path in catalogue.path.parent.glob(f"{catalogue.path.name}*"):
            path.unlink(missing_ok=True)


def _warn_of_skipped(folder: Path, manifest: Manifest) -> None:
    skipped = open_arrays(folder, manifest).skipped
    if skipped:
        first = "; ".join(f"{key!r}: {reason}" for key, reason in skipped[:TOLD])
        more = f"; and {len(skipped) - TOLD:,} more" if len(skipped) > TOLD else ""
        _warn(
            f"{len(skipped):,} of {_count(manifest.pictures + len(skipped), 'picture')} in {manifest.name!r} could not "
            f"be read and {'is' if len(skipped) == 1 else 'are'} not in the index; index.skipped lists what and why: "
            f"{first}{more}"
        )


def _warn(message: str, level: int = 5) -> None:
    """So that the caller of `Index.build` is named, so many calls up."""
    warnings.warn(message, UserWarning, stacklevel=level)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _settings(
    engine: Engine,
    gallery: Gallery,
    catalogue: Catalogue,
    like: Tensor,
    layers: str | Sequence[str] | None,
    k: int,
    batch: int | None,
) -> Settings:
    """Those that are wanted, once it is clear that an index which is there already is of the same."""
    about = _about(catalogue)
    if about is None:
        return Settings.of(engine, like, layers, k, batch)
    old, before = about
    where = f"the index in {str(catalogue.path.parent)!r}"
    check_network(old, engine, where)
    new = Settings.of(engine, like, layers or old.layers, k, batch or old.batch)
    for name in ("layers", "k", "batch"):
        if getattr(new, name) != getattr(old, name):
            raise IndexRefused(
                f"{where} was built with {name}={getattr(old, name)!r}, and now {name}={getattr(new, name)!r} is asked "
                "for; ask for the same to go on with it, or build another one in another folder"
            )
    recipe = gallery.spec()
    if _origin(recipe) != _origin(before):
        raise IndexRefused(
            f"{where} is of the gallery {_recipe(before)}, and this one is {_recipe(recipe)}; build another index in "
            "another folder"
        )
    return old


def _about(catalogue: Catalogue) -> tuple[Settings, dict[str, Any] | None] | None:
    """Settings and gallery of the index that is there: as its plan says, or its manifest where the plan is broken."""
    manifest = None
    with contextlib.suppress(FileNotFoundError, IndexIncomplete, IndexDamaged):
        manifest = Manifest.load(catalogue.path.parent)  # one of a newer version is refused
    about = {}
    with contextlib.suppress(IndexDamaged):
        about = catalogue.about()
    if about:
        return about["settings"], about["gallery"]
    return None if manifest is None else (manifest.settings, manifest.gallery)


def check_network(settings: Settings, engine: Engine, where: str) -> None:
    """See that an index is of this network.

    Raises:
        IndexRefused: it is not.
    """
    if settings.fingerprint != engine.fingerprint:
        raise IndexRefused(
            f"{where} was built with {settings.network} (fingerprint {settings.fingerprint}), and this engine is "
            f"{engine.name} (fingerprint {engine.fingerprint}); its embeddings mean nothing to another network, also "
            "to the same one trained further or preprocessed otherwise. Build another index in another folder"
        )


def _origin(recipe: dict[str, Any] | None) -> dict[str, Any] | None:
    """Where pictures come from, however many of them: with more of the same an index grows."""
    return (
        None if recipe is None else {name: value for name, value in recipe.items() if name in ("kind", "root", "size")}
    )


def _recipe(recipe: dict[str, Any] | None) -> str:
    if recipe is None:
        return "of pictures in memory"
    return ", ".join(f"{name} {value!r:.200}" for name, value in recipe.items())


def _first_input(engine: Engine, gallery: Gallery) -> Tensor:
    """The first picture that can be read, as the network takes it."""
    first = ""
    for number in range(len(gallery)):
        checkpoint()
        try:
            return engine.prepare(gallery.read(number)[0])
        except Exception as error:
            first = first or f"{gallery.key(number)!r}: {error}"
    raise ValueError(f"none of the {len(gallery)} pictures of gallery {gallery.name!r} can be read; the first: {first}")


@contextlib.contextmanager
def _told(total: int, bar: bool) -> Iterator[Callable[[int], object]]:
    """What takes how many pictures more are done: to the job that this runs in, else to a bar on the screen."""
    count = 0
    if not bar or current_job() is not None:
        with job_progress(total) as report:

            def tell(more: int) -> None:
                nonlocal count
                count += more
                report(count)

            yield tell
        return
    from tqdm.auto import tqdm  # late: it looks for a notebook

    with tqdm(total=total, unit=" pictures", desc="index", smoothing=0.1) as line:
        yield lambda more: line.update(more)


@contextlib.contextmanager
def _plainly(folder: Path) -> Iterator[None]:
    """Say what is wrong with a folder that cannot be written."""
    try:
        yield
    except OSError as error:
        kept = "What was done is kept, and an index that was complete is as it was; run Index.build again to go on"
        if error.errno == errno.ENOSPC or "full" in str(error):
            raise OSError(errno.ENOSPC, f"no space left for the index in {str(folder)!r}. {kept}") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise PermissionError(
                error.errno, f"{str(folder)!r} cannot be written: {os.strerror(error.errno)}. Choose another folder"
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST):
            raise NotADirectoryError(
                error.errno, f"{str(folder)!r} is not a folder, or lies in something that is none"
            ) from error
        raise
