"""What the commands that only read a drive have in common: its options, and opening it, on a new computer too.

Owns: ``--drive``, ``--passphrase-file``, ``--recovery-code-file`` and what follows from them. Does not know: what is
read.
"""

import contextlib
import getpass
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from kinebackup.archive.keyring import Passphrase, RecoveryCode, Secret
from kinebackup.cli.completion import drive_labels
from kinebackup.cli.session import Session
from kinebackup.errors import ConfigError, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.jobs.access import OpenDrive, find_drive, open_to_read
from kinebackup.jobs.practice import Practice

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


@contextlib.contextmanager
def opened(session: Session, drive: str | None, secret: Secret | None) -> Iterator[OpenDrive]:
    """The drive of that name, or the one that is present, unlocked and loaded, to be read."""
    practice = session.practice_if_any
    if practice is None and drive is None:
        practice = _explained(session)
    found = find_drive(drive, practice, session.world)
    if practice is None and secret is None:
        secret = _asked(session)
    with open_to_read(found, practice, secret) as drive_open:
        yield drive_open


def _explained(session: Session) -> Practice:
    """Raises what is missing, the configuration or the setup, and says how to do without both."""
    try:
        return session.practice
    except (NotFound, ConfigError) as error:
        hint = _("{hint}; on a new computer, name the drive instead: --drive PATH --passphrase-file FILE")
        raise type(error)(error.message, hint.format(hint=error.hint)) from None


def _asked(session: Session) -> Secret | None:
    """What the person types on a computer without keys; None where nobody sits there."""
    if session.output.as_json or not sys.stdin.isatty():
        return None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # there is no safe point to wait for
    try:
        text = getpass.getpass(_("Passphrase or recovery code of this drive: "))
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        return RecoveryCode.of(text)
    except WrongKey:  # its check symbols tell a code from a passphrase
        return Passphrase.of(text)
