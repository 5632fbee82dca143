"""Help, completion, and the document that promises them: every command is in all three, and help comes at once."""

import os
import re
import shutil
import subprocess

import click
import pytest
from support.cli.computer import PROGRAM, Computer
from support.project import DOCS

from kinebackup.cli.main import command_line
from kinebackup.errors import ExitCode

DOCUMENT = DOCS / "CLI.md"


def every_command() -> list[tuple[str, click.Command]]:
    """All commands with their full names, groups' own ones included."""
    found: list[tuple[str, click.Command]] = []
    root = command_line()
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            found += [(f"{name} {below}", command.commands[below]) for below in command.commands]
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found.append((name, command))
    return found


COMMANDS = every_command()


def test_there_are_the_commands_of_the_contract() -> None:
    assert {name for name, _command in COMMANDS} >= {
        "init",
        "drive enroll",
        "drive list",
        "drive show",
        "drive rename",
        "drive eject",
        "check-target",
        "status",
        "backup",
        "snapshots",
        "ls",
        "find",
        "diff",
        "restore",
        "restore-test",
        "verify",
        "prune",
        "key list",
        "key add",
        "key remove",
        "key change-passphrase",
        "demo",
    }


@pytest.mark.parametrize("name", [name for name, _command in COMMANDS])
def test_every_command_has_help_in_both_languages(computer: Computer, name: str) -> None:
    english = computer.run(*name.split(), "--help")
    french = computer.run(*name.split(), "--help", env=computer.environment(LANG="fr_FR.UTF-8"))
    assert (english.code, english.err, french.code, french.err) == (0, "", 0, "")
    assert english.out.startswith(f"Usage: kinebackup {name}")
    assert french.out.startswith(f"Utilisation\u00a0: kinebackup {name}")
    assert "Show this message and exit." in english.out
    assert english.out.splitlines()[2] != french.out.splitlines()[2]


def sections_of(name: str) -> str:
    """What the document says of a command, with what it says of all commands that look and restore."""
    sections = re.split(r"\n(?=#{2,3} )", DOCUMENT.read_text("utf-8"))
    common = [text for text in sections if text.startswith("## Looking and restoring")]
    looks = name in ("snapshots", "ls", "find", "diff", "restore")
    own = [text for text in sections if re.search(f"`{name}[ `]", text.splitlines()[0])]
    assert own, f"docs/CLI.md does not name {name}"
    return "\n".join([*own, *(common if looks else [])])


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _command in COMMANDS])
def test_every_command_and_option_is_in_the_document(name: str, command: click.Command) -> None:
    text = sections_of(name)
    options = [
        option
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden  # hidden: no promise to anybody
        for option in parameter.opts
    ]
    assert [option for option in options if option.startswith("--") and option not in text] == []


def test_every_exit_code_is_in_the_document_and_in_the_help(computer: Computer) -> None:
    text = DOCUMENT.read_text("utf-8")
    help_text = " ".join(computer.run("--help").out.split())
    for code in ExitCode:
        assert f"\n| {int(code)} | " in text
        assert f" {int(code)} " in help_text


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["restore", "--help"], ["completion", "zsh"]])
def test_help_does_not_load_the_progress_bar(computer: Computer, arguments: list[str]) -> None:
    """Help must answer at once, and such modules take longer to load than all the rest."""
    done = computer.run(*arguments, env=computer.environment(PYTHONPROFILEIMPORTTIME="1"))
    assert done.code == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "kinebackup.cli.main" in loaded
    assert loaded.isdisjoint({"rich", "rich.progress", "asyncio"})


# -- completion ------------------------------------------------------------------------------------------------------

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def completions(computer: Computer, *words: str) -> list[str]:
    """What a real bash offers for the last word."""
    script = (
        # Outside a key press, bash has no completion to set options for.
        'compopt() { :; }; source <(kinebackup completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_kinebackup_completion kinebackup; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        capture_output=True,
        text=True,
        env=computer.environment(PATH=path),
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@needs_bash
def test_bash_completes_commands_and_options(computer: Computer) -> None:
    assert completions(computer, "kinebackup", "res") == ["restore", "restore-test"]
    assert completions(computer, "kinebackup", "drive", "en") == ["enroll"]
    assert completions(computer, "kinebackup", "restore", "latest", "--over") == ["--overwrite"]
    assert completions(computer, "kinebackup", "restore", "latest", "--overwrite", "if") == ["if-changed"]
    assert completions(computer, "kinebackup", "ls", "la") == ["latest"]


@needs_bash
def test_bash_completes_the_labels_of_the_practices_drives(practice: Computer) -> None:
    practice.enroll("CABINET")
    practice.enroll("MAISON", "domicile")
    assert completions(practice, "kinebackup", "backup", "--drive", "CA") == ["CABINET"]
    assert completions(practice, "kinebackup", "ls", "latest", "--drive", "") == ["CABINET", "MAISON"]


@needs_bash
def test_completion_on_a_computer_without_configuration_offers_nothing_and_says_nothing(computer: Computer) -> None:
    computer.config.unlink()
    assert completions(computer, "kinebackup", "backup", "--drive", "zz") == []


@pytest.mark.parametrize(("shell", "begins"), [("zsh", "#compdef kinebackup"), ("fish", "function _kinebackup_comp")])
def test_other_shells_get_their_script(computer: Computer, shell: str, begins: str) -> None:
    done = computer.run("completion", shell)
    assert done.code == 0
    assert done.out.startswith(begins)
