"""Two flags of an inode by which nobody changes a file, not even its owner: immutable and append-only.

Owns: the ioctls, and the flags' names in an entry (FORMAT.md §9). Does not know: which files, or when.
"""

import errno
import fcntl
import struct
import sys
from collections.abc import Iterable
from typing import Final

# linux/fs.h: FS_IOC_GETFLAGS and FS_IOC_SETFLAGS are declared of a long, and take an int
_LONG: Final = struct.calcsize("l")
_GET: Final = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_SET: Final = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_ROOM: Final = bytes(_LONG)
_FLAGS: Final = {"immutable": 0x10, "append-only": 0x20}
_MASK: Final = 0x30
_LOWEST_BYTE: Final = 0 if sys.byteorder == "little" else 3
_NONE_HERE: Final = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES})


def read_flags(fd: int) -> list[str]:
    """Of an open file or directory; none where its file system has none. Raises ``OSError``."""
    try:
        answer = fcntl.ioctl(fd, _GET, _ROOM)
    except OSError as error:
        if error.errno in _NONE_HERE:
            return []
        raise
    found = answer[_LOWEST_BYTE] & _MASK
    return [name for name, flag in _FLAGS.items() if found & flag] if found else []


def set_flags(fd: int, names: Iterable[str]) -> None:
    """Besides those that the file has; names from another version of the program are left out. Raises ``OSError``."""
    (flags,) = struct.unpack_from("=I", fcntl.ioctl(fd, _GET, _ROOM))
    for name in names:
        flags |= _FLAGS.get(name, 0)
    fcntl.ioctl(fd, _SET, struct.pack("=I", flags).ljust(_LONG, b"\0"))
