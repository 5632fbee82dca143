"""One repair of a drive: its header, its texts, whatever parity heals, and what another drive of the practice has.

Owns: which drives these may be, the proof that a drive without a usable header is the one that this computer remembers,
and what is remembered of the run. Does not know: how anything is repaired.

Without a header neither a passphrase nor a recovery code opens the backups; but a computer that backed up to the drive
remembers its repository's id and holds the key ring. What these make is right if packs of the drive authenticate with
it, for nobody else could have sealed them.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinebackup.engine import (
    LoadedRepository,
    LockedRepository,
    LockedStore,
    MasterKey,
    RepairRequest,
    format_time,
    layout,
    read_pack_table,
    repair_repository,
)
from kinebackup.errors import CheckFailed, ConfigError, Damaged, KineError, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.jobs.backup import check_target, environment_of, record_of, remember_snapshots
from kinebackup.model import CancelToken, FileName, Monitor, RepairedFile, RepairReport
from kinebackup.practice.access import PresentDrive, WritableDrive, find_drive, open_to_read, open_to_write
from kinebackup.practice.access import present_drives as drives_here
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_files import drive_file_problems, write_drive_files
from kinebackup.practice.drive_findings import BackupsGone, RemovalUnknown, drive_problem
from kinebackup.practice.known_drives import only_label
from kinebackup.practice.run_history import recorded, with_own_troubles
from kinebackup.practice.world import World
from kinebackup.state.records import Drive, RunCounts


@dataclass(frozen=True, slots=True)
class RepairJobRequest:
    """``other``: the drive that gives what this one has lost. ``known_only``: not the whole drive is read, but what
    earlier runs found damaged.
    """

    sources: Sequence[str]
    other: PresentDrive | None = None
    known_only: bool = False


def find_drives(
    name: str | None, from_name: str | None, computer: ComputerKeys, world: World
) -> tuple[PresentDrive, PresentDrive | None]:
    """The drive to be repaired, and the one to take from; without a name, the only other one that is plugged in.

    Raises what ``find_drive`` raises, and ``ConfigError`` where both are the same.
    """
    other = find_drive(from_name, computer, world) if from_name is not None else None
    if name is not None or other is None:
        drive = find_drive(name, computer, world)
    else:
        here = {each.label: each for each in drives_here(computer, world) if not _is_same(each, other)}
        known = [record.label for record in computer.state.drives() if record.label != other.label]
        drive = here[only_label(list(here), known)]
    if other is not None and _is_same(drive, other):
        raise ConfigError(
            _("a drive cannot be repaired from itself"),
            _("plug in another drive of the practice too, and name that one"),
        )
    return drive, other


def _is_same(drive: PresentDrive, other: PresentDrive) -> bool:
    return os.path.realpath(drive.folder) == os.path.realpath(other.folder)


def run_repair(
    drive: PresentDrive,
    computer: ComputerKeys,
    request: RepairJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RepairReport:
    """Repair that drive.

    Raises ``CheckFailed`` where nothing on the drive proves that it is the one remembered, ``NotFound``, ``Locked``,
    ``NeedsNewer``, ``TargetRefused``, ``WrongKey``, ``DriveFailed``, ``OtherDriveFailed`` or ``Cancelled``; what was
    repaired until then stays.
    """
    record = record_of(drive)
    check_target(drive, request.sources, world)
    with contextlib.ExitStack() as stack:
        note = stack.enter_context(recorded("repair", drive, computer, world))
        other: LoadedRepository | None = None
        if request.other is not None:
            other = stack.enter_context(open_to_read(request.other, computer, None)).repository

        opener = _Opener(record, computer, world)
        opened = stack.enter_context(open_to_write(drive, computer, world, "repair", opener))
        note.of(opened)
        report = _repaired(opened, other, computer, request, world, cancel, monitor)
        report = replace(report, repaired=(*opener.written, *report.repaired))
        remember_snapshots(opened.repository, computer)
        note.problems = report.problems
        note.result = "ok" if report.is_sound else "problems"
        note.counts = RunCounts(
            size_bytes=report.bytes_written,
            problems=len(report.problems),
            damage=report.lost_count,
            given_by=int(other is not None),
        )
        return with_own_troubles(report, computer)


def _repaired(
    opened: WritableDrive,
    other: LoadedRepository | None,
    computer: ComputerKeys,
    request: RepairJobRequest,
    world: World,
    cancel: CancelToken,
    monitor: Monitor,
) -> RepairReport:
    repository, state, checked = opened.repository, computer.state, dict[FileName, bool]()
    wanted = RepairRequest(
        drive=opened.drive.label,
        from_drive=request.other.label if request.other else None,
        other=other,
        known_only=request.known_only,
        seen=state.snapshots.seen(repository.id),
        on_checked=checked.__setitem__,
    )
    from_memory = repository.unlocked.elsewhere
    try:
        report = repair_repository(repository, wanted, environment_of(world), cancel=cancel, monitor=monitor)
    finally:
        for ok in (True, False):
            names = [name for name, sound in checked.items() if sound is ok]
            state.record_pack_checks(repository.id, names, world.now(), ok=ok)
    texts = [found.path for found in drive_file_problems(repository.store)]
    with contextlib.suppress(KineError):  # a full drive: the backups are whole, which is what counts
        write_drive_files(opened.drive.root)
        repository.renew_spread_header()
    left = drive_file_problems(repository.store)
    written = tuple(
        RepairedFile("text", path, "computer") for path in texts if path not in {each.path for each in left}
    )
    headers = tuple(
        replace(each, source="computer") if each.kind == "header" and from_memory else each for each in report.repaired
    )
    # What was wrong with its files when it was opened is mended by now, or is among what is lost.
    found = [drive_problem(each) for each in opened.findings if not isinstance(each, BackupsGone | RemovalUnknown)]
    return replace(report, repaired=(*headers, *written), problems=(*found, *report.problems, *left))


class _Opener:
    """Opens the repository by a header of its own, or as this computer remembers it. ``written``: the copies of the
    header that were written for that.
    """

    def __init__(self, record: Drive, computer: ComputerKeys, world: World) -> None:
        self.written: tuple[RepairedFile, ...] = ()
        self._record = record
        self._computer = computer
        self._world = world

    def __call__(self, locked: LockedStore, key: MasterKey, headers: Sequence[bytes]) -> LockedRepository:
        with contextlib.suppress(Damaged, WrongKey, NotFound):
            found = locked.open(key, headers)
            if found.id == self._record.repository:
                return found
        return self._proven(locked, key)

    def _proven(self, locked: LockedStore, key: MasterKey) -> LockedRepository:
        """As this computer remembers it, once a pack has shown that its keys are those of the drive."""
        repository = locked.assume(
            master=key,
            keyring=self._computer.keyring,
            repository=self._record.repository,
            created=format_time(self._world.now()),
        )
        for name in repository.list_packs():
            with contextlib.suppress(Damaged, NotFound):
                read_pack_table(repository.store, repository.keys, name)
                repository.learn_features()
                repository.write_header()
                self.written = tuple(RepairedFile("header", each, "computer") for each in layout.HEADER_COPIES)
                return repository
        raise CheckFailed(
            _("nothing on this drive shows that it is {label}").format(label=self._record.label),
            _("if it is another drive, enroll it under a label of its own; if it holds no backup, empty it first"),
        )
