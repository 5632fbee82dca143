"""Which reminder is given when, at most once a day, and not to somebody who said *later*."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.reminders import DriveView, Memory, Occasion, remind, reminder_key, snooze, with_spoken
from kinebackup.policy.schedule import PracticeHours, Rules, local_day

PARIS = ZoneInfo("Europe/Paris")
RULES = Rules(PracticeHours(PARIS))
TUESDAY = datetime(2026, 11, 24, 17, 30, tzinfo=PARIS).astimezone(UTC)
FRIDAY = TUESDAY + timedelta(days=3)
CODE_KNOWN = Memory(last_code_test=TUESDAY)


def ago(days: float, now: datetime = TUESDAY) -> datetime:
    return now - timedelta(days=days)


CABINET = DriveView("CABINET", "cabinet", plugged=False, last_backup=ago(0.2))
DOMICILE = DriveView("DOMICILE", "domicile", plugged=False, last_backup=ago(4))


def said(
    *drives: DriveView, now: datetime = TUESDAY, memory: Memory = CODE_KNOWN, occasion: Occasion = "reminder-hour"
) -> tuple[Notice, ...]:
    return remind(drives, RULES, memory, occasion, now=now)


def test_saved_today_and_nothing_plugged_in_is_silence() -> None:
    assert said(CABINET, DOMICILE) == ()
    assert said() == ()


@pytest.mark.parametrize(
    ("days", "notice"),
    [
        (0, None),
        (1, Notice(NoticeKind.PLUG_IN, "CABINET", days=1)),
        (7, Notice(NoticeKind.PLUG_IN, "CABINET", days=7)),
        (8, Notice(NoticeKind.OVERDUE, "CABINET", days=8)),
        (400, Notice(NoticeKind.OVERDUE, "CABINET", days=400)),
    ],
)
def test_the_drive_at_hand_is_asked_for_in_words_that_depend_on_the_days(days: int, notice: Notice | None) -> None:
    found = said(replace(DOMICILE, last_backup=None), replace(CABINET, last_backup=ago(days)))
    assert found == ((notice,) if notice else ())


def test_a_practice_without_any_backup_is_told_so() -> None:
    new = replace(CABINET, last_backup=None)
    assert said(new) == (Notice(NoticeKind.PLUG_IN_FIRST, "CABINET"),)
    assert said(replace(new, last_backup=TUESDAY + timedelta(days=1))) == (Notice(NoticeKind.PLUG_IN_FIRST, "CABINET"),)


def test_no_drive_is_asked_for_while_one_is_at_work() -> None:
    assert said(replace(CABINET, last_backup=ago(9), plugged=True), DOMICILE) == ()


@pytest.mark.parametrize(
    ("when", "given"),
    [("2026-11-24 17:29", False), ("2026-11-24 19:00", True), ("2026-11-24 21:00", False), ("2026-11-28 17:30", False)],
)
def test_reminders_keep_the_practices_hours_and_days(when: str, given: bool) -> None:
    now = datetime.fromisoformat(when).replace(tzinfo=PARIS)
    assert bool(said(replace(CABINET, last_backup=ago(9, now)), now=now)) is given


def idle(minutes: float, drive: DriveView = CABINET) -> DriveView:
    return replace(drive, plugged=True, idle_since=TUESDAY - timedelta(minutes=minutes))


def test_a_drive_that_stays_in_is_to_be_unplugged_after_a_quarter_of_an_hour() -> None:
    assert said(idle(14), occasion="still-plugged") == ()
    assert said(idle(15), occasion="still-plugged") == (Notice(NoticeKind.UNPLUG, "CABINET"),)
    assert said(idle(15, DOMICILE), occasion="still-plugged") == (Notice(NoticeKind.UNPLUG_TAKE_HOME, "DOMICILE"),)
    assert said(replace(idle(15), idle_since=None), occasion="still-plugged") == ()


def test_it_is_said_on_fewer_and_fewer_days() -> None:
    days = [day for day in range(30) if said(idle(24 * 60 * day + 60))]
    assert days == [0, 1, 2, 4, 7, 14, 21, 28]


def test_on_the_rotation_day_the_freshest_drive_goes_home_and_the_stalest_comes() -> None:
    fresh, stale = replace(CABINET, last_backup=ago(0.1, FRIDAY)), replace(DOMICILE, last_backup=ago(5, FRIDAY))
    assert said(fresh, stale, now=FRIDAY, occasion="rotation-day") == (
        Notice(NoticeKind.ROTATE, "CABINET", other="DOMICILE"),
    )
    assert said(replace(fresh, last_backup=ago(1.1, FRIDAY)), stale, now=FRIDAY - timedelta(days=1)) == ()
    assert said(fresh, replace(stale, last_backup=ago(4, FRIDAY)), now=FRIDAY) == ()
    assert said(fresh, replace(stale, plugged=True), now=FRIDAY) == ()
    assert said(fresh, now=FRIDAY) == ()


def test_a_drive_that_never_had_a_backup_is_the_stalest() -> None:
    fresh, stale = replace(CABINET, last_backup=ago(0.1, FRIDAY)), replace(DOMICILE, last_backup=ago(6, FRIDAY))
    new = DriveView("NEW", "domicile", plugged=False)
    assert said(fresh, stale, new, now=FRIDAY) == (Notice(NoticeKind.ROTATE, "CABINET", other="NEW"),)


def test_a_drive_too_long_at_home_is_asked_back_with_a_back_off() -> None:
    days = [day for day in range(45) if said(CABINET, replace(DOMICILE, last_backup=ago(day)))]
    assert days == [15, 16, 17, 19, 22, 29, 36, 43]
    assert said(CABINET, replace(DOMICILE, last_backup=ago(15))) == (
        Notice(NoticeKind.BRING_BACK, "DOMICILE", days=15),
    )


def test_the_recovery_code_is_asked_for_once_a_week_once_a_quarter() -> None:
    old = Memory(last_code_test=ago(91))
    assert said(CABINET, DOMICILE, memory=old) == (Notice(NoticeKind.TEST_WITH_CODE),)
    spoken = with_spoken(Notice(NoticeKind.TEST_WITH_CODE), old, RULES.hours, ago(6))
    assert said(CABINET, DOMICILE, memory=replace(old, spoken=spoken)) == ()
    spoken = with_spoken(Notice(NoticeKind.TEST_WITH_CODE), old, RULES.hours, ago(7))
    assert said(CABINET, DOMICILE, memory=replace(old, spoken=spoken)) == (Notice(NoticeKind.TEST_WITH_CODE),)
    assert said(replace(CABINET, last_backup=None), memory=Memory())[0].kind is NoticeKind.PLUG_IN_FIRST


def test_nothing_is_said_twice_a_day_in_any_words() -> None:
    late = replace(CABINET, last_backup=ago(8))
    spoken = with_spoken(Notice(NoticeKind.PLUG_IN, "CABINET"), CODE_KNOWN, RULES.hours, ago(0.1))
    assert said(late, memory=replace(CODE_KNOWN, spoken=spoken)) == ()
    assert len(said(late, memory=replace(CODE_KNOWN, spoken=spoken), now=TUESDAY + timedelta(days=1))) == 1


def test_drives_that_stay_in_are_counted_one_by_one() -> None:
    spoken = with_spoken(Notice(NoticeKind.UNPLUG, "CABINET"), CODE_KNOWN, RULES.hours, TUESDAY)
    found = said(idle(20), idle(20, DOMICILE), memory=replace(CODE_KNOWN, spoken=spoken))
    assert found == (Notice(NoticeKind.UNPLUG_TAKE_HOME, "DOMICILE"),)


def test_a_snooze_lasts_as_long_as_was_asked_and_a_week_at_most() -> None:
    late = replace(CABINET, last_backup=ago(8))
    for asked, days in [(timedelta(days=2), 2), (timedelta(days=900), 7)]:
        snoozed = snooze(CODE_KNOWN, NoticeKind.PLUG_IN, "CABINET", TUESDAY + asked, now=TUESDAY)
        memory = replace(CODE_KNOWN, snoozed=snoozed)
        silent = [day for day in range(10) if not said(late, memory=memory, now=TUESDAY + timedelta(days=day))]
        weekend = [day for day in (4, 5) if day >= days]
        assert silent == [*range(days), *weekend]


def test_a_second_snooze_replaces_the_first_and_others_stay() -> None:
    memory = CODE_KNOWN
    for kind, drive, days in [
        (NoticeKind.UNPLUG, "CABINET", 1),
        (NoticeKind.OVERDUE, "CABINET", 1),
        (NoticeKind.PLUG_IN, "DOMICILE", 3),
    ]:
        until = TUESDAY + timedelta(days=days)
        memory = replace(memory, snoozed=snooze(memory, kind, drive, until, now=TUESDAY))
    assert [(each.kind, each.drive, (each.until - TUESDAY).days) for each in memory.snoozed] == [
        (NoticeKind.UNPLUG, "CABINET", 1),
        (NoticeKind.PLUG_IN, "", 3),
    ]


def test_a_snooze_set_by_a_clock_that_was_ahead_does_not_silence_for_years() -> None:
    ahead = TUESDAY + timedelta(days=900)
    snoozed = snooze(CODE_KNOWN, NoticeKind.PLUG_IN, "", ahead + timedelta(days=1), now=ahead)
    assert len(said(replace(CABINET, last_backup=ago(8)), memory=replace(CODE_KNOWN, snoozed=snoozed))) == 1


VIEWS = st.lists(
    st.builds(
        DriveView,
        id=st.sampled_from("ABC"),
        place=st.sampled_from(["cabinet", "domicile"]),
        plugged=st.booleans(),
        idle_since=st.none() | st.integers(-2, 40).map(ago),
        last_backup=st.none() | st.integers(-2, 40).map(ago),
    ),
    max_size=3,
    unique_by=lambda drive: drive.id,
)


@settings(max_examples=60, deadline=None)
@given(VIEWS, st.lists(st.tuples(st.integers(-70, 70), st.sampled_from(get_args(Occasion))), max_size=25))
def test_whatever_the_clock_does_no_reminder_comes_twice_on_one_date(
    drives: Sequence[DriveView], looks: list[tuple[int, Occasion]]
) -> None:
    memory = Memory()
    given: list[tuple[object, ...]] = []
    now = TUESDAY
    for hours, occasion in looks:
        now += timedelta(hours=hours)
        for notice in remind(drives, RULES, memory, occasion, now=now):
            assert notice.behaviour.reminder is not None
            memory = replace(memory, spoken=with_spoken(notice, memory, RULES.hours, now))
            given.append((*reminder_key(notice.kind, notice.drive), local_day(now, PARIS)))
    assert len(given) == len(set(given))
