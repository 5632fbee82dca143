"""Whole files of a repository: writing one durably, and reading back what a drive has kept of it.

Owns: these two steps. Does not know: what is in the files.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.repository.store import Store
from kinebackup.errors import Damaged, DriveFailed, KineError, NotFound
from kinebackup.i18n import _

READ_BYTES: Final = 4 * 2**20


def write_file(store: Store, path: str, data: bytes, *, apart: bool = False) -> None:
    """Write a whole file durably: index files and snapshots. ``apart``: far from what was written before."""
    pending = store.create(apart=len(data) if apart else 0)
    try:
        pending.write(data)
        pending.commit(path)
    except BaseException:
        pending.abandon()
        raise
    store.sync_directories([path.rpartition("/")[0]])


def read_back(
    store: Store, path: str, size: int, buffer: memoryview, see: Callable[[Buffer], bool] | None = None
) -> bool:
    """Read a pack or snapshot from the drive itself, not from memory, and compare its digest with its name.

    ``see`` is called with all of it, as many bytes at a time as the buffer holds; where it says False, no more is read,
    nothing is proven, and that is returned.

    Raises ``DriveFailed``: a drive that does not keep what it took is not a drive for backups. The file is then
    removed: nothing refers to it yet, and left there, a later run would find it and rely on it.
    """
    with remove_unproven(store, path):
        return _compare(store, path, size, buffer, see)


@contextmanager
def remove_unproven(store: Store, path: str) -> Iterator[None]:
    """Remove the file where what is done to prove it raises: nothing refers to it yet."""
    try:
        yield
    except BaseException:
        with suppress(KineError):
            store.remove(path)
        raise


def _compare(store: Store, path: str, size: int, buffer: memoryview, see: Callable[[Buffer], bool] | None) -> bool:
    digest = hashlib.sha256()
    done = 0
    try:
        store.drop_cache(path)
        while done < size:
            count = store.read_into(path, done, buffer[: min(len(buffer), size - done)])
            if not count:
                break
            digest.update(buffer[:count])
            if see is not None and not see(buffer[:count]):
                return False
            done += count
    except (Damaged, NotFound) as error:
        raise DriveFailed(_("the drive does not give back what was just written to it"), _replace_it()) from error
    if digest.hexdigest() != path.rpartition("/")[2]:
        raise DriveFailed(_("the drive gives back other bytes than were written to it"), _replace_it())
    return True


def _replace_it() -> str:
    return _("replace this drive; do not rely on it")
