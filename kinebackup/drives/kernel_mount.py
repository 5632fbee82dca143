"""The system calls of mounting and unmounting.

Owns: mount(2), umount2(2), syncfs(2) and the disk sequence of an open device. Does not know: which device, or when.

System calls rather than mount(8): that program follows links on the way to the mount point, hands the work to helpers
of other packages (mount.ntfs, mount.exfat-fuse) whatever flags they understand, and writes notes below /run/mount.
"""

import ctypes
import errno
import fcntl
import os
import struct
from typing import Final

# linux/mount.h
_NOSUID: Final = 0x2
_NODEV: Final = 0x4
_NOEXEC: Final = 0x8
_NOATIME: Final = 0x400
_NOSYMFOLLOW: Final = 0x100  # since 5.10; older kernels ignore it
FLAGS: Final = _NOSUID | _NODEV | _NOEXEC | _NOATIME | _NOSYMFOLLOW

# sys/statvfs.h: what a mounted filesystem says of its flags. _NOSYMFOLLOW is not asked for: see above.
_DEMANDED: Final = 0x2 | 0x4 | 0x8
_READ_ONLY: Final = 0x1

# umount2(2)
_DETACH: Final = 0x2
_NOFOLLOW: Final = 0x8

_GET_DISK_SEQUENCE: Final = 0x80081280  # linux/fs.h: BLKGETDISKSEQ, since 5.15

_libc: Final = ctypes.CDLL(None, use_errno=True)


def mount(node: str, directory_fd: int, filesystem: str, options: str) -> None:
    """Mount on the open directory, wherever its path leads by now. Raises OSError."""
    target = f"/proc/self/fd/{directory_fd}"
    names = (os.fsencode(name) for name in (node, target, filesystem))
    _checked(_libc.mount(*names, ctypes.c_ulong(FLAGS), os.fsencode(options)), node)


def unmount(place: str) -> None:
    """Unmount the topmost mount there. Raises OSError: EBUSY while it is in use, EINVAL where there is none."""
    _checked(_libc.umount2(os.fsencode(place), _NOFOLLOW), place)


def detach(place: str) -> None:
    """Unmount lazily (MNT_DETACH): files that are open there stay open. Raises OSError."""
    _checked(_libc.umount2(os.fsencode(place), _NOFOLLOW | _DETACH), place)


def sync_filesystem(place: str) -> None:
    """Returns when everything written there is on the device. Raises OSError where that fails."""
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _checked(_libc.syncfs(fd), place)
    finally:
        os.close(fd)


def is_guarded(fd: int) -> bool:
    """Whether the filesystem of this open directory is mounted with the flags that keep a hostile drive harmless."""
    return os.statvfs(fd).f_flag & _DEMANDED == _DEMANDED


def is_read_only(fd: int) -> bool:
    """Whether it is mounted read-only, whatever was requested."""
    return bool(os.statvfs(fd).f_flag & _READ_ONLY)


def disk_sequence(fd: int) -> int | None:
    """The number of the disk below an open block device or partition, or None where the kernel counts none."""
    try:
        answer = fcntl.ioctl(fd, _GET_DISK_SEQUENCE, bytes(8))
    except OSError:
        return None
    (number,) = struct.unpack("=Q", answer)
    return int(number)


def is_claimed(node: str) -> bool:
    """Whether the kernel has claimed the device: for a filesystem in any mount namespace, or for a mapping on top.

    An exclusive open (open(2), O_EXCL) fails even where no mount table lists the filesystem any more, because it was
    detached while files are open. Raises OSError where the device does not answer.
    """
    try:
        fd = os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    os.close(fd)
    return False


def _checked(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
