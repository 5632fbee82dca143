"""Formatting a disk: one partition, ext4, and no trace of the old signatures.

Owns: the order of the steps, the programs, and the proof that it is still the disk that was asked for. Does not know:
whether this disk may be erased, or who agreed.

The disk is kept open from the check to the end. Meanwhile the kernel gives its name to no other disk, so that what the
programs open by that name is what was checked; and a lock on it (systemd's "block device locking") makes udev probe it
once it is finished, not in between.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kinebackup.drives.block_device import number_of_node, read_device
from kinebackup.drives.filesystem_state import PROGRAMS
from kinebackup.drives.kernel_mount import disk_sequence, is_claimed
from kinebackup.drives.system import System
from kinebackup.drives.volumes import partition_names
from kinebackup.errors import DriveFailed, KineError
from kinebackup.i18n import _

LABEL_PREFIX: Final = "KINEBACKUP-"
EXT4_LABEL_BYTES: Final = 16  # ext4's superblock

_PACKAGES: Final = {"wipefs": "util-linux", "sfdisk": "fdisk", "partx": "util-linux", "mkfs.ext4": "e2fsprogs"}
_LINUX_DATA: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"  # UAPI Group, Discoverable Partitions: generic data
_WITHIN_S: Final = 3600.0  # a slow stick takes minutes for its inode tables
_AT_ONCE_S: Final = 1.0
_NODE_WITHIN_S: Final = 20.0
_LOCK_WITHIN_S: Final = 30.0
_GIB: Final = 2**30
_BYTES_PER_INODE: Final = 262_144
_FEWEST_INODES: Final = 16_384
_JOURNAL_MIB: Final = 64


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk, as it was shown to the person who agreed to erase it. ``sequence``: unique since the computer
    started, 0 where the kernel has none."""

    node: str
    sequence: int
    size_bytes: int
    model: str
    serial: str


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What the new drive is called. VolumeChoice before it is made, so that a rule for it can be there first."""

    filesystem_uuid: str
    partition_uuid: str
    label: str


class FormatFailed(DriveFailed):
    """The disk could not be prepared; what was on it may be gone."""


class DiskInUse(KineError):
    """Something uses the disk or a part of it; nothing was changed."""


class DiskChanged(KineError):
    """It is not the disk that was shown; nothing was changed."""


def disk_of(system: System, number: str) -> Disk | None:
    """The device MAJOR:MINOR as a disk that may be erased; None for a partition, or where there is none."""
    device = read_device(system, number)
    if device is None or device.disks != (os.path.basename(device.node),):
        return None
    return Disk(device.node, device.disk_sequence, device.size_bytes, device.model, device.serial)


def filesystem_label(label: str) -> str:
    """The name in a file manager: as much of the drive's label as ext4 has room for."""
    return (LABEL_PREFIX + label).encode("utf-8", "ignore")[:EXT4_LABEL_BYTES].decode("utf-8", "ignore").strip()


def programs() -> dict[str, str]:
    """Where the programs are. Raises ``KineError`` that names the package of a missing one."""
    found: dict[str, str] = {}
    for name, package in _PACKAGES.items():
        path = shutil.which(name, path=PROGRAMS)
        if path is None:
            raise KineError(
                _("the program {name} is not installed").format(name=name),
                _("install the package {package}, then try again").format(package=package),
            )
        found[name] = path
    return found


def format_disk(
    disk: Disk, names: Identifiers, *, system: System | None = None, on_step: Callable[[str], None] = lambda _step: None
) -> str:
    """Erase the disk and make one partition; returns its node. ``on_step`` is called with each program before it runs.

    Nothing on it may be mounted. Raises ``DiskChanged`` or ``DiskInUse`` before anything is written, ``FormatFailed``
    after; ``KineError`` where a program is missing.
    """
    here = system or System()
    found = programs()
    with _exclusively_open(disk, here):
        number = number_of_node(here, disk.node) or ""
        for node in [*(f"/dev/{name}" for name in partition_names(here, number)), disk.node]:
            on_step("wipefs")
            _run([found["wipefs"], "--all", "--quiet", node])
        on_step("sfdisk")
        table = f'label: gpt\ntype={_LINUX_DATA}, uuid={names.partition_uuid}, name="KINEBACKUP"\n'
        _run([found["sfdisk"], "--wipe", "always", "--wipe-partitions", "always", "--quiet", disk.node], table)
        partition = _partition(disk, here, found["partx"])
        on_step("mkfs.ext4")
        _run([found["mkfs.ext4"], *_ext4_options(disk.size_bytes, names), partition])
    return partition


def _ext4_options(size_bytes: int, names: Identifiers) -> Sequence[str]:
    """Without lazy initialisation: the kernel would do it during the first backup and slow that down, or never, on a
    drive that is soon unmounted. To keep it short, there are few inodes, for the files are large, and a small journal.
    No blocks are reserved for root, which is the only one to write there.
    """
    journal = ["-J", f"size={_JOURNAL_MIB}"] if size_bytes >= _GIB else []
    return [
        *("-q", "-F", "-t", "ext4", "-m", "0", "-O", "metadata_csum"),
        *("-E", "lazy_itable_init=0,lazy_journal_init=0"),
        *("-N", str(max(_FEWEST_INODES, size_bytes // _BYTES_PER_INODE))),
        *journal,
        *("-L", names.label, "-U", names.filesystem_uuid),
    ]


@contextlib.contextmanager
def _exclusively_open(disk: Disk, system: System) -> Iterator[None]:
    """Keep the disk open and locked, having checked that it is the right one and unused."""
    try:
        fd = os.open(disk.node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise DiskChanged(
            _("{node} cannot be opened ({reason})").format(node=disk.node, reason=error.strerror),
            _("plug the drive in again, then run the command again"),
        ) from error
    try:
        _lock(fd, disk)
        _refuse_another_disk(fd, disk, system)
        _refuse_used(disk, system)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, disk: Disk) -> None:
    """udev holds the lock while it probes the disk."""
    deadline = time.monotonic() + _LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _in_use(disk) from None
            time.sleep(0.1)
        else:
            return


def _refuse_another_disk(fd: int, disk: Disk, system: System) -> None:
    opened = os.fstat(fd)
    now = None
    if stat.S_ISBLK(opened.st_mode):
        now = disk_of(system, f"{os.major(opened.st_rdev)}:{os.minor(opened.st_rdev)}")
    if now != disk or disk_sequence(fd) not in (disk.sequence, None):
        raise DiskChanged(
            _("{node} is not the disk any more that it was a moment ago; nothing was erased").format(node=disk.node),
            _("look which drive is plugged in, then run the command again"),
        )


def _refuse_used(disk: Disk, system: System) -> None:
    try:
        if is_claimed(disk.node):  # a part of it is mounted, or is swap, or belongs to LVM, RAID or an open container
            raise _in_use(disk)
    except OSError as error:
        raise FormatFailed(
            _("{node} cannot be read ({reason})").format(node=disk.node, reason=error.strerror),
            _("the drive is broken, or its connection is bad; take another one"),
        ) from error
    if _is_read_only(disk, system):
        raise FormatFailed(
            _("{node} cannot be written to").format(node=disk.node), _("look for a switch on it that protects it")
        )


def _is_read_only(disk: Disk, system: System) -> bool:
    number = number_of_node(system, disk.node)
    device = read_device(system, number) if number is not None else None
    return device is None or device.read_only


def _in_use(disk: Disk) -> DiskInUse:
    return DiskInUse(
        _("{node} is in use, so it was not erased").format(node=disk.node),
        _("close what is open on it, eject it in the file manager, then try again"),
    )


def _partition(disk: Disk, system: System, partx: str) -> str:
    """The node of the new partition, once the kernel and the device filesystem have it.

    sfdisk asks the kernel to read the table; where that fails, because another program had just opened the disk, or the
    kernel reads no tables, partx tells it of the partition.
    """
    node = _wait_for_partition(disk, system, _AT_ONCE_S)
    if not node:
        _run([partx, "--update", disk.node])
        node = _wait_for_partition(disk, system, _NODE_WITHIN_S)
    if not node:
        raise FormatFailed(
            _("the new partition of {node} did not appear").format(node=disk.node),
            _("unplug the drive, plug it in again, then run the command again"),
        )
    return node


def _wait_for_partition(disk: Disk, system: System, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while True:
        names = partition_names(system, number_of_node(system, disk.node) or "")
        node = f"/dev/{names[0]}" if len(names) == 1 else ""
        if node and _is_device(node, number_of_node(system, node)):
            return node
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.05)


def _is_device(node: str, number: str | None) -> bool:
    try:
        there = os.stat(node)
    except OSError:
        return False
    return stat.S_ISBLK(there.st_mode) and f"{os.major(there.st_rdev)}:{os.minor(there.st_rdev)}" == number


def _run(arguments: Sequence[str], text: str = "") -> None:
    """Raises ``FormatFailed`` with the last line of what the program said."""
    name = os.path.basename(arguments[0])
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs; the nodes are the kernel's, the identifiers our own
            arguments,
            input=text.encode(),
            capture_output=True,
            timeout=_WITHIN_S,
            check=False,
            env={"PATH": PROGRAMS, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FormatFailed(
            _("{program} did not come to its end ({reason})").format(program=name, reason=type(error).__name__),
            _("the drive is broken, or its connection is bad; take another one"),
        ) from error
    if done.returncode != 0:
        said = os.fsdecode(done.stderr).strip().splitlines()
        raise FormatFailed(
            _("the drive could not be prepared: {program} said: {text}").format(
                program=name, text=said[-1] if said else str(done.returncode)
            ),
            _("unplug the drive, plug it in again, then run the command again"),
        )
