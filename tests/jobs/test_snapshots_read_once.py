"""What each job reads of the snapshots and removal records of a drive, counted in opens of their files.

Owns: the number for each job, with many snapshots. Does not know: how the list is kept in step with the drive
(tests/engine/repository/test_snapshot_list.py).
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.engine.drives import in_memory
from support.engine.failing_source import Call, FailingSource
from support.jobs.small_practice import Office, open_office
from support.opened_files import counted_opens

from kinebackup.config import BackupConfig, Config, Paths, RetentionConfig
from kinebackup.engine.format.layout import parity_path
from kinebackup.jobs.backup import BackupJobRequest, run_backup
from kinebackup.jobs.forget import forget_snapshots
from kinebackup.jobs.restore import RestoreJobRequest, restore_files
from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test
from kinebackup.jobs.status import overview
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, FileName, SilentMonitor
from kinebackup.practice.access import open_to_read

SNAPSHOTS = 20
KEEP_TEN = RetentionConfig(keep_last=10, daily=0, weekly=0, monthly=0, yearly=0)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Twenty snapshots of 23 that were made, and three removal records."""
    with in_memory(tmp_path) as place, open_office(place) as made:
        made.keeps_parity = True
        made.enroll("A")
        (made.patients / "Dupont" / "photo.jpg").write_bytes(b"photo")
        names = [saved(made, day) for day in range(SNAPSHOTS + 3)]
        for name in names[:3]:
            forget_snapshots(made.drive("A"), made.computer, [FileName(name)], made.world)
        work(made, "aujourd'hui")
        yield made


def work(office: Office, text: str) -> None:
    (office.patients / "journal.txt").write_text(f"séance {text}\n" * 10, encoding="utf-8")
    office.clock.forward(days=1)


def saved(office: Office, day: int) -> str:
    work(office, str(day))
    return str(office.back_up("A").snapshot)


def files(office: Office, folder: str) -> set[str]:
    return {path.name for path in (office.place / "drives/A/KINEBACKUP" / folder).iterdir()}


@dataclass
class Opens:
    """How often each file was opened: those that were there before, and those that the job made."""

    snapshots: list[int] = field(default_factory=list)
    new_snapshots: list[int] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    new_records: list[int] = field(default_factory=list)


def opens_of(office: Office, job: Callable[[], object]) -> Opens:
    snapshots, records = files(office, "snapshots"), files(office, "removals")
    with counted_opens() as opens:
        job()

    def counts(names: set[str]) -> list[int]:
        return [opens[name] for name in names]

    new_snapshots, new_records = files(office, "snapshots") - snapshots, files(office, "removals") - records
    return Opens(counts(snapshots), counts(new_snapshots), counts(records), counts(new_records))


def test_a_backup_reads_each_snapshot_once_and_its_own_back(office: Office) -> None:
    opens = opens_of(office, lambda: office.back_up("A"))
    assert opens == Opens(snapshots=[1] * 20, new_snapshots=[3], records=[1, 1, 1])


def test_so_does_one_that_asks_how_old_is_what_its_parent_carries(office: Office) -> None:
    """The parent could not read a file that has not changed; now it can be compared with the snapshot that did."""

    def refused(call: Call) -> None:
        if call == ("open", "Dupont/bilan.txt"):
            raise OSError(errno.EIO, "")

    os.utime(office.patients / "Dupont" / "bilan.txt", ns=(0, 0))
    request = BackupJobRequest([FailingSource(office.patients, refused)], BackupConfig())
    report = run_backup(
        office.drive("A"), office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor()
    )
    assert [(problem.kind, Path(problem.path).name) for problem in report.problems] == [("unreadable", "bilan.txt")]
    work(office, "demain")
    opens = opens_of(office, lambda: office.back_up("A"))
    assert opens == Opens(snapshots=[1] * 21, new_snapshots=[3], records=[1, 1, 1])


def test_a_restore_reads_each_snapshot_once(office: Office, tmp_path: Path) -> None:
    def restore() -> None:
        with open_to_read(office.drive("A"), office.computer, None) as opened:
            request = RestoreJobRequest("latest", (), str(tmp_path / "out"))
            restore_files(opened.repository, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())

    assert opens_of(office, restore) == Opens(snapshots=[1] * 20, records=[1, 1, 1])


def test_a_verification_reads_each_snapshot_from_the_drive_too(office: Office) -> None:
    """Once to open the drive; then it is dropped from memory, compared with its parity, and read again. A record is
    not read again: what its bytes are is known by that.
    """

    def verify() -> None:
        run_verify(
            office.drive("A"),
            office.computer,
            VerifyJobRequest(),
            office.world,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )

    assert opens_of(office, verify) == Opens(snapshots=[4] * 20, records=[3, 3, 3])


def test_a_restore_test_reads_each_snapshot_once(office: Office, tmp_path: Path) -> None:
    def test() -> None:
        run_restore_test(
            office.drive("A"),
            office.computer,
            RestoreTestJobRequest((str(tmp_path),)),
            office.world,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )

    assert opens_of(office, test) == Opens(snapshots=[1] * 20, records=[1, 1, 1])


def test_a_prune_reads_each_snapshot_once_and_its_own_record(office: Office) -> None:
    before = files(office, "snapshots")
    opens = opens_of(office, lambda: office.prune("A", KEEP_TEN))
    assert opens == Opens(snapshots=[1] * 20, records=[1, 1, 1], new_records=[1])
    assert len(before - files(office, "snapshots")) == 10


def test_a_backup_is_forgotten_with_one_read_of_each_snapshot(office: Office) -> None:
    (name, *_others) = sorted(files(office, "snapshots"))

    def forget() -> None:
        assert forget_snapshots(office.drive("A"), office.computer, [FileName(name)], office.world).forgotten == (name,)

    assert opens_of(office, forget) == Opens(snapshots=[1] * 20, records=[1, 1, 1], new_records=[1])


def test_the_status_reads_none(office: Office) -> None:
    state = office.place / "state"
    opens = opens_of(office, lambda: overview(Config(Paths(state, state, state)), office.world))
    assert opens == Opens(snapshots=[0] * 20, records=[0, 0, 0])


def test_a_damaged_snapshot_is_tried_once_by_a_backup_and_told_once(office: Office) -> None:
    name = sorted(files(office, "snapshots"))[0]
    path = office.place / "drives/A/KINEBACKUP/snapshots" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (office.place / "drives/A/KINEBACKUP" / parity_path(FileName(name))).unlink()
    told: list[tuple[str, str]] = []

    def back_up() -> None:
        told.extend((problem.kind, problem.path) for problem in office.back_up("A").problems)

    assert opens_of(office, back_up) == Opens(snapshots=[1] * 20, new_snapshots=[3], records=[1, 1, 1])
    assert told == [("damaged", f"snapshots/{name}")]
    assert files(office, "damaged") == {name}
    told.clear()
    work(office, "demain")
    back_up()
    assert told == []
