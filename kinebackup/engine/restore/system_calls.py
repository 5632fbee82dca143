"""The system calls of a restore that Python does not have.

Owns: renameat2(2) without replacing, syncfs(2). Does not know: what is restored, or what is done where a file system
lacks them. A module of its own, because loading ``ctypes`` costs a start some milliseconds.
"""

import ctypes
import os
from typing import Final

_RENAME_NOREPLACE: Final = 1  # linux/fs.h

_libc: Final = ctypes.CDLL(None, use_errno=True)


def rename_without_replacing(directory: int, old: str, new: str) -> None:
    """Rename within an open directory. Raises ``OSError``: ``FileExistsError`` where something has the new name."""
    names = os.fsencode(old), os.fsencode(new)
    _checked(_libc.renameat2(directory, names[0], directory, names[1], _RENAME_NOREPLACE), new)


def sync_file_system(fd: int) -> None:
    """Returns when everything written to the file system of an open file is on the device. Raises ``OSError``."""
    _checked(_libc.syncfs(fd), "")


def _checked(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
