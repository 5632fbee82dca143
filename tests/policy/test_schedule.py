"""What is due when: days of the practice's calendar, hours that come twice or never, clocks that jump."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinebackup.config import RotationConfig
from kinebackup.policy.schedule import (
    Due,
    History,
    PracticeHours,
    Rules,
    backup_due,
    code_test_due,
    days_between,
    is_due,
    is_open,
    is_reminder_time,
    is_rotation_day,
    next_ticks,
    plan,
    restore_test_due,
    verify_due,
    verify_one_in,
)

PARIS = ZoneInfo("Europe/Paris")
HOURS = PracticeHours(PARIS)
RULES = Rules(HOURS)


def paris(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = paris("2026-11-24 17:40")  # a Tuesday


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, True),
        ("2026-11-24 08:00", False),
        ("2026-11-24 00:00", False),
        ("2026-11-23 23:59", True),
        ("2026-11-23 17:50", True),  # yesterday, ten minutes later than now
        ("2026-11-24 17:41", True),  # still to come: one of the two clocks was wrong
        ("2030-01-01 00:00", True),
    ],
)
def test_a_backup_is_due_once_a_day_of_the_practice(last: str | None, due: bool) -> None:
    assert backup_due(History(last_backup=paris(last) if last else None), RULES, NOW) is due


def test_the_midnight_is_that_of_the_practice() -> None:
    evening = utc("2026-07-14 22:30")  # half past midnight in Paris
    assert backup_due(History(last_backup=utc("2026-07-14 21:30")), RULES, evening)
    london = Rules(PracticeHours(UTC))
    assert not backup_due(History(last_backup=utc("2026-07-14 21:30")), london, evening)


@pytest.mark.parametrize(
    ("days", "due", "one_in"),
    [(0, False, 8), (2, False, 8), (3, True, 8), (4, True, 7), (7, True, 4), (15, True, 2), (200, True, 2)],
)
def test_a_drive_is_read_in_parts_and_a_part_is_larger_where_it_comes_rarely(days: int, due: bool, one_in: int) -> None:
    history = History(last_verify=NOW - timedelta(days=days))
    assert verify_due(history, RULES, NOW) is due
    assert verify_one_in(history, RULES, NOW) == one_in


@given(st.integers(1, 400), st.integers(1, 365))
def test_after_eight_sessions_all_of_the_drive_has_been_read(days_apart: int, verify_days: int) -> None:
    rules = replace(RULES, rotation=RotationConfig(verify_days=verify_days))
    history = History(last_verify=NOW - timedelta(days=days_apart))
    assert 2 <= verify_one_in(history, rules, NOW) <= 8


def test_a_drive_never_verified_or_verified_in_the_future_begins_with_an_eighth() -> None:
    assert verify_one_in(History(), RULES, NOW) == 8
    assert verify_one_in(History(last_verify=NOW + timedelta(days=9)), RULES, NOW) == 8


def test_a_restore_test_is_due_once_a_month_and_the_code_once_a_quarter() -> None:
    assert not restore_test_due(History(last_restore_test=NOW - timedelta(days=29)), RULES, NOW)
    assert restore_test_due(History(last_restore_test=NOW - timedelta(days=30)), RULES, NOW)
    assert not code_test_due(NOW - timedelta(days=90), NOW, PARIS)
    assert code_test_due(NOW - timedelta(days=91), NOW, PARIS)
    assert code_test_due(None, NOW, PARIS)


YESTERDAY = NOW - timedelta(days=1)
ALL_OF_YESTERDAY = History(YESTERDAY, YESTERDAY, YESTERDAY, YESTERDAY)


@pytest.mark.parametrize(
    ("history", "wanted", "jobs"),
    [
        (History(), False, ("backup", "verify-written", "verify", "restore-test", "prune")),
        (ALL_OF_YESTERDAY, False, ("backup", "verify-written")),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW), False, ()),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW), True, ("backup", "verify-written")),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW, unread=True), False, ("verify-written",)),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW, last_verify=None), False, ("verify",)),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW, last_restore_test=None), False, ("restore-test",)),
        (replace(ALL_OF_YESTERDAY, last_backup=NOW, last_prune=None), False, ()),
        (replace(ALL_OF_YESTERDAY, last_prune=None), False, ("backup", "verify-written", "prune")),
        (replace(ALL_OF_YESTERDAY, last_prune=None, failed_check=True), False, ("backup", "verify-written")),
    ],
)
def test_the_plan_of_a_visit(history: History, wanted: bool, jobs: tuple[str, ...]) -> None:
    assert plan(history, RULES, NOW, wanted=wanted) == jobs


@pytest.mark.parametrize(
    ("when", "open_then", "reminder"),
    [
        ("2026-11-24 07:59", False, False),
        ("2026-11-24 08:00", True, False),
        ("2026-11-24 17:29", True, False),
        ("2026-11-24 17:30", True, True),
        ("2026-11-24 19:59", True, True),  # the computer slept at half past five
        ("2026-11-24 20:01", False, False),
        ("2026-11-28 17:30", False, False),  # a Saturday
    ],
)
def test_reminders_are_given_when_somebody_is_there(when: str, open_then: bool, reminder: bool) -> None:
    assert is_open(HOURS, paris(when)) is open_then
    assert is_reminder_time(HOURS, paris(when)) is reminder


def test_a_rotation_day_on_which_the_practice_is_closed_is_the_working_day_before() -> None:
    friday, thursday, saturday = date(2026, 11, 27), date(2026, 11, 26), date(2026, 11, 28)
    assert is_rotation_day(HOURS, friday)
    assert not is_rotation_day(HOURS, saturday)
    no_friday = replace(HOURS, working_days=frozenset({0, 1, 3}))
    assert is_rotation_day(no_friday, thursday)
    assert not is_rotation_day(no_friday, friday)
    assert not is_rotation_day(replace(HOURS, working_days=frozenset()), friday)


def test_the_next_ticks_of_a_tuesday_evening() -> None:
    assert next_ticks(RULES, NOW, idle_since=[NOW - timedelta(minutes=5), NOW - timedelta(hours=3)]) == (
        Due("still-plugged", paris("2026-11-24 17:50")),
        Due("backup-due", paris("2026-11-25 08:00")),
        Due("restore-test-due", paris("2026-11-25 08:00")),
        Due("verification-due", paris("2026-11-25 08:00")),
        Due("reminder-hour", paris("2026-11-25 17:30")),
        Due("rotation-day", paris("2026-11-27 17:30")),
    )


def test_a_weekend_is_skipped_and_no_working_day_means_no_tick() -> None:
    friday = paris("2026-11-27 17:30")
    found = {due.what: due.at for due in next_ticks(RULES, friday)}
    assert found["reminder-hour"] == paris("2026-11-30 17:30")
    assert found["rotation-day"] == paris("2026-12-04 17:30")
    assert next_ticks(replace(RULES, hours=replace(HOURS, working_days=frozenset())), NOW) == ()


EVERY_DAY = replace(HOURS, working_days=frozenset(range(7)))


def reminders_from(rules: Rules, now: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    for _tick in range(count):
        now = next(due.at for due in next_ticks(rules, now) if due.what == "reminder-hour")
        found.append(now)
    return found


def test_the_reminder_keeps_its_local_hour_through_summer_and_winter_time() -> None:
    rules = replace(RULES, hours=EVERY_DAY)
    assert reminders_from(rules, utc("2026-03-28 00:00"), 2) == [utc("2026-03-28 16:30"), utc("2026-03-29 15:30")]
    assert reminders_from(rules, utc("2026-10-24 00:00"), 2) == [utc("2026-10-24 15:30"), utc("2026-10-25 16:30")]


def test_an_hour_that_comes_twice_gives_one_tick_and_one_that_is_missing_gives_one_too() -> None:
    night = replace(RULES, hours=replace(EVERY_DAY, reminder=time(2, 30)))
    assert reminders_from(night, utc("2026-10-24 12:00"), 2) == [utc("2026-10-25 00:30"), utc("2026-10-26 01:30")]
    assert reminders_from(night, utc("2026-03-28 12:00"), 2) == [utc("2026-03-29 01:30"), utc("2026-03-30 00:30")]


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  zone given after
    st.times(),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 6),
    st.sampled_from([PARIS, ZoneInfo("Pacific/Apia"), ZoneInfo("America/St_Johns"), UTC]),
)
def test_ticks_are_always_ahead_and_never_more_than_nine_days(
    now: datetime, reminder: time, days: frozenset[int], rotation: int, zone: ZoneInfo
) -> None:
    hours = PracticeHours(zone, days, time(0, 0), time(23, 59), reminder, rotation)
    found = next_ticks(Rules(hours), now)
    assert [due.what for due in found if due.what == "rotation-day"] == ["rotation-day"]
    assert len(found) == 5
    assert all(now < due.at <= now + timedelta(days=9) for due in found)


def test_days_are_counted_by_midnights_in_both_directions() -> None:
    assert days_between(paris("2026-11-23 23:59"), paris("2026-11-24 00:01"), PARIS) == 1
    assert days_between(paris("2026-11-24 00:01"), paris("2026-11-23 23:59"), PARIS) == -1
    assert days_between(paris("2026-03-28 12:00"), paris("2026-03-29 12:00"), PARIS) == 1


@given(st.datetimes(timezones=st.just(UTC)), st.integers(1, 400))
def test_what_was_done_now_is_never_due_now(now: datetime, every_days: int) -> None:
    assert not is_due(now, every_days, now, UTC)
