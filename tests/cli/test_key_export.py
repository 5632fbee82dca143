"""``kinebackup key export`` and ``--header-from``: a drive without headers, opened by a sheet of paper.

Owns: the commands. Does not know: the form of the text (tests/engine/format/test_key_export.py).
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cli.computer import Computer

from kinebackup.engine.format.layout import HEADER_COPIES


def root(computer: Computer, label: str) -> Path:
    return computer.drive(label) / "KINEBACKUP"


def lose_headers(computer: Computer, label: str) -> None:
    for name in HEADER_COPIES:
        (root(computer, label) / name).unlink()


def prepared(practice: Computer, *labels: str) -> Computer:
    (practice.patients / "bilan.txt").write_text("Bilan de Marie", encoding="utf-8")
    for label in labels:
        practice.run("drive", "enroll", "--folder", practice.drive(label), "--label", label, "--place", "cabinet")
        assert practice.run("backup", "--drive", label).code == 0
    return practice


@pytest.fixture
def sheet(practice: Computer) -> Path:
    prepared(practice, "A", "B")
    out = practice.home / "export.txt"
    assert practice.run("key", "export", "--out", out).code == 0
    return out


def elsewhere(practice: Computer) -> tuple[str | Path, ...]:
    """How somebody asks who has nothing of this computer's."""
    return ("--recovery-code-file", practice.code_file)


# -- what is written ------------------------------------------------------------------------------------------------


def test_the_export_holds_a_header_for_each_drive_and_no_key_that_could_be_guessed(
    practice: Computer, sheet: Path
) -> None:
    text = sheet.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "kinebackup key export 1"
    assert [line.split(",")[0] for line in lines if line.startswith("drive ")] == ["drive A", "drive B"]
    slots = [slot for line in lines if line.startswith("{") for slot in json.loads(line)["slots"]]
    assert {slot["kind"] for slot in slots} == {"recovery"}
    reader = (root(practice, "A") / "recover.py").read_bytes()
    assert f"recover.py {hashlib.sha256(reader).hexdigest()}" in lines
    assert lines[-1] == "sum " + hashlib.sha256(text[: text.rindex("sum ")].encode()).hexdigest()
    assert sheet.stat().st_mode & 0o777 == 0o600


def test_without_a_file_the_same_text_goes_to_standard_output(practice: Computer, sheet: Path) -> None:
    text = sheet.read_text(encoding="utf-8")
    shown = practice.run("key", "export")
    assert (shown.out, shown.err.splitlines()[0].startswith("Print it")) == (text, True)
    assert practice.run("--quiet", "key", "export").out == text
    document = practice.run("--json", "key", "export").json
    assert (document["text"], document["drives"], document["file"]) == (text, ["A", "B"], None)


def test_a_file_that_is_there_is_not_replaced_unasked(practice: Computer, sheet: Path) -> None:
    sheet.write_text("mine", encoding="utf-8")
    done = practice.run("key", "export", "--out", sheet)
    assert (done.code, sheet.read_text(encoding="utf-8")) == (2, "mine")
    assert practice.run("key", "export", "--out", sheet, "--yes").code == 0
    assert sheet.read_text(encoding="utf-8").startswith("kinebackup key export 1\n")


def test_where_it_cannot_be_written_nobody_is_told_that_it_was(practice: Computer) -> None:
    prepared(practice, "A")
    assert practice.run("key", "export", "--out", practice.home / "nowhere" / "x").code == 2
    assert practice.run("key", "list", "--json").json["export"] is None


def test_without_a_recovery_code_it_says_what_to_do(practice: Computer) -> None:
    prepared(practice, "A")
    (code,) = [k["id"] for k in practice.run("key", "list", "--json").json["keys"] if k["kind"] == "recovery"]
    practice.run("key", "remove", code, "--yes")
    done = practice.run("key", "export")
    assert done.code == 2
    assert "kinebackup key add --recovery-code" in done.err


def test_without_a_drive_there_is_nothing_to_export(practice: Computer) -> None:
    assert practice.run("key", "export").code == 10


# -- when it is overtaken -------------------------------------------------------------------------------------------


def told(practice: Computer) -> str:
    practice.configure(language="en")
    listed, status = practice.run("key", "list").out, practice.run("status").out
    assert ("key export of" in listed) == ("key export of" in status)
    return status


def test_a_new_recovery_code_overtakes_it_and_status_says_so_until_there_is_a_new_one(
    practice: Computer, sheet: Path
) -> None:
    assert "key export" not in told(practice)
    assert practice.run("key", "list", "--json").json["export"]["overtaken"] is False
    practice.run("key", "add", "--recovery-code")
    assert "it fits no more" in told(practice)
    practice.run("key", "export", "--out", sheet, "--yes")
    assert "key export" not in told(practice)


def test_a_new_passphrase_does_not(practice: Computer, sheet: Path) -> None:
    phrase = practice.home / "new.txt"
    phrase.write_text("une toute autre phrase\n", encoding="utf-8")
    practice.run("key", "add", "--passphrase-file", phrase)
    assert "key export" not in told(practice)


def test_a_drive_that_was_enrolled_after_it_is_named(practice: Computer, sheet: Path) -> None:
    prepared(practice, "C")
    assert "lacks these drives: C" in told(practice)


# -- a drive without headers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("snapshots",),
        ("ls", "latest"),
        ("find", "bilan*"),
        ("diff", "latest", "latest"),
        ("restore", "latest", "--to", "back"),
    ],
    ids=lambda command: command[0],
)
def test_a_drive_without_headers_opens_by_the_sheet_and_the_code_and_by_neither_alone(
    practice: Computer, sheet: Path, command: tuple[str, ...], tmp_path: Path
) -> None:
    lose_headers(practice, "A")
    asked: list[str | Path] = [
        *(str(tmp_path / "back") if word == "back" else word for word in command),
        "--drive",
        practice.drive("A"),
    ]
    refused = practice.run(*asked, *elsewhere(practice))
    assert refused.code == 14
    done = practice.run(*asked, *elsewhere(practice), "--header-from", sheet)
    assert done.code == 0
    assert "opened by the one of the key export" in done.err
    if command[0] == "restore":
        back = tmp_path / "back" / str(practice.patients / "bilan.txt").lstrip("/")
        assert back.read_text(encoding="utf-8") == "Bilan de Marie"
    wrong = practice.run(*asked, "--passphrase-file", practice.passphrase_file, "--header-from", sheet)
    assert wrong.code == 12


def test_this_computer_needs_neither(practice: Computer, sheet: Path, tmp_path: Path) -> None:
    lose_headers(practice, "A")
    done = practice.run("restore", "latest", "--drive", "A", "--to", tmp_path / "back")
    assert done.code == 0
    assert practice.run("backup", "--drive", "A").code == 0
    assert practice.run("snapshots", "--drive", practice.drive("A"), *elsewhere(practice)).code == 0


def test_where_the_headers_are_sound_the_sheet_changes_nothing(practice: Computer, sheet: Path) -> None:
    done = practice.run("snapshots", "--drive", practice.drive("A"), *elsewhere(practice), "--header-from", sheet)
    assert (done.code, done.err) == (0, "")


def as_it_is(data: bytes) -> bytes:
    return data


def with_carriage_returns(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")


def only_the_last_drive(data: bytes) -> bytes:
    return data[data.rindex(b"drive B") : data.rindex(b"recover.py")]


def with_a_note(data: bytes) -> bytes:
    return data.replace(b"drive A", b"armoire du fond\ndrive A")


@pytest.mark.parametrize(
    ("change", "drive", "warned"),
    [
        (as_it_is, "B", False),
        (with_carriage_returns, "B", False),
        (only_the_last_drive, "B", True),
        (with_a_note, "A", True),
    ],
)
def test_a_sheet_that_was_saved_otherwise_or_is_not_whole_still_opens_and_says_so(
    practice: Computer, sheet: Path, change: Callable[[bytes], bytes], drive: str, warned: bool
) -> None:
    sheet.write_bytes(change(sheet.read_bytes()))
    lose_headers(practice, drive)
    done = practice.run("snapshots", "--drive", practice.drive(drive), *elsewhere(practice), "--header-from", sheet)
    assert done.code == 0
    assert ("is not whole" in done.err) is warned


def test_the_reader_on_the_drive_opens_it_by_the_sheet_too(practice: Computer, sheet: Path) -> None:
    lose_headers(practice, "A")
    back = practice.home / "back"
    reader = [sys.executable, "-I", str(root(practice, "A") / "recover.py"), str(practice.drive("A"))]
    asked = [*reader, *("--code-file", str(practice.code_file)), "--to", str(back)]
    assert subprocess.run(asked, capture_output=True, check=False, timeout=120).returncode == 10
    done = subprocess.run([*asked, "--header-from", str(sheet)], capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    restored = back / practice.patients.relative_to("/") / "bilan.txt"
    assert restored.read_text(encoding="utf-8") == "Bilan de Marie"


def test_a_copy_of_a_header_does_as_well(practice: Computer, sheet: Path) -> None:
    copied = practice.home / "header"
    shutil.copy(root(practice, "A") / "header.1", copied)
    lose_headers(practice, "A")
    asked = ("snapshots", "--drive", practice.drive("A"), "--header-from", copied)
    done = practice.run(*asked, "--passphrase-file", practice.passphrase_file)
    assert done.code == 0
    assert "is not whole" not in done.err


def test_the_sheet_of_another_drive_is_refused_in_clear_words(practice: Computer, sheet: Path) -> None:
    sheet.write_bytes(only_the_last_drive(sheet.read_bytes()))
    lose_headers(practice, "A")
    done = practice.run("snapshots", "--drive", practice.drive("A"), *elsewhere(practice), "--header-from", sheet)
    assert done.code == 14
    assert "nothing on this drive shows that this header is its own" in done.err


def test_a_file_that_is_no_export_is_refused_in_clear_words(practice: Computer, sheet: Path) -> None:
    sheet.write_text("Bonjour\n", encoding="utf-8")
    lose_headers(practice, "A")
    done = practice.run("snapshots", "--drive", practice.drive("A"), *elsewhere(practice), "--header-from", sheet)
    assert done.code == 14
    assert "this is no key export" in done.err
    assert practice.run("snapshots", "--drive", "A", "--header-from", practice.home / "nowhere").code == 2


def test_a_verification_by_the_sheet_reads_everything_and_names_the_lost_copies(
    practice: Computer, sheet: Path
) -> None:
    lose_headers(practice, "A")
    asked = ("verify", "--full", "--drive", practice.drive("A"), *elsewhere(practice), "--header-from", sheet, "--json")
    done = practice.run(*asked)
    assert done.code == 14
    kinds = {problem["path"]: problem["kind"] for problem in done.json["problems"] if problem["kind"] != "healed"}
    assert set(kinds) == set(HEADER_COPIES)
    assert done.json["complete"] is True
