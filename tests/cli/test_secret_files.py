"""Passphrases and codes in files, as editors of any computer write them.

Owns: what of a file is the secret, and which files are refused. Does not know: what a secret opens.
"""

import codecs
from pathlib import Path

import pytest
from support.cli.computer import PASSPHRASE, Computer

REFUSED = {
    "Latin 1": "clé très secrète".encode("latin-1"),
    "UTF-16": "clé très secrète".encode("utf-16"),
    "UTF-16 without a mark": PASSPHRASE.encode("utf-16-le"),
    "NUL": PASSPHRASE.encode() + b"\0\n",
    "a key of random bytes": bytes(range(128, 160)),
}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nanything\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_passphrase_opens_whatever_the_editor_put_around_it(practice: Computer, mark: bytes, end: str) -> None:
    practice.enroll("A")
    practice.passphrase_file.write_bytes(mark + PASSPHRASE.encode() + end.encode())
    done = practice.run("snapshots", "--drive", practice.drive("A"), "--passphrase-file", practice.passphrase_file)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("command", ["init", "snapshots", "recovery"])
def test_a_file_that_is_no_utf_8_text_is_refused(practice: Computer, command: str, content: bytes) -> None:
    secret = practice.home / "secret"
    secret.write_bytes(content)
    option = "--recovery-code-file" if command == "recovery" else "--passphrase-file"
    drive = practice.enroll("A")
    commands: dict[str, tuple[str | Path, ...]] = {
        "init": ("--config", practice.home / "second.toml", "init"),
        "snapshots": ("snapshots", "--drive", drive),
        "recovery": ("snapshots", "--drive", drive),
    }
    text = practice.config.read_text(encoding="utf-8").replace("/state", "/second state")
    (practice.home / "second.toml").write_text(text, encoding="utf-8")
    done = practice.run(*commands[command], option, secret)
    assert (done.code, "is not UTF-8 text" in done.err) == (2, True), done.err
    assert not (practice.home / "second state").exists()


def test_the_code_in_a_file_with_a_mark_opens(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.code_file.write_bytes(codecs.BOM_UTF8 + practice.code_file.read_bytes())
    assert practice.run("snapshots", "--drive", drive, "--recovery-code-file", practice.code_file).code == 0


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0"])
def test_a_blank_at_an_end_counts_and_is_warned_of(computer: Computer, blank: str) -> None:
    computer.passphrase_file.write_text(PASSPHRASE + blank + "\n", encoding="utf-8")
    done = computer.run("init", "--passphrase-file", computer.passphrase_file)
    assert (done.code, "begins or ends with a blank" in done.err) == (0, True), done.err
    computer.enroll("A")
    options = ("snapshots", "--drive", computer.drive("A"), "--passphrase-file", computer.passphrase_file)
    done = computer.run(*options)
    assert (done.code, "begins or ends with a blank" in done.err) == (0, True), done.err
    computer.passphrase_file.write_text(PASSPHRASE + "\n", encoding="utf-8")
    done = computer.run(*options)
    assert (done.code, "blank" in done.err) == (12, False)
