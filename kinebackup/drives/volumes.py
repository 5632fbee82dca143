"""The volumes of a disk, and which of them a backup would be written to.

Owns: partitions, unlocked containers, and the kind of content of each. Does not know: mounts, or what makes a good
drive.

udev's database says what is on a device; where udev does not run, the device is probed.
"""

import os
from dataclasses import dataclass, replace
from typing import Final, Literal

from kinebackup.drives.block_device import number_of_node, read_device, udev_properties
from kinebackup.drives.filesystem_state import Signature, probe
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import DeviceFacts, Unmounted

Usage = Literal["filesystem", "unknown", "locked", "nothing"]

_MAX_LAYERS: Final = 4


@dataclass(frozen=True, slots=True)
class Volume:
    """A partition, a disk without partitions, or the unlocked container in one of them."""

    device: DeviceFacts
    usage: Usage
    filesystem: str


@dataclass(frozen=True, slots=True)
class VolumeChoice:
    """``device`` is the one to use, or the whole disk where ``unmounted`` says why there is none."""

    device: DeviceFacts
    unmounted: Unmounted


def volumes_of(system: System, number: str) -> tuple[Volume, ...]:
    """Every part of the device MAJOR:MINOR, in the order of their numbers; of a partition, itself."""
    names = partition_names(system, number)
    nodes = [f"/dev/{name}" for name in names]
    numbers = [each for node in nodes if (each := number_of_node(system, node)) is not None] or [number]
    volumes = (_volume(system, each) for each in numbers)
    return tuple(volume for volume in volumes if volume is not None)


def partition_names(system: System, number: str) -> tuple[str, ...]:
    """The kernel's names of the partitions of a disk, in the order of their numbers."""
    directory = f"/sys/dev/block/{number}"
    try:
        names = [name for name in system.names(directory) if system.mode(f"{directory}/{name}/partition")]
    except OSError:
        return ()
    return tuple(sorted(names, key=lambda name: (len(name), name)))


def choose_volume(system: System, number: str) -> VolumeChoice | None:
    """The filesystem to use of a disk or a partition; None where the kernel has no such device."""
    whole = read_device(system, number)
    if whole is None:
        return None
    volumes = volumes_of(system, number)
    usable = [volume for volume in volumes if volume.usage != "nothing"]
    if len(usable) == 1:
        return VolumeChoice(usable[0].device, usable[0].usage)
    return VolumeChoice(whole, "several" if usable else "nothing")


def _volume(system: System, number: str, layers: int = _MAX_LAYERS) -> Volume | None:
    device = read_device(system, number)
    if device is None:
        return None
    found = _content(system, device)
    if found is None:
        return Volume(device, "unknown", "")
    device = replace(device, filesystem_uuid=device.filesystem_uuid or found.uuid)
    if found.usage == "crypto":
        inside = _unlocked(system, number)
        if inside is None or not layers:
            return Volume(device, "locked", found.filesystem)
        return _volume(system, inside, layers - 1)
    return Volume(device, "filesystem" if found.usage == "filesystem" else "nothing", found.filesystem)


def _unlocked(system: System, number: str) -> str | None:
    """The device that shows what is in an encrypted container, where somebody has unlocked it."""
    try:
        holders = system.names(f"/sys/dev/block/{number}/holders")
    except OSError:
        return None
    return number_of_node(system, f"/dev/{holders[0]}") if len(holders) == 1 else None


def _content(system: System, device: DeviceFacts) -> Signature | None:
    """None where that cannot be told."""
    if system.exists(f"/run/udev/data/b{device.number}"):
        found = udev_properties(system, device.number)
        return Signature(found.get("ID_FS_TYPE", ""), found.get("ID_FS_USAGE", ""), found.get("ID_FS_UUID", ""))
    if system.root != "/" or not os.access(device.node, os.R_OK):
        return None
    return probe(device.node) or Signature("", "", "")
