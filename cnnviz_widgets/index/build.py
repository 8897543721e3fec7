"""Building an index: what is missing is computed, shard by shard, and the whole is put together at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint, current_job
from cnnviz_widgets.engine.jobs import progress as job_progress
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.catalogue import Catalogue, Shard
from cnnviz_widgets.index.errors import IndexDamaged, IndexRefused
from cnnviz_widgets.index.merge import is_merged, merge
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey

if TYPE_CHECKING:
    from dask.distributed import Client

FEW, MANY = 256, 2048  # pictures a shard
MANY_FROM = 100_000
LOOK_AGAIN = 0.2  # seconds between two looks at what another process has in work


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
    catalogue = Catalogue(folder)
    like = _first_input(engine, gallery)
    settings = _settings(engine, gallery, catalogue, like, layers, k, batch)
    with _plainly(folder):
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        catalogue.begin(settings, gallery.spec())
        size = shard or (MANY if len(gallery) >= MANY_FROM else FEW)
        pictures = [(gallery.key(n), gallery.signature(n)) for n in range(len(gallery))]
        catalogue.update(pictures, size)
        shards = catalogue.shards(settings)
        with _told(sum(one.count for one in shards), progress) as done, engine.still():
            work = _Work(engine, gallery, folder, catalogue, settings, like, done)
            work.do(shards, client)
            with FileLock(folder / "merge.lock"):
                if not is_merged(folder, gallery, shards):
                    _merge(work, shards)


class _Work:
    """What is to be computed, and with what."""

    def __init__(
        self,
        engine: Engine,
        gallery: Gallery,
        folder: Path,
        catalogue: Catalogue,
        settings: Settings,
        like: Tensor,
        done: Callable[[int], object],
    ) -> None:
        self.engine, self.gallery, self.folder = engine, gallery, folder
        self.catalogue, self.settings, self.like, self.done = catalogue, settings, like, done

    def path(self, shard: Shard) -> Path:
        """Of its file."""
        return self.folder / "shards" / shard.name

    def numbers(self, shard: Shard) -> list[int]:
        """Which of the gallery's pictures a shard holds; beyond its end for those that are gone."""
        numbers = []
        for key in self.catalogue.keys(shard.first, shard.count):
            try:
                numbers.append(self.gallery.find(key))
            except KeyError:
                numbers.append(len(self.gallery))
        return numbers

    def do(self, shards: Sequence[Shard], client: Client | None) -> None:
        """Compute every shard that has no file; those that another process has in work are waited for."""
        there = [one for one in shards if self.path(one).is_file()]
        self.done(sum(one.count for one in there))
        missing = [one for one in shards if one not in there]
        while missing:
            if client is not None:
                self._send(client, missing)
            else:
                self._compute(missing)
            waited = [one for one in missing if not self.path(one).is_file()]
            if waited == missing:
                time.sleep(LOOK_AGAIN)
                checkpoint()
            missing = waited

    def _send(self, client: Client, shards: Sequence[Shard]) -> None:
        from cnnviz_widgets.index.distributed import Task, compute  # late: an extra

        def take(place: int, content: bytes) -> None:
            files.write(self.path(shards[place]), content)
            self.done(shards[place].count)

        task = Task.of(self.engine, self.gallery, self.settings, self.like)
        compute(client, task, [(self.numbers(one), self.catalogue.keys(one.first, one.count)) for one in shards], take)

    def _compute(self, shards: Sequence[Shard]) -> None:
        taken: list[tuple[Shard, FileLock]] = []
        with contextlib.ExitStack() as locks:

            def mine() -> Iterator[list[int]]:
                for one in shards:
                    lock = FileLock(self.folder / "shards" / f"{one.number:06d}.lock", thread_local=False)
                    try:
                        lock.acquire(blocking=False)
                    except Timeout:
                        continue  # another process has it
                    locks.callback(lock.release)
                    if self.path(one).is_file():
                        self.done(one.count)  # and has finished it meanwhile
                        lock.release()
                        continue
                    taken.append((one, lock))
                    yield self.numbers(one)

            found = survey(self.engine, self.gallery, self.settings, mine(), self.like, self.done)
            locks.enter_context(contextlib.closing(found))
            for number, findings in enumerate(found):
                one, lock = taken[number]
                keys = self.catalogue.keys(one.first, one.count)
                files.write(self.path(one), files.encode(findings, keys))
                lock.release()


def _merge(work: _Work, shards: Sequence[Shard]) -> None:
    """Put the whole together; a broken shard is computed anew, once."""
    try:
        merge(work.folder, work.settings, work.gallery, shards, checkpoint)
        return
    except IndexDamaged as error:
        warnings.warn(f"{error} (this is being done now)", stacklevel=2)
    for one in shards:
        try:
            files.load(work.path(one), work.settings)
        except IndexDamaged:
            work.path(one).unlink(missing_ok=True)
    work.done(-sum(one.count for one in shards))
    work.do(shards, None)
    merge(work.folder, work.settings, work.gallery, shards, checkpoint)


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
    about = catalogue.about()
    if not about:
        return Settings.of(engine, like, layers, k, batch)
    old = Settings.from_json(about["settings"])
    where = f"the index in {str(catalogue.path.parent)!r}"
    check_network(old, engine, where)
    new = Settings.of(engine, like, layers or old.layers, k, batch or old.batch)
    for name in ("layers", "k", "batch"):
        if getattr(new, name) != getattr(old, name):
            raise IndexRefused(
                f"{where} was built with {name}={getattr(old, name)!r}, and now {name}={getattr(new, name)!r} is asked "
                "for; ask for the same to go on with it, or build another one in another folder"
            )
    if (recipe := gallery.spec()) != about["gallery"]:
        raise IndexRefused(
            f"{where} is of the gallery {_recipe(about['gallery'])}, and this one is {_recipe(recipe)}; build another "
            "index in another folder"
        )
    return old


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


def _recipe(recipe: dict[str, Any] | None) -> str:
    if recipe is None:
        return "of pictures in memory"
    return ", ".join(f"{name} {value!r}" for name, value in recipe.items())


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
