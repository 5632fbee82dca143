"""Where another file system begins below a source, and whether it belongs to it all the same.

Owns: telling a subvolume of the same btrfs from anything else. Does not know: what is done at a border.
"""

import fcntl
import os

from kinebackup.engine import Border

# linux/btrfs.h: struct btrfs_ioctl_fs_info_args has the file system's id after two u64.
_FS_INFO = 0x8400941F
_FS_INFO_BYTES = 1024
_FS_ID = slice(16, 32)
_SUBVOLUME_FLAGS = 0x80089419
_READ_ONLY = 2
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def border_at(directory_fd: int, name: str) -> Border:
    """What begins at a subdirectory that lies on another device."""
    try:
        fd = os.open(name, _FLAGS, dir_fd=directory_fd)
    except OSError:
        return Border.FILE_SYSTEM
    try:
        if _file_system_id(fd) != _file_system_id(directory_fd):
            return Border.FILE_SYSTEM
        return Border.SNAPSHOT if _is_read_only(fd) else Border.SUBVOLUME
    except OSError:  # no btrfs on one side
        return Border.FILE_SYSTEM
    finally:
        os.close(fd)


def _file_system_id(fd: int) -> bytes:
    return fcntl.ioctl(fd, _FS_INFO, bytes(_FS_INFO_BYTES))[_FS_ID]


def _is_read_only(fd: int) -> bool:
    return bool(int.from_bytes(fcntl.ioctl(fd, _SUBVOLUME_FLAGS, bytes(8)), "little") & _READ_ONLY)
