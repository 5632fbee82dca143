"""Calls of the C library that ``os`` does not have.

Owns: their types and their errors. Does not know: what they are for.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ctypes


@cache
def _libc() -> "tuple[Any, type[ctypes.c_int64]]":
    import ctypes  # not for commands that write nothing

    return ctypes.CDLL(None, use_errno=True), ctypes.c_int64


def _raise_errno() -> None:
    import ctypes

    failure = ctypes.get_errno()
    raise OSError(failure, os.strerror(failure))


def fallocate(fd: int, mode: int, offset: int, size_bytes: int) -> None:
    """fallocate(2), whose modes ``os.posix_fallocate`` does not take. Raises ``OSError``."""
    libc, off_t = _libc()
    call = getattr(libc, "fallocate64", None) or libc.fallocate  # a C library of 64 bits alone has one name for it
    if call(fd, mode, off_t(offset), off_t(size_bytes)):
        _raise_errno()


def sync_file_range(fd: int, offset: int, size_bytes: int, flags: int) -> None:
    """sync_file_range(2). Raises ``OSError``."""
    libc, off_t = _libc()
    if libc.sync_file_range(fd, off_t(offset), off_t(size_bytes), flags):
        _raise_errno()
