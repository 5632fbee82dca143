"""``snapshots forget`` and ``snapshots --before``: an unwanted backup goes by name, a wanted one is found by its day.

Owns: the commands. Does not know: how removals are recorded (tests/engine/repository/test_removals.py).
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from support.cli.computer import PROGRAM, Computer, Ran, make_computer
from support.engine.drives import Drive, back_up, enroll, writable

from kinebackup.engine.format import snapshot
from kinebackup.engine.format.layout import snapshot_path
from kinebackup.engine.repository.files import write_file


@dataclass(frozen=True, slots=True)
class Saved:
    """A practice with three backups on A; the second one alone has ``seul.txt``."""

    computer: Computer
    ids: tuple[str, str, str]

    def listed(self) -> list[str]:
        return [each["id"] for each in self.computer.run("snapshots", "--json").json["snapshots"]]


@pytest.fixture
def saved(practice: Computer) -> Saved:
    practice.enroll("A")
    first = practice.back_up("A", keeps_parity=True)["snapshot"]
    (practice.patients / "seul.txt").write_text("only here", encoding="utf-8")
    second = practice.back_up("A", keeps_parity=True)["snapshot"]
    (practice.patients / "seul.txt").unlink()
    (practice.patients / "Durand" / "radio.jpg").rename(practice.patients / "ailleurs.jpg")
    third = practice.back_up("A", keeps_parity=True)["snapshot"]
    return Saved(practice, (first, second, third))


def at_terminal(computer: Computer, typed: str, *arguments: str) -> Ran:
    """The program, with somebody who types that line."""
    ours, theirs = os.openpty()
    with open(ours, "r+b", buffering=0) as terminal:
        terminal.write(typed.encode() + b"\n")
        program = subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=computer.environment(),
            cwd=computer.home,
        )
        os.close(theirs)
        out, _nothing = program.communicate(timeout=120)
        shown = os.read(ours, 65536).decode()
    return Ran(program.returncode, out.decode(), shown.replace("\r\n", "\n"))


# -- forget ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_removed_by_its_name_and_nothing_else(saved: Saved) -> None:
    first, second, third = saved.ids
    done = saved.computer.run("snapshots", "forget", second[:12], "--yes", "--json")
    assert (done.code, done.json) == (0, {"forgotten": [second], "healed": []})
    assert saved.listed() == [first, third]
    assert saved.computer.run("restore-test", "--all").code == 0
    assert saved.computer.run("verify", "--full").code == 0
    assert saved.computer.run("backup").code == 0
    assert [each["sequence"] for each in saved.computer.run("snapshots", "--json").json["snapshots"]] == [1, 3, 4]


def test_what_would_be_lost_is_said_before_and_a_file_that_only_moved_is_none(saved: Saved) -> None:
    done = saved.computer.run("snapshots", "forget", saved.ids[0], saved.ids[1], "--yes")
    assert done.code == 0
    assert done.out == "2 backups of the drive A were removed.\n"
    lines = done.err.splitlines()
    assert lines[0] == "To be removed:"
    assert [line.split()[0] for line in lines[1:3]] == [saved.ids[0][:12], saved.ids[1][:12]]
    assert lines[3:] == [
        "1 file is in no other backup of this drive, and would be lost:",
        f"    {saved.computer.patients / 'seul.txt'}",
    ]


def test_a_backup_of_which_all_is_elsewhere_too_costs_no_file(saved: Saved) -> None:
    done = saved.computer.run("snapshots", "forget", saved.ids[0], "--yes")
    assert done.err.splitlines()[-1] == "Every file in them is in another backup of this drive too."


def test_nothing_goes_without_an_answer(saved: Saved) -> None:
    done = saved.computer.run("snapshots", "forget", saved.ids[1])
    assert done.code == 2
    assert "seul.txt" in done.err
    assert "--yes" in done.err
    assert saved.listed() == list(saved.ids)


@pytest.mark.parametrize(("typed", "code", "left"), [("n", 130, 3), ("", 130, 3), ("y", 0, 2)])
def test_the_person_is_asked(saved: Saved, typed: str, code: int, left: int) -> None:
    done = at_terminal(saved.computer, typed, "snapshots", "forget", saved.ids[1])
    assert done.code == code
    assert "Remove 1 backup? [y/N]" in done.err + done.out
    assert len(saved.listed()) == left


def test_the_only_good_backup_does_not_go_without_a_word(practice: Computer) -> None:
    practice.enroll("A")
    only = practice.back_up("A")["snapshot"]
    for file in practice.patients.rglob("*.*"):
        file.unlink()
    assert practice.run("backup").code == 3  # suspicious
    done = practice.run("snapshots", "forget", only)
    assert done.code == 2
    assert "after that, this drive holds no good backup of" in done.err
    done = practice.run("snapshots", "forget", only, "--yes", "--json")
    assert (done.code, done.json) == (0, {"forgotten": [only], "healed": []})
    assert "after that, this drive holds no good backup of" in done.err


def test_an_unknown_backup_is_refused_and_no_other_one_goes(saved: Saved) -> None:
    done = saved.computer.run("snapshots", "forget", saved.ids[0], "ffffff", "--yes")
    assert done.code == 10
    assert saved.listed() == list(saved.ids)


def test_options_before_the_word_forget_are_not_passed_over(saved: Saved) -> None:
    done = saved.computer.run("snapshots", "--drive", "A", "forget", saved.ids[0], "--yes")
    assert done.code == 2
    assert "the options of forget stand after it" in done.err
    assert saved.listed() == list(saved.ids)


def test_a_drive_in_use_is_left_alone(saved: Saved, lock_holder: Callable[[Path], None]) -> None:
    lock_holder(saved.computer.drive("A"))
    assert saved.computer.run("snapshots", "forget", saved.ids[0], "--yes").code == 11


# -- before ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Good, suspicious, incomplete, good; then one of the day itself, and one of a clock that was wrong."""
    made = enroll(tmp_path / "stick")
    docs = tmp_path / "docs"
    docs.mkdir()
    for day, whole in ((1, True), (2, False), (3, True), (4, True), (5, True)):
        (docs / "note.txt").unlink(missing_ok=True)
        if whole:
            (docs / "note.txt").write_text(str(day), encoding="utf-8")
        back_up(made, docs, started_at=datetime(2040, 1, day, 22, 30, tzinfo=UTC))
    back_up(made, docs, started_at=datetime(2039, 1, 1, tzinfo=UTC))
    with writable(made) as repository:
        third = repository.snapshots().readable[2]
        lacking = msgspec.structs.replace(third.snapshot, files_lost=2)
        name, sealed = snapshot.seal(lacking, repository.keys, made.dice(32))
        write_file(repository.store, snapshot_path(name), sealed)
        repository.store.remove(snapshot_path(third.id))
    return made


def listed(drive: Drive, tmp_path: Path, *options: str, zone: str = "UTC") -> list[tuple[int, int, bool]]:
    computer = make_computer(tmp_path / "pc")
    done = computer.run(
        "snapshots",
        *options,
        "--drive",
        drive.root,
        "--passphrase-file",
        computer.passphrase_file,
        "--json",
        env=computer.environment(TZ=zone),
    )
    assert done.code == 0, done.err
    return [(each["sequence"], each["incomplete"], each["suspicious"]) for each in done.json["snapshots"]]


def test_each_backup_is_listed_in_order_with_what_it_lacks(drive: Drive, tmp_path: Path) -> None:
    assert listed(drive, tmp_path) == [
        (1, 0, False),
        (2, 0, True),
        (3, 2, False),
        (4, 0, False),
        (5, 0, False),
        (6, 0, False),
    ]


@pytest.mark.parametrize(
    ("zone", "expected"), [("UTC", [1, 4, 6]), ("Europe/Paris", [1, 4, 6]), ("Asia/Tokyo", [1, 6])]
)
def test_only_the_good_ones_before_a_day_of_the_practice_are_listed(
    drive: Drive, tmp_path: Path, zone: str, expected: list[int]
) -> None:
    found = listed(drive, tmp_path, "--before", "2040-01-05", zone=zone)
    assert [sequence for sequence, _lacks, _suspicious in found] == expected


def test_a_date_that_is_none_is_a_mistake_in_use(practice: Computer) -> None:
    assert practice.run("snapshots", "--before", "yesterday").code == 2
