"""Bringing a file to its drive while it is being written, and not all at once at its end.

Owns: how much of it may lie in memory only, and file systems that cannot sync. Does not know: what is written, or when
a file counts as kept.

A system takes bytes as fast as memory does, and a slow drive is then behind by all that was written. Whoever asks to
stop in the midst, or syncs anything on that drive, waits for all of it, which on a stick took half a minute
(sync_file_range(2); it says nothing of what is durable, which is fsync's affair).
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kinebackup.engine.libc import sync_file_range

PIECE_BYTES: Final = 2**18

_WAIT_BEFORE: Final = 1
_WRITE: Final = 2
_WAIT_AFTER: Final = 4
# Not supported by some file systems (exFAT and FUSE in places): durability is then the drive's own affair.
_UNSUPPORTED: Final = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}


class Writeback:
    """Of one file that is written from its beginning to its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = 0

    def follow(self, size_bytes: int) -> None:
        """So many bytes are written by now: begin to bring them to the drive, and wait for those of the call before.

        In memory only are then at most the bytes of this call, and a piece. Raises ``OSError``: what the drive did not
        take is told here, and not again by fsync.
        """
        whole = size_bytes - size_bytes % PIECE_BYTES
        if whole == self._begun:
            return
        before, self._begun = self._begun, whole
        with _where_supported():
            sync_file_range(self._fd, before, whole - before, _WRITE)
            if before:
                sync_file_range(self._fd, 0, before, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)


def fsync(fd: int) -> None:
    """fsync(2), of a file or a directory. Raises ``OSError``."""
    with _where_supported():
        os.fsync(fd)


@contextmanager
def _where_supported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
