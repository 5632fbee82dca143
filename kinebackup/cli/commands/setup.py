"""``kinebackup init``: the keys of a new practice, or this computer as one more of a practice.

Owns: the command, and showing the recovery code once. Does not know: how keys are made.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from kinebackup.bus.query import tell_daemon_to_reload
from kinebackup.cli.session import Session, new_passphrase_from, pass_session, secret_from
from kinebackup.cli.terminal.asking import ask_new_passphrase, ask_secret
from kinebackup.engine import Secret
from kinebackup.errors import ConfigError
from kinebackup.i18n import _, ngettext
from kinebackup.model import Place
from kinebackup.practice.computer_keys import ComputerKeys, refuse_if_set_up


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What was typed. ``recovery_code_file`` is written by a plain ``init`` and read by ``init --join``."""

    passphrase_file: str | None
    recovery_code_file: str | None
    join: str | None
    label: str
    place: Place


@click.command(
    help=_("Create the practice's keys on this computer, or join a practice that has drives already (--join).")
)
@click.option("--passphrase-file", metavar="F", help=_("The passphrase is the first line of this file."))
@click.option(
    "--recovery-code-file",
    metavar="FILE",
    help=_("Write the recovery code to this new file instead of showing it. With --join: read it from this file."),
)
@click.option("--join", metavar="DRIVE", help=_("Join the practice of the drive that is mounted at this path."))
@click.option("--label", default="", metavar="L", help=_("With --join: the drive's label, if its backups do not tell."))
@click.option(
    "--place",
    type=click.Choice(["cabinet", "domicile"]),
    default="cabinet",
    show_default=True,
    help=_("With --join: where that drive is kept, at the practice or at home."),
)
@pass_session
def init(session: Session, /, **typed: Any) -> None:
    options = InitOptions(**typed)
    refuse_if_set_up(session.config.paths.state)
    if options.join is not None:
        _join(session, options, options.join)
    else:
        _create(session, options)


def _create(session: Session, options: InitOptions) -> None:
    with new_secret_file(options.recovery_code_file) as write_code:
        if options.passphrase_file:
            passphrase = new_passphrase_from(options.passphrase_file, session.output)
        else:
            passphrase = ask_new_passphrase()
        computer, code = ComputerKeys.create(session.config.paths.state, passphrase, session.world)
        write_code(code)
    tell_daemon_to_reload()
    document: dict[str, object] = {"practice": computer.keyring.practice, "state": str(computer.directory)}
    document |= shown_code(options.recovery_code_file, code)
    if session.output.quiet and not options.recovery_code_file and not session.output.as_json:
        sys.stdout.write(code + "\n")  # asked to be quiet, but what is not shown now is lost
    session.output.result(document, lambda: _created_text(computer, options.recovery_code_file, code))


def _created_text(computer: ComputerKeys, file: str | None, code: str) -> str:
    return "\n".join(
        (
            _("The practice's keys are made; this computer's own key is in {state}.").format(state=computer.directory),
            "",
            *code_text(file, code),
            "",
            _("Next: prepare a drive with “kinebackup drive enroll”, then save with “kinebackup backup”."),
        )
    )


def code_text(file: str | None, code: str) -> tuple[str, ...]:
    """The recovery code, or where it is, and what to do with it."""
    advice = _(
        "It opens the backups if the passphrase is forgotten. Keep it on paper, away from the computer and the drives."
    )
    if file:
        return (_("The recovery code is in {file}: print it, then delete that file.").format(file=file), advice)
    return (_("The recovery code, shown only this once:"), "", f"    {code}", "", advice)


def shown_code(file: str | None, code: str) -> dict[str, object]:
    """The part of a JSON document that gives a new recovery code."""
    return {"recovery_code_file": os.path.abspath(file)} if file else {"recovery_code": code}


class _SecretFile:
    """A file that exists, empty, before the secret does: one that cannot be written must not cost the only copy."""

    def __init__(self, path: str | None) -> None:
        self.fd = -1
        if path is None:
            return
        try:
            self.fd = _new_or_empty(path)
        except FileExistsError:
            raise ConfigError(
                _("the file {path} exists already, and is not overwritten").format(path=path),
                _("name a file that does not exist yet"),
            ) from None
        except OSError as error:
            raise ConfigError(
                _("the file {path} cannot be written ({reason})").format(path=path, reason=error.strerror),
                _("name a file in a folder where you may write"),
            ) from None

    def write(self, text: str) -> None:
        if self.fd >= 0:
            os.write(self.fd, text.encode("ascii") + b"\n")
            os.fsync(self.fd)


def _new_or_empty(path: str) -> int:
    """A file that is new, or empty and one's own, as mktemp leaves it. Raises ``OSError``."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        there = os.lstat(path)
        if not stat.S_ISREG(there.st_mode) or there.st_size or there.st_uid != os.geteuid():
            raise
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.fchmod(fd, 0o600)
    return fd


@contextlib.contextmanager
def new_secret_file(path: str | None) -> Iterator[Any]:
    """A function that writes a secret to a new private file, or does nothing without a path."""
    file = _SecretFile(path)
    try:
        yield file.write
    except BaseException:
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise
    finally:
        if file.fd >= 0:
            os.close(file.fd)


def _join(session: Session, options: InitOptions, drive: str) -> None:
    from kinebackup.cli.commands.enroll import after_drives_changed
    from kinebackup.jobs.join import JoinRequest, join

    secret: Secret = secret_from(options.passphrase_file, options.recovery_code_file) or ask_secret()
    joined = join(
        session.config.paths.state,
        JoinRequest(
            drive=drive,
            secret=secret,
            label=options.label,
            place=options.place,
            sources=[str(source.path) for source in session.config.sources],
        ),
        session.world,
    )
    session.closing.enter_context(joined.computer.state)
    after_drives_changed(session, joined.computer.state)
    document = {
        "practice": joined.computer.keyring.practice,
        "state": str(joined.computer.directory),
        "drive": {"label": joined.drive.label, "place": joined.drive.place, "simulated": joined.drive.simulated},
        "snapshots": joined.snapshots,
    }
    words = ngettext(
        "This computer has joined the practice; the drive {label} holds {count} backup.",
        "This computer has joined the practice; the drive {label} holds {count} backups.",
        joined.snapshots,
    )
    session.output.result(document, lambda: words.format(label=joined.drive.label, count=joined.snapshots))
