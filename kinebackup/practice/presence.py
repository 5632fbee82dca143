"""Whether a drive that is known is here now, and where.

Owns: finding an enrolled drive's mount point. Does not know: what is on it. Only its header proves later that it is the
right one.
"""

import os
from dataclasses import dataclass

from kinebackup.drives.block_device import number_of_node, read_device
from kinebackup.drives.mount_table import Mount, read_mounts
from kinebackup.drives.system import System
from kinebackup.model import REPOSITORY_FOLDER
from kinebackup.policy.target_facts import DeviceFacts
from kinebackup.state.records import Drive


def folder_of(record: Drive, system: System) -> str | None:
    """Where an enrolled drive is mounted now, or None where it is absent."""
    if record.simulated:
        return record.folder if _has_repository(system, record.folder) else None
    found = mounted_device(record, system)
    return found.folder if found else None


@dataclass(frozen=True, slots=True)
class MountedDevice:
    """A drive's device, and where it is mounted."""

    device: DeviceFacts
    folder: str


def mounted_device(record: Drive, system: System) -> MountedDevice | None:
    """The device of an enrolled drive that is mounted now.

    A file system's UUID can be cloned with the drive: where two drives have it, the one with the serial number is
    taken. The serial number alone does not count: a disk may move into another case.
    """
    if not record.fs_uuid:
        return None
    found = [
        MountedDevice(device, mount.mount_point)
        for mount in read_mounts(system).mounts
        if mount.root == "/" and (device := _device_of(system, mount)) is not None
        if device.filesystem_uuid == record.fs_uuid and _has_repository(system, mount.mount_point)
    ]
    return min(found, key=lambda each: each.device.serial != record.serial, default=None)


def _device_of(system: System, mount: Mount) -> DeviceFacts | None:
    """btrfs and others have device numbers of their own; there the mount's source names the device."""
    number = mount.device
    if number.startswith("0:"):
        found = number_of_node(system, mount.source) if mount.source.startswith("/dev/") else None
        if found is None:
            return None
        number = found
    return read_device(system, number, mount_point=mount.mount_point)


def _has_repository(system: System, folder: str) -> bool:
    return os.path.isdir(system.path(os.path.join(folder, REPOSITORY_FOLDER)))
