"""What a build looks after in its folder: broken shards, what nobody needs any more, what killed processes left."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from cnnviz_widgets.engine import checkpoint
from cnnviz_widgets.index import shard as files
from cnnviz_widgets.index.catalogue import Catalogue, Shard
from cnnviz_widgets.index.errors import IndexDamaged
from cnnviz_widgets.index.manifest import MANIFEST, Manifest
from cnnviz_widgets.index.settings import Settings

LOOK_AGAIN = 0.2  # seconds between two looks at what another process has in work


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within, no other process plans, merges or tidies; waits for its turn. A killed process holds nobody up."""
    lock = FileLock(folder / "index.lock", thread_local=False)
    while True:
        checkpoint()
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=LOOK_AGAIN)
            break
    try:
        yield
    finally:
        lock.release()


def lock_of(folder: Path, number: int) -> FileLock | None:
    """The lock of a shard, taken; None where another process has it."""
    lock = FileLock(folder / "shards" / f"{number:06d}.lock", thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def drop_broken(
    folder: Path, settings: Settings, shards: Sequence[Shard], thorough: bool = False
) -> tuple[list[str], bool]:
    """Remove the shards that are broken; their names, and whether any was younger than the index.

    Whether a file is whole is seen from its head and length. All of it is read where it was written to after the index
    was finished, which nobody should have done, or (`thorough`) always.
    """
    try:
        known = {name for name, _, _ in Manifest.load(folder).shards}
        made = (folder / MANIFEST).stat().st_mtime_ns
    except (ValueError, OSError):
        known, made = set(), 0
    broken, suspected = [], False
    for one in shards:
        path = folder / "shards" / one.name
        if not path.is_file():
            continue
        checkpoint()
        late = one.name in known and path.stat().st_mtime_ns > made
        suspected |= late
        try:
            if not files.is_whole(path):
                raise files.damaged(path, "it is cut off")
            if thorough or late:
                files.check(path, settings)
        except IndexDamaged:
            path.unlink(missing_ok=True)
            broken.append(one.name)
    return broken, suspected


def tidy(folder: Path, settings: Settings, catalogue: Catalogue, shards: Sequence[Shard]) -> None:
    """Remove what neither this plan nor the latest one needs, and what killed processes left half done.

    Whoever has the old arrays open keeps them; a shard that is gone is found again under its new name.
    """
    arrays = Manifest.load(folder).arrays
    for path in (folder / "arrays").iterdir():
        if path.name != arrays:
            shutil.rmtree(path, ignore_errors=True)
    superseded = {path.name for path in (folder / "shards").glob("*.sqlite")} - {one.name for one in shards}
    if superseded:
        superseded -= {
            one.name for one in catalogue.shards(settings)
        }  # of a build with other pictures, beside this one
    partial = [path for path in (folder / "shards").iterdir() if path.name.endswith(".part")]
    for path in [*(folder / "shards" / name for name in superseded), *partial]:
        number = path.name.lstrip(".")[:6]
        lock = lock_of(folder, int(number)) if number.isdigit() else None
        if lock is not None:  # else somebody is writing it just now
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            lock.release()
    for path in folder.glob(f".{MANIFEST}.*.part"):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
