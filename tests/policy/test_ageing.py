"""When a drive is to be replaced: every rule, at its threshold."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kinebackup.model import Health
from kinebackup.policy.ageing import Fault, FaultKind, judge_health, recent

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)


def at(text: str, kind: FaultKind = "healable") -> Fault:
    return Fault(datetime.fromisoformat(text).replace(tzinfo=PARIS), kind)


def health(*faults: Fault) -> Health:
    return judge_health(faults, now=NOW, zone=PARIS)


def test_a_drive_on_which_nothing_was_found_is_good() -> None:
    assert health() == "good"


def test_one_place_that_was_healed_is_only_watched() -> None:
    assert health(at("2026-11-20 18:00")) == "watch"


def test_two_days_on_which_something_new_was_found_are_enough_and_one_day_is_that_of_the_practice() -> None:
    assert health(at("2026-11-20 00:10"), at("2026-11-20 23:50")) == "watch"
    assert health(at("2026-11-19 23:50"), at("2026-11-20 00:10")) == "replace"


def test_five_places_at_once_are_enough() -> None:
    assert health(*[at("2026-11-20 18:00")] * 4) == "watch"
    assert health(*[at("2026-11-20 18:00")] * 5) == "replace"


@pytest.mark.parametrize("kind", ["lost", "refused"])
def test_what_was_not_healed_or_not_written_is_enough_at_once(kind: FaultKind) -> None:
    assert health(at("2026-11-20 18:00", kind)) == "replace"


def test_what_was_found_a_year_ago_says_nothing_any_more() -> None:
    year_ago = Fault(NOW - timedelta(days=365), "healable")
    older = Fault(NOW - timedelta(days=365, seconds=1), "lost")
    assert recent([older, year_ago], NOW) == [year_ago]
    assert health(older) == "good"
    assert health(older, year_ago) == "watch"


def test_what_a_wrong_clock_found_in_the_future_counts() -> None:
    assert health(at("2031-01-01 12:00"), at("2026-11-20 18:00")) == "replace"
