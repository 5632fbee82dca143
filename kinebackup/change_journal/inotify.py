"""inotify(7), through watchdog's binding of the C library.

Owns: one inotify instance, the events that are requested, and their decoding. Does not know: what is watched, or why.

watchdog's ``Observer`` is not used: it also subscribes to opening and closing, so that its own scan of the folders
fills the queue, and it allocates an object for each event (docs/decisions/0011-the-journal.md has the figures).
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
UNMOUNT: Final = 0x2000
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ISDIR: Final = 0x40000000
_ONLYDIR: Final = 0x01000000
_DONT_FOLLOW: Final = 0x02000000
_NO_WATCH: Final = -1  # the watch of events about the whole queue

_MASK: Final = (
    MODIFY
    | ATTRIB
    | CLOSE_WRITE
    | MOVED_FROM
    | MOVED_TO
    | CREATE
    | DELETE
    | DELETE_SELF
    | MOVE_SELF
    | _ONLYDIR
    | _DONT_FOLLOW
)
_READ_BYTES: Final = 2**18
_HEADER: Final = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class Limits:
    """The kernel's limits for each user."""

    watches: int
    instances: int


class InotifyQueue(Protocol):
    """One inotify instance."""

    def fileno(self) -> int:
        """Readable while events are waiting."""

    def add(self, path: bytes) -> int:
        """Watch a directory; returns the watch descriptor, the same for each path to it. Raises ``OSError``."""

    def remove(self, number: int) -> None:
        """Remove a watch. Never raises: it may be gone already."""

    def read(self) -> bytes:
        """Some of the waiting events, or nothing; never blocks."""

    def close(self) -> None: ...


class Inotify:
    """The kernel's own ``InotifyQueue``."""

    def __init__(self) -> None:
        """Raises ``OSError``: ``EMFILE`` where this user's limit of instances is reached."""
        from watchdog.observers import inotify_c

        self._add, self._remove = inotify_c.inotify_add_watch, inotify_c.inotify_rm_watch
        self._fd: int = inotify_c.inotify_init()
        if self._fd < 0:
            raise _error()
        os.set_inheritable(self._fd, False)
        os.set_blocking(self._fd, False)

    def fileno(self) -> int:
        return self._fd

    def add(self, path: bytes) -> int:
        number: int = self._add(self._fd, path, _MASK)
        if number < 0:
            raise _error()
        return number

    def remove(self, number: int) -> None:
        self._remove(self._fd, number)  # type: ignore[arg-type] # its type has a name that only watchdog's code knows

    def read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._fd)


def _error() -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, os.strerror(number))


def events(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(watch descriptor, mask, name) of each event; the name is empty for the watched directory itself."""
    at = 0
    unpack, size = _HEADER.unpack_from, _HEADER.size
    while at < len(data):
        number, mask, _cookie, length = unpack(data, at)
        at += size + length
        yield number, mask, data[at - length : at].rstrip(b"\0")


def read_limits(proc: str = "/proc") -> Limits:
    """Zeros where they cannot be read."""
    return Limits(
        _number(f"{proc}/sys/fs/inotify/max_user_watches"), _number(f"{proc}/sys/fs/inotify/max_user_instances")
    )


def _number(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
