"""Asking the system for the next files while the present one is worked on.

Owns: a few files of a directory, open before their turn. Does not know: what is read from them.

With cold caches a small file costs a wait for the disk, and a scan that reads one file after another waits for each.
Here the next files are opened a little early and the system is told that they will be needed: the disk works meanwhile.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from kinebackup.engine.source import SourceDirectory

AHEAD = 32
_WORTH_IT = 32  # files in a directory; below that there is not much to wait for


class ReadAhead:
    """For one directory after another, and one thread. Every file that is not taken is closed by ``end``."""

    def __init__(self) -> None:
        self._directory: SourceDirectory | None = None
        self._coming: deque[str] = deque()
        self._open: dict[str, int] = {}

    def begin(self, directory: SourceDirectory, names: Sequence[str]) -> None:
        """These files of the directory will be asked for, in this order; some perhaps not."""
        if len(names) >= _WORTH_IT:
            self._directory = directory
            self._coming.extend(names)

    def take(self, name: str) -> int | None:
        """The open file of that name, which now belongs to the caller, or None where it was not opened ahead."""
        while self._directory is not None and self._coming and len(self._open) < AHEAD:
            coming = self._coming.popleft()
            try:
                fd = self._directory.open_file(coming)
            except OSError:
                continue  # said when its turn comes
            self._open[coming] = fd
            with suppress(OSError):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        return self._open.pop(name, None)

    def end(self) -> None:
        """The directory is done; nothing stays open."""
        self._directory = None
        self._coming.clear()
        for fd in self._open.values():
            with suppress(OSError):
                os.close(fd)
        self._open.clear()
