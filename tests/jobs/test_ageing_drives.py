"""What runs meet on a drive is remembered, and makes it one to be watched, or to be replaced.

Owns: real damage on real drives, and what the status knows after each run. Does not know: the thresholds
(tests/policy/test_ageing.py).
"""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.with_parity import KIB, MIB, flip, zero
from support.jobs.small_practice import Office, open_office

from kinebackup.config import RetentionConfig
from kinebackup.engine.drive_errors import drive_errors
from kinebackup.errors import DriveFailed, WriteRefused
from kinebackup.jobs.restore_test import RestoreTestJobRequest, run_restore_test
from kinebackup.jobs.status import drive_faults, drive_health
from kinebackup.model import CancelToken, HealedFile, Health, Problem, SilentMonitor
from kinebackup.practice.drive_faults import faults_in
from kinebackup.practice.run_history import recorded


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        office.keeps_parity = True
        office.enroll("A")
        office.back_up("A")
        yield office


def files(office: Office, folder: str) -> list[Path]:
    return sorted(path for path in (office.place / "drives/A/KINEBACKUP" / folder).rglob("*") if path.is_file())


def known(office: Office) -> tuple[Health, int]:
    """Whether it is ageing, and in how many places it was found wrong."""
    record, state = office.drive("A").record, office.computer.state
    assert record is not None
    return drive_health(record, state, office.world), len(drive_faults(record, state, office.world))


def healed_in_last_run(office: Office) -> int:
    return office.computer.state.runs(limit=1)[0].counts.healed


def test_a_sound_drive_is_good(office: Office) -> None:
    assert office.verify("A").health == "good"
    assert (known(office), healed_in_last_run(office)) == (("good", 0), 0)


def test_one_place_is_watched_and_is_one_place_until_a_backup_has_mended_it(office: Office) -> None:
    flip(files(office, "snapshots")[0])
    assert office.verify("A").health == "watch"
    assert healed_in_last_run(office) == 1
    office.clock.forward(days=1)
    assert office.verify("A").health == "watch"
    office.back_up("A")
    assert healed_in_last_run(office) == 1
    assert known(office) == ("watch", 1)


def test_what_is_damaged_on_another_day_makes_it_one_to_be_replaced_for_a_year(office: Office) -> None:
    flip(files(office, "snapshots")[0])
    office.back_up("A")
    office.clock.forward(days=40)
    flip(files(office, "index")[0])
    office.back_up("A")
    assert known(office) == ("replace", 2)
    assert office.verify("A").health == "replace"
    office.clock.forward(days=366)
    assert known(office) == ("good", 0)


def test_a_restore_test_and_a_prune_remember_what_they_met_as_well(office: Office) -> None:
    flip(files(office, "snapshots")[0])
    run_restore_test(
        office.drive("A"),
        office.computer,
        RestoreTestJobRequest(office.world.scratch),
        office.world,
        cancel=CancelToken(),
        monitor=SilentMonitor(),
    )
    assert (known(office), healed_in_last_run(office)) == (("watch", 1), 1)
    office.prune("A", RetentionConfig())
    assert (known(office), healed_in_last_run(office)) == (("watch", 1), 1)


def test_damage_beyond_what_heals_makes_it_one_to_be_replaced_at_once(office: Office) -> None:
    for pack in files(office, "packs"):
        zero(MIB)(pack)
    for path in files(office, "parity"):
        if path.suffix == ".xor":
            zero(4 * KIB)(path)
    report = office.verify("A")
    assert (report.result, report.healable, report.health) == ("failed", False, "replace")


def test_a_drive_that_takes_no_writing_and_still_answers_is_to_be_replaced(office: Office) -> None:
    with (
        pytest.raises(WriteRefused),
        recorded("backup", office.drive("A"), office.computer, office.world),
        drive_errors("tmp/1", after_write=lambda: True),
    ):
        raise OSError(errno.EIO, "Input/output error")
    assert known(office) == ("replace", 1)


def test_a_drive_that_was_pulled_out_during_a_write_is_not(office: Office) -> None:
    with (
        pytest.raises(DriveFailed),
        recorded("backup", office.drive("A"), office.computer, office.world),
        drive_errors("tmp/1", after_write=lambda: False),
    ):
        raise OSError(errno.EIO, "Input/output error")
    assert known(office) == ("good", 0)


def test_no_path_of_a_patient_is_remembered() -> None:
    """Damage of the drive is also told by the files of the practice that it costs."""
    problems = [
        Problem("damaged", "/home/kine/Patients/Dupont/bilan.txt", ""),
        Problem("damaged", "packs/aa/" + "aa" * 32, ""),
        Problem("damaged", "parity/header", "", healable=True),
        Problem("missing", "packs/bb/" + "bb" * 32, ""),
        Problem("damaged", "recover.py", "", healable=True),
        Problem("damaged", "A", ""),  # a drive that was passed over, by its label
    ]
    assert faults_in([HealedFile("index/" + "cc" * 32, 1)], problems) == {
        "index/" + "cc" * 32: "healable",
        "packs/aa/" + "aa" * 32: "lost",
        "parity/header": "healable",
    }
