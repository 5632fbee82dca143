"""Where on a drive a file comes to lie: what protects another must not die with it.

Owns: asking the file system for a place that is far from all others. Does not know: which files these are.

File systems put small files that are written one after the other side by side, whatever their folders: on ext4 a
snapshot and its copy were ten kilobytes apart, and one bad place took both. So room is reserved for a file with much
free room before and behind it, in one piece, and what is not needed is given back: whatever is on the drive already
lies beyond that. ext4 and XFS can do this (fallocate(2), FALLOC_FL_COLLAPSE_RANGE).
"""

import errno
import os
from contextlib import suppress
from typing import Final

from kinebackup.engine.libc import fallocate

MARGIN_BYTES: Final = 2 * 2**20
"""On both sides: twice what one bad place is taken to be, for a file system may begin a piece where it likes."""

_COLLAPSE_RANGE: Final = 0x08


class Placement:
    """Of one drive: whether it can be asked is learnt by asking."""

    def __init__(self) -> None:
        self._possible = True

    def reserve(self, fd: int, size_bytes: int) -> bool:
        """A place for so many bytes, for an empty file. True: it may have another length now. Never raises."""
        length = 2 * MARGIN_BYTES + size_bytes
        with suppress(OSError):
            room = os.fstatvfs(fd)
            if not self._possible or room.f_bavail * room.f_frsize < 8 * length:  # others write meanwhile
                return False
            try:
                fallocate(fd, 0, 0, length)
                fallocate(fd, _COLLAPSE_RANGE, 0, MARGIN_BYTES)
                os.ftruncate(fd, size_bytes)
            except OSError as error:
                self._possible = error.errno == errno.ENOSPC
                os.ftruncate(fd, 0)
        return True
