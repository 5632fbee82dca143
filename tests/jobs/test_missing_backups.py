"""A backup that is not on the drive any more, although nobody removed it, is told by everything that opens the drive.

Owns: losses on the drive of a small practice, with one computer or two. Does not know: the words, exit codes.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, make_world, open_office

from kinebackup.config import Config, Paths, RetentionConfig
from kinebackup.errors import CheckFailed
from kinebackup.jobs.join import JoinRequest, join
from kinebackup.jobs.prune import PruneJobRequest, run_prune
from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test
from kinebackup.jobs.status import overview
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, PruneReport, SilentMonitor
from kinebackup.policy.rotation import StatusCode
from kinebackup.practice.access import open_to_read, open_to_write
from kinebackup.practice.computer_keys import ComputerKeys

KEEP_TWO = RetentionConfig(keep_last=2, daily=0, weekly=0, monthly=0, yearly=0)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path / "first") as made:
        made.enroll("A")
        yield made


def saved(office: Office, days: int) -> list[str]:
    """So many backups, one each day, oldest first."""
    made = []
    for day in range(days):
        (office.patients / "journal.txt").write_text(f"séance {day}\n" * 100, encoding="utf-8")
        made.append(str(office.back_up("A").snapshot))
        office.clock.forward(days=1)
    return made


def snapshot_file(office: Office, name: str) -> Path:
    return office.place / "drives/A/KINEBACKUP/snapshots" / name


def told(office: Office, computer: ComputerKeys | None = None) -> list[tuple[str, str]]:
    """What opening the drive shows, to read and to write."""
    with open_to_read(office.drive("A"), computer or office.computer, None) as opened:
        found: list[tuple[str, str]] = [(problem.kind, problem.message) for problem in opened.problems]
    with open_to_write(office.drive("A"), computer or office.computer, office.world, "test") as opened:
        assert [(problem.kind, problem.message) for problem in opened.problems] == found
    return found


def gone(names: str) -> list[tuple[str, str]]:
    return [("rolled-back", f"backups that were on the drive are not there any more: {names}")]


def prune(office: Office, *give_up: str, rules: RetentionConfig = KEEP_TWO) -> PruneReport:
    request = PruneJobRequest(rules, give_up)
    return run_prune(
        office.drive("A"), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor()
    )


def status_codes(office: Office) -> list[StatusCode]:
    state = office.place / "state"
    found = overview(Config(Paths(state, state, state)), office.world).assessment
    return [found.headline.code, *(each.code for each in found.more)]


@pytest.mark.parametrize("days", [[0], [2], [0, 1], [0, 1, 2]])
def test_each_loss_is_told_until_it_is_given_up_also_after_further_backups(office: Office, days: list[int]) -> None:
    names = saved(office, 3)
    for day in days:
        snapshot_file(office, names[day]).unlink()
    expected = gone(", ".join(names[day][:12] for day in days))
    assert told(office) == expected
    for _ in range(2):
        assert [(problem.kind, problem.message) for problem in office.back_up("A").problems] == expected
    assert StatusCode.BACKUPS_MISSING in status_codes(office)
    with pytest.raises(CheckFailed):
        prune(office)
    assert prune(office, *(names[day] for day in days)).given_up == tuple(names[day] for day in days)
    assert told(office) == []
    assert StatusCode.BACKUPS_MISSING not in status_codes(office)
    assert prune(office).problems == ()


def test_a_computer_that_never_saw_the_drive_misses_a_backup_by_its_number(office: Office, tmp_path: Path) -> None:
    names = saved(office, 3)
    snapshot_file(office, names[1]).unlink()
    with open_to_read(office.drive("A"), None, PASSPHRASE) as opened:
        assert [(problem.kind, problem.message) for problem in opened.problems] == gone("2")
    world = make_world(tmp_path / "second", office.clock, seed="second")
    request = JoinRequest(str(office.place / "drives/A"), PASSPHRASE, "A", "cabinet", ())
    joined = join(tmp_path / "second" / "state", request, world).computer
    with joined.state:
        assert told(office, joined) == gone("2")


def test_what_one_computer_removed_the_other_does_not_miss(office: Office, tmp_path: Path) -> None:
    saved(office, 2)
    world = make_world(tmp_path / "second", office.clock, seed="second")
    request = JoinRequest(str(office.place / "drives/A"), PASSPHRASE, "A", "cabinet", ())
    joined = join(tmp_path / "second" / "state", request, world).computer
    with joined.state:
        saved(office, 3)
        assert len(prune(office).snapshots_removed) == 3
        assert told(office, joined) == []
        assert told(office) == []


def test_what_was_removed_stays_removed_where_its_record_is_lost(office: Office) -> None:
    saved(office, 4)
    prune(office)
    for record in (office.place / "drives/A/KINEBACKUP/removals").iterdir():
        record.unlink()
    assert told(office) == []


def test_a_verification_that_sees_a_loss_has_failed_but_what_was_just_written_is_proven(office: Office) -> None:
    names = saved(office, 3)
    snapshot_file(office, names[0]).unlink()

    def verify(*, new_only: bool) -> str:
        return run_verify(
            office.drive("A"),
            office.computer,
            VerifyJobRequest(new_only=new_only),
            office.world,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        ).result

    assert verify(new_only=False) == "failed"
    assert StatusCode.CHECK_FAILED in status_codes(office)
    office.back_up("A")
    assert verify(new_only=True) == "ok"


@pytest.mark.parametrize(("day", "result"), [(0, "ok"), (2, "failed")])
def test_a_restore_test_fails_only_where_a_newer_backup_is_gone(office: Office, day: int, result: str) -> None:
    names = saved(office, 3)
    snapshot_file(office, names[day]).unlink()
    report = run_restore_test(
        office.drive("A"),
        office.computer,
        RestoreTestJobRequest(scratch=office.world.scratch, files=None, seed=1),
        office.world,
        cancel=CancelToken(),
        monitor=SilentMonitor(),
    )
    assert report.result == result


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def to_lost_and_found(path: Path) -> None:
    """As fsck does."""
    (path.parents[2] / "lost+found").mkdir(exist_ok=True)
    path.rename(path.parents[2] / "lost+found" / "#12")


@pytest.mark.parametrize("lose", [os.unlink, flip, to_lost_and_found])
def test_no_pack_goes_after_a_loss_whatever_the_rules_would_remove(
    office: Office, lose: Callable[[Path], None]
) -> None:
    names = saved(office, 5)
    packs = sorted(path.name for path in (office.place / "drives/A/KINEBACKUP/packs").glob("*/*"))
    lose(snapshot_file(office, names[1]))
    with pytest.raises(CheckFailed, match=names[1][:12]):
        prune(office)
    assert sorted(path.name for path in (office.place / "drives/A/KINEBACKUP/packs").glob("*/*")) == packs
    assert [run.result for run in office.computer.state.runs(limit=1)] == ["failed"]
