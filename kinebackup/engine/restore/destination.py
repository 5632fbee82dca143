"""The folder that a restore writes below.

Owns: opening and making folders in it without ever leaving it. Does not know: what is restored.
"""

import os
import stat as st
import threading
from collections import OrderedDict
from contextlib import suppress

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OPEN = 64


class Destination:
    """The directory that everything is restored below; nothing outside it is ever touched. For several threads.

    The directories used last stay open, so that a path is not opened from the top for each name in it.
    """

    def __init__(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._kept: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: str) -> int:
        """A descriptor of a directory below, for the caller to close.

        Raises ``OSError`` where a component is missing or is a link.
        """
        with self._lock:
            return os.dup(self._open(path))

    def _open(self, path: str) -> int:
        at, fd = path, self._fd
        while at:
            if at in self._kept:
                self._kept.move_to_end(at)
                fd = self._kept[at]
                break
            at = at.rpartition("/")[0]
        for part in path[len(at) :].split("/"):
            if part:
                at = f"{at}/{part}" if at else part
                fd = self._kept[at] = os.open(part, _DIRECTORY_FLAGS, dir_fd=fd)
                if len(self._kept) > _KEPT_OPEN:
                    os.close(self._kept.popitem(last=False)[1])
        return fd

    def make(self, parent: str, name: str) -> bool:
        """Make a directory; False where one is there already. It is closed to others until it gets its own mode."""
        with self._lock:
            fd = self._open(parent)
            try:
                os.mkdir(name, 0o700, dir_fd=fd)
            except FileExistsError:
                mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
                if not st.S_ISDIR(mode):
                    raise
                _open_up(fd, name, st.S_IMODE(mode))
                return False
            return True

    def close(self) -> None:
        for fd in (self._fd, *self._kept.values()):
            os.close(fd)
        self._kept.clear()


def _open_up(parent: int, name: str, mode: int) -> None:
    """Let the owner write in a directory of an earlier run, which has its own mode already; it gets that again."""
    if mode & 0o700 == 0o700:
        return
    with suppress(OSError):  # somebody else's: what cannot be written in it is reported file by file
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", mode | 0o700)
        finally:
            os.close(fd)
