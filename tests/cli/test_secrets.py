"""Secrets appear nowhere: not in what is printed, not in any file, not in the arguments, not in a traceback.

Owns: looking for them everywhere after the whole main job. Does not know: how they are kept out.
"""

import contextlib
import os
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli.computer import PASSPHRASE, Computer, Ran

from kinebackup.engine.format import keyring, recovery_code
from kinebackup.engine.format.keyring import MachineKey, Passphrase, RecoveryCode
from kinebackup.errors import KineError, WrongKey
from kinebackup.practice.computer_keys import ComputerKeys

NEW = "phrase de remplacement"


def secrets_of(computer: Computer, code: str) -> dict[str, bytes]:
    """Every secret of a practice, as the bytes by which it would be recognised."""
    practice = ComputerKeys.open(computer.state)
    master = practice.master().reveal()
    typed = code.replace("-", "")
    return {
        "passphrase": PASSPHRASE.encode(),
        "new passphrase": NEW.encode(),
        "code": code.encode(),
        "code without hyphens": typed.encode(),
        "code without check symbols": recovery_code.decode(code),
        "master key": master,
        "master key in hex": master.hex().encode(),
        "machine key": practice.machine_key.reveal(),
        "machine key in hex": practice.machine_key.reveal().hex().encode(),
    }


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file() and path.name != "reserve")


def found_in(data: bytes, secrets: dict[str, bytes]) -> set[str]:
    return {name for name, secret in secrets.items() if secret in data}


def said(*runs: Ran) -> bytes:
    return b"\n".join((done.out + done.err).encode("utf-8", "surrogateescape") for done in runs)


def test_after_the_whole_job_no_secret_is_in_any_file_or_output(practice: Computer) -> None:
    code = practice.code_file.read_text(encoding="ascii").strip()
    with_phrase = ("--passphrase-file", practice.passphrase_file)
    with_code = ("--recovery-code-file", practice.code_file)
    new = practice.home / "new.txt"
    new.write_text(NEW + "\n", encoding="utf-8")
    practice.enroll("A")
    runs = [
        practice.run("backup"),
        practice.run("status", "--json"),
        practice.run("restore-test", *with_phrase),
        practice.run("restore-test", "--json", *with_code),
        practice.run("verify", "--full"),
        practice.run("key", "list", "--json"),
        practice.run("key", "change-passphrase", "--new-passphrase-file", new, *with_phrase),
        practice.run("restore-test", *with_phrase),  # which is wrong by now
        practice.run("prune"),
        practice.run("init", *with_phrase),
    ]
    assert [done.code for done in runs] == [0, 0, 0, 0, 0, 0, 0, 12, 0, 1]
    secrets = secrets_of(practice, code)
    assert found_in(said(*runs), secrets) == set()
    folders = [
        practice.home / name for name in ("state", "cache", "runtime", "drives") if (practice.home / name).exists()
    ]
    leaks = {path.name: names for path in files_below(*folders) if (names := found_in(path.read_bytes(), secrets))}
    assert leaks == {"machine.key": {"machine key in hex"}}, "the one file that is there to hold one"


def test_the_recovery_code_is_kept_nowhere_by_init(computer: Computer) -> None:
    code = computer.run("init", "--json", "--passphrase-file", computer.passphrase_file).json["recovery_code"]
    secrets = secrets_of(computer, code)
    leaks = {
        path.name: names for path in files_below(computer.state) if (names := found_in(path.read_bytes(), secrets))
    }
    assert leaks == {"machine.key": {"machine key in hex"}}


def test_the_arguments_and_the_environment_of_a_run_hold_paths_only(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    run = practice.start("restore-test", "--drive", drive, "--passphrase-file", practice.passphrase_file, "--all")
    seen = b""
    while run.poll() is None:
        with contextlib.suppress(OSError):
            process = Path("/proc") / str(run.pid)
            seen += (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert str(practice.passphrase_file).encode() in seen
    assert PASSPHRASE.encode() not in seen + out.encode() + err.encode()


def test_a_defect_of_the_program_prints_a_traceback_without_secrets(practice: Computer) -> None:
    drive = practice.enroll("A")
    practice.back_up("A")
    with contextlib.closing(sqlite3.connect(practice.state / "state.db")) as state:
        state.execute("DROP TABLE runs")  # what no version of the program would do
    done = practice.run("restore-test", "--drive", drive, "--passphrase-file", practice.passphrase_file)
    assert done.code == 1
    assert "Traceback" in done.err
    code = practice.code_file.read_text(encoding="ascii").strip()
    assert found_in(said(done), secrets_of(practice, code)) == set()


def test_a_secret_shows_nothing_of_itself() -> None:
    secrets = [Passphrase.of(PASSPHRASE), MachineKey(b"k" * 32), RecoveryCode.of(recovery_code.create(os.urandom))]
    shown = [repr(secret) + str(secret) + f"{secret}" + repr([secret]) for secret in secrets]
    assert shown == [f"{name}(…){name}(…){name}(…)[{name}(…)]" for name in ("Passphrase", "MachineKey", "RecoveryCode")]


def test_the_error_of_a_wrong_secret_does_not_hold_it() -> None:
    code = recovery_code.create(os.urandom)
    _master, ring = keyring.create([RecoveryCode.of(code)], entropy=os.urandom, created="2030-01-01T00:00:00.000000Z")
    other = recovery_code.create(os.urandom)
    with pytest.raises(WrongKey) as caught:
        keyring.unlock(ring, RecoveryCode.of(other))
    assert recovery_code.decode(other).decode() not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("typed", ["", "ABCDE", "2" * 35, "0" * 35, "22222-33333-44444-55555-66666-77777-8888"])
def test_the_error_of_a_mistyped_code_does_not_hold_it(typed: str) -> None:
    with pytest.raises(KineError) as caught:
        RecoveryCode.of(typed)
    text = "".join(traceback.format_exception(caught.value))
    assert not typed or typed not in text
