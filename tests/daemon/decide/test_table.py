"""The table of transitions, as a table."""

import pytest
from support.daemon import diagram as diagram

from kinebackup.daemon.decide.table import (
    ABSENT,
    AT_WORK,
    JOB_PHASES,
    JOB_TRIGGERS,
    NEEDS_UNMOUNT,
    POWERED_OFF,
    TABLE,
    TRIGGER_OF_JOB,
    WAITING,
    Intent,
    Position,
    Trigger,
)
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.phases import Phase


def leading_to(phases: frozenset[Phase] | set[Phase]) -> set[Phase]:
    """The other phases from which one of these can be entered."""
    return {
        before.phase
        for before, row in TABLE.items()
        for after in row.values()
        if after.phase in phases and after.phase is not before.phase
    }


def reachable(start: Position) -> set[Position]:
    reached = {start}
    for _position in TABLE:
        reached |= {after for before in reached for after in TABLE[before].values()}
    return reached


def test_the_picture_in_the_documents_is_that_of_the_table() -> None:
    assert diagram.FILE.read_text(encoding="utf-8") == diagram.page(), (
        "run: PYTHONPATH=tests .venv/bin/python -m support.daemon.diagram"
    )


def test_what_the_picture_leaves_out_is_as_it_says() -> None:
    rows = [dict(TABLE[Position(phase, Intent.WORK)]) for phase in Phase if phase in JOB_PHASES]
    stays = [row.pop(Trigger.WANTED) for row in rows]
    assert [position.phase for position in stays] == [phase for phase in Phase if phase in JOB_PHASES]
    assert all(row == rows[0] for row in rows)
    assert {after.phase for after in rows[0].values()} == JOB_PHASES | {
        Phase.UNMOUNTING,
        Phase.STOPPING,
        Phase.ABSENT,
    }


def test_every_phase_is_in_the_table_and_can_be_reached_and_left() -> None:
    assert {position.phase for position in TABLE} == set(Phase)
    assert reachable(ABSENT) == set(TABLE)
    assert all(TABLE.values())


def test_every_trigger_means_something_somewhere() -> None:
    assert {trigger for row in TABLE.values() for trigger in row} == set(Trigger)


@pytest.mark.parametrize("position", [position for position in TABLE if position != ABSENT], ids=str)
def test_a_drive_can_be_pulled_at_any_moment(position: Position) -> None:
    assert TABLE[position][Trigger.PULLED] == ABSENT


def test_safe_is_reached_through_an_unmount_only() -> None:
    assert leading_to({Phase.SAFE}) == {Phase.POWERING_OFF}
    assert leading_to({Phase.POWERING_OFF}) == {Phase.UNMOUNTING}
    assert not {Phase.SAFE, Phase.POWERING_OFF} & (AT_WORK | NEEDS_UNMOUNT)


def test_a_job_phase_is_entered_from_authentication_or_another_job_only() -> None:
    assert leading_to(JOB_PHASES) == JOB_PHASES | {Phase.AUTHENTICATING}
    assert leading_to({Phase.AUTHENTICATING}) == {Phase.MOUNTING}


def test_a_refused_drive_can_only_be_pulled() -> None:
    assert dict(TABLE[Position(Phase.REFUSED, Intent.REFUSE)]) == {Trigger.PULLED: ABSENT}


def test_a_drive_that_was_powered_off_can_only_be_pulled() -> None:
    assert dict(TABLE[POWERED_OFF]) == {Trigger.PULLED: ABSENT}


@pytest.mark.parametrize("position", [position for position in TABLE if position.intent is Intent.REFUSE], ids=str)
def test_nothing_makes_a_refused_drive_a_good_one(position: Position) -> None:
    afterwards = set(TABLE[position].values()) - {ABSENT}
    assert {after.intent for after in afterwards} <= {Intent.REFUSE}


@pytest.mark.parametrize("position", [position for position in TABLE if position.intent is not Intent.WORK], ids=str)
def test_a_drive_on_its_way_out_begins_no_job(position: Position) -> None:
    assert not {after.phase for after in TABLE[position].values()} & JOB_PHASES


@pytest.mark.parametrize("position", TABLE, ids=str)
def test_wherever_a_job_may_end_the_next_one_begins_or_the_drive_is_unmounted(position: Position) -> None:
    if position.phase in JOB_PHASES | {Phase.AUTHENTICATING, Phase.STOPPING}:
        assert {*JOB_TRIGGERS, Trigger.ENOUGH} <= set(TABLE[position])
    else:
        assert not {*JOB_TRIGGERS} & set(TABLE[position])


def test_where_a_drive_goes_once_it_is_unmounted_is_what_it_was_unmounted_for() -> None:
    after = {
        position.intent: row[Trigger.UNMOUNTED] for position, row in TABLE.items() if position.phase is Phase.UNMOUNTING
    }
    assert after == {
        Intent.LEAVE: Position(Phase.POWERING_OFF, Intent.LEAVE),
        Intent.WAIT: Position(Phase.APPEARED, Intent.WORK),
        Intent.REFUSE: Position(Phase.REFUSED, Intent.REFUSE),
    }


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        ("backup", Phase.BACKING_UP),
        ("verify-written", Phase.VERIFYING),
        ("verify", Phase.VERIFYING),
        ("restore-test", Phase.TESTING),
        ("prune", Phase.PRUNING),
    ],
)
def test_each_job_has_its_phase(kind: JobKind, phase: Phase) -> None:
    assert TABLE[Position(Phase.AUTHENTICATING, Intent.WORK)][TRIGGER_OF_JOB[kind]].phase is phase


def test_work_begins_from_rest_only() -> None:
    assert {position.phase for position, row in TABLE.items() if Trigger.BEGIN in row} == WAITING
