"""The device that was plugged in, held open under its name.

Owns: opening it, and telling it from another device that got the same name later. Does not know: mounts.

``disk_sequence`` tells two devices apart that had the same name one after the other; while the device is open, the
kernel gives its name to no other.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kinebackup.drives import kernel_mount
from kinebackup.drives.block_device import read_device
from kinebackup.drives.system import System
from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.policy.target_facts import DeviceFacts

_ABSENCE: Final = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM})


class DeviceGone(KineError):
    """It was unplugged, or another one has its name."""

    def __init__(self) -> None:
        super().__init__(_("the drive is not there any more"))


@contextmanager
def open_device(node: str) -> Iterator[int]:
    """Raises ``DeviceGone``, and OSError where the device answers with an error."""
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno not in _ABSENCE:
            raise
        raise DeviceGone from error
    try:
        yield fd
    finally:
        os.close(fd)


def expected_device(fd: int, node: str, disk_sequence: int, system: System) -> DeviceFacts:
    """The facts of the open device. Raises ``DeviceGone`` where it is not the one that had this name."""
    status = os.fstat(fd)
    device = read_device(system, f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
    expected = stat.S_ISBLK(status.st_mode) and device is not None and device.node == node
    if device is None or not expected or device.disk_sequence != disk_sequence:
        raise DeviceGone
    asked = kernel_mount.disk_sequence(fd)
    is_layered = not os.path.basename(node).startswith(device.disks)  # a mapping has a sequence of its own
    if asked is not None and not is_layered and asked != disk_sequence:
        raise DeviceGone
    return device
