"""What the commands that only read a drive have in common: its options, and opening it, on a new computer too.

Owns: ``--drive``, ``--host``, ``--passphrase-file``, ``--recovery-code-file``, ``--header-from``, the words about the
choice. Does not know: which drive is chosen (practice/drive_choice.py), or what is read.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, TypeVar

import click

from kinebackup.cli.commands.completion import drive_labels
from kinebackup.cli.session import Session
from kinebackup.cli.terminal.asking import ask_secret, can_ask
from kinebackup.cli.terminal.output import Output, on_one_line
from kinebackup.cli.terminal.tables import columns
from kinebackup.cli.terminal.words import moment_of_ns, time_text
from kinebackup.engine import MAX_EXPORT_BYTES, NamedSnapshot, Secret, decode_key_export, format_time
from kinebackup.errors import ConfigError, ExitCode, NotFound
from kinebackup.i18n import _
from kinebackup.model import HealedFile, Problem, counting
from kinebackup.practice.access import PresentDrive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_choice import ChosenDrive, Unlocking, drives_to_read, open_with_snapshots
from kinebackup.practice.drive_faults import note_faults

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def drive_option(command: Decorated) -> Decorated:
    """``--drive L`` as ``drive``."""
    return click.option(
        "--drive",
        metavar="L",
        help=_("Label of the drive, or the path where it is mounted."),
        shell_complete=drive_labels,
    )(command)


def secret_options(command: Decorated) -> Decorated:
    """``--passphrase-file F`` and ``--recovery-code-file F``."""
    file = click.Path(dir_okay=False)
    with_code = click.option(
        "--recovery-code-file",
        type=file,
        metavar="F",
        help=_("Unlock with the recovery code on this file's first line, as on a new computer."),
    )
    with_passphrase = click.option(
        "--passphrase-file",
        type=file,
        metavar="F",
        help=_("Unlock with the passphrase on this file's first line, as on a new computer."),
    )
    return with_passphrase(with_code(command))


def header_option(command: Decorated) -> Decorated:
    """``--header-from F`` as ``header_from``."""
    return click.option(
        "--header-from",
        metavar="F",
        type=click.Path(dir_okay=False),
        help=_("A key export, or a copy of a header: used where those of the drive are lost."),
    )(command)


def headers_from(path: str | None, output: Output) -> tuple[bytes, ...]:
    """The headers of that file; none without one. Raises ``ConfigError``, or ``Damaged`` where it holds none."""
    if path is None:
        return ()
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_EXPORT_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            _("the file {path} cannot be read ({reason})").format(path=path, reason=error.strerror),
            _("check its name and its permissions"),
        ) from None
    found = decode_key_export(data)
    if not found.whole:
        output.warn(
            _("{path} is not whole: its last line, the sum, does not fit").format(path=path),
            _("what of it opens the drive is used all the same"),
        )
    return found.headers


def host_option(command: Decorated) -> Decorated:
    """``--host NAME`` as ``host``."""
    return click.option(
        "--host",
        metavar="NAME",
        default="",
        help=_("Only backups of the computer of that name; “latest” is else the newest one of this computer."),
    )(command)


@dataclass(frozen=True, slots=True)
class Readable:
    """Drives that may be read, and what opens them."""

    drives: tuple[PresentDrive, ...]
    unlocking: Unlocking


def readable(session: Session, drive: str | None, secret: Secret | None, headers: Sequence[bytes] = ()) -> Readable:
    """The drive of that name, or all that are present. Asks for a secret where none of this computer's would do.

    ``headers``: to try where those of a drive are lost. Raises ``NotFound`` where there is no drive.
    """
    computer = session.computer_if_any
    if computer is None and drive is None:
        computer = _explained(session)
    session.mount_privately(computer, drive)
    found = drives_to_read(drive, computer, session.world)
    if computer is None and secret is None and can_ask() and not session.output.as_json:
        secret = ask_secret()
    return Readable(found, Unlocking(computer, secret, tuple(headers)))


@contextlib.contextmanager
def opened(
    session: Session,
    drive: str | None,
    secret: Secret | None,
    *snapshots: str,
    host: str,
    headers: Sequence[bytes] = (),
) -> Iterator[ChosenDrive]:
    """The drive of that name, unlocked and loaded; without one, that with the newest backup which has the snapshots.
    ``host``: the computer whose backups alone are meant.
    """
    choice = readable(session, drive, secret, headers)
    with open_with_snapshots(choice.drives, choice.unlocking, snapshots, host=host) as chosen:
        if chosen.one_of_several:
            session.output.say(
                _("Several drives are plugged in; this is about {label}. Another one: --drive LABEL").format(
                    label=chosen.opened.drive.label
                )
            )
        if len(chosen.computers) > 1:
            session.output.say(_computers_words(chosen.computers, session.world.zone))
        if chosen.has_known_damage:
            session.output.warn(
                _("a backup on this drive is damaged, and may be newer than the one that is taken"),
                _("see: kinebackup snapshots"),
            )
        try:
            yield chosen
        finally:
            opened_drive, computer = chosen.opened, choice.unlocking.computer
            note_faults(opened_drive.drive.record, computer, session.world, healed=opened_drive.repository.healed)


def _computers_words(newest: Sequence[NamedSnapshot], zone: tzinfo) -> str:
    """Which computers a drive knows, where it does not know this one; the first has the newest backup of all."""
    taken = newest[0].snapshot
    lines = [
        _("This drive has no backup of this computer; the newest one is taken, of {name}, {time}.").format(
            name=on_one_line(taken.host), time=time_text(taken.taken_at, zone)
        ),
        _("Other computers, each with its newest backup (choose one with --host NAME):"),
    ]
    rows = [(f"    {on_one_line(s.snapshot.host)}", time_text(s.snapshot.taken_at, zone)) for s in newest[1:]]
    return "\n".join([*lines, columns(rows)])


def _explained(session: Session) -> ComputerKeys:
    """Raises what is missing, the configuration or the setup, with a hint how to do without both."""
    try:
        return session.computer
    except (NotFound, ConfigError) as error:
        hint = _("{hint}; on a new computer, name the drive instead: --drive PATH --passphrase-file FILE")
        raise type(error)(error.message, hint.format(hint=error.hint)) from None


def time_of_ns(mtime_ns: int) -> str | None:
    """A file's time in JSON: UTC, as all times there; None where no calendar reaches."""
    moment = moment_of_ns(mtime_ns)
    return format_time(moment) if moment else None


def ended(session: Session, problems: tuple[Problem, ...], healed: tuple[HealedFile, ...]) -> int:
    """List the problems, and tell of what was healed; returns the exit code."""
    session.output.problems(problems, healed)
    return ExitCode.PROBLEMS if counting(problems) else ExitCode.OK
