"""What is remembered of a run: also of one that failed, was stopped, or could not even begin.

Owns: the history in the state directory.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, open_office

from kinebackup.config import BackupConfig
from kinebackup.engine.check.verify import Budget
from kinebackup.engine.format.keyring import Passphrase
from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.errors import Cancelled, Damaged, Locked, NotFound, WrongKey
from kinebackup.jobs.backup import BackupJobRequest, run_backup
from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, RestoreTestReport, SilentMonitor, VerifyReport
from kinebackup.sources.folder import FolderSource
from kinebackup.state.records import RunResult


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as made:
        made.enroll("A")
        yield made


def verify(office: Office, secret: Passphrase | None = None) -> VerifyReport:
    return run_verify(
        office.drive("A"),
        office.computer,
        VerifyJobRequest(Budget(), secret),
        office.world,
        cancel=CancelToken(),
        monitor=SilentMonitor(),
    )


def restore_test(office: Office, *, files: int | None = None, secret: Passphrase | None = None) -> RestoreTestReport:
    request = RestoreTestJobRequest(scratch=office.world.scratch, files=files, seed=1, secret=secret)
    return run_restore_test(
        office.drive("A"), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor()
    )


def results(office: Office) -> list[tuple[str, RunResult | None]]:
    """Kind and result of every run, oldest first."""
    return [(run.kind, run.result) for run in reversed(office.computer.state.runs(limit=100))]


def headers(office: Office) -> list[Path]:
    return [office.place / "drives/A/KINEBACKUP" / name for name in HEADER_COPIES]


def sealed_files(office: Office) -> list[Path]:
    """Of which one is enough to show this computer whose drive it is."""
    root = office.place / "drives/A/KINEBACKUP"
    return [*root.glob("snapshots/*"), *root.glob("index/*"), *root.glob("packs/*/*")]


def test_good_runs_leave_their_kind_result_and_counts(office: Office) -> None:
    report = office.back_up("A")
    assert verify(office).result == "ok"
    assert restore_test(office).result == "ok"
    assert results(office) == [("backup", "ok"), ("verify", "ok"), ("restore-test", "ok")]
    tested, verified, saved = office.computer.state.runs(limit=3)
    assert (saved.snapshot, saved.counts.files) == (report.snapshot, 2)
    assert verified.counts.packs == 2
    assert (tested.snapshot, tested.counts.files) == (report.snapshot, 2)


def test_a_source_that_is_gone_leaves_a_suspicious_run_that_does_not_count_as_good(office: Office) -> None:
    office.back_up("A")
    shutil.move(office.patients, office.place / "moved")
    assert office.back_up("A").suspicious
    assert results(office) == [("backup", "ok"), ("backup", "suspicious")]
    repository = office.computer.state.drive("A").repository
    last = office.computer.state.last_run(repository, "backup")
    assert last is not None
    assert last.result == "ok"


def test_a_stopped_run_is_remembered_as_such(office: Office) -> None:
    stopped = CancelToken()
    stopped.cancel()
    request = BackupJobRequest([FolderSource(str(office.patients))], BackupConfig())
    with pytest.raises(Cancelled):
        run_backup(office.drive("A"), office.computer, request, office.world, cancel=stopped, monitor=SilentMonitor())
    assert results(office) == [("backup", "cancelled")]


def test_a_dry_run_is_no_run(office: Office) -> None:
    request = BackupJobRequest([FolderSource(str(office.patients))], BackupConfig(), dry_run=True)
    run_backup(office.drive("A"), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())
    assert results(office) == []


def test_a_wrong_passphrase_proves_nothing_against_the_drive(office: Office) -> None:
    office.back_up("A")
    with pytest.raises(WrongKey):
        restore_test(office, secret=Passphrase.of("une autre phrase secrète"))
    assert results(office) == [("backup", "ok"), ("restore-test", "cancelled")]


def test_a_drive_that_cannot_be_opened_for_damage_is_a_failed_check(office: Office) -> None:
    office.back_up("A")
    for path in (*headers(office), *sealed_files(office)):
        path.write_bytes(b"kinebackup header 1\n")
    with pytest.raises(Damaged):
        verify(office)
    assert results(office)[-1] == ("verify", "failed")


def test_a_busy_drive_leaves_no_failed_backup(office: Office) -> None:
    with (office.place / "drives/A/KINEBACKUP/lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Locked):
            office.back_up("A")
    assert results(office) == [("backup", "cancelled")]


def test_a_complete_verification_proves_every_backup(office: Office) -> None:
    snapshots = {office.back_up("A").snapshot, office.back_up("A").snapshot}
    verify(office)
    repository = office.computer.state.drive("A").repository
    assert {found.snapshot for found in office.computer.state.verified_snapshots(repository)} == snapshots


def test_a_test_of_a_sample_proves_no_backup_and_one_of_all_files_does(office: Office) -> None:
    snapshot = office.back_up("A").snapshot
    repository = office.computer.state.drive("A").repository
    restore_test(office, files=1)
    assert office.computer.state.verified_snapshots(repository) == ()
    restore_test(office, secret=PASSPHRASE)
    assert [found.snapshot for found in office.computer.state.verified_snapshots(repository)] == [snapshot]


def test_a_backup_found_damaged_is_proven_no_more(office: Office) -> None:
    office.back_up("A")
    verify(office)
    pack = max((office.place / "drives/A/KINEBACKUP/packs").glob("*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[100] ^= 1
    pack.write_bytes(data)
    assert verify(office).result == "failed"
    repository = office.computer.state.drive("A").repository
    assert office.computer.state.verified_snapshots(repository) == ()


def test_the_places_of_a_restore_test_are_private_and_gone_afterwards(office: Office) -> None:
    office.back_up("A")
    restore_test(office)
    assert list(Path(office.world.scratch[0]).iterdir()) == []


def test_without_a_private_place_no_test_is_made(office: Office) -> None:
    office.back_up("A")
    request = RestoreTestJobRequest(scratch=[str(office.place / "absent")], seed=1)
    with pytest.raises(NotFound, match="no private place"), contextlib.closing(office.computer.state):
        run_restore_test(
            office.drive("A"), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor()
        )


@pytest.mark.parametrize("damage", ["one bit", "gone", "marked"])
def test_a_restore_test_of_an_older_backup_does_not_stand_for_the_newest_one(office: Office, damage: str) -> None:
    older = office.back_up("A").snapshot
    office.clock.forward(days=1)
    newest = office.place / "drives/A/KINEBACKUP/snapshots" / str(office.back_up("A").snapshot)
    if damage == "gone":
        newest.unlink()
    else:
        newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    if damage == "marked":
        verify(office)
    report = restore_test(office)
    assert report.snapshot == older
    assert report.result == "failed"
    assert {problem.path for problem in report.problems} <= {"snapshots", f"snapshots/{newest.name}"}
    assert report.problems
    assert results(office)[-1] == ("restore-test", "failed")
