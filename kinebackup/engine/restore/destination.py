"""The folder that a restore writes below.

Owns: opening and making folders in it without ever leaving it. Does not know: what is restored.
"""

import os
import stat as st
from contextlib import suppress

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Destination:
    """The directory that everything is restored below; nothing outside it is ever touched."""

    def __init__(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, path: str) -> int:
        """A descriptor of a directory below; raises ``OSError`` where a component is missing or is a link."""
        fd = os.dup(self._fd)
        for part in path.split("/") if path else []:
            try:
                below = os.open(part, _DIRECTORY_FLAGS, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        return fd

    def make(self, parent: str, name: str) -> bool:
        """Make a directory; False where one is there already. It is closed to others until it gets its own mode."""
        fd = self.open(parent)
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except FileExistsError:
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
            if not st.S_ISDIR(mode):
                raise
            _open_up(fd, name, st.S_IMODE(mode))
            return False
        else:
            return True
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self._fd)


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
