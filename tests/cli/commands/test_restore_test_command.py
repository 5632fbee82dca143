"""``kinebackup restore-test``: files really come back, with this computer's key or as on a new one.

Owns: the command. What is compared is proven in tests/engine.
"""

import os
from pathlib import Path

import pytest
from support.cli.computer import Computer


@pytest.fixture
def saved(practice: Computer) -> Computer:
    """A practice with one backup on the drive A, which holds a film that does not compress."""
    (practice.patients / "film.bin").write_bytes(os.urandom(300_000))
    practice.enroll("A")
    practice.back_up("A")
    return practice


def leftovers() -> list[str]:
    return [name for name in os.listdir("/dev/shm") if name.startswith("kinebackup-restore-test-")]


def damage(drive: Path) -> None:
    pack = max((drive / "KINEBACKUP" / "packs").glob("*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[1000] ^= 1
    pack.write_bytes(data)


# --- nothing proven is a failure --------------------------------------------------------------------------------------


def test_a_drive_without_a_backup_fails_the_test(practice: Computer) -> None:
    practice.enroll("A")
    done = practice.run("restore-test", "--json")
    assert (done.code, done.json["result"], done.json["files_tested"]) == (14, "failed", 0)
    assert practice.run("status", "--json").json["drives"][0]["failed_check"] is True


def test_a_backup_without_a_file_fails_the_test(practice: Computer) -> None:
    empty = practice.home / "Vide"
    empty.mkdir()
    practice.configure(sources=(empty,))
    practice.enroll("A")
    assert practice.run("backup").code == 3
    done = practice.run("restore-test")
    assert done.code == 14
    assert done.out.startswith("FAILED: no file came back, so nothing is proven.\n")


@pytest.mark.parametrize(
    "options", [("--all", "--files", "3"), ("--files", "0"), ("--files", "-1"), ("--files", "x"), ("--seed", "-1")]
)
def test_options_that_make_no_sense_are_usage_errors(saved: Computer, options: tuple[str, ...]) -> None:
    assert saved.run("restore-test", *options).code == 2


# --- this computer's key ----------------------------------------------------------------------------------------------


def test_all_files_come_back_and_the_document_has_the_keys_of_the_contract(saved: Computer) -> None:
    done = saved.run("restore-test", "--all", "--json")
    found = done.json
    size = sum(path.stat().st_size for path in saved.patients.rglob("*") if path.is_file())
    assert (done.code, found["result"], found["problems"]) == (0, "ok", [])
    assert (found["files_tested"], found["files_compared_with_source"], found["bytes_tested"]) == (7, 7, size)
    assert found["key_slot"] == "machine"
    assert found["duration_s"] > 0
    assert isinstance(found["seed"], int)
    assert leftovers() == []


def test_a_sample_has_as_many_files_as_asked_for(saved: Computer) -> None:
    found = saved.run("restore-test", "--files", "3", "--seed", "7", "--json").json
    assert (found["files_tested"], found["seed"]) == (3, 7)
    again = saved.run("restore-test", "--files", "3", "--seed", "7", "--json").json
    assert again["bytes_tested"] == found["bytes_tested"]


def test_files_that_changed_since_are_compared_with_the_backup_only(saved: Computer) -> None:
    (saved.patients / "Durand" / "bilan.txt").write_text("changed since", encoding="utf-8")
    found = saved.run("restore-test", "--all", "--json").json
    assert (found["result"], found["files_tested"], found["files_compared_with_source"]) == ("ok", 7, 6)


def test_the_date_of_a_good_test_is_remembered(saved: Computer) -> None:
    assert saved.run("status", "--json").json["drives"][0]["last_restore_test"] is None
    assert saved.run("restore-test").code == 0
    assert saved.run("status", "--json").json["drives"][0]["last_restore_test"] is not None


def test_damage_fails_the_test_names_the_file_and_leaves_no_plaintext(saved: Computer) -> None:
    damage(saved.drive("A"))
    done = saved.run("restore-test", "--all", "--json")
    assert (done.code, done.json["result"]) == (14, "failed")
    assert str(saved.patients / "film.bin") in {problem["path"] for problem in done.json["problems"]}
    assert leftovers() == []


def test_what_a_killed_test_left_is_removed_by_the_next_one(saved: Computer) -> None:
    left = Path("/dev/shm/kinebackup-restore-test-999999999-left")  # no process has that number
    left.mkdir(mode=0o700)
    (left / "restored").write_text("plaintext", encoding="utf-8")
    assert saved.run("restore-test").code == 0
    assert not left.exists()


# --- as on a new computer ---------------------------------------------------------------------------------------------


def test_with_the_passphrase_the_keys_of_this_computer_are_not_needed(saved: Computer) -> None:
    (saved.state / "machine.key").write_text("00" * 32, encoding="ascii")
    assert saved.run("restore-test").code == 12
    done = saved.run("restore-test", "--passphrase-file", saved.passphrase_file, "--json")
    assert (done.code, done.json["result"]) == (0, "ok")
    assert done.json["key_slot"].startswith("passphrase ")
    assert saved.run("status", "--json").json["drives"][0]["last_restore_test"] is not None


def test_a_path_and_the_code_are_enough_without_any_configuration(saved: Computer, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "new"), "LANG": "en_GB.UTF-8"}
    done = saved.run(
        "restore-test",
        "--drive",
        saved.drive("A"),
        "--recovery-code-file",
        saved.code_file,
        "--all",
        "--json",
        env=bare,
    )
    assert (done.code, done.json["files_tested"]) == (0, 7)
    assert done.json["key_slot"].startswith("recovery ")


@pytest.mark.parametrize("name", ["keyring.json", "machine.key", "state.db"])
def test_a_path_and_the_code_are_enough_where_the_files_of_this_computer_are_damaged(
    saved: Computer, name: str
) -> None:
    (saved.state / name).write_bytes(b"\xff" * 5000)
    assert saved.run("restore-test").code in (1, 14)
    done = saved.run("restore-test", "--drive", saved.drive("A"), "--recovery-code-file", saved.code_file)
    assert done.code == 0, done.err


def test_a_wrong_passphrase_says_which_kinds_of_keys_there_are(saved: Computer) -> None:
    saved.passphrase_file.write_text("une autre phrase secrète\n", encoding="utf-8")
    done = saved.run("restore-test", "--drive", saved.drive("A"), "--passphrase-file", saved.passphrase_file)
    assert (done.code, done.out) == (12, "")
    assert done.err == (
        "kinebackup: error: the passphrase does not open this drive\n"
        "hint: it has key slots of these kinds: passphrase, recovery code, computer; "
        "try another one, or another drive\n"
    )


def test_a_typing_error_in_the_code_names_its_group(saved: Computer) -> None:
    code = saved.code_file.read_text(encoding="ascii")
    saved.code_file.write_text(("3" if code[0] == "2" else "2") + code[1:], encoding="ascii")
    done = saved.run("restore-test", "--drive", saved.drive("A"), "--recovery-code-file", saved.code_file)
    assert done.code == 12
    assert "group 1 of the recovery code has a typing error" in done.err


def test_both_a_passphrase_and_a_code_is_a_usage_error(saved: Computer) -> None:
    both = ("--passphrase-file", saved.passphrase_file, "--recovery-code-file", saved.code_file)
    assert saved.run("restore-test", *both).code == 2
