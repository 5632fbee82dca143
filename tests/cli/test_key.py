"""``kinebackup key``: what opens the backups, and which drives know of it.

Owns: the commands.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.cli.computer import PASSPHRASE, Computer

NEW = "une toute autre phrase"


def keys(computer: Computer) -> list[Any]:
    found: list[Any] = computer.run("key", "list", "--json").json["keys"]
    return found


def key_of(computer: Computer, kind: str) -> str:
    return next(str(key["id"]) for key in keys(computer) if key["kind"] == kind)


def opens(computer: Computer, drive: Path, *secret: str | Path) -> int:
    """Exit code of reading a drive as a new computer would."""
    return computer.run("snapshots", "--drive", drive, *secret).code


def new_phrase(computer: Computer) -> Path:
    path = computer.home / "new.txt"
    path.write_text(NEW + "\n", encoding="utf-8")
    return path


# --- refused ----------------------------------------------------------------------------------------------------------


def test_before_init_there_is_no_key(computer: Computer) -> None:
    assert computer.run("key", "list").code == 10


def test_an_unknown_key_gets_the_list_of_known_ones(practice: Computer) -> None:
    done = practice.run("key", "remove", "zz", "--yes")
    assert done.code == 10
    assert key_of(practice, "recovery") in done.err


def test_the_key_of_this_computer_cannot_be_removed_here(practice: Computer) -> None:
    done = practice.run("key", "remove", key_of(practice, "machine"), "--yes")
    assert done.code == 2
    assert "this is the key of this computer" in done.err
    assert len(keys(practice)) == 3


def test_the_last_key_that_works_without_this_computer_stays(practice: Computer) -> None:
    assert practice.run("key", "remove", key_of(practice, "recovery"), "--yes").code == 0
    done = practice.run("key", "remove", key_of(practice, "passphrase"), "--yes")
    assert done.code == 2
    assert "this is the last key that works without this computer" in done.err
    assert [key["kind"] for key in keys(practice)] == ["passphrase", "machine"]


def test_removing_asks_first(practice: Computer) -> None:
    done = practice.run("key", "remove", key_of(practice, "recovery"))
    assert done.code == 2
    assert "hint: confirm it with --yes\n" in done.err
    assert len(keys(practice)) == 3


def test_a_short_passphrase_in_a_file_is_warned_of(practice: Computer) -> None:
    short = practice.home / "short.txt"
    short.write_text("trop court\n", encoding="utf-8")
    for command in (("key", "change-passphrase", "--new-passphrase-file"), ("key", "add", "--passphrase-file")):
        done = practice.run(*command, short, "--quiet")
        assert done.code == 0
        assert done.err.startswith("! this passphrase has fewer than 12 characters; ")


def test_a_code_file_that_exists_is_not_overwritten_and_no_key_is_made(practice: Computer) -> None:
    done = practice.run("key", "add", "--recovery-code-file", practice.code_file)
    assert done.code == 2
    assert len(keys(practice)) == 3


def test_a_passphrase_and_a_code_are_added_one_at_a_time(practice: Computer) -> None:
    options = ("--passphrase-file", practice.passphrase_file, "--recovery-code")
    assert practice.run("key", "add", *options).code == 2


# --- changed ----------------------------------------------------------------------------------------------------------


def test_a_new_recovery_code_opens_the_drive_beside_the_old_one(practice: Computer) -> None:
    drive = practice.enroll("A")
    out = practice.home / "second.txt"
    done = practice.run("key", "add", "--recovery-code-file", out, "--json")
    assert (done.code, done.json["drives_updated"], done.json["drives_waiting"]) == (0, ["A"], [])
    assert opens(practice, drive, "--recovery-code-file", out) == 0
    assert opens(practice, drive, "--recovery-code-file", practice.code_file) == 0
    shown = practice.run("key", "add", "--recovery-code")
    assert re.search(r"\n    (?:[2-9A-Z]{5}-){6}[2-9A-Z]{5}\n", shown.out)


def test_a_changed_passphrase_opens_and_the_old_one_does_not(practice: Computer) -> None:
    drive = practice.enroll("A")
    done = practice.run("key", "change-passphrase", "--new-passphrase-file", new_phrase(practice))
    assert done.code == 0, done.err
    assert opens(practice, drive, "--passphrase-file", new_phrase(practice)) == 0
    assert opens(practice, drive, "--passphrase-file", practice.passphrase_file) == 12
    assert opens(practice, drive, "--recovery-code-file", practice.code_file) == 0


def test_among_several_passphrases_the_old_one_tells_which_is_changed(practice: Computer) -> None:
    assert practice.run("key", "add", "--passphrase-file", new_phrase(practice)).code == 0
    third = practice.home / "third.txt"
    third.write_text("encore une autre phrase\n", encoding="utf-8")
    unsure = practice.run("key", "change-passphrase", "--new-passphrase-file", third)
    assert unsure.code == 2
    assert "there are several passphrases" in unsure.err
    first = key_of(practice, "passphrase")
    options = ("--passphrase-file", practice.passphrase_file, "--new-passphrase-file", third)
    assert practice.run("key", "change-passphrase", *options).code == 0
    assert first not in {key["id"] for key in keys(practice)}


def test_an_absent_drive_waits_and_hears_of_it_at_its_next_backup(practice: Computer) -> None:
    practice.enroll("A")
    away = practice.enroll("B", "domicile")
    shutil.move(away, practice.drive("far"))
    removed = practice.run("key", "remove", key_of(practice, "recovery"), "--yes")
    assert removed.code == 0
    assert removed.out.endswith(
        "Not yet on: B. Until their next backup, these drives open with the keys that they had.\n"
    )
    shutil.move(practice.drive("far"), away)
    assert opens(practice, away, "--recovery-code-file", practice.code_file) == 0
    practice.back_up("B")
    assert opens(practice, away, "--recovery-code-file", practice.code_file) == 12
    assert practice.run("key", "list", "--json").json["waiting_drives"] == []


def test_a_locked_drive_waits_too(practice: Computer, lock_holder: Callable[[Path], None]) -> None:
    lock_holder(practice.enroll("A"))
    done = practice.run("key", "remove", key_of(practice, "recovery"), "--yes", "--json")
    assert (done.code, done.json["drives_waiting"]) == (0, ["A"])


def test_a_key_that_another_computer_added_is_kept(practice: Computer, another_computer: Computer) -> None:
    drive = practice.enroll("A")
    joined = another_computer.run("init", "--join", drive, "--recovery-code-file", practice.code_file)
    assert joined.code == 0, joined.err
    assert practice.run("key", "add", "--recovery-code").code == 0
    kinds = [key["kind"] for key in keys(practice)]
    assert kinds == ["passphrase", "recovery", "machine", "machine", "recovery"]
    assert another_computer.run("backup").code == 0
    assert len(keys(another_computer)) == 5


def test_a_computer_that_was_removed_can_back_up_no_more(practice: Computer, another_computer: Computer) -> None:
    drive = practice.enroll("A")
    another_computer.run("init", "--join", drive, "--recovery-code-file", practice.code_file)
    other = next(k["id"] for k in keys(another_computer) if k["this_computer"])
    assert practice.run("backup").code == 0  # this computer hears of the other one's key
    assert practice.run("key", "remove", other, "--yes").code == 0
    packs = sorted((drive / "KINEBACKUP" / "packs").rglob("*"))
    (another_computer.patients / "new.txt").write_text("new", encoding="utf-8")
    for _day in range(2):
        refused = another_computer.run("backup")
        assert refused.code == 12
        assert "this computer's key has been removed from the key ring" in refused.err
    assert sorted((drive / "KINEBACKUP" / "packs").rglob("*")) == packs
    assert practice.run("backup").code == 0


def test_the_passphrase_is_nowhere_in_what_is_printed(practice: Computer) -> None:
    done = practice.run("key", "change-passphrase", "--new-passphrase-file", new_phrase(practice))
    assert NEW not in done.out + done.err
    assert PASSPHRASE not in done.out + done.err
