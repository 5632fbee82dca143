"""What the commands that only read a drive have in common: its options, and opening it, on a new computer too.

Owns: ``--drive``, ``--passphrase-file``, ``--recovery-code-file`` and what follows from them. Does not know: what is
read.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from kinebackup.cli.commands.completion import drive_labels
from kinebackup.cli.private_mount import open_own_drives
from kinebackup.cli.session import Session
from kinebackup.cli.terminal.asking import ask_secret, can_ask
from kinebackup.engine import Secret
from kinebackup.errors import ConfigError, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import Problem
from kinebackup.practice.access import OpenDrive, PresentDrive, find_drive, open_to_read, present_drives
from kinebackup.practice.computer_keys import ComputerKeys

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


@dataclass(frozen=True, slots=True)
class Readable:
    """Drives that may be read, the one with the newest backup first, and what opens them."""

    drives: tuple[PresentDrive, ...]
    computer: ComputerKeys | None
    secret: Secret | None

    def open(self, drive: PresentDrive) -> contextlib.AbstractContextManager[OpenDrive]:
        return open_to_read(drive, self.computer, self.secret)


def readable(session: Session, drive: str | None, secret: Secret | None) -> Readable:
    """The drive of that name, or all that are present. Raises ``NotFound`` where there is none."""
    computer = session.computer_if_any
    if computer is None and drive is None:
        computer = _explained(session)
    open_own_drives(session, computer, drive)
    present = present_drives(computer, session.world) if computer and drive is None else []
    if len(present) < 2:
        present = [find_drive(drive, computer, session.world)]
    if computer is None and secret is None and can_ask() and not session.output.as_json:
        secret = ask_secret()
    return Readable(tuple(_newest_first(present, computer)), computer, secret)


def _newest_first(drives: Sequence[PresentDrive], computer: ComputerKeys | None) -> Sequence[PresentDrive]:
    def last_backup(drive: PresentDrive) -> datetime:
        run = computer.state.last_run(drive.record.repository, "backup") if computer and drive.record else None
        return run.started if run else datetime.min.replace(tzinfo=UTC)

    return sorted(drives, key=last_backup, reverse=True)


@contextlib.contextmanager
def opened(session: Session, drive: str | None, secret: Secret | None, *snapshots: str) -> Iterator[OpenDrive]:
    """The drive of that name, unlocked and loaded; without one, that with the newest backup which has the snapshots."""
    choice = readable(session, drive, secret)
    with contextlib.ExitStack() as stack:
        found = _first_with(choice, snapshots or ("latest",), session, stack)
        if "latest" in snapshots:
            _tell_of_unreadable(found, session)
        yield found


def _tell_of_unreadable(found: OpenDrive, session: Session) -> None:
    """A snapshot that cannot be read may be newer than the one that is now the newest."""
    _known, unreadable = found.repository.snapshots()
    marked = found.repository.damaged_names
    news = [problem for problem in unreadable if problem.path.rpartition("/")[2] not in marked]
    found.problems += news
    if len(news) < len(unreadable):  # a verification has told of it, and backups have been made since, or should be
        session.output.warn(
            _("a backup on this drive is damaged, and may be newer than the one that is taken"),
            _("see: kinebackup snapshots"),
        )


def _first_with(choice: Readable, snapshots: Sequence[str], session: Session, stack: contextlib.ExitStack) -> OpenDrive:
    if len(choice.drives) == 1:
        return stack.enter_context(choice.open(choice.drives[0]))
    failure: KineError | None = None
    unusable: list[Problem] = []  # drives whose backups may be newer than what is shown
    for candidate in choice.drives:
        try:
            found = stack.enter_context(choice.open(candidate))
            for snapshot in snapshots:
                found.repository.find_snapshot(snapshot)
        except KineError as error:  # another drive may have it, and be sound
            failure = failure or error
            if "latest" in snapshots and not isinstance(error, NotFound):
                unusable.append(Problem("damaged", candidate.label, error.message))
            continue
        found.problems += unusable
        session.output.say(
            _("Several drives are plugged in; this is about {label}. Another one: --drive LABEL").format(
                label=candidate.label
            )
        )
        return found
    raise failure or AssertionError("there are several drives")


def _explained(session: Session) -> ComputerKeys:
    """Raises what is missing, the configuration or the setup, and says how to do without both."""
    try:
        return session.computer
    except (NotFound, ConfigError) as error:
        hint = _("{hint}; on a new computer, name the drive instead: --drive PATH --passphrase-file FILE")
        raise type(error)(error.message, hint.format(hint=error.hint)) from None
