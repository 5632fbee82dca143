"""What the commands that only read a drive have in common: its options, and opening it, on a new computer too.

Owns: ``--drive``, ``--passphrase-file``, ``--recovery-code-file`` and what follows from them. Does not know: what is
read.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from kinebackup.archive.keyring import Secret
from kinebackup.cli.asking import ask_secret, can_ask
from kinebackup.cli.completion import drive_labels
from kinebackup.cli.session import Session
from kinebackup.errors import ConfigError, NotFound
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
    if practice is None and secret is None and can_ask() and not session.output.as_json:
        secret = ask_secret()
    with open_to_read(found, practice, secret) as drive_open:
        yield drive_open


def _explained(session: Session) -> Practice:
    """Raises what is missing, the configuration or the setup, and says how to do without both."""
    try:
        return session.practice
    except (NotFound, ConfigError) as error:
        hint = _("{hint}; on a new computer, name the drive instead: --drive PATH --passphrase-file FILE")
        raise type(error)(error.message, hint.format(hint=error.hint)) from None
