"""What hands should do now, and whether it may be said today.

Owns: which reminder is due, the back-off, the once-a-day rule and snoozing. Does not know: the words, the desktop, or
how a drive is found.

One function for each reminder; ``remind`` puts them together. A reminder is counted and snoozed with its family: "no
backup for nine days" is "plug in the drive" said louder. Whatever the clock does, no family speaks twice on one date.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from kinebackup.model import Place
from kinebackup.policy.notices import BEHAVIOUR, NOBODY, Notice, NoticeKind
from kinebackup.policy.schedule import (
    STILL_PLUGGED_AFTER,
    PracticeHours,
    Rules,
    code_test_due,
    days_between,
    is_due,
    is_open,
    is_reminder_time,
    is_rotation_day,
    local_day,
)

SNOOZE_AT_MOST: Final = timedelta(days=7)
ROTATE_AFTER_DAYS: Final = 5  # a working week
CODE_TEST_EVERY_DAYS: Final = 7

_BACK_OFF_DAYS: Final = frozenset({0, 1, 2, 4})
_THEN_EVERY_DAYS: Final = 7
_SPOKEN_KEPT: Final = 128

Occasion = Literal["reminder-hour", "rotation-day", "still-plugged"]


@dataclass(frozen=True, slots=True)
class DriveView:
    """One enrolled drive, as far as reminders go. ``id``: by which notices name it.

    ``idle_since``: since when it may be unplugged; None where it is absent, at work, or not known to be let go.
    """

    id: str
    place: Place
    plugged: bool
    idle_since: datetime | None = None
    last_backup: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A reminder that was given, under its family, and on which day of the practice's calendar."""

    kind: NoticeKind
    drive: str
    day: date


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Somebody asked not to be reminded before that time."""

    kind: NoticeKind
    drive: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """What must outlive a restart, or the person is told twice. ``told_ageing``: drives of which it was said."""

    spoken: tuple[Spoken, ...] = ()
    snoozed: tuple[Snoozed, ...] = ()
    last_code_test: datetime | None = None
    told_ageing: tuple[str, ...] = ()


def remind(
    drives: Sequence[DriveView], rules: Rules, memory: Memory, occasion: Occasion, *, now: datetime
) -> tuple[Notice, ...]:
    """The reminders to give now; of drives that are alike, the first is meant. Keep ``with_spoken`` for each."""
    hours = rules.hours
    match occasion:
        case "still-plugged":
            due = list(_unplug(drives, hours, now)) if is_open(hours, now) else []
        case "reminder-hour" | "rotation-day":
            due = list(_of_the_day(drives, rules, memory, now)) if is_reminder_time(hours, now) else []
    return tuple(notice for notice in due if _may_be_said(notice, memory, hours, now))


def with_spoken(notice: Notice, memory: Memory, hours: PracticeHours, now: datetime) -> tuple[Spoken, ...]:
    """What is remembered once that reminder was given."""
    said = Spoken(*reminder_key(notice.kind, notice.drive), local_day(now, hours.zone))
    return (*memory.spoken, said)[-_SPOKEN_KEPT:]


def snooze(memory: Memory, kind: NoticeKind, drive: str, until: datetime, *, now: datetime) -> tuple[Snoozed, ...]:
    """What is remembered once somebody said *later*. Nobody can silence a reminder for more than a week at once."""
    mine = Snoozed(*reminder_key(kind, drive), min(until, now + SNOOZE_AT_MOST))
    others = [each for each in memory.snoozed if (each.kind, each.drive) != (mine.kind, mine.drive)]
    return (*(each for each in others if each.until > now), mine)


def reminder_key(kind: NoticeKind, drive: str) -> tuple[NoticeKind, str]:
    """Under which family and drive a reminder is counted, and any notice is snoozed."""
    reminder = BEHAVIOUR[kind].reminder
    if reminder is None:
        return kind, NOBODY
    return reminder.family, drive if reminder.per_drive else NOBODY


def was_said_lately(notice: Notice, memory: Memory, hours: PracticeHours, days: int, *, now: datetime) -> bool:
    """Whether it, or another one of its family, was said less than so many days ago, or is to come by a wrong clock."""
    key, today = reminder_key(notice.kind, notice.drive), local_day(now, hours.zone)
    return any((each.kind, each.drive) == key and abs((today - each.day).days) < days for each in memory.spoken)


def _of_the_day(drives: Sequence[DriveView], rules: Rules, memory: Memory, now: datetime) -> Iterable[Notice]:
    yield from _plug_in(drives, rules, now)
    yield from _unplug(drives, rules.hours, now)
    yield from _rotate(drives, rules, now)
    yield from _bring_back(drives, rules, now)
    yield from _test_with_code(drives, rules, memory, now)


def _plug_in(drives: Sequence[DriveView], rules: Rules, now: datetime) -> Iterable[Notice]:
    """The drive at hand, while none is plugged in and the newest backup of all drives is not of today."""
    if not drives or any(drive.plugged for drive in drives):
        return
    nearest = min(drives, key=lambda drive: drive.place != "cabinet").id
    times = [drive.last_backup for drive in drives if drive.last_backup is not None and drive.last_backup <= now]
    if not times:
        yield Notice(NoticeKind.PLUG_IN_FIRST, nearest)
        return
    days = days_between(max(times), now, rules.hours.zone)
    if days > rules.rotation.fresh_days:
        yield Notice(NoticeKind.OVERDUE, nearest, days=days)
    elif days >= rules.backup_days:
        yield Notice(NoticeKind.PLUG_IN, nearest, days=days)


def _unplug(drives: Sequence[DriveView], hours: PracticeHours, now: datetime) -> Iterable[Notice]:
    """A drive that stays in is exposed to whatever happens to the computer. Said on fewer and fewer days."""
    for drive in drives:
        if drive.idle_since is None or now - drive.idle_since < STILL_PLUGGED_AFTER:
            continue
        days = days_between(drive.idle_since, now, hours.zone)
        if days in _BACK_OFF_DAYS or days % _THEN_EVERY_DAYS == 0:
            at_home = drive.place == "domicile"
            yield Notice(NoticeKind.UNPLUG_TAKE_HOME if at_home else NoticeKind.UNPLUG, drive.id)


def _rotate(drives: Sequence[DriveView], rules: Rules, now: datetime) -> Iterable[Notice]:
    """On the rotation day: the freshest drive goes home, the stalest of those that are away comes."""
    if not is_rotation_day(rules.hours, local_day(now, rules.hours.zone)):
        return
    saved = [drive for drive in drives if drive.last_backup is not None and drive.last_backup <= now]
    if not saved:
        return
    freshest = max(reversed(saved), key=lambda drive: drive.last_backup or now)
    zone = rules.hours.zone
    away = [
        drive
        for drive in drives
        if drive is not freshest and not drive.plugged and is_due(drive.last_backup, ROTATE_AFTER_DAYS, now, zone)
    ]
    if away:
        stalest = min(away, key=lambda drive: (drive.last_backup is not None, drive.last_backup or now))
        yield Notice(NoticeKind.ROTATE, freshest.id, other=stalest.id)


def _bring_back(drives: Sequence[DriveView], rules: Rules, now: datetime) -> Iterable[Notice]:
    """A drive kept away that has not been refreshed for too long."""
    limit = rules.rotation.offsite_days
    for drive in drives:
        if drive.place != "domicile" or drive.plugged or drive.last_backup is None:
            continue
        late = days_between(drive.last_backup, now, rules.hours.zone) - limit
        if late > 0 and (late - 1 in _BACK_OFF_DAYS or (late - 1) % _THEN_EVERY_DAYS == 0):
            yield Notice(NoticeKind.BRING_BACK, drive.id, days=late + limit)


def _test_with_code(drives: Sequence[DriveView], rules: Rules, memory: Memory, now: datetime) -> Iterable[Notice]:
    """Once a quarter the printed code has to open a drive; asked for once a week until it has."""
    zone = rules.hours.zone
    if not any(drive.last_backup for drive in drives) or not code_test_due(memory.last_code_test, now, zone):
        return
    today = local_day(now, zone)
    said = [each.day for each in memory.spoken if each.kind is NoticeKind.TEST_WITH_CODE]
    if all(abs((today - day).days) >= CODE_TEST_EVERY_DAYS for day in said):
        yield Notice(NoticeKind.TEST_WITH_CODE)


def _may_be_said(notice: Notice, memory: Memory, hours: PracticeHours, now: datetime) -> bool:
    key = reminder_key(notice.kind, notice.drive)
    today = local_day(now, hours.zone)
    if any((each.kind, each.drive, each.day) == (*key, today) for each in memory.spoken):
        return False
    # A snooze that lies further ahead than one can be set was set by a clock that was wrong.
    return not any(
        (each.kind, each.drive) == key and now < each.until <= now + SNOOZE_AT_MOST for each in memory.snoozed
    )
