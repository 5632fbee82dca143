"""What the end of a job means: for the drive's history, for the jobs that were to follow, and for the person.

Owns: judging reports and failures. Does not know: phases, or what is done next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, assert_never

from kinebackup.daemon.decide.actions import Ending
from kinebackup.daemon.decide.events import JobFinished
from kinebackup.daemon.decide.states import Outcome, Room
from kinebackup.model import (
    NOTES,
    BackupReport,
    JobFailure,
    PruneReport,
    RepairReport,
    RestoreTestReport,
    VerifyReport,
    damage_met,
)
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.schedule import History

ALL_JOBS: Final = frozenset[JobKind](JOB_KINDS)
NOTHING: Final = frozenset[JobKind]()
ONLY_PRUNE: Final = frozenset[JobKind]({"prune"})

_NOTICE_OF_FAILURE: Final[Mapping[JobFailure, NoticeKind]] = MappingProxyType(
    {
        "drive-full": NoticeKind.DRIVE_FULL,
        "drive-failed": NoticeKind.DRIVE_FAILED,
        "damaged": NoticeKind.DAMAGE_FOUND,
        "refused": NoticeKind.REFUSED,
    }
)


@dataclass(frozen=True, slots=True)
class Judged:
    """``drops``: jobs of the plan that make no sense any more; ``first``: what is to be done before the others.
    ``outcome`` None: this job changes nothing about it.
    """

    ending: Ending
    history: History
    notices: tuple[Notice, ...] = ()
    drops: frozenset[JobKind] = NOTHING
    outcome: Outcome | None = None
    first: tuple[JobKind, ...] = ()
    room: Room = "enough"


def judge_finished(kind: JobKind, history: History, end: JobFinished, room: Room, saved: str = "") -> Judged:
    """A job that came to its end may still have found something bad. ``saved``: the snapshot of the backup before it,
    where there was one while the drive was here.
    """
    match end.report:
        case BackupReport():
            return _backup(history, end, end.report)
        case VerifyReport():
            return _verification(kind, history, end, end.report, saved)
        case RestoreTestReport(result="ok"):
            return Judged("good", replace(history, last_restore_test=end.time))
        case RestoreTestReport():
            return _damage(kind, history, Notice(NoticeKind.RESTORE_TEST_FAILED, end.drive))
        case PruneReport():
            ending: Ending = "with-problems" if end.problems else "good"
            after: Room = "made" if room == "wanted" else "enough"
            return Judged(ending, replace(history, last_prune=end.time), room=after)
        case RepairReport():
            return _repair(history, end, end.report)
    assert_never(end.report)


def judge_failed(kind: JobKind, history: History, drive: str, reason: JobFailure, room: Room) -> Judged:
    """After a failure nothing else is tried for now, but that a full drive is pruned once and then saved to again. A
    lock needs no notice: the next tick tries again.
    """
    if kind == "backup" and reason == "drive-full" and room != "made" and not history.failed_check:
        return Judged("again", history, drops=ONLY_PRUNE, first=("prune", "backup"), room="wanted")
    if reason == "locked":
        notices: tuple[Notice, ...] = ()
    elif reason == "source":
        notices = (Notice(NoticeKind.SOURCE_SUSPICIOUS),)
    else:
        notices = (Notice(_NOTICE_OF_FAILURE.get(reason, JOB_KINDS[kind].notice_of_defect), drive),)
    if kind == "prune" and room == "wanted":  # why there is no backup: it waits for room that nobody made
        notices = tuple(dict.fromkeys((*notices, Notice(NoticeKind.DRIVE_FULL, drive))))
    if reason == "damaged":
        history = replace(history, failed_check=True)
    unsaved = JOB_KINDS[kind].saves or room == "wanted"
    return Judged("failed", history, notices, ALL_JOBS, "failed" if unsaved else None)


def judge_cancelled(kind: JobKind, history: History, room: Room) -> Judged:
    """What was finished is kept on the drive; as a backup it does not count."""
    return Judged("cancelled", history, outcome="failed" if kind == "backup" else None, room=room)


def _backup(history: History, end: JobFinished, report: BackupReport) -> Judged:
    if report.snapshot is None:
        return Judged("bad", history, (Notice(NoticeKind.BACKUP_FAILED, end.drive),), ALL_JOBS, "failed")
    if report.suspicious:
        # It is kept, and verified; but it must not make older ones go, nor a neglected drive look fresh.
        return Judged("bad", history, (Notice(NoticeKind.SOURCE_SUSPICIOUS),), ONLY_PRUNE, "failed")
    done = replace(history, last_backup=end.time, unread=True)
    damage = damage_met(report.problems)
    notices: tuple[Notice, ...] = ()
    if end.problems > damage:
        notices = (Notice(NoticeKind.SAVED_WITH_PROBLEMS, end.drive, count=end.problems - damage),)
    if damage:  # this backup is whole; of earlier ones, the repair that follows says what is lost
        return Judged("with-problems", _to_repair(done), notices, ONLY_PRUNE, outcome="saved")
    if end.problems:
        return Judged("with-problems", done, notices, outcome="saved")
    return Judged("good", done, outcome="saved")


def _verification(kind: JobKind, history: History, end: JobFinished, report: VerifyReport, saved: str) -> Judged:
    if report.healable:
        return _healable(kind, history, end.time)
    if report.result == "failed" and kind == "verify":
        return _beyond_parity(history)
    if report.result == "failed" and saved and _spares(report, saved):  # of the others, the repair says what is lost
        return Judged("bad", replace(_to_repair(history), unread=False), drops=ONLY_PRUNE)
    if report.result == "failed":
        return _damage(kind, _to_repair(history), Notice(NoticeKind.DAMAGE_FOUND, end.drive))
    if kind != "verify":
        # What was written a minute ago says nothing about the rest of the drive.
        return Judged("good", replace(history, unread=False))
    return Judged("good", _verified(history, end.time, complete=report.complete))


def _healable(kind: JobKind, history: History, at: datetime) -> Judged:
    """Nothing is lost, so nobody is told: a backup mends it in the same visit, and is read back. What is wrong with
    that one in turn waits for the next: a drive that goes on failing must not hold a person up.
    """
    if kind != "verify":
        return Judged("with-problems", history)
    return Judged("with-problems", replace(history, last_verify=at), first=("backup", "verify-written"))


def _spares(report: VerifyReport, snapshot: str) -> bool:
    """Whether all that is wrong is known to affect other backups only."""
    counted = [problem for problem in report.problems if problem.kind not in NOTES]
    return bool(counted) and all(problem.snapshots and snapshot not in problem.snapshots for problem in counted)


def _beyond_parity(history: History) -> Judged:
    """What still exists on this computer is saved again in the same visit; the repair after that says what is lost."""
    return Judged("bad", _to_repair(history), drops=ONLY_PRUNE, first=("backup", "verify-written"))


def _verified(history: History, at: datetime, *, complete: bool) -> History:
    return replace(history, last_verify=at, failed_check=history.failed_check and not complete)


def _repair(history: History, end: JobFinished, report: RepairReport) -> Judged:
    """Only what is lost is worth a word; where another drive may have it, a milder one (lending.py)."""
    if report.lost_count or damage_met(report.problems):
        after = replace(history, to_repair=False, to_take=report.from_drive is None)
        return Judged("bad", after, (Notice(NoticeKind.DAMAGE_FOUND, end.drive),), ONLY_PRUNE)
    return Judged("good", replace(history, failed_check=False, to_repair=False, to_take=False))


def _to_repair(history: History) -> History:
    return replace(history, failed_check=True, to_repair=True, to_take=True)


def _damage(kind: JobKind, history: History, notice: Notice) -> Judged:
    """Old backups stay: they may be the ones that can still be read."""
    outcome: Outcome | None = "failed" if JOB_KINDS[kind].saves else None
    return Judged("bad", replace(history, failed_check=True), (notice,), ONLY_PRUNE, outcome)
