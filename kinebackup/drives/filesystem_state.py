"""Whether a filesystem was left in order, and the repairs that can do no harm.

Owns: reading the marks of ext2/3/4, exFAT and FAT, and calling their own checkers. Does not know: mounting.

A journal that has to be replayed is normal: the kernel does it. What a checker does by itself with ``-p`` or ``-a`` is
what a computer does with its own disks at start; anything more is a person's decision.
"""

import os
import shutil
import struct
import subprocess
from typing import Final, Literal

from kinebackup.errors import KineError

State = Literal["clean", "dirty", "unknown"]

CHECK_WITHIN_S: Final = 600.0  # a terabyte of small files on a slow drive

_EXT: Final = frozenset({"ext2", "ext3", "ext4"})
_EXT_SUPERBLOCK: Final = 1024
_EXT_MAGIC: Final = 0xEF53
_EXT_CLEAN: Final = 1
_EXT_ERRORS: Final = 2
_EXT_HAS_JOURNAL: Final = 4

_CHECKERS: Final = {
    **dict.fromkeys(_EXT, ("e2fsck", "-p")),
    "exfat": ("fsck.exfat", "-p"),
    "vfat": ("fsck.fat", "-a"),
}
_NOT_REPAIRED: Final = 4  # fsck(8): errors left uncorrected


class NeedsRepair(KineError):
    """Its own checker could not put the filesystem in order by itself."""


def state_of(node: str, filesystem: str) -> State:
    """What the filesystem says of itself. Raises ``OSError`` where the device cannot be read."""
    with open(node, "rb", buffering=0) as device:
        if filesystem in _EXT:
            return _ext_state(_read(device.fileno(), _EXT_SUPERBLOCK, 1024))
        if filesystem == "exfat":
            return _exfat_state(_read(device.fileno(), 0, 512))
        if filesystem == "vfat":
            return _fat_state(_read(device.fileno(), 0, 512))
    return "unknown"


def put_in_order(node: str, filesystem: str) -> None:
    """Run the filesystem's checker where it was not left in order. Raises ``NeedsRepair`` or ``OSError``."""
    if state_of(node, filesystem) != "dirty":
        return
    program, option = _CHECKERS[filesystem]
    found = shutil.which(program, path=os.defpath + ":/usr/sbin:/sbin")
    if found is None:
        if filesystem in _EXT:
            raise NeedsRepair(f"{program} is not installed")
        return  # the kernel takes exFAT and FAT as they are
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs; the node is the kernel's
            [found, option, node],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NeedsRepair(f"{program} did not end in time") from error
    if done.returncode >= _NOT_REPAIRED or done.returncode < 0:
        raise NeedsRepair(f"{program} could not repair it by itself")


def _read(fd: int, offset: int, size: int) -> bytes:
    data = os.pread(fd, size, offset)
    if len(data) != size:
        raise OSError(5, "the device is shorter than its filesystem")
    return data


def _ext_state(superblock: bytes) -> State:
    magic, state = struct.unpack_from("<HH", superblock, 0x38)
    (features,) = struct.unpack_from("<I", superblock, 0x5C)
    if magic != _EXT_MAGIC:
        return "dirty"
    if state & _EXT_ERRORS:
        return "dirty"
    journaled = bool(features & _EXT_HAS_JOURNAL)
    return "clean" if state & _EXT_CLEAN or journaled else "dirty"


def _exfat_state(boot: bytes) -> State:
    (flags,) = struct.unpack_from("<H", boot, 106)  # VolumeFlags: bit 1 VolumeDirty, bit 2 MediaFailure
    return "dirty" if flags & 0b110 else "clean"


def _fat_state(boot: bytes) -> State:
    fat32 = struct.unpack_from("<H", boot, 22)[0] == 0  # no 16-bit size of a FAT
    return "dirty" if boot[0x41 if fat32 else 0x25] & 1 else "clean"
