"""The daemon's own memory.

Owns: asking the C library to return what it keeps. Does not know: when that is worth it.
"""

import ctypes
from contextlib import suppress


def trim_memory() -> None:
    """Give back what the C library keeps for the next job, which may be tomorrow's (malloc_trim(3), glibc only)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
