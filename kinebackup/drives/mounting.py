"""Mounting a drive for this process alone, and letting go of it.

Owns: the system calls, the checks before and after them, and what keeps a drive from being mounted or let go. Does not
know: which drive it is, when it is mounted, or what is written.

mount(2) itself, not the program: it takes no options from fstab, starts no helper, and its flags are those that stand
here.
"""

import ctypes
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal

from kinebackup.drives.block_device import number_of_node, read_device, udev_properties
from kinebackup.drives.busy import is_of_device, mount_points_of, who_uses
from kinebackup.drives.filesystem_state import NeedsRepair, put_in_order
from kinebackup.drives.mounts import read_mounts
from kinebackup.drives.system import System
from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.policy.target_facts import DeviceFacts

# linux/mount.h
_NOSUID: Final = 2
_NODEV: Final = 4
_NOEXEC: Final = 8
_NOSYMFOLLOW: Final = 256
_NOATIME: Final = 1024
_FLAGS: Final = _NOSUID | _NODEV | _NOEXEC | _NOSYMFOLLOW | _NOATIME
_DETACH: Final = 2  # umount2(2)
_NOFOLLOW: Final = 8

_OPTIONS: Final = {
    **dict.fromkeys(("ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs"), ""),
    **dict.fromkeys(("vfat", "exfat", "ntfs3"), "uid=0,gid=0,umask=077"),
}
"""The filesystems that are mounted. Those without owners belong to root alone."""

_NAMES: Final = {"ntfs": "ntfs3"}  # what udev calls them → what the kernel calls them

_EUCLEAN: Final = 117  # "structure needs cleaning": XFS, ext4
_LET_GO_WITHIN_S: Final = 5.0
"""A desktop looks into a drive that it has just noticed, and lets go by itself."""

Reason = Literal["busy", "dirty", "read-only", "failed"]
Elsewhere = Callable[[str], bool]
"""Ask whoever mounted that device to unmount it; whether that was done."""


class NotMounted(KineError):
    """``program`` keeps the drive busy, where that can be told."""

    def __init__(self, reason: Reason, message: str, hint: str = "", *, program: str = "") -> None:
        super().__init__(message, hint)
        self.reason: Reason = reason
        self.program = program


class StillMounted(KineError):
    """The drive is in a mount table of this computer; ``program`` keeps it there, where that can be told."""

    def __init__(self, program: str = "") -> None:
        super().__init__(
            _("the drive is still in use by {program}").format(program=program)
            if program
            else _("the drive is still in use"),
            _("close what is open on it, then try again"),
        )
        self.program = program


def mount_drive(
    node: str, disk_sequence: int, where: str, *, elsewhere: Elsewhere | None = None, system: System | None = None
) -> None:
    """Mount at ``where``, which is made. The device must be that very one: its ``disk_sequence`` is looked at again.

    A drive that the desktop has mounted is taken from it first, by ``elsewhere`` or umount(2). Raises ``NotMounted``.
    """
    here = system or System()
    device = _expect(node, disk_sequence, here)
    if device.read_only:
        raise NotMounted(
            "read-only", _("the drive cannot be written to"), _("look for a switch on it that protects it")
        )
    _take_over(device, elsewhere, here)
    filesystem = _filesystem_of(device, here)
    try:
        put_in_order(node, filesystem)
    except NeedsRepair as error:
        raise NotMounted("dirty", error.message, _("let somebody who knows repair its file system")) from error
    except OSError as error:
        raise NotMounted("failed", _("the drive cannot be read ({reason})").format(reason=error.strerror)) from error
    os.makedirs(where, mode=0o700, exist_ok=True)
    if os.path.islink(where):
        raise NotMounted("failed", _("something else is in the place where the drive would be mounted"))
    try:
        _mount(node, where, filesystem)
        _check(where, device, disk_sequence, here)
    except BaseException:
        drop_mount(where)
        raise


def unmount_drive(
    node: str,
    disk_sequence: int,
    where: str | None,
    *,
    elsewhere: Elsewhere | None = None,
    system: System | None = None,
) -> None:
    """Sync and unmount, here and wherever else it is mounted. Raises ``StillMounted`` while a mount table has it.

    A device that is gone, or another one by now, is not mounted any more.
    """
    here = system or System()
    number = number_of_node(here, node)
    device = read_device(here, number) if number else None
    if where is not None and os.path.isdir(where):
        if os.path.ismount(where):
            _sync(where)
            if not _unmount(where, 0) and not _unmounted_soon(where):
                raise StillMounted(who_uses(number or "", node, here))
        with suppress(OSError):
            os.rmdir(where)
    if device is None or number is None or device.disk_sequence != disk_sequence:
        return
    if _is_mounted(number, node, here):
        _unmount_elsewhere(device, elsewhere, here)
    if _is_mounted(number, node, here):
        raise StillMounted(who_uses(number, node, here))


def drop_mount(where: str) -> None:
    """The device is gone, or was never the right one: let go of its mount, whoever uses it, and of the directory."""
    if os.path.lexists(where):
        while os.path.ismount(where) and _unmount(where, _DETACH):
            pass
        with suppress(OSError):
            os.rmdir(where)


def _expect(node: str, disk_sequence: int, system: System) -> DeviceFacts:
    number = number_of_node(system, node)
    device = read_device(system, number) if number else None
    if device is None or device.disk_sequence != disk_sequence:
        raise NotMounted("failed", _("the drive is not there any more"))
    return device


def _filesystem_of(device: DeviceFacts, system: System) -> str:
    """By what udev found on the device. Only those of the list: a hostile drive must not choose among all of them."""
    name = udev_properties(system, device.number).get("ID_FS_TYPE") or _probed(device.node)
    name = _NAMES.get(name, name)
    if name not in _OPTIONS:
        raise NotMounted(
            "failed",
            _("this kind of file system is not used for backups ({name})").format(name=name or "?"),
            _("prepare the drive anew: kinebackup drive enroll --format"),
        )
    return name


def _probed(node: str) -> str:
    """Where udev does not run: by blkid(8)."""
    found = shutil.which("blkid", path=os.defpath + ":/usr/sbin:/sbin")
    if found is None:
        return ""
    arguments = [found, "-p", "-o", "value", "-s", "TYPE", node]
    done = subprocess.run(arguments, capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - fixed
    return done.stdout.decode("ascii", "replace").strip()


def _mount(node: str, where: str, filesystem: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    options = _OPTIONS[filesystem].encode() or None
    if libc.mount(os.fsencode(node), os.fsencode(where), filesystem.encode(), ctypes.c_ulong(_FLAGS), options) == 0:
        return
    number = ctypes.get_errno()
    reason: Reason = "dirty" if number == _EUCLEAN else "failed"
    raise NotMounted(reason, _("the drive cannot be opened ({reason})").format(reason=os.strerror(number)))


def _check(where: str, device: DeviceFacts, disk_sequence: int, system: System) -> None:
    """What is mounted there now is that device, to be written to: an empty mount point is never taken for a drive."""
    _expect(device.node, disk_sequence, system)
    found = [mount for mount in read_mounts(system).mounts if mount.mount_point == os.path.realpath(where)]
    if not found or not is_of_device(found[-1], device.number, device.node):
        raise NotMounted("failed", _("something else is mounted in the place of the drive"))
    if os.stat(where).st_dev == os.stat(os.path.dirname(where)).st_dev:
        raise NotMounted("failed", _("the drive did not appear where it was mounted"))
    if found[-1].read_only:
        raise NotMounted("read-only", _("the drive was opened for reading only"), _("its file system may need repair"))
    with suppress(OSError):  # FAT and NTFS have no modes
        mode = stat.S_IMODE(os.stat(where).st_mode)
        if mode & 0o022:  # a drive that everybody may write to: the folder of the backups is root's, its place is not
            os.chmod(where, mode & ~0o022)


# --- where it is mounted besides ------------------------------------------------------------------------------------


def _is_mounted(number: str, node: str, system: System) -> bool:
    return bool(mount_points_of(number, node, system))


def _take_over(device: DeviceFacts, elsewhere: Elsewhere | None, system: System) -> None:
    if not _is_mounted(device.number, device.node, system):
        return
    _unmount_elsewhere(device, elsewhere, system)
    if _is_mounted(device.number, device.node, system):
        program = who_uses(device.number, device.node, system)
        message = _("the drive is in use by {program}").format(program=program) if program else _("the drive is in use")
        raise NotMounted("busy", message, _("close what is open on it, then try again"), program=program)


def _unmount_elsewhere(device: DeviceFacts, elsewhere: Elsewhere | None, system: System) -> None:
    """First as the desktop would; then what this process sees of it. What is in use is left where it is."""
    deadline = time.monotonic() + _LET_GO_WITHIN_S
    while True:
        if elsewhere is not None:
            elsewhere(device.node)
        for mount in reversed(read_mounts(system).mounts):
            if is_of_device(mount, device.number, device.node):
                _unmount(mount.mount_point, 0)
        if not _is_mounted(device.number, device.node, system) or time.monotonic() > deadline:
            return
        time.sleep(0.5)


def _unmounted_soon(where: str) -> bool:
    """A program that reads a file of the drive, such as a virus scanner, mostly lets go of it at once."""
    deadline = time.monotonic() + _LET_GO_WITHIN_S
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if _unmount(where, 0):
            return True
    return not os.path.ismount(where)


def _unmount(where: str, flags: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.umount2(os.fsencode(where), flags | _NOFOLLOW) == 0)


def _sync(where: str) -> None:
    """syncfs(2), as umount does; a backup that counts has been synced file by file, and told of what failed."""
    libc = ctypes.CDLL(None, use_errno=True)
    with suppress(OSError):
        fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            libc.syncfs(fd)
        finally:
            os.close(fd)
