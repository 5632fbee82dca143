"""Key rings on several computers and drives: the newer wins, and nobody is locked out by a change made in two places.

Owns: how rings spread. The slots themselves are proven in tests/engine/format/test_keyring.py.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, make_world, open_office
from support.ports import Clock

from kinebackup.engine.format.keyring import Passphrase
from kinebackup.jobs.join import JoinRequest, join
from kinebackup.jobs.keys import add_passphrase, own_slot, remove, slot_to_remove


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path / "first") as made:
        made.enroll("A")
        made.enroll("B", "domicile")
        yield made


def second_computer(office: Office, place: Path, drive: str) -> Office:
    """Another computer of the practice, which joined by that drive."""
    world = replace(make_world(place, Clock(), seed="second"), host="bureau-pc")
    (place / "Patients").mkdir()
    (place / "Patients" / "note.txt").write_text("note", encoding="utf-8")
    request = JoinRequest(
        drive=str(office.place / "drives" / drive), secret=PASSPHRASE, label=drive, place="cabinet", sources=[]
    )
    joined = join(place / "state", request, world)
    office.closing.enter_context(joined.computer.state)
    return Office(place, joined.computer, world, office.clock, "")


def kinds(office: Office) -> list[str]:
    return sorted(slot.kind for slot in office.computer.keyring.slots)


def test_a_second_computer_is_known_to_the_first_after_its_next_look_at_the_drive(
    office: Office, tmp_path: Path
) -> None:
    second = second_computer(office, tmp_path / "second", "A")
    assert kinds(second) == ["machine", "machine", "passphrase", "recovery"]
    assert kinds(office) == ["machine", "passphrase", "recovery"]
    office.back_up("A")
    assert kinds(office) == ["machine", "machine", "passphrase", "recovery"]
    office.back_up("B")
    assert office.computer.state.drive("B").header_generation == office.computer.keyring.generation == 2


def test_two_changes_at_once_are_put_together(office: Office, tmp_path: Path) -> None:
    drive_a = office.place / "drives" / "A"
    away = drive_a.rename(office.place / "drives" / "away")
    add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world)
    away.rename(drive_a)
    second = second_computer(office, tmp_path / "second", "A")
    assert office.computer.keyring.generation == second.computer.keyring.generation == 2
    report = office.back_up("A")
    assert [(problem.kind, problem.path) for problem in report.problems] == [("healed", "header")]
    assert kinds(office) == ["machine", "machine", "passphrase", "passphrase", "recovery"]
    assert office.computer.keyring.generation == 3
    second.back_up("A")
    assert kinds(second) == kinds(office)
    assert office.back_up("A").problems == ()


def test_a_key_that_was_removed_is_gone_from_the_other_computer_too(office: Office, tmp_path: Path) -> None:
    second = second_computer(office, tmp_path / "second", "A")
    office.back_up("A")
    recovery = next(slot for slot in office.computer.keyring.slots if slot.kind == "recovery")
    remove(office.computer, slot_to_remove(office.computer, recovery.id), office.world)
    second.back_up("A")
    assert kinds(second) == ["machine", "machine", "passphrase"]
    assert own_slot(second.computer).kind == "machine"
