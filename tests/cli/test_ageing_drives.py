"""What a person and an operator are told of a drive that grows old, and what they are not.

Owns: words and JSON documents of ``status``, ``drive list``, ``drive show``, ``verify``. When a drive is to be replaced
is in tests/policy/test_ageing.py.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli.computer import Computer
from support.engine.with_parity import KIB, flip, zero

from kinebackup.state.state_db import StateDb


@pytest.fixture
def saved(practice: Computer) -> Path:
    """The snapshot file of a drive A, every file of which has parity."""
    practice.enroll("A")
    assert practice.run("backup", "--drive", "A").code == 0
    [snapshot] = (Path(practice.drive("A")) / "KINEBACKUP/snapshots").iterdir()
    return snapshot


def drive(practice: Computer) -> Any:
    [found] = practice.run("status", "--json").json["drives"]
    assert practice.run("drive", "list", "--json").json["drives"] == [found]
    return found


def was_wrong(practice: Computer, days_ago: int) -> str:
    """Something was found on that day already; returns the day as JSON has it."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days_ago)
    with StateDb(practice.state) as state:
        [known] = state.drives()
        state.faults.record(known.repository, [("index/" + "ab" * 32, "healable")], [], at)
    return at.isoformat().replace("+00:00", "Z")


def test_nothing_is_said_of_one_place_that_was_healed_but_in_the_documents(practice: Computer, saved: Path) -> None:
    before = practice.run("status").out
    assert (drive(practice)["health"], drive(practice)["faults"], drive(practice)["faults_since"]) == ("good", 0, None)
    flip(saved)
    assert practice.run("backup", "--drive", "A").code == 0
    found = drive(practice)
    assert (found["health"], found["faults"]) == ("watch", 1)
    assert found["faults_since"] is not None
    assert [line for line in practice.run("status").out.splitlines() if "age" in line] == [
        line for line in before.splitlines() if "age" in line
    ]
    assert "1 damaged place" in practice.run("drive", "show", "A").out
    assert practice.run("drive", "show", "A", "--json").json["jobs"][0]["healed"] == 1


@pytest.mark.parametrize(
    "command", [("ls", "latest"), ("find", "*"), ("snapshots",), ("restore", "latest", "--to", "back")]
)
def test_what_a_command_met_that_only_reads_is_remembered_as_well(
    practice: Computer, saved: Path, command: tuple[str, ...]
) -> None:
    flip(saved)
    assert practice.run(*command).code == 0
    assert (drive(practice)["health"], drive(practice)["faults"]) == ("watch", 1)
    assert practice.run(*command[:-1], command[-1].replace("back", "again")).code == 0
    assert drive(practice)["faults"] == 1


def test_a_drive_with_growing_errors_is_told_until_it_is_forgotten(practice: Computer, saved: Path) -> None:
    since = was_wrong(practice, 30)
    flip(saved)
    assert practice.run("verify").code == 14
    found = drive(practice)
    assert (found["health"], found["faults"], found["faults_since"]) == ("replace", 2, since)
    told = practice.run("status").out
    assert (
        "The drive A is ageing, parts of it are becoming unreadable: buy a new one and prepare it with “kinebackup "
        "drive enroll”. This one serves until then; “kinebackup drive forget A” puts it out of use"
    ) in told
    assert "to be replaced" in told
    assert practice.run("backup", "--drive", "A").code == 0
    assert drive(practice)["health"] == "replace"  # mended, and no younger
    practice.configure(language="fr")
    assert "Le disque A vieillit" in practice.run("status").out
    practice.configure(language="en")
    practice.run("drive", "forget", "A", "--yes")
    assert "ageing" not in practice.run("status").out
    practice.enroll("A")
    assert drive(practice)["health"] == "good"


def test_a_verification_says_when_to_replace_the_drive(practice: Computer, saved: Path) -> None:
    assert "replace" not in practice.run("verify", "--full").out
    flip(saved)
    first = practice.run("verify", "--full")
    assert first.out.splitlines()[-1] == "If it happens again, replace the drive."
    was_wrong(practice, 30)
    again = practice.run("verify", "--full")
    assert again.out.splitlines()[-2:] == [
        "This drive is ageing: buy a new one, and prepare it with: kinebackup drive enroll",
        "This one serves until then; after that: kinebackup drive forget",
    ]
    document = practice.run("verify", "--full", "--json").json
    assert (document["health"], document["healable"]) == ("replace", True)
    asked = ("verify", "--drive", practice.drive("A"), "--passphrase-file", practice.passphrase_file, "--json")
    elsewhere = practice.run(*asked, env=practice.environment(KINEBACKUP_CONFIG=str(practice.home / "none")))
    assert elsewhere.json["health"] is None


def spoil_parity_of(practice: Computer, saved: Path) -> None:
    zero(4 * KIB)(practice.drive("A") / f"KINEBACKUP/parity/{saved.name[:2]}/{saved.name}.xor")


def lose_parity_of(practice: Computer, saved: Path) -> None:
    (practice.drive("A") / f"KINEBACKUP/parity/{saved.name[:2]}/{saved.name}.xor").unlink()


def test_a_verification_says_what_the_drive_can_still_lose(practice: Computer, saved: Path) -> None:
    """Every file of this small drive is there twice."""
    told = practice.run("verify", "--full").out.splitlines()[-1]
    assert told == "  this drive can still lose any one of the 4 files that were read, and mend itself"
    document = practice.run("verify", "--full", "--json").json
    assert (document["protected"], document["unprotected"], document["survives_bytes"]) == (4, 0, None)


def test_of_larger_files_it_says_how_much_at_one_place(practice: Computer, saved: Path) -> None:
    (practice.patients / "film.bin").write_bytes(os.urandom(300 * KIB))
    assert practice.run("backup", "--drive", "A").code == 0
    document = practice.run("verify", "--full", "--json").json
    assert (document["unprotected"], document["survives_bytes"]) == (0, 64 * KIB)
    assert "this drive can still lose 64 KiB at any one place in each of" in practice.run("verify", "--full").out


@pytest.mark.parametrize("damage", [spoil_parity_of, lose_parity_of])
def test_what_nothing_would_heal_is_counted(
    practice: Computer, saved: Path, damage: Callable[[Computer, Path], None]
) -> None:
    damage(practice, saved)
    document = practice.run("verify", "--full", "--json").json
    assert (document["result"], document["healable"]) == ("failed", True)
    assert (document["protected"], document["unprotected"]) == (3, 1)
    assert "  1 file could not be mended: nothing on the drive heals it yet" in practice.run("verify", "--full").out
