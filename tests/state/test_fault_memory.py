"""What this computer remembers of the faults of each drive: a place once, until it was mended.

Owns: this table.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kinebackup.policy.ageing import Fault, FaultKind
from kinebackup.state.records import Drive
from kinebackup.state.state_db import StateDb

ONE, OTHER = "11" * 16, "22" * 16
MONDAY = datetime(2030, 1, 7, 18, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)
PACK = "packs/aa/" + "aa" * 32


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDb]:
    with StateDb.create(tmp_path / "state") as state:
        yield state


def test_a_fault_is_that_of_one_drive(state: StateDb) -> None:
    state.faults.record(ONE, [(PACK, "healable")], [], MONDAY)
    assert state.faults.of(ONE) == (Fault(MONDAY, "healable"),)
    assert state.faults.of(OTHER) == ()


def test_a_place_that_is_met_again_before_it_was_mended_is_the_same_one(state: StateDb) -> None:
    state.faults.record(ONE, [(PACK, "healable")], [], MONDAY)
    state.faults.record(ONE, [(PACK, "healable")], [PACK], TUESDAY)
    assert state.faults.of(ONE) == (Fault(MONDAY, "healable"),)


def test_a_place_that_is_damaged_anew_after_that_is_another_one(state: StateDb) -> None:
    state.faults.record(ONE, [(PACK, "healable")], [PACK], MONDAY)
    state.faults.record(ONE, [(PACK, "healable")], [], TUESDAY)
    assert state.faults.of(ONE) == (Fault(MONDAY, "healable"), Fault(TUESDAY, "healable"))


def test_what_turns_out_to_be_lost_is_lost_and_stays_so(state: StateDb) -> None:
    met: tuple[FaultKind, ...] = ("healable", "lost", "healable")
    for kind in met:
        state.faults.record(ONE, [(PACK, kind)], [], MONDAY)
    assert state.faults.of(ONE) == (Fault(MONDAY, "lost"),)


def test_each_write_that_was_refused_counts(state: StateDb) -> None:
    state.faults.record(ONE, [("tmp", "refused")], [], MONDAY)
    state.faults.record(ONE, [("tmp", "refused")], [], TUESDAY)
    assert state.faults.of(ONE) == (Fault(MONDAY, "refused"), Fault(TUESDAY, "refused"))


def test_what_was_mended_more_than_a_year_ago_is_forgotten_and_what_was_not_is_no_news(state: StateDb) -> None:
    state.faults.record(ONE, [(PACK, "healable"), ("header", "healable")], [PACK], MONDAY)
    later = MONDAY + timedelta(days=366)
    state.faults.record(ONE, [("header", "healable"), ("index/1", "healable")], [], later)
    assert state.faults.of(ONE) == (Fault(MONDAY, "healable"), Fault(later, "healable"))


def test_a_drive_that_is_forgotten_is_forgotten_with_its_faults(state: StateDb) -> None:
    state.add_drive(Drive("A", "cabinet", True, ONE, MONDAY, 1, folder="/a"))
    state.faults.record(ONE, [(PACK, "lost")], [], MONDAY)
    state.remove_drive("A")
    assert state.faults.of(ONE) == ()
