"""A clock that is wrong costs no backup, deletes none, and makes no old state the newest.

Owns: backup, prune and restore of two computers under clocks set by hand. Does not know: what retention keeps.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from support.engine.drives import in_memory
from support.jobs.small_practice import PASSPHRASE, Office, make_world, open_office

from kinebackup.config import RetentionConfig
from kinebackup.engine import NamedSnapshot, Whose
from kinebackup.jobs.join import JoinRequest, join
from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.practice.access import open_to_read

FEW = RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0)
NOW = datetime(2040, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        yield office


def second_computer(office: Office, label: str, folder: Path) -> Office:
    """Another PC of the practice, with the same patients' folder and a clock of its own."""
    clock = dataclasses.replace(office.clock)
    world = dataclasses.replace(make_world(folder, clock, seed=folder.name), host="salle-2")
    request = JoinRequest(
        drive=str(office.place / "drives" / label), label=label, place="cabinet", secret=PASSPHRASE, sources=[]
    )
    joined = join(folder / "state", request, world)
    other = dataclasses.replace(office, computer=joined.computer, world=world, clock=clock)
    other.closing.enter_context(joined.computer.state)
    return other


def on_drive(office: Office, label: str) -> tuple[NamedSnapshot, ...]:
    with open_to_read(office.drive(label), office.computer, None) as opened:
        return opened.repository.snapshots().readable


def latest(office: Office, label: str) -> str:
    with open_to_read(office.drive(label), office.computer, None) as opened:
        return opened.repository.find_snapshot("latest", Whose(office.computer.machine)).id


def proven_snapshot(office: Office, label: str) -> str:
    """The snapshot that a restore test takes."""
    request = RestoreTestJobRequest(scratch=office.world.scratch, files=1)
    return run_restore_test(
        office.drive(label), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor()
    ).snapshot


def test_a_clock_behind_the_newest_backup_is_a_note_and_the_backup_is_made(office: Office) -> None:
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
    last = office.computer.state.last_run(office.computer.state.drive("A").repository, "backup")
    assert last is not None
    assert (last.result, last.counts.problems) == ("ok", 0)
    assert latest(office, "A") == report.snapshot


@pytest.mark.parametrize("minutes", [0, 3, 60])
def test_a_clock_that_stands_still_or_is_some_minutes_behind_is_no_problem(office: Office, minutes: int) -> None:
    office.enroll("A")
    office.back_up("A")
    office.clock.forward(minutes=-minutes)
    assert office.back_up("A").problems == ()


def test_one_backup_under_a_clock_of_2061_is_passed_over_from_the_next_one_on(office: Office) -> None:
    office.enroll("A")
    office.back_up("A")
    office.clock.now = datetime(2061, 1, 1, tzinfo=UTC)
    office.back_up("A")
    office.clock.now = NOW
    note = office.back_up("A")
    assert [problem.kind for problem in note.problems] == ["clock"]
    made = office.back_up("A")
    assert made.problems == ()
    assert [latest(office, "A"), proven_snapshot(office, "A")] == [made.snapshot, made.snapshot]
    assert [named.snapshot.parent for named in on_drive(office, "A")][-1] == note.snapshot


def test_one_backup_under_a_clock_of_2061_stops_no_prune_and_is_not_counted(office: Office) -> None:
    office.enroll("A")
    office.back_up("A")
    office.clock.now = datetime(2061, 1, 1, tzinfo=UTC)
    future = office.back_up("A").snapshot
    office.clock.now = NOW
    office.clock.forward(days=1)
    made = office.back_up("A").snapshot
    report = office.prune("A", FEW)
    assert len(report.snapshots_removed) == 1
    assert [named.id for named in on_drive(office, "A")] == [future, made]
    assert [run.result for run in office.computer.state.runs(limit=1)] == ["ok"]


def test_one_backup_under_a_clock_of_2061_does_not_hide_that_a_source_has_shrunk(office: Office) -> None:
    office.enroll("A")
    (office.patients / "Dupont" / "bilan.txt").rename(office.place / "bilan.txt")
    office.clock.now = datetime(2061, 1, 1, tzinfo=UTC)
    office.back_up("A")  # with one file
    office.clock.now = NOW
    (office.place / "bilan.txt").rename(office.patients / "Dupont" / "bilan.txt")
    for number in range(4):
        (office.patients / "Durand" / f"{number}.txt").write_text(str(number), encoding="utf-8")
    office.back_up("A")  # with six
    for number in range(4):
        (office.patients / "Durand" / f"{number}.txt").unlink()
    assert [problem.kind for problem in office.back_up("A").problems] == ["source-shrunk"]


def test_a_drive_that_was_put_back_to_an_older_state_gives_no_number_again(office: Office, tmp_path: Path) -> None:
    office.enroll("A")
    office.back_up("A")
    snapshots = office.place / "drives/A/KINEBACKUP/snapshots"
    second = office.back_up("A").snapshot
    assert second is not None
    (snapshots / second).unlink()
    office.back_up("A")
    assert [named.snapshot.sequence for named in on_drive(office, "A")] == [1, 3]


def test_two_computers_three_minutes_apart_each_have_their_own_newest_and_no_problem(
    office: Office, tmp_path: Path
) -> None:
    office.enroll("A")
    first = office.back_up("A")
    other = second_computer(office, "A", tmp_path / "pc-2")
    other.clock.forward(minutes=-3)
    second = other.back_up("A")
    assert (first.problems, second.problems) == ((), ())
    assert latest(office, "A") == first.snapshot
    assert latest(other, "A") == second.snapshot
    assert [named.snapshot.sequence for named in on_drive(office, "A")] == [1, 2]


def test_whatever_the_clocks_of_two_computers_say_each_continues_from_and_finds_its_own_last_one(
    tmp_path: Path,
) -> None:
    """Orders of clocks, drawn from all of them: 2031, now, three minutes ago, 1970."""
    clocks = [
        datetime(2061, 1, 1, tzinfo=UTC),
        NOW,
        datetime(2040, 1, 2, 11, 57, tzinfo=UTC),
        datetime(1971, 1, 1, tzinfo=UTC),
    ]
    orders = list(itertools.product(clocks, (0, 1)))
    random = Random(4)
    with in_memory(tmp_path) as place, open_office(place) as office:
        office.enroll("A")
        other = second_computer(office, "A", place / "pc-2")
        mine: dict[int, str] = {}
        for step in range(24):
            now, who = random.choice(orders)
            pc = (office, other)[who]
            pc.clock.now = now
            (office.patients / "Durand" / "note.txt").write_text(f"{step}", encoding="utf-8")
            made = pc.back_up("A").snapshot
            assert made is not None
            taken = next(named.snapshot for named in on_drive(pc, "A") if named.id == made)
            assert (taken.sequence, taken.parent) == (step + 1, mine.get(who, ""))
            mine[who] = made
            for number, each in enumerate((office, other)):
                if number in mine:
                    assert latest(each, "A") == mine[number]
        assert proven_snapshot(office, "A") == mine[0]
        assert proven_snapshot(other, "A") == mine[1]


def test_twenty_years_of_yearly_backups_keep_one_of_each_year(office: Office) -> None:
    office.enroll("A")
    for _year in range(20):
        office.back_up("A")
        office.clock.forward(days=366)
    report = office.prune("A", RetentionConfig(keep_last=1, daily=1, weekly=1, monthly=1, yearly=25))
    assert (report.snapshots_kept, report.snapshots_removed) == (20, ())
    report = office.prune("A", RetentionConfig(keep_last=1, daily=1, weekly=1, monthly=1, yearly=5))
    assert report.snapshots_kept == 5
