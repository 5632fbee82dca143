"""What the filesystem on a device says of itself, and whether it was left in order.

Owns: recognising it, reading its flags, and having it repaired by its own program. Does not know: mounting.

A journal that was not finished is no fault: the kernel plays it back. Only what nothing else would mend is repaired,
and only as far as its program does so without asking.
"""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from typing import Final, Literal

State = Literal[
    "clean",
    "repaired",
    "unchecked",  # left in disorder, and its program is not installed, or took too long
    "dirty",  # its program does not dare to repair it
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
    """What is on a device: the type of its filesystem, what sort of content that is, its UUID."""

    filesystem: str
    usage: str  # "filesystem", "crypto", "raid"…
    uuid: str


def recognise(node: str) -> Signature | None:
    """Read from the device itself, not from a memory of it; None where nothing, or more than one thing, is there."""
    done = _run("blkid", "--probe", "--output", "export", node, timeout_s=_PROBE_S)
    if done is None or done.returncode != 0:
        return None
    lines = os.fsdecode(done.stdout).split("\n")
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    if not values.get("TYPE"):
        return None
    return Signature(values["TYPE"], values.get("USAGE", ""), values.get("UUID", ""))


def looks_like_ext(node: str) -> bool:
    """Whether there is an ext filesystem, be its superblock too damaged for ``recognise``. Raises OSError."""
    return _ext_state(node) is not None


def put_in_order(node: str, filesystem: str) -> State:
    """Repair what must be before mounting. The device must not be mounted. Raises OSError where it does not answer."""
    if filesystem in _EXT:
        return _ext_in_order(node)
    if filesystem in _FAT:
        return _fat_in_order(node, filesystem)
    return "clean"  # xfs, btrfs, f2fs and ntfs3 look for themselves, and mounting fails where they are not content


def _ext_in_order(node: str) -> State:
    state = _ext_state(node)
    if state is not None and state & _EXT_VALID and not state & _EXT_ERROR:
        return "clean"
    # No limit of time: a large disk takes minutes, and a repair must not be broken off.
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


def _fat_in_order(node: str, filesystem: str) -> State:
    if not _is_fat_dirty(node, filesystem):
        return "clean"
    done = _run(*_FAT[filesystem], node, timeout_s=_FAT_S)
    if done is None:
        return "unchecked"
    # Its exit code does not tell repaired from not repaired; that it took the mark away does.
    return "dirty" if _is_fat_dirty(node, filesystem) else "repaired"


_FAT: Final = {"vfat": ("fsck.fat", "-a"), "exfat": ("fsck.exfat", "-p")}


def _is_fat_dirty(node: str, filesystem: str) -> bool:
    """The mark that is there while it is mounted (Microsoft: exFAT 3.1.13.2; linux/fs/fat/inode.c, fat_set_state)."""
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
    """None where the program is not installed, or was ended because it took too long."""
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
