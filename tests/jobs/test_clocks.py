"""A clock that is wrong costs no backup and deletes none.

Owns: backup and prune under clocks set by hand.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.config import RetentionConfig
from kinebackup.errors import KineError

FEW = RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        yield office


def test_a_clock_behind_the_newest_backup_is_told_and_the_backup_is_made(office: Office) -> None:
    office.enroll("A")
    office.back_up("A")
    office.clock.forward(days=-400)
    report = office.back_up("A")
    assert report.snapshot is not None
    assert [(p.kind, p.message) for p in report.problems] == [
        (
            "clock",
            "the clock of this computer is earlier than the newest backup of the drive (2040-01-02T12:00:00.000000Z)",
        )
    ]
    assert len(list((office.place / "drives/A/KINEBACKUP/snapshots").iterdir())) == 2


def test_a_clock_that_stands_still_is_no_problem(office: Office) -> None:
    office.enroll("A")
    office.back_up("A")
    assert office.back_up("A").problems == ()


def test_nothing_is_removed_while_the_clock_is_behind_the_newest_backup(office: Office) -> None:
    office.enroll("A")
    for _day in range(3):
        office.back_up("A")
        office.clock.forward(days=1)
    office.clock.forward(days=-30)
    with pytest.raises(KineError) as caught:
        office.prune("A", FEW)
    assert caught.value.exit_code == 1
    assert caught.value.hint == "set the date and time of this computer, then try again"
    assert len(list((office.place / "drives/A/KINEBACKUP/snapshots").iterdir())) == 3
    assert [run.result for run in office.computer.state.runs(limit=9) if run.kind == "prune"] == ["failed"]


def test_twenty_years_of_yearly_backups_keep_one_of_each_year(office: Office) -> None:
    office.enroll("A")
    for _year in range(20):
        office.back_up("A")
        office.clock.forward(days=366)
    report = office.prune("A", RetentionConfig(keep_last=1, daily=1, weekly=1, monthly=1, yearly=25))
    assert (report.snapshots_kept, report.snapshots_removed) == (20, ())
    report = office.prune("A", RetentionConfig(keep_last=1, daily=1, weekly=1, monthly=1, yearly=5))
    assert report.snapshots_kept == 5
