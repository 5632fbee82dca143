"""Write the manual page from the command line itself (``make man``), in English.

Owns: ``docs/man/kinebackup.1``. Does not know: what the commands do; their own help texts tell. A test fails when the
page is older than they are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from kinebackup import __version__
from kinebackup.cli.main import command_line
from kinebackup.i18n import set_language

PAGE = Path(__file__).parent.parent / "docs" / "man" / "kinebackup.1"
_EXIT_CODES = (
    (0, "All went well."),
    (1, "Failed: the drive is full or broken, init where keys exist, a defect."),
    (2, "The command line or the configuration is wrong."),
    (3, "Finished, with problems: files that could not be read, a source that is missing, empty or much smaller."),
    (10, "Not found: not set up, unknown or absent drive, unknown snapshot or path."),
    (11, "Another KineBackup writes to this drive."),
    (12, "Wrong key, passphrase or recovery code."),
    (13, "A place that is refused: a cloud, a network share, a source, other files, not a USB drive."),
    (14, "A verification or restore test failed, or the drive is damaged."),
    (130, "Cancelled."),
)
_FILES = (
    ("$KINEBACKUP_CONFIG, /etc/kinebackup/config.toml", "The configuration; the second one is root's."),
    ("$XDG_CONFIG_HOME/kinebackup/config.toml", "The configuration of others."),
    ("KINEBACKUP/recover.py", "On each drive: restores without KineBackup."),
)


def manual_page() -> str:
    """The page in the language of man(7)."""
    root = command_line()
    context = click.Context(root, info_name="kinebackup")
    lines = [
        f'.TH KINEBACKUP 1 "" "KineBackup {__version__}" "User commands"',
        ".SH NAME",
        r"kinebackup \- encrypted backups of a health practice to USB drives, proven by restoring them",
        ".SH SYNOPSIS",
        r".B kinebackup",
        _escaped("[--config FILE] [--json] [--quiet] COMMAND ..."),
        ".SH DESCRIPTION",
        _escaped(root.help or ""),
        ".SH OPTIONS",
        "These may also stand after the command.",
        *_options(root, context),
        ".SH COMMANDS",
        *_commands(root, context),
        ".SH EXIT STATUS",
        *(line for code, text in _EXIT_CODES for line in _item(str(code), text)),
        ".SH FILES",
        *(line for name, text in _FILES for line in _item(name, text)),
    ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        below = click.Context(command, info_name=name, parent=context)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f".SS {_escaped(' '.join([below.command_path, *command.collect_usage_pieces(below)]))}"
            yield _escaped(command.help or "")
            yield from _options(command, below)
        if isinstance(command, click.Group):
            yield from _commands(command, below)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from _item(*record)


def _item(name: str, text: str) -> list[str]:
    return [".TP", rf"\fB{_escaped(name)}\fR", _escaped(text)]


def _escaped(text: str) -> str:
    """Text in which man(7) finds nothing to obey."""
    plain = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain


def main() -> int:
    set_language("en")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(manual_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
