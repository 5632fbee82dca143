"""Whether the practice is protected, from this computer's state directory alone.

Owns: gathering what is known of each drive. Does not know: what follows from it (policy/rotation.py), or how it is
shown.

No drive is opened and no key is read: the answer comes at once.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kinebackup.config import Config
from kinebackup.drives.judge_path import judge_source_at
from kinebackup.errors import KineError
from kinebackup.model import Health, Place
from kinebackup.policy.ageing import Fault, judge_health, recent
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.policy.rotation import Assessment, DriveFacts, Freshness, assess
from kinebackup.policy.schedule import History
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.practice.key_sheet import sheet_notices
from kinebackup.practice.presence import folder_of
from kinebackup.practice.world import World
from kinebackup.state.records import Drive, Run
from kinebackup.state.state_db import StateDb, not_set_up


@dataclass(frozen=True, slots=True)
class DriveOverview:
    """One drive on one line. Times are those of the last good run of their kind, None where there was none.

    ``faults``: in how many places it was found wrong within a year, since ``faults_since``.
    """

    label: str
    place: Place
    simulated: bool
    present: bool
    folder: str | None
    freshness: Freshness
    backup_days: int | None
    last_backup: datetime | None
    last_verify: datetime | None
    last_restore_test: datetime | None
    failed_check: bool
    backups_missing: int
    files_lost: int
    health: Health
    faults: int
    faults_since: datetime | None
    verify_due: bool
    restore_test_due: bool
    enrolled_at: datetime
    serial: str
    model: str
    repository: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The verdict and the drives, in the order of their labels. ``trouble``: this computer's own disk fails it.
    ``notices``: what is to be said of the key export that somebody keeps."""

    assessment: Assessment
    drives: tuple[DriveOverview, ...]
    trouble: KineError | None = None
    notices: tuple[TargetWarning, ...] = ()


def overview(config: Config, world: World, *, plugged_in: Container[str] = ()) -> Overview:
    """``plugged_in``: labels of drives that the daemon sees; it mounts them for itself alone.

    Raises ``NotFound`` where this computer is not set up.
    """
    with StateDb(config.paths.state) as state:
        if not state.exists:
            raise not_set_up()
        known = [
            (record, folder_of(record, world.system), _facts(record, state, world), drive_faults(record, state, world))
            for record in state.drives()
        ]
        notices = sheet_notices(state)
        trouble = state.untold_trouble()
    facts = [
        replace(found, present=folder is not None or record.label in plugged_in)
        for record, folder, found, _faults in known
    ]
    assessment = assess(facts, config.rotation, now=world.now())
    judged = {status.label: status for status in assessment.drives}
    return Overview(
        assessment,
        tuple(
            DriveOverview(
                label=record.label,
                place=record.place,
                simulated=record.simulated,
                present=folder is not None or record.label in plugged_in,
                folder=folder,
                freshness=judged[record.label].freshness,
                backup_days=judged[record.label].backup_days,
                last_backup=found.last_backup,
                last_verify=found.last_verify,
                last_restore_test=found.last_restore_test,
                failed_check=found.failed_check,
                backups_missing=found.backups_missing,
                files_lost=found.files_lost,
                health=found.health,
                faults=len(faults),
                faults_since=faults[0].found if faults else None,
                verify_due=judged[record.label].verify_due,
                restore_test_due=judged[record.label].restore_test_due,
                enrolled_at=record.enrolled_at,
                serial=record.serial,
                model=record.model,
                repository=record.repository,
            )
            for record, folder, found, faults in known
        ),
        trouble,
        notices,
    )


def source_notices(config: Config, world: World) -> Sequence[TargetWarning]:
    """Warnings about sources that a cloud synchronises."""
    return [notice for source in config.sources for notice in judge_source_at(str(source.path), system=world.system)]


def drive_faults(record: Drive, state: StateDb, world: World) -> list[Fault]:
    """What was found wrong on that drive of late."""
    return recent(state.faults.of(record.repository), world.now())


def drive_health(record: Drive, state: StateDb, world: World) -> Health:
    """Whether that drive is to be replaced."""
    return judge_health(drive_faults(record, state, world), now=world.now(), zone=world.zone)


def _facts(record: Drive, state: StateDb, world: World) -> DriveFacts:
    history, backup = drive_history(record, state), state.last_run(record.repository, "backup")
    return DriveFacts(
        label=record.label,
        place=record.place,
        simulated=record.simulated,
        present=False,
        last_backup=history.last_backup,
        last_verify=history.last_verify,
        last_restore_test=history.last_restore_test,
        failed_check=history.failed_check,
        to_take=history.to_take,
        backups_missing=state.snapshots.missing(record.repository),
        files_lost=backup.counts.files_lost if backup else 0,
        health=drive_health(record, state, world),
    )


def drive_history(record: Drive, state: StateDb) -> History:
    """When each kind of job last succeeded on that drive."""

    def last(kind: JobKind) -> datetime | None:
        run = state.last_run(record.repository, kind)
        return None if run is None else run.ended or run.started

    failed_check = any(_failed_last(record, kind, state) for kind, traits in JOB_KINDS.items() if traits.is_check)
    failed_check = failed_check or _met_damage(record, state)
    return History(
        last_backup=last("backup"),
        last_verify=last("verify"),
        last_restore_test=last("restore-test"),
        last_prune=last("prune"),
        failed_check=failed_check,
        unread=_unread(record, state),
        to_repair=failed_check and _unrepaired(record, state, with_another=False),
        to_take=failed_check and _unrepaired(record, state, with_another=True),
    )


def _unread(record: Drive, state: StateDb) -> bool:
    """Whether no run has read the latest backup back. One by hand did, without saying so; reading again is cheap."""
    backup = state.last_run(record.repository, "backup")
    read = state.last_run(record.repository, "verify-written", results=("ok", "problems", "failed"))
    return backup is not None and (read is None or read.id < backup.id)


def _failed_last(record: Drive, kind: JobKind, state: StateDb) -> bool:
    """Whether the last run of that kind found damage, and no repair has brought all of it back since. What a restore
    test found, another one has to disprove.
    """
    last = state.last_run(record.repository, kind, results=("ok", "problems", "failed"))
    repair = state.last_run(record.repository, "repair", results=("ok",)) if kind in _OF_PACKS else None
    return last is not None and last.result == "failed" and (repair is None or repair.id < last.id)


def _met_damage(record: Drive, state: StateDb) -> bool:
    """Whether a run came across damage, and no verification or repair has said since that all is well."""
    for run in state.runs(limit=_RUNS_LOOKED_AT, repository=record.repository):
        if run.kind in ("verify", "repair") and run.result == "ok":
            return False
        if run.counts.damage:
            return True
    return False


def _unrepaired(record: Drive, state: StateDb, *, with_another: bool) -> bool:
    """Whether damage was found after the last repair that came to its end: what that one left, another would too.
    ``with_another``: the last one that could take from another drive.
    """
    for run in state.runs(limit=_RUNS_LOOKED_AT, repository=record.repository):
        ended = run.kind == "repair" and run.result in ("ok", "problems")
        if ended and (run.counts.given_by or run.result == "ok" or not with_another):
            return False
        if run.counts.damage or (run.kind in _OF_PACKS and run.result == "failed"):
            return True
    return False


_OF_PACKS: Final[tuple[JobKind, ...]] = ("verify", "verify-written")
_RUNS_LOOKED_AT: Final = 500  # more than a year's
RUNS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class DriveDetails:
    """``runs``: the latest jobs on it, newest first; those that were cut off have no end. ``trouble``: as above."""

    overview: DriveOverview
    record: Drive
    runs: tuple[Run, ...]
    trouble: KineError | None = None


def details(label: str, config: Config, world: World, *, plugged_in: bool) -> DriveDetails:
    """``plugged_in``: the daemon sees it. Raises ``NotFound`` with the list of the drives that are known."""
    found = overview(config, world, plugged_in=[label] if plugged_in else [])
    with StateDb(config.paths.state) as state:
        record = state.drive(label)
        runs = state.runs(limit=RUNS_SHOWN, repository=record.repository)
    one = next(drive for drive in found.drives if drive.repository == record.repository)
    return DriveDetails(one, record, runs, found.trouble)
