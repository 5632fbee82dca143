"""Which snapshots of a drive are kept.

Owns: the decision, with a reason for each snapshot that is kept. Does not know: drives, packs, how a snapshot is
deleted, or what time it is.

Rules, in the order of their weight:

1. Which of two is newer, their sequence on the drive says; a time only says to which day a snapshot belongs. One of a
   time that is still to come (its clock was wrong, or this one is) stays and does not count: it stands for no day, and
   takes the place of no other. Where the clock has fallen back behind all of them, nothing goes.
2. The newest snapshot that a verification or a restore test has proven stays, whatever its age.
3. Snapshots are thinned per computer and set of sources, so that one that is rarely saved is not pushed out by another.
   The newest of each such group stays.
4. keep-last, daily … yearly keep the newest snapshot of each of the last N days … years *that have one*. Nothing goes
   because time passes: a clock set ten years ahead removes nothing by itself, and holidays cost no history.
5. A suspicious snapshot (a source was missing, empty or had shrunk) takes the place of no other. It stays while nothing
   sound is newer in its group, and in any case for ``SUSPICIOUS_DAYS``: time to find out what had happened.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal

from kinebackup.config import RetentionConfig

SUSPICIOUS_DAYS: Final = 30

KeepReason = Literal[
    "last",
    "daily",
    "weekly",
    "monthly",
    "yearly",
    "newest",  # of its computer and set of sources
    "newest-verified",  # of the drive
    "suspicious",  # recent, or with nothing sound after it
    "future",  # of a time that is still to come
]


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is known of one snapshot. ``time`` is aware; ``verified`` says that a check of it has succeeded."""

    id: str
    sequence: int
    time: datetime
    host: str
    machine: str
    sources: tuple[str, ...]
    suspicious: bool = False
    verified: bool = False


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """``kept`` and ``removed`` hold every id once. ``removed`` is oldest first, the order in which to delete."""

    kept: Mapping[str, tuple[KeepReason, ...]]
    removed: tuple[str, ...]


def plan_retention(
    snapshots: Sequence[SnapshotFacts], rules: RetentionConfig, *, now: datetime, zone: tzinfo = UTC
) -> RetentionPlan:
    """Decide for all snapshots of one drive.

    ``zone`` is where the practice is: its midnights, not those of Greenwich, end a day. Raises ``ValueError`` for a
    time without a zone and for two snapshots of one id, which are defects of the caller.
    """
    _check(snapshots, now)
    newest_first = sorted(snapshots, key=_age_order, reverse=True)
    reasons: dict[str, list[KeepReason]] = {each.id: ["future"] if each.time > now else [] for each in newest_first}
    counted = [each for each in newest_first if each.time <= now]
    for group in _groups(counted):
        _thin(group, rules, zone, reasons)
        _spare_suspicious(group, now, reasons)
    _spare_verified(counted, reasons)
    return RetentionPlan(
        kept={id_: tuple(why) for id_, why in reasons.items() if why},
        removed=tuple(each.id for each in reversed(newest_first) if not reasons[each.id]),
    )


def _check(snapshots: Sequence[SnapshotFacts], now: datetime) -> None:
    if now.tzinfo is None or any(each.time.tzinfo is None for each in snapshots):
        raise ValueError("a time without a zone")
    if len({each.id for each in snapshots}) != len(snapshots):
        raise ValueError("two snapshots of one id")


def _age_order(snapshot: SnapshotFacts) -> tuple[int, datetime, str]:
    return snapshot.sequence, snapshot.time, snapshot.id  # equal only where two writers did not see each other's


def _groups(newest_first: Iterable[SnapshotFacts]) -> Iterable[Sequence[SnapshotFacts]]:
    groups: dict[tuple[str, tuple[str, ...]], list[SnapshotFacts]] = {}
    for each in newest_first:
        groups.setdefault((each.machine, tuple(sorted(each.sources))), []).append(each)
    return groups.values()


def _thin(
    group: Sequence[SnapshotFacts], rules: RetentionConfig, zone: tzinfo, reasons: dict[str, list[KeepReason]]
) -> None:
    sound = [each for each in group if not each.suspicious]
    if sound:
        reasons[sound[0].id].append("newest")
    for each in sound[: rules.keep_last]:
        reasons[each.id].append("last")
    _keep_newest_of_each(sound, "daily", rules.daily, zone, lambda day: (day.year, day.month, day.day), reasons)
    # ISO 8601: the week belongs to the year of its Thursday, so that no week is cut in two at New Year.
    _keep_newest_of_each(sound, "weekly", rules.weekly, zone, lambda day: tuple(day.isocalendar())[:2], reasons)
    _keep_newest_of_each(sound, "monthly", rules.monthly, zone, lambda day: (day.year, day.month), reasons)
    _keep_newest_of_each(sound, "yearly", rules.yearly, zone, lambda day: (day.year,), reasons)


def _keep_newest_of_each(
    newest_first: Sequence[SnapshotFacts],
    reason: KeepReason,
    count: int,
    zone: tzinfo,
    period_of: Callable[[datetime], tuple[int, ...]],
    reasons: dict[str, list[KeepReason]],
) -> None:
    periods: set[tuple[int, ...]] = set()
    for each in newest_first:
        period = period_of(each.time.astimezone(zone))
        if period in periods:
            continue
        if len(periods) == count:
            return
        periods.add(period)
        reasons[each.id].append(reason)


def _spare_suspicious(group: Sequence[SnapshotFacts], now: datetime, reasons: dict[str, list[KeepReason]]) -> None:
    sound_is_newer = False
    for each in group:
        if not each.suspicious:
            sound_is_newer = True
        elif not sound_is_newer or now - each.time < timedelta(days=SUSPICIOUS_DAYS):
            reasons[each.id].append("suspicious")


def _spare_verified(newest_first: Sequence[SnapshotFacts], reasons: dict[str, list[KeepReason]]) -> None:
    """Keep the newest verified one, and the newest that is sound as well: being intact does not make it complete."""
    verified = [each for each in newest_first if each.verified]
    sound = [each for each in verified if not each.suspicious]
    for each in {*verified[:1], *sound[:1]}:
        reasons[each.id].append("newest-verified")
