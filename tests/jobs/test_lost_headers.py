"""A drive whose header copies are lost: opened by what this computer knows of it, and given them back.

Owns: many ways to lose them × reading and backing up. Does not know: the command line (tests/cli/test_key_export.py),
how a repository is chosen among headers (tests/engine/repository/test_identity.py).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import PASSPHRASE, Office, open_office

from kinebackup.engine.format.keyring import Passphrase, RecoveryCode, Slot
from kinebackup.engine.format.layout import FIRST_HEADERS, HEADER_COPIES, SPREAD_HEADER
from kinebackup.errors import Damaged, WrongKey
from kinebackup.jobs.keys import add_passphrase, change_passphrase, remove, slot_to_remove, waiting_drives
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.practice.access import open_to_read


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as made:
        made.enroll("A")
        made.back_up("A")
        yield made


def root(office: Office, label: str = "A") -> Path:
    return office.place / "drives" / label / "KINEBACKUP"


def read(office: Office, label: str = "A") -> tuple[int, list[tuple[str, str]]]:
    """How many backups this computer reads there, and what it says of the drive."""
    with open_to_read(office.drive(label), office.computer, None) as opened:
        told = [(str(problem.kind), problem.path) for problem in opened.problems]
        return len(opened.repository.snapshots().readable), told


def copies(office: Office, label: str = "A") -> set[bytes]:
    return {(root(office, label) / name).read_bytes() for name in HEADER_COPIES}


def delete(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def other_mac(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-65] + bytes(reversed(data[-65:-1])) + b"\n")


def other_commitment(path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b'"commitment":"') + 14
    path.write_bytes(data[:at] + (b"1" if data[at : at + 1] == b"0" else b"0") + data[at + 1 :])


every_loss = pytest.mark.parametrize(
    "lose", [delete, empty, zero, cut, a_folder, a_link, other_mac, other_commitment], ids=lambda loss: loss.__name__
)


@every_loss
def test_without_any_copy_of_the_header_the_drive_is_read_and_the_next_backup_writes_them_anew(
    office: Office, lose: Callable[[Path], None]
) -> None:
    for name in HEADER_COPIES:
        lose(root(office) / name)
    assert read(office) == (1, [("healed", "header")])
    assert read(office) == (1, [("healed", "header")])  # reading writes nothing
    told = [(problem.kind, problem.path) for problem in office.back_up("A").problems]
    assert ("healed", "header") in told
    assert {kind for kind, _path in told} == {"healed"}
    assert len(copies(office)) == 1
    assert read(office) == (2, [])
    with open_to_read(office.drive("A"), None, RecoveryCode.of(office.code)) as opened:  # as on another computer
        assert opened.problems == []


def test_a_verification_of_such_a_drive_names_the_copies(office: Office) -> None:
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    report = run_verify(
        office.drive("A"),
        office.computer,
        VerifyJobRequest(),
        office.world,
        cancel=CancelToken(),
        monitor=SilentMonitor(),
    )
    assert report.result == "failed"
    told = [problem for problem in report.problems if problem.kind != "healed"]
    assert {problem.path for problem in told} == set(HEADER_COPIES)
    assert all(problem.healable for problem in told)


def test_headers_of_another_drive_in_all_places_do_not_lock_out(office: Office) -> None:
    office.enroll("B", "domicile")
    for name in HEADER_COPIES:
        shutil.copy(root(office, "B") / name, root(office) / name)
    assert read(office) == (1, [("healed", "header")])
    office.back_up("A")
    assert copies(office).isdisjoint(copies(office, "B"))
    assert read(office) == (2, [])


def test_a_secret_alone_does_not_open_what_only_this_computer_remembers(office: Office) -> None:
    """A test of the printed code must prove the drive and not the computer."""
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    with pytest.raises(Damaged), open_to_read(office.drive("A"), office.computer, PASSPHRASE):
        pass


def test_another_drive_in_the_place_of_this_one_is_not_opened_by_what_is_remembered(office: Office) -> None:
    office.enroll("B", "domicile")
    office.back_up("B")
    shutil.rmtree(root(office))
    shutil.copytree(root(office, "B"), root(office))
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    with pytest.raises(Damaged, match="nothing on this drive shows"):
        read(office)
    assert not (root(office) / "header").exists()


def test_a_drive_with_nothing_but_lost_headers_is_refused(office: Office) -> None:
    for each in ("snapshots", "index", "packs"):
        shutil.rmtree(root(office) / each)
    for name in HEADER_COPIES:
        empty(root(office) / name)
    with pytest.raises(Damaged):
        read(office)


# -- the copy away from the others ----------------------------------------------------------------------------------


@every_loss
def test_the_copy_in_the_parity_folder_alone_opens_the_drive_for_everybody(
    office: Office, lose: Callable[[Path], None]
) -> None:
    for name in FIRST_HEADERS:
        lose(root(office) / name)
    with open_to_read(office.drive("A"), None, PASSPHRASE) as opened:
        assert len(opened.repository.snapshots().readable) == 1
    office.back_up("A")
    assert len(copies(office)) == 1


def test_a_backup_writes_it_again_while_it_is_as_old_as_the_others_and_then_no_more(office: Office) -> None:
    spread = root(office) / SPREAD_HEADER
    before = spread.stat().st_ino
    office.back_up("A")
    renewed = spread.stat().st_ino
    assert renewed != before
    old = (root(office) / "header").stat().st_mtime_ns - 3600 * 10**9
    for name in FIRST_HEADERS:
        os.utime(root(office) / name, ns=(old, old))
    office.back_up("A")
    assert spread.stat().st_ino == renewed
    spread.unlink()
    office.back_up("A")
    assert len(copies(office)) == 1


def test_a_file_in_the_place_of_the_parity_folder_costs_the_spread_copy_and_no_key_change(office: Office) -> None:
    shutil.rmtree(root(office) / "parity")
    (root(office) / "parity").write_text("odd", encoding="utf-8")
    change = add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world)
    assert change.waiting == ()
    with open_to_read(office.drive("A"), None, Passphrase.of("une deuxième phrase secrète")) as opened:
        assert opened.repository.header.generation == 2


# -- changes of keys ------------------------------------------------------------------------------------------------


def everything_below(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_removed_key_is_nowhere_on_the_drive_nor_on_the_computer(office: Office) -> None:
    (root(office) / "tmp" / "1-1-killed").write_bytes((root(office) / "header").read_bytes())
    gone = next(slot for slot in office.computer.keyring.slots if slot.kind == "recovery")
    for place in (root(office), office.place / "state"):
        assert gone.wrapped.encode() in everything_below(place)
    remove(office.computer, slot_to_remove(office.computer, gone.id), office.world)
    for place in (root(office), office.place / "state"):
        assert gone.wrapped.encode() not in everything_below(place)
    for name in HEADER_COPIES:
        (root(office) / name).unlink()
    office.back_up("A")
    assert gone.wrapped.encode() not in everything_below(root(office))
    with pytest.raises(WrongKey), open_to_read(office.drive("A"), None, RecoveryCode.of(office.code)):
        pass


def test_a_changed_passphrase_is_in_every_copy(office: Office) -> None:
    (old,) = [slot for slot in office.computer.keyring.slots if slot.kind == "passphrase"]
    change_passphrase(office.computer, old, Passphrase.of("une toute nouvelle phrase secrète"), office.world)
    assert len(copies(office)) == 1
    assert old.wrapped.encode() not in everything_below(root(office))
    for name in FIRST_HEADERS:
        (root(office) / name).unlink()
    with open_to_read(office.drive("A"), None, Passphrase.of("une toute nouvelle phrase secrète")) as opened:
        assert opened.repository.header.generation == 3


def test_an_interrupted_change_of_keys_is_completed_whichever_copies_were_written(office: Office) -> None:
    before = {name: (root(office) / name).read_bytes() for name in HEADER_COPIES}
    add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world)
    after = (root(office) / "header").read_bytes()
    for written in range(1, 4):
        for name in HEADER_COPIES[: 4 - written]:
            (root(office) / name).write_bytes(before[name])
        assert read(office)[0] >= 1
        office.back_up("A")
        assert copies(office) == {after}


def is_where(place: Path, slot: Slot) -> bool:
    return slot.wrapped.encode() in everything_below(place)


@pytest.mark.parametrize("change", ["remove", "change-passphrase"])
def test_a_drive_that_was_away_during_a_change_of_keys_has_no_trace_of_the_old_one_after_the_next_meeting(
    office: Office, change: str
) -> None:
    """This computer's memory is changed at once; in each copy on the drive, and in what a killed run left there."""
    kind = "recovery" if change == "remove" else "passphrase"
    (old,) = [slot for slot in office.computer.keyring.slots if slot.kind == kind]
    away = root(office).parent.rename(office.place / "elsewhere")
    (away / "KINEBACKUP/tmp/1-1-killed").write_bytes((away / "KINEBACKUP/header").read_bytes())
    if change == "remove":
        told = remove(office.computer, slot_to_remove(office.computer, old.id), office.world)
    else:
        told = change_passphrase(office.computer, old, Passphrase.of("une toute nouvelle phrase secrète"), office.world)
    assert (told.updated, told.waiting) == ((), ("A",))
    assert not is_where(office.place / "state", old)
    assert is_where(away, old)
    away.rename(root(office).parent)
    office.back_up("A")
    assert waiting_drives(office.computer) == ()
    assert not is_where(root(office), old)
    assert len(copies(office)) == 1


def test_a_verification_alone_leaves_a_waiting_drive_as_it_was_and_any_change_of_keys_reaches_it(
    office: Office,
) -> None:
    """A command that only reads changes nothing; the next one that changes keys does."""
    (old,) = [slot for slot in office.computer.keyring.slots if slot.kind == "recovery"]
    away = root(office).parent.rename(office.place / "elsewhere")
    remove(office.computer, slot_to_remove(office.computer, old.id), office.world)
    away.rename(root(office).parent)
    assert read(office)[0] >= 1
    assert waiting_drives(office.computer) == ("A",)
    add_passphrase(office.computer, Passphrase.of("une deuxième phrase secrète"), office.world)
    assert waiting_drives(office.computer) == ()
    assert not is_where(root(office), old)
