"""Ballast on the drive: room that a prune can use where there is none left.

Owns: making and releasing ``reserve``. Does not know: what the room is needed for.

A simulated drive has none: its folder shares the computer's disk, which others fill and which a prune there does not
wait for.
"""

import contextlib
import os

from kinebackup.engine import FolderStore, layout
from kinebackup.errors import KineError

MOST_BYTES = 64 * 2**20
_SHARE = 50  # of the drive: 2 %


def make_reserve(store: FolderStore) -> None:
    """Put the ballast there, if there is room for it and for as much again. It is a convenience: never raises."""
    with contextlib.suppress(KineError, OSError):
        info = os.statvfs(store.root)
        size = min(MOST_BYTES, info.f_blocks * info.f_frsize // _SHARE)
        if _size(store) == size or info.f_bavail * info.f_frsize < 2 * size or not size:
            return
        store.remove(layout.RESERVE)
        # O_EXCL: never what somebody put there, for a pipe would hang.
        fd = store.open(layout.RESERVE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            # Where the file system cannot set room aside, the C library writes a byte into each block instead.
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
        except OSError:
            store.remove(layout.RESERVE)
        finally:
            os.close(fd)


def release_reserve(store: FolderStore) -> None:
    """Give its room to a prune. Never raises: a drive that cannot even do this will say so at the next step."""
    with contextlib.suppress(KineError):
        store.remove(layout.RESERVE)
        store.sync_directories([""])


def _size(store: FolderStore) -> int:
    try:
        return store.size(layout.RESERVE)
    except KineError:
        return 0
