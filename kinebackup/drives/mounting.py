"""Mounting a drive for this process alone, and unmounting it for everybody.

Owns: the order of the steps, and the checks after each. Does not know: whose drive it is, or what will be written.

All functions block, as long as the drive takes: call them in a thread. ``disk_sequence`` tells two devices apart that
had the same name one after the other; the device is kept open meanwhile, so that its name cannot get to a third one.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal

from kinebackup.drives import kernel_mount
from kinebackup.drives.block_device import read_device
from kinebackup.drives.busy import is_mount_of, mounts_anywhere, who_uses
from kinebackup.drives.filesystem_state import State, looks_like_ext, put_in_order, recognise
from kinebackup.drives.mount_table import read_mounts
from kinebackup.drives.power import unmount_by_udisks
from kinebackup.drives.system import System
from kinebackup.errors import DriveFailed, KineError
from kinebackup.i18n import _
from kinebackup.policy.target_facts import DeviceFacts

MountFailure = Literal["busy", "dirty", "read-only", "failed"]
Elsewhere = Callable[[str], bool]
"""Asks whoever mounted that device for the desktop to unmount it; whether that was done."""

_PATIENCE_S: Final = 5.0  # a desktop that looks into a drive it has just noticed lets go by itself
_PAUSE_S: Final = 0.2
_MAX_STACKED: Final = 32

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
_ABSENCE: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM})
_DISORDER: Final = frozenset({errno.EUCLEAN, errno.EBADMSG})  # how the kernel says: structure, checksum


class NotMounted(KineError):
    """A drive that could not be mounted, and why; ``program`` keeps it busy, where that can be told."""

    def __init__(self, reason: MountFailure, message: str, hint: str = "", *, program: str = "") -> None:
        super().__init__(message, hint)
        self.reason: MountFailure = reason
        self.program = program


class StillMounted(KineError):
    """A drive that was not, or not properly, unmounted; ``program`` keeps it busy, where that can be told."""

    def __init__(self, message: str, *, program: str = "") -> None:
        super().__init__(message, _("close the windows and programs that use the drive, then try again"))
        self.program = program


def mount_drive(
    node: str,
    disk_sequence: int,
    where: str,
    *,
    elsewhere: Elsewhere = unmount_by_udisks,
    system: System | None = None,
) -> State:
    """Mount that very device at ``where``, a directory that is made below one that only root may change.

    What the desktop mounted of it is unmounted first, by ``elsewhere`` or by hand. "unchecked" is answered where it was
    left in disorder and nothing is installed that could repair it. Raises ``NotMounted``; then nothing is mounted.
    """
    here = system or System()
    where = _without_links(where)
    with _reading_errors(), _open_device(node) as fd:
        device = _expected_device(fd, node, disk_sequence, here)
        if device.read_only:
            raise NotMounted("read-only", _("the drive cannot be written to"), _("look for a lock switch on it"))
        try:
            _release(device, elsewhere, here)
        except StillMounted as error:
            raise _busy(error.program) from error
        filesystem, state = _sound_filesystem(node)
        _mount_at(where, device, filesystem, here)
        try:
            _check_mounted(device, where, here)
            _expected_device(fd, node, disk_sequence, here)
        except BaseException:
            drop_mount(where)
            raise
    return state


def unmount_drive(
    node: str,
    disk_sequence: int,
    where: str | None,
    *,
    elsewhere: Elsewhere = unmount_by_udisks,
    system: System | None = None,
) -> None:
    """Write all to the device and unmount it, here and on the desktop; returns when nobody has it mounted any more.

    Raises ``StillMounted``, and ``DriveFailed`` where it is unmounted but did not take what was written.
    """
    here = system or System()
    device = None
    with suppress(NotMounted), _reading_errors(), _open_device(node) as fd:
        device = _expected_device(fd, node, disk_sequence, here)
    if device is None:
        _drop_what_is_lost(where)
        return
    unwritten = _unmount_here(device, _without_links(where), here) if where is not None else None
    _release(device, elsewhere, here)
    if where is not None:
        _remove(where)
    if unwritten is not None:
        message = _("the drive did not take all that was written: {error}").format(error=unwritten.strerror)
        raise DriveFailed(message) from unwritten


def drop_mount(where: str) -> None:
    """The device is gone: take away what is left of its mount, and the directory. Nothing is said where none is."""
    for _layer in range(_MAX_STACKED):
        try:
            kernel_mount.detach(where)
        except OSError:
            break
    _remove(where)


# --- the device -------------------------------------------------------------------------------------------------------


@contextmanager
def _reading_errors() -> Iterator[None]:
    """A device that answers with an error, or not at all any more."""
    try:
        yield
    except OSError as error:
        raise NotMounted("failed", _("the drive cannot be read: {error}").format(error=error.strerror)) from error


@contextmanager
def _open_device(node: str) -> Iterator[int]:
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno not in _ABSENCE:
            raise
        raise NotMounted("failed", _("the drive is not there any more")) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _expected_device(fd: int, node: str, disk_sequence: int, system: System) -> DeviceFacts:
    """What is known of the open device. Raises ``NotMounted`` where it is not the one that had this name."""
    status = os.fstat(fd)
    device = read_device(system, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    expected = stat.S_ISBLK(status.st_mode) and device is not None and device.node == node
    if device is None or not expected or device.disk_sequence != disk_sequence:
        raise NotMounted("failed", _("the drive is not there any more"))
    asked = kernel_mount.disk_sequence(fd)
    is_layered = not os.path.basename(node).startswith(device.disks)  # a mapping has a sequence of its own
    if asked is not None and not is_layered and asked != disk_sequence:
        raise NotMounted("failed", _("the drive is not there any more"))
    return device


def _sound_filesystem(node: str) -> tuple[str, State]:
    """The type of the filesystem, which is in order by now. Raises ``NotMounted``, OSError."""
    found = recognise(node)
    if found is None and looks_like_ext(node):
        raise _dirty()
    if found is None or found.usage != "filesystem":
        raise NotMounted("failed", _("there is no file system on the drive that can be recognised"))
    if found.filesystem not in _DRIVERS:
        raise _unsupported(found.filesystem)
    state = put_in_order(node, found.filesystem)
    if state == "dirty":
        raise _dirty()
    return found.filesystem, state


# --- mounting ---------------------------------------------------------------------------------------------------------


def _mount_at(where: str, device: DeviceFacts, filesystem: str, system: System) -> None:
    driver, options = _DRIVERS[filesystem]
    directory = _make_directory(where)
    try:
        kernel_mount.mount(device.node, directory, driver, options)
    except OSError as error:
        _remove(where)
        raise _refusal(error, device, filesystem, system) from error
    finally:
        os.close(directory)


def _without_links(where: str) -> str:
    """As mount tables write it. The last name is kept: it must not be a link."""
    return os.path.join(os.path.realpath(os.path.dirname(where)), os.path.basename(where))


def _make_directory(where: str) -> int:
    """An open directory that is no link, below one that nobody else may change. Raises ``NotMounted``."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    parent_path, name = os.path.split(where)
    try:
        parent = os.open(parent_path, flags)
        try:
            status = os.fstat(parent)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                raise NotMounted("failed", _("others may change the folder {path}").format(path=parent_path))
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            directory = os.open(name, flags, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        message = _("the folder {path} cannot be made: {error}").format(path=where, error=error.strerror)
        raise NotMounted("failed", message) from error
    if os.fstat(directory).st_dev != status.st_dev:
        os.close(directory)
        raise NotMounted("failed", _("something else is mounted at {path}").format(path=where))
    return directory


def _check_mounted(device: DeviceFacts, where: str, system: System) -> None:
    """That the device is what is mounted there: an empty directory is never written to. Raises ``NotMounted``."""
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        number = os.fstat(fd).st_dev
        if number == os.stat(os.path.dirname(where)).st_dev:
            raise NotMounted("failed", _("the drive could not be mounted"))
        if f"{os.major(number)}:{os.minor(number)}" != device.number and not _is_listed(device, where, system):
            raise NotMounted("failed", _("something else is mounted at {path}").format(path=where))
        if not kernel_mount.is_guarded(fd):
            raise NotMounted("failed", _("the drive could not be mounted"))
        if kernel_mount.is_read_only(fd):
            raise NotMounted("read-only", _("the drive cannot be written to"))
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


def _refusal(error: OSError, device: DeviceFacts, filesystem: str, system: System) -> NotMounted:
    match error.errno:
        case errno.EBUSY:
            return _busy(who_uses(device.number, system))
        case errno.EROFS | errno.EACCES:
            return NotMounted("read-only", _("the drive cannot be written to"))
        case errno.ENODEV:
            return _unsupported(filesystem)
        case errno.EINVAL if filesystem == "ntfs":  # how its driver refuses one that Windows left half written
            return _dirty()
        case number if number in _DISORDER:
            return _dirty()
    return NotMounted("failed", _("the drive could not be mounted: {error}").format(error=error.strerror))


def _busy(program: str) -> NotMounted:
    if program:
        return NotMounted("busy", _("the drive is used by {program}").format(program=program), program=program)
    return NotMounted("busy", _("another program uses the drive"))


def _dirty() -> NotMounted:
    return NotMounted(
        "dirty", _("the file system of the drive must be repaired"), _("repair it with fsck, or format it again")
    )


def _unsupported(filesystem: str) -> NotMounted:
    return NotMounted(
        "failed",
        _("this computer cannot use a drive with the file system {type}").format(type=filesystem),
        _("prepare it with: kinebackup drive enroll --format"),
    )


# --- unmounting -------------------------------------------------------------------------------------------------------


def _unmount_here(device: DeviceFacts, where: str, system: System) -> OSError | None:
    """Unmount the place of this process; what the device did not take is returned. Raises ``StillMounted``."""
    if not any(mount.mount_point == where for mount in read_mounts(system).mounts):
        return None
    unwritten: OSError | None = None
    try:
        kernel_mount.sync_filesystem(where)
    except OSError as error:
        unwritten = error
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            kernel_mount.unmount(where)
        except OSError as error:
            if error.errno == errno.EINVAL:  # no mount left there
                return unwritten
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise _still_mounted(device, system) from error
            time.sleep(_PAUSE_S)


def _release(device: DeviceFacts, elsewhere: Elsewhere, system: System) -> None:
    """Whoever has it mounted: the desktop by its own service, this namespace by hand. Raises ``StillMounted``."""
    deadline = time.monotonic() + _PATIENCE_S
    while _is_held(device, system):
        if time.monotonic() > deadline:
            raise _still_mounted(device, system)
        if mounts_anywhere(device.number, device.node, system):
            elsewhere(device.node)
        table = read_mounts(system)
        for mount in reversed(table.mounts):
            # Not where something else was mounted on top: that is what would be unmounted.
            is_on_top = table.of_path(mount.mount_point) == mount
            if is_on_top and is_mount_of(mount, device.number, device.node, system):
                with suppress(OSError):  # what is left is seen in the next round
                    kernel_mount.unmount(mount.mount_point)
        if _is_held(device, system):
            time.sleep(_PAUSE_S)


def _is_held(device: DeviceFacts, system: System) -> bool:
    """Two questions: a table may list what the kernel has given back, and a filesystem lives on without being listed
    while a file of it is open.
    """
    if mounts_anywhere(device.number, device.node, system):
        return True
    try:
        return kernel_mount.is_claimed(device.node)
    except OSError:
        return False  # pulled meanwhile, or no disk in the reader: nothing is mounted that could be unmounted


def _still_mounted(device: DeviceFacts, system: System) -> StillMounted:
    program = who_uses(device.number, system)
    if program:
        return StillMounted(_("the drive is used by {program}").format(program=program), program=program)
    return StillMounted(_("the drive is still mounted"))


def _drop_what_is_lost(where: str | None) -> None:
    """The device is not there any more. Raises ``StillMounted`` where something of it was mounted: what had not been
    written yet is lost, so nobody may say that all went well.
    """
    if where is None:
        return
    was_mounted = os.path.ismount(where)
    drop_mount(where)
    if was_mounted:
        raise StillMounted(_("the drive was unplugged before it was unmounted"))


def _remove(where: str) -> None:
    """Never a directory with something in it, which rmdir(2) refuses."""
    with suppress(OSError):
        os.rmdir(where)
