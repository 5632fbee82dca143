"""The table of transitions, as a table."""

import pytest
from support.daemon import diagram as diagram

from kinebackup.daemon.decide.states import (
    AT_WORK,
    JOB_PHASES,
    NEEDS_UNMOUNT,
    TABLE,
    TRIGGER_OF_JOB,
    WAITING,
    Phase,
    Trigger,
)
from kinebackup.policy.job_kinds import JobKind


def test_the_picture_in_the_documents_is_that_of_the_table() -> None:
    assert diagram.FILE.read_text(encoding="utf-8") == diagram.page(), (
        "run: .venv/bin/python tests/support/daemon/diagram.py"
    )


def test_what_the_picture_leaves_out_is_as_it_says() -> None:
    rows = [dict(TABLE[phase]) for phase in JOB_PHASES]
    assert all(row == rows[0] for row in rows)
    assert set(rows[0].values()) == JOB_PHASES | {Phase.UNMOUNTING, Phase.STOPPING, Phase.ABSENT}


def test_every_phase_is_in_the_table_and_can_be_reached_and_left() -> None:
    assert set(TABLE) == set(Phase)
    reached = {Phase.ABSENT}
    for _phase in Phase:
        reached |= {after for before in reached for after in TABLE[before].values()}
    assert reached == set(Phase)
    assert all(TABLE[phase] for phase in Phase)


def test_every_sign_means_something_somewhere() -> None:
    assert {trigger for row in TABLE.values() for trigger in row} == set(Trigger)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.ABSENT])
def test_a_drive_can_be_pulled_at_any_moment(phase: Phase) -> None:
    assert TABLE[phase][Trigger.PULLED] is Phase.ABSENT


def test_safe_is_reached_through_an_unmount_only() -> None:
    assert [before for before, row in TABLE.items() if Phase.SAFE in row.values()] == [Phase.POWERING_OFF]
    assert [before for before, row in TABLE.items() if Phase.POWERING_OFF in row.values()] == [Phase.UNMOUNTING]
    assert not {Phase.SAFE, Phase.POWERING_OFF} & (AT_WORK | NEEDS_UNMOUNT)


def test_a_job_phase_is_entered_from_authentication_or_another_job_only() -> None:
    before = {phase for phase, row in TABLE.items() if set(row.values()) & JOB_PHASES}
    assert before == JOB_PHASES | {Phase.AUTHENTICATING}
    assert [phase for phase, row in TABLE.items() if Phase.AUTHENTICATING in row.values()] == [Phase.MOUNTING]


def test_a_refused_drive_can_only_be_pulled() -> None:
    assert dict(TABLE[Phase.REFUSED]) == {Trigger.PULLED: Phase.ABSENT}


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
    assert TABLE[Phase.AUTHENTICATING][TRIGGER_OF_JOB[kind]] is phase


def test_work_begins_from_rest_only() -> None:
    assert {phase for phase, row in TABLE.items() if Trigger.BEGIN in row} == WAITING
