"""What is new relies on a pack that nobody has read for long only after it was read.

Owns: claims on proven packs, unproven ones, and such as rotted. Does not know: which packs are unproven
(tests/jobs/test_rely_days.py).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.engine.drives import Drive, below, enroll, noise, request_for, restored, seen, verified, writable
from support.engine.drives import back_up as plain_back_up

from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupOutcome
from kinebackup.model import CancelToken, FileName, SilentMonitor

Which = Callable[[frozenset[FileName]], frozenset[FileName]]


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Small files, and one of several parts."""
    folder = tmp_path / "Patients"
    folder.mkdir()
    for number in range(20):
        (folder / f"bilan {number}.txt").write_text(f"Bilan {number}\n" * 40, encoding="utf-8")
    (folder / "film.bin").write_bytes(noise("film", 3_000_000))
    return folder


@pytest.fixture
def drive(tmp_path: Path, patients: Path) -> Drive:
    made = enroll(tmp_path / "drive")
    plain_back_up(made, patients)
    return made


def save(drive: Drive, patients: Path, unproven: Which = lambda packs: packs - packs) -> BackupOutcome:
    with writable(drive) as repository:
        request = replace(request_for(drive, patients), unproven=unproven(frozenset(repository.packs)))
        return back_up(repository, request, drive.world(), cancel=CancelToken(), monitor=SilentMonitor())


def copy_all(patients: Path) -> None:
    """A second folder with the same content: everything in it is a claim on what is there."""
    for path in list(patients.iterdir()):
        (patients / f"copie de {path.name}").write_bytes(path.read_bytes())


def rot(drive: Drive) -> Path:
    pack = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    return pack


def test_a_pack_that_was_written_or_verified_lately_is_relied_on_unread(drive: Drive, patients: Path) -> None:
    copy_all(patients)
    outcome = save(drive, patients)
    assert dict(outcome.packs_checked) == {}
    assert outcome.report.bytes_written < 20_000


def test_a_pack_that_nobody_has_read_for_long_is_read_once_and_relied_on_where_it_is_sound(
    drive: Drive, patients: Path
) -> None:
    content = max(drive.files("packs"), key=lambda path: path.stat().st_size).name
    copy_all(patients)
    outcome = save(drive, patients, lambda packs: packs)
    assert outcome.packs_checked[FileName(content)]
    assert all(outcome.packs_checked.values())
    assert outcome.report.bytes_written < 20_000
    assert outcome.report.problems == ()


def test_a_pack_that_rotted_is_found_out_before_anything_new_relies_on_it(
    drive: Drive, patients: Path, tmp_path: Path
) -> None:
    pack = rot(drive)
    copy_all(patients)
    outcome = save(drive, patients, lambda packs: packs)
    assert outcome.packs_checked[FileName(pack.name)] is False
    assert [(problem.kind, problem.path.rpartition("/")[2]) for problem in outcome.report.problems] == [
        ("damaged", pack.name)
    ]
    assert [path.name for path in drive.files("damaged")] == [pack.name]
    restored(drive, tmp_path / "out")
    got = seen(below(tmp_path / "out", patients))
    assert {path for path in seen(patients) if path.startswith("copie")} <= got.keys()
    plain_back_up(drive, patients)
    report = restored(drive, tmp_path / "again")
    assert report.problems == ()
    assert seen(below(tmp_path / "again", patients)) == seen(patients)
    assert {problem.kind for problem in verified(drive).problems} <= {"damaged", "healed"}


def test_what_did_not_change_costs_no_reading_however_old_it_is(drive: Drive, patients: Path) -> None:
    content = max(drive.files("packs"), key=lambda path: path.stat().st_size).name
    outcome = save(drive, patients, lambda packs: packs)
    assert outcome.report.files_unmodified == 21
    assert content not in outcome.packs_checked
