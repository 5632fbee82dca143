"""Of several drives that are plugged in, the right one answers, and says what is doubtful.

Owns: a practice with two simulated drives. Does not know: the command line.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, open_office

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.errors import ConfigError, KineError, NotFound, WrongKey
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.practice.drive_choice import Unlocking, drives_to_read, open_with_snapshots


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """CABINET was saved to first, DOMICILE an hour later."""
    with open_office(tmp_path) as office:
        for label in ("CABINET", "DOMICILE"):
            office.enroll(label)
            office.back_up(label)
            office.clock.forward(hours=1)
        yield office


def own_key(office: Office) -> Unlocking:
    return Unlocking(office.computer, None)


def labels(office: Office, name: str | None = None) -> list[str]:
    return [drive.label for drive in drives_to_read(name, office.computer, office.world)]


def snapshot_file(office: Office, label: str, snapshot: str) -> Path:
    return Path(office.drive(label).root) / "snapshots" / snapshot


def lose_header(office: Office, label: str) -> None:
    """And all that would show whose drive it is: else it is opened by what this computer remembers."""
    root = Path(office.drive(label).root)
    for path in (*(root / name for name in HEADER_COPIES), *root.glob("snapshots/*"), *root.glob("index/*")):
        path.write_bytes(b"")
    for path in root.glob("packs/*/*"):
        path.write_bytes(b"")


def test_the_drive_that_was_saved_to_last_comes_first(office: Office) -> None:
    assert labels(office) == ["DOMICILE", "CABINET"]
    office.back_up("CABINET")
    assert labels(office) == ["CABINET", "DOMICILE"]


def test_a_drive_without_a_backup_comes_last(office: Office) -> None:
    office.enroll("ARCHIVE")
    assert labels(office) == ["DOMICILE", "CABINET", "ARCHIVE"]


def test_a_drive_that_is_named_is_the_only_choice(office: Office) -> None:
    assert labels(office, "CABINET") == ["CABINET"]


def test_an_unknown_drive_is_not_replaced_by_another(office: Office) -> None:
    with pytest.raises(NotFound, match="no drive is called CABINTE"):
        labels(office, "CABINTE")


def test_on_a_computer_that_is_not_set_up_a_drive_has_to_be_named(office: Office) -> None:
    with pytest.raises(NotFound, match="no drive has been enrolled yet"):
        drives_to_read(None, None, office.world)
    (found,) = drives_to_read(str(office.place / "drives" / "CABINET"), None, office.world)
    assert (found.label, found.record) == ("CABINET", None)


def test_the_newest_drive_that_has_the_snapshot_answers(office: Office) -> None:
    near = office.back_up("CABINET").snapshot
    office.clock.forward(hours=1)
    away = office.back_up("DOMICILE").snapshot
    assert near is not None
    assert away is not None
    drives = drives_to_read(None, office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), [near]) as chosen:
        assert (chosen.opened.drive.label, chosen.one_of_several, chosen.problems) == ("CABINET", True, ())
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert chosen.opened.drive.label == "DOMICILE"
    with pytest.raises(NotFound), open_with_snapshots(drives, own_key(office), [near, away]):
        pass


def test_of_one_drive_there_is_no_choice(office: Office) -> None:
    drives = drives_to_read("CABINET", office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert (chosen.opened.drive.label, chosen.one_of_several) == ("CABINET", False)


def test_a_drive_that_cannot_be_read_may_have_the_newest_backup(office: Office) -> None:
    lose_header(office, "DOMICILE")
    drives = drives_to_read(None, office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert chosen.opened.drive.label == "CABINET"
        assert [drive.label for drive in chosen.unusable] == ["DOMICILE"]
        assert [(problem.kind, problem.path) for problem in chosen.problems] == [("damaged", "DOMICILE")]


def test_a_drive_that_cannot_be_read_matters_not_to_a_snapshot_by_its_name(office: Office) -> None:
    snapshot = office.back_up("CABINET").snapshot
    assert snapshot is not None
    office.clock.forward(hours=1)
    office.back_up("DOMICILE")
    lose_header(office, "DOMICILE")
    drives = drives_to_read(None, office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), [snapshot]) as chosen:
        assert (chosen.opened.drive.label, chosen.unusable, chosen.problems) == ("CABINET", (), ())


def test_a_drive_that_holds_no_backup_yet_is_passed_over_without_a_doubt(office: Office) -> None:
    office.enroll("ARCHIVE")
    (archive,) = drives_to_read("ARCHIVE", office.computer, office.world)
    (cabinet,) = drives_to_read("CABINET", office.computer, office.world)
    with open_with_snapshots([archive, cabinet], own_key(office)) as chosen:
        assert (chosen.opened.drive.label, chosen.problems) == ("CABINET", ())


def test_where_no_drive_answers_the_first_failure_is_told(office: Office) -> None:
    lose_header(office, "DOMICILE")
    drives = drives_to_read(None, office.computer, office.world)
    with pytest.raises(KineError, match="header"), open_with_snapshots(drives, own_key(office), ["fff"]):
        pass


def test_a_snapshot_that_cannot_be_read_may_be_newer_than_the_latest(office: Office) -> None:
    snapshot = office.back_up("CABINET").snapshot
    assert snapshot is not None
    snapshot_file(office, "CABINET", snapshot).write_bytes(b"\0" * 500)
    drives = drives_to_read("CABINET", office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert [problem.path for problem in chosen.unreadable] == [f"snapshots/{snapshot}"]
        told = [(problem.kind, problem.path) for problem in chosen.problems]
        assert told == [("damaged", f"snapshots/{snapshot}")]
        assert not chosen.has_known_damage
    with open_with_snapshots(drives, own_key(office)) as chosen:
        assert (chosen.unreadable, chosen.has_known_damage) == ((), False)


def test_a_computer_that_the_drive_does_not_know_gets_the_newest_of_all_and_is_told_of_the_others(
    office: Office,
) -> None:
    newest = office.back_up("CABINET").snapshot
    drives = drives_to_read("CABINET", office.computer, office.world)
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert (chosen.find_snapshot("latest").id, chosen.computers) == (newest, ())
    with open_with_snapshots(drives, Unlocking(None, PASSPHRASE), ["latest"]) as chosen:
        assert chosen.find_snapshot("latest").id == newest
        assert [(each.id, each.snapshot.host) for each in chosen.computers] == [(newest, "cabinet-pc")]
    with open_with_snapshots(drives, Unlocking(None, PASSPHRASE), ["latest"], host="Cabinet-PC") as chosen:
        assert (chosen.find_snapshot("latest").id, chosen.computers) == (newest, ())


def test_a_computer_that_is_named_and_has_no_backup_there_is_refused_with_those_that_have(office: Office) -> None:
    office.back_up("CABINET")
    drives = drives_to_read("CABINET", office.computer, office.world)
    with (
        open_with_snapshots(drives, own_key(office), host="salle-3") as chosen,
        pytest.raises(NotFound, match="called 'salle-3'") as caught,
    ):
        chosen.find_snapshot("latest")
    assert caught.value.hint == "the computers of this drive are: cabinet-pc"


def test_damage_that_a_verification_has_reported_is_no_problem_any_more_but_known(office: Office) -> None:
    snapshot = office.back_up("CABINET").snapshot
    assert snapshot is not None
    snapshot_file(office, "CABINET", snapshot).write_bytes(b"\0" * 500)
    drives = drives_to_read("CABINET", office.computer, office.world)
    run_verify(
        drives[0], office.computer, VerifyJobRequest(), office.world, cancel=CancelToken(), monitor=SilentMonitor()
    )
    with open_with_snapshots(drives, own_key(office), ["latest"]) as chosen:
        assert (chosen.unreadable, chosen.has_known_damage) == ((), True)


def test_a_drive_of_another_practice_is_a_doubt_and_never_opened_with_our_key(office: Office, tmp_path: Path) -> None:
    other = office.closing.enter_context(open_office(tmp_path / "other", seed="other"))
    other.enroll("FREMD")
    stranger = dataclasses.replace(other.drive("FREMD"), record=None)
    cabinet = office.drive("CABINET")
    with open_with_snapshots([stranger, cabinet], own_key(office), ["latest"]) as chosen:
        assert [type(drive.error) for drive in chosen.unusable] == [WrongKey]


def test_several_drives_are_no_choice_for_a_run_that_writes(office: Office) -> None:
    from kinebackup.practice.access import find_drive

    with pytest.raises(ConfigError, match="several drives are plugged in: CABINET, DOMICILE"):
        find_drive(None, office.computer, office.world)
