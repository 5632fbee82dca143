"""Copies of SQLite databases that are in use, by SQLite's online backup.

Owns: the copy, where it lies until it is closed, and that it is one of the file that was meant. Does not know: what it
is used for.

A database file that nobody changed while it was read, and that has no journal or write-ahead log beside it, is
consistent as it is, and is read directly. Only the others are copied (docs/decisions/0006-live-databases.md).

SQLite opens by path, follows links, and waits where a pipe lies. So the file is opened here first, as every other; and
what SQLite has opened counts only where it is that file (docs/decisions/0026-what-sqlite-opens.md).
"""

import contextlib
import fcntl
import os
import queue
import re
import sqlite3
import stat
import threading
from collections.abc import Sequence

from kinebackup.engine import COMPANIONS, Copied, LiveCopy, bounded_time
from kinebackup.sources.private_folders import make_private_folder, sweep

_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PREFIX = "kinebackup-copy-"
_MEMORY_INFO = "/proc/meminfo"
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


class DatabaseCopier:
    """Copies into the first of its directories with enough room: RAM-backed first, then a 0700 directory on disk."""

    def __init__(self, directories: Sequence[str], *, timeout_s: float = 10.0, memory_info: str = _MEMORY_INFO) -> None:
        """``timeout_s``: how long to wait for a database that its program has locked, before it is read as it is.

        ``memory_info``: the file in which the kernel says how much memory there is.
        """
        self._directories = directories
        self._timeout_s = timeout_s
        self._memory_info = memory_info
        self._swept = False

    def copy(self, directory_fd: int, name: str) -> LiveCopy | None:
        """None where the file is no sound database, stays locked, is not what it was, or there is no room for the copy.

        Raises ``FileNotFoundError`` where it is gone.
        """
        self._sweep_once()
        try:
            original = os.open(name, _READ_FLAGS, dir_fd=directory_fd)
        except FileNotFoundError:
            raise
        except OSError:  # a link, for one
            return None
        try:  # open until SQLite has closed it: to close any descriptor of a file takes a process's locks from it
            before = os.fstat(original)
            if not stat.S_ISREG(before.st_mode) or not _companions_are_files(directory_fd, name):
                return None
            wal_size, wal_mtime = _stat_wal(directory_fd, name)
            copied = Copied(size=before.st_size, wal_size=wal_size, wal_mtime=wal_mtime)
            live = self._open_live(f"/proc/self/fd/{directory_fd}/{name}", before)
            if live is None:
                return None
            with contextlib.closing(live):
                fd = self._copy(live, 2 * (before.st_size + wal_size))
            if fd is not None and not _is_still(before, directory_fd, name):
                os.close(fd)
                return None
            return LiveCopy(fd, copied) if fd is not None else None
        finally:
            os.close(original)

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            for place in self._directories:
                sweep(place, _PREFIX)

    def _room(self, staging: str) -> int:
        """How many bytes a directory may take: of memory, not more than there is without pushing others out."""
        free = _free_bytes(staging)
        return min(free, _available_memory(self._memory_info)) if free and _is_in_memory(staging) else free

    def _copy(self, live: sqlite3.Connection, room: int) -> int | None:
        for staging in self._directories:
            if self._room(staging) >= room:
                # A place that may not be written to any more counts as one without room.
                with contextlib.suppress(sqlite3.Error, OSError):
                    return _fill_nameless(staging, live)
        return None

    def _open_live(self, path: str, expected: os.stat_result) -> sqlite3.Connection | None:
        """The database, with a transaction of reading begun; None where it does not open, or is another file.

        In a thread of its own, which is left behind where it waits at a pipe that somebody has put there just now.
        """
        opened: queue.SimpleQueue[sqlite3.Connection | None] = queue.SimpleQueue()
        given_up = threading.Event()

        def begin() -> None:
            live = None
            try:
                live = self._begin_reading(path, expected)
                if live is not None and given_up.is_set():
                    live.close()
            finally:
                opened.put(live)

        threading.Thread(target=begin, name="database", daemon=True).start()
        try:
            return opened.get(timeout=3 * self._timeout_s)
        except queue.Empty:
            given_up.set()
            return None

    def _begin_reading(self, path: str, expected: os.stat_result) -> sqlite3.Connection | None:
        known = _descriptors_of(expected)
        try:
            live = sqlite3.connect(
                f"file:{_quote(path)}?mode=ro",
                uri=True,
                timeout=self._timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error:
            return None
        try:
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchall()  # every journal has been opened by now
            if not (_descriptors_of(expected) - known or _is_open_to_write(known)):
                raise sqlite3.OperationalError("the database is another file")
        except sqlite3.Error:
            live.close()
            return None
        return live


def _fill_nameless(staging: str, live: sqlite3.Connection) -> int:
    """A copy that no name leads to, even while it is made: whatever ends this process removes it too.

    Raises ``sqlite3.Error`` or ``OSError``.
    """
    folder = make_private_folder(staging, _PREFIX, os.getpid())
    target = os.path.join(folder, "copy")
    try:
        fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")
                _remove(folder)
                live.backup(copy, progress=_give_up_where_locked)
        except BaseException:
            os.close(fd)
            raise
        return fd
    finally:
        _remove(folder)


def _remove(folder: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        for leftover in os.listdir(folder):
            os.unlink(os.path.join(folder, leftover))
        os.rmdir(folder)


def _give_up_where_locked(status: int, _remaining: int, _total: int) -> None:
    """Otherwise Python retries for ever: a program that keeps its database locked would block every backup."""
    if status in _LOCKED:
        raise sqlite3.OperationalError("the database stays locked")


def _quote(path: str) -> str:
    return "".join(c if c not in "?#%" else f"%{ord(c):02x}" for c in path)


def _descriptors_of(file: os.stat_result) -> set[int]:
    """This process's descriptors of that file."""
    found: set[int] = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.path.samestat(file, os.fstat(int(number))):
                found.add(int(number))
    return found


def _is_open_to_write(descriptors: set[int]) -> bool:
    """A backup never opens what it saves to write. Where this very process works with the database, SQLite opens it
    no second time.
    """
    for fd in descriptors:
        with contextlib.suppress(OSError):  # another thread has closed it
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
                return True
    return False


def _companions_are_files(directory_fd: int, name: str) -> bool:
    """SQLite opens them too, and would create what a link leads to."""
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(f"{name}{suffix}", dir_fd=directory_fd, follow_symlinks=False).st_mode):
                return False
    return True


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
    return wal.st_size, bounded_time(wal.st_mtime_ns)


def _free_bytes(directory: str) -> int:
    try:
        info = os.statvfs(directory)
    except OSError:
        return 0
    return info.f_bavail * info.f_frsize


def _is_in_memory(directory: str) -> bool:
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields = line.split(" ")
            if fields[2] == number:
                return fields[fields.index("-") + 1] in _IN_MEMORY
    return False


def _available_memory(memory_info: str) -> int:
    with open(memory_info, encoding="ascii") as info:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", info.read(), flags=re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
