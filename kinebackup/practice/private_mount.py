"""Enrolled drives that are plugged in and that nobody has mounted: root's commands mount them for themselves.

Owns: finding them among the disks, mounting them for this process alone, letting them go. Does not know: what they are
opened for.

The desktop leaves enrolled drives alone, and the daemon mounts them in its own mount namespace: without this, a person
who wants a file back would find no drive.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kinebackup.drives.block_device import number_of_node
from kinebackup.drives.mount_namespace import leave_shared_mounts
from kinebackup.drives.mounting import mount_drive
from kinebackup.drives.system import System
from kinebackup.drives.unmounting import unmount_drive
from kinebackup.drives.volumes import volumes_of
from kinebackup.i18n import _
from kinebackup.model import folder_not_made
from kinebackup.policy.target_facts import DeviceFacts
from kinebackup.practice.presence import folder_of
from kinebackup.practice.world import World
from kinebackup.state.records import Drive


def device_of(record: Drive, system: System) -> DeviceFacts | None:
    """The device of an enrolled drive that is plugged in. Of two with its UUID, the one with its serial number."""
    found: list[DeviceFacts] = []
    for name in system.names("/sys/class/block"):
        directory = f"/sys/class/block/{name}"
        if system.mode(f"{directory}/partition") or system.exists(f"{directory}/dm"):
            continue  # found through its disk
        number = number_of_node(system, f"/dev/{name}")
        volumes = volumes_of(system, number) if number is not None else ()
        found += [v.device for v in volumes if v.usage == "filesystem" and v.device.filesystem_uuid == record.fs_uuid]
    return min(found, key=lambda device: device.serial != record.serial, default=None)


@contextlib.contextmanager
def mounted_here(records: Sequence[Drive], world: World, runtime: Path) -> Iterator[int]:
    """Mount those of these drives that are plugged in and mounted nowhere, until the block ends; how many. For root.

    Raises ``MountFailed`` where one cannot be; ``StillMounted`` in the end where something keeps it.
    """
    count = 0
    with contextlib.ExitStack() as stack:
        for record in records:
            if record.simulated or not record.fs_uuid or folder_of(record, world.system) is not None:
                continue
            device = device_of(record, world.system)
            if device is not None:
                stack.enter_context(_mounted(device, world, runtime))
                count += 1
        yield count


def mount_privately(device: DeviceFacts, runtime: Path, name: str, world: World) -> str:
    """Mount it for this process alone, under that name in the runtime folder; where. Raises ``MountFailed``."""
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise folder_not_made(str(runtime), error, _("check [paths] runtime in the configuration")) from error
    where = os.path.join(os.path.realpath(runtime), name)
    leave_shared_mounts()
    mount_drive(device.node, device.disk_sequence, where, system=world.system)
    return where


@contextlib.contextmanager
def _mounted(device: DeviceFacts, world: World, runtime: Path) -> Iterator[None]:
    where = mount_privately(device, runtime, f"command-{world.pid}-{os.path.basename(device.node)}", world)
    try:
        yield
    finally:
        unmount_drive(device.node, device.disk_sequence, where, system=world.system)
