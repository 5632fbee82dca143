"""A computer whose own disk is full or can only be read still backs up, restores, checks and answers.

Owns: every such command in each trouble, the state directory being on a small real disk. Does not know: each method of
the memory (tests/state/test_own_disk.py).
"""

import shutil
from collections.abc import Iterator

import pytest
from support.cli.computer import Computer
from support.own_disk import SAID, TROUBLES, OwnDisk, Trouble, own_disk

pytestmark = pytest.mark.root

in_each_trouble = pytest.mark.parametrize("which", TROUBLES)
NOTED = [("backup",), ("verify", "--full"), ("restore-test",), ("prune",)]
ASKED = [
    ("snapshots",),
    ("ls", "latest"),
    ("find", "bilan.txt"),
    ("drive", "list"),
    ("drive", "show", "A"),
    ("status",),
]


@pytest.fixture
def disk(practice: Computer) -> Iterator[OwnDisk]:
    """The disk of a computer that has saved to its drive once."""
    practice.enroll("A")
    practice.back_up("A")
    with own_disk(practice.state) as disk:
        for left in disk.folder.glob("state.db-*"):
            left.unlink()
        yield disk


@in_each_trouble
@pytest.mark.parametrize("command", NOTED, ids=lambda command: command[0])
def test_a_run_is_done_and_says_why_it_is_not_noted(
    practice: Computer, disk: OwnDisk, which: Trouble, command: tuple[str, ...]
) -> None:
    (practice.patients / "new.txt").write_text("new", encoding="utf-8")
    disk.trouble(which)
    done = practice.run(*command, "--json")
    assert done.code == 0, done.out + done.err
    told = [(problem["kind"], problem["message"]) for problem in done.json["problems"]]
    assert told == [("computer", f"{SAID[which]}, so this run is not noted on it")]
    in_words = practice.run(*command)
    assert (in_words.code, SAID[which] in in_words.err) == (0, True), in_words.err
    assert "drive" not in in_words.err


@in_each_trouble
@pytest.mark.parametrize("command", ASKED, ids=lambda command: " ".join(command))
def test_a_question_is_answered_as_before(
    practice: Computer, disk: OwnDisk, which: Trouble, command: tuple[str, ...]
) -> None:
    before = practice.run(*command)
    for left in disk.folder.glob("state.db-*"):
        left.unlink()
    disk.trouble(which)
    after = practice.run(*command)
    assert (before.code, after.code) == (0, 0), after.err
    assert SAID[which] in after.err + after.out
    kept = [line for line in after.out.splitlines() if SAID[which] not in line]
    assert kept == before.out.splitlines()


@in_each_trouble
def test_files_come_back(practice: Computer, disk: OwnDisk, which: Trouble) -> None:
    disk.trouble(which)
    into = practice.home / "restored"
    done = practice.run("restore", "latest", "--to", into)
    assert (done.code, SAID[which] in done.err) == (0, True), done.err
    note = practice.patients / "Dupont" / "bilan.txt"
    assert (into / str(note).lstrip("/")).read_bytes() == note.read_bytes()


@in_each_trouble
def test_what_was_saved_meanwhile_is_there_and_nothing_is_taken_for_a_rolled_back_drive(
    practice: Computer, disk: OwnDisk, which: Trouble
) -> None:
    disk.trouble(which)
    assert practice.run("backup").code == 0
    disk.recover()
    done = practice.run("backup", "--json")
    assert (done.code, done.json["problems"]) == (0, [])
    assert len(practice.run("snapshots", "--json").json["snapshots"]) == 3


@in_each_trouble
def test_a_newer_key_ring_waits_until_it_can_be_kept(
    practice: Computer, disk: OwnDisk, another_computer: Computer, which: Trouble
) -> None:
    before = (practice.state / "keyring.json").read_bytes()
    drive = practice.drive("A")
    joined = another_computer.run("init", "--join", drive, "--recovery-code-file", practice.code_file)
    assert joined.code == 0, joined.err
    disk.trouble(which)
    done = practice.run("backup", "--json")
    assert done.code == 0, done.out + done.err
    assert f"{SAID[which]}, so new keys are not noted on it" in {each["message"] for each in done.json["problems"]}
    assert (practice.state / "keyring.json").read_bytes() == before
    disk.recover()
    done = practice.run("backup", "--json")
    assert [each["kind"] for each in done.json["problems"]] == ["keys-changed"]
    assert practice.run("backup", "--json").json["problems"] == []


@in_each_trouble
def test_a_decision_is_refused_with_the_cause(practice: Computer, disk: OwnDisk, which: Trouble) -> None:
    disk.trouble(which)
    for command in (
        ("drive", "rename", "A", "B"),
        ("drive", "forget", "A", "--yes"),
        ("key", "add", "--recovery-code"),
        ("drive", "enroll", "--folder", str(practice.drive("B")), "--label", "B", "--place", "cabinet"),
    ):
        done = practice.run(*command)
        assert (done.code, SAID[which] in done.err) == (1, True), (command, done.err)
    disk.recover()
    assert [each["label"] for each in practice.run("drive", "list", "--json").json["drives"]] == ["A"]


@in_each_trouble
def test_setting_up_is_refused_with_the_cause(computer: Computer, which: Trouble) -> None:
    with own_disk(computer.home / "own") as disk:
        text = computer.config.read_text(encoding="utf-8").replace(str(computer.state), str(disk.folder / "state"))
        computer.config.write_text(text, encoding="utf-8")
        disk.trouble(which)
        done = computer.run("init", "--passphrase-file", computer.passphrase_file)
        assert done.code == 1
        assert "Traceback" not in done.err
        disk.recover()
        shutil.rmtree(disk.folder / "state", ignore_errors=True)
        assert computer.run("init", "--passphrase-file", computer.passphrase_file).code == 0
