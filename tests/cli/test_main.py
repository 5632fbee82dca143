"""The frame of the command line: options that stand anywhere, errors, exit codes, what is printed where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli.computer import PROGRAM, Computer


def test_global_options_may_stand_before_or_after_the_command(practice: Computer) -> None:
    practice.enroll("CABINET")
    assert practice.run("--json", "snapshots").json == practice.run("snapshots", "--json").json
    assert practice.run("snapshots", "--config", practice.config, "--quiet", env=without_config(practice)).code == 0


def without_config(computer: Computer) -> dict[str, str]:
    return {name: value for name, value in computer.environment().items() if name != "KINEBACKUP_CONFIG"}


def test_after_two_dashes_nothing_is_an_option(practice: Computer) -> None:
    practice.enroll("CABINET")
    done = practice.run("find", "--", "--json")
    assert done.code == 0
    assert done.out.startswith("Nothing is called --json in 0 backups")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing-like-this"],
        ["ls"],
        ["ls", "a", "b", "c"],
        ["restore", "latest"],
        ["restore", "latest", "--to", "x", "--overwrite", "perhaps"],
        ["snapshots", "--unknown"],
        ["completion", "powershell"],
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2_and_says_where_help_is(
    computer: Computer, arguments: list[str]
) -> None:
    done = computer.run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("kinebackup: error: ")
    assert "hint: see: kinebackup" in done.err
    assert "--help" in done.err


def test_an_error_in_json_is_one_document_and_words_on_stderr(computer: Computer) -> None:
    done = computer.run("ls", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == 2
    assert "SNAPSHOT" in done.json["error"]["message"]
    assert "SNAPSHOT" in done.err


def test_both_kinds_of_secret_at_once_are_refused(computer: Computer) -> None:
    done = computer.run("snapshots", "--passphrase-file", "a", "--recovery-code-file", "b")
    assert done.code == 2


@pytest.mark.parametrize("language", ["fr_FR.UTF-8", "C", ""])
def test_french_is_spoken_unless_the_session_is_english(computer: Computer, language: str) -> None:
    done = computer.run("ls", env=computer.environment(LANG=language))
    assert done.code == 2
    assert done.err.startswith("kinebackup: erreur\u00a0: ")
    assert "Il manque l’argument" in done.err


def test_the_configuration_decides_the_language(practice: Computer) -> None:
    practice.configure(language="fr")
    practice.enroll("CABINET")
    assert practice.run("snapshots").out == "Le disque CABINET ne contient encore aucune sauvegarde\n"


def test_quiet_prints_nothing_where_all_is_well(practice: Computer) -> None:
    practice.enroll("CABINET")
    done = practice.run("snapshots", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_reader_that_goes_away_is_no_traceback(practice: Computer) -> None:
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [PROGRAM, "ls", "latest", "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=practice.environment(),
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.returncode != 0


def test_a_ctrl_c_while_the_program_still_loads_stops_it_too(practice: Computer) -> None:
    practice.enroll("CABINET")
    program = (
        "import os, signal, sys\n"
        "class CtrlC:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, CtrlC())\n"
        "sys.argv = ['kinebackup', 'backup', '--json']\n"
        "from kinebackup.__main__ import entry\n"
        "entry()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=practice.environment(), check=False
    )
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (130, 130)
    assert "Traceback" not in done.stderr


def test_the_version_in_json_is_a_document_too(computer: Computer) -> None:
    assert computer.run("--version").out.startswith("kinebackup, version 0.")
    assert list(computer.run("--version", "--json").json) == ["version"]
    assert computer.run("--quiet", "--version").out != ""


def test_it_runs_as_a_module_too(computer: Computer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kinebackup", "--version"],
        capture_output=True,
        text=True,
        env=computer.environment(),
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("kinebackup, version ")


def test_a_secret_file_of_several_lines_is_its_first_line(practice: Computer, another_computer: Computer) -> None:
    practice.enroll("CABINET")
    assert practice.passphrase_file.read_text("utf-8").count("\n") == 2
    dos = practice.home / "dos.txt"
    dos.write_bytes(practice.passphrase_file.read_bytes().split(b"\n")[0] + b"\r\nmore\r\n")
    drive = practice.drive("CABINET")
    for file in (practice.passphrase_file, dos):
        assert another_computer.run("snapshots", "--drive", drive, "--passphrase-file", file).code == 0


def test_a_secret_file_that_is_missing_or_empty_is_named(computer: Computer, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    for file in (empty, tmp_path / "missing"):
        done = computer.run("snapshots", "--drive", "/", "--passphrase-file", file)
        assert done.code == 2
        assert str(file) in done.err


def test_json_holds_names_that_are_no_text(practice: Computer) -> None:
    odd = Path(os.fsdecode(os.fsencode(practice.patients) + b"/\xff\n.txt"))
    odd.write_bytes(b"x")
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    done = practice.run("find", "*.txt", "--json")
    assert "\\udcff\\n.txt" in done.out
    assert os.fsencode(odd) in [os.fsencode(item["path"]) for item in json.loads(done.out)["files"]]
    again = practice.run("ls", "latest", odd, "--json").json["entries"]
    assert [os.fsencode(item["path"]) for item in again] == [os.fsencode(odd)]


def test_an_error_in_json_may_hold_such_a_name_too(practice: Computer) -> None:
    odd = os.fsdecode(b"/\xff")
    practice.enroll("CABINET")
    practice.back_up("CABINET")
    done = practice.run("ls", "latest", odd, "--json")
    assert done.code == 10
    assert odd in done.json["error"]["message"]
    assert "\\udcff" in done.out


def test_a_terminal_that_knows_no_accents_still_gets_the_words(computer: Computer) -> None:
    done = computer.run("ls", env=computer.environment(LANG="fr_FR.UTF-8", PYTHONIOENCODING="ascii"))
    assert done.code == 2
    assert "Il manque l\\u2019argument" in done.err


def test_a_mistyped_command_is_guessed(computer: Computer) -> None:
    done = computer.run("bakcup")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("kinebackup: error: There is no command 'bakcup'. Did you mean backup?\n")


def test_without_a_command_there_is_help(computer: Computer) -> None:
    done = computer.run()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: kinebackup ")
    assert computer.run("--json").json["error"]["code"] == 2
    assert computer.run("drive", "--json").json["error"]["message"] == "the command is missing"


def test_what_is_missing_is_said_on_one_line(computer: Computer) -> None:
    done = computer.run("drive", "enroll", "--folder", "x", "--label", "A", "--json")
    assert done.json["error"]["message"] == "Missing option '--place'. Choose from: cabinet, domicile"
