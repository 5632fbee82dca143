"""What is due, and when to look again.

Owns: the practice's hours, the cadence of each job, the calendar of ticks. Does not know: drives, clocks or timers; the
daemon's scheduler sleeps until the times that are named here.

What is due is always worked out from when it was last done well, never from a counter of ticks: a missed tick, a
doubled one or a changed clock can make something early or late, not forgotten. Days are those of the practice's
calendar: who saves every evening is not told to wait because yesterday it was ten minutes later. A time that is still
to come proves nothing, so what it belongs to is due.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal

from kinebackup.config import RotationConfig
from kinebackup.policy.job_kinds import JobKind

VERIFY_SESSIONS: Final = 8
"""A whole drive has been read after this many sessions at the latest."""

VERIFY_AT_MOST: Final = 2
"""One session reads at most one part in so many, however long ago the last one was: somebody waits for the drive."""

CLOCK_SKEW: Final = timedelta(hours=1)
"""The clocks of two computers are never quite the same, nor is that of one after it was set: so much says nothing."""

CODE_TEST_DAYS: Final = 91  # a quarter

STILL_PLUGGED_AFTER: Final = timedelta(minutes=15)

TickKind = Literal[
    "backup-due", "verification-due", "restore-test-due", "reminder-hour", "rotation-day", "still-plugged"
]


@dataclass(frozen=True, slots=True)
class PracticeHours:
    """When somebody is there. Weekdays are 0 for Monday to 6; the times are local ones of ``zone``."""

    zone: tzinfo
    working_days: frozenset[int] = frozenset({0, 1, 2, 3, 4})
    opens: time = time(8, 0)
    closes: time = time(20, 0)
    reminder: time = time(17, 30)
    rotation_day: int = 4


@dataclass(frozen=True, slots=True)
class Rules:
    """``automatic``: work begins by itself when a drive is plugged in. All ``days`` are at least 1."""

    hours: PracticeHours
    rotation: RotationConfig = field(default_factory=RotationConfig)
    backup_days: int = 1
    prune_days: int = 7
    automatic: bool = True
    pause_on_battery: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """When each thing was last done well on a drive; None where never. All times are aware.

    ``unread``: the drive was pulled, or the power failed, before the last backup had been read back. ``to_repair``:
    damage was found that no parity heals, and no repair has come to its end since. ``to_take``: the same, and no repair
    with another drive.
    """

    last_backup: datetime | None = None
    last_verify: datetime | None = None
    last_restore_test: datetime | None = None
    last_prune: datetime | None = None
    failed_check: bool = False
    unread: bool = False
    to_repair: bool = False
    to_take: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """The next time at which a tick of this kind makes sense."""

    what: TickKind
    at: datetime


def local_day(when: datetime, zone: tzinfo) -> date:
    """The day of the practice's calendar on which that time lies."""
    return when.astimezone(zone).date()


def days_between(earlier: datetime, now: datetime, zone: tzinfo) -> int:
    """Midnights of the practice between the two; negative where the first is still to come."""
    return (local_day(now, zone) - local_day(earlier, zone)).days


def is_due(last: datetime | None, every_days: int, now: datetime, zone: tzinfo) -> bool:
    """Whether something is to be done again."""
    return last is None or last > now or days_between(last, now, zone) >= every_days


def backup_due(history: History, rules: Rules, now: datetime) -> bool:
    """Whether a backup to that drive is due."""
    return is_due(history.last_backup, rules.backup_days, now, rules.hours.zone)


def verify_due(history: History, rules: Rules, now: datetime) -> bool:
    """Whether a part of the drive should be read. Parts are spread evenly over ``verify_days``."""
    every_days = max(1, rules.rotation.verify_days // VERIFY_SESSIONS)
    return is_due(history.last_verify, every_days, now, rules.hours.zone)


def verify_one_in(history: History, rules: Rules, now: datetime) -> int:
    """Read one pack in so many, those first that were not read for longest; between 2 and 8.

    A drive that comes once a fortnight has to make up for it.
    """
    if history.last_verify is None or history.last_verify > now:
        return VERIFY_SESSIONS
    days = max(1, days_between(history.last_verify, now, rules.hours.zone))
    return max(VERIFY_AT_MOST, min(VERIFY_SESSIONS, rules.rotation.verify_days // days))


def restore_test_due(history: History, rules: Rules, now: datetime) -> bool:
    """Whether a sample of files is to be brought back."""
    return is_due(history.last_restore_test, rules.rotation.restore_test_days, now, rules.hours.zone)


def code_test_due(last: datetime | None, now: datetime, zone: tzinfo) -> bool:
    """Whether somebody should prove that the printed recovery code opens a drive."""
    return is_due(last, CODE_TEST_DAYS, now, zone)


def plan(history: History, rules: Rules, now: datetime, *, wanted: bool = False) -> tuple[JobKind, ...]:
    """The jobs that are due on a drive, in their order. ``wanted``: a person asked for a backup.

    Old backups go only after a new one has come, and never from a drive whose last check failed.
    """
    backup = wanted or backup_due(history, rules, now)
    jobs: list[JobKind] = ["backup"] if backup else []
    if backup or history.unread:
        jobs.append("verify-written")
    # Before the first backup there is nothing else to check than what it has just written.
    if (backup or history.last_backup) and verify_due(history, rules, now):
        jobs.append("verify")
    if (backup or history.last_backup) and restore_test_due(history, rules, now):
        jobs.append("restore-test")
    if backup and not history.failed_check and is_due(history.last_prune, rules.prune_days, now, rules.hours.zone):
        jobs.append("prune")
    return tuple(jobs)


def is_open(hours: PracticeHours, now: datetime) -> bool:
    """Whether a reminder finds somebody."""
    local = now.astimezone(hours.zone)
    return local.weekday() in hours.working_days and hours.opens <= local.time() <= hours.closes


def is_reminder_time(hours: PracticeHours, now: datetime) -> bool:
    """Whether the day's reminder may be given: at its hour, or later where the computer slept then."""
    return is_open(hours, now) and now.astimezone(hours.zone).time() >= hours.reminder


def is_rotation_day(hours: PracticeHours, day: date) -> bool:
    """The rotation day, or the last working day before it where the practice is closed then."""
    for offset in range(7):
        rotation = (hours.rotation_day - offset) % 7
        if rotation in hours.working_days:
            return day.weekday() == rotation
    return False


def next_ticks(rules: Rules, now: datetime, *, idle_since: Sequence[datetime] = ()) -> tuple[Due, ...]:
    """The next tick of each kind, all of them later than ``now``, in UTC; without a working day there are none.

    ``idle_since``: since when each drive that is plugged in has had nothing to do.
    """
    hours = rules.hours
    found: list[Due] = []
    opening = _next_at(hours, hours.opens, now, rotation=False)
    if opening is not None:
        found += [Due("backup-due", opening), Due("verification-due", opening), Due("restore-test-due", opening)]
    reminder = _next_at(hours, hours.reminder, now, rotation=False)
    if reminder is not None:
        found.append(Due("reminder-hour", reminder))
    rotation = _next_at(hours, hours.reminder, now, rotation=True)
    if rotation is not None:
        found.append(Due("rotation-day", rotation))
    still = [since.astimezone(UTC) + STILL_PLUGGED_AFTER for since in idle_since]
    found += [Due("still-plugged", at) for at in still if at > now]
    return tuple(sorted(found, key=lambda due: (due.at, due.what)))


def _next_at(hours: PracticeHours, clock: time, now: datetime, *, rotation: bool) -> datetime | None:
    today = local_day(now, hours.zone)
    for day in _days_from(today):
        if day.weekday() not in hours.working_days or (rotation and not is_rotation_day(hours, day)):
            continue
        # Made once for each day and compared in UTC, so that the hour that comes twice in October gives one tick, and
        # the one that is left out in March gives one as well (PEP 495: a missing time is read with the offset before).
        at = datetime.combine(day, clock, hours.zone).astimezone(UTC)
        if at > now:
            return at
    return None


def _days_from(first: date) -> Iterable[date]:
    return (first + timedelta(days=offset) for offset in range(9))
