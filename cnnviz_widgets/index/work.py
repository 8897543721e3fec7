"""The shards of an index, computed: here or on Dask's workers, beside whatever other process does the same."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from torch import Tensor

from cnnviz_widgets.data import Gallery
from cnnviz_widgets.engine import Engine, checkpoint
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.catalogue import Catalogue, Shard
from cnnviz_widgets.index.settings import Settings
from cnnviz_widgets.index.survey import survey
from cnnviz_widgets.index.upkeep import LOOK_AGAIN, lock_of

if TYPE_CHECKING:
    from dask.distributed import Client


class Work:
    """What is to be computed, with what, and whom to tell how many pictures are done."""

    def __init__(
        self,
        engine: Engine,
        gallery: Gallery,
        folder: Path,
        catalogue: Catalogue,
        settings: Settings,
        like: Tensor,
        client: Client | None,
        done: Callable[[int], object],
    ) -> None:
        self._engine, self._gallery, self._folder, self._catalogue = engine, gallery, folder, catalogue
        self._settings, self._like, self._client, self._done = settings, like, client, done
        self._told: set[str] = set()

    def do(self, shards: Sequence[Shard]) -> None:
        """Compute every shard that has no file; those that another process has in work are waited for."""
        while True:
            missing = [one for one in shards if not self._path(one).is_file()]
            for one in shards:
                if one not in missing and one.name not in self._told:
                    self._told.add(one.name)
                    self._done(one.count)
            if not missing:
                return
            if not (self._compute(missing) if self._client is None else self._send(self._client, missing)):
                time.sleep(LOOK_AGAIN)
            checkpoint()

    def again(self, names: Sequence[str], shards: Sequence[Shard]) -> None:
        """Count these no longer as done."""
        for one in shards:
            if one.name in names and one.name in self._told:
                self._told.remove(one.name)
                self._done(-one.count)

    def _compute(self, shards: Sequence[Shard]) -> int:
        """Those that nobody else has in work; how many that were."""
        taken: deque[tuple[Shard, FileLock]] = deque()
        count = 0
        with contextlib.ExitStack() as locks:

            def mine() -> Iterator[list[int | None]]:
                for one, lock in self._free(shards, locks):
                    self._told.add(one.name)  # picture by picture
                    taken.append((one, lock))
                    yield self._numbers(one, self._keys(one))

            found = survey(self._engine, self._gallery, self._settings, mine(), self._like, self._done)
            locks.enter_context(contextlib.closing(found))
            for findings in found:
                one, lock = taken.popleft()
                files.write(self._path(one), files.encode(findings, self._keys(one), self._gallery.classes))
                lock.release()
                count += 1
        return count

    def _send(self, client: Client, shards: Sequence[Shard]) -> int:
        """The same on the workers of a client."""
        from cnnviz_widgets.index.distributed import Job, Task, compute  # late: an extra

        count = 0
        with contextlib.ExitStack() as locks:

            def mine() -> Iterator[Job[tuple[Shard, FileLock]]]:
                for one, lock in self._free(shards, locks):
                    keys = self._keys(one)
                    yield Job((one, lock), self._numbers(one, keys), keys)

            task = Task.of(self._engine, self._gallery, self._settings, self._like)
            for (one, lock), content in compute(client, task, mine()):
                files.write(self._path(one), content)
                lock.release()
                self._told.add(one.name)
                self._done(one.count)
                count += 1
        return count

    def _free(self, shards: Sequence[Shard], locks: contextlib.ExitStack) -> Iterator[tuple[Shard, FileLock]]:
        """Of these shards, one by one as they are asked for, those that nobody else has in work, with their locks."""
        for one in shards:
            lock = lock_of(self._folder, one.number)
            if lock is None:
                continue
            if self._path(one).is_file():  # somebody has finished it meanwhile
                lock.release()
                continue
            locks.callback(lock.release)
            yield one, lock

    def _path(self, shard: Shard) -> Path:
        return self._folder / "shards" / shard.name

    def _keys(self, shard: Shard) -> list[str]:
        return self._catalogue.keys(shard.first, shard.count)

    def _numbers(self, shard: Shard, keys: Sequence[str]) -> list[int | None]:
        """Which of the gallery's pictures a shard holds; None for those that it no longer has."""
        found: list[int | None] = []
        for key in keys:
            try:
                found.append(self._gallery.find(key))
            except KeyError:
                found.append(None)
        return found
