"""Copies of SQLite databases that are in use, by SQLite's online backup.

Owns: the copy, and where it lies until it is closed. Does not know: what it is used for.

A database file that nobody changed while it was read, and that has no journal or write-ahead log beside it, is
consistent as it is, and is read directly. Only the others are copied (docs/decisions/0006-live-databases.md).
"""

import contextlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Sequence

from kinebackup.engine import Copied, LiveCopy

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class DatabaseCopier:
    """Copies into the first of its directories with enough room: RAM-backed first, then a 0700 directory on disk."""

    def __init__(self, directories: Sequence[str], *, timeout_s: float = 10.0) -> None:
        """``timeout_s``: how long to wait for a database that its program has locked, before it is read as it is."""
        self._directories = directories
        self._timeout_s = timeout_s

    def copy(self, directory_fd: int, name: str) -> LiveCopy | None:
        """None where the file is no sound database, stays locked, or there is no room for the copy."""
        path = f"/proc/self/fd/{directory_fd}/{name}"
        wal_size, wal_mtime = _stat_wal(directory_fd, name)
        before = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if not stat.S_ISREG(before.st_mode):
            return None
        for staging in self._directories:
            if _free_bytes(staging) < 2 * (before.st_size + wal_size):
                continue
            fd = self._copy_into(staging, path)
            if fd is None:
                continue
            # SQLite opens by path and follows links: what is there must still be the file that was there.
            if not _is_still(before, directory_fd, name):
                os.close(fd)
                return None
            return LiveCopy(fd, Copied(by="sqlite", size=before.st_size, wal_size=wal_size, wal_mtime=wal_mtime))
        return None

    def _copy_into(self, staging: str, path: str) -> int | None:
        try:
            folder = tempfile.mkdtemp(prefix="kinebackup-", dir=staging)
        except OSError:  # a directory that may not be written to any more counts as one without room
            return None
        target = os.path.join(folder, "copy")
        try:
            with (
                contextlib.closing(
                    sqlite3.connect(f"file:{_quote(path)}?mode=ro", uri=True, timeout=self._timeout_s)
                ) as live,
                contextlib.closing(sqlite3.connect(target)) as copy,
            ):
                live.backup(copy, progress=_give_up_where_locked)
            return os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        except sqlite3.Error:
            return None
        finally:
            for leftover in os.listdir(folder):
                os.unlink(os.path.join(folder, leftover))
            os.rmdir(folder)


def _give_up_where_locked(status: int, _remaining: int, _total: int) -> None:
    """Otherwise Python retries for ever: a program that keeps its database locked would block every backup."""
    if status in _LOCKED:
        raise sqlite3.OperationalError("the database stays locked")


def _quote(path: str) -> str:
    return "".join(c if c not in "?#%" else f"%{ord(c):02x}" for c in path)


def _is_still(before: os.stat_result, directory_fd: int, name: str) -> bool:
    try:
        now = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(before, now)


def _stat_wal(directory_fd: int, name: str) -> tuple[int, int]:
    try:
        wal = os.stat(f"{name}-wal", dir_fd=directory_fd, follow_symlinks=False)
    except OSError:
        return 0, 0
    return wal.st_size, wal.st_mtime_ns


def _free_bytes(directory: str) -> int:
    try:
        info = os.statvfs(directory)
    except OSError:
        return 0
    return info.f_bavail * info.f_frsize
