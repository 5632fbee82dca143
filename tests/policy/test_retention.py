"""Which snapshots stay: literal calendars first, then what must hold for any of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinebackup.config import RetentionConfig
from kinebackup.policy.retention import RetentionPlan, SnapshotFacts, plan_retention

PARIS = ZoneInfo("Europe/Paris")
NONE = RetentionConfig(keep_last=0, daily=0, weekly=0, monthly=0, yearly=0)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def snapshot(
    when: str,
    *,
    id: str = "",
    sequence: int | None = None,
    machine: str = "pc",
    sources: tuple[str, ...] = ("/a",),
    suspicious: bool = False,
    verified: bool = False,
) -> SnapshotFacts:
    """Where no sequence is given, clocks were right: it is the order of the times."""
    time = datetime.fromisoformat(when).replace(tzinfo=UTC)
    number = int(time.timestamp()) if sequence is None else sequence
    return SnapshotFacts(id or when, number, time, "host", machine, sources, suspicious, verified)


def plan(snapshots: Sequence[SnapshotFacts], rules: RetentionConfig, now: datetime = NOW) -> RetentionPlan:
    return plan_retention(snapshots, rules, now=now)


# --- wrong clocks and wrong calls -----------------------------------------------------------------------------------


def test_a_snapshot_from_the_future_stays_and_takes_the_place_of_no_other() -> None:
    snapshots = [snapshot("2020-01-01"), snapshot("2020-01-02"), snapshot("2031-06-02", verified=True)]
    result = plan(snapshots, NONE)
    assert result.kept == {"2031-06-02": ("future",), "2020-01-02": ("newest",)}
    assert result.removed == ("2020-01-01",)


def test_a_snapshot_of_this_very_moment_is_not_from_the_future() -> None:
    assert plan([snapshot("2026-06-01T12:00:00")], NONE).kept == {"2026-06-01T12:00:00": ("newest",)}


def test_a_clock_that_has_fallen_back_behind_all_snapshots_removes_nothing() -> None:
    snapshots = [snapshot("2026-01-01"), snapshot("2026-01-02"), snapshot("2026-01-03")]
    assert plan(snapshots, NONE, datetime(1970, 1, 1, tzinfo=UTC)).removed == ()


def test_the_newest_is_the_last_one_taken_and_not_the_one_of_the_latest_date() -> None:
    snapshots = [snapshot("2026-05-20", sequence=1), snapshot("2026-03-01", sequence=2)]
    result = plan(snapshots, RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0))
    assert result.kept == {"2026-03-01": ("newest", "last")}
    assert result.removed == ("2026-05-20",)


def test_a_clock_set_ten_years_ahead_removes_nothing_by_itself() -> None:
    snapshots = [snapshot(f"2026-05-{day:02}") for day in range(1, 29)]
    rules = RetentionConfig(keep_last=1, daily=14, weekly=8, monthly=24, yearly=25)
    later = NOW + timedelta(days=3653)
    assert plan(snapshots, rules, later).removed == plan(snapshots, rules).removed


def test_a_time_without_a_zone_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        plan_retention([], NONE, now=datetime(2026, 6, 1))  # noqa: DTZ001  the mistake itself
    with pytest.raises(ValueError, match="without a zone"):
        plan([SnapshotFacts("x", 1, datetime(2026, 6, 1), "h", "m", ())], NONE)  # noqa: DTZ001  the mistake itself


def test_two_snapshots_of_one_id_are_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one id"):
        plan([snapshot("2026-01-01", id="x"), snapshot("2026-01-02", id="x")], NONE)


# --- what always stays ----------------------------------------------------------------------------------------------


def test_an_empty_drive_needs_no_decision() -> None:
    assert plan([], RetentionConfig()) == RetentionPlan(kept={}, removed=())


def test_the_newest_stays_even_when_the_rules_keep_nothing() -> None:
    result = plan([snapshot("2020-01-01"), snapshot("2020-01-02")], NONE)
    assert result.kept == {"2020-01-02": ("newest",)}
    assert result.removed == ("2020-01-01",)


def test_the_newest_verified_stays_however_old() -> None:
    snapshots = [snapshot("2010-01-01"), snapshot("2011-01-01", verified=True), snapshot("2026-01-01")]
    result = plan(snapshots, NONE)
    assert result.kept == {"2026-01-01": ("newest",), "2011-01-01": ("newest-verified",)}


def test_a_verified_but_suspicious_one_does_not_replace_the_verified_and_sound_one() -> None:
    snapshots = [
        snapshot("2020-01-01", verified=True),
        snapshot("2020-02-01", verified=True, suspicious=True),
        snapshot("2020-03-01"),
    ]
    result = plan(snapshots, NONE)
    assert result.kept == {
        "2020-03-01": ("newest",),
        "2020-02-01": ("newest-verified",),
        "2020-01-01": ("newest-verified",),
    }


def test_each_computer_and_each_set_of_sources_is_thinned_by_itself() -> None:
    snapshots = [
        snapshot("2020-01-01", machine="old-pc"),
        snapshot("2021-01-01", sources=("/a", "/b")),
        snapshot("2021-01-02", sources=("/b", "/a")),
        snapshot("2026-01-01"),
        snapshot("2026-01-02"),
    ]
    result = plan(snapshots, RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0))
    assert result.removed == ("2021-01-01", "2026-01-01")


# --- suspicious snapshots -------------------------------------------------------------------------------------------


def test_a_suspicious_snapshot_pushes_no_sound_one_out() -> None:
    snapshots = [snapshot("2026-05-29"), snapshot("2026-05-30"), snapshot("2026-05-31", suspicious=True)]
    result = plan(snapshots, RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0))
    assert result.kept == {"2026-05-31": ("suspicious",), "2026-05-30": ("newest", "last")}


def test_a_suspicious_snapshot_stays_while_nothing_sound_is_newer() -> None:
    result = plan([snapshot("2019-01-01"), snapshot("2020-01-01", suspicious=True)], NONE)
    assert result.kept == {"2020-01-01": ("suspicious",), "2019-01-01": ("newest",)}


def test_a_suspicious_snapshot_goes_after_thirty_days_once_a_sound_one_is_newer() -> None:
    snapshots = [snapshot("2026-05-02T12:00:00", suspicious=True), snapshot("2026-05-10")]
    at_thirty_days = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    assert plan(snapshots, NONE, at_thirty_days - timedelta(seconds=1)).removed == ()
    assert plan(snapshots, NONE, at_thirty_days).removed == ("2026-05-02T12:00:00",)


def test_only_suspicious_snapshots_all_stay() -> None:
    snapshots = [snapshot("2019-01-01", suspicious=True), snapshot("2020-01-01", suspicious=True)]
    assert plan(snapshots, NONE).removed == ()


# --- calendars ------------------------------------------------------------------------------------------------------


def test_the_last_of_each_day_stays_for_the_days_that_have_one() -> None:
    snapshots = [
        snapshot("2026-05-01T08:00:00"),
        snapshot("2026-05-01T18:00:00"),
        snapshot("2026-05-20T08:00:00"),  # after holidays
        snapshot("2026-05-20T18:00:00"),
    ]
    result = plan(snapshots, RetentionConfig(keep_last=0, daily=2, weekly=0, monthly=0, yearly=0))
    assert result.kept == {"2026-05-20T18:00:00": ("newest", "daily"), "2026-05-01T18:00:00": ("daily",)}


def test_the_day_ends_at_the_midnight_of_the_practice() -> None:
    # 23:30 and 00:30 in Paris, on one UTC day
    snapshots = [snapshot("2026-05-01T21:30:00"), snapshot("2026-05-01T22:30:00")]
    rules = RetentionConfig(keep_last=0, daily=9, weekly=0, monthly=0, yearly=0)
    assert plan_retention(snapshots, rules, now=NOW, zone=UTC).removed == ("2026-05-01T21:30:00",)
    assert plan_retention(snapshots, rules, now=NOW, zone=PARIS).removed == ()


def test_the_hour_that_comes_twice_in_autumn_is_one_day_in_the_order_of_time() -> None:
    # 02:30 summer time, then 02:30 winter time
    snapshots = [snapshot("2025-10-26T00:30:00"), snapshot("2025-10-26T01:30:00")]
    rules = RetentionConfig(keep_last=0, daily=9, weekly=0, monthly=0, yearly=0)
    assert plan_retention(snapshots, rules, now=NOW, zone=PARIS).removed == ("2025-10-26T00:30:00",)


def test_a_week_is_not_cut_in_two_at_new_year() -> None:
    # Thursday 31 December 2020 and Sunday 3 January 2021 are both in week 53 of 2020; Monday 4 January begins week 1.
    snapshots = [snapshot("2020-12-31"), snapshot("2021-01-03"), snapshot("2021-01-04")]
    result = plan(snapshots, RetentionConfig(keep_last=0, daily=0, weekly=9, monthly=0, yearly=0))
    assert result.removed == ("2020-12-31",)


def test_week_one_may_begin_in_december_and_differs_from_week_one_of_the_same_calendar_year() -> None:
    # Monday 30 December 2019 is in week 1 of 2020; Wednesday 2 January 2019 in week 1 of 2019.
    snapshots = [snapshot("2019-01-02"), snapshot("2019-12-30"), snapshot("2020-01-05")]
    result = plan(snapshots, RetentionConfig(keep_last=0, daily=0, weekly=9, monthly=0, yearly=0))
    assert result.removed == ("2019-12-30",)


def test_the_last_of_each_month_and_year_stays() -> None:
    snapshots = [
        snapshot("2024-02-29"),
        snapshot("2024-12-31"),
        snapshot("2025-01-01"),
        snapshot("2025-01-31"),
        snapshot("2025-02-01"),
    ]
    assert plan(snapshots, RetentionConfig(keep_last=0, daily=0, weekly=0, monthly=2, yearly=2)).kept == {
        "2025-02-01": ("newest", "monthly", "yearly"),
        "2025-01-31": ("monthly",),
        "2024-12-31": ("yearly",),
    }


def test_after_twenty_years_of_daily_backups_the_defaults_still_hold_each_year() -> None:
    first = datetime(2026, 1, 1, 17, 30, tzinfo=UTC)
    kept: list[SnapshotFacts] = []
    for day in range(20 * 365 + 5):
        time = first + timedelta(days=day)
        kept.append(SnapshotFacts(str(day), day + 1, time, "host", "pc", ("/a",)))
        removed = set(plan_retention(kept, RetentionConfig(), now=time).removed)
        kept = [each for each in kept if each.id not in removed]
    assert sorted({each.time.year for each in kept}) == list(range(2026, 2046))
    assert [each.time.strftime("%m-%d") for each in kept[:18]] == ["12-31"] * 18
    # 14 days; 8 Sundays, 2 of them among the days; 24 months, 1 among the days; 20 years, 2 among the months
    assert len(kept) == 14 + 6 + 23 + 18


# --- what holds for any drive ---------------------------------------------------------------------------------------

RULES = st.builds(
    RetentionConfig,
    keep_last=st.integers(0, 4),
    daily=st.integers(0, 4),
    weekly=st.integers(0, 4),
    monthly=st.integers(0, 4),
    yearly=st.integers(0, 4),
)


@st.composite
def drives(draw: st.DrawFn) -> list[SnapshotFacts]:
    """Taken one after the other under clocks that said anything."""
    facts = draw(
        st.lists(
            st.tuples(
                st.datetimes(datetime(2020, 1, 1), datetime(2031, 5, 31), timezones=st.just(UTC)),  # noqa: DTZ001  bounds
                st.sampled_from(["pc", "laptop"]),
                st.sampled_from([("/a",), ("/a", "/b"), ("/b", "/a")]),
                st.booleans(),
                st.booleans(),
            ),
            max_size=40,
        )
    )
    return [SnapshotFacts(f"{number:04}", number + 1, fact[0], "host", *fact[1:]) for number, fact in enumerate(facts)]


@given(drives(), RULES)
def test_every_snapshot_is_either_kept_with_a_reason_or_removed(
    snapshots: list[SnapshotFacts], rules: RetentionConfig
) -> None:
    result = plan(snapshots, rules)
    assert sorted([*result.kept, *result.removed]) == sorted(each.id for each in snapshots)
    assert all(result.kept.values())


@given(drives(), RULES)
def test_the_newest_sound_and_the_newest_verified_are_never_removed(
    snapshots: list[SnapshotFacts], rules: RetentionConfig
) -> None:
    result = plan(snapshots, rules)
    assert all(result.kept.get(each.id) == ("future",) for each in snapshots if each.time > NOW)
    counted = [each for each in snapshots if each.time <= NOW]
    for machine, sources in {(each.machine, frozenset(each.sources)) for each in counted}:
        group = [each for each in counted if (each.machine, frozenset(each.sources)) == (machine, sources)]
        sound = [each for each in group if not each.suspicious]
        if sound:
            assert max(sound, key=lambda each: each.sequence).id in result.kept
        assert any(each.id in result.kept for each in group)
    verified = [each for each in counted if each.verified]
    if verified:
        assert max(verified, key=lambda each: each.sequence).id in result.kept


@given(drives(), RULES)
def test_deciding_again_on_what_was_kept_removes_nothing(
    snapshots: list[SnapshotFacts], rules: RetentionConfig
) -> None:
    kept = plan(snapshots, rules).kept
    assert plan([each for each in snapshots if each.id in kept], rules).removed == ()


@given(drives(), RULES, st.randoms(use_true_random=False))
def test_the_order_in_which_snapshots_are_given_does_not_matter(
    snapshots: list[SnapshotFacts], rules: RetentionConfig, random: Random
) -> None:
    shuffled = list(snapshots)
    random.shuffle(shuffled)
    assert plan(shuffled, rules) == plan(snapshots, rules)


@given(drives(), RULES)
def test_the_presence_of_suspicious_snapshots_changes_nothing_for_the_sound_ones(
    snapshots: list[SnapshotFacts], rules: RetentionConfig
) -> None:
    unverified = [replace(s, verified=False) for s in snapshots]
    sound = [each for each in unverified if not each.suspicious]
    with_them, without = plan(unverified, rules), plan(sound, rules)
    assert {each.id for each in sound if each.id in with_them.kept} == set(without.kept)


@given(drives(), RULES)
def test_a_snapshot_from_the_future_changes_nothing_for_the_others(
    snapshots: list[SnapshotFacts], rules: RetentionConfig
) -> None:
    counted = [each for each in snapshots if each.time <= NOW]
    assert plan(snapshots, rules).removed == plan(counted, rules).removed


@given(drives(), RULES)
def test_a_more_generous_rule_keeps_at_least_as_much(snapshots: list[SnapshotFacts], rules: RetentionConfig) -> None:
    more = RetentionConfig(rules.keep_last + 1, rules.daily + 1, rules.weekly + 1, rules.monthly + 1, rules.yearly + 1)
    assert set(plan(snapshots, rules).kept) <= set(plan(snapshots, more).kept)
