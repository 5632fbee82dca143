"""The command line's entry: global options, the table of commands, errors and exit codes.

Owns: ``kinebackup`` itself. Does not know: what a command does; each is imported when it is called, so that
``--help`` and ``status`` answer at once.
"""

import difflib
import gc
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from kinebackup import __version__
from kinebackup.cli.session import Session
from kinebackup.cli.terminal.click_texts import speak
from kinebackup.errors import Cancelled, ConfigError, ExitCode, KineError
from kinebackup.i18n import _, language_from, set_language
from kinebackup.model import stopped_as_asked

# command → (module, attribute); in the order in which a person needs them
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("kinebackup.cli.commands.setup", "init"),
    "drive": ("kinebackup.cli.commands.drives", "drive"),
    "check-target": ("kinebackup.cli.commands.check_target", "command"),
    "status": ("kinebackup.cli.commands.status", "status"),
    "backup": ("kinebackup.cli.commands.backups", "backup"),
    "snapshots": ("kinebackup.cli.commands.browse", "snapshots"),
    "ls": ("kinebackup.cli.commands.browse", "ls"),
    "find": ("kinebackup.cli.commands.search", "find"),
    "diff": ("kinebackup.cli.commands.search", "diff"),
    "restore": ("kinebackup.cli.commands.restore", "restore"),
    "restore-test": ("kinebackup.cli.commands.checks", "restore_test"),
    "verify": ("kinebackup.cli.commands.checks", "verify"),
    "repair": ("kinebackup.cli.commands.repair", "repair"),
    "prune": ("kinebackup.cli.commands.backups", "prune"),
    "key": ("kinebackup.cli.commands.keys", "key"),
    "daemon": ("kinebackup.cli.commands.daemon", "daemon"),
    "agent": ("kinebackup.cli.commands.agent", "agent"),
    "completion": ("kinebackup.cli.commands.completion", "completion"),
    "demo": ("kinebackup.cli.commands.demo", "demo"),
}
_VALUE_OPTIONS = ("--config",)
_FLAGS = ("--json", "--quiet")


def _summaries() -> dict[str, str]:
    """What ``--help`` says of each command, without importing it; a command with more to say has a help of its own."""
    return {
        "init": _("Create the practice's keys on this computer."),
        "drive": _("Prepare and list the drives."),
        "check-target": _("Say whether backups may be written to a place."),
        "status": _("Say in one screen whether the practice is protected."),
        "backup": _("Back up the sources to a drive."),
        "snapshots": _("List the backups of a drive."),
        "ls": _("List what is in a backup."),
        "find": _("Find a file by name in all backups."),
        "diff": _("Show what changed between two backups."),
        "restore": _("Bring files back from a backup."),
        "restore-test": _("Prove that the data comes back."),
        "verify": _("Read and authenticate what is on a drive."),
        "repair": _("Mend what is damaged on a drive."),
        "prune": _("Remove old backups that need not be kept."),
        "key": _("Manage passphrases and recovery codes."),
        "daemon": _("Run in the background (systemd starts it)."),
        "agent": _("Show the daemon's notices on the desktop (the session starts it)."),
        "completion": _("Print what makes a shell complete the commands."),
        "demo": _("Play the whole job on invented files."),
    }


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        gc.disable()  # as in kinebackup/__main__.py
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        finally:
            gc.enable()
        command.help = command.help or _summaries()[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a mistyped command."""
        meant = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and not args[0].startswith("-") and meant:
            message = _("There is no command {name}. Did you mean {meant}?").format(name=repr(args[0]), meant=meant[0])
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(_("Commands")):
            formatter.write_dl(list(_summaries().items()))


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        session: Session = ctx.obj
        session.output.quiet = False
        session.output.result({"version": __version__}, lambda: f"kinebackup, version {__version__}")
        ctx.exit()


def command_line() -> click.Group:
    """``kinebackup`` itself; made when the language is known, for its options have texts too."""

    @click.group(
        cls=LazyGroup,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        help=_("Encrypted backups of a health practice to USB drives, proven by restoring them."),
        epilog=_(
            "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 finished with problems, 10 not found, 11 locked, "
            "12 wrong key, 13 target refused, 14 verify or restore test failed, 130 cancelled."
        ),
    )
    @click.option("--config", type=click.Path(path_type=Path), help=_("Configuration file."), metavar="FILE")
    @click.option("--json", "as_json", is_flag=True, help=_("Print exactly one JSON document on standard output."))
    @click.option("--quiet", is_flag=True, help=_("Print nothing but problems and errors."))
    @click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help=_("Show the version and exit."),
    )
    @click.pass_context
    def kinebackup(ctx: click.Context, config: Path | None, as_json: bool, quiet: bool) -> None:
        session: Session = ctx.obj
        session.config_path = config
        session.output.as_json = as_json
        session.output.quiet = quiet

    return kinebackup


def globals_first(arguments: Sequence[str]) -> list[str]:
    """Global options may stand anywhere: ``kinebackup backup --json`` is what people type."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in _FLAGS or argument.startswith("--config="):
            front.append(argument)
        elif argument in _VALUE_OPTIONS:
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        else:
            rest.append(argument)
    return front + rest


def _cancel_on_signals(session: Session) -> None:
    """The first Ctrl-C stops at the next safe point; the second one at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if session.cancel.cancelled:
            os._exit(ExitCode.CANCELLED)
        session.cancel.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _not_understood(error: click.ClickException, message: str) -> ConfigError:
    named = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "kinebackup"
    return ConfigError(message, _("see: {command} --help").format(command=named))


def run(arguments: Sequence[str], early: Sequence[int] = ()) -> int:
    """Run one command line; returns the exit code. ``early``: signals that came before there was anything to stop."""
    language = language_from(os.environ)
    set_language(language)
    speak(language)
    session = Session()
    _cancel_on_signals(session)
    if early:
        session.cancel.cancel()
    words = globals_first(arguments)
    session.output.as_json = "--json" in words
    try:
        code = command_line().main(args=words, prog_name="kinebackup", standalone_mode=False, obj=session)
        return int(code) if isinstance(code, int) else ExitCode.OK
    except Cancelled as error:
        session.output.error(error)
        return error.exit_code
    except KineError as error:
        session.output.error(error)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        session.output.error(stopped_as_asked())
        return ExitCode.CANCELLED
    except click.exceptions.NoArgsIsHelpError as error:
        if session.output.as_json:
            session.output.error(_not_understood(error, _("the command is missing")))
        else:
            click.echo(error.message, err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        session.output.error(_not_understood(error, " ".join(error.format_message().split())))
        return ExitCode.USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as defect:  # noqa: BLE001 - the one catch-all: scripts always get a document and an exit code
        traceback.print_exc()
        session.output.error(
            KineError(
                _("KineBackup failed in a way that was not foreseen ({what})").format(what=type(defect).__name__),
                _("this is a defect; please report it with the lines above, which hold no secret"),
            )
        )
        return ExitCode.FAILED
    finally:
        session.output.end_progress()
        _close(session)


def _close(session: Session) -> None:
    """Release what the command has opened. The result has been printed by now, so a failure is only a warning."""
    try:
        session.closing.close()
    except KineError as error:
        session.output.warn(error.message, error.hint)


def entry(early: Sequence[int] = ()) -> None:
    """The program; see ``run``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without é still shows the rest
    sys.exit(run(sys.argv[1:], early))
