"""Whether the practice is protected, and the first thing to do if not.

Owns: the freshness of each drive and the order in which obstacles are named. Does not know: the words, how drives are
found, or what time it is.

*Protected* means: every drive is fresh and sound, at least one is kept away from the practice, and none is plugged in,
where whatever happens to the computer would happen to it too. Simulated drives protect nothing; they are judged by the
same rules only where there is no other, so that the program can be tried out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from kinebackup.config import RotationConfig
from kinebackup.model import Health, Place
from kinebackup.policy.schedule import CLOCK_SKEW

NO_LABEL: Final = ""


@dataclass(frozen=True, slots=True)
class DriveFacts:
    """What is known of one enrolled drive. All times are aware, those of the last *good* run of their kind.

    ``failed_check``: the last verification or restore test of the drive found that something would not come back.
    ``to_take``: no repair has asked another drive for it since.
    ``backups_missing``: how many backups that were on it were not there any more when it was last opened.
    ``files_lost``: how many files the last backup lacks, or has as they were earlier. ``health``: whether it is ageing.
    """

    label: str
    place: Place
    simulated: bool
    present: bool
    last_backup: datetime | None = None
    last_verify: datetime | None = None
    last_restore_test: datetime | None = None
    failed_check: bool = False
    to_take: bool = False
    backups_missing: int = 0
    files_lost: int = 0
    health: Health = "good"


class Freshness(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    NEVER = "never"
    FUTURE = "future"  # the clock of this computer, or that of the last backup, was wrong


@dataclass(frozen=True, slots=True)
class DriveStatus:
    """One drive, judged. ``backup_days`` are whole days since its last good backup; None where it never had one."""

    label: str
    freshness: Freshness
    backup_days: int | None
    limit_days: int
    verify_due: bool
    restore_test_due: bool


class StatusCode(StrEnum):
    """The statements of ``status``. The values are part of its JSON: scripts may rely on them."""

    # obstacles, in the order in which they matter
    NO_DRIVE = "no-drive"
    CLOCK_WRONG = "clock-wrong"  # drive
    BACKUPS_MISSING = "backups-missing"  # drive
    CHECK_FAILED = "check-failed"  # drive
    PLUG_IN_BOTH = "plug-in-both"  # drive: the one that lost something; other: one that may have it
    NO_BACKUP_YET = "no-backup-yet"  # drive: the one to plug in
    NO_BACKUP_YET_PLUGGED_IN = "no-backup-yet-plugged-in"  # drive
    NO_BACKUP_FOR_DAYS = "no-backup-for-days"  # days, drive: the one to plug in
    NO_BACKUP_FOR_DAYS_PLUGGED_IN = "no-backup-for-days-plugged-in"  # days, drive
    DRIVE_NEVER_USED = "drive-never-used"  # drive
    DRIVE_NEVER_USED_PLUGGED_IN = "drive-never-used-plugged-in"  # drive
    DRIVE_STALE = "drive-stale"  # days, drive
    DRIVE_AWAY_TOO_LONG = "drive-away-too-long"  # days, drive
    DRIVE_STALE_PLUGGED_IN = "drive-stale-plugged-in"  # days, drive
    NO_DRIVE_AWAY = "no-drive-away"
    UNPLUG = "unplug"  # drive
    UNPLUG_AND_TAKE_AWAY = "unplug-and-take-away"  # drive
    ONLY_SIMULATED = "only-simulated"
    # advice, which does not change the verdict
    DRIVE_AGES = "drive-ages"  # drive
    BACKUP_INCOMPLETE = "backup-incomplete"  # files, drive
    RESTORE_TEST_NEVER = "restore-test-never"  # drive
    RESTORE_TEST_DUE = "restore-test-due"  # days, drive
    VERIFY_NEVER = "verify-never"  # drive
    VERIFY_DUE = "verify-due"  # days, drive
    # all is well
    PROTECTED_BY_ONE = "protected-by-one"  # drive
    PROTECTED_BY_BOTH = "protected-by-both"
    PROTECTED_BY_ALL = "protected-by-all"  # drives


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """One statement about the practice: its code and the values in it. texts/status.py has the words."""

    code: StatusCode
    drive: str = NO_LABEL
    days: int = 0
    drives: int = 0
    files: int = 0
    other: str = NO_LABEL


@dataclass(frozen=True, slots=True)
class Assessment:
    """The verdict. ``headline`` comes first on every screen; ``more`` are all other statements."""

    protected: bool
    simulation: bool
    headline: StatusMessage
    more: tuple[StatusMessage, ...]
    drives: tuple[DriveStatus, ...]


def assess(drives: Sequence[DriveFacts], rules: RotationConfig, *, now: datetime) -> Assessment:
    """Judge all enrolled drives at this time."""
    real = [drive for drive in drives if not drive.simulated]
    simulation = bool(drives) and not real
    counted = sorted(drives if simulation else real, key=lambda drive: drive.label)
    obstacles = list(_obstacles(counted, rules, now))
    if simulation:
        obstacles.append(StatusMessage(StatusCode.ONLY_SIMULATED))
    statements = obstacles + list(_advice(counted, rules, now))
    headline = _all_is_well(counted) if not obstacles else statements.pop(0)
    return Assessment(
        protected=not obstacles,
        simulation=simulation,
        headline=headline,
        more=tuple(statements),
        drives=tuple(_status(drive, rules, now) for drive in sorted(drives, key=lambda drive: drive.label)),
    )


def _obstacles(drives: Sequence[DriveFacts], rules: RotationConfig, now: datetime) -> Iterable[StatusMessage]:
    if not drives:
        yield StatusMessage(StatusCode.NO_DRIVE)
        return
    for drive in drives:
        if any(
            time and time > now + CLOCK_SKEW for time in (drive.last_backup, drive.last_verify, drive.last_restore_test)
        ):
            yield StatusMessage(StatusCode.CLOCK_WRONG, drive.label)
    for drive in drives:
        if drive.backups_missing:
            yield StatusMessage(StatusCode.BACKUPS_MISSING, drive.label)
    for drive in drives:
        if drive.failed_check:
            others = [each for each in drives if each is not drive and each.last_backup and not each.simulated]
            if drive.to_take and others:
                freshest = max(others, key=lambda each: each.last_backup or now)
                yield StatusMessage(StatusCode.PLUG_IN_BOTH, drive.label, other=freshest.label)
            else:
                yield StatusMessage(StatusCode.CHECK_FAILED, drive.label)
    yield from _neglected(drives, rules, now)
    if not any(drive.place == "domicile" for drive in drives):
        yield StatusMessage(StatusCode.NO_DRIVE_AWAY)
    for drive in drives:
        # A drive that is about to be backed up stays in; a simulated one is a folder, and always there.
        if drive.present and not drive.simulated and _status(drive, rules, now).freshness is Freshness.FRESH:
            yield StatusMessage(
                StatusCode.UNPLUG_AND_TAKE_AWAY if drive.place == "domicile" else StatusCode.UNPLUG, drive.label
            )


def _neglected(drives: Sequence[DriveFacts], rules: RotationConfig, now: datetime) -> Iterable[StatusMessage]:
    judged = [(drive, _status(drive, rules, now)) for drive in drives]
    named = NO_LABEL
    # The drive to ask for: one that is plugged in, otherwise one at the practice.
    nearest = min(drives, key=lambda drive: (not drive.present, drive.place != "cabinet", drive.label))
    if all(status.freshness is Freshness.NEVER for _drive, status in judged):
        named = nearest.label
        yield StatusMessage(StatusCode.NO_BACKUP_YET_PLUGGED_IN if nearest.present else StatusCode.NO_BACKUP_YET, named)
    elif all(status.freshness in (Freshness.STALE, Freshness.NEVER) for _drive, status in judged):
        named = nearest.label
        code = StatusCode.NO_BACKUP_FOR_DAYS_PLUGGED_IN if nearest.present else StatusCode.NO_BACKUP_FOR_DAYS
        days = min(status.backup_days for _drive, status in judged if status.backup_days is not None)
        yield StatusMessage(code, named, days)
    for drive, status in judged:
        if drive.label == named:
            continue
        if status.freshness is Freshness.NEVER:
            yield StatusMessage(
                StatusCode.DRIVE_NEVER_USED_PLUGGED_IN if drive.present else StatusCode.DRIVE_NEVER_USED, drive.label
            )
        elif status.freshness is Freshness.STALE:
            yield StatusMessage(_stale(drive), drive.label, status.backup_days or 0)


def _stale(drive: DriveFacts) -> StatusCode:
    if drive.present:
        return StatusCode.DRIVE_STALE_PLUGGED_IN
    return StatusCode.DRIVE_AWAY_TOO_LONG if drive.place == "domicile" else StatusCode.DRIVE_STALE


def _advice(drives: Sequence[DriveFacts], rules: RotationConfig, now: datetime) -> Iterable[StatusMessage]:
    for drive in drives:
        if drive.health == "replace":  # its backups are whole, and it goes on serving: only not for long
            yield StatusMessage(StatusCode.DRIVE_AGES, drive.label)
    for drive in drives:
        if drive.last_backup is None:
            continue  # nothing on it to test
        if drive.files_lost:
            yield StatusMessage(StatusCode.BACKUP_INCOMPLETE, drive.label, files=drive.files_lost)
        status = _status(drive, rules, now)
        if drive.last_restore_test is None:
            yield StatusMessage(StatusCode.RESTORE_TEST_NEVER, drive.label)
        elif status.restore_test_due:
            yield StatusMessage(StatusCode.RESTORE_TEST_DUE, drive.label, _whole_days(drive.last_restore_test, now))
        if drive.last_verify is None:
            yield StatusMessage(StatusCode.VERIFY_NEVER, drive.label)
        elif status.verify_due:
            yield StatusMessage(StatusCode.VERIFY_DUE, drive.label, _whole_days(drive.last_verify, now))


def _all_is_well(drives: Sequence[DriveFacts]) -> StatusMessage:
    match len(drives):
        case 1:
            return StatusMessage(StatusCode.PROTECTED_BY_ONE, drives[0].label)
        case 2:
            return StatusMessage(StatusCode.PROTECTED_BY_BOTH)
        case count:
            return StatusMessage(StatusCode.PROTECTED_BY_ALL, drives=count)


def _status(drive: DriveFacts, rules: RotationConfig, now: datetime) -> DriveStatus:
    limit_days = rules.offsite_days if drive.place == "domicile" else rules.fresh_days
    backup_days = None if drive.last_backup is None else _whole_days(drive.last_backup, now)
    if drive.last_backup is None or backup_days is None:
        freshness = Freshness.NEVER
    elif drive.last_backup > now + CLOCK_SKEW:
        freshness = Freshness.FUTURE
    else:
        # Whole days: who saves each Friday evening is not late for having begun five minutes later than last week.
        freshness = Freshness.FRESH if backup_days <= limit_days else Freshness.STALE
    return DriveStatus(
        label=drive.label,
        freshness=freshness,
        backup_days=backup_days,
        limit_days=limit_days,
        verify_due=_is_due(drive.last_verify, rules.verify_days, now),
        restore_test_due=_is_due(drive.last_restore_test, rules.restore_test_days, now),
    )


def _is_due(last: datetime | None, limit_days: int, now: datetime) -> bool:
    return last is None or _whole_days(last, now) > limit_days


def _whole_days(since: datetime, now: datetime) -> int:
    return max(0, (now - since) // timedelta(days=1))
