"""Enrolling a drive by its device: mounting it for this process alone, or erasing it first.

Owns: what happens before and after ``enroll``, and which disks are never erased. Does not know: the programs that erase
one, or how a person agreed to it.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kinebackup.drives.block_device import number_of_node, read_device
from kinebackup.drives.facts import HostFacts, gather_facts, read_host_facts
from kinebackup.drives.formatting import (
    Disk,
    DiskInUse,
    FormatFailed,
    Identifiers,
    disk_of,
    filesystem_label,
    format_disk,
    programs,
)
from kinebackup.drives.udev_rule import UdevRule, look_again
from kinebackup.drives.unmounting import StillMounted, drop_mount, unmount_drive
from kinebackup.drives.volumes import Volume, volumes_of
from kinebackup.errors import KineError, TargetRefused
from kinebackup.i18n import _
from kinebackup.jobs.enroll import Enrolled, EnrollRequest, enroll, examined, no_device
from kinebackup.policy.target_facts import DeviceFacts, TargetFacts
from kinebackup.policy.targets import judge_erasing
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.known_drives import check_label, refuse_taken_label
from kinebackup.practice.private_mount import mount_privately
from kinebackup.practice.world import World
from kinebackup.state.records import Drive
from kinebackup.state.state_db import StateDb

MOUNT_POINT: Final = "enroll"


@dataclass(frozen=True, slots=True)
class DeviceTools:
    """``runtime``: where a drive is mounted. ``rule`` is None where the practice is not this computer's own."""

    runtime: Path
    rule: UdevRule | None = None


@dataclass(frozen=True, slots=True)
class ToErase:
    """A disk that may be erased if the person agrees; ``volumes`` is what is on it now."""

    disk: Disk
    volumes: tuple[Volume, ...]

    @property
    def word(self) -> str:
        """What to type: the model, as it is shown; the name of the device where it has none."""
        shown = "".join(sign for sign in self.disk.model if sign.isprintable()).strip()
        return shown or os.path.basename(self.disk.node)


def refresh_rule(state: StateDb, tools: DeviceTools, *, also: Sequence[str] = ()) -> None:
    """Make the desktop leave exactly the enrolled drives alone, and those of ``also``. Raises ``KineError``."""
    if tools.rule is not None:
        tools.rule.write([*(record.fs_uuid for record in state.drives() if not record.simulated), *also])


# --- a drive as it is -------------------------------------------------------------------------------------------------


def enroll_device(request: EnrollRequest, computer: ComputerKeys, world: World, tools: DeviceTools) -> Enrolled:
    """As ``enroll``, for a drive that need not be mounted. Raises ``MountFailed`` as well.

    A drive that was named by its device is unmounted in the end, so that the daemon can take it.
    """
    check_label(request.label)
    facts, _notices = examined(request, world, may_mount=world.is_root)
    device = facts.device
    if facts.mount_point or device is None:
        made = _with_rule(enroll(request, computer, world), computer, tools)
        if device is None or not request.path.startswith("/dev/") or not world.is_root:
            return made
        return _let_go(made, device, None, world)
    with _mounted(device, world, tools) as where:
        made = enroll(replace(request, path=device.node), computer, world, mounted_at=where)
    made = _with_rule(made, computer, tools)
    return _let_go(made, device, where, world)


@contextlib.contextmanager
def _mounted(device: DeviceFacts, world: World, tools: DeviceTools) -> Iterator[str]:
    """The drive, mounted for this process alone. It stays mounted unless the work on it fails."""
    where = mount_privately(device, tools.runtime, MOUNT_POINT, world)
    try:
        yield where
    except BaseException:
        with contextlib.suppress(KineError):
            unmount_drive(device.node, device.disk_sequence, where, system=world.system)
        drop_mount(where)
        raise


def _with_rule(made: Enrolled, computer: ComputerKeys, tools: DeviceTools) -> Enrolled:
    """Write the desktop's rule. The drive is enrolled even where that fails, with a warning."""
    try:
        refresh_rule(computer.state, tools)
    except KineError as error:
        return replace(made, notices=(*made.notices, TargetWarning(error.message, error.hint)))
    return made


def _let_go(made: Enrolled, device: DeviceFacts, where: str | None, world: World) -> Enrolled:
    """Unmount it. Where something keeps it busy it is enrolled all the same, with a warning; the daemon tries again."""
    try:
        unmount_drive(device.node, device.disk_sequence, where, system=world.system)
    except StillMounted as error:
        return replace(made, notices=(*made.notices, TargetWarning(error.message, error.hint)))
    return replace(made, folder="")


# --- a fresh drive ----------------------------------------------------------------------------------------------------


def plan_erasing(request: EnrollRequest, computer: ComputerKeys, world: World) -> ToErase:
    """The disk that would be erased. Nothing is changed.

    Raises ``NotFound``, ``TargetRefused`` for a disk that must not be erased, ``ConfigError`` for a label that is
    taken, ``KineError`` where this user cannot do it.
    """
    check_label(request.label)
    refuse_taken_label(request.label, computer)
    if not world.is_root:
        raise KineError(_("only root may erase a disk"), _("run the command as root"))
    programs()
    host = read_host_facts(world.system)
    facts = gather_facts(request.path, host=host)
    if not facts.exists or facts.device is None:
        raise no_device(request.path)
    refused = judge_erasing(facts)
    if refused is not None:
        raise TargetRefused(refused.message, refused.hint)
    number = number_of_node(world.system, f"/dev/{facts.device.disks[0]}")
    disk = disk_of(world.system, number) if number is not None else None
    if number is None or disk is None:
        raise no_device(request.path)
    _refuse_disk_of_a_source(request, disk, host)
    found = ToErase(disk, volumes_of(world.system, number))
    for record in computer.state.drives():
        if any(_may_be(record, volume, disk) for volume in found.volumes):
            raise TargetRefused(
                _("the drive {label} of the practice is on {node}, with its backups").format(
                    label=record.label, node=disk.node
                ),
                _("to erase it all the same, forget it first: kinebackup drive forget {label}").format(
                    label=record.label
                ),
            )
    return found


def enroll_erased(
    plan: ToErase,
    request: EnrollRequest,
    computer: ComputerKeys,
    world: World,
    tools: DeviceTools,
) -> Enrolled:
    """Erase the disk and enroll what becomes of it.

    Raises ``DiskInUse`` or ``DiskChanged`` before anything is written, ``FormatFailed``, and what ``enroll`` does.
    """
    names = Identifiers(_new_uuid(world), _new_uuid(world), filesystem_label(request.label))
    _free(plan, world)
    # The rule comes first: the desktop would mount the new filesystem as soon as it appears.
    with contextlib.suppress(KineError):  # a warning at the end says that it could not be written
        refresh_rule(computer.state, tools, also=[names.filesystem_uuid])
    try:
        partition = format_disk(plan.disk, names, system=world.system)
        _await_identity(partition, names, world)
        return enroll_device(replace(request, path=partition), computer, world, tools)
    except BaseException:
        with contextlib.suppress(KineError):
            refresh_rule(computer.state, tools)
        raise


def _await_identity(partition: str, names: Identifiers, world: World) -> None:
    """Until udev reports the new filesystem: by the identifier of the old one, the drive would never be recognised."""
    look_again(partition)
    number = number_of_node(world.system, partition)
    device = read_device(world.system, number) if number is not None else None
    if device is None or device.filesystem_uuid not in (names.filesystem_uuid, ""):  # without udev there is none
        raise FormatFailed(
            _("{node} was prepared, but this computer does not see it yet").format(node=partition),
            _("unplug the drive, plug it in again, then enroll it without --format"),
        )


def _new_uuid(world: World) -> str:
    return str(uuid.UUID(bytes=world.entropy(16), version=4))


def _free(plan: ToErase, world: World) -> None:
    """Unmount what the desktop has mounted of it. Raises ``DiskInUse``."""
    for volume in plan.volumes:
        try:
            unmount_drive(volume.device.node, plan.disk.sequence, None, system=world.system)
        except StillMounted as error:
            raise DiskInUse(error.message, error.hint) from error


def _refuse_disk_of_a_source(request: EnrollRequest, disk: Disk, host: HostFacts) -> None:
    for source in request.sources:
        if _lies_on(gather_facts(source, host=host), disk):
            raise TargetRefused(
                _("the source {source} lies on {node}").format(source=source, node=disk.node),
                _("take another drive: a backup must lie on another disk than the files it saves"),
            )


def _lies_on(facts: TargetFacts, disk: Disk) -> bool:
    return facts.device is not None and os.path.basename(disk.node) in facts.device.disks


def _may_be(record: Drive, volume: Volume, disk: Disk) -> bool:
    """Whether that is an enrolled drive. Of a container that is locked, only the disk around it can be recognised."""
    device = volume.device
    if record.simulated:
        return False
    if volume.usage == "locked":
        return bool(record.serial) and record.serial == disk.serial
    same_filesystem = bool(record.fs_uuid) and record.fs_uuid == device.filesystem_uuid
    return same_filesystem or (bool(record.part_uuid) and record.part_uuid == device.partition_uuid)
