"""Unmounting a drive for everybody: here, on the desktop, and in every other mount namespace.

Owns: the order of the steps, and the check that nobody has it mounted any more. Does not know: whose drive it is.

``unmount_drive`` and ``release`` block, as long as the drive takes: call them in a thread.
"""

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kinebackup.drives import kernel_mount
from kinebackup.drives.busy import is_mount_of, mounts_anywhere, used_by, who_uses
from kinebackup.drives.device_handle import DeviceGone, expected_device, open_device
from kinebackup.drives.mount_table import read_mounts
from kinebackup.drives.system import System
from kinebackup.drives.udisks import unmount_by_udisks
from kinebackup.errors import DriveFailed, KineError
from kinebackup.i18n import _
from kinebackup.policy.target_facts import DeviceFacts

DesktopUnmount = Callable[[str], bool]
"""Asks the service that mounted this device for the desktop to unmount it; whether it did."""

_TIMEOUT_S: Final = 5.0  # a desktop that has just opened a drive to look into it closes it by itself
_PAUSE_S: Final = 0.2
_MAX_STACKED: Final = 32


class StillMounted(KineError):
    """A drive was not, or not properly, unmounted. ``program`` is what keeps it busy, where that can be told."""

    def __init__(self, message: str, *, program: str = "") -> None:
        super().__init__(message, _("close the windows and programs that use the drive, then try again"))
        self.program = program


def unmount_drive(
    node: str,
    disk_sequence: int,
    where: str | None,
    *,
    desktop_unmount: DesktopUnmount = unmount_by_udisks,
    system: System | None = None,
) -> None:
    """Flush and unmount the device, here and on the desktop; returns when nobody has it mounted any more.

    Raises ``StillMounted``, and ``DriveFailed`` where it is unmounted but flushing failed.
    """
    here = system or System()
    device = None
    with suppress(DeviceGone, OSError), open_device(node) as fd:
        device = expected_device(fd, node, disk_sequence, here)
    if device is None:
        _clean_up_after_removal(where)
        return
    unwritten = _unmount_here(device, canonical_mount_point(where), here) if where is not None else None
    release(device, desktop_unmount, here)
    if where is not None:
        remove_mount_point(where)
    if unwritten is not None:
        message = _("the drive did not take all that was written: {error}").format(error=unwritten.strerror)
        raise DriveFailed(message) from unwritten


def drop_mount(where: str) -> None:
    """Detach what is left of the mount of a device that is gone, and remove the directory. Never raises."""
    for _layer in range(_MAX_STACKED):
        try:
            kernel_mount.detach(where)
        except OSError:
            break
    remove_mount_point(where)


def _unmount_here(device: DeviceFacts, where: str, system: System) -> OSError | None:
    """Unmount this process's own mount; returns the error of flushing. Raises ``StillMounted``."""
    if not any(mount.mount_point == where for mount in read_mounts(system).mounts):
        return None
    unwritten: OSError | None = None
    try:
        kernel_mount.sync_filesystem(where)
    except OSError as error:
        unwritten = error
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            kernel_mount.unmount(where)
        except OSError as error:
            if error.errno == errno.EINVAL:  # no mount left there
                return unwritten
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise _still_mounted(device, system) from error
            time.sleep(_PAUSE_S)


def release(device: DeviceFacts, desktop_unmount: DesktopUnmount, system: System) -> None:
    """Unmount it everywhere: on the desktop by its own service, in this namespace by us. Raises ``StillMounted``."""
    deadline = time.monotonic() + _TIMEOUT_S
    while _is_held(device, system):
        if time.monotonic() > deadline:
            raise _still_mounted(device, system)
        if mounts_anywhere(device.number, device.node, system):
            desktop_unmount(device.node)
        table = read_mounts(system)
        for mount in reversed(table.mounts):
            # Not where something else is mounted on top: umount2(2) would take that.
            is_on_top = table.of_path(mount.mount_point) == mount
            if is_on_top and is_mount_of(mount, device.number, device.node, system):
                with suppress(OSError):  # the next round tries again
                    kernel_mount.unmount(mount.mount_point)
        if _is_held(device, system):
            time.sleep(_PAUSE_S)


def _is_held(device: DeviceFacts, system: System) -> bool:
    """Not by mount tables alone: a detached filesystem is in none of them, but in use while a file of it is open."""
    if mounts_anywhere(device.number, device.node, system):
        return True
    try:
        return kernel_mount.is_claimed(device.node)
    except OSError:
        return False  # pulled meanwhile, or no disk in the reader: nothing is mounted that could be unmounted


def _still_mounted(device: DeviceFacts, system: System) -> StillMounted:
    program = who_uses(device.number, system)
    if program:
        return StillMounted(used_by(program), program=program)
    return StillMounted(_("the drive is still mounted"))


def _clean_up_after_removal(where: str | None) -> None:
    """For a device that is gone. Raises ``StillMounted`` where it was still mounted: what was not flushed is lost."""
    if where is None:
        return
    was_mounted = os.path.ismount(where)
    drop_mount(where)
    if was_mounted:
        raise StillMounted(_("the drive was unplugged before it was unmounted"))


def remove_mount_point(where: str) -> None:
    """Remove the empty directory; rmdir(2) refuses one that is not empty."""
    with suppress(OSError):
        os.rmdir(where)


def canonical_mount_point(where: str) -> str:
    """The path as mount tables list it. The last name is not resolved, for it must not be a link."""
    return os.path.join(os.path.realpath(os.path.dirname(where)), os.path.basename(where))
