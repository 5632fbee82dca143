"""The computer whose files are read: this one, or a directory tree that is laid out like one.

Owns: where /proc, /sys, /dev, /etc and the homes are, and how a small file that anyone may have written is read. Does
not know: what any of these files mean.
"""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_TEXT_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class System:
    """A computer. Every path given to it, and by it, is absolute *within* ``root``.

    ``homes`` and ``config_dirs`` are those of the person at the keyboard, which no file of the system names.
    """

    root: str = "/"
    homes: tuple[str, ...] = ()
    config_dirs: tuple[str, ...] = ()

    def path(self, path: str) -> str:
        """Where this path of the system really is."""
        return path if self.root == "/" else self.root.rstrip("/") + path

    def read_text(self, path: str) -> str | None:
        """The text of a small regular file, or None where there is none. Raises OSError where it cannot be read."""
        data = self.read_bytes(path, MAX_TEXT_BYTES)
        return None if data is None else os.fsdecode(data)

    def read_bytes(self, path: str, limit: int) -> bytes | None:
        """The bytes of a regular file of at most ``limit`` bytes, or None where there is none. Raises OSError.

        Users own most of these files and root reads them: a pipe must not hang it, nor a huge file fill its memory.
        """
        try:
            fd = os.open(self.path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            data = file.read(limit + 1)
        if len(data) > limit:
            raise OSError(errno.EFBIG, "larger than expected", path)
        return data

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted; none where it does not exist. Raises OSError where it cannot be read."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, path: str) -> bool:
        """Whether something is there. Raises OSError where that cannot be told."""
        try:
            os.stat(self.path(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def mode(self, path: str) -> int:
        """The ``st_mode`` of what is there, links not followed; 0 where nothing is, or it cannot be told."""
        try:
            return os.lstat(self.path(path)).st_mode
        except OSError:
            return 0


def this_system(environ: Mapping[str, str]) -> System:
    """This computer, with the home and configuration directories that the session names."""
    homes = tuple(path for path in (environ.get("HOME", ""),) if path.startswith("/"))
    config_dirs = tuple(path for path in (environ.get("XDG_CONFIG_HOME", ""),) if path.startswith("/"))
    return System("/", homes, config_dirs)
