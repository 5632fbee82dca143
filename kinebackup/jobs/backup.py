"""One backup of this computer to one drive, from examining the drive to remembering the result.

Owns: the order of these steps, and which problems count. Does not know: how files are read or written, or who asked.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kinebackup import __version__
from kinebackup.config import BackupConfig
from kinebackup.drives.judge_path import judge_target_at
from kinebackup.engine import (
    BackupRequest,
    Environment,
    LoadedRepository,
    Repository,
    Source,
    back_up,
    complete_parity,
    forget_lost_files,
    preview_backup,
)
from kinebackup.errors import ConfigError, KineError, NotFound, TargetRefused
from kinebackup.i18n import _
from kinebackup.model import BackupReport, CancelToken, FileName, Monitor, Problem, SeenSnapshot, counting, damage_met
from kinebackup.policy.schedule import CLOCK_SKEW
from kinebackup.practice.access import OpenDrive, PresentDrive, WritableDrive, open_to_read, open_to_write
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_files import write_drive_files
from kinebackup.practice.run_history import recorded, with_own_troubles
from kinebackup.practice.world import World
from kinebackup.state.records import Drive, RunCounts

if TYPE_CHECKING:  # only the daemon has a journal: a command does not pay for it
    from kinebackup.change_journal.tracking import ChangeTracking, TrackedBackup


@dataclass(frozen=True, slots=True)
class BackupJobRequest:
    """What was asked for."""

    sources: Sequence[Source]
    options: BackupConfig
    accept_shrink: bool = False
    dry_run: bool = False
    tracking: "ChangeTracking | None" = None  # where changes are tracked: what did not change is not looked at


def environment_of(world: World) -> Environment:
    """What the engine needs of the world."""
    return Environment(world.entropy, world.elapsed_s, world.names)


def record_of(drive: PresentDrive) -> Drive:
    """The record of a drive that is to be written to. Raises ``NotFound`` for one that was never enrolled here."""
    if drive.record is None:
        raise NotFound(
            _("the drive at {folder} is not enrolled on this computer").format(folder=drive.folder),
            _("enroll it first, its backups are kept: kinebackup drive enroll"),
        )
    return drive.record


def check_target(drive: PresentDrive, sources: Sequence[str], world: World) -> None:
    """Judge the place again before each run: what was a USB drive may be an empty mount point today.

    Raises ``TargetRefused`` or ``NotFound``.
    """
    verdict = judge_target_at(
        drive.folder,
        sources=sources,
        enrolled=True,
        simulated=record_of(drive).simulated,
        allow_existing_files=True,
        system=world.system,
    )
    if verdict.reason in ("not-found", "not-mounted"):
        raise NotFound(verdict.message, verdict.hint)
    if not verdict.accepted:
        raise TargetRefused(verdict.message, verdict.hint)


def remember_snapshots(repository: Repository, computer: ComputerKeys) -> int:
    """Note in which state the drive is left, so that an older one is recognised; how many backups it holds."""
    files = repository.snapshots()
    known = files.readable
    removed = repository.removals().removed
    there = {named.id: named.snapshot.sequence for named in known} | {each.name: 0 for each in files.unreadable}
    computer.state.snapshots.record(
        repository.id,
        [
            *(SeenSnapshot(name, sequence) for name, sequence in there.items()),
            *(SeenSnapshot(name, sequence, removed=True) for name, sequence in removed.items() if name not in there),
        ],
    )
    return len(known)


def run_backup(
    drive: PresentDrive,
    computer: ComputerKeys,
    request: BackupJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> BackupReport:
    """Back up to that drive. The report holds what the drive itself showed as well.

    Raises ``ConfigError`` without a source, ``NotFound``, ``TargetRefused``, ``Locked``, ``WrongKey``, ``DriveFailed``
    or ``Cancelled``; what an interrupted run has written is found again by the next one.
    """
    if not request.sources:
        raise ConfigError(
            _("no source is configured, so there is nothing to back up"),
            _("name your folders in the configuration file, one [[sources]] for each"),
        )
    check_target(drive, [source.path for source in request.sources], world)
    if request.dry_run:
        with open_to_read(drive, computer, None) as opened:
            return _preview(opened, computer, request, world, cancel, monitor)
    with recorded("backup", drive, computer, world) as note:
        with open_to_write(drive, computer, world, "backup") as opened:
            note.of(opened)
            report = _back_up(opened, computer, request, world, cancel, monitor)
            forget_lost_files(opened.repository, world.entropy)
            report = _with_parity(report, opened, cancel, monitor)
            report = replace(report, healed=opened.repository.healed)
            remember_snapshots(opened.repository, computer)
            with contextlib.suppress(KineError):  # a full drive: the backup is there, which is what counts
                write_drive_files(drive.root)
                opened.repository.renew_spread_header()
        note.problems = report.problems
        note.snapshot = FileName(report.snapshot) if report.snapshot else None
        note.result = "suspicious" if report.suspicious else "problems" if counting(report.problems) else "ok"
        note.counts = RunCounts(
            files=report.files_new + report.files_changed + report.files_unmodified,
            size_bytes=report.bytes_written,
            problems=counting(report.problems),
            damage=damage_met(report.problems),
            files_lost=report.files_lost,
        )
        return with_own_troubles(report, computer)


def _with_parity(report: BackupReport, opened: WritableDrive, cancel: CancelToken, monitor: Monitor) -> BackupReport:
    told = complete_parity(opened.repository, cancel)
    for problem in told:
        monitor.problem(problem)
    return replace(report, problems=(*report.problems, *told))


def _preview(
    opened: OpenDrive,
    computer: ComputerKeys,
    request: BackupJobRequest,
    world: World,
    cancel: CancelToken,
    monitor: Monitor,
) -> BackupReport:
    noticed = _noticed(opened, world, monitor)
    wanted = _engine_request(opened, computer, request, world, world.now(), None)
    report = preview_backup(opened.repository, wanted, environment_of(world), cancel=cancel, monitor=monitor)
    return replace(report, problems=(*noticed, *report.problems), healed=opened.repository.healed)


def _back_up(
    opened: WritableDrive,
    computer: ComputerKeys,
    request: BackupJobRequest,
    world: World,
    cancel: CancelToken,
    monitor: Monitor,
) -> BackupReport:
    noticed = _noticed(opened, world, monitor)
    written_out: set[int] = set()
    for source in request.sources:
        source.write_out(written_out)
    tracking, now = request.tracking, world.now()
    tracked = tracking.begin(opened.repository.id) if tracking else None
    wanted = _engine_request(opened, computer, request, world, now, tracked)
    outcome = back_up(opened.repository, wanted, environment_of(world), cancel=cancel, monitor=monitor)
    for ok in (True, False):
        checked = [name for name, sound in outcome.packs_checked.items() if sound is ok]
        if checked:
            computer.state.record_pack_checks(opened.repository.id, checked, world.now(), ok=ok)
    missed = tracking.end(tracked, outcome.report, outcome.tracking) if tracking and tracked else []
    for problem in missed:
        monitor.problem(problem)
    return replace(outcome.report, problems=(*noticed, *outcome.report.problems, *missed))


def _noticed(opened: OpenDrive, world: World, monitor: Monitor) -> list[Problem]:
    """What the drive itself showed, before anything is read of the sources."""
    noticed = [*opened.problems, *_clock_problems(opened, world)]
    for problem in noticed:
        monitor.problem(problem)
    return noticed


def _engine_request(
    opened: OpenDrive,
    computer: ComputerKeys,
    request: BackupJobRequest,
    world: World,
    now: datetime,
    tracked: "TrackedBackup | None",
) -> BackupRequest:
    return BackupRequest(
        sources=request.sources,
        host=world.host,
        machine=computer.machine,
        drive=opened.drive.label,
        program=f"kinebackup {__version__}",
        started_at=now,
        accept_shrink=request.accept_shrink,
        read_back=request.options.read_back,
        shrink_share=request.options.shrink_threshold,
        remembered_sequence=computer.state.snapshots.highest_sequence(opened.repository.id),
        unproven=_unproven(opened.repository, computer, request.options.rely_days, now),
        since=tracked.since if tracked else None,
        compare=tracked is not None and tracked.known is not None,
    )


def _unproven(repository: LoadedRepository, computer: ComputerKeys, days: int, now: datetime) -> frozenset[FileName]:
    """Packs that were neither written nor verified within so many days. One of the future was written by a wrong clock,
    and nobody knows when.
    """
    since, until = now - timedelta(days=days), now + timedelta(days=1)
    first, last = int(since.timestamp() * 1e9), int(until.timestamp() * 1e9)
    verified = computer.state.verified_between(repository.id, since, until)
    written = repository.inventory.written_ns
    return frozenset(name for name, at in written.items() if not first <= at <= last and name not in verified)


def _clock_problems(opened: OpenDrive, world: World) -> list[Problem]:
    """A note: a backup is better than none, whatever the date; but people look for one by its day."""
    known = opened.repository.snapshots().readable
    if not known or known[-1].snapshot.taken_at - world.now() <= CLOCK_SKEW:
        return []
    message = _("the clock of this computer is earlier than the newest backup of the drive ({time})")
    return [Problem("clock", "/", message.format(time=known[-1].snapshot.time))]
