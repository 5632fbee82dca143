"""The type of the filesystem on a device, and whether it was cleanly unmounted.

Owns: probing it, reading its flags, and repairing it with its own fsck. Does not know: mounting.

A journal that must be replayed is no fault: the kernel does that. Repaired is only what nothing else would repair, and
only as far as fsck does so without asking.
"""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import Final, Literal

FilesystemState = Literal[
    "clean",
    "repaired",
    "unchecked",  # not cleanly unmounted, and fsck is not installed or took too long
    "dirty",  # fsck does not repair it without asking
]

PROGRAMS: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
_PROBE_S: Final = 30.0  # a disk that has to spin up first
_FAT_S: Final = 300.0
_EXT: Final = frozenset({"ext2", "ext3", "ext4"})

# The superblock of ext2 to ext4 (linux/fs/ext4/ext4.h): 1,024 bytes in, s_magic and s_state.
_EXT_OFFSET: Final = 1024
_EXT_MAGIC: Final = 0xEF53
_EXT_VALID: Final = 0x1
_EXT_ERROR: Final = 0x2
_E2FSCK_CORRECTED: Final = 3  # e2fsck(8): bits 1 and 2; any higher one says that something is left


@dataclass(frozen=True, slots=True)
class Signature:
    """What blkid(8) finds on a device."""

    filesystem: str
    usage: str  # "filesystem", "crypto", "raid"…
    uuid: str


def probe(node: str) -> Signature | None:
    """Read from the device itself, not from a cache; None where it finds nothing, or more than one signature."""
    done = _run("blkid", "--probe", "--output", "export", node, timeout_s=_PROBE_S)
    if done is None or done.returncode != 0:
        return None
    lines = os.fsdecode(done.stdout).split("\n")
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if not values.get("TYPE"):
        return None
    return Signature(values["TYPE"], values.get("USAGE", ""), values.get("UUID", ""))


def has_ext_superblock(node: str) -> bool:
    """Whether there is an ext superblock, even one too damaged for ``probe``. Raises OSError."""
    return _ext_state(node) is not None


def repair_filesystem(node: str, filesystem: str) -> FilesystemState:
    """Repair what must be repaired before mounting. The device must not be mounted. Raises OSError on read errors."""
    if filesystem in _EXT:
        return _ext_in_order(node)
    if filesystem in _FAT:
        return _fat_in_order(node, filesystem)
    return "clean"  # the drivers of xfs, btrfs, f2fs and ntfs3 check for themselves, and mounting fails


def _ext_in_order(node: str) -> FilesystemState:
    state = _ext_state(node)
    if state is not None and state & _EXT_VALID and not state & _EXT_ERROR:
        return "clean"
    # No timeout: a large disk takes minutes, and a repair must not be interrupted.
    done = _run("e2fsck", "-p", node, timeout_s=None)
    if done is None:
        return "unchecked"
    return "repaired" if not done.returncode & ~_E2FSCK_CORRECTED else "dirty"


def _ext_state(node: str) -> int | None:
    block = _read(node, _EXT_OFFSET, 1024)
    if len(block) < 1024:
        return None
    magic, state = struct.unpack_from("<HH", block, 0x38)
    return int(state) if magic == _EXT_MAGIC else None


def _fat_in_order(node: str, filesystem: str) -> FilesystemState:
    if not _is_fat_dirty(node, filesystem):
        return "clean"
    done = _run(*_FAT[filesystem], node, timeout_s=_FAT_S)
    if done is None:
        return "unchecked"
    # Its exit code does not tell whether it repaired anything; the cleared dirty bit does.
    return "dirty" if _is_fat_dirty(node, filesystem) else "repaired"


_FAT: Final = {"vfat": ("fsck.fat", "-a"), "exfat": ("fsck.exfat", "-p")}


def _is_fat_dirty(node: str, filesystem: str) -> bool:
    """The dirty bit, set while it is mounted (Microsoft: exFAT 3.1.13.2; linux/fs/fat/inode.c, fat_set_state)."""
    boot = _read(node, 0, 512)
    if len(boot) < 512:
        return False
    if filesystem == "exfat":
        return bool(boot[0x6A] & 0x2)
    is_fat32 = boot[0x16:0x18] == b"\0\0"  # sectors of one table, of FAT12 and FAT16
    return bool(boot[0x41 if is_fat32 else 0x25] & 0x1)


def _read(node: str, offset: int, length: int) -> bytes:
    fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def _run(name: str, *arguments: str, timeout_s: float | None) -> "subprocess.CompletedProcess[bytes] | None":
    """None where the program is not installed, or timed out."""
    program = shutil.which(name, path=PROGRAMS)
    if program is None:
        return None
    try:
        return subprocess.run(  # noqa: S603 - a program of the system, by its full path, on a node of /dev
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={"PATH": PROGRAMS, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        return None
