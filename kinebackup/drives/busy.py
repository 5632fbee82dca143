"""Which processes use a device: the mount tables of all of them, and the program that keeps it busy.

Owns: searching /proc. Does not know: what is to be done about it.

Files of other filesystems are never touched: the server of one of them may be dead, and the call would hang. Open
files are matched by their mount id, which the kernel knows without asking the filesystem.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kinebackup.drives.block_device import read_device
from kinebackup.drives.mount_table import Mount, parse_mountinfo
from kinebackup.drives.system import System
from kinebackup.i18n import _

_THIS_SYSTEM: Final = System()
_INIT: Final = 1
_MOUNT_ID: Final = re.compile(r"^mnt_id:\s*(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Holder:
    """A mount of the device, and one of the processes that see it there."""

    pid: int
    mount: Mount


def mounts_anywhere(number: str, node: str, system: System = _THIS_SYSTEM) -> tuple[Holder, ...]:
    """Every mount of a device, in every mount namespace in which a process lives; one process for each."""
    found: list[Holder] = []
    seen: set[str] = set()
    for pid in _processes(system):
        namespace = _namespace(system, pid)
        if namespace and namespace in seen:
            continue
        seen.add(namespace)
        table = parse_mountinfo(_bytes(system, pid, "mountinfo"))
        found += [Holder(pid, mount) for mount in table.mounts if is_mount_of(mount, number, node, system)]
    return tuple(found)


def is_mount_of(mount: Mount, number: str, node: str, system: System = _THIS_SYSTEM) -> bool:
    """Whether this is a mount of that device. btrfs has its own numbers: there the source decides."""
    if mount.device == number:
        return True
    if not mount.device.startswith("0:") or not mount.source.startswith("/dev/"):
        return False
    return os.path.basename(os.path.realpath(system.path(mount.source))) == os.path.basename(node)


def used_by(program: str) -> str:
    """How a person is told."""
    return _("the drive is used by {program}").format(program=program)


def who_uses(device_number: str, system: System = _THIS_SYSTEM) -> str:
    """The name of a program that keeps this device busy, or nothing where that cannot be told.

    First one that has a file or folder of it open; otherwise one whose own mount namespace still has the device
    mounted. This process is left out.
    """
    device = read_device(system, device_number)
    holders = mounts_anywhere(device_number, device.node if device is not None else "", system)
    ids = {holder.mount.mount_id for holder in holders}
    points = {holder.mount.mount_point for holder in holders}
    for pid in _processes(system):
        if pid != os.getpid() and _uses(system, pid, device_number, ids, points):
            return _name(system, pid)
    usual = {_namespace(system, _INIT), _namespace(system, os.getpid())}
    apart = (holder.pid for holder in holders if _namespace(system, holder.pid) not in usual)
    return next((_name(system, pid) for pid in apart), "")


def _uses(system: System, pid: int, number: str, ids: set[int], points: set[str]) -> bool:
    return (
        any(mount_id in ids for mount_id in _open_mounts(system, pid))
        or any(_is_there(system, f"/proc/{pid}/{link}", ids, points) for link in ("cwd", "root", "exe"))
        or _maps(system, pid, number)
    )


def _open_mounts(system: System, pid: int) -> Iterator[int]:
    """The mounts of a process's open files."""
    try:
        names = system.names(f"/proc/{pid}/fdinfo")
    except OSError:  # ended meanwhile, or another user's
        return
    for name in names:
        found = _MOUNT_ID.search(os.fsdecode(_bytes(system, pid, f"fdinfo/{name}")))
        if found is not None:
            yield int(found[1])


def _is_there(system: System, link: str, ids: set[int], points: set[str]) -> bool:
    """Whether the folder of a process is on one of these mounts; opened only where its path says that it may be."""
    try:
        target = os.readlink(system.path(link))
        if not any(target == point or target.startswith(point.rstrip("/") + "/") for point in points):
            return False
        fd = os.open(system.path(link), os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = _MOUNT_ID.search(os.fsdecode(_bytes(system, os.getpid(), f"fdinfo/{fd}")))
    finally:
        os.close(fd)
    return found is not None and int(found[1]) in ids


def _maps(system: System, pid: int, number: str) -> bool:
    """Whether a process has a file of the device in its memory: the fourth column of proc_pid_maps(5)."""
    major, _colon, minor = number.partition(":")
    if not major.isdigit() or not minor.isdigit():
        return False
    wanted = f"{int(major):02x}:{int(minor):02x}".encode()
    lines = (line.split(None, 5) for line in _bytes(system, pid, "maps").split(b"\n"))
    return any(len(columns) > 4 and columns[3] == wanted for columns in lines)


def _processes(system: System) -> list[int]:
    try:
        return sorted(int(name) for name in system.names("/proc") if name.isdigit())
    except OSError:
        return []


def _namespace(system: System, pid: int) -> str:
    """Empty where it is not told: then every process's table is read, which is slower and as good."""
    try:
        return os.readlink(system.path(f"/proc/{pid}/ns/mnt"))
    except OSError:
        return ""


def _name(system: System, pid: int) -> str:
    """As the kernel calls it. Any program can give itself any name."""
    name = os.fsdecode(_bytes(system, pid, "comm")).removesuffix("\n")
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _bytes(system: System, pid: int, name: str) -> bytes:
    """Not by ``System.read_bytes``: a process with a hundred thousand maps has a larger file than that allows."""
    try:
        with open(system.path(f"/proc/{pid}/{name}"), "rb") as file:
            return file.read()
    except OSError:  # ended meanwhile, or somebody else's
        return b""
