"""Key rings on several computers and drives: the newer wins, and nobody is locked out by a change made in two places.

Owns: how rings spread. The slots themselves are proven in tests/engine/format/test_keyring.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from support.jobs.small_practice import PASSPHRASE, Office, make_world, open_office
from support.ports import Clock

from kinebackup.engine import lock_store
from kinebackup.engine.format.keyring import MAX_GENERATION, Keyring, MachineKey, Passphrase, Slot, with_slot
from kinebackup.errors import KineError, WrongKey
from kinebackup.jobs.join import JoinRequest, join
from kinebackup.jobs.keys import add_passphrase, own_slot, remove, slot_to_remove
from kinebackup.practice.access import lock_holder
from kinebackup.practice.computer_keys import ComputerKeys


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


# -- a ring that somebody with the master key has put on a drive ----------------------------------------------------


def put_on_drive(office: Office, label: str, ring: Keyring) -> None:
    drive = office.drive(label)
    with lock_store(drive.root, lock_holder(office.world, "forge")) as locked:
        locked.open(office.computer.master()).write_keyring(ring)


def on_drive(office: Office, label: str) -> Keyring:
    drive = office.drive(label)
    with lock_store(drive.root, lock_holder(office.world, "look")) as locked:
        return locked.open(office.computer.master()).header.keyring


def without(*kinds: str) -> Callable[[Keyring], tuple[Slot, ...]]:
    return lambda ring: tuple(slot for slot in ring.slots if slot.kind not in kinds)


def strangers(ring: Keyring) -> tuple[Slot, ...]:
    """As many slots as there may be, of which this computer knows none."""
    template = ring.slots[0]
    return tuple(msgspec.structs.replace(template, id=f"{number:08x}") for number in range(16))


any_newer = pytest.mark.parametrize("generation", [2, 3, 2**40, MAX_GENERATION])


@any_newer
def test_a_newer_ring_without_a_key_for_a_person_is_refused_told_and_not_spread(
    office: Office, generation: int
) -> None:
    ours = office.computer.keyring
    forged = msgspec.structs.replace(ours, generation=generation, slots=without("passphrase", "recovery")(ours))
    put_on_drive(office, "A", forged)
    for _day in range(2):
        report = office.back_up("A")
        assert [problem.kind for problem in report.problems] == ["keys-refused"]
        assert "neither a passphrase nor a recovery code" in report.problems[0].message
        assert report.snapshot is not None
        assert on_drive(office, "A") == forged
        assert office.back_up("B").problems == ()
        assert on_drive(office, "B") == ours
    assert ComputerKeys.open(office.place / "state").keyring == ours


@any_newer
@pytest.mark.parametrize("slots", [without("machine"), strangers], ids=["no computer", "others"])
def test_a_newer_ring_without_this_computer_is_refused_and_nothing_is_written_there(
    office: Office, generation: int, slots: Callable[[Keyring], tuple[Slot, ...]]
) -> None:
    ours = office.computer.keyring
    forged = msgspec.structs.replace(ours, generation=generation, slots=slots(ours))
    put_on_drive(office, "A", forged)
    for _day in range(2):
        with pytest.raises(WrongKey, match="this computer's key has been removed"):
            office.back_up("A")
        assert on_drive(office, "A") == forged
        assert office.back_up("B").problems == ()
        assert on_drive(office, "B") == ours
    assert ComputerKeys.open(office.place / "state").keyring == ours


def test_rings_of_one_generation_that_cannot_be_put_together_stay_as_they_are(office: Office) -> None:
    ours = office.computer.keyring
    forged = msgspec.structs.replace(ours, slots=strangers(ours))
    put_on_drive(office, "A", forged)
    report = office.back_up("A")
    assert [problem.kind for problem in report.problems] == ["keys-refused"]
    assert (on_drive(office, "A"), office.computer.keyring) == (forged, ours)


def test_keys_that_were_added_or_removed_elsewhere_are_told_by_name(office: Office, tmp_path: Path) -> None:
    second = second_computer(office, tmp_path / "second", "A")
    added = own_slot(second.computer)
    report = office.back_up("A")
    assert [problem.kind for problem in report.problems] == ["keys-changed"]
    assert f"keys were added on another computer: computer {added.id};" in report.problems[0].message
    recovery = next(slot for slot in office.computer.keyring.slots if slot.kind == "recovery")
    remove(office.computer, recovery, office.world)
    report = second.back_up("A")
    assert f"keys were removed on another computer: recovery code {recovery.id};" in report.problems[0].message
    assert second.back_up("A").problems == ()


def test_a_change_of_keys_tells_what_the_drives_brought(office: Office, tmp_path: Path) -> None:
    second = second_computer(office, tmp_path / "second", "A")
    change = add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world)
    assert [problem.kind for problem in change.problems] == ["keys-changed"]
    assert own_slot(second.computer).id in change.problems[0].message


# -- nothing is written that could not be opened again ----------------------------------------------------------------


def widest(ring: Keyring) -> tuple[Slot, ...]:
    """Room for one slot more, and not a character to spare in a time."""
    template = msgspec.structs.replace(ring.slots[0], created="2" * 64)
    return (*ring.slots, *(msgspec.structs.replace(template, id=f"{number:08x}") for number in range(12)))


@pytest.mark.parametrize("generation", [2, MAX_GENERATION - 1, MAX_GENERATION])
@pytest.mark.parametrize("slots", [lambda ring: ring.slots, widest], ids=["as they are", "as many as fit"])
def test_whoever_joins_writes_nothing_or_what_opens_again(
    office: Office, tmp_path: Path, generation: int, slots: Callable[[Keyring], tuple[Slot, ...]]
) -> None:
    ring = msgspec.structs.replace(office.computer.keyring, generation=generation)
    put_on_drive(office, "A", msgspec.structs.replace(ring, slots=slots(ring)))
    before = {name: (office.place / "drives/A/KINEBACKUP" / name).read_bytes() for name in ("header", "header.1")}
    place = tmp_path / "second"
    try:
        second_computer(office, place, "A")
    except KineError:
        assert {name: (office.place / "drives/A/KINEBACKUP" / name).read_bytes() for name in before} == before
        assert not (place / "state").exists()
    else:
        assert generation < MAX_GENERATION
        assert ComputerKeys.open(place / "state").keyring == on_drive(office, "A")


@pytest.mark.parametrize(
    "change",
    [
        lambda office: add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world),
        lambda office: remove(office.computer, office.computer.keyring.slots[0], office.world),
    ],
    ids=["add", "remove"],
)
def test_a_change_after_the_last_possible_one_changes_nothing(
    office: Office, change: Callable[[Office], object]
) -> None:
    last = msgspec.structs.replace(office.computer.keyring, generation=MAX_GENERATION)
    office.computer.save_keyring(last)
    office.back_up("A")
    assert on_drive(office, "A") == last
    with pytest.raises(KineError):
        change(office)
    assert ComputerKeys.open(office.place / "state").keyring == on_drive(office, "A") == last


def test_no_ring_is_made_that_could_not_be_read(office: Office) -> None:
    last = msgspec.structs.replace(office.computer.keyring, generation=MAX_GENERATION)
    with pytest.raises(KineError):
        with_slot(last, office.computer.master(), MachineKey(b"k" * 32), entropy=office.world.entropy, created="")
    with pytest.raises(KineError):
        put_on_drive(office, "A", msgspec.structs.replace(last, generation=MAX_GENERATION + 1))
    assert office.back_up("A").problems == ()
