"""Mounting a drive for this process alone.

Owns: the order of the steps, the options of each filesystem, and the checks after mounting. Does not know: whose drive
it is, or what will be written.

``mount_drive`` blocks, as long as the drive takes: call it in a thread.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kinebackup.drives import kernel_mount
from kinebackup.drives.busy import is_mount_of, used_by, who_uses
from kinebackup.drives.device_handle import DeviceGone, expected_device, open_device
from kinebackup.drives.filesystem_state import FilesystemState, has_ext_superblock, probe, repair_filesystem
from kinebackup.drives.mount_table import read_mounts
from kinebackup.drives.system import System
from kinebackup.drives.udisks import unmount_by_udisks
from kinebackup.drives.unmounting import (
    DesktopUnmount,
    StillMounted,
    canonical_mount_point,
    drop_mount,
    release,
    remove_mount_point,
)
from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.model import MountFailure, folder_not_made
from kinebackup.policy.target_facts import DeviceFacts

# The kernel's driver for each type that is mounted, and its options. Files of filesystems that know no owners are
# root's. ext4 is to stop at a fault, not to go on.
_DRIVERS: Final = {
    "ext2": ("ext4", "errors=remount-ro"),
    "ext3": ("ext4", "errors=remount-ro"),
    "ext4": ("ext4", "errors=remount-ro"),
    "xfs": ("xfs", ""),
    "btrfs": ("btrfs", ""),
    "f2fs": ("f2fs", ""),
    "vfat": ("vfat", "umask=0077,errors=remount-ro"),
    "exfat": ("exfat", "umask=0077,errors=remount-ro"),
    "ntfs": ("ntfs3", "umask=0077"),
}
_CORRUPTION: Final = frozenset({errno.EUCLEAN, errno.EBADMSG})  # a damaged structure, a wrong checksum


class MountFailed(KineError):
    """A drive could not be mounted. ``program`` is what keeps it busy, where that can be told."""

    def __init__(self, reason: MountFailure, message: str, hint: str = "", *, program: str = "") -> None:
        super().__init__(message, hint)
        self.reason: MountFailure = reason
        self.program = program


def mount_drive(
    node: str,
    disk_sequence: int,
    where: str,
    *,
    desktop_unmount: DesktopUnmount = unmount_by_udisks,
    system: System | None = None,
) -> FilesystemState:
    """Mount this device at ``where``, a directory that is created below one that only root may change.

    Where the desktop mounted it, it is unmounted first, by ``desktop_unmount`` or by us. Returns "unchecked" where the
    filesystem was not cleanly unmounted and no program to repair it is installed. Raises ``MountFailed``; then nothing
    is mounted.
    """
    here = system or System()
    where = canonical_mount_point(where)
    with _device_errors(), open_device(node) as fd:
        device = expected_device(fd, node, disk_sequence, here)
        if device.read_only:
            raise _read_only(_("look for a lock switch on it"))
        try:
            release(device, desktop_unmount, here)
        except StillMounted as error:
            raise _busy(error.program) from error
        filesystem, state = _sound_filesystem(node)
        _mount_at(where, device, filesystem, here)
        try:
            _check_mounted(device, where, here)
            expected_device(fd, node, disk_sequence, here)
        except BaseException:
            drop_mount(where)
            raise
    return state


@contextmanager
def _device_errors() -> Iterator[None]:
    """Raises ``MountFailed`` for a device that answers with an error, or is gone."""
    try:
        yield
    except DeviceGone as error:
        raise MountFailed("failed", error.message) from error
    except OSError as error:
        raise MountFailed("failed", _("the drive cannot be read: {error}").format(error=error.strerror)) from error


def _sound_filesystem(node: str) -> tuple[str, FilesystemState]:
    """The type of the filesystem, repaired if need be. Raises ``MountFailed``, OSError."""
    found = probe(node)
    if found is None and has_ext_superblock(node):
        raise _dirty()
    if found is None or found.usage != "filesystem":
        raise MountFailed("failed", _("there is no file system on the drive that can be recognised"))
    if found.filesystem not in _DRIVERS:
        raise _unsupported(found.filesystem)
    state = repair_filesystem(node, found.filesystem)
    if state == "dirty":
        raise _dirty()
    return found.filesystem, state


def _mount_at(where: str, device: DeviceFacts, filesystem: str, system: System) -> None:
    driver, options = _DRIVERS[filesystem]
    directory = _make_directory(where)
    try:
        kernel_mount.mount(device.node, directory, driver, options)
    except OSError as error:
        remove_mount_point(where)
        raise _refusal(error, device, filesystem, system) from error
    finally:
        os.close(directory)


def _make_directory(where: str) -> int:
    """An open directory that is no link, below one that nobody else may change. Raises ``MountFailed``."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    parent_path, name = os.path.split(where)
    try:
        parent = os.open(parent_path, flags)
        try:
            status = os.fstat(parent)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise MountFailed("failed", _("others may change the folder {path}").format(path=parent_path))
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            directory = os.open(name, flags, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise MountFailed("failed", folder_not_made(where, error).message) from error
    if os.fstat(directory).st_dev != status.st_dev:
        os.close(directory)
        raise _taken(where)
    return directory


def _check_mounted(device: DeviceFacts, where: str, system: System) -> None:
    """That the device is what is mounted there: an empty directory is never written to. Raises ``MountFailed``."""
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        number = os.fstat(fd).st_dev
        if number == os.stat(os.path.dirname(where)).st_dev:
            raise _not_mounted()
        if f"{os.major(number)}:{os.minor(number)}" != device.number and not _is_listed(device, where, system):
            raise _taken(where)
        if not kernel_mount.is_guarded(fd):
            raise _not_mounted()
        if kernel_mount.is_read_only(fd):
            raise _read_only()
        _keep_others_out(fd)
    finally:
        os.close(fd)


def _keep_others_out(fd: int) -> None:
    """A drive may have been formatted for everybody: nobody but root is to put anything beside the backups."""
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    if mode & 0o022:
        with suppress(OSError):  # FAT and NTFS have no modes
            os.fchmod(fd, mode & ~0o022)


def _is_listed(device: DeviceFacts, where: str, system: System) -> bool:
    """For btrfs, whose files have a number of their own."""
    mount = read_mounts(system).of_path(where)
    return mount is not None and mount.mount_point == where and is_mount_of(mount, device.number, device.node, system)


def _refusal(error: OSError, device: DeviceFacts, filesystem: str, system: System) -> MountFailed:
    match error.errno:
        case errno.EBUSY:
            return _busy(who_uses(device.number, system))
        case errno.EROFS | errno.EACCES:
            return _read_only()
        case errno.ENODEV:
            return _unsupported(filesystem)
        case errno.EINVAL if filesystem == "ntfs":  # how its driver refuses one that Windows left half written
            return _dirty()
        case number if number in _CORRUPTION:
            return _dirty()
    return MountFailed("failed", _("the drive could not be mounted: {error}").format(error=error.strerror))


def _read_only(hint: str = "") -> MountFailed:
    return MountFailed("read-only", _("the drive cannot be written to"), hint)


def _not_mounted() -> MountFailed:
    return MountFailed("failed", _("the drive could not be mounted"))


def _taken(where: str) -> MountFailed:
    return MountFailed("failed", _("something else is mounted at {path}").format(path=where))


def _busy(program: str) -> MountFailed:
    if program:
        return MountFailed("busy", used_by(program), program=program)
    return MountFailed("busy", _("another program uses the drive"))


def _dirty() -> MountFailed:
    return MountFailed(
        "dirty", _("the file system of the drive must be repaired"), _("repair it with fsck, or format it again")
    )


def _unsupported(filesystem: str) -> MountFailed:
    return MountFailed(
        "failed",
        _("this computer cannot use a drive with the file system {type}").format(type=filesystem),
        _("prepare it with: kinebackup drive enroll --format"),
    )
