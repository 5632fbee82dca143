"""Making a drive one of the practice's: judging it, its repository, what lies beside it, remembering it.

Owns: the order of these steps; a drive that already holds a repository of the practice is taken back. Does not know:
how the drive came to be mounted (device_job.py), or who asked.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinebackup.drives.facts import gather_facts, read_host_facts, source_paths
from kinebackup.engine import FolderStore, Header, Repository, format_time, lock_store, open_store, read_headers
from kinebackup.errors import NotFound, TargetRefused, WrongKey
from kinebackup.i18n import _
from kinebackup.jobs.backup import remember_snapshots
from kinebackup.model import REPOSITORY_FOLDER, HealedFile, Place
from kinebackup.policy.target_facts import TargetFacts
from kinebackup.policy.targets import judge_target
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.practice.access import PresentDrive, lock_holder, open_to_write
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_faults import note_faults
from kinebackup.practice.drive_files import write_drive_files
from kinebackup.practice.known_drives import check_label, refuse_taken_label
from kinebackup.practice.reserve import make_reserve
from kinebackup.practice.world import World
from kinebackup.state.records import Drive

REPOSITORY_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class EnrollRequest:
    """``path``: a block device or where it is mounted; a folder, for a simulated drive."""

    path: str
    label: str
    place: Place
    simulated: bool
    allow_existing_files: bool
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """``adopted``: the drive held a repository of this practice already, with so many backups. ``folder`` is empty
    where the drive is not mounted any more. ``healed``: what was damaged on it, and came back."""

    drive: Drive
    folder: str
    adopted: bool
    snapshots: int
    notices: tuple[TargetWarning, ...]
    healed: tuple[HealedFile, ...] = ()


def enroll(request: EnrollRequest, computer: ComputerKeys, world: World, *, mounted_at: str = "") -> Enrolled:
    """``mounted_at``: where this process has mounted the device that is asked for, for itself alone.

    Raises ``TargetRefused``, ``NotFound`` where the drive is not there, ``ConfigError`` for a label that is taken,
    ``WrongKey`` for a drive of another practice, ``DriveFailed``."""
    check_label(request.label)
    facts, notices = examined(request, world, mounted_at=mounted_at)
    if facts.repository == "absent":  # one that has a repository is asked for it later
        refuse_taken_label(request.label, computer)
    _refuse_without_identity(request, facts)
    root = os.path.join(facts.path, REPOSITORY_FOLDER)
    os.makedirs(root, mode=0o755, exist_ok=True)  # LISEZMOI.txt is for everyone; what is secret is sealed
    with open_store(root) as store:
        found = _found(store, computer)
        if found is None:
            _create(root, computer, world)
        repository = Repository.open(store, computer.master())
        record = remembered(record_of_place(request, facts, repository, world), computer, request)
        write_drive_files(root)
        if not record.simulated:
            make_reserve(store)
        snapshots = remember_snapshots(repository, computer)
    healed: tuple[HealedFile, ...] = ()
    if found is not None:  # its key ring may be older or newer than this computer's
        with open_to_write(PresentDrive(request.label, facts.path, record), computer, world, "enroll") as opened:
            record, healed = computer.state.drive(request.label), opened.repository.healed
        note_faults(record, computer, world, healed=healed)
    return Enrolled(record, facts.path, adopted=found is not None, snapshots=snapshots, notices=notices, healed=healed)


def examined(
    request: EnrollRequest, world: World, *, mounted_at: str = "", may_mount: bool = False
) -> tuple[TargetFacts, tuple[TargetWarning, ...]]:
    """The facts of a place that may be used. Raises ``TargetRefused``, or ``NotFound`` where there is nothing.

    ``may_mount``: it may be a drive that is not mounted, and is to be examined again once it is.
    """
    host = read_host_facts(world.system)
    facts = gather_facts(mounted_at or request.path, host=host)
    verdict = judge_target(
        _called(request.path, facts) if mounted_at else facts,
        sources=source_paths(request.sources, host),
        enrolled=False,
        simulated=request.simulated,
        allow_existing_files=request.allow_existing_files,
        may_mount=may_mount,
    )
    if verdict.reason == "not-mounted":
        raise NotFound(
            verdict.message,
            _("open it in the file manager, which mounts it, or run the command as root; then try again"),
        )
    if verdict.reason == "not-found":
        raise NotFound(verdict.message, verdict.hint)
    if not facts.exists and not request.simulated and request.path.startswith("/dev/"):
        raise no_device(request.path)
    if not verdict.accepted:
        raise TargetRefused(verdict.message, verdict.hint)
    return facts, verdict.warnings


def no_device(path: str) -> NotFound:
    """Nothing is plugged in under that name."""
    return NotFound(_("there is no device {path}").format(path=path), _("plug in the drive, or check the path"))


def _called(device: str, facts: TargetFacts) -> TargetFacts:
    """The facts under the name that the person knows the drive by: our own mount point means nothing to them."""
    return replace(facts, path=device, mount_point=device, aliases=(facts.path, *facts.aliases))


def _refuse_without_identity(request: EnrollRequest, facts: TargetFacts) -> None:
    """A drive that nothing tells from another one would never be found again."""
    if not request.simulated and (facts.device is None or not facts.device.filesystem_uuid):
        raise TargetRefused(
            _("{path} has no identifier by which it could be recognised").format(path=request.path),
            _("prepare the drive anew, which erases it: kinebackup drive enroll --format"),
        )


def _found(store: FolderStore, computer: ComputerKeys) -> Header | None:
    """The header of a repository that is there already, or None.

    Raises ``WrongKey`` where it is not this practice's, ``Damaged`` where there are backups without a header.
    """
    try:
        known = read_headers(store)
    except NotFound:
        return None
    if all(found.practice != computer.keyring.practice for found in known):
        raise WrongKey(
            _("this drive belongs to another practice, or to an earlier setup of this one"),
            _("take another drive; or, to use that practice's keys on a new computer: kinebackup init --join DRIVE"),
        )
    return known[0]


def _create(root: str, computer: ComputerKeys, world: World) -> None:
    with lock_store(root, lock_holder(world, "enroll")) as locked:
        locked.create(
            master=computer.master(),
            keyring=computer.keyring,
            repository=world.entropy(REPOSITORY_ID_BYTES).hex(),
            created=format_time(world.now()),
        )


def record_of_place(request: EnrollRequest, facts: TargetFacts, repository: Repository, world: World) -> Drive:
    """What is to be remembered of a drive: by what the kernel knows it, where it has a device of its own."""
    device = None if request.simulated else facts.device
    return Drive(
        label=request.label,
        place=request.place,
        simulated=request.simulated,
        repository=repository.id,
        enrolled_at=world.now(),
        header_generation=repository.header.generation,
        folder=facts.path if request.simulated else "",
        fs_uuid=device.filesystem_uuid if device else "",
        part_uuid=device.partition_uuid if device else "",
        serial=device.serial if device else "",
        model=device.model if device else "",
    )


def remembered(record: Drive, computer: ComputerKeys, request: EnrollRequest) -> Drive:
    """Keep the record; of a drive that is known by this label already, what has changed of it."""
    known = computer.state.drive_of(record.repository)
    if known is None or known.label != request.label:
        computer.state.add_drive(record)
        return record
    record = replace(record, enrolled_at=known.enrolled_at, header_generation=known.header_generation)
    computer.state.update_drive(record)
    return record
