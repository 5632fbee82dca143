"""``kinebackup init``: keys are made once, the recovery code is shown once, and a second computer can join.

Owns: what the command prints, leaves and refuses.
"""

import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from support.cli.computer import PASSPHRASE, Computer

CODE = re.compile(r"[2-9A-Z]{5}(?:-[2-9A-Z]{5}){6}")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what is refused comes before any question or key ----------------------------------------------------------------


def test_without_a_configuration_nothing_is_made(computer: Computer) -> None:
    computer.config.unlink()
    done = computer.run("init", "--passphrase-file", computer.passphrase_file)
    assert (done.code, done.out) == (2, "")
    assert "there is no configuration file" in done.err
    assert not computer.state.exists()


def test_a_short_passphrase_in_a_file_is_taken_with_a_warning(computer: Computer) -> None:
    computer.passphrase_file.write_text("e\u0301" * 11 + "\n", encoding="utf-8")  # 22 code points, 11 letters
    done = computer.run("init", "--passphrase-file", computer.passphrase_file, "--json")
    assert (done.code, list(done.json)) == (0, ["practice", "state", "recovery_code"])
    assert done.err.startswith("! this passphrase has fewer than 12 characters; ")
    assert "e\u0301" not in done.err


@pytest.mark.parametrize("content", ["", "\n", "\r\n"])
def test_an_empty_passphrase_file_is_refused(computer: Computer, content: str) -> None:
    computer.passphrase_file.write_text(content, encoding="utf-8")
    done = computer.run("init", "--passphrase-file", computer.passphrase_file)
    assert done.code == 2
    assert "is empty" in done.err


def test_without_a_terminal_the_passphrase_must_be_in_a_file(computer: Computer) -> None:
    done = computer.run("init")
    assert done.code == 2
    assert "hint: give it in a file: --passphrase-file\n" in done.err
    assert not computer.state.exists()


def test_a_second_init_fails_and_changes_nothing(practice: Computer) -> None:
    before = {path: path.read_bytes() for path in practice.state.iterdir()}
    done = practice.run("init", "--passphrase-file", practice.passphrase_file)
    assert done.code == 1
    assert "KineBackup is already set up on this computer" in done.err
    assert {path: path.read_bytes() for path in practice.state.iterdir()} == before


def test_a_file_for_the_recovery_code_is_never_overwritten(computer: Computer) -> None:
    computer.code_file.write_text("something else\n", encoding="utf-8")
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 2
    assert "exists already, and is not overwritten" in done.err
    assert computer.code_file.read_text(encoding="utf-8") == "something else\n"
    assert not computer.state.exists()


def test_an_init_that_fails_leaves_no_empty_code_file(computer: Computer) -> None:
    computer.passphrase_file.write_text("\n", encoding="utf-8")
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 2
    assert not computer.code_file.exists()


def test_drives_without_their_key_ring_are_not_forgotten_by_a_new_init(practice: Computer) -> None:
    practice.enroll("A")
    (practice.state / "keyring.json").unlink()
    done = practice.run("init", "--passphrase-file", practice.passphrase_file)
    assert done.code == 14
    assert "its key ring is gone" in done.err


# --- a new practice --------------------------------------------------------------------------------------------------


def test_init_makes_private_files_and_writes_the_code_to_its_file(practice_made_once: Path) -> None:
    state = practice_made_once / "state"
    names = {path.name for path in state.iterdir() if not path.name.startswith("state.db-")}
    assert names == {"keyring.json", "machine.key", "machine-id", "state.db"}
    assert mode(state) == 0o700
    assert {mode(path) for path in state.iterdir()} == {0o600}
    assert mode(practice_made_once / "code.txt") == 0o600
    assert CODE.fullmatch((practice_made_once / "code.txt").read_text(encoding="utf-8").strip())


def test_init_shows_the_recovery_code_once_and_says_what_comes_next(computer: Computer) -> None:
    done = computer.run("init", "--passphrase-file", computer.passphrase_file)
    assert (done.code, done.err) == (0, "")
    assert len(CODE.findall(done.out)) == 1
    assert "kinebackup drive enroll" in done.out


def test_init_gives_the_code_in_its_json_document(computer: Computer) -> None:
    done = computer.run("init", "--json", "--passphrase-file", computer.passphrase_file)
    assert done.code == 0
    assert CODE.fullmatch(done.json["recovery_code"])
    assert sorted(done.json) == ["practice", "recovery_code", "state"]


def test_a_quiet_init_still_shows_the_code_because_it_would_be_lost(computer: Computer) -> None:
    done = computer.run("init", "--quiet", "--passphrase-file", computer.passphrase_file)
    assert done.code == 0
    assert CODE.fullmatch(done.out.strip())


def test_an_init_that_was_interrupted_before_the_key_ring_can_be_repeated(computer: Computer) -> None:
    first = computer.run("init", "--passphrase-file", computer.passphrase_file)
    assert first.code == 0
    (computer.state / "keyring.json").unlink()
    assert computer.run("init", "--passphrase-file", computer.passphrase_file).code == 0


# --- a second computer -----------------------------------------------------------------------------------------------


def test_a_second_computer_joins_with_the_recovery_code_and_backs_up(
    practice: Computer, another_computer: Computer
) -> None:
    drive = practice.enroll("A", "domicile")
    practice.back_up("A")
    joined = another_computer.run(
        "init", "--json", "--join", drive, "--recovery-code-file", practice.code_file, "--place", "domicile"
    )
    assert joined.code == 0, joined.err
    assert joined.json["drive"] == {"label": "A", "place": "domicile", "simulated": True}
    assert joined.json["snapshots"] == 1
    assert "recovery_code" not in joined.json
    assert another_computer.back_up("A")["files_new"] == 6
    listed = another_computer.run("key", "list", "--json").json["keys"]
    assert [key["kind"] for key in listed] == ["passphrase", "recovery", "machine", "machine"]
    assert [key["this_computer"] for key in listed] == [False, False, False, True]
    assert practice.back_up("A")["files_unmodified"] == 6, "the first computer still has its own parent"
    assert len(practice.run("key", "list", "--json").json["keys"]) == 4


def test_joining_with_the_passphrase_works_too(practice: Computer, another_computer: Computer) -> None:
    drive = practice.enroll("A")
    done = another_computer.run(
        "init", "--join", drive, "--passphrase-file", practice.passphrase_file, "--label", "SECOND"
    )
    assert done.code == 0, done.err
    assert done.out == "This computer has joined the practice; the drive SECOND holds 0 backups.\n"


def test_joining_with_a_wrong_code_changes_neither_drive_nor_computer(
    practice: Computer, another_computer: Computer
) -> None:
    drive = practice.enroll("A")
    header = (drive / "KINEBACKUP" / "header").read_bytes()
    another_computer.code_file.write_text("22227-22228-22229-2222A-2222B-2222C-2222D\n", encoding="utf-8")
    done = another_computer.run("init", "--join", drive, "--recovery-code-file", another_computer.code_file)
    assert done.code == 12
    assert (drive / "KINEBACKUP" / "header").read_bytes() == header
    assert not (another_computer.state / "keyring.json").exists()


def test_joining_by_a_folder_without_a_repository_finds_nothing(another_computer: Computer) -> None:
    done = another_computer.run(
        "init", "--join", another_computer.home, "--passphrase-file", another_computer.passphrase_file
    )
    assert done.code == 10


def test_a_drive_that_was_copied_away_still_opens_with_the_passphrase(practice: Computer, tmp_path: Path) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    shutil.copytree(drive, tmp_path / "copy")
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "en"}
    done = practice.run(
        "restore-test", "--drive", tmp_path / "copy", "--passphrase-file", practice.passphrase_file, "--all", env=bare
    )
    assert done.code == 0, done.err
    assert PASSPHRASE not in done.out + done.err


def test_a_code_file_may_be_there_if_it_is_empty_as_mktemp_leaves_it(computer: Computer) -> None:
    computer.code_file.touch(0o644)
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 0, done.err
    assert CODE.fullmatch(computer.code_file.read_text("ascii").rstrip("\n"))
    assert mode(computer.code_file) == 0o600


def test_a_code_file_that_is_a_link_is_not_followed(computer: Computer) -> None:
    computer.code_file.symlink_to(computer.home / "elsewhere")
    (computer.home / "elsewhere").touch()
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 2
    assert not computer.state.exists()
    assert (computer.home / "elsewhere").read_bytes() == b""
